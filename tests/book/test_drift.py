"""The part on drift, and which training ended at its cap: in words from rows."""

from pathlib import Path

import pandas as pd
import pytest
from book_fixture import ROOT
from core_fixture import places  # noqa: F401

from modts.book import drift, fragments, results, status
from modts.cohorts import load_cohort
from modts.study import profiles, tuned_path


def row(**values):
    return {**dict.fromkeys(results.TABLES["drift"], ""), "cohort": "italy_air", "capped": 0, **values}


ROWS = [
    row(what="level", name="CO", part="val", value=2.0),
    row(what="level", name="NOx", part="val", value=-0.2),
    row(what="level", name="CO", part="test", value=0.6),
    row(what="level", name="NOx", part="test", value=-1.9),
    row(what="error", name="SAITS", part="plain", value=0.34, capped=1),
    row(what="error", name="SAITS", part="centred", value=0.22),
    row(what="error", name="GRU-D", part="plain", value=0.55),
    row(what="error", name="Linear interpolation", value=0.25),
]


def found(rows=ROWS, runs=None):
    empty = pd.DataFrame()
    made = results.Results(empty, empty, empty, runs=runs or {}, cohorts={"italy_air": {"title": "Italy & air"}})
    made.drift = pd.DataFrame(rows, columns=list(results.TABLES["drift"]))
    return made


def test_the_rows_are_told_in_words():
    said = drift.months(found().drift, "Italy & air") + drift.errors(found().drift)
    assert said[0].startswith(
        "In the validation months of Italy &#38; air the variables' means lie between −0.2 and +2.0 standard"
    )
    assert "1 of 2 of them more than half" in said[0] and "between −1.9 and +0.6" in said[1]
    assert said[2] == (
        "SAITS errs by 0.340 standard deviations on hidden validation values, and by 0.220 when each window is centred on what is visible "
        "in it; linear interpolation has 0.250."
    )
    assert said[3:] == ["Ended at its cap of epochs: SAITS (plain)."]  # GRU-D has one way only: nothing to compare


def test_the_picture_has_both_shapes_and_words(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    text = drift.drift(found())
    assert "{dropdown} Italy &#38; air:" in text and "of Italy &#38; air the variables" in text  # escaped once
    assert text.index("{dropdown}") < text.index("SAITS errs") < text.index("In the validation months")
    assert (tmp_path / "drift-italy_air-wide.svg").stat().st_size > 2000
    svg = (tmp_path / "drift-italy_air-narrow.svg").read_text()
    assert "standard deviations of training" in svg and "NOx" in svg
    assert "benchmarks/drift.py" in drift.drift(found([]))


def record(stage, **more):
    about = {"run": f"cpu-{stage}-icu-SAITS", "stage": stage, "profile": "cpu", "place": "published"}
    return about | {"params": {"cohort": "icu", "backbone": "SAITS", "epochs": 3}, "code_version": "1", **more}


def test_a_command_stands_with_what_stood_before_it():
    made = {
        "one": {"hardware": "GPU H, matrix products in TF32", "command": "x"},
        "two": {"hardware": "GPU H", "command": "y"},
    }
    text = fragments.how_made(["one", "two"], made)
    assert (
        "<code>TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 x</code>" in text
        and "<code>y</code>" in text
        and "git checkout" in text
    )


@pytest.mark.parametrize("capped", [["pretrain seed 0"], []])
def test_pages_say_which_training_ended_at_its_cap(capped):
    made = {r["run"]: r for r in (record("pretrain", capped=capped), record("heads", capped=["a", "b"]))}
    words = "ended at its cap of epochs, and might have gone on: SAITS."
    for run in made:  # of heads it is their backbone's training that counts
        assert (words in fragments.how_made([run], made)) == bool(capped)
    table = status.status(found(runs=made))
    assert "At cap" in table and (f'"At cap">{1 if capped else "no"}</td>') in table and '"At cap">2</td>' in table


def test_machines_are_numbered_and_commits_short():
    made = [record("pretrain", hardware="CPU b", code_version="0123456789ab"), record("heads", hardware="CPU a")]
    table = status.status(found(runs={r["run"]: r for r in made}))
    assert "- Machine 1: CPU a\n- Machine 2: CPU b" in table
    assert '>0123456</td><td data-label="Machine">2</td></tr>' in table and "0123456789" not in table


def test_runs_of_before_are_read_off_their_curves():
    assert results.ended_at_cap(record("pretrain", history={"0": [1, 2, 3], "1": [1, 2]})) == ["0"]
    assert results.ended_at_cap(record("heads")) is None
    assert results.ended_at_cap(record("pretrain", capped=[], history={"0": [1, 2, 3]})) == []


def test_what_is_missing_of_the_study_is_said(monkeypatch):
    parts = [
        {"what": "A", "cohort": "a", "source": "", "stages": "pretrain heads"},
        {"what": "B", "cohort": "a", "source": "", "stages": "baselines"},
        {"what": "C", "cohort": "a", "source": "b", "stages": "transfer"},
        {
            "what": "D",
            "cohort": "a",
            "source": "",
            "stages": "pretrain heads",
            "of": "SAITS BRITS",
            "cut": "CSAI, slow",
        },
    ]
    monkeypatch.setattr(status, "plan", lambda: parts)
    monkeypatch.setattr(status, "tuned_path", lambda name: Path("none" if name == "BRITS" else __file__))
    made = [
        ("pretrain", "SAITS", ""),
        ("heads", "SAITS", ""),
        ("pretrain", "CSAI", ""),
        ("baselines", "", ""),
        ("heads", "BRITS", "b"),
    ]
    records = {
        str(number): {"stage": stage, "profile": "study", "params": {"cohort": "a", "backbone": name, "source": source}}
        for number, (stage, name, source) in enumerate(made)
    }
    records["other"] = records["0"] | {"profile": "cpu", "params": {"cohort": "a", "backbone": "BRITS", "source": ""}}
    text = status.missing(found(runs=records))
    assert text.startswith("Of four parts of the study one is whole and two begun.") and "searched for BRITS" in text
    assert ">BRITS<" in text and "- Cut from one part: CSAI, slow." in text
    assert ">SAITS, CSAI in part<" in text and ">BRITS, GRU-D, TimesNet, Autoformer, HELIX, TS2Vec<" in text
    assert ">all of them<" in text and ">every backbone<" in text


STAY = "work/eicu_stay.npz"  # the one cohort of the plan that is a file


def test_every_part_of_the_plan_can_be_run():
    from modts.cohorts import cohort_names

    for row in status.plan():
        assert row["cohort"] in (*cohort_names(), STAY) and row["source"] in ("", *cohort_names()) and row["stages"]


def test_the_profiles_hold_the_plan(monkeypatch, tmp_path):
    """Each network whose settings were searched, in each of its parts."""
    monkeypatch.setenv("MODTS_HOME", str(ROOT))
    file = load_cohort("simulated_icu").save(tmp_path / "eicu_stay.npz")
    stay = (ROOT / "profiles" / "stay.yaml").read_text(encoding="utf-8")
    assert STAY in stay and STAY in (ROOT / "benchmarks" / "eicu_stay.py").read_text(encoding="utf-8")
    (tmp_path / "stay.yaml").write_text(stay.replace(f"  {STAY}:", f"  {file}:"), encoding="utf-8")
    there = set()
    for path in (ROOT / "profiles" / "study.yaml", tmp_path / "stay.yaml"):
        for job in profiles.read_profile(str(path)).jobs.values():
            cohort = job.params["cohort"].replace(str(file), STAY)
            there.add((job.stage, cohort, job.params.get("source", ""), job.params.get("backbone", "")))
    for row in status.plan():
        for name in [name for name in row["of"].split() if tuned_path(name).is_file()] or [""]:
            wanted = {(stage, row["cohort"], row["source"], name) for stage in row["stages"].split()}
            assert wanted <= there, f"{row['what']}: {wanted - there}"


def test_rows_made_again_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    assert "benchmarks/again.py" in status.again(found())
    made = found()
    base = dict.fromkeys(results.TABLES["again"], "") | {
        "backbone": "SAITS",
        "arm": "frozen",
        "head": "simple",
        "pooling": "paper",
        "test": "external",
    }
    rows = [
        ("same split", 0.8, 0.0001, 0),
        ("same split", 0.8, -0.004, 0),
        ("new split", 0.8, 0.01, 1),
        ("new split", 0.8, -0.03, 0),
    ]
    made.again = pd.DataFrame(
        [
            base
            | {
                "kind": kind,
                "published": f"{value}",
                "value": value + apart,
                "difference": f"{apart:+.6f}",
                "inside": str(inside),
            }
            for kind, value, apart, inside in rows
        ],
        columns=list(results.TABLES["again"]),
    )
    text = status.again(made)
    assert "one of two numbers came back to the third digit; the largest difference is 0.004." in text
    inside = "one of two numbers lies inside the published interval, which is of a mean over splits (one split strays further)"
    assert f"{inside}; the differences reach from −0.030 to +0.010." in text
