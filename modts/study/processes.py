"""A grid without papermill and Snakemake: each job is a process of Python that calls the stage's function, several of them beside each other.

For machines that have neither, such as a leased GPU, and where one split a process fills the card: a job of several seeds is cut into parts of
one seed each. A part is a whole run under a profile of its own (headline_30 of headline), and stores the units of work that the job then finds
and joins: its run file is the one that its notebook would write.
"""

from __future__ import annotations

import time

from modts import runs
from modts.errors import ModtsError

from . import jobs as running
from .jobs import Job

CUT = ("pretrain", "extract", "heads", "end_to_end", "transfer")  # stages whose units are stored seed by seed
POLL = 0.2  # seconds between two looks at what runs


def parts(jobs: dict[str, Job]) -> dict[str, Job]:
    """The same jobs, before each of several seeds one part a seed; a part needs the parts of its own seed."""
    found = {}
    for job in jobs.values():
        mine = []
        if job.stage in CUT and len(job.params["seeds"]) > 1:
            for seed in job.params["seeds"]:
                part = _part(job, seed)
                needs = [_part(jobs[need], seed).run for need in job.needs if need in jobs]
                needs = tuple(need for need in needs if need in found)
                mine.append(Job(part.run, part.stage, part.params, needs, job.run))
        found |= {part.run: part for part in mine}
        found[job.run] = Job(job.run, job.stage, job.params, (*job.needs, *(part.run for part in mine)))
    return found


def _part(job: Job, seed: int) -> Job:
    params = {**job.params, "profile": f"{job.params['profile']}_{seed}", "seeds": [seed]}
    return Job(runs.run_id(job.stage, params), job.stage, params)


def run(jobs: dict[str, Job], processes: int, until: float) -> bool:
    """Run jobs, `processes` beside each other, in their order; stop at `until` (seconds since 1970). True if a job failed.

    What is stopped goes on at the next call, a training at the epoch where it was; what needs a failed job is not started.
    """
    todo = {job.run: job for job in parts(jobs).values() if not job.done()}  # not yet done; a failed one stays
    active, failed = {}, set()
    try:
        while time.time() < until:
            for job in todo.values():
                ready = not set(job.needs) & set(todo) and job.run not in {*active, *failed}
                if ready and len(active) < processes:
                    active[job.run] = running.begin(job, plain=True), time.monotonic()
            if not active:
                break
            time.sleep(POLL)
            for name, (process, clock) in list(active.items()):
                if process.poll() is None:
                    continue
                del active[name]
                try:
                    running.check(todo[name], process.returncode)
                    del todo[name]
                    print(f"{name}  {time.monotonic() - clock:.0f} s", flush=True)
                except ModtsError as error:
                    print(error, flush=True)
                    failed.add(name)
    finally:
        for process, _ in active.values():
            process.terminate()
        for process, _ in active.values():
            running.end(process)
    return bool(failed)
