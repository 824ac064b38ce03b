"""Baselines: what a table must beat before a learned representation means anything.

Predictors are boosted trees (LightGBM, Ke et al. 2017) and linear models on quantities anyone would compute by hand:
summary statistics per feature for one label a stay, interpolated values around each step for a target at every step.
Imputers are linear interpolation, last observation carried forward and the mean. Each is meant to be as strong as a
simple baseline honestly is: hyper-parameters come from the validation split, by small grids that cost seconds; test
stays are only ever predicted.
"""

import itertools

import numpy as np

from modts.backbones import Scaler, quantiles
from modts.cohorts import TASKS
from modts.errors import ModtsError, choose

from . import scores
from .gaps import around, interpolate, statistics
from .targets import Labels

_BY_ANSWER = {"number": ("LightGBM", "Ridge regression"), "": ()}  # of probabilities else; "": nothing to predict
PREDICTORS = {name: _BY_ANSWER.get(task.answer, ("LightGBM", "Logistic regression")) for name, task in TASKS.items()}

_MEMBERS = 3  # fits of the chosen LightGBM configuration that are averaged, different only in their seed
_ROUNDS, _PATIENCE = 1500, 50
_COMMON = {"verbose": -1, "deterministic": True, "force_col_wise": True, "bagging_freq": 1, "bagging_fraction": 0.8}
_TREES = {
    "classification": (
        {"num_leaves": 15, "min_child_samples": 20, "learning_rate": 0.05, "feature_fraction": 0.3, "lambda_l2": 1.0},
        {"num_leaves": 7, "min_child_samples": 20, "learning_rate": 0.05, "feature_fraction": 0.3, "lambda_l2": 5.0},
        {"num_leaves": 4, "min_child_samples": 20, "learning_rate": 0.05, "feature_fraction": 0.3, "lambda_l2": 5.0},
        {"num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.05, "feature_fraction": 0.2, "lambda_l2": 1.0},
    ),
    "regression": (
        {"num_leaves": 7, "min_child_samples": 20, "learning_rate": 0.1, "feature_fraction": 0.8},
        {"num_leaves": 4, "min_child_samples": 20, "learning_rate": 0.1, "feature_fraction": 0.3},
        # a linear model in each leaf: physical targets (humidity from temperature) are smooth, plain trees are stairs
        {"num_leaves": 7, "min_child_samples": 20, "learning_rate": 0.1, "feature_fraction": 0.3, "linear_tree": True,
         "linear_lambda": 1.0, "max_bin": 63},
    ),
}  # fmt: skip
_INVERSE_PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 1.0)  # logistic regression's C
_PENALTIES = (0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5)  # ridge regression's alpha
# share winsorised at each end before a linear model: a single mistyped value must not tilt the plane. More than of a backbone's values: on the
# validation stays of PhysioNet 2012's set-b, three splits, .02 is worth .006 AUROC more than a backbone's .005 with z-scores cut at 6
_TAILS = 0.02
_WIDEST = 700  # features of one step; with more, neighbouring steps are left out: minutes, no gain


def fit_predict(name, cohort, labelled, seed=0, threads=1, record=None, class_weight=None):
    """Fit a baseline predictor on labelled training rows, choose its settings on validation, predict the test split.

    Parameters
    ----------
    name : str
        "LightGBM"; "Logistic regression" (classes, labels) or "Ridge regression" (numbers).
    cohort : modts.Cohort
    labelled : int array
        Rows of the training split whose labels may be used (`cohort.labelled(fraction, seed)`).
    seed : int
        Seed of the boosting; the linear models have no randomness.
    threads : int
        LightGBM's threads.
    record : dict, optional
        Filled with what was chosen and its validation score.
    class_weight
        See `labels`.

    Returns
    -------
    classification: (N_test,) float64, the chance of class 1; multiclass, multilabel, stepwise: (N_test, K), a chance of each class, label or
    step; regression: (N_test, T) float64, or (N_test,) for one number a stay, in the units of `cohort.y`

    Raises
    ------
    ModtsError
        A name that does not fit the task, or labelled rows with one class or no observed target.
    """
    if cohort.task == "imputation":
        raise ModtsError(f"Cohort {cohort.name!r} has no label to predict.")
    choose(name, PREDICTORS[cohort.task], f"baseline for {cohort.task}")
    record = {} if record is None else record
    labelled = np.asarray(labelled)
    if TASKS[cohort.task].probability:
        answer = {"multilabel": _each_label, "stepwise": _every_step}.get(cohort.task, _one_class)
        return answer(name, cohort, labelled, seed, threads, record, class_weight)
    if cohort.y.ndim == 1:
        return _number(name, cohort, labelled, seed, threads, record)
    return _regress(name, cohort, labelled, seed, threads, record)


# --- one label a stay


def _rows(cohort, labelled):
    """Statistics of the labelled training windows, the validation windows and the test windows."""
    parts = (labelled, cohort.splits["val"], cohort.splits["test"])
    ends = cohort.lengths
    return [statistics(cohort.X[rows], None if ends is None else ends[rows]) for rows in parts]


def _one_class(name, cohort, labelled, seed, threads, record, class_weight):
    y = cohort.y[labelled]
    y_val, (train, val, test) = cohort.part("val")[1], _rows(cohort, labelled)
    targets = Labels(cohort.task, y, cohort.classes, class_weight)
    return _classify(name, targets, [("statistics", train, val, test)], y_val, seed, threads, record)


def _each_label(name, cohort, labelled, seed, threads, record, class_weight):
    """Several labels: a model for each, on the rows where it is known."""
    y_val, (train, val, test), y = cohort.part("val")[1], _rows(cohort, labelled), cohort.y[labelled]
    out = []
    for k, label in enumerate(cohort.classes):
        seen, seen_val, about = ~np.isnan(y[:, k]), ~np.isnan(y_val[:, k]), {}
        targets = Labels("classification", y[seen, k].astype(np.int64), (), class_weight)
        data = [("statistics", train[seen], val[seen_val], test)]
        out.append(_classify(name, targets, data, y_val[seen_val, k].astype(np.int64), seed, threads, about))
        record[label] = about
    record["validation"] = float(np.mean([record[label]["validation"] for label in cohort.classes]))
    return np.stack(out, axis=1)


def _every_step(name, cohort, labelled, seed, threads, record, class_weight):
    """A yes or no at every step: one model for all steps, on interpolated values around each."""
    (X_val, y_val), (X_test, _) = cohort.part("val"), cohort.part("test")
    X, y = cohort.X[labelled], cohort.y[labelled]
    seen, seen_val = ~np.isnan(y), ~np.isnan(y_val)
    scaler = Scaler.fit(X)
    X, X_val, X_test = (scaler.transform(Z).astype(np.float64) for Z in (X, X_val, X_test))
    reaches = (0, 2) if X.shape[2] * 5 <= _WIDEST else (0,)
    data = []
    for reach in reaches if name == "LightGBM" else reaches[-1:]:
        train, val, test = (around(Z, reach) for Z in (X, X_val, X_test))
        data.append((f"values within {reach} steps", train[seen], val[seen_val], test.reshape(-1, test.shape[2])))
    whole = Labels("stepwise", y, (), class_weight).weights()
    targets = Labels("classification", y[seen].astype(np.int64))
    weight = None if whole is None else whole[seen]
    p = _classify(name, targets, data, y_val[seen_val].astype(np.int64), seed, threads, record, weight)
    record.setdefault("features", data[0][0])
    return p.reshape(X_test.shape[:2])


def _classify(name, targets, data, y_val, seed, threads, record, weight=None):
    """The chance of class 1, (N_test,), or of each class, (N_test, K); data: list of (description, train, validation and test rows)."""
    y, several = targets.y, targets.task == "multiclass"
    if len(np.unique(y)) < max(2, targets.n_outputs):
        raise ModtsError(
            f"The {len(y)} labelled rows hold one class only: give a larger label fraction or another seed."
            if len(np.unique(y)) < 2
            else f"The {len(y)} labelled rows lack a class: give a larger label fraction or another seed."
        )
    weight = targets.weights() if weight is None else weight

    def judge(p):
        return scores.auroc(y_val, p, task=targets.task)

    if name == "LightGBM":
        data = [(kind, (train, y), (val, y_val), test) for kind, train, val, test in data]
        return _boost(targets.task, data, judge, seed, threads, record, weight, targets.n_outputs)
    from sklearn.linear_model import LogisticRegression  # here, as scikit-learn takes a second to import

    ((_, train, val, test),) = data
    train, val, test = _winsorised(train, val, test)
    best = None
    for inverse in _INVERSE_PENALTIES:
        model = LogisticRegression(C=inverse, max_iter=2000).fit(train, y, weight)
        value = judge(model.predict_proba(val) if several else model.decision_function(val))
        if best is None or value > best[0]:
            best = value, inverse, model
    record.update(validation=best[0], C=best[1])
    chance = best[2].predict_proba(test)
    return chance if several else chance[:, 1]


def _number(name, cohort, labelled, seed, threads, record):
    """One number a stay, from the same statistics of its window."""
    y_val, (train, val, test) = cohort.part("val")[1], _rows(cohort, labelled)
    y = np.asarray(cohort.y[labelled], dtype=np.float64)
    seen, seen_val = ~np.isnan(y), ~np.isnan(y_val)
    _some(seen, seen_val)
    y, y_val = y[seen], y_val[seen_val]
    centre, scale = y.mean(), y.std() or 1.0
    y, y_val = (y - centre) / scale, (y_val - centre) / scale
    train, val = train[seen], val[seen_val]

    def judge(p):
        return -scores.mae(y_val, p)

    if name == "LightGBM":
        p = _boost("regression", [("statistics", (train, y), (val, y_val), test)], judge, seed, threads, record)
    else:
        train, val, test = _winsorised(train, val, test)
        paths = _ridge_path(train, y[:, None], [val, test])
        best = max(range(len(_PENALTIES)), key=lambda i: judge(paths[0][i][:, 0]))
        record.update(validation=-judge(paths[0][best][:, 0]), features="statistics", alpha=_PENALTIES[best])
        p = paths[1][best][:, 0]
    return p * scale + centre


def _some(seen, seen_val):
    if not seen.any() or not seen_val.any():
        raise ModtsError(
            f"Regression needs observed targets: the labelled rows have {seen.sum()}, validation {seen_val.sum()}."
        )


def _winsorised(train, *others):
    """Clip at the training tails, fill with the training mean, standardise: all statistics of the training rows."""
    some, (low, high) = ~np.isnan(train).all(0), quantiles(train, _TAILS)
    mean, spread = np.zeros((2, train.shape[1]))
    clipped = np.clip(train, low, high)
    mean[some], spread[some] = np.nanmean(clipped[:, some], axis=0), np.nanstd(clipped[:, some], axis=0)
    spread[spread < 1e-12] = np.inf  # says nothing in training: becomes 0 everywhere
    return [np.nan_to_num((np.clip(Z, low, high) - mean) / spread, nan=0.0) for Z in (train, *others)]


def _boost(task, data, judge, seed, threads, record, weight=None, n_classes=1):
    """Choose features and trees on validation with one fit each; average `_MEMBERS` fits of the choice.

    data: list of (description, (train rows, targets), (validation rows, targets), test rows)
    judge: validation prediction -> score, higher is better
    """
    import lightgbm

    objective = {
        "classification": ("binary", "auc"),
        "multiclass": ("multiclass", "multi_logloss"),
        "regression": ("l2", "l1"),
    }[task]
    several = {"num_class": n_classes} if task == "multiclass" else {}

    def fit(trees, train, val, member):
        settings = {"objective": objective[0], "metric": objective[1], "num_threads": threads}
        settings |= {"seed": seed * 1000 + member} | _COMMON | trees | several
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        train, val = lightgbm.Dataset(*train, weight=weight), lightgbm.Dataset(*val)
        return lightgbm.train(settings, train, _ROUNDS, valid_sets=[val], callbacks=[stop])

    best = None
    for (kind, train, val, test), trees in itertools.product(
        data, _TREES["regression" if task == "regression" else "classification"]
    ):
        model = fit(trees, train, val, 0)
        value = judge(model.predict(val[0], num_threads=threads))
        if best is None or value > best[0]:
            best = value, kind, trees, model, (train, val, test)
    value, kind, trees, model, (train, val, test) = best
    members = [model] + [fit(trees, train, val, member) for member in range(1, _MEMBERS)]
    record.update(validation=abs(value), features=kind, rounds=[m.best_iteration for m in members], **trees)
    return np.mean([m.predict(test, num_threads=threads) for m in members], axis=0)


# --- a target at every step


def _regress(name, cohort, labelled, seed, threads, record):
    (X_val, y_val), (X_test, _) = cohort.part("val"), cohort.part("test")
    X, y = cohort.X[labelled], np.asarray(cohort.y[labelled], dtype=np.float64)  # (N, T, F), (N, T)
    seen, seen_val = ~np.isnan(y), ~np.isnan(y_val)
    _some(seen, seen_val)
    centre, scale = y[seen].mean(), y[seen].std() or 1.0
    y, y_val = (y - centre) / scale, (y_val - centre) / scale
    scaler = Scaler.fit(X)
    X, X_val, X_test = (scaler.transform(Z).astype(np.float64) for Z in (X, X_val, X_test))

    def judge(p):  # observed validation cells, in order
        return -scores.mae(y_val[seen_val], p)

    reaches = (0, 2) if X.shape[2] * 5 <= _WIDEST else (0,)
    if name == "LightGBM":
        data = []
        for reach in reaches:
            train, val, test = (around(Z, reach) for Z in (X, X_val, X_test))
            test = test.reshape(-1, test.shape[2])
            data.append(
                (f"values within {reach} steps", (train[seen], y[seen]), (val[seen_val], y_val[seen_val]), test)
            )
        p = _boost("regression", data, judge, seed, threads, record).reshape(X_test.shape[:2])
    else:
        p = _ridge(X, y, X_val, seen_val, X_test, reaches, judge, record)
    return p * scale + centre


def _ridge(X, y, X_val, seen_val, X_test, reaches, judge, record):
    """The best on validation: one model for all steps or one per step on the whole window, and its penalty."""
    others, seen, best = (X_val, X_test), ~np.isnan(y), None
    steps = np.eye(X.shape[1])  # which step it is, so that each has its own intercept

    def one_for_all(reach):
        rows = [np.nan_to_num(around(Z, reach)[..., :-1]) for Z in (X, *others)]  # (N, T, D)
        rows = [np.concatenate([Z, np.broadcast_to(steps, (len(Z), *steps.shape))], axis=2) for Z in rows]
        flat = [Z.reshape(-1, Z.shape[2]) for Z in rows[1:]]
        out = _ridge_path(rows[0][seen], y[seen][:, None], flat)
        return [p.reshape(len(_PENALTIES), *Z.shape[:2]) for p, Z in zip(out, others, strict=True)]

    def one_per_step():
        rows = [np.nan_to_num(interpolate(Z)).reshape(len(Z), -1) for Z in (X, *others)]  # (N, T * F)
        out = [np.zeros((len(_PENALTIES), *Z.shape[:2])) for Z in others]
        patterns, which = np.unique(
            seen, axis=1, return_inverse=True
        )  # steps observed in the same rows are solved together
        for index in range(patterns.shape[1]):
            group, observed = which.ravel() == index, patterns[:, index]
            if observed.any():  # else the mean, 0
                for p, q in zip(out, _ridge_path(rows[0][observed], y[observed][:, group], rows[1:]), strict=True):
                    p[:, :, group] = q
        return out

    layouts = {f"values within {reach} steps": (lambda reach=reach: one_for_all(reach)) for reach in reaches}
    for kind, layout in {**layouts, "the whole window": one_per_step}.items():
        val, test = layout()
        for penalty, p_val, p_test in zip(_PENALTIES, val, test, strict=True):
            value = judge(p_val[seen_val])
            if best is None or value > best[0]:
                best = value, kind, penalty, p_test
    record.update(validation=-best[0], features=best[1], alpha=best[2])
    return best[3]


def _ridge_path(Z, Y, others):
    """Ridge regression with intercept: rows (N, D), targets (N, K) -> predictions (penalties, M, K) each."""
    middle, centre = Z.mean(0), Y.mean(0)
    Z, Y = Z - middle, Y - centre
    wide = (
        Z.shape[1] > Z.shape[0]
    )  # then the smaller system is the one over rows (the kernel form of the same solution)
    values, vectors = np.linalg.eigh(Z @ Z.T if wide else Z.T @ Z)
    target = vectors.T @ (Y if wide else Z.T @ Y)
    out = []
    for other in others:
        base = ((other - middle) @ Z.T if wide else other - middle) @ vectors
        out.append(np.stack([base @ (target / (np.maximum(values, 0)[:, None] + a)) + centre for a in _PENALTIES]))
    return out
