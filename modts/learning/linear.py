"""Linear models: logistic regression for a class, ridge regression for numbers; the penalty comes from validation."""

from __future__ import annotations

import numpy as np

from modts.backbones import Scaler

from .features import Winsorised
from .gaps import interpolate

_INVERSE_PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # logistic regression's C
PENALTIES = (0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5)  # ridge regression's alpha


def logistic(problem, readers, record):
    """Logistic regression on winsorised rows; parameters and what is returned as in `trees.boosted`.

    Of several readers it takes the last, the widest: it has many rows then.
    """
    from sklearn.linear_model import LogisticRegression  # here, as scikit-learn takes a second to import

    kind, read = list(readers.items())[-1]
    seen, rows = ~np.isnan(problem.y), read(problem.windows)
    scale = Winsorised(rows[seen])
    train, y = scale(rows[seen]), problem.y[seen].astype(np.int64)
    weight = None if problem.weight is None else problem.weight[seen]
    flat = scale(_flat(read(problem.windows_val)))

    def chances(model, flat, shape):
        p = model.predict_proba(flat)
        return p if problem.task == "multiclass" else p[:, 1].reshape(shape)

    best = None
    for inverse in _INVERSE_PENALTIES:
        model = LogisticRegression(C=inverse, max_iter=2000).fit(train, y, weight)
        value = problem.judge(chances(model, flat, problem.y_val.shape))
        if best is None or value > best[0]:
            best = value, inverse, model
    record.update(validation=best[0], features=kind, C=best[1])

    def predict(windows):
        rows = read(windows)
        return chances(best[2], scale(_flat(rows)), rows.shape[:-1])

    return predict


def _flat(rows):
    return rows.reshape(-1, rows.shape[-1])


def ridge(problem, readers, record):
    """Ridge regression, for numbers; parameters and what is returned as in `trees.boosted`.

    One number a stay is read from winsorised rows. A target at every step is read either by one model for all steps or by one a step on
    the whole window, whichever validation prefers.
    """
    if not problem.every_step:
        ways = {kind: _of_stay(problem, read) for kind, read in readers.items()}
    else:
        ways = {kind: _one_for_all(problem, read) for kind, read in readers.items()}
        if any(kind.startswith("values") for kind in readers):
            ways["the whole window"] = _one_per_step(problem)
    return best_ridge(problem, ways, PENALTIES, record)


def best_ridge(problem, ways, penalties, record):
    """The way and the penalty that validation prefers.

    ways : {in words: (windows -> rows (..., D), [(weights, intercept) for each of the penalties])}
    """
    shape, best = (problem.n_outputs,) if problem.task == "multiclass" else problem.y_val.shape[1:], None
    for kind, (rows_of, models) in ways.items():
        rows = rows_of(problem.windows_val)
        for penalty, model in zip(penalties, models, strict=True):
            value = problem.judge(_linear(rows, *model).reshape(-1, *shape))
            if best is None or value > best[0]:
                best = value, kind, penalty, rows_of, model
    value, kind, penalty, rows_of, model = best
    record.update(validation=abs(value), features=kind, alpha=penalty)
    return lambda windows: _linear(rows_of(windows), *model).reshape(-1, *shape)


def _linear(rows, weights, intercept):
    return rows @ weights + intercept


def _of_stay(problem, read):
    rows = read(problem.windows)
    scale = Winsorised(rows)
    return (lambda windows: scale(read(windows))), ridge_path(scale(rows), problem.y[:, None])


def _one_for_all(problem, read):
    """One model for all steps; which step it is enters as a column for each, so that each has its own intercept."""
    steps = np.eye(problem.n_steps)

    def rows_of(windows):
        rows = np.nan_to_num(read(windows)[..., :-1])  # (N, T, D)
        return np.concatenate([rows, np.broadcast_to(steps, (len(rows), *steps.shape))], axis=2)

    seen = ~np.isnan(problem.y)
    return rows_of, ridge_path(rows_of(problem.windows)[seen], problem.y[seen][:, None])


def _one_per_step(problem):
    scaler = Scaler.fit(problem.X)

    def rows_of(windows):
        Z = scaler.transform(windows[0]).astype(np.float64)
        return np.nan_to_num(interpolate(Z)).reshape(len(Z), -1)  # (N, T * F)

    return rows_of, ridge_paths(rows_of(problem.windows), problem.y)


def ridge_paths(rows, Y, penalties=PENALTIES, weight=None):
    """`ridge_path` where some targets are NaN: those observed in the same rows are solved together. weight : (N,), of the rows."""
    seen, K = ~np.isnan(Y), Y.shape[1]
    weights, intercepts = np.zeros((len(penalties), rows.shape[1], K)), np.zeros((len(penalties), K))
    patterns, which = np.unique(seen, axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        group, observed = which.ravel() == index, patterns[:, index]
        if observed.any():  # else the mean, 0
            for i, (some, intercept) in enumerate(
                ridge_path(
                    rows[observed], Y[observed][:, group], penalties, None if weight is None else weight[observed]
                )
            ):
                weights[i][:, group], intercepts[i, group] = some, intercept
    return list(zip(weights, intercepts, strict=True))


def ridge_path(Z, Y, penalties=PENALTIES, weight=None):
    """Ridge regression with intercept, for every penalty (alpha).

    Parameters
    ----------
    Z : (N, D) array
    Y : (N, K) array
    penalties : tuple of float
    weight : (N,) array, optional
        What each row counts.

    Returns
    -------
    list of ((D, K) weights, (K,) intercepts), one a penalty
    """
    middle, centre = np.average(Z, axis=0, weights=weight), np.average(Y, axis=0, weights=weight)
    Z, Y = Z - middle, Y - centre
    if weight is not None:
        Z, Y = Z * np.sqrt(weight)[:, None], Y * np.sqrt(weight)[:, None]
    wide = Z.shape[1] > Z.shape[0]  # then the smaller system is over rows (the kernel form of the same solution)
    values, vectors = np.linalg.eigh(Z @ Z.T if wide else Z.T @ Z)
    target = vectors.T @ (Y if wide else Z.T @ Y)
    out = []
    for penalty in penalties:
        weights = vectors @ (target / (np.maximum(values, 0)[:, None] + penalty))
        weights = Z.T @ weights if wide else weights
        out.append((weights, centre - middle @ weights))
    return out
