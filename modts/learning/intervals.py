"""Intervals, and paired tests between models on the same stays: a bootstrap over splits, draws of labels and stays.

Intervals are percentile bootstraps over stays (Efron and Tibshirani 1993), stratified by class for classification, or over blocks of
consecutive windows for a series (see `resampling`). Models compared on the same stays share the matrix of resample multiplicities.
"""

import numpy as np

from modts.errors import ModtsError

from .resampling import Ranks, block_length, levels
from .scores import metrics_of, scorer

N_PAIRED = 20_000  # resamples of a paired test: p can be as small as 0.0001, which a family of some twenty tests can still reject


def score(task, y, p, mask=None, n_boot=1000, seed=0, block=None, names=()):
    """All metrics of a task on one test set, each with a 95 % percentile bootstrap interval over stays.

    Parameters
    ----------
    task : str
        See modts.cohorts.TASKS.
    y, p : arrays whose first axis is the stay (or the window of a series)
    mask : array of bool, optional
        See `mae`; not used in classification.
    n_boot : int
        Resamples.
    seed : int
        Seed of the resampling: same seed, same interval.
    block : int or "auto", optional
        Resample blocks of this many consecutive windows instead of single ones; for a series in the order of time. "auto" takes what
        `block_length` gives for the errors, window by window.
    names : sequence of str, optional
        Of the classes or labels: each of them is scored alone too, as "auroc of <name>".

    Returns
    -------
    dict of str to (value, low, high)
        In classification both classes keep their size in every resample, so no resample is undefined.

    Raises
    ------
    ModtsError
        Unknown task, a metric that is undefined (see `auroc`, `mae`), or blocks where they cannot be.
    """
    return score_seeds(task, [(y, p, mask)], n_boot=n_boot, seed=seed, block=block, names=names)


def score_seeds(task, items, n_boot=1000, seed=0, splits=None, block=None, names=()):
    """The mean of each metric over seeds, with the interval of a bootstrap in levels: first splits, then draws of labels, then stays.

    Parameters
    ----------
    task : str
    items : list of (y, p) or (y, p, mask)
        One entry a seed.
    n_boot, seed, block, names
        See `score`.
    splits : list, optional
        For each entry the split it belongs to. Entries of one split are draws of its labels, or initialisations, share its test stays,
        and count together as one; without it each entry is a split of its own.

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
    _check_block(task, block)
    items = _listed(items, 2, 3)
    units = _units([{"": scorer(task, *item)} for item in items], [item[0] for item in items], splits)
    said = {m: m for m in metrics} | {
        f"{m} of {name}": f"{m}:{k}" for k, name in enumerate(names) for m in metrics if m in ("auroc", "auprc")
    }
    block = _blocks(units, [[("",)]]) if block == "auto" else block
    draws = levels(units, {m: ("", m) for m in said.values()}, n_boot, seed, block)
    return {name: (_mean_value(units, "", m), *_interval(draws[m])) for name, m in said.items()}


def paired(task, metric, y, p_a, p_b, mask=None, n_boot=N_PAIRED, seed=0, block=None):
    """Is model a different from model b on the same stays? Both are scored on the same resamples.

    Parameters
    ----------
    task, y, mask, n_boot, seed, block
        See `score`.
    metric : str
        One metric of the task.
    p_a, p_b : arrays
        Predictions of the two models for the same stays.

    Returns
    -------
    dict with difference (a - b), low, high (95 % interval of the difference) and p
        p is two-sided: twice the smaller share of resampled differences at or beyond zero, and never below 2 / (n_boot + 1), which
        is 0.0001 for the 20,000 resamples taken unless told otherwise: fewer can make a correction for many tests unable to reject.

    Raises
    ------
    ModtsError
        Unknown task or metric, or an undefined metric.
    """
    return paired_seeds(task, metric, [(y, p_a, p_b, mask)], n_boot=n_boot, seed=seed, block=block)


def paired_seeds(task, metric, items, n_boot=N_PAIRED, seed=0, splits=None, block=None):
    """`paired` over several seeds at once: the mean difference, resampled in levels as in `score_seeds`.

    Parameters
    ----------
    items : list of (y, p_a, p_b) or (y, p_a, p_b, mask)
        One entry a seed.
    splits : list, optional
        See `score_seeds`.
    """
    if metric not in metrics_of(task, more=True):
        raise ModtsError(
            f"Metric {metric!r} does not belong to the task {task!r}: choose one of {', '.join(metrics_of(task, more=True))}."
        )
    items = _listed(items, 3, 4)
    entries = [(y, {"a": p_a, "b": p_b}, *mask) for y, p_a, p_b, *mask in items]
    return contrasts(task, entries, {"": [("a", "b")]}, (metric,), n_boot, seed, splits, block)[metric][""]


def contrasts(task, entries, pairs, metrics=None, n_boot=N_PAIRED, seed=0, splits=None, block=None, apart=None):
    """Differences between models, one by one and as means of several, all on the same resamples.

    Parameters
    ----------
    task : str
    entries : list of (y, {model: p}) or (y, {model: p}, mask)
        One entry a seed, or a draw of a seed's labels (see `splits`); every entry has the same models.
    pairs : dict
        Name -> list of (model a, model b): the mean of a - b over the list. A list of one is a paired test; one of several backbones
        answers for them together, with their common luck in it.
    metrics : tuple of str, optional
        Some of the task's; all unless told otherwise.
    n_boot, seed, splits
        See `paired` and `score_seeds`.
    block : int or "auto", optional
        Length of the blocks of consecutive windows; "auto" takes the longest that `block_length` gives for any of the differences.
    apart : callable, optional
        model -> its group; groups resample the draws of a split apart, where these are initialisations (see `resampling.levels`).

    Returns
    -------
    dict
        metric -> name -> dict of difference, low, high and p, as `paired` gives them.
    """
    metrics = metrics_of(task) if metrics is None else metrics
    _check_block(task, block)
    models = list(dict.fromkeys(model for some in pairs.values() for pair in some for model in pair))
    scorers = [{model: scorer(task, y, p[model], *mask) for model in models} for y, p, *mask in entries]
    units = _units(scorers, [entry[0] for entry in entries], splits)
    block = _blocks(units, pairs.values()) if block == "auto" else block
    quick = units
    if task == "classification" and set(metrics) <= set(Ranks.METRICS):
        quick = [[{name: Ranks(one) for name, one in draw.items()} for draw in draws] for draws in units]
    ask = {(model, metric): (model, metric) for model in models for metric in metrics}
    draws = levels(quick, ask, n_boot, seed, block, np.float32, apart)
    out = {}
    for metric in metrics:
        value = {model: _mean_value(units, model, metric) for model in models}
        out[metric] = {}
        for name, some in pairs.items():
            change = np.mean([draws[a, metric] - draws[b, metric] for a, b in some], axis=0)
            low, high = _interval(change)
            tail = min(np.count_nonzero(change <= 0), np.count_nonzero(change >= 0))
            out[metric][name] = {
                "difference": float(np.mean([value[a] - value[b] for a, b in some])),
                "low": low,
                "high": high,
                "p": float(min(1.0, 2 * (tail + 1) / (n_boot + 1))),
            }
    return out


def _listed(items, fewest, most):
    items = [tuple(item) for item in items]
    if not items:
        raise ModtsError("There are no seeds to score: give at least one (labels, predictions).")
    for item in items:
        if not fewest <= len(item) <= most:
            raise ModtsError(f"Each seed must be a tuple of {fewest} to {most} arrays, but one has {len(item)}.")
    return items


def _check_block(task, block):
    if block is not None and task in ("classification", "multiclass", "multilabel"):
        raise ModtsError(f"Blocks of {block} windows are for the windows of a series, not for {task}: leave it out.")


def _units(scorers, labels, splits):
    """Entries gathered by split: a list of draws for each."""
    splits = list(range(len(scorers))) if splits is None else list(splits)
    if len(splits) != len(scorers):
        raise ModtsError(
            f"There are {len(scorers)} entries to score, but {len(splits)} splits are named: name one an entry."
        )
    found = {}
    for split, entry, y in zip(splits, scorers, labels, strict=True):
        found.setdefault(split, []).append((entry, y))
        if not np.array_equal(y, found[split][0][1], equal_nan=np.asarray(y).dtype.kind == "f"):
            raise ModtsError(f"Draws of one split must share its test stays, but the labels of split {split!r} differ.")
    return [[entry for entry, _ in draws] for draws in found.values()]


def _blocks(units, asked):
    """The longest block that `block_length` gives for any list of (model,) or (model a, model b), for their errors or differences of errors."""

    def error(entry, model):
        """Window by window; NaN where nothing is scored."""
        count = entry[model].count
        return entry[model].sums["mae"] / np.where(count > 0, count, np.nan)

    def series(draws, some):
        return sum(error(entry, a) - sum(error(entry, b) for b in rest) for entry in draws for a, *rest in some)

    return max(block_length(series(draws, some)) for some in asked for draws in units)


def _mean_value(units, model, metric):
    def value(entry):
        return entry[model].values(np.ones((1, entry[model].n)), (metric,))[metric][0]

    return float(np.mean([np.mean([value(entry) for entry in draws]) for draws in units]))


def _interval(draws):
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return float(low), float(high)
