"""Windows a batch at a time: only the batch is standardised and masked, so that they may lie in a memory map larger than memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from modts import runs
from modts.backbones import behind, checked, ends_on
from modts.cohorts import check_pattern, hides

_SCORED = 256  # windows at once where nothing trains


class Windows:
    """Raw windows of a backbone, read a batch at a time.

    Parameters
    ----------
    backbone : Backbone
        Checks and standardises them.
    X : (N, T, F) array
        Raw units, NaN where missing; also a memory map (np.load with mmap_mode="r").
    pattern, rate
        How values are hidden: see modts.mask. What a pattern knows of the data (their spread, which variables are rare), it knows of the batch.
    lengths : (N,) array, optional
        Steps of series that end before their window does; what lies behind the end is missing and has no part in anything.
    """

    def __init__(self, backbone, X: np.ndarray, pattern: str = "point", rate: float = 0.1, lengths=None):
        check_pattern(pattern, rate)
        self.backbone, self.X, self.pattern, self.rate = backbone, backbone.windows(X), pattern, rate
        self._since, self._in_order = 0, True
        self._lengths = None if lengths is None else checked(lengths, len(self.X), self.X.shape[1])

    def __len__(self) -> int:
        return len(self.X)

    def split(self, size: int = _SCORED) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
        """All windows as z-scores (B, T, F) on the model's device, in their order, with their lengths (B,)."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self(rows), self.lengths(rows)

    def lengths(self, rows) -> torch.Tensor | None:
        """The lengths of some rows, (B,) on the model's device; None where every series fills its window."""
        return ends_on(self.backbone.device, self._lengths, rows)

    def __call__(self, rows) -> torch.Tensor:
        """z-scores (B, T, F) of some rows."""
        return self._scores(self._read(rows))

    def hides(self, rows, seed: int) -> np.ndarray:
        """Which values of some rows are hidden at this seed: (B, T, F) bool."""
        return hides(self._read(rows), self.pattern, self.rate, seed)

    def masked(self, rows, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """z-scores (B, T, F) of some rows, with values hidden and without."""
        X = self._read(rows)
        Z = self._scores(X)
        return _without(Z, hides(X, self.pattern, self.rate, seed)), Z

    def _read(self, rows) -> np.ndarray:
        if self._in_order != isinstance(rows, slice):
            self._in_order = isinstance(rows, slice)
            runs.read_ahead(self.X, self._in_order)
        X = np.asarray(self.X[rows], dtype=np.float32)
        if self._lengths is not None:
            X = np.where(behind(self._lengths[rows], X.shape[1])[..., None], np.float32(np.nan), X)
        self._since += len(X)
        if self._since >= runs.PART:
            runs.let_go(self.X)
            self._since = 0
        return X

    def _scores(self, X: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.backbone.scaler.transform(X)).to(self.backbone.device)


class Held:
    """Windows with values hidden once and for all, a bit a value: what an imputer is scored on.

    It is iterated as (hidden, truth, lengths or None).
    """

    def __init__(self, windows: Windows, seed: int):
        self.windows, self.bits = windows, []
        for number, rows in enumerate(self._rows()):
            self.bits.append(np.packbits(windows.hides(rows, runs.batch_seed(seed, number))))

    def _rows(self):
        return (slice(start, start + _SCORED) for start in range(0, len(self.windows), _SCORED))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        for rows, bits in zip(self._rows(), self.bits, strict=True):
            Z = self.windows(rows)
            yield (
                _without(Z, np.unpackbits(bits, count=Z.numel()).astype(bool).reshape(Z.shape)),
                Z,
                self.windows.lengths(rows),
            )


def _without(Z: torch.Tensor, hidden: np.ndarray) -> torch.Tensor:
    return Z.masked_fill(torch.from_numpy(hidden).to(Z.device), float("nan"))
