"""Resampling: which splits, which draws of labels and which stays count in a bootstrap, and how often each.

Three levels, one inside the other: splits with replacement, in each of them draws of labels with replacement, and stays (within their class) or,
where windows follow each other in time, blocks of consecutive windows (Politis and Romano 1992). Everything that is compared is scored on the
same resamples.
"""

import numpy as np

from modts.errors import ModtsError

CELLS = 4_000_000  # at most this many multiplicities in memory at once (32 MB): resamples are drawn in chunks
QUICK_CELLS = 250_000  # of float32: a chunk stays in a core's cache


def draw(rng, strata, n_boot, dtype=np.float64):
    """Multiplicities of a bootstrap that resamples within each stratum: (n_boot, N), each row sums to N."""
    picks, at = np.empty((n_boot, len(strata)), np.int64), 0
    for stratum in np.unique(strata):
        where = np.flatnonzero(strata == stratum)
        size = len(where)
        np.take(where, rng.integers(0, size, (n_boot, size)), out=picks[:, at : at + size], mode="clip")
        at += size
    return _counts(picks, len(strata)).astype(dtype)


def draw_blocks(rng, strata, n_boot, length, dtype=np.float64):
    """The same from blocks of `length` windows that follow each other, round the end to the start; stratum 0 has nothing to score and stays."""
    where = np.flatnonzero(strata)
    size = len(where)
    if not 1 <= length <= max(1, size // 2):
        raise ModtsError(
            f"A block must hold 1 to {max(1, size // 2)} of the {size} windows that are scored, not {length}: longer "
            "blocks leave nothing to resample."
        )
    starts = rng.integers(0, size, (n_boot, -(-size // length)))
    picks = ((starts[:, :, None] + np.arange(length)) % size).reshape(n_boot, -1)[:, :size]
    weights = np.ones((n_boot, len(strata)), dtype)
    weights[:, where] = _counts(picks, size)
    return weights


def _counts(picks, size):
    """How often each of `size` places is picked in each row; `picks` are shifted in place."""
    rows = len(picks)
    picks += size * np.arange(rows)[:, None]
    return np.bincount(picks.ravel(), minlength=rows * size).reshape(rows, size)


def block_length(series):
    """How many consecutive windows a block should hold, from the lag-1 correlation r of what is averaged.

    Parameters
    ----------
    series : (N,) array of float
        One number a window, in the order of time, such as the difference of two models' errors. NaN: not scored.

    Returns
    -------
    int
        The length that is best for the variance of a mean of a first-order autoregression, (6 r^2 n / (1 - r^2)^2)^(1/3)
        (Carlstein 1986; Politis and White 2004 come to the same with r in place of their correlogram), at least n^(1/3) and at
        most a quarter of the n windows, rounded up.
    """
    series = np.asarray(series, dtype=np.float64)
    series = series[~np.isnan(series)]
    n, centred = len(series), series - series.mean()
    spread = centred @ centred
    r = float(np.clip(centred[1:] @ centred[:-1] / spread, 0, 0.99)) if spread > 0 else 0.0
    best = max(n, 6 * r**2 / (1 - r**2) ** 2 * n) ** (1 / 3)
    return int(np.ceil(min(best - 1e-9, max(1, n // 4))))


def levels(units, ask, n_boot, seed, block=None, dtype=np.float64, apart=None):
    """Resampled means: {name: (n_boot,)}.

    Parameters
    ----------
    units : list of list of dict
        For each split, for each of its draws of labels, {model: scorer}; all scorers of a split see the same stays.
    ask : dict
        Name of a result -> (model, metric).
    n_boot, seed : int
        Resamples, and the seed of the resampling.
    block : int, optional
        Length of the blocks of consecutive windows; without it stays are drawn one by one within their class.
    dtype : type
        Of the multiplicities; float32 is quicker (see `Ranks`).
    apart : callable, optional
        model -> its group; each group resamples the draws of a split for itself. Where these are initialisations (of a series at one
        origin), the first of one network has nothing in common with the first of another.

    Notes
    -----
    When all splits hold the very same stays they share their resample; else each drawn split has its own.
    """
    if n_boot < 1:
        raise ModtsError(f"The number of resamples must be at least 1, but it is {n_boot}.")
    rng = np.random.default_rng(seed)
    models = {}  # all that is asked of one model is computed together
    for name, (model, metric) in ask.items():
        models.setdefault(model, []).append((name, metric))
    first = [draws[0][next(iter(models))] for draws in units]
    same = all(np.array_equal(s.y, first[0].y, equal_nan=s.y.dtype.kind == "f") for s in first)
    # masks may differ between seeds of the same stays: a stay may be left empty only if it is empty for all of them
    own = [np.max([next(iter(one.values())).strata for one in draws], axis=0) for draws in units]
    strata = np.max(own, axis=0) if same else None

    groups = {}
    for model in models:
        groups.setdefault(apart(model) if apart else None, []).append(model)
    groups = list(groups.values())

    def stays(strata, rows):
        return draw(rng, strata, rows, dtype) if block is None else draw_blocks(rng, strata, rows, block, dtype)

    out = {name: np.zeros(n_boot) for name in ask}
    step = max(1, (CELLS if dtype is np.float64 else QUICK_CELLS) // max(s.n for s in first))
    for at in range(0, n_boot, step):
        rows = min(step, n_boot - at)
        shared = stays(strata, rows) if same else None
        slots = rng.integers(0, len(units), (rows, len(units))) if len(units) > 1 else np.zeros((rows, 1), int)
        for index, draws in enumerate(units):
            # the resamples in which this split was drawn, once per time it was drawn
            where = np.nonzero(slots == index)[0]
            if not len(where):
                continue
            unique, back = np.unique(where, return_inverse=True)
            # the same stays: one resample however often the split is drawn; other stays: a fresh resample each time
            weights, spread = (shared[unique], back) if same else (stays(own[index], len(where)), slice(None))
            several = len(draws) > 1
            for group in groups:
                times = rng.multinomial(len(draws), [1 / len(draws)] * len(draws), len(where)) if several else None
                for place, scorers in enumerate(draws):
                    for model in group:
                        values = scorers[model].values(weights, [metric for _, metric in models[model]])
                        for name, metric in models[model]:
                            value = values[metric][spread] / len(units)
                            if several:
                                value = value * times[:, place] / len(draws)
                            np.add.at(out[name], at + where, value)
    return out


class Ranks:
    """AUROC and AUPRC of a `scores._Ranked` in single precision, for many resamples; a test holds them to its own.

    Both need the negatives only as counts between the scores of the positives, which are few.
    """

    METRICS = ("auroc", "auprc")

    def __init__(self, ranked):
        self.y, self.n, self.strata = ranked.y, ranked.n, ranked.strata
        group = np.cumsum(np.bincount(ranked.starts, minlength=self.n)) - 1  # of tied scores, in the order of scores
        positive = ranked.positive > 0
        self.positives, self.negatives = ranked.order[positive], ranked.order[~positive]
        mine, theirs = group[positive], group[~positive]
        below, up_to = (np.searchsorted(theirs, mine, side) for side in ("left", "right"))
        self.lower = np.searchsorted(mine, mine, "left")  # positives that score below this one
        edges = np.unique(np.r_[0, below, up_to, len(theirs)])
        self.below, self.up_to = np.searchsorted(edges, below), np.searchsorted(edges, up_to)
        self.segments = edges[:-1]

    def values(self, weights, metrics):
        """(B, N) float32 multiplicities -> {metric: (B,)}."""
        positive = weights.take(self.positives, axis=1)
        between = np.add.reduceat(weights.take(self.negatives, axis=1), self.segments, axis=1)
        negative = _running(between)  # (B, edges): negatives below each edge
        total, others = positive.sum(1), negative[:, -1]
        below = negative.take(self.below, axis=1)
        out = {}
        if "auroc" in metrics:
            wins = positive * (below + negative.take(self.up_to, axis=1))  # whole numbers, exact
            out["auroc"] = wins.sum(1, dtype=np.float64) / (2.0 * total * others)
        if "auprc" in metrics:
            found = total[:, None] - _running(positive).take(self.lower, axis=1)
            precision = found / np.maximum(found + others[:, None] - below, 1)
            out["auprc"] = (positive * precision).sum(1, dtype=np.float64) / total
        return out


def _running(parts):
    """Sums of all that stands before each column, and of all: (B, K) -> (B, K + 1)."""
    out = np.zeros((len(parts), parts.shape[1] + 1), parts.dtype)
    np.cumsum(parts, axis=1, out=out[:, 1:])
    return out
