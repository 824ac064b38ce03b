"""The predictor that the chapter "How an imputer's latent looks" takes apart: BRITS on the simulated stays, as in the quick profile, and one
linear head. Its file and card are committed, because pages never train; this makes them again, in about half a minute.

    python tools/lesson_model.py
"""

import sys
from pathlib import Path

import numpy as np

import modts
from modts import runs
from modts.study import read_profile

NAME, COHORT = "BRITS", "simulated_icu"


def make(path: Path) -> Path:
    """Train both and write them; what the profile sets is read from it."""
    job = read_profile(runs.root() / "profiles" / "quick.yaml").jobs[f"quick-heads-{COHORT}-{NAME}"].params
    cohort = modts.load_cohort(COHORT, seed=0)
    windows = {part: cohort.part(part)[0] for part in ("train", "val", "test")}
    backbone = modts.build(NAME, cohort, criterion=job["criterion"], seed=0)
    named = ("pattern", "rate", "epochs", "patience", "batch_size", "lr")
    modts.pretrain(backbone, windows["train"], windows["val"], seed=0, **{name: job[name] for name in named})
    latents = {part: backbone.latents(X) for part, X in windows.items()}
    targets, _ = modts.labels(cohort)
    outcome = modts.adapt("frozen", "simple", targets, np.arange(len(windows["train"])), latents=latents)
    predictor = modts.Predictor(backbone, outcome.model)
    return predictor.save(path, cohort=COHORT, split_seed=0, profile="quick", made_by="python tools/lesson_model.py")


if __name__ == "__main__":
    print(make(Path(sys.argv[1]) if len(sys.argv) > 1 else runs.root() / "book" / "data" / "lesson.safetensors"))
