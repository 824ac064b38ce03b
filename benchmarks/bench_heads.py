"""400 heads on cached latents: one batched pass against one after another, against a DataLoader loop, against scikit-learn."""

import cProfile
import pstats
import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from modts.learning import Labels, Setting, Training, adapt, auroc, train_heads
from modts.learning.adaptation import outputs
from modts.learning.heads import Head, task_loss

N, N_VAL, D, K = (
    2557,
    640,
    128,
    12,
)  # PhysioNet 2012 set-a, GRU-D's latents with both directions; targets of a regression
EPOCHS = 20  # of 5 full-batch steps: 100 steps


def latents_and_targets(task):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(D, K)).astype(np.float32) / 8
    latents, targets = {}, {}
    for name, n in (("train", N), ("val", N_VAL), ("test", N_VAL)):
        Z = rng.normal(size=(n, D)).astype(np.float32)
        y = Z @ weights + rng.normal(size=(n, K)).astype(np.float32)
        latents[name] = Z
        targets[name] = Labels(
            task, (y[:, 0] > 1.2).astype(np.int64) if task == "classification" else y.astype(np.float32)
        )
    return latents, targets


def grid(seeds, fractions=(1.0, 0.5, 0.25, 0.1), lrs=(1e-2, 3e-3), decays=(0.0, 1e-4, 1e-3, 1e-2, 1e-1)):
    def rows(seed, fraction):
        return np.sort(np.random.default_rng(seed).permutation(N)[: round(fraction * N)])

    return [Setting(rows(s, f), lr, wd, s) for s in range(seeds) for f in fractions for lr in lrs for wd in decays]


def grids(kind):
    """400 simple heads, or 16 five-layer perceptrons."""
    return grid(10) if kind == "simple" else grid(2, lrs=(3e-3,), decays=(0.0, 1e-2))


def one_after_another(kind, latents, targets, settings):
    return [
        adapt(
            "frozen",
            kind,
            targets,
            s.rows,
            latents=latents,
            training=Training(s.lr, s.weight_decay, EPOCHS, EPOCHS, seed=s.seed),
        )
        for s in settings
    ]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("kind", ["simple", "complex"])
def bench_one_after_another(task, kind, record):
    latents, targets = latents_and_targets(task)
    simple, settings = kind == "simple", grids(kind)
    sampled = range(0, len(settings), 11 if simple else 5)  # all label fractions are among them
    ours, theirs = [], []
    for _ in range(1 + 3):  # in turn; the first does not count
        clock = time.perf_counter()
        together = train_heads(kind, latents, targets, settings, epochs=EPOCHS, patience=EPOCHS)
        ours.append(time.perf_counter() - clock)
        clock = time.perf_counter()
        single = one_after_another(kind, latents, targets, [settings[i] for i in sampled])
        theirs.append((time.perf_counter() - clock) * len(settings) / len(sampled))
    record(
        f"{len(settings)} {kind} heads, {task}",
        "one after another, full batch",
        ours[1:],
        theirs[1:],
        "s",
        "15",
        note=f"100 steps each; one after another timed on {len(sampled)} of them and scaled"
        + ("" if simple else "; alone, too, a head of this size spends its time in products"),
    )
    for i, alone in zip(sampled, single, strict=True):
        head, history = together[i]
        near = (
            2e-3 if task == "classification" else 5e-3 * alone.validation
        )  # AUROC, or half a per cent of a squared error
        assert abs(history.best - alone.validation) < near  # the score of early stopping
        if (
            task == "classification" and simple
        ):  # a five-layer head that knows its labels by heart turns last digits into .005
            ours_test = auroc(targets["test"].y, outputs(head, torch.from_numpy(latents["test"]))[:, 0].numpy())
            assert abs(ours_test - auroc(targets["test"].y, alone.prediction)) < 2e-3


def bench_data_loader(record):
    """The usual loop: shuffled batches of 32 from a DataLoader, as many passes over the labels as our heads take steps."""
    latents, targets = latents_and_targets("classification")
    settings = grid(10)
    sampled = settings[::27]  # every 27th of the 400, all label fractions among them; 400 would take minutes
    train_heads("simple", latents, targets, settings[:20], epochs=2, patience=2)
    ours, theirs = [], []
    for _ in range(3):
        clock = time.perf_counter()
        train_heads("simple", latents, targets, settings, epochs=EPOCHS, patience=EPOCHS)
        ours.append(time.perf_counter() - clock)
    rng = np.random.default_rng(0)
    for s in rng.permutation(np.array(sampled, dtype=object)):
        clock = time.perf_counter()
        head = Head("simple", D, 1, seed=s.seed).standardise(latents["train"])
        data = torch.utils.data.TensorDataset(
            torch.from_numpy(latents["train"][s.rows]), torch.from_numpy(targets["train"].y[s.rows])
        )
        loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
        optimiser = torch.optim.Adam(head.parameters(), lr=s.lr, weight_decay=s.weight_decay)
        for _ in range(EPOCHS):
            for Z, y in loader:
                optimiser.zero_grad()
                task_loss("classification", head(Z), y).backward()
                optimiser.step()
            auroc(targets["val"].y, outputs(head, torch.from_numpy(latents["val"]))[:, 0].numpy())
        theirs.append((time.perf_counter() - clock) / len(s.rows))
    total = float(np.median(theirs)) * sum(len(s.rows) for s in settings)  # a loop's time grows with its labels
    record(
        "400 simple heads, classification",
        "DataLoader loop, batches of 32",
        ours,
        total,
        "s",
        target="150",
        rounds=3,
        note=f"20 passes over the labels; the loop timed on {len(sampled)} of the 400 and scaled by labels",
    )


# heads on each label set, four learning rates or five: how many there are decides how wide a product of ours is
SHAPES = {
    10: {"seeds": 10},
    20: {"seeds": 5, "lrs": (3e-2, 1e-2, 3e-3, 1e-3)},
    50: {"seeds": 2, "lrs": (3e-2, 1e-2, 3e-3, 1e-3, 3e-4), "decays": (0.0, *np.logspace(-5, -1, 9))},
}


def regressions(latents, targets, settings) -> list[LogisticRegression]:
    """scikit-learn's way: the same label sets and penalties, one after another."""
    Z, y = latents["train"], targets["train"].y
    Z = (Z - Z.mean(0)) / Z.std(0)
    return [
        LogisticRegression(C=1 / (max(s.weight_decay, 1e-6) * len(s.rows)), max_iter=200).fit(Z[s.rows], y[s.rows])
        for s in settings
    ]


@pytest.mark.parametrize("wide", SHAPES)
def bench_scikit_learn(wide, compare):
    latents, targets = latents_and_targets("classification")
    settings = grid(**SHAPES[wide])
    steps = int(np.median([model.n_iter_[0] for model in regressions(latents, targets, settings)]))
    name = f"{len(settings)} simple heads, classification"
    compare(
        name if wide == 10 else f"{name}, {wide} on each label set",
        "scikit-learn LogisticRegression",
        lambda: train_heads("simple", latents, targets, settings, epochs=EPOCHS, patience=EPOCHS),
        lambda: regressions(latents, targets, settings),
        rounds=5,
        target="4",
        note=f"same label sets and penalties; learning rates have no counterpart there; {steps} steps of L-BFGS (median), 100 of Adam; "
        f"{wide} heads share a label set",
    )


def bench_scikit_learn_at_the_limit(record):
    """What the sweep's calls of PyTorch and NumPy take where they stand, and its matrix products alone: no Python of ours gets below."""
    latents, targets = latents_and_targets("classification")
    settings, theirs = grid(10), []
    ours = {"calls of PyTorch and NumPy alone": [], "matrix products alone": []}
    for _ in range(1 + 7):  # in turn; the first does not count
        with cProfile.Profile() as profile:
            train_heads("simple", latents, targets, settings, epochs=EPOCHS, patience=EPOCHS)
        stats = pstats.Stats(profile).stats  # (file, line, name) -> (.., .., its own seconds, ..); built in: file ~
        calls = {name: row[2] for (file, _, name), row in stats.items() if file == "~"}
        for parts, spent in zip((("torch", "numpy"), ("bmm",)), ours.values(), strict=True):
            spent.append(sum(seconds for name, seconds in calls.items() if any(part in name for part in parts)))
        clock = time.perf_counter()
        regressions(latents, targets, settings)
        theirs.append(time.perf_counter() - clock)
    for what, spent in ours.items():
        record(
            f"{len(settings)} simple heads, classification, {what}",
            "scikit-learn LogisticRegression",
            spent[1:],
            theirs[1:],
            "s",
            note="what these take in a sweep where they stand, by a profiler, without all else",
        )
