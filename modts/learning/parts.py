"""Which weights of a backbone train beside the head: everything, normalisation layers, the last block, or low-rank additions.

norm
    Scale and shift of the normalisation layers; where there are none (BRITS, GRU-D, TS2Vec) all biases (BitFit, Ben Zaken et al. 2022).
last_block
    What the backbone's row names: the last layer before the states are read, in recurrent models the cell.
lora
    W + B A for every weight matrix W, a convolution's kernels as one, with B and A of low rank (LoRA, Hu et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import parametrize

from modts.backbones import Backbone
from modts.cohorts import seeded
from modts.errors import ModtsError

PARTS = ("norm", "last_block", "lora")
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)


class LowRank(nn.Module):
    """W -> W + B A, with W (rows, ...), B (rows, rank) and A (rank, columns); B starts at zero: nothing changes before the first step."""

    def __init__(self, weight: torch.Tensor, rank: int):
        super().__init__()
        rows, columns = len(weight), weight[0].numel()
        rank = min(rank, rows, columns)
        self.A = nn.Parameter(torch.randn(rank, columns).div_(columns**0.5).to(weight))
        self.B = nn.Parameter(torch.zeros(rows, rank).to(weight))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (self.B @ self.A).view_as(weight)


@contextmanager
def training_only(backbone: Backbone, part: str, rank: int, seed: int) -> Iterator[None]:
    """Inside, of the backbone's weights only `part` trains; afterwards all may train again, and low-rank additions are part of the weights.

    Parameters
    ----------
    backbone : Backbone
        Changed in place.
    part : str
        One of PARTS; any other leaves everything as it is.
    rank : int
        Of low-rank additions; a matrix that has less gets its own.
    seed : int
        Of their first values.

    Raises
    ------
    ModtsError
        A class of one's own that does not name its last block.
    """
    if part not in PARTS:
        yield
        return
    may = [(p, p.requires_grad) for p in backbone.parameters()]
    chosen = {id(p) for p in _norms(backbone) if part == "norm"} | {
        id(p) for p in (_last_block(backbone) if part == "last_block" else ())
    }
    added = _matrices(backbone) if part == "lora" else []
    try:
        for p, _ in may:
            p.requires_grad_(p.requires_grad and id(p) in chosen)
        with seeded(seed):
            for module, name in added:
                parametrize.register_parametrization(module, name, LowRank(getattr(module, name), rank))
        yield
    finally:
        for module, name in added:
            if parametrize.is_parametrized(module, name):
                parametrize.remove_parametrizations(module, name)  # W + B A is the weight from now on
        for p, before in may:
            p.requires_grad_(before)


def _norms(backbone: Backbone) -> list[nn.Parameter]:
    layers = [module for module in backbone.modules() if isinstance(module, _NORMS)]
    return [p for layer in layers for p in layer.parameters()] or [p for p in backbone.parameters() if p.ndim == 1]


def _last_block(backbone: Backbone) -> list[nn.Parameter]:
    own = backbone.row.own
    root, paths = backbone.module.net if own else backbone.module, backbone.row.last_block
    if not paths:
        raise ModtsError(
            f"{backbone.name} does not say which is its last block; give the class an attribute `last_block`, a tuple of names of its "
            "submodules, or choose another arm."
        )
    found = []
    for path in paths:
        try:
            block = root.get_submodule(path)
        except AttributeError:
            raise ModtsError(f"{backbone.name} has no submodule {path!r}, which its `last_block` names.") from None
        found += (block[-1] if isinstance(block, (nn.ModuleList, nn.Sequential)) else block).parameters()
    return found


def _matrices(backbone: Backbone) -> list[tuple[nn.Module, str]]:
    """The module and name of each weight that may train and is a matrix or a kernel."""
    return [
        (module, name)
        for module in list(backbone.modules())
        for name, p in module.named_parameters(recurse=False)
        if p.requires_grad and p.ndim > 1
    ]
