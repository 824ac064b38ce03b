"""What a frozen imputer's latents hold, measured on the simulated stays: the numbers of the chapter "How an imputer's latent looks".

The predictor is a stored file (`book/data/lesson.safetensors`, made by tools/lesson_model.py); nothing here trains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

import modts
from modts import runs
from modts.cohorts import world
from modts.learning import auroc, score

from .learn_numbers import DRAWS, SEED, describe

STAY = 320  # a test stay that gets worse, and whose lactate was measured when it did
END = 12  # hours at the end of a stay over which "how sick" is averaged, as the simulation's own outcome does
OTHERS = (1, 2, 3)  # seeds of further untrained networks
READ = {"measured": "how much was measured", "severity": "how sick, in truth"}
FROM = {
    "pretrained": "latent, pretrained",
    "untrained": "latent, untrained",
    "statistics": "means, last values, counts",
}


@cache
def lesson():
    """(predictor, cohort) of the chapter."""
    return modts.load_predictor(runs.root() / "book" / "data" / "lesson.safetensors"), modts.load_cohort(
        "simulated_icu", seed=0
    )


@dataclass(frozen=True)
class Steps:
    """A stay step by step: raw and z (T, F) with NaN, seen (T, F), states (T, D) in time's order, latent (D,), chance; and all test stays'."""

    raw: np.ndarray
    seen: np.ndarray
    z: np.ndarray
    states: np.ndarray
    latent: np.ndarray
    chance: float
    chances: np.ndarray
    died: np.ndarray


@cache
def steps() -> Steps:
    """The stay of the chapter on its way through the predictor."""
    import torch

    predictor, cohort = lesson()
    backbone, raw, test = predictor.backbone, cohort.X[STAY], cohort.splits["test"]
    Z = backbone.tensor(raw[None])
    with torch.inference_mode():
        forward, backward = (state[0].numpy() for state in backbone.eval().states(backbone.inputs(Z)))
    return Steps(
        raw,
        ~np.isnan(raw),
        Z[0].numpy(),
        np.concatenate([forward, backward[::-1]], axis=1),
        backbone.latents(raw[None])[0],
        float(predictor.predict(raw[None])[0]),
        predictor.predict(cohort.X[test]),
        cohort.y[test],
    )


def standardised(Z: np.ndarray) -> np.ndarray:
    """What describes each stay (N, D), with the training stays' mean and deviation."""
    train = lesson()[1].splits["train"]
    return (Z - Z[train].mean(0)) / (Z[train].std(0) + 1e-6)


@cache
def latents() -> dict[str, np.ndarray]:
    """What describes each stay, by `FROM`: (N, D), standardised with the training stays."""
    predictor, cohort = lesson()
    untrained = modts.build(predictor.backbone.name, cohort, seed=SEED)
    found = {
        "pretrained": predictor.backbone.latents(cohort.X),
        "untrained": untrained.latents(cohort.X),
        "statistics": np.nan_to_num(describe(cohort.X)["both"]),
    }
    return {name: standardised(Z) for name, Z in found.items()}


@cache
def truths() -> dict[str, np.ndarray]:
    """What could be read off a stay, by `READ`: (N,) each."""
    _, cohort = lesson()
    return {"measured": (~np.isnan(cohort.X)).mean((1, 2)), "severity": world().severity[:, -END:].mean(1)}


@cache
def plane() -> tuple[np.ndarray, np.ndarray]:
    """The test stays in the plane of the first two principal components of the training stays' latents (n, 2), and their shares of variance.

    A component has no sign of its own: the first one points to where more was measured.
    """
    _, cohort = lesson()
    Z, train, test = latents()["pretrained"], cohort.splits["train"], cohort.splits["test"]
    _, sizes, axes = np.linalg.svd(Z[train], full_matrices=False)
    points = Z[test] @ axes[:2].T
    if np.corrcoef(points[:, 0], truths()["measured"][test])[0, 1] < 0:
        points[:, 0] *= -1
    return points, (sizes**2 / (sizes**2).sum())[:2]


def along() -> dict[str, float]:
    """How the first component goes with what can be read off, as rank correlations on the test stays, and its AUROC of death."""
    from scipy.stats import spearmanr

    points, (_, cohort) = plane()[0], lesson()
    test = cohort.splits["test"]
    found = {name: float(spearmanr(points[:, 0], values[test])[0]) for name, values in truths().items()}
    return found | {"auroc": float(auroc(cohort.y[test], points[:, 0]))}


def _explained(Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The share of variance (R2) that a ridge regression, fitted on the training stays, explains in the test stays: first in all of them,
    then in each of `DRAWS` resamples, which are the same at every call."""
    from sklearn.linear_model import RidgeCV

    _, cohort = lesson()
    train, test = cohort.splits["train"], cohort.splits["test"]
    picks = np.random.default_rng([SEED, 3]).integers(0, len(test), (DRAWS, len(test)))
    picks = np.concatenate([np.arange(len(test))[None], picks])
    told = RidgeCV(alphas=10.0 ** np.arange(-1, 6)).fit(Z[train], y[train]).predict(Z[test])
    errors, around = (y[test] - told) ** 2, (y[test] - y[test].mean()) ** 2
    return 1 - errors[picks].sum(1) / around[picks].sum(1)


def _with_interval(drawn: np.ndarray) -> tuple[float, float, float]:
    return drawn[0], *np.quantile(drawn[1:], (0.025, 0.975))


@cache
def readings() -> pd.DataFrame:
    """A row for each of `FROM` and `READ`: the share of variance explained in the test stays, with its interval over them."""
    rows = [
        (source, what, *_with_interval(_explained(Z, y)))
        for source, Z in latents().items()
        for what, y in truths().items()
    ]
    return pd.DataFrame(rows, columns=["source", "read", "value", "low", "high"])


@cache
def learnt() -> pd.DataFrame:
    """A row for each of `READ`: pretrained minus untrained on the same test stays, with its interval, and the least and the most (`from`, `to`)
    that networks with other random weights reach."""
    predictor, cohort = lesson()
    others = [modts.build(predictor.backbone.name, cohort, seed=seed).latents(cohort.X) for seed in OTHERS]
    rows = []
    for what, y in truths().items():
        difference = _explained(latents()["pretrained"], y) - _explained(latents()["untrained"], y)
        reached = [_explained(standardised(Z), y)[0] for Z in others]
        rows.append((what, *_with_interval(difference), min(reached), max(reached)))
    return pd.DataFrame(rows, columns=["read", "value", "low", "high", "from", "to"])


def true_auroc() -> float:
    """AUROC of the true risk of death on the test stays: no bound, as chance drew who died, but what a perfect model would say."""
    _, cohort = lesson()
    test = cohort.splits["test"]
    return float(auroc(cohort.y[test], world().risk[test]))


def head_auroc() -> tuple[float, float, float]:
    """AUROC of the chapter's head on the test stays, with its interval."""
    found = steps()
    return score("classification", found.died, found.chances, n_boot=DRAWS)["auroc"]
