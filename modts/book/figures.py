"""Pictures of results: one style, a palette that colour-blind readers can tell apart, and no picture without words.

Colours are Okabe and Ito's (Color Universal Design, 2008) and every colour comes with its own mark, so that nothing
hangs on colour alone. Each picture is drawn twice, for a desk (panels side by side) and for a phone (panels stacked);
the page shows the one that fits. `save` refuses a picture without alt text.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from modts import runs
from modts.errors import ModtsError

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "modts",
}
MARKS = {  # (arm, head) -> colour, mark
    ("untrained", "simple"): ("#8c8c8c", "x"),
    ("untrained", "complex"): ("#595959", "+"),
    ("frozen", "simple"): ("#0072B2", "o"),
    ("frozen", "complex"): ("#56B4E9", "s"),
    ("transfer", "simple"): ("#CC79A7", "P"),
    ("transfer", "complex"): ("#8f4a72", "p"),
    ("norm", "simple"): ("#9b87c4", "h"),
    ("last_block", "simple"): ("#7458a8", "X"),
    ("lora", "simple"): ("#4b2e83", "*"),
    ("finetune", "simple"): ("#009E73", "^"),
    ("finetune", "complex"): ("#006b4f", "<"),
    ("transfer_finetune", "simple"): ("#b8336a", ">"),
    ("transfer_finetune", "complex"): ("#7a1f46", "8"),
    ("e2e", "simple"): ("#D55E00", "D"),
    ("e2e", "complex"): ("#943f00", "d"),
    ("e2e_shipped", ""): ("#E69F00", "v"),
    ("fusion", "simple"): ("#5d4a2b", "P"),
    ("fusion", "complex"): ("#8f7a54", "P"),
    ("stacked", ""): ("#000000", "*"),
}
DASHES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
WIDE, NARROW = 7.2, 3.75  # inches; at 96 px an inch the text column of a desk and of a phone


@dataclass(frozen=True)
class Picture:
    """A drawn picture: its two files, and the words for who cannot see it."""

    stem: str
    alt: str
    caption: str
    folder: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """The SVG for a desk and the one for a phone."""
        return self.folder / f"{self.stem}-wide.svg", self.folder / f"{self.stem}-narrow.svg"


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same bytes for the same picture."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.04, metadata={"Date": None})
    return buffer.getvalue()


def lone(figure: Figure, title: str, caption: str) -> Figure:
    """The figure as it is taken away: what it is of in words above, its caption below."""
    figure.draw_without_rendering()  # places everything; a legend outside the axes would follow the edge of the larger picture
    figure.set_layout_engine("none")
    for part in figure.legends:
        box = part.get_window_extent().transformed(figure.transFigure.inverted())
        part.set_loc("upper left")
        part.set_bbox_to_anchor((box.x0, box.y1), transform=figure.transFigure)
    for words, side, height, weight in ((title, "bottom", 1.015, "bold"), (caption, "top", -0.015, "normal")):
        lines = "\n".join(textwrap.wrap(words.replace("$", r"\$"), 112 if weight == "normal" else 100))
        figure.text(0.01, height, lines, va=side, weight=weight, fontsize=8.5, linespacing=1.35)
    return figure


def png(figure: Figure) -> bytes:
    """The figure for a slide: about 1,900 pixels wide."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=260, bbox_inches="tight", pad_inches=0.1, metadata={"Software": None})
    return buffer.getvalue()


def write(path: Path, content: str | bytes) -> None:
    """Write a file that is new or changed; one that is neither keeps its time, and Sphinx its pages."""
    data = content.encode() if isinstance(content, str) else content
    if not path.is_file() or path.read_bytes() != data:
        runs.atomic_write(path, data)


def save(draw: Callable[[bool], Figure], stem: str, alt: str, caption: str, folder: Path, slide: str = "") -> Picture:
    """Draw a picture in both shapes and write it.

    Parameters
    ----------
    draw : callable
        `draw(narrow)` returns the figure.
    stem : str
        File name without ending.
    alt : str
        What the picture shows, in words, for who cannot see it.
    caption : str
        The line under the picture.
    folder : Path
    slide : str
        The title of a third shape for slides, if there is to be one: an SVG and a PNG that stand alone, with the caption below.

    Raises
    ------
    ModtsError
        If `alt` is empty, or no more than the file's name.
    """
    words = " ".join((alt or "").split())
    if len(words) < 20 or words == stem:
        raise ModtsError(f"Picture {stem!r} has the alt text {alt!r}; say in a sentence what the picture shows.")
    picture = Picture(stem, words, caption, folder)
    with matplotlib.rc_context(STYLE):
        for narrow, path in zip((False, True), picture.files, strict=True):
            write(path, svg(draw(narrow)))
        if slide:
            taken = lone(draw(False), slide, caption)
            write(folder / f"{stem}-slide.svg", svg(taken))
            write(folder / f"{stem}.png", png(taken))
    return picture


def grid(count: int, narrow: bool, height: float, per_row: int = 2, **options):
    columns = 1 if narrow else min(per_row, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(NARROW if narrow else WIDE, height * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, **options)).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def legend(figure: Figure, axes, narrow: bool, columns: int = 4) -> None:
    found = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(
            found.values(),
            found.keys(),
            loc="outside upper left",
            ncols=2 if narrow else columns,
            handletextpad=0.4,
            columnspacing=1.2,
        )


def mark_of(arm: str, head: str) -> tuple[str, str]:
    """Colour and mark of an arm; one without a head of its own looks like its Simple one."""
    for key in ((arm, head), (arm, ""), (arm, "simple")):
        if key in MARKS:
            return MARKS[key]
    return "#000000", "*"
