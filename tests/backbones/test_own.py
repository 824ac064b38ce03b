"""A backbone of one's own: built, read, saved; loaded with its file alone, and never run by a checkpoint."""

import hashlib
import json
import sys

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from own_fixture import EXAMPLE, changed

from modts.backbones import Backbone, Scaler, build, load_backbone, row_of, sizes
from modts.backbones.inputs import level
from modts.errors import ModtsError
from modts.learning import ARMS, Head, Training, adapt, labels, pretrain
from modts.serving import Predictor, stream

MINE = f"{EXAMPLE}:MyImputer"


@pytest.fixture(scope="module")
def cohort():
    return tiny()


@pytest.fixture(scope="module")
def mine(cohort):
    backbone = build(MINE, cohort, seed=1)
    pretrain(backbone, cohort.part("train")[0], cohort.part("val")[0], epochs=2, batch_size=16, lr=3e-3)
    return backbone


@pytest.fixture
def checkpoint(mine, tmp_path):
    return mine.save(tmp_path / "b.safetensors", cohort="tiny")


def test_it_is_built_read_and_filled_in_like_the_six(mine, cohort):
    X = cohort.X[:9]
    assert (mine.name, mine.row.kind, mine.config) == ("mine.MyImputer", "recurrent", {"hidden": 32})
    assert mine.latents(X).shape == (9, 64) and mine.latents(X, "mean+max+last").shape == (9, 3 * 64 + 5)
    filled, seen = mine.impute(X), ~np.isnan(X)
    assert np.isfinite(filled).all() and np.array_equal(filled[seen], X[seen])
    assert (
        build(MINE, cohort, seed=1).weights_hash() == build(MINE, cohort, seed=1).weights_hash() != mine.weights_hash()
    )


def test_its_latent_is_pooled_as_its_kind_says(cohort, tmp_path):
    X = cohort.X[:4]
    for kind, width in {"attention": 32, "convolutional": 8 * 32}.items():
        path = changed(tmp_path, ('kind = "recurrent"', f'kind = "{kind}"'))
        assert build(f"{path}:MyImputer", cohort).latents(X).shape == (4, width)


def test_published_sizes_are_its_own_or_the_small_ones(tmp_path):
    assert sizes(MINE, "paper") == sizes(MINE) == {"hidden": 32}
    path = changed(tmp_path, ("small = {", 'paper = {"hidden": 256}\n    small = {'))
    assert sizes(f"{path}:MyImputer", "paper") == {"hidden": 256}


def test_heads_arms_predictor_and_stream_take_it(mine, cohort, checkpoint, tmp_path):
    targets, _ = labels(cohort)
    windows = {name: cohort.part(name)[0] for name in ("train", "val", "test")}
    labelled, few = np.arange(len(targets["train"].y)), Training(epochs=1, patience=1, batch_size=16)
    latents = {name: mine.latents(X) for name, X in windows.items()}
    frozen = adapt("frozen", "simple", targets, labelled, latents=latents, training=few)
    for arm in ("finetune", "e2e"):
        start = load_backbone(checkpoint, own=EXAMPLE) if ARMS[arm].start == "pretrained" else build(MINE, cohort)
        before = start.weights_hash()
        outcome = adapt(arm, "simple", targets, labelled, backbone=start, windows=windows, training=few)
        assert np.isfinite(outcome.prediction).all() and start.weights_hash() != before
    answers = Predictor(mine, frozen.model).predict(windows["test"])
    np.testing.assert_allclose(answers, frozen.prediction, atol=1e-6)
    traced = Predictor(mine, Head("simple", 64, 1), trace=2)
    np.testing.assert_allclose(traced.predict(windows["test"][:2]), traced.predict(windows["test"])[:2], atol=1e-5)
    np.save(tmp_path / "X.npy", windows["test"])
    stream(mine, tmp_path / "X.npy", tmp_path / "Z.npy")
    np.testing.assert_allclose(np.load(tmp_path / "Z.npy"), latents["test"], atol=1e-6)


def test_pypots_has_no_classifier_for_it(mine, cohort):
    targets, _ = labels(cohort)
    windows = {name: cohort.part(name)[0] for name in ("train", "val", "test")}
    with pytest.raises(ModtsError, match="PyPOTS ships no end-to-end classifier for mine.MyImputer"):
        adapt("e2e_shipped", "", targets, np.arange(20), backbone=mine, windows=windows)


# --- its checkpoint -------------------------------------------------------------------------------------------------


def test_the_card_names_file_class_and_hash_and_no_folder(checkpoint):
    card = load_backbone(checkpoint, own=EXAMPLE).card
    digest = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    assert card["name"] == "mine.MyImputer"
    assert card["own_file"] == {"file": "mine.py", "class": "MyImputer", "sha256": digest}
    assert str(EXAMPLE.parent) not in json.dumps(card)


@pytest.mark.parametrize("own", [EXAMPLE, str(EXAMPLE), MINE])
def test_with_its_file_it_comes_back_alike(mine, cohort, checkpoint, own):
    again = load_backbone(checkpoint, own=own)
    assert np.array_equal(again.latents(cohort.X[:9]), mine.latents(cohort.X[:9]))
    assert np.array_equal(again.impute(cohort.X[:9]), mine.impute(cohort.X[:9]))


def test_a_copy_of_the_file_elsewhere_will_do(checkpoint, tmp_path):
    assert load_backbone(checkpoint, own=changed(tmp_path, name="renamed.py")).card["own_file"]["file"] == "mine.py"


def test_without_its_file_it_is_one_sentence_and_nothing_runs(checkpoint, tmp_path, monkeypatch):
    """Not even a file of the right name and content that lies where one would look."""
    changed(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("modts_own_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModtsError, match=r'MyImputer in mine.py, .* load_backbone\(..., own="mine.py"\)') as caught:
        load_backbone(checkpoint)
    assert "\n" not in str(caught.value)
    assert "mine" not in sys.modules and not [name for name in sys.modules if name.startswith("modts_own_")]


def test_another_file_is_refused_before_it_runs(checkpoint, tmp_path):
    ran = tmp_path / "ran"
    path = changed(tmp_path, ("import torch\n", f"import torch\nopen({str(ran)!r}, 'w').close()\n"))
    with pytest.raises(ModtsError, match="is not what .* was trained with: that was MyImputer in mine.py with SHA-256"):
        load_backbone(checkpoint, own=path)
    assert not ran.exists()
    with pytest.raises(ModtsError, match="There is no file .*nothing.py"):
        load_backbone(checkpoint, own=tmp_path / "nothing.py")
    two = changed(tmp_path, ("import torch\n", "import torch\n\n\nclass Other:\n    pass\n\n"), name="two.py")
    with pytest.raises(ModtsError, match="is not what"):
        load_backbone(checkpoint, own=f"{two}:Other")


def test_a_checkpoint_of_the_six_needs_no_file(cohort, tmp_path):
    path = build("GRU-D", cohort).save(tmp_path / "b.safetensors")
    assert "own_file" not in load_backbone(path).card
    assert load_backbone(path, own=EXAMPLE).name == "GRU-D"


# --- its file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GRUD", "mine.py", "mine.py:", "mine.py:My Imputer", "mine:MyImputer", ":MyImputer"])
def test_a_name_without_file_and_class_is_unknown(name):
    with pytest.raises(
        ModtsError, match="Unknown backbone .*TS2Vec, or a class of your own, such as mine.py:MyImputer"
    ):
        row_of(name)


def test_a_changed_file_is_another_class_and_the_same_one_is_not_run_again(tmp_path):
    (tmp_path / "count").write_text("")
    say = f"import os\nnote = os.open({str(tmp_path / 'count')!r}, os.O_WRONLY | os.O_APPEND)\nos.write(note, b'.')\nos.close(note)\n"
    count = ("import torch\n", f"{say}import torch\n")
    path = changed(tmp_path, count)
    rows = [row_of(f"{path}:MyImputer") for _ in range(2)]
    assert rows[0] is rows[1] and (tmp_path / "count").read_text() == "."
    changed(tmp_path, count, ('"hidden": 32', '"hidden": 16'))
    assert row_of(f"{path}:MyImputer").small == {"hidden": 16} and (tmp_path / "count").read_text() == ".."


def test_a_file_that_is_no_python_is_one_sentence(tmp_path):
    path = tmp_path / "mine.py"
    for content in (b"class MyImputer(:\n", b"\x00\xff", b"class MyImputer: \xff"):
        path.write_bytes(content)
        with pytest.raises(ModtsError, match="mine.py is not readable Python") as caught:
            row_of(f"{path}:MyImputer")
        assert "\n" not in str(caught.value)
    with pytest.raises(ModtsError, match="There is no file"):
        row_of(f"{tmp_path}/sub.py:MyImputer")


def test_a_dataclass_in_the_file_finds_itself(tmp_path):
    line = "from dataclasses import dataclass\n\n\n@dataclass\nclass Sizes:\n    n: 'int' = 3\n\n\nimport torch\n"
    assert row_of(f"{changed(tmp_path, ('import torch' + chr(10), line))}:MyImputer").kind == "recurrent"


def test_a_criterion_is_checked_for_it_too(cohort):
    with pytest.raises(ModtsError, match="Unknown criterion 'huber'"):
        build(MINE, cohort, criterion="huber")
    with pytest.raises(ModtsError, match="does not construct: TypeError"):
        Backbone(MINE, 8, cohort.features, Scaler.fit(cohort.X), {"depth": 3})


def test_a_class_of_ones_own_reads_centred_windows_too(cohort, tmp_path):
    """What it reads is each window without its level; the level comes back with its imputation and beside its states."""
    backbone = build(MINE, cohort, seed=1, centre=True).eval()
    plain = build(MINE, cohort, seed=1).eval()
    Z = backbone.tensor(cohort.X[:4])
    height = level(Z)
    with torch.no_grad():
        moved, wanted = (b.run(b.inputs(z))[0]["imputation"] for b, z in ((backbone, Z), (plain, Z - height[:, None])))
    torch.testing.assert_close(moved, wanted + height[:, None])
    latents = backbone.latents(cohort.X[:4])
    np.testing.assert_allclose(latents[:, -height.shape[1] :], height, atol=1e-6)
    again = load_backbone(backbone.save(tmp_path / "b.safetensors"), own=EXAMPLE)
    np.testing.assert_array_equal(again.latents(cohort.X[:4]), latents)
