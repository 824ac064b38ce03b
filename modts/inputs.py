"""What the imputers read: masks, time gaps (deltas), last observations, reversed copies; vectorised, once.

Definitions: GRU-D (Che et al. 2018), BRITS (Cao et al. 2018), CSAI (Qian et al. 2024), as PyPOTS 1.5 computes them per sample in Python
loops. PyPOTS's GRU-D data set fills the gaps with zero *before* it carries the last observation forward, so its model never sees a last
observation. `last_observation="locf"`, the default, is what the GRU-D paper describes; `"zero"` repeats PyPOTS.
"""

from __future__ import annotations

import numpy as np
import torch


def deltas(mask: torch.Tensor) -> torch.Tensor:
    """Steps since the last observation before each step, 0 at the first step.

    mask : (B, T, F), 1 = observed. Returns (B, T, F) float.
    """
    gap, since = 1 - mask, torch.zeros_like(mask)
    for t in range(
        1, mask.shape[1]
    ):  # a step at a time: it stays in the cache, and is some 20 times faster than cummax and gather
        torch.mul(since[:, t - 1], gap[:, t - 1], out=since[:, t]).add_(1)
    return since


def last_observations(X: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The last value observed strictly before each step, 0 where there is none. X is zero-filled. (B, T, F)."""
    last = torch.zeros_like(X)
    for t in range(1, X.shape[1]):
        torch.lerp(last[:, t - 1], X[:, t - 1], mask[:, t - 1], out=last[:, t])  # exact at weights 0 and 1
    return last


def intervals(X: np.ndarray) -> np.ndarray:
    """CSAI's median gap between consecutive observations of each feature, 0 where no series has two. X (N, T, F) -> (F,) float32."""
    medians = np.zeros(X.shape[2], dtype=np.float32)
    for f in range(X.shape[2]):
        sample, step = np.nonzero(~np.isnan(X[:, :, f]))
        gaps = np.diff(step)[np.diff(sample) == 0]
        if gaps.size:
            medians[f] = np.median(gaps)
    return medians


def model_inputs(
    reads: str,
    X: torch.Tensor,
    X_ori: torch.Tensor | None = None,
    empirical_mean: torch.Tensor | None = None,
    interval: torch.Tensor | None = None,
    last_observation: str = "locf",
) -> dict:
    """The dictionary that a PyPOTS module's forward takes.

    Parameters
    ----------
    reads : "plain" (SAITS, TimesNet, Autoformer), "grud", "both_ways" (BRITS) or "csai".
    X : (B, T, F) z-scores with NaN where missing or artificially hidden.
    X_ori : the same before hiding; defaults to X, so that nothing counts as hidden.
    empirical_mean : (F,) training mean in z-scores, for GRU-D; zeros by default (that is what standardisation makes it).
    interval : (F,) for CSAI.
    last_observation : for GRU-D, "locf" or "zero" (see above).
    """
    X_ori = X if X_ori is None else X_ori
    mask = (~torch.isnan(X)).to(torch.float32)
    filled = torch.nan_to_num(X)
    common = {
        "X_ori": torch.nan_to_num(X_ori),
        "indicating_mask": (~torch.isnan(X_ori)).to(torch.float32) - mask,
    }
    if reads == "plain":
        return {"X": filled, "missing_mask": mask, **common}
    if reads == "grud":
        carried = filled
        if last_observation == "locf":
            carried = torch.where(mask > 0, filled, last_observations(filled, mask))
        mean = torch.zeros(X.shape[2], device=X.device) if empirical_mean is None else empirical_mean
        return {
            "X": filled,
            "missing_mask": mask,
            "deltas": deltas(mask),
            "X_filledLOCF": carried,
            "empirical_mean": mean,
            **common,
        }
    both = {}
    for direction, values, seen in (("forward", filled, mask), ("backward", filled.flip(1), mask.flip(1))):
        both[direction] = {"X": values, "missing_mask": seen, "deltas": deltas(seen)}
        if reads == "csai":
            both[direction]["last_obs"] = last_observations(values, seen)
    if reads == "csai":
        both["intervals"] = dict(enumerate(interval.tolist())) if interval is not None else None
    return {**both, **common}
