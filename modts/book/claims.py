"""The page on the paper's claims, each with the verdict of our rows; and on what they leave open."""

from __future__ import annotations

import pandas as pd

from . import answers, checks, effects, fragments, ledger, prose, verdicts
from .results import Results, at, device
from .tables import Cell, Table, number, signed


def claims(found: Results) -> str:
    """The paper's claims, each with the verdict of our rows."""
    outcome = verdicts.verdicts(found)
    kinds = {
        checks.AGREES: "agrees",
        checks.DIFFERS: "differs",
        checks.SMALL: "partly",
        checks.PARTLY: "partly",
        checks.NOISE: "noise",
        checks.CANNOT_TELL: "noise",
    }
    by_word = [(word, sum(one.word == word for one in outcome)) for word in dict.fromkeys([*kinds, checks.UNTESTED])]
    told = ", ".join(f"{prose.count(number)} “{word}”" for word, number in by_word if number)
    lines = [
        *_contrast(found),
        f"Of {prose.count(len(outcome))} claims: {told}.\n",
        fragments.raw(_table(found, outcome).html()),
    ]
    lines.append("## Claim by claim\n")
    for one in outcome:
        kind = kinds.get(one.word, "untested")
        lines.append(
            f":::{{div}} modts-claim\n**{one.id}.** {one.claim}\n\n"
            f"[{one.word}]{{.modts-verdict .modts-{kind}}} {fragments.plain(one.found)}\n:::\n"
        )
    every = ledger.rows(found)
    more = [row for row in every if row["kind"] != "claim"]
    lines += ["## Suspicions, open questions, next checks\n", fragments.raw(_questions(more).html())]
    ran = [run for row in every for run in row["run"].split(",") if run]
    lines += [
        fragments.downloads("claims", pd.DataFrame(every), []),
        fragments.how_made(ran, found.runs, "status.html"),
    ]
    return "\n".join(lines)


def _contrast(found: Results) -> list[str]:
    """The paper's main contrast, modular against end to end with few labels, beside the same difference here."""
    figures = {row["id"]: row["figures"] for row in verdicts.claims()}
    rows = effects.singles(effects.effects_of(found, "physionet_2012", checks.HEADLINE), "frozen - e2e_shipped")
    rows = rows[rows["backbone"] == "CSAI"]
    asked = {"cohort": "physionet_2012", "metric": "auroc", "backbone": "CSAI"}
    levels = checks.pick(found, checks.HEADLINE, **asked)
    own = effects.singles(effects.on_own_splits(found, "physionet_2012", checks.HEADLINE), "frozen - e2e_shipped")
    return [
        f"**The main contrast.** With {effects.labels(row['label_fraction'])}, the paper's modular CSAI lies "
        f"{number(figures['P4']['auroc'] - figures['P3']['csai'])} in AUROC above its end-to-end CSAI. Here, at the same size, "
        f"{_same_head(at(levels, row['label_fraction']))}a linear layer on frozen CSAI lies {_on_splits(own, row)}{answers.interval(row)} "
        f"above CSAI as PyPOTS ships it{effects.on_external(rows)}.\n"
        for _, row in rows.iterrows()
    ]


def _same_head(rows: pd.DataFrame) -> str:
    """The paper's own pair, its Complex head against the classifier as shipped, on test splits of its cohort."""
    frozen, shipped = (rows[rows["arm"] == arm] for arm in ("frozen", "e2e_shipped"))
    frozen = frozen[frozen["head"] == "complex"]
    if frozen.empty or shipped.empty:
        return ""
    both = " and ".join(number(some["value"].iloc[0]) for some in (frozen, shipped))
    return f"the two have {both}, with the paper's Complex head on test splits; "


def _on_splits(own: pd.DataFrame, row: pd.Series) -> str:
    own = at(own[own["backbone"] == row["backbone"]], row["label_fraction"])
    return f"{answers.interval(own.iloc[0])} (test splits) and " if len(own) and row["test"] != "split" else ""


def _questions(rows: list[dict]) -> Table:
    """A row each: what is suspected or asked, the verdict, and what was found, or why nothing was."""
    short = {row["id"]: row["short"] for row in ledger.questions()}
    body = [[row["claim"], short[row["claim"]], row["verdict"], Cell(row["why"], wide=True)] for row in rows]
    return Table(
        "What the claims leave open, and what the stored results say to it", ["", "What", "Verdict", "Found"], body
    )


def _table(found: Results, outcome: list[verdicts.Verdict]) -> Table:
    """A row a claim: the paper's figure and ours with both errors, the verdict, and why it may differ."""
    body = []
    for one in outcome:
        first = one.parts[0] if one.parts else None
        kinds = {device(found.runs.get(run, {}).get("hardware", "")) for run in (first.runs if first else ())}
        write = signed if first and first.change else number
        gpu = ", GPU" if kinds == {"GPU"} else ""
        theirs = (
            Cell("–", absent=True)
            if first is None or first.theirs is None
            else Cell(
                write(first.theirs, first.digits),
                f"s.e. {number(first.their_error)}" if first.their_error else "error not known",
            )
        )
        ours = (
            Cell("–", absent=True)
            if first is None or first.ours is None
            else Cell(
                write(first.ours, first.digits),
                (f"s.e. {number(first.our_error)}" if first.our_error else "error not known") + gpu,
            )
        )
        why = "; ".join(words for words in (one.why, *((first.apart, first.no_error) if first else ())) if words)
        body.append([one.id, one.short, theirs, ours, one.word, Cell(why or "–", wide=True)])
    return Table(
        "The claims at a glance: the paper's figure and ours, each with its standard error",
        ["", "Claim", "Paper", "Here", "Verdict", "Why it may differ"],
        body,
    )
