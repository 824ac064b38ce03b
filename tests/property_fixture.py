"""Hypothesis for the property tests: a few examples, always the same ones, in `make test`; many, at random, with MODTS_EXAMPLES=2000.

What the weekly workflow finds is printed with the line that repeats it; it then becomes an @example or a test of its own.
"""

import contextlib
import os
import warnings

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from modts.errors import ModtsError, ModtsWarning

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("few", max_examples=25, derandomize=True, database=None, **_COMMON)
settings.register_profile(
    "many", max_examples=int(os.environ.get("MODTS_EXAMPLES", 2000)), print_blob=True, database=None, **_COMMON
)
settings.load_profile("many" if "MODTS_EXAMPLES" in os.environ else "few")


def some_examples(share: float):
    """Settings of a test whose examples are dear: a share of the profile's."""
    return settings(max_examples=max(5, round(share * settings().max_examples)))


@contextlib.contextmanager
def one_sentence(refused: list, types: bool = False):
    """What happens inside either goes well or is refused: by a ModtsError of one sentence, for wrong `types` also by a TypeError.

    A ModtsWarning is allowed; any other warning fails, as everywhere in the tests. `refused` gets what was said.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModtsWarning)
        try:
            yield
        except ModtsError as error:
            assert str(error).strip(), "a ModtsError without a sentence"
            refused.append(str(error))
        except TypeError as error:
            if not types:
                raise
            refused.append(str(error))


def same(found, wanted) -> None:
    """The same values in single precision, NaN for NaN; what it cannot hold is infinite."""
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.asarray(found, dtype=np.float32), np.asarray(wanted, dtype=np.float32))


ordinary = st.floats(-1e6, 1e6, width=32)
odd = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, -3e38, 1e39, 1e300, -9999.0, 1e-300])
number = st.one_of(ordinary, st.just(np.nan), odd)


def raw(shape=None, elements=None, dtype=None):
    """Raw values (N, T, F), gaps among them; `elements=number` has what no data set should hold too."""
    gappy = st.one_of(ordinary, st.just(np.nan)) if elements is None else elements
    shape = array_shapes(min_dims=3, max_dims=3, max_side=6) if shape is None else shape
    return arrays(np.float64 if dtype is None else dtype, shape, elements=gappy)


# what is no good value for most arguments: numbers too small, too large or of another kind, words, lists, nothing
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["../../x", "a\0b", "nan", "1h", "simulated_icu", "x" * 400]),
    st.lists(st.one_of(st.integers(-2, 9), st.text(max_size=3), st.none(), st.floats()), max_size=4),
    st.dictionaries(st.sampled_from(["train", "val", "test", "x"]), st.lists(st.integers(-2, 12), max_size=4)),
    st.builds(object),
)


def damaged(draw, held: bytes, head: int) -> bytes:
    """A file's bytes with one to three of them changed, most in its head, and perhaps cut off."""
    changed = bytearray(held)
    places = st.one_of(st.integers(0, head), st.integers(0, len(held) - 1))
    for at in draw(st.lists(places, min_size=1, max_size=3)):
        changed[at] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.integers(0, len(held)))] if draw(st.booleans()) else changed)
