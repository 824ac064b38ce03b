"""A backbone of one's own, by name: "mine.py:MyImputer" is a class in a file. Its file is read and hashed here, and never run."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from modts.errors import ModtsError


@dataclass(frozen=True)
class OwnFile:
    """A class in a file, as somebody named it: "folder/mine.py:MyImputer"."""

    path: Path
    cls: str

    @property
    def label(self) -> str:
        """What rows, runs and folders call it: "mine.MyImputer"."""
        return f"{re.sub(r'[^A-Za-z0-9_]', '_', self.path.stem)}.{self.cls}"

    def read(self) -> bytes:
        """The file's content.

        Raises
        ------
        ModtsError
            There is no such file, it is no Python, or it has no such class.
        """
        try:
            source = self.path.read_bytes()
        except OSError as error:
            raise ModtsError(
                f"There is no file {self.path} ({error.strerror}) to take {self.cls} from; name a backbone of your "
                "own by its file and class, such as mine.py:MyImputer."
            ) from None
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if getattr(error, "lineno", None) else ""
            raise ModtsError(f"{self.path} is not readable Python ({getattr(error, 'msg', error)}{line}).") from None
        classes = [part.name for part in body if isinstance(part, ast.ClassDef)]
        if self.cls not in classes:
            raise ModtsError(f"{self.path} has no class {self.cls!r}; it has: {', '.join(classes) or 'none'}.")
        return source

    def sha256(self) -> str:
        """Of the file's content, as `sha256sum` prints it."""
        return hashlib.sha256(self.read()).hexdigest()


def own_file(backbone: str) -> OwnFile | None:
    """The file and class that a backbone's name names; None for a name without them, such as one in the table.

    >>> own_file("lab/mine.py:MyImputer").label, own_file("SAITS")
    ('mine.MyImputer', None)
    """
    path, _, cls = backbone.rpartition(":")
    return OwnFile(Path(path), cls) if path.endswith(".py") and cls.isidentifier() else None


def backbone_label(backbone: str) -> str:
    """What a backbone is called in rows, runs and folders: a name of the table as it is, else "mine.MyImputer"."""
    own = own_file(backbone)
    return own.label if own else backbone
