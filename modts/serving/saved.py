"""A predictor as one file: backbone, heads, pooling, target scaler and trace setting, with the same card and seal as a backbone's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from modts.backbones import POOLINGS, Scaler, current, filled, loading, pack, place, read_model, unpack, write_model
from modts.cohorts import ends_of
from modts.errors import ModtsError, choose
from modts.learning import HEADS, Head

from .predictor import Predictor

FORMAT = "modts-predictor-1"
_HEAD = {"name": str, "kind": str, "width": int, "n_inputs": int, "n_outputs": int}


class PaddedPredictor(Predictor):
    """A predictor for windows padded with NaN: unless lengths are given, a series ends with its last step that holds a value."""

    def predict(self, X, batch_size: int = 256, features=None, lengths=None):
        """As Predictor.predict."""
        return super().predict(X, batch_size, features, ends_of(X) if lengths is None else lengths)


def save(predictor: Predictor, path: str | Path, **notes) -> Path:
    """Write the whole predictor (see Predictor.save)."""
    if not all(isinstance(name, str) for name in predictor.heads):
        raise ModtsError(f"Heads are saved under names that are words, not {list(predictor.heads)!r}.")
    for head in predictor.heads.values():
        if getattr(head, "stepwise", predictor.pooling == "steps") != (predictor.pooling == "steps"):
            raise ModtsError(
                f"A head was not trained with the pooling {predictor.pooling!r} of this predictor; give it the one that the head was trained on."
            )
    backbone, kept = current(predictor.backbone)
    card = {
        "format": FORMAT,
        "backbone": kept | backbone,
        "heads": [
            {
                "name": name,
                "kind": head.kind,
                "width": head.width,
                "n_inputs": head.mean.numel(),
                "n_outputs": head.linears()[-1].out_features,
            }
            for name, head in predictor.heads.items()
        ],
        "single": predictor.single,
        "pooling": predictor.pooling,
        "trace": predictor.trace,
        "target": predictor.target_scaler is not None,
        "task": predictor.task,
        "classes": list(predictor.classes),
        **({"padded": True} if isinstance(predictor, PaddedPredictor) else {}),
    }
    tensors = {k if k.startswith("scaler.") else f"backbone.{k}": v for k, v in pack(predictor.backbone).items()}
    for i, head in enumerate(predictor.heads.values()):
        tensors |= {f"heads.{i}.{name}": value for name, value in head.state_dict().items()}
    if predictor.target_scaler is not None:
        for part in ("mean", "std"):
            value = np.asarray(getattr(predictor.target_scaler, part), dtype=np.float32)
            tensors[f"target.{part}"] = torch.from_numpy(value.reshape(1))
    return write_model(path, card, tensors, notes)[0]


def load_predictor(path: str | Path, device: str | torch.device = "cpu", own: str | Path | None = None) -> Predictor:
    """A predictor from the file that Predictor.save wrote, on this machine and device; its answers are as before.

    Parameters
    ----------
    path : str or Path
    device : str or torch.device
        Where its weights go, such as "cpu" or "cuda:0".
    own : str or Path, optional
        The file of a backbone of one's own (see load_backbone).

    Returns
    -------
    Predictor
        With what was noted on its `card`.

    Raises
    ------
    ModtsError
        The file is missing, damaged, not ours or of another version; its card is not one that modts could have written; there is no such
        device.
    """
    device = place(device)
    path, card, tensors = read_model(path, "predictor")
    with loading(repr(str(path))):
        _check(card)
        strange = [name for name in tensors if not name.startswith(("scaler.", "backbone.", "heads.", "target."))]
        if strange:
            raise ModtsError(f"it holds {strange[0]!r}, which is no part of a predictor")
        scaler = {name: value for name, value in tensors.items() if name.startswith("scaler.")}
        heads = {about["name"]: _head(about, _below(f"heads.{i}.", tensors)) for i, about in enumerate(card["heads"])}
        target = None
        if card["target"]:
            mean, std = (tensors.get(f"target.{part}", torch.empty(0)).numpy() for part in ("mean", "std"))
            if mean.shape != (1,) or std.shape != (1,) or not std[0] > 0:
                raise ModtsError("its target scaler must hold one mean and one positive deviation")
            target = Scaler(mean, std)
        predictor = (PaddedPredictor if card.get("padded") is True else Predictor)(
            unpack(card["backbone"], _below("backbone.", tensors) | scaler, path, own).to(device),
            next(iter(heads.values())) if card["single"] else heads,
            card["pooling"],
            target,
            card["trace"],
            *(card[field] for field in ("task", "classes") if "task" in card),
        )
    predictor.card = card
    return predictor


def _below(start: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _head(about: dict, weights: dict[str, torch.Tensor]) -> Head:
    choose(about["kind"], HEADS, "head")
    return filled(lambda: Head(about["kind"], about["n_inputs"], about["n_outputs"], about["width"]), weights)


def _check(card: dict) -> None:
    """Raise a ModtsError unless the card's own fields are there and of the right type."""
    wanted = {"backbone": dict, "heads": list, "single": bool, "pooling": str, "trace": int, "target": bool}
    if "task" in card:  # files of before know a yes or no and numbers alone
        wanted |= {"task": str, "classes": list}
    for field, kind in wanted.items():
        if type(card.get(field)) is not kind:
            raise ModtsError(f"{field!r} on its card must be of type {kind.__name__}, not {repr(card.get(field))[:60]}")
    choose(card["pooling"], POOLINGS, "pooling")
    heads = card["heads"]
    right = all(
        isinstance(about, dict) and all(type(about.get(field)) is kind for field, kind in _HEAD.items())
        for about in heads
    )
    if (
        not right
        or not heads
        or len({about["name"] for about in heads}) != len(heads)
        or (card["single"] and len(heads) != 1)
    ):
        raise ModtsError(f"'heads' on its card must list heads of different names, each with {', '.join(_HEAD)}")
