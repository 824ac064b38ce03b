"""A grid of plain processes: one part a seed, what is needed first, no more beside each other than asked, and nothing after the end."""

import subprocess
import sys
import time

import pytest
from core_fixture import places, tiny  # noqa: F401

from modts import runs
from modts.errors import ModtsError
from modts.study import cli, jobs, processes, profiles, timebox

PROFILE = """
profile: box
defaults: {common: {seeds: [3, 4]}}
cohorts:
  icu.npz: {stages: [pretrain, heads, end_to_end, baselines], backbones: [SAITS, GRU-D], only: {pretrain: [GRU-D], heads: [GRU-D]}}
"""


@pytest.fixture
def found(places, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MODTS_HOME", str(places))
    monkeypatch.chdir(places)
    tiny(name="icu").save("icu.npz")
    (places / "box.yaml").write_text(PROFILE)
    return profiles.read_profile("box.yaml").jobs


def named(found, stage, profile="box", backbone="GRU-D"):
    """A run's name, with the digits of the cohort file's content in it."""
    job = next(job for job in found.values() if (job.stage, job.params.get("backbone", "")) == (stage, backbone))
    return job.run.replace("box", profile, 1)


def test_a_job_of_several_seeds_waits_for_a_part_of_each(found):
    whole = processes.parts(found)
    assert set(found) < set(whole) and len(whole) == len(found) + 2 * 4  # baselines store nothing seed by seed
    order = list(whole)
    for run, job in whole.items():
        assert all(order.index(need) < order.index(run) for need in job.needs)
        if run not in found:
            (seed,) = job.params["seeds"]
            assert job.params["profile"] == f"box_{seed}" and run == runs.run_id(job.stage, job.params)
            rest = {"profile": "box", "seeds": [3, 4]}
            assert {**job.params, **rest} == found[run.replace(f"box_{seed}", "box", 1)].params
    assert whole[named(found, "heads", "box_3")].needs == (named(found, "pretrain", "box_3"),)
    assert set(whole[named(found, "heads")].needs) >= {named(found, "heads", "box_3"), named(found, "heads", "box_4")}


class Played:
    """Stands in for a process: it writes its run file when it is looked at for the second time."""

    most = 0
    alive: list = []
    begun: list = []

    def __init__(self, job, fails=()):
        self.job, self.looks, self.returncode, self.fails = job, 0, None, job.run in fails
        self.begun.append(job.run)
        self.alive.append(self)
        type(self).most = max(self.most, len(self.alive))
        assert all(runs.run_path(need).is_file() for need in job.needs)

    def poll(self):
        self.looks += 1
        if self.looks == 2:
            self.returncode = int(self.fails)
            self.alive.remove(self)
            if not self.fails:
                runs.write_json(self.job.path, {"stage": self.job.stage, "params": self.job.params})
            jobs._log(self.job).parent.mkdir(parents=True, exist_ok=True)
            jobs._log(self.job).write_text("ModtsError: It failed.\n")
        return self.returncode

    def terminate(self):
        self.returncode = -15


@pytest.fixture
def play(monkeypatch):
    Played.most, Played.alive, Played.begun = 0, [], []
    monkeypatch.setattr(processes, "POLL", 0)

    def start(*fails):
        monkeypatch.setattr(jobs, "begin", lambda job, plain: Played(job, fails))

    start()
    return start


def test_each_runs_once_after_what_it_needs_and_no_more_beside_each_other(found, play):
    assert processes.run(found, 3, time.time() + 60) is False
    assert sorted(Played.begun) == sorted(processes.parts(found)) and Played.most == 3
    assert all(job.done() for job in found.values())
    assert processes.run(found, 3, time.time() + 60) is False and len(Played.begun) == len(
        set(Played.begun)
    )  # all there


@pytest.mark.parametrize("content", ["[]", "5", '{"stage": "pretrain", "params": []}'])
def test_a_run_file_that_is_none_is_one_sentence(found, content, capsys):
    job = found[named(found, "pretrain")]
    job.path.parent.mkdir(parents=True)
    job.path.write_text(content)
    sentence = f"{job.path} is not a run file; delete it and run its job again."
    assert cli.main(["grid", "box.yaml", "--minutes", "1", "--processes", "2"]) == 2
    assert capsys.readouterr().err == f"modts: {sentence}\n"
    assert cli.main(["carry", "box.yaml"]) == 1
    assert f"not carried: {job.label}: {sentence}" in capsys.readouterr().out
    jobs.drop_foreign(job)
    assert not job.path.exists()


def test_who_needs_what_failed_is_not_started_and_the_rest_is(found, play, capsys):
    play(named(found, "pretrain", "box_4"))
    assert processes.run(found, 9, time.time() + 60) is True
    assert "It failed." in capsys.readouterr().out
    left = {run for run, job in found.items() if not job.done()}
    assert left == {named(found, stage) for stage in ("pretrain", "heads", "end_to_end")}
    play()
    assert processes.run(found, 9, time.time() + 60) is False and all(job.done() for job in found.values())


def test_the_end_of_the_box_stops_what_runs(found, monkeypatch):
    started = []

    def sleeper(job, plain):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1]

    monkeypatch.setattr(jobs, "begin", sleeper)
    assert processes.run(found, 2, time.time() + 0.5) is False
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    assert processes.run(found, 2, time.time() - 1) is False and len(started) == 2


def test_the_command_says_what_is_left(found, monkeypatch, capsys):
    monkeypatch.setattr(processes, "run", lambda jobs, processes, until: False)
    assert cli.main(["grid", "box.yaml", "--minutes", "1", "--processes", "2"]) == 0
    assert "5 of 5 jobs are left" in capsys.readouterr().out
    with pytest.raises(ModtsError, match="cannot be filled"):
        timebox.run(profiles.read_profile("box.yaml"), 1, 1, -1)


def test_a_stage_runs_without_its_notebook(found, capsys):
    job = found[named(found, "baselines", backbone="")]
    command = jobs.command(job, runs.work_dir() / "log", plain=True)
    assert command[1:5] == ["-m", "modts.study.cli", "stage", "baselines"] and "papermill" not in command
    assert "papermill" in jobs.command(found[named(found, "pretrain")], runs.work_dir() / "log")
    assert cli.main(["stage", "pretrain", "!"]) == 2
    assert "not readable" in capsys.readouterr().err


def test_the_headline_asks_for_three_claims_at_the_published_sizes():
    headline = profiles.read_profile("headline").jobs
    assert {(job.stage, job.params["backbone"]) for job in headline.values()} == {
        ("pretrain", "CSAI"), ("heads", "CSAI"), ("end_to_end", "SAITS"), ("end_to_end", "CSAI"),
    }  # fmt: skip
    for job in headline.values():
        assert (job.params["size"], job.params["device"], job.params["cohort"]) == ("paper", "cuda", "physionet_2012")
        assert job.params["seeds"] == [30, 31, 32, 33, 34]
    assert len(processes.parts(headline)) == 4 * 5 + 4
