"""The fast recurrent models and CSAI's attention give what PyPOTS's and PyTorch's own give: results, states, losses, gradients."""

import numpy as np
import pytest
import torch

from modts.backbones import BACKBONES, Backbone, Scaler, attention, recurrent
from modts.errors import ModtsError
from modts.learning import Shipped

N, T, F = 6, 9, 5
RECURRENT = [name for name, row in BACKBONES.items() if row.kind == "recurrent"]
CELLS = {
    "BRITS": ("model.rits_f.rnn_cell", "model.rits_b.rnn_cell"),
    "GRU-D": ("backbone.rnn_cell",),
    "CSAI": ("model.model_f.gru", "model.model_b.gru"),
}


def windows(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, T, F)).astype(np.float32)
    X[rng.random(X.shape) < 0.6] = np.nan
    return X


def make(name, **settings):
    X = windows()
    given = {"interval": np.arange(F, dtype=np.float32)} if name == "CSAI" else {}
    return Backbone(name, T, [f"v{i}" for i in range(F)], Scaler.fit(X), seed=3, **given, **settings).eval()


def plain(module):
    """The same module with PyPOTS's own forward."""
    for part in module.children():
        part.__dict__.pop("forward", None)
    return module


def gradients(module, loss):
    module.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def same(ours, theirs, tolerance=1e-5):
    assert ours.keys() == theirs.keys() and ours
    for name, value in theirs.items():
        scale = max(1.0, value.abs().max().item())
        assert (ours[name] - value).abs().max().item() < tolerance * scale, name


@pytest.mark.parametrize("n", [1, N])
@pytest.mark.parametrize("criterion", ["mse", "mae"])
@pytest.mark.parametrize("name", RECURRENT)
def test_imputation_equals_pypots(name, criterion, n):
    """In evaluation mode, where there is no dropout; the losses are in the results all the same."""
    backbone = make(name, criterion=criterion)
    Z = backbone.tensor(windows(n))

    def both():
        results = backbone.module(backbone.inputs(Z, Z))
        tensors = {k: v for k, v in results.items() if torch.is_tensor(v)}
        # a loss that reaches every parameter: the model's own where it has one, and the filled values
        loss = tensors["imputation"].square().mean() + sum(v for k, v in tensors.items() if k.endswith("_loss"))
        return {k: v.detach() for k, v in tensors.items()}, gradients(backbone.module, loss)

    results, grads = both()
    plain(backbone.module)
    their_results, their_grads = both()
    same(results, their_results)
    same(grads, their_grads)
    with torch.no_grad():
        recurrent.accelerate(backbone.module)
        again = backbone.module(backbone.inputs(Z, Z))["imputation"]
    assert (again - their_results["imputation"]).abs().max() < 1e-5


@pytest.mark.parametrize("name", RECURRENT)
def test_states_and_their_gradients_equal_the_cells(name):
    backbone = make(name)
    Z = backbone.tensor(windows())
    weight = torch.randn(T, BACKBONES[name].small["rnn_hidden_size"], generator=torch.Generator().manual_seed(1))
    _, states = backbone.run(backbone.inputs(Z))
    grads = gradients(backbone.module, sum((state * weight).sum() for state in states))
    caught = [[] for _ in CELLS[name]]
    plain(backbone.module)
    for place, cell in zip(caught, CELLS[name], strict=True):
        backbone.module.get_submodule(cell).register_forward_hook(
            lambda module, args, output, place=place: place.append(output[0] if isinstance(output, tuple) else output)
        )
    backbone.module(backbone.inputs(Z))
    theirs = [torch.stack(place, 1) for place in caught]
    same(dict(enumerate(states)), dict(enumerate(theirs)))
    same(grads, gradients(backbone.module, sum((state * weight).sum() for state in theirs)))


@pytest.mark.parametrize("name", RECURRENT)
def test_shipped_classifier_equals_pypots(name):
    backbone = make(name)
    shipped, Z = Shipped(backbone, seed=5).eval(), backbone.tensor(windows())
    y = torch.arange(N) % 2

    def loss():
        return shipped.module.train()({**shipped.inputs(Z), "y": y}, calc_criterion=True)["loss"]

    for part in shipped.modules():
        if hasattr(part, "dropout") and isinstance(part.dropout, float):
            part.dropout = 0.0
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    ours = gradients(shipped, loss())
    answer = shipped.eval()(Z).detach()
    plain(shipped.module)
    same(ours, gradients(shipped, loss()))
    assert (answer - shipped.eval()(Z)).abs().max() < 1e-4  # logits


def test_csai_attends_over_time_too():
    backbone = make("CSAI", options={"attention_over": "time"})
    Z = backbone.tensor(windows())
    with torch.no_grad():
        ours = backbone.run(backbone.inputs(Z))[0]["imputation"]
        alone = backbone.run(backbone.inputs(Z[:1]))[0]["imputation"]
        theirs = plain(backbone.module)(backbone.inputs(Z))["imputation"]
    assert (ours - theirs).abs().max() < 1e-5
    assert (ours[:1] - alone).abs().max() < 1e-5  # a window does not see its neighbours then


def test_the_input_has_no_silent_zero_gradient():
    backbone = make("BRITS")
    inputs = backbone.inputs(backbone.tensor(windows()))
    inputs["forward"]["X"].requires_grad_()
    with pytest.raises(ModtsError, match="not for their input"):
        backbone.run(inputs)


def test_attention_with_dropout_equals_the_plain_sum(monkeypatch):
    monkeypatch.setattr(attention, "_CELLS", 3 * 7 * 7)  # parts of three
    generator = torch.Generator().manual_seed(0)
    q, k, v, out = (torch.randn(8, 7, 4, generator=generator, requires_grad=i < 3) for i in range(4))
    torch.manual_seed(11)
    kept = attention.kept((8, 7, 7), 0.3)
    weights = ((q * 0.5) @ k.mT).softmax(-1) * kept / 0.7
    expected = weights @ v
    theirs = torch.autograd.grad((expected * out).sum(), (q, k, v))
    torch.manual_seed(11)
    ours = attention.attend(*(part.unflatten(0, (4, 2)) for part in (q, k, v)), dropout=0.3).flatten(0, 1)
    torch.testing.assert_close(ours, expected)
    for mine, other in zip(torch.autograd.grad((ours * out).sum(), (q, k, v)), theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_dropout_drops_its_share_and_follows_the_seed():
    torch.manual_seed(4)
    first, second = attention.kept((200, 500), 0.1), attention.kept((200, 500), 0.1)
    torch.manual_seed(4)
    assert torch.equal(first, attention.kept((200, 500), 0.1))
    assert not torch.equal(first, second)
    assert abs(first.float().mean() - 0.9) < 5 * (0.09 / 1e5) ** 0.5


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_layer_equals_pytorchs(batch_first):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=batch_first).eval()
    x = torch.randn(5, 7, 8)
    torch.testing.assert_close(attention.encode(layer, x), layer(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_the_states_alone_are_those_of_the_whole_pass(name):
    backbone = make(name)
    inputs = backbone.inputs(backbone.tensor(windows()))
    with torch.no_grad():
        alone, (results, states) = backbone.states(inputs), backbone.run(inputs)
    assert len(alone) == len(states) and all(map(torch.equal, alone, states))
    assert "imputation" in results  # a pass that ended early leaves nothing behind
    with torch.no_grad():
        backbone.states(inputs)
        assert "imputation" in backbone.module(inputs)  # not even for who calls PyPOTS's module itself
