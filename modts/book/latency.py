"""The page on latency: from raw window to sections, stage by stage, modular and end to end."""

from __future__ import annotations

import pandas as pd

from modts.serving import ENOUGH
from modts.study import STAGE_NAMES, TIMED_NAMES

from . import fragments, plots, sections, tables, timing
from .figures import save
from .results import Results, device
from .tables import Cell, Table, amount


def latency(found: Results) -> str:
    """From raw window to sections, stage by stage, modular and end to end."""
    rows, ratios = found.latency, timing.latency_ratios(found)
    if rows.empty:
        return fragments.note("No latency has been measured yet. `make book` measures it on this machine.")
    rows = rows.assign(device=[device(text) for text in rows["hardware"]])
    return sections.parted(found, rows, lambda key, part: _block(found, key, part, ratios))


def _block(found: Results, key, part: pd.DataFrame, ratios: pd.DataFrame) -> tuple[str, str]:
    title, stem = found.title(key[0]), f"latency-{'-'.join(key).lower()}"
    near = ratios[(ratios["cohort"] == key[0]) & (ratios["profile"] == key[1])]
    total = part[part["stage"] == "total"]
    ends = sorted({total["batch"].min(), total["batch"].max()})
    threads = sorted({str(found.runs.get(run, {}).get("params", {}).get("threads", "?")) for run in set(part["run"])})
    where = (
        f"[profile {fragments.plain(key[1])}]{{.modts-badge}} [{key[2]}]{{.modts-badge}} "
        f"{fragments.plain('; '.join(sorted(set(part['hardware']))))}; warm, {part['repeats'].min():.0f} or more calls, "
        f"PyTorch threads: {' and '.join(threads)}.\n"
    )
    out = [where]
    sentences = [
        f"End to end takes {_from_to(near[near['batch'] == batch]['ratio'])} times as long as modular at batch {batch:g}."
        for batch in ends
        if len(near[near["batch"] == batch])
    ]
    if len(near):
        sentences.append(
            f"Over all batch sizes the ratio reaches from {timing.ends(near)}; those between are in the downloads."
        )
    lead = [f"**{sentences[0]}**\n\n"] if sentences else []
    answer = "".join([*lead, fragments.bullets([*sentences[1:], *_stages_and_total(part), *_as_served(total)])])
    out.append(
        fragments.picture(
            save(
                lambda narrow, total=total: plots.latency(total, narrow),
                stem,
                f"Milliseconds a window against batch size on {title}, a panel a backbone, modular and end to end. "
                f"{' '.join(sentences)}",
                f"Median time a window on {title}{', bars up to the 99th percentile' * _enough(total)}; both axes are logarithmic.",
                fragments.out_dir(),
            )
        )
    )
    made = [_total_table(total, ends, title), _stage_table(part, ends[0], title)]
    out += [fragments.tables(made[0]), fragments.fold("Stage by stage", fragments.tables(made[1]))]
    out += [
        fragments.fold("Downloads", fragments.downloads(stem, part, made)),
        fragments.how_made(list(part["run"]), found.runs),
    ]
    return answer, "\n".join(out)


def _enough(rows: pd.DataFrame) -> bool:
    """Whether there is a 99th percentile of calls enough."""
    return bool((rows["p99_ms"].notna() & (rows["repeats"] >= ENOUGH)).any())


def _from_to(ratios: pd.Series) -> str:
    """ "0.66 to 1.48", or the one number where both ends read alike."""
    return " to ".join(dict.fromkeys(f"{value:.2f}" for value in (ratios.min(), ratios.max())))


def _stages_and_total(part: pd.DataFrame) -> list[str]:
    """How near the medians of the stages come to the median of the whole."""
    share = timing.stage_shares(part)
    if share.empty:
        return []
    away = share[(share - 1).abs() > 0.1]
    out = f"The stages add up to {timing.span_of(share)} of the total"
    if away.empty:
        return [f"{out}."]
    return [
        f"{out}; {len(away)} of {len(share)} sums are more than a tenth away, and the ratios are no more exact than that."
    ]


def _as_served(total: pd.DataFrame) -> list[str]:
    """What differs from the page on speed, which times the predictor."""
    one = total[total["batch"] == 1].pivot_table(index="backbone", columns="arm", values="p50_ms")
    if not {"frozen", "predictor"} <= set(one):
        return []
    one = one.dropna(subset=["frozen", "predictor"])
    if one.empty:
        return []
    name = (one["frozen"] / one["predictor"]).idxmax()
    return [
        f"Stages are timed as plain PyTorch. A service would run the predictor, which traces its pass for a single window: {name} "
        f"then takes {amount(one.loc[name, 'predictor'])} ms instead of {amount(one.loc[name, 'frozen'])}."
    ]


def _milliseconds(rows: pd.DataFrame) -> Cell:
    if rows.empty:
        return Cell(tables.NOT_RUN, absent=True)
    row = rows.iloc[0]
    late = "" if pd.isna(row["p99_ms"]) or row["repeats"] < ENOUGH else f"p99 {amount(row['p99_ms'])}"
    return Cell(amount(row["p50_ms"]), late, title=f"run {row['run']}")


def _total_table(total: pd.DataFrame, batches: list[float], title: str) -> Table:
    arms = [arm for arm in ("frozen", "e2e", "e2e_shipped", "predictor") if (total["arm"] == arm).any()]
    body = [
        [
            name,
            *(
                _milliseconds(total[(total["backbone"] == name) & (total["arm"] == arm) & (total["batch"] == batch)])
                for batch in batches
                for arm in arms
            ),
        ]
        for name in tables.backbone_names(total)
    ]
    return Table(
        f"Raw window to sections, milliseconds a batch, median{' (and 99th percentile)' * _enough(total)}, {title}",
        ["Backbone", *(f"{TIMED_NAMES[arm]}, batch {batch:g}" for batch in batches for arm in arms)],
        body,
    )


def _stage_table(part: pd.DataFrame, batch: float, title: str) -> Table:
    stages = sorted(set(part["stage"]), key=list(STAGE_NAMES).index)  # as a window goes through
    part = part[(part["arm"] == "frozen") & (part["batch"] == batch)]
    body = [
        [name, *(_milliseconds(part[(part["backbone"] == name) & (part["stage"] == stage)]) for stage in stages)]
        for name in tables.backbone_names(part)
    ]
    return Table(
        f"Modular, stage by stage, milliseconds at batch {batch:g}, {title}",
        ["Model", *(STAGE_NAMES[stage] for stage in stages)],
        body,
    )
