"""PyPOTS both ways: a backbone from a PyPOTS imputer or its .pypots file, and a PyPOTS imputer from a backbone.

A .pypots file is a pickle of PyTorch's. It is read as weights only: PyTorch then refuses all that is not a tensor, a number or a word, and runs
none of the code that a pickle can hold. Such a file says nothing of sizes; most of them are read from the shapes of its weights, the rest
(heads of an attention, TimesNet's top_k) must be given.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from modts.errors import ModtsError, choose, whole

from .backbone import Backbone
from .card import remember
from .checkpoint import filled, loading, place
from .inputs import intervals
from .scaling import Scaler
from .shipped import loss, pypots
from .table import BACKBONES, options_of

THEIRS = {  # backbone -> PyPOTS's module and class, and a weight that no other of them has
    "BRITS": ("brits.BRITS", "model.rits_f.rnn_cell.weight_hh"),
    "GRU-D": ("grud.GRUD", "backbone.rnn_cell.weight_hh"),
    "SAITS": ("saits.SAITS", "encoder.embedding_1.embedding_layer.weight"),
    "CSAI": ("csai.CSAI", "model.model_f.gru.weight_hh"),
    "TimesNet": ("timesnet.TimesNet", "enc_embedding.value_embedding.tokenConv.weight"),
    "Autoformer": ("autoformer.Autoformer", "saits_embedding.embedding_layer.weight"),
    "HELIX": ("helix.HELIX", "backbone.embedding.feature_id"),
    "TS2Vec": ("ts2vec.TS2Vec", "encoder.input_fc.weight"),
}
_CALLED = {"n_pred_features": "n_output_dims"}  # arguments that PyPOTS's models call otherwise than its modules


def from_pypots(
    model, cohort, *, scaler=None, criterion: str | None = None, device: str | torch.device = "cpu", **sizes
) -> Backbone:
    """A backbone with the weights of a PyPOTS imputer, whose imputations are the imputer's; of TS2Vec, its representation.

    PyPOTS's models read what they are given, as a rule z-scores; a backbone reads raw units and has a scaler of its own. So the imputer must
    have been trained on z-scores of that scaler: of the cohort's training split, or of the `scaler` that is given. Of one that was trained on
    raw values the imputations would not be its own: train it on z-scores. A ModtsWarning says so where hidden values show it, which they do
    not where raw values lie near 0 with a spread near 1.

    Parameters
    ----------
    model : PyPOTS imputer, str or Path
        A BRITS, GRUD, SAITS, CSAI, TimesNet, Autoformer or HELIX of pypots.imputation, a TS2Vec of pypots.representation, or the .pypots
        file of one; of a file only weights are read, never code.
    cohort : Cohort
        Gives length, features and, from its training split, the scaler (and CSAI's intervals where the imputer has none).
    scaler : Scaler or scikit-learn's StandardScaler, optional
        The one that the imputer's training data went through, if it is not the cohort's.
    criterion : {"mse", "mae"}, optional
        For training on. Default: the imputer's; of a file, "mae", as in PyPOTS.
    device : str or torch.device
    **sizes
        Constructor arguments that a file does not tell: n_heads (SAITS, Autoformer, HELIX), top_k (TimesNet), factor and
        moving_avg_window_size (Autoformer); for training on, dropout (0 if not given, as in PyPOTS).

    Returns
    -------
    Backbone
        In evaluation mode, with a plain scaler if none is given, and without `centre`: PyPOTS has neither. GRU-D's options are PyPOTS's:
        it sees no last observation, and the mean of the windows that it is given. Where others stand in the batch (GRU-D, TimesNet, CSAI),
        equal imputations need equal batches: give `impute` PyPOTS's batch size.

    Raises
    ------
    ModtsError
        Not an imputer of those or no such file, a file that holds more than weights, sizes that are missing or do not fit, another
        length or other features than the cohort's.
    """
    device = place(device)
    of_file = isinstance(model, (str, Path))
    weights = _read(Path(model).expanduser()) if of_file else _weights(model)
    name = next((name for name, (_, key) in THEIRS.items() if key in weights), None)
    what = f"The file {str(model)!r}" if of_file else f"{type(model).__name__}"
    if name is None:
        raise ModtsError(f"{what} is none of PyPOTS's imputers that modts knows: {', '.join(THEIRS)}.")
    row = BACKBONES[name]
    known = row.small | row.fixed
    for argument, value in sizes.items():
        choose(argument, known, f"size of {name}:")
        if type(known[argument]) is int:
            whole(value, argument)
    if of_file:
        config = {argument: 0.0 for argument in row.small if "dropout" in argument} | _read_off(name, weights) | sizes
        if name == "SAITS" and sizes.get("n_heads"):
            config = _heads(weights, config) | config
        lacking = [a for a in row.small if a not in config and not (a in ("d_k", "d_v") and "n_heads" not in config)]
        if lacking:
            raise ModtsError(
                f"{what} does not say its {' and '.join(lacking)}; give what {name} was built with, such as "
                f"{lacking[0]}={row.small[lacking[0]]}."
            )
    else:
        config = {a: getattr(model, _CALLED.get(a, a)) for a in known if hasattr(model, _CALLED.get(a, a))} | sizes
        criterion = criterion or (type(model.training_loss).__name__.lower() if row.imputes else None)
    config = {k: v for k, v in config.items() if k in row.small or (v != row.fixed[k] and not isinstance(v, str))}
    X, _ = cohort.part("train")
    gaps = None
    if row.reads == "csai":
        theirs = getattr(model, "intervals", None)
        gaps = intervals(X) if theirs is None else np.nan_to_num(np.array([theirs[f] for f in range(X.shape[2])]))
        weights["interval"] = torch.as_tensor(gaps, dtype=torch.float32)
    else:
        weights["interval"] = torch.zeros(X.shape[2])
    scaler = Scaler.fit(X) if scaler is None else _scaler(scaler, X.shape[2])
    weights = {k if k == "interval" else f"module.{k}": v for k, v in weights.items()}
    with loading(what):
        options = options_of(name, reading="shipped")
        backbone = filled(
            lambda: Backbone(name, cohort.n_steps, cohort.features, scaler, config, criterion or "mae", gaps, options),
            weights,
        )
    remember(backbone, what="from PyPOTS", cohort=cohort.name)
    return backbone.eval().to(device)


def to_pypots(backbone: Backbone, **training):
    """PyPOTS's imputer with a backbone's weights (see Backbone.to_pypots)."""
    if backbone.centre:
        raise ModtsError(
            f"This {backbone.name} centres each window before it is read, which PyPOTS does not; build one without `centre` for it."
        )
    package, _, cls = THEIRS[choose(backbone.name, THEIRS, "backbone that PyPOTS has")][0].partition(".")
    row = backbone.row
    unlike = {k: v for k, v in options_of(backbone.name, reading="shipped").items() if backbone.options[k] != v}
    if unlike:
        said, answers = (
            ", ".join(f"{k}={v!r}" for k, v in unlike.items()),
            "imputations" if row.imputes else "representations",
        )
        warnings.warn(
            f"PyPOTS's {backbone.name} reads its input with {said}, and this backbone does not, so their {answers} will differ; a backbone "
            "built and trained with these options agrees.",
            stacklevel=3,
        )
    sizes = {_CALLED.get(name, name): value for name, value in {**row.fixed, **backbone.config}.items()}
    given = {"n_steps": backbone.n_steps, "n_features": len(backbone.features), **sizes}
    given |= {"removal_percent": 0.1, "increase_factor": 0.1} if row.reads == "csai" else {}
    given |= {"training_loss": loss(backbone.criterion)} if row.imputes else {}
    task = "imputation" if row.imputes else "representation"
    made = {**given, "device": backbone.device, "verbose": False, **training}
    model = getattr(pypots(f"{task}.{package}"), cls)(**made)
    model.model.load_state_dict(backbone.module.state_dict())
    model.model.eval()
    if row.reads == "csai":  # what its `fit` leaves behind; without these probabilities its `predict` hides no value
        model.intervals = dict(enumerate(backbone.interval.tolist()))
        model.replacement_probabilities = np.zeros(len(backbone.features))
    return model


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a .pypots file, and nothing else."""
    if not path.is_file():
        raise ModtsError(f"There is no file {str(path)!r}; give a .pypots file, or a PyPOTS imputer itself.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        weights = held["model_state_dict"]
        if not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in weights.items()):
            raise TypeError("its weights are not all tensors")
    except Exception as error:  # PyTorch, zip and pickle each have their own
        if path.suffix == ".safetensors":
            raise ModtsError(f"{str(path)!r} is a safetensors file; read it with modts.load_backbone.") from None
        raise ModtsError(
            f"{str(path)!r} does not hold the weights of a PyPOTS model alone ({type(error).__name__}); it is not opened any further, because "
            "such a file can hold code. Save it again with PyPOTS 0.13 or newer, or give the imputer itself."
        ) from None
    return {name: value.detach() for name, value in weights.items()}


def _weights(model) -> dict[str, torch.Tensor]:
    """The weights of a PyPOTS imputer, on the CPU."""
    inner = getattr(model, "model", None)
    inner = getattr(inner, "module", inner)  # of several devices
    if not isinstance(inner, torch.nn.Module) or not hasattr(model, "training_loss"):
        raise ModtsError(
            f"from_pypots takes an imputer of pypots.imputation or the path of its .pypots file, not {type(model).__name__}."
        )
    return {name: value.detach().cpu().clone() for name, value in inner.state_dict().items()}


def _read_off(name: str, weights: dict[str, torch.Tensor]) -> dict[str, int]:
    """What the shapes of its weights tell of a backbone's sizes."""

    def shape(key, axis):
        return int(weights[key].shape[axis]) if key in weights and weights[key].ndim > axis else 0

    def count(start):
        return len({key[len(start) :].split(".")[0] for key in weights if key.startswith(start)})

    first = THEIRS[name][1]
    if BACKBONES[name].kind == "recurrent":
        found = {"rnn_hidden_size": shape(first, 1)}
        return found | (
            {"step_channels": shape("model.model_f.input_projection.conv.weight", 0)} if name == "CSAI" else {}
        )
    if name == "TimesNet":
        block = "model.model.0.conv.0"
        return {
            "n_layers": count("model.model."),
            "d_model": shape(first, 0),
            "d_ffn": shape(f"{block}.kernels.0.weight", 0),
            "n_kernels": count(f"{block}.kernels."),
        }
    if name == "TS2Vec":
        blocks = "encoder.feature_extractor.net."
        return {
            "n_pred_features": shape(f"{blocks}{count(blocks) - 1}.conv2.conv.weight", 0),
            "d_hidden": shape(first, 0),
            "n_layers": count(blocks) - 1,
        }
    if name == "HELIX":
        return {
            "d_pe": shape("backbone.embedding.temporal_pe.pos_table", 2),
            "d_feature_embed": shape(first, 1),
            "d_model": shape("backbone.final_norm.weight", 0),
            "n_layers": count("backbone.encoders."),
        }
    layers = "encoder.layer_stack_for_first_block." if name == "SAITS" else "encoder.encoder.attn_layers."
    wide = f"{layers}0.pos_ffn.linear_1.weight" if name == "SAITS" else f"{layers}0.conv1.weight"
    return {"n_layers": count(layers), "d_model": shape(first, 0), "d_ffn": shape(wide, 0)}


def _heads(weights: dict[str, torch.Tensor], config: dict) -> dict[str, int]:
    """SAITS's keys and values a head, once the number of heads is known."""
    block = "encoder.layer_stack_for_first_block.0.slf_attn."
    widths = {"d_k": weights.get(f"{block}w_ks.weight"), "d_v": weights.get(f"{block}w_vs.weight")}
    return {size: len(weight) // config["n_heads"] for size, weight in widths.items() if weight is not None}


def _scaler(given, n_features: int) -> Scaler:
    mean, std = (
        np.asarray(getattr(given, ours, getattr(given, theirs, np.nan)), dtype=np.float32)
        for ours, theirs in (("mean", "mean_"), ("std", "scale_"))
    )
    if mean.shape != (n_features,) or std.shape != mean.shape or not np.isfinite(mean + std).all() or (std <= 0).any():
        raise ModtsError(
            f"The scaler must hold a mean and a positive deviation for each of {n_features} features, as a fitted StandardScaler does."
        )
    return Scaler(mean, std)
