"""Small cohorts with every kind of outcome that is a probability, each told by the first variables of simulated_icu."""

import numpy as np
from core_fixture import tiny

from modts.cohorts import cohort_from_arrays, load_cohort

SEVERAL = ("multiclass", "multilabel", "stepwise")
NAMES = {"multiclass": ("low", "middle", "high"), "multilabel": ("fast", "hot"), "stepwise": None}


def asked(task, n=120, steps=6):
    """Three classes by the mean of the first variable; two labels, some not known; or a yes at the steps where it lies above its mean."""
    order = np.random.default_rng(1).permutation(load_cohort("simulated_icu").n_samples)[:n]
    world = load_cohort("simulated_icu").truth[order, :steps]
    cohort, level = tiny(n=n, steps=steps, features=4), world[:, :, 0].mean(1)
    if task == "multiclass":
        y = np.array(NAMES[task])[np.digitize(level, np.quantile(level, (0.4, 0.75)))]
    elif task == "multilabel":
        y = np.stack([level > np.quantile(level, 0.7), world[:, :, 1].mean(1) > np.median(world[:, :, 1])], 1).astype(
            float
        )
        y[::11, 1] = np.nan
    else:
        y = (world[:, :, 0] > np.quantile(world[:, :, 0], 0.7)).astype(float)
        y[::7, -2:] = np.nan
    return cohort_from_arrays(
        cohort.X, y, task=task, classes=NAMES[task], features=cohort.features, name="asked", unobserved="keep"
    )
