"""Honest timing of prediction: from a raw window with gaps to a number, stage by stage and in one piece. One clock for the notebook, the
grid and the benchmarks.

What makes it honest: all ways are timed in turn, so that they see the same machine, each in short bursts after a call that does not count (a
server answers with one model, and does not find the others' weights in the cache); a GPU is synchronised before the clock is read (its calls
return before the work is done); the total is timed as a whole, and beside each such call one goes through the stages with a look at the clock
between them, so that stages and total are of the same moment; the garbage collector waits; gradients are off for every model alike. A 99th
percentile is said where there are 1,000 calls or more: of 30 it would be the slowest one. The paper (arXiv 2411.03941) reports "up to 3x"
without hardware or batch size; these rows name both, and the number of threads.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from modts.errors import ModtsError

BATCHES = (1, 8, 64, 512)
TOTAL = "total"
ENOUGH = 1000  # calls of which a 99th percentile says something
LEAST = 5  # calls of each way, whatever the budget

Way = Mapping[str, Callable]  # stages in their order, each taking what the one before it hands over


def times(
    ways: Mapping[str, Way],
    given,
    calls: int = ENOUGH,
    burst: int = 10,
    warmup: int = 3,
    device=None,
    budget_s: float | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Time several ways from the same input, in turn.

    Parameters
    ----------
    ways : dict of str to dict of str to callable
        Each a chain of stages, in order; a stage must not change what it is given. A way of one stage has a total alone.
    given : object
        The first stages' argument (raw windows, NaN = missing).
    calls : int
        Timed calls of each way.
    burst : int
        So many in a row before it is the next one's turn; the call before them does not count.
    warmup : int
        Calls of each way before all that.
    device : str or torch.device, optional
        "cuda" waits for the GPU before each reading of the clock. None does so if this process has used CUDA.
    budget_s : float, optional
        A way stops after so many seconds of timed calls, but not before 5 of them.

    Returns
    -------
    dict of str to dict of str to (calls,) array
        Seconds a call: way -> stage (the way's own names and "total").

    Raises
    ------
    ModtsError
        No ways, a way without stages or with a stage called "total", fewer than one timed call, or fewer than zero warm-up calls.
    """
    import torch

    if not ways or any(not stages or TOTAL in stages for stages in ways.values()):
        names = {way: list(stages) for way, stages in ways.items()}
        raise ModtsError(f"Timing needs ways of named stages, none of them called {TOTAL!r}, but they are {names}.")
    if calls < 1 or burst < 1 or warmup < 0:
        raise ModtsError(
            f"Timing needs calls >= 1, burst >= 1 and warmup >= 0, but they are {calls}, {burst}, {warmup}."
        )
    wait, clock, collecting = _waiting(device), time.perf_counter, gc.isenabled()
    spent = {
        way: {stage: [] for stage in (*(stages if len(stages) > 1 else ()), TOTAL)} for way, stages in ways.items()
    }

    def whole(stages):
        value = given
        for stage in stages.values():
            value = stage(value)

    def turn(way, stages):
        """One burst of a way; True if it has enough."""
        took = spent[way]
        whole(stages)
        wait()
        for _ in range(burst):
            start = clock()
            whole(stages)
            wait()
            took[TOTAL].append(clock() - start)
            if len(stages) > 1:
                value = given
                for name, stage in stages.items():
                    start = clock()
                    value = stage(value)
                    wait()
                    took[name].append(clock() - start)
            over = budget_s is not None and len(took[TOTAL]) >= LEAST and sum(map(sum, took.values())) > budget_s
            if over or len(took[TOTAL]) >= calls:
                return True
        return False

    with torch.inference_mode():
        for stages in ways.values():
            for _ in range(warmup):
                whole(stages)
        wait()
        gc.collect()
        gc.disable()
        try:
            waiting = dict(ways)
            while waiting:
                waiting = {way: stages for way, stages in waiting.items() if not turn(way, stages)}
        finally:
            if collecting:
                gc.enable()
    return {way: {stage: np.array(seconds) for stage, seconds in took.items()} for way, took in spent.items()}


def late(seconds: np.ndarray) -> float | None:
    """The 99th percentile, an observed call; None of fewer than 1,000 calls."""
    return float(np.quantile(seconds, 0.99, method="higher")) if len(seconds) >= ENOUGH else None


def measure(
    ways: Mapping[str, Way],
    make_input: Callable[[int], object],
    batches: Sequence[int] = BATCHES,
    progress: Callable[[str], None] | None = None,
    **settings,
) -> list[dict]:
    """Time several ways at several batch sizes.

    Parameters
    ----------
    ways
        See `times`. For the modular model the stages inputs, backbone, head: `inputs(window)` -> tensors, `backbone(tensors)` -> latents,
        `head(latents)` -> prediction.
    make_input : callable
        Batch size -> raw windows. Not timed.
    batches : sequence of int
    progress : callable, optional
        Called with one line per row.
    **settings
        Of `times`; calls and budget hold for one way at one batch size.

    Returns
    -------
    list of dict
        way, stage (a key of the way, or "total"), batch, p50_ms, p99_ms (None of fewer than 1,000 calls), repeats (timed calls), threads.

    Raises
    ------
    ModtsError
        See `times`; and a batch size below 1.

    Examples
    --------
    >>> rows = measure({"modular": {"inputs": lambda x: x + 1, "head": lambda x: x.sum()}}, np.zeros, batches=(1, 2), calls=5)
    >>> [(row["stage"], row["batch"]) for row in rows]
    [('inputs', 1), ('head', 1), ('total', 1), ('inputs', 2), ('head', 2), ('total', 2)]
    """
    import torch

    batches = [int(batch) for batch in batches]
    if not batches or min(batches) < 1:
        raise ModtsError(f"Batch sizes must be whole numbers of at least 1, but they are {batches}.")
    rows = []
    for batch in batches:
        for way, took in times(ways, make_input(batch), **settings).items():
            for stage, seconds in took.items():
                p50, p99 = 1e3 * float(np.median(seconds)), late(seconds)
                p99 = None if p99 is None else 1e3 * p99
                counted = {"repeats": len(seconds), "threads": torch.get_num_threads()}
                rows.append({"way": way, "stage": stage, "batch": batch, "p50_ms": p50, "p99_ms": p99, **counted})
                if progress:
                    progress(f"batch {batch:4d}  {way} {stage:10s} p50 {p50:9.3f} ms, {len(seconds)} calls")
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
