"""A grid's kernels are forks of one process that has imported PyPOTS, and leave as little behind as ordinary ones."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from project_fixture import processes, wait_for, write_notebook
from test_warden import RUN, project  # noqa: F401

from modts.errors import ModtsError
from modts.study import jobs, nursery, profiles, warden

pytestmark = pytest.mark.skipif(
    not nursery.possible(), reason="forks of what has imported PyTorch: Linux without a card"
)


OPEN = """
import os, sys
from modts.study import MEMORY, open_nursery
print(open_nursery(1, {**MEMORY, **os.environ}).pid, os.environ["MODTS_NURSERY"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server():
    """The process number of a nursery, open for this module; it ends with the process that opened it."""
    opener = subprocess.Popen([sys.executable, "-c", OPEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with opener:
        pid, folder = opener.stdout.readline().split()
        os.environ[nursery.PLACE] = folder
        yield int(pid)
        del os.environ[nursery.PLACE]
        opener.stdin.close()
    assert wait_for(lambda: not Path(f"/proc/{pid}").exists() and not Path(folder).exists(), 10)


def told(project, code: str, **params) -> dict:  # noqa: F811
    """What a notebook of one cell, run as a job, wrote about its kernel."""
    write_notebook(
        project,
        "pretrain",
        f"import json, os, sys, time, signal\ntold = {{}}\n{code}\n"
        "open(os.environ['MODTS_HOME'] + '/told', 'w').write(json.dumps(told))\n",
    )
    with pytest.raises(ModtsError, match="pretrain simulated_icu SAITS failed"):  # this notebook writes no run file
        job = profiles.read_profile("small").job(RUN)
        jobs.run_job(dataclasses.replace(job, params={**job.params, **params}))
    return json.loads((project / "told").read_text())


SEEN = (
    "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    "told = {'pypots': 'pypots' in sys.modules, 'work': os.environ['MODTS_WORK'], 'folder': os.getcwd(), 'pid': os.getpid()}"
)


def test_a_job_of_a_nursery_has_pypots_and_its_own_environment_and_leaves_nothing(server, project):  # noqa: F811
    first, second = told(project, SEEN), told(project, SEEN)
    for one in (first, second):
        assert one["pypots"] and one["work"] == f"{project}/work" and one["folder"] == str(project)
    assert first["pid"] != second["pid"]
    assert wait_for(lambda: not processes(project) and not warden.below(server), 10), processes(project)


def test_another_number_of_threads_has_a_kernel_of_its_own(server, project):  # noqa: F811
    assert not told(project, SEEN, threads=2)["pypots"]


def test_a_nursery_that_is_gone_is_not_missed(project, monkeypatch, tmp_path):  # noqa: F811
    spec = tmp_path / "gone" / "kernels" / nursery.NAME
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "modts.study.nursery", "kernel", str(tmp_path / "gone"), "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    (tmp_path / "gone" / "socket").write_text("")  # nobody listens
    monkeypatch.setenv(nursery.PLACE, str(tmp_path / "gone"))
    assert not told(project, SEEN)["pypots"]
    monkeypatch.setenv(nursery.PLACE, str(tmp_path / "never"))
    assert not told(project, SEEN)["pypots"]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL", "SIGKILL of the group", "SIGKILL of the kernel"])
def test_a_killed_job_of_a_nursery_leaves_no_process(server, project, how):  # noqa: F811
    command = [sys.executable, "-m", "modts.study.cli", "job", "small", RUN]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert wait_for((project / "here").exists), "the notebook did not begin in a minute"
    keeper, kernel, *_ = sorted(warden.below(server))
    if how.endswith("kernel"):
        os.kill(kernel, signal.SIGKILL)
        assert "Kernel died" in process.communicate(timeout=60)[1]
    else:
        (os.killpg if how.endswith("group") else os.kill)(process.pid, getattr(signal, how.split()[0]))
        process.communicate(timeout=30)
    assert wait_for(lambda: not processes(project) and not warden.below(server), 20), processes(project)
