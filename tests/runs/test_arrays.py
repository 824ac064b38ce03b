"""Arrays in one file: sizes are checked before memory is taken."""

import io
import json
import zipfile

import numpy as np
import pytest
from core_fixture import places, tiny  # noqa: F401

from modts import runs
from modts.cohorts import Cohort
from modts.errors import ModtsError
from modts.runs import arrays


def npy(shape, dtype="<f4", data=b""):
    """An .npy whose header says what it likes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def zipped(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(f"{name}.npy", content)
    return path


READERS = {"arrays": runs.read_arrays, "cohort": Cohort.load}


@pytest.fixture(params=READERS)
def read(request):
    return READERS[request.param]


def test_a_zip_bomb_is_not_unpacked(tmp_path, read, monkeypatch):
    size = 300 * 2**20
    path = zipped(tmp_path / "bomb.npz", X=npy((size,), "|u1", bytes(size)))
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(np, "ndarray", None)  # nothing may be made
    with pytest.raises(ModtsError, match="bomb.npz would unpack to 0.3 GiB from 0.3 MiB, so it is no file of ours"):
        read(path)


def test_more_than_the_free_memory_is_not_unpacked(tmp_path, read, monkeypatch):
    path = zipped(tmp_path / "large.npz", X=npy((1000,), "|u1", np.random.default_rng(0).bytes(1000)))
    monkeypatch.setattr(arrays, "_free", lambda: 999)
    with pytest.raises(ModtsError, match="large.npz needs 0.0 GiB of memory, and only 0.0 are free"):
        read(path)


def test_free_memory_is_known_on_linux():
    assert arrays._free() > 2**20


@pytest.mark.parametrize("shape", [(2**40,), (10**6, 10**6), (2**62, 4)])
def test_a_header_that_promises_more_than_there_is(tmp_path, read, shape):
    path = zipped(tmp_path / "header.npz", X=npy(shape, data=b"1234"))
    with pytest.raises(ModtsError, match="header.npz.* (is corrupt .*shorter than its header says|is damaged)"):
        read(path)


@pytest.mark.parametrize("content", ["raw", "pickle", "nothing"])
def test_what_is_no_array_is_refused(tmp_path, content):
    path = tmp_path / "other.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", {"raw": b"123", "pickle": npy((1,), "|O", b"x" * 9), "nothing": b""}[content])
    with pytest.raises(ModtsError, match="other.npz is corrupt"):
        runs.read_arrays(path)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_every_type_and_order_comes_back(tmp_path, packing):
    given = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "t": np.array(["a", "bc"]),
        "n": np.float64(2),
        "e": np.empty((0, 3)),
    }
    runs.write_arrays(tmp_path / "a.npz", "key", packing, **given)
    with np.load(tmp_path / "a.npz") as plain:
        assert {name for name in plain if name != arrays.SEAL} == set(given)
    found = runs.read_arrays(tmp_path / "a.npz", "key")
    assert set(found) == set(given)
    for name, values in given.items():
        assert np.array_equal(found[name], values) and found[name].dtype == np.asarray(values).dtype


def test_a_cohort_is_the_same_after_saving(tmp_path):
    cohort = tiny(n=40)
    path = cohort.save(tmp_path / "c.npz")
    assert Cohort.load(path).content_hash == cohort.content_hash
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["meta"]))["name"] == "tiny"
