"""How a learning rate goes on: constant, or annealed to nothing at the cap of epochs."""

from __future__ import annotations

import math

SCHEDULES = ("constant", "cosine")


def share_left(done: float) -> float:
    """Cosine annealing: which share of the learning rate is left when that share of the steps is done.

    >>> share_left(0.0), share_left(0.5), share_left(1.0)
    (1.0, 0.5, 0.0)
    """
    return (1 + math.cos(math.pi * done)) / 2
