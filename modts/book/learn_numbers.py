"""What missing values do, measured on the simulated stays, whose truth under every gap is known: the numbers of the chapters under "Learn".

Nothing here learns by gradient: means, the simple imputers of `modts.learning` and scikit-learn's logistic regression, in a few seconds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from modts.cohorts import Cohort, load_cohort
from modts.learning import IMPUTERS, impute, score, statistics

RATE, HIDDEN, SEED = (
    0.5,
    0.1,
    0,
)  # share lost to a mechanism; share of the observed values hidden on purpose; of every draw
MECHANISMS = {  # name -> how a value gets lost, in a reader's words
    "MCAR": "by chance (MCAR)",
    "MAR": "by the pulse (MAR)",
    "MNAR": "by its own height (MNAR)",
    "informative": "by how sick (as on a ward)",
}
EXCEPTION = "only odd values noted (MNAR)"
FEATURES = {"counts": "counts alone", "values": "values alone", "both": "values and counts"}
MUCH = 0.8  # a larger share lost, to see what grows with it
RUN = 12  # hours of a gap that is one piece
DRAWS = 500  # resamples behind an interval: enough for two digits


@cache
def stays(mechanism: str = "informative") -> Cohort:
    """The same 600 stays, with values lost by one of `MECHANISMS`."""
    return load_cohort("simulated_icu", seed=SEED, mechanism=mechanism, rate=RATE)


def observed(cohort: Cohort) -> np.ndarray:
    """The share of windows in which a variable was observed at a step: (F, T)."""
    return (~np.isnan(cohort.X)).mean(0).T


@cache
def means() -> pd.DataFrame:
    """A row for each mechanism and variable: the true mean, that of the observed values, and their difference in standard deviations."""
    rows = []
    for mechanism in MECHANISMS:
        cohort = stays(mechanism)
        for f, (name, unit) in enumerate(zip(cohort.features, cohort.units, strict=True)):
            truth = cohort.truth[..., f].astype(float)
            seen = truth[~np.isnan(cohort.X[..., f])]
            bias = (seen.mean() - truth.mean()) / truth.std()
            rows.append((mechanism, name, unit, truth.mean(), seen.mean(), bias, 1 - seen.size / truth.size))
    return pd.DataFrame(rows, columns=["mechanism", "variable", "unit", "true", "seen", "bias", "missing"])


def by_exception(truth: np.ndarray, rate: float = RATE, seed: int = SEED) -> np.ndarray:
    """Hide values the nearer they are to the middle of their variable, as where only the unusual is written down: (N, T, F) with NaN."""
    rank = truth.reshape(-1, truth.shape[2]).argsort(0).argsort(0).reshape(truth.shape) / (truth[..., 0].size - 1)
    chance = 2 * rate * (1 - 2 * np.abs(rank - 0.5))  # mean `rate`; 0 at both ends
    return np.where(np.random.default_rng([seed, 1]).random(truth.shape) < chance, np.float32(np.nan), truth)


def hide(X: np.ndarray, rate: float = HIDDEN, run: int = 1, seed: int = SEED) -> np.ndarray:
    """A copy with about this share of the cells hidden, one by one or in runs of so many steps."""
    starts = np.random.default_rng([seed, 2]).random(X.shape) < 1 - (1 - rate) ** (1 / run)
    hidden = starts.copy()
    for step in range(1, run):
        hidden[:, step:] |= starts[:, :-step]
    return np.where(hidden, np.float32(np.nan), X)


def _errors(
    X: np.ndarray, hidden: np.ndarray, truth: np.ndarray, imputer: str
) -> dict[str, tuple[float, float, float]]:
    """An imputer's error, in standard deviations, on hidden values ("scored") and under the gaps that X had before ("true")."""
    middle, spread = np.nanmean(hidden, axis=(0, 1)), truth.std((0, 1))  # what was hidden has no part in the filling
    filled, known = impute(imputer, hidden, middle) / spread, truth / spread
    cells = {"scored": np.isnan(hidden) & ~np.isnan(X), "true": np.isnan(X)}
    return {kind: score("imputation", known, filled, mask=where, n_boot=DRAWS)["mae"] for kind, where in cells.items()}


@cache
def imputers() -> pd.DataFrame:
    """A row for each mechanism, simple imputer and kind of cell (hidden on purpose, or missing from the start): its mean absolute error."""
    rows = []
    for mechanism in (*MECHANISMS, EXCEPTION):
        truth = stays().truth
        X = by_exception(truth) if mechanism == EXCEPTION else stays(mechanism).X
        hidden = hide(X)
        for name in IMPUTERS:
            for kind, values in _errors(X, hidden, truth, name).items():
                rows.append((mechanism, name, kind, *values))
    return pd.DataFrame(rows, columns=["mechanism", "imputer", "kind", "value", "low", "high"])


@cache
def pulse() -> dict[str, float]:
    """Interpolation's error on "scored" and "true" cells where the pulse decides (MAR) and `MUCH` is lost."""
    cohort = load_cohort("simulated_icu", seed=SEED, mechanism="MAR", rate=MUCH)
    found = _errors(cohort.X, hide(cohort.X), cohort.truth, "Linear interpolation")
    return {kind: value for kind, (value, *_) in found.items()}


def distances(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hours since the last seen value and until the next one, (N, T, F) each; as many as a stay has where there is none."""
    steps, hours = seen.shape[1], np.arange(seen.shape[1])[None, :, None]
    before = hours - np.maximum.accumulate(np.where(seen, hours, -steps), axis=1)
    after = np.minimum.accumulate(np.where(seen, hours, 2 * steps)[:, ::-1], axis=1)[:, ::-1] - hours
    return np.minimum(before, steps), np.minimum(after, steps)


@cache
def ward() -> dict[str, dict[str, float]]:
    """Why gaps are harder than hidden values as on a ward, each for "scored" and "true" cells: interpolation's error ("all"), its error among
    cells of the same variable and as far from their neighbours ("alike"), the hours to the nearest seen value ("near")."""
    X, truth = stays().X, stays().truth
    hidden = hide(X)
    before, after = distances(~np.isnan(hidden))
    off = np.abs(impute("Linear interpolation", hidden, np.nanmean(hidden, axis=(0, 1))) - truth) / truth.std((0, 1))
    kind = np.where(np.isnan(X), "true", np.where(np.isnan(hidden), "scored", ""))
    cells = pd.DataFrame({"variable": np.broadcast_to(np.arange(X.shape[2]), X.shape).ravel(), "kind": kind.ravel()})
    cells["before"], cells["after"], cells["off"] = before.ravel(), after.ravel(), off.ravel()
    cells["near"] = cells[["before", "after"]].min(axis=1)
    cells = cells[cells["kind"] != ""]
    groups = (
        cells.groupby(["variable", "before", "after", "kind"])["off"].agg(["mean", "size"]).unstack("kind").dropna()
    )
    alike = {name: np.average(groups["mean", name], weights=groups["size", "true"]) for name in ("scored", "true")}
    means = cells.groupby("kind")[["off", "near"]].mean()
    return {"all": means["off"].to_dict(), "alike": alike, "near": means["near"].to_dict()}


@cache
def rates() -> pd.DataFrame:
    """Interpolation's error on hidden values, by how much was hidden and whether one by one or in runs."""
    X, truth = stays().X, stays().truth
    rows = []
    for run in (1, RUN):
        for rate in (0.05, 0.1, 0.3, 0.6):
            rows.append((run, rate, *_errors(X, hide(X, rate, run), truth, "Linear interpolation")["scored"]))
    return pd.DataFrame(rows, columns=["run", "rate", "value", "low", "high"])


def describe(X: np.ndarray) -> dict[str, np.ndarray]:
    """What the regression reads of each stay: how often each variable was measured, its mean and last value, or both: (N, D) each."""
    by_name = statistics(X).reshape(len(X), -1, X.shape[2])
    counts, values = by_name[:, 6], np.concatenate([by_name[:, 0], by_name[:, 5]], axis=1)
    return {"counts": counts, "values": values, "both": np.concatenate([values, counts], axis=1)}


def _predicted(learnt: np.ndarray, asked: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """AUROC with its interval; every stay is predicted by a logistic regression that has not seen it (five folds)."""
    from sklearn.linear_model import LogisticRegression  # here, as scikit-learn takes a second to import
    from sklearn.model_selection import StratifiedKFold

    chance = np.zeros(len(y))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=SEED).split(learnt, y):
        middle, spread = np.nanmean(learnt[train], axis=0), np.nanstd(learnt[train], axis=0)
        spread[spread < 1e-9] = 1.0
        z = [np.nan_to_num((part - middle) / spread) for part in (learnt[train], asked[test])]
        chance[test] = LogisticRegression(C=0.1, max_iter=2000).fit(z[0], y[train]).predict_proba(z[1])[:, 1]
    return score("classification", y, chance, n_boot=DRAWS)["auroc"]


@cache
def predictions() -> pd.DataFrame:
    """AUROC of death: a row for each mechanism ("complete": nothing is lost) and each of `FEATURES`.

    "moved": learnt where the sicker are measured more, asked where everyone is measured alike.
    """
    rows, y = [], stays().y
    data = {"complete": stays().truth} | {mechanism: stays(mechanism).X for mechanism in MECHANISMS}
    described = {name: describe(X) for name, X in data.items()}
    for kind in FEATURES:
        for name, tables in described.items():
            if not (name == "complete" and kind != "values"):  # all counts are the same there
                rows.append((name, kind, *_predicted(tables[kind], tables[kind], y)))
        rows.append(("moved", kind, *_predicted(described["informative"][kind], described["MCAR"][kind], y)))
    return pd.DataFrame(rows, columns=["mechanism", "features", "value", "low", "high"])
