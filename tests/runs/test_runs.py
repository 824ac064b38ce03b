"""Places, whole files, run names and the hash of the code that decides a number."""

import ast
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from core_fixture import places, tiny  # noqa: F401

import modts
from modts import runs
from modts.errors import ModtsError
from modts.runs import code

PARAMS = {"profile": "quick", "cohort": "italy_air", "backbone": "SAITS", "seeds": [0]}


def files(folder):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


# --- places ---------------------------------------------------------------------------------------------------------


def test_places_are_where_the_environment_says(places, monkeypatch):  # noqa: F811
    assert (runs.work_dir(), runs.results_dir(), runs.cache_dir()) == (
        places / "work",
        places / "results",
        places / "cache",
    )
    monkeypatch.delenv("MODTS_WORK")
    monkeypatch.setenv("MODTS_HOME", str(places))
    assert runs.work_dir() == places / "work"


def test_the_root_is_the_nearest_folder_with_a_table_of_contents(tmp_path, monkeypatch):
    monkeypatch.delenv("MODTS_HOME", raising=False)
    deep = tmp_path / "project" / "notebooks" / "deep"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert runs.root() == deep
    (tmp_path / "project" / "_toc.yml").touch()
    assert runs.root() == tmp_path / "project"


def test_run_names():
    assert runs.run_id("heads", PARAMS) == "quick-heads-italy_air-SAITS"
    assert runs.run_id("transfer", PARAMS | {"source": "eicu"}) == "quick-transfer-italy_air-SAITS-eicu"
    assert runs.run_id("baselines", {"profile": "cpu", "cohort": "/some/where/mine.npz"}) == "cpu-baselines-mine"
    assert (
        runs.run_path("quick-heads-italy_air-SAITS") == runs.work_dir() / "quick/runs/quick-heads-italy_air-SAITS.json"
    )
    own = PARAMS | {"cohort": "/a/mine.npz", "source": "/b/theirs.npz"}
    assert runs.run_id("transfer", own) == "quick-transfer-mine-SAITS-theirs"
    assert runs.run_id("heads", PARAMS | {"reading": "shipped"}) == "quick-heads-italy_air-SAITS-shipped"
    mine = PARAMS | {"backbone": "/some where/my-net;v2.py:MyImputer"}
    assert runs.run_id("heads", mine) == "quick-heads-italy_air-my_net_v2.MyImputer"
    with pytest.raises(ModtsError, match="Unknown stage 'head'"):
        runs.run_id("head", PARAMS)


@pytest.mark.parametrize(
    ("changed", "ending"),
    [
        ({"pattern": "block"}, "-block"),
        ({"rate": 0.5}, "-rate0.5"),
        ({"size": "paper"}, "-size_paper"),
        ({"device": "cuda"}, "-cuda"),
        ({"centre": True, "scaling": "robust", "device": "cuda", "criterion": "mae"}, "-robust-centred-mae-cuda"),
        ({"config": {"n_layers": 1}}, "-config_7dd4f8"),
        ({"threads": 4}, "-4threads"),
        ({"variant": "wide"}, "-wide"),
        ({"pattern": "block", "rate": 0.3, "variant": "b"}, "-block-rate0.3-b"),
        ({"pattern": "point", "rate": 0.1, "size": "small", "config": {}, "threads": 1, "variant": ""}, ""),
    ],
)
def test_a_runs_name_says_what_is_not_as_usual(changed, ending):
    name = runs.run_id("heads", PARAMS | changed)
    assert name == f"quick-heads-italy_air-SAITS{ending}"
    assert runs.run_path(name).stem == name


def test_two_files_of_one_stem_are_two_cohorts(tmp_path):
    paths = [tiny(n=40, seed=seed).save(tmp_path / str(seed) / "mine.npz") for seed in (0, 1)]
    labels = [runs.cohort_label(str(path)) for path in paths]
    assert labels[0] != labels[1] and all(re.fullmatch(r"mine\.[0-9a-f]{6}", label) for label in labels)
    assert labels[0] == f"mine.{tiny(n=40, seed=0).content_hash[:6]}"
    names = [runs.run_id("heads", PARAMS | {"cohort": str(path)}) for path in paths]
    assert names == [f"quick-heads-{label}-SAITS" for label in labels]
    again = tiny(n=40, seed=1).save(paths[0])  # another cohort in its place
    os.utime(again, (1, 1))
    assert runs.cohort_label(str(again)) == labels[1]
    for content in (b"", b"no zip"):
        (tmp_path / "odd.npz").write_bytes(content)
        assert runs.cohort_label(str(tmp_path / "odd.npz")) == "odd"
    assert runs.cohort_label("italy_air") == "italy_air" and runs.cohort_label("/nowhere/mine.npz") == "mine"


# --- whole files only -----------------------------------------------------------------------------------------------


def test_a_written_file_is_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "a.txt"
    runs.atomic_write(path, "one")
    runs.atomic_write(path, b"two")
    assert path.read_bytes() == b"two" and files(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_an_interrupted_write_keeps_the_old_file_and_no_part(tmp_path, monkeypatch, where):
    path = tmp_path / "a.json"
    runs.write_json(path, {"old": 1})

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        runs.write_json(path, {"new": 2})
    with pytest.raises(KeyboardInterrupt):
        runs.write_json(tmp_path / "b.json", {"new": 2})
    monkeypatch.undo()
    assert runs.read_json(path) == {"old": 1} and files(tmp_path) == ["a.json"]


def test_json_takes_numpy_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    runs.write_json(
        path, {"i": np.int64(3), "f": np.float32(0.5), "a": np.arange(2), "p": Path("x"), "t": (1, 2), "é": "ü"}
    )
    assert runs.read_json(path) == {"i": 3, "f": 0.5, "a": [0, 1], "p": "x", "t": [1, 2], "é": "ü"}
    with pytest.raises(ValueError):
        runs.write_json(path, {"bad": float("nan")})
    with pytest.raises(TypeError, match="object cannot be written"):
        runs.write_json(path, {"bad": object()})
    assert runs.read_json(path)["i"] == 3  # the old file is still there


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00"])
def test_unreadable_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ModtsError, match="a.json is not readable JSON .*delete it and run its job again"):
        runs.read_json(path)


@pytest.mark.parametrize("name", ["protocol.json", "runs/cpu-heads-x-SAITS.json.gz"])
def test_damaged_published_json_is_brought_back_from_git(places, name):  # noqa: F811
    path = runs.results_dir() / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModtsError) as error:
        runs.read_json(path)
    assert f"bring it back from git (git checkout -- {path})" in str(error.value) and "delete it" not in str(
        error.value
    )


def damages(data: bytes, at: int, other: bytes) -> tuple[bytes, ...]:
    """A file's bytes cut in half, with one bit turned, as something else, and gone."""
    flipped = bytearray(data)
    flipped[at] ^= 1
    return data[: len(data) // 2], bytes(flipped), other, b""


def test_compressed_json_comes_back_and_a_broken_file_is_named(tmp_path):
    path = tmp_path / "a.json.gz"
    runs.write_json(path, {"rows": [1.5] * 2000})
    data = path.read_bytes()
    assert len(data) < 300 and runs.read_json(path) == {"rows": [1.5] * 2000}
    runs.write_json(path, {"rows": [1.5] * 2000})
    assert path.read_bytes() == data  # the same content, the same file
    for broken in damages(data, len(data) // 2, b"{}"):
        path.write_bytes(broken)
        with pytest.raises(ModtsError, match="a.json.gz is not readable JSON .*delete it and run its job again"):
            runs.read_json(path)
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / ".c.json.gz.12.part").write_bytes(data)
    assert runs.json_files(tmp_path) == {"a": path, "b": tmp_path / "b.json"}


def test_missing_files_are_named(tmp_path):
    for read in (runs.read_json, runs.read_arrays):
        with pytest.raises(ModtsError, match="nothing.* does not exist"):
            read(tmp_path / "nothing")


def test_arrays_come_back_and_a_broken_file_is_named(tmp_path):
    path = tmp_path / "a.npz"
    runs.write_arrays(path, x=np.arange(2000.0), n=np.float64(2))
    assert np.array_equal(runs.read_arrays(path)["x"], np.arange(2000.0))
    data = path.read_bytes()
    for broken in damages(data, len(data) // 3, b"no zip"):
        path.write_bytes(broken)
        with pytest.raises(ModtsError, match="a.npz is corrupt .*delete it and run its job again"):
            runs.read_arrays(path)


def test_arrays_that_hide_a_pickle_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ModtsError, match="is corrupt"):
        runs.read_arrays(tmp_path / "a.npz")


# --- where a number comes from --------------------------------------------------------------------------------------


def test_a_recipes_key_depends_on_its_content_alone():
    spec = {"a": 1, "b": [1.0, 0.1], "c": {"x": "y"}}
    assert runs.key(spec) == runs.key({"c": {"x": "y"}, "b": [1.0, 0.1], "a": 1}) == "be595047a7b9"
    assert len({runs.key(spec | {"a": value}) for value in (1, 2, "1", None)}) == 4
    assert runs.key({"a": np.int64(1)}) == runs.key({"a": 1})


def test_every_stage_has_a_beginning_and_what_lies_below_it_counts():
    assert set(code.ENTRIES) == set(runs.STAGES)
    for stage in runs.STAGES:
        found = runs.modules_of(stage)
        assert {"cohorts.base", "cohorts.splits", "cohorts.physionet", "cohorts.missingness"} <= set(found)
        assert not [
            name for name in found if name.startswith(("study", "book"))
        ]  # those are hashed apart, or decide nothing
        assert len(runs.code_hash(stage)) == 12
        scoring = {"learning.intervals", "learning.resampling", "learning.scores", "learning.several"}
        beside = set(code._reached([*code.BESIDE.get(stage, ())]))
        more = set(runs.modules_of(stage, rows=True)) - set(found) - (beside - scoring)
        assert {"learning.intervals", "learning.resampling"} <= more <= scoring
        assert scoring <= more | set(found)


def test_named_modules_exist():
    for name in {*code.ONLY, *code.NEUTRAL, *code.ROWS, *sum(code.ASIDE, ())}:
        assert code._file(name), name


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The package's source in a folder of its own, so that it can be changed; with the hash of a stage's code there."""
    import shutil

    folder = tmp_path / "modts"
    shutil.copytree(Path(modts.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "_package", lambda: folder)

    def code_hash(stage):
        for found in (code.modules_of, code._offers):
            found.cache_clear()
        return runs.code_hash(stage)

    yield folder, code_hash
    for found in (code.modules_of, code._offers):
        found.cache_clear()


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("learning/training.py", set(runs.STAGES)),
        ("cohorts/splits.py", set(runs.STAGES)),
        ("learning/heads.py", set(runs.STAGES) - {"pretrain", "extract"}),
        ("learning/sweep.py", {"heads", "transfer"}),
        ("backbones/latents.py", set(runs.STAGES) - {"baselines", "pretrain"}),
        ("cohorts/alignment.py", {"transfer"}),
        ("cohorts/synonyms.py", {"transfer"}),
        ("learning/baselines.py", {"baselines"}),
        ("learning/gru.py", {"baselines"}),
        ("serving/latency.py", {"latency"}),
        ("runs/seeding.py", set(runs.STAGES)),
        ("book/prose.py", set()),
    ],
)
def test_changed_code_makes_stale_what_depends_on_it(copied, name, stale):
    folder, code_hash = copied
    before = {stage: runs.code_hash(stage) for stage in runs.STAGES}
    with open(folder / name, "a") as file:
        file.write("\nCHANGED = 1\n")
    assert {stage for stage in runs.STAGES if code_hash(stage) != before[stage]} == stale


def test_a_comment_makes_nothing_stale(copied):
    folder, code_hash = copied
    before = {stage: runs.code_hash(stage) for stage in runs.STAGES}
    with open(folder / "learning/training.py", "a") as file:
        file.write("\n# a remark\n")
    assert {stage: code_hash(stage) for stage in runs.STAGES} == before


def test_a_run_is_one_whole_file_with_its_provenance():
    run = runs.Run("heads", PARAMS)
    run.row(task="classification", metric="auroc", value=0.8, low=0.7, high=0.9)
    run.predictions["frozen|simple|paper|1|0|0"] = np.zeros(4, dtype=np.float32)
    assert not run.path.exists()
    assert run.finish() == run.path
    saved = runs.read_json(run.path)
    assert set(saved) >= {
        "run",
        "stage",
        "profile",
        "params",
        "rows",
        "started",
        "seconds",
        "code_version",
        "code_hash",
        "data_hash",
        "hardware",
        "packages",
        "peak_memory_mb",
        "timings",
        "history",
    }
    assert saved["packages"]["torch"] and saved["params"] == PARAMS
    (row,) = saved["rows"]
    assert tuple(row) == runs.COLUMNS
    assert (row["run"], row["cohort"], row["profile"], row["head"]) == (run.id, "italy_air", "quick", "")
    assert (run.path.parent.parent / "predictions" / f"{run.id}.npz").exists()


def test_unknown_columns_are_refused():
    with pytest.raises(ModtsError, match=r"Unknown result columns: \['auroc'\]"):
        runs.Run("heads", PARAMS).row(auroc=0.8)


def test_seed_everything_repeats():
    import random

    import torch

    def draw():
        runs.seed_everything(5)
        return random.random(), np.random.rand(), torch.rand(1).item()

    before = torch.are_deterministic_algorithms_enabled()
    try:
        assert draw() == draw()
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before)


def test_hardware_and_version_are_said_in_words():
    assert "cores)" in runs.hardware() or runs.hardware().startswith("GPU")
    assert runs.code_version()
    assert json.dumps(runs.packages())


@pytest.mark.parametrize(
    ("precision", "words"), [("highest", "GPU A card"), ("high", "GPU A card, matrix products in TF32")]
)
def test_a_gpu_says_whether_its_matrix_products_are_rounded(monkeypatch, precision, words):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A card")
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    assert runs.hardware.__wrapped__() == words


def test_a_module_of_some_backbones_counts_for_those_alone():
    from modts.backbones import BACKBONES

    assert len({runs.code_hash("pretrain", name) for name in ("CSAI", "BRITS", "SAITS")}) == 3
    for module, names in code.ONLY.items():
        counted = {name for name in BACKBONES if module in runs.modules_of("pretrain", name)}
        assert counted == set(names) - {"own"}, module
        assert (module in runs.modules_of("pretrain", "mine.py:MyImputer")) == ("own" in names)


@pytest.mark.parametrize(
    "line",
    [
        "from .extra import more",
        "from . import extra",
        "from modts.learning import extra",
        "from modts.learning.extra import more",
        "import modts.learning.extra",
        "def later():\n    from .extra import more",
    ],
)
def test_a_new_module_counts_however_it_is_imported(copied, line):
    folder, code_hash = copied
    (folder / "learning" / "extra.py").write_text("more = 1\n")
    with open(folder / "learning" / "heads.py", "a") as file:
        file.write(f"\n{line}\n")
    before = code_hash("heads"), code_hash("pretrain")
    (folder / "learning" / "extra.py").write_text("more = 2\n")
    assert code_hash("heads") != before[0] and code_hash("pretrain") == before[1]


def test_a_new_cohort_module_and_an_offered_name_count(copied):
    folder, code_hash = copied
    before = code_hash("pretrain")
    (folder / "cohorts" / "fresh.py").write_text("more = 1\n")
    assert code_hash("pretrain") != before
    (folder / "backbones" / "extra.py").write_text("more = 1\n")
    room = folder / "backbones" / "__init__.py"
    room.write_text(room.read_text().replace('"scaling": "', '"extra": "more", "scaling": "'))
    with open(folder / "learning" / "training.py", "a") as file:
        file.write("\nfrom modts.backbones import more\n")
    before = code_hash("pretrain")
    (folder / "backbones" / "extra.py").write_text("more = 2\n")
    assert code_hash("pretrain") != before


# --- what is in the place already -----------------------------------------------------------------------------------


def test_a_links_target_is_written_and_the_link_stays(tmp_path):
    real, link = tmp_path / "real" / "a.txt", tmp_path / "link.txt"
    real.parent.mkdir()
    link.symlink_to(real)
    for content in ("one", "two"):  # where the target is not there yet, and where it is
        runs.atomic_write(link, content)
        assert link.is_symlink() and real.read_text() == content
    assert files(tmp_path) == ["a.txt", "link.txt"]


@pytest.mark.parametrize("kind", ["device", "link to a device", "pipe", "folder"])
def test_what_is_no_plain_file_is_left_alone(tmp_path, kind):
    path = tmp_path / "place"
    if kind == "folder":
        path.mkdir()
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/null")
    before = os.stat(path).st_mode
    with pytest.raises(ModtsError, match=f"{path} cannot be written .it is (a folder|no plain file)"):
        runs.atomic_write(path, "x")
    assert os.stat(path).st_mode == before and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS", "EACCES", "EDQUOT"])
def test_no_room_and_no_permission_are_one_sentence(tmp_path, monkeypatch, number):
    import errno

    def full(*args):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    for where in ("fsync", "replace"):
        with monkeypatch.context() as context:
            context.setattr(os, where, full)
            with pytest.raises(ModtsError, match="a.txt cannot be written .(No space|Read-only|Permission|Disk quota)"):
                runs.atomic_write(tmp_path / "a.txt", "x")
    with pytest.raises(ModtsError, match="/dev/null/a.txt cannot be written"):
        runs.atomic_write("/dev/null/a.txt", "x")
    assert files(tmp_path) == []


def test_code_reads_the_same_in_every_python():
    lines = [
        "a = f\"{b['c']!r:>{w}.3f} d's {', '.join(e)}\" + f'{x}'",
        "g = f\"{(1 if h else 2)}{f'{i}'}\"",
        'k = f"it\'s"',
    ]
    assert code._bare("\n".join([*lines, "# a comment"])) == "\n".join(
        lines
    )  # Python 3.12 alone would write f'{b['c']...
    if sys.version_info < (3, 12):
        for name in code.protocol_modules():
            tree = ast.parse(code._bare(code._file(name).read_text(encoding="utf-8")))
            assert code._bare(ast.unparse(tree)) == ast.unparse(tree), name
