"""What one more task costs: a head on latents that are there, against another end-to-end run; and after how many tasks the backbone is paid for.

Sizes and epochs are those of the cpu profile (40 epochs of pretraining, 25 end to end, both at most, and 1000 full-batch steps a head), on
simulated windows of PhysioNet 2012's size: a step's time does not depend on the values.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import peers
import pytest

from modts.learning import Labels, Setting, Training, adapt, train_heads, training

PRETRAINING, END_TO_END, HEAD = 40, 25, 200  # epochs
TASKS = 100
FULL = (2557, 48)  # windows, steps


def cohort(n: int, T: int):
    """Windows and labels per split, 64/16/20."""
    X = {
        part: peers.windows(size, i, T)
        for i, (part, size) in enumerate((("train", n), ("val", n // 4), ("test", n // 3)))
    }
    rng = np.random.default_rng(0)
    return X, {part: Labels("classification", (rng.random(len(x)) < 0.2).astype(np.int64)) for part, x in X.items()}


def seconds(call) -> float:
    clock = time.perf_counter()
    call()
    return time.perf_counter() - clock


def epochs_cost(train, epochs: int) -> float:
    """Of so many epochs, from one and from two of them: what is paid once, and what every epoch costs."""
    rounds = int(np.clip(4 / seconds(lambda: train(1)), 1, 3))  # more where an epoch is short
    one, two = (np.median([seconds(lambda n=n: train(n)) for _ in range(rounds)]) for n in (1, 2))
    return one + (epochs - 1) * (two - one)


def costs(name: str, n: int, T: int) -> dict[str, float]:
    """Seconds of pretraining with extraction, of one head among TASKS trained together, and of one end-to-end run."""
    X, targets = cohort(n, T)
    every, backbone = np.arange(n), peers.backbone.__wrapped__(name, T)
    pretraining = epochs_cost(
        lambda epochs: training.pretrain(backbone, X["train"], X["val"], epochs=epochs, patience=epochs), PRETRAINING
    )
    latents = {}
    extraction = seconds(lambda: latents.update({part: backbone.latents(x) for part, x in X.items()}))
    rng = np.random.default_rng(0)
    settings = [
        Setting(np.sort(rng.permutation(n)[: n // 2]), 1e-2, 1e-4, task) for task in range(TASKS)
    ]  # each its own labels
    heads = seconds(lambda: train_heads("simple", latents, targets, settings, epochs=HEAD, patience=HEAD))
    whole = epochs_cost(
        lambda epochs: adapt(
            "e2e",
            "simple",
            targets,
            every,
            backbone=peers.backbone.__wrapped__(name, T),
            windows=X,
            training=Training(epochs=epochs, patience=epochs),
        ),
        END_TO_END,
    )
    return {"fixed": pretraining + extraction, "head": heads / TASKS, "whole": whole}


@pytest.mark.parametrize("name", ["GRU-D", "SAITS"])
def bench_one_more_task(name, record):
    for n, T in (FULL, (1278, 48), (639, 48), (639, 24), (639, 96)):
        cost = costs(name, n, T)
        what = f"{name}, {n} windows of {T} steps"
        record(
            f"one more task, {what}",
            "an end-to-end run",
            cost["head"],
            cost["whole"],
            "s",
            "100" if (n, T) == FULL else "",
        )
        record(f"pretraining and latents, once, {what}", "an end-to-end run", cost["fixed"], cost["whole"], "s")
        after = cost["fixed"] / (cost["whole"] - cost["head"])
        record(f"tasks until the backbone is paid for, {what}", f"{TASKS} tasks", after, TASKS, "tasks")


@pytest.mark.parametrize("name", ["GRU-D", "SAITS"])
def bench_peak_memory(name, record):
    """Of a process that trains heads on latents, and of one that trains end to end; importing PyTorch and PyPOTS is in both."""
    start = (
        "import numpy as np, bench_economics as b, peers;"
        "from modts.learning import Setting, Training, adapt, train_heads;"
        f"X, targets = b.cohort(*b.FULL); backbone = peers.backbone({name!r});"
    )
    parts = {
        "heads": "train_heads('simple', {p: backbone.latents(x[:2]).repeat(len(x) // 2 + 1, 0)[:len(x)] for p, x in X.items()}, targets,"
        "[Setting(np.arange(len(X['train'])), 1e-2, 0.0, s) for s in range(b.TASKS)], epochs=2, patience=2);",
        "whole": "adapt('e2e', 'simple', targets, np.arange(len(X['train'])), backbone=backbone, windows=X,"
        "training=Training(epochs=1, patience=1));",
    }
    peak = {}
    for part, code in parts.items():
        code = start + code + peers.PEAK
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
        peak[part] = float(done.stdout.split()[-1])
    record(f"peak memory, {TASKS} heads, {name}", "an end-to-end run", peak["heads"], peak["whole"], "GiB")
