"""Latents from disk to disk: more windows than fit into memory, a batch at a time."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch

from modts import runs
from modts.backbones import POOLINGS, Backbone, checked, cut, ends_on, extract, read
from modts.errors import ModtsError, choose, whole


def stream(
    backbone, source: str | Path, target: str | Path, pooling: str = "paper", batch_size: int = 256, lengths=None
) -> tuple[int, ...]:
    """Latents of more windows than fit into memory: from one .npy file to another, a batch at a time.

    Parameters
    ----------
    backbone : Backbone
        Not a predictor: what is written are latents.
    source : str or Path
        .npy of raw windows (N, T, F), float32 or float64, C order, NaN where missing.
    target : str or Path
        .npy of latents (N, D) float32, or (N, T, D) for pooling "steps", written whole: a killed run leaves none, or the one
        that was there before.

    pooling : str
    batch_size : int
    lengths : (N,) array of int, optional
        Steps of each series, where some end before their window does: what lies behind is not read.

    Returns
    -------
    tuple of int
        (N, D) or (N, T, D), the shape of the latents.

    Raises
    ------
    ModtsError
        The source is missing, cut short, not such an array, or holds what Backbone.check refuses; the target is the source, a folder, or
        cannot be written; the lengths are not one whole number of 1 to T for each window.
    """
    if not isinstance(backbone, Backbone):
        raise TypeError(f"stream takes a backbone, as modts.load_backbone gives it, not {type(backbone).__name__}.")
    choose(pooling, POOLINGS, "pooling")
    source, target = Path(source), Path(target)
    whole(batch_size, "The batch size")
    if not source.is_file():
        raise ModtsError(f"There is no file {source}.")
    if target.is_dir():
        raise ModtsError(f"{target} is a folder; name a file in it for the latents.")
    if target.suffix != ".npy":
        raise ModtsError(f"The latents are written as a .npy file; {target} is called otherwise.")
    if target.is_file() and not _is_npy(target):
        raise ModtsError(f"{target} is there and no .npy file; name another target.")
    if target.exists() and target.samefile(source):
        raise ModtsError(f"The latents would overwrite their source {source}; name another target.")
    with open(source, "rb") as reading:
        shape, dtype = _header(reading, source, backbone)
        lengths = None if lengths is None else checked(lengths, shape[0], backbone.n_steps)
        with runs.whole_file(target) as writing:
            return shape[0], *_write(backbone, reading, source, shape, dtype, writing, pooling, batch_size, lengths)


def _is_npy(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(6) in (b"\x93NUMPY", b"")


def _write(backbone, reading, source, shape, dtype, writing, pooling, batch_size, lengths) -> tuple[int, ...]:
    """Everything from the header on; returns the shape of one window's latents."""
    observed = False
    for start in range(0, shape[0], batch_size):
        rows = min(batch_size, shape[0] - start)
        # not a memory map: its pages would count as ours
        X = np.fromfile(reading, dtype, rows * math.prod(shape[1:])).reshape(rows, *shape[1:])
        X, ends = cut(X, None if lengths is None else lengths[start : start + rows], backbone.n_steps)
        seen = not np.isnan(X).all()
        try:
            Z = extract(backbone, X, pooling, batch_size, lengths=ends) if seen else _silent(backbone, X, pooling, ends)
        except ModtsError as error:
            raise ModtsError(f"Windows {start} to {start + rows - 1} of {source}: {error}") from None
        if not start:
            header = {"descr": "<f4", "fortran_order": False, "shape": (shape[0], *Z.shape[1:])}
            np.lib.format.write_array_header_1_0(writing, header)
        Z.astype("<f4", copy=False).tofile(writing)
        observed |= seen
    if not observed:
        raise ModtsError(f"{source} holds no observed value at all.")
    return Z.shape[1:]


@torch.no_grad()
def _silent(backbone, X: np.ndarray, pooling: str, lengths: np.ndarray | None) -> np.ndarray:
    """Latents of a batch without any observed value: an outage in a long recording is no mistake."""
    nothing = torch.full(X.shape, float("nan"), device=backbone.device)
    return read(backbone.eval(), nothing, pooling, ends_on(backbone.device, lengths, slice(None))).cpu().numpy()


def _header(reading, source: Path, backbone) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the windows; the file is as long as they say."""
    try:
        version = np.lib.format.read_magic(reading)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(reading)
    except Exception:  # NumPy parses the header as Python: a damaged one raises many kinds
        raise ModtsError(f"{source} is no .npy file, or its header is damaged.") from None
    if fortran or len(shape) != 3 or dtype.kind != "f" or shape[0] < 1:
        order = " in Fortran order" if fortran else ""
        raise ModtsError(
            f"{source} must hold windows (N, T, F) of float in C order, but it holds {shape} {dtype}{order}."
        )
    wanted = (backbone.n_steps, len(backbone.features))
    if shape[1:] != wanted:
        raise ModtsError(
            f"{backbone.name} reads arrays of shape (N, {wanted[0]}, {wanted[1]}), but {source} holds {shape}."
        )
    if os.fstat(reading.fileno()).st_size - reading.tell() < math.prod(shape) * dtype.itemsize:
        raise ModtsError(f"{source} is cut short: its header says {shape[0]} windows; copy it again.")
    return shape, dtype
