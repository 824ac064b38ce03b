"""Honest timing of prediction: from a raw window with gaps to a number, stage by stage and in one piece.

What makes it honest: the first calls are not counted (allocation, kernel selection), a GPU is synchronised before the
clock is read (its calls return before the work is done), every call is timed on its own so that p99 means something,
the garbage collector waits, gradients are off for every model alike, and the total is timed as a whole instead of being
the sum of the stages. The number of threads is recorded with each row: one model on 2 threads and another on 16 cannot
be compared. The paper (arXiv 2411.03941) reports "up to 3x" without hardware or batch size; these rows name both.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from modts.errors import ModtsError

BATCHES = (1, 8, 64, 512)
TOTAL = "total"


def time_call(fn, warmup=3, repeats=30, device=None, budget_s=None):
    """Time a function call by call.

    Parameters
    ----------
    fn : callable without arguments
    warmup : int
        Calls before the clock starts.
    repeats : int
        Timed calls.
    device : str or torch.device, optional
        "cuda" waits for the GPU before each reading of the clock. None does so if this process has used CUDA.
    budget_s : float, optional
        Stop after this many seconds of timed calls, but not before 5 of them; `repeats` in the result says how many
        there were.

    Returns
    -------
    dict
        p50_ms and p99_ms: milliseconds a call (p99 is an observed call: the slowest where there are fewer than 100);
        repeats: int; threads: int, PyTorch's threads on the CPU.

    Raises
    ------
    ModtsError
        Fewer than one timed call, or fewer than zero warm-up calls.
    """
    import torch

    if repeats < 1 or warmup < 0:
        raise ModtsError(f"Timing needs repeats >= 1 and warmup >= 0, but they are {repeats} and {warmup}.")
    wait = _waiting(device)
    spent, collecting = [], gc.isenabled()
    with torch.inference_mode():
        for _ in range(warmup):
            fn()
        wait()
        gc.collect()
        gc.disable()
        try:
            while len(spent) < repeats:
                start = time.perf_counter()
                fn()
                wait()
                spent.append(time.perf_counter() - start)
                if budget_s is not None and len(spent) >= 5 and sum(spent) > budget_s:
                    break
        finally:
            if collecting:
                gc.enable()
    p99 = np.quantile(spent, 0.99, method="higher")
    return {
        "p50_ms": 1e3 * float(np.median(spent)),
        "p99_ms": 1e3 * float(p99),
        "repeats": len(spent),
        "threads": torch.get_num_threads(),
    }


def measure(
    stages: Mapping[str, Callable],
    make_input: Callable[[int], object],
    batches: Sequence[int] = BATCHES,
    warmup: int = 3,
    repeats: int = 30,
    device=None,
    budget_s: float | None = None,
    progress: Callable[[str], None] | None = None,
):
    """Time a chain of stages at several batch sizes: each stage on what the one before it hands over, and the whole
    chain.

    Parameters
    ----------
    stages : dict of str to callable, in order
        For the modular model inputs, backbone, head: `inputs(window)` -> tensors, `backbone(tensors)` -> latents,
        `head(latents)` -> prediction. Each takes the output of the one before it; a stage must not change what it is
        given.
    make_input : callable
        Batch size -> the first stage's argument (raw windows, NaN = missing). Not timed.
    batches : sequence of int
    warmup, repeats, device, budget_s
        See `time_call`; the budget holds for one stage at one batch size.
    progress : callable, optional
        Called with one line per row.

    Returns
    -------
    list of dict
        stage (a key of `stages`, or "total"), batch, p50_ms, p99_ms, repeats, threads.

    Raises
    ------
    ModtsError
        No stages, a stage called "total", or a batch size below 1.

    Examples
    --------
    >>> rows = measure({"inputs": lambda x: x + 1, "head": lambda x: x.sum()}, np.zeros, batches=(1, 2), repeats=5)
    >>> [(row["stage"], row["batch"]) for row in rows]
    [('inputs', 1), ('head', 1), ('total', 1), ('inputs', 2), ('head', 2), ('total', 2)]
    """
    import torch

    if not stages or TOTAL in stages:
        raise ModtsError(f"Timing needs named stages, none of them called {TOTAL!r}, but they are {list(stages)}.")
    batches = [int(batch) for batch in batches]
    if not batches or min(batches) < 1:
        raise ModtsError(f"Batch sizes must be whole numbers of at least 1, but they are {batches}.")
    settings = {"warmup": warmup, "repeats": repeats, "device": device, "budget_s": budget_s}
    rows = []

    def record(stage, batch, fn):
        rows.append({"stage": stage, "batch": batch, **time_call(fn, **settings)})
        if progress:
            progress(
                f"batch {batch:4d}  {stage:10s} p50 {rows[-1]['p50_ms']:9.3f} ms  p99 {rows[-1]['p99_ms']:9.3f} ms"
            )

    for batch in batches:
        first = given = make_input(batch)
        for name, stage in stages.items():
            record(name, batch, lambda stage=stage, given=given: stage(given))
            with torch.inference_mode():
                given = stage(given)

        def whole(value=first):
            for stage in stages.values():
                value = stage(value)
            return value

        record(TOTAL, batch, whole)
    return rows


def _waiting(device):
    """What to call before reading the clock: wait for the GPU, or nothing."""
    import torch

    if device is None:
        cuda = torch.cuda.is_initialized()
    else:
        cuda = torch.device(device).type == "cuda"
    if not cuda:
        return lambda: None
    where = None if device is None else torch.device(device)
    return lambda: torch.cuda.synchronize(where)
