"""modts: modular deep learning for multivariate time series with missing values.

Pretrain an imputer, freeze it, read its latents, train light heads; compare with everything in between and with end-to-end training.
"""

from importlib import metadata

from modts.rooms import door

__version__ = metadata.version("modts")
__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "asked": "Backbone Cohort Head Predictor Windows adapt build cohort_from_arrays cohort_from_series cohort_from_table from_pypots labels "
        "load_backbone load_cohort load_predictor mask paired pretrain score series_back stream windows_from_table",
        "cohorts": "cohort_names",
        "backbones": "BACKBONES",
        "learning": "METRICS",
        "errors": "ModtsError ModtsWarning",
    },
)
