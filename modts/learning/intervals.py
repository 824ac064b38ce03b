"""Intervals, and paired tests between two models on the same stays: a two-level bootstrap over seeds and stays.

Intervals are percentile bootstraps over stays (Efron and Tibshirani 1993), stratified by class for classification. Two models compared on the
same stays share the matrix of resample multiplicities.
"""

import numpy as np

from modts.errors import ModtsError

from .scores import metrics_of, scorer

_CELLS = 4_000_000  # at most this many multiplicities in memory at once (32 MB): resamples are drawn in chunks


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
    metrics = metrics_of(task)
    seeds = [{m: s for m in metrics} for s in (scorer(task, *item) for item in _listed(items, 2, 3))]
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
    if metric not in metrics_of(task, more=True):
        raise ModtsError(
            f"Metric {metric!r} does not belong to the task {task!r}: choose one of {', '.join(metrics_of(task, more=True))}."
        )
    seeds = []
    for y, p_a, p_b, *mask in _listed(items, 3, 4):
        seeds.append({"a": scorer(task, y, p_a, *mask), "b": scorer(task, y, p_b, *mask)})
    draws = _two_level(seeds, ("a", "b"), n_boot, seed, metric)
    change = draws["a"] - draws["b"]
    value = _mean_value(seeds, "a", metric) - _mean_value(seeds, "b", metric)
    low, high = _interval(change)
    tail = min(np.count_nonzero(change <= 0), np.count_nonzero(change >= 0))
    return {"difference": value, "low": low, "high": high, "p": float(min(1.0, 2 * (tail + 1) / (len(change) + 1)))}


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
