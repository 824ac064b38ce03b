"""Rows of results -> tables: HTML for the page, CSV and LaTeX for the reader's own paper.

A table never mixes cohorts, profiles or devices (CPU and GPU). Every value carries its 95 % interval, baselines stand
in the same table as the models, what was not run says so, and only a value whose interval overlaps with no other's is
bold. Differences between arms have tables of their own (see `effects`).
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, field

import pandas as pd

from modts.backbones import BACKBONES, SIX
from modts.learning import HIGHER_IS_BETTER
from modts.study import METRIC_NAMES, arm_name, arm_order

NOT_RUN = "not run"
_LATEX = {mark: "\\" + mark for mark in "&%$#_{}"} | {
    "–": "--",
    "→": r"$\to$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LATEX["\\"] = r"\textbackslash{}"


def percent(fraction: float) -> str:
    """0.1 -> "10 %"; NaN -> ""."""
    return "" if pd.isna(fraction) else f"{100 * float(fraction):g} %"


def labels(share: float) -> str:
    """ "all labels" or "10 % of the labels"."""
    return "all labels" if share == 1 else f"{percent(share)} of the labels"


def number(value: float, digits: int = 3) -> str:
    """A value as the tables print it; NaN becomes a dash."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def amount(value: float) -> str:
    """Three significant digits, thousands set apart: 0.01234 -> "0.0123", 12345 -> "12,300"; NaN becomes a dash."""
    return "–" if pd.isna(value) else f"{float(f'{value:.3g}'):,.10g}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, with a true minus; one that rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text[1:]


def bound(value: float, digits: int = 3) -> str:
    """An end of a difference's interval: signed, with as many digits as say on which side of zero it lies (six at most).

    >>> bound(0.00048), bound(-0.00031), bound(0.0), bound(0.0182)
    ('+0.0005', '−0.0003', '0.000', '+0.018')
    """
    if value and not float(f"{value:.{digits}f}") and abs(value) >= 1e-6:
        digits = -math.floor(math.log10(abs(value)))
    return signed(value, digits)


def between(low: float, high: float) -> str:
    """ "−0.012 to +0.007": the interval of a difference."""
    return f"{bound(low)} to {bound(high)}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """ "0.801–0.842", or "" where no interval is known."""
    return "" if pd.isna(low) or pd.isna(high) else f"{low:.{digits}f}–{high:.{digits}f}"


def auroc_standard_error(auroc: float, positives: int, negatives: int) -> float:
    """Standard error of one AUROC (Hanley and McNeil, Radiology 143:29-36, 1982)."""
    q1, q2 = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = auroc * (1 - auroc) + (positives - 1) * (q1 - auroc**2) + (negatives - 1) * (q2 - auroc**2)
    return math.sqrt(spread / (positives * negatives))


def backbone_names(rows: pd.DataFrame) -> list[str]:
    """The rows of every table: the paper's six, run or not, then whoever else has a result: of ours, then by the alphabet."""
    models = rows if "arm" not in rows else rows[rows["arm"] != "baseline"]
    others = set(models["backbone"]) - set(SIX)
    return [*SIX, *(name for name in BACKBONES if name in others), *sorted(others - set(BACKBONES))]


def backbones_and(all_of_them: str, rows: pd.DataFrame) -> list[str]:
    """The backbones of these rows in the same order, and last the name that stands for all of them, if it is there."""
    names = set(rows["backbone"])
    found = [name for name in backbone_names(rows[rows["backbone"] != all_of_them]) if name in names]
    return [*found, *({all_of_them} & names)]


@dataclass
class Cell:
    """One cell: what is read (`text`), what follows in small (`small`), and whether it stands out or is absent."""

    text: str
    small: str = ""
    bold: bool = False
    absent: bool = False
    span: int = 1
    title: str = ""
    wide: bool = False


@dataclass
class Table:
    """A table with one header row, whose first column names the row.

    Attributes
    ----------
    caption : str
        What the table shows, with n, seeds, profile and hardware.
    header : list of str
    rows : list of list of (Cell or str)
        A cell's `span` counts columns; the spans of a row sum to the header's length.
    groups : dict
        Row number -> a line of words printed above that row.
    """

    caption: str
    header: list[str]
    rows: list[list[Cell | str]]
    groups: dict[int, str] = field(default_factory=dict)

    def html(self) -> str:
        """The table in a container that scrolls sideways by itself; on a phone its rows stand one below the other, each cell with its column."""
        caption = html.escape(self.caption)
        out = [
            f'<figure class="modts-figure"><figcaption><span>§table§.</span> {caption}</figcaption>',
            f'<div class="modts-table" role="region" tabindex="0" aria-label="{caption}"><table class="modts-stacks">',
            "<thead><tr>",
        ]
        out += [f'<th scope="col">{html.escape(name)}</th>' for name in self.header]
        out.append("</tr></thead><tbody>")
        for place, row in enumerate(self.rows):
            if place in self.groups:
                out.append(
                    f'<tr class="group"><th scope="colgroup" colspan="{len(self.header)}">'
                    f"<span>{html.escape(self.groups[place])}</span></th></tr>"
                )
            labels = iter(self.header)
            out.append(
                "<tr>"
                + "".join(_html_cell(cell, next(labels, ""), first=not i) for i, cell in enumerate(row))
                + "</tr>"
            )
        return "\n".join([*out, "</tbody></table></div></figure>"]) + "\n"

    def latex(self) -> str:
        """The same table for LaTeX (package booktabs)."""
        lines = [
            r"\begin{table}",
            rf"\caption{{{_latex(self.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
            r"\toprule",
            " & ".join(_latex(name) for name in self.header) + r" \\",
            r"\midrule",
        ]
        for place, row in enumerate(self.rows):
            if place in self.groups:
                lines.append(rf"\multicolumn{{{len(self.header)}}}{{l}}{{\textit{{{_latex(self.groups[place])}}}}} \\")
            lines.append(" & ".join(_latex_cell(cell) for cell in row) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _html_cell(cell: Cell | str, label: str, first: bool) -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    label = "" if first or cell.span > 1 else f' data-label="{html.escape(label)}"'
    span = f' colspan="{cell.span}"' if cell.span > 1 else ""
    title = f' title="{html.escape(cell.title)}"' if cell.title else ""
    kind = ' class="absent"' if cell.absent else ' class="wide"' if cell.wide else ""
    text = html.escape(cell.text)
    text = (
        f'<span class="modts-nowrap">{text}</span>' if not first and "-" in text and len(text) < 10 else text
    )  # GRU-D
    text = f"<strong>{text}</strong>" if cell.bold else text
    small = f'<span class="ci">{html.escape(cell.small)}</span>' if cell.small else ""
    tag = 'th scope="row"' if first else "td"
    return f"<{tag}{kind}{span}{title}{label}>{text}{small}</{tag.split()[0]}>"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in re.sub(r"[^\S\xa0]+", " ", text))


def _latex_cell(cell: Cell | str) -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    text = _latex(cell.text)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    text += rf" {{\scriptsize {_latex(cell.small)}}}" if cell.small else ""
    return rf"\multicolumn{{{cell.span}}}{{l}}{{{text}}}" if cell.span > 1 else text


def clear_winner(rows: pd.DataFrame, metric: str):
    """The index of the row whose interval stands clear of all others', or None when the best is inside the noise."""
    rows = rows.dropna(subset=["value"])
    if len(rows) < 2:
        return None
    higher = HIGHER_IS_BETTER[metric]
    best = rows["value"].idxmax() if higher else rows["value"].idxmin()
    edge, rival = ("low", "high") if higher else ("high", "low")
    gaps = rows.loc[best, edge] - rows.drop(index=best)[rival]
    return best if ((gaps > 0) if higher else (gaps < 0)).all() else None  # NaN counts as noise


def grid(
    rows: pd.DataFrame,
    metric: str,
    caption: str,
    backbones: tuple[str, ...] | None = None,
    baselines: list[str] | None = None,
    turned: bool = False,
) -> Table:
    """Backbones down, arms across, baselines below: one table for one cohort, profile, device, metric and fraction.

    Parameters
    ----------
    rows : pandas.DataFrame
        Summary rows of one cohort, profile, device and label fraction.
    metric : str
        auroc, auprc, mae or mse.
    caption : str
    backbones : tuple of str
        All of these get a row; a cell without a result reads "not run". By default `backbone_names`.
    baselines : list of str
        Those that get a row, in this order; by default all. A value is bold only if it stands clear of the others too.
    turned : bool
        Arms down and, of the backbones, those with a result across: for many arms.
    """
    rows = rows[rows["metric"] == metric]
    models = rows[rows["arm"] != "baseline"]
    arms = sorted(
        set(zip(models["arm"], models["head"], models["pooling"], strict=True)),
        key=lambda key: (arm_order(*key[:2]), key[2]),
    )
    best = clear_winner(rows, metric)
    body = []
    cells = _by(models, "backbone", "arm", "head", "pooling")
    for backbone in backbones or (backbones_and("", models) if turned else backbone_names(rows)):
        body.append([backbone, *(value_cell(cells.get((backbone, *arm)), best) for arm in arms)])
    header = ["Backbone", *(arm_name(*key) for key in arms)] if arms else ["Baseline", METRIC_NAMES[metric]]
    if turned and arms:
        header, body = turn(["Arm", *header[1:]], body)
    groups = _baselines(body, rows, baselines, len(header) - 1, best)
    if not arms:
        body, groups = [line for line in body if len(line) > 1], {}
    return Table(caption, header, body, groups)


def turn(header: list[str], body: list[list[Cell | str]]) -> tuple[list[str], list[list[Cell | str]]]:
    """(Header, body) with columns for rows; the header's first word, which names the rows to come, stays."""
    down = list(zip(header[1:], *(line[1:] for line in body), strict=True))
    return [header[0], *(line[0] for line in body)], [list(line) for line in down]


MAIN_ARMS = (
    ("frozen", "simple"),
    ("e2e", "simple"),
    ("e2e_shipped", ""),
    ("finetune", "simple"),
    ("untrained", "simple"),
)
SHORT = {"e2e_shipped": "As shipped"}  # under a heading that says end to end


def main(rows: pd.DataFrame, metric: str, caption: str, arms=MAIN_ARMS, baselines: list[str] | None = None) -> Table:
    """The table of what matters: backbones down, a few arms across, Frozen and End to end first, baselines below.

    Where half of the backbones or more did not run, their names stand in the caption instead.

    Parameters
    ----------
    rows : pandas.DataFrame
        Summary rows of one cohort, profile, device and label fraction.
    metric : str
    caption : str
    arms : tuple of (arm, head)
        In this order; one that nobody ran has no column. Heads are named where there are several.
    baselines : list of str
        Those that get a row, as in `grid`.
    """
    rows = rows[(rows["metric"] == metric) & rows["pooling"].isin(("", "paper", "statistics"))]
    models = rows[rows["arm"] != "baseline"]
    arms = [(arm, head) for arm, head in arms if ((models["arm"] == arm) & (models["head"] == head)).any()]
    several = len({head for _, head in arms} - {""}) > 1
    best, cells = clear_winner(rows, metric), _by(models, "backbone", "arm", "head")
    names = backbone_names(rows)
    absent = [name for name in names if not any((name, *arm) in cells for arm in arms)]
    if 2 * len(absent) >= len(names) > len(absent):  # a table of those who ran, and who did not in words
        names, caption = [name for name in names if name not in absent], f"{caption}; not run: {', '.join(absent)}"
    body: list[list[Cell | str]] = [
        [backbone, *(value_cell(cells.get((backbone, *arm)), best) for arm in arms)] for backbone in names
    ]
    groups = _baselines(body, rows, baselines, len(arms), best)
    header = ["Backbone", *(SHORT.get(arm) or arm_name(arm, head if several else "") for arm, head in arms)]
    return Table(caption, header, body, groups)


def _baselines(body: list, rows: pd.DataFrame, names: list[str] | None, width: int, best) -> dict[int, str]:
    """Add a row a baseline to a table's body; returns the heading above them, as in Table.groups."""
    rows = rows[rows["arm"] == "baseline"]
    if names is not None:
        rows = rows[rows["backbone"].isin(names)].sort_values("backbone", key=lambda column: column.map(names.index))
    groups = {len(body): "Baselines, which have no backbone" if width > 1 else "Baselines"} if len(rows) else {}
    for _, row in rows.iterrows():
        cell = value_cell(row, best)
        cell.span = max(1, width)
        body.append([row["backbone"], cell])
    return groups


def strongest(rows: pd.DataFrame, metric: str, n: int = 2) -> list[str]:
    """The names of the n best baselines by the metric with all labels (or as many as there are), best first."""
    rows = rows[(rows["arm"] == "baseline") & (rows["metric"] == metric)]
    share = rows["label_fraction"]
    full = rows[share == share.max()] if share.notna().any() else rows
    return list(full.sort_values("value", ascending=not HIGHER_IS_BETTER[metric], kind="stable")["backbone"][:n])


def only_these(rows: pd.DataFrame, baselines: list[str]) -> pd.DataFrame:
    """These rows without those of other baselines: what a picture can hold."""
    return rows[(rows["arm"] != "baseline") | rows["backbone"].isin(baselines)]


def every_baseline(rows: pd.DataFrame, metrics: tuple[str, ...], caption: str) -> Table:
    """All baselines of a cohort down, best first; metrics and shares of the labels across."""
    rows = rows[rows["arm"] == "baseline"]
    shares = sorted(rows["label_fraction"].dropna().unique(), reverse=True)
    columns = [(metric, share) for metric in metrics for share in shares]
    body = []
    for name in strongest(rows, metrics[0], len(rows)):
        line: list[Cell | str] = [name]
        for metric, share in columns:
            cell = rows[(rows["backbone"] == name) & (rows["metric"] == metric) & (rows["label_fraction"] == share)]
            line.append(value_cell(cell.iloc[0] if len(cell) else None))
        body.append(line)
    of = [f", {percent(share)} of labels" if len(shares) > 1 else "" for _, share in columns]
    header = [METRIC_NAMES[metric] + words for (metric, _), words in zip(columns, of, strict=True)]
    return Table(caption, ["Baseline", *header], body)


def _by(rows: pd.DataFrame, *columns: str) -> dict[tuple, pd.Series]:
    """The first of the rows with each combination of values in these columns."""
    return {tuple(row[list(columns)]): row for _, row in rows.iloc[::-1].iterrows()}


def value_cell(row: pd.Series | None, best=None) -> Cell:
    """Value with its interval in small; "not run" where there is no row; bold only for the clear winner."""
    if row is None:
        return Cell(NOT_RUN, absent=True)
    return Cell(
        number(row["value"]),
        interval(row["low"], row["high"]),
        bold=row.name == best and best is not None,
        title=f"run {row['run']}",
    )
