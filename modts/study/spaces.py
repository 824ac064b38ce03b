"""What a search may choose: TSI-Bench's published space (arXiv 2406.12747) at sizes that a CPU carries, and how each arm trains.

A space maps a setting's name to its choices: a tuple, or (low, high) marked LOG for a number drawn evenly on a logarithmic scale.
"""

from __future__ import annotations

from dataclasses import dataclass

from modts.backbones import row_of, ships_classifier
from modts.errors import ModtsError


@dataclass(frozen=True)
class Log:
    """A number between two ends, drawn evenly on a logarithmic scale."""

    low: float
    high: float


_DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
MODELS = {
    "BRITS": {"rnn_hidden_size": (32, 64, 128)},
    "GRU-D": {"rnn_hidden_size": (32, 64, 128)},
    "SAITS": {
        "n_layers": (1, 2, 3), "d_ffn": (64, 128, 256), "n_heads": (1, 2, 4), "d_k": (16, 32, 64), "d_v": (16, 32, 64),
        "dropout": _DROPOUT, "attn_dropout": _DROPOUT,
    },
    "CSAI": {"rnn_hidden_size": (32, 64, 108), "step_channels": (32, 64, 128)},
    "TimesNet": {
        "n_layers": (1, 2), "top_k": (1, 2, 3, 4, 5), "d_model": (32, 64), "d_ffn": (32, 64), "n_kernels": (3, 4, 5, 6),
        "dropout": _DROPOUT,
    },
    "Autoformer": {
        "n_layers": (1, 2, 3), "d_model": (32, 64, 128), "d_ffn": (64, 128, 256), "n_heads": (1, 2, 4, 8),
        "moving_avg_window_size": (5, 13, 25), "dropout": _DROPOUT,
    },
    # HELIX's own space (github.com/milaogou/HELIX) at smaller widths; TS2Vec's paper names one size
    "HELIX": {
        "d_pe": (8, 12, 16), "d_feature_embed": (8, 10, 16), "d_model": (16, 32, 64), "n_heads": (2, 4), "n_layers": (1, 2),
        "dropout": (0.0, 0.1, 0.2),
    },
    "TS2Vec": {"n_pred_features": (32, 64, 128), "d_hidden": (32, 64), "n_layers": (3, 4, 5)},
}  # fmt: skip
_RATE = Log(5e-5, 1e-2)  # learning rates
# which schedule helps depends on the network and on what it is for (results/choices.csv)
_PRETRAINING = {"lr": _RATE, "batch_size": (32, 64, 128), "schedule": ("constant", "cosine")}
_WHOLE = {"e2e_lrs": _RATE, "batch_size": (32, 64, 128)}
BASELINE = "baseline"  # the arm of the studies of baselines
# The baselines that are networks. Beside the sizes the batch may grow with the labels, as it does without a search.
BASELINES = {
    "GRU": {"hidden": (32, 64, 128, 256), "lr": _RATE, "dropout": _DROPOUT, "batch_size": (None, 32, 64, 128)},
}
# Arms without a search of their own: they train with fine-tuning's winners.
AS_FINETUNED = ("norm", "last_block", "lora")
# What each arm's search may set beside the model's sizes. Fine-tuning takes the model that the search of `frozen` chose, as pretrained.
ARMS = {
    "frozen": (True, _PRETRAINING),
    "finetune": (False, {**_WHOLE, "auxiliary": (0.0, 0.3, 1.0)}),
    "e2e": (True, {**_WHOLE, "auxiliary": (0.0, 0.3, 1.0)}),
    "e2e_shipped": (True, _WHOLE),
}


def has(backbone: str, arm: str) -> bool:
    """Whether a backbone has that arm: PyPOTS does not ship a classifier of each."""
    return arm != "e2e_shipped" or ships_classifier(backbone)


def space(backbone: str, arm: str) -> dict:
    """The space of a backbone's arm: the model's sizes (named config.<argument>) and the training's settings; or of a baseline."""
    if arm == BASELINE:
        return dict(BASELINES[backbone])
    model, training = ARMS[arm]
    if not model:
        return dict(training)
    if backbone not in MODELS:
        raise ModtsError(
            f"No sizes to search are written down for {backbone}; there are some for: {', '.join(MODELS)}."
        )
    unknown = set(MODELS[backbone]) - set(row_of(backbone).small)
    assert not unknown, unknown
    return {f"config.{name}": choices for name, choices in MODELS[backbone].items()} | training


def suggest(trial, backbone: str, arm: str) -> dict:
    """One point of the space, drawn by an Optuna trial: settings by name, the sizes gathered in "config"."""
    found: dict = {}
    for name, choices in space(backbone, arm).items():
        value = (
            trial.suggest_float(name, choices.low, choices.high, log=True)
            if isinstance(choices, Log)
            else trial.suggest_categorical(name, list(choices))
        )
        if isinstance(choices, Log):
            value = float(f"{value:.3g}")  # what is frozen into a file is what was tried
        _put(found, name, value)
    return found


def _put(found: dict, name: str, value) -> None:
    if name.startswith("config."):
        found.setdefault("config", {})[name.removeprefix("config.")] = value
    else:
        found[name] = [value] if name == "e2e_lrs" else value
