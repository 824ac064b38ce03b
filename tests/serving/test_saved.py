"""A predictor in one file answers as before: each backbone, one head or several, classification or regression, here or elsewhere."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from core_fixture import places, tiny, unnoticed_flips  # noqa: F401
from safetensors import safe_open
from safetensors.torch import save_file

import modts
from modts.backbones import BACKBONES, Scaler, build, load_backbone
from modts.backbones.checkpoint import _seal, _weights_hash
from modts.errors import ModtsError
from modts.learning import Head
from modts.serving import Predictor, load_predictor


@pytest.fixture(scope="module")
def cohort():
    return tiny()


def made(cohort, name="GRU-D", heads=1, task="classification", pooling="paper", trace=0):
    backbone = build(name, cohort, seed=2).eval()
    latents = backbone.latents(cohort.X[:20], pooling)
    scaler = None if task == "classification" else Scaler(np.float32([10.1]), np.float32([0.3]))
    kinds = ["simple", "complex"]
    several = {
        f"head {i}": Head(kinds[i % 2], latents.shape[1], 1 if scaler is None else 4, 16, seed=i).standardise(latents)
        for i in range(heads)
    }
    return Predictor(backbone, several if heads > 1 else several["head 0"], pooling, scaler, trace)


def same(a, b):
    assert type(a) is type(b)
    for x, y in zip(a.values(), b.values(), strict=True) if isinstance(a, dict) else [(a, b)]:
        np.testing.assert_allclose(x, y, atol=1e-6, rtol=1e-6)
    assert not isinstance(a, dict) or list(a) == list(b)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_one_file_answers_as_before(cohort, name, heads, task, tmp_path):
    predictor, X = made(cohort, name, heads, task, "mean+max+last" if heads == 3 else "paper"), cohort.part("test")[0]
    path = predictor.save(tmp_path / "p.safetensors", author="us")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.safetensors", "p.safetensors.json"]
    again = modts.load_predictor(path.rename(tmp_path / "alone.safetensors"))
    same(predictor.predict(X), again.predict(X))
    assert again.card["author"] == "us" and (again.pooling, again.single) == (predictor.pooling, heads == 1)


def test_the_trace_setting_comes_back(cohort, tmp_path):
    predictor = made(cohort, trace=1)
    again = load_predictor(predictor.save(tmp_path / "p.safetensors"))
    assert again.trace == 1 and 1 in again._traces
    same(predictor.predict(cohort.X[:1]), again.predict(cohort.X[:1]))


def test_it_keeps_what_the_backbones_card_said(cohort, tmp_path):
    predictor = made(cohort)
    predictor.backbone.save(tmp_path / "b.safetensors", cohort="icu")
    card = load_predictor(predictor.save(tmp_path / "p.safetensors")).backbone.card
    assert card["cohort"] == "icu" and card["weights_hash"] == predictor.backbone.weights_hash()


def test_another_process_answers_alike(cohort, tmp_path):
    predictor, X = made(cohort, "SAITS", 2), cohort.part("test")[0]
    path = predictor.save(tmp_path / "p.safetensors")
    np.save(tmp_path / "X.npy", X)
    code = f"""
import json, numpy as np, modts
answers = modts.load_predictor({str(path)!r}).predict(np.load({str(tmp_path / "X.npy")!r}))
print(json.dumps({{name: answer.tolist() for name, answer in answers.items()}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    answers = json.loads(done.stdout.splitlines()[-1])
    same(predictor.predict(X), {name: np.float32(answer) for name, answer in answers.items()})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_another_device_answers_alike(cohort, tmp_path):
    predictor, X = made(cohort, "SAITS", 2), cohort.part("test")[0]
    again = load_predictor(predictor.save(tmp_path / "p.safetensors"), device="cuda")
    for name, answer in again.predict(X).items():
        np.testing.assert_allclose(answer, predictor.predict(X)[name], atol=1e-4)
    same(predictor.predict(X), load_predictor(again.save(tmp_path / "q.safetensors")).predict(X))


def test_a_predictor_and_a_backbone_are_told_apart(cohort, tmp_path):
    predictor = made(cohort)
    path = predictor.save(tmp_path / "p.safetensors")
    with pytest.raises(ModtsError, match="holds a predictor; read it with modts.load_predictor"):
        load_backbone(path)
    with pytest.raises(ModtsError, match="holds a backbone; read it with modts.load_backbone"):
        load_predictor(predictor.backbone.save(tmp_path / "b.safetensors"))
    with pytest.raises(ModtsError, match="no checkpoint .* Predictor.save"):
        load_predictor(tmp_path / "none.safetensors")
    with pytest.raises(ModtsError, match="There is no device 'cuda:77'"):
        load_predictor(path, device="cuda:77")


def test_neither_is_written_over_the_other(cohort, tmp_path):
    predictor = made(cohort)
    backbone, whole = predictor.backbone.save(tmp_path / "b.safetensors"), predictor.save(tmp_path / "p.safetensors")
    before = backbone.read_bytes(), whole.read_bytes()
    with pytest.raises(ModtsError, match="b.safetensors' exists and holds a backbone; it is left as it is"):
        predictor.save(backbone)
    with pytest.raises(ModtsError, match="p.safetensors' exists and holds a predictor; it is left as it is"):
        predictor.backbone.save(whole)
    assert before == (backbone.read_bytes(), whole.read_bytes())


def resealed(path, change=None, drop=None, tensors=None, backbone=None):
    with safe_open(str(path), framework="pt") as file:
        card, held = json.loads(file.metadata()["card"]), {k: file.get_tensor(k) for k in file.keys()}
    held |= tensors or {}
    card |= change or {}
    card["backbone"] = card["backbone"] | backbone if backbone else card["backbone"]
    card.pop(drop, None)
    card["weights_hash"] = _weights_hash(held)
    card["seal"] = _seal(card, held)
    save_file(held, path.with_name("resealed.safetensors"), metadata={"card": json.dumps(card)})
    return path.with_name("resealed.safetensors")


HEAD = {"name": "", "kind": "simple", "width": 128, "n_inputs": 64, "n_outputs": 1}
HANDMADE = {
    "version": ({"change": {"format": "modts-predictor-2"}}, "has the format 'modts-predictor-2', and this version"),
    "no backbone": ({"drop": "backbone"}, "'backbone' on its card must be of type dict"),
    "no heads": ({"drop": "heads"}, "'heads' on its card must be of type list"),
    "no pooling": ({"drop": "pooling"}, "'pooling' on its card"),
    "empty heads": ({"change": {"heads": []}}, "'heads' on its card must list heads"),
    "heads of words": ({"change": {"heads": ["a"]}}, "'heads' on its card must list heads"),
    "two names": ({"change": {"heads": [HEAD, HEAD], "single": False}}, "'heads' on its card must list heads"),
    "two heads, one set of weights": (
        {"change": {"heads": [HEAD, HEAD | {"name": "b"}], "single": False}},
        "should hold",
    ),
    "head of another kind": ({"change": {"heads": [HEAD | {"kind": "deep"}]}}, "Unknown head 'deep'"),
    "another kind of head": ({"change": {"heads": [HEAD | {"kind": "complex"}]}}, "should hold"),
    "giant head": ({"change": {"heads": [HEAD | {"n_inputs": 10**12}]}}, "should hold"),
    "negative head": ({"change": {"heads": [HEAD | {"n_inputs": -1}]}}, "cannot be loaded"),
    "pooling": ({"change": {"pooling": "max"}}, "Unknown pooling 'max'"),
    "pooling of another length": ({"change": {"pooling": "mean+max+last"}}, "reads latents of length 64"),
    "trace": ({"change": {"trace": -1}}, "`trace` must be a whole number"),
    "trace a word": ({"change": {"trace": "1"}}, "'trace' on its card must be of type int"),
    "target without one": ({"change": {"target": True}}, "target scaler must hold one mean"),
    "more tensors": ({"tensors": {"more": torch.zeros(2)}}, "'more', which is no part of a predictor"),
    "backbone's size": ({"backbone": {"config": {"rnn_hidden_size": -1}}}, "'rnn_hidden_size' on its card"),
    "backbone's hash": ({"backbone": {"weights_hash": "0"}}, "its weights differ from the hash"),
    "no numbers": ({"tensors": {"heads.0.layers.bias": torch.tensor([float("nan")])}}, "layers.bias' in .* not finite"),
}


@pytest.mark.parametrize("case", HANDMADE)
def test_a_handmade_predictor_is_one_sentence(cohort, tmp_path, case):
    given, sentence = HANDMADE[case]
    path = made(cohort).save(tmp_path / "p.safetensors")
    with pytest.raises(ModtsError, match=sentence) as raised:
        load_predictor(resealed(path, **given))
    assert "\n" not in str(raised.value)


def test_any_changed_byte_is_noticed(cohort, tmp_path):
    path = made(cohort).save(tmp_path / "p.safetensors")
    assert not unnoticed_flips(path, load_predictor, 2000, 61)


@pytest.mark.parametrize("trace", [-1, "a", True, 1.5, None])
def test_a_trace_setting_that_is_none_is_refused(cohort, trace):
    with pytest.raises(ModtsError, match="`trace` must be a whole number"):
        made(cohort, trace=trace)
