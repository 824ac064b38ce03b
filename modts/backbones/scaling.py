"""Standardisation: per-feature mean and standard deviation of the observed *training* values, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from modts import runs
from modts.errors import ModtsError


@dataclass(frozen=True)
class Scaler:
    """z = (x - mean) / std per feature; NaN stays NaN. A feature never observed in training is NaN both ways: it is ignored.

    Attributes
    ----------
    mean, std
        (F,) float32. A feature never observed in training, or constant there, has std 1 (and mean 0 if unseen).
    seen
        (F,) bool, False for features never observed in training; None where there are none of them.
    """

    mean: np.ndarray
    std: np.ndarray
    seen: np.ndarray | None = None

    @classmethod
    def fit(cls, X: np.ndarray) -> Scaler:
        """Fit on training values X (N, ..., F), NaN = missing; X may be a memory map."""
        n, total, squares = (np.zeros(np.shape(X)[-1]) for _ in range(3))
        for flat in _flat(X):
            n += (~np.isnan(flat)).sum(0)
            total += np.nansum(flat, 0)
        ever = n > 0
        if not ever.any():
            raise ModtsError("The training data hold no observed value at all; check the cohort and its splits.")
        n = np.maximum(n, 1)
        mean = total / n
        for flat in _flat(X):
            squares += np.nansum((flat - mean) ** 2, 0)
        std = np.sqrt(squares / n)
        std[std < 1e-8] = 1.0
        return cls(mean.astype(np.float32), std.astype(np.float32), None if ever.all() else ever)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Raw units -> z-scores, (..., F) float32."""
        X = np.require(X, dtype=np.float32, requirements=("C", "W"))  # PyTorch takes no other array, and uses all cores
        Z = torch.from_numpy(X).sub(torch.from_numpy(self.mean)).div_(torch.from_numpy(self.std)).numpy()
        return self._ignoring(Z)

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        """z-scores -> raw units, (..., F) float32."""
        return self._ignoring((np.asarray(Z, dtype=np.float32) * self.std + self.mean).astype(np.float32))

    def _ignoring(self, values: np.ndarray) -> np.ndarray:
        if self.seen is not None:
            values[..., ~self.seen] = np.nan
        return values


def _flat(X):
    """X (N, ..., F) in parts (n, F) of float64."""
    for part in runs.parts(X):
        yield np.asarray(part, dtype=np.float64).reshape(-1, np.shape(X)[-1])
