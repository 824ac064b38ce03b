"""Side by side: every benchmark times the project's way and a peer's in turn; a row of results/benchmarks.csv is their ratio.

    make bench                                      # all of them, with the memory settings of the project's jobs (modts.study.MEMORY)
    make bench BENCHMARKS=benchmarks/bench_heads.py  # one

pytest-benchmark times ours; the peer is timed in the setup of each round, so that both see the same state of the machine. Rows of other
benchmarks stay as they are: a run replaces the rows that it measures.
"""

import os
import re
import time

import numpy as np
import pytest
import torch

from modts import runs
from modts.book.columns import BENCHMARKS, ROOFLINE
from modts.study import MEMORY
from modts.study.collect import read_table, table

THREADS = len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(items):
    """The limits last: they are set beside what the others have measured."""
    items.sort(key=lambda item: item.module.__name__ == "bench_limits")


@pytest.fixture(scope="session")
def written(request):
    """The rows of this session, of benchmarks.csv and of roofline.csv; they go to results/ when it ends."""
    rows, limits, started, clock = [], [], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
    run, load = "bench-" + re.sub("[-:]", "", started), os.getloadavg()[0]
    torch.set_num_threads(THREADS)
    yield run, rows, limits
    if not rows and not limits:
        return
    used = {run}
    for name, columns, new in (("benchmarks.csv", BENCHMARKS, rows), ("roofline.csv", ROOFLINE, limits)):
        used |= {row["run"] for row in _replace(runs.results_dir() / name, columns, new)}
    folder = runs.results_dir() / "benchmarks"
    for stale in folder.glob("*.json"):
        if stale.stem not in used:
            stale.unlink()
    runs.write_json(
        folder / f"{run}.json",
        {
            "run": run,
            "started": started,
            "seconds": round(time.perf_counter() - clock),
            "hardware": runs.hardware(),
            "threads": THREADS,
            "load_before": load,
            "memory": {name: os.environ.get(name, "") for name in MEMORY},
            "code_version": runs.code_version(),
            "packages": runs.packages(),
            "command": " ".join([".venv/bin/python -m pytest", *request.config.invocation_params.args]),
        },
    )


def _replace(path, columns, new) -> list[dict]:
    """Write the rows of a table, the new ones in place of those of the same name and peer; returns all."""
    names = {(row["name"], row["peer"]) for row in new}
    rows = [row for row in read_table(path) if (row["name"], row["peer"]) not in names] + new
    if rows:
        rows.sort(key=lambda row: (row.get("part", ""), row["name"], row["peer"]))
        runs.atomic_write(path, table(rows, columns))
    return rows


@pytest.fixture
def roofline(written):
    """roofline(name, peer, counted, best): one row of results/roofline.csv, beside the row of that name and peer in benchmarks.csv.

    best : their seconds -> the ratio at the machine's limits (see bench_limits).
    """
    from bench_limits import machine

    run, rows, limits = written

    def add(name, peer, counted, best):
        old = read_table(runs.results_dir() / "benchmarks.csv")
        row = next((row for row in rows + old if (row["name"], row["peer"]) == (name, peer)), None)
        if row is None:
            pytest.skip(f"'{name}' beside '{peer}' has not been measured yet")
        ours, theirs = (float(row[side]) * {"s": 1.0, "ms": 1e-3}[row["unit"]] for side in ("ours", "theirs"))
        best = best(theirs)
        numbers = {**counted, "seconds": ours, "best": best, **machine()}
        limits.append(
            {
                "name": name,
                "peer": peer,
                **{key: f"{value:.6g}" for key, value in numbers.items()},
                "hardware": runs.hardware(),
                "run": run,
            }
        )
        print(f"\n{name}: {counted}, best ratio to {peer} {best:.3g}", flush=True)

    return add


@pytest.fixture
def record(written, request):
    """record(name, peer, ours, theirs, unit, ...): one row; the ratio is above 1 where ours is better.

    ours, theirs : of each round, in turn, or one number. With as many of both, the ratio is the median of the rounds' ratios, `low` and
        `high` their quartiles; else it is that of the medians.
    rounds : how many, where that is not the length of both.
    """
    run, rows, _ = written

    def add(name, peer, ours, theirs, unit, target="", rounds=None, note=""):
        ours, theirs = np.atleast_1d(ours), np.atleast_1d(theirs)
        rounds, mine, other = rounds or min(len(ours), len(theirs)), float(np.median(ours)), float(np.median(theirs))
        low, ratio, high = "", f"{other / mine:.4g}", ""
        if len(ours) == len(theirs) > 1:
            low, ratio, high = (f"{value:.4g}" for value in np.quantile(theirs / ours, (0.25, 0.5, 0.75)))
        part = re.sub("^(bench|check)_", "", request.module.__name__)
        values = (
            part,
            name,
            peer,
            f"{mine:.6g}",
            f"{other:.6g}",
            ratio,
            low,
            high,
            unit,
            target,
            rounds,
            note,
            runs.hardware(),
            run,
        )
        rows.append(dict(zip(BENCHMARKS, values, strict=True)))
        print(f"\n{name}: ours {mine:.4g} {unit}, {peer} {other:.4g} {unit}, ratio {ratio}", flush=True)

    return add


@pytest.fixture
def compare(benchmark, record):
    """compare(name, peer, ours, theirs, ...): both in turn over the same rounds, after one uncounted round."""

    def run(name, peer, ours, theirs, rounds=7, unit="s", scale=1.0, **columns):
        spent = []

        def their_turn():
            clock = time.perf_counter()
            theirs()
            spent.append(time.perf_counter() - clock)

        benchmark.group = name
        benchmark.pedantic(ours, setup=their_turn, rounds=rounds, warmup_rounds=1)
        mine, other = (scale * np.array(times) for times in (benchmark.stats.stats.data, spent[1:]))
        record(name, peer, mine, other, unit, **columns)

    return run
