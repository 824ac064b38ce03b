"""Windows a batch at a time: from a memory map the same bits as from memory, and no more memory than a batch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

from modts import runs
from modts.backbones import build
from modts.cohorts import PATTERNS, mask
from modts.errors import ModtsError
from modts.learning import pretrain
from modts.learning.batches import Held, Windows


@pytest.fixture(scope="module")
def icu():
    return tiny(n=96, steps=8, features=6)


@pytest.fixture
def mapped(icu, tmp_path):
    """The cohort's windows as a memory map of float32, and of float64."""
    files = []
    for dtype in (np.float32, np.float64):
        np.save(tmp_path / f"{np.dtype(dtype)}.npy", icu.X.astype(dtype))
        files.append(np.load(tmp_path / f"{np.dtype(dtype)}.npy", mmap_mode="r"))
    return files


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_batch_is_what_the_whole_array_gives(icu, pattern):
    backbone, rows = build("GRU-D", icu), np.array([5, 3, 40, 41, 60, 2, 9, 80, 81, 82])
    hidden, Z = Windows(backbone, icu.X, pattern, 0.2).masked(rows, 7)
    assert torch.equal(torch.nan_to_num(Z), torch.nan_to_num(backbone.tensor(icu.X)[rows]))
    wanted = backbone.tensor(mask(icu.X[rows], pattern, 0.2, seed=7))
    np.testing.assert_array_equal(hidden, wanted)
    assert (torch.isnan(hidden) & ~torch.isnan(Z)).any() and torch.equal(
        hidden[~torch.isnan(hidden)], Z[~torch.isnan(hidden)]
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_batch_too_small_for_a_pattern_is_no_obstacle(icu, pattern):
    lone = np.full((3, 8, 6), np.nan, np.float32)
    lone[0, 2, 1] = icu.X[~np.isnan(icu.X)][0]
    lone[1] = icu.X[0]
    windows = Windows(build("GRU-D", icu), lone, pattern, 0.2)
    for row in range(3):
        hidden, Z = windows.masked(np.array([row]), 3)
        assert hidden.shape == Z.shape == (1, 8, 6)


def test_what_was_hidden_for_validation_stays_hidden(icu):
    windows = Windows(build("GRU-D", icu), np.concatenate([icu.X] * 4), "point", 0.3)  # two parts
    held = Held(windows, 11)
    first, again = (list(held) for _ in range(2))
    assert [len(hidden) for hidden, *_ in first] == [256, 128]
    for (hidden, Z, _), (hidden_2, *_) in zip(first, again, strict=True):
        np.testing.assert_array_equal(hidden, hidden_2)
        share = (torch.isnan(hidden) & ~torch.isnan(Z)).sum() / (~torch.isnan(Z)).sum()
        assert share == pytest.approx(0.3, abs=0.04)
    other = next(iter(Held(windows, 12)))[0]
    assert not torch.equal(torch.isnan(other), torch.isnan(first[0][0]))
    assert not torch.equal(
        torch.isnan(first[0][0][:96]), torch.isnan(first[1][0][:96])
    )  # the same windows, another part


def test_every_batch_of_every_epoch_has_a_seed_of_its_own():
    seeds = [runs.batch_seed(runs.epoch_seed(s, e), b) for s in range(3) for e in range(-2, 30) for b in range(60)]
    assert len(set(seeds)) == len(seeds) and min(seeds) >= 0 and max(seeds) < 2**32


def trained(icu, X, X_val):
    backbone = build("GRU-D", icu, seed=0)
    history = pretrain(backbone, X, X_val, epochs=3, batch_size=16, seed=4, progress=None)
    return backbone.weights_hash(), history, backbone.card["past"][-1]["data_hash"]


def test_a_memory_map_gives_the_bits_of_the_same_data_in_memory(icu, mapped):
    wanted = trained(icu, icu.X[:60], icu.X[60:])
    for X in mapped:
        assert trained(icu, X[:60], X[60:]) == wanted
    assert trained(icu, icu.X[:60].tolist(), np.ma.masked_invalid(icu.X[60:])) == wanted


def test_a_map_that_may_be_written_to_keeps_what_was_written(icu, tmp_path):
    np.save(tmp_path / "w.npy", icu.X)
    private = np.load(tmp_path / "w.npy", mmap_mode="c")
    private[:, 0] = np.nan
    windows = Windows(build("GRU-D", icu), private)
    runs.let_go(windows.X)
    assert torch.isnan(windows(np.arange(96))[:, 0]).all()


def test_mistakes_are_named_before_anything_is_read(icu):
    backbone = build("GRU-D", icu)
    with pytest.raises(ModtsError, match="Unknown missingness pattern 'dots'"):
        Windows(backbone, icu.X, "dots")
    with pytest.raises(ModtsError, match="rate must be at least 0 and below 1, got 1.5"):
        Windows(backbone, icu.X, "point", 1.5)
    late = np.concatenate([icu.X] * 100)  # the mistake lies in the last part of several
    late[-1, 0, 0] = np.inf
    with pytest.raises(ModtsError, match="infinite values"):
        Windows(backbone, late)
    with pytest.raises(ModtsError, match="no observed value"):
        Windows(backbone, np.full((9000, 8, 6), np.nan))
    late[-1, 0, 0], late[:-1] = 1.0, np.nan
    assert len(Windows(backbone, late)) == len(late)


def test_rows_in_random_order_are_read_without_reading_on(icu, mapped, monkeypatch):
    said = []
    monkeypatch.setattr(runs, "read_ahead", lambda X, on, real=runs.read_ahead: (said.append(on), real(X, on)))
    windows = Windows(build("GRU-D", icu), mapped[0])
    windows(np.array([5, 3])), windows(np.array([7, 2]))
    assert said == [False]
    list(windows.split())
    assert said == [False, True]
    runs.read_ahead(icu.X, False)  # no memory map: nothing to say


LARGE = """
import resource, sys
sys.path[:0] = sys.argv[2:]
import numpy as np, torch
torch.set_num_threads(1)
from modts.backbones import Backbone, Scaler
from modts.learning import pretrain
X = np.load(sys.argv[1], mmap_mode="r")
def go(X, X_val):
    backbone = Backbone("GRU-D", X.shape[1], [f"x{i}" for i in range(X.shape[2])], Scaler.fit(X), {"rnn_hidden_size": 2})
    pretrain(backbone, X, X_val, epochs=1, batch_size=1024, progress=None)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(-go(X[:4096], X[:1024]) + go(X[1024:], X[:1024]))
"""


def test_a_memory_map_is_never_wholly_in_memory(tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (60_000, 24, 32))  # 184 MB
    rng = np.random.default_rng(0)
    for part in range(0, len(X), 10_000):
        X[part : part + 10_000] = rng.standard_normal((10_000, 24, 32), dtype=np.float32)
    X.flush()
    del X
    command = [sys.executable, "-c", LARGE, str(tmp_path / "x.npy"), os.getcwd()]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 60, done.stdout  # MB more than for 4,096 windows
