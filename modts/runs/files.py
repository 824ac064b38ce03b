"""Whole files: a file exists only if it is whole. It is written beside its place, synced, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np

from modts.errors import ModtsError


@contextlib.contextmanager
def whole_file(path: Path):
    """A file to write to, beside its place: synced and renamed at the end, so that a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file at once (see whole_file)."""
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, value) -> None:
    """JSON, written whole. NaN is refused: a missing number is null."""
    atomic_write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=plain) + "\n")


def read_json(path: Path):
    """Read JSON; a file that cannot be read is a ModtsError that names it."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ModtsError(f"{path} does not exist.") from None
    except (ValueError, OSError) as error:
        raise ModtsError(f"{path} is not readable JSON ({error}); delete it and run its job again.") from None


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Arrays as npz, written whole."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays from npz, without pickle."""
    try:
        # opened here: np.load leaves a broken file open
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ModtsError(f"{path} does not exist.") from None
    except Exception as error:  # zipfile and zlib raise many kinds
        raise ModtsError(f"{path} is corrupt ({error}); delete it and run its job again.") from None


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
