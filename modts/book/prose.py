"""Words with numbers in them, written from rows: no number on a page is typed by hand.

What one page alone says stands in that page's module; here is what several share.
"""

from __future__ import annotations

import pandas as pd

from modts.study import METRIC_NAMES, arm_name

from .fragments import plain
from .results import LOCAL, Results, run_ids
from .tables import interval, number, percent

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count(value: int, zero: str = WORDS[0]) -> str:
    """3 -> "three": small counts read better as words."""
    return zero if not value else WORDS[value] if value < len(WORDS) else str(value)


def plural(value: int, word: str) -> str:
    """3, "backbone" -> "three backbones"."""
    return f"{count(value)} {word}{'' if value == 1 else 's'}"


def listed(words: list[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def said(row: pd.Series) -> str:
    """ "0.832 (0.801–0.861)"."""
    span = interval(row["low"], row["high"])
    return number(row["value"]) + (f" ({span})" if span else "")


def spread(rows: pd.DataFrame) -> str:
    """The range of the values of several rows: "0.781 to 0.834", or the one value with its interval."""
    if len(rows) == 1:
        return said(rows.iloc[0])
    return f"{number(rows['value'].min())} to {number(rows['value'].max())}"


def seeds(rows: pd.DataFrame) -> str:
    """ "three seeds", or "one to three seeds" where rows differ."""
    low, high = int(rows["seeds"].min()), int(rows["seeds"].max())
    words = count(high) if low == high else f"{count(low)} to {count(high)}"
    return f"{words} seed{'s' if high > 1 else ''}"


def setting(found: Results, key, rows: pd.DataFrame) -> str:
    """The line under a heading: profile, place, hardware, seeds, test windows."""
    _, profile, device = key
    place = "run on this machine" if (rows["place"] == LOCAL).any() else "published results"
    hardware = "; ".join(sorted(set(rows["hardware"])))
    ids = run_ids(rows["run"])
    params = [found.runs.get(run, {}).get("params", {}) for run in ids]
    sizes = sorted({one["size"] for one in params if one.get("size")})
    hardware += f"; backbones of size {' and '.join(sizes)}" if sizes else ""
    # runs of before that parameter existed read as PyPOTS does
    shipped = sorted(
        {
            one["backbone"]
            for one in params
            if one.get("backbone") in ("CSAI", "TimesNet") and one.get("reading") != "window"
        }
    )
    hardware += f"; {' and '.join(shipped)} read the batch as PyPOTS ships them" if shipped else ""
    series = bool(found.cohorts.get(key[0], {}).get("origins"))
    words = _origins(rows, [found.runs.get(run, {}) for run in ids]) if series else seeds(rows)
    return (
        f"[profile {plain(profile)}]{{.modts-badge}} [{plain(device)}]{{.modts-badge}} {place}; {words}; "
        f"{rows['n_test'].max():,.0f} test windows; {plain(hardware)}. Intervals are 95 %.\n"
    )


def _origins(rows: pd.DataFrame, records: list[dict]) -> str:
    """ "three origins, three initialisations at each"; runs of before origins name the one cut of their data once, for all their seeds."""
    pairs = {(len(one.get("params", {}).get("seeds", ())), len(one.get("data_hash", ()))) for one in records}
    of, cuts = pairs.pop() if len(pairs) == 1 else (1, 1)
    if of < cuts or not cuts or of == cuts == 1:
        return seeds(rows)
    if of == cuts:
        return f"{plural(cuts, 'origin')}, one initialisation at each"
    if cuts == 1:
        return f"{seeds(rows)}, which are initialisations on one test period, so that nothing is said of other seasons"
    return f"{plural(cuts, 'origin')}, {plural(of // cuts, 'initialisation')} at each"


def alt(title: str, rows: pd.DataFrame, metric: str) -> str:
    """What a dot plot shows, in words: the range of each arm and the baselines."""
    rows = rows[rows["metric"] == metric]
    words = []
    for (arm, head, pooling), part in rows[rows["arm"] != "baseline"].groupby(["arm", "head", "pooling"], sort=False):
        words.append(f"{arm_name(arm, head, pooling)} {spread(part)}")
    for name, part in rows[rows["arm"] == "baseline"].groupby("backbone", sort=False):
        words.append(f"{name} {spread(part)}")
    return f"Dot plot of {METRIC_NAMES[metric]} on {title} by backbone: {'; '.join(words)}."


def labels_words(fraction: float) -> str:
    return (
        ""
        if pd.isna(fraction)
        else ", all training labels"
        if fraction == 1
        else f", {percent(fraction)} of the training labels"
    )
