"""The card of a backbone: what it says about itself, what happened to its weights, and what a card must be before it is believed."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from dataclasses import asdict

import numpy as np

from modts import runs
from modts.errors import ModtsError, ModtsWarning, choose

from .scaling import Scaler
from .table import BACKBONES, options_of

FORMAT = "modts-backbone-1"
OWN = (
    "format",
    "name",
    "n_steps",
    "features",
    "config",
    "criterion",
    "options",
    "own_file",
    "edge",
    "centre",
    "weights_hash",
    "past",
    "seal",
)  # what the card says by itself; everything else on it is a note of whoever saved it
_LATER = ("edge", "centre")  # not on the cards of the first version, which had neither
_LARGEST = 1_000_000  # of a size on a card
_WINDOW = 10_000  # of a moving average, whose matrix no weight's shape vouches for
_ENOUGH = 50  # observed values of a feature, before its scale is compared


def describe(backbone) -> dict:
    """What a backbone says about itself: the fields that rebuild it, and the hash of its weights."""
    return {
        "format": FORMAT,
        "name": backbone.name,
        "n_steps": backbone.n_steps,
        "features": list(backbone.features),
        "config": dict(backbone.config),
        "criterion": backbone.criterion,
        "options": dict(backbone.options),
        **({"own_file": backbone.row.own.card} if backbone.row.own else {}),
        "edge": backbone.scaler.edge,
        "centre": backbone.centre,
        "weights_hash": backbone.weights_hash(),
        "past": list(backbone.card.get("past", [])),
    }


def notes(card: dict) -> dict:
    """What was noted on a card beside its own fields."""
    return {name: value for name, value in card.items() if name not in OWN}


def current(backbone) -> tuple[dict, dict]:
    """The card's own fields as the backbone is now, and the notes that still belong to its weights."""
    if backbone.card and backbone.card.get("weights_hash") != backbone.weights_hash():
        remember(backbone, what="changed otherwise than by pretrain")
    return describe(backbone), notes(backbone.card)


def remember(backbone, **what) -> None:
    """Add one thing that happened to the weights to `past` on the card in memory; what was noted before it stays with what came before it."""
    before, past = notes(backbone.card), list(backbone.card.get("past", []))
    if before:
        past[-1:] = [{**(past[-1] if past else {"what": "saved"}), "notes": before}]
    what["when"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    backbone.card = describe(backbone) | {"past": [*past, what]}


def remember_training(backbone, X: np.ndarray, history, settings: dict) -> None:
    """Add a pretraining on windows X (N, T, F) to the card in memory."""
    digest, happened = hashlib.sha256(repr(np.shape(X)).encode()), asdict(history)
    for part in runs.parts(X):
        part = np.asarray(part, dtype="<f4")
        # one bit pattern for NaN, as in a cohort's hash
        digest.update(np.where(np.isnan(part), np.float32(np.nan), part).tobytes())
    remember(
        backbone,
        what="pretrain",
        data_hash=digest.hexdigest()[:12],
        windows=len(X),
        settings=settings,
        epochs=len(happened["validation"]),
        best_epoch=happened["best_epoch"],
        validation=happened["best"],
        rivals=happened["rivals"],
    )


def warn_of_another_scale(backbone, X: np.ndarray) -> None:
    """One warning when windows X (N, T, F) have another scale than the scaler, which stays as it was fitted."""
    seen = sum((~np.isnan(part)).sum((0, 1)) for part in runs.parts(X))
    if seen.max(initial=0) < _ENOUGH:
        return
    old = backbone.scaler
    new = Scaler.fit(X, "plain" if old.edge is None else "winsorised")
    away = np.where(seen < _ENOUGH, 0, np.abs(new.mean - old.mean) / old.std)
    wider = np.where(seen < _ENOUGH, 1, new.std / old.std)
    unlike = np.maximum(
        away / 2, np.maximum(wider, 1 / wider) / 4
    )  # two deviations, or four times as wide or as narrow
    if unlike.max() > 1:
        f = int(unlike.argmax())
        warnings.warn(
            f"These windows have another scale than those that {backbone.name}'s scaler was fitted on, and the scaler stays: "
            f"{backbone.features[f]!r} has mean {new.mean[f]:.4g} and SD {new.std[f]:.4g} here, {old.mean[f]:.4g} and {old.std[f]:.4g} "
            f"there ({int((unlike > 1).sum())} of {len(unlike)} features differ so much); check the units, or build a new backbone.",
            ModtsWarning,
            stacklevel=3,
        )


# --- a card that somebody gives us ----------------------------------------------------------------------------------


def check(card: dict, sizes: list[int]) -> None:
    """Raise a ModtsError unless the fields that rebuild a backbone are there, of the right type, and of a size that can be.

    sizes : of the tensors in its file: there cannot be more layers than tensors, nor more weights than values.
    """
    missing = [field for field in OWN if field not in (*_LATER, "past", "seal", "own_file") and field not in card]
    if missing:
        raise ModtsError(f"its card lacks {', '.join(map(repr, missing))}")
    _want(isinstance(card["name"], str), card, "name", "the name of a backbone")
    _want(_whole(card["n_steps"]), card, "n_steps", f"a whole number from 1 to {_LARGEST}")
    features = card["features"]
    named = isinstance(features, list) and len(features) > 0 and all(isinstance(f, str) for f in features)
    _want(named and len(set(features)) == len(features), card, "features", "a list of different names")
    for field in ("config", "options"):
        _want(isinstance(card[field], dict), card, field, "an object")
    for field in ("criterion", "weights_hash"):
        _want(isinstance(card[field], str), card, field, "a word")
    past = card.get("past", [])
    _want(isinstance(past, list) and all(isinstance(p, dict) for p in past), card, "past", "a list of objects")
    choose(card["criterion"], ("mse", "mae"), "criterion")
    _want(isinstance(card.get("centre", False), bool), card, "centre", "true or false")
    edge = card.get("edge")
    number = isinstance(edge, (int, float)) and not isinstance(edge, bool)
    _want(
        edge is None or (number and 0 < edge <= _LARGEST),
        card,
        "edge",
        f"null, or a number above 0, at most {_LARGEST}",
    )
    if "own_file" in card:  # the sizes of somebody's own class are known to that class alone
        about = card["own_file"]
        right = isinstance(about, dict) and all(isinstance(about.get(k), str) for k in ("file", "class", "sha256"))
        return _want(right, card, "own_file", "an object with file, class and sha256")
    row = BACKBONES[choose(card["name"], BACKBONES, "backbone")]
    options_of(card["name"], card["options"])
    _check_config(card["config"], row, card["n_steps"], len(sizes))
    # PyPOTS's recurrent models make these matrices before shapes can be compared without memory
    wide = max(len(features), *(v for v in card["config"].values() if isinstance(v, int)))
    if row.kind == "recurrent" and len(features) * wide > sum(sizes):
        raise ModtsError("its card asks for more weights than it holds")
    return None


def _check_config(config: dict, row, n_steps: int, n_tensors: int) -> None:
    known = row.small | row.fixed
    unknown, missing = sorted(set(config) - set(known)), sorted(set(row.small) - set(config))
    if unknown or missing:
        what = f"an unknown argument {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise ModtsError(f"its config has {what}; the arguments are {', '.join(known)}")
    most = {"n_layers": n_tensors, "n_kernels": n_tensors, "top_k": n_steps // 2 + 1, "moving_avg_window_size": _WINDOW}
    most["factor"] = n_steps / math.log(n_steps) if n_steps > 1 else 1
    for argument, value in config.items():
        if isinstance(known[argument], bool):
            right, wanted = isinstance(value, bool), "true or false"
        elif isinstance(known[argument], int):
            largest = min(_LARGEST, most.get(argument, _LARGEST))
            right, wanted = _whole(value, largest), f"a whole number from 1 to {largest:g}"
        else:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            most_ = 1 if "dropout" in argument else _LARGEST
            right, wanted = number and 0 <= value <= most_, f"a number from 0 to {most_}"
        _want(right, config, argument, wanted)


def _whole(value, largest: float = _LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest


def _want(right: bool, card: dict, field: str, wanted: str) -> None:
    if not right:
        raise ModtsError(f"{field!r} on its card must be {wanted}, not {repr(card[field])[:60]}")
