"""Reading latents: from the states of a backbone to one vector a window.

"paper" follows arXiv 2411.03941: final hidden states (forward and backward concatenated) of recurrent models, the mean over time of the
encoder output of attention models, the flattened encoder features of convolutional ones. "mean+max+last" joins three summaries of the
states over time with the share of steps at which each feature was observed: what was measured how often is itself a sign of illness.
A backbone that centres its windows does not see their level; it is appended to each latent.
"""

from __future__ import annotations

import numpy as np
import torch

from modts.errors import choose, whole

from .inputs import level, observed
from .table import POOLINGS


def pool(
    kind: str, states: list[torch.Tensor], Z: torch.Tensor, pooling: str = "paper", centre: bool = False
) -> torch.Tensor:
    """States -> latents.

    Parameters
    ----------
    kind
        The row's kind.
    states
        [(B, T, D)], one per direction, each in its own order of time.
    Z
        (B, T, F) what the model read, NaN where missing.
    pooling
        One of POOLINGS.
    centre
        Append the level of each window, F numbers.

    Returns
    -------
    (B, D') tensor.
    """
    choose(pooling, POOLINGS, "pooling")
    latent = _pool(kind, states, Z, pooling)
    return torch.cat([latent, level(Z)], dim=-1) if centre else latent


def _pool(kind, states, Z, pooling):
    if pooling == "paper" and kind != "recurrent":
        return states[0].mean(1) if kind == "attention" else states[0].flatten(1)
    last = torch.cat([state[:, -1] for state in states], dim=-1)
    if pooling == "paper":
        return last
    forward = torch.cat([states[0], *(state.flip(1) for state in states[1:])], dim=-1)  # (B, T, D)
    return torch.cat([forward.mean(1), forward.amax(1), last, observed(Z).mean(1)], dim=-1)


def live(backbone, Z: torch.Tensor, pooling: str, Z_ori: torch.Tensor | None = None) -> tuple[dict, torch.Tensor]:
    """One forward pass that keeps gradients: PyPOTS's results and the latents of z-scores Z (B, T, F)."""
    results, states = backbone.run(backbone.inputs(Z, Z_ori))
    return results, pool(backbone.row.kind, states, Z, pooling, backbone.centre)


def read(backbone, Z: torch.Tensor, pooling: str) -> torch.Tensor:
    """The latents alone of z-scores Z (B, T, F): (B, D)."""
    return pool(backbone.row.kind, backbone.states(backbone.inputs(Z)), Z, pooling, backbone.centre)


@torch.inference_mode()
def extract(backbone, X: np.ndarray, pooling: str = "paper", batch_size: int = 256, features=None) -> np.ndarray:
    """Latents of raw windows X (N, T, F) with NaN, in evaluation mode -> (N, D) float32.

    A window's latent does not depend on the windows beside it, unless the backbone was built with PyPOTS's reading (Backbone, options): then the
    batch size is part of the result for TimesNet and CSAI.
    """
    whole(batch_size, "The batch size")
    backbone.eval()
    X = backbone.check(X, features)
    parts = []
    for start in range(0, len(X), batch_size):
        Z = torch.from_numpy(backbone.scaler.transform(X[start : start + batch_size])).to(backbone.device)
        parts.append(read(backbone, Z, pooling).cpu())
    return torch.cat(parts).numpy()
