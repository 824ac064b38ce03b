"""What can be asked of a window: the kinds of task in one table, and what their targets must be.

Everything that depends on the kind asks here. The answer at a step is read from the whole window, later steps included; a warning while a stay
lasts is asked of the window as far as it has come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modts.errors import ModtsError


@dataclass(frozen=True)
class Task:
    """One kind of task.

    Attributes
    ----------
    asks : str
        What is asked, in words.
    answer : {"yes or no", "one of several", "number", ""}
        What one output says: a probability of its own, one of the probabilities that sum to 1, or a number; "" where nothing is asked.
    each : {"window", "label", "step", ""}
        What one output is about.
    """

    asks: str
    answer: str
    each: str

    @property
    def probability(self) -> bool:
        """True if the answers are probabilities; a higher validation score (AUROC) is better then, else a lower one (an error)."""
        return self.answer in ("yes or no", "one of several")


TASKS = {
    "classification": Task("a yes or no", "yes or no", "window"),
    "multiclass": Task("one of several classes", "one of several", "window"),
    "multilabel": Task("a yes or no to each of several labels", "yes or no", "label"),
    "stepwise": Task("a yes or no at every step", "yes or no", "step"),
    "regression": Task("a number, one a window or one a step", "number", ""),
    "imputation": Task("nothing: it is pretrained on and imputed", "", ""),
}


def task_of(y: np.ndarray, n_steps: int) -> str:
    """The task that targets (N,) or (N, K) of numbers look like: 0 and 1 alone, and both, are no and yes; at every step where K is n_steps."""
    if y.ndim != 2:
        return "classification"
    yes_or_no = np.array_equal(np.unique(y[~np.isnan(y)]), (0, 1))
    return "regression" if not yes_or_no else "stepwise" if y.shape[1] == n_steps else "multilabel"


def shape_of(task: str, y: np.ndarray, n: int, steps: int, classes=()) -> tuple[int, ...]:
    """The shape that targets of a task must have for n windows of so many steps."""
    if task in ("classification", "multiclass") or (task == "regression" and y.ndim == 1):
        return (n,)
    width = len(classes) or (y.shape[1] if y.ndim == 2 else 0)
    return (n, {"multilabel": width, "imputation": 0}.get(task, steps))


def wrong_values(task: str, y: np.ndarray, classes=()) -> str:
    """What is wrong with the values of a yes-or-no or class target, in words; "" if nothing."""
    if task not in TASKS or not TASKS[task].probability:
        return ""
    y = np.asarray(y)
    if task == "multiclass":
        allowed = range(len(classes))
        if len(classes) < 2 or len(set(classes)) < len(classes):
            return f"several classes need two names or more that differ, not {list(classes)}"
    else:
        allowed = (0, 1)
    known = y[~np.isnan(y)] if y.dtype.kind == "f" and task in ("multilabel", "stepwise") else y
    if np.isin(known, list(allowed)).all():
        return ""
    found = np.unique(known[~np.isin(known, list(allowed))])[:5].tolist()
    return (
        f"labels must be {'0 or 1' if task != 'multiclass' else f'the numbers of {len(classes)} classes'}, not {found}"
    )


def lacking(task: str, y: np.ndarray, classes=()) -> str:
    """What targets lack of what is learnt and scored, in words; "" if nothing: every class, a yes and a no, or a number."""
    if task == "classification":
        found = np.unique(y)
        return f"holds only the label {int(found[0])}; each split needs rows of both classes" if len(found) < 2 else ""
    if task == "multiclass":
        absent = [name for c, name in enumerate(classes) if not (y == c).any()]
        return f"holds no row of class {absent[0]!r}; each split needs every class" if absent else ""
    if task == "regression":
        return "has no value of the target at all" if np.isnan(y).all() else ""
    if task == "imputation":
        return ""
    each = {"": y} if task == "stepwise" else dict(zip(classes, y.T, strict=True))
    for name, values in each.items():
        for value, word in ((1, "yes"), (0, "no")):
            if not (values == value).any():
                where = f"to the label {name!r}" if name else "at any step"
                return f"holds no {word!r} {where}; each split needs both"
    return ""


def strata(task: str, y: np.ndarray) -> np.ndarray | None:
    """(N,) whole numbers from 0, in whose proportions rows are split; None where there are none.

    The classes themselves; of several labels the rarest that a row has; for a label at every step whether there is ever a yes. A stratum of
    fewer than three rows counts with the largest.
    """
    if task in ("classification", "multiclass"):
        return y.astype(np.int64)
    if task not in ("multilabel", "stepwise"):
        return None
    yes = y == 1
    if task == "stepwise":
        found = yes.any(1).astype(np.int64)
    else:
        order = np.argsort(yes.sum(0), kind="stable")  # the rarest first
        found = np.where(yes.any(1), 1 + np.argmax(yes[:, order], axis=1), 0)
    names, found, counts = np.unique(found, return_inverse=True, return_counts=True)
    found[counts[found] < 3] = counts.argmax()
    names, found = np.unique(found, return_inverse=True)
    return found if len(names) > 1 else None


def coded(y, classes=None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes as they were written (words or numbers) as (N,) whole numbers, and their names; in the order of `classes`, or sorted.

    Raises
    ------
    ModtsError
        A missing class, one that `classes` lacks, or y that is not one class a row.
    """
    y = np.asarray(y)
    if y.ndim != 1:
        raise ModtsError(f"For multiclass y must hold one class a row, shape (N,), not {y.shape}.")
    bad = [i for i, value in enumerate(y.tolist()) if value is None or value != value]
    if bad:
        raise ModtsError(f"The class of row {bad[0]} is missing; every sample needs one.")
    y = np.array([class_name(value) for value in y.tolist()], dtype=object)
    words = [name for name in dict.fromkeys(y) if not _number(name)]
    order = sorted(set(y), key=str if words else float) if classes is None else [class_name(name) for name in classes]
    if classes is not None and not words and set(y) <= {str(i) for i in range(len(order))} and not set(y) <= set(order):
        return y.astype(np.int64), tuple(order)  # the numbers of the classes, and their names
    place = {name: i for i, name in enumerate(order)}
    unknown = sorted(set(y) - set(place))
    if unknown:
        raise ModtsError(f"y holds the class {unknown[0]!r}, which classes= lacks: {', '.join(order)}.")
    return np.array([place[name] for name in y], dtype=np.int64), tuple(order)


def class_name(value) -> str:
    """A class as text: 2.0 is 2."""
    return str(int(value)) if isinstance(value, (bool, float)) and value == int(value) else str(value)


def _number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
