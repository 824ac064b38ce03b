"""From a raw window with gaps to a probability: our predictor, PyPOTS's classifier of the same sizes, and the bare forward pass of each model.

Both forward passes run on the same time loop (modts.recurrent), so that they compare models; PyPOTS's own loop is in its predict.
"""

import time

import numpy as np
import peers
import pytest
import torch

from modts.adaptation import Shipped
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

    shipped = Shipped(backbone, seed=0).eval()
    their_inputs = shipped.inputs(backbone.tensor(X))

    @torch.inference_mode()
    def their_forward():
        shipped.module(their_inputs)

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
    for quantile, peer, side, aim in (
        ("p50", "PyPOTS predict, end to end", "theirs", target),
        ("p99", "PyPOTS predict, end to end", "theirs", ""),
        ("p50", "the bare forward pass", "floor", ""),
        ("p50", "the end-to-end classifier, forward pass alone", "their_floor", ""),
    ):
        spent_here = middle if quantile == "p50" else late
        record(f"{what}, {quantile}", peer, spent_here["ours"], spent_here[side], "ms", aim, rounds)
