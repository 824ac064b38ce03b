"""Boosted trees (LightGBM, Ke et al. 2017) on the rows that a reader makes; the configuration comes from validation."""

from __future__ import annotations

import numpy as np

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


def boosted(problem, readers, seed, threads, record):
    """Choose reader and trees on validation with one fit each; average `_MEMBERS` fits of the choice.

    Parameters
    ----------
    problem : Problem
    readers : dict of str to callable
        Windows (as `Problem.windows`) -> rows (N, D), or (N, T, D) for a target at every step.
    seed, threads : int
    record : dict
        Filled with what was chosen and its validation score.

    Returns
    -------
    callable
        Windows (as `Problem.windows`) -> chances (N,), (N, K) or (N, T), or standardised targets (N,) or (N, T).
    """
    import lightgbm

    objective = ("binary", "auc") if problem.chances else ("l2", "l1")
    objective = ("multiclass", "multi_logloss") if problem.task == "multiclass" else objective
    several = {"num_class": problem.n_outputs} if problem.task == "multiclass" else {}

    def fit(trees, train, val, member):
        settings = {"objective": objective[0], "metric": objective[1], "num_threads": threads}
        settings |= {"seed": seed * 1000 + member} | _COMMON | trees | several
        stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
        train, val = lightgbm.Dataset(*train), lightgbm.Dataset(*val)
        return lightgbm.train(settings, train, _ROUNDS, valid_sets=[val], callbacks=[stop])

    def predict(models, rows):
        flat = rows.reshape(-1, rows.shape[-1])
        p = np.mean([m.predict(flat, num_threads=threads) for m in models], axis=0)
        return p.reshape(*rows.shape[:-1], *p.shape[1:])

    seen, seen_val, best = ~np.isnan(problem.y), ~np.isnan(problem.y_val), None
    weight = None if problem.weight is None else problem.weight[seen]
    for kind, read in readers.items():
        rows, rows_val = read(problem.windows), read(problem.windows_val)
        train, val = (rows[seen], problem.y[seen], None, weight), (rows_val[seen_val], problem.y_val[seen_val])
        for trees in _TREES["classification" if problem.chances else "regression"]:
            model = fit(trees, train, val, 0)
            value = problem.judge(predict([model], rows_val))
            if best is None or value > best[0]:
                best = value, kind, read, trees, model, train, val
    value, kind, read, trees, model, train, val = best
    members = [model] + [fit(trees, train, val, member) for member in range(1, _MEMBERS)]
    record.update(validation=abs(value), features=kind, rounds=[m.best_iteration for m in members], **trees)
    return lambda windows: predict(members, read(windows))
