"""Asked: what users call, looked at first. Wrong values become a sentence before they reach the code whose numbers the protocol froze.

In: what a user gives. Out: what the rooms below make of it, under the same names.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "cohort": "Cohort cohort_from_arrays load_cohort",
        "reading": "cohort_from_series cohort_from_table",
        "backbone": "Backbone build from_pypots load_backbone",
        "predictor": "PaddedPredictor Predictor load_predictor",
        "training": "adapt labels paired pretrain score settings",
        "windows": "Windows windows_from_table",
        "estimators": "PADDED Pretraining all_known enough r2 share_right take",
        "calls": "Head mask series_back stream",
        "plain": "every_class plain_targets plain_windows whose",
        "scales": "held",
        "turns": "turn",
        "words": "spelt",
    },
)
