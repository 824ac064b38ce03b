"""The journal of a search after a power cut: the half line at its end goes, and what is whole before it is kept.

Optuna reads a journal line by line and writes behind what is there: behind a half line, and the two would be one that nobody can read.
"""

from __future__ import annotations

import json
from pathlib import Path

from modts.errors import ModtsError


def whole(path: Path) -> None:
    """Make a journal end with a whole line, and look that every line is one.

    Raises
    ------
    ModtsError
        A line is none of a journal, or the file cannot be read or written.
    """
    from optuna.storages.journal import JournalFileSymlinkLock

    try:
        if not path.is_file():
            return
        if _half(path.read_bytes()):
            lock = JournalFileSymlinkLock(str(path))  # Optuna's own: the half line may be one that is being written now
            lock.acquire()
            try:
                _mend(path)
            finally:
                lock.release()
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise ModtsError(f"{path} cannot be read or mended ({error.strerror or error}).") from None
    for number, line in enumerate(lines, 1):
        if not _entry(line):
            raise ModtsError(
                f"{path}, line {number}, is no entry of a journal; bring the file back from git, or move it away to search again."
            )


def _mend(path: Path) -> None:
    """Cut the half line off, or end a line that lacks its end alone."""
    half = _half(path.read_bytes())
    if half and _entry(half):
        with open(path, "ab") as file:
            file.write(b"\n")
    elif half:
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - len(half))
        print(f"The last line of {path} was cut off and is gone; the trials before it are kept.", flush=True)


def _half(content: bytes) -> bytes:
    """What stands behind the last end of a line."""
    return content[content.rfind(b"\n") + 1 :]


def _entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and "op_code" in entry
