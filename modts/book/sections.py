"""A section for each cohort of a page on predictions: the first unfolded, the others' answers above a box, simulated ones last."""

from __future__ import annotations

import re

import pandas as pd

from modts.study import SEARCHED

from . import answers, fragments
from .results import ABOUT, Results, blocks

DECIDED = "Settings were searched on these stays, so they decide nothing here: this section shows how the study's instrument reads.\n"
SIMULATED = "They show that everything runs, and prove nothing about the paper.\n"


def parted(found: Results, rows: pd.DataFrame, block, leading: str = "") -> str:
    """A section for each real cohort, unfolded for the `leading` or else the first one; simulated ones in boxes below, or the first unfolded.

    `block(key, rows)` gives the answer, which always shows, and all else; a cohort that it says nothing of is left out. What other profiles say
    of a cohort stands in boxes below the first one's, the answer in the title of each.
    """
    made = [(key, *block(key, part)) for key, part in blocks(rows, leading)]
    made = [one for one in made if one[2]]
    real = [one for one in made if not one[0][0].startswith("simulated")] or made[:1]
    out, seen = [], set()
    for place, (key, answer, rest) in enumerate(real):
        if key[0] in seen:
            out.append(fragments.fold(_in_short(key[1], answer), f"{answer}\n{rest}"))
            continue
        seen.add(key[0])
        lead, _, further = answer.partition("\n\n") if place else (answer, "", "")
        out += [fragments.heading(2, found.title(key[0])), *([DECIDED] if key[0] in SEARCHED else []), f"{lead}\n"]
        out.append(fragments.fold("All answers, the figure, the table", f"{further}\n{rest}") if place else rest)
    closed = [one for one in made if one not in real]
    if closed:
        boxes = [
            fragments.fold(f"{found.title(key[0])}, profile {key[1]}", f"{answer}\n{rest}")
            for key, answer, rest in closed
        ]
        out += [fragments.heading(2, "Simulated cohorts"), SIMULATED, *boxes]
    return "\n".join(out)


def _in_short(profile: str, answer: str) -> str:
    """ "The earlier protocol: frozen does as well as training everything end to end with all labels": a box's title."""
    about = ABOUT.get(profile, f"profile {profile}")
    bold = re.search(r"\*\*(.+?)\*\*", answer)
    words = bold[1] if bold else ""
    for subject, short in (
        (answers.MOVED, "transferred"),
        (answers.FROZEN, "frozen"),
    ):  # the first begins as the second does
        words = words.replace(subject[0].upper() + subject[1:], short)
    words = f": {words}" if words else ""
    return about[0].upper() + about[1:] + words
