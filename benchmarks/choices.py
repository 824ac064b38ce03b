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
import itertools
import multiprocessing
import time

import numpy as np
import pandas as pd

from modts import runs
from modts.backbones import Scaler, build
from modts.book.choices import FACTORS, effects
from modts.cohorts import load_cohort, mask
from modts.learning import Setting, labels, pretrain, train_heads
from modts.study.collect import read_table, table

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


def half() -> list[dict]:
    """Half of all combinations of two levels each: those whose levels, as -1 and 1, multiply to 1."""
    chosen = [
        levels for levels in itertools.product((0, 1), repeat=len(FACTORS)) if (len(FACTORS) - sum(levels)) % 2 == 0
    ]
    return [{name: FACTORS[name][level] for name, level in zip(FACTORS, levels, strict=True)} for levels in chosen]


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


def carried_out(left: list[dict], cores: int):
    """The rows of runs as they are done, so many beside each other."""
    if cores == 1:
        yield from map(carry_out, left)
        return
    with concurrent.futures.ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        for job in concurrent.futures.as_completed([pool.submit(carry_out, run) for run in left]):
            yield job.result()


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


def key(row: dict) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEY)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--runs", type=int, help="at most so many")
    ask.add_argument("--cores", type=int, default=1, help="so many runs beside each other, a thread each")
    ask.add_argument("--seeds", type=int, nargs="+", default=[0])
    ask.add_argument("--show", action="store_true")
    given, path = ask.parse_args(), runs.results_dir() / "choices.csv"
    rows = read_table(path)
    if not given.show:
        done = {key(row) for row in rows}
        left = [run for run in plan(given.seeds) if key(run) not in done][: given.runs]
        for row in carried_out(left, given.cores):
            rows.append({name: str(value) for name, value in row.items()})
            runs.atomic_write(path, table(rows, COLUMNS))
            print(*(row[name] for name in COLUMNS[:-2]), flush=True)
    line = "{cohort} {backbone}: {factor}, {measure} {mean:.4f} {difference:+.4f} (standard error {error:.4f})"
    for effect in effects(pd.DataFrame(read_table(path), columns=list(COLUMNS)), MEASURED).to_dict("records"):
        print(line.format(**effect))


if __name__ == "__main__":
    main()
