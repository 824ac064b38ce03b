"""A backbone never changes what was observed, nor the shape; whatever is odd, in a call or in a file, is one sentence."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from core_fixture import tiny
from hypothesis import given
from hypothesis import strategies as st
from property_fixture import anything, damaged, one_sentence, raw, same, some_examples

from modts.backbones import BACKBONES, POOLINGS, build, load_backbone
from modts.learning import IMPUTERS, impute

NAMES = st.sampled_from(list(BACKBONES))


@pytest.fixture(scope="module")
def cohort():
    return tiny(n=40, steps=8, features=3)


@pytest.fixture(scope="module")
def backbones(cohort):
    return {name: build(name, cohort).eval() for name in BACKBONES}


def windows(backbone, data, n=5):
    """Windows in the scale of a backbone, with gaps."""
    Z = data.draw(
        raw(st.tuples(st.integers(1, n), st.just(8), st.just(3)), st.one_of(st.floats(-4, 4), st.just(np.nan)))
    )
    return (Z * backbone.scaler.std + backbone.scaler.mean).astype(np.float32)


# --- answers --------------------------------------------------------------------------------------------------------


@given(name=NAMES, batch_size=st.integers(1, 6), masked=st.booleans(), data=st.data())
def test_imputing_fills_the_gaps_and_nothing_else(backbones, name, batch_size, masked, data):
    backbone = backbones[name]
    X, refused = windows(backbone, data), []
    given_ = np.ma.masked_invalid(X) if masked else X
    before = X.copy()
    with one_sentence(refused):
        filled = backbone.impute(given_, batch_size=batch_size)
        assert filled.shape == X.shape and filled.dtype == np.float32 and np.isfinite(filled).all()
        same(filled[~np.isnan(X)], X[~np.isnan(X)])
        assert len(backbone.latents(given_, batch_size=batch_size)) == len(X)
    np.testing.assert_array_equal(X, before)
    if not backbone.row.imputes:
        assert refused and name in refused[0] and "fills no gaps" in refused[0]
        return
    assert not refused or np.isnan(X).all() or "scale" in refused[0] or "standardised" in refused[0], refused


@given(X=anything, batch_size=anything, features=anything, pooling=st.one_of(st.sampled_from(POOLINGS), anything))
def test_an_odd_question_is_one_sentence(backbones, cohort, X, batch_size, features, pooling):
    backbone = backbones["GRU-D"]
    for ask in (
        lambda: backbone.impute(X),
        lambda: backbone.latents(X),
        lambda: backbone.impute(cohort.X, batch_size=batch_size),
        lambda: backbone.latents(cohort.X, pooling, batch_size=batch_size),
        lambda: backbone.latents(cohort.X, pooling),
        lambda: backbone.latents(cohort.X, features=features),
    ):
        with one_sentence([], types=True):
            assert len(ask()) == len(cohort.X)


@given(
    shape=st.lists(st.integers(0, 9), max_size=4), value=st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e39, 1e300])
)
def test_another_shape_is_one_sentence(backbones, shape, value):
    refused = []
    with one_sentence(refused), np.errstate(over="ignore"):
        assert backbones["GRU-D"].impute(np.full(shape, value)).shape == tuple(shape)


OPTIONS = ["size", "criterion", "options", "seed"]


@given(name=st.one_of(NAMES, anything), options=st.dictionaries(st.sampled_from(OPTIONS), anything, max_size=2))
def test_an_odd_recipe_is_one_sentence(cohort, name, options):
    with one_sentence([], types=True):
        build(name, cohort, **options)


@given(
    name=st.sampled_from(list(IMPUTERS)),
    Z=raw(elements=st.one_of(st.floats(-9, 9, width=32), st.just(np.nan))),
    default=st.floats(-3, 3, width=32),
)
def test_simple_imputers_fill_the_gaps_and_nothing_else(name, Z, default):
    before = Z.copy()
    filled = impute(name, Z, default)
    assert filled.shape == Z.shape and np.isfinite(filled).all()
    same(filled[~np.isnan(Z)], Z[~np.isnan(Z)])
    np.testing.assert_array_equal(Z, before)


# --- files ----------------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@given(name=NAMES, notes=st.dictionaries(st.text(min_size=1, max_size=6), st.one_of(plain, anything), max_size=3))
def test_a_saved_backbone_is_the_same(backbones, cohort, name, notes):
    backbone, refused = backbones[name], []
    backbone.card = {}
    with tempfile.TemporaryDirectory() as folder, one_sentence(refused, types="path" in notes):
        path = backbone.save(Path(folder, "mine.safetensors"), **notes)
        again = load_backbone(path)
        assert again.weights_hash() == backbone.weights_hash() and again.features == cohort.features
        same(again.impute(cohort.X), backbone.impute(cohort.X))
        assert set(notes) <= set(again.card)
        assert not refused and sorted(p.name for p in Path(folder).iterdir()) == [
            "mine.safetensors",
            "mine.safetensors.json",
        ]


@given(name=st.one_of(anything, st.text(max_size=12).map(lambda word: f"{word}.safetensors")))
def test_an_odd_path_is_one_sentence(backbones, name):
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(name, str):
            name = f"{folder}/{name.replace('/', '')}"
        with one_sentence([], types=True):
            assert load_backbone(backbones["GRU-D"].save(name)).weights_hash() == backbones["GRU-D"].weights_hash()
        with one_sentence([], types=True):
            load_backbone(name)


@given(data=st.data())
def test_a_changed_file_is_one_sentence(backbones, data):
    backbone, refused = backbones["GRU-D"], []
    with tempfile.TemporaryDirectory() as folder:
        path = backbone.save(Path(folder, "mine.safetensors"))
        held = path.read_bytes()
        changed = damaged(data.draw, held, 2000)
        path.write_bytes(changed)
        with one_sentence(refused):
            load_backbone(path)
        assert refused or changed == held


@given(junk=st.binary(max_size=200), card=st.one_of(plain, st.just(None)))
def test_any_bytes_in_a_checkpoint_are_one_sentence(junk, card):
    import json

    refused = []
    header = json.dumps({"__metadata__": {"card": json.dumps(card)}}).encode()
    with tempfile.TemporaryDirectory() as folder, one_sentence(refused):
        path = Path(folder, "mine.safetensors")
        path.write_bytes(junk if card is None else len(header).to_bytes(8, "little") + header + junk)
        load_backbone(path)
    assert refused


@given(device=anything, own=anything)
@some_examples(0.5)
def test_an_odd_place_to_load_to_is_one_sentence(backbones, device, own):
    with tempfile.TemporaryDirectory() as folder, one_sentence([], types=True):
        load_backbone(backbones["GRU-D"].save(Path(folder, "mine.safetensors")), device=device, own=own)
