"""Pieces of a page in MyST Markdown: a table, a picture in two shapes, a download, "how this was made".

They are written under `book/_generated` (never committed) and included by the pages of `book/`. A file whose content
has not changed is not touched, so that Sphinx rebuilds only the pages whose numbers moved.
"""

from __future__ import annotations

import html
import itertools
import json
import re
import shlex
import unicodedata
from pathlib import Path

import pandas as pd

from modts import runs

from . import figures
from .figures import Picture
from .results import run_ids, training_record
from .tables import Cell, Table

NOTEBOOKS = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency")


def out_dir() -> Path:
    """Where generated pieces go: `book/_generated` under the project's root."""
    return runs.root() / "book" / "_generated"


def write(name: str, text: str) -> Path:
    """Write a piece if it is new or changed."""
    path = out_dir() / name
    figures.write(path, text)
    return path


def line(text) -> str:
    """Text on one line, without marks that nobody sees or that turn the direction of reading."""
    return "".join(
        mark for mark in re.sub(r"[^\S\xa0]+", " ", str(text)).strip() if unicodedata.category(mark)[0] != "C"
    )


def plain(text) -> str:
    """Words that came from data (a title, a licence, a feature's name) for Markdown: they are read as they are, and mark nothing up."""
    words = re.sub(r"[\\`*_\[\]<>&{}$~|#^@!]", lambda mark: f"&#{ord(mark[0])};", line(text))
    return re.sub(r"^[-+=:]", lambda mark: f"&#{ord(mark[0])};", words)


def code(text) -> str:
    """The same in a typewriter's letters."""
    return f"`{line(text).replace('`', chr(39))}`"


def heading(level: int, text) -> str:
    """A heading of plain words."""
    return f"{'#' * level} {plain(text)}\n"


def raw(text: str) -> str:
    """HTML as it is: its words are escaped already. The fence is longer than any in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{{raw}} html\n{text.strip()}\n{fence}\n"


def tables(*made: Table) -> str:
    """Tables one below the other."""
    return "".join(raw(table.html()) for table in made)


def bullets(sentences: list[str], markup: bool = False) -> str:
    """Plain sentences as a list; with `markup` they are Markdown, and whoever wrote them has escaped the words from data."""
    items = [line(sentence) if markup else plain(sentence) for sentence in sentences]
    return "".join(f"- {item}\n" for item in items) + ("\n" if items else "")


def note(text: str) -> str:
    """A quiet box, for what is not there yet."""
    return f":::{{admonition}} Not here yet\n:class: note\n{text}\n:::\n"


def fold(title: str, body: str) -> str:
    """A box to open; its fence is longer than any in it."""
    if not body.strip():
        return ""
    fence = ":" * max(4, 1 + max(map(len, re.findall(r"^:+", body, re.MULTILINE)), default=0))
    return f"{fence}{{dropdown}} {plain(title)}\n{body.strip()}\n{fence}\n"


FIGURE, TABLE, SEE = "§figure:{}§", "§table§", "§see:{}§"  # numbered when a page's pieces are known


def number(pieces: dict[str, str], pages: list[list[str]]) -> dict[str, str]:
    """The pieces with figures and tables numbered through each page, in the order in which it includes them.

    Parameters
    ----------
    pieces : dict
        Name -> text with the marks FIGURE, TABLE and SEE; SEE becomes "Figure 2".
    pages : list of lists of names
        A piece that stands on no page is a page of its own.
    """
    on_pages = {name for page in pages for name in page}
    out = {}
    for page in [*pages, *([name] for name in pieces if name not in on_pages)]:
        page = [name for name in page if name in pieces]
        if not page:
            continue
        out |= dict(zip(page, _numbered("\0".join(pieces[name] for name in page)).split("\0"), strict=True))
    return out


def _numbered(text: str) -> str:
    places, tables = {}, itertools.count(1)
    for stem in re.findall(r"§figure:(.*?)§", text):
        places.setdefault(stem, len(places) + 1)
    text = re.sub(r"§(?:figure|see):(.*?)§", lambda mark: f"Figure {places.get(mark[1], '')}".rstrip(), text)
    return re.sub(TABLE, lambda _: f"Table {next(tables)}", text)


def picture(drawn: Picture) -> str:
    """Both shapes of a picture with one numbered caption; the style sheet shows the one that fits the screen."""
    wide, narrow = (f"/book/_generated/{path.name}" for path in drawn.files)
    images = "".join(
        f":::{{image}} {path}\n:class: {kind}\n:alt: {json.dumps(line(drawn.alt), ensure_ascii=False)}\n:::\n\n"
        for path, kind in ((wide, "modts-wide"), (narrow, "modts-narrow"))
    )
    return f"::::{{div}} modts-picture\n{images}**{FIGURE.format(drawn.stem)}.** {plain(drawn.caption)}\n::::\n"


def downloads(stem: str, rows: pd.DataFrame, tables: list[Table]) -> str:
    """Links to the rows behind a table (CSV, one row per measured number) and to the tables in LaTeX."""
    write(f"{stem}.csv", rows.map(runs.cell).to_csv(index=False, lineterminator="\n"))
    links = f"{{download}}`Rows as CSV </book/_generated/{stem}.csv>`"
    if tables:
        write(f"{stem}.tex", "\n".join(table.latex() for table in tables))
        links += f" · {{download}}`Tables in LaTeX </book/_generated/{stem}.tex>`"
    return f":::{{div}} modts-downloads\n{links}\n:::\n"


def command(record: dict) -> str:
    """The command that makes a run again, from its stored parameters; before it PyTorch's variable for TF32, where its hardware says so."""
    before = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 " if "TF32" in str(record.get("hardware", "")) else ""
    if record.get("command"):
        return before + record["command"]
    parts, stage = [], record.get("stage", "")
    for name, value in record.get("params", {}).items():
        if isinstance(value, (list, dict)):
            text = json.dumps(value)
            parts.append(
                f"-y {shlex.quote(f'{name}: {text}')}" if stage in NOTEBOOKS else f"-p {name} {shlex.quote(text)}"
            )
        elif value not in ("", None):
            parts.append(f"-p {shlex.quote(name)} {shlex.quote(str(value))}")
    start = f"papermill notebooks/{stage}.ipynb out.ipynb" if stage in NOTEBOOKS else f"modts {shlex.quote(stage)}"
    return before + " ".join([start, *parts])


def anchor(run: str) -> str:
    """The fragment of the status page that a run's row carries."""
    return "run-" + "".join(mark if mark.isalnum() else "-" for mark in run.lower())


def how_made(ids: list[str], records: dict, status: str = "../status.html") -> str:
    """A folded box: every run behind the numbers above, when it ran, its code, and the command that makes it again.

    Before it a sentence, where training behind these numbers ended at its cap of epochs.
    """
    ids = run_ids(ids)
    if not ids:
        return ""
    body = []
    for run in ids:
        record = records.get(run, {})
        link = f'<a href="{status}#{anchor(run)}">{html.escape(run)}</a>' if record else html.escape(run)
        code = html.escape(command(record)) if record else "no provenance file beside the rows"
        body.append(
            f'<tr><th scope="row">{link}</th><td data-label="Made on">{html.escape(str(record.get("started", ""))[:10])}</td>'
            f"<td data-label='Code'><code>{html.escape(str(record.get('code_version', '')))}</code></td>"
            f'<td class="modts-command" data-label="Command"><code>{code}</code></td></tr>'
        )
    table = (
        '<div class="modts-table" role="region" tabindex="0" aria-label="Runs behind these numbers"><table class="modts-stacks">'
        '<thead><tr><th scope="col">Run</th><th scope="col">Made on</th><th scope="col">Code</th>'
        '<th scope="col">Command</th></tr></thead><tbody>' + "\n".join(body) + "</tbody></table></div>"
    )
    first = "A command makes the same numbers again at its row's code (`git checkout`) and packages (in the run's file in `results/runs/`).\n"
    return at_cap(ids, records) + f"::::{{dropdown}} How this was made\n{first}\n{raw(table)}::::\n"


def made_by(rows: pd.DataFrame, minutes: str) -> str:
    """How long the rows of a table took, by which code and on what: "12 minutes; code abc; CPU ..."."""
    codes, machines = (", ".join(map(plain, sorted(set(rows[name])))) for name in ("code", "hardware"))
    return f"{rows['seconds'].astype(float).sum() / 60:.0f} {minutes}; code {codes}; {machines}.\n"


def at_cap(ids: list[str], records: dict) -> str:
    """A sentence on the runs among these whose training ended at its cap of epochs, or nothing."""
    found = {}
    for record in (training_record(records, run) for run in ids):
        if record.get("capped") and record["stage"] != "latency":  # its times are the same
            name = (
                "the GRU baseline" if record["stage"] == "baselines" else record["run"]
            )  # of those the one that trains
            found[record["run"]] = str(record["params"].get("backbone", name))
    if not found:
        return ""
    names = ", ".join(dict.fromkeys(map(plain, found.values())))
    return f"Training behind these numbers ended at its cap of epochs, and might have gone on: {names}.\n\n"


def peers() -> pd.DataFrame:
    """Figures others report (`book/data/peers.csv`), each with its source."""
    rows = pd.read_csv(runs.root() / "book" / "data" / "peers.csv", keep_default_na=False, dtype=str)
    rows["value"] = rows["value"].astype(float)
    return rows


def peers_table(rows: pd.DataFrame, title: str) -> Table:
    """Figures from elsewhere for one cohort and task, each with its source and what differs."""
    wide: dict[tuple, dict] = {}
    for _, row in rows.iterrows():
        wide.setdefault((row["model"], row["setting"], row["source"], row["note"]), {})[row["metric"]] = row["value"]
    metrics = list(dict.fromkeys(rows["metric"]))
    body = [
        [
            model,
            setting,
            *(Cell(f"{values[name]:.3f}") if name in values else Cell("not given", absent=True) for name in metrics),
            Cell(source + (f"; {remark}" if remark else ""), wide=True),
        ]
        for (model, setting, source, remark), values in wide.items()
    ]
    return Table(
        f"What others report on {title}; their splits and masks are their own, so compare with care.",
        ["Model", "Setting", *(name.upper() for name in metrics), "Source"],
        body,
    )


def beside_ours(task: str, cohort: str, title: str, metrics: tuple[str, ...], fraction: float | None = None) -> str:
    """What others report for this cohort and task, or nothing; `fraction` keeps one share of labels."""
    rows = peers()
    if fraction is not None:
        rows = rows[pd.to_numeric(rows["label_fraction"]) == fraction]
    rows = rows[(rows["task"] == task) & (rows["cohort"] == cohort) & rows["metric"].isin(metrics)]
    return tables(peers_table(rows, title)) if len(rows) else ""
