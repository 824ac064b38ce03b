"""The page on the paper's claims, each with the verdict of our rows."""

from __future__ import annotations

import pandas as pd

from . import fragments, prose, verdicts
from .results import Results


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
    tested = [one for one in outcome if one.word != verdicts.UNTESTED]
    lines = [
        f"{prose.count(len(tested)).capitalize()} of the {prose.count(len(outcome))} claims have been tested so far.\n"
    ]
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
