"""The imputer of the book's chapter, and copies of it with one line changed."""

from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "mine.py"


def changed(folder: Path, *lines: tuple[str, str], name: str = "mine.py") -> Path:
    """A copy of the example in a folder, each first text of a pair replaced by its second."""
    text = EXAMPLE.read_text()
    for before, after in lines:
        assert before in text, before
        text = text.replace(before, after)
    path = folder / name
    path.write_text(text)
    return path
