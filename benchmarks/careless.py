"""Why 0.464? End-to-end training on a tenth of the labels, from the study's way toward what a careless run does, one thing at a time.

    MODTS_DATA=/data/tsdb python benchmarks/careless.py             # what results/careless.csv does not hold yet, a row a run
    MODTS_DATA=/data/tsdb python benchmarks/careless.py --pairs     # also every two of them together
    python benchmarks/careless.py --show                            # means over the splits, from the rows that are there

SAITS and CSAI on splits of PhysioNet 2012's set-a that no other page uses; AUROC on their own test stays. All ways go through the one loop of
training (modts.learning.fit): a way that stops late or keeps the wrong weights deceives it, as a careless program deceives itself.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.backbones import Scaler, build, read
from modts.book.columns import CARELESS
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import Head, auroc, labels
from modts.learning.adaptation import Shipped, Whole, outputs
from modts.learning.batches import Windows
from modts.learning.training import fit
from modts.study.collect import read_table, table

COHORT, SEEDS, BACKBONES, SHARE = "physionet_2012", (50, 51, 52), ("SAITS", "CSAI"), 0.1
EPOCHS, PATIENCE, LONG = 60, 4, 200
KEY = CARELESS[:4]


@dataclass(frozen=True)
class Way:
    """How a network trains end to end; the defaults are the study's way.

    Attributes
    ----------
    shipped
        PyPOTS's own classifier, which for SAITS reads the reconstruction, without a reconstruction loss.
    early
        The weights of the best validation epoch are kept, and training ends when there is none for long.
    kept
        "copy" of the best weights; or a "reference" to them, which goes on training.
    labels
        The label of a window is its "own"; or, with "other" rows, that of some other training window; or, "everywhere", of validation too.
    """

    shipped: bool = False
    lr: float = 1e-3
    early: bool = True
    kept: str = "copy"
    shuffled: bool = True
    labels: str = "own"
    squashed: bool = False
    scaled: bool = True
    column: int = 1


WAYS = {
    "head on the reconstruction": {"shipped": True},
    "learning rate of 0.01": {"lr": 1e-2},
    "200 epochs, no early stopping": {"early": False},
    "best weights kept by reference": {"kept": "reference"},
    "batches in one order": {"shuffled": False},
    "labels of other rows": {"labels": "other"},
    "labels of other rows, in validation too": {"labels": "everywhere"},
    "sigmoid into cross-entropy": {"squashed": True},
    "raw units": {"scaled": False},
    "score of the other class": {"column": 0},
}


def way_of(names: tuple[str, ...]) -> Way:
    """The study's way with these things done carelessly."""
    changed: dict = {}
    for name in names:
        changed |= WAYS[name]
    return replace(Way(), **changed)


def plan(pairs: bool = False, seeds=SEEDS, backbones=BACKBONES) -> list[dict]:
    """Every run: the study's way, each single change, and with `pairs` every two."""
    sets = [(), *((name,) for name in WAYS), *(itertools.combinations(WAYS, 2) if pairs else ())]
    return [
        {"cohort": COHORT, "backbone": name, "seed": seed, "ways": " + ".join(some)}
        for some, name, seed in itertools.product(sets, backbones, seeds)
    ]


class Squashed(nn.Module):
    """A head whose logits are squashed before a loss that squashes them again."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, latent):
        return torch.sigmoid(self.head(latent))


def measure(cohort, backbone: str, seed: int, way: Way, epochs: int = EPOCHS) -> dict:
    """One network trained in a way: AUROC on validation and test stays, and how many steps were taken."""
    runs.seed_everything(seed, threads=1)
    network, (targets, _) = build(backbone, cohort, criterion="mae", seed=seed), labels(cohort)
    if not way.scaled:
        ones = np.ones(cohort.n_features, np.float32)
        network.scaler = Scaler(0 * ones, ones)
    labelled = np.flatnonzero(np.isin(cohort.splits["train"], cohort.labelled(SHARE, seed)))
    y, truth = torch.from_numpy(targets["train"].y[labelled]), {part: targets[part].y for part in ("val", "test")}
    drawn = np.random.default_rng(seed)
    if way.labels != "own":
        y = y[torch.from_numpy(drawn.permutation(len(y)))]
    if way.labels == "everywhere":
        truth["val"] = drawn.permutation(truth["val"])
    data = {name: Windows(network, cohort.part(name)[0]) for name in ("train", "val", "test")}
    model = _model(network, way, targets, data["train"], labelled, y, seed)
    size, every = max(16, len(labelled) // 8), len(data["train"])
    # as in the study an epoch is as many steps as all windows make; a careless one goes through the labelled windows
    steps = math.ceil(every / 128) if way.early else math.ceil(len(labelled) / size)
    taken, last = itertools.count(), {}

    def step(indices, batch_seed):
        if not way.shuffled:
            start = next(taken) * size % len(labelled)
            indices = torch.arange(start, min(start + size, len(labelled)))
        rows = labelled[indices.numpy()]
        hidden, Z = data["train"].masked(rows, batch_seed) if model.auxiliary else [data["train"](rows)] * 2
        return model.loss(hidden, Z, "classification", y[indices])

    def score(part):
        return auroc(truth[part], outputs(model, data[part])[:, 0].numpy())

    def validate():
        if not way.early:  # every epoch is the best so far
            return float(next(taken_epochs))
        last.update((name, value.clone()) for name, value in model.state_dict().items())
        return score("val")

    taken_epochs = itertools.count()
    limits = (
        {"epochs": epochs, "patience": PATIENCE} if way.early else {"epochs": LONG * epochs // EPOCHS, "patience": LONG}
    )
    common = {"n": len(labelled), "batch_size": size, "lr": way.lr, "steps": steps, "lower_is_better": False}
    history = fit(model, step, validate, seed=runs.epoch_seed(seed, 0), **limits, **common)
    if way.early and way.kept == "reference":
        model.load_state_dict(last)
    test = score("test")
    return {
        "validation": f"{score('val'):.5f}",
        "test": f"{test if way.column else 1 - test:.5f}",
        "steps": steps * len(history.validation),
    }


def _model(network, way: Way, targets, train: Windows, labelled, y, seed: int) -> nn.Module:
    if way.shipped:
        model = Shipped(network, seed, targets["train"].n_outputs)
    else:
        latent = read(network.eval(), train(labelled[:2]), "paper")
        model = Whole(network, Head.reading(latent, "simple", targets["train"], seed=seed), "paper", 1.0)
        with torch.no_grad():
            start = torch.cat([read(network, part, "paper") for part, _ in train.split()])
        model.head.standardise(start).begin("classification", y, None)
    if way.squashed:
        if way.shipped:
            raise ModtsError("PyPOTS's classifier has a softmax of its own.")
        model.head = Squashed(model.head)
    return model


def carry_out(run: dict) -> dict:
    """A run of the plan as a row; a training that diverged answers alike for everybody, whose AUROC is one half."""
    clock = time.process_time()
    cohort = load_cohort(run["cohort"], seed=run["seed"])
    try:
        found = measure(cohort, run["backbone"], run["seed"], _way(run))
    except ModtsError as error:
        if "diverged" not in str(error):
            raise
        found = {"validation": "0.5", "test": "0.5", "steps": ""}
    said = {"seconds": f"{time.process_time() - clock:.1f}", "code": runs.code_version(), "hardware": runs.hardware()}
    return run | found | said


def possible(run: dict) -> bool:
    """PyPOTS's classifier has no logits to squash."""
    way = _way(run)
    return not (way.shipped and way.squashed)


def _way(run: dict) -> Way:
    return way_of(tuple(filter(None, run["ways"].split(" + "))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", action="store_true", help="also every two changes together")
    parser.add_argument("--backbone", action="append", choices=BACKBONES, help="only this one; may be given twice")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after so many")
    parser.add_argument("--show", action="store_true", help="print what is there, and run nothing")
    args = parser.parse_args()
    path, until = runs.results_dir() / "careless.csv", time.time() + 60 * args.minutes
    rows = read_table(path)
    there = {tuple(str(row[name]) for name in KEY) for row in rows}
    left = [run for run in plan(args.pairs, backbones=args.backbone or BACKBONES) if possible(run)]
    left = [run for run in left if tuple(str(run[name]) for name in KEY) not in there]
    for run in () if args.show else left:
        if time.time() > until:
            break
        rows.append({name: str(value) for name, value in carry_out(run).items()})
        print(", ".join(str(rows[-1][name]) for name in (*KEY[1:], "validation", "test", "seconds")), flush=True)
        runs.atomic_write(path, table(rows, CARELESS))
    means: dict = {}
    for row in rows:
        means.setdefault((row["ways"] or "the study's way", row["backbone"]), []).append(float(row["test"]))
    for (ways, backbone), values in sorted(means.items()):
        print(
            f"{ways}, {backbone}: AUROC {np.mean(values):.3f} ({len(values)} splits, {min(values):.3f} to {max(values):.3f})"
        )


if __name__ == "__main__":
    main()
