"""Which gaps an imputer was trained on, and which it is asked to fill: every pattern of pretraining against every pattern of the test.

    python benchmarks/missingness.py --cohort simulated_icu                    # what results/missingness.csv does not hold yet
    MODTS_DATA=/data/tsdb python benchmarks/missingness.py --minutes 60        # the others, as many pretrainings as fit

A pretraining hides a share of the observed values by one pattern. Its error is then taken on test windows from which each pattern hides
10 to 70 %, on the same hidden values for all; where the truth is known, also on what was really missing; and heads are trained on its latents.
"Natural" gaps are other windows' own: a window loses what another one lacks, of as many variables as the share asks for. Splits of
PhysioNet 2012 that no other page uses.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
import torch

from modts import runs
from modts.backbones import Scaler, build, extract
from modts.book.columns import MISSINGNESS
from modts.cohorts import load_cohort, mask
from modts.cohorts.missingness import PATTERNS
from modts.learning import IMPUTERS, Setting, auroc, impute, labels, outputs, pretrain, train_heads
from modts.study.arms import labelled_rows
from modts.study.collect import read_table, table

COHORTS = {  # settings of the study's profiles: windows of a series are few, and drift
    "simulated_icu": {"seeds": (0, 1, 2), "batch_size": 64},
    "physionet_2012": {"seeds": (60, 61), "batch_size": 128},
    "beijing_air": {"seeds": (0, 1, 2), "batch_size": 32, "centre": True, "scaling": "winsorised"},
}
WITHOUT = {  # a pretraining under blocks, as drawing them takes minutes an epoch: every share is found by drawing
    "physionet_2012": ("block",),
    "beijing_air": ("block",),
}
BACKBONES = ("GRU-D", "SAITS", "BRITS")
TRAINED, RATE = ("point", "mar", "mnar_x", "block", "sequence", "natural"), 0.3
ASKED = (0.1, 0.3, 0.5, 0.7)
EPOCHS, PATIENCE = 60, 5
SHARES, DRAWS, DECAYS = (1.0, 0.1), 5, (0.0, 0.01, 0.1, 1.0, 10.0)
REALLY = "really missing"
KEY = MISSINGNESS[:4]


def natural(X, rate):
    """Other windows' gaps laid over some of the variables of each window, so that about this share of its values is hidden, if they suffice."""
    hidden = ~np.isnan(X) & np.isnan(X[np.random.permutation(len(X))])
    enough = min(1.0, rate * (~np.isnan(X)).sum() / max(hidden.sum(), 1))
    return np.where(hidden & (np.random.random((len(X), 1, X.shape[2])) < enough), np.nan, X)


def plan(cohorts=tuple(COHORTS)) -> list[dict]:
    """Every pretraining, and the simple imputers, which have none; a seed of all before the next seed."""
    made = []
    for cohort in cohorts:
        for seed, backbone in itertools.product(COHORTS[cohort]["seeds"], (*IMPUTERS, *BACKBONES)):
            trained = (
                ("",) if backbone in IMPUTERS else [name for name in TRAINED if name not in WITHOUT.get(cohort, ())]
            )
            made += [{"cohort": cohort, "backbone": backbone, "seed": seed, "trained": name} for name in trained]
    return sorted(made, key=lambda run: (cohorts.index(run["cohort"]), run["seed"]))


def asked(cohort, seed: int, unit: Scaler):
    """(Pattern, rate, test windows with more gaps, their true z-scores, the cells to score); the same for every imputer."""
    X = cohort.part("test")[0]
    Z = unit.transform(X)
    for pattern, rate in itertools.product(TRAINED, ASKED):
        hidden = mask(X, pattern, rate, seed=runs.epoch_seed(seed, -2))
        yield pattern, rate, hidden, Z, np.isnan(hidden) & ~np.isnan(Z)
    if cohort.truth is not None:
        truth = unit.transform(cohort.truth[cohort.splits["test"]])
        yield REALLY, "", X, truth, np.isnan(X) & ~np.isnan(truth)


def errors(cohort, seed: int, fill) -> list[dict]:
    """Mean absolute error, in standard deviations of training, of `fill` (raw windows with gaps -> raw windows without) under each pattern."""
    unit = Scaler.fit(cohort.part("train")[0])
    found = []
    for pattern, rate, hidden, Z, cells in asked(cohort, seed, unit):
        error = np.abs(unit.transform(fill(hidden)) - Z)[cells].mean(dtype=np.float64)
        share = cells.sum() / (~np.isnan(Z)).sum() if pattern != REALLY else np.isnan(hidden).mean()
        found.append(
            {"scored": pattern, "rate": rate, "hidden": f"{share:.3f}", "metric": "mae", "value": f"{error:.4f}"}
        )
    return found


def heads(cohort, backbone, seed: int) -> list[dict]:
    """AUROC on test windows of a linear head on the latents, the decay chosen on validation, for each share of the labels (mean over draws)."""
    latents = {part: extract(backbone, cohort.part(part)[0]) for part in ("train", "val", "test")}
    targets, _ = labels(cohort)
    found = []
    for share in SHARES:
        scores = []
        for draw in range(DRAWS if share < 1 else 1):
            rows = labelled_rows(cohort, share, seed, draw)
            grid = [Setting(rows, 0.01, decay, seed) for decay in DECAYS]
            made = train_heads("simple", latents, targets, grid, epochs=200, patience=40)
            best, _ = max(made, key=lambda pair: pair[1].best)
            scores.append(auroc(targets["test"].y, outputs(best, torch.from_numpy(latents["test"]))[:, 0].numpy()))
        found.append(
            {"scored": "head", "rate": share, "hidden": "", "metric": "auroc", "value": f"{np.mean(scores):.4f}"}
        )
    return found


def carry_out(run: dict, epochs: int = EPOCHS) -> list[dict]:
    """The rows of a pretraining, or of the simple imputers."""
    clock = time.process_time()
    given = dict(COHORTS[run["cohort"]])
    seed, cohort = run["seed"], load_cohort(run["cohort"], seed=run["seed"])
    batch = given.pop("batch_size")
    del given["seeds"]
    runs.seed_everything(seed, threads=1)
    if run["backbone"] in IMPUTERS:
        fill = Scaler.fit(cohort.part("train")[0]).mean
        found = errors(cohort, seed, lambda X: impute(run["backbone"], X, fill))
        about = {"epochs": "", "capped": ""}
    else:
        network = build(run["backbone"], cohort, criterion="mae", seed=seed, **given)
        training = {"epochs": epochs, "patience": PATIENCE, "batch_size": batch, "seed": seed, "progress": None}
        history = pretrain(
            network, cohort.part("train")[0], cohort.part("val")[0], pattern=run["trained"], rate=RATE, **training
        )
        found = errors(cohort, seed, network.impute)
        found += heads(cohort, network, seed) if cohort.task == "classification" else []
        about = {"epochs": len(history.validation), "capped": int(history.capped)}
    about |= {"seconds": f"{time.process_time() - clock:.1f}", "code": runs.code_version(), "hardware": runs.hardware()}
    return [run | row | about for row in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", action="append", choices=COHORTS, help="only this one; may be given twice")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no pretraining after so many")
    args = parser.parse_args()
    PATTERNS["natural"] = natural  # while this script runs; users' patterns are PyGrinder's
    path, until = runs.results_dir() / "missingness.csv", time.time() + 60 * args.minutes
    rows = read_table(path)
    there = {tuple(str(row[name]) for name in KEY) for row in rows}
    for run in plan(tuple(args.cohort or COHORTS)):
        if tuple(str(run[name]) for name in KEY) in there:
            continue
        if time.time() > until:
            break
        made = carry_out(run)
        rows += [{name: str(value) for name, value in row.items()} for row in made]
        print(", ".join(str(run[name]) for name in KEY), f"{len(made)} rows, {made[0]['seconds']} s", flush=True)
        runs.atomic_write(path, table(rows, MISSINGNESS))


if __name__ == "__main__":
    main()
