"""The grid: what would run, what reruns after a change, what a mistake says, what a killed job leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from core_fixture import snakemake_command
from project_fixture import make_project, wait_for, write_notebook

pytest.importorskip("snakemake", reason="the workflow needs the extra `workflow`")
from modts import runs
from modts.errors import ModtsError
from modts.study import drop_foreign, profiles
from modts.study.jobs import reason

HOME = Path(__file__).resolve().parent.parent.parent
SMALL = """
profile: small
defaults:
  common: {seeds: [0]}
  pretrain: {epochs: 1}
  heads: {head_epochs: 3}
cohorts:
  simulated_icu:
    stages: [pretrain, extract, heads, end_to_end, latency, baselines]
    backbones: [SAITS]
  simulated_ward: {stages: [pretrain], backbones: [SAITS]}
transfer:
  - {source: simulated_icu, cohort: simulated_ward, backbones: [SAITS]}
"""
# A notebook that is over at once, or waits as long as TEST_WAIT says: only the engine around it is tested here.
WAITING = """
import os, time
from modts import runs
from modts.study import params
checked = params.validate('pretrain', {n: globals()[n] for n in NAMES})
time.sleep(float(os.environ.get('TEST_WAIT', 0)))
runs.Run('pretrain', checked.model_dump()).finish()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the small profile, the real notebooks and its own work and results."""
    make_project(tmp_path, monkeypatch, small=SMALL)
    shutil.copytree(HOME / "notebooks", tmp_path / "notebooks")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def snakemake(project, *options, profile="profiles/small.yaml", **settings):
    command = [*snakemake_command(profile, 2), *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, **settings)


def would_run(done) -> set[str]:
    """The runs that a dry run lists, without their profile; and collect."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    found = {line.split("wildcards: run=small-")[1] for line in lines if "wildcards: run=small-" in line}
    return found | {"collect" for line in lines if line.strip().endswith("rule collect:")}


# Stands in for Python in the jobs: puts a prepared run file where the job's belongs. What is tested is which jobs run.
STAND_IN = """#!/bin/sh
cd work/small 2> /dev/null && [ "$3" = collect ] && { touch metrics.csv latency.csv effects.csv cohorts.json; exit; }
mkdir -p "$MODTS_WORK/small/runs" && cp "$MODTS_HOME/made/$5.json" "$MODTS_WORK/small/runs/"
"""


def run_all(project) -> str:
    """Run the grid with made-up results."""
    for job in profiles.read_profile("small").jobs.values():
        record = {"run": job.run, "stage": job.stage, "profile": "small", "params": job.params, "rows": []}
        runs.write_json(project / "made" / f"{job.run}.json", record)
    (project / "python").write_text(STAND_IN)
    (project / "python").chmod(0o755)
    start = (
        f"import sys; sys.executable = {str(project / 'python')!r}; from snakemake.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", start, "-s", str(HOME / "Snakefile"), "--configfile", "profiles/small.yaml"]
    done = subprocess.run([*command, "--cores", "2"], cwd=project, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def change(project, before, after):
    file = project / "profiles" / "small.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def test_quick_grid_is_what_the_book_shows(project):
    done = snakemake(project, "--dry-run", profile=str(HOME / "profiles" / "quick.yaml"))
    assert done.returncode == 0, done.stderr
    listed = done.stdout + done.stderr
    for backbone in ("BRITS", "GRU-D", "SAITS", "CSAI", "TimesNet", "Autoformer"):
        for stage in ("pretrain", "heads", "end_to_end"):
            assert f"run=quick-{stage}-simulated_icu-{backbone}\n" in listed
    assert "run=quick-transfer-simulated_ward-SAITS-simulated_icu\n" in listed
    assert not (project / "work").exists()


def test_notebooks_defaults_are_the_quick_profile():
    quick = profiles.read_profile(HOME / "profiles" / "quick.yaml")
    for notebook in (HOME / "notebooks" / f"{stage}.ipynb" for stage in runs.STAGES if stage != "baselines"):
        cells = json.loads(notebook.read_text())["cells"]
        source = next("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        given: dict = {}
        exec(source, {}, given)
        job = quick.jobs[runs.run_id(notebook.stem, given)]
        # extraction and heads may name their own poolings
        assert given == job.params, notebook.name


@pytest.mark.parametrize("name", ["cpu", "paper"])
def test_profiles_are_valid(name):
    assert len(profiles.read_profile(HOME / "profiles" / f"{name}.yaml").jobs) > 50


def test_cluster_dry_run(project):
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="snakemake-executor-plugin-slurm is not installed")
    done = snakemake(project, "--profile", str(HOME / "profiles" / "slurm"), "--dry-run")
    assert len(would_run(done)) == 9  # eight jobs and collect


def test_a_second_run_has_nothing_to_do_and_a_changed_head_reruns_heads_only(project):
    assert "Select jobs" not in run_all(project)  # the engine's own lines stay away
    os.utime(HOME / "modts" / "learning" / "heads.py")  # touched, not changed
    os.utime(project / "notebooks" / "heads.ipynb")
    assert "Nothing to be done" in run_all(project)

    change(project, "head_epochs: 3", "head_epochs: 4")
    heads = {"heads-simulated_icu-SAITS", "transfer-simulated_ward-SAITS-simulated_icu", "collect"}
    assert would_run(snakemake(project, "--dry-run")) == heads

    change(project, "{epochs: 1}", "{epochs: 2}")
    everything = {job.run.removeprefix("small-") for job in profiles.read_profile("small").jobs.values()} | {"collect"}
    assert would_run(snakemake(project, "--dry-run")) == everything - {"baselines-simulated_icu"}


def test_a_run_made_by_hand_with_other_parameters_is_not_the_grids(project):
    job = profiles.read_profile("small").jobs["small-pretrain-simulated_icu-SAITS"]
    runs.write_json(job.path, {"stage": "pretrain", "params": job.params})
    drop_foreign(job)
    assert job.path.exists()
    runs.write_json(job.path, {"stage": "pretrain", "params": {**job.params, "epochs": 99}})
    drop_foreign(job)
    assert not job.path.exists()


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("head_epochs", "head_epoch", "defaults.heads: unknown parameter 'head_epoch'; did you mean 'head_epochs'?"),
        (
            "backbones: [SAITS]",
            "backbone: [SAITS]",
            "unknown key 'cohorts.simulated_icu.backbone'; did you mean 'backbones'?",
        ),
        ("simulated_icu:", "simulated_icy:", "Unknown cohort 'simulated_icy'; choose one of: simulated_icu"),
        ("{head_epochs: 3}", "{head_lrs: [1e-3]}", "YAML reads 1e-4 as text"),
        (
            "simulated_ward: {stages: [pretrain]",
            "simulated_ward: {stages: [baselines]",
            "needs small-pretrain-simulated_ward-SAITS",
        ),
        (
            "backbones: [SAITS]}\ntransfer",
            "backbones: [SAITS], settings: {pretrain: {epochs: 3}}}\ntransfer",
            "must be the same in both",
        ),
        ("profile: small", "profile: [", "is not readable YAML"),
    ],
)
def test_a_mistake_in_a_profile_is_one_sentence(project, before, after, sentence):
    change(project, before, after)
    with pytest.raises(ModtsError) as caught:
        profiles.read_profile("small")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_later_stage_may_take_some_of_the_seeds_and_no_others(project):
    change(project, "  common: {seeds: [0]}", "  common: {seeds: [0, 1]}\n  end_to_end: {seeds: [1]}")
    jobs = profiles.read_profile("small").jobs
    assert jobs["small-end_to_end-simulated_icu-SAITS"].params["seeds"] == [1]
    assert jobs["small-heads-simulated_icu-SAITS"].params["seeds"] == [0, 1]
    change(project, "seeds: [1]", "seeds: [2]")
    with pytest.raises(ModtsError, match=r"has seeds = \[2\] but small-pretrain.* has \[0, 1\]"):
        profiles.read_profile("small")


def test_one_cohort_is_done_before_the_next(project):
    cohorts = [job.params["cohort"] for job in profiles.read_profile("small").jobs.values() if job.stage != "transfer"]
    assert cohorts == sorted(cohorts) and len(set(cohorts)) == 2
    for job in (jobs := profiles.read_profile("small").jobs).values():
        assert all(list(jobs).index(need) < list(jobs).index(job.run) for need in job.needs)


def test_the_engine_shows_the_sentence(project):
    change(project, "head_epochs", "head_epoch")
    done = snakemake(project, "--dry-run")
    assert done.returncode == 1
    assert "did you mean 'head_epochs'?" in done.stdout + done.stderr
    other = snakemake(project, "--dry-run", "--config", "seeds=3")
    assert other.returncode == 1


def test_published_runs_with_the_same_parameters_are_not_run_again(project):
    change(project, "profile: small", "profile: small\nreuse_published: true")
    small = profiles.read_profile("small")
    for job in small.jobs.values():
        if job.stage not in ("heads", "latency"):
            runs.write_json(runs.published_path(job.run), {"stage": job.stage, "params": job.params})
    # heads need the latents and those the weights, which are not published
    assert {job.stage for job in small.wanted().values()} == {"pretrain", "extract", "heads", "latency"}
    change(project, "head_epochs: 3", "head_epochs: 5")
    assert "transfer" in {job.stage for job in profiles.read_profile("small").wanted().values()}


def test_a_killed_grid_leaves_no_half_file_and_goes_on(project):
    (project / "profiles" / "small.yaml").write_text(
        "profile: small\ncohorts:\n  simulated_icu: {stages: [pretrain], backbones: [SAITS]}\n"
    )
    job = next(iter(profiles.read_profile("small").jobs.values()))
    write_notebook(project, "pretrain", WAITING.replace("NAMES", repr(list(job.params))), 'profile = "small"\n')
    process = subprocess.Popen(
        [*snakemake_command("profiles/small.yaml", 1), "--rerun-incomplete"],
        cwd=project,
        env={**os.environ, "TEST_WAIT": "60"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    executed = project / "work" / "small" / "logs" / f"{job.run}.ipynb"
    wait_for(executed.exists, 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert executed.exists(), "the job did not start in two minutes"
    assert not list((project / "work" / "small" / "runs").glob("*"))

    done = snakemake(project, f"work/small/runs/{job.run}.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert job.same_as(runs.read_json(job.path))
    line = done.stdout.strip().splitlines()[-1]
    assert line.startswith("[1/1] pretrain simulated_icu SAITS  ") and line.endswith(" s")


def test_a_log_is_read_for_its_sentence():
    assert reason("x\n\x1b[31mModtsError\x1b[0m: No data.\nmore") == "No data."
    assert reason("Traceback\nKeyError: 'a'\n") == "KeyError: 'a'"
    assert reason("", -9) == "it was killed (signal 9)"
