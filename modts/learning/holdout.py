"""Windows to stop by: a share held out of the training windows, seeded, in the classes' proportions, whole groups together."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedGroupKFold, StratifiedShuffleSplit

from modts.errors import ModtsError


def held_out(n: int, share: float, seed: int, classes=None, groups=None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted positions of the training and of the held-out windows.

    Parameters
    ----------
    n : int
        How many windows there are.
    share : float
        Of them (of the groups, if they are given) that is held out.
    seed : int
    classes : (n,) array, optional
        Both sides get their proportions.
    groups : (n,) array, optional
        Such as patients: none lies on both sides.

    Raises
    ------
    ModtsError
        A share outside (0, 1), arrays of another length, or too few windows, groups or members of a class.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ModtsError(f"The share to hold out must be above 0 and below 1, not {share!r}.")
    for what, given in (("y", classes), ("groups", groups)):
        if given is not None and np.shape(given) != (n,):
            raise ModtsError(f"{what} must hold one value for each of {n} windows, and has shape {np.shape(given)}.")
    if groups is not None and classes is not None:
        splitter = StratifiedGroupKFold(max(2, round(1 / share)), shuffle=True, random_state=seed % 2**32)
    else:
        kind = GroupShuffleSplit if groups is not None else ShuffleSplit if classes is None else StratifiedShuffleSplit
        splitter = kind(1, test_size=share, random_state=seed % 2**32)
    try:
        train, val = next(splitter.split(np.zeros(n), classes, groups))
    except ValueError as error:
        raise ModtsError(
            f"A share of {share} of {n} windows cannot be held out ({' '.join(str(error).split())})."
        ) from None
    if classes is not None and any(len(np.unique(np.asarray(classes)[part])) < 2 for part in (train, val)):
        raise ModtsError(
            f"Holding out {share} of {n} windows leaves a single class on one side; give more windows, or more groups."
        )
    return np.sort(train), np.sort(val)
