"""The page on the paper's claims, each with the verdict of our rows."""

from __future__ import annotations

import pandas as pd

from . import fragments, prose, verdicts
from .results import Results
from .tables import Cell, Table, number


def claims(found: Results) -> str:
    """The paper's claims, each with the verdict of our rows."""
    outcome = verdicts.verdicts(found)
    kinds = {
        verdicts.AGREES: "agrees",
        verdicts.DIFFERS: "differs",
        verdicts.SMALL: "partly",
        verdicts.PARTLY: "partly",
        verdicts.NOISE: "noise",
        verdicts.CANNOT_TELL: "noise",
    }
    by_word = [(word, sum(one.word == word for one in outcome)) for word in dict.fromkeys([*kinds, verdicts.UNTESTED])]
    told = ", ".join(f"{prose.count(number)} “{word}”" for word, number in by_word if number)
    lines = [f"Of {prose.count(len(outcome))} claims: {told}.\n", fragments.raw(_table(outcome, kinds).html())]
    lines.append("## Claim by claim\n")
    for one in outcome:
        kind = kinds.get(one.word, "untested")
        lines.append(
            f":::{{div}} modts-claim\n**{one.id}.** {one.claim}\n\n"
            f"[{one.word}]{{.modts-verdict .modts-{kind}}} {fragments.plain(one.found)}\n:::\n"
        )
    rows = pd.DataFrame(
        [
            {"id": one.id, "claim": one.claim, "verdict": one.word, "found": one.found, "runs": ",".join(one.runs)}
            for one in outcome
        ]
    )
    lines += [
        fragments.downloads("claims", rows, []),
        fragments.how_made([run for one in outcome for run in one.runs], found.runs, "status.html"),
    ]
    return "\n".join(lines)


def _table(outcome: list[verdicts.Verdict], kinds: dict[str, str]) -> Table:
    """A row a claim: the paper's figure and ours with both errors, the verdict, and why it may differ."""
    body = []
    for one in outcome:
        first = one.parts[0] if one.parts else None
        theirs = (
            Cell("–", absent=True)
            if first is None or first.theirs is None
            else Cell(
                number(first.theirs, first.digits),
                f"s.e. {number(first.their_error)}" if first.their_error else "error not known",
            )
        )
        ours = (
            Cell("–", absent=True)
            if first is None or first.ours is None
            else Cell(
                number(first.ours, first.digits),
                f"s.e. {number(first.our_error)}" if first.our_error else "error not known",
            )
        )
        why = "; ".join(words for words in (one.why, first.no_error if first else "") if words)
        body.append([one.id, one.short, theirs, ours, one.word, Cell(why or "–", wide=True)])
    return Table(
        "The claims at a glance: the paper's figure and ours, each with its standard error",
        ["", "Claim", "Paper", "Here", "Verdict", "Why it may differ"],
        body,
    )
