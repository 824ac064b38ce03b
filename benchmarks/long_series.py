"""How long a series may be: time, memory and error of each backbone on windows of 100 to 10,000 steps, and where each one stops.

    MODTS_DATA=/data/tsdb python benchmarks/long_series.py                      # what results/long.csv does not hold yet, a row a network
    MODTS_DATA=/data/tsdb python benchmarks/long_series.py --backbone SAITS --minutes 30

The same quarter hours of ETT_m1, cut into windows of each length; every batch holds about as many steps, so that an epoch reads the same series.
Each network runs in a process of its own, which may take so much memory and so long, and no more: one that stops says at which of the two.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from modts import runs
from modts.backbones import SIX, Scaler, build, extract
from modts.book.columns import LONG
from modts.cohorts import load_cohort, mask
from modts.cohorts.series import load_ett_m1
from modts.learning import Setting, fit_predict, impute, labels, mae, outputs, pretrain, train_heads
from modts.study.collect import read_table, table

LENGTHS, BATCH_STEPS = (100, 1000, 3000, 10000), 3000
GIGABYTES, MINUTES = 16, 6  # of a process, all it maps included; of one pretraining
EPOCHS, PATIENCE, DECAYS = 60, 10, (0.0, 0.01, 0.1, 1.0)
KEY = LONG[:3]


def windows_of(name: str, steps: int):
    """The cohort of a name; of ETT_m1 with windows of so many steps."""
    return load_ett_m1(0, steps) if name == "ett_m1" else load_cohort(name)


def measure(cohort, backbone: str, minutes: float = MINUTES, epochs: int = EPOCHS) -> dict:
    """Time, memory and errors of one network; raises MemoryError or RuntimeError where the memory does not suffice."""
    runs.seed_everything(0, threads=1)
    (X, _), (X_val, _), (X_test, _) = (cohort.part(part) for part in ("train", "val", "test"))
    before = _gigabytes()
    network = build(backbone, cohort, criterion="mae", seed=0, centre=True, scaling="winsorised")
    given = {"batch_size": max(1, BATCH_STEPS // cohort.n_steps), "patience": PATIENCE, "progress": None}
    mask(X[:1], rate=0.1)  # imports what hides values
    clock = time.perf_counter()
    pretrain(network, X, X_val, epochs=1, **given)
    first = time.perf_counter() - clock
    row = {"seconds_epoch": f"{first:.2f}", "parameters": sum(part.numel() for part in network.parameters())}
    if first > 60 * minutes / 3:  # not even three epochs
        return row | {"peak_gb": f"{_gigabytes() - before:.2f}", "stopped": "time"}
    clock = time.perf_counter()
    history = pretrain(network, X, X_val, epochs=min(epochs, int(60 * minutes / first)), seed=1, **given)
    row["seconds_epoch"] = f"{(time.perf_counter() - clock) / len(history.validation):.3f}"
    row["peak_gb"] = f"{_gigabytes() - before:.2f}"
    clock = time.perf_counter()
    latents = {"test": extract(network, X_test, "steps")}
    row["latents_ms"] = f"{1000 * (time.perf_counter() - clock) / len(X_test):.2f}"
    latents |= {"train": extract(network, X, "steps"), "val": extract(network, X_val, "steps")}
    unit = Scaler.fit(X)
    hidden = mask(X_test, rate=0.1, seed=0)
    cells = np.isnan(hidden) & ~np.isnan(X_test)

    def error(filled):
        return f"{np.abs(unit.transform(filled) - unit.transform(X_test))[cells].mean(dtype=np.float64):.4f}"

    targets, scaler = labels(cohort)
    grid = [Setting(np.arange(len(X)), 0.01, decay, 0) for decay in DECAYS]
    head, _ = min(train_heads("simple", latents, targets, grid, epochs=200, patience=40), key=lambda made: made[1].best)
    return row | {
        "epochs": len(history.validation),
        "capped": int(history.capped),
        "mae": error(network.impute(hidden)),
        "line_mae": error(impute("Linear interpolation", hidden, unit.mean)),
        "head_mae": f"{mae(targets['test'].y, outputs(head, torch.from_numpy(latents['test'])).squeeze(-1).numpy()):.4f}",
        "ridge_mae": f"{mae(targets['test'].y, _ridge(cohort, scaler)):.4f}",
    }


def _ridge(cohort, scaler) -> np.ndarray:
    """What ridge regression on the values around each step predicts, in standard deviations of the target."""
    return scaler.transform(fit_predict("Ridge regression", cohort, cohort.labelled(1.0, 0)))


def _gigabytes() -> float:
    """The largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def limited(name: str, backbone: str, steps: int, minutes: float, gigabytes: float) -> dict:
    """`measure` in a process of its own; a row with `stopped` where it met a limit."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            __file__,
            "--only",
            name,
            backbone,
            str(steps),
            str(Path(folder, "row.json")),
            "--limits",
            str(minutes),
            str(gigabytes),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 * minutes * 3, check=False)
        except subprocess.TimeoutExpired:
            return {"stopped": "time"}
        if done.returncode == 0:
            return json.loads(Path(folder, "row.json").read_text())
        if done.returncode in (-9, 137) or any(
            words in done.stderr for words in ("MemoryError", "allocate memory", "bad_alloc", "failed to map segment")
        ):
            return {"stopped": "memory"}
        raise RuntimeError(done.stderr[-3000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", action="append", choices=SIX, help="only this one; may be given twice")
    parser.add_argument("--cohort", default="ett_m1", help="ett_m1, or a cohort whose windows have one length")
    parser.add_argument("--steps", type=int, action="append", help="only this length; may be given twice")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no network after so many")
    parser.add_argument(
        "--limits",
        type=float,
        nargs=2,
        default=(MINUTES, GIGABYTES),
        help="minutes of a pretraining, gigabytes of a process",
    )
    parser.add_argument("--only", nargs=4, help=argparse.SUPPRESS)  # what a process of its own is told
    args = parser.parse_args()
    minutes, gigabytes = args.limits
    if args.only:
        name, backbone, steps, place = args.only
        resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes * 2**30),) * 2)
        Path(place).write_text(json.dumps(measure(windows_of(name, int(steps)), backbone, minutes)))
        return
    path, until = runs.results_dir() / "long.csv", time.time() + 60 * args.minutes
    rows = read_table(path)
    there = {tuple(str(row[name]) for name in KEY) for row in rows}
    for steps in args.steps or LENGTHS:
        for backbone in args.backbone or SIX:
            key = (args.cohort, backbone, str(steps))
            if key in there:
                continue
            if time.time() > until:
                return
            clock = time.perf_counter()
            row = dict(zip(KEY, key, strict=True)) | limited(args.cohort, backbone, steps, minutes, gigabytes)
            row |= {"minutes": minutes, "gigabytes": gigabytes, "seconds": f"{time.perf_counter() - clock:.0f}"}
            row |= {"code": runs.code_version(), "hardware": runs.hardware()}
            rows.append({name: str(row.get(name, "")) for name in LONG})
            print(", ".join(rows[-1][name] for name in LONG[:-2]), flush=True)
            runs.atomic_write(path, table(rows, LONG))


if __name__ == "__main__":
    main()
