"""The generated parts of the page on speed and cost: what one more task costs, where serving spends its time, every row.

They are made from the rows of `results/benchmarks.csv` (`make bench`), found by the names that `benchmarks/bench_*.py`
give them. A ratio is above 1 where this project is the better one; a row with a target meets it or says that it does not.
"""

from __future__ import annotations

import pandas as pd

from modts.serving import ENOUGH

from . import fragments, plots, results, verdicts
from .figures import save
from .prose import listed
from .tables import Cell, Table, amount

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
    if any((q, peer) not in by for q, peer, _ in TIMES.values() if q == "p50"):
        return pd.DataFrame(columns=[*keys, *TIMES])
    there = {name: by[q, peer][side] for name, (q, peer, side) in TIMES.items() if (q, peer) in by}
    wide = pd.DataFrame(there).reindex(columns=list(TIMES)).astype(float)
    return wide.dropna(subset=list(TIMES)[:4]).reset_index()


def sure(rows: pd.DataFrame) -> pd.DataFrame:
    """Without 99th percentiles of fewer calls than say something."""
    late = rows["name"].astype(str).str.endswith(", p99") & (pd.to_numeric(rows["rounds"]) < ENOUGH)
    return rows[~late]


def span(values: pd.Series) -> str:
    """ "1.2 to 3.4", or "1.2" where both ends read the same."""
    return " to ".join(dict.fromkeys((amount(values.min()), amount(values.max()))))


def _size(sizes: pd.DataFrame) -> str:
    return f"{sizes['n'].iloc[0]:,} windows of {sizes['steps'].iloc[0]} steps"


def _paid(row: pd.Series) -> str:
    return f"{row['paid']:.1f} tasks" if 0 < row["paid"] < float("inf") else "no number of tasks"


def headline(top: pd.DataFrame) -> list[str]:
    """What was found, in two sentences; `top` holds the costs at the largest size."""
    if top.empty:
        unknown = ("What one more task costs", "After how many tasks a backbone is paid for")
        return [f"{words} has not been measured yet." for words in unknown]
    paid = [f"{_paid(row)} with {row['backbone']}" for _, row in top.iterrows()]
    return [
        f"One more task costs {span(top['head'])} s as a head on latents that have been extracted and {span(top['whole'])} s as an "
        f"end-to-end run: {span(top['whole'] / top['head'])} times as much ({listed(list(top['backbone']))}, {_size(top)}). A head's cost is "
        "its share of many that are trained in one pass; alone it costs more.",
        f"A backbone, pretrained and with its latents extracted, is paid for after {listed(paid)}.",
    ]


def growth(sizes: pd.DataFrame) -> list[str]:
    """How the three costs grow with the number of windows, and with that of steps; a range where backbones differ."""
    out = []
    ways = (("n", "steps", "{:,} to {:,} windows of {} steps"), ("steps", "n", "{} to {} steps, {:,} windows"))
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
        f"The times below are of another benchmark than that page's, at batch {listed([f'{batch}' for batch in sorted(set(found['batch']))])}: "
        f"with PyPOTS's code around them end to end takes up to {amount(whole.max())} times as long, the models alone up to "
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


def missing(what: str) -> str:
    return fragments.note(f"{what} has not been measured yet. `make bench` measures it.")


def picture(draw, rows: pd.DataFrame, name: str, alt: str, said, caption: str) -> str:
    """A picture of rows; its alt text ends with what each row says."""
    alt = f"{alt} {'; '.join(said(row) for _, row in rows.iterrows())}."
    return fragments.picture(save(lambda narrow: draw(rows, narrow), name, alt, caption, fragments.out_dir()))


def speed(found: results.Results) -> str:
    """The body of the page: what one more task costs, and where serving spends its time."""
    rows = sure(found.benchmarks)
    if rows.empty:
        return fragments.note("Speed and cost have not been measured yet. `make bench` measures them on this machine.")
    sizes, served, made = costs(rows), times(rows), []
    top = sizes[sizes["n"] == sizes["n"].max()].drop_duplicates("backbone")
    machines = [fragments.plain(name) for name in sorted(set(rows["hardware"]))]
    lead, *more = headline(top)
    out = [f"**{lead}**\n", fragments.bullets(more), f"{'; '.join(machines)}.\n", "## What one more task costs\n"]
    if sizes.empty:
        out.append(missing("What one more task costs"))
    else:
        drawn = picture(
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
        out += [
            drawn,
            fragments.bullets(growth(sizes)),
            fragments.fold("By size of the data, and peak memory", fragments.tables(made[0])),
        ]
    out.append("## Where serving spends its time\n")
    if served.empty:
        out.append(missing("Serving"))
    else:
        drawn = picture(
            plots.serving,
            served,
            "speed-serving",
            "Bars of the time from a raw window to a probability, forward pass and code around it.",
            lambda row: (
                f"{row['backbone']} at batch {row['batch']}: here {amount(row['ours'])} ms, {amount(row['forward'])} "
                f"of them the forward pass, PyPOTS {amount(row['theirs'])} ms, {amount(row['their_forward'])} of them the forward pass"
            ),
            "From a raw window to a probability: medians as shares of PyPOTS's"
            f"{', the 99th percentile in words' * bool(served['ours_late'].notna().any())}. The forward "
            "pass is what the network itself takes on the same loops and blocks, the rest is the code around it.",
        )
        out += [drawn, fragments.bullets(models_or_code(served, _answer(found)), markup=True)]
    out += [
        fragments.fold(
            "Downloads", fragments.downloads("speed", rows[rows["part"].isin(("economics", "serving"))], made)
        ),
        fragments.how_made(list(rows[rows["part"].isin(("economics", "serving"))]["run"]), found.runs),
    ]
    return "\n".join(out)
