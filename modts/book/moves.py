"""The part on what a transfer can be told by before any label is seen: for each pair of cohorts its gain beside what was known."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from modts.study import LEVEL

from . import effects, fragments
from .prose import count, plural
from .results import Results, at
from .tables import Cell, Table, number, percent, signed

GAIN = "transfer - untrained"
UNTOLD = "no rank correlation can be told from none"
TOO_FEW = "are too few to tell what goes with a gain"
KNOWN = {  # column -> in a sentence, at the head of a column
    "overlap": ("the share of the target's variables that the source has", "Shared variables"),
    "missing": ("how far apart the two are in how often each shared variable is missing", "Gaps apart"),
    "source_size": ("the number of the source's training windows", "Source windows"),
    "ratio": ("the error of the moved imputer beside interpolation's", "Error / interpolation's"),
}


def moves(found: Results) -> str:
    """A sentence on what goes with a gain; in a box a line for each thing that was known, and the pairs."""
    rows = pairs(found)
    if rows.empty:
        return fragments.note("What goes with a gain has not been looked at yet: `python benchmarks/moves.py` does.")
    said = answer(rows)
    table = _table(found, rows)
    return "\n".join(
        [
            f"{said[0]}\n",
            fragments.fold(
                "Each of what was known, and pair by pair",
                fragments.bullets([*said[1:], *_made(found)])
                + fragments.tables(table)
                + fragments.downloads("moves", rows, [table]),
            ),
            fragments.how_made(list(rows["run"]), found.runs),
        ]
    )


def _made(found: Results) -> list[str]:
    """Where what was known was measured, with which code."""
    ways = found.moves[["code", "hardware"]].drop_duplicates().itertuples(index=False)
    return [f"What was known: code {way.code}, {way.hardware} (python benchmarks/moves.py)." for way in ways]


def pairs(found: Results) -> pd.DataFrame:
    """A row a pair of cohorts and backbone: what was known, in the mean over splits, and the gain in AUROC over an untrained network."""
    if found.moves.empty:
        return pd.DataFrame()
    names = ["shared", "overlap", "missing", "source_size", "mae", "line_mae"]
    known = found.moves.assign(**{name: pd.to_numeric(found.moves[name]) for name in names})
    known = known.groupby(["source", "cohort", "backbone"], sort=False)[names].mean().reset_index()
    known["ratio"] = known["mae"] / known["line_mae"]
    out = []
    for row in known.to_dict("records"):
        some = effects.effects_of(found, row["cohort"], "study", row["source"])
        some = effects.singles(at(some, 1.0), GAIN)
        some = some[some["backbone"] == row["backbone"]]
        out += (
            [row | {name: some.iloc[0][name] for name in ("difference", "low", "high", "verdict", "run")}]
            if len(some)
            else []
        )
    return pd.DataFrame(out)


def answer(rows: pd.DataFrame) -> list[str]:
    """How many pairs gained; then a rank correlation with its interval and p for each thing that was known."""
    better = int((rows["verdict"] == "better").sum())
    gained = (
        f"{count(better, 'none')} of {plural(len(rows), 'pair')} did the moved backbone do better than an untrained one"
    )
    found = {name: (*correlation(list(rows[name]), list(rows["difference"])), renamed(rows, name)) for name in KNOWN}
    cohorts = len({*rows["source"], *rows["cohort"]})
    ways, least = math.factorial(cohorts), min(p for *_, p in found.values())
    few = 1 / ways > LEVEL
    told = UNTOLD if least * len(found) > LEVEL else "at least one rank correlation can be told from none"
    told = f"{count(cohorts)} cohorts {TOO_FEW}" if few else told
    said = [f"**In {gained}, with all labels; {told}.**"]
    for name, (rho, low, high, p) in found.items():
        span = "" if few else f" ({signed(low, 2)} to {signed(high, 2)})"
        said.append(f"With {KNOWN[name][0]}: {signed(rho, 2)}{span}, p {p:.2f}.")
    lead = f"{count(cohorts).capitalize()} cohorts make pairs that share them, so p goes over the {ways} ways to rename the cohorts (QAP)"
    said.append(
        f"{lead}, and whatever the order of the pairs it could not fall below {1 / ways:.2g}."
        if few
        else f"{lead}. It cannot fall below {1 / ways:.2g}. The intervals take the pairs as independent, and are too narrow."
    )
    return said


def correlation(a: list[float], b: list[float]) -> tuple[float, float, float]:
    """Spearman's rank correlation with a 95 % interval as if all were independent (Bonett and Wright, Psychometrika 65:23-28, 2000)."""
    rho, low, high = _rho(a, b), -1.0, 1.0
    if len(a) > 3:
        half = 1.96 * math.sqrt((1 + rho**2 / 2) / (len(a) - 3))
        middle = math.atanh(max(-0.99, min(0.99, rho)))  # the same order in both has no interval of its own
        low, high = math.tanh(middle - half), math.tanh(middle + half)
    return rho, low, high


def renamed(rows: pd.DataFrame, name: str) -> float:
    """The share of all ways to rename the cohorts in which gains are ranked as much like a column, or more, as they are: the p of QAP.

    Pairs of few cohorts are not independent, and permuting them one by one would find too much (Krackhardt, Social Networks 10:359-381, 1988).
    """
    keys = list(zip(rows["source"], rows["cohort"], rows["backbone"], strict=True))
    gain = dict(zip(keys, rows["difference"], strict=True))
    cohorts = sorted({*rows["source"], *rows["cohort"]})
    found = []
    for order in itertools.permutations(cohorts):
        other = dict(zip(cohorts, order, strict=True))
        gains = [gain.get((other[source], other[cohort], backbone)) for source, cohort, backbone in keys]
        if None not in gains:  # a way that needs a pair which nobody ran says nothing
            found.append(abs(_rho(rows[name], gains)))
    seen = abs(_rho(rows[name], rows["difference"]))
    return sum(one >= seen - 1e-12 for one in found) / len(found)


def _rho(a, b) -> float:
    """Spearman's rank correlation; 0 where one side has no order."""
    a, b = (pd.Series(list(part), dtype=float) for part in (a, b))
    return float(a.corr(b, method="spearman")) if a.nunique() > 1 and b.nunique() > 1 else 0.0


def _table(found: Results, rows: pd.DataFrame) -> Table:
    body = [
        [
            f"{found.title(row.source)} → {found.title(row.cohort)}, {row.backbone}",
            Cell(signed(row.difference), effects.span(row._asdict()).split(" ", 1)[1]),
            f"{row.shared:.0f} ({percent(round(row.overlap, 2))})",
            number(row.missing),
            f"{row.source_size:,.0f}",
            Cell(number(row.ratio), f"{number(row.mae)} / {number(row.line_mae)}"),
        ]
        for row in rows.itertuples()
    ]
    header = ["Pair", "AUROC, moved minus untrained", *(head for _, head in KNOWN.values())]
    return Table("What was known before, and what was gained", header, body)
