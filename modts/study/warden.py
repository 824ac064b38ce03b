"""A job's warden: the process between `modts job` and what it starts, so that nothing of a job outlives it.

A notebook's kernel has a session of its own, so that stopping papermill or its process group does not reach it, and a `modts job` that was
killed can stop nobody. The warden adopts whatever its job leaves behind, and ends all of it when the job is over, when it is told to stop, and
when `modts job` has gone, however that ended. Linux alone offers this; elsewhere the warden passes signals on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_PDEATHSIG, _SUBREAPER = 1, 36  # of prctl(2): a signal when the parent dies; orphans below become our children
PATIENCE = 5.0  # seconds for a notebook to close by itself


def command(job: list[str]) -> list[str]:
    """What runs a job's command under a warden of this process."""
    return [sys.executable, "-m", __name__, str(os.getpid()), *job]


def end_from_a_thread(scheduler: type) -> None:
    """Let Snakemake's scheduler take a SIGTERM in a thread.

    Its handler asks for locks that the thread which it interrupts may hold at that very moment, just after the start, and would then wait for
    itself for ever (Snakemake 9.27: one of 67 kills left the grid hanging).
    """
    gracefully = scheduler.exit_gracefully

    def exit_gracefully(self, *args):
        threading.Thread(target=gracefully, args=(self, *args), daemon=True).start()

    scheduler.exit_gracefully = exit_gracefully


def main(parent: int, job: list[str]) -> int:
    """Run a command to its end, and leave nothing of it behind. Returns its exit status; a signal that ended it ends the warden too."""

    def stop(number, frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    adopt()
    end_with_parent()
    if os.getppid() != parent:  # it went before it could be noticed
        return 1
    process = subprocess.Popen(job)
    try:
        code = process.wait()
    except SystemExit:
        if os.getppid() == parent:  # asked to stop, not orphaned: there is time to close files
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if process.poll() is None:
            process.kill()
        end_all()
    return end_alike(code)


def end_alike(code: int) -> int:
    """End this process by the signal that ended another, told by its code; else return the code."""
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def end_all(deadline: float = 10.0) -> None:
    """Kill every process below this one, again until there is none: one may have started another in between."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        for pid in below(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # orphans become our children, so now there is nobody
            return
        time.sleep(0.01)


def below(pid: int) -> set[int]:
    """Every process that descends from this one; none where there is no /proc."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(place.parent.name)] = int(place.read_text(errors="replace").rpartition(")")[2].split()[1])
    found, grown = set(), {pid}
    while grown:
        grown = {child for child, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def adopt() -> None:
    """What is orphaned below this process becomes its child."""
    _prctl(_SUBREAPER, 1)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """This process gets a signal when its parent has gone, however that ended."""
    _prctl(_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
