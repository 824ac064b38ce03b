"""Raw windows to answers in one call, and latents from disk to disk, give what the steps give one by one."""

import inspect
import io

import numpy as np
import pytest
import torch

import modts
from modts.backbones import BACKBONES, Scaler, blocks, build, extract
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import Head
from modts.serving import Predictor, stream, streaming


@pytest.fixture(scope="module")
def cohort():
    return load_cohort("simulated_icu")


@pytest.fixture(scope="module")
def backbone(cohort):
    return build("GRU-D", cohort).eval()


@pytest.mark.parametrize("pooling", ["paper", "mean+max+last"])
def test_a_predictor_is_latents_then_head(cohort, backbone, pooling):
    X = cohort.part("test")[0][:20]
    latents = backbone.latents(X, pooling)
    head = Head("complex", latents.shape[1], 1, seed=3).standardise(latents)
    with torch.no_grad():
        expected = torch.sigmoid(head(torch.from_numpy(latents))[:, 0]).numpy()
    got = Predictor(backbone, head, pooling).predict(X, batch_size=7, features=cohort.features)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert got.shape == (20,)
    one = Predictor(backbone, head, pooling).predict(X[4:5])
    np.testing.assert_allclose(one, expected[4:5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["backwards", "read-only", "list"])
def test_any_array_is_read_and_none_is_changed(cohort, backbone, how):
    X = cohort.part("test")[0][:6].copy()
    predictor = Predictor(backbone, Head("simple", backbone.latents(X).shape[1], 1))
    expected = predictor.predict(X)
    X.flags.writeable = False
    given = {"backwards": X[::-1], "read-only": X, "list": X.tolist()}[how]
    got = predictor.predict(given)
    np.testing.assert_allclose(got, expected[::-1] if how == "backwards" else expected, rtol=1e-5)


def test_several_heads_share_the_latents(cohort, backbone):
    X = cohort.part("test")[0][:9]
    size = backbone.latents(X).shape[1]
    heads = {"death": Head("simple", size, 1, seed=1), "sepsis": Head("simple", size, 1, seed=2)}
    both = Predictor(backbone, heads).predict(X)
    assert list(both) == ["death", "sepsis"]
    for name, head in heads.items():
        np.testing.assert_array_equal(both[name], Predictor(backbone, head).predict(X))
    assert not np.allclose(both["death"], both["sepsis"])


def test_regression_answers_in_raw_units(cohort, backbone):
    X = cohort.part("test")[0][:5]
    latents = backbone.latents(X)
    head, scaler = Head("simple", latents.shape[1], 3), Scaler(np.float32([10.0]), np.float32([4.0]))
    with torch.no_grad():
        z = head(torch.from_numpy(latents)).numpy()
    np.testing.assert_allclose(Predictor(backbone, head, target_scaler=scaler).predict(X), z * 4 + 10, rtol=1e-5)


@pytest.mark.parametrize("name", ["GRU-D", "SAITS"])
def test_training_the_backbone_further_leaves_no_dropout_in_its_answers(cohort, name):
    X, shared = cohort.part("test")[0][:9], build(name, cohort)
    predictor = Predictor(shared, Head("simple", shared.eval().latents(X).shape[1], 1))
    before = predictor.predict(X)
    shared.train()
    np.testing.assert_array_equal(predictor.predict(X), before)
    assert not shared.training


@pytest.mark.parametrize("name", BACKBONES)
def test_a_trace_answers_as_the_backbone_does(cohort, name):
    X, backbone = cohort.part("test")[0][:7], build(name, cohort).eval()
    head = Head("simple", backbone.latents(X).shape[1], 1, seed=3)
    plain, traced = Predictor(backbone, head), Predictor(backbone, head, trace=2)
    for n in (1, 2, 3):
        for start in range(3):
            part = X[start : start + n]
            np.testing.assert_allclose(traced.predict(part), plain.predict(part), rtol=1e-5, atol=1e-6)
    assert sorted(traced._traces) == [1, 2]  # three windows are above its limit
    with torch.no_grad():  # trained further since: it is traced again
        for parameter in backbone.parameters():
            parameter.mul_(1.1)
    np.testing.assert_allclose(traced.predict(X[:1]), plain.predict(X[:1]), rtol=1e-5, atol=1e-6)


def test_a_pass_that_depends_on_its_data_is_not_traced(cohort, monkeypatch):
    """Without a script for what TimesNet reads from its data, its trace would hold the periods of one window for good."""
    monkeypatch.setattr(blocks, "_scripted", lambda find: find)
    backbone = build("TimesNet", cohort).eval()
    head = Head("simple", backbone.latents(cohort.X[:2]).shape[1], 1)
    with pytest.raises(ModtsError, match="TimesNet decides by its input"):
        Predictor(backbone, head, trace=1)


def test_a_predictor_refuses_what_it_cannot_answer(cohort, backbone):
    X = cohort.part("test")[0][:4]
    size = backbone.latents(X).shape[1]
    for heads in ({}, None, [Head("simple", size, 1)], {"a": torch.nn.Linear(size, 1)}):
        with pytest.raises(ModtsError, match="needs a Head, or a dictionary"):
            Predictor(backbone, heads)
    with pytest.raises(ModtsError, match="latents of length 7"):
        Predictor(backbone, Head("simple", 7, 1))
    with pytest.raises(ModtsError, match="has 3 outputs, .* give the target_scaler"):
        Predictor(backbone, Head("simple", size, 3))
    with pytest.raises(ModtsError, match="12 means instead of one"):
        Predictor(backbone, Head("simple", size, 3), target_scaler=backbone.scaler)
    with pytest.raises(ModtsError, match="Unknown pooling 'max'"):
        Predictor(backbone, Head("simple", size, 1), "max")
    predictor = Predictor(backbone, Head("simple", size, 1))
    for batch_size in (0, -1):
        with pytest.raises(ModtsError, match="batch size must be a whole number of 1 or more"):
            predictor.predict(X, batch_size=batch_size)
    with pytest.raises(ModtsError, match="feature list differs"):
        predictor.predict(X, features=cohort.features[::-1])


def test_the_public_names_are_there():
    assert issubclass(modts.Predictor, Predictor) and inspect.unwrap(modts.stream) is stream
    for name in modts.__all__:
        assert getattr(modts, name) is not None and name in dir(modts)


# --- from disk to disk ----------------------------------------------------------------------------------------------


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_streamed_latents_are_the_latents(cohort, backbone, tmp_path, dtype):
    X = cohort.part("test")[0][:50].copy()
    X[16:32] = np.nan  # an outage as long as a batch
    np.save(tmp_path / "windows.npy", X.astype(dtype))
    target = tmp_path / "new" / "latents.npy"
    assert stream(backbone, tmp_path / "windows.npy", target, batch_size=16) == (50, 64)
    latents = np.load(target)
    assert latents.dtype == np.float32
    np.testing.assert_allclose(latents, backbone.latents(X), rtol=1e-5, atol=1e-6)
    assert listed(tmp_path) == ["new", "windows.npy"] and listed(tmp_path / "new") == ["latents.npy"]


@pytest.mark.parametrize("pooling", ["paper", "mean+max+last", "steps"])
def test_streamed_series_end_where_they_end(cohort, backbone, tmp_path, pooling):
    X, source, target = cohort.part("test")[0][:50].copy(), tmp_path / "windows.npy", tmp_path / "latents.npy"
    lengths = np.arange(50) % 48 + 1
    X[16:32, :20] = np.nan  # in the second batch most series hold values behind their end alone
    np.save(source, X)
    stream(backbone, source, target, pooling, batch_size=16, lengths=lengths)
    wanted = extract(backbone, X, pooling, lengths=lengths)
    np.testing.assert_allclose(np.load(target), wanted, rtol=1e-5, atol=1e-6)
    X[np.arange(48) >= lengths[:, None]] = 99.0  # what lies behind is not read
    np.save(source, X)
    stream(backbone, source, target, pooling, batch_size=16, lengths=list(lengths))
    np.testing.assert_allclose(np.load(target), wanted, rtol=1e-5, atol=1e-6)
    for wrong, sentence in (
        (lengths[1:], "for each of 50 windows"),
        (lengths + 1, "A length must be 1 to 48"),
        ("x", "lengths must"),
    ):
        with pytest.raises(ModtsError, match=sentence):
            stream(backbone, source, target, pooling, lengths=wrong)
    np.testing.assert_allclose(np.load(target), wanted, rtol=1e-5, atol=1e-6)  # a refusal leaves what was there


WRONG = {
    "flat": (lambda X: X[0], "must hold windows"),
    "whole numbers": (lambda X: np.zeros(X.shape, int), "must hold windows .* int64"),
    "empty": (lambda X: X[:0], "must hold windows"),
    "fortran": (np.asfortranarray, "in Fortran order"),
    "short windows": (lambda X: X[:, :5], r"GRU-D reads arrays of shape \(N, 48, 12\)"),
    "no value": (lambda X: np.full_like(X, np.nan), "no observed value at all"),
    "infinite": (lambda X: np.where(np.arange(20)[:, None, None] == 17, np.inf, X), "Windows 16 to 19 of .*infinite"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_source_that_cannot_be_streamed_is_one_sentence_and_no_file(cohort, backbone, tmp_path, name):
    make, sentence = WRONG[name]
    np.save(tmp_path / "windows.npy", make(cohort.part("test")[0][:20]))
    with pytest.raises(ModtsError, match=sentence):
        stream(backbone, tmp_path / "windows.npy", tmp_path / "latents.npy", batch_size=8)
    assert listed(tmp_path) == ["windows.npy"]


def header(shape):
    """A file that says it holds windows of such a shape, and holds 400 bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(400)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda whole: whole[:-1], "cut short: its header says 20 windows"),
        (lambda whole: whole[:60], "no .npy file, or its header is damaged"),
        (lambda whole: whole.replace(b"}", b"("), "no .npy file, or its header is damaged"),
        (lambda whole: b"no array", "no .npy file"),
        (lambda whole: b"", "no .npy file"),
        (lambda whole: header((-3, 48, 12)), "must hold windows"),
        (lambda whole: header((10**30, 48, 12)), "cut short"),
    ],
)
def test_a_damaged_source_is_one_sentence_and_no_file(cohort, backbone, tmp_path, damage, sentence):
    source = tmp_path / "windows.npy"
    np.save(source, cohort.part("test")[0][:20])
    source.write_bytes(damage(source.read_bytes()))
    with pytest.raises(ModtsError, match=sentence):
        stream(backbone, source, tmp_path / "latents.npy", batch_size=8)
    assert listed(tmp_path) == ["windows.npy"]


def test_what_is_asked_wrongly_is_one_sentence_and_the_source_stays(cohort, backbone, tmp_path):
    source, target, folder = tmp_path / "windows.npy", tmp_path / "latents.npy", tmp_path / "folder"
    np.save(source, cohort.part("test")[0][:20])
    (tmp_path / "link.npy").symlink_to(source)
    folder.mkdir()
    before = source.read_bytes()
    with pytest.raises(ModtsError, match="There is no file"):
        stream(backbone, tmp_path / "absent.npy", target)
    for same in (source, tmp_path / "link.npy"):
        with pytest.raises(ModtsError, match="would overwrite their source"):
            stream(backbone, source, same)
    with pytest.raises(ModtsError, match="folder is a folder"):
        stream(backbone, source, folder)
    with pytest.raises(ModtsError, match="cannot be written"):
        stream(backbone, source, source / "latents.npy")
    for batch_size in (0, -1):
        with pytest.raises(ModtsError, match="batch size must be a whole number of 1 or more"):
            stream(backbone, source, target, batch_size=batch_size)
    with pytest.raises(ModtsError, match="^Unknown pooling 'max'"):
        stream(backbone, source, target, "max")
    assert source.read_bytes() == before and listed(tmp_path) == ["folder", "link.npy", "windows.npy"]


@pytest.mark.parametrize("place", ["extract", "fsync", "replace"])
def test_a_killed_stream_leaves_no_half_file_and_the_old_one(cohort, backbone, tmp_path, monkeypatch, place):
    source, target = tmp_path / "windows.npy", tmp_path / "latents.npy"
    np.save(source, cohort.part("test")[0][:20])
    calls, original = [], streaming.extract

    def interrupt(*args, **named):
        calls.append(args)
        if place != "extract" or len(calls) == 3:  # two batches are written
            raise KeyboardInterrupt
        return original(*args, **named)

    with monkeypatch.context() as context:
        context.setattr(streaming if place == "extract" else streaming.os, place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            stream(backbone, source, target, batch_size=8)
        assert listed(tmp_path) == ["windows.npy"]
        target.write_bytes(b"\x93NUMPY of an earlier run")
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            stream(backbone, source, target, batch_size=8)
    assert target.read_bytes() == b"\x93NUMPY of an earlier run" and listed(tmp_path) == ["latents.npy", "windows.npy"]
    stream(backbone, source, target, batch_size=8)
    assert np.load(target).shape == (20, 64)


def test_latents_never_replace_a_file_of_another_kind(cohort, backbone, tmp_path):
    np.save(tmp_path / "windows.npy", cohort.X[:20])
    (tmp_path / "table.csv").write_text("a,b")
    (tmp_path / "table.npy").write_text("a,b\n1,2\n")
    for target, sentence in (("table.csv", "written as a .npy file"), ("table.npy", "there and no .npy file")):
        with pytest.raises(ModtsError, match=sentence):
            stream(backbone, tmp_path / "windows.npy", tmp_path / target)
    assert (tmp_path / "table.npy").read_text() == "a,b\n1,2\n" and (tmp_path / "table.csv").read_text() == "a,b"
    with pytest.raises(TypeError, match="takes a backbone"):
        stream(str(tmp_path), tmp_path / "windows.npy", tmp_path / "latents.npy")
