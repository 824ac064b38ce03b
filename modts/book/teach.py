"""The figures for slides on the page for teachers: every picture of the learning path, and the forest plot of the front page."""

from __future__ import annotations

from . import fragments
from .results import Results

FIGURES = {  # stem -> what it is for, which is its title on a slide of the learning path too
    "learn-window": "What a window with gaps is.",
    "learn-maps": "A map of what was measured, to be drawn of any data set.",
    "learn-lost": "MCAR, MAR, MNAR and a ward, on one and the same curve.",
    "learn-means": "What each mechanism does to a mean.",
    "learn-imputers": "Why an imputer's score is not its error in the gaps.",
    "learn-predictions": "What was measured predicts: how well, and where it stops doing so.",
    "learn-hiding": "The shape of gaps counts for more than their number.",
    "learn-way": "One stay from the raw table to a risk score.",
    "learn-plane": "A map of latents, by outcome and by how much was measured.",
    "learn-readings": "What can be read off a latent, beside its two controls.",
    "front": "The result: frozen beside every other way.",
}


def figures(found: Results) -> str:
    """A row a figure: what it is for, and its two files."""
    out = []
    for stem, words in FIGURES.items():
        folder = fragments.out_dir()
        files = ((kind, f"{stem}{end}") for kind, end in (("SVG", "-slide.svg"), ("PNG", ".png")))
        links = [f"{{download}}`{kind} </book/_generated/{file}>`" for kind, file in files if (folder / file).is_file()]
        out += [f"- {words} {' · '.join(links)}\n"] if links else []
    return (
        f"::::{{div}} modts-downloads\n{''.join(out)}::::\n" if out else fragments.note("No figure has been drawn yet.")
    )


PIECES = {"teach-figures": figures}
