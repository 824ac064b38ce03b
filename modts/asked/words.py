"""A call as it was written: misspelt parameters and things of another kind become a sentence that names what was called."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable
from functools import wraps

from modts.errors import ModtsError


class WrongKind(ModtsError, TypeError):
    """A parameter that there is not, or a thing of another kind than asked for: a ModtsError that is a TypeError too, as in Python."""


def spelt(function: Callable, rest: Callable | None = None) -> Callable:
    """The function, which tells a misspelt or forgotten parameter in a sentence; `rest` takes the keywords that it hands on."""
    shape, called = inspect.signature(function), function.__name__
    every = list(shape.parameters.values())
    names = [one.name for one in every if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
    loose = rest is None and any(one.kind is one.VAR_KEYWORD for one in every)
    if rest is not None:
        names += [one.name for one in inspect.signature(rest).parameters.values() if one.kind is one.KEYWORD_ONLY]

    @wraps(function)
    def looked(*args, **given):
        name = type(args[0]).__name__ if called == "__init__" else called
        for one in () if loose else given:
            if one not in names:
                near = difflib.get_close_matches(one, names[len(args) :], 1)
                raise WrongKind(f"{name}() has no parameter {one!r}{f'; did you mean {near[0]!r}?' if near else '.'}")
        try:
            shape.bind(*args, **given)
        except TypeError as error:
            raise WrongKind(f"{name}() cannot be called so: {error}.") from None
        return function(*args, **given)

    return looked


def kind(value, wanted: type, what: str, how: str) -> None:
    """Raise a WrongKind that says what was wanted and where it comes from."""
    if not isinstance(value, wanted):
        raise WrongKind(f"{what} must be a {wanted.__name__}, as {how} gives it, not {type(value).__name__}.")


def path_of(path, what: str):
    """The path as it is, if it is one."""
    if not isinstance(path, (str, os.PathLike)):
        raise WrongKind(f"{what} must be the path of a file, not {path!r}.")
    return path
