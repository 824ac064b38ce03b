"""The frozen protocol: what it covers, and that the external test stays sealed without it, and with another."""

import shutil
from pathlib import Path

import pytest

import modts
from modts import runs
from modts.backbones import BACKBONES
from modts.errors import ModtsError
from modts.runs import code, protocol


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project with a copy of the package's source, committed, and a tuned setting."""
    package = tmp_path / "modts"
    shutil.copytree(Path(modts.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "profiles" / "tuned").mkdir(parents=True)
    (tmp_path / "profiles" / "tuned" / "saits.yaml").write_text("lr: 0.001\n")
    monkeypatch.setenv("MODTS_HOME", str(tmp_path))
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(code, "_package", lambda: package)
    monkeypatch.setattr(protocol, "code_version", lambda: "abc")
    cached = (code.modules_of, code.protocol_modules, code._offers)
    for found in cached:
        found.cache_clear()
    yield tmp_path
    for found in cached:
        found.cache_clear()


def test_it_covers_every_stage_every_backbone_and_the_way_to_a_verdict(home):
    found = set(protocol.protocol()["modules"])
    for stage in runs.STAGES:
        for backbone in (*BACKBONES, "mine.py:Mine"):
            assert set(runs.modules_of(stage, backbone, rows=True)) <= found
    assert {*runs.STUDY, "study.effects", "learning.meta", "learning.resampling", "cohorts.physionet"} <= found
    assert not {name for name in found if name.split(".")[0] in ("book", "sklearn")} and "study.collect" not in found


def test_the_external_test_is_sealed_without_a_frozen_protocol(home):
    with pytest.raises(ModtsError, match=r"set_c holds the external test, which stays sealed .*protocol\.json"):
        runs.ask_unsealed("set_c")
    assert runs.frozen() is None


def test_the_frozen_code_opens_it_and_a_comment_does_not_close_it(home):
    record = runs.freeze()
    assert runs.ask_unsealed("set_c") == record["protocol"] and record["code_version"] == "abc"
    assert runs.freeze() == record
    with open(home / "modts" / "study" / "arms.py", "a") as file:
        file.write("\n# a remark\n")
    with open(home / "modts" / "book" / "prose.py", "a") as file:
        file.write("\nCHANGED = 1\n")
    assert runs.ask_unsealed("set_c") == record["protocol"]


@pytest.mark.parametrize(
    "name",
    [
        "study/effects.py",
        "study/arms.py",
        "study/scoring.py",
        "learning/scores.py",
        "backbones/attention.py",
        "learning/baselines.py",
        "cohorts/splits.py",
    ],
)
def test_other_code_seals_it_again(home, name):
    runs.freeze()
    with open(home / "modts" / name, "a") as file:
        file.write("\nCHANGED = 1\n")
    changed = name.removesuffix(".py").replace("/", ".")
    with pytest.raises(ModtsError, match=rf"sealed again: since .* have changed: {changed};"):
        runs.ask_unsealed("set_c")
    assert runs.drifted(runs.frozen()) == [changed]


def test_other_settings_seal_it_again(home):
    runs.freeze()
    (home / "profiles" / "tuned" / "saits.yaml").write_text("lr: 0.01\n")
    (home / "profiles" / "tuned" / "brits.yaml").write_text("lr: 0.01\n")
    with pytest.raises(ModtsError, match=r"have changed: tuned/brits\.yaml, tuned/saits\.yaml;"):
        runs.ask_unsealed("set_c")


def test_freezing_anew_needs_a_reason_and_forgets_nothing(home):
    first = runs.freeze()
    (home / "profiles" / "tuned" / "saits.yaml").write_text("lr: 0.01\n")
    with pytest.raises(
        ModtsError, match=r"Another protocol was frozen on .*1 of its parts differ \(tuned/saits\.yaml\)"
    ):
        runs.freeze(" ")
    second = runs.freeze("a mistake in a file")
    assert second["why"] == "a mistake in a file" and second["protocol"] != first["protocol"]
    assert [one["protocol"] for one in second["before"]] == [first["protocol"]] and second["before"][0]["why"] == ""
    (home / "profiles" / "tuned" / "saits.yaml").write_text("lr: 0.1\n")
    assert [one["why"] for one in runs.freeze("once more")["before"]] == ["", "a mistake in a file"]


def test_uncommitted_code_is_not_frozen(home, monkeypatch):
    monkeypatch.setattr(protocol, "code_version", lambda: "abc-dirty")
    with pytest.raises(ModtsError, match="differs from its commit; commit first"):
        runs.freeze()
    assert runs.frozen() is None


@pytest.mark.parametrize("part", ["protocol", "modules"])
def test_a_file_that_was_changed_by_hand_is_refused(home, part):
    record = runs.freeze()
    record[part] = "0" * 12 if part == "protocol" else {**record["modules"], "learning.scores": "0" * 12}
    runs.write_json(runs.frozen_path(), record)
    with pytest.raises(ModtsError, match="does not name a protocol that fits its own hash"):
        runs.ask_unsealed("set_c")
    runs.frozen_path().write_text("[]")
    with pytest.raises(ModtsError, match="does not name a protocol"):
        runs.frozen()
