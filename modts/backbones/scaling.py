"""Standardisation: per-feature mean and standard deviation of the observed *training* values, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

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
        """Fit on training values X (..., F), NaN = missing."""
        flat = np.asarray(X, dtype=np.float64).reshape(-1, np.shape(X)[-1])
        seen = ~np.isnan(flat)
        if not seen.any():
            raise ModtsError("The training data hold no observed value at all; check the cohort and its splits.")
        n = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, flat, 0).sum(0) / n
        std = np.sqrt((np.where(seen, flat - mean, 0) ** 2).sum(0) / n)
        std[std < 1e-8] = 1.0
        ever = seen.any(0)
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
