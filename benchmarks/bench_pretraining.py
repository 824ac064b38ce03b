"""An epoch of pretraining against PyPOTS's fit, and the recurrent three's forward and training step against PyPOTS's modules."""

import time

import peers
import pytest
import torch
from torch.utils._pytree import tree_map_only

from modts.backbones import BACKBONES
from modts.cohorts import mask
from modts.learning import training

RECURRENT = [name for name, row in BACKBONES.items() if row.kind == "recurrent"]
N, N_VAL, BATCH = 512, 128, 128


@pytest.mark.parametrize("name", BACKBONES)
def bench_an_epoch(name, record):
    """Both sides train one epoch and validate once, inputs and artificial gaps included; ours with the masking of its own defaults."""
    ours, theirs = [], []
    X, X_val = peers.windows(N), peers.windows(N_VAL, 1)
    hidden = mask(X_val, "point", 0.1, seed=0)
    rounds = (
        3 if name in RECURRENT else 15
    )  # more where both sides run much the same operations and take nearly as long
    for round in range(1 + rounds):  # the first does not count
        backbone = peers.backbone.__wrapped__(name)
        clock = time.perf_counter()
        training.pretrain(backbone, X, X_val, epochs=1, batch_size=BATCH, seed=round)
        ours.append(time.perf_counter() - clock)
        model, scale = peers.imputer(backbone, batch_size=BATCH), backbone.scaler.transform
        clock = time.perf_counter()
        model.fit({"X": scale(X), "X_ori": scale(X)}, {"X": scale(hidden), "X_ori": scale(X_val)})
        theirs.append(time.perf_counter() - clock)
    record(f"an epoch of pretraining, {N} windows, {name}", "PyPOTS fit", ours[1:], theirs[1:], "s", "1")


@pytest.mark.parametrize("step", [False, True], ids=["forward", "step"])
@pytest.mark.parametrize("name", RECURRENT)
def bench_time_loop(name, step, compare):
    """The same sizes and weights, as PyPOTS runs them and with little in the time loop."""
    backbone = peers.backbone.__wrapped__(name)
    Z = backbone.tensor(peers.windows(BATCH))
    inputs, model = backbone.inputs(Z, Z), peers.imputer(backbone).model
    theirs = tree_map_only(torch.Tensor, torch.Tensor.contiguous, inputs)  # as their data loader lays it out

    def run(module, inputs):
        module.train(step)
        with torch.set_grad_enabled(step):
            results = module(inputs, calc_criterion=step)
        if step:
            module.zero_grad()
            results["loss"].backward()

    what, target = ("forward and backward pass", "1.3") if step else ("forward pass", "1.8")
    compare(
        f"{what}, batch {BATCH}, {name}",
        "PyPOTS's module",
        lambda: run(backbone.module, inputs),
        lambda: run(model, theirs),
        rounds=15 if step else 60,
        unit="ms",
        scale=1e3,
        target=target,
    )
