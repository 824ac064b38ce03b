"""From a raw window with gaps to a probability: our predictor, PyPOTS's classifier of the same sizes, and the floor, the bare forward pass."""

import time

import numpy as np
import peers
import pytest
import torch

from modts.backbones import BACKBONES
from modts.heads import Head
from modts.serving import Predictor


def once(call) -> float:
    clock = time.perf_counter()
    call()
    return time.perf_counter() - clock


@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("name", BACKBONES)
def bench_raw_window_to_probability(name, batch, record):
    backbone, X = peers.backbone(name), peers.windows(batch)
    predictor = Predictor(backbone, Head("simple", backbone.latents(X[:1]).shape[1], 1))
    model, given = peers.classifier(backbone), peers.given(backbone, X)
    inputs = backbone.inputs(backbone.tensor(X))

    @torch.inference_mode()
    def forward():
        backbone.run(inputs)

    @torch.no_grad()
    def their_forward():
        model.model.eval()
        model.model(shipped)

    shipped = backbone.inputs(backbone.tensor(X), shipped=True)
    turns = {
        "ours": lambda: predictor.predict(X),
        "theirs": lambda: model.predict(given),
        "floor": forward,
        "their_floor": their_forward,
    }
    spent: dict[str, list[float]] = {turn: [] for turn in turns}
    rounds = 100 if batch == 1 else 20
    for _ in range(rounds + 3):  # in turn, so that all see the same machine; the first three do not count
        for turn, call in turns.items():
            spent[turn].append(1e3 * once(call))
    middle, late = (
        {turn: float(np.quantile(s[3:], q, method="higher")) for turn, s in spent.items()} for q in (0.5, 0.99)
    )
    what = f"raw window to probability, {name}, batch {batch}"
    target = "3" if batch == 1 else ""
    record(f"{what}, p50", "PyPOTS predict, end to end", middle["ours"], middle["theirs"], "ms", target, rounds)
    record(f"{what}, p99", "PyPOTS predict, end to end", late["ours"], late["theirs"], "ms", "", rounds)
    record(f"{what}, p50", "the bare forward pass", middle["ours"], middle["floor"], "ms", "", rounds)
    record(
        f"{what}, p50",
        "PyPOTS's classifier, forward pass alone",
        middle["ours"],
        middle["their_floor"],
        "ms",
        "",
        rounds,
    )
