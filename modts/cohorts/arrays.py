"""Own data: a cohort from arrays.

Users of imputation libraries ask for this first: their own arrays, series of different lengths, and a sentence instead of a traceback when
something does not fit. Shorter series are padded with missing values; nothing is filled, scaled or dropped unless asked for.
"""

from __future__ import annotations

import numpy as np

from modts.errors import ModtsError, choose

from . import splits as _splits
from .base import Cohort
from .checks import (
    check_labels,
    check_targets,
    check_values,
    codes_of,
    flag,
    given_splits,
    names_of,
    numeric,
    pad,
    seed_of,
    some,
    unmasked,
    without_codes,
)
from .lengths import ended
from .suspicions import look
from .tasks import TASKS, coded, shape_of, strata, task_of, wrong_values

UNOBSERVED = ("refuse", "drop", "keep")


def cohort_from_arrays(
    X,
    y=None,
    *,
    ids=None,
    features=None,
    units=None,
    task: str | None = None,
    classes=None,
    lengths=None,
    target: str = "label",
    target_unit: str = "",
    splits: dict | None = None,
    by_time: bool = False,
    groups=None,
    missing=(),
    unobserved: str = "refuse",
    seed: int = 0,
    name: str = "own",
    title: str = "Own data",
    licence: str = "not stated",
    citation: str = "not stated",
    source: str = "not stated",
) -> Cohort:
    """Make a cohort from arrays.

    Parameters
    ----------
    X : array_like or list of array_like
        ``(N, T, F)`` raw values with NaN for missing, or a list of ``(T_i, F)`` arrays of different lengths, which are
        padded with NaN at the end to the longest. What a numpy masked array hides is missing. Of windows that are padded
        with NaN already, say ``lengths``.
    y : array_like, optional
        ``(N,)`` of 0 and 1 (classification), or of words or numbers with ``task="multiclass"``, or ``(N,)`` numbers with
        ``task="regression"``. ``(N, K)`` of 0 and 1 (multilabel: a yes or no to each of K labels). ``(N, T)`` of 0 and 1
        (stepwise: a yes or no at every step) or of numbers (regression at every step); a list of ``(T_i,)`` with a list
        ``X``. NaN where not known, but for classes. Without y the cohort has no label: it pretrains and imputes.
    ids : sequence, optional
        One unique id per row; default "0", "1", ...
    features, units : sequence of str, optional
        Default "x0", "x1", ... and no units.
    task : {"classification", "multiclass", "multilabel", "stepwise", "regression", "imputation"}, optional
        Default: by the shape of ``y`` and whether it holds 0 and 1 alone; "imputation" without ``y``. Several classes
        need to be asked for, as words in ``y`` do.
    classes : sequence, optional
        Multiclass: the classes in the order of the answers (default: sorted), or the names of 0, 1, ... Multilabel: the
        K labels' names (default "label0", ...).
    lengths : sequence of int, optional
        Steps of each row, where series end before ``X`` does; what stands behind an end is dropped, in a ``y`` at every
        step too. Default: of a list ``X`` the lengths of its arrays, else every row has all T steps.
    target, target_unit : str
        What ``y`` is.
    splits : dict, optional
        ``"train"``, ``"val"``, ``"test"`` -> row numbers, if you have your own; otherwise 64/16/20 by ``seed``,
        stratified.
    by_time : bool
        Rows are in time order and are split in that order, 60/20/20.
    groups : sequence, optional
        Whose each row is (the patient of a stay): no two splits share a group, whatever the seed. Groups are split
        64/16/20, so that rows are only nearly so.
    missing : number or sequence of numbers
        Codes that stand for a missing value in ``X`` and in a regression's ``y``, such as ``(-9999,)``.
    unobserved : {"refuse", "drop", "keep"}
        What to do with features without a value in the training split: refuse them, by name; leave them out, and with
        them series without any value (``notes["left_out"]`` says which); or keep them, to be ignored by backbones.
    seed : int
        Of the split.
    name, title, licence, citation, source : str
        Shown on pages.

    Returns
    -------
    Cohort

    Raises
    ------
    ModtsError
        If shapes, values, labels or splits do not fit; each sentence says which.

    Warns
    -----
    ModtsWarning
        If a value looks like a code for missing, the same series stands under two ids, or a feature equals the label.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(20, 6, 3))
    >>> cohort_from_arrays(X, np.arange(20) % 2, name="mine")
    Cohort(mine: classification, 20 x 6 x 3, 12/4/4 train/val/test, 0.0% missing)
    """
    choose(unobserved, UNOBSERVED, "rule for what is never observed (unobserved=)")
    by_time, seed = flag(by_time, "by_time"), seed_of(seed)
    if by_time and splits is not None:
        raise ModtsError("Give either splits= or by_time=True, not both.")
    X, y, lengths = _padded(X, y, lengths)
    codes = codes_of(missing)
    X = without_codes(numeric(X, "X"), codes)
    if X.ndim != 3 or 0 in X.shape:
        raise ModtsError(f"X must have shape (samples, steps, features) with no empty side, not {X.shape}.")
    n, _, width = X.shape
    task, y, classes = _targets(X, y, task, codes, classes)
    X, y, lengths = ended(X, y, task, lengths)
    ids = np.array([str(i) for i in (range(n) if ids is None else names_of(ids, n, "ids"))])
    features = [f"x{i}" for i in range(width)] if features is None else names_of(features, width, "feature names")
    units = [""] * width if units is None else names_of(units, width, "units")
    groups = None if groups is None else np.array([str(g) for g in names_of(groups, n, "groups")])
    left_out = {}
    if unobserved == "drop" and splits is None:
        kept = ~np.isnan(X).all(axis=(1, 2))
        left_out["series"] = ids[~kept].tolist()
        X, y, ids = X[kept], y[kept], ids[kept]
        groups, lengths = (None if given is None else given[kept] for given in (groups, lengths))
        if not len(X):
            raise ModtsError("X holds no observed value at all.")
    n = len(X)
    made, how = _split(y, task, n, splits, by_time, groups, seed)
    check_targets(y, task, made, classes)
    if groups is not None:
        _splits.check_groups(groups, made, n)
    unseen = np.isnan(X[made["train"]]).all(axis=(0, 1))
    if unseen.all():
        raise ModtsError("The training split holds no observed value at all.")
    if unseen.any() and unobserved == "refuse":
        names = [name for name, absent in zip(features, unseen, strict=True) if absent]
        raise ModtsError(
            f"{len(names)} of {width} features have no value in the training split: {some(names)}. Leave them out with "
            "unobserved='drop', or keep them to be ignored with unobserved='keep'."
        )
    if unobserved == "drop":
        left_out["features"] = [name for name, absent in zip(features, unseen, strict=True) if absent]
        X = X[:, :, ~unseen]
        features, units = (
            [e for e, absent in zip(given, unseen, strict=True) if not absent] for given in (features, units)
        )
    check_values(X, ids, features)
    look(X, y, ids, features, groups)
    return Cohort(
        name=name,
        title=title,
        X=X,
        y=y,
        ids=ids,
        features=tuple(features),
        units=tuple(units),
        task=task,
        target="" if task == "imputation" else target,
        target_unit=target_unit,
        splits=made,
        split_seed=seed,
        split_by=how,
        licence=licence,
        citation=citation,
        source=source,
        groups=groups,
        classes=classes,
        lengths=lengths,
        notes={"left_out": left_out} if any(left_out.values()) else {},
    )


def _padded(X, y, lengths):
    """X and y as they are, or, where X is a list of series of different lengths, padded to the longest; and the lengths."""
    if not isinstance(X, (list, tuple)):
        return X, y, lengths
    X = [unmasked(np.asanyarray(x)) for x in X]
    if len({len(x) if x.ndim else 0 for x in X}) > 1:
        if lengths is None and all(len(x) if x.ndim else 0 for x in X):
            lengths = [len(x) for x in X]
        if y is not None and len(y) and np.ndim(y[0]) == 1:
            y = pad([numeric(v, "y")[:, None] for v in y], "y")[:, :, 0]
        X = pad([numeric(x, "X") for x in X], "X")
    return X, y, lengths


def _targets(X: np.ndarray, y, task: str | None, codes: np.ndarray, classes) -> tuple[str, np.ndarray, tuple]:
    """The task, the labels in the shape that it wants, and the names of its classes or labels."""
    n, steps, _ = X.shape
    if y is None:
        if task not in (None, "imputation"):
            raise ModtsError(
                f"For {choose(task, TASKS, 'task')} give y; without it a cohort only pretrains and imputes."
            )
        return "imputation", np.empty((n, 0)), ()
    task = None if task is None else choose(task, TASKS, "task")
    if task == "imputation":
        raise ModtsError("For imputation leave y out.")
    if task is None and np.asanyarray(y).dtype.kind == "U":
        raise ModtsError("y must be an array of numbers, but holds words; for classes in words say task='multiclass'.")
    y, names = coded(y, classes) if task == "multiclass" else (numeric(y, "y"), ())
    task = task or task_of(y, steps)
    if task == "multilabel":
        width = y.shape[1] if y.ndim == 2 else 0
        names = tuple(f"label{i}" for i in range(width)) if classes is None else tuple(map(str, classes))
    elif classes is not None and task != "multiclass":
        raise ModtsError(
            f"classes= names the classes of multiclass or the labels of multilabel; for {task} leave it out."
        )
    wanted = shape_of(task, y, n, steps, names)
    if y.shape != wanted:
        raise ModtsError(f"For {task} y must have shape {wanted}, not {y.shape}.")
    if task == "classification":
        check_labels(y)
        return task, y, names
    y = without_codes(y, codes)
    if (np.abs(y) > np.finfo(np.float32).max).any():
        raise ModtsError("y holds infinite values; use NaN for missing.")
    wrong = wrong_values(task, y, names)
    if wrong:
        raise ModtsError(f"{wrong[0].upper()}{wrong[1:]}.")
    return task, y, names


def _split(y, task, n, splits, by_time, groups, seed) -> tuple[dict[str, np.ndarray], str]:
    """The splits, and how they were made."""
    if splits is not None:
        return given_splits(splits, n), "given"
    if by_time:
        return _splits.by_time(n), "time"
    found = strata(task, y)
    return _splits.seeded(n, found, seed, groups), "random" if found is None else "stratified"
