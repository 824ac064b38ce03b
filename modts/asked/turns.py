"""One after another: a backbone keeps the states of a pass on itself, so that threads which read with it take turns."""

from __future__ import annotations

from threading import RLock


class Turn:
    """A lock that a copy, or what comes out of a pickle, has anew."""

    def __init__(self):
        self._lock = RLock()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *raised):
        return self._lock.__exit__(*raised)

    def __reduce__(self):
        return Turn, ()


def turn(backbone) -> Turn:
    """The lock of a backbone."""
    return vars(backbone).setdefault("_turn", Turn())
