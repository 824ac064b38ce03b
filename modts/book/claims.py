"""The page on the paper's claims, each with the verdict of our rows; and on what they leave open."""

from __future__ import annotations

import pandas as pd

from . import answers, checks, effects, fragments, ledger, prose, verdicts
from .results import SINGLE, Results, at, device, run_ids
from .tables import Cell, Table, number, signed


def claims(found: Results) -> str:
    """The paper's claims, each with the verdict of our rows."""
    outcome = verdicts.verdicts(found)
    kinds = {
        checks.AGREES: "agrees",
        checks.DIFFERS: "differs",
        checks.SMALL: "partly",
        checks.PARTLY_AGREES: "partly",
        checks.PARTLY_DIFFERS: "partly",
        checks.MIXED: "partly",
        checks.NOISE: "noise",
        checks.CANNOT_TELL: "noise",
    }
    by_word = [(word, sum(one.word == word for one in outcome)) for word in dict.fromkeys([*kinds, checks.UNTESTED])]
    told = ", ".join(f"{prose.count(number)} “{word}”" for word, number in by_word if number)
    lines = [
        *_contrast(found),
        f"Of {prose.count(len(outcome))} claims: {told}.\n",
        fragments.tables(_table(found, outcome)),
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
    lines += ["## Suspicions, open questions, next checks\n", fragments.tables(_questions(more))]
    ran = run_ids(row["run"] for row in every)
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
    outside = found.external[found.external["profile"] == checks.HEADLINE]
    outside = outside[(outside[list(asked)] == pd.Series(asked)).all(axis=1) & outside["pooling"].isin(SINGLE)]
    own = effects.singles(effects.on_own_splits(found, "physionet_2012", checks.HEADLINE), "frozen - e2e_shipped")
    return [
        f"**The main contrast.** With {effects.labels(row['label_fraction'])}, the paper's modular CSAI lies "
        f"{number(figures['P4']['auroc'] - figures['P3']['csai'])} in AUROC above its end-to-end CSAI. Here, at the same size, "
        f"a linear layer on frozen CSAI {answers.verb(row)} CSAI as PyPOTS ships it, by {answers.interval(row)}"
        f"{effects.on_external(rows)}{_on_splits(own, row)}.{_same_head(*(at(some, row['label_fraction']) for some in (levels, outside)))}\n"
        for _, row in rows.iterrows()
    ]


def _same_head(*tests: pd.DataFrame) -> str:
    """The paper's own pair, its Complex head against the classifier as shipped, and end to end with that head; on test splits, and outside."""
    said = []
    for rows, where in zip(tests, ("on the test splits", "on the external test"), strict=True):
        frozen, shipped, whole = (
            rows[(rows["arm"] == arm) & (rows["head"] == head)]["value"].map(number).tolist()
            for arm, head in (("frozen", "complex"), ("e2e_shipped", ""), ("e2e", "complex"))
        )
        if frozen and shipped:
            also = f" and end to end as done here, also with that head, {whole[0]}" if whole else ""
            said.append(f"{where} frozen CSAI has {frozen[0]}, the classifier as shipped {shipped[0]}{also}")
    if not said:
        return ""
    return (
        f" With the paper's Complex head in place of the linear layer, {'; '.join(said)}. The frozen one is a mean over more draws "
        "of the labels than the other two, and these differences were not named beforehand, so they are not tested."
    )


def _on_splits(own: pd.DataFrame, row: pd.Series) -> str:
    own = at(own[own["backbone"] == row["backbone"]], row["label_fraction"])
    if own.empty or row["test"] == "split":
        return ""
    return f"; on the cohort's own test splits, which are smaller, by {answers.interval(own.iloc[0])} ({own.iloc[0]['verdict']})"


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
        kinds = {device(found.runs.get(run, {}).get("hardware", "")) for run in one.runs}
        apart = next((part.apart for part in one.parts if part.apart), "")
        why = "; ".join(filter(None, (one.why, apart, *dict.fromkeys(part.no_error for part in one.parts))))
        theirs = _figures(one, [(part.theirs, part.their_error) for part in one.parts])
        ours = _figures(one, [(part.ours, part.our_error) for part in one.parts], "on a GPU" * (kinds == {"GPU"}))
        ours = next((Cell(part.tally) for part in one.parts if part.tally), ours)
        body.append([one.id, one.short, theirs, ours, one.word, Cell(why or "–", wide=True)])
    return Table(
        "The claims at a glance: the paper's figure and ours, each with its standard error",
        ["", "Claim", "Paper", "Here", "Verdict", "Why it may differ"],
        body,
    )


def _figures(one: verdicts.Verdict, two: list[tuple[float | None, float | None]], more: str = "") -> Cell:
    """One side's figures, a part each, with their standard errors."""
    if not two or two[0][0] is None:
        return Cell("–", absent=True)
    write, digits = signed if one.parts[0].change else number, one.parts[0].digits
    names = " and ".join(part.name for part in one.parts) if len(two) > 1 else ""
    errors = " and ".join(number(error) if error else "not known" for _, error in two)
    errors = "error not known" if not any(error for _, error in two) else f"s.e. {errors}"
    small = "\n".join(filter(None, (names, errors, more)))
    return Cell(" and ".join(write(value, digits) for value, _ in two), small)
