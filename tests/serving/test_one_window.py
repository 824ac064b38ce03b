"""One window, one answer: what stands beside a window in a batch, and in which order, changes nothing."""

import numpy as np
import pytest

from modts.backbones import BACKBONES, build, options_of
from modts.cohorts import load_cohort
from modts.learning import Head, pretrain
from modts.serving import Predictor

ALONE = (0, 3, 7, 100, 255)


@pytest.fixture(scope="module")
def cohort():
    return load_cohort("simulated_icu")


def answers(backbone, X) -> list[np.ndarray]:
    """Latents by both poolings, imputations in standard deviations, probabilities; a batch holds all windows."""
    size = backbone.latents(X[:1]).shape[1]
    predictor = Predictor(backbone, Head("simple", size, 1, seed=1))
    imputed = [backbone.impute(X, batch_size=len(X)) / backbone.scaler.std] if backbone.row.imputes else []
    latents = [backbone.latents(X, pooling, batch_size=len(X)) for pooling in ("paper", "mean+max+last")]
    return [*latents, *imputed, predictor.predict(X, batch_size=len(X))]


def apart(backbone, X) -> float:
    """The largest difference between a window's answers among all others, in another order, and alone."""
    order = np.random.default_rng(0).permutation(len(X))
    together, turned = answers(backbone, X), answers(backbone, X[order])
    found = max(np.abs(a[order] - b).max() for a, b in zip(together, turned, strict=True))
    for row in ALONE:
        found = max(
            found,
            *(np.abs(a[row] - b[0]).max() for a, b in zip(together, answers(backbone, X[row : row + 1]), strict=True)),
        )
    return float(found)


def trained(name, cohort, **options):
    backbone = build(name, cohort, seed=0, **options)
    X = cohort.part("train")[0]
    pretrain(backbone, X[:96], X[96:128], epochs=4, patience=9, batch_size=16, lr=5e-3)
    return backbone


@pytest.mark.parametrize("name", BACKBONES)
def test_a_window_has_one_answer(cohort, name):
    assert apart(trained(name, cohort), cohort.X[:256]) < 1e-5


@pytest.mark.parametrize("name", ["CSAI", "TimesNet"])
def test_as_pypots_ships_it_an_answer_depends_on_the_batch(cohort, name):
    assert apart(trained(name, cohort, options=options_of(name, reading="shipped")), cohort.X[:256]) > 1e-3
