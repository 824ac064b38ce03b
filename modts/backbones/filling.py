"""Filling the gaps of raw windows."""

from __future__ import annotations

import numpy as np
import torch

from modts.cohorts import unmasked
from modts.errors import whole

from .ends import behind, cut, ends_on


@torch.no_grad()
def fill(backbone, X: np.ndarray, batch_size: int = 256, features=None, lengths=None) -> np.ndarray:
    """The gaps of raw windows filled: see Backbone.impute."""
    whole(batch_size, "The batch size")
    backbone.eval()
    X = unmasked(X)
    steps = np.shape(X)[1] if np.ndim(X) == 3 else None
    X, lengths = cut(X, lengths, backbone.n_steps)
    Z = backbone.tensor(X, features)
    # "imputation", not "reconstruction": PyPOTS's CSAI averages its forward pass with an unreversed backward one in the latter
    filled = [
        backbone.run(backbone.inputs(Z[rows], lengths=ends_on(backbone.device, lengths, rows)))[0]["imputation"]
        for rows in (slice(start, start + batch_size) for start in range(0, len(Z), batch_size))
    ]
    out = backbone.scaler.inverse(torch.cat(filled).cpu().numpy())
    out = np.where(np.isnan(X), out, X).astype(np.float32)
    if lengths is not None:
        out[behind(lengths, backbone.n_steps)] = np.nan
    return out[:, :steps]
