"""Nothing of a job outlives it: not its papermill, not the kernel, not what a cell started; and a job that cannot begin says why."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from project_fixture import make_project, processes, wait_for, write_notebook

from modts import runs
from modts.errors import ModtsError
from modts.study import cli, jobs, profiles, warden

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can adopt what a job leaves behind")
PROFILE = "profile: small\ncohorts:\n  simulated_icu: {stages: [pretrain], backbones: [SAITS]}\n"
RUN = "small-pretrain-simulated_icu-SAITS"
# A cell that starts a process in a session of its own, says that it is there, and waits.
CELL = """
import os, pathlib, subprocess, time
subprocess.Popen(["sleep", "300"], start_new_session=True)
pathlib.Path(os.environ["MODTS_HOME"], "here").write_text("x")
time.sleep(float(os.environ.get("TEST_WAIT", 0)))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_notebook(make_project(tmp_path, monkeypatch, small=PROFILE), "pretrain", CELL, 'profile = "small"\n')
    monkeypatch.setenv("TEST_WAIT", "300")
    return tmp_path


def _hears_hangup():
    """As in a terminal, also where the tests run under nohup, whose children would ignore it."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGKILL of the group"])
def test_a_killed_job_leaves_no_process(project, how):
    command = [sys.executable, "-m", "modts.study.cli", "job", "small", RUN]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_hears_hangup
    )
    assert wait_for((project / "here").exists), "the notebook did not begin in a minute"
    words = " ".join(processes(project).values())
    assert "ipykernel" in words and "sleep" in words
    number = getattr(signal, how.split()[0])
    (os.killpg if how.endswith("group") else os.kill)(process.pid, number)
    process.wait(30)
    assert wait_for(lambda: not processes(project), 20), processes(project)
    assert not list((project / "work").rglob("runs/*")) and not list((project / "work").rglob("*.part"))


def test_a_job_that_is_over_leaves_no_process(project, monkeypatch):
    monkeypatch.setenv("TEST_WAIT", "0")
    with pytest.raises(ModtsError, match="pretrain simulated_icu SAITS failed"):  # this notebook writes no run file
        jobs.run_job(profiles.read_profile("small").job(RUN))
    assert (project / "here").exists() and wait_for(lambda: not processes(project), 5), processes(project)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -11 $$", -11)])
def test_a_warden_ends_as_its_job_did(script, code):
    assert subprocess.run(warden.command(["sh", "-c", script]), timeout=60).returncode == code


def test_a_warden_without_its_parent_does_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-m", "modts.study.warden", "1", "touch", str(tmp_path / "x")], timeout=60)
    assert done.returncode == 1 and not (tmp_path / "x").exists()


@pytest.mark.parametrize("why", ["No space left on device", "Read-only file system", "Permission denied"])
@pytest.mark.parametrize("where", ["fsync", "mkdir", "open"])
def test_a_job_without_room_to_begin_is_one_sentence(project, monkeypatch, capsys, why, where):
    def full(*args, **more):
        raise OSError(1, why)

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif where == "mkdir":
        monkeypatch.setattr(Path, "mkdir", full)
    else:
        monkeypatch.setattr(jobs, "open", full, raising=False)
    assert cli.main(["job", "small", RUN]) == 2
    said = capsys.readouterr()
    assert f"{RUN}.log cannot be written ({why})" in said.err and said.err.count("\n") == 1
    assert not runs.run_path(RUN).exists()


def test_a_signal_that_interrupts_the_scheduler_at_its_lock_does_not_wait_for_itself():
    class Scheduler:  # as Snakemake's
        def __init__(self):
            self._lock, self._open_jobs, self._user_kill = threading.Lock(), threading.Semaphore(0), None

        def exit_gracefully(self, *args):
            with self._lock:
                self._user_kill = "graceful"
            self._open_jobs.release()

    warden.end_from_a_thread(Scheduler)
    scheduler = Scheduler()
    before = signal.signal(signal.SIGTERM, scheduler.exit_gracefully)
    try:
        with scheduler._open_jobs._cond:  # inside release()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        assert scheduler._open_jobs.acquire(timeout=5) and scheduler._user_kill == "graceful"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_grid_uses_it_and_snakemake_still_has_that_handler():
    from snakemake.scheduling.job_scheduler import JobScheduler

    assert "self._open_jobs.release()" in inspect.getsource(JobScheduler.exit_gracefully)
    assert "end_from_a_thread(JobScheduler)" in (Path(__file__).parents[2] / "Snakefile").read_text()
