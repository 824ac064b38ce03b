"""The quiz at the end of the learning path: from `book/data/quiz.yaml` to HTML that works without JavaScript, and better with it."""

from __future__ import annotations

import html

import yaml

from modts import runs

from . import fragments
from .results import Results

CHAPTERS = {
    "missing_values": ("Missing values in time series", "missing_values.html"),
    "holes": ("My data already has holes", "holes.html"),
    "latents": ("How an imputer's latent looks", "latents.html"),
    "heads": ("Heads on frozen latents", "../../notebooks/heads.html"),
    "method": ("Method", "../method.html"),
}


def questions() -> list[dict]:
    """Each with `ask`, `answers`, `right` (a position), `why` and `see` (a key of CHAPTERS)."""
    rows = yaml.safe_load((runs.root() / "book" / "data" / "quiz.yaml").read_text(encoding="utf-8"))
    for row in rows:
        (row["right"],) = [place for place, answer in enumerate(row["answers"]) if answer.startswith("+")]
        row["answers"] = [answer.removeprefix("+") for answer in row["answers"]]
    return rows


def quiz(found: Results) -> str:
    """A fieldset a question. The answer is folded below it; the script of the page marks what was chosen and counts."""
    out = ['<form class="modts-quiz">']
    for number, row in enumerate(questions(), 1):
        title, link = CHAPTERS[row["see"]]
        right = html.escape(row["answers"][row["right"]])
        out.append(f'<fieldset data-right="{row["right"]}"><legend>{number}. {html.escape(row["ask"])}</legend>')
        out += [
            f'<label><input type="radio" name="q{number}" value="{place}"> {html.escape(answer)}</label>'
            for place, answer in enumerate(row["answers"])
        ]
        out.append(
            f'<p class="said" role="status"></p><details><summary>Answer</summary><p><strong>{right}.</strong> {html.escape(row["why"])} '
            f'<a href="{link}">{html.escape(title)}</a></p></details></fieldset>'
        )
    out.append('<p class="total" role="status"></p></form>')
    return fragments.raw("\n".join(out))


PIECES = {"learn-quiz": quiz}
