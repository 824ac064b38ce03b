"""Published results that were changed since: nothing is made from them, and the sentence names the file and the row."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from core_fixture import places  # noqa: F401
from project_fixture import make_project

from modts import runs
from modts.errors import ModtsError
from modts.study import check_published, cli, collect, stored

HOME = Path(__file__).resolve().parent.parent.parent
SAID = {
    "profile": "cpu", "cohort": "physionet_2012", "task": "classification", "backbone": "SAITS", "arm": "frozen", "head": "simple",
    "pooling": "paper", "label_fraction": "1", "pattern": "point", "test": "split", "metric": "auroc",
}  # fmt: skip
ROW = "".join(f"{SAID.get(name, '')}," for name in runs.COLUMNS[: runs.COLUMNS.index("value")])


@pytest.fixture
def published(places):  # noqa: F811
    """A copy of the published results."""
    shutil.copytree(HOME / "results", places / "results", ignore=shutil.ignore_patterns("predictions", "gpu"))
    return places / "results"


def change(path, line, before, after):
    """Replace text in the one line that begins so; line "" is the first that holds it."""
    lines = path.read_text().split("\n")
    place = next(i for i, text in enumerate(lines) if text.startswith(line) and before in text)
    lines[place] = lines[place].replace(before, after, 1)
    path.write_text("\n".join(lines))
    return place + 1


def test_what_is_published_agrees_with_itself_and_is_checked_in_no_time(published):
    clock = time.process_time()
    check_published()
    assert time.process_time() - clock < 2
    record, *_ = collect.read_runs(published / "runs")
    assert record["hash"] == stored.seal(record)


def test_results_stay_small():
    """What is committed must stay fit for a clone: under 25 MB, predictions included."""
    sizes = {path: path.stat().st_size for path in (HOME / "results").rglob("*") if path.is_file()}
    total = sum(sizes.values()) / 1e6
    assert total < 25, f"results/ holds {total:.1f} MB; the largest: {sorted(sizes, key=sizes.get)[-3:]}"


@pytest.mark.parametrize("value", ["0.999999", "abc", "", "nan", "1e999", "=1+1"])
def test_a_changed_number_in_the_table_is_named(published, value, capsys):
    text = (published / "metrics.csv").read_text()
    old = next(line for line in text.splitlines() if line.startswith(ROW)).removeprefix(ROW).split(",")[0]
    place = change(published / "metrics.csv", ROW, f",auroc,{old},", f",auroc,{value},")
    words = rf"metrics.csv, line {place} \(cpu physionet_2012 .*auroc\): value is '{value}', but its run cpu-heads-.* says '{old}'"
    with pytest.raises(ModtsError, match=words.replace("+", r"\+")):
        check_published()
    assert cli.main(["stale", "--no-data"]) == 2
    said = capsys.readouterr()
    assert f"line {place}" in said.err and not said.out


@pytest.mark.parametrize("seal", [False, True])
def test_a_changed_number_in_a_run_file_is_named(published, seal):
    path = published / "runs" / "cpu-heads-physionet_2012-SAITS.json.gz"
    record = next(record for record in collect.read_runs(path.parent) if path.name.startswith(record["run"] + "."))
    if not seal:
        del record["hash"]  # as it was published before there were hashes
    next(row for row in record["rows"] if row["split_seed"] == "")["value"] = 0.999999
    runs.atomic_write(path, json.dumps(record))
    says = "SAITS.json.gz has changed since it was published" if seal else "says '0.999999'; bring it back from git"
    with pytest.raises(ModtsError, match=says):
        check_published()


@pytest.mark.parametrize("field", ["seconds", "hardware", "params", "data_hash"])
def test_what_no_table_shows_is_covered_by_the_hash(published, field):
    path = published / "runs" / "cpu-heads-physionet_2012-SAITS.json.gz"
    record = runs.read_json(path) | {field: "another"}
    runs.atomic_write(path, json.dumps(record))
    with pytest.raises(ModtsError, match="has changed since it was published"):
        check_published()


def without_hash(path):
    """A run file as it was published before there were hashes."""
    return {name: value for name, value in runs.read_json(path).items() if name != "hash"}


def cut(path):
    path.write_bytes(path.read_bytes()[:20_000])


def double(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[5]]))


LINES = len((HOME / "results" / "metrics.csv").read_text().splitlines())
DAMAGES = {
    "table cut": (
        "metrics.csv",
        cut,
        "metrics.csv, line .* but its run|metrics.csv, line .* no run says this|metrics.csv lacks the row",
    ),
    "latency cut": ("latency.csv", cut, "latency.csv, line|latency.csv lacks the row"),
    "a row twice": ("metrics.csv", double, rf"metrics.csv, line {LINES + 1} .* a row says it already"),
    "table gone": ("metrics.csv", Path.unlink, "metrics.csv is missing"),
    "no text": ("metrics.csv", lambda path: path.write_bytes(b"\xff\xfe\x00"), "metrics.csv is not readable"),
    "a verdict changed": (
        "effects.csv",
        lambda path: path.write_text(path.read_text().replace(",better,", ",worse,", 1)),
        "effects.csv has changed since it was published; bring it back from git",
    ),
    "effects gone": ("effects.csv", Path.unlink, "effects.csv is missing; bring it back from git"),
    "no hash of effects": (
        "checksums.json",
        lambda path: path.write_text("[]"),
        "checksums.json names no hash of effects.csv",
    ),
    "a run gone": (
        "runs/cpu-heads-italy_air-SAITS.json.gz",
        Path.unlink,
        "metrics.csv, line .*SAITS.*: no run says this",
    ),
    "a run cut": (
        "runs/cpu-heads-italy_air-SAITS.json.gz",
        lambda path: path.write_bytes(path.read_bytes()[:900]),
        "is not readable JSON",
    ),
    "a row without columns": (
        "runs/cpu-heads-italy_air-SAITS.json.gz",
        lambda path: runs.atomic_write(path, json.dumps({**without_hash(path), "rows": [{}]})),
        "has a row that is no row of results",
    ),
}


@pytest.mark.parametrize("which", DAMAGES)
def test_damage_of_every_kind_is_one_sentence(published, which):
    name, damage, says = DAMAGES[which]
    damage(published / name)
    with pytest.raises(ModtsError, match=says) as error:
        check_published()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_predictions_that_are_not_those_that_were_published_are_named(published, damage):
    name = "quick-heads-simulated_icu-SAITS.npz"
    (published / "predictions").mkdir()
    for path in (HOME / "results" / "predictions").glob("*.npz"):
        (published / "predictions" / path.name).symlink_to(path)
    check_published()
    path = published / "predictions" / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "changed":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    if damage == "added":
        path.write_bytes(content)
        (path.parent / "other.npz").write_bytes(content)
    says = {
        "changed": f"{name} has changed since",
        "missing": f"{name} is missing",
        "added": "names no hash of predictions/other.npz",
    }
    with pytest.raises(ModtsError, match=says[damage]):
        check_published()
    with pytest.raises(ModtsError, match=says[damage]):
        collect.compare()


def test_a_profile_in_two_files_is_one_profile(tmp_path, monkeypatch):
    one = "profile: tiny\ncohorts: {simulated_icu: {stages: [pretrain], backbones: [SAITS]}}\n"
    make_project(tmp_path, monkeypatch, tiny=one)
    written = runs.root() / "profiles" / "more.yaml"
    written.write_text("profile: tiny\ncohorts: {simulated_ward: {stages: [pretrain], backbones: [SAITS]}}\n")
    notes = []
    jobs = collect._whole_profile("tiny", notes)
    assert {"tiny-pretrain-simulated_icu-SAITS", "tiny-pretrain-simulated_ward-SAITS"} <= set(jobs) and not notes
    written.write_text("profile: tiny\ncohorts: {work/gone.npz: {stages: [pretrain], backbones: [SAITS]}}\n")
    assert "tiny-pretrain-simulated_icu-SAITS" in collect._whole_profile("tiny", notes)
    assert notes[0].startswith("runs of more.yaml are not checked") and "work/gone.npz" in notes[0]
    record = {"run": "tiny-pretrain-gone.1-SAITS", "params": {"cohort": "work/gone.npz"}}
    assert not list(collect._params_why(jobs, record))
    record["params"]["cohort"] = "simulated_icu"
    assert list(collect._params_why(jobs, record)) == ["no longer in its profile"]


def test_effects_without_a_hash_are_not_compared(published):
    (published / "checksums.json").unlink()
    path = published / "effects.csv"
    path.write_text(path.read_text().replace(",better,", ",worse,", 1))
    check_published()


def test_no_page_is_made_from_changed_results(published, places, monkeypatch):  # noqa: F811
    change(published / "metrics.csv", ROW, "0.", "9.")
    (places / "book").mkdir()
    monkeypatch.setenv("MODTS_HOME", str(places))
    done = subprocess.run(
        [sys.executable, "-m", "modts.book.pages"], cwd=HOME, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and done.stderr.startswith("modts: ") and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr and not (places / "book" / "_generated").exists()
