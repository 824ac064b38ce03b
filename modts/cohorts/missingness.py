"""Artificial missingness: PyGrinder's patterns under one seeded signature.

PyGrinder draws from the global generators of NumPy and PyTorch; here a seed goes in and the global state comes out untouched.
Source: PyGrinder 0.7 (Du et al.), the patterns of TSI-Bench (arXiv 2406.12747).
"""

from __future__ import annotations

import contextlib
import functools

import numpy as np

from modts.errors import ModtsError, choose, whole

from .checks import unmasked


class Unfit(ModtsError):
    """A pattern that finds nothing to work on in these windows."""


@functools.cache  # it is asked for at every batch
def _pygrinder():
    """PyGrinder imports TSDB, which would otherwise write ~/.pypots."""
    from .tsdb_home import import_tsdb

    import_tsdb()
    import pygrinder

    return pygrinder


def _filled(X):
    """Gaps replaced by the mean of their own series (of the feature, where a series is empty): several patterns trip over NaN."""
    seen = ~np.isnan(X)
    held = np.where(seen, X, 0)
    overall = held.sum((0, 1), dtype=np.float64) / np.maximum(
        seen.sum((0, 1)), 1
    )  # large values overflow in single precision
    own = held.sum(1, dtype=np.float64) / np.maximum(seen.sum(1), 1)
    own = np.where(seen.any(1), own, overall)  # (N, F)
    return np.where(seen, X, own[:, None, :]).astype(np.float32)


def _point(X, rate):
    return _pygrinder().mcar(X, p=rate)


def _rdo(X, rate):
    return _pygrinder().rdo(X, p=rate)


def _sequence(X, rate):
    return _pygrinder().seq_missing(X, p=rate, seq_len=min(X.shape[1], max(2, X.shape[1] // 4)))


def _block(X, factor):
    _, T, F = X.shape
    return _pygrinder().block_missing(X, factor=factor, block_len=max(1, T // 6), block_width=max(1, F // 4))


def _mar(X, rate):
    import torch

    # The logistic function needs z-scores (PyGrinder's search for its intercept fails on raw units) and variables that vary.
    flat = _filled(X).reshape(-1, X.shape[-1]).astype(np.float64)
    spread = flat.std(0)
    varied = np.flatnonzero(spread > 1e-8)
    if len(varied) < 2:
        raise Unfit(f"Pattern 'mar' needs two variables that vary, got {len(varied)}; choose another pattern.")
    scores = torch.from_numpy(((flat[:, varied] - flat[:, varied].mean(0)) / spread[varied]).astype(np.float32))
    decide = max(1, int(0.3 * len(varied)))  # so many variables decide and are not hidden themselves
    share = min(0.95, rate * len(varied) / (len(varied) - decide))
    flat[:, varied] = np.asarray(_pygrinder().mar_logistic(scores, obs_rate=0.3, missing_rate=share))
    return flat.reshape(X.shape)


def _mnar_x(X, amount):
    return _pygrinder().mnar_x(_filled(X), offset=-amount)  # hides what lies so many deviations above its series' mean


def _mnar_t(X, scale):
    return _pygrinder().mnar_t(X, scale=scale)


def _mnar_nonuniform(X, rate):
    with np.errstate(divide="ignore"):  # a variable that nobody measured
        return _pygrinder().mnar_nonuniform(X, p=rate)[0]


PATTERNS = {
    "point": _point,  # MCAR: every cell alike
    "rdo": _rdo,  # exactly this share of the observed cells
    "sequence": _sequence,  # runs of steps of one variable
    "block": _block,  # several variables over several steps
    "mar": _mar,  # a logistic function of other variables decides
    "mnar_x": _mnar_x,  # values far above the mean of their own series hide themselves
    "mnar_t": _mnar_t,  # follows a cycle in time
    "mnar_nonuniform": _mnar_nonuniform,  # rarely measured variables lose more (CSAI)
}
# PyGrinder's parameter of these is no rate: it is searched for within the bounds until the wanted share is hidden.
_SEARCHED = {"block": (0.0, 1.0), "mnar_x": (-12.0, 12.0), "mnar_t": (0.0, 64.0)}


@contextlib.contextmanager
def seeded(seed: int):
    """Seed NumPy's and PyTorch's global generators inside the block and give back their state after it.

    Raises
    ------
    ModtsError
        The seed is no whole number from 0 to 2**63 - 1.
    """
    import torch

    seed = whole(seed, "The seed", least=0, below=2**63)
    state, torch_state = np.random.get_state(), torch.get_rng_state()
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also asks for GPUs, which takes milliseconds
    try:
        yield
    finally:
        np.random.set_state(state)
        torch.set_rng_state(torch_state)


def mask(X: np.ndarray, pattern: str = "point", rate: float = 0.1, seed: int = 0) -> np.ndarray:
    """A copy of X with additional values hidden.

    Parameters
    ----------
    X : (N, T, F) array
        NaN where missing (or masked).
    pattern : str
        One of PATTERNS.
    rate : float
        Share of the observed values to hide, 0 <= rate < 1; patterns with structure meet it approximately, and on windows with many gaps
        of their own hide up to a quarter less: what was hidden is ``np.isnan(mask(X, ...)) & ~np.isnan(X)``.
    seed : int
        The same seed hides the same cells.

    Returns
    -------
    (N, T, F) float32 array

    Raises
    ------
    ModtsError
        Unknown pattern, wrong shape, infinite values, rate out of range, a seed that is none.
    """
    check_pattern(pattern, rate)
    if np.ndim(X) != 3:
        raise ModtsError(f"X must have three axes (samples, steps, features), got shape {np.shape(X)}.")
    with np.errstate(over="ignore"):  # too large for single precision is infinite, and said so
        X = np.array(unmasked(X), dtype=np.float32)
    if np.isinf(X).any():
        raise ModtsError("X holds infinite values; mark missing values as NaN.")
    X[_hides(X, pattern, rate, seed)] = np.nan
    return X


def hides(X: np.ndarray, pattern: str, rate: float, seed: int) -> np.ndarray:
    """Which values of a batch X (N, T, F), float32 with NaN where missing, are hidden: (N, T, F) bool.

    What `mask` hides, without its checks; none where a batch is too small for the pattern.
    """
    try:
        return _hides(X, pattern, rate, seed)
    except Unfit:
        return np.zeros(X.shape, dtype=bool)


def check_pattern(pattern: str, rate: float) -> None:
    """Raise a ModtsError unless the pattern is one of PATTERNS, and the rate a share of at least 0 and below 1."""
    choose(pattern, PATTERNS, "missingness pattern")
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate < 1:
        raise ModtsError(f"The missingness rate must be at least 0 and below 1, got {rate}.")


def _hides(X, pattern, rate, seed):
    seen = ~np.isnan(X)
    if rate == 0 or not seen.any():
        return np.zeros(X.shape, dtype=bool)

    def hidden(amount):
        with seeded(seed):
            return np.isnan(np.asarray(PATTERNS[pattern](X.copy(), amount))) & seen

    if pattern not in _SEARCHED:
        return hidden(rate)
    low, high = _SEARCHED[pattern]
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if hidden(middle).sum() > rate * seen.sum() else (middle, high)
    return hidden(low)
