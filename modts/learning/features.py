"""What a baseline reads of a window: statistics of the values, or only what was measured, and when.

A reader is fitted on the labelled windows and then turns windows, (N, T, F) and the steps of each or None, into rows: (N, D), or (N, T, D)
for a target at every step.
"""

from __future__ import annotations

import numpy as np

from modts.backbones import Scaler, quantiles

from .gaps import around, before_after, statistics

WIDEST = 700  # columns of one step; with more, neighbouring steps are left out: minutes, no gain
# share winsorised at each end before a linear model: a single mistyped value must not tilt the plane. More than of a backbone's values: on the
# validation stays of PhysioNet 2012's set-b, three splits, .02 is worth .006 AUROC more than a backbone's .005 with z-scores cut at 6
TAILS = 0.02


def readers(problem, only_measurement=False):
    """{in words: reader} of what may be read for a problem; which is best is for validation to say."""
    if only_measurement:
        read = (
            (lambda windows: measured_around(windows[0])) if problem.every_step else lambda windows: measured(*windows)
        )
        return {"measurement": read}
    if not problem.every_step:
        return {"statistics": lambda windows: statistics(*windows)}
    scaler = Scaler.fit(problem.X)

    def values(reach):
        return lambda windows: around(scaler.transform(windows[0]).astype(np.float64), reach)

    reaches = (0, 2) if problem.X.shape[2] * 5 <= WIDEST else (0,)
    return {f"values within {reach} steps": values(reach) for reach in reaches}


def measured(X, lengths=None):
    """What was measured and how often, with no value among it.

    Parameters
    ----------
    X : (N, T, F) array with NaN = missing
    lengths : (N,) array, optional
        Steps of series that end before their window does: shares are of these, and the time since the last measurement ends there.

    Returns
    -------
    (N, 5 * F + 2) array of float64
        For each feature the share of steps observed, the same in the last quarter, the step of the first measurement, the steps since
        the last one, and the mean steps between two; then the share of cells, and the steps. NaN where there was no measurement, or only one.
    """
    ends = np.full(len(X), X.shape[1]) if lengths is None else np.asarray(lengths)
    return np.concatenate([_measured(X[at : at + 1024], ends[at : at + 1024]) for at in range(0, max(len(X), 1), 1024)])


def _measured(X, ends):
    seen, ends = ~np.isnan(X), ends[:, None]
    count = seen.sum(1)
    before, after = before_after(seen)
    first, last = (np.where(count > 0, at, np.nan) for at in (after[:, 0], before[:, -1]))
    apart = np.where(count > 1, (last - first) / np.maximum(count - 1, 1), np.nan)
    quarter = np.maximum(1, ends // 4)
    late = (seen & (np.arange(X.shape[1]) >= ends - quarter)[..., None]).sum(1) / quarter
    share = count / ends
    return np.concatenate(
        [share, late, first, ends - 1 - last, apart, share.mean(1, keepdims=True), ends], axis=1, dtype=np.float64
    )


def measured_around(X):
    """The same for each step: measured here or not, steps since the last measurement and until the next (NaN: none), the share of steps
    observed, and the step itself: (N, T, 4 * F + 1)."""
    seen, steps = ~np.isnan(X), np.arange(X.shape[1])[None, :, None]
    before, after = before_after(seen)
    since = np.where(before >= 0, steps - before, np.nan)
    until = np.where(after < X.shape[1], after - steps, np.nan)
    share = np.broadcast_to(seen.mean(1, keepdims=True), X.shape)
    return np.concatenate(
        [seen, since, until, share, np.broadcast_to(steps, (*X.shape[:2], 1))], axis=2, dtype=np.float64
    )


class Winsorised:
    """Clips at the tails of the training rows (N, D), standardises, fills with the training mean (0): all statistics of the training rows."""

    def __init__(self, train, tails=TAILS):
        some, (self.low, self.high) = ~np.isnan(train).all(0), quantiles(train, tails)
        self.mean, self.spread = np.zeros((2, train.shape[1]))
        clipped = np.clip(train, self.low, self.high)
        self.mean[some], self.spread[some] = np.nanmean(clipped[:, some], axis=0), np.nanstd(clipped[:, some], axis=0)
        self.spread[self.spread < 1e-12] = np.inf  # says nothing in training: becomes 0 everywhere

    def __call__(self, rows):
        return np.nan_to_num((np.clip(rows, self.low, self.high) - self.mean) / self.spread, nan=0.0)
