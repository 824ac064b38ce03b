"""What pretraining on more windows than memory holds takes: a million windows of 48 steps and 35 variables, read from a memory map.

    python benchmarks/million.py                     # writes a row of results/memory.csv; 7 GB of disk, some ten minutes
    python benchmarks/million.py --windows 50000

The windows are made up (a third of the values observed), the network is small: only memory is measured here. The peak is that of the process's
own memory; pages of the map that were read come on top, and go when the system needs them. A control group with a limit shows that they do:

    mkdir /sys/fs/cgroup/memory/million; echo 3G > /sys/fs/cgroup/memory/million/memory.limit_in_bytes
    echo $$ > /sys/fs/cgroup/memory/million/cgroup.procs; python benchmarks/million.py
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from modts import runs
from modts.backbones import Backbone, Scaler
from modts.book.columns import MEMORY
from modts.learning import pretrain
from modts.study.collect import table

STEPS, FEATURES, HIDDEN, BATCH, PART = 48, 35, 8, 1024, 10_000


def write_windows(path: Path, n: int) -> None:
    """n windows of noise around a level of their own, two thirds of the cells missing, as a memory map."""
    X, rng = np.lib.format.open_memmap(path, "w+", np.float32, (n, STEPS, FEATURES)), np.random.default_rng(0)
    for first in range(0, n, PART):
        part = X[first : first + PART]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32) + rng.standard_normal((len(part), 1, FEATURES))
        part[rng.random(part.shape, dtype=np.float32) < 2 / 3] = np.nan
        X.flush()


class Peak(threading.Thread):
    """The largest anonymous memory of this process, looked at ten times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.gigabytes, self.over = 0.0, threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            said = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
            self.gigabytes = max(self.gigabytes, int(said[1]) / 2**20)


def limit() -> str:
    """The memory limit of this process's control group in GB, or nothing."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, group = line.split(":", 2)
        for place in (
            f"memory{group}/memory.limit_in_bytes" if kinds == "memory" else "",
            f"{group.lstrip('/')}/memory.max" if not kinds else "",
        ):
            path = Path("/sys/fs/cgroup", place)
            said = path.read_text().strip() if place and path.is_file() else ""
            if said.isdigit() and int(said) < 2**50:
                return f"{int(said) / 2**30:.2f}"
    return ""


def measure(path: Path) -> dict:
    """One epoch of GRU-D on all windows but the last thousand, which validate."""
    runs.seed_everything(0, threads=1)
    peak = Peak()
    peak.start()
    clock, X = time.perf_counter(), np.load(path, mmap_mode="r")
    scaler, names = Scaler.fit(X[:-1000]), [f"x{i}" for i in range(FEATURES)]
    backbone = Backbone("GRU-D", STEPS, names, scaler, {"rnn_hidden_size": HIDDEN})
    pretrain(backbone, X[:-1000], X[-1000:], epochs=1, batch_size=BATCH, progress=None)
    peak.over.set()
    return {
        "windows": len(X),
        "steps": STEPS,
        "features": FEATURES,
        "backbone": "GRU-D",
        "file_gb": f"{path.stat().st_size / 2**30:.2f}",
        "peak_gb": f"{peak.gigabytes:.2f}",
        "limit_gb": limit(),
        "seconds": f"{time.perf_counter() - clock:.0f}",
        "code": runs.code_version(),
        "hardware": runs.hardware(),
    }


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--windows", type=int, default=1_000_000)
    given = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "windows.npy"
        write_windows(path, given.windows)
        row = measure(path)
    print(row)
    runs.atomic_write(runs.results_dir() / "memory.csv", table([row], MEMORY))


if __name__ == "__main__":
    main()
