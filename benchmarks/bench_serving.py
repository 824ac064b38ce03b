"""From a raw window with gaps to a probability: our predictor, PyPOTS's classifier of the same sizes, and the bare forward pass of each model.

Both forward passes run on the same loops and blocks (modts.recurrent, modts.blocks), and at batch 1 both are traced like our predictor: so
they compare models. PyPOTS's own loop and Python are in its predict.
"""

import warnings

import peers
import pytest
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from modts.backbones import BACKBONES, ships_classifier
from modts.learning import Head, Shipped
from modts.serving import ENOUGH, TOTAL, Predictor, late, times


class Pass(torch.nn.Module):
    """A model's forward pass on inputs that are there."""

    def __init__(self, module, run, inputs):
        super().__init__()
        self.module, self.run = module, run
        self.leaves, self.spec = tree_flatten(inputs)

    def forward(self, *tensors):
        given = iter(tensors)
        leaves = [next(given) if torch.is_tensor(leaf) else leaf for leaf in self.leaves]
        return self.run(tree_unflatten(leaves, self.spec))


def alone(module, run, inputs, trace):
    """The pass as a call without arguments, traced or not."""
    whole = Pass(module, run, inputs)
    tensors = [leaf for leaf in whole.leaves if torch.is_tensor(leaf)]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        whole = torch.jit.freeze(torch.jit.trace(whole.eval(), tensors, check_trace=False)) if trace else whole
    return torch.inference_mode()(lambda: whole(*tensors))


@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("name", [name for name in BACKBONES if ships_classifier(name)])
def bench_raw_window_to_probability(name, batch, record):
    backbone, X = peers.backbone(name), peers.windows(batch)
    trace = batch == 1
    predictor = Predictor(backbone, Head("simple", backbone.latents(X[:1]).shape[1], 1), trace=int(trace))
    model, given, Z = peers.classifier(backbone), peers.given(backbone, X), backbone.tensor(X)
    shipped = Shipped(backbone, seed=0).eval()
    forward = alone(backbone, lambda inputs: backbone.run(inputs)[1], backbone.inputs(Z), trace)
    their_forward = alone(
        shipped, lambda inputs: shipped.module(inputs)["classification_proba"], shipped.inputs(Z), trace
    )
    turns = {
        "ours": lambda _: predictor.predict(X),
        "theirs": lambda _: model.predict(given),
        "floor": lambda _: forward(),
        "their_floor": lambda _: their_forward(),
    }
    calls, burst = (ENOUGH, 10) if batch == 1 else (12, 1)
    timed = times({turn: {"call": call} for turn, call in turns.items()}, X, calls, burst)
    spent = {turn: 1e3 * took[TOTAL] for turn, took in timed.items()}
    what = f"raw window to probability, {name}, batch {batch}"
    for peer, side, aim in (
        ("PyPOTS predict, end to end", "theirs", "3" if batch == 1 else ""),
        ("the bare forward pass", "floor", ""),
        ("the end-to-end classifier, forward pass alone", "their_floor", ""),
    ):
        record(f"{what}, p50", peer, spent["ours"], spent[side], "ms", aim, calls)
    if calls >= ENOUGH:
        record(
            f"{what}, p99", "PyPOTS predict, end to end", *map(late, (spent["ours"], spent["theirs"])), "ms", "", calls
        )
