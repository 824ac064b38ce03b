"""Series with gaps, without learning anything: summary statistics, and the simple imputers (linear interpolation, LOCF, mean)."""

import numpy as np

from modts.errors import ModtsError, choose

STATISTICS = ("mean", "min", "max", "std", "first", "last", "count")
IMPUTERS = ("Linear interpolation", "LOCF", "Mean")


def statistics(X, lengths=None):
    """Per-feature mean, minimum, maximum, standard deviation, first and last value, and the share of steps observed.

    Parameters
    ----------
    X : (N, T, F) array with NaN = missing
    lengths : (N,) array, optional
        Steps of series that end before their window does: the share is of these, and they are a last column themselves.

    Returns
    -------
    (N, 7 * F) array of float64, or (N, 7 * F + 1)
        Ordered by statistic, then feature, as in `STATISTICS`; NaN where a stay has no value of that feature (its count
        is 0).
    """
    X = _series(X)
    found = np.concatenate([_statistics(X[at : at + 1024]) for at in range(0, max(len(X), 1), 1024)])
    if lengths is None:
        return found
    lengths = np.asarray(lengths, dtype=np.float64)[:, None]
    found[:, -X.shape[2] :] *= X.shape[1] / lengths
    return np.concatenate([found, lengths], axis=1)


def impute(name, X, fill):
    """Fill the missing values of each series without learning anything.

    Parameters
    ----------
    name : {"Linear interpolation", "LOCF", "Mean"}
        Interpolation carries the edges outwards; LOCF fills the start of a series backward.
    X : (N, T, F) array with NaN = missing
    fill : float or (F,) array
        The training mean, in the units of `X` (0 for z-scores): what a series without any value gets, and all that
        "Mean" uses.

    Returns
    -------
    (N, T, F) array without NaN, of the dtype of `X`

    Raises
    ------
    ModtsError
        Unknown name, `X` not three-dimensional, or a `fill` that does not fit.
    """
    X = _series(X)
    choose(name, IMPUTERS, "imputer")
    fill = np.asarray(fill, dtype=X.dtype)
    if fill.shape not in ((), (X.shape[2],)) or not np.isfinite(fill).all():
        raise ModtsError(
            f"The fill must be one finite number or one for each of {X.shape[2]} features; it has shape {fill.shape}."
        )
    if name == "Mean":
        return np.where(np.isnan(X), fill, X)
    out = interpolate(X) if name == "Linear interpolation" else _carry(X)
    return np.where(np.isnan(out), fill, out)


def rivals(parts):
    """The error of every simple imputer on the hidden cells: what a network that imputes has to beat.

    Parameters
    ----------
    parts : iterable of pairs of (N, T, F) arrays
        z-scores with NaN where missing or hidden, and the same before hiding; a value that is in the second alone was hidden.

    Returns
    -------
    dict of str to float
        Mean absolute error by name, in the order of `IMPUTERS`.
    """
    errors, n = dict.fromkeys(IMPUTERS, 0.0), 0
    for hidden, truth in parts:
        scored = np.isnan(hidden) & ~np.isnan(truth)
        n += scored.sum()
        for name in IMPUTERS:
            errors[name] += np.abs(impute(name, hidden, 0.0) - truth)[scored].sum(dtype=np.float64)
    return {name: float(error / n) for name, error in errors.items()}


def around(X, reach):
    """Interpolated values at each step and `reach` steps around it, then the step: (N, T, F * (2r + 1) + 1)."""
    filled, steps = interpolate(X), np.arange(X.shape[1])
    near = [filled[:, np.clip(steps + shift, 0, X.shape[1] - 1)] for shift in range(-reach, reach + 1)]
    return np.concatenate([*near, np.broadcast_to(steps[:, None], (*X.shape[:2], 1))], axis=2)


def _series(X):
    X = np.asarray(X)
    if X.ndim != 3 or X.dtype.kind != "f":
        raise ModtsError(
            f"X must be a float array (N, T, F) with NaN for missing, but it is {X.dtype} of shape {X.shape}."
        )
    return X


def _statistics(X):
    X = X.astype(np.float64)
    seen = ~np.isnan(X)
    count = seen.sum(1)  # (N, F)
    some = np.where(count > 0, count, np.nan)
    mean = np.where(seen, X, 0).sum(1) / some
    least, most = np.where(seen, X, np.inf).min(1), np.where(seen, X, -np.inf).max(1)
    least[count == 0] = most[count == 0] = np.nan
    spread = np.sqrt(np.square(np.where(seen, X - mean[:, None], 0)).sum(1) / some)
    first, last = before_after(seen)[1][:, 0], before_after(seen)[0][:, -1]  # (N, F)
    first, last = (np.take_along_axis(X, np.clip(at, 0, X.shape[1] - 1)[:, None], 1)[:, 0] for at in (first, last))
    return np.concatenate([mean, least, most, spread, first, last, count / X.shape[1]], axis=1)


def before_after(seen):
    """The last observed step up to each cell (-1: none), the first from it on (T: none): (N, T, F) int arrays."""
    steps = np.arange(seen.shape[1])[None, :, None]
    before = np.maximum.accumulate(np.where(seen, steps, -1), axis=1)
    after = np.minimum.accumulate(np.where(seen, steps, seen.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return before, after


def _carry(X):
    before, after = before_after(~np.isnan(X))
    return np.take_along_axis(X, np.where(before >= 0, before, np.minimum(after, X.shape[1] - 1)), axis=1)


def interpolate(X):
    """Straight lines between observed values, edges carried outwards; NaN stays in series with no value."""
    before, after = before_after(~np.isnan(X))
    left = np.take_along_axis(X, np.where(before >= 0, before, np.minimum(after, X.shape[1] - 1)), axis=1)
    right = np.take_along_axis(X, np.where(after < X.shape[1], after, np.maximum(before, 0)), axis=1)
    inside = (before >= 0) & (after < X.shape[1])
    share = (np.arange(X.shape[1])[None, :, None] - before) / np.maximum(after - before, 1)
    return (left + np.where(inside, share, 0) * (right - left)).astype(X.dtype)
