"""Scores with intervals, and paired tests between two models on the same stays.

The idea: every metric is written as a function of *how often each stay counts*, so one matrix of resample
multiplicities (B resamples, N stays) gives all bootstrap values at once, and two models compared on the same stays
simply share that matrix.

AUROC is the tie-corrected Mann-Whitney statistic (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747); AUPRC
is average precision, the step sum of scikit-learn, not the trapezoid (Davis and Goadrich 2006,
doi:10.1145/1143844.1143874); intervals are percentile bootstraps over stays (Efron and Tibshirani 1993), stratified by
class for classification.
"""

import numpy as np

from modts.errors import ModtsError

METRICS = {"classification": ("auroc", "auprc"), "regression": ("mae", "mse"), "imputation": ("mae", "mse")}
HIGHER_IS_BETTER = {"auroc": True, "auprc": True, "mae": False, "mse": False}

_CELLS = 4_000_000  # at most this many multiplicities in memory at once (32 MB): resamples are drawn in chunks


def auroc(y, p):
    """Area under the ROC curve: the chance that a positive stay is scored above a negative one, ties counting half.

    Parameters
    ----------
    y : (N,) array of {0, 1}
    p : (N,) array of float
        Probability, logit or any other score that grows with the chance of class 1.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ModtsError
        Only one class in `y`, labels other than 0 and 1, shapes that differ, or a score that is not a finite number.

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return _once("classification", "auroc", y, p)


def auprc(y, p):
    """Area under the precision-recall curve as average precision; parameters and errors as in `auroc`.

    Examples
    --------
    >>> round(auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _once("classification", "auprc", y, p)


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
    task : "classification" or "regression"
    y : (N,) of {0, 1} with both classes, or (N, K) targets
    p : (M, N) or (M, N, K) array of float
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


def score(task, y, p, mask=None, n_boot=1000, seed=0):
    """All metrics of a task on one test set, each with a 95 % percentile bootstrap interval over stays.

    Parameters
    ----------
    task : {"classification", "regression", "imputation"}
    y, p : arrays whose first axis is the stay (or the window of a series)
    mask : array of bool, optional
        See `mae`; not used in classification.
    n_boot : int
        Resamples.
    seed : int
        Seed of the resampling: same seed, same interval.

    Returns
    -------
    dict of str to (value, low, high)
        In classification both classes keep their size in every resample, so no resample is undefined.

    Raises
    ------
    ModtsError
        Unknown task, or a metric that is undefined (see `auroc`, `mae`).
    """
    return score_seeds(task, [(y, p, mask)], n_boot=n_boot, seed=seed)


def score_seeds(task, items, n_boot=1000, seed=0):
    """The mean of each metric over seeds, with the interval of a two-level bootstrap: first seeds, then stays.

    Parameters
    ----------
    task : {"classification", "regression", "imputation"}
    items : list of (y, p) or (y, p, mask)
        One entry a seed.
    n_boot, seed : int
        See `score`.

    Returns
    -------
    dict of str to (mean, low, high)

    Notes
    -----
    When every entry has the very same `y` (seeds that differ in initialisation only, series split by time), the entries
    are the same stays and share their resample; else each drawn seed resamples its own. With few seeds the two levels
    count the luck of the stays partly twice; test sets of different split seeds also overlap (20 % of stays in a
    64/16/20 split), which needs about that much more width: the interval is honest rather than tight.
    """
    metrics = _metrics(task)
    seeds = [{m: s for m in metrics} for s in (_scorer(task, *item) for item in _listed(items, 2, 3))]
    draws = _two_level(seeds, metrics, n_boot, seed)
    return {m: (_mean_value(seeds, m), *_interval(draws[m])) for m in metrics}


def paired(task, metric, y, p_a, p_b, mask=None, n_boot=2000, seed=0):
    """Is model a different from model b on the same stays? Both are scored on the same resamples.

    Parameters
    ----------
    task, y, mask, n_boot, seed
        See `score`.
    metric : str
        One metric of the task.
    p_a, p_b : arrays
        Predictions of the two models for the same stays.

    Returns
    -------
    dict with difference (a - b), low, high (95 % interval of the difference) and p
        p is two-sided: twice the smaller share of resampled differences at or beyond zero, at least 2 / (n_boot + 1).

    Raises
    ------
    ModtsError
        Unknown task or metric, or an undefined metric.
    """
    return paired_seeds(task, metric, [(y, p_a, p_b, mask)], n_boot=n_boot, seed=seed)


def paired_seeds(task, metric, items, n_boot=2000, seed=0):
    """`paired` over several seeds at once: the mean difference, resampling seeds and then stays as in `score_seeds`.

    Parameters
    ----------
    items : list of (y, p_a, p_b) or (y, p_a, p_b, mask)
        One entry a seed.
    """
    if metric not in _metrics(task):
        raise ModtsError(
            f"Metric {metric!r} does not belong to the task {task!r}: choose one of {', '.join(_metrics(task))}."
        )
    seeds = []
    for y, p_a, p_b, *mask in _listed(items, 3, 4):
        seeds.append({"a": _scorer(task, y, p_a, *mask), "b": _scorer(task, y, p_b, *mask)})
    draws = _two_level(seeds, ("a", "b"), n_boot, seed, metric)
    change = draws["a"] - draws["b"]
    value = _mean_value(seeds, "a", metric) - _mean_value(seeds, "b", metric)
    low, high = _interval(change)
    tail = min(np.count_nonzero(change <= 0), np.count_nonzero(change >= 0))
    return {"difference": value, "low": low, "high": high, "p": float(min(1.0, 2 * (tail + 1) / (len(change) + 1)))}


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
        self.y, self.n, self.strata = y, len(y), y.astype(np.int64)
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
        self.strata = (self.count > 0).astype(np.int64)  # stays with nothing to score never displace the others

    def values(self, weights, metrics):
        """(B, N) multiplicities -> {metric: (B,)}."""
        count = weights @ self.count
        count[count == 0] = np.nan  # a resample with nothing to score says nothing; intervals leave it out
        return {m: weights @ self.sums[m] / count for m in metrics}


def _scorer(task, y, p, mask=None):
    _metrics(task)
    return (_Ranked if task == "classification" else _Errors)(y, p, mask)


def _metrics(task):
    if task not in METRICS:
        raise ModtsError(f"Unknown task {task!r}: choose one of {', '.join(METRICS)}.")
    return METRICS[task]


def _once(task, metric, y, p, mask=None):
    scorer = _scorer(task, y, p, mask)
    return float(scorer.values(np.ones((1, scorer.n)), (metric,))[metric][0])


def _listed(items, fewest, most):
    items = [tuple(item) for item in items]
    if not items:
        raise ModtsError("There are no seeds to score: give at least one (labels, predictions).")
    for item in items:
        if not fewest <= len(item) <= most:
            raise ModtsError(f"Each seed must be a tuple of {fewest} to {most} arrays, but one has {len(item)}.")
    return items


def _draw(rng, strata, n_boot):
    """Multiplicities of a bootstrap that resamples within each stratum: (n_boot, N), each row sums to N."""
    weights = np.empty((n_boot, len(strata)))
    for stratum in np.unique(strata):
        where = np.flatnonzero(strata == stratum)
        size = len(where)
        picks = rng.integers(0, size, (n_boot, size)) + size * np.arange(n_boot)[:, None]
        weights[:, where] = np.bincount(picks.ravel(), minlength=n_boot * size).reshape(n_boot, size)
    return weights


def _two_level(seeds, names, n_boot, seed, metric=None):
    """Resampled means over seeds: {name: (n_boot,)}. `seeds`: a {name: scorer} a seed, over the same stays."""
    if n_boot < 1:
        raise ModtsError(f"The number of resamples must be at least 1, but it is {n_boot}.")
    rng = np.random.default_rng(seed)
    first = [entry[names[0]] for entry in seeds]
    same = all(np.array_equal(s.y, first[0].y, equal_nan=s.y.dtype.kind == "f") for s in first)
    # masks may differ between seeds of the same stays: a stay may be left empty only if it is empty for all of them
    strata = np.max([s.strata for s in first], axis=0) if same else None
    out = {name: np.zeros(n_boot) for name in names}
    step = max(1, _CELLS // max(s.n for s in first))
    for at in range(0, n_boot, step):
        rows = min(step, n_boot - at)
        shared = _draw(rng, strata, rows) if same else None
        slots = rng.integers(0, len(seeds), (rows, len(seeds))) if len(seeds) > 1 else np.zeros((rows, 1), int)
        for index, entry in enumerate(seeds):
            where = np.nonzero(slots == index)[
                0
            ]  # the resamples in which this seed was drawn, once per time it was drawn
            if not len(where):
                continue
            unique, back = np.unique(where, return_inverse=True)
            # the same stays: one resample however often the seed is drawn; other stays: a fresh resample each time
            weights, spread = (
                (shared[unique], back) if same else (_draw(rng, first[index].strata, len(where)), slice(None))
            )
            groups = {}  # names that read the same scorer (all metrics of one model) are computed together
            for name in names:
                groups.setdefault(id(entry[name]), []).append(name)
            for group in groups.values():
                wanted = [metric or name for name in group]
                values = entry[group[0]].values(weights, wanted)
                for name, key in zip(group, wanted, strict=True):
                    np.add.at(out[name], at + where, values[key][spread] / len(seeds))
    return out


def _mean_value(seeds, name, metric=None):
    metric = metric or name
    return float(np.mean([e[name].values(np.ones((1, e[name].n)), (metric,))[metric][0] for e in seeds]))


def _interval(draws):
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return float(low), float(high)
