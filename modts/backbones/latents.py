"""Reading latents: from the states of a backbone to one vector a window, or one a step.

"paper" follows arXiv 2411.03941: final hidden states (forward and backward concatenated) of recurrent models, the mean over time of the
encoder output of attention models, the flattened encoder features of convolutional ones; of TS2Vec, which it does not have, the largest over
time, as TS2Vec's own paper takes it. "mean+max+last" joins three summaries of the states over time with the share of steps at which each
feature was observed: what was measured how often is itself a sign of illness.
A backbone that centres its windows does not see their level; it is appended to each latent.
"steps" keeps time: the state of every step, both directions side by side, for a head that answers at every step.
"""

from __future__ import annotations

import numpy as np
import torch

from modts.errors import choose, whole

from .ends import before, cut, ends_on, turn
from .inputs import level, observed
from .table import POOLINGS


def pool(
    kind: str,
    states: list[torch.Tensor],
    Z: torch.Tensor,
    pooling: str = "paper",
    centre: bool = False,
    lengths: torch.Tensor | None = None,
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
    lengths
        (B,) int64: steps of series that end before their window does; steps behind the end do not count, and are zero where states are
        flattened and for "steps".

    Returns
    -------
    (B, D') tensor, or (B, T, D') for "steps".
    """
    choose(pooling, POOLINGS, "pooling")
    latent = _pool(kind, states, Z, pooling) if lengths is None else _to_the_end(kind, states, Z, pooling, lengths)
    if centre:
        height = level(Z) if latent.ndim == 2 else level(Z)[:, None].expand(-1, latent.shape[1], -1)
        latent = torch.cat([latent, height], dim=-1)
    if lengths is None or latent.ndim == 2:
        return latent
    return torch.where(before(lengths, Z.shape[1])[..., None], latent, 0.0)


def _pool(kind, states, Z, pooling):
    if pooling == "steps" and kind != "recurrent":
        return states[0]
    if pooling == "paper" and kind != "recurrent":
        one = states[0]
        return {"attention": one.mean, "convolutional": one.flatten, "contrastive": one.amax}[kind](1)
    last = torch.cat([state[:, -1] for state in states], dim=-1)
    if pooling == "paper":
        return last
    forward = torch.cat([states[0], *(state.flip(1) for state in states[1:])], dim=-1)  # (B, T, D)
    if pooling == "steps":
        return forward
    return torch.cat([forward.mean(1), forward.amax(1), last, observed(Z).mean(1)], dim=-1)


def _to_the_end(kind, states, Z, pooling, lengths):
    """`_pool` over the steps before each series' end."""
    there, rows = before(lengths, Z.shape[1])[..., None], torch.arange(len(Z), device=Z.device)

    def mean(values):  # (B, T, D) -> (B, D)
        return torch.where(there, values, 0.0).sum(1) / lengths[:, None]

    if pooling == "steps" and kind != "recurrent":
        return states[0]
    if pooling == "paper" and kind != "recurrent":
        one = states[0]
        flat, most = torch.where(there, one, 0.0).flatten(1), torch.where(there, one, -torch.inf).amax(1)
        return {"attention": mean(one), "convolutional": flat, "contrastive": most}[kind]
    last = torch.cat([state[rows, lengths - 1] for state in states], dim=-1)
    if pooling == "paper":
        return last
    forward = torch.cat([states[0], *(turn(state, lengths) for state in states[1:])], dim=-1)
    if pooling == "steps":
        return forward
    most = torch.where(there, forward, -torch.inf).amax(1)
    return torch.cat([mean(forward), most, last, mean(observed(Z))], dim=-1)


def live(
    backbone, Z: torch.Tensor, pooling: str, Z_ori: torch.Tensor | None = None, lengths: torch.Tensor | None = None
) -> tuple[dict, torch.Tensor]:
    """One forward pass that keeps gradients: PyPOTS's results and the latents of z-scores Z (B, T, F); lengths (B,) as in `pool`."""
    results, states = backbone.run(backbone.inputs(Z, Z_ori, lengths=lengths))
    return results, pool(backbone.row.kind, states, Z, pooling, backbone.centre, lengths)


def read(backbone, Z: torch.Tensor, pooling: str, lengths: torch.Tensor | None = None) -> torch.Tensor:
    """The latents alone of z-scores Z (B, T, F): (B, D), or (B, T, D) for "steps"."""
    states = backbone.states(backbone.inputs(Z, lengths=lengths))
    return pool(backbone.row.kind, states, Z, pooling, backbone.centre, lengths)


@torch.inference_mode()
def extract(
    backbone, X: np.ndarray, pooling: str = "paper", batch_size: int = 256, features=None, lengths=None
) -> np.ndarray:
    """Latents of raw windows X (N, T, F) with NaN, in evaluation mode -> (N, D) float32, or (N, T, D) for "steps".

    A window's latent does not depend on the windows beside it, unless the backbone was built with PyPOTS's reading (Backbone, options): then the
    batch size is part of the result for TimesNet and CSAI.
    """
    whole(batch_size, "The batch size")
    backbone.eval()
    X, lengths = cut(X, lengths, backbone.n_steps)
    X = backbone.check(X, features)
    parts = []
    for start in range(0, len(X), batch_size):
        rows = slice(start, start + batch_size)
        Z = torch.from_numpy(backbone.scaler.transform(X[rows])).to(backbone.device)
        parts.append(read(backbone, Z, pooling, ends_on(backbone.device, lengths, rows)).cpu())
    return torch.cat(parts).numpy()
