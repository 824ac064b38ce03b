"""Standardisation: per-feature mean and standard deviation of the observed *training* values, nothing else.

A few mistyped values can make a deviation: five of pH's make PhysioNet 2012's, in which pH is then nearly constant. So mean and deviation may be
those of values drawn in to the quantiles of training (winsorised), and z-scores cut at an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from modts import runs
from modts.errors import ModtsError, choose

from .table import SCALINGS

TAIL = 0.005  # share drawn in at each end
EDGE = 6.0  # where z-scores are then cut
_SAMPLE = 50_000  # windows that quantiles are taken from, evenly spread


@dataclass(frozen=True)
class Scaler:
    """z = (x - mean) / std per feature; NaN stays NaN. A feature never observed in training is NaN both ways: it is ignored.

    Attributes
    ----------
    mean, std
        (F,) float32. A feature never observed in training, or constant there, has std 1 (and mean 0 if unseen).
    seen
        (F,) bool, False for features never observed in training; None where there are none of them.
    edge
        z-scores beyond it are cut to it; None: they are not.
    """

    mean: np.ndarray
    std: np.ndarray
    seen: np.ndarray | None = None
    edge: float | None = None

    @classmethod
    def fit(cls, X: np.ndarray, scaling: str = "plain") -> Scaler:
        """Fit on training values X (N, ..., F), NaN = missing; X may be a memory map.

        scaling : "plain", or "winsorised": mean and deviation of values drawn in to the quantiles `TAIL` and 1 - `TAIL`, z-scores cut at `EDGE`.
        """
        drawn_in = choose(scaling, SCALINGS, "scaling") == "winsorised"
        least, most = quantiles(X) if drawn_in else (None, None)
        n, total, squares = (np.zeros(np.shape(X)[-1]) for _ in range(3))
        for flat in _flat(X):
            n += (~np.isnan(flat)).sum(0)
            total += np.nansum(np.clip(flat, least, most) if drawn_in else flat, 0)
        ever = n > 0
        if not ever.any():
            raise ModtsError("The training data hold no observed value at all; check the cohort and its splits.")
        n = np.maximum(n, 1)
        mean = total / n
        for flat in _flat(X):
            squares += np.nansum(((np.clip(flat, least, most) if drawn_in else flat) - mean) ** 2, 0)
        std = np.sqrt(squares / n)
        std[std < 1e-8] = 1.0
        edge = EDGE if drawn_in else None
        return cls(mean.astype(np.float32), std.astype(np.float32), None if ever.all() else ever, edge)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Raw units -> z-scores, (..., F) float32."""
        X = np.require(X, dtype=np.float32, requirements=("C", "W"))  # PyTorch takes no other array, and uses all cores
        Z = torch.from_numpy(X).sub(torch.from_numpy(self.mean)).div_(torch.from_numpy(self.std))
        return self._ignoring(self.cut(Z).numpy())

    def cut(self, Z: torch.Tensor) -> torch.Tensor:
        """z-scores with those beyond the edge cut to it, in place."""
        return Z if self.edge is None else Z.clamp_(-self.edge, self.edge)

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        """z-scores -> raw units, (..., F) float32. A value that was cut does not come back."""
        return self._ignoring((np.asarray(Z, dtype=np.float32) * self.std + self.mean).astype(np.float32))

    def _ignoring(self, values: np.ndarray) -> np.ndarray:
        if self.seen is not None:
            values[..., ~self.seen] = np.nan
        return values


def quantiles(X, tail: float = TAIL) -> tuple[np.ndarray, np.ndarray]:
    """The quantiles `tail` and 1 - `tail` of each feature's observed values X (N, ..., F): two (F,) arrays, infinite where there is no value.

    Of more windows than 50,000 it takes every so-many-th.
    """
    X = np.asarray(X[:: -(-len(X) // _SAMPLE)], dtype=np.float64).reshape(-1, np.shape(X)[-1])
    none = np.isnan(X).all(0)
    least, most = np.nanquantile(np.where(none, 0.0, X), (tail, 1 - tail), axis=0)
    return np.where(none, -np.inf, least), np.where(none, np.inf, most)


def _flat(X):
    """X (N, ..., F) in parts (n, F) of float64."""
    for part in runs.parts(X):
        yield np.asarray(part, dtype=np.float64).reshape(-1, np.shape(X)[-1])
