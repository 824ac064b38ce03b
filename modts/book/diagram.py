"""Two pictures that hold no result: the method as a flow with its one axis of adaptation, and the house that the code lives in.

Drawn with the same tools as the figures, so that they have the same look, and in both shapes: across a desk, down a phone. The house is drawn
from what holds it up: import-linter's layers in pyproject.toml, and the first sentence of each room.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from . import fragments
from .figures import Picture, save

STOPS = (
    ("Cohort", "windows with gaps,\nsplit by stay or time"),
    ("Missingness", "some known values\nhidden on purpose"),
    ("Backbone", "learns to fill gaps,\nwithout labels"),
    ("Latents", "its inner state,\none vector a window"),
    ("Head", "one linear layer,\nor a small MLP"),
    ("Scores", "on test windows\nseen once"),
)
AXIS = (
    ("Untrained", "random, frozen"),
    ("Frozen", "pretrained, frozen"),
    ("Fine-tuned", "pretrained, trained on"),
    ("End to end", "random, trained"),
)
ALT = (
    "Flow of the method in one direction: cohort, missingness, backbone, latents, head, scores. The backbone learns to "
    "impute without labels; only the head needs labels. Below, the one axis of adaptation: an untrained "
    "frozen backbone, a pretrained frozen one, fine-tuning, and end-to-end training, where only the backbone differs."
)
CAPTION = (
    "One direction, no way back. Blue stops need no labels; orange ones do. The same code trains every arm: an arm "
    "says only what starts pretrained and what may train."
)
BLUE, ORANGE, GREY = ("#e3f0f8", "#0072B2"), ("#fdeee0", "#D55E00"), ("#f3f3f3", "#777777")


def _box(axis, x, y, width, height, words, colours, title_size=9):
    fill, edge = colours
    axis.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=fill,
            edgecolor=edge,
            linewidth=1.2,
        )
    )
    axis.text(
        x + width / 2,
        y + height * 0.74,
        words[0],
        ha="center",
        va="center",
        fontsize=title_size,
        fontweight="bold",
        color="#1a1a1a",
    )
    axis.text(
        x + width / 2,
        y + height * 0.33,
        words[1],
        ha="center",
        va="center",
        fontsize=7.6,
        color="#333333",
        linespacing=1.25,
    )


def _arrow(axis, start, end):
    axis.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=10, linewidth=1.2, color="#555555", shrinkA=1, shrinkB=1
        )
    )


def flow(narrow: bool) -> Figure:
    """The flow and the axis of adaptation; `narrow` stacks them for a phone."""
    columns, width, gap, height, leap = (2, 1.68, 0.3, 0.86, 0.34) if narrow else (3, 2.05, 0.42, 0.86, 0.36)
    rows = len(STOPS) // columns
    total_width = columns * width + (columns - 1) * gap
    axis_rows = 2 if narrow else 1
    total_height = rows * height + (rows - 1) * leap + 0.62 + axis_rows * 0.62 + (axis_rows - 1) * 0.12
    figure = Figure(figsize=(total_width + 0.1, total_height + 0.1))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-0.05, total_width + 0.05), ylim=(-0.05, total_height + 0.05))
    axis.set_axis_off()
    centres = []
    for place, words in enumerate(STOPS):
        row, column = divmod(place, columns)
        x, y = column * (width + gap), total_height - height - row * (height + leap)
        _box(axis, x, y, width, height, words, ORANGE if place in (4, 5) else BLUE)
        centres.append((x, y))
    for place in range(len(STOPS) - 1):
        (x, y), (next_x, next_y) = centres[place], centres[place + 1]
        if y == next_y:
            _arrow(axis, (x + width, y + height / 2), (next_x, y + height / 2))
        else:  # to the start of the next row
            middle = y - leap / 2
            axis.plot(
                [x + width / 2, x + width / 2, next_x + width / 2], [y, middle, middle], color="#555555", linewidth=1.2
            )
            _arrow(axis, (next_x + width / 2, middle), (next_x + width / 2, next_y + height))
    top = total_height - rows * height - (rows - 1) * leap
    axis.text(
        total_width / 2,
        top - 0.33,
        "What the backbone starts from, and whether it may train",
        ha="center",
        va="center",
        fontsize=8.6 if narrow else 9,
        fontweight="bold",
        color="#333333",
    )
    per_row = len(AXIS) // axis_rows
    small = (total_width - (per_row - 1) * 0.14) / per_row
    for place, words in enumerate(AXIS):
        row, column = divmod(place, per_row)
        _box(axis, column * (small + 0.14), top - 0.62 - 0.62 - row * 0.74 + 0.05, small, 0.57, words, GREY, 8.6)
    return figure


def contract() -> Path:
    """The file whose layers are the rooms."""
    return Path(__file__).parents[2] / "pyproject.toml"


def rooms() -> list[tuple[str, str]]:
    """(name, what it is for) of every room, from the top down: a room may use those below it."""
    with open(contract(), "rb") as file:
        (layers,) = (
            one["layers"] for one in tomllib.load(file)["tool"]["importlinter"]["contracts"] if one["type"] == "layers"
        )
    package = Path(__file__).parent.parent
    found = []
    for name in (layer.strip() for line in layers for layer in line.split("|")):
        path = package / name / "__init__.py" if (package / name).is_dir() else package / f"{name}.py"
        words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n\n")[0]
        words = (
            " ".join(words.split())
            .removeprefix("The ")
            .removeprefix(f"{name}: ")
            .removeprefix(f"{name.capitalize()}: ")
        )
        found.append((f"{name}/" if path.stem == "__init__" else path.name, words[0].upper() + words[1:]))
    return found


def _house(named: list[tuple[str, str]], narrow: bool) -> Figure:
    width, height, gap = (3.6, 0.86, 0.1) if narrow else (7.0, 0.52, 0.09)
    total = len(named) * (height + gap) - gap
    figure = Figure(figsize=(width + 0.1, total + 0.1))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-0.05, width + 0.05), ylim=(-0.05, total + 0.05))
    axis.set_axis_off()
    for place, (name, words) in enumerate(named):
        y = total - height - place * (height + gap)
        fill, edge = BLUE if name.endswith("/") else GREY
        axis.add_patch(
            FancyBboxPatch(
                (0.24, y),
                width - 0.24,
                height,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=fill,
                edgecolor=edge,
                linewidth=1.2,
            )
        )
        left, middle = (0.36, y + height - 0.17) if narrow else (0.36, y + height / 2)
        axis.text(left, middle, name, va="center", fontsize=9, fontweight="bold", color="#1a1a1a")
        lines = textwrap.fill(words, 50 if narrow else 88)
        at = (0.36, y + (height - 0.26) / 2) if narrow else (1.5, middle)
        axis.text(*at, lines, va="center", fontsize=7.6, color="#333333", linespacing=1.25)
    _arrow(axis, (0.1, total), (0.1, 0))
    return figure


def house() -> Picture:
    """The rooms of the code, one above the other."""
    named = rooms()
    alt = f"The rooms of the package modts from the top down: {'; '.join(f'{name} {words}' for name, words in named)}"
    caption = "The code's rooms. One may use those below it, never one above; a tool checks it with every test."
    return save(lambda narrow: _house(named, narrow), "house", alt, caption, fragments.out_dir())
