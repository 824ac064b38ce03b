"""Series that end before their window does: what lies behind the end is not read, not pooled and not filled.

How a backbone is kept from reading it (`Row.ends`): the recurrent three turn the series itself round, not the window ("turned"); SAITS attends
to steps before the end only ("masked"); the others read each series at its own length ("alone"). These see nothing of the padding: a stay of
30 steps has the same latent in a window of 48 or of 60. A class of somebody's own reads the whole window, missing behind the end ("padded"):
its pooling takes the steps before the end alone, and the same series in the same window has the same answer, but how far it is padded may
matter. So does PyPOTS's own end-to-end classifier.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import pad

from modts.errors import ModtsError


def cut(X, lengths, n_steps: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Windows (N, T, F) with NaN behind each series' end, padded to n_steps; and the lengths, None where every series fills its window.

    Parameters
    ----------
    X : (N, T, F) array
        T may be less than n_steps where lengths are given.
    lengths : (N,) array of int, or None
        Steps of each series, 1 to T.

    Raises
    ------
    ModtsError
        See `checked`.
    """
    if lengths is None:
        return X, None
    X = np.asarray(X)
    if X.ndim != 3 or X.shape[1] > n_steps:
        return X, None  # refused where shapes are checked
    lengths = checked(lengths, *X.shape[:2])
    out = np.full((len(X), n_steps, X.shape[2]), np.nan, X.dtype if X.dtype.kind == "f" else np.float32)
    out[:, : X.shape[1]] = X
    out[behind(lengths, n_steps)] = np.nan
    return out, lengths


def checked(lengths, n: int, n_steps: int) -> np.ndarray:
    """Lengths of n series as (n,) int64.

    Raises
    ------
    ModtsError
        Lengths that are not one whole number of 1 to n_steps for each window.
    """
    lengths = np.asarray(lengths)
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
        raise ModtsError(
            f"lengths must be a whole number for each of {n} windows, not {lengths.dtype} of shape {lengths.shape}."
        )
    if n and not (lengths.min() >= 1 and lengths.max() <= n_steps):
        wrong = int(lengths[(lengths < 1) | (lengths > n_steps)][0])
        raise ModtsError(f"A length must be 1 to {n_steps}, the steps of the windows, not {wrong}.")
    return lengths.astype(np.int64)


def ends_on(device, lengths: np.ndarray | None, rows) -> torch.Tensor | None:
    """The lengths of some rows, (B,) int64 on a device, as Backbone.inputs takes them; None stays."""
    return None if lengths is None else torch.from_numpy(lengths[rows]).to(device)


def behind(lengths: np.ndarray, n_steps: int) -> np.ndarray:
    """(N, T) bool, True behind the end."""
    return np.arange(n_steps) >= np.asarray(lengths)[:, None]


def before(lengths: torch.Tensor, n_steps: int) -> torch.Tensor:
    """(B, T) bool, True before the end."""
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]


def turn(X: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
    """(B, T, D) the other way round in time: each series within itself, what lies behind its end stays there. Twice is nothing."""
    if lengths is None:
        return X.flip(1)
    step = torch.arange(X.shape[1], device=X.device)
    where = torch.where(before(lengths, X.shape[1]), lengths[:, None] - 1 - step, step)
    return X.gather(1, where[..., None].expand_as(X))


def alone(run: Callable, inputs: dict, lengths: torch.Tensor, least: int) -> tuple[dict, list[torch.Tensor]]:
    """A pass over each length by itself, put together again: "imputation" and states (B, T, ...), zero behind the end, and the mean loss.

    least : a backbone's fewest steps; shorter series are read with missing steps up to there.
    """
    T = inputs["X"].shape[1]
    lengths = lengths.clamp(min=least).clamp(max=T)
    order, filled, states, loss = [], [], [], 0.0
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0]
        part = {name: value[rows, :length] for name, value in inputs.items() if name != "lengths"}
        results, found = run(part)
        order.append(rows)
        states.append([pad(state, (0, 0, 0, T - length)) for state in found])
        if "imputation" in results:
            filled.append(pad(results["imputation"], (0, 0, 0, T - length)))
        if "loss" in results:
            loss = loss + results["loss"] * len(rows)
    back = torch.cat(order).argsort()
    results = {"imputation": torch.cat(filled)[back], "loss": loss / len(back)} if filled else {}
    return results, [torch.cat(parts)[back] for parts in zip(*states, strict=True)]
