"""What the imputers read: masks, time gaps (deltas), last observations, reversed copies; vectorised, once.

Definitions: GRU-D (Che et al. 2018), BRITS (Cao et al. 2018), CSAI (Qian et al. 2024), as PyPOTS 1.5 computes them per sample in Python
loops. PyPOTS's GRU-D data set fills the gaps with zero *before* it carries the last observation forward, so its model never sees a last
observation. `last_observation="locf"`, the default, is what the GRU-D paper describes; `"zero"` repeats PyPOTS.
"""

from __future__ import annotations

import numpy as np
import torch

from .ends import turn


def observed(X: torch.Tensor) -> torch.Tensor:
    """1 where a value is there, 0 where it is NaN, of the type and shape of X."""
    return torch.eq(X, X, out=torch.empty_like(X))  # seven times as fast as isnan, whose answer is a byte a value


def _carry(gap: torch.Tensor, found) -> torch.Tensor:
    """What is carried from step to step: 0 at first, then found + gap * what was carried. gap (B, T, F), found alike or 1 -> (B, T + 1, F).

    A step at a time it stays in the cache, and is some 20 times faster than cummax and gather.
    """
    B, T, F = gap.shape
    carried = gap.new_empty(T + 1, B, F)
    found = found.unbind(1) if torch.is_tensor(found) else [gap.new_full((), found)] * T
    steps = carried.unbind()
    steps[0].zero_()
    for now, before, adds, kept in zip(steps[1:], steps, found, gap.unbind(1), strict=False):
        torch.addcmul(adds, before, kept, out=now)
    return carried.transpose(0, 1)


def deltas(mask: torch.Tensor) -> torch.Tensor:
    """Steps since the last observation before each step, 0 at the first step.

    mask : (B, T, F), 1 = observed. Returns (B, T, F) float.
    """
    return _carry(1 - mask, 1.0)[:, :-1]


def last_observations(X: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The last value observed strictly before each step, 0 where there is none. X is zero where nothing is observed. (B, T, F)."""
    return _carry(1 - mask, X)[:, :-1]


def level(Z: torch.Tensor) -> torch.Tensor:
    """The mean of what is visible in each window of z-scores (B, T, F), NaN where not, as if half a training mean (0) were seen too: (B, F)."""
    return Z.nansum(1) / (observed(Z).sum(1) + 0.5)


def given_mean(X: torch.Tensor) -> torch.Tensor:
    """What PyPOTS's GRU-D takes for the training mean: that of the windows it is given, 0 where they hold nothing. (B, T, F) -> (F,)."""
    return torch.nan_to_num(X.nanmean((0, 1)))


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
    lengths: torch.Tensor | None = None,
) -> dict:
    """The dictionary that a PyPOTS module's forward takes.

    Parameters
    ----------
    reads
        "plain" (SAITS, TimesNet, Autoformer, HELIX), "grud", "both_ways" (BRITS), "csai" or "gaps" (TS2Vec: X as it is).
    X
        (B, T, F) z-scores with NaN where missing or artificially hidden.
    X_ori
        The same before hiding; defaults to X, so that nothing counts as hidden.
    empirical_mean
        (F,) training mean in z-scores, for GRU-D; zeros by default (that is what standardisation makes it).
    interval
        (F,) for CSAI.
    last_observation
        For GRU-D, "locf" or "zero" (see above).
    lengths
        (B,) int64, where series end before their window does (see modts.backbones.ends); they go along as "lengths".
    """
    if reads == "gaps":
        return {"X": X} if lengths is None else {"X": X, "lengths": lengths}
    if reads != "plain":  # step after step in memory, as the time loops go through it
        X = X.transpose(0, 1).clone(memory_format=torch.contiguous_format).transpose(0, 1)
    mask = observed(X)
    filled = torch.nan_to_num(X) if reads == "plain" else X.nan_to_num_()  # that copy is ours
    common = {"X_ori": filled, "indicating_mask": mask.new_zeros(()).expand_as(mask)}
    if X_ori is not None:
        common = {
            "X_ori": torch.nan_to_num(X_ori),
            "indicating_mask": observed(X_ori) - mask,
        }
    if lengths is not None:
        common["lengths"] = lengths
    if reads == "plain":
        return {"X": filled, "missing_mask": mask, **common}
    if reads == "grud":
        gap = 1 - mask
        carried = _carry(gap, filled)[:, 1:] if last_observation == "locf" else filled
        mean = torch.zeros(X.shape[2], device=X.device) if empirical_mean is None else empirical_mean
        return {
            "X": filled,
            "missing_mask": mask,
            "deltas": _carry(gap, 1.0)[:, :-1],
            "X_filledLOCF": carried,
            "empirical_mean": mean,
            **common,
        }
    both = {}
    for direction, values, seen in (
        ("forward", filled, mask),
        ("backward", turn(filled, lengths), turn(mask, lengths)),
    ):
        both[direction] = {"X": values, "missing_mask": seen, "deltas": deltas(seen)}
        if reads == "csai":
            both[direction]["last_obs"] = last_observations(values, seen)
    if reads == "csai":
        both["intervals"] = dict(enumerate(interval.tolist())) if interval is not None else None
    return {**both, **common}
