"""A section for each cohort of a page on predictions: the first unfolded, the others' answers above a box, simulated ones last."""

from __future__ import annotations

import html
import re

import pandas as pd

from modts.study import SEARCHED

from . import answers, fragments
from .prose import listed
from .results import ABOUT, Results, blocks

DECIDED = "Settings were searched on these stays, so they decide nothing here: this section shows how the study's instrument reads.\n"
OWN_SECTION = 2  # so many cohorts of a page have a section of their own
OWN_BOX = 3  # so many more have a box of their own; what is left shares one
SIMULATED = "They show that everything runs, and prove nothing about the paper.\n"


def parted(found: Results, rows: pd.DataFrame, block, leading: str = "") -> str:
    """A section for each real cohort, unfolded for the `leading` or else the first one; simulated ones in boxes below, or the first unfolded.

    `block(key, rows)` gives the answer, which always shows, and all else; a cohort that it says nothing of is left out. What other profiles say
    of a cohort stands in boxes below the first one's, and so do cohorts after the second, the answer in the title of each; what is more than
    `OWN_BOX` of these shares a box.
    """
    made = [(key, *block(key, part)) for key, part in blocks(rows, leading)]
    made = [one for one in made if one[2]]
    real = [one for one in made if not one[0][0].startswith("simulated")] or made[:1]
    names = list(dict.fromkeys(key[0] for key, _, _ in real))
    out, more = [], []
    for place, name in enumerate(names):
        title, (first, *others) = found.title(name), [one for one in real if one[0][0] == name]
        key, answer, rest = first
        decided = DECIDED if name in SEARCHED else ""
        if place >= OWN_SECTION:
            whole = "\n".join([decided, answer, rest, *(_other(key[1], title, *texts) for key, *texts in others)])
            more.append((title, fragments.fold(title + _in_short(answer, title), whole)))
            continue
        lead, _, further = answer.partition("\n\n") if place else (answer, "", "")
        out += [fragments.heading(2, title), decided, f"{lead}\n"]
        out.append(fragments.fold("All answers, the figure, the table", f"{further}\n{rest}") if place else rest)
        out += [_other(key[1], title, *texts) for key, *texts in others]
    boxes, rest = [box for _, box in more], more[OWN_BOX:]
    if len(rest) > 1:
        boxes[OWN_BOX:] = [
            fragments.fold(f"Further: {listed([title for title, _ in rest])}", "\n".join(boxes[OWN_BOX:]))
        ]
    out += [fragments.heading(2, "More cohorts"), *boxes] if more else []
    closed = [one for one in made if one not in real]
    if closed:
        boxes = [
            fragments.fold(f"{found.title(key[0])}, profile {key[1]}", f"{answer}\n{rest}")
            for key, answer, rest in closed
        ]
        out += [fragments.heading(2, "Simulated cohorts"), SIMULATED, *boxes]
    return "\n".join(out)


def _other(profile: str, title: str, answer: str, rest: str) -> str:
    """What a further profile says of the cohort of this title, in a box."""
    about = ABOUT.get(profile, f"profile {profile}")
    return fragments.fold(about[0].upper() + about[1:] + _in_short(answer, title), f"{answer}\n{rest}")


def _in_short(answer: str, title: str) -> str:
    """ ": frozen does as well as training everything end to end with all labels", what is bold in an answer, for a box's title; or "".

    The cohort's name, `title`, stands before it already, so it is left out; a box escapes its title itself.
    """
    bold = re.search(r"\*\*(.+?)\*\*", answer)
    words = html.unescape(bold[1]).replace(f" on {title}", "") if bold else ""
    for subject, short in (
        (answers.MOVED, "transferred"),
        (answers.FROZEN, "frozen"),
    ):  # the first begins as the second does
        words = words.replace(subject[0].upper() + subject[1:], short)
    return f": {words}" if words else ""
