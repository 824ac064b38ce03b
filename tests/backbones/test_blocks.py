"""The blocks of Autoformer, TimesNet and HELIX give what PyPOTS's own give: results, states, losses, gradients. (SAITS's: see test_serving.)"""

import numpy as np
import pytest
import torch

from modts.backbones import BACKBONES, Backbone, Scaler, helix, options_of, ships_classifier
from modts.backbones import backbone as backbones
from modts.errors import ModtsError
from modts.learning import Shipped, adaptation

N, T, F = 6, 12, 5
SIZES = {
    "Autoformer, one head": ("Autoformer", {"n_heads": 1}),
    "Autoformer, four heads": ("Autoformer", {"n_heads": 4}),
    "TimesNet": ("TimesNet", {}),
    "HELIX": ("HELIX", {}),
    "HELIX, two layers, three heads": (
        "HELIX",
        {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_pe": 4, "d_feature_embed": 3},
    ),
    "TimesNet, three layers, three periods, wide kernels": ("TimesNet", {"n_layers": 3, "top_k": 3, "n_kernels": 5}),
}


def windows(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, T, F)).astype(np.float32)
    X[rng.random(X.shape) < 0.6] = np.nan
    return X


@pytest.fixture(params=SIZES)
def sides(request, monkeypatch):
    """A backbone, and the same one on PyPOTS's own blocks; no dropout, whose draws cannot be the same."""
    name, sizes = SIZES[request.param]

    def make():
        config = BACKBONES[name].small | {"dropout": 0.0} | sizes
        shipped = options_of(name, reading="shipped")
        return Backbone(name, T, [f"v{i}" for i in range(F)], Scaler.fit(windows()), config, options=shipped, seed=3)

    ours = make()
    monkeypatch.setattr(backbones, "accelerate", lambda module, kind, periods="batch": None)
    return ours, make()


def near(a, b, tolerance=1e-5):
    assert a.shape == b.shape and (a - b).abs().max() < tolerance * max(1.0, b.abs().max().item())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("n", [1, N])
def test_imputation_equals_pypots(sides, training, n):
    results, states, gradients = [], [], []
    for backbone in sides:
        backbone.train(training)
        Z = backbone.tensor(windows(n))
        hidden = torch.where(torch.rand(Z.shape, generator=torch.Generator().manual_seed(1)) < 0.2, float("nan"), Z)
        result, state = backbone.run(backbone.inputs(hidden, Z))
        (result["loss"] if training else result["imputation"].square().mean()).backward()
        results.append({key: value.detach() for key, value in result.items() if torch.is_tensor(value)})
        states.append(state[0].detach())
        gradients.append({key: p.grad for key, p in backbone.named_parameters() if p.grad is not None})
    assert results[0].keys() == results[1].keys() and ("loss" in results[0]) == training
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 5
    near(states[0], states[1])
    for ours, theirs in (results, gradients):
        for key, value in theirs.items():
            near(ours[key], value)


def test_the_shipped_classifier_equals_pypots(sides):
    if not ships_classifier(sides[0].name):
        pytest.skip("PyPOTS ships none")
    ours = Shipped(sides[0], seed=1).eval()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(adaptation, "accelerate", lambda module, kind, periods="batch": None)
        theirs = Shipped(sides[1], seed=1).eval()
    Z = sides[0].tensor(windows())
    with torch.no_grad():
        near(ours(Z), theirs(Z), 1e-4)  # logits


def test_parameters_stay_where_pypots_has_them(sides):
    ours, theirs = (backbone.state_dict() for backbone in sides)
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_blocks_first_used_for_inference_can_be_trained(sides):
    """Index and averaging matrices are kept: made in inference mode they could not take part in a backward pass."""
    backbones.blocks._delays.cache_clear()
    backbones.blocks._seasonal.cache_clear()
    backbone = sides[0]
    backbone.latents(windows())
    backbone.train()
    Z = backbone.tensor(windows())
    backbone.run(backbone.inputs(Z, Z))[0]["loss"].backward()


def test_the_states_alone_are_those_of_the_whole_pass(sides):
    for backbone in sides:
        inputs = backbone.eval().inputs(backbone.tensor(windows()))
        (alone,), (state,) = backbone.states(inputs), backbone.run(inputs)[1]
        assert torch.equal(alone, state)
        assert "imputation" in backbone.run(inputs)[0]  # a pass that ended early leaves nothing behind


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_periods_of_each_window_are_what_pypots_finds_in_that_window_alone(monkeypatch, top_k):
    config = BACKBONES["TimesNet"].small | {"dropout": 0.0, "n_layers": 2, "top_k": top_k}
    features, scaler = [f"v{i}" for i in range(F)], Scaler.fit(windows())
    ours = Backbone("TimesNet", T, features, scaler, config, seed=3).train()
    monkeypatch.setattr(backbones, "accelerate", lambda module, kind, periods="batch": None)
    theirs = Backbone("TimesNet", T, features, scaler, config, options={"periods": "batch"}, seed=3).train()
    Z = ours.tensor(windows(9, seed=4))
    together = ours.run(ours.inputs(Z))[0]["imputation"]
    alone = torch.cat([theirs.run(theirs.inputs(one))[0]["imputation"] for one in Z.split(1)])
    near(together, alone)
    for imputed in (together, alone):
        imputed.square().mean().backward()
    for (name, mine), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert (mine.grad is None) == (other.grad is None), name
        if mine.grad is not None:
            near(mine.grad, other.grad)


def test_helix_in_parts_and_at_once_answers_the_same(monkeypatch):
    backbone = Backbone("HELIX", T, [f"v{i}" for i in range(F)], Scaler.fit(windows()), seed=3).eval()
    X = windows(7)
    whole = backbone.latents(X)
    monkeypatch.setattr(helix, "_CELLS", 2 * T * F)  # parts of two
    near(torch.from_numpy(whole), torch.from_numpy(backbone.latents(X)))


def test_helix_drops_without_bias_and_sends_no_gradient_through_what_it_dropped():
    torch.manual_seed(0)
    wide, narrow, x = torch.nn.Linear(4, 16), torch.nn.Linear(16, 4), torch.randn(3, 4)

    def dropping(x):
        inner = helix._Rectified.apply(wide(x), 0.3)
        return helix._projected(narrow, inner, 0.3, 1 / 0.7), inner

    plain = narrow(wide(x).relu())
    mean = torch.stack([dropping(x)[0] for _ in range(4000)]).mean(0)
    assert (mean - plain).abs().max() < 0.1 * plain.abs().max()
    once = dropping(x)
    assert ((once[0] == 0).float().mean() > 0.05) and ((once[1] == 0) > (wide(x) <= 0)).any()
    wide.weight.grad = None
    once[1].sum().backward()
    kept = (once[1] > 0).float()
    torch.testing.assert_close(wide.weight.grad, kept.T @ x)


def test_helix_says_how_many_steps_it_has_positions_for():
    backbone = Backbone("HELIX", 1001, ["a", "b"], Scaler(np.zeros(2, np.float32), np.ones(2, np.float32)))
    with pytest.raises(ModtsError, match="HELIX has positions for 1000 steps, and these windows have 1001"):
        backbone.latents(np.random.default_rng(0).normal(size=(1, 1001, 2)))
