"""What is allowed in own data but looks like a mistake: codes for missing values, the same stay twice, the label among the features."""

from __future__ import annotations

import hashlib

import numpy as np

from modts.errors import notice

from .checks import some

# written for "missing" so often that they are noticed nearer to the other values than an unusual number is
KNOWN_CODES = (-1, -9, -99, -999, -9999, -99999, 999, 9999, 99999)


def look(X: np.ndarray, y: np.ndarray, ids: np.ndarray, features: list[str], groups=None) -> None:
    """Warn, in a sentence for each kind, of what looks like a mistake. X (N, T, F), NaN where missing."""
    codes = [(name, code, count) for name, values in zip(features, np.moveaxis(X, 2, 0), strict=True)
             for code, count in codes_in(values[~np.isnan(values)])]  # fmt: skip
    if codes:
        found = "; ".join(f"{name!r} is {code:g} in {count} cells" for name, code, count in codes[:5])
        more = f"; and {len(codes) - 5} more" if len(codes) > 5 else ""
        given = ", ".join(f"{code:g}" for code in dict.fromkeys(code for _, code, _ in codes))
        notice(
            f"A value far outside the others looks like a code for missing: {found}{more}. If so, give missing=({given},)."
        )
    pairs = twice(X, ids, groups)
    if pairs:
        found = "; ".join(f"{a!r} and {b!r}" for a, b in pairs[:5])
        notice(
            f"The same series stands under two ids ({found}; {len(pairs)} such pairs) and may lie in two splits: leave one out, "
            "or give both the same group in groups=."
        )
    same = equal_to_label(X, y, features)
    if same:
        notice(
            f"Equal to the label, so that nothing is left to predict: feature {some(same)}. Leave it out of the features."
        )


def codes_in(values: np.ndarray) -> list[tuple[float, int]]:
    """[(value, how often)] of the lowest and the highest of one feature's values, where it looks like a code for missing.

    It occurs three times and more, exactly, and lies apart from the others by ten times their spread (from the 1st to the 99th percentile),
    or is one of `KNOWN_CODES` and lies apart by a twentieth of it; -1 and the like only where no other value is negative.
    """
    found = []
    for end in (np.min, np.max):
        if values.size < 10:
            return found
        code = end(values)
        rest = values[values != code]
        count = values.size - rest.size
        if count < 3 or rest.size < 5:
            continue
        low, high = np.quantile(rest, (0.01, 0.99))
        spread, gap = high - low, np.abs(rest - code).min()
        unusual = gap > 10 * spread > 0
        known = code in KNOWN_CODES and gap > 0.05 * spread > 0 and (code > 0 or rest.min() >= 0)
        if unusual or (known and len(np.unique(rest[:1000])) > 5):
            found.append((float(code), int(count)))
            values = rest
    return found


def twice(X: np.ndarray, ids: np.ndarray, groups=None) -> list[tuple[str, str]]:
    """Pairs of ids whose series are the same, cell by cell; short and constant ones say nothing, nor do rows of one group."""
    first, pairs = {}, []
    for i, x in enumerate(X):
        key = hashlib.blake2b(np.where(np.isnan(x), np.nan, x).tobytes(), digest_size=16).digest()  # one NaN for all
        j = first.setdefault(key, i)
        if j != i and (groups is None or groups[j] != groups[i]) and _telling(x):
            pairs.append((str(ids[j]), str(ids[i])))
    return pairs


def _telling(x: np.ndarray) -> bool:
    """Whether a series (T, F) has eight values or more, and a variable that changes."""
    there = ~np.isnan(x)
    return there.sum() >= 8 and any(np.ptp(x[there[:, f], f]) > 0 for f in np.flatnonzero(there.any(0)))


def equal_to_label(X: np.ndarray, y: np.ndarray, features: list[str]) -> list[str]:
    """Features that are the label wherever they are observed (in ten cells or more, and not all alike)."""
    if y.size == 0:
        return []
    if y.ndim == 2 and y.shape[1] != X.shape[1]:  # several labels
        return list(dict.fromkeys(name for column in y.T for name in equal_to_label(X, column, features)))
    label = np.broadcast_to(y[:, None] if y.ndim == 1 else y, X.shape[:2])
    same = []
    for f, name in enumerate(features):
        both = ~(np.isnan(X[:, :, f]) | np.isnan(label))
        values, wanted = X[:, :, f][both], label[both]
        if values.size >= 10 and np.ptp(wanted) > 0 and np.array_equal(values, wanted):
            same.append(name)
    return same
