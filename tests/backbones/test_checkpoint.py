"""Files that can be trusted: saving destroys nothing, weights keep their history, and a card is believed only when it can be true."""

import json
import warnings

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from safetensors import safe_open
from safetensors.torch import save_file

from modts.backbones import build, checkpoint, load_backbone
from modts.errors import ModtsError
from modts.learning import pretrain


@pytest.fixture(scope="module")
def cohort():
    return tiny()


@pytest.fixture(scope="module")
def grud(cohort):
    return build("GRU-D", cohort).eval()


def listed(folder):
    return sorted(path.name for path in folder.rglob("*"))


# --- saving destroys nothing ----------------------------------------------------------------------------------------


def test_weights_and_card_lie_beside_each_other_and_nothing_else_is_touched(grud, tmp_path):
    (tmp_path / "mine.json").write_text("my own notes")
    path = grud.save(tmp_path / "mine.safetensors", cohort="tiny")
    assert (tmp_path / "mine.json").read_text() == "my own notes"
    assert listed(tmp_path) == ["mine.json", "mine.safetensors", "mine.safetensors.json"]
    assert grud.card == load_backbone(path).card == json.loads((tmp_path / "mine.safetensors.json").read_text())
    grud.save(path, cohort="another")  # ours may be written again
    assert load_backbone(path).card["cohort"] == "another"


@pytest.mark.parametrize(
    "name", ["x.json", "x", "x.pt", "x.safetensors.bak", "", ".", "folder.safetensors", "x.SAFETENSORS"]
)
def test_only_a_safetensors_file_is_written(grud, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ModtsError, match=r"\.safetensors") as raised:
        grud.save(name)
    assert "\n" not in str(raised.value) and listed(tmp_path) == ["folder.safetensors"]


@pytest.mark.parametrize("name", ["x.safetensors/y.safetensors", "nul\0.safetensors", "a" * 300 + ".safetensors"])
def test_where_nothing_can_be_written_is_one_sentence(grud, tmp_path, name):
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(ModtsError, match="cannot be written"):
        grud.save(f"{tmp_path}/{name}")
    assert listed(tmp_path) == ["x.safetensors"]


def test_home_is_home(grud, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert grud.save("~/b.safetensors") == tmp_path / "home" / "b.safetensors"
    assert not (tmp_path / "~").exists()
    assert load_backbone("~/b.safetensors").name == "GRU-D"


@pytest.mark.parametrize("name", ["b.safetensors", "b.safetensors.json"])
def test_what_is_not_ours_is_left_as_it_is(grud, tmp_path, name):
    save_file({"weight": torch.zeros(3)}, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ModtsError, match="exists and was not written by modts"):
        grud.save(tmp_path / "b.safetensors")
    assert (tmp_path / name).read_bytes() == before and listed(tmp_path) == [name]


@pytest.mark.parametrize(
    "field", ["name", "format", "n_steps", "features", "config", "options", "weights_hash", "past", "seal"]
)
def test_a_note_is_no_field_of_the_card(grud, tmp_path, field):
    with pytest.raises(ModtsError, match=f"'{field}' is a field of the card itself"):
        grud.save(tmp_path / "b.safetensors", **{field: "mine"})
    assert not listed(tmp_path)


@pytest.mark.parametrize("value", [object(), float("nan"), {"a": float("inf")}, torch.zeros(2), b"x", 1j])
def test_a_note_that_json_cannot_hold_is_named(grud, tmp_path, value):
    before = grud.card
    with pytest.raises(ModtsError, match="The note 'strange' cannot be kept"):
        grud.save(tmp_path / "b.safetensors", fine=1, strange=value)
    assert not listed(tmp_path) and grud.card is before


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(grud, tmp_path, monkeypatch):
    path = grud.save(tmp_path / "b.safetensors")
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.runs, "atomic_write", full)
    with pytest.raises(ModtsError, match="cannot be written: No space left on device"):
        grud.save(path, cohort="another")
    assert path.read_bytes() == before


# --- what happened to the weights -----------------------------------------------------------------------------------


def test_continuing_keeps_the_history(cohort, tmp_path):
    X, X_val = cohort.part("train")[0], cohort.part("val")[0]
    backbone = build("GRU-D", cohort)
    assert backbone.card == {}
    pretrain(backbone, X, X_val, epochs=2, lr=1e-3)
    first = load_backbone(backbone.save(tmp_path / "first.safetensors", cohort="icu", author="us"))
    (one,) = first.card["past"]
    assert (one["what"], one["cohort"], one["epochs"], one["windows"]) == ("pretrain", "icu", 2, len(X))
    assert one["settings"]["lr"] == 1e-3 and one["when"].endswith("Z") and len(one["data_hash"]) == 12
    pretrain(first, X[:20], X_val, epochs=1, lr=1e-4)
    assert first.card["weights_hash"] == first.weights_hash() != backbone.weights_hash()  # not stale before it is saved
    second = load_backbone(first.save(tmp_path / "second.safetensors", cohort="ward"))
    one, two = second.card["past"]
    assert (one["cohort"], two["cohort"]) == ("icu", "ward") and one["data_hash"] != two["data_hash"]
    assert one["notes"] == {"cohort": "icu", "author": "us"}
    assert (two["windows"], two["epochs"], two["settings"]["lr"]) == (20, 1, 1e-4)
    assert "author" not in second.card  # of weights that are no more


def test_saving_again_keeps_the_notes_and_the_bytes(cohort, tmp_path):
    backbone = build("GRU-D", cohort)
    pretrain(backbone, cohort.part("train")[0], cohort.part("val")[0], epochs=1)
    one = backbone.save(tmp_path / "1.safetensors", cohort="icu", author="us")
    two = load_backbone(one).save(tmp_path / "2.safetensors")
    assert one.read_bytes() == two.read_bytes()


def test_weights_that_somebody_moved_say_so(cohort, tmp_path):
    backbone = load_backbone(build("GRU-D", cohort).save(tmp_path / "1.safetensors", cohort="icu"))
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    card = load_backbone(backbone.save(tmp_path / "2.safetensors")).card
    assert [happened["what"] for happened in card["past"]] == ["saved", "changed otherwise than by pretrain"]
    assert card["past"][0]["notes"] == {"cohort": "icu"} and "cohort" not in card


@pytest.mark.parametrize("change", [lambda X: X * 5, lambda X: X + 5 * np.nanstd(X, (0, 1)), lambda X: X / 10])
@pytest.mark.filterwarnings("ignore:The values of .* may be in another unit")  # the check of every window says so too
def test_another_scale_is_said_in_one_sentence(cohort, change):
    X, X_val = cohort.part("train")[0], cohort.part("val")[0]
    backbone = build("GRU-D", cohort)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pretrain(backbone, X, X_val, epochs=1)
    only = np.where(np.arange(X.shape[2]) == 2, change(X), X).astype(np.float32)
    with pytest.warns(UserWarning, match="another scale than those that GRU-D's scaler.*'RespRate'.*1 of 5"):
        pretrain(backbone, only, X_val, epochs=1)


# --- loading what somebody gives us ---------------------------------------------------------------------------------


def resealed(path, change, drop=(), tensors=None):
    """A file whose card has been changed and sealed again, as anybody can."""
    with safe_open(str(path), framework="pt") as file:
        card, held = json.loads(file.metadata()["card"]), {k: file.get_tensor(k) for k in file.keys()}
    held |= tensors or {}
    card |= change
    for field in drop:
        del card[field]
    weights = {k: v for k, v in held.items() if not k.startswith("scaler.")}
    if "weights_hash" not in {*change, *drop}:
        card["weights_hash"] = checkpoint.tensors_hash(weights)
    card["seal"] = checkpoint._seal(card, held)
    new = path.with_name("resealed.safetensors")
    save_file(held, new, metadata={"card": json.dumps(card)})
    return new


@pytest.fixture
def saved(grud, tmp_path):
    return grud.save(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    "field", ["name", "n_steps", "features", "config", "criterion", "options", "weights_hash", "format"]
)
def test_a_card_without_a_field_is_one_sentence(saved, field):
    with pytest.raises(ModtsError, match=f"lacks '{field}'|differ from the hash|not a file that modts wrote"):
        load_backbone(resealed(saved, {}, drop=[field]))


HANDMADE = {
    "name a list": ({"name": ["GRU-D"]}, "'name' on its card must be the name of a backbone"),
    "name a word": ({"name": "GRUD"}, "Unknown backbone 'GRUD'"),
    "another backbone": ({"name": "SAITS"}, "has no option 'last_observation'"),
    "n_steps None": ({"n_steps": None}, "'n_steps' on its card must be a whole number"),
    "n_steps 0": ({"n_steps": 0}, "'n_steps'"),
    "n_steps -1": ({"n_steps": -1}, "'n_steps'"),
    "n_steps True": ({"n_steps": True}, "'n_steps'"),
    "n_steps giant": ({"n_steps": 10**12}, "'n_steps'"),
    "features []": ({"features": []}, "'features' on its card must be a list of different names"),
    "features a word": ({"features": "abcde"}, "'features'"),
    "features numbers": ({"features": [1, 2, 3, 4, 5]}, "'features'"),
    "features one more": ({"features": list("abcdef")}, "its scaler needs"),
    "features double": ({"features": ["a"] * 5}, "'features'"),
    "features 20,000": ({"features": [f"f{i}" for i in range(20_000)]}, "more weights than it holds"),
    "config a word": ({"config": "large"}, "'config' on its card must be an object"),
    "config empty": ({"config": {}}, "its config has no 'rnn_hidden_size'"),
    "config unknown": ({"config": {"rnn_hidden_size": 64, "more": 1}}, "unknown argument 'more'"),
    "size a word": ({"config": {"rnn_hidden_size": "64"}}, "'rnn_hidden_size' on its card must be a whole number"),
    "size -1": ({"config": {"rnn_hidden_size": -1}}, "'rnn_hidden_size'"),
    "size 0": ({"config": {"rnn_hidden_size": 0}}, "'rnn_hidden_size'"),
    "size 1.5": ({"config": {"rnn_hidden_size": 1.5}}, "'rnn_hidden_size'"),
    "size 30,000": ({"config": {"rnn_hidden_size": 30_000}}, "more weights than it holds"),
    "size 65": ({"config": {"rnn_hidden_size": 65}}, r"it should hold \["),
    "size 10**9": ({"config": {"rnn_hidden_size": 10**9}}, "'rnn_hidden_size'"),
    "criterion a word": ({"criterion": "huber"}, "Unknown criterion 'huber'"),
    "criterion a list": ({"criterion": ["mse"]}, "'criterion'"),
    "options a list": ({"options": ["locf"]}, "'options' on its card must be an object"),
    "options unknown": ({"options": {"last_obs": "zero"}}, "GRU-D has no option 'last_obs'"),
    "past a word": ({"past": "long"}, "'past' on its card must be a list"),
    "hash a number": ({"weights_hash": 12}, "differ from the hash"),
    "format 99": ({"format": "modts-backbone-99"}, "has the format 'modts-backbone-99'"),
    "format of another thing": (
        {"format": "modts-predictor-1"},
        "holds a predictor; read it with modts.load_predictor",
    ),
    "format strange": ({"format": "theirs"}, "not a file that modts wrote"),
    "format a number": ({"format": 1}, "not a file that modts wrote"),
}


@pytest.mark.parametrize("case", HANDMADE)
def test_a_handmade_card_is_one_sentence(saved, case):
    change, sentence = HANDMADE[case]
    path = resealed(saved, change)
    with pytest.raises(ModtsError, match=sentence) as raised:
        load_backbone(path)
    assert "\n" not in str(raised.value) and "delete" not in str(raised.value)


SIZES = {
    "SAITS": {
        "n_layers": 10**6,
        "d_model": 10**6,
        "d_ffn": 10**5,
        "n_heads": 10**5,
        "d_k": -1,
        "dropout": 7,
        "attn_dropout": "x",
    },
    "TimesNet": {"n_layers": 10**6, "top_k": 10**6, "n_kernels": 10**6, "d_ffn": 10**5, "dropout": float("nan")},
    "Autoformer": {"factor": 10**6, "moving_avg_window_size": 10**6, "n_layers": 0, "d_model": [64]},
    "CSAI": {"step_channels": 10**6, "rnn_hidden_size": None},
    "BRITS": {"rnn_hidden_size": 999_999},
}


@pytest.mark.parametrize(("name", "argument"), [(name, a) for name, given in SIZES.items() for a in given])
def test_a_giant_or_strange_size_takes_no_memory(cohort, tmp_path, name, argument):
    import resource

    backbone = build(name, cohort)
    path = resealed(
        backbone.save(tmp_path / "b.safetensors"), {"config": backbone.config | {argument: SIZES[name][argument]}}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModtsError, match="cannot be loaded: ") as raised:
        load_backbone(path)
    assert "\n" not in str(raised.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


@pytest.mark.parametrize("name", ["BRITS", "GRU-D", "CSAI"])
def test_more_features_than_its_weights_take_no_memory(cohort, tmp_path, name):
    """These make matrices of features by features before anybody can compare shapes."""
    saved, n = build(name, cohort).save(tmp_path / "b.safetensors"), 100_000
    scaler = {"scaler.mean": torch.zeros(n), "scaler.std": torch.ones(n)}
    path = resealed(saved, {"features": [str(i) for i in range(n)]}, tensors=scaler)
    with pytest.raises(ModtsError, match="asks for more weights than it holds"):
        load_backbone(path)


@pytest.mark.parametrize("std", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_scaler_that_cannot_scale_is_refused(saved, std):
    path = resealed(saved, {}, tensors={"scaler.std": torch.full((5,), std)})
    with pytest.raises(ModtsError, match="scaler.* not finite|positive deviation"):
        load_backbone(path)


def test_weights_that_are_no_numbers_are_refused(saved):
    path = resealed(saved, {}, tensors={"module.output_projection.bias": torch.full((5,), float("nan"))})
    with pytest.raises(ModtsError, match="output_projection.bias' in .* not finite"):
        load_backbone(path)


def test_tensors_of_another_model_are_named(saved):
    path = resealed(saved, {}, tensors={"module.more": torch.zeros(2)})
    with pytest.raises(ModtsError, match=r"should hold nothing as 'module.more', and it holds \[2\]"):
        load_backbone(path)


def test_a_file_that_is_not_ours_is_called_so(grud, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "their.pt", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
    (tmp_path / "old.pt").write_bytes(b"\x80\x02}.")
    (tmp_path / "words.safetensors").write_text("hello, world: this is no model")
    save_file({"w": torch.zeros(2)}, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    (tmp_path / "folder").mkdir()
    said = {}
    for name in ("their.pt", "old.pt", "words.safetensors", "theirs.safetensors", "folder", "none.safetensors"):
        with pytest.raises(ModtsError) as raised:
            load_backbone(tmp_path / name)
        said[name] = str(raised.value)
        assert "delete" not in said[name] and "\n" not in said[name]
    assert "PyTorch (.pt) or PyPOTS" in said["their.pt"] and "from_pypots" in said["old.pt"]
    assert "not a file of modts" in said["words.safetensors"]
    assert "not a file that modts wrote" in said["theirs.safetensors"]
    assert "is a folder" in said["folder"] and "no checkpoint" in said["none.safetensors"]


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "", ["cpu", "cpu"], None, 1.5, "meta"])
def test_a_device_that_is_not_there_is_one_sentence(saved, device):
    with pytest.raises(ModtsError, match="There is no device .* give one of: cpu"):
        load_backbone(saved, device=device)


def test_a_device_is_a_word_or_pytorchs_own(saved):
    assert load_backbone(saved, torch.device("cpu")).device == load_backbone(saved, "cpu").device == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("GRU-D", {"last_observation": "mean"}, "choose one of: locf, zero"),
        ("GRU-D", {"last_obs": "zero"}, "GRU-D has no option 'last_obs'; it has 'last_observation'"),
        ("GRU-D", {"attention_over": "time"}, "GRU-D has no option 'attention_over'"),
        ("SAITS", {"last_observation": "zero"}, "SAITS has no option 'last_observation'; it has none"),
        ("CSAI", {"attention_over": "stays"}, "choose one of: time, batch"),
    ],
)
def test_an_option_that_does_nothing_is_refused(cohort, name, options, sentence):
    with pytest.raises(ModtsError, match=sentence):
        build(name, cohort, options=options)


def test_a_file_of_the_first_cards_still_loads(saved):
    """Before `past` was on the card."""
    assert load_backbone(resealed(saved, {}, drop=["past"])).card["name"] == "GRU-D"
