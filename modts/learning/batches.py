"""Windows a batch at a time: only the batch is standardised and masked, so that they may lie in a memory map larger than memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from modts import runs
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
    """

    def __init__(self, backbone, X: np.ndarray, pattern: str = "point", rate: float = 0.1):
        check_pattern(pattern, rate)
        self.backbone, self.X, self.pattern, self.rate = backbone, backbone.windows(X), pattern, rate
        self._since = 0

    def __len__(self) -> int:
        return len(self.X)

    def split(self, size: int = _SCORED) -> Iterator[torch.Tensor]:
        """All windows as z-scores (B, T, F) on the model's device, in their order."""
        return (self(slice(start, start + size)) for start in range(0, len(self), size))

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
        X = np.asarray(self.X[rows], dtype=np.float32)
        self._since += len(X)
        if self._since >= runs.PART:
            runs.let_go(self.X)
            self._since = 0
        return X

    def _scores(self, X: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.backbone.scaler.transform(X)).to(self.backbone.device)


class Held:
    """Windows with values hidden once and for all, a bit a value: what an imputer is scored on. It is iterated as (hidden, truth)."""

    def __init__(self, windows: Windows, seed: int):
        self.windows, self.bits = windows, []
        for number, rows in enumerate(self._rows()):
            self.bits.append(np.packbits(windows.hides(rows, runs.batch_seed(seed, number))))

    def _rows(self):
        return (slice(start, start + _SCORED) for start in range(0, len(self.windows), _SCORED))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for rows, bits in zip(self._rows(), self.bits, strict=True):
            Z = self.windows(rows)
            yield _without(Z, np.unpackbits(bits, count=Z.numel()).astype(bool).reshape(Z.shape)), Z


def _without(Z: torch.Tensor, hidden: np.ndarray) -> torch.Tensor:
    return Z.masked_fill(torch.from_numpy(hidden).to(Z.device), float("nan"))
