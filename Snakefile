# The grid of a profile as a DAG; one job is one notebook for one cohort and one backbone, all its seeds.
#
#   snakemake --configfile profiles/quick.yaml --cores 2                  here (profiles/default is read by itself)
#   snakemake --configfile profiles/paper.yaml --profile profiles/slurm   the same grid on a cluster
#
# A job's output is the run file that its notebook writes itself, whole, at the very end; the executed notebook is a log.
# What reruns a job: its parameters, the code of its notebook and of the modules that decide its numbers (hashed in
# `params`, so that touching a file changes nothing), or a run that it needs.
import logging
import os
import re
import sys

from snakemake.logging import logger
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_logger_plugins.common import LogEvent

from modts import runs
from modts.errors import ModtsError
from modts.study import MEMORY, drop_foreign, end_from_a_thread, open_nursery, read_profile, read_yaml, start_count

try:
    if not workflow.configfiles:
        raise ModtsError("Name a profile, for example: snakemake --configfile profiles/quick.yaml --cores 2")
    PROFILE = read_profile(workflow.configfiles[-1])
    if config != read_yaml(PROFILE.path):
        raise ModtsError(f"Settings come from one profile file; change or copy {PROFILE.path} instead of using --config.")
    JOBS = PROFILE.wanted()
except ModtsError as error:
    raise WorkflowError(str(error)) from None

WORK = runs.work_dir() / PROFILE.name
WORK = WORK.relative_to(os.getcwd()) if WORK.is_relative_to(os.getcwd()) else WORK
PYTHON = sys.executable
SLOW = ("CSAI", "BRITS", "GRU-D")  # recurrent, hence first: the grid then ends sooner



def worth_saying(record):
    """Errors, and that there is nothing to do. The jobs say themselves that they are done, or why they failed."""
    if getattr(record, "event", None) == LogEvent.JOB_ERROR:
        return False
    return record.levelno >= logging.WARNING or str(record.msg).startswith("Nothing to be done")


# The engine does not know yet whether this is a dry run, which must say all and change nothing.
DRY = any(re.fullmatch(r"-[a-z]*n[a-z]*|--dry-?run", argument) for argument in sys.argv)
if workflow.is_main_process:
    end_from_a_thread(JobScheduler)
if workflow.is_main_process and not DRY:
    if not workflow.output_settings.verbose:
        logger.addFilter(worth_saying)
    try:
        start_count(PROFILE.name, 0)  # where nothing can be written, that is said before anything runs
    except ModtsError as error:
        raise WorkflowError(str(error)) from None
    # A run file made by hand under this profile's name with other parameters is not the grid's: its job runs again.
    for job in JOBS.values():
        drop_foreign(job)


def run_file(run):
    return f"{WORK}/runs/{run}.json"


rule all:
    input:
        [f"{WORK}/metrics.csv"] if JOBS else [],


for stage in runs.STAGES:
    names = [run for run, job in JOBS.items() if job.stage == stage]
    if not names:
        continue

    rule:
        name:
            stage
        input:
            lambda w: [run_file(run) for run in JOBS[w.run].needs if run in JOBS],
        output:
            run_file("{run}"),
        log:
            f"{WORK}/logs/{{run}}.log",
        wildcard_constraints:
            run="|".join(map(re.escape, names)),
        params:
            decisive=lambda w: JOBS[w.run].decisive(),
            code=lambda w: JOBS[w.run].code_hash(),
        priority: lambda w: 10 if JOBS[w.run].params.get("backbone") in SLOW else 1
        # Times are only honest when nothing runs beside them.
        threads: max(workflow.cores or 1, 1) if stage == "latency" else lambda w: JOBS[w.run].params["threads"]
        shell:
            "{PYTHON:q} -m modts.study.cli job {PROFILE.path:q} {wildcards.run:q}"


rule collect:
    input:
        [run_file(run) for run in JOBS],
    output:
        [f"{WORK}/{name}" for name in ("metrics.csv", "latency.csv", "effects.csv", "cohorts.json")],
    params:
        code=runs.hash_of(
            "study.collect", "study.effects", "learning.scores", "learning.intervals", "learning.resampling", "learning.meta"
        ),
    localrule: True
    shell:
        "{PYTHON:q} -m modts.study.cli collect {PROFILE.path:q}"


onstart:
    waiting = [job for job in workflow.dag.needrun_jobs() if job.rule.name in runs.STAGES]
    start_count(PROFILE.name, len(waiting))
    if workflow.local_exec and sum(job.rule.name != "baselines" for job in waiting) > 2:  # else it is not worth its start
        open_nursery(JOBS[waiting[0].wildcards.run].params["threads"], {**MEMORY, **os.environ})
