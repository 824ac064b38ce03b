"""Latency: what is counted, what is not, and in which order stages run. No test depends on how fast the machine is."""

import gc
import time

import numpy as np
import pytest
import torch

from modts.errors import ModtsError
from modts.serving import latency


def test_warm_up_is_not_counted_and_calls_are_timed_one_by_one():
    calls = []

    def fn():
        calls.append(torch.is_grad_enabled())
        time.sleep(0.03 if len(calls) <= 2 else 0.001)  # slow at first, as real models are

    got = latency.time_call(fn, warmup=2, repeats=9)
    assert len(calls) == 11 and not any(calls)
    assert 1 <= got["p50_ms"] < 25 and got["p50_ms"] <= got["p99_ms"]
    assert got["repeats"] == 9 and got["threads"] == torch.get_num_threads()
    assert gc.isenabled()


def test_p99_sees_the_slow_call():
    count = iter(range(100))
    got = latency.time_call(lambda: time.sleep(0.05 if next(count) == 7 else 0), warmup=0, repeats=20)
    assert got["p99_ms"] >= 50 > got["p50_ms"]


def test_budget_ends_early_but_not_before_five():
    assert latency.time_call(lambda: time.sleep(0.01), warmup=0, repeats=1000, budget_s=0.0)["repeats"] == 5
    assert latency.time_call(lambda: None, warmup=0, repeats=7, budget_s=60)["repeats"] == 7


def test_cuda_is_synchronised_before_each_reading(monkeypatch):
    waits = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: waits.append(device))
    latency.time_call(lambda: None, warmup=3, repeats=4, device="cuda:0")
    assert len(waits) == 5 and set(waits) == {torch.device("cuda:0")}  # once after the warm-up, then after each call
    latency.time_call(lambda: None, warmup=3, repeats=4, device="cpu")
    assert len(waits) == 5


def test_stages_are_chained_and_the_total_is_timed_by_itself():
    seen, lines = [], []

    def inputs(x):
        seen.append(("inputs", len(x)))
        return x + 1

    def head(x):
        seen.append(("head", float(x[0])))
        return x

    rows = latency.measure(
        {"inputs": inputs, "head": head}, np.zeros, batches=(1, 4), warmup=1, repeats=2, progress=lines.append
    )
    assert [(r["stage"], r["batch"]) for r in rows] == [(s, b) for b in (1, 4) for s in ("inputs", "head", "total")]
    assert set(rows[0]) == {"stage", "batch", "p50_ms", "p99_ms", "repeats", "threads"} and len(lines) == 6
    assert {value for name, value in seen if name == "head"} == {1.0}  # always fed by the stage before it
    # per batch: 3 timed alone, 1 to hand over, 3 in the total
    assert sum(name == "inputs" and n == 4 for name, n in seen) == 7


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: latency.time_call(lambda: None, repeats=0), "repeats >= 1"),
        (lambda: latency.measure({}, np.zeros), "named stages"),
        (lambda: latency.measure({"total": np.sin}, np.zeros), "'total'"),
        (lambda: latency.measure({"head": np.sin}, np.zeros, batches=(0, 1)), "at least 1"),
    ],
)
def test_mistakes_are_said(call, words):
    with pytest.raises(ModtsError, match=words):
        call()
