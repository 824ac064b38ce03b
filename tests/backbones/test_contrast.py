"""TS2Vec: PyPOTS's results and loss, what it reads at a gap, and that it learns a representation and fills nothing."""

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

from modts.backbones import Backbone, Scaler, build, contrast, core, load_backbone, options_of, pypots
from modts.cohorts import seeded
from modts.errors import ModtsError
from modts.learning import pretrain

T, F = 12, 3
SIZES = {"n_pred_features": 7, "d_hidden": 5, "n_layers": 4}  # its last convolutions are wider than a window


def made(**options):
    scaler = Scaler(np.zeros(F, np.float32), np.ones(F, np.float32))
    return Backbone("TS2Vec", T, [f"v{i}" for i in range(F)], scaler, SIZES, options=options, seed=2)


def windows(n=6, missing=0.15, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, T, F)).astype(np.float32)
    Z[rng.random(Z.shape) < missing] = np.nan
    return torch.from_numpy(Z)


def theirs(backbone):
    """PyPOTS's own module with these weights."""
    module = core("TS2Vec", "representation")(n_steps=T, n_features=F, mask_mode="binomial", **SIZES)
    module.load_state_dict(backbone.module.state_dict())
    return module


def near(a, b, tolerance=1e-5):
    assert a.shape == b.shape and (a - b).abs().max() < tolerance * max(1.0, b.abs().max().item())


@pytest.mark.parametrize("n", [1, 6])
def test_states_and_gradients_are_pypotss(n):
    backbone = made(gaps="step").eval()
    module, Z = theirs(backbone).eval(), windows(n)
    ours = backbone.run(backbone.inputs(Z))[1][0]
    other = module.encoder(Z.clone())  # which writes to what it is given
    near(ours, other)
    assert 0 < Z.isnan().any(-1).sum() < Z[..., 0].numel()
    for states in (ours, other):
        states.square().mean().backward()
    for mine, their in zip(backbone.module.parameters(), module.parameters(), strict=True):
        near(mine.grad, their.grad)


@pytest.mark.parametrize("shape", [(1, 5), (2, 2), (4, 3), (3, 12), (5, 17)])
def test_the_loss_is_pypotss(shape):
    generator = torch.Generator().manual_seed(1)
    views = [torch.randn(*shape, 4, generator=generator, requires_grad=True) for _ in range(2)]
    reference = pypots("nn.modules.ts2vec.losses").hierarchical_contrastive_loss(*views)
    ours = contrast.hierarchical(*views)
    near(ours, reference)
    for mine, their in zip(torch.autograd.grad(ours, views), torch.autograd.grad(reference, views), strict=True):
        near(mine, their)


def test_the_loss_of_a_draw_is_pypotss_on_the_same_crops(monkeypatch):
    """In evaluation, where nothing is hidden at random; the crops are drawn once and given to both."""
    backbone, Z = made(gaps="step").eval(), windows()
    drawn = contrast._crops(Z)
    monkeypatch.setattr(contrast, "_crops", lambda X: drawn)
    encoder = theirs(backbone).eval().encoder
    one, two, common = drawn
    reference = pypots("nn.modules.ts2vec.losses").hierarchical_contrastive_loss(
        encoder(one.clone())[:, -common:], encoder(two.clone())[:, :common]
    )
    near(backbone.own_loss(backbone.inputs(Z)), reference)


def test_crops_overlap_in_the_same_steps():
    where = torch.arange(T, dtype=torch.float32)[None, :, None] + 100 * torch.arange(9)[:, None, None]
    seen = set()
    for seed in range(60):
        with seeded(seed):
            one, two, common = contrast._crops(where.expand(9, T, 2))
        assert 2 <= common <= min(one.shape[1], two.shape[1]) <= T
        assert torch.equal(one[:, -common:], two[:, :common])
        assert (one[:, :, 0].diff(dim=1) == 1).all() and (one[:, 0, 0] // 100 == torch.arange(9)).all()
        with seeded(seed):
            assert torch.equal(contrast._crops(where)[0], one[..., :1])
        seen |= {(common, one.shape[1] - common, two.shape[1] - common)}
    assert len(seen) > 40 and any(left for _, left, _ in seen) and any(right for *_, right in seen)


def test_the_windows_that_it_reads_stay_as_they_were():
    backbone, Z = made().train(), windows()
    before = Z.clone()
    backbone.own_loss(backbone.inputs(Z))
    backbone.run(backbone.inputs(Z))
    assert torch.equal(Z.isnan(), before.isnan()) and torch.equal(torch.nan_to_num(Z), torch.nan_to_num(before))


def test_a_gap_blanks_its_step_in_pypotss_reading_alone():
    """With a gap in every step, as in clinical data, PyPOTS's reading has one answer for all windows."""
    Z = windows(8)
    Z[:, :, 0] = np.nan
    states = {gaps: made(gaps=gaps).eval() for gaps in contrast.GAPS}
    with torch.no_grad():
        states = {gaps: b.states(b.inputs(Z))[0] for gaps, b in states.items()}
    assert torch.equal(states["step"], states["step"][:1].expand_as(states["step"]))
    assert (states["cell"] - states["cell"][:1])[1:].abs().max() > 1e-2
    assert options_of("TS2Vec") == {"gaps": "cell"} and options_of("TS2Vec", reading="shipped") == {"gaps": "step"}


def test_a_step_without_any_value_is_blank_and_no_zero():
    backbone, Z = made().eval(), windows(1, missing=0.0)
    empty, zero = Z.clone(), Z.clone()
    empty[0, 5], zero[0, 5] = np.nan, 0.0
    with torch.no_grad():
        apart = backbone.states(backbone.inputs(empty))[0] - backbone.states(backbone.inputs(zero))[0]
    assert apart.abs().max() > 1e-3


def test_the_latent_is_the_largest_over_time():
    backbone, X = made().eval(), windows().numpy()
    with torch.no_grad():
        states = backbone.states(backbone.inputs(torch.from_numpy(X)))[0]
    np.testing.assert_array_equal(backbone.latents(X), states.amax(1).numpy())


def test_it_fills_no_gaps(tmp_path):
    cohort = tiny(steps=8, features=5)
    backbone = build("TS2Vec", cohort)
    for one in (backbone, load_backbone(backbone.save(tmp_path / "b.safetensors"))):
        with pytest.raises(ModtsError, match="TS2Vec learns a representation and fills no gaps; impute with another"):
            one.impute(cohort.X[:3])


def test_windows_of_one_step_have_nothing_to_compare():
    with pytest.raises(ModtsError, match="compares crops of 2 steps or more, but these windows have 1"):
        contrast.loss(made().module.encoder, "cell", windows()[:, :1])


# --- pretraining ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waves():
    """Windows of waves, each of a frequency of its own, a third of the values missing: (n, T, F)."""
    rng, step = np.random.default_rng(0), np.arange(T)[:, None]
    X = np.sin(rng.uniform(0.2, 2, (80, 1, 1)) * step + rng.uniform(0, 6, (80, 1, F))).astype(np.float32)
    X[rng.random(X.shape) < 0.33] = np.nan
    return X[:64], X[64:]


def trained(waves, **given):
    backbone = made()
    return backbone, pretrain(backbone, *waves, **{"epochs": 5, "batch_size": 16, "lr": 3e-3, "seed": 3, **given})


def test_pretraining_lowers_the_loss_and_keeps_the_best_of_its_own_validation(waves):
    start = made()
    backbone, history = trained(waves)
    assert history.loss[-1] < history.loss[0] and history.best == min(history.validation) < history.validation[0]
    assert history.rivals == {} and backbone.weights_hash() != start.weights_hash()
    past = backbone.card["past"][0]
    assert past["validation"] == history.best and not {"pattern", "rate"} & set(past["settings"])


def test_the_same_seed_has_the_same_bits_and_another_seed_has_others(waves):
    runs = [trained(waves, seed=seed, epochs=2) for seed in (3, 3, 4)]
    (a, one), (b, two), (c, three) = runs
    assert a.weights_hash() == b.weights_hash() != c.weights_hash()
    assert one.validation == two.validation != three.validation


def test_a_run_that_was_stopped_ends_with_the_same_bits(waves, tmp_path):
    straight, _ = trained(waves, epochs=4)
    path = tmp_path / "training.safetensors"
    trained(waves, epochs=2, checkpoint=path)
    resumed = made()
    history = pretrain(resumed, *waves, epochs=4, batch_size=16, lr=3e-3, seed=3, checkpoint=path)
    assert len(history.validation) == 4 and resumed.weights_hash() == straight.weights_hash()


def test_validation_draws_its_crops_once_and_leaves_the_generators_alone(waves):
    """With a learning rate of nearly nothing the score stays as it is."""
    state = torch.get_rng_state()
    _, history = trained(waves, lr=1e-12, epochs=3)
    assert np.ptp(history.validation) < 1e-5
    torch.set_rng_state(state)
