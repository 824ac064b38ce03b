"""The backbones: one table, and the object that carries a pretrained one.

A row says which PyPOTS module to build, what it reads, at which submodule its latents come out, and its sizes. A seventh backbone is a row.
Sizes: "small" is ours, for a CPU; "paper" are the winners that TSI-Bench (arXiv 2406.12747) published per data set, because the paper
itself (arXiv 2411.03941) states none.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import blocks, recurrent, runs
from .cohorts.tsdb_home import import_tsdb
from .errors import ModtsError, choose
from .inputs import intervals, model_inputs, observed
from .missingness import seeded
from .scaling import Scaler


@dataclass(frozen=True)
class Row:
    """One backbone.

    Attributes
    ----------
    kind : "recurrent" (latent = final hidden states), "attention" (mean over time) or "convolutional" (flattened).
    reads : which inputs it takes (see inputs.model_inputs).
    core : PyPOTS's module, "package.Class" below pypots.imputation and pypots.classification.
    tap : the submodule whose output is read for latents; ">name" reads the input of `name`. Empty if recurrent: see recurrent.FAST.
    small : constructor arguments on a CPU.
    fixed : constructor arguments that are not sizes.
    classifier : arguments only PyPOTS's end-to-end classifier takes.
    """

    kind: str
    reads: str
    core: str
    tap: str
    small: dict
    fixed: dict
    classifier: dict


BACKBONES = {
    "BRITS": Row(
        "recurrent", "both_ways", "brits.core._BRITS", "",
        {"rnn_hidden_size": 64}, {}, {"classification_weight": 1.0, "reconstruction_weight": 1.0},
    ),
    "GRU-D": Row("recurrent", "grud", "grud.core._GRUD", "", {"rnn_hidden_size": 64}, {}, {}),
    "SAITS": Row(
        "attention", "plain", "saits.core._SAITS", ">encoder.reduce_dim_beta",
        {"n_layers": 2, "d_model": 64, "d_ffn": 128, "n_heads": 4, "d_k": 16, "d_v": 16, "dropout": 0.1, "attn_dropout": 0.1},
        {"diagonal_attention_mask": True, "ORT_weight": 1.0, "MIT_weight": 1.0}, {},
    ),
    "CSAI": Row(
        "recurrent", "csai", "csai.core._BCSAI", "",
        {"rnn_hidden_size": 64, "step_channels": 32}, {"consistency_weight": 0.1, "imputation_weight": 0.3},
        {"classification_weight": 1.0, "dropout": 0.1},
    ),
    "TimesNet": Row(
        "convolutional", "plain", "timesnet.core._TimesNet", ">projection",
        {"n_layers": 1, "top_k": 2, "d_model": 32, "d_ffn": 32, "n_kernels": 3, "dropout": 0.1},
        {"apply_nonstationary_norm": False}, {},
    ),
    "Autoformer": Row(
        # before its last layer takes the mean over time away: after it, the mean over time is zero for every window
        "attention", "plain", "autoformer.core._Autoformer", "encoder.encoder.norm.layer_norm",
        {"n_layers": 2, "d_model": 64, "d_ffn": 128, "n_heads": 4, "factor": 3, "moving_avg_window_size": 13, "dropout": 0.1},
        {"ORT_weight": 1.0, "MIT_weight": 1.0}, {},
    ),
}  # fmt: skip

_FIELDS = {
    "SAITS": ("n_layers", "d_model", "d_ffn", "n_heads", "d_k", "d_v", "dropout", "attn_dropout"),
    "TimesNet": ("n_layers", "top_k", "d_model", "d_ffn", "n_kernels", "dropout"),
    "Autoformer": ("n_layers", "d_model", "d_ffn", "n_heads", "moving_avg_window_size", "dropout"),
    "BRITS": ("rnn_hidden_size",),
    "GRU-D": ("rnn_hidden_size",),
}
# TSI-Bench's winners, in the order of _FIELDS; what it leaves open (dropout of some) takes PyPOTS's default 0.
_PAPER = {
    "physionet_2012": {
        "SAITS": (3, 64, 512, 8, 128, 256, 0.2, 0.1), "BRITS": (1024,), "GRU-D": (128,),
        "TimesNet": (3, 3, 128, 512, 5, 0.0), "Autoformer": (3, 1024, 256, 1, 13, 0.0),
    },
    "physionet_2019": {
        "SAITS": (3, 64, 512, 8, 32, 256, 0.0, 0.0), "BRITS": (512,), "GRU-D": (32,),
        "TimesNet": (3, 1, 512, 1024, 5, 0.3), "Autoformer": (1, 128, 1024, 4, 13, 0.0),
    },
    "beijing_air": {
        "SAITS": (1, 64, 256, 4, 256, 64, 0.0, 0.0), "BRITS": (512,), "GRU-D": (1024,),
        "TimesNet": (2, 1, 1024, 128, 5, 0.0), "Autoformer": (1, 1024, 1024, 8, 5, 0.3),
    },
    "italy_air": {
        "SAITS": (3, 64, 64, 8, 128, 32, 0.0, 0.0), "BRITS": (256,), "GRU-D": (128,),
        "TimesNet": (1, 1, 512, 256, 4, 0.2), "Autoformer": (3, 256, 128, 8, 25, 0.0),
    },
    "ett_h1": {
        "SAITS": (3, 64, 512, 8, 256, 128, 0.0, 0.0), "BRITS": (512,), "GRU-D": (256,),
        "TimesNet": (1, 1, 128, 256, 4, 0.1), "Autoformer": (2, 128, 64, 1, 25, 0.0),
    },
    "traffic": {
        "SAITS": (3, 64, 128, 8, 256, 64, 0.0, 0.0), "BRITS": (1024,), "GRU-D": (1024,),
        "TimesNet": (1, 3, 1024, 512, 4, 0.0), "Autoformer": (3, 64, 1024, 8, 3, 0.0),
    },
}  # fmt: skip


def sizes(name: str, size: str = "small", cohort: str = "") -> dict:
    """Constructor arguments of a backbone: size "small", or "paper" (TSI-Bench's winner for that cohort, PhysioNet 2012's elsewhere)."""
    row = BACKBONES[choose(name, BACKBONES, "backbone")]
    if choose(size, ("small", "paper"), "size") == "small":
        return dict(row.small)
    if name == "CSAI":  # not in TSI-Bench: the CSAI paper's own defaults
        return {"rnn_hidden_size": 108, "step_channels": 512}
    winners = _PAPER.get(cohort, _PAPER["physionet_2012"])[name]
    return {**row.small, **dict(zip(_FIELDS[name], winners, strict=True))}


def classifier_settings(name: str) -> dict:
    """Constructor arguments of PyPOTS's end-to-end classifier that are not sizes."""
    row, imputing = BACKBONES[name], ("ORT_weight", "MIT_weight", "apply_nonstationary_norm")
    return {k: v for k, v in row.fixed.items() if k not in imputing} | row.classifier


def pypots(module: str):
    """Import a PyPOTS module (seconds, once a process); its banner and log lines are silenced at the source."""
    logging.getLogger("pypots").setLevel(logging.ERROR)
    import_tsdb()  # PyPOTS imports TSDB, which would otherwise write ~/.pypots
    sink = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # the banner asks for an encoding
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        return importlib.import_module(f"pypots.{module}")


def core(name: str, task: str):
    """PyPOTS's module class of a backbone; task: "imputation" or "classification"."""
    package, _, cls = BACKBONES[name].core.rpartition(".")
    return getattr(pypots(f"{task}.{package}"), cls)


def _criterion(criterion: str):
    return getattr(pypots("nn.modules.loss"), choose(criterion, ("mse", "mae"), "criterion").upper())()


def accelerate(module: nn.Module, kind: str) -> recurrent.Fast | None:
    """Make a PyPOTS module fast, in place: its parameters and results stay as they are. A recurrent one's Fast keeps its states."""
    return recurrent.accelerate(module) if kind == "recurrent" else blocks.accelerate(module)


class Backbone(nn.Module):
    """An imputer whose latents can be read: PyPOTS's module with its scaler, its feature list and its recipe.

    Parameters
    ----------
    name : a key of BACKBONES.
    n_steps : length T of the windows it reads.
    features : names of the F variables, in order.
    scaler : fitted on training values.
    config : constructor arguments (see `sizes`).
    criterion : "mse" (the paper's) or "mae" (PyPOTS's default) inside the model's own reconstruction loss.
    interval : (F,) CSAI's median gaps, from training data.
    options : "last_observation" ("locf", or "zero" as PyPOTS) for GRU-D; "attention_over" ("batch" as PyPOTS, or "time") for CSAI.
    seed : initialises the weights.
    """

    def __init__(
        self, name, n_steps, features, scaler, config=None, criterion="mse", interval=None, options=None, seed=0
    ):
        super().__init__()
        self.row = BACKBONES[choose(name, BACKBONES, "backbone")]
        self.name, self.n_steps, self.features, self.scaler = name, int(n_steps), tuple(features), scaler
        self.config, self.criterion, self.options = dict(config or self.row.small), criterion, dict(options or {})
        self.card: dict = {}
        loss = _criterion(criterion)
        module = core(name, "imputation")
        with seeded(seed):
            self.module = module(
                n_steps=self.n_steps, n_features=len(self.features), training_loss=loss, validation_metric=loss,
                **self.config, **self.row.fixed,
            )  # fmt: skip
        if (
            self.options.get("attention_over") == "time"
        ):  # PyPOTS's CSAI attends over the stays of a batch, not over time
            for side in (self.module.model.model_f, self.module.model.model_b):
                for layer in side.time_layer.transformer_encoder.layers:
                    layer.self_attn.batch_first = True
        self.fast = accelerate(self.module, self.row.kind)
        gap = (
            torch.zeros(len(self.features))
            if interval is None
            else torch.as_tensor(np.asarray(interval), dtype=torch.float32)
        )
        self.register_buffer("interval", gap)

    @property
    def device(self) -> torch.device:
        return self.interval.device

    def inputs(self, Z: torch.Tensor, Z_ori: torch.Tensor | None = None, shipped: bool = False) -> dict:
        """What the module reads; with `shipped`, exactly as PyPOTS feeds it. Z : (B, T, F) z-scores with NaN."""
        last = "zero" if shipped else self.options.get("last_observation", "locf")
        return model_inputs(self.row.reads, Z, Z_ori, interval=self.interval, last_observation=last)

    def run(self, inputs: dict) -> tuple[dict, list[torch.Tensor]]:
        """One forward pass: PyPOTS's results (with "loss" in training mode) and the states [(B, T, D)].

        A recurrent model has a state list per direction, each in its own order of time.
        """
        return self._run(inputs, reading=False)

    def states(self, inputs: dict) -> list[torch.Tensor]:
        """The states alone: the pass ends as soon as they are there."""
        return self._run(inputs, reading=True)[1]

    def _run(self, inputs, reading):
        caught, handle, results = [], None, {}

        def catch(_module, args, output=None):
            caught.append(args[0] if output is None else output)
            if reading:
                raise recurrent.Enough

        if self.fast is not None:
            self.fast.reading = reading
        else:
            tapped = self.module.get_submodule(self.row.tap.removeprefix(">"))
            before = self.row.tap.startswith(">")
            handle = tapped.register_forward_pre_hook(catch) if before else tapped.register_forward_hook(catch)
        try:
            results = self.module(inputs, calc_criterion=self.training)
        except recurrent.Enough:
            pass
        finally:
            if handle:
                handle.remove()
        return results, caught or self.fast.take()

    def reconstruction_scale(self) -> float:
        """Brings the models' own losses (CSAI sums over steps and directions, BRITS adds directions) to one scale."""
        return {"CSAI": 1 / (2 * self.n_steps), "BRITS": 0.5}.get(self.name, 1.0)

    def tensor(self, X: np.ndarray, features=None) -> torch.Tensor:
        """Raw values (N, T, F) -> checked z-scores on the model's device."""
        return torch.from_numpy(self.scaler.transform(self.check(X, features))).to(self.device)

    def check(self, X, features=None) -> np.ndarray:
        """Raise a ModtsError unless X is (N, T, F) for this backbone, plausible in scale, and not empty of observations."""
        try:
            X = np.asarray(X, dtype=np.float32)
        except (TypeError, ValueError):
            raise ModtsError(f"{self.name} reads numbers, NaN where missing, but X holds something else.") from None
        if features is not None and tuple(features) != self.features:
            unlike = [
                f"{i}: {a!r} instead of {b!r}"
                for i, (a, b) in enumerate(zip(features, self.features, strict=False))
                if a != b
            ]
            what = "; ".join(unlike[:3]) or f"{len(tuple(features))} features instead of {len(self.features)}"
            raise ModtsError(f"The feature list differs from the one {self.name} was pretrained on ({what}).")
        wanted = (self.n_steps, len(self.features))
        if X.ndim != 3 or X.shape[1:] != wanted:
            raise ModtsError(f"{self.name} reads arrays of shape (N, {wanted[0]}, {wanted[1]}), got {X.shape}.")
        if not len(X):
            raise ModtsError("X holds no window (its first axis is empty).")
        values = torch.from_numpy(np.require(X, requirements=("C", "W")))
        if not torch.isfinite(values.nansum(1).double().sum()):
            raise ModtsError("X holds infinite values; mark missing values as NaN.")
        some = values[:: -(-len(X) // 128)]  # enough for the scale: at most 128 windows
        seen = observed(some).sum(1).sum(0).numpy()
        if not seen.any() and np.isnan(X).all():
            raise ModtsError("X holds no observed value at all.")
        if seen.max() >= 50:  # enough of them for a mean
            centre = some.nansum(1).double().sum(0).numpy() / np.maximum(seen, 1)
            away = np.where(seen >= 50, np.abs(centre - self.scaler.mean) / self.scaler.std, 0)
            if away.max() > 20:
                f = int(away.argmax())
                raise ModtsError(
                    f"The scale of {self.features[f]!r} looks wrong: its mean is {centre[f]:.4g}, {away[f]:.0f} standard deviations from "
                    f"the training mean {self.scaler.mean[f]:.4g}; give raw units, not standardised values."
                )
        return X

    def latents(self, X: np.ndarray, pooling: str = "paper", batch_size: int = 256, features=None) -> np.ndarray:
        """Latents of raw windows X (N, T, F) with NaN -> (N, D) float32.

        See modts.latents for the poolings. Give the names of X's variables as `features` to have them checked against the model's.
        """
        from .latents import extract

        return extract(self, X, pooling=pooling, batch_size=batch_size, features=features)

    @torch.no_grad()
    def impute(self, X: np.ndarray, batch_size: int = 256, features=None) -> np.ndarray:
        """Fill the gaps: raw X (N, T, F) with NaN -> (N, T, F) raw; observed values stay as they are."""
        self.eval()
        Z = self.tensor(X, features)
        # "imputation", not "reconstruction": PyPOTS's CSAI averages its forward pass with an unreversed backward one in the latter
        filled = [self.run(self.inputs(Z[i : i + batch_size]))[0]["imputation"] for i in range(0, len(Z), batch_size)]
        out = self.scaler.inverse(torch.cat(filled).cpu().numpy())
        return np.where(np.isnan(X), out, X).astype(np.float32)

    def weights_hash(self) -> str:
        """Twelve hex digits over all parameters and buffers: the same before and after means frozen."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]

    def save(self, path: str | Path, **card) -> Path:
        """Write weights (safetensors) and the card that rebuilds model, scaler, feature list and provenance, in one whole file."""
        from safetensors.torch import save

        scaler = {"scaler.mean": torch.from_numpy(self.scaler.mean), "scaler.std": torch.from_numpy(self.scaler.std)}
        recipe = {
            "format": "modts-backbone-1", "name": self.name, "n_steps": self.n_steps, "features": list(self.features),
            "config": self.config, "criterion": self.criterion, "options": self.options, "weights_hash": self.weights_hash(), **card,
        }  # fmt: skip
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in self.state_dict().items()}
        recipe = json.loads(json.dumps(recipe, default=runs._plain))
        recipe["seal"] = _seal(recipe, scaler)
        runs.atomic_write(Path(path), save(tensors | scaler, metadata={"card": json.dumps(recipe)}))
        runs.write_json(Path(path).with_suffix(".json"), recipe)
        return Path(path)


def _seal(card: dict, scaler: dict[str, torch.Tensor]) -> str:
    """Hash of what the weights' own hash does not cover: the card and the scaler."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in card.items() if k != "seal"}).encode())
    for name in ("scaler.mean", "scaler.std"):
        digest.update(scaler[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_backbone(path: str | Path, device: str = "cpu") -> Backbone:
    """Rebuild a pretrained backbone from its checkpoint alone.

    Raises
    ------
    ModtsError : the file is missing, cut short, not one of ours, or its weights differ from its card.
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
        card["name"],
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


def build(name, cohort, size="small", criterion="mse", options=None, seed=0) -> Backbone:
    """A fresh backbone for a cohort: scaler and intervals from its training split only."""
    X, _ = cohort.part("train")
    scaler = Scaler.fit(X)
    gaps = intervals(X) if BACKBONES[choose(name, BACKBONES, "backbone")].reads == "csai" else None
    config = sizes(name, size, cohort.name)
    return Backbone(name, cohort.n_steps, cohort.features, scaler, config, criterion, gaps, options, seed)
