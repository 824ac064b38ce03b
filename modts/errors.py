"""The one exception that a user's mistake raises, and the one warning for what only looks like one: a sentence each, with what to do."""

import numbers
import warnings


class ModtsError(ValueError):
    """A mistake in the input: unknown name, misspelt parameter, wrong shape, missing or corrupt file."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook instead of a traceback: the sentence."""
        return [f"ModtsError: {self}"]


class ModtsWarning(UserWarning):
    """Data that are allowed but look like a mistake. `warnings.simplefilter("ignore", modts.ModtsWarning)` silences all of them."""


def notice(sentence: str) -> None:
    """Show a sentence as a ModtsWarning."""
    warnings.warn(sentence, ModtsWarning, stacklevel=3)


def whole(value, what: str, least: int = 1, below: float = float("inf")) -> int:
    """Return `value` as an int if it is a whole number from `least` on and below `below`, else raise a ModtsError.

    >>> whole(8, "batch_size")
    8
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not least <= value < below:
        most = "" if below == float("inf") else f" and below {below:g}"
        raise ModtsError(f"{what} must be a whole number of {least} or more{most}, not {value!r}.")
    return int(value)


def choose(value, allowed, what: str):
    """Return `value` if it is one of `allowed`, else raise a ModtsError that lists them.

    >>> choose("SAITS", ["BRITS", "SAITS"], "backbone")
    'SAITS'
    """
    if value not in allowed:
        raise ModtsError(f"Unknown {what} {value!r}; choose one of: {', '.join(map(str, allowed))}.")
    return value
