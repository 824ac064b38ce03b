"""A pretrained backbone as one safetensors file: the weights, and in its metadata the card that rebuilds model, scaler and feature list."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from modts import runs
from modts.errors import ModtsError

from .backbone import Backbone
from .own import named
from .scaling import Scaler


def save(backbone: Backbone, path: str | Path, **card) -> Path:
    """Write weights and card in one whole file (see Backbone.save)."""
    from safetensors.torch import save as serialise

    scaler = {
        "scaler.mean": torch.from_numpy(backbone.scaler.mean),
        "scaler.std": torch.from_numpy(backbone.scaler.std),
    }
    recipe = {
        "format": "modts-backbone-1",
        "name": backbone.name,
        "n_steps": backbone.n_steps,
        "features": list(backbone.features),
        "config": backbone.config,
        "criterion": backbone.criterion,
        "options": backbone.options,
        "weights_hash": backbone.weights_hash(),
        **({"own_file": backbone.row.own.card} if backbone.row.own else {}),
        **card,
    }
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in backbone.state_dict().items()}
    recipe = json.loads(json.dumps(recipe, default=runs.plain))
    recipe["seal"] = _seal(recipe, scaler)
    runs.atomic_write(Path(path), serialise(tensors | scaler, metadata={"card": json.dumps(recipe)}))
    runs.write_json(Path(path).with_suffix(".json"), recipe)
    return Path(path)


def load_backbone(path: str | Path, device: str = "cpu", own: str | Path | None = None) -> Backbone:
    """Rebuild a pretrained backbone from its checkpoint alone.

    Parameters
    ----------
    path : str or Path
        A file that Backbone.save wrote.
    device : str
        Where its weights go.
    own : str or Path, optional
        The file of a backbone of one's own, such as "mine.py": a checkpoint never runs a file by itself.

    Returns
    -------
    Backbone

    Raises
    ------
    ModtsError
        The file is missing, cut short, not one of ours, or its weights differ from its card; or it is of a class of somebody's own, and
        that class's file is not given, or is another.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.exists():
        raise ModtsError(
            f"There is no checkpoint {path}; run notebooks/pretrain.ipynb for that cohort and backbone first."
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if not isinstance(card, dict) or "seal" not in card:
            raise ValueError("it has no card")
        if _seal(card, tensors) != card["seal"]:
            raise ValueError("its card or scaler has changed since it was written")
    except Exception as error:
        raise ModtsError(
            f"The checkpoint {path} is corrupt or not one of ours ({error}); delete it and pretrain again."
        ) from None
    scaler = Scaler(tensors.pop("scaler.mean").numpy(), tensors.pop("scaler.std").numpy())
    backbone = Backbone(
        named(card, own, path) if "own_file" in card else card["name"],
        card["n_steps"],
        card["features"],
        scaler,
        card["config"],
        card["criterion"],
        options=card["options"],
    )
    try:
        backbone.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModtsError(f"The weights in {path} do not fit its card: {str(error).splitlines()[-1].strip()}") from None
    if backbone.weights_hash() != card["weights_hash"]:
        raise ModtsError(f"The weights in {path} differ from the hash on its card; delete it and pretrain again.")
    backbone.card = card
    return backbone.eval().to(device)


def _seal(card: dict, scaler: dict[str, torch.Tensor]) -> str:
    """Hash of what the weights' own hash does not cover: the card and the scaler."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in card.items() if k != "seal"}).encode())
    for name in ("scaler.mean", "scaler.std"):
        digest.update(scaler[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
