"""Arrays that may be larger than memory: read in parts, the pages of a memory map given back after each."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

PART = 4096  # windows at once


def parts(X: np.ndarray, size: int = PART) -> Iterator[np.ndarray]:
    """X in parts of `size` rows, in their order."""
    for start in range(0, len(X), size):
        yield X[start : start + size]
        let_go(X)


def let_go(X: np.ndarray) -> None:
    """Give back the pages of a memory map, which count as this process's own once they were read; any other array stays as it is."""
    X = _map_under(X)
    # a copy on write ("c") would lose what was written to it
    if X is not None and X.mode in ("r", "r+") and hasattr(mmap, "MADV_DONTNEED"):
        X._mmap.madvise(mmap.MADV_DONTNEED)


def read_ahead(X: np.ndarray, on: bool) -> None:
    """Whether the system reads on behind what was asked for of a memory map: in order that is quick, in random order each row would cost
    hundreds; any other array stays as it is."""
    X = _map_under(X)
    if X is not None and hasattr(mmap, "MADV_RANDOM"):
        X._mmap.madvise(mmap.MADV_NORMAL if on else mmap.MADV_RANDOM)


def _map_under(X) -> np.memmap | None:
    """The memory map that an array is a view of, or None."""
    while X is not None and not isinstance(X, np.memmap):
        X = getattr(X, "base", None)
    return X
