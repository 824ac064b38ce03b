"""Scores: the one definition of every metric, as a function of *how often each stay counts*.

So one matrix of resample multiplicities (B resamples, N stays) gives all bootstrap values at once (see `intervals`).

AUROC is the tie-corrected Mann-Whitney statistic (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747); AUPRC
is average precision, the step sum of scikit-learn, not the trapezoid (Davis and Goadrich 2006,
doi:10.1145/1143844.1143874); intervals are percentile bootstraps over stays (Efron and Tibshirani 1993), stratified by
class for classification. Of several classes, labels or steps: see `several`.
"""

import numpy as np

from modts.cohorts import TASKS
from modts.errors import ModtsError

METRICS = {  # the first is what notebooks show
    "classification": ("auroc", "auprc"),
    "multiclass": ("auroc", "auprc", "accuracy"),
    "multilabel": ("auroc", "auprc"),
    "stepwise": ("auroc", "auprc"),
    "regression": ("mae", "mse"),
    "imputation": ("mae", "mse"),
}
MORE = {
    name: ("brier",) if task.probability else ("r2",) for name, task in TASKS.items()
}  # asked for by name, in no table of ours
HIGHER_IS_BETTER = {
    "auroc": True, "auprc": True, "accuracy": True, "brier": False, "mae": False, "mse": False, "r2": True,
}  # fmt: skip


def auroc(y, p, task="classification"):
    """Area under the ROC curve: the chance that a positive stay is scored above a negative one, ties counting half.

    Parameters
    ----------
    y : (N,) array of {0, 1}
    p : (N,) array of float
        Probability, logit or any other score that grows with the chance of class 1.
    task : {"classification", "multiclass", "multilabel", "stepwise"}
        "multiclass": y (N,) numbers of classes and p (N, K), each class against the rest, the mean over classes. "multilabel": y and p (N, K),
        the mean over labels. "stepwise": y and p (N, T), all steps together. NaN in y where not known.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ModtsError
        Only one class in `y` (or a class without a stay), labels other than 0 and 1, shapes that differ, or a score that is not a finite number.

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return _once(task, "auroc", y, p)


def auprc(y, p, task="classification"):
    """Area under the precision-recall curve as average precision; parameters and errors as in `auroc`.

    Examples
    --------
    >>> round(auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _once(task, "auprc", y, p)


def auprc_trapezoid(y, p):
    """The same area by straight lines between the points of the curve, as PyPOTS and TSI-Bench give it; never used for a score here.

    Those lines are not attainable (Davis and Goadrich 2006). Classification alone; parameters and errors as in `auroc`.

    Examples
    --------
    >>> round(auprc_trapezoid([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.7917
    """
    ranked = _Ranked(y, p)
    positive, every = (np.add.reduceat(w, ranked.starts)[::-1] for w in (ranked.positive, np.ones(ranked.n)))
    recall = np.r_[0, np.cumsum(positive) / positive.sum()]
    precision = np.r_[1, np.cumsum(positive) / np.cumsum(every)]
    return float(np.trapezoid(precision, recall))


def accuracy(y, p):
    """Share of stays whose likeliest class is theirs: y (N,) numbers of classes, p (N, K) probabilities.

    Examples
    --------
    >>> accuracy([0, 1, 2], [[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3]]).__round__(3)
    0.667
    """
    return _once("multiclass", "accuracy", y, p)


def brier(y, p, task="classification"):
    """Brier score: the mean squared error of a probability, 0 at best (Brier 1950); it sees calibration, which AUROC does not.

    Parameters
    ----------
    y : (N,) array of {0, 1}
    p : (N,) array of float in [0, 1]
        Probability of class 1.
    task
        As in `auroc`; of several classes, Brier's own sum over classes (0 to 2).

    Returns
    -------
    float

    Raises
    ------
    ModtsError
        As in `auroc`, or something that is no probability.

    Examples
    --------
    >>> brier([0, 0, 1, 1], [0.0, 0.5, 0.5, 1.0])
    0.125
    """
    return _once(task, "brier", y, _probability(p))


def reliability(y, p, bins=10, task="classification"):
    """Reliability curve: in groups of stays with alike probabilities, how often the event came.

    Parameters
    ----------
    y, p
        As in `brier`.
    bins : int
        Groups of nearly equal size, by rising probability; equal probabilities stay in one group, so there may be fewer.
    task
        As in `auroc`: several classes (each against the rest) or labels have a curve each, in a list; all steps have one together, whose
        interval takes them for independent and is too narrow.

    Returns
    -------
    dict of str to (bins,) array, or a list of them
        predicted (mean probability), observed (share of class 1), low, high (its 95 % interval, Wilson 1927), n (stays).

    Raises
    ------
    ModtsError
        As in `brier`, or fewer than one group.

    Examples
    --------
    >>> curve = reliability([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8], bins=2)
    >>> curve["predicted"].round(2).tolist(), curve["observed"].tolist(), curve["n"].tolist()
    ([0.2, 0.7], [0.0, 1.0], [2, 2])
    """
    p = _probability(p)
    if task != "classification":
        each = scorer(task, y, p)
        curves = [reliability(one.y, one.p, bins) for one in (each.each if task != "stepwise" else [each.cells])]
        return curves if task != "stepwise" else curves[0]
    y = _Ranked(y, p).y
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ModtsError(f"A reliability curve needs 1 group or more, not {bins!r}.")
    group = np.searchsorted(np.quantile(p, np.arange(1, bins) / bins), p, side="right")
    _, group = np.unique(group, return_inverse=True)
    n = np.bincount(group)
    predicted, observed = np.bincount(group, p) / n, np.bincount(group, y) / n
    z2 = 1.959963984540054**2
    centre = (observed + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (observed * (1 - observed) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return {"predicted": predicted, "observed": observed, "low": centre - half, "high": centre + half, "n": n}


def _probability(p):
    p = np.asarray(p, dtype=np.float64)
    if p.size and (p.min() < 0 or p.max() > 1):
        raise ModtsError(f"Probabilities lie in 0 to 1, but these reach from {p.min():.4g} to {p.max():.4g}: logits?")
    return p


def r2(y, p, mask=None):
    """Coefficient of determination: 1 at best, 0 for the mean of the scored targets, which must differ; see `mae`.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    value = _once("regression", "r2", y, p, mask)
    if np.isnan(value):
        raise ModtsError("R2 needs scored targets that differ, but all of them are alike.")
    return value


def mae(y, p, mask=None):
    """Mean absolute error over the scored cells, in the units of `y` (z-scores in all our tables).

    Parameters
    ----------
    y, p : (N, ...) arrays of float, one shape
    mask : (N, ...) array of bool, optional
        True where a cell is scored. Cells where `y` is NaN are never scored.

    Returns
    -------
    float

    Raises
    ------
    ModtsError
        Nothing to score, shapes that differ, or a prediction that is not finite in a scored cell.

    Examples
    --------
    >>> mae([[1.0, float("nan")], [3.0, 4.0]], [[2.0, 9.0], [3.0, 2.0]])
    1.0
    """
    return _once("regression", "mae", y, p, mask)


def mse(y, p, mask=None):
    """Mean squared error over the scored cells; parameters and errors as in `mae`."""
    return _once("regression", "mse", y, p, mask)


def many(task, y, p, mask=None):
    """Early stopping's score of many models at once: AUROC, or mean squared error, of every row of `p`.

    Parameters
    ----------
    task : str
    y : (N,) of {0, 1} or numbers of classes, each of which occurs, or (N, K) targets
    p : (M, N) or (M, N, K) array of float; for several classes their probabilities
    mask : (N, K) array of bool, optional
        True where a cell is scored.

    Returns
    -------
    (M,) float64, each value as `auroc` or `mse` gives it for that row; NaN where a row is not finite

    Examples
    --------
    >>> many("classification", [0, 0, 1, 1], [[0.1, 0.4, 0.35, 0.8], [1, 1, 1, 1]]).tolist()
    [0.75, 0.5]
    """
    y, p = np.asarray(y), np.asarray(p)
    if task == "multiclass":
        return np.mean([many("classification", y == c, p[:, :, c]) for c in range(p.shape[2])], axis=0)
    if task in ("multilabel", "stepwise"):
        seen = np.ones(y.shape, bool) if mask is None else mask
        if task == "stepwise":
            return many("classification", y[seen], p[:, seen])
        return np.mean([many("classification", y[s, k], p[:, s, k]) for k, s in enumerate(seen.T)], axis=0)
    if task != "classification":
        error = np.square(p - y, dtype=np.float64)
        return error.mean((1, 2)) if mask is None else np.where(mask, error, 0).sum((1, 2)) / np.count_nonzero(mask)
    import torch  # searches all rows at once

    positive, negative = (np.ascontiguousarray(p[:, y == label]) for label in (1, 0))
    negative.sort(axis=1)
    positive, negative = torch.from_numpy(positive), torch.from_numpy(negative)
    below = up_to = torch.searchsorted(negative, positive)
    if (negative.gather(1, below.clamp(max=negative.shape[1] - 1)) == positive).any():
        up_to = torch.searchsorted(negative, positive, side="right")
    value = (below + up_to).sum(1).numpy() / (2 * positive.shape[1] * negative.shape[1])  # a tie counts half
    return np.where(np.isfinite(p).all(1), value, np.nan)


class _Ranked:
    """AUROC and AUPRC of one set of predictions as functions of the stays' multiplicities."""

    def __init__(self, y, p, mask=None):
        y, p = np.asarray(y), np.asarray(p, dtype=np.float64)
        if y.ndim != 1 or p.shape != y.shape:
            raise ModtsError(f"Labels and scores must both have the shape (N,), but they have {y.shape} and {p.shape}.")
        found = np.unique(y)
        if not np.isin(found, (0, 1)).all():
            raise ModtsError(
                f"Labels must be 0 or 1, but {found[~np.isin(found, (0, 1))][:5].tolist()} was found: encode them."
            )
        if len(found) < 2:
            raise ModtsError(
                f"AUROC and AUPRC need both classes, but all {len(y)} labels are {found.astype(int).tolist()}: score a "
                "test set that holds stays of both."
            )
        if not np.isfinite(p).all():
            raise ModtsError(
                f"{np.count_nonzero(~np.isfinite(p))} of {len(p)} scores are not finite: check the model's output."
            )
        self.y, self.p, self.n, self.strata = y, p, len(y), y.astype(np.int64)
        self.order = np.argsort(p, kind="stable")
        ranked = p[self.order]
        self.starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # first stay of each group of tied scores
        self.positive = (y == 1)[self.order].astype(np.float64)

    def values(self, weights, metrics):
        """(B, N) multiplicities -> {metric: (B,)}."""
        every = weights[:, self.order]
        positive = every * self.positive
        if len(self.starts) < self.n:
            every, positive = (
                np.add.reduceat(w, self.starts, axis=1) for w in (every, positive)
            )  # (B, groups of ties)
        total = positive.sum(1)
        out = {}
        if "auroc" in metrics:
            negative = every - positive
            below = np.cumsum(negative, axis=1) - 0.5 * negative
            out["auroc"] = (positive * below).sum(1) / (total * negative.sum(1))
        if "auprc" in metrics:
            positive, every = positive[:, ::-1], every[:, ::-1]  # from the highest score down
            precision = np.cumsum(positive, axis=1) / np.maximum(
                np.cumsum(every, axis=1), 1
            )  # none counted yet: adds nothing
            out["auprc"] = (positive * precision).sum(1) / total
        if "brier" in metrics:
            out["brier"] = weights @ np.square(self.p - self.y) / weights.sum(1)
        return out


class _Errors:
    """MAE and MSE of one set of predictions as functions of the stays' multiplicities."""

    def __init__(self, y, p, mask=None):
        y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
        if p.shape != y.shape or y.ndim < 1:
            raise ModtsError(
                f"Targets and predictions must have one shape (N, ...), but they have {y.shape} and {p.shape}."
            )
        scored = ~np.isnan(y)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != y.shape:
                raise ModtsError(
                    f"The mask of scored cells must have the shape of the targets {y.shape}, but it has {mask.shape}."
                )
            scored &= mask.astype(bool)
        if not scored.any():
            raise ModtsError(
                f"MAE and MSE need at least one observed target, but none of the {y.size} cells is scored."
            )
        error = np.where(scored, p - np.where(scored, y, 0), 0)
        if not np.isfinite(error).all():
            bad = np.count_nonzero(~np.isfinite(error))
            raise ModtsError(f"{bad} of {scored.sum()} scored predictions are not finite: check the model's output.")
        cells = (len(y), -1)
        self.y, self.n = y, len(y)
        self.count = scored.reshape(cells).sum(1).astype(np.float64)
        self.sums = {"mae": np.abs(error).reshape(cells).sum(1), "mse": np.square(error).reshape(cells).sum(1)}
        self.targets = np.where(scored, y - y[scored].mean(), 0).reshape(
            cells
        )  # near 0: nothing is lost in the squares
        self.strata = (self.count > 0).astype(np.int64)  # stays with nothing to score never displace the others

    def values(self, weights, metrics):
        """(B, N) multiplicities -> {metric: (B,)}."""
        count = weights @ self.count
        count[count == 0] = np.nan  # a resample with nothing to score says nothing; intervals leave it out
        out = {m: weights @ self.sums[m] / count for m in metrics if m != "r2"}
        if "r2" in metrics:
            mean = weights @ self.targets.sum(1) / count
            variance = weights @ np.square(self.targets).sum(1) / count - mean**2
            variance[variance <= 0] = np.nan  # all targets alike
            out["r2"] = 1 - weights @ self.sums["mse"] / count / variance
        return out


def scorer(task, y, p, mask=None):
    metrics_of(task)
    from .several import SCORERS  # made of _Ranked

    return SCORERS.get(task, _Ranked if task == "classification" else _Errors)(y, p, mask)


def metrics_of(task, more=False):
    if task not in METRICS:
        raise ModtsError(f"Unknown task {task!r}: choose one of {', '.join(METRICS)}.")
    return METRICS[task] + (MORE[task] if more else ())


def _once(task, metric, y, p, mask=None):
    scored = scorer(task, y, p, mask)
    return float(scored.values(np.ones((1, scored.n)), (metric,))[metric][0])
