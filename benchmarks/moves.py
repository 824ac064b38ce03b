"""What a transfer could be told by before any label is seen: shared variables, gaps, sizes, and how well the moved backbone fills gaps.

    MODTS_DATA=/data/tsdb python benchmarks/moves.py                    # every published transfer of the study that results/moves.csv lacks

A row a pair of cohorts, backbone and split. The backbone of the source is trained first where its checkpoint is not in the work folder. The
error is that of one measured value in ten, hidden in the target's validation windows, in standard deviations of the target's training windows,
on the variables that both cohorts have; linear interpolation fills the same cells. No outcome and no test window is read.
"""

from __future__ import annotations

import numpy as np

from modts import mask, runs
from modts.backbones import Scaler
from modts.book.columns import MOVES
from modts.learning import impute
from modts.study.artefacts import cohort_for, pretrained
from modts.study.collect import read_runs, read_table, table
from modts.study.moved import Moved
from modts.study.params import parse

PROFILE, RATE = "study", 0.1


def known_before(arm: Moved, seed: int) -> dict:
    """What is known of a pair of cohorts and a backbone before any label is."""
    shifted, ends = arm.windows(seed)
    matched, source = arm.alignment(seed), cohort_for(arm.params.source, seed)
    X, own = shifted["val"], source.part("train")[0]
    shared = ~np.isnan(shifted["train"]).all((0, 1)) & ~np.isnan(own).all((0, 1))
    steps = min(arm.cohort(seed).n_steps, source.n_steps)  # beyond these a shorter target has nothing
    missing = [np.isnan(part).mean((0, 1))[shared] for part in (shifted["train"][:, :steps], own)]
    scaler, hidden = Scaler.fit(shifted["train"]), mask(X, "point", RATE, seed=runs.epoch_seed(seed, -1))
    scored = np.isnan(hidden) & ~np.isnan(X) & shared
    backbone = pretrained(arm.given, seed)[0]
    fill = np.zeros(X.shape[2], X.dtype)
    fill[shared] = np.nanmean(shifted["train"][:, :, shared], axis=(0, 1), dtype=np.float64)
    line = impute("Linear interpolation", hidden, fill)

    def error(filled: np.ndarray) -> float:
        apart = scaler.transform(filled) - scaler.transform(X)
        return float(np.abs(apart[scored], dtype=np.float64).mean())

    return {
        "shared": int(shared.sum()),
        "overlap": round(len(matched.pairs) / arm.cohort(seed).n_features, 4),
        "missing": round(float(np.abs(missing[0] - missing[1]).mean()), 4),
        "source_size": len(own),
        "mae": round(error(backbone.impute(hidden, lengths=ends.get("val"))), 4),
        "line_mae": round(error(line), 4),
    }


def main() -> None:
    path = runs.results_dir() / "moves.csv"
    rows = read_table(path)
    done = {tuple(row[name] for name in MOVES[:4]) for row in rows}
    about = {"code": runs.code_version(), "hardware": runs.hardware()}
    for record in read_runs(runs.results_dir() / "runs"):
        if record["profile"] != PROFILE or record["stage"] != "transfer":
            continue
        arm = Moved.of(parse("transfer", record["params"]), "simple")
        for seed in record["params"]["seeds"]:
            place = (arm.params.source, arm.params.cohort, arm.params.backbone, str(seed))
            if place not in done:
                runs.seed_everything(seed, threads=1)
                rows.append(dict(zip(MOVES, place, strict=False)) | known_before(arm, seed) | about)
                runs.atomic_write(path, table(rows, MOVES))
                print(*(f"{name} {rows[-1][name]}" for name in MOVES[:-2]), flush=True)


if __name__ == "__main__":
    main()
