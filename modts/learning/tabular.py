"""TabICL (Qu et al. 2025 and 2026), a foundation model for tables, on the summary statistics: the labelled rows are its context, none train it.

The package `tabicl` (BSD-3-Clause) is no dependency, and its weights are not part of this project: who has them gives the file. tabicl reads
it as weights alone (`weights_only`): no code in it runs. Nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modts.errors import ModtsError

NAME = "TabICL"


def why_not(cohort, checkpoint: str) -> str:
    """Why it cannot run on a cohort here, in one sentence; empty if it can."""
    if cohort.task == "stepwise" or (cohort.task == "regression" and cohort.y.ndim == 2):
        return f"{NAME} reads one row a stay, so it has no answer at every step."
    if not checkpoint:
        return f"{NAME} was not run: no file with its weights was given (tabular_checkpoint)."
    try:
        import tabicl  # noqa: F401
    except ImportError as error:
        return f"{NAME} needs the package tabicl ({error}): `pip install tabicl` brings it."
    return "" if Path(checkpoint).is_file() else f"There is no file {checkpoint} with {NAME}'s weights."


def in_context(problem, readers, seed, threads, record, checkpoint):
    """The labelled rows as they are, nothing chosen, all counting alike; parameters and what is returned as in `trees.boosted`.

    Raises
    ------
    ModtsError
        The file holds no weights, or those of the other task.
    """
    from tabicl import TabICLClassifier, TabICLRegressor

    (kind, read), classes = next(iter(readers.items())), problem.chances
    settings = {"model_path": str(checkpoint), "allow_auto_download": False, "device": "cpu"}
    model = (TabICLClassifier if classes else TabICLRegressor)(**settings, random_state=seed, n_jobs=threads)
    try:
        model.fit(read(problem.windows), problem.y)
    except Exception as error:
        raise ModtsError(
            f"{checkpoint} holds no weights of {NAME} for {problem.task} ({type(error).__name__}: {str(error)[:200]})."
        ) from None

    def predict(windows):
        p = np.asarray(
            model.predict_proba(read(windows)) if classes else model.predict(read(windows)), dtype=np.float64
        )
        return p[:, 1] if problem.task == "classification" else p

    record.update(validation=abs(problem.judge(predict(problem.windows_val))), features=kind)
    return predict
