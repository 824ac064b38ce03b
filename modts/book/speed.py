"""The generated parts of the page on speed and cost: what one more task costs, where serving spends its time, every row.

They are made from the rows of `results/benchmarks.csv` (`make bench`), found by the names that `benchmarks/bench_*.py`
give them. A ratio is above 1 where this project is the better one; a row with a target meets it or says that it does not.
"""

from __future__ import annotations

import pandas as pd

from modts.serving import ENOUGH

from . import fragments, plots, results, verdicts
from .figures import save
from .prose import count
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
ONCE, HEAD, PAID = "pretraining and latents, once", "one more task", "tasks until the backbone is paid for"
TASK = rf"^(?P<what>{ONCE}|{HEAD}|{PAID}), (?P<backbone>\S+), (?P<n>\d+) windows of (?P<steps>\d+) steps$"
MEMORY = r"^peak memory, (?P<heads>\d+ heads), (?P<backbone>\S+)$"
SERVED = r"^raw window to probability, (?P<backbone>\S+), batch (?P<batch>\d+), (?P<q>p50|p99)$"
WHOLE, FLOOR = "PyPOTS predict, end to end", "the bare forward pass"
THEIR_FLOOR = "the end-to-end classifier, forward pass alone"
TIMES = {  # milliseconds in the picture -> where they stand: quantile, peer, side
    "ours": ("p50", WHOLE, "ours"),
    "theirs": ("p50", WHOLE, "theirs"),
    "forward": ("p50", FLOOR, "theirs"),
    "their_forward": ("p50", THEIR_FLOOR, "theirs"),
    "ours_late": ("p99", WHOLE, "ours"),
    "theirs_late": ("p99", WHOLE, "theirs"),
}
KINDS = {  # how a row's name begins -> what it is called under the roofline
    "400 simple heads": "simple heads",
    "16 complex heads": "complex heads",
    "latents": "latents",
    "forward pass": "time loops",
    "raw window": "one window",
}
RATES = {"peak_gflops": "max", "gigabytes_per_s": "max", "start_us": "min"}  # of several runs the best
DASH = Cell("–", absent=True)


def _named(rows: pd.DataFrame, pattern: str) -> pd.DataFrame:
    """The rows whose name fits, with the parts of the name as columns; whole numbers among them as numbers."""
    parts = rows["name"].astype(str).str.extract(pattern).dropna()
    numbers = {name: int for name in ("n", "steps", "batch") if name in parts}
    return parts.astype(numbers).join(rows[["peer", "ours", "theirs", "ratio"]])


def costs(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a backbone and size, the largest first: seconds `once`, for a `head`, for a `whole` run; `paid` in tasks."""
    part, keys = _named(rows, TASK), ["backbone", "n", "steps"]
    once, head, paid = (part[part["what"] == what].set_index(keys) for what in (ONCE, HEAD, PAID))
    wide = {"once": once["ours"], "head": head["ours"], "whole": head["theirs"], "paid": paid["ours"]}
    return pd.DataFrame(wide).dropna().reset_index().sort_values(keys, ascending=[True, False, True])


def times(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a backbone and batch: milliseconds as in `TIMES`; a late one may be missing, a median may not."""
    keys = ["batch", "backbone"]
    by = {key: part.set_index(keys) for key, part in _named(rows, SERVED).groupby(["q", "peer"])}
    if any((q, peer) not in by for q, peer, _ in TIMES.values()):
        return pd.DataFrame(columns=[*keys, *TIMES])
    wide = pd.DataFrame({name: by[q, peer][side] for name, (q, peer, side) in TIMES.items()})
    return wide.dropna(subset=list(TIMES)[:4]).reset_index()


def _sure(rows: pd.DataFrame) -> pd.DataFrame:
    """Without 99th percentiles of fewer calls than say something."""
    late = rows["name"].astype(str).str.endswith(", p99") & (pd.to_numeric(rows["rounds"]) < ENOUGH)
    return rows[~late]


def span(values: pd.Series) -> str:
    """ "1.2 to 3.4", or "1.2" where both ends read the same."""
    return " to ".join(dict.fromkeys((amount(values.min()), amount(values.max()))))


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _size(sizes: pd.DataFrame) -> str:
    return f"{sizes['n'].iloc[0]} windows of {sizes['steps'].iloc[0]} steps"


def _paid(row: pd.Series) -> str:
    return f"{row['paid']:.1f} tasks" if 0 < row["paid"] < float("inf") else "no number of tasks"


def targets(rows: pd.DataFrame) -> str:
    """How many targets are met; of several parts, in which the others are."""
    aimed = rows.dropna(subset=["target"])
    missed = aimed[~(aimed["ratio"] >= aimed["target"])]
    where = [f"{count(number)} in {part}" for part, number in missed["part"].value_counts(sort=False).items()]
    words = f"Targets met: {len(aimed) - len(missed)} of {len(aimed)}" if len(aimed) else "No row has a target"
    return f"{words}; missed: {_and(where)}." if where and rows["part"].nunique() > 1 else f"{words}."


def headline(rows: pd.DataFrame, top: pd.DataFrame) -> list[str]:
    """What was found, in three sentences; `top` holds the costs at the largest size."""
    if top.empty:
        unknown = ("What one more task costs", "After how many tasks a backbone is paid for")
        return [targets(rows), *(f"{words} has not been measured yet." for words in unknown)]
    paid = [f"{_paid(row)} with {row['backbone']}" for _, row in top.iterrows()]
    return [
        targets(rows),
        f"One more task costs {span(top['head'])} s as a head on latents that are there and {span(top['whole'])} s as an "
        f"end-to-end run: {span(top['whole'] / top['head'])} times as much ({_and(list(top['backbone']))}, {_size(top)}).",
        f"A backbone, pretrained and with its latents extracted, is paid for after {_and(paid)}.",
    ]


def growth(sizes: pd.DataFrame) -> list[str]:
    """How the three costs grow with the number of windows, and with that of steps; a range where backbones differ."""
    out = []
    ways = (("n", "steps", "{} to {} windows of {} steps"), ("steps", "n", "{} to {} steps, {} windows"))
    for along, fixed, words in ways:
        for held, line in sizes.groupby(fixed):
            low, high = line[along].min(), line[along].max()
            few, many = (line[line[along] == end].set_index("backbone") for end in (low, high))
            if low < high:
                once, head, whole = (span(many[cost] / few[cost]) for cost in ("once", "head", "whole"))
                out.append(
                    f"From {words.format(low, high, held)}, what is paid once grows by a factor of {once}, a head by "
                    f"{head}, an end-to-end run by {whole}."
                )
    return out


def _costs_table(rows: pd.DataFrame, sizes: pd.DataFrame) -> Table:
    body, groups, memory = [], {}, _named(rows, MEMORY)
    for name, part in sizes.groupby("backbone", sort=False):
        groups[len(body)] = name
        for _, row in part.iterrows():
            seconds = [f"{amount(row[cost])}\xa0s" for cost in ("once", "head", "whole")]
            body.append([f"{row['n']} × {row['steps']}", *seconds, amount(row["whole"] / row["head"]), _paid(row)])
        for _, row in memory[memory["backbone"] == name].iterrows():
            ours, theirs = (f"{amount(row[side])}\xa0GiB" for side in ("ours", "theirs"))
            body.append(["Peak memory", DASH, Cell(ours, row["heads"]), theirs, amount(row["ratio"]), DASH])
    header = ["Windows × steps", "Paid once", "One more head", "End-to-end run", "Run over head", "Paid for after"]
    return Table("What one more task costs, by size of the data; peak memory at the largest size", header, body, groups)


def models_or_code(found: pd.DataFrame, verdict: verdicts.Verdict) -> list[str]:
    """Where a factor between end to end and modular comes from: the models, or the code around them. What the claim's own verdict is, is
    said as on every page, from the times of `verdict`."""
    whole, models = found["theirs"] / found["ours"], found["their_forward"] / found["forward"]
    extra = found["theirs"] - found["ours"]
    share = (100 * (found["their_forward"] - found["forward"]) / extra).clip(0, 100).where(extra > 0)
    said = f" {fragments.plain(verdict.found)}" if verdict.found else ""
    out = [
        f"Claim {verdict.id} of the paper: {fragments.plain(verdict.claim)} Model against model the answer is: **{verdict.word}**.{said}",
        f"With PyPOTS's code around them end to end takes up to {amount(whole.max())} times as long, the models alone up to "
        f"{amount(models.max())} times.",
    ]
    for batch, at in found.groupby("batch").groups.items():
        held = (
            ""
            if share[at].isna().all()
            else (
                f" Of the extra time, {share[at].median():.0f} % is in the models and {100 - share[at].median():.0f} % in the "
                "code around them (median over the backbones that take more)."
            )
        )
        out.append(
            f"Batch {batch}: PyPOTS's predict takes {span(whole[at])} times as long as the predictor here, the end-to-end "
            f"model's forward pass alone, on the same loops and blocks, {span(models[at])} times as long as the one here.{held}"
        )
    return out


def _answer(found: results.Results) -> verdicts.Verdict:
    """The one verdict on the claim about latency."""
    return next(verdict for verdict in verdicts.verdicts(found) if verdict.id == "P10")


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
    body, notes = [], (rows["note"] != "").any()
    for _, row in rows.iterrows():
        word = Cell("no\xa0target", absent=True)
        if not pd.isna(row["target"]):
            missed, unsure = not row["ratio"] >= row["target"], row["low"] <= row["target"] <= row["high"]
            small = f"target {row['target']:g}{', inside the spread' if unsure else ''}"
            word = Cell("missed" if missed else "met", small, bold=missed)
        what = Cell(row["name"], f"beside {row['peer']}", wide=True)
        spread = "" if pd.isna(row["low"]) else f"{amount(row['low'])} to {amount(row['high'])}"
        ratio = Cell(amount(row["ratio"]), spread, bold=word.bold, title=f"run {row['run']}")
        sides = [f"{amount(row[side])}\xa0{row['unit']}" for side in ("ours", "theirs")]
        body.append([what, ratio, word, *sides, *([Cell(row["note"], wide=True)] if notes else [])])
    header = ["What", "Ratio", "Target", "Ours", "Theirs", *(["Note"] if notes else [])]
    spread = "" if rows["low"].isna().all() else " Ratio: median over rounds timed in turn, small its quartiles."
    return Table(f"{title}.{spread} {'; '.join(sorted(set(rows['hardware'])))}", header, body)


def _missing(what: str) -> str:
    return fragments.note(f"{what} has not been measured yet. `make bench` measures it.")


def _picture(draw, rows: pd.DataFrame, name: str, alt: str, said, caption: str) -> str:
    """A picture of rows; its alt text ends with what each row says."""
    alt = f"{alt} {'; '.join(said(row) for _, row in rows.iterrows())}."
    return fragments.picture(save(lambda narrow: draw(rows, narrow), name, alt, caption, fragments.out_dir()))


def speed(found: results.Results) -> str:
    """The body of the page: findings, the cost of tasks, the time in serving, all rows, downloads, runs."""
    rows = _sure(found.benchmarks)
    if rows.empty:
        return fragments.note("Speed and cost have not been measured yet. `make bench` measures them on this machine.")
    sizes, served, made = costs(rows), times(rows), []
    top = sizes[sizes["n"] == sizes["n"].max()].drop_duplicates("backbone")
    machines = [
        f"[{results.device(name)}]{{.modts-badge}} {fragments.plain(name)}" for name in sorted(set(rows["hardware"]))
    ]
    out = [fragments.bullets(headline(rows, top)), f"{'; '.join(machines)}.\n", "## What one more task costs\n"]
    if sizes.empty:
        out.append(_missing("What one more task costs"))
    else:
        drawn = _picture(
            plots.tasks,
            top,
            "speed-tasks",
            "Lines of seconds in all against number of tasks, a panel a backbone.",
            lambda row: (
                f"{row['backbone']}: modular {amount(row['once'])} s once and {amount(row['head'])} s a task, "
                f"end to end {amount(row['whole'])} s a task, equal after {_paid(row)}"
            ),
            f"Computing time, {_size(top)}. Modular pays once for pretraining and latents, then a head a task; end to end "
            "pays a run a task.",
        )
        made.append(_costs_table(rows, sizes))
        out += [drawn, fragments.bullets(growth(sizes)), fragments.raw(made[0].html())]
    out.append("## Where serving spends its time\n")
    if served.empty:
        out.append(_missing("Serving"))
    else:
        drawn = _picture(
            plots.serving,
            served,
            "speed-serving",
            "Bars of the time from a raw window to a probability, forward pass and code around it.",
            lambda row: (
                f"{row['backbone']} at batch {row['batch']}: here {amount(row['ours'])} ms, {amount(row['forward'])} "
                f"of them the forward pass, PyPOTS {amount(row['theirs'])} ms, {amount(row['their_forward'])} of them the forward pass"
            ),
            "From a raw window to a probability: medians as shares of PyPOTS's, the 99th percentile in words. The forward "
            "pass is what the network itself takes on the same loops and blocks, the rest is the code around it.",
        )
        out += [drawn, fragments.bullets(models_or_code(served, _answer(found)), markup=True)]
    out.append("## How near the machine's limits\n")
    near = limits(rows, found.roofline)
    if near.empty:
        out.append(_missing("What the machine can do"))
    else:
        rates = near.agg(RATES)
        drawn = _picture(
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
        out += [*(fragments.raw(part.html()) for part in table), fragments.bullets(alone(rows, missed))]
        out.append(fragments.downloads("roofline", found.roofline, table))
    out.append("## Row by row\n")
    for part in dict.fromkeys([*PARTS, *rows["part"]]):
        some = rows[rows["part"] == part]
        if len(some):
            title = PARTS.get(part, part)
            made.append(_rows_table(some, title))
            table, shown = fragments.raw(made[-1].html()), ":open:\n" if "missed" in made[-1].html() else ""
            if len(some) > 20:  # folded, unless a target in it is missed
                table = f"::::{{dropdown}} All {len(some)} rows\n{shown}{table}::::\n"
            out += [f"{fragments.heading(3, title)}\n{targets(some)}\n", table]
    out += [fragments.downloads("benchmarks", rows, made), fragments.how_made(list(rows["run"]), found.runs)]
    return "\n".join(out)
