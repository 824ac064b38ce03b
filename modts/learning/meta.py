"""Over several cohorts: a random-effects mean (REML) with the interval of Hartung and Knapp, for which the cohorts at hand are few."""

import numpy as np
from scipy import stats

from modts.errors import ModtsError


def random_effects(values, errors):
    """The mean of several effects that may truly differ between cohorts.

    Parameters
    ----------
    values : (K,) array of float
        An effect a cohort, K at least 2.
    errors : (K,) array of float
        Their standard errors, above zero.

    Returns
    -------
    dict of mean, low, high (95 % interval), p (two-sided, of no effect) and tau, the standard deviation between cohorts
        Between-cohort variance by restricted maximum likelihood; interval and p from Student's t with K - 1 degrees of freedom and
        Hartung and Knapp's variance (Stat Med 20:3875, 2001), never below that of the weights alone (Roever, Knapp and Friede 2015).
        With two or three cohorts the interval is wide, as it should be.

    Raises
    ------
    ModtsError
        Fewer than two cohorts, or an error that is not above zero.

    Examples
    --------
    >>> found = random_effects([0.02, 0.03, 0.01], [0.01, 0.01, 0.01])
    >>> round(found["mean"], 3), found["tau"]
    (0.02, 0.0)
    """
    values, errors = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    count = len(values)
    if values.shape != errors.shape or values.ndim != 1 or count < 2:
        raise ModtsError(f"A mean over cohorts needs at least two effects, each with its error; {count} were given.")
    if not (np.isfinite(values).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise ModtsError(
            f"Effects and their errors must be finite and errors above zero, but the errors are {errors.tolist()}."
        )
    between = 0.0
    for _ in range(200):
        weights = 1 / (errors**2 + between)
        mean = weights @ values / weights.sum()
        step = (weights**2 @ ((values - mean) ** 2 - errors**2)) / (weights**2).sum() + 1 / weights.sum()
        if abs(step - between) < 1e-12 * (1 + between):
            break
        between = max(0.0, step)
    weights = 1 / (errors**2 + between)
    mean = weights @ values / weights.sum()
    spread = max(1.0, weights @ (values - mean) ** 2 / (count - 1)) / weights.sum()
    error, student = np.sqrt(spread), stats.t(count - 1)
    reach = student.ppf(0.975) * error
    return {
        "mean": float(mean),
        "low": float(mean - reach),
        "high": float(mean + reach),
        "p": float(2 * student.sf(abs(mean) / error)),
        "tau": float(np.sqrt(between)),
    }
