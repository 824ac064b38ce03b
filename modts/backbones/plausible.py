"""Do raw values lie where the training values lay? What is standardised, coded or in another unit is noticed before it is answered.

It runs before every answer, so the spread of the values is only computed where their means are suspicious.
"""

from __future__ import annotations

import numpy as np
import torch

from modts.errors import ModtsError, notice

from .inputs import observed


class Plausible:
    """What a scaler says about raw values, feature by feature.

    Parameters
    ----------
    scaler : Scaler
    features : tuple of str
    """

    def __init__(self, scaler, features: tuple[str, ...]):
        self.features, self.mean, self.std = features, scaler.mean, scaler.std
        seen = np.ones(len(features), dtype=bool) if scaler.seen is None else scaler.seen
        varied = seen & (
            scaler.std != 1.0
        )  # 1 is what the scaler says of a constant feature: a spread that says nothing
        size = np.abs(scaler.mean)
        self.unseen = None if seen.all() else ~seen
        self.least = np.where(varied, 1, 50)  # so many values a feature needs to be far away
        # where raw values and z-scores cannot be mixed up: by their mean, or by their spread alone
        self.by_mean = varied & (size > 3 * scaler.std) & (size > 3)
        self.by_spread = varied & ~self.by_mean & ((scaler.std > 10) | (scaler.std < 0.1))
        self.telling = self.by_mean | self.by_spread
        self.even = varied & (size > scaler.std / 2)  # of a long tail one sees the top now and then only

    def check(self, values: torch.Tensor) -> np.ndarray:
        """Refuse or warn of implausible windows (N, T, F), raw with NaN; some of them are enough. Returns the number of values, (F,).

        Refused: a feature far from its training mean (20 standard deviations, more where it has fewer than 50 values), half of the
        features 10 away, and values that look standardised. Warned of: a feature whose mean and spread are both some times as large as in
        training, or as small.
        """
        n = observed(values).sum(1).sum(0).numpy()
        centre = values.nansum(1).double().sum(0).numpy() / np.maximum(n, 1)
        away = np.abs(centre - self.mean) / self.std
        away[n == 0] = 0
        if self.unseen is not None:
            away[self.unseen] = 0
        if away.max() > 10:
            over = away * np.sqrt(np.minimum(n, 50) / 50) * (n >= self.least)
            there = away[n > 0]
            if over.max() > 20 or (len(there) >= 3 and np.median(there) > 10):
                f = int((over if over.max() > 20 else away).argmax())
                raise ModtsError(
                    f"The scale of {self.features[f]!r} looks wrong: its mean is {centre[f]:.4g}, {away[f]:.0f} standard deviations from "
                    f"the training mean {self.mean[f]:.4g}; give raw units, not standardised values."
                )
        size = np.abs(centre)
        suspects = self.telling & (size < 2) & (n >= 2)
        if suspects.any():
            self._standardised(values, n, centre, away, suspects)
        if len(values) >= 32:
            many = n >= 200
            zero = many & (size < 0.3) & (away > 0.5)
            if zero.sum() >= max(3, 0.8 * many.sum()):
                raise ModtsError(self._near_zero(zero, many, centre, away))
            self._unit(values, n, centre)
        return n

    def _standardised(self, values, n, centre, away, suspects) -> None:
        """Refuse values near 0 with a spread near 1 where raw ones would be elsewhere, in four of five features that can tell."""
        telling = (self.by_mean & (n >= 2)) | (self.by_spread & (n >= 20))
        sure = len(values) >= 8 and n[telling].min(initial=np.inf) >= 200
        enough = max(1 if sure else 3, 0.8 * telling.sum())
        if (suspects & telling).sum() < enough:
            return
        spread = _spread(values, n, centre)
        like = self.by_mean & (away > 2) & (spread < 5)
        like |= self.by_spread & (spread > 0.2) & (spread < 3)
        like &= suspects & telling
        if like.sum() >= enough:
            raise ModtsError(self._near_zero(like, telling, centre, away))

    def _near_zero(self, like, telling, centre, away) -> str:
        f = int(np.where(like, away, -1).argmax())
        return (
            f"X looks standardised: {int(like.sum())} of {int(telling.sum())} features that can tell lie near 0 (such as "
            f"{self.features[f]!r} with a mean of {centre[f]:.3g} where training has {self.mean[f]:.4g}); give raw units, as in training."
        )

    def _unit(self, values, n, centre) -> None:
        """Warn of features of which mean and spread are six times those of training or more, or a sixth or less, alike."""
        sure = self.even & (n >= 50)
        by_mean = np.divide(centre, self.mean, where=sure, out=np.ones(len(n)))
        other = (by_mean > 6) | ((by_mean > 0) & (by_mean < 1 / 6))
        if not other.any():
            return
        spread = _spread(values, n, centre)
        by_spread = np.maximum(spread / self.std, 1e-30)
        other &= (np.abs(np.log2(np.maximum(by_mean, 1e-30) / by_spread)) < 1) & ((by_spread > 6) | (by_spread < 1 / 6))
        for f in np.flatnonzero(other):
            notice(
                f"The values of {self.features[f]!r} may be in another unit: mean and spread are {centre[f]:.3g} and {spread[f]:.3g}, in "
                f"training {self.mean[f]:.3g} and {self.std[f]:.3g}."
            )


def _spread(values: torch.Tensor, n: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Standard deviation of the observed values of each feature."""
    squares = (values - torch.from_numpy(centre.astype(np.float32))).square_().nansum(1).double().sum(0).numpy()
    return np.sqrt(squares / np.maximum(n, 1))
