"""What a cohort says of its outcome on the data-sets page."""

from __future__ import annotations

import numpy as np

from .splits import NAMES


def outcome_row(cohort) -> dict:
    """JSON-able: prevalence, share of each class or label, or mean and deviation of the target (of the train split, as the scaler sees it)."""
    y, classes = cohort.y, cohort.classes
    if cohort.task == "classification":
        positives = {split: int(cohort.part(split)[1].sum()) for split in NAMES}
        return {"prevalence": float(y.mean()), "positives": positives}
    if cohort.task == "stepwise":
        return {"prevalence": float(np.nanmean(y)), "target_missing_rate": _missing(cohort)}
    if classes:
        each = y if cohort.task == "multilabel" else np.where(y[:, None] == np.arange(len(classes)), 1.0, 0.0)
        return {"classes": dict(zip(classes, np.nanmean(each, axis=0, dtype=np.float64).tolist(), strict=True))}
    if cohort.task == "regression":
        seen = cohort.part("train")[1]
        return {
            "target_mean": float(np.nanmean(seen, dtype=np.float64)),
            "target_std": float(np.nanstd(seen, dtype=np.float64)),
            "target_missing_rate": _missing(cohort),
        }
    return {}


def _missing(cohort) -> float:
    """Share of targets that are not known, before each series' end."""
    every = cohort.y.size if cohort.lengths is None or cohort.y.ndim == 1 else cohort.lengths.sum()
    return (
        1 - float((~np.isnan(cohort.y)).sum() / every) if every != cohort.y.size else float(np.isnan(cohort.y).mean())
    )
