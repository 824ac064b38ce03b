"""The command line: answers, sentences, exit statuses; tables made of made-up run files."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest
from project_fixture import make_project

from modts import runs
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.study import cli, collect, effects, kept, profiles

PROFILE = """
profile: tiny
defaults:
  common: {seeds: [0, 1]}
  heads: {label_fractions: [1.0], head_epochs: 60}
cohorts:
  simulated_icu: {stages: [pretrain, extract, heads, latency, baselines], backbones: [SAITS]}
"""


def _record(job, rows=(), **extra):
    hashes = {str(seed): load_cohort("simulated_icu", seed=seed).content_hash for seed in (0, 1)}
    return {
        "run": job.run,
        "stage": job.stage,
        "profile": "tiny",
        "params": job.params,
        "started": "2026-01-02T03:04:05Z",
        "seconds": 1.5,
        "code_version": "abc",
        "code_hash": runs.code_hash(job.stage, job.params.get("backbone", ""), rows=True),
        "data_hash": hashes,
        "hardware": "CPU test",
        "packages": {},
        "peak_memory_mb": 1,
        "timings": {},
        "history": {},
        **extra,
        "rows": list(rows),
    }


def _rows(job, backbone, arm, head, pooling, value):
    for seed in (0, 1, ""):
        row = dict.fromkeys(runs.COLUMNS, "") | {
            "profile": "tiny",
            "cohort": "simulated_icu",
            "task": "classification",
            "backbone": backbone,
            "arm": arm,
            "head": head,
            "pooling": pooling,
            "label_fraction": 1.0,
            "split_seed": seed,
            "init_seed": seed,
            "metric": "auroc",
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
            "n_test": 120,
            "hardware": "CPU test",
            "run": job.run,
        }
        yield row


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Finished runs of a tiny profile: good heads, useless trees."""
    make_project(tmp_path, monkeypatch, tiny=PROFILE)
    jobs = {job.stage: job for job in profiles.read_profile("tiny").jobs.values()}
    rng, frozen, trees = np.random.default_rng(0), {}, {}
    for seed in (0, 1):
        y = load_cohort("simulated_icu", seed=seed).part("test")[1]
        frozen[f"frozen|simple|paper|1|{seed}|{seed}"] = (y + rng.normal(0, 0.3, len(y))).astype(np.float32)
        frozen[f"untrained|simple|paper|1|{seed}|{seed}"] = rng.random(len(y), np.float32)
        frozen[f"frozen|simple|mean+max+last|1|{seed}|{seed}"] = rng.random(len(y), np.float32)
        trees[f"LightGBM||statistics|1|{seed}|{seed}"] = rng.random(len(y), np.float32)
    timed = dict.fromkeys(collect.LATENCY_COLUMNS, "x") | {"batch": 8, "p50_ms": 1.23456789}
    contents = {
        "heads": (
            _record(jobs["heads"], _rows(jobs["heads"], "SAITS", "frozen", "simple", "paper", 0.9123456789)),
            frozen,
        ),
        "baselines": (
            _record(jobs["baselines"], _rows(jobs["baselines"], "LightGBM", "baseline", "", "statistics", 0.5)),
            trees,
        ),
        "latency": (_record(jobs["latency"], latency=[timed]), {}),
    }
    for stage, (record, predictions) in contents.items():
        runs.write_json(jobs[stage].path, record)
        if predictions:
            runs.write_arrays(
                tmp_path / "work" / "tiny" / "predictions" / f"{jobs[stage].run}.npz", jobs[stage].run, **predictions
            )
    return jobs


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_collect_makes_the_four_tables(made):
    assert cli.main(["collect", "tiny"]) == 0
    folder = runs.work_dir() / "tiny"
    metrics = read(folder / "metrics.csv")
    assert tuple(metrics[0]) == runs.COLUMNS and len(metrics) == 2
    assert {row["value"] for row in metrics if row["backbone"] == "SAITS"} == {"0.912346"}
    assert read(folder / "latency.csv")[0]["p50_ms"] == "1.23457"
    assert runs.read_json(folder / "cohorts.json")["simulated_icu"]["n"] == 600
    found = {(row["question"], row["metric"]): row for row in read(folder / "effects.csv")}
    assert tuple(read(folder / "effects.csv")[0]) == effects.EFFECT_COLUMNS
    asked = ("frozen - untrained", "frozen - LightGBM")
    assert set(found) == {(question, metric) for question in asked for metric in ("auroc", "auprc")}
    for row in found.values():  # one backbone: no pooled row
        assert float(row["difference"]) > 0.2 and float(row["p"]) < 0.01 and row["verdict"] == "better"
        assert float(row["p_holm"]) == float(row["p"]) and (row["n_splits"], row["n_draws"]) == ("2", "1")
    assert found["frozen - LightGBM", "auroc"]["run"] == f"{made['heads'].run},{made['baselines'].run}"


def test_a_run_with_other_parameters_is_left_out_and_said(made, capsys):
    job = made["heads"]
    runs.write_json(job.path, runs.read_json(job.path) | {"params": {**job.params, "head_epochs": 1}})
    runs.write_json(job.path.with_name("tiny-heads-simulated_icu-CSAI.json"), {"run": "tiny-heads-simulated_icu-CSAI"})
    assert cli.main(["collect", "tiny"]) == 0
    said = capsys.readouterr().out
    assert f"left out: {job.run} has other parameters" in said
    assert "left out: tiny-heads-simulated_icu-CSAI is not in the profile" in said
    assert {row["backbone"] for row in read(runs.work_dir() / "tiny" / "metrics.csv")} == {"LightGBM"}


def test_publish_keeps_other_profiles_and_is_repeatable(made):
    results = runs.results_dir()
    other = _record(made["heads"]) | {"run": "other-heads-x-SAITS", "profile": "other"}
    other["params"] = {**other["params"], "cohort": "x"}
    runs.write_json(runs.published_path("other-heads-x-SAITS"), other)
    old = OLD | {
        "run": "other-heads-x-SAITS,other-baselines-x",
        "family": "other, frozen - LightGBM, x, auroc, each backbone",
    }
    columns = [name for name in effects.EFFECT_COLUMNS if name != "source"]  # a table of before
    runs.atomic_write(results / "effects.csv", collect.table([old], columns))
    assert cli.main(["publish", "tiny"]) == 0
    names = ("metrics.csv", "latency.csv", "effects.csv", "cohorts.json")
    first = {name: (results / name).read_bytes() for name in names}
    assert len(read(results / "metrics.csv")) == 2
    kept, *fresh = read(results / "effects.csv")
    assert kept == old | {"source": ""} and {row["family"].split(",")[0] for row in fresh} == {"tiny"}
    assert (results / "predictions" / f"{made['heads'].run}.npz").is_file()
    (published,) = (record for record in collect.read_runs(results / "runs") if record["run"] == made["heads"].run)
    assert made["heads"].same_as(published) and published["rows"][0]["value"] == 0.912346
    assert cli.main(["publish", "tiny"]) == 0
    assert first == {name: (results / name).read_bytes() for name in names}


OLD = {
    "cohort": "x", "variant": "", "task": "classification", "question": "frozen - LightGBM", "backbone": "SAITS", "label_fraction": "1",
    "metric": "auroc", "test": "split", "difference": "0.1", "low": "0.05", "high": "0.15", "p": "0.001", "p_holm": "0.001",
    "family": "", "n_splits": "3", "n_draws": "1", "verdict": "better", "run": "",
}  # fmt: skip


def test_effects_of_absent_data_stay_as_published(made, monkeypatch, capsys):
    assert cli.main(["publish", "tiny"]) == 0
    before = read(runs.results_dir() / "effects.csv")

    def absent(*args, **options):
        raise ModtsError("The data are not here.")

    monkeypatch.setattr("modts.study.artefacts.tested", absent)
    monkeypatch.setattr("modts.cohorts.load_cohort", absent)
    shutil.rmtree(runs.work_dir() / "effects")  # what was compared on another machine
    for command in (["publish", "tiny"], ["effects"]):
        assert cli.main(command) == 0
        assert read(runs.results_dir() / "effects.csv") == before
        assert "its effects are kept as they were" in capsys.readouterr().out
    assert runs.read_json(runs.results_dir() / "cohorts.json")["simulated_icu"]


def test_effects_that_cannot_be_compared_stay_as_collected(made, capsys):
    folder = runs.work_dir() / "tiny"
    assert cli.main(["collect", "tiny"]) == 0
    before = read(folder / "effects.csv")
    path = folder / "predictions" / f"{made['heads'].run}.npz"
    path.write_bytes(path.read_bytes()[:-900])
    capsys.readouterr()
    assert cli.main(["collect", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "its effects are kept as they were" in said and f"{len(before)} effects of before are kept" in said
    assert read(folder / "effects.csv") == before and len(before) == 4


@pytest.mark.parametrize("stage", ["heads", "baselines"])
def test_a_run_without_its_predictions_is_noticed_and_not_published(made, capsys, stage):
    lost = runs.work_dir() / "tiny" / "predictions" / f"{made[stage].run}.npz"
    lost.unlink()
    assert cli.main(["collect", "tiny"]) == 0
    words = f"{made[stage].run} has no predictions ({lost} is missing); delete its run file and run its job again"
    said = capsys.readouterr().out
    assert words in said and made["latency"].run not in said
    assert cli.main(["publish", "tiny"]) == 2
    assert capsys.readouterr().err == f"modts: {words}; nothing was published.\n"
    assert not runs.results_dir().exists()


def test_a_run_that_imputes_alone_needs_no_predictions(made):
    record = runs.read_json(made["baselines"].path)
    record["rows"] = [row | {"task": "imputation", "metric": "mae"} for row in record["rows"]]
    assert kept.unpredicted([record], runs.work_dir() / "nowhere") == []


def test_published_predictions_that_are_gone_are_said(made, capsys):
    assert cli.main(["publish", "tiny"]) == 0
    (runs.results_dir() / "predictions" / f"{made['heads'].run}.npz").unlink()
    capsys.readouterr()
    assert cli.main(["effects"]) == 2
    assert f"{made['heads'].run}.npz is missing" in (said := capsys.readouterr().err) and "back from git" in said


def in_line(text, column, value):
    """A table with another value in its second line."""
    header, line, *rest = text.splitlines()
    cells = next(csv.reader([line]))
    cells[header.split(",").index(column)] = value
    return "\n".join([header, ",".join(f'"{cell}"' for cell in cells), *rest, ""])


EFFECTS_DAMAGED = {
    "bad byte": lambda text: text.encode() + b"\xff\xfe\n",
    "short line": lambda text: (text + "simulated_icu,,\n").encode(),
    "long line": lambda text: (text.rstrip("\n") + ",,,\n").encode(),
    "open quote": lambda text: (text + '"simulated_icu').encode(),
    "empty": lambda text: b"",
    "another table": lambda text: b"a,b\n1,2\n",
    **{
        f"a word as {name}": lambda text, name=name: in_line(text, name, "abc").encode()
        for name in ("label_fraction", "difference", "low", "p", "n_splits", "question", "metric")
    },
}


@pytest.mark.parametrize("which", EFFECTS_DAMAGED)
def test_damaged_effects_stop_publishing_before_anything_is_copied(made, capsys, which):
    path = runs.results_dir() / "effects.csv"
    runs.atomic_write(path, EFFECTS_DAMAGED[which](collect.table([OLD], effects.EFFECT_COLUMNS)))
    assert cli.main(["publish", "tiny"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"modts: {path} cannot be read (") and said.count("\n") == 1
    assert f"bring it back from git (git checkout -- {path})" in said
    assert [one.name for one in runs.results_dir().iterdir()] == ["effects.csv"]


def test_changed_effects_are_not_published_with_a_hash_of_their_own(made, capsys):
    assert cli.main(["publish", "tiny"]) == 0
    path = runs.results_dir() / "effects.csv"
    hashes, whole = path.with_name("checksums.json").read_bytes(), path.read_bytes()
    path.write_text(in_line(path.read_text(), "difference", "0.9"))
    for command in (["publish", "tiny"], ["effects"], ["stale"]):
        assert cli.main(command) == 2
        assert f"{path} has changed since it was published; bring it back from git" in capsys.readouterr().err
    assert path.with_name("checksums.json").read_bytes() == hashes
    path.write_bytes(whole)
    assert cli.main(["publish", "tiny"]) == 0 and path.read_bytes() == whole


def test_effects_come_from_what_is_published_alone(made, capsys):
    assert cli.main(["effects"]) == 2
    assert "There is nothing to compare" in capsys.readouterr().err
    assert cli.main(["publish", "tiny"]) == 0
    path = runs.results_dir() / "effects.csv"
    before = path.read_bytes()
    path.unlink()
    for job in made.values():
        job.path.unlink(missing_ok=True)
    assert cli.main(["effects"]) == 0
    assert path.read_bytes() == before


def test_stale_names_parameters_code_and_data(made, capsys, tmp_path):
    assert cli.main(["stale"]) == 0
    assert capsys.readouterr().out == "Nothing is stale.\n"
    heads, trees, latency = (made[name] for name in ("heads", "baselines", "latency"))
    runs.write_json(trees.path, runs.read_json(trees.path) | {"code_hash": "old"})
    runs.write_json(latency.path, runs.read_json(latency.path) | {"data_hash": {"0": "old"}})
    (tmp_path / "profiles" / "tiny.yaml").write_text(PROFILE.replace("head_epochs: 60", "head_epochs: 7"))
    assert cli.main(["stale"]) == 1
    said = capsys.readouterr().out
    assert f"{heads.run}  local  other parameters: head_epochs was 60, is 7" in said
    assert f"{trees.run}  local  the code that decides its numbers has changed" in said
    assert f"{latency.run}  local  its data (split 0) have changed" in said


def test_runs_and_show(made, capsys):
    assert cli.main(["runs"]) == 0
    assert made["heads"].run in capsys.readouterr().out
    assert cli.main(["show", made["heads"].run]) == 0
    said = capsys.readouterr().out
    assert "SAITS Frozen + Simple 100% of the labels auroc: 0.9123" in said and "head_epochs" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "nothing"], "There is no run 'nothing'"),
        (["collect", "nothing"], "There is no profile file"),
        (["publish", "quick"], "There is no profile file"),
        (["job", "tiny", "nothing"], "Profile tiny has no run 'nothing'"),
        (["cohorts", "nothing"], "Unknown cohort 'nothing'; choose one of: simulated_icu"),
        (["baselines", "-p", "cohort", "nothing"], "Unknown cohort 'nothing'"),
        (["baselines", "-p", "cohrt", "italy_air"], "Unknown parameter 'cohrt'; did you mean 'cohort'?"),
        (["stage", "baselines", "%"], "The parameters are not readable"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(made, capsys, arguments, sentence):
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("modts: ") and sentence in said and said.count("\n") == 1


def test_ctrl_c_is_one_sentence(made, capsys, monkeypatch):
    from modts.study import timebox

    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(timebox, "run", stopped)
    assert cli.main(["grid", "tiny", "--minutes", "1"]) == 130
    assert capsys.readouterr().err == "Stopped; what is finished is kept, and the same command goes on.\n"


def test_freeze_and_frozen(made, capsys, monkeypatch):
    from modts.runs import protocol

    monkeypatch.setattr(protocol, "code_version", lambda: "abc")
    assert cli.main(["frozen"]) == 1 and "No protocol is frozen" in capsys.readouterr().out
    assert cli.main(["freeze"]) == 0 and "names protocol" in capsys.readouterr().out
    assert cli.main(["frozen"]) == 0
    assert f"equal the protocol {runs.frozen()['protocol']}" in capsys.readouterr().out
    monkeypatch.setattr(protocol, "protocol_modules", lambda: ("learning.scores",))
    assert cli.main(["frozen"]) == 1 and "  study.effects\n" in capsys.readouterr().out
    cli.main(["stale"])
    assert "no longer the frozen protocol's" in capsys.readouterr().err
    assert cli.main(["freeze"]) == 2 and "give the reason to freeze anew" in capsys.readouterr().err
    assert cli.main(["freeze", "--why", "tried"]) == 0 and cli.main(["frozen"]) == 0


def test_cohorts_lists_and_describes(capsys):
    assert cli.main(["cohorts"]) == 0
    assert "physionet_2012" in capsys.readouterr().out
    assert cli.main(["cohorts", "simulated_icu"]) == 0
    assert "prevalence" in capsys.readouterr().out


def test_listing_runs_loads_nothing_heavy(made):
    code = "import sys; from modts.study.cli import main; main(['runs'])\n"
    code += "print([name for name in ('torch', 'pypots', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
