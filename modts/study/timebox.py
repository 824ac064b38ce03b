"""A grid in a box of time, for leases, queues and laptops: it starts what fits by measured times, stops at the end, and says what is left.

What a stopped job has finished is kept (see `units`), and every file is whole, so the next box goes on from there.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

from . import processes as plainly
from .collect import all_runs
from .jobs import UNTIL, Job
from .profiles import Profile

MARGIN = 15.0  # seconds at the end in which what still runs is stopped and what is left is said


def estimate(job: Job, known: list[dict]) -> float | None:
    """Seconds that a job takes, from the records of runs; None where nothing like it was ever measured.

    The longest time of the same run with the same parameters; else of its stage and backbone, scaled by the number of seeds. The second can be
    far too short for larger networks: such a job is stopped at the end of the box, and what it finished is kept.
    """
    same = [record["seconds"] for record in known if record["run"] == job.run and job.same_as(record)]
    if same:
        return max(same)
    near = [
        record["seconds"] * len(job.params["seeds"]) / max(1, len(record["params"].get("seeds", [])))
        for record in known
        if record["stage"] == job.stage and record["params"].get("backbone") == job.params.get("backbone")
    ]
    return max(near, default=None)


def plan(
    jobs: dict[str, Job], seconds: float, cores: int, known: list[dict]
) -> tuple[list[Job], list[tuple[Job, float | None]]]:
    """Which jobs fit into the box, and which are left with what they would take. What is there already is neither.

    Jobs are laid on `cores` lanes in their order. One of unknown length takes the whole box: it starts only where nothing else does.
    """
    lanes, end, chosen, left = [0.0] * max(1, cores), {}, [], []
    for job in jobs.values():
        if job.done():
            end[job.run] = 0.0
            continue
        took = estimate(job, known)
        width = len(lanes) if job.stage == "latency" else min(job.params["threads"], len(lanes))
        lanes.sort()
        start = max([lanes[width - 1], *(end.get(need, math.inf) for need in job.needs if need in jobs)])
        stop = start + (seconds if took is None else took)
        if stop > seconds:
            left.append((job, took))
            continue
        chosen.append(job)
        end[job.run] = stop
        lanes[:width] = [stop] * width
    return chosen, left


def run(profile: Profile, minutes: float, cores: int, processes: int = 0) -> tuple[list[str], bool]:
    """Run what fits of a profile's grid. Returns lines on what is left, and whether a job failed for another reason than time.

    With `processes` so many processes of Python run beside each other, without papermill and Snakemake (see `processes`); then everything is
    started in its order, and what still runs at the end is stopped and goes on in the next box.

    Raises
    ------
    ModtsError
        The minutes or cores are no number above 0, or there is no Snakefile.
    """
    if not 0 < minutes < 1e6 or cores < 1 or processes < 0:
        raise ModtsError(f"A box of {minutes:g} minutes on {cores} cores cannot be filled; give numbers above 0.")
    until = time.time() + 60 * minutes - MARGIN
    jobs, code = profile.wanted(), 0
    if processes:
        code = plainly.run(jobs, processes, until)
    while not processes and not code and (left := until - time.time()) > 0:
        # what was of unknown length is measured now, so that more may fit
        chosen, _ = plan(jobs, left, cores, _measured())
        if not chosen:
            break
        code = _engine(profile, chosen, cores, until)
        if not any(job.done() for job in chosen):
            break
    known, over = _measured(), time.time() >= until
    left = [job for job in jobs.values() if not job.done()]
    times = [estimate(job, known) for job in left]
    lines = [
        f"left: {job.label}  {'never measured' if took is None else _words(took)}"
        for job, took in zip(left, times, strict=True)
    ]
    if left:
        whole = sum(took for took in times if took is not None)
        lines.append(
            f"{len(left)} of {len(jobs)} jobs are left, {_words(whole)} on one core by what was measured; the same command goes on."
        )
    failed = bool(code) and not over
    return lines, failed


def _measured() -> list[dict]:
    return [record for _, record in all_runs()]


def _engine(profile: Profile, chosen: list[Job], cores: int, until: float) -> int:
    """Snakemake on the run files of these jobs alone; each job looks at the end of the box itself."""
    home = runs.root()
    if not (home / "Snakefile").is_file():
        raise ModtsError(f"There is no Snakefile in {home}; run this from the project's folder.")
    targets = [str(job.path.relative_to(home) if job.path.is_relative_to(home) else job.path) for job in chosen]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        str(Path(profile.path).resolve()),
        "--cores",
        str(cores),
        "--keep-going",
    ]
    return subprocess.run([*command, "--", *targets], cwd=home, env={**os.environ, UNTIL: str(until)}).returncode


def _words(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} minutes"
