"""A backbone of one's own: a class in a file, named "mine.py:MyImputer" wherever a backbone is named.

The contract, in full::

    class MyImputer(torch.nn.Module):
        kind = "recurrent"          # how the states become a latent: see KINDS
        small = {"hidden": 32}      # the rest of the constructor's arguments; `paper`, another set, is optional
        last_block = ("net",)       # optional: the submodules that the arm "last_block" trains

        def __init__(self, n_steps, n_features, hidden): ...

        def forward(self, Z, Z_true=None):
            # Z : (B, T, F) z-scores, NaN where missing or hidden; as large as Z_true, and not to be written to
            # Z_true : in training, the same windows before values were hidden; None when nothing is learned
            return {"imputation": ..., "states": [...], "loss": ...}

"imputation" (B, T, F) has a number for every cell; what was observed is put back by the caller. "states" is a list of (B, T, D), one for
each direction, each in its own order of time. "loss", one number, is needed in training alone. `modts check mine.py:MyImputer` says whether
a class keeps to it (modts.learning.conformity).

A file runs when somebody names it, and never because a checkpoint does: the checkpoint's card names file, class and SHA-256, and loading
asks for the file.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from modts import runs
from modts.errors import ModtsError

from .table import Row

KINDS = {  # a class's `kind` -> what "paper" pooling makes of its states
    "recurrent": "the last step of each direction",
    "attention": "the mean over time of the first",
    "convolutional": "the first, flattened",
}


@dataclass(frozen=True)
class Own:
    """A class that somebody named, loaded.

    Attributes
    ----------
    label
        What it is called in rows and runs: "mine.MyImputer".
    card
        What a checkpoint says of it: file, class, sha256.
    module
        (n_steps, n_features, **sizes) -> Checked.
    paper
        Its sizes for size="paper".
    """

    label: str
    card: dict
    module: Callable
    paper: dict


class Checked(nn.Module):
    """A class of one's own behind the call of the six; each answer's names and shapes are looked at."""

    def __init__(self, label: str, cls: type, path: Path, n_steps: int, n_features: int, **config):
        super().__init__()
        self.label = label
        try:
            self.net = cls(n_steps, n_features, **config)
        except Exception as error:
            raise ModtsError(
                f"{label}({n_steps}, {n_features}, {', '.join(f'{k}={v!r}' for k, v in config.items())}) does not "
                f"construct: {error_words(error, path)}."
            ) from error

    def forward(self, inputs: dict, calc_criterion: bool = False) -> dict:
        Z, Z_true = inputs["Z"], inputs["Z_true"]
        results = self.net(Z, Z_true)
        if not torch.jit.is_tracing():
            self._look(results, Z, calc_criterion and Z_true is not None)
        return results

    def _look(self, results, Z: torch.Tensor, learning: bool) -> None:
        def wrong(what: str, got) -> ModtsError:
            return ModtsError(f"{self.label}.forward must return {what}, but it returned {got}.")

        wanted = ("imputation", "states", *(("loss",) if learning else ()))
        if not isinstance(results, dict) or not set(wanted) <= set(results):
            got = f"a dictionary with {sorted(map(str, results))}" if isinstance(results, dict) else _kind(results)
            raise wrong(f"a dictionary with {', '.join(wanted)}{' in training' if learning else ''}", got)
        made, states = results["imputation"], results["states"]
        if not torch.is_tensor(made) or made.shape != Z.shape:
            raise wrong(f"an imputation of shape {tuple(Z.shape)}", _kind(made))
        if not isinstance(states, (list, tuple)) or not states:
            raise wrong("its states as a list with at least one tensor (B, T, D)", _kind(states))
        for state in states:
            if not torch.is_tensor(state) or state.ndim != 3 or state.shape[:2] != Z.shape[:2]:
                raise wrong(f"states of shape ({Z.shape[0]}, {Z.shape[1]}, D)", _kind(state))
        if learning and (not torch.is_tensor(results["loss"]) or results["loss"].ndim):
            raise wrong("a loss that is one number, a tensor without dimensions", _kind(results["loss"]))


def _kind(value) -> str:
    return f"one of shape {tuple(value.shape)}" if torch.is_tensor(value) else f"a {type(value).__name__}"


def error_words(error: Exception, path: Path) -> str:
    """An exception in words, with the line of the user's file that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" ({path.name}, line {lines[-1]})" if lines else ""
    words = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}{f': {words}' if words else ''}{where}"


def row_of_own(name: str) -> Row | None:
    """The row of "mine.py:MyImputer", whose file is run for it; None for a name without file and class.

    Raises
    ------
    ModtsError
        The file or the class is not there, the file does not run, or the class lacks what the contract asks for.
    """
    file = runs.own_file(name)
    return _row(file, file.read()) if file else None


@lru_cache(maxsize=16)
def _row(file: runs.OwnFile, source: bytes) -> Row:
    digest = sha256(source).hexdigest()
    cls = getattr(_run(file.path, source, digest), file.cls, None)
    if not isinstance(cls, type) or not issubclass(cls, nn.Module):
        raise ModtsError(f"{file.cls} in {file.path} is no PyTorch module; let it inherit from torch.nn.Module.")
    kind, small, last = getattr(cls, "kind", None), getattr(cls, "small", None), getattr(cls, "last_block", ())
    if kind not in tuple(KINDS):  # whatever it is, a list too
        ways = "; ".join(f"{name!r} ({how})" for name, how in KINDS.items())
        raise ModtsError(f"{file.label} needs a class attribute `kind`, one of {ways}; it is {kind!r}.")
    sizes = {"small": small, "paper": getattr(cls, "paper", small)}
    for size, given in sizes.items():
        if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
            raise ModtsError(
                f"{file.label} needs a class attribute `{size}`, a dictionary of its constructor's further arguments "
                f"({{}} for none); it is {given!r}."
            )
    if not isinstance(last, (tuple, list)) or not all(isinstance(path, str) for path in last):
        raise ModtsError(f"The `last_block` of {file.label} must list names of its submodules; it is {last!r}.")

    def module(n_steps, n_features, **config):
        return Checked(file.label, cls, file.path, n_steps, n_features, **config)

    card = {"file": file.path.name, "class": file.cls, "sha256": digest}
    own = Own(file.label, card, module, sizes["paper"])
    return Row(kind, "own", "", "", small, {}, {}, last_block=tuple(last), own=own)


def _run(path: Path, source: bytes, digest: str) -> ModuleType:
    """The module that these very bytes make: what was hashed is what runs."""
    name = f"modts_own_{digest[:12]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = str(path)
        sys.modules[name] = module  # before it runs, as an import does: a dataclass looks itself up
        try:
            exec(compile(source, str(path), "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            raise ModtsError(f"{path} does not run: {error_words(error, path)}.") from error
    return sys.modules[name]


def named(card: dict, own: str | Path | None, path: Path) -> str:
    """The name to rebuild such a checkpoint's backbone under: the file that the caller gave, and the card's class.

    Parameters
    ----------
    card : dict
        The checkpoint's, with its `own_file`.
    own : str or Path, optional
        The file, or "mine.py:MyImputer".
    path : Path
        The checkpoint's, for the sentence.

    Raises
    ------
    ModtsError
        No file was given, or another one.
    """
    wanted = card["own_file"]
    if own is None:
        raise ModtsError(
            f"{path} holds the weights of {wanted['class']} in {wanted['file']}, a backbone of somebody's own; give that "
            f'file: load_backbone(..., own="{wanted["file"]}").'
        )
    given = runs.own_file(str(own))
    file = runs.OwnFile(given.path if given else Path(own), wanted["class"])
    digest = file.sha256()
    if digest != wanted["sha256"] or (given and given.cls != file.cls):
        raise ModtsError(
            f"{own} is not what {path} was trained with: that was {file.cls} in {wanted['file']} with SHA-256 "
            f"{wanted['sha256'][:12]}..., this file has {digest[:12]}...; give the file as it was."
        )
    return f"{file.path}:{file.cls}"
