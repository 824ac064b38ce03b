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


def plain(text: str) -> str:
    """MyST Markdown without what only the book understands."""
    text = re.sub(r"```\{include\} .*?\n```\n?", "*(In the book a figure or an output stands here.)*\n", text)
    text = re.sub(
        r"^```\{list-table\}.*?^```\n?", "*(In the book a table stands here.)*\n", text, flags=re.MULTILINE | re.DOTALL
    )
    text = re.sub(r"^:::+\{admonition\} (.*)\n:class: \w+\n", r"**\1**\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+\{exercise\} ?(.*)\n:label: \S+\n", r"**Exercise. \1**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+\{solution\} .*\n:class: dropdown\n", "**Solution**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+\{(\w+)\}.*$", lambda found: f"**{found[1].capitalize()}**\n", text, flags=re.MULTILINE)
    text = re.sub(r"^:::+$\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{\w+:?\w*\}`([^`<]*?) ?(?:<[^`]*>)?`", r"\1", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\.(?:md|ipynb)\)", lambda found: found[1] or "another chapter", text).strip()


def cells_of(text: str) -> list[dict]:
    """Markdown with Python in fences as cells, in order."""
    parts = _FENCE.split(text)
    out = []
    for place, part in enumerate(parts):
        words = part.strip() if place % 2 else plain(part)
        if words:
            out.append({"cell_type": "code" if place % 2 else "markdown", "source": words})
    return out


def notebook(page: str) -> dict:
    """The chapter of this page as a notebook (nbformat 4.5) without outputs."""
    root = runs.root()
    if (root / f"{page}.md").is_file():
        cells = cells_of((root / f"{page}.md").read_text(encoding="utf-8"))
    else:
        cells = []
        for cell in runs.read_json(root / f"{page}.ipynb")["cells"]:
            source = "".join(cell["source"])
            cells += [{"cell_type": "code", "source": source}] if cell["cell_type"] == "code" else cells_of(source)
    install = f"# once, on a machine that has no modts yet (Python 3.11 or newer; some minutes)\n{install_line()}"
    cells.insert(1, {"cell_type": "code", "source": install})
    for number, cell in enumerate(cells):
        cell |= {"id": f"cell-{number}", "metadata": {}, "source": cell["source"].splitlines(keepends=True)}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def package(path: Path) -> Path:
    """The package's source as a zip file that pip installs; the same bytes for the same source."""
    root = Path(__file__).parents[2]
    files = [root / name for name in ("pyproject.toml", "README.md", "LICENSE")] + sorted(
        (root / "modts").rglob("*.py")
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(f"modts/{file.relative_to(root).as_posix()}"), file.read_bytes())
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
