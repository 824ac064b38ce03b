"""A grid in a box of time: what fits is started, what does not is said, and the end of the box leaves whole files alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_fixture import make_project, write_notebook

pytest.importorskip("snakemake", reason="the workflow needs the extra `workflow`")
from modts import runs
from modts.errors import ModtsError
from modts.study import cli, jobs, profiles, timebox

HOME = Path(__file__).resolve().parent.parent.parent
PROFILE = """
profile: box
cohorts:
  simulated_icu: {stages: [pretrain, heads, latency, baselines], backbones: [SAITS, GRU-D]}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    make_project(tmp_path, monkeypatch, box=PROFILE)
    shutil.copy(HOME / "Snakefile", tmp_path)
    return tmp_path


def record(job, seconds, **params):
    about = {"run": job.run, "stage": job.stage, "profile": "box", "params": {**job.params, **params}, "rows": []}
    return about | {"seconds": seconds, "started": "", "code_version": "", "code_hash": ""}


def known(found, **seconds):
    """Records of runs that took so long, by stage."""
    return [record(job, seconds[job.stage], threads=2) for job in found.values() if job.stage in seconds]


def planned(seconds, cores=1, **measured):
    found = profiles.read_profile("box").jobs
    chosen, left = timebox.plan(found, seconds, cores, known(found, **measured))
    return [job.run.removeprefix("box-") for job in chosen], {job.run.removeprefix("box-"): took for job, took in left}


ALL = {"pretrain": 100, "heads": 50, "latency": 30, "baselines": 10}
ICU = "simulated_icu"


def test_what_fits_is_chosen_and_the_rest_is_left(project):
    chosen, left = planned(240, **ALL)
    assert chosen == [f"pretrain-{ICU}-SAITS", f"pretrain-{ICU}-GRU-D", f"latency-{ICU}-SAITS", f"baselines-{ICU}"]
    assert left == {f"heads-{ICU}-SAITS": 50, f"heads-{ICU}-GRU-D": 50, f"latency-{ICU}-GRU-D": 30}
    assert len(planned(1e4, **ALL)[0]) == 7 and not planned(5, **ALL)[0]


def test_two_cores_hold_more_and_what_is_needed_comes_first(project):
    chosen, left = planned(150, 2, **ALL)
    assert chosen == [f"{stage}-{ICU}-{name}" for stage in ("pretrain", "heads") for name in ("SAITS", "GRU-D")]
    chosen, left = planned(120, 2, **ALL)  # heads would be done only at 150
    assert f"heads-{ICU}-SAITS" in left and f"baselines-{ICU}" in chosen


def test_what_was_never_measured_starts_where_nothing_else_does(project):
    assert planned(60) == ([f"pretrain-{ICU}-SAITS"], {run: None for run in planned(60)[1]})
    chosen, left = planned(60, baselines=10)
    assert chosen == [f"pretrain-{ICU}-SAITS"] and left[f"baselines-{ICU}"] == 10


def test_an_estimate_is_the_same_runs_time_before_anothers(project):
    job = profiles.read_profile("box").jobs[f"box-pretrain-{ICU}-SAITS"]
    other = record(job, 70, epochs=99, seeds=[0, 1])
    assert timebox.estimate(job, []) is None
    assert timebox.estimate(job, [other]) == 35  # half the seeds
    assert timebox.estimate(job, [other, record(job, 9)]) == 9


def test_what_is_there_is_not_run_again(project):
    found = profiles.read_profile("box").jobs
    for job in found.values():
        if job.stage in ("pretrain", "baselines"):
            runs.write_json(job.path, record(job, 1))
    chosen, left = planned(100, **ALL)
    assert chosen == [f"heads-{ICU}-SAITS", f"heads-{ICU}-GRU-D"] and set(left) == {
        f"latency-{ICU}-SAITS",
        f"latency-{ICU}-GRU-D",
    }


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_a_box_has_a_length(project, minutes, capsys):
    assert cli.main(["grid", "box", "--minutes", minutes]) == 2
    assert "cannot be filled; give numbers above 0" in capsys.readouterr().err


def test_nothing_is_started_when_the_time_is_over(project, monkeypatch):
    monkeypatch.setenv(jobs.UNTIL, str(time.time() - 1))
    with pytest.raises(ModtsError, match="was not started: the time is over"):
        jobs.run_job(profiles.read_profile("box").job(f"box-pretrain-{ICU}-SAITS"))
    assert not (project / "work").exists()


def notebook(project, wait):
    """A pretrain notebook that waits, and then writes its run file."""
    job = profiles.read_profile("box").jobs[f"box-pretrain-{ICU}-SAITS"]
    source = f"import time\nfrom modts import runs\ntime.sleep({wait})\nruns.Run('pretrain', {job.params!r}).finish()"
    for stage in ("pretrain", "heads", "latency"):
        write_notebook(project, stage, source)


def test_what_was_measured_in_the_box_is_planned_again(project, monkeypatch):
    """Nothing was ever measured, so that each plan holds one job; the box goes on as long as something gets done."""
    plans, broken = [], f"box-baselines-{ICU}"

    def engine(profile, chosen, cores, until):
        plans.append([job.run for job in chosen])
        for job in chosen:
            if job.run != broken:
                job.path.parent.mkdir(parents=True, exist_ok=True)
                job.path.write_text(json.dumps(record(job, 2.0)))
        return 0

    monkeypatch.setattr(timebox, "_engine", engine)
    lines, failed = timebox.run(profiles.read_profile("box"), 5, 1)
    assert not failed and plans[-1] == [broken] and sum(map(len, plans)) == 7
    assert sorted(run for made in plans for run in made) == sorted(profiles.read_profile("box").jobs)
    assert lines[0].startswith("left: baselines simulated_icu") and lines[-1].startswith("1 of 7 jobs are left")


def test_the_end_of_the_box_stops_a_job_and_the_next_box_goes_on(project, monkeypatch):
    (project / "profiles" / "box.yaml").write_text(
        "profile: box\ncohorts:\n  simulated_icu: {stages: [pretrain], backbones: [SAITS]}\n"
    )
    monkeypatch.setattr(timebox, "MARGIN", 0.0)
    command = [sys.executable, "-m", "modts.study.cli", "grid", "box", "--minutes"]
    notebook(project, 300)
    done = subprocess.run(
        [*command, "0.6"], capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 jobs are left" in done.stdout and "left: pretrain simulated_icu SAITS  never measured" in done.stdout
    assert "the time is over" in done.stdout + done.stderr
    assert not [path for path in (project / "work").rglob("*") if "runs" in path.parts or path.suffix == ".part"]

    notebook(project, 0)
    done = subprocess.run(
        [*command, "3"], capture_output=True, text=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "published 1 runs of box" in done.stdout and "left" not in done.stdout
    assert runs.run_path(f"box-pretrain-{ICU}-SAITS").is_file()
