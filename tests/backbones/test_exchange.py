"""PyPOTS both ways: the same imputations there and here, from an imputer or from its file, whose code never runs."""

import warnings

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from sklearn.preprocessing import StandardScaler

import modts
from modts.backbones import BACKBONES, build, from_pypots, load_backbone, options_of, pypots
from modts.backbones.exchange import THEIRS
from modts.errors import ModtsError
from modts.learning import pretrain

# PyPOTS's GRU-D hands NumPy arrays to functions of PyTorch
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")
EACH = pytest.mark.parametrize("name", BACKBONES)
TOLD = {  # what the weights' shapes do not tell
    "SAITS": {"n_heads": 2},
    "TimesNet": {"top_k": 3},
    "Autoformer": {"n_heads": 2, "factor": 2, "moving_avg_window_size": 3},
    "HELIX": {"n_heads": 4},
}
SIZES = {
    "BRITS": {"rnn_hidden_size": 12},
    "GRU-D": {"rnn_hidden_size": 12},
    "SAITS": {"n_layers": 1, "d_model": 16, "d_ffn": 20, "d_k": 8, "d_v": 6},
    "CSAI": {"rnn_hidden_size": 12, "step_channels": 16, "consistency_weight": 0.1, "imputation_weight": 0.3},
    "TimesNet": {"n_layers": 2, "d_model": 8, "d_ffn": 12, "n_kernels": 2},
    "Autoformer": {"n_layers": 1, "d_model": 16, "d_ffn": 20},
    "HELIX": {"d_pe": 6, "d_feature_embed": 3, "d_model": 16, "n_layers": 2},
    "TS2Vec": {"n_output_dims": 10, "d_hidden": 6, "n_layers": 2},
}


@pytest.fixture(scope="module")
def cohort():
    return tiny()


@pytest.fixture(scope="module")
def theirs(cohort):
    """An imputer of PyPOTS of each kind, of other sizes than ours."""
    made = {}
    for name, sizes in SIZES.items():
        package, _, cls = THEIRS[name][0].partition(".")
        more = {"removal_percent": 0.1, "increase_factor": 0.1} if name == "CSAI" else {}
        given = {"n_steps": cohort.n_steps, "n_features": cohort.n_features, **sizes, **TOLD.get(name, {}), **more}
        torch.manual_seed(1)
        task = "imputation" if BACKBONES[name].imputes else "representation"
        made[name] = getattr(pypots(f"{task}.{package}"), cls)(**given, batch_size=64, device="cpu", verbose=False)
        if name == "CSAI":  # as after its fit, but hiding nothing: its predict hides values before it imputes
            made[name].intervals = {f: float(f + 1) for f in range(cohort.n_features)}
            made[name].replacement_probabilities = np.zeros(cohort.n_features)
    return made


def imputed(model, Z):
    """What PyPOTS's model makes of z-scores: imputations, or the representations of whole windows."""
    if type(model).__name__ == "TS2Vec":
        return model.represent({"X": Z}, encoding_window="full_series")
    return model.predict({"X": Z, "X_ori": Z} if type(model).__name__ == "CSAI" else {"X": Z})["imputation"]


def answer(backbone, X):
    """The same of ours."""
    return backbone.scaler.transform(backbone.impute(X)) if backbone.row.imputes else backbone.latents(X)


@EACH
@pytest.mark.parametrize("way", ["imputer", "file"])
def test_imputations_are_pypotss(theirs, cohort, name, way, tmp_path):
    model, given = theirs[name], {}
    if way == "file":
        model.save(str(tmp_path / "theirs.pypots"))
        given = TOLD.get(name, {})
    backbone = from_pypots(tmp_path / "theirs.pypots" if way == "file" else model, cohort, **given)
    if name == "CSAI" and way == "file":  # a file does not hold the intervals: they are the cohort's
        model.intervals = dict(enumerate(backbone.interval.tolist()))
    X = np.concatenate([cohort.part("test")[0], cohort.part("val")[0]])
    Z = backbone.scaler.transform(X)
    np.testing.assert_allclose(answer(backbone, X), imputed(model, Z), atol=1e-5)
    assert (backbone.name, backbone.criterion, backbone.training) == (name, "mae", False)
    again = load_backbone(backbone.save(tmp_path / "ours.safetensors"))
    np.testing.assert_array_equal(answer(again, X), answer(backbone, X))
    assert again.card["past"][0]["what"] == "from PyPOTS"


@EACH
def test_pypots_answers_with_our_weights(cohort, name, tmp_path):
    reads = options_of(name, reading="shipped")
    backbone = build(name, cohort, options=reads, seed=4).eval()
    pretrain(backbone, cohort.part("train")[0], cohort.part("val")[0], epochs=1, lr=1e-2)
    model = backbone.to_pypots(batch_size=64)  # no warning: pytest would raise it
    X = cohort.part("test")[0]
    Z = backbone.scaler.transform(X)
    np.testing.assert_allclose(answer(backbone, X), imputed(model, Z), atol=1e-5)
    model.save(str(tmp_path / "theirs.pypots"))
    again = backbone.to_pypots(batch_size=64)
    for parameter in again.model.parameters():
        torch.nn.init.zeros_(parameter)
    again.load(str(tmp_path / "theirs.pypots"))
    np.testing.assert_array_equal(imputed(again, Z), imputed(model, Z))


@EACH
def test_there_and_back_are_the_same_weights(cohort, name):
    backbone = build(name, cohort, seed=4).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = modts.from_pypots(backbone.to_pypots(), cohort)
    assert again.weights_hash() == backbone.weights_hash() and again.config == backbone.config
    assert again.criterion == backbone.criterion or not backbone.row.imputes


@pytest.mark.parametrize(("name", "options"), [("GRU-D", {}), ("CSAI", {"attention_over": "time"}), ("TS2Vec", {})])
def test_where_pypots_reads_otherwise_a_warning_says_so(cohort, name, options):
    with pytest.warns(UserWarning, match=f"PyPOTS's {name} reads its input with .* will differ"):
        build(name, cohort, options=options).to_pypots()


def test_their_own_scaler_is_taken(theirs, cohort):
    X = cohort.part("train")[0]
    scaler = StandardScaler().fit(X[:10].reshape(-1, cohort.n_features))
    backbone = from_pypots(theirs["SAITS"], cohort, scaler=scaler)
    np.testing.assert_allclose(backbone.scaler.mean, scaler.mean_, rtol=1e-6)
    with pytest.raises(ModtsError, match="The scaler must hold a mean"):
        from_pypots(theirs["SAITS"], cohort, scaler=StandardScaler())
    with pytest.raises(ModtsError, match="The scaler must hold a mean"):
        from_pypots(theirs["SAITS"], cohort, scaler=build("GRU-D", tiny(features=4)).scaler)


def test_timesnet_with_its_nonstationary_norm_comes_too(theirs, cohort, tmp_path):
    sizes = {**SIZES["TimesNet"], **TOLD["TimesNet"], "apply_nonstationary_norm": True}
    model = type(theirs["TimesNet"])(
        cohort.n_steps, cohort.n_features, **sizes, batch_size=64, device="cpu", verbose=False
    )
    backbone = load_backbone(from_pypots(model, cohort).save(tmp_path / "b.safetensors"))
    Z = backbone.scaler.transform(cohort.part("test")[0])
    ours, gap = backbone.scaler.transform(backbone.impute(cohort.part("test")[0])), np.isnan(Z)
    # PyPOTS leaves its own normalised values where some were observed; ours come back as they were
    np.testing.assert_allclose(ours[gap], imputed(model, Z)[gap], atol=1e-5)
    np.testing.assert_allclose(ours[~gap], Z[~gap], atol=1e-5)
    assert np.isfinite(backbone.latents(cohort.X[:3])).all()


@pytest.mark.parametrize("n_heads", [0, -1, "2", 2.0, True, None])
def test_a_size_that_is_none_is_one_sentence(theirs, cohort, tmp_path, n_heads):
    theirs["SAITS"].save(str(tmp_path / "theirs.pypots"))
    with pytest.raises(ModtsError, match="n_heads must be a whole number of 1 or more"):
        from_pypots(tmp_path / "theirs.pypots", cohort, n_heads=n_heads)


@pytest.mark.parametrize("name", TOLD)
def test_sizes_that_a_file_does_not_tell_are_asked_for(theirs, cohort, name, tmp_path):
    theirs[name].save(str(tmp_path / "theirs.pypots"))
    with pytest.raises(ModtsError, match=f"does not say its {' and '.join(TOLD[name])}; give"):
        from_pypots(tmp_path / "theirs.pypots", cohort)


def test_other_lengths_features_and_things_are_one_sentence(theirs, cohort, tmp_path):
    for other in (tiny(steps=7), tiny(features=4)):
        with pytest.raises(ModtsError, match="SAITS cannot be loaded: it should hold"):
            from_pypots(theirs["SAITS"], other)
    with pytest.raises(ModtsError, match="Unknown size of SAITS: 'heads'"):
        from_pypots(theirs["SAITS"], cohort, heads=2)
    with pytest.raises(ModtsError, match="takes an imputer of pypots.imputation"):
        from_pypots(torch.nn.Linear(2, 2), cohort)
    with pytest.raises(ModtsError, match="There is no file"):
        from_pypots(tmp_path / "none.pypots", cohort)
    usad = pypots("imputation.mrnn").MRNN(8, 5, rnn_hidden_size=4, device="cpu", verbose=False)
    with pytest.raises(ModtsError, match="MRNN is none of PyPOTS's imputers that modts knows: BRITS"):
        from_pypots(usad, cohort)
    ours = build("GRU-D", cohort).save(tmp_path / "ours.safetensors")
    with pytest.raises(ModtsError, match="read it with modts.load_backbone"):
        from_pypots(ours, cohort)


class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (self.file, "w")


@pytest.mark.parametrize("place", ["alone", "beside the weights", "as a weight"])
def test_code_in_a_file_never_runs(theirs, cohort, tmp_path, place):
    state = theirs["GRU-D"].model.state_dict()
    held = {
        "alone": Payload(str(tmp_path / "marker")),
        "beside the weights": {"model_state_dict": state, "more": Payload(str(tmp_path / "marker"))},
        "as a weight": {"model_state_dict": state | {"x": Payload(str(tmp_path / "marker"))}},
    }[place]
    torch.save(held, tmp_path / "bad.pypots")
    with pytest.raises(ModtsError, match="not opened any further, because such a file can hold code"):
        from_pypots(tmp_path / "bad.pypots", cohort)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "held", [{}, {"model_state_dict": {"a": 1}}, {"model_state_dict": {"a": torch.zeros(2)}}, [1], torch.zeros(2)]
)
def test_another_file_of_pytorch_is_one_sentence(cohort, held, tmp_path):
    torch.save(held, tmp_path / "other.pypots")
    with pytest.raises(ModtsError, match="does not hold the weights of a PyPOTS model|none of PyPOTS's imputers"):
        from_pypots(tmp_path / "other.pypots", cohort)
