"""A study in pieces: what a run has finished goes through results/unfinished/ to another machine, and is not trained again there."""

import shutil
import struct
import zipfile
from dataclasses import replace

import pytest
from core_fixture import go as run_stage
from core_fixture import places, tiny, unnoticed_flips  # noqa: F401

from modts import runs
from modts.errors import ModtsError
from modts.study import arms, artefacts, carry, cli, jobs, processes, profiles

PROFILE = """
profile: piece
defaults:
  common: {seeds: [0, 1]}
  pretrain: {epochs: 1, patience: 1, batch_size: 16}
  heads: {heads: [simple], label_fractions: [1.0, 0.5], head_weight_decays: [0.01, 1.0], head_epochs: 2, head_patience: 2}
  baselines: {label_fractions: [1.0], gru_epochs: 2}
  end_to_end: {arms: [finetune, e2e], e2e_epochs: 1, e2e_patience: 1}
cohorts:
  icu.npz: {stages: [pretrain, heads, end_to_end, baselines], backbones: [GRU-D]}
  other.npz: {stages: [pretrain], backbones: [GRU-D]}
transfer:
  - {source: other.npz, cohort: icu.npz, backbones: [GRU-D]}
"""
STAGES = ("heads", "end_to_end", "transfer", "baselines")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A work folder in which every run of the profile is whole, and what each has measured; it is copied for every test."""
    home = tmp_path_factory.mktemp("whole")
    tiny(n=80, steps=6, features=4, name="icu").save(home / "icu.npz")
    replace(tiny(n=60, steps=6, features=5, seed=3, name="other"), split_by="stratified").save(home / "other.npz")
    (home / "piece.yaml").write_text(PROFILE)
    with pytest.MonkeyPatch.context() as context:
        for name, folder in {"HOME": "", "WORK": "work", "RESULTS": "results"}.items():
            context.setenv(f"MODTS_{name}", str(home / folder))
        context.chdir(home)
        found = profiles.read_profile("piece.yaml").jobs.values()
        return home, {job.stage: go(job).rows for job in found if job.stage in STAGES}


def go(job):
    """A job in this process."""
    return run_stage(job.stage, **job.params)


@pytest.fixture
def piece(whole, places, monkeypatch):  # noqa: F811
    """The profile's jobs by stage, with all their units in this test's work folder, and no run file."""
    home, _ = whole
    for name in ("icu.npz", "other.npz", "piece.yaml"):
        shutil.copy(home / name, places)
    shutil.copytree(home / "work" / "artifacts", places / "work" / "artifacts")
    monkeypatch.setenv("MODTS_HOME", str(places))
    monkeypatch.chdir(places)
    return {job.stage: job for job in profiles.read_profile("piece.yaml").jobs.values() if job.stage in STAGES}


def carried():
    return {path.name: path.read_bytes() for path in (runs.results_dir() / "unfinished").rglob("*") if path.is_file()}


def units(pattern="*/*/*.npz"):
    return {
        path.relative_to(runs.work_dir()).as_posix(): path.read_bytes()
        for path in (runs.work_dir() / "artifacts").glob(pattern)
        if path.name in ("outcome.npz", "predictions.npz")
    }


def gone():
    """The machine goes, and its work folder with it."""
    shutil.rmtree(runs.work_dir())


def refuse(monkeypatch):
    """Nothing may be trained, extracted, or read to train on it."""

    def never(*args, **kwargs):
        raise AssertionError("this was finished before")

    for module, names in {
        artefacts: ("pretrain_backbone", "load_backbone", "extract_latents", "fit_baseline", "fresh"),
        arms: ("pretrained", "fresh", "latents_for", "train_heads", "adapt"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, never)


def test_nothing_finished_is_trained_again_on_another_machine(whole, piece, monkeypatch, capsys):
    assert cli.main(["carry", "piece.yaml"]) == 0
    assert "carried: heads icu GRU-D  24 units, " in capsys.readouterr().out
    assert sorted(carried()) == sorted(f"{job.run}.zip" for job in piece.values())
    gone()
    refuse(monkeypatch)
    for stage, job in piece.items():
        carry.back(job.run)
        assert go(job).rows == whole[1][stage], stage
    assert units() == {  # all of them were put back, and no other made
        name: content for job in piece.values() for name, content in carry.unpacked(carry.carried(job.run)).items()
    }
    assert not [*runs.work_dir().rglob("backbone.*"), *runs.work_dir().rglob("latents.npz")]


def test_what_is_missing_is_trained_and_nothing_else(whole, piece, monkeypatch):
    lost = sorted((runs.work_dir() / "artifacts" / "end_to_end").glob("*/outcome.npz"))[:3]
    for path in lost:
        path.unlink()
    assert cli.main(["carry", "piece.yaml"]) == 0
    gone()
    carry.back(piece["end_to_end"].run)
    trained, adapt = [], arms.adapt
    monkeypatch.setattr(arms, "adapt", lambda *args, **kwargs: trained.append(1) or adapt(*args, **kwargs))
    assert go(piece["end_to_end"]).rows == whole[1]["end_to_end"]  # from a checkpoint that was made again
    assert len(trained) == 3 and all(path.is_file() for path in lost)


def test_a_file_has_the_same_bytes_whoever_packs_it(piece):
    assert cli.main(["carry", "piece.yaml"]) == 0
    before = carried()
    times = [path.stat().st_mtime_ns for path in (runs.results_dir() / "unfinished").rglob("*.zip")]
    assert cli.main(["carry", "piece.yaml"]) == 0
    assert [path.stat().st_mtime_ns for path in (runs.results_dir() / "unfinished").rglob("*.zip")] == times
    gone()  # on a machine that has not begun, nothing that was carried is lost
    assert cli.main(["carry", "piece.yaml"]) == 0 and carried() == before
    for path in (runs.results_dir() / "unfinished").rglob("*.zip"):
        path.unlink()
    assert cli.main(["carry", "piece.yaml"]) == 0 and carried() == before


def test_the_file_of_a_whole_run_goes(piece, capsys):
    assert cli.main(["carry", "piece.yaml"]) == 0
    job = piece["heads"]
    runs.write_json(job.path, {"run": job.run, "stage": job.stage, "params": job.params | {"head_epochs": 9}})
    assert cli.main(["carry", "piece.yaml"]) == 0 and len(carried()) == 4  # another's run file
    go(job)
    capsys.readouterr()
    assert cli.main(["carry", "piece.yaml"]) == 0 and f"{job.run}.zip" not in carried() and len(carried()) == 3
    said = capsys.readouterr().out
    assert "1 whole runs are in the work folder alone; `modts publish piece`" in said
    assert "removed: heads icu GRU-D  its run is whole, so that its units need not be carried\n" in said
    runs.write_json(runs.published_path(job.run), runs.read_json(job.path))
    job.path.unlink()
    assert cli.main(["carry", "piece.yaml"]) == 0 and len(carried()) == 3
    assert "whole runs" not in capsys.readouterr().out


def test_units_of_other_code_or_settings_are_not_carried(piece, monkeypatch):
    stem = runs.cohort_stem("icu.npz")
    other = runs.work_dir() / f"artifacts/heads/{stem}-GRU-D-{'0' * 12}/outcome.npz"
    other.parent.mkdir()
    other.write_bytes(b"of other settings")
    (damaged,) = list((runs.work_dir() / "artifacts/end_to_end").glob("*/outcome.npz"))[:1]
    damaged.write_bytes(damaged.read_bytes()[:99])
    assert cli.main(["carry", "piece.yaml"]) == 0
    held = carry.unpacked(carry.carried(piece["heads"].run))
    assert len(held) == 24 and other.relative_to(runs.work_dir()).as_posix() not in held
    held = carry.unpacked(carry.carried(piece["end_to_end"].run))
    assert damaged.relative_to(runs.work_dir()).as_posix() not in held and len(held) == 2 * 2 * 2 * 2 - 1
    monkeypatch.setattr(arms.Arm, "code", lambda arm: "other")
    assert cli.main(["carry", "piece.yaml"]) == 0
    left = {"heads": 8, "end_to_end": 15}  # not this code: those of the fused arms; none, so that the file stays
    for stage, n in left.items():
        assert len(carry.unpacked(carry.carried(piece[stage].run))) == n


def test_what_is_not_packed_again_stays_until_the_run_is_whole(piece, places, capsys):  # noqa: F811
    assert cli.main(["carry", "piece.yaml"]) == 0
    before, given = carried(), (places / "piece.yaml").read_text()
    other = given.replace("e2e_epochs: 1", "e2e_epochs: 2").replace(
        "head_weight_decays: [0.01, 1.0]", "head_weight_decays: [0.01]"
    )
    assert other.count("e2e_epochs: 2") == 1 and "1.0], head_e" not in other
    (places / "piece.yaml").write_text(other)
    capsys.readouterr()
    assert cli.main(["carry", "piece.yaml"]) == 0
    said, job = capsys.readouterr().out, piece["end_to_end"]
    path = carry.carried(job.run)
    n = len(carry.unpacked(path))
    assert (
        f"kept: {job.label}  {n} units of other code or settings in {path}; delete it if you do not want them\n" in said
    )
    assert carried()[path.name] == before[path.name]
    now = carry.unpacked(carry.carried(piece["heads"].run))
    assert 0 < len(now) < 24
    assert (
        f"removed: heads icu GRU-D  {24 - len(now)} units that its code or settings no longer ask for; they stay"
        in said
    )
    (places / "piece.yaml").write_text(given)  # nothing was lost
    assert cli.main(["carry", "piece.yaml"]) == 0 and carried() == before


def test_a_unit_that_was_damaged_since_stays_as_it_was_carried(piece):
    assert cli.main(["carry", "piece.yaml"]) == 0
    before, (damaged, *_) = carried(), (runs.work_dir() / "artifacts/heads").glob("*/outcome.npz")
    damaged.write_bytes(damaged.read_bytes()[:99])
    assert cli.main(["carry", "piece.yaml"]) == 0 and carried() == before


def test_where_no_results_can_be_is_one_sentence(piece, places, monkeypatch, capsys):  # noqa: F811
    (places / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv("MODTS_RESULTS", str(places / place))
        assert cli.main(["carry", "piece.yaml"]) == 2
        assert f"modts: The folder {places / place} cannot be made (" in capsys.readouterr().err


def test_a_job_and_its_parts_start_with_what_was_carried(piece, monkeypatch):
    assert cli.main(["carry", "piece.yaml"]) == 0
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda *args, **kwargs: None)
    for job in (
        piece["heads"],
        next(job for job in processes.parts(piece).values() if job.whole == piece["heads"].run),
    ):
        gone()
        jobs.begin(job)
        assert len(units("heads/*/*.npz")) == 24


def packed(path, entries, way=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", way) as file:
        for name, content in entries.items():
            file.writestr(name, content)


UNIT = "artifacts/heads/icu-GRU-D-0123456789ab/outcome.npz"


@pytest.mark.parametrize(
    "name",
    [
        "../outcome.npz",
        "/outcome.npz",
        "artifacts/heads/../../../icu-GRU-D-0123456789ab/outcome.npz",
        "artifacts/heads/..-0123456789ab/outcome.npz",
        "artifacts/heads/a/icu-GRU-D-0123456789ab/outcome.npz",
        "artifacts/heads/icu-GRU-D-0123456789ab/latents.npz",
        "artifacts/pretrain/icu-GRU-D-0123456789ab/outcome.npz",
        "quick/runs/quick-heads-icu-SAITS.json",
        "artifacts/heads/icu-GRU-D-0123456789ab/outcome.npz\n",
    ],
)
def test_nothing_is_written_outside_the_places_of_units(places, name):  # noqa: F811
    path = carry.carried("piece-heads-icu-GRU-D")
    packed(path, {UNIT: b"1", name: b"2"})
    with pytest.raises(ModtsError, match="cannot be unpacked .it holds .*which is no unit of a run"):
        carry.back("piece-heads-icu-GRU-D")
    assert [found for found in places.rglob("*") if found.is_file()] == [path]  # not even the unit before it


def test_sizes_are_believed_before_memory_is_taken(places):  # noqa: F811
    path = carry.carried("piece-heads-icu-GRU-D")
    packed(path, {UNIT: bytes(10**6)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModtsError, match="its units are compressed"):
        carry.back("piece-heads-icu-GRU-D")
    packed(path, {UNIT: b"12345678"})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<LL", 8, 8), struct.pack("<LL", 2**31, 2**31)))
    with pytest.raises(ModtsError, match="larger than the file may be"):
        carry.back("piece-heads-icu-GRU-D")
    assert not runs.work_dir().exists()


def test_a_damaged_file_is_one_sentence_and_the_rest_is_carried(piece, capsys):
    assert cli.main(["carry", "piece.yaml"]) == 0
    path = carry.carried(piece["heads"].run)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    carry.carried(piece["end_to_end"].run).unlink()
    capsys.readouterr()
    assert cli.main(["carry", "piece.yaml"]) == 1
    assert f"not carried: heads icu GRU-D: {path} cannot be unpacked (" in capsys.readouterr().out
    assert path.read_bytes() == whole[: len(whole) // 2] and carry.carried(piece["end_to_end"].run).is_file()
    with pytest.raises(ModtsError, match="cannot be unpacked .*bring it back from git, or delete it"):
        jobs.begin(piece["heads"])


def test_a_flipped_bit_in_a_unit_is_noticed(places):  # noqa: F811
    path = carry.carried("piece-heads-icu-GRU-D")
    packed(path, {UNIT: bytes(range(256)) * 40})
    start = path.read_bytes().index(bytes(range(256)))
    survived = unnoticed_flips(path, carry.unpacked, 3000, 97)
    assert not [at for at in survived if start <= at < start + 256 * 40]
