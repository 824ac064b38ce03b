"""Kernels for a grid's notebooks that need not import PyPOTS again: forks of one process that has imported it, where Linux offers that.

PyPOTS takes 7 s of a processor to import, a third of a grid of short jobs. A nursery imports it once and waits at a socket. A notebook's kernel
is then this module as a client: it hands over its environment and its streams, stands for the fork as long as it lives, passes signals on and
ends as it did. What needs another number of threads, or finds no nursery, starts as an ordinary kernel. A card's driver does not survive a fork,
so a machine with one has no nursery.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from . import warden

PLACE = "MODTS_NURSERY"  # the folder of the nursery that a grid has opened
NAME = "modts"  # of its kernel, for Jupyter
# libraries read these once, when they are loaded
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SOCKET = "socket"


def possible() -> bool:
    """True where forks of a process that has imported PyTorch work."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and not Path("/dev/nvidiactl").exists()


def open_nursery(threads: int, environment: dict) -> subprocess.Popen | None:
    """Start a nursery, where one is possible, for jobs of so many threads. It ends with this process; jobs find it by `PLACE`."""
    if not possible():
        return None
    folder = Path(tempfile.mkdtemp(prefix="modts-"))
    argv = [sys.executable, "-m", __name__, "kernel", str(folder), "{connection_file}"]
    spec = folder / "kernels" / NAME
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": NAME, "language": "python"}))
    os.environ[PLACE] = str(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        # it is there before the first job is, which then waits for an answer
        listener.bind(str(folder / _SOCKET))
        listener.listen(64)
        return subprocess.Popen(
            [sys.executable, "-m", __name__, "serve", str(folder), str(os.getpid()), str(listener.fileno())],
            env={**environment, **dict.fromkeys(THREADS, str(threads))},
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


def kernel() -> tuple[str, dict[str, str]]:
    """The name of the kernel for a job's notebook, and what its environment needs beside."""
    folder = os.environ.get(PLACE, "")
    if not folder or not (Path(folder) / _SOCKET).exists():
        return "python3", {}
    return NAME, {"JUPYTER_PATH": os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH", "")]))}


# --- the nursery ---


def serve(folder: Path, parent: int, descriptor: int) -> None:
    """Import what notebooks import, then fork for each client, until the parent has gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    try:
        with socket.socket(fileno=descriptor) as listener:
            _import()
            listener.settimeout(1)
            while os.getppid() == parent:
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    if os.fork() == 0:
                        listener.close()
                        _keep(client)
                    client.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _import() -> None:
    import ipykernel.kernelapp  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import seaborn  # noqa: F401

    from modts.backbones import pypots

    pypots("imputation")


def _keep(client: socket.socket) -> None:
    """In a fork: have a kernel as a child, leave nothing of it behind when it or the client ends, and tell the client how it ended."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        warden.adopt()
        data, streams, _, _ = socket.recv_fds(client, 2**20, 3)
        while not data.endswith(b"\n"):
            data += client.recv(2**20) or b"\n"
        asked = json.loads(data)
        if any(asked["environment"].get(name) != os.environ[name] for name in THREADS):
            os._exit(0)  # the client helps itself
        pid = os.fork()
        if pid == 0:
            client.close()
            _live(asked, streams)
        client.sendall(f"{pid}\n".encode())
        kernel = os.pidfd_open(pid)
        select.select([client, kernel], [], [])  # a client says nothing more: it can be read when it has gone
        if select.select([kernel], [], [], 0)[0]:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            warden.end_all()
            client.sendall(f"{code}\n".encode())
    finally:
        warden.end_all()
        os._exit(0)


def _live(asked: dict, streams: list[int]) -> None:
    """In a fork of the keeper: be a kernel."""
    code = 1
    try:
        warden.end_with_parent(signal.SIGKILL)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.environ.pop("JPY_PARENT_PID", None)  # its parent is the keeper
        os.chdir(asked["folder"])
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance(argv=["-f", asked["connection"]])
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


# --- the client ---


def stand_for(folder: Path, connection: str) -> int:
    """Have the nursery fork a kernel, and end as it does; without a nursery, be an ordinary kernel."""
    asked = {"environment": dict(os.environ), "folder": os.getcwd(), "connection": connection}
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(str(folder / _SOCKET))
        data = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(server, [data], [0, 1, 2])
        server.sendall(data[sent:])
        said = server.makefile()
        pid = int(said.readline())
    except (OSError, ValueError):
        server.close()
        os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", "-f", connection])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    return warden.end_alike(int(said.readline() or 1))


if __name__ == "__main__":
    what, place, *more = sys.argv[1:]
    if what == "serve":
        serve(Path(place), *map(int, more))
    else:
        sys.exit(stand_for(Path(place), *more))
