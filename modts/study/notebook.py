"""What the notebooks show: a run's summary as a table, a picture that always has alt text."""

from __future__ import annotations

import base64
import html
import io

from modts.errors import ModtsError

from .names import ARM_NAMES, HEAD_NAMES, METRIC_NAMES, TIMED_NAMES, arm_name


class Html:
    """A piece of HTML for a notebook's output, with a plain text beside it."""

    def __init__(self, code: str, text: str):
        self.code, self.text = code, text

    def _repr_html_(self) -> str:
        return self.code

    def __repr__(self) -> str:
        return self.text


def picture(figure, alt: str) -> Html:
    """A matplotlib figure as an image with the given alt text, which must say what is seen."""
    import matplotlib.pyplot as plt

    if not alt.strip():
        raise ModtsError("A picture needs alt text that says what is seen.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Html(
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" style="max-width:100%">', f"[picture: {alt}]"
    )


def lines(data, x: str, y: str, by: str):
    """A figure and its axes: one line with marks for each value of the column `by` of a data frame."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    figure, axes = plt.subplots(figsize=(6, 3))
    sns.lineplot(data, x=x, y=y, hue=by, style=by, markers=True, palette="colorblind", ax=axes)
    axes.legend(frameon=False)
    return figure, axes


def intervals(rows: list[dict]):
    """A figure with one line a row of scores: its mean over seeds as a point on its 95 % interval, under its arm and share of labels."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    names = [f"{arm_name(row['arm'], row['head'], row['pooling'])}, {row['label_fraction']:.0%}" for row in rows]
    figure, axes = plt.subplots(figsize=(6, 0.35 * len(rows) + 1))
    blue, *_ = sns.color_palette("colorblind")
    axes.hlines(range(len(rows)), [row["low"] for row in rows], [row["high"] for row in rows], color="0.6")
    axes.plot([row["value"] for row in rows], range(len(rows)), "o", color=blue)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set(xlabel=f"{METRIC_NAMES[rows[0]['metric']]} on test, mean over seeds, 95 % interval")
    return figure


def summary(run, metric: str) -> Html:
    """A run's means over seeds with their 95 % intervals, one line per arm, head, pooling and label fraction."""
    names = {"arm": "Arm", "source": "From", "head": "Head", "pooling": "Pooling", "label_fraction": "Labels"}
    words = {"arm": ARM_NAMES, "head": HEAD_NAMES}
    rows = [row for row in run.rows if row["metric"] == metric and row["init_seed"] == ""]
    used = [column for column in names if any(row[column] != "" for row in rows)]
    head = "".join(_cell("th", name) for name in [*(names[c] for c in used), METRIC_NAMES[metric], "95 % interval"])
    body = ""
    for row in rows:
        cells = [
            f"{row[column]:.0%}"
            if column == "label_fraction" and row[column] != ""
            else words.get(column, {}).get(row[column], row[column])
            for column in used
        ]
        cells += [f"{row['value']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}"]
        body += "<tr>" + "".join(_cell("td", str(cell)) for cell in cells) + "</tr>"
    table = f'<div style="overflow-x:auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return Html(table, f"{len(rows)} rows of {metric}")


def _cell(tag: str, text: str) -> str:
    return f'<{tag} style="text-align:left;padding:0.2em 0.9em">{html.escape(text)}</{tag}>'


def arms(rows: list[dict]) -> list[str]:
    """The names of the arms in a run's rows, in the order of the tables."""
    there = {row["arm"] for row in rows}
    return [name for arm, name in ARM_NAMES.items() if arm in there]


def timed(rows: list[dict]):
    """A latency run's totals as a data frame, with the time a window and the ways to serve under their names."""
    import pandas as pd

    totals = pd.DataFrame([row for row in rows if row["stage"] == "total"])
    totals["milliseconds a window (p50)"] = totals["p50_ms"] / totals["batch"]
    totals["way"] = totals["arm"].map(TIMED_NAMES)
    return totals
