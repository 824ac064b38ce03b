"""What windows look like before they are answered: padded without lengths, without any value, in another unit."""

from __future__ import annotations

import numpy as np

from modts import runs
from modts.cohorts import KNOWN_CODES, ends_of, unmasked
from modts.errors import ModtsError, notice

LENGTHS = "give lengths=, which are in Cohort.lengths_of(part) or windows_from_table(...).lengths"
SOME = 128  # windows that are enough to see how they end
TAIL, CHANCE, SHARE = 3, 1e-3, 0.02  # steps, how likely gaps alone would make them, and of how many windows
LEAST = {"SAITS": 2, "TimesNet": 4}  # steps; of fewer SAITS answers NaN, and TimesNet finds no period
FEW = 32  # windows; of more, Backbone.check compares mean and spread of all
FAR, APART, TIMES = (
    8,
    3,
    6,
)  # deviations; deviations of what is also so many times the training mean, or so small a part of it


def long_enough(name, n_steps: int) -> None:
    """Refuse windows that are too short for a backbone of the table."""
    if n_steps < LEAST.get(name, 1):
        raise ModtsError(f"{name} needs windows of {LEAST[name]} steps or more, and these have {n_steps}.")


def windows_of(X) -> np.ndarray | None:
    """X as windows (N, T, F) of float, also a memory map; None where it is something else, which is refused elsewhere."""
    try:
        X = np.asarray(unmasked(X))
        X = X if X.dtype.kind == "f" else X.astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    return X if X.ndim == 3 and 0 not in X.shape else None


def unended(X, lengths=None, how: str = LENGTHS) -> None:
    """Warn of windows that end in more steps without any value than gaps alone would make, though no lengths are given."""
    X = windows_of(X) if lengths is None else None
    if X is None:
        return
    X = np.asarray(X[:: -(-len(X) // SOME)])
    there, ends = ~np.isnan(X).all(2), ends_of(X)
    tail, gaps = X.shape[1] - ends, ends - there.sum(1)
    usual = (gaps.sum() + 1) / (ends.sum() + 2)  # the share of empty steps before the ends
    likely = ((gaps + 2 * usual) / (ends + 2)) ** tail
    found = there.any(1) & (tail >= TAIL) & (likely < CHANCE)
    if found.any() and found.mean() >= SHARE:
        notice(
            f"{int(found.sum())} of {len(X)} windows end in steps without any value (as a rule {int(np.median(tail[found]))}). If the series "
            f"end there, {how}; otherwise these steps count as part of the series, with nothing measured, and the answers are others."
        )


def _to_the_end(X: np.ndarray, lengths) -> np.ndarray:
    """Windows without what lies behind the end of their series; lengths that do not fit are refused elsewhere."""
    lengths = None if lengths is None else np.asarray(lengths)
    if lengths is None or lengths.shape != X.shape[:1] or lengths.dtype.kind not in "iu":
        return X
    return np.where((np.arange(X.shape[1]) >= lengths[:, None])[..., None], np.nan, X)


def empty(X, lengths=None) -> None:
    """Refuse windows without any value among others: there is nothing to answer from."""
    X = windows_of(X)
    if X is None or len(X) < 2:  # one alone is refused by Backbone.check
        return
    X = _to_the_end(X, lengths)
    nothing = np.flatnonzero(np.concatenate([np.isnan(part).all((1, 2)) for part in runs.parts(X)]))
    if 0 < len(nothing) < len(X):
        raise ModtsError(
            f"{len(nothing)} of {len(X)} windows hold no value (first: window {nothing[0]}), so there is nothing to answer from; leave them out."
        )


def unlike_training(X, backbone, lengths=None) -> None:
    """Warn of what training did not see in few windows: a code for missing, or a variable in another unit."""
    if not codes_left(X, backbone, lengths):
        another_unit(X, backbone, lengths)


def codes_left(X, backbone, lengths=None) -> bool:
    """Warn of a value that is used as a code for missing (-9999), and lies where no value of training is likely to; true if there is one."""
    X = windows_of(X)
    if X is None or len(X) >= FEW or X.shape[2] != len(backbone.features):
        return False
    X = _to_the_end(X, lengths).astype(np.float64)
    scaler = backbone.scaler
    far = np.abs(X - scaler.mean) > FAR * scaler.std
    found = np.argwhere(np.isin(X, KNOWN_CODES) & far & (True if scaler.seen is None else scaler.seen))
    if not len(found):
        return False
    i, t, f = found[0]
    away = abs(X[i, t, f] - scaler.mean[f]) / scaler.std[f]
    notice(
        f"{backbone.features[f]!r} of window {i} is {X[i, t, f]:g} at step {t}, {away:,.0f} deviations from training's mean ({len(found)} such "
        "cells): if that is a code for missing, put NaN there, or give windows_from_table missing=."
    )
    return True


def another_unit(X, backbone, lengths=None) -> None:
    """Warn of a variable of few windows whose median lies where no training window's is likely to: in another unit, say.

    Beyond `FAR` deviations from the training mean; or beyond `APART` of them and more than `TIMES` times that mean, or less than so small a
    part of it. None of the simulated cohorts' stays is so far away.
    """
    X = windows_of(X)
    if X is None or len(X) >= FEW or X.shape[2] != len(backbone.features):
        return
    X = _to_the_end(X, lengths).astype(np.float64)
    scaler, n = backbone.scaler, (~np.isnan(X)).sum(1)
    telling = (
        (scaler.std != 1.0) & (True if scaler.seen is None else scaler.seen) & (n > 1)
    )  # 1: of a constant variable

    def far(centre, mean, std):
        away, times = np.abs(centre - mean) / std, np.divide(centre, mean, where=mean != 0, out=np.ones_like(centre))
        return (away > FAR) | ((away > APART) & ((times > TIMES) | (times < 1 / TIMES)) & (np.abs(mean) > std / 2))

    for i, f in np.argwhere(far(np.nansum(X, 1) / np.maximum(n, 1), scaler.mean, scaler.std) & telling):
        middle, mean, std = np.nanmedian(X[i, :, f]), float(scaler.mean[f]), float(scaler.std[f])
        if far(np.array(middle), np.array(mean), std):
            notice(
                f"{backbone.features[f]!r} of window {i} may be in another unit: its median is {middle:.4g}, and training has a mean of "
                f"{mean:.4g} and a deviation of {std:.4g}."
            )
            return
