"""Every chapter as a notebook to take away: plain Markdown and code cells, with a first cell that installs the package.

A Sphinx extension: it writes the notebooks and the package into the built book, and puts a line with links below each chapter's title.
The chapters under "Learn" are Markdown, those under "The notebooks" are notebooks already; both lose what only this book understands.
"""

from __future__ import annotations

import html
import json
import os
import re
import zipfile
from pathlib import Path

from modts import runs

LEARN = ("missing_values", "holes", "latents")
STORED = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency", "own_data")
PAGES = {f"book/learn/{name}": name for name in LEARN} | {f"notebooks/{name}": name for name in STORED}
FOLDER, PACKAGE = "_downloads/chapters", "modts.zip"
COLAB = "https://colab.research.google.com/"
_FENCE = re.compile(r"^```(?:python|\{code-block\} python\n:name: \S+\n)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)

_FILE = re.compile(r"\{download\}`([^`<]*?) <([^`>]*)>`")


def repository() -> str:
    """owner/name on GitHub where continuous integration says it, else ""."""
    return os.environ.get("GITHUB_REPOSITORY", "")


def install_line() -> str:
    """What installs the package in a notebook elsewhere: from the repository, or from the file beside it where none is known."""
    return (
        f'%pip install -q "modts @ git+https://github.com/{repository()}"'
        if repository()
        else f"%pip install -q {PACKAGE}"
    )


def title(page: Path) -> str:
    """The first heading of a page, Markdown or notebook."""
    if page.suffix == ".ipynb":
        text = "".join(runs.read_json(page)["cells"][0]["source"])
    else:
        text = page.read_text(encoding="utf-8")
    return re.search(r"^# (.*)$", text, re.MULTILINE)[1].strip()


def cited(key: str) -> str:
    """A source in words, from the book's list: "Du et al., 2024"."""
    text = (runs.root() / "book" / "references.bib").read_text(encoding="utf-8")
    entry = re.search(rf"^@\w+\{{{re.escape(key)},(.*?)^\}}", text, re.MULTILINE | re.DOTALL)[1]
    authors, year = re.search(r"author = \{(.*?)\},?\s", entry)[1], re.search(r"year = \{(\d+)\}", entry)[1]
    first, *others = authors.split(" and ")
    name = first.strip("{}") if first.startswith("{") else first.split(",")[0]
    return f"{name}{' et al.' if others else ''}, {year}"


def exercise(label: str) -> str:
    """The title of the exercise of that label, whichever chapter it stands in."""
    texts = [path.read_text(encoding="utf-8") for path in (runs.root() / "book" / "learn").glob("*.md")]
    texts += [
        "".join(runs.read_json(path)["cells"][-1]["source"]) for path in (runs.root() / "notebooks").glob("*.ipynb")
    ]
    return re.search(rf"^:::\{{exercise\}} (.*)\n:label: {re.escape(label)}$", "\n".join(texts), re.MULTILINE)[1]


def piece(name: str) -> str:
    """What the book includes under this name, without what only the book can show: sentences and outputs stay, figures keep their captions."""
    path = runs.root() / "book" / "_generated" / name
    if not path.is_file():
        return "*(In the book a figure or an output stands here.)*\n"
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^(`{3,})\{raw\} html\n.*?^\1\n?", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^:::\{(?:image\}|div\} modts-downloads).*?^:::\n?", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^::::\{dropdown\} (.*)$", r"*(Only in the book: a table, \1.)*", text, flags=re.MULTILINE)
    text = re.sub(
        r"^::::\{div\} modts-picture\s*\*\*(.*?)\*\* (.*)$", r"*(Only in the book: \1 \2)*", text, flags=re.MULTILINE
    )
    text = re.sub(r"^:::+.*\n?", "", text, flags=re.MULTILINE).strip()
    return f"{text or '*(Only in the book: a picture that answers to your choices.)*'}\n"


def _table(found: re.Match) -> str:
    """A list-table of one-line cells as a Markdown table."""
    rows = re.findall(r"^\* - .*(?:\n  - .*)*", found[0], re.MULTILINE)
    rows = [re.split(r"\n  - ", row.removeprefix("* - ")) for row in rows]
    lines = ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def plain(text: str, folder: Path) -> str:
    """MyST Markdown without what only the book understands; `folder` is where its links start from."""
    text = re.sub(r"```\{include\} (.*?)\n```\n?", lambda found: piece(Path(found[1]).name), text)
    text = re.sub(r"^```\{list-table\}.*?^```\n?", _table, text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(\S.*)\n: ", r"\1: ", text, flags=re.MULTILINE)  # a list of definitions
    text = re.sub(r"^:::+\{admonition\} (.*)\n:class: \w+\n", r"**\1**\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+\{exercise\} ?(.*)\n:label: \S+\n", r"**Exercise. \1**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+\{solution\} .*\n:class: dropdown\n", "**Solution**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+\{(\w+)\}.*$", lambda found: f"**{found[1].capitalize()}**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+$\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{cite:p\}`([^`]*)`", lambda found: f"({cited(found[1])})", text)
    text = re.sub(r"\{ref\}`([\w-]+)`", lambda found: f"*{exercise(found[1])}*", text)
    text = _FILE.sub(lambda found: f"{found[1]} (`{Path(found[2]).name}`)", text)
    text = re.sub(r"\{\w+:?\w*\}`([^`<]*?) ?(?:<[^`]*>)?`", r"\1", text)
    link = r"\[([^\]]*)\]\(([^)]*\.(?:md|ipynb))\)"
    return re.sub(link, lambda found: found[1] or f"*{title(folder / found[2])}*", text).strip()


def cells_of(text: str, folder: Path) -> list[dict]:
    """Markdown with Python in fences as cells, in order."""
    parts = _FENCE.split(text)
    out = []
    for place, part in enumerate(parts):
        words = part.strip() if place % 2 else plain(part, folder)
        if words:
            out.append({"cell_type": "code" if place % 2 else "markdown", "source": words})
    return out


def data_files(page: str) -> list[str]:
    """The files of `book/data` that a chapter's code reads: those that it offers, and their cards."""
    path = runs.root() / f"{page}.md"
    named = [found[2] for found in _FILE.finditer(path.read_text(encoding="utf-8"))] if path.is_file() else []
    names = [Path(file).name for file in named if file.startswith("/book/data/")]
    return [
        file for name in names for file in (name, f"{name}.json") if (runs.root() / "book" / "data" / file).is_file()
    ]


def _fetch(names: list[str]) -> str:
    """A cell that puts these files beside the notebook: from the package there, or from the repository where one is known."""
    if repository():
        how = f"""from urllib.request import urlretrieve

for name in {names}:
    urlretrieve(f"https://raw.githubusercontent.com/{repository()}/main/book/data/{{name}}", name)"""
    else:
        how = f"""import zipfile
from pathlib import Path

with zipfile.ZipFile("{PACKAGE}") as package:
    for name in {names}:
        Path(name).write_bytes(package.read(f"modts/book/data/{{name}}"))"""
    return f"# the files that this chapter reads\n{how}"


def notebook(page: str) -> dict:
    """The chapter of this page as a notebook (nbformat 4.5) without outputs."""
    path = runs.root() / page
    if path.with_suffix(".md").is_file():
        cells = cells_of(path.with_suffix(".md").read_text(encoding="utf-8"), path.parent)
    else:
        cells = []
        for cell in runs.read_json(path.with_suffix(".ipynb"))["cells"]:
            source = "".join(cell["source"])
            code = cell["cell_type"] == "code"
            cells += [{"cell_type": "code", "source": source}] if code else cells_of(source, path.parent)
    install = f"# once, on a machine that has no modts yet (Python 3.11 or newer; some minutes)\n{install_line()}"
    first = [install, *([_fetch(names)] if (names := data_files(page)) else [])]
    cells[1:1] = [{"cell_type": "code", "source": source} for source in first]
    for number, cell in enumerate(cells):
        cell |= {"id": f"cell-{number}", "metadata": {}, "source": cell["source"].splitlines(keepends=True)}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def package(path: Path) -> Path:
    """The package's source as a zip file that pip installs, with the files that chapters read; the same bytes for the same source."""
    root = Path(__file__).parents[2]
    files = [root / name for name in ("pyproject.toml", "README.md", "LICENSE")] + sorted(
        (root / "modts").rglob("*.py")
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(f"modts/{file.relative_to(root).as_posix()}"), file.read_bytes())
        for name in (name for page in PAGES for name in data_files(page)):
            data = (runs.root() / "book" / "data" / name).read_bytes()
            archive.writestr(zipfile.ZipInfo(f"modts/book/data/{name}"), data)
    return path


def line(page: str, up: str) -> str:
    """The line of links below a chapter's title; `up` leads to the book's root."""
    name = PAGES[page]
    own = f'<a href="{up}{FOLDER}/{name}.ipynb" download>Take this chapter away as a notebook</a>'
    if repository() and name in STORED:
        there = f"{COLAB}github/{repository()}/blob/main/{page}.ipynb"
        return f'{own} · <a href="{html.escape(there)}">Open it in Colab</a>'
    beside = f', or upload it in <a href="{COLAB}">Colab</a>'
    need = (
        ""
        if repository()
        else f', with <a href="{up}{FOLDER}/{PACKAGE}" download>the package</a> beside it: its first cell installs that'
    )
    return own + beside + need


def _context(app, page, template, context, doctree):
    if page in PAGES and "body" in context:
        up = "../" * page.count("/")
        context["body"] = re.sub(
            r"(</h1>)",
            rf'\1<p class="modts-take">{line(page, up)}.</p>'.replace("\\1", r"\g<1>"),
            context["body"],
            count=1,
        )


def _write(app, error):
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for page, name in PAGES.items():
            text = json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n"
            (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")
        if not repository():
            package(folder / PACKAGE)


def setup(app):
    """Sphinx's entry."""
    app.connect("html-page-context", _context)
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
