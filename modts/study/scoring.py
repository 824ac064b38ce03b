"""What a run keeps of its models' answers: predictions as small as changes no score, and the rows of scores."""

from __future__ import annotations

import numpy as np

from modts import runs
from modts.cohorts import SPLIT, by_test
from modts.learning import score, score_seeds

from .artefacts import note_data


def note_unit(
    run: runs.Run, cohort, key: str, item: tuple, seconds: float, chosen: dict, capped: bool | None = None
) -> None:
    """Write down under its key what one model saw, said, took and chose, and whether its training ended at its cap (None: it has none)."""
    note_data(run, cohort)
    note_predictions(run, cohort, key, item)
    run.timings[key] = round(seconds, 3)
    if capped is not None:
        run.capped(key, capped)
    run.extra.setdefault("chosen", {})[key] = chosen


def note_predictions(run: runs.Run, cohort, key: str, item: tuple) -> None:
    """Keep what a model says of each test's windows; of an external test under the key with its name behind.

    item : (targets, prediction, observed or None), as they are scored.
    """
    for test, rows in by_test(cohort).items():
        y, prediction, seen = (None if part is None else part[rows] for part in item)
        run.predictions[key if test == SPLIT else f"{key}|{test}"] = small(cohort.task, y, prediction, seen)


def small(task: str, y: np.ndarray, prediction: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    """A prediction in half precision where that changes no score by half a unit of its third digit, else in single precision.

    Probabilities that lie close together become equal in half precision, and then their order, all that AUROC and AUPRC see, is lost.
    """
    half, whole = prediction.astype(np.float16), prediction.astype(np.float32)
    scores = [score(task, y, p.astype(np.float64), seen, n_boot=1) for p in (whole, half)]
    return half if all(abs(scores[0][m][0] - scores[1][m][0]) < 5e-4 for m in scores[0]) else whole


def score_rows(run: runs.Run, cohort, task: str, items, places, names=(), **columns) -> None:
    """One row a test, (split, initial seed, draw of labels) and metric, and one over all of them (its places left empty).

    Windows of a series are resampled in blocks. Several seeds at one origin of a series are initialisations, and count like draws.

    names : of classes or labels, which are scored alone too.
    """
    block = "auto" if cohort.series and task in ("regression", "imputation") else None
    for test, rows in by_test(cohort).items():
        some = [tuple(None if part is None else part[rows] for part in item) for item in items]
        fixed = {"task": task, "test": test, "n_test": len(some[0][0]), **columns}
        for item, (split_seed, init_seed, draw) in zip(some, places, strict=True):
            for metric, (value, low, high) in score(task, *item, block=block, names=names).items():
                row = {"metric": metric, "value": value, "low": low, "high": high}
                run.row(split_seed=split_seed, init_seed=init_seed, draw=draw, **row, **fixed)
        splits = [split_seed for split_seed, _, _ in places]
        for metric, (value, low, high) in score_seeds(task, some, splits=splits, block=block, names=names).items():
            run.row(metric=metric, value=value, low=low, high=high, **fixed)
