"""Our own parsed copy of raw data: an ``.npz`` (no pickle) beside a manifest with its checksum.

TSDB keeps its parsed copy as an unchecked pickle. Ours is written whole, manifest last; each load compares the sha256
of the arrays' file with the manifest. The name holds the loader's version and a fingerprint of the raw files, so either
change leads to a new parse.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modts.errors import ModtsError


def fingerprint(folder: Path, files: list[Path]) -> str:
    """sha256 (hex) over relative names, sizes and modification times of raw files: cheap enough for every load."""
    digest = hashlib.sha256()
    for path in sorted(files):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder).as_posix()}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def parsed(
    key: str, version: int, folder: Path, files: list[Path], parse: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return ``parse()``'s arrays, from the cache if the same raw files were parsed by the same loader version before.

    Parameters
    ----------
    key : str
        What is parsed, for example ``"physionet_2012_set-a"``.
    version : int
        The loader's version; raise it with every change of what the loader returns.
    folder : pathlib.Path
        The data set's folder.
    files : list of pathlib.Path
        Its raw files.
    parse : callable
        Returns a dict of numeric or unicode arrays.

    Raises
    ------
    ModtsError
        If the cached copy is damaged; the sentence says which file to delete.
    """
    from modts.runs import atomic_write, cache_dir

    raw = fingerprint(folder, files)
    data_path = Path(cache_dir()) / "cohorts" / f"{key}-v{version}-{raw[:12]}.npz"
    manifest_path = data_path.with_suffix(".json")
    if manifest_path.is_file() and data_path.is_file():  # a lone .npz = killed before the manifest: parse again
        return _read(data_path, manifest_path)
    arrays = parse()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    content = buffer.getvalue()
    manifest = {
        "key": key,
        "loader_version": version,
        "raw_files": len(files),
        "raw_listing_sha256": raw,
        "raw_content_sha256": _content(files),
        "npz_sha256": hashlib.sha256(content).hexdigest(),
        "arrays": {k: {"shape": list(v.shape), "dtype": v.dtype.str, "sha256": _digest(v)} for k, v in arrays.items()},
    }
    data_path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(data_path, content)
    atomic_write(manifest_path, json.dumps(manifest, indent=1).encode())
    return arrays


def _read(data_path: Path, manifest_path: Path) -> dict[str, np.ndarray]:
    try:
        expected = json.loads(manifest_path.read_text(encoding="utf-8"))["npz_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModtsError(f"The cache manifest {manifest_path} is damaged; delete this file and load again.") from error
    content = data_path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ModtsError(
            f"The parsed copy {data_path} does not match its checksum (expected {expected[:12]}..., found "
            f"{found[:12]}...); delete this file and load again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _content(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
