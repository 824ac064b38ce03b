"""One job of the grid: what it is, and how it runs: its notebook, by papermill, in a process of its own; or its stage's function alone.

papermill writes the executed notebook in place, so that a killed run leaves a plausible file: it goes to the logs.
Success is the run file, which the notebook writes last and whole.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

from . import nursery, warden
from .carry import back

# glibc keeps the memory that a step frees for the next one, instead of handing it back and fetching it page by page
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
UNTIL = "MODTS_UNTIL"  # seconds since 1970 after which no job starts or goes on (see timebox)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Parameters that a stage takes because it inherits them, or to check that both kinds of arms have a choice: they change no number of it.
UNUSED = {
    "end_to_end": {"draws", "head_lrs", "head_weight_decays", "head_epochs", "head_patience"},
    "latency": {"external"},
}
# What every stage runs through beside the modules that decide its units: a change there repeats the run, though not its stored units.
ALWAYS = runs.STUDY


@dataclass(frozen=True)
class Job:
    """One job: run id, stage, all its parameters, the runs that must exist before it, and of a part (see processes) the run that joins it."""

    run: str
    stage: str
    params: dict
    needs: tuple[str, ...] = ()
    whole: str = ""

    @property
    def path(self) -> Path:
        """The run file that its notebook writes last."""
        return runs.run_path(self.run)

    @property
    def notebook(self) -> Path | None:
        """The notebook, or None for the baselines, which need none."""
        return None if self.stage == "baselines" else runs.root() / "notebooks" / f"{self.stage}.ipynb"

    @property
    def label(self) -> str:
        """Such as "extract simulated_icu SAITS", or "transfer simulated_icu > simulated_ward SAITS"."""
        cohort = Path(self.params["cohort"]).stem
        cohort = f"{self.params['source']} > {cohort}" if self.params.get("source") else cohort
        words = [
            self.stage,
            cohort,
            runs.backbone_label(self.params.get("backbone", "")),
            self.params.get("variant", ""),
        ]
        return " ".join(filter(None, words))

    def decisive(self) -> dict:
        """The parameters that decide this job's numbers."""
        return decisive(self.stage, self.params)

    def code_hash(self) -> str:
        """Over the modules that decide this job's numbers or put them into its run file, and the notebook's code.

        Content, not time of change: comments, layout, a notebook's text and its stored outputs do not count.
        """
        numbers = runs.code_hash(self.stage, self.params.get("backbone", ""), rows=True)
        return "-".join([numbers, runs.hash_of(*ALWAYS), *([_cells(self.notebook)] if self.notebook else [])])

    def done(self) -> bool:
        """True if its run file is there, made with its parameters."""
        return self.path.is_file() and self.same_as(_record(self.path))

    def published(self) -> bool:
        """True if it is published, made with its parameters."""
        path = runs.published_path(self.run)
        return path.is_file() and self.same_as(_record(path))

    def same_as(self, record: dict) -> bool:
        """True if a run record was made with this job's parameters."""
        return record.get("stage") == self.stage and decisive(self.stage, record.get("params", {})) == self.decisive()


def decisive(stage: str, params: dict) -> dict:
    """Those of a run's parameters that decide its numbers."""
    return {name: value for name, value in params.items() if name not in UNUSED.get(stage, ())}


def _record(path: Path) -> dict:
    """A run file's content; a ModtsError if it is none."""
    record = runs.read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("params", {}), dict):
        raise ModtsError(f"{path} is not a run file; delete it and run its job again.")
    return record


def _cells(notebook: Path) -> str:
    """Twelve hex digits over a notebook's code, without its parameters cell, which every job overwrites."""
    cells = [cell for cell in runs.read_json(notebook)["cells"] if cell["cell_type"] == "code"]
    return runs.key(
        {"code": ["".join(cell["source"]) for cell in cells if "parameters" not in cell["metadata"].get("tags", [])]}
    )


def drop_foreign(job: Job) -> None:
    """Remove a local run file that was made with other parameters (a notebook run by hand), or that cannot be read."""
    if job.path.is_file():
        try:
            mine = job.same_as(_record(job.path))
        except ModtsError:
            mine = False
        if not mine:
            job.path.unlink()


# --- running it ---


def command(job: Job, log: Path, plain: bool = False, kernel: str = "python3") -> list[str]:
    """What runs a job: papermill with its notebook, or for the baselines, and all that is `plain`, our command line."""
    import yaml

    values = base64.b64encode(
        yaml.safe_dump(job.params).encode()
    ).decode()  # base64: no shell or YAML reading in between changes a value
    if plain or job.notebook is None:
        return [sys.executable, "-m", "modts.study.cli", "stage", job.stage, values]
    return [
        sys.executable,
        "-m",
        "papermill",
        str(job.notebook),
        str(log.with_suffix(".ipynb")),
        "-b",
        values,
        "-k",
        kernel,
        "--no-progress-bar",
    ]


def run_job(job: Job) -> None:
    """Run a job to its end and print one line.

    Raises
    ------
    ModtsError
        The job failed: the sentence from its log, and where the log lies. Or there is no room for a log.
    """
    remains = float(os.environ.get(UNTIL, "inf")) - time.time()
    if remains <= 0:
        raise ModtsError(f"{job.label} was not started: the time is over.")
    clock = time.perf_counter()
    process = begin(job)
    with _passing_on(process):
        try:
            code = process.wait(None if remains == float("inf") else remains)
        except subprocess.TimeoutExpired:
            end(process)
            raise ModtsError(f"{job.label} was stopped: the time is over; what it has finished is kept.") from None
    check(job, code)
    done, total = _count(job.params["profile"])
    counted = f"[{done:{len(str(total))}d}/{total}] " if total else ""
    print(f"{counted}{job.label}  {time.perf_counter() - clock:.0f} s", flush=True)


def begin(job: Job, plain: bool = False) -> subprocess.Popen:
    """Start a job under a warden, its carried units in their places; its output goes to its log."""
    back(job.whole or job.run)
    log = _log(job)
    threads = {name: str(job.params["threads"]) for name in nursery.THREADS}
    kernel, its = nursery.kernel()
    with _opened(log, job.path) as file:
        return subprocess.Popen(
            warden.command(command(job, log, plain, kernel)),
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=runs.root(),
            env={**MEMORY, **os.environ, **threads, **its},
            start_new_session=True,  # what kills this process's group leaves the warden to clear up
        )


def check(job: Job, code: int) -> None:
    """Raise a ModtsError unless a job that ended with this exit status wrote its run file, with its own parameters."""
    log = _log(job)
    if code or not job.path.is_file():
        raise ModtsError(f"{job.label} failed: {reason(log.read_text(errors='replace'), code)} (log: {_shown(log)})")
    if not job.same_as(_record(job.path)):
        job.path.unlink()
        raise ModtsError(
            f"{job.label} wrote a run file with other parameters than the profile's; look at {_shown(log)}."
        )


def _log(job: Job) -> Path:
    return runs.work_dir() / job.params["profile"] / "logs" / f"{job.run}.log"


def reason(text: str, code: int = 1) -> str:
    """The one sentence in a log that says what went wrong.

    >>> reason("Traceback (most recent call last):\\n  ...\\nModtsError: Unknown cohort 'x'.\\n")
    "Unknown cohort 'x'."
    """
    lines = [line.strip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    said = [line.split("ModtsError: ", 1)[1] for line in lines if "ModtsError: " in line]
    if said:
        return said[-1]
    if code < 0:
        return f"it was killed (signal {-code})"
    errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", line)]
    return (errors or lines or [f"exit status {code}"])[-1]


def _opened(log: Path, result: Path):
    """A job's log, open; its run file of before is gone. A log takes a page at once, so that a full disk is noticed here."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        runs.atomic_write(log, b" " * 4096)
        return open(log, "wb")
    except OSError as error:
        raise ModtsError(f"{log} cannot be written ({error.strerror or error}).") from None


@contextlib.contextmanager
def _passing_on(process: subprocess.Popen):
    """Whoever stops this process stops the job's too."""

    def stop(number, frame):  # ends nothing itself: it may interrupt a wait, which holds a lock that another wait needs
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            end(process)


def end(process: subprocess.Popen) -> None:
    """Ask a job's warden to stop, which it does in a few seconds."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(warden.PATIENCE + 15)
    process.kill()


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


# --- how far the grid is ---


def _counter(profile: str) -> Path:
    return runs.work_dir() / profile / "logs" / "count.json"


def start_count(profile: str, total: int) -> None:
    """Begin a grid of so many jobs."""
    runs.write_json(_counter(profile), {"done": 0, "total": total})


def _count(profile: str) -> tuple[int, int]:
    """Add one finished job; (0, 0) when the job was started by hand, outside a grid."""
    import fcntl

    path = _counter(profile)
    if not path.is_file():
        return 0, 0
    with open(path, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = json.load(file)
        state["done"] += 1
        file.seek(0)
        json.dump(state, file)
        file.truncate()
    return (state["done"], state["total"]) if state["done"] <= state["total"] else (0, 0)
