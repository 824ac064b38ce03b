"""Which of five choices of pretraining help, by validation alone: a factorial of half the combinations, on two cohorts and two backbones.

    MODTS_DATA=/data/tsdb python benchmarks/choices.py             # what results/choices.csv does not hold yet, a row a run
    MODTS_DATA=/data/tsdb python benchmarks/choices.py --runs 1    # the next run alone; --cores 2: two beside each other
    python benchmarks/choices.py --show                            # what each choice did, from the rows that are there

Sixteen of the 32 combinations, so chosen (the fifth factor's level is the product of the others': a half fraction of resolution V) that the
effect of a factor is mixed up with no other's and with no pair of them. It is the mean of eight runs less the mean of the other eight, all on
one split with one initialisation. Cohorts: PhysioNet 2012's set-b, of which nothing is published, and ItalyAir; test windows are never read.

Errors are in units that all runs share, whatever their scaling: standard deviations of the training values, and the same of winsorised ones with
both sides cut at six (what five mistyped values of pH cannot decide). A linear head on the latents is trained with each of four weight decays
on all training labels and on five draws of a tenth of them, and scored on validation (AUROC, or the mean squared error of z-scores).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import io
import itertools
import multiprocessing
import time

import numpy as np

from modts import runs
from modts.backbones import Scaler, build
from modts.cohorts import load_cohort, mask
from modts.learning import Setting, labels, pretrain, train_heads

FACTORS = {
    "rate": (0.1, 0.2),
    "criterion": ("mse", "mae"),
    "clip": (0.0, 1.0),
    "schedule": ("constant", "cosine"),
    "scaling": ("plain", "winsorised"),
}
# windows of a batch, cap of epochs, what else of the cohort's profile
COHORTS = {
    "italy_air": {"batch_size": 32, "epochs": 60, "centre": True},
    "physionet_2012_b": {"batch_size": 64, "epochs": 30, "centre": False},
}
BACKBONES, PATIENCE, DECAYS, DRAWS = ("GRU-D", "SAITS"), 10, (0.01, 0.1, 1.0, 10.0), 5
MEASURED = ("mae", "mae_cut", "head_100", "head_10")
COLUMNS = (
    "cohort", "backbone", "seed", *FACTORS, *MEASURED, "head_metric", "epochs", "best_epoch", "capped", "seconds", "code", "hardware",
)  # fmt: skip
KEY = COLUMNS[: 3 + len(FACTORS)]


def half(factors: dict = FACTORS) -> list[dict]:
    """Half of all combinations of two levels each: those whose levels, as -1 and 1, multiply to 1."""
    chosen = [
        levels for levels in itertools.product((0, 1), repeat=len(factors)) if (len(factors) - sum(levels)) % 2 == 0
    ]
    return [{name: factors[name][level] for name, level in zip(factors, levels, strict=True)} for levels in chosen]


def plan(seeds=(0,)) -> list[dict]:
    """Every run, the quickest cohort first."""
    every = itertools.product(COHORTS, BACKBONES, seeds, half())
    return [{"cohort": cohort, "backbone": name, "seed": seed, **made} for cohort, name, seed, made in every]


def carry_out(run: dict) -> dict:
    """A run of the plan as a row of the table."""
    cohort = load_cohort(run["cohort"], seed=run["seed"])
    made = {name: run[name] for name in FACTORS}
    found = measure(cohort, run["backbone"], run["seed"], made, **COHORTS[run["cohort"]])
    return run | found | {"code": runs.code_version(), "hardware": runs.hardware()}


def measure(cohort, backbone: str, seed: int, made: dict, epochs: int, batch_size: int, centre: bool) -> dict:
    """One run: pretraining, its error on hidden validation values, and linear heads on its latents."""
    (X, _), (X_val, _) = cohort.part("train"), cohort.part("val")
    building = {name: made[name] for name in ("criterion", "scaling")}
    training = {name: made[name] for name in ("rate", "clip", "schedule")}
    runs.seed_everything(seed, threads=1)
    clock, network = time.process_time(), build(backbone, cohort, seed=seed, centre=centre, **building)
    limits = {"epochs": epochs, "patience": PATIENCE, "batch_size": batch_size}
    history = pretrain(network, X, X_val, seed=seed, progress=None, **limits, **training)
    seconds = time.process_time() - clock
    return {
        **_errors(network, X, X_val, seed),
        **_heads(network, cohort, seed),
        "epochs": len(history.validation),
        "best_epoch": history.best_epoch,
        "capped": int(history.capped),
        "seconds": f"{seconds:.1f}",
    }


def _errors(network, X, X_val, seed: int) -> dict:
    hidden = mask(
        X_val, "point", 0.1, seed=runs.epoch_seed(seed, -3)
    )  # other values than those that training was stopped by
    filled, scored = network.impute(hidden), np.isnan(hidden) & ~np.isnan(X_val)
    found = {}
    for name, scaling in (("mae", "plain"), ("mae_cut", "winsorised")):
        unit = Scaler.fit(X, scaling)
        away = np.abs(unit.transform(filled) - unit.transform(X_val))[scored]
        found[name] = f"{np.nanmean(away):.5f}"
    return found


def _heads(network, cohort, seed: int) -> dict:
    targets, _ = labels(cohort)
    latents = {name: network.latents(cohort.part(name)[0]) for name in ("train", "val")}
    train, best = cohort.splits["train"], max if targets["val"].higher_is_better else min
    found = {"head_metric": "auroc" if targets["val"].higher_is_better else "mse"}
    for name, share, draws in (("head_100", 1.0, 1), ("head_10", 0.1, DRAWS)):
        drawn = [
            np.flatnonzero(np.isin(train, cohort.labelled(share, runs.epoch_seed(seed, draw)))) for draw in range(draws)
        ]
        settings = [Setting(rows, 0.01, decay, seed) for rows in drawn for decay in DECAYS]
        heads = train_heads("simple", latents, targets, settings, epochs=200, patience=40)
        scores = np.array([history.best for _, history in heads]).reshape(draws, len(DECAYS))
        found[name] = f"{np.mean([best(row) for row in scores]):.5f}"
    return found


def read(path) -> list[dict]:
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows: list[dict]) -> None:
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    runs.atomic_write(path, out.getvalue().encode())


def key(row: dict) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEY)


def effects(rows: list[dict]) -> list[dict]:
    """What the second level of each factor does to each measure: the difference of means, and how many standard errors that is.

    Only cohorts, backbones and seeds whose sixteen runs are all there.
    """
    found = []
    for (cohort, backbone), part in _groups(rows, ("cohort", "backbone")):
        whole = [row for _, runs_ in _groups(part, ("seed",)) if len(runs_) == len(half()) for row in runs_]
        for factor, (first, second) in FACTORS.items() if whole else ():
            for name in MEASURED:
                low, high = (
                    np.array([float(row[name]) for row in whole if row[factor] == str(level)])
                    for level in (first, second)
                )
                error = _residual(whole, name) * np.sqrt(1 / len(low) + 1 / len(high))
                found.append(
                    {"cohort": cohort, "backbone": backbone, "factor": factor, "from": first, "to": second, "measure": name,
                     "mean": float(low.mean()), "difference": float(high.mean() - low.mean()), "error": float(error)}
                )  # fmt: skip
    return found


def _groups(rows, names):
    places = dict.fromkeys(tuple(row[name] for name in names) for row in rows)
    return [(place, [row for row in rows if tuple(row[name] for name in names) == place]) for place in places]


def _residual(rows, measure: str) -> float:
    """Standard deviation of what the factors' own effects (and the seeds) leave, by least squares."""
    y = np.array([float(row[measure]) for row in rows])
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    columns = [[row["seed"] == seed for row in rows] for seed in seeds]
    columns += [[row[factor] == str(levels[1]) for row in rows] for factor, levels in FACTORS.items()]
    A = np.array(columns, dtype=float).T
    left = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    return float(np.sqrt((left**2).sum() / (len(y) - A.shape[1])))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--runs", type=int, help="at most so many")
    ask.add_argument("--cores", type=int, default=1, help="so many runs beside each other, a thread each")
    ask.add_argument("--seeds", type=int, nargs="+", default=[0])
    ask.add_argument("--show", action="store_true")
    given, path = ask.parse_args(), runs.results_dir() / "choices.csv"
    rows = read(path)
    if not given.show:
        done = {key(row) for row in rows}
        left = [run for run in plan(given.seeds) if key(run) not in done][: given.runs]
        with concurrent.futures.ProcessPoolExecutor(given.cores, multiprocessing.get_context("spawn")) as pool:
            for job in concurrent.futures.as_completed([pool.submit(carry_out, run) for run in left]):
                rows.append(job.result())
                write(path, rows)
                print(*(rows[-1][name] for name in COLUMNS[:-2]), flush=True)
    line = "{cohort} {backbone}: {factor} {from} -> {to}, {measure} {mean:.4f} {difference:+.4f} (standard error {error:.4f})"
    for effect in effects(read(path)):
        print(line.format(**effect))


if __name__ == "__main__":
    main()
