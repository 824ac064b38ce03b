"""A room's front door: which of its names others may use, each loaded from its module when it is first asked for.

A room (a package below `modts`) offers its names in its `__init__`; other rooms import them from there and nothing else. Loading on demand keeps
`import modts` and the command line quick: PyTorch comes in with the first name that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module


def door(room: str, offers: Mapping[str, str]):
    """What makes a package a room: its `__getattr__`, `__dir__` and `__all__`.

    offers : module -> the names it offers, set apart by spaces. A name must not be a module's: `from room import name` could mean either.
    """
    home = {name: module for module, names in offers.items() for name in names.split()}

    def load(name: str):
        if name not in home:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{home[name]}"), name)

    return load, lambda: sorted(home), tuple(home)
