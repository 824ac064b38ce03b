"""Arrays in one npz file that can be trusted: with their recipe and a hash of their content, and sizes checked before memory is taken.

Without the recipe a whole file of one seed could lie in the place of another's and nobody would notice; without the hash an entry that a damaged
zip directory has lost would be missed late, as a KeyError.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from modts.errors import ModtsError

from .files import atomic_write

SEAL = "seal"  # the entry with recipe and hash
_SMALL = 2**28  # bytes that any file may unpack to
_PACKED = 500  # times its own size that a larger file may unpack to; zip reaches some 1,000


def write_arrays(path: Path, recipe: str = "", packing: int = zipfile.ZIP_DEFLATED, **arrays: np.ndarray) -> None:
    """Arrays as npz, written whole, with their recipe's key and a hash of their content.

    packing : zipfile's; `ZIP_LZMA` is smaller and slower, and numpy reads it too.
    """
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    seal = np.array(json.dumps({"recipe": recipe, "content": _content(arrays)}))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as file:
        for name, values in {**arrays, SEAL: seal}.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                npy.write_array(entry, values, allow_pickle=False)
    atomic_write(path, buffer.getvalue())


def read_arrays(path: Path, recipe: str = "", unsealed: bool = False) -> dict[str, np.ndarray]:
    """Arrays from npz, without pickle.

    Parameters
    ----------
    path : Path
    recipe : str
        The key of the recipe that they must have been made by; "" asks for none.
    unsealed : bool
        Take a file without recipe and hash too: those published before there were any.

    Raises
    ------
    ModtsError
        The file is missing, cut short, changed, too large to be ours, or made by another recipe.
    """
    try:
        arrays = load_arrays(path)
        seal = json.loads(str(arrays.pop(SEAL))) if SEAL in arrays else None
        if seal is not None and seal["content"] != _content(arrays):
            raise ValueError("its content does not match its hash")
    except FileNotFoundError:
        raise ModtsError(f"{path} does not exist.") from None
    except ModtsError:
        raise
    except Exception as error:  # zipfile and zlib raise many kinds
        raise ModtsError(f"{path} is corrupt ({error}); delete it and run its job again.") from None
    if recipe and not (seal is None and unsealed) and (seal or {}).get("recipe") != recipe:
        made = f"by the recipe {seal['recipe']}" if (seal or {}).get("recipe") else "by no recipe that it names"
        raise ModtsError(f"{path} was made {made}, not by {recipe}; delete it and run its job again.")
    return arrays


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an npz, once the sizes that the file declares are believable. What is wrong with a zip is raised as it comes."""
    with open(path, "rb") as raw, zipfile.ZipFile(raw) as file:
        entries = file.infolist()
        total, size = sum(entry.file_size for entry in entries), Path(path).stat().st_size
        if total > max(_SMALL, _PACKED * size):
            raise ModtsError(
                f"{path} would unpack to {total / 2**30:.1f} GiB from {size / 2**20:.1f} MiB, so it is no file of ours; delete it."
            )
        if total > _free():
            raise ModtsError(
                f"{path} needs {total / 2**30:.1f} GiB of memory, and only {_free() / 2**30:.1f} are free."
            )
        return {entry.filename.removesuffix(".npy"): _array(file, entry) for entry in entries}


def _array(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with file.open(entry) as stream:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(stream)
        if math.prod(shape) * dtype.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} is shorter than its header says")
    with file.open(entry) as stream:
        return npy.read_array(stream, allow_pickle=False)


def _free() -> float:
    """Bytes of memory that can be had, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return math.inf


def _content(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        digest.update(json.dumps([name, values.dtype.str, values.shape]).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
