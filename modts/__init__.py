"""modts: modular deep learning for multivariate time series with missing values.

Pretrain an imputer, freeze it, read its latents, train light heads; compare with everything in between and with end-to-end training.
"""

from importlib import metadata

from modts.rooms import door

__version__ = metadata.version("modts")
__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "asked": "Windows adapt build cohort_from_series cohort_from_table labels pretrain score windows_from_table",
        "cohorts": "Cohort cohort_from_arrays cohort_names load_cohort mask series_back",
        "backbones": "BACKBONES Backbone from_pypots load_backbone",
        "learning": "METRICS Head paired",
        "serving": "Predictor load_predictor stream",
        "errors": "ModtsError ModtsWarning",
    },
)
