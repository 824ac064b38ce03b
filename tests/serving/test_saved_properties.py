"""A predictor answers alike after saving and loading; whatever is odd, in a call or in its file, is one sentence."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from core_fixture import tiny
from hypothesis import given
from hypothesis import strategies as st
from property_fixture import anything, damaged, one_sentence, raw, some_examples

from modts.backbones import POOLINGS, Scaler, build
from modts.learning import HEADS, Head
from modts.serving import Predictor, load_predictor


@pytest.fixture(scope="module")
def backbone():
    return build("GRU-D", tiny(n=40, steps=8, features=3)).eval()


def made(backbone, kinds=("simple",), pooling="paper", outputs=1, target=None, trace=0):
    width = backbone.latents(np.full((1, 8, 3), backbone.scaler.mean), pooling).shape[-1]
    heads = {f"head {i}": Head(kind, width, outputs, 8, seed=i) for i, kind in enumerate(kinds)}
    task = "stepwise" if pooling == "steps" and target is None else None
    return Predictor(backbone, heads if len(kinds) > 1 else heads["head 0"], pooling, target, trace, task)


def windows(backbone, data):
    Z = data.draw(
        raw(st.tuples(st.integers(1, 4), st.just(8), st.just(3)), st.one_of(st.floats(-2, 2), st.just(np.nan)))
    )
    return (Z * backbone.scaler.std + backbone.scaler.mean).astype(np.float32)


@given(
    kinds=st.lists(st.sampled_from(list(HEADS)), min_size=1, max_size=3),
    pooling=st.sampled_from(POOLINGS),
    outputs=st.integers(1, 3),
    target=st.one_of(st.none(), st.tuples(st.floats(-9, 9, width=32), st.floats(0.125, 9, width=32))),
    data=st.data(),
)
def test_a_saved_predictor_answers_alike(backbone, kinds, pooling, outputs, target, data):
    X, refused = windows(backbone, data), []
    scaler = None if target is None else Scaler(*np.float32(target).reshape(2, 1))
    with tempfile.TemporaryDirectory() as folder, one_sentence(refused):
        predictor = made(backbone, kinds, pooling, 1 if target is None or pooling == "steps" else outputs, scaler)
        again = load_predictor(predictor.save(Path(folder, "mine.safetensors")))
        ours, theirs = predictor.predict(X), again.predict(X)
        pairs = [(ours, theirs)] if len(kinds) == 1 else zip(ours.values(), theirs.values(), strict=True)
        for a, b in pairs:
            assert len(a) == len(X) and np.isfinite(a).all()
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    assert not refused or np.isnan(X).all() or "scale" in refused[0] or "standardised" in refused[0], refused


@given(X=anything, batch_size=anything, features=anything)
def test_an_odd_question_is_one_sentence(backbone, X, batch_size, features):
    predictor, good = made(backbone), np.full((3, 8, 3), backbone.scaler.mean)
    for ask in (
        lambda: predictor.predict(X),
        lambda: predictor.predict(good, batch_size=batch_size),
        lambda: predictor.predict(good, features=features),
    ):
        with one_sentence([], types=True):
            assert len(ask()) == 3


@given(heads=anything, pooling=anything, target=anything, trace=anything)
def test_odd_parts_are_one_sentence(backbone, heads, pooling, target, trace):
    head = made(backbone).heads[""]
    for parts in (
        {"heads": heads},
        {"heads": head, "pooling": pooling},
        {"heads": head, "target_scaler": target},
        {"heads": head, "trace": trace if not isinstance(trace, int) or trace < 3 else 3},
    ):
        with one_sentence([], types=True):
            Predictor(backbone, **parts)


@given(notes=st.dictionaries(st.text(min_size=1, max_size=6), anything, max_size=2), name=anything)
@some_examples(0.5)
def test_an_odd_way_to_save_is_one_sentence(backbone, notes, name):
    with tempfile.TemporaryDirectory() as folder:
        with one_sentence([], types="path" in notes):
            made(backbone).save(Path(folder, "mine.safetensors"), **notes)
        with one_sentence([], types=True):
            made(backbone).save(f"{folder}/{name}.safetensors".replace("../", "") if isinstance(name, str) else name)


@given(data=st.data())
def test_a_changed_file_is_one_sentence(backbone, data):
    refused = []
    with tempfile.TemporaryDirectory() as folder:
        path = made(backbone).save(Path(folder, "mine.safetensors"))
        held = path.read_bytes()
        changed = damaged(data.draw, held, 3000)
        path.write_bytes(changed)
        with one_sentence(refused):
            load_predictor(path)
        assert refused or changed == held
