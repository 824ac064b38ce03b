"""What every estimator of modts.sklearn does, and how known targets among unknown ones are scored."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_random_state

from modts.cohorts import codes_in, ends_of, unmasked
from modts.errors import ModtsError, notice
from modts.learning import Recipe, given_windows

from .plain import plain_windows
from .scales import held
from .suspects import long_enough, unended
from .training import settings

PADDED = "say padded=True"


def take(estimator, given: dict) -> None:
    """Set the parameters that an __init__ was given, as they are: scikit-learn's convention, and all that an __init__ may do."""
    vars(estimator).update({name: value for name, value in given.items() if name not in ("self", "__class__")})


def enough(X: np.ndarray) -> None:
    if len(X) < 2:
        raise ModtsError(f"Fitting holds out some of the windows, and X has n_samples = {len(X)}.")


def look_for_codes(X: np.ndarray, names) -> None:
    """Warn of what looks like a code for missing values among the windows of a fit."""
    each = {name: codes_in(values[~np.isnan(values)]) for name, values in zip(names, np.moveaxis(X, 2, 0), strict=True)}
    told = [f"{name!r} is {code:g} in {count} cells" for name, found in each.items() for code, count in found]
    if told:
        notice(
            f"A value far outside the others looks like a code for missing: {'; '.join(told[:5])}{' and more' if len(told) > 5 else ''}. If so, "
            "put NaN there."
        )


class Pretraining(BaseEstimator):
    """What every estimator here does: checks windows, holds some out, pretrains or finds the result of the same pretraining."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array, tags.input_tags.allow_nan = False, True, True
        return tags

    def _windows(self, X, fitting: bool = False) -> np.ndarray:
        if isinstance(X, dict):
            raise ModtsError(
                "X is a dictionary; give the windows that it holds, X['X'] as a rule, and the labels as y."
            )
        if not self.padded and isinstance(X, (list, tuple)) and len({np.shape(x)[:1] for x in X}) > 1:
            raise ModtsError(
                "X is a list of series of different lengths; say padded=True, and each ends where it ends."
            )
        X = given_windows(plain_windows(X), self.padded)
        if not self.padded and (fitting or not hasattr(self, "predictor_")):  # a predictor looks for itself
            unended(X, how=PADDED)
        if fitting:
            self.n_steps_in_, self.n_features_in_ = X.shape[1:]
            enough(X)
            long_enough(self.backbone, X.shape[1])
            names = self._names(X.shape[2])
            held(X, names)
            look_for_codes(X, names)
        return X

    def _ends(self, X: np.ndarray) -> np.ndarray | None:
        """The lengths of windows that are padded with NaN."""
        return ends_of(X) if self.padded else None

    def _names(self, n: int) -> tuple[str, ...]:
        names = tuple(f"x{i}" for i in range(n)) if self.features is None else tuple(map(str, self.features))
        if len(names) != n or len(set(names)) != n:
            raise ModtsError(f"X has {n} features, but `features` gives {len(set(names))} different names.")
        return names

    def _seed(self) -> int:
        state = self.random_state
        return int(state) if isinstance(state, (int, np.integer)) else int(check_random_state(state).randint(2**31))

    def _recipe(self, X: np.ndarray, seed: int) -> Recipe:
        given = {part.name: getattr(self, part.name) for part in fields(Recipe) if part.name != "seed"}
        settings(given)
        return Recipe(**given | {"features": self._names(X.shape[2]), "seed": seed})


def all_known(y) -> bool:
    """Whether no target is NaN."""
    y = np.asarray(unmasked(y))
    return y.dtype.kind not in "f" or not np.isnan(y).any()


def share_right(y, answer: np.ndarray, sample_weight=None) -> float:
    """Of the known labels (N, K), 0, 1 or NaN, the share on whose side of one half the answer lies."""
    y, known = _known(y, answer, sample_weight)
    return float(((answer > 0.5) == y)[known].mean())


def r2(y, answer: np.ndarray, sample_weight=None) -> float:
    """R2 of the known targets of each column of (N, K), their mean over columns; a column with fewer than two of them does not count."""
    y, known = _known(y, answer, sample_weight)
    columns = [(y[seen, k], answer[seen, k]) for k, seen in enumerate(known.T) if seen.sum() > 1]
    if not columns:
        raise ModtsError("No column has two known targets, so there is no R2.")
    return float(np.mean([r2_score(*pair) for pair in columns]))


def _known(y, answer: np.ndarray, sample_weight) -> tuple[np.ndarray, np.ndarray]:
    """(Targets, which of them are known); refuses what cannot be scored."""
    y = np.asarray(unmasked(y), dtype=float)
    if sample_weight is not None:
        raise ModtsError("Weights of samples need targets that are all known.")
    if y.shape != answer.shape or y.ndim != 2:
        raise ModtsError(f"y must have the shape of the answers, {answer.shape}, not {y.shape}.")
    known = ~np.isnan(y)
    lost = int((known & np.isnan(answer)).sum())
    if lost:
        raise ModtsError(
            f"{lost} known targets lie behind the last value of their window, where padded=True sees the end of the series and gives no answer; "
            "leave them out (NaN), or fit with padded=False."
        )
    return y, known
