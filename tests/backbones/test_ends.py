"""Series that end before their window does: padding changes no latent and no filled value, and nothing is filled behind an end."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from own_fixture import changed

from modts.backbones import BACKBONES, POOLINGS, build, live
from modts.backbones.ends import alone, before, cut, turn
from modts.errors import ModtsError
from modts.learning import pretrain

T, WIDE, F, N = 12, 16, 4, 10
LENGTHS = np.array([1, 2, 3, 5, 7, 7, 9, 11, 12, 12])
EACH = pytest.mark.parametrize("name", BACKBONES)


@pytest.fixture(scope="module")
def cohort():
    return tiny(n=60, steps=T, features=F)


@pytest.fixture(scope="module")
def X(cohort):
    """Windows with a value in every series, however short."""
    some = np.isnan(cohort.X[:N]) & (np.arange(T) % 3 == 0)[:, None]
    return np.where(some, 1.1 * np.nanmean(cohort.X, (0, 1)), cohort.X[:N]).astype(np.float32)


def wider(backbone, cohort):
    """The same weights for windows of more steps; a weight of a step stands where it stood."""
    padded = np.pad(cohort.X, ((0, 0), (0, WIDE - T), (0, 0)), constant_values=np.nan)
    other = build(backbone.name, replace(cohort, X=padded), seed=1)
    ours, theirs = backbone.state_dict(), other.state_dict()
    for name, value in ours.items():
        if theirs[name].shape == value.shape:
            theirs[name] = value
        elif name.endswith("weight_combine.weight"):  # SAITS: a mask of F features, then attention to each step
            theirs[name][:, : F + T] = value
        elif "output_projection2" in name:  # CSAI: last observations of each step, then decays of each step
            theirs[name][:, :T], theirs[name][:, WIDE : WIDE + T] = value[:, :T], value[:, T:]
        else:
            assert "pos_table" in name, name  # sines
    other.load_state_dict(theirs)
    other.scaler = backbone.scaler
    return other.eval()


@EACH
def test_padding_changes_no_latent_and_no_filled_value(cohort, X, name):
    backbone = build(name, cohort, seed=0).eval()
    wide, padded = wider(backbone, cohort), np.pad(X, ((0, 0), (0, WIDE - T), (0, 0)), constant_values=7.0)
    for pooling in POOLINGS:
        here, there = backbone.latents(X, pooling, lengths=LENGTHS), wide.latents(padded, pooling, lengths=LENGTHS)
        if here.shape != there.shape:  # flattened: a place for each step of the window
            here, there = here.reshape(N, T, -1), there.reshape(N, WIDE, -1)
            assert not there[:, T:].any() and not here[0, 1:].any()
            there = there[:, :T]
        np.testing.assert_allclose(here, there, atol=1e-5)
    if not backbone.row.imputes:
        return
    filled, again = backbone.impute(X, lengths=LENGTHS), wide.impute(padded, lengths=LENGTHS)
    behind = np.arange(T) >= LENGTHS[:, None]
    np.testing.assert_allclose(filled[~behind], again[:, :T][~behind], rtol=1e-4, atol=1e-3)
    assert np.isnan(filled[behind]).all() and np.isfinite(filled[~behind]).all() and np.isnan(again[:, T:]).all()
    seen = ~np.isnan(X) & ~behind[..., None]
    assert np.array_equal(filled[seen], X[seen])


@EACH
def test_what_stands_behind_an_end_or_beside_a_window_changes_nothing(cohort, X, name):
    backbone = build(name, cohort, seed=0).eval()
    latents, rubbish = backbone.latents(X, lengths=LENGTHS), X.copy()
    rubbish[np.arange(T) >= LENGTHS[:, None]] = 1e6
    np.testing.assert_array_equal(backbone.latents(rubbish, lengths=LENGTHS), latents)
    for i in (0, 3, 8):  # alone, and as far as it goes
        part = X[i : i + 1, : LENGTHS[i]]
        np.testing.assert_allclose(backbone.latents(part, lengths=LENGTHS[i : i + 1])[0], latents[i], atol=1e-5)
        if backbone.row.imputes:
            assert backbone.impute(part, lengths=LENGTHS[i : i + 1]).shape == part.shape
    full = np.full(N, T)
    np.testing.assert_allclose(backbone.latents(X, lengths=full), backbone.latents(X), atol=1e-5)
    if backbone.row.imputes:
        np.testing.assert_allclose(backbone.impute(X, lengths=full), backbone.impute(X), rtol=1e-4, atol=1e-3)
    assert not np.allclose(backbone.latents(X)[3], latents[3], atol=1e-3), "lengths without effect: this tests nothing"


@EACH
def test_gradients_do_not_pass_an_end(cohort, X, name):
    """The loss and its gradients are finite, and what stands behind an end has no part in them."""
    backbone = build(name, cohort, seed=0).train()
    rubbish = X.copy()
    rubbish[np.arange(T) >= LENGTHS[:, None]] = 50.0
    found = []
    for windows in (X, rubbish):
        ended, lengths = cut(windows, LENGTHS, T)
        Z = torch.from_numpy(backbone.scaler.transform(ended))
        torch.manual_seed(0)
        np.random.seed(0)
        backbone.zero_grad()
        results, latent = live(backbone, Z, "mean+max+last", Z, torch.from_numpy(lengths))
        (results["loss"] + latent.square().mean()).backward()
        found.append([p.grad.clone() for p in backbone.parameters() if p.grad is not None])
    assert all(torch.isfinite(g).all() for g in found[0]) and any(g.any() for g in found[0])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@EACH
def test_pretraining_hides_and_scores_before_the_end_only(cohort, name):
    rng = np.random.default_rng(3)
    (X, _), (X_val, _) = cohort.part("train"), cohort.part("val")
    lengths = tuple(rng.integers(4, T + 1, len(part)) for part in (X, X_val))
    ended = [cut(part, steps, T)[0] for part, steps in zip((X, X_val), lengths, strict=True)]
    runs = []
    for parts in ((X, X_val), ended):
        backbone = build(name, cohort, seed=0)
        runs.append((pretrain(backbone, *parts, lengths=lengths, epochs=2, progress=None), backbone))
    (first, backbone), (second, _) = runs
    assert first.validation == second.validation and first.rivals == second.rivals
    assert np.isfinite(first.validation).all() and np.isfinite(backbone.latents(X, lengths=lengths[0])).all()


@pytest.mark.parametrize("kind", ["recurrent", "attention", "convolutional"])
def test_a_class_of_ones_own_is_pooled_to_the_end(cohort, X, tmp_path, kind):
    """What is guaranteed: nothing behind the end is read, pooled or filled, and the same series in the same window has the same answer."""
    file = changed(tmp_path, ('kind = "recurrent"', f'kind = "{kind}"'), name=f"{kind}.py")
    backbone = build(f"{file}:MyImputer", cohort, seed=0).eval()
    assert backbone.row.ends == "padded"
    latents, rubbish = backbone.latents(X, "mean+max+last", lengths=LENGTHS), X.copy()
    rubbish[np.arange(T) >= LENGTHS[:, None]] = 1e6
    np.testing.assert_array_equal(backbone.latents(rubbish, "mean+max+last", lengths=LENGTHS), latents)
    part = X[3:4, : LENGTHS[3]]
    np.testing.assert_allclose(backbone.latents(part, "mean+max+last", lengths=LENGTHS[3:4])[0], latents[3], atol=1e-5)
    filled = backbone.impute(X, lengths=LENGTHS)
    np.testing.assert_array_equal(np.isnan(filled).all(2), np.arange(T) >= LENGTHS[:, None])
    full = np.full(N, T)
    for pooling in POOLINGS:
        np.testing.assert_allclose(backbone.latents(X, pooling, lengths=full), backbone.latents(X, pooling), atol=1e-5)


def test_turned_twice_is_nothing_and_each_series_is_turned_within_itself():
    X = torch.arange(2 * 5 * 1.0).view(2, 5, 1)
    turned = turn(X, torch.tensor([3, 5]))
    assert turned[..., 0].tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]
    torch.testing.assert_close(turn(turned, torch.tensor([3, 5])), X)
    torch.testing.assert_close(turn(X, torch.tensor([5, 5])), turn(X))
    assert before(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True] * 3]


def test_each_length_is_read_by_itself_and_put_back_in_its_place():
    X, seen = torch.randn(6, 5, 2), []

    def run(part):
        seen.append(tuple(part["X"].shape))
        return {"imputation": part["X"] + 1, "loss": part["X"].shape[0] * torch.ones(())}, [part["X"] * 2]

    lengths = torch.tensor([5, 2, 4, 2, 1, 5])
    results, (state,) = alone(run, {"X": X, "lengths": lengths}, lengths, 2)
    assert seen == [(3, 2, 2), (1, 4, 2), (2, 5, 2)]
    there = before(lengths.clamp(min=2), 5)[..., None]
    torch.testing.assert_close(state, torch.where(there, X * 2, 0.0))
    torch.testing.assert_close(results["imputation"], torch.where(there, X + 1, 0.0))
    assert results["loss"].item() == pytest.approx((3 * 3 + 1 + 2 * 2) / 6)


@pytest.mark.parametrize(
    "lengths, sentence",
    [
        ([3] * (N - 1), f"a whole number for each of {N} windows"),
        ([3.0] * N, "a whole number for each"),
        ([0, *[3] * (N - 1)], f"must be 1 to {T}, the steps of the windows, not 0"),
        ([*[3] * (N - 1), T + 1], f"must be 1 to {T}, the steps of the windows, not {T + 1}"),
    ],
)
def test_lengths_that_do_not_fit_are_one_sentence(cohort, X, lengths, sentence):
    backbone = build("GRU-D", cohort, seed=0)
    for call in (backbone.latents, backbone.impute):
        with pytest.raises(ModtsError, match=sentence):
            call(X, lengths=lengths)
    with pytest.raises(ModtsError, match="reads arrays of shape"):
        backbone.latents(np.zeros((2, T + 1, F)), lengths=[T, T])
