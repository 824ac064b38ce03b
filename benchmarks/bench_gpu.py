"""Training steps of the recurrent three on a GPU: CUDA graphs against PyPOTS's modules, as launch-bound as they come."""

import time

import numpy as np
import peers
import pytest
import torch

from modts.backbones import replay

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
BATCH, STEPS = 128, 20


@pytest.mark.parametrize("name", ["BRITS", "GRU-D", "CSAI"])
def bench_training_step_on_a_gpu(name, record):
    backbone = peers.backbone.__wrapped__(name)
    model = peers.imputer(backbone).model.cuda().train()
    backbone = replay(backbone.cuda()).train()
    Z = backbone.tensor(peers.windows(BATCH))
    inputs = backbone.inputs(Z, Z)

    def seconds(module):
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
        torch.cuda.synchronize()
        clock = time.perf_counter()
        for _ in range(STEPS):
            optimiser.zero_grad(set_to_none=True)
            module(inputs, calc_criterion=True)["loss"].backward()
            optimiser.step()
        torch.cuda.synchronize()
        return (time.perf_counter() - clock) / STEPS

    spent = [(seconds(backbone.module), seconds(model)) for _ in range(6)][1:]  # the first captures and does not count
    ours, theirs = 1e3 * np.array(spent).T
    record(f"training step on a GPU, batch {BATCH}, {name}", "PyPOTS's module", ours, theirs, "ms", "5")
