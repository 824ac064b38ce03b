"""MiniRocket (Dempster et al. 2021): 10,000 fixed convolutions of the interpolated values and of the mask, and a ridge model on top.

The convolutions are aeon's. Its first call in an environment compiles for half a minute; later ones read what was compiled.
"""

from __future__ import annotations

import numpy as np

from modts.errors import ModtsError

from .features import Winsorised
from .gaps import interpolate
from .linear import best_ridge, ridge_paths

_KERNELS = 10_000
_PENALTIES = (1e2, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6)  # of ridge regression on that many standardised columns
_SHORTEST = 9  # steps that a convolution spans; shorter windows are lengthened by their last step
_TAILS = 0.005  # share winsorised at each end


def minirocket():
    """aeon's class.

    Raises
    ------
    ModtsError
        aeon is not installed.
    """
    try:
        from aeon.transformations.collection.convolution_based import MiniRocket
    except ImportError as error:
        raise ModtsError(
            f"MiniRocket needs the package aeon ({error}): `uv sync --group rocket` installs it."
        ) from None
    return MiniRocket


def rocket(problem, seed, threads, record):
    """MiniRocket and ridge regression, of +1 and -1 where it is about classes; parameters and what is returned as in `trees.boosted`.

    Chances come from the ridge scores by Platt's logistic curve on validation; a yes or no keeps the order of its scores. What windows count
    is taken into account where there is one answer a window.
    """
    kernels = minirocket()(n_kernels=_KERNELS, n_jobs=threads, random_state=seed)
    scale = Winsorised(problem.X.reshape(-1, problem.X.shape[2]).astype(np.float64), _TAILS)

    def channels(X):
        """(N, T, F) -> (N, 2 F, T) float32: values with straight lines through the gaps, and the mask."""
        values = scale(interpolate(X).reshape(-1, X.shape[2])).reshape(X.shape)
        both = np.concatenate([values, ~np.isnan(X)], axis=2, dtype=np.float32).swapaxes(1, 2)
        return np.pad(both, ((0, 0), (0, 0), (0, max(0, _SHORTEST - X.shape[1]))), mode="edge")

    train = kernels.fit_transform(channels(problem.X))
    centre, spread = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    spread[spread < 1e-6] = np.inf

    def rows_of(windows):
        return (kernels.transform(channels(windows[0])) - centre) / spread

    y, weight = problem.y, problem.weight
    if problem.task == "multiclass":
        y = y[:, None] == np.arange(problem.n_outputs)
    y = 2.0 * y - 1 if problem.chances else y
    weight = weight if weight is not None and weight.ndim == 1 else None
    models = ridge_paths((train - centre) / spread, y.reshape(len(y), -1), _PENALTIES, weight)
    predict = best_ridge(problem, {"10,000 convolutions": (rows_of, models)}, _PENALTIES, record)
    return _platt(problem, predict) if problem.chances else predict


def _platt(problem, predict):
    """Scores -> chances, by a logistic curve of the validation scores: one for all steps, and of the scores of all classes together."""
    from sklearn.linear_model import LogisticRegression

    several, seen = problem.task == "multiclass", ~np.isnan(problem.y_val)
    found = predict(problem.windows_val)[seen]
    curve = LogisticRegression(C=1e6, max_iter=1000)
    curve.fit(found if several else found[:, None], problem.y_val[seen].astype(np.int64))

    def chances(windows):
        score = predict(windows)
        return (
            curve.predict_proba(score)
            if several
            else curve.predict_proba(score.reshape(-1, 1))[:, 1].reshape(score.shape)
        )

    return chances
