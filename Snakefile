# The grid of a profile as a DAG; one job is one notebook for one cohort and one backbone, all its seeds.
#
#   snakemake --configfile profiles/quick.yaml --cores 2                     here (profiles/default holds the quiet settings)
#   snakemake --configfile profiles/paper.yaml --profile profiles/slurm      the same grid on a cluster
#
# A job's output is the run file that its notebook writes itself, whole, at the very end; the executed notebook is a log. What reruns a job:
# its parameters, the code that decides its numbers (both in `params`), its notebook, or a run that it needs.
import os
import re
import sys

from modts import jobs, profiles, runs
from modts.errors import ModtsError

try:
    if not workflow.configfiles:
        raise ModtsError("Name a profile, for example: snakemake --configfile profiles/quick.yaml --cores 2")
    PROFILE = profiles.read_profile(workflow.configfiles[-1])
    if config != profiles.read_yaml(PROFILE.path):
        raise ModtsError(f"Settings come from one profile file; change {PROFILE.path} or copy it instead of using --config.")
    JOBS = PROFILE.wanted()
except ModtsError as error:
    raise WorkflowError(str(error)) from None

WORK = runs.work_dir() / PROFILE.name
WORK = WORK.relative_to(os.getcwd()) if WORK.is_relative_to(os.getcwd()) else WORK
MODTS = f"{sys.executable} -m modts.cli"
SLOW = ("CSAI", "BRITS", "GRU-D")  # recurrent, hence first: the grid then ends sooner

# A run file made by hand under this profile's name with other parameters is not the grid's: its job runs again.
if workflow.is_main_process and not workflow.dryrun:
    for job in JOBS.values():
        profiles.drop_foreign(job)


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
            notebook=lambda w: JOBS[w.run].notebook or [],
            needs=lambda w: [run_file(run) for run in JOBS[w.run].needs if run in JOBS],
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
        resources:
            mem_mb=6000,
            runtime=1440,  # minutes
        shell:
            f"{MODTS} job {PROFILE.path} {{wildcards.run}}"


rule collect:
    input:
        [run_file(run) for run in JOBS],
    output:
        [f"{WORK}/{name}" for name in ("metrics.csv", "latency.csv", "paired.csv", "cohorts.json")],
    log:
        f"{WORK}/logs/collect.log",
    params:
        code=profiles.hash_of("collect.py", "scores.py"),
    localrule: True
    shell:
        f"{MODTS} collect {PROFILE.path} > {{log}} 2>&1"


onstart:
    waiting = [job for job in workflow.dag.needrun_jobs() if job.rule.name in runs.STAGES]
    jobs.start_count(PROFILE.name, len(waiting))
