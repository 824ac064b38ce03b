"""The method in one picture: the one-way flow from raw windows to pages, and the one axis of adaptation.

Drawn with the same tools as the figures, so that it has the same look, and in both shapes: across a desk, down a phone.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

STOPS = (
    ("Cohort", "windows with gaps,\nsplit by stay or time"),
    ("Missingness", "some known values\nhidden on purpose"),
    ("Backbone", "learns to impute\nwhat was hidden"),
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
