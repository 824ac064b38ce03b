"""Latency: what is counted, what is not, and in which order stages run. No test depends on how fast the machine is."""

import gc
import time

import numpy as np
import pytest
import torch

from modts.errors import ModtsError
from modts.serving import latency


def one(fn):
    return {"way": {"call": lambda _: fn()}}


def test_warm_up_is_not_counted_and_calls_are_timed_one_by_one():
    calls = []

    def fn():
        calls.append(torch.is_grad_enabled())
        time.sleep(0.03 if len(calls) <= 3 else 0.001)  # slow at first, as real models are

    took = latency.times(one(fn), None, calls=9, burst=9, warmup=2)["way"]["total"]
    assert len(calls) == 2 + 1 + 9 and not any(calls)  # the first call of a burst does not count
    assert len(took) == 9 and 0.001 <= np.median(took) < 0.025
    assert gc.isenabled()


def test_a_99th_percentile_is_of_a_thousand_calls_or_not_said():
    spent = np.full(1000, 0.001)
    spent[:11] = 0.05
    assert latency.late(spent) == 0.05 and latency.late(spent[:999]) is None
    rows = latency.measure(one(lambda: None), np.zeros, batches=(1,), calls=1000)
    assert rows[0]["repeats"] == 1000 and 0 < rows[0]["p50_ms"] <= rows[0]["p99_ms"]
    assert latency.measure(one(lambda: None), np.zeros, batches=(1,), calls=999)[0]["p99_ms"] is None


def test_a_budget_ends_early_but_not_before_five():
    assert len(latency.times(one(lambda: time.sleep(0.01)), None, budget_s=0.0)["way"]["total"]) == 5
    assert len(latency.times(one(lambda: None), None, calls=7, budget_s=60)["way"]["total"]) == 7


def test_a_gpu_is_synchronised_before_each_reading(monkeypatch):
    waits = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: waits.append(device))
    latency.times(one(lambda: None), None, calls=4, burst=4, device="cuda:0")
    assert len(waits) == 1 + 1 + 4 and set(waits) == {
        torch.device("cuda:0")
    }  # warm-up, the call before the burst, each
    latency.times(one(lambda: None), None, calls=4, device="cpu")
    assert len(waits) == 6


def test_ways_take_turns_and_stages_are_fed_by_the_one_before():
    seen, lines = [], []

    def stage(name):
        def run(x):
            seen.append((name, float(np.max(x))))
            return x + 1

        return run

    ways = {way: {"inputs": stage(f"{way} inputs"), "head": stage(f"{way} head")} for way in ("a", "b")}
    settings = {"calls": 4, "burst": 2, "warmup": 0}
    rows = latency.measure(ways, np.zeros, batches=(1, 3), progress=lines.append, **settings)
    stages = ("inputs", "head", "total")
    assert [(r["way"], r["stage"], r["batch"]) for r in rows] == [
        (w, s, b) for b in (1, 3) for w in "ab" for s in stages
    ]
    assert set(rows[0]) == {"way", "stage", "batch", "p50_ms", "p99_ms", "repeats", "threads"} and len(lines) == 12
    assert {value for name, value in seen if "head" in name} == {1.0} and {v for n, v in seen if "inputs" in n} == {0.0}
    order = [name[0] for name, _ in seen[: len(seen) // 2]]
    turns = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert turns == ["a", "b", "a", "b"]  # two bursts each


def test_stages_add_up_to_the_total(monkeypatch):
    now = [0.0]

    def lasting(seconds):
        return lambda x: now.__setitem__(0, now[0] + seconds)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    ways = {"w": {"inputs": lasting(0.004), "backbone": lasting(0.012)}}
    rows = {row["stage"]: row["p50_ms"] for row in latency.measure(ways, np.zeros, batches=(1,), calls=20)}
    assert rows == pytest.approx({"inputs": 4, "backbone": 12, "total": 16})


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: latency.times(one(lambda: None), None, calls=0), "calls >= 1"),
        (lambda: latency.measure({}, np.zeros), "named stages"),
        (lambda: latency.measure({"way": {}}, np.zeros), "named stages"),
        (lambda: latency.measure({"way": {"total": np.sin}}, np.zeros), "'total'"),
        (lambda: latency.measure({"way": {"head": np.sin}}, np.zeros, batches=(0, 1)), "at least 1"),
    ],
)
def test_mistakes_are_said(call, words):
    with pytest.raises(ModtsError, match=words):
        call()
