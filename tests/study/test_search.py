"""A search: as many trials an arm, on validation alone, the same after a kill; its winners reach the grid."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from core_fixture import places, tiny  # noqa: F401

from modts import runs
from modts.backbones import BACKBONES
from modts.errors import ModtsError
from modts.learning import GRU_SETTINGS
from modts.runs import protocol
from modts.study import arms, artefacts, cli, profiles, search, spaces, tuned, warden
from modts.study.params import OneArm, OneGRU, Pretrain, WholeName

pytest.importorskip("optuna")
FILE = """
search: small
cohort: {cohort}
trials: 3
label_fractions: [1.0, 0.2]
backbones: [GRU-D]
arms: [frozen, finetune, e2e, e2e_shipped]
settings:
  pretrain: {{epochs: 2, batch_size: 32}}
  heads: {{draws: 2, head_epochs: 10}}
  end_to_end: {{e2e_draws: 1, e2e_epochs: 1}}
  baselines: {{gru_epochs: 2}}
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("MODTS_HOME", str(tmp_path))
    tiny(n=160).save(tmp_path / "cohort.npz")
    (tmp_path / "small.yaml").write_text(FILE.format(cohort=tmp_path / "cohort.npz"))
    return search.read_search(str(tmp_path / "small.yaml"))


def trials(found):
    return [
        (row["arm"], row["trial"], row["value"], row["auroc"], row["mae"], row["settings"]) for row in tuned.rows(found)
    ]


PAIRS = [(backbone, arm) for backbone in spaces.MODELS for arm in spaces.ARMS if spaces.has(backbone, arm)]


def test_arms_that_a_backbone_does_not_have_are_not_searched(small):
    """PyPOTS ships no end-to-end classifier of TS2Vec or of HELIX."""
    lacking = {(b, arm) for b in spaces.MODELS for arm in spaces.ARMS} - set(PAIRS)
    assert lacking == {("TS2Vec", "e2e_shipped"), ("HELIX", "e2e_shipped")}
    none = small.model_copy(update={"backbones": ["TS2Vec"], "arms": ["e2e_shipped"]})
    assert search.run_all(none, minutes=1, cores=1) == []


@pytest.mark.parametrize(("backbone", "arm"), PAIRS)
def test_a_search_starts_where_one_would_be_without_it(backbone, arm):
    made = search.Search(search="x", cohort="simulated_icu", trials=1, backbones=[backbone], arms=[arm])
    point, choices = search.start(made, backbone, arm), spaces.space(backbone, arm)
    assert set(point) == set(choices)
    for name, value in point.items():
        inside = choices[name]
        assert inside.low <= value <= inside.high if isinstance(inside, spaces.Log) else value in inside
    assert {name for name in choices if not name.startswith("config.")} <= {
        *OneArm.model_fields,
        *Pretrain.model_fields,
    }


def test_the_search_of_the_gru_starts_at_one_of_its_settings():
    made = search.Search(search="x", cohort="simulated_icu", trials=1, backbones=[], arms=[], baselines=["GRU"])
    point, choices = search.start(made, "GRU", "baseline"), spaces.space("GRU", "baseline")
    assert point in GRU_SETTINGS and set(point) == set(choices) == set(OneGRU.model_fields)
    for name, value in point.items():
        inside = choices[name]
        assert inside.low <= value <= inside.high if isinstance(inside, spaces.Log) else value in inside


def test_every_arm_that_trains_whole_is_searched_or_trains_like_fine_tuning():
    assert {*spaces.ARMS, *spaces.AS_FINETUNED} - {"frozen"} == set(get_args(WholeName))


def test_every_backbone_of_the_paper_has_a_space():
    assert set(spaces.MODELS) <= set(BACKBONES)
    assert {"BRITS", "GRU-D", "SAITS", "CSAI", "TimesNet", "Autoformer"} <= set(spaces.MODELS)


def test_a_killed_search_makes_the_same_trials(small, tmp_path, monkeypatch):
    for arm in ("frozen", "e2e"):
        assert search.run_search(small, "GRU-D", arm) == 0
    straight = trials(small)
    assert len(straight) == 6 and len({row[-1] for row in straight}) > 4
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "again"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "again work"))
    whole, calls = search.evaluate, []

    def dies(*args):
        calls.append(1)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(search, "evaluate", dies)
    for arm in ("frozen", "e2e", "frozen", "e2e"):
        try:
            search.run_search(small, "GRU-D", arm)
        except KeyboardInterrupt:
            continue
    assert trials(small) == straight and len(calls) == 8


@pytest.fixture
def tried(small, monkeypatch):
    """The journal of a finished study, whose trials took no training."""
    monkeypatch.setattr(search, "evaluate", lambda *_: search.Tried(0.7, 0.6))
    assert search.run_search(small, "GRU-D", "frozen") == 0
    return search.journal(small, "GRU-D", "frozen")


@pytest.mark.parametrize("cut", [1, 2, 40, 400])
def test_a_journal_that_was_cut_off_goes_on(small, tried, cut, capsys):
    whole, before = tried.read_bytes(), trials(small)
    tried.write_bytes(whole[:-cut])
    assert search.run_search(small, "GRU-D", "frozen") == 0
    assert trials(small)[:2] == before[:2] and len(trials(small)) == 3
    says = f"The last line of {tried} was cut off and is gone; the trials before it are kept.\n"
    assert capsys.readouterr().out == ("" if cut == 1 else says)  # the end of the line alone was missing
    assert tried.read_bytes().startswith(whole if cut == 1 else whole[: whole[:-cut].rfind(b"\n") + 1])
    assert not list(tried.parent.glob("*.lock"))


@pytest.mark.parametrize("line", [b'{"op_co{"op_code":5}', b"[]", b"5", b"", b"\xff", b'[["op_code", 5]]', b'{"a": 5}'])
def test_a_line_that_is_none_is_named(small, tried, line):
    lines = tried.read_bytes().split(b"\n")
    lines[4] = line
    tried.write_bytes(b"\n".join(lines))
    with pytest.raises(ModtsError) as error:
        search.run_search(small, "GRU-D", "frozen")
    assert str(error.value).startswith(f"{tried}, line 5, is no entry of a journal; bring the file back")
    assert tried.read_bytes() == b"\n".join(lines)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--backbone", "SATIS"], "Unknown backbone or baseline of the search small 'SATIS'; choose one of: GRU-D."),
        (["--minutes", "nan"], "A search cannot go on for nan minutes on 1 cores"),
        (["--minutes", "-1"], "A search cannot go on for -1 minutes on 1 cores"),
        (["--cores", "0"], "A search cannot go on for inf minutes on 0 cores"),
        (["--cores", "-1"], "A search cannot go on for inf minutes on -1 cores"),
    ],
)
def test_what_a_search_cannot_do_is_one_sentence(small, tmp_path, capsys, options, says):
    assert cli.main(["search", str(tmp_path / "small.yaml"), *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"modts: {says}") and said.count("\n") == 1
    assert not runs.results_dir().exists()


@pytest.mark.parametrize("folder", ["WORK", "RESULTS"])
def test_a_file_in_the_place_of_a_folder_is_said(small, tmp_path, monkeypatch, folder, capsys):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv(f"MODTS_{folder}", str(tmp_path / place))
        assert cli.main(["search", str(tmp_path / "small.yaml")]) == 2
        assert f"modts: The folder {tmp_path / place} cannot be made (" in capsys.readouterr().err
        with pytest.raises(ModtsError, match="cannot be made"):
            search.run_search(small, "GRU-D", "frozen")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("search: small", "search: a-b", "The profile name 'a-b' cannot be part of a file's name; "),
        ("arms: [frozen,", "arms: [frosen,", "Unknown arm of a search 'frosen'; choose one of: "),
        ("trials: 3", "trails: 3\ntrials: 3", "unknown key 'trails'; did you mean 'trials'?"),
        ("trials: 3", "", "the key 'trials' is missing."),
        ("trials: 3", "trials: 0", "trials: Input should be greater than or equal to 1 (found 0)."),
    ],
)
def test_a_mistake_in_a_searchs_file_is_a_clean_sentence(small, tmp_path, before, after, says):
    path = tmp_path / "small.yaml"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(ModtsError) as error:
        search.read_search(str(path))
    words = str(error.value)
    assert words.startswith(f"{path}: {says}") and "Value error" not in words and ".." not in words


def test_two_searches_of_one_study_do_not_mix(small):
    with search._alone(small, "GRU-D", "frozen"):
        with pytest.raises(ModtsError, match="Another search is at work on GRU-D's arm frozen"):
            search.run_search(small, "GRU-D", "frozen")
        assert not search.journal(small, "GRU-D", "frozen").exists()


LONG = """
import sys
from modts.study import search
if __name__ == "__main__":
    search.run_all(search.read_search(sys.argv[1]).model_copy(update={"trials": 1000}), minutes=9, cores=1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process that its parent has gone")
def test_a_killed_search_leaves_no_process(small, tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    process = subprocess.Popen([sys.executable, str(tmp_path / "long.py"), str(tmp_path / "small.yaml")])
    try:
        end = time.monotonic() + 120
        while not search.journal(small, "GRU-D", "frozen").exists():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.2)
        below = warden.below(process.pid)
        assert below
    finally:
        process.kill()
        process.wait()
    end = time.monotonic() + 20
    while any(alive(pid) for pid in below):
        assert time.monotonic() < end, "a process goes on"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_schedule_that_ends_at_the_cap_brings_its_cap(small, monkeypatch, schedule):
    monkeypatch.setattr(tuned, "winner", lambda *_: {"lr": 0.01, "schedule": schedule})
    found = tuned._pretraining(small, "GRU-D")
    assert found.pop("epochs", None) == (2 if schedule == "cosine" else None)
    assert found == {"lr": 0.01, "schedule": schedule}


@pytest.fixture
def gru(small):
    """The search of the GRU alone."""
    return small.model_copy(update={"backbones": [], "arms": [], "baselines": ["GRU"]})


def test_a_trial_of_the_gru_is_scored_as_the_baselines_are(gru):
    assert search.run_search(gru, "GRU", "baseline") == 0
    assert search.journal(gru, "GRU", "baseline").name == "GRU-baseline.log"
    row, params = tuned.rows(gru)[0], gru.params("baselines", "GRU", {"gru_settings": [dict(GRU_SETTINGS[0])]})
    cohort = artefacts.cohort_for(gru.cohort, 0)
    found = [
        artefacts.baseline_for(params, "GRU", 0, arms.labelled(cohort, fraction, 0, draw))[1]["validation"]
        for fraction, draw in ((1.0, 0), (0.2, 0), (0.2, 1))
    ]
    assert params.gru_epochs == 2 and params.draws == 2
    assert (row["auroc"], row["auroc_few"]) == pytest.approx((found[0], sum(found[1:]) / 2))
    assert row["value"] == pytest.approx((row["auroc"] + row["auroc_few"]) / 2) and row["capped"]
    assert search.recipe(gru, "GRU", "baseline") != search.recipe(gru, "GRU-D", "frozen")


def test_a_killed_search_of_the_gru_makes_the_same_trials(gru, tmp_path, monkeypatch):
    search.run_search(gru, "GRU", "baseline")
    straight = trials(gru)
    for name in ("RESULTS", "WORK"):
        monkeypatch.setenv(f"MODTS_{name}", str(tmp_path / f"again {name}"))
    whole, calls = search.evaluate, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(search, "evaluate", dies)
    with pytest.raises(KeyboardInterrupt):
        search.run_search(gru, "GRU", "baseline")
    assert search.run_search(gru, "GRU", "baseline") == 0
    assert trials(gru) == straight and len(calls) == 4


def test_the_winners_of_the_gru_reach_the_baselines(gru, tmp_path):
    profile = "profile: x\ntuned: true\ncohorts:\n  simulated_icu: {stages: [baselines]}\n"
    (tmp_path / "x.yaml").write_text(profile)
    with pytest.raises(ModtsError, match="nothing is tuned for GRU:"):
        profiles.read_profile(str(tmp_path / "x.yaml"))
    search.run_search(gru, "GRU", "baseline")
    assert search.run_all(gru, minutes=9, cores=1, only=("GRU",)) == []
    assert tuned.publish_search(gru)[1:] == ["GRU: the winners are in profiles/tuned/GRU.yaml"]
    rows = tuned.read_table(runs.results_dir() / "search.csv")
    assert [(row["backbone"], row["arm"], row["trial"]) for row in rows] == [
        ("GRU", "baseline", str(n)) for n in range(3)
    ]
    (job,) = profiles.read_profile(str(tmp_path / "x.yaml")).jobs.values()
    assert job.params["gru_settings"] == [search.winner(gru, "GRU", "baseline", place) for place in (0, 1)]
    assert set(protocol.protocol()["tuned"]) == {"tuned/GRU.yaml"}  # what is frozen


def test_test_labels_decide_nothing(small, tmp_path, monkeypatch):
    search.run_search(small, "GRU-D", "frozen")
    before = trials(small)
    whole = arms.labels

    def flipped(*args, **named):
        targets, scaler = whole(*args, **named)
        test = replace(targets["test"], y=1 - targets["test"].y)
        return {**targets, "test": test}, scaler

    monkeypatch.setattr(arms, "labels", flipped)
    for name in ("RESULTS", "WORK"):
        monkeypatch.setenv(f"MODTS_{name}", str(tmp_path / f"other {name}"))
    search.run_search(small, "GRU-D", "frozen")
    assert trials(small) == before


def test_a_trial_that_diverges_counts_and_loses(small, monkeypatch):
    whole = search.evaluate

    def diverges(found, backbone, arm, chosen):
        if len(search.finished(search.study_of(found, backbone, arm))) == 1:
            raise ModtsError("Training diverged in epoch 0; use a smaller learning rate.")
        return whole(found, backbone, arm, chosen)

    monkeypatch.setattr(search, "evaluate", diverges)
    assert search.run_search(small, "GRU-D", "frozen") == 0
    values = [row["value"] for row in tuned.rows(small)]
    assert values[1] == float("-inf") and 0 < values[0] <= 1 and 0 < values[2] <= 1
    assert search.winner(small, "GRU-D", "frozen") != search.winner(small, "GRU-D", "frozen", 2)


def test_other_code_or_settings_are_another_search(small):
    search.run_search(small, "GRU-D", "frozen")
    assert search.run_search(small.model_copy(update={"trials": 2}), "GRU-D", "frozen") <= 0
    with pytest.raises(ModtsError, match="holds trials of other settings or other code"):
        search.run_search(small.model_copy(update={"seed": 1}), "GRU-D", "frozen")


def test_where_trials_train_is_no_part_of_what_is_searched(small, monkeypatch, capsys):
    there, given = small.model_copy(update={"device": "cuda"}), []
    assert [one.params("heads", "GRU-D", {}).device for one in (small, there)] == ["cpu", "cuda"]
    assert there.params("baselines", "GRU", {}) == small.params("baselines", "GRU", {})
    assert search.recipe(there, "GRU-D", "frozen") == search.recipe(
        small, "GRU-D", "frozen"
    )  # one journal goes on on both
    monkeypatch.setattr(search, "run_search", lambda made, *rest: given.append(made.device) or 0)
    assert search._in_child(there.model_dump() | {"device": there.device}, "GRU-D", "frozen", 0.0) == (0, "")
    assert given == ["cuda"]
    with pytest.raises(SystemExit):
        cli.main(["search", "small.yaml", "--device", "tpu"])
    assert "invalid choice: 'tpu'" in capsys.readouterr().err


def test_winners_reach_the_grid(small, tmp_path):
    with pytest.raises(ModtsError, match="arm frozen has 0 of 3 trials; it must be finished first"):
        search.run_search(small, "GRU-D", "finetune")
    assert "nothing is frozen, trials are missing (frozen 3," in tuned.publish_search(small)[1]
    assert search.run_all(small, minutes=9, cores=1) == []
    assert tuned.publish_search(small)[1] == "GRU-D: the winners are in profiles/tuned/GRU-D.yaml"
    assert len(tuned.read_table(runs.results_dir() / "search.csv")) == 12
    profile = "profile: x\ntuned: true\ncohorts:\n  simulated_icu: {stages: [pretrain, heads, end_to_end], backbones: [GRU-D]}\n"
    (tmp_path / "x.yaml").write_text(profile)
    jobs = profiles.read_profile(str(tmp_path / "x.yaml")).jobs
    best = search.winner(small, "GRU-D", "frozen")
    for job in jobs.values():
        assert {name: job.params[name] for name in best} == best
    (per_arm,) = (job.params["per_arm"] for job in jobs.values() if job.stage == "end_to_end")
    assert per_arm["e2e"] == [search.winner(small, "GRU-D", "e2e", place) for place in (0, 1)]
    assert all(per_arm[arm] == per_arm["finetune"] for arm in ("norm", "last_block", "lora"))
    (tmp_path / "x.yaml").write_text(profile.replace("GRU-D", "SAITS"))
    with pytest.raises(ModtsError, match="nothing is tuned for SAITS"):
        profiles.read_profile(str(tmp_path / "x.yaml"))
