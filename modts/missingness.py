"""Artificial missingness: PyGrinder's patterns under one seeded signature.

PyGrinder draws from the global generators of NumPy and PyTorch; here a seed goes in and the global state comes out untouched.
Source: PyGrinder 0.7 (Du et al.), the patterns of TSI-Bench (arXiv 2406.12747).
"""

from __future__ import annotations

import contextlib

import numpy as np

from .errors import ModtsError, choose


def _block(X, rate):
    import pygrinder

    _, T, F = X.shape
    length, width = max(1, T // 6), max(1, F // 4)
    return pygrinder.block_missing(X, factor=rate, block_len=length, block_width=width)


def _sequence(X, rate):
    import pygrinder

    return pygrinder.seq_missing(X, p=rate, seq_len=max(2, X.shape[1] // 4))


def _mar(X, rate):
    """MAR by a logistic model needs a complete 2-D table: columns are filled with their means for the choice only."""
    import pygrinder
    import torch

    flat = X.reshape(-1, X.shape[-1])
    filled = np.where(np.isnan(flat), np.nanmean(flat, axis=0, keepdims=True), flat)
    masked = pygrinder.mar_logistic(torch.from_numpy(filled.astype("float32")), obs_rate=0.3, missing_rate=rate)
    return np.where(np.isnan(np.asarray(masked)), np.nan, flat).reshape(X.shape)


def _simple(function, **fixed):
    def call(X, rate):
        import pygrinder

        arguments = {key: (rate if value == "rate" else value) for key, value in fixed.items()}
        result = getattr(pygrinder, function)(X, **arguments)
        return result[0] if isinstance(result, tuple) else result

    return call


PATTERNS = {
    "point": _simple("mcar", p="rate"),  # MCAR: every cell alike
    "rdo": _simple("rdo", p="rate"),  # exactly this share of the observed cells
    "sequence": _sequence,  # runs of steps of one variable
    "block": _block,  # several variables over several steps
    "mar": _mar,  # a logistic function of other variables decides
    "mnar_x": _simple("mnar_x", offset=0.0),  # values above the mean hide themselves; its rate is not adjustable
    "mnar_t": _simple("mnar_t"),  # follows a cycle in time; its rate is not adjustable
    "mnar_nonuniform": _simple("mnar_nonuniform", p="rate"),  # rarely measured variables lose more (CSAI)
}


@contextlib.contextmanager
def seeded(seed: int):
    """Seed NumPy's and PyTorch's global generators inside the block and give back their state after it."""
    import torch

    state, torch_state = np.random.get_state(), torch.get_rng_state()
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
        torch.set_rng_state(torch_state)


def mask(X: np.ndarray, pattern: str = "point", rate: float = 0.1, seed: int = 0) -> np.ndarray:
    """A copy of X with additional values hidden.

    Parameters
    ----------
    X : (N, T, F) float array, NaN where missing.
    pattern : one of PATTERNS.
    rate : share of the values to hide, 0 <= rate < 1 (mnar_x and mnar_t set their own share).
    seed : the same seed hides the same cells.

    Raises
    ------
    ModtsError : unknown pattern, wrong shape, rate out of range.
    """
    choose(pattern, PATTERNS, "missingness pattern")
    if np.ndim(X) != 3:
        raise ModtsError(f"X must have three axes (samples, steps, features), got shape {np.shape(X)}.")
    if not 0 <= rate < 1:
        raise ModtsError(f"The missingness rate must be at least 0 and below 1, got {rate}.")
    X = np.array(X, dtype=np.float32)
    if rate == 0:
        return X
    with seeded(seed):
        hidden = np.isnan(np.asarray(PATTERNS[pattern](X.copy(), rate)))
    X[hidden] = np.nan
    return X
