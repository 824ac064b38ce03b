"""Values that single precision, or a deviation taken for 0, would make a constant of: told before they are read so."""

from __future__ import annotations

import numpy as np

from modts.errors import notice

LEAST = 1e-8  # a deviation below is taken for that of a constant variable (see modts.backbones.scaling)
DIGITS, LARGE = 16, 1e5  # steps of single precision that a deviation should have, where values are as large
SOME = 4096  # windows, or rows, that are enough


def held(values: np.ndarray, names, what: str = "variable") -> None:
    """Warn of columns (..., F) that vary so little that they are read as constant.

    names : of the F columns. what : what a column is.
    """
    values = values[:: -(-len(values) // SOME)].reshape(-1, values.shape[-1])
    for name, column in zip(names, values.T, strict=True):
        there = column[~np.isnan(column)].astype(np.float64)
        if not len(there):
            continue
        mean, std = there.mean(), there.std()
        if 0 < std < LEAST:
            notice(
                f"The {what} {name!r} varies by {std:.2g} alone, which is taken for a constant, so that it says nothing: give it in a smaller "
                f"unit, such as {what}s times {10.0 ** np.ceil(-np.log10(std)):.0e}."
            )
        elif abs(mean) > LARGE and std < DIGITS * np.spacing(np.float32(abs(mean))):
            notice(
                f"The {what} {name!r} lies near {mean:.6g} and varies by {std:.2g}, and single precision tells no values there that are nearer "
                f"than {np.spacing(np.float32(abs(mean))):.2g}: subtract {mean:.6g}, or leave it out."
            )
