"""Windows and targets as plain arrays: what a mask hides is missing, in a list too; tensors come without their gradient, objects as numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from modts.cohorts import unmasked
from modts.errors import ModtsError


def plain_windows(X):
    """Windows as an array, NaN where a mask hides or an object says None; anything else as it is, to be refused where it is read."""
    if isinstance(X, torch.Tensor):
        return _bare(X)
    if isinstance(X, (list, tuple)):
        return [_bare(unmasked(x)) for x in X]
    X = unmasked(X)
    if isinstance(X, np.ndarray) and X.dtype == object:
        try:
            return X.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            return X
    return X


def plain_targets(y):
    """Targets as they were given, but missing (NaN, or None among words) where a mask hides them."""
    if isinstance(y, np.ma.MaskedArray) and y.dtype.kind not in "biuf":
        words = np.array(y.data, dtype=object)  # a copy: what is masked stays the user's
        words[np.ma.getmaskarray(y)] = None
        return words
    return _bare(unmasked(y))


def every_class(y):
    """`plain_targets`, and a missing class among words or dates, which are told apart by sorting them, is refused."""
    y = plain_targets(y)
    if y is None:  # which the estimator refuses by itself
        return y
    each = np.atleast_1d(np.asarray(y))
    single = each.size == len(each)  # of several labels some may be unknown
    if single and each.dtype.kind in "OM" and pd.isna(each).any():
        raise ModtsError("Input y contains NaN or infinity; every window needs a label.")
    return y


def whose(groups):
    """Groups that can be sorted, one for each window; none of them missing."""
    if groups is None:
        return None
    found = np.asarray(plain_targets(groups))
    missing = np.flatnonzero(pd.isna(found)) if found.ndim == 1 else ()
    if len(missing):
        raise ModtsError(f"The group of window {missing[0]} is missing; say of each window whose it is.")
    mixed = found.dtype == object and len(set(map(type, found.ravel()))) > 1
    return found.astype(str) if mixed else found


def _bare(value):
    """A tensor as an array on this machine; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    try:
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    except (TypeError, RuntimeError):  # a sparse one, say: refused where it is read
        return value
