"""Class weights: what a rare class counts in the loss."""

from __future__ import annotations

import numpy as np

from modts.cohorts import class_name
from modts.errors import ModtsError


def of_classes(labels) -> tuple[np.ndarray, np.ndarray] | None:
    """What each target counts, in the shape of y, and each class, (C,) or (C, K) for K labels; both 1 on average over the targets.

    Parameters
    ----------
    labels : Labels
        Of the rows that are trained on.

    Returns
    -------
    None where all count alike.

    Raises
    ------
    ModtsError
        Another word than "balanced", an unknown class, or a weight that is no positive number.
    """
    given, y = labels.class_weight, labels.y
    if given is None:
        return None
    named = labels.task in ("classification", "multiclass") and labels.classes
    names = labels.classes if named else ("0", "1")
    each = _given(given, names)
    width = (
        1 if y.ndim == 1 or labels.task == "stepwise" else y.shape[1]
    )  # all steps are one question, each label is one
    flat = y.reshape(-1, width)
    count = np.stack([(flat == c).sum(0) for c in range(len(names))]).astype(np.float64)  # (C, width)
    if each is None:
        each = np.maximum(count.sum(0), 1) / (len(names) * np.maximum(count, 1))
    else:
        each = np.repeat(each[:, None], width, axis=1)
    each = each / np.maximum((each * count).sum(0) / np.maximum(count.sum(0), 1), 1e-12)  # 1 on average
    place = np.nan_to_num(flat).astype(np.int64)
    each = each.astype(np.float32)
    return np.take_along_axis(each, place, axis=0).reshape(y.shape), each[:, 0] if width == 1 else each


def _given(given, names) -> np.ndarray | None:
    if isinstance(given, str) and given == "balanced":
        return None
    if not isinstance(given, dict):
        raise ModtsError(f"class_weight must be None, 'balanced' or a dictionary of class -> weight, not {given!r}.")
    given = {class_name(name): weight for name, weight in given.items()}
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ModtsError(
            f"class_weight names a class {unknown[0]!r} that there is not; the classes: {', '.join(names)}."
        )
    values = [given.get(name, 1.0) for name in names]
    for value in values:
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not np.isfinite(value) or value <= 0:
            raise ModtsError(f"A class weight must be a number above 0, not {value!r}.")
    return np.array(values, dtype=np.float64)
