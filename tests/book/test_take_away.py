"""The chapters as notebooks to take away: valid, free of the book's own marks, with an install line that works elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from book_fixture import ROOT, book  # noqa: F401

from modts.book import figures, fragments, notebooks, teach


@pytest.mark.parametrize("page", notebooks.PAGES)
def test_a_chapter_is_a_notebook_anyone_can_open(page):
    made = notebooks.notebook(page)
    nbformat.validate(nbformat.from_dict(made))
    words = "\n".join("".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "markdown")
    assert not re.search(r":::|\{\w+\}`|\{(include|exercise|solution)\}|\.md\)|\.ipynb\)", words), "marks of the book"
    if page.rpartition("/")[2] != "own_data":
        assert "**Exercise." in words and "**Solution**" in words and "**Before you start**" in words
    assert notebooks.install_line() in "".join(made["cells"][1]["source"])
    for cell in made["cells"]:
        if cell["cell_type"] == "code":
            compile(re.sub("^%", "#", "".join(cell["source"]), flags=re.MULTILINE), page, "exec")


def words_of(page):
    return "\n".join(
        "".join(cell["source"]) for cell in notebooks.notebook(page)["cells"] if cell["cell_type"] == "markdown"
    )


@pytest.mark.parametrize("page", notebooks.PAGES)
def test_a_link_a_source_and_a_table_still_say_what_they_say(page):
    words = words_of(page)
    keys = re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    labels = re.findall(
        r":label: ([\w-]+)", "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("book/learn/*.md"))
    )
    assert not [word for word in (*keys, *labels, "another chapter", "In the book a table") if word in words]


def test_what_a_reader_needs_is_named_in_words():
    assert "the chapter *Extracting latents*, and *Glossary* for AUROC" in words_of("notebooks/heads")
    assert "(Du et al., 2024)" in words_of("book/learn/holes") and "| to compare imputers |" in words_of(
        "book/learn/holes"
    )
    assert "(Rubin, 1976)" in words_of("book/learn/missing_values") and "(*Repair a mean*)" in words_of(
        "book/learn/missing_values"
    )
    assert "(`lesson.safetensors`)" in words_of("book/learn/latents")


def test_sentences_and_outputs_of_the_book_come_along(tmp_path, monkeypatch):
    (tmp_path / "book" / "_generated").mkdir(parents=True)
    monkeypatch.setenv("MODTS_HOME", str(tmp_path))

    def reduced(text):
        (tmp_path / "book" / "_generated" / "made.md").write_text(text, encoding="utf-8")
        return notebooks.piece("made.md")

    drawn = figures.Picture("made", "Dots on a line.", "What is seen.", tmp_path)
    table = (
        "::::{dropdown} All values\n"
        + fragments.raw("<table></table>")
        + ":::{div} modts-downloads\n{download}`CSV </a.csv>`\n:::\n::::\n"
    )
    text = "The error is 0.25.\n\n" + fragments._numbered(fragments.picture(drawn)) + table
    assert (
        reduced(text)
        == "The error is 0.25.\n\n*(Only in the book: Figure 1. What is seen.)*\n*(Only in the book: a table, All values.)*\n"
    )
    assert reduced("```text\nprinted 0.10\n```\n") == "```text\nprinted 0.10\n```\n"
    assert "answers to your choices" in reduced(fragments.raw("<section></section>"))
    assert "stands here" in notebooks.piece("other.md")


def test_a_chapter_finds_its_files_beside_the_package(tmp_path, monkeypatch, capsys):
    """As where somebody opens it: the package beside it, and nothing else."""
    monkeypatch.setenv("MODTS_HOME", str(ROOT))
    notebooks.package(tmp_path / notebooks.PACKAGE)
    monkeypatch.chdir(tmp_path)
    cells = [
        "".join(cell["source"])
        for cell in notebooks.notebook("book/learn/latents")["cells"]
        if cell["cell_type"] == "code"
    ]
    names = {}
    for cell in cells[1:3]:  # after the one that installs
        exec(cell, names)
    assert "missing" in capsys.readouterr().out and names["predictor"].backbone.name == "BRITS"
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/modts")
    fetch = "".join(notebooks.notebook("book/learn/latents")["cells"][2]["source"])
    compile(fetch, "fetch", "exec")
    assert "githubusercontent.com/somebody/modts/main/book/data" in fetch and "lesson.safetensors.json" in fetch


def test_the_built_book_brings_them_and_links_them(book):  # noqa: F811
    folder = book / notebooks.FOLDER
    for page, name in notebooks.PAGES.items():
        assert (folder / f"{name}.ipynb").is_file()
        assert f'{notebooks.FOLDER}/{name}.ipynb"' in (book / f"{page}.html").read_text(encoding="utf-8")
    names = zipfile.ZipFile(folder / notebooks.PACKAGE).namelist()
    assert "modts/pyproject.toml" in names and "modts/modts/book/notebooks.py" in names
    text = (book / "book" / "learn" / "teach.html").read_text(encoding="utf-8")
    assert text.count(".png") >= len(teach.FIGURES) - 1
    assert len(re.findall(r"slide\.svg", text)) >= len(teach.FIGURES)


def test_colab_opens_the_repository_where_one_is_known(monkeypatch):
    assert "colab" in notebooks.line("notebooks/heads", "../") and notebooks.PACKAGE in notebooks.install_line()
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/modts")
    assert f"{notebooks.COLAB}github/somebody/modts/blob/main/notebooks/heads.ipynb" in notebooks.line(
        "notebooks/heads", "../"
    )
    assert "git+https://github.com/somebody/modts" in notebooks.install_line()


@pytest.mark.skipif(
    not os.environ.get("MODTS_SLOW"), reason="Installs 3 GB into a clean environment; MODTS_SLOW=1 runs it."
)
def test_the_install_line_works_in_a_clean_environment(tmp_path):
    notebooks.package(tmp_path / notebooks.PACKAGE)
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    python = tmp_path / "clean" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "clean")], check=True)
    line = notebooks.install_line().removeprefix("%pip install -q ").split()
    subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *line], cwd=tmp_path, check=True)
    cells = notebooks.notebook("book/learn/latents")["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][1:]
    away = {name: value for name, value in os.environ.items() if not name.startswith(("MODTS_", "PYTHON"))}
    done = subprocess.run(
        [str(python), "-c", "\n".join(code)], cwd=tmp_path, env=away, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "by hand 0.82" in done.stdout, done.stderr[-2000:]
