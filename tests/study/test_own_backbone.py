"""A backbone of one's own in the study: parameters, runs, artefacts, profiles, rows, and a notebook by papermill."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from core_fixture import places, tiny  # noqa: F401
from own_fixture import EXAMPLE, changed
from test_experiments import SHORT, WHOLE, check_rows, executed, files, go  # noqa: F401

from modts import runs
from modts.errors import ModtsError
from modts.runs import code
from modts.study import collect, effects, experiments, params, profiles

MINE = f"{EXAMPLE}:MyImputer"
FEW = WHOLE | {"backbone": MINE, "seeds": [0], "epochs": 1, "e2e_epochs": 1}


def values(stage, **more):
    known = params.STAGE_PARAMS[stage].model_fields
    return {name: value for name, value in {**FEW, **more}.items() if name in known}


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [stage for stage in runs.STAGES if stage != "baselines"])
def test_every_stage_runs_and_all_that_it_executes_is_counted(files, stage):  # noqa: F811
    made, more = [], {"batch_sizes": [1, 4], "repeats": 1}
    more |= {"source": files["other"]} if stage == "transfer" else {}
    ran = executed(lambda: made.append(go(stage, files["icu"], **values(stage, **more))))
    (run,) = made
    source = f"-{runs.cohort_label(files['other'])}" if stage == "transfer" else ""
    assert run.id == f"quick-{stage}-{runs.cohort_label(files['icu'])}-mine.MyImputer{source}"
    assert {row["backbone"] for row in run.rows} <= {"mine.MyImputer"}
    beside = {name for name in ran if name.split(".")[0] in ("study", "__init__")} | set(code.NEUTRAL)
    missed = {name for name in ran if not name.endswith("__init__")} - beside
    assert "backbones.own" in missed and not missed - set(runs.modules_of(stage, MINE, rows=True))
    assert str(EXAMPLE.parent) not in json.dumps(run.rows)


def test_its_arms_are_all_but_the_shipped_one(files):  # noqa: F811
    assert {key[1] for key in check_rows(go("heads", files["icu"], **values("heads")), "classification", 1)} == {
        "frozen",
        "untrained",
        "fusion",
        "stacked",
    }
    run = go("end_to_end", files["icu"], **values("end_to_end"))
    assert {key[1] for key in check_rows(run, "classification", 1)} == {"finetune", "e2e"}
    run = go("latency", files["icu"], **values("latency", batch_sizes=[1], repeats=1))
    timed = {(row["arm"], row["backbone"]) for row in run.extra["latency"]}
    assert timed == {("frozen", "mine.MyImputer"), ("predictor", "mine.MyImputer")}


def test_a_changed_file_makes_other_artefacts_and_two_of_one_name_do_not_meet(files, tmp_path):  # noqa: F811
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = changed(tmp_path / "a"), changed(tmp_path / "b", ('"hidden": 32', '"hidden": 8'))
    recipes, widths = [], []
    for path in (a, b, EXAMPLE, a):
        given = params.parse(
            "pretrain", {"cohort": files["icu"], **SHORT, "epochs": 1, "backbone": f"{path}:MyImputer"}
        )
        backbone, _, recipe = experiments.pretrained(given, 0)
        recipes.append(recipe)
        widths.append(backbone.config["hidden"])
    assert recipes[0] == recipes[2] == recipes[3] != recipes[1]  # content decides, not the place
    assert widths == [32, 8, 32, 32]
    assert len(list(runs.work_dir().glob("artifacts/pretrain/icu-mine.MyImputer-*"))) == 2


def test_its_hash_covers_its_file_and_no_other_backbones_modules(tmp_path):
    path = changed(tmp_path)
    before = runs.code_hash("heads", f"{path}:MyImputer")
    assert before == runs.code_hash("heads", MINE)
    changed(tmp_path, ("# the constructor's further arguments", "# another word"))
    assert runs.code_hash("heads", f"{path}:MyImputer") != before
    assert not {"backbones.recurrent", "backbones.blocks"} & set(runs.modules_of("heads", MINE))
    assert "backbones.own" not in runs.modules_of("heads", "SAITS")


# --- profiles, collecting -------------------------------------------------------------------------------------------

PROFILE = """
profile: tiny
defaults: {{common: {{seeds: [0]}}, heads: {{label_fractions: [1.0]}}}}
backbone_settings: {{"{mine}": {{pretrain: {{epochs: 3}}}}}}
cohorts:
  simulated_icu: {{stages: [pretrain, heads, baselines], backbones: [SAITS, "{mine}"], only: {{heads: ["{mine}"]}}}}
"""


def profile(folder, mine):
    path = folder / "tiny.yaml"
    path.write_text(PROFILE.format(mine=mine))
    return profiles.read_profile(str(path))


def test_a_profile_names_it_like_the_six(tmp_path):
    jobs = profile(tmp_path, MINE).jobs
    heads = jobs["tiny-heads-simulated_icu-mine.MyImputer"]
    assert heads.needs == ("tiny-pretrain-simulated_icu-mine.MyImputer",) and heads.params["epochs"] == 3
    assert heads.label == "heads simulated_icu mine.MyImputer" and len(jobs) == 4
    for wrong, says in (
        ("nowhere.py:X", "There is no file nowhere.py"),
        ("SAINT", "Input should be 'BRITS', .*of your own"),
    ):
        with pytest.raises(ModtsError, match=says) as caught:
            profile(tmp_path, wrong)
        assert "\n" not in str(caught.value)


def test_stale_says_when_its_file_has_changed_or_is_gone(tmp_path):
    path = changed(tmp_path)
    job = profile(tmp_path, f"{path}:MyImputer").jobs["tiny-pretrain-simulated_icu-mine.MyImputer"]
    runs.Run("pretrain", job.params).finish()
    assert not collect.stale("tiny", data=False)[0]
    changed(tmp_path, ('"hidden": 32', '"hidden": 8'))
    assert [why for *_, why in collect.stale("tiny", data=False)[0]] == [
        "the code that decides its numbers has changed"
    ]
    path.unlink()
    found, notes = collect.stale("tiny", data=False)
    assert not found and any("is not checked: There is no file" in note for note in notes)


def test_effects_call_it_by_its_name(files):  # noqa: F811
    run = go("heads", files["icu"], **values("heads"))
    rows, said = effects.effects([runs.read_json(run.path)], runs.work_dir() / "quick/predictions", n_boot=20)
    assert {(row["question"], row["backbone"]) for row in rows} == {
        ("frozen - untrained", "mine.MyImputer")
    } and not said


# --- a notebook -----------------------------------------------------------------------------------------------------


def test_papermill_takes_its_name(places, files):  # noqa: F811
    """Of the six the one that leaves most out: it times no classifier of PyPOTS's."""
    notebook = Path(__file__).parent.parent.parent / "notebooks" / "latency.ipynb"
    given = {"backbone": MINE, "cohort": files["icu"], "epochs": 1}
    out = places / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(out), "--no-progress-bar", "-k", "python3"]
    lists = ["-y", "seeds: [0]", "-y", "batch_sizes: [1]", "-p", "repeats", "1"]
    plain = [part for name, value in given.items() for part in ("-p", name, str(value))]
    done = subprocess.run([*command, *plain, *lists], capture_output=True, text=True, cwd=places, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    text = json.dumps(json.loads(out.read_text()))
    assert "ways timed: ['Modular', 'Predictor" in text
    assert runs.run_path(f"quick-latency-{runs.cohort_label(files['icu'])}-mine.MyImputer").is_file()
