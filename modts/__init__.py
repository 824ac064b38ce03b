"""modts: modular deep learning for multivariate time series with missing values.

Pretrain an imputer, freeze it, read its latents, train light heads; compare with everything in between and with end-to-end training.
"""

import importlib
from importlib import metadata

_PUBLIC = {
    "load_cohort": "cohorts",
    "cohort_names": "cohorts",
    "cohort_from_arrays": "cohorts",
    "cohort_from_table": "cohorts",
    "Cohort": "cohorts",
    "BACKBONES": "backbones",
    "Backbone": "backbones",
    "build": "backbones",
    "load_backbone": "backbones",
    "pretrain": "training",
    "Head": "heads",
    "Predictor": "serving",
    "stream": "streaming",
    "adapt": "adaptation",
    "labels": "adaptation",
    "mask": "missingness",
    "score": "scores",
    "paired": "scores",
    "ModtsError": "errors",
}
__all__ = list(_PUBLIC)
__version__ = metadata.version("modts")


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_PUBLIC])
