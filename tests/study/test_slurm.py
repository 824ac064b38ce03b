"""The grid on a cluster for real: one SLURM node on this machine, three jobs, one killed on the node, and a second start that goes on."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from project_fixture import make_project, wait_for, write_notebook

from modts import runs
from modts.study import profiles

HOME = Path(__file__).resolve().parents[2]
NODE = HOME / "tools" / "slurm_node.sh"
NAMES = ("BRITS", "GRU-D", "SAITS")
GRID = f"profile: small\ncohorts:\n  simulated_icu: {{stages: [pretrain], backbones: [{', '.join(NAMES)}]}}\n"
# Over at once, but SAITS waits as long as the file `wait` lies in the project's folder: what is tested is the way there and back.
SLEEPY = """
import time
from pathlib import Path
from modts import runs
from modts.study import params

checked = params.validate("pretrain", {n: globals()[n] for n in NAMES})
while checked.backbone == "SAITS" and (runs.root() / "wait").exists():
    time.sleep(0.2)
runs.Run("pretrain", checked.model_dump()).finish()
"""

pytest.importorskip("snakemake_executor_plugin_slurm", reason="the cluster needs the extra `workflow`")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a SLURM node"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))),
        reason="SLURM is not installed (Debian: slurmctld slurmd munge slurm-client)",
    ),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([NODE, "up", folder], capture_output=True, text=True, timeout=60)
    assert started.returncode == 0, started.stdout + started.stderr
    yield folder
    subprocess.run([NODE, "down", folder], timeout=60)


@pytest.fixture
def project(tmp_path, monkeypatch, node):
    make_project(tmp_path, monkeypatch, small=GRID)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given = list(next(iter(profiles.read_profile("small").jobs.values())).params)
    write_notebook(tmp_path, "pretrain", SLEEPY.replace("NAMES", repr(given)), 'profile = "small"\n')
    yield tmp_path
    (tmp_path / "wait").unlink(missing_ok=True)  # a test that failed leaves nothing that waits
    subprocess.run(["pkill", "-KILL", "-f", str(tmp_path)])


def start(project, **settings):
    """The grid as a user sends it, with the profile that the project ships; asks the cluster more often, as the jobs are short."""
    command = [sys.executable, "-m", "snakemake", "-s", HOME / "Snakefile", "--configfile", "profiles/small.yaml"]
    wanted = [f"work/small/runs/{run}.json" for run in profiles.read_profile("small").jobs]
    options = ["--profile", HOME / "profiles" / "slurm", "--slurm-init-seconds-before-status-checks", "2"]
    options += ["--default-resources", "mem_mb=500", "runtime=10", "--latency-wait", "5", "--verbose"]
    return subprocess.Popen(
        [*command, *options, *wanted], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def done(project) -> set[str]:
    return {path.stem.rsplit("pretrain-simulated_icu-", 1)[1] for path in (project / "work/small/runs").glob("*.json")}


def kernel_of(backbone, project) -> list[int]:
    """Processes of this project's waiting job."""
    found = subprocess.run(
        ["pgrep", "-f", f"{project}.*pretrain-simulated_icu-{backbone}"], capture_output=True, text=True
    ).stdout.split()
    return [int(pid) for pid in found]


def test_a_grid_on_a_node_survives_the_death_of_a_job(project):
    (project / "wait").touch()
    first = start(project)
    assert wait_for(lambda: done(project) == {"BRITS", "GRU-D"} or first.poll() is not None, 300)
    assert first.poll() is None, first.communicate()[0][-3000:]
    victims = wait_for(lambda: kernel_of("SAITS", project), 300)
    assert victims, "the third job did not start"
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    said = first.communicate(timeout=300)[0]
    assert first.returncode != 0, said[-3000:]
    assert done(project) == {"BRITS", "GRU-D"} and not list(project.rglob("*.part"))
    times = {path: path.stat().st_mtime_ns for path in (project / "work/small/runs").glob("*.json")}

    (project / "wait").unlink()
    second = start(project)
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said[-3000:]
    assert done(project) == set(NAMES)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())  # what was done is not done again
    for job in profiles.read_profile("small").jobs.values():
        assert job.same_as(runs.read_json(job.path))
