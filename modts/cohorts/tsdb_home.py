"""Where the public data sets lie, and TSDB's loaders kept away from the user's home folder.

TSDB (0.8) reads its home from ``~/.pypots/config.ini`` when it is imported, writes that file if it is absent, and knows
no environment variable. Here the folder is ``MODTS_DATA`` (laid out as a tsdb_home) if that is set: TSDB is then
imported with a throw-away home, so ``~/.pypots`` is neither read nor written, and nothing is downloaded. If it is
unset, TSDB's own home is used, and an absent data set is downloaded from the addresses TSDB knows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from modts.errors import ModtsError


def import_tsdb() -> ModuleType:
    """Import TSDB quietly; with ``MODTS_DATA`` set, make that folder its home here and leave ~/.pypots alone.

    Call it before the first import of pypots, pygrinder or benchpots, which all import TSDB.
    """
    home = os.environ.get("MODTS_DATA")
    if "tsdb" not in sys.modules:
        logging.getLogger("TSDB running log").addFilter(lambda record: record.levelno >= logging.ERROR)
        with _private_home(Path(home).resolve()) if home else contextlib.nullcontext():
            import tsdb
    import tsdb
    import tsdb.data_processing

    if home:
        tsdb.data_processing.CACHED_DATASET_DIR = tsdb.CACHED_DATASET_DIR = str(Path(home).resolve())
    return tsdb


@contextlib.contextmanager
def _private_home(data: Path) -> Iterator[None]:
    """Let ``~`` be a temporary folder whose .pypots/config.ini names ``data``, for the length of one import."""
    before = {name: os.environ.get(name) for name in ("HOME", "USERPROFILE")}
    with tempfile.TemporaryDirectory(prefix="modts-") as home:
        config = Path(home) / ".pypots" / "config.ini"
        config.parent.mkdir()
        config.write_text(f"[path]\ntsdb_home = {str(data).replace('%', '%%')}\n", encoding="utf-8")
        try:
            os.environ.update(dict.fromkeys(before, home))
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def dataset_folder(name: str) -> Path:
    """Folder of the TSDB data set ``name``; downloads it first only if ``MODTS_DATA`` is not set.

    Raises
    ------
    ModtsError
        If the folder is absent under ``MODTS_DATA``, or the download fails.
    """
    home = os.environ.get("MODTS_DATA")
    if home:
        folder = Path(home).resolve() / name
        if not folder.is_dir():
            raise ModtsError(
                f"MODTS_DATA is set to {home!r} but holds no folder {name!r}; put the data set there as TSDB lays it "
                "out, or unset MODTS_DATA to let TSDB download it."
            )
        return folder
    tsdb = import_tsdb()
    folder = Path(tsdb.data_processing.CACHED_DATASET_DIR) / name
    if not folder.is_dir():
        _download(tsdb, name, folder)
    return folder


def _download(tsdb: ModuleType, name: str, folder: Path) -> None:
    # into a folder of its own first: TSDB takes a half-downloaded folder for a whole one
    partial = folder.with_name(f".{name}.{os.getpid()}.partial")
    try:
        tsdb.download_and_extract(name, str(partial))
        os.replace(partial, folder)
    except Exception as error:  # no network, refused, disk full, bad archive: the user's remedy is the same
        raise ModtsError(
            f"Downloading {name!r} through TSDB failed ({' '.join(str(error).split())[:160]}); check the network, or "
            "set MODTS_DATA to a folder that holds it."
        ) from None  # the chain behind it is four tracebacks long and says no more
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def raw_files(folder: Path, pattern: str, what: str) -> list[Path]:
    """Sorted files of ``folder`` that match ``pattern``, or a ModtsError that says which files are absent."""
    files = sorted(p for p in folder.glob(pattern) if p.is_file())
    if not files:
        raise ModtsError(f"The folder {folder} holds no {what} ({pattern}); it must be laid out as TSDB unpacks it.")
    return files


def reading(what: str, folder: Path, parse: Callable):
    """Call ``parse()``; a damaged or unexpected raw file becomes one sentence that names the folder."""
    try:
        return parse()
    except ModtsError:
        raise
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        detail = " ".join(str(error).split())[:160]
        raise ModtsError(f"The {what} files in {folder} cannot be read ({type(error).__name__}: {detail}).") from error
