"""A model as one safetensors file: its weights, and in its metadata the card that rebuilds it. Here: any such file, and a backbone's.

The seal on a card is a hash of the card and the scaler, `weights_hash` one of the weights: what was changed after saving is noticed. Neither is
a signature: whoever makes a file can seal it, so a card is checked before anything is built from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from modts import runs
from modts.errors import ModtsError

from . import card as cards
from .backbone import Backbone, tensors_hash
from .own import named
from .scaling import Scaler

_READERS = {"backbone": "modts.load_backbone", "predictor": "modts.load_predictor"}
_SCALER = ("scaler.mean", "scaler.std")
_SEEN = "scaler.seen"  # only where a feature was never observed in training
_PLAIN_ANSWER = "take it from a copy, or make it again"
# What checkpoints meant that were written before these options existed.
_BEFORE = {"CSAI": {"attention_over": "batch"}, "TimesNet": {"periods": "batch"}}


# --- any model's file -----------------------------------------------------------------------------------------------


def write_model(path: str | Path, card: dict, tensors: dict[str, torch.Tensor], notes: dict) -> tuple[Path, dict]:
    """Write tensors and card as one whole safetensors file, and the card beside it as <file>.json. Returns the path and the sealed card.

    card : its "format" is "modts-<what>-<version>"; its fields come before the notes, and cannot be overridden by them.
    """
    from safetensors.torch import save as serialise

    taken = sorted({*card, *cards.OWN} & set(notes))
    if taken:
        raise ModtsError(
            f"{taken[0]!r} is a field of the card itself and cannot be a note; give your note another name."
        )
    card = _as_json(card | notes)
    path = _target(path, card["format"].split("-")[1])
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    card["weights_hash"] = _weights_hash(tensors)
    card["seal"] = _seal(card, tensors)
    try:
        runs.atomic_write(path, serialise(tensors, metadata={"card": json.dumps(card)}))
        runs.write_json(_beside(path), card)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise ModtsError(f"{str(path)!r} cannot be written: {getattr(error, 'strerror', error)}.") from None
    return path, card


def read_model(path: str | Path, what: str) -> tuple[Path, dict, dict[str, torch.Tensor]]:
    """The path, card and tensors of a file that write_model wrote for a "backbone" or a "predictor", unchanged since.

    Raises
    ------
    ModtsError
        The file is missing, not ours, of another kind or version, damaged, or holds values that are not finite.
    """
    path, version = Path(path).expanduser(), {"backbone": cards.FORMAT, "predictor": "modts-predictor-1"}[what]
    if path.is_dir():
        raise ModtsError(f"{str(path)!r} is a folder; give the .safetensors file in it.")
    if not path.exists():
        raise ModtsError(
            f"There is no checkpoint {path}; "
            + (
                "run notebooks/pretrain.ipynb for that cohort and backbone first."
                if what == "backbone"
                else "write one with Predictor.save."
            )
        )
    try:
        card, tensors = _open(path, tensors=True)
    except Exception as error:  # safetensors, JSON and the file system have their own ways to fail
        raise ModtsError(f"{str(path)!r} is {_no_model(path, error)}.") from None
    written = _format(card)
    kind = next((k for k in _READERS if written.startswith(f"modts-{k}-")), None)
    if kind is None:
        raise ModtsError(f"{str(path)!r} is not a file that modts wrote: it is safetensors, but has no card of modts.")
    if kind != what:
        raise ModtsError(f"{str(path)!r} holds a {kind}; read it with {_READERS[kind]}.")
    if written != version:
        raise ModtsError(
            f"{str(path)!r} has the format {written[:40]!r}, and this version of modts reads {version!r}; use the version that wrote it, or "
            "save it again."
        )
    if any(name not in tensors for name in _SCALER) or card.get("seal") != _seal(card, tensors):
        raise ModtsError(f"The card or scaler in {str(path)!r} has changed since it was written; {_PLAIN_ANSWER}.")
    if card.get("weights_hash") != _weights_hash(tensors):
        raise ModtsError(f"The weights in {str(path)!r} differ from the hash on its card; {_PLAIN_ANSWER}.")
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModtsError(f"{name!r} in {str(path)!r} holds values that are not finite; {_PLAIN_ANSWER}.")
    return path, card, tensors


@contextlib.contextmanager
def loading(what: str):
    """Whatever goes wrong inside, with a card or weights that anybody may have made, becomes one sentence about `what`."""
    try:
        yield
    except Exception as error:
        sentence = str(error) if isinstance(error, ModtsError) else f"its parts make no model ({error})"
        raise ModtsError(f"{what} cannot be loaded: {' '.join(sentence.split()).rstrip('.')[:300]}.") from None


def filled(
    make: Callable[[], torch.nn.Module], weights: dict[str, torch.Tensor], ahead: bool = True
) -> torch.nn.Module:
    """A module that `make` builds, with these weights; their shapes are compared before memory is taken, but for a class of somebody's own."""
    with torch.device("meta") if ahead else contextlib.nullcontext():  # shapes without memory
        shapes = {name: value.shape for name, value in make().state_dict().items()}
    for name in sorted({*shapes, *weights}):
        held = weights[name].shape if name in weights else None
        if name not in shapes or shapes[name] != held:
            asked, there = (list(s) if s is not None else "nothing" for s in (shapes.get(name), held))
            raise ModtsError(f"it should hold {asked} as {name!r}, and it holds {there}")
    module = make()
    module.load_state_dict(weights)
    return module


def place(device) -> torch.device:
    """The device of that name, if this machine has it."""
    count = torch.cuda.device_count()
    there = ["cpu", *(f"cuda:{i}" for i in range(count))]
    try:
        found = torch.device(device)
        torch.empty(0, device=found).cpu()
    except Exception:  # PyTorch has several for a name it does not know and for a device that is not there
        raise ModtsError(f"There is no device {device!r} here; give one of: {', '.join(there)}.") from None
    return found


def _target(path, what: str) -> Path:
    """The file to write to: a .safetensors file that is not there yet, or one of ours."""
    if not str(path):
        raise ModtsError(f"A {what} is saved under a name; give a path that ends in .safetensors.")
    path = Path(path).expanduser()
    try:
        folder = path.is_dir()
        exist = [] if folder or not path.name else [file for file in (path, _beside(path)) if file.exists()]
    except OSError as error:  # a name that is too long
        raise ModtsError(f"{str(path)[:80]!r} cannot be written: {error.strerror}.") from None
    if folder or path.suffix != ".safetensors":
        kind = "is a folder" if folder else "does not end in .safetensors"
        raise ModtsError(f"A {what} is saved as a .safetensors file; {str(path)!r} {kind}.")
    for file in exist:
        written = _written(file)
        if not written.startswith(f"modts-{what}-"):
            holds = f"holds a {written.split('-')[1]}" if written else "was not written by modts"
            raise ModtsError(f"{str(file)!r} exists and {holds}; it is left as it is, so give another name.")
    return path


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _written(path: Path) -> str:
    """The format that the card in (or of) a file names; "" if it is none of ours."""
    try:
        card = json.loads(path.read_text()) if path.suffix == ".json" else _open(path)[0]
    except Exception:  # somebody else's file may be anything
        return ""
    return _format(card)


def _format(card) -> str:
    written = card.get("format") if isinstance(card, dict) else None
    return written if isinstance(written, str) and written.startswith("modts-") else ""


def _open(path: Path, tensors: bool = False) -> tuple[object, dict[str, torch.Tensor]]:
    """The card in a safetensors file, whatever it is, and with `tensors` all that the file holds."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        card = json.loads((file.metadata() or {}).get("card", "null"))
        return card, {name: file.get_tensor(name) for name in file.keys()} if tensors else {}


def _no_model(path: Path, error: Exception) -> str:
    """What a file is that cannot be read as safetensors."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as reason:
        return f"not readable: {reason.strerror}"
    if start[:2] in (b"PK", b"\x80\x02", b"\x80\x04"):
        return "not a file of modts but one of PyTorch (.pt) or PyPOTS; a PyPOTS imputer comes in through modts.from_pypots"
    return f"damaged, or not a file of modts ({' '.join(str(error).split())[:120]}); if modts wrote it, {_PLAIN_ANSWER}"


def _as_json(card: dict) -> dict:
    """The card as JSON will give it back."""

    def through(value):
        return json.loads(json.dumps(value, default=runs.plain, allow_nan=False))

    for name, value in card.items():
        try:
            through(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise ModtsError(
                f"The note {name!r} cannot be kept on the card, which is JSON ({error}); give numbers, words, lists or dictionaries."
            ) from None
    return through(card)


def _weights_hash(tensors: dict[str, torch.Tensor]) -> str:
    return tensors_hash({name: value for name, value in tensors.items() if not name.startswith("scaler.")})


def _seal(card: dict, tensors: dict[str, torch.Tensor]) -> str:
    """Hash of what the weights' own hash does not cover: the card and the scaler."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in card.items() if k != "seal"}).encode())
    for name in (*_SCALER, *([_SEEN] if _SEEN in tensors else [])):
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


# --- a backbone's file ----------------------------------------------------------------------------------------------


def pack(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Weights and scaler of a backbone, as its file holds them."""
    scaler = {f"scaler.{part}": torch.from_numpy(getattr(backbone.scaler, part)) for part in ("mean", "std")}
    if backbone.scaler.seen is not None:
        scaler[_SEEN] = torch.from_numpy(backbone.scaler.seen)
    return backbone.state_dict() | scaler


def unpack(card: dict, tensors: dict[str, torch.Tensor], path: Path, own: str | Path | None = None) -> Backbone:
    """A backbone from its card and tensors; the card is checked, and sizes are compared, before memory is taken."""
    with loading(repr(str(path))):
        cards.check(card, [value.numel() for value in tensors.values()])
    name = named(card, own, path) if "own_file" in card else card["name"]
    with loading(repr(str(path))):
        mean, std = (tensors.get(name, torch.empty(0)) for name in _SCALER)
        seen = tensors[_SEEN].numpy() if _SEEN in tensors else None
        scaler = Scaler(mean.numpy(), std.numpy(), seen, card.get("edge"))
        parts = (scaler.mean, scaler.std)
        fits = all(part.shape == (len(card["features"]),) and part.dtype == np.float32 for part in parts)
        if not (fits and all(np.isfinite(part).all() for part in parts) and (scaler.std > 0).all()):
            raise ModtsError("its scaler needs a finite mean and a positive deviation for each of its features")
        if scaler.seen is not None and (scaler.seen.shape != scaler.mean.shape or scaler.seen.dtype != bool):
            raise ModtsError("its scaler needs a yes or no for each of its features")
        rest, options = (scaler, card["config"], card["criterion"]), _BEFORE.get(name, {}) | card["options"]
        backbone = filled(
            lambda: Backbone(
                name, card["n_steps"], card["features"], *rest, options=options, centre=card.get("centre", False)
            ),
            {part: value for part, value in tensors.items() if not part.startswith("scaler.")},
            ahead="own_file" not in card,
        )
        if backbone.weights_hash() != card["weights_hash"]:
            raise ModtsError("its weights differ from the hash on its card")
    backbone.card = card
    return backbone.eval()


def save(backbone: Backbone, path: str | Path, **notes) -> Path:
    """Write weights and card in one whole file (see Backbone.save)."""
    earlier = backbone.card
    try:
        card, kept = cards.current(backbone)
        card["past"] = [
            happened if "cohort" in happened or notes.get("cohort") is None else {**happened, "cohort": notes["cohort"]}
            for happened in card["past"]
        ]
        path, backbone.card = write_model(path, card, pack(backbone), kept | notes)
    except ModtsError:
        backbone.card = earlier
        raise
    return path


def load_backbone(path: str | Path, device: str | torch.device = "cpu", own: str | Path | None = None) -> Backbone:
    """Rebuild a pretrained backbone from its checkpoint alone.

    Parameters
    ----------
    path : str or Path
        A file that Backbone.save wrote.
    device : str or torch.device
        Where its weights go, such as "cpu" or "cuda:0".
    own : str or Path, optional
        The file of a backbone of one's own, such as "mine.py": a checkpoint never runs a file by itself.

    Returns
    -------
    Backbone
        In evaluation mode, with what was noted on its `card`.

    Raises
    ------
    ModtsError
        The file is missing, cut short, not one of ours or of another version; its card is not one that modts could have written; its
        weights differ from its card; it is of a class of somebody's own, and that class's file is not given, or is another; there is no
        such device.
    """
    device = place(device)
    path, card, tensors = read_model(path, "backbone")
    return unpack(card, tensors, path, own).to(device)
