"""How far a series moves between the months of training and those of validation and test, and what centring its windows does about it.

    MODTS_DATA=/data/tsdb python benchmarks/drift.py                        # ItalyAir, SAITS and GRU-D: what results/drift.csv lacks
    MODTS_DATA=/data/tsdb python benchmarks/drift.py --cohort ett_h1 --backbones SAITS

Rows of results/drift.csv: the mean of each feature after the training months in standard deviations of training ("level"), and the error of
backbones on hidden validation values, plain and centred, beside linear interpolation ("error"). The test months are described, not predicted.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np

from modts import runs
from modts.backbones import Scaler, build
from modts.book.columns import DRIFT
from modts.cohorts import load_cohort
from modts.learning import pretrain
from modts.study.collect import read_table, table

EPOCHS, PATIENCE, BATCH = 100, 10, 32  # the cpu profile's for ItalyAir
INTERPOLATION = "Linear interpolation"


def levels(cohort) -> list[dict]:
    """Mean of each feature in the validation and the test months, in standard deviations of training; none where it was not observed."""
    scaler, rows = Scaler.fit(cohort.part("train")[0]), []
    for part in ("val", "test"):
        Z = scaler.transform(cohort.part(part)[0]).reshape(-1, cohort.n_features)
        seen = (~np.isnan(Z)).any(0)
        means = [np.nanmean(Z[:, f], dtype=np.float64) if seen[f] else np.nan for f in range(cohort.n_features)]
        rows += [
            {"what": "level", "name": name, "part": part, "value": f"{mean:.4f}"}
            for name, mean in zip(cohort.features, means, strict=True)
            if np.isfinite(mean)
        ]
    return rows


def errors(cohort, backbone: str, centre: bool, seed: int, epochs: int = EPOCHS) -> list[dict]:
    """Validation error of one pretraining, and that of linear interpolation on the same hidden values."""
    runs.seed_everything(seed, threads=1)
    network, clock = build(backbone, cohort, seed=seed, centre=centre), time.process_time()
    training = {"epochs": epochs, "patience": PATIENCE, "batch_size": BATCH, "seed": seed, "progress": None}
    history = pretrain(network, cohort.part("train")[0], cohort.part("val")[0], **training)
    made = {
        "epochs": len(history.validation),
        "capped": int(history.capped),
        "seconds": f"{time.process_time() - clock:.1f}",
    }
    part = "centred" if centre else "plain"
    return [
        {"what": "error", "name": backbone, "part": part, "value": f"{history.best:.4f}", **made},
        {"what": "error", "name": INTERPOLATION, "part": "", "value": f"{history.rivals[INTERPOLATION]:.4f}"},
    ]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--cohort", default="italy_air")
    ask.add_argument("--backbones", nargs="*", default=["SAITS", "GRU-D"])
    ask.add_argument("--seed", type=int, default=0)
    given, path = ask.parse_args(), runs.results_dir() / "drift.csv"
    cohort = load_cohort(given.cohort, seed=given.seed)
    rows = read_table(path)
    about = {"cohort": cohort.name, "seed": str(given.seed), "code": runs.code_version(), "hardware": runs.hardware()}

    def add(found):
        names = DRIFT[: DRIFT.index("value")]
        new = [{**dict.fromkeys(DRIFT, ""), **about, **row} for row in found]
        places = {tuple(row[name] for name in names) for row in new}
        rows[:] = [row for row in rows if tuple(row[name] for name in names) not in places] + new
        runs.atomic_write(path, table(rows, DRIFT))

    add(levels(cohort))
    for backbone, centre in itertools.product(given.backbones, (True, False)):
        place = (cohort.name, str(given.seed), "error", backbone, "centred" if centre else "plain")
        if place not in {tuple(row[name] for name in ("cohort", "seed", "what", "name", "part")) for row in rows}:
            add(errors(cohort, backbone, centre, given.seed))
            print(*(rows[-2][name] for name in DRIFT[:-2]), "interpolation", rows[-1]["value"], flush=True)


if __name__ == "__main__":
    main()
