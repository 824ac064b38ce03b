"""Training the recurrent three on a GPU: their forward and backward pass as one CUDA graph each, replayed.

Their time loop starts some thousand small kernels a step, and starting them takes longer than running them; a graph starts them all at once.
`replay` is opt-in. A test on a GPU compares its losses with the plain step's; what a CPU can check is tested everywhere (the flattened call
that a graph captures gives the same results and gradients as the plain one, and neither reads a value back nor touches the CPU). The speed is
`benchmarks/bench_gpu.py`'s to measure.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from modts.errors import ModtsError


class _Flat(nn.Module):
    """A model's pass as a function of tensors alone, tensors out: what a graph can capture."""

    def __init__(self, fast, spec, constants):
        super().__init__()
        self.model, self.function, self.spec, self.constants = fast.model, fast.function, spec, constants
        self.n_states = 0

    def forward(self, *tensors):
        given = iter(tensors)
        leaves = [next(given) if constant is None else constant for constant in self.constants]
        result, states = self.function(self.model, *tree_unflatten(leaves, self.spec))
        self.n_states = len(states)
        return *result, *states


def _tensors(args):
    """CSAI's median gaps, a dictionary of PyPOTS's, as a tensor: a graph cannot hold what comes from the CPU."""
    first = args[0]
    if isinstance(first, dict) and isinstance(first.get("intervals"), dict):
        gaps = first["X_ori"].new_tensor(list(first["intervals"].values()))
        return ({**first, "intervals": gaps}, *args[1:])
    return args


class Replay:
    """Takes the place of a recurrent.Fast: in training it runs a captured graph, one for each shape of its input."""

    def __init__(self, fast, capture):
        self.fast, self.capture, self.flats = fast, capture, {}

    def __call__(self, *args):
        if not (torch.is_grad_enabled() and self.fast.model.training):
            return self.fast(*args)
        leaves, spec = tree_flatten(_tensors(args))
        tensors = tuple(leaf for leaf in leaves if torch.is_tensor(leaf))
        key = tuple(tensor.shape for tensor in tensors)
        if key not in self.flats:
            flat = _Flat(self.fast, spec, [None if torch.is_tensor(leaf) else leaf for leaf in leaves])
            self.flats[key] = flat, self.capture(flat, tensors)
        flat, run = self.flats[key]
        out = run(*tensors)
        self.fast.states = list(out[-flat.n_states :])
        return out[: -flat.n_states]

    def take(self):
        return self.fast.take()


def _capture(flat, tensors):
    return torch.cuda.make_graphed_callables(flat, tensors, allow_unused_input=True)


def replay(backbone, capture=_capture):
    """Let a recurrent backbone on a GPU train by replaying CUDA graphs; returns the backbone.

    Parameters
    ----------
    backbone
        BRITS, GRU-D or CSAI, on its GPU. Batches of a new shape are captured when they first come (the last batch of an epoch too).
    capture
        (module, example tensors) -> callable; the default captures a graph, `lambda module, tensors: module` is its eager twin.

    Raises
    ------
    ModtsError
        The backbone is not recurrent, or not on a GPU and no twin is given.
    """
    if backbone.fast is None:
        raise ModtsError(f"{backbone.name} has no time loop to replay; CUDA graphs are for BRITS, GRU-D and CSAI.")
    if capture is _capture and backbone.device.type != "cuda":
        raise ModtsError(f"CUDA graphs need the backbone on a GPU, but it is on {backbone.device}.")
    fast = Replay(backbone.fast, capture)
    backbone.fast.model.forward, backbone.fast = fast, fast
    return backbone
