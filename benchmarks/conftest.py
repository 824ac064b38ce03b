"""Side by side: every benchmark times the project's way and a peer's in turn; a row of results/benchmarks.csv is their ratio.

    make bench          # all of them; one: .venv/bin/python -m pytest -c benchmarks/pytest.ini benchmarks/bench_heads.py

pytest-benchmark times ours; the peer is timed in the setup of each round, so that both see the same state of the machine. Rows of other
benchmarks stay as they are: a run replaces the rows that it measures.
"""

import csv
import os
import re
import time

import numpy as np
import pytest
import torch

from modts import runs
from modts.results import BENCHMARKS as COLUMNS

THREADS = len(os.sched_getaffinity(0))


@pytest.fixture(scope="session")
def written(request):
    """The rows of this session; they go to results/ when it ends."""
    rows, started, clock = [], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
    run, load = "bench-" + re.sub("[-:]", "", started), os.getloadavg()[0]
    torch.set_num_threads(THREADS)
    yield run, rows
    if not rows:
        return
    path = runs.results_dir() / "benchmarks.csv"
    new = {(row["name"], row["peer"]) for row in rows}
    old = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []
    kept = [row for row in old if (row["name"], row["peer"]) not in new]
    lines = [",".join(COLUMNS)]
    for row in sorted(kept + rows, key=lambda row: (row["part"], row["name"], row["peer"])):
        lines.append(",".join(f'"{row[c]}"' if "," in str(row[c]) else str(row[c]) for c in COLUMNS))
    runs.atomic_write(path, ("\n".join(lines) + "\n").encode())
    used = {row["run"] for row in kept} | {run}
    folder = runs.results_dir() / "benchmarks"
    for stale in folder.glob("*.json"):
        if stale.stem not in used:
            stale.unlink()
    runs.write_json(
        folder / f"{run}.json",
        {
            "run": run, "started": started, "seconds": round(time.perf_counter() - clock), "hardware": runs.hardware(),
            "threads": THREADS, "load_before": load,
            "code_version": runs.code_version(), "packages": runs.packages(),
            "command": " ".join([".venv/bin/python -m pytest", *request.config.invocation_params.args]),
        },
    )  # fmt: skip


@pytest.fixture
def record(written, request):
    """record(name, peer, ours, theirs, unit, ...): one row. `higher` if a larger value is better; the ratio is above 1 where ours is better."""
    run, rows = written

    def add(name, peer, ours, theirs, unit, target="", rounds=1, note="", higher=False):
        ratio = ours / theirs if higher else theirs / ours
        part = re.sub("^(bench|check)_", "", request.module.__name__)
        values = (
            part, name, peer, f"{ours:.6g}", f"{theirs:.6g}", f"{ratio:.4g}", unit, target, rounds, note, runs.hardware(), run,
        )  # fmt: skip
        rows.append(dict(zip(COLUMNS, values, strict=True)))
        print(f"\n{name}: ours {ours:.4g} {unit}, {peer} {theirs:.4g} {unit}, ratio {ratio:.3g}", flush=True)

    return add


@pytest.fixture
def compare(benchmark, record):
    """compare(name, peer, ours, theirs, ...): medians of both over the same rounds, after one uncounted round."""

    def run(name, peer, ours, theirs, rounds=7, unit="s", scale=1.0, **columns):
        spent = []

        def their_turn():
            clock = time.perf_counter()
            theirs()
            spent.append(time.perf_counter() - clock)

        benchmark.group = name
        benchmark.pedantic(ours, setup=their_turn, rounds=rounds, warmup_rounds=1)
        record(
            name,
            peer,
            benchmark.stats.stats.median * scale,
            float(np.median(spent[1:])) * scale,
            unit,
            rounds=rounds,
            **columns,
        )

    return run
