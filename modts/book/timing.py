"""What stored times say: how much longer end to end takes than the modular way, and whether the stages add up to the whole."""

from __future__ import annotations

import pandas as pd

from .results import Results


def ends(ratios: pd.DataFrame) -> str:
    """ "0.61 (Autoformer, batch 8) to 1.56 (BRITS, batch 8)": the least and the largest of these ratios, and whose they are."""
    rows = ratios.loc[[ratios["ratio"].idxmin(), ratios["ratio"].idxmax()]]
    return " to ".join(f"{row['ratio']:.2f} ({row['backbone']}, batch {row['batch']:g})" for _, row in rows.iterrows())


def stage_shares(timed: pd.DataFrame) -> pd.Series:
    """For each network, arm and batch: the medians of the stages added up, as a share of the median of the whole."""
    wide = timed.pivot_table(index=["backbone", "arm", "batch"], columns="stage", values="p50_ms")
    stages = wide.drop(columns="total").dropna(how="all")
    return (
        (stages.sum(axis=1) / wide["total"].reindex(stages.index)).dropna() if len(stages) else pd.Series(dtype=float)
    )


def span_of(shares: pd.Series) -> str:
    """ "47 to 151 %"."""
    return f"{100 * shares.min():.0f} to {100 * shares.max():.0f} %"


def latency_ratios(results: Results) -> pd.DataFrame:
    """Median latency, raw window to prediction, of each end-to-end arm over the modular one (same cohort and batch)."""
    total = results.latency[results.latency["stage"] == "total"]
    keys = ["profile", "cohort", "backbone", "batch", "hardware"]
    columns = [*keys, "arm", "ratio", "run"]
    both = total[total["arm"] == "frozen"].merge(
        total[total["arm"].isin(["e2e", "e2e_shipped"])], on=keys, suffixes=("_modular", "")
    )
    return both.assign(ratio=both["p50_ms"] / both["p50_ms_modular"])[columns]
