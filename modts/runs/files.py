"""Whole files: a file exists only if it is whole. It is written beside its place, synced, then renamed."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import zlib
from pathlib import Path

import numpy as np

from modts.errors import ModtsError


@contextlib.contextmanager
def whole_file(path: Path):
    """A file to write to, beside its place: synced and renamed at the end, so that a reader sees the old file or the new one, never a part.

    A link stays a link: the file that it leads to is replaced. What is no plain file (a folder, a device) is left alone.

    Raises
    ------
    ModtsError
        There is no room, no permission, or no plain file in that place.
    """
    place = Path(path)
    path = Path(os.path.realpath(place))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            raise ModtsError(
                f"{place} cannot be written (it is {'a folder' if path.is_dir() else 'no plain file'}); name another."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise ModtsError(f"{place} cannot be written ({error.strerror or error}).") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def made_folder(path: Path) -> Path:
    """A folder, made where it is missing; a ModtsError says why it cannot be, such as a file in its place."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModtsError(f"The folder {path} cannot be made ({error.strerror or error}).") from None
    return Path(path)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file at once (see whole_file). Text for a name that ends in .gz is compressed, the same text to the same bytes."""
    data = data.encode() if isinstance(data, str) else data
    with whole_file(path) as file:
        file.write(gzip.compress(data, mtime=0) if Path(path).suffix == ".gz" else data)


def write_json(path: Path, value) -> None:
    """JSON, written whole. NaN is refused: a missing number is null."""
    atomic_write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=plain) + "\n")


def read_json(path: Path):
    """Read JSON, compressed if its name ends in .gz; a file that cannot be read is a ModtsError that names it and says how to have it again."""
    try:
        data = Path(path).read_bytes()
        return json.loads(gzip.decompress(data) if Path(path).suffix == ".gz" else data)
    except FileNotFoundError:
        raise ModtsError(f"{path} does not exist.") from None
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ModtsError(f"{path} is not readable JSON ({error}); {remedy(path)}.") from None


def remedy(path: Path) -> str:
    """How to have a damaged file again: a published one is in git, one of this machine is made anew."""
    from .places import results_dir  # which stands on this module

    if Path(path).resolve().is_relative_to(results_dir()):
        return f"bring it back from git (git checkout -- {path})"
    return "delete it and run its job again"


def json_files(folder: Path) -> dict[str, Path]:
    """The JSON files of a folder, compressed or not, by their names without endings, in order."""
    found = {path.name.removesuffix(".gz").removesuffix(".json"): path for path in Path(folder).glob("*.json*")}
    return {name: path for name, path in sorted(found.items()) if path.name in (f"{name}.json", f"{name}.json.gz")}


def cell(value):
    """A CSV's cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe before it.

    >>> cell("=1+1"), cell("-0.5"), cell(-0.5)
    ("'=1+1", '-0.5', -0.5)
    """
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r"):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, tuple, set)):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def key(spec: dict) -> str:
    """Twelve hex digits of the canonical JSON of a recipe."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=plain).encode()).hexdigest()[:12]
