"""A pretraining made once: what it is made from (recipe, windows, code) names its result, which is kept in memory or in a folder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from modts import runs
from modts.backbones import BACKBONES, Backbone, build, current, load_backbone, pack, place, unpack
from modts.errors import choose

from .training import pretrain

_BUILDING = ("size", "scaling", "centre", "criterion", "options")
_MOST = 8  # backbones in memory
_memory: OrderedDict[str, tuple[dict, dict]] = OrderedDict()


@dataclass(frozen=True)
class _Windows:
    """Training windows in the shape in which `build` reads a cohort."""

    X: np.ndarray
    features: tuple[str, ...]
    name: str = "own"

    @property
    def n_steps(self) -> int:
        return self.X.shape[1]

    def part(self, split: str) -> tuple[np.ndarray, None]:
        return self.X, None


@dataclass(frozen=True)
class Recipe:
    """How a backbone is built and pretrained: see `build` and `pretrain`.

    features : names of the variables. seed : of weights, masks and batches. device : where it trains.
    """

    backbone: str
    size: str
    scaling: str
    centre: bool
    criterion: str
    options: dict | None
    pattern: str
    rate: float
    epochs: int
    patience: int
    batch_size: int
    lr: float
    schedule: str
    clip: float
    features: tuple[str, ...]
    seed: int
    device: str

    def fresh(self, X: np.ndarray) -> Backbone:
        """Built for windows X (N, T, F), not trained."""
        given = {name: getattr(self, name) for name in _BUILDING}
        return build(self.backbone, _Windows(X, self.features), seed=self.seed, **given).to(place(self.device))

    def pretrained(
        self, X: np.ndarray, X_val: np.ndarray, cache: str | Path | None = "memory", lengths: tuple | None = None
    ) -> Backbone:
        """Pretrained on X, stopped by X_val: made now, or as it was made before from the same. lengths : see `pretrain`.

        cache : "memory" (the last few), a folder (which outlives the process), or None. Each call gets a backbone of its own.
        """
        made_from = {
            "code": runs.code_hash("pretrain", choose(self.backbone, BACKBONES, "backbone")),
            "data": [[part.shape, hashlib.sha256(part.tobytes()).hexdigest()] for part in (X, X_val, *(lengths or ()))],
            "device": str(self.device),
        }
        key = runs.key(asdict(self) | made_from)
        found = _find(cache, key)
        if found is not None:
            return found.to(place(self.device))
        backbone = self.fresh(X)
        settings = asdict(self)
        for name in ("backbone", "features", "device", *_BUILDING):
            del settings[name]
        pretrain(backbone, X, X_val, lengths=lengths, progress=None, **settings)
        _keep(cache, key, backbone)
        return backbone


def _find(cache, key: str) -> Backbone | None:
    if cache is None:
        return None
    if cache != "memory":
        return load_backbone(_file(cache, key)) if _file(cache, key).exists() else None
    if key not in _memory:
        return None
    _memory.move_to_end(key)
    card, tensors = _memory[key]
    return unpack(card, {name: value.clone() for name, value in tensors.items()}, Path("memory"))


def _keep(cache, key: str, backbone: Backbone) -> None:
    if cache is not None and cache != "memory":
        backbone.save(_file(cache, key))
    elif cache == "memory":
        card, notes = current(backbone)
        _memory[key] = notes | card, {name: value.detach().cpu().clone() for name, value in pack(backbone).items()}
        while len(_memory) > _MOST:
            _memory.popitem(last=False)


def _file(cache, key: str) -> Path:
    return Path(cache).expanduser() / f"{key}.safetensors"
