"""What the benchmarks share: simulated windows of the size of PhysioNet 2012's, our backbones, and PyPOTS's models of the same sizes."""

from functools import cache
from pathlib import Path

import numpy as np

from modts.backbones import Backbone, Scaler, classifier_settings, pypots
from modts.backbones import sizes as sizes_of

T, F = 48, 35
# What a process of its own ends with: GiB at its peak. Not getrusage, whose maximum a child takes over from its parent.
PEAK = "print(next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')) / 2**20)"
CLASSES = {"GRU-D": "grud.GRUD"}  # where PyPOTS's module and class have other names than ours


def windows(n: int, seed: int = 0, T: int = T) -> np.ndarray:
    """(n, T, F) float32 with 80 % of the values missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, T, F)).astype(np.float32)
    X[rng.random(X.shape, dtype=np.float32) < 0.8] = np.nan
    return X


def write_windows(path: Path, n: int, at_once: int = 10_000) -> None:
    """A .npy of n windows, written in parts."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (n, T, F)})
        part = windows(min(n, at_once))
        for start in range(0, n, at_once):
            part[: n - start].tofile(file)


@cache
def backbone(name: str, T: int = T) -> Backbone:
    """Ours, small, untrained: speed does not depend on the weights."""
    X = windows(256, 1, T)
    return Backbone(
        name, T, [f"v{i}" for i in range(F)], Scaler.fit(X), sizes_of(name), interval=np.ones(F, np.float32)
    ).eval()


def given(ours: Backbone, X: np.ndarray) -> dict:
    """What PyPOTS's predict reads: z-scores, and for CSAI's imputer the truth as well."""
    Z = ours.scaler.transform(X)
    return {"X": Z, "X_ori": Z} if ours.name == "CSAI" else {"X": Z}


def untrained_imputer(ours: Backbone, **settings):
    """PyPOTS's imputer of the same sizes; of TS2Vec, what learns its representation."""
    fixed = {k: v for k, v in ours.row.fixed.items() if k != "diagonal_attention_mask"}
    return _model("imputation" if ours.row.imputes else "representation", ours, fixed | settings)


def imputer(ours: Backbone, **settings):
    """The same, with our weights."""
    model = untrained_imputer(ours, **settings)
    if ours.name == "CSAI":  # its predict needs what its fit computes from the data
        _fit(model, ours)
    model.model.load_state_dict(ours.module.state_dict())
    return model


def classifier(ours: Backbone, **settings):
    """PyPOTS's end-to-end classifier of the same sizes."""
    fixed = {k: v for k, v in classifier_settings(ours.name).items() if k != "diagonal_attention_mask"}
    model = _model("classification", ours, settings | fixed | {"n_classes": 2})
    if ours.name == "CSAI":
        _fit(model, ours)
    return model


def _model(task: str, ours: Backbone, settings: dict):
    package, cls = CLASSES.get(ours.name, f"{ours.name.lower()}.{ours.name}").split(".")
    if ours.name == "CSAI":
        settings = {"removal_percent": 0.1, "increase_factor": 0.1} | settings
    sizes = {{"n_pred_features": "n_output_dims"}.get(name, name): value for name, value in ours.config.items()}
    model = getattr(pypots(f"{task}.{package}"), cls)(
        n_steps=ours.n_steps,
        n_features=len(ours.features),
        device="cpu",
        verbose=False,
        model_saving_strategy=None,
        **{"batch_size": 256, "epochs": 1} | sizes | settings,
    )
    return model


def _fit(model, ours):
    Z = ours.scaler.transform(windows(32, T=ours.n_steps))
    model.fit({"X": Z, "X_ori": Z, "y": np.arange(32) % 2})
