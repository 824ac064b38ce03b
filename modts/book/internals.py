"""The appendix on this code's own speed: every row of the benchmarks, the targets, and how near the machine's limits each comes.

The rows are those of `results/benchmarks.csv` and `results/roofline.csv` (`make bench`). A row with a target meets it or says that it does not.
"""

from __future__ import annotations

import pandas as pd

from . import fragments, plots, results
from .prose import count, listed
from .speed import missing, picture, sure
from .tables import Cell, Table, amount

PARTS = {
    "heads": "Many heads on the same latents",
    "latents": "Latents of many windows",
    "pretraining": "Pretraining",
    "training_loop": "The same validation error as PyPOTS's fit",
    "loading": "Loading data, starting a notebook",
    "serving": "Serving",
    "economics": "One more task",
    "gpu": "Training steps on a GPU",
}
KINDS = {  # how a row's name begins -> what it is called under the roofline
    "400 simple heads": "simple heads",
    "16 complex heads": "complex heads",
    "latents": "latents",
    "forward pass": "time loops",
    "raw window": "one window",
}
RATES = {"peak_gflops": "max", "gigabytes_per_s": "max", "start_us": "min"}  # of several runs the best


def targets(rows: pd.DataFrame) -> str:
    """How many targets are met; of several parts, in which the others are."""
    aimed = rows.dropna(subset=["target"])
    missed = aimed[~(aimed["ratio"] >= aimed["target"])]
    where = [f"{count(number)} in {part}" for part, number in missed["part"].value_counts(sort=False).items()]
    words = f"Targets met: {len(aimed) - len(missed)} of {len(aimed)}" if len(aimed) else "No row has a target"
    return f"{words}; missed: {listed(where)}." if where and rows["part"].nunique() > 1 else f"{words}."


def limits(rows: pd.DataFrame, roofline: pd.DataFrame) -> pd.DataFrame:
    """The rows of both tables as one, with the machine's least time in seconds (`floor`), what it is `bound` by, `kind`, `intensity`, `rate`."""
    found = roofline.merge(rows[["name", "peer", "ratio", "target"]], on=["name", "peer"])
    least = pd.DataFrame(
        {
            "arithmetic": found["gflop"] / found["peak_gflops"],
            "memory": found["gigabytes"] / found["gigabytes_per_s"],
            "starting operations": found["operations"] * found["start_us"] / 1e6,
        }
    )
    kinds = [next((kind for start, kind in KINDS.items() if name.startswith(start)), "other") for name in found["name"]]
    return found.assign(
        floor=least.max(axis=1),
        bound=least.idxmax(axis=1) if len(least) else [],
        kind=kinds,
        intensity=found["gflop"] / found["gigabytes"],
        rate=found["gflop"] / found["seconds"],
    )


def _limits_table(missed: pd.DataFrame) -> Table:
    body = []
    for _, row in missed.iterrows():
        counts = f"{amount(row['gflop'])} GFLOP, {amount(row['gigabytes'])} GB, {row['operations']:,.0f} operations"
        needs, takes = (f"{amount(1e3 * row[side])}\xa0ms" for side in ("floor", "seconds"))
        out = row["best"] < row["target"]
        body.append(
            [
                Cell(row["name"], f"beside {row['peer']}", wide=True),
                amount(row["ratio"]),
                f"{row['target']:g}",
                Cell(amount(row["best"]), "out of reach" if out else "", bold=out),
                takes,
                Cell(needs, row["bound"], title=counts),
            ]
        )
    header = ["What", "Ratio", "Target", "At the limit", "Here", "Least time"]
    return Table(
        "Targets that are missed, and the ratio if this code took no longer than the machine needs", header, body
    )


def alone(rows: pd.DataFrame, missed: pd.DataFrame) -> list[str]:
    """What parts of a computation that misses its target take where they stand, from the rows named "<its name>, <part> alone"."""
    out = []
    for _, whole in missed.iterrows():
        start = f"{whole['name']}, "
        same = (rows["peer"] == whole["peer"]) & rows["name"].str.startswith(start)
        parts = rows[same & rows["name"].str.endswith(" alone")]
        for _, part in parts.iterrows():
            what, took = part["name"].removeprefix(start), f"{amount(part['ours'])} {part['unit']}"
            reach = (
                "out of reach for these operations" if part["ratio"] < whole["target"] else "in reach without all else"
            )
            out.append(
                f"{whole['name']} beside {whole['peer']}: the {what} take {took}, a ratio of {amount(part['ratio'])}; "
                f"the target of {whole['target']:g} is {reach}."
            )
    return out


def _rows_table(rows: pd.DataFrame, title: str) -> Table:
    body = []
    for _, row in rows.iterrows():
        word = Cell("no\xa0target", absent=True)
        if not pd.isna(row["target"]):
            missed, unsure = not row["ratio"] >= row["target"], row["low"] <= row["target"] <= row["high"]
            small = f"target {row['target']:g}{', inside the spread' if unsure else ''}"
            word = Cell("missed" if missed else "met", small, bold=missed)
        what = Cell(row["name"], f"beside {row['peer']}{'; ' * bool(row['note'])}{row['note']}", wide=True)
        spread = "" if pd.isna(row["low"]) else f"{amount(row['low'])} to {amount(row['high'])}"
        ratio = Cell(amount(row["ratio"]), spread, bold=word.bold, title=f"run {row['run']}")
        sides = [f"{amount(row[side])}\xa0{row['unit']}" for side in ("ours", "theirs")]
        body.append([what, ratio, word, *sides])
    header = ["What", "Ratio", "Target", "Ours", "Theirs"]
    spread = "" if rows["low"].isna().all() else " Ratio: median over rounds timed in turn, small its quartiles."
    return Table(f"{title}.{spread} {'; '.join(sorted(set(rows['hardware'])))}", header, body)


def memory(rows: pd.DataFrame) -> list[str]:
    """What pretraining from a memory map took, in a sentence each."""
    out = []
    for row in rows.to_dict("records"):
        limit = (
            f", under a limit of {float(row['limit_gb']):.0f} GB for it and the pages of the map,"
            if row["limit_gb"]
            else ""
        )
        out.append(
            f"Pretraining {row['backbone']} for an epoch on {int(row['windows']):,} windows of {row['steps']} steps and {row['features']} "
            f"variables, a memory map of {float(row['file_gb']):.1f} GB, took {float(row['peak_gb']):.1f} GB of memory{limit} "
            f"and {float(row['seconds']) / 60:.0f} minutes ({fragments.plain(row['hardware'])})."
        )
    return out


def internals(found: results.Results) -> str:
    """The body of the appendix: targets, the roofline, all rows."""
    rows, made = sure(found.benchmarks), []
    if rows.empty:
        return fragments.note("The benchmarks have not been run yet. `make bench` runs them on this machine.")
    out = [fragments.bullets([targets(rows), *memory(found.memory)])]
    out.append("## How near the machine's limits\n")
    near = limits(rows, found.roofline)
    if near.empty:
        out.append(missing("What the machine can do"))
    else:
        rates = near.agg(RATES)
        drawn = picture(
            plots.roofline,
            near.drop_duplicates("name"),
            "speed-roofline",
            "Points of work done, in GFLOP a second against FLOP a byte, under a roof that rises and then is flat.",
            lambda row: f"{row['name']}: {amount(row['rate'])} GFLOP/s at {amount(row['intensity'])} FLOP a byte",
            f"A roofline (Williams, Waterman and Patterson 2009). The roof: {amount(rates.iloc[0])} GFLOP/s in a large matrix "
            f"product or convolution, {amount(rates.iloc[1])} GB/s in arrays that fit the cache. What runs on one window lies "
            f"far below: there, starting an operation ({amount(rates.iloc[2])} µs) takes longer than its arithmetic.",
        )
        out.append(drawn)
        missed = near[near["ratio"] < near["target"]]
        table = [_limits_table(missed)] if len(missed) else []
        out += [fragments.tables(part) for part in table]
        out.append(fragments.fold("What single steps of these take", fragments.bullets(alone(rows, missed))))
        out.append(fragments.downloads("roofline", found.roofline, table))
    out.append("## Row by row\n")
    for part in dict.fromkeys([*PARTS, *rows["part"]]):
        some = rows[rows["part"] == part]
        if len(some):
            title = PARTS.get(part, part)
            made.append(_rows_table(some, title))
            table = fragments.fold(f"All {len(some)} rows" if len(some) > 1 else "Its row", fragments.tables(made[-1]))
            out += [f"{fragments.heading(3, title)}\n{targets(some)}\n", table]
    out += [
        fragments.downloads("benchmarks", rows, made),
        fragments.how_made(list(rows["run"]), found.runs, "status.html"),
    ]
    return "\n".join(out)
