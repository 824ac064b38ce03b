"""Learning: what is trained and judged. The one loop, heads, many heads at once, adaptation from frozen to everything, baselines, scores.

In: cohorts and backbones. Out: trained models with their history, predictions, scores with intervals.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "schedule": "SCHEDULES",
        "training": "History pretrain",
        "heads": "HEADS Head",
        "sweep": "Setting train_heads",
        "targets": "Labels answer labels",
        "holdout": "held_out",
        "given": "given_classes given_halves given_numbers given_windows vector_width",
        "once": "Recipe",
        "adaptation": "ARMS HEAD_ALONE Outcome SHIPPED_TASKS Shipped Training adapt outcome outputs",
        "fusion": "averaged stacked validated",
        "gru_settings": "GRU_SETTINGS",
        "gaps": "IMPUTERS impute statistics",
        "baselines": "PREDICTORS fit_baseline fit_predict why_not",
        "scores": "HIGHER_IS_BETTER METRICS accuracy auroc auprc auprc_trapezoid brier mae mse r2 reliability",
        "conformity": "CHECKS Finding check_own",
        "intervals": "contrasts paired paired_seeds score score_seeds",
        "resampling": "block_length",
        "meta": "random_effects",
    },
)
