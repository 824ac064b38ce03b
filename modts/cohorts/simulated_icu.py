"""simulated_icu: intensive-care stays whose truth is known, so that what missing data do can be seen instead of argued.

A latent severity (a level, a slope and an AR(1) wander, per stay) moves twelve correlated vital signs and laboratory
values; death is drawn from a logistic function of the severity's end and course. Measuring is informative: the sicker,
the more often, panels of laboratory tests together. Hence the true value under every gap is known, and so is the best
AUROC that any model could reach: that of the true probability of death. `observe` hides the same truth by other
mechanisms (MCAR, MAR, MNAR; Rubin, Biometrika 1976;63:581-592) for teaching. Everything is generated from a fixed seed:
the data are the same everywhere, the split seed only divides them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from modts.errors import ModtsError, choose

from . import splits
from .base import Cohort

STAYS, STEPS = 600, 48
_SEED = 20_241_106

# name: unit, typical value, effect of a unit of severity, spread between stays, spread over time, lowest, highest,
# decimals
# (labs whose values are skewed are made on the log scale: see _LOG)
_VARIABLES = {
    "HR": ("1/min", 84.0, 6.0, 11.0, 6.0, 25, 220, 0),
    "MAP": ("mmHg", 80.0, -4.5, 9.0, 6.0, 25, 160, 0),
    "RespRate": ("1/min", 18.0, 1.8, 2.8, 2.5, 5, 60, 0),
    "Temp": ("degC", 37.0, 0.20, 0.40, 0.30, 32, 42, 1),
    "SaO2": ("%", 96.5, -1.1, 1.0, 1.0, 60, 100, 0),
    "GCS": ("points", 12.0, -1.4, 1.8, 0.8, 3, 15, 0),
    "Lactate": ("mmol/L", 1.7, 0.26, 0.28, 0.15, 0.3, 25, 1),
    "Creatinine": ("mg/dL", 1.1, 0.25, 0.40, 0.06, 0.2, 15, 1),
    "BUN": ("mg/dL", 21.0, 0.24, 0.40, 0.06, 3, 180, 0),
    "WBC": ("1e3/uL", 11.0, 0.14, 0.35, 0.10, 0.2, 80, 1),
    "Platelets": ("1e3/uL", 200.0, -0.15, 0.40, 0.06, 5, 900, 0),
    "Glucose": ("mg/dL", 130.0, 0.07, 0.18, 0.16, 30, 700, 0),
}
FEATURES = tuple(_VARIABLES)
_LOG = np.array([f in ("Lactate", "Creatinine", "BUN", "WBC", "Platelets", "Glucose") for f in FEATURES])
# measured per hour at severity 0 (logit), and how much a unit of severity adds to it; one panel = drawn together
_PANELS = (
    (("HR",), 1.0, 0.5), (("MAP",), 0.7, 0.6), (("RespRate",), 0.5, 0.5), (("SaO2",), 0.7, 0.5), (("Temp",), -0.9, 0.4),
    (("GCS",), -1.0, 0.5), (("Lactate",), -2.9, 1.0), (("BUN", "Creatinine"), -2.3, 0.6), (("Glucose",), -1.8, 0.5),
    (("WBC", "Platelets"), -2.5, 0.5),
)  # fmt: skip
MECHANISMS = ("informative", "MCAR", "MAR", "MNAR")
# simulated_ward, another hospital for transfer: other and healthier patients, nine of the variables, under ricu's names
_WARD = {
    "HR": "hr", "MAP": "map", "RespRate": "resp", "Temp": "temp", "SaO2": "o2sat", "Creatinine": "crea", "WBC": "wbc",
    "Platelets": "plt", "Glucose": "glu",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """The complete simulated world: what no real data set can give.

    Attributes
    ----------
    truth : numpy.ndarray
        ``(N, T, F)`` float32, every value, in raw units.
    severity : numpy.ndarray
        ``(N, T)`` float64, the latent trajectory (mean about 0, higher = sicker).
    risk : numpy.ndarray
        ``(N,)`` float64, the true probability of death.
    died : numpy.ndarray
        ``(N,)`` int64, drawn from ``risk``.
    """

    truth: np.ndarray
    severity: np.ndarray
    risk: np.ndarray
    died: np.ndarray


@cache
def world(hospital: int = 0, shift: float = 0.0) -> World:
    """Generate the world (always the same one); another hospital has other patients, whose severity is shifted."""
    rng = np.random.default_rng([_SEED, hospital])
    hours = np.arange(STEPS) / (STEPS - 1)  # 0 at admission, 1 at hour 47
    level = rng.normal(shift, 0.9, (STAYS, 1))
    slope = rng.normal(0, 1.1, (STAYS, 1))
    severity = level + slope * (hours - 0.5) + _ar1(rng, 0.92, 0.45, (STAYS, STEPS))  # (N, T)

    # death: how sick at the end, and whether it got worse
    score = -2.55 + 1.75 * severity[:, -12:].mean(1) + 0.60 * (severity[:, -12:].mean(1) - severity[:, :12].mean(1))
    risk = 1 / (1 + np.exp(-score))
    died = (rng.random(STAYS) < risk).astype(np.int64)

    columns = []
    circadian = np.sin(2 * np.pi * (np.arange(STEPS) - 9) / 24)  # warmest and fastest in the afternoon
    habit = _correlated(rng, STAYS)  # (N, F): kidneys fail together, blood pressure and pulse are linked
    for i, (_, typical, effect, between, within, low, high, decimals) in enumerate(_VARIABLES.values()):
        # each organ answers to severity in its own measure
        answer = effect * np.clip(rng.normal(1, 0.6, (STAYS, 1)), 0, None)
        value = answer * severity + between * habit[:, i : i + 1] + _ar1(rng, 0.8, within, (STAYS, STEPS))
        value = typical * np.exp(value) if _LOG[i] else typical + value
        if FEATURES[i] in ("HR", "Temp"):
            value = value + (3.0 if FEATURES[i] == "HR" else 0.2) * circadian
        columns.append(np.round(np.clip(value, low, high), decimals))
    return World(np.stack(columns, axis=2).astype(np.float32), severity, risk, died)


def observe(
    truth: np.ndarray, severity: np.ndarray, mechanism: str = "informative", rate: float = 0.6, seed: int = _SEED
) -> np.ndarray:
    """Hide values of a complete truth by a mechanism of choice.

    Parameters
    ----------
    truth : numpy.ndarray
        ``(N, T, F)``.
    severity : numpy.ndarray
        ``(N, T)``; used by ``"informative"`` only.
    mechanism : {"informative", "MCAR", "MAR", "MNAR"}
        ``informative``: the sicker, the more is measured (panel by panel; ``rate`` has no effect). ``MCAR``: every cell
        alike. ``MAR``: pulse and blood pressure stay complete, and the higher the pulse, the fewer of the others are
        missing. ``MNAR``: values far above the variable's median are missing more often, whatever else is seen.
    rate : float
        Expected share of missing cells (of the cells that may be missing).
    seed : int

    Returns
    -------
    numpy.ndarray
        ``(N, T, F)`` float32 with NaN.

    Raises
    ------
    ModtsError
        If the mechanism is unknown or the rate is outside (0, 1).
    """
    choose(mechanism, MECHANISMS, "missingness mechanism")
    if not 0 < rate < 1:
        raise ModtsError(f"The missing rate must lie between 0 and 1, not {rate!r}.")
    rng = np.random.default_rng([seed, 1])
    if mechanism == "informative":
        seen = np.zeros(truth.shape, dtype=bool)
        for panel, base, gain in _PANELS:
            eager = rng.normal(0, 0.3, (len(truth), 1))  # wards differ
            drawn = rng.random(severity.shape) < 1 / (1 + np.exp(-(base + gain * severity + eager)))  # (N, T)
            seen[:, :, [FEATURES.index(f) for f in panel]] = drawn[:, :, None]
        seen[:, 0, [FEATURES.index(f) for f in ("HR", "MAP")]] = True  # everyone is looked at on admission
        hidden = ~seen
    else:
        draw = rng.random(truth.shape)
        if mechanism == "MCAR":
            chance = np.full(truth.shape, rate)
        elif mechanism == "MAR":
            pulse = truth[:, :, [FEATURES.index("HR")]]
            chance = np.broadcast_to(_at_rate(-(pulse - pulse.mean()) / pulse.std(), rate), truth.shape).copy()
            chance[:, :, [FEATURES.index(f) for f in ("HR", "MAP")]] = 0.0
        else:
            rank = (
                truth.reshape(-1, truth.shape[2])
                .argsort(0, kind="stable")
                .argsort(0, kind="stable")
                .reshape(truth.shape)
            )
            chance = _at_rate(4 * (rank / (rank.max() + 1) - 0.5), rate)
        hidden = draw < chance
    return np.where(hidden, np.float32(np.nan), truth.astype(np.float32))


def load(seed: int, mechanism: str = "informative", rate: float = 0.6) -> Cohort:
    """Simulated intensive care: 600 stays, 48 hours, 12 variables; ``mechanism`` and ``rate`` as in :func:`observe`."""
    w = world()
    best = _auroc(w.died, w.risk)
    expected = _expected_auroc(w.risk)
    return Cohort(
        name="simulated_icu",
        title="Simulated intensive care",
        y=w.died,
        X=observe(w.truth, w.severity, mechanism, rate),
        ids=np.array([f"icu-{i:04d}" for i in range(STAYS)]),
        features=FEATURES,
        units=tuple(v[0] for v in _VARIABLES.values()),
        task="classification",
        target="in-hospital death",
        target_unit="",
        splits=splits.seeded(STAYS, w.died, seed),
        split_seed=seed,
        licence="BSD-3-Clause (generated by modts)",
        citation="The modts contributors: simulated_icu.",
        source="modts.cohorts.simulated_icu",
        truth=w.truth,
        notes={
            "mechanism": mechanism,
            "best_auroc": best,
            "best_auroc_expected": expected,
            "best_auroc_how": "AUROC of the true probability of death (a logistic function of the latent "
            "trajectory, which no model sees) on the drawn outcomes of all stays; best_auroc_expected is its mean over "
            "all outcomes that could be drawn",
        },
    )


def load_ward(seed: int) -> Cohort:
    """Simulated ward: another hospital's 600 stays, 48 hours, nine of the variables under other names, healthier patients."""
    w = world(hospital=7, shift=-0.3)
    own = [FEATURES.index(name) for name in _WARD]
    return Cohort(
        name="simulated_ward",
        title="Simulated ward",
        y=w.died,
        X=observe(w.truth, w.severity, seed=_SEED + 7)[:, :, own],
        ids=np.array([f"ward-{i:04d}" for i in range(STAYS)]),
        features=tuple(_WARD.values()),
        units=tuple(_VARIABLES[name][0] for name in _WARD),
        task="classification",
        target="in-hospital death",
        target_unit="",
        splits=splits.seeded(STAYS, w.died, seed),
        split_seed=seed,
        licence="BSD-3-Clause (generated by modts)",
        citation="The modts contributors: simulated_ward.",
        source="modts.cohorts.simulated_icu",
        truth=w.truth[:, :, own],
        notes={"best_auroc": _auroc(w.died, w.risk), "best_auroc_expected": _expected_auroc(w.risk)},
    )


def _ar1(rng: np.random.Generator, persistence: float, spread: float, shape: tuple[int, int]) -> np.ndarray:
    """Stationary AR(1) noise (N, T) with standard deviation ``spread``."""
    noise = rng.normal(0, spread, shape)
    for t in range(1, shape[1]):
        noise[:, t] = persistence * noise[:, t - 1] + np.sqrt(1 - persistence**2) * noise[:, t]
    return noise


def _correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    """Standard normal habits (N, F), correlated where physiology is."""
    correlation = np.eye(len(FEATURES))
    for a, b, r in (
        ("Creatinine", "BUN", 0.7),
        ("HR", "RespRate", 0.35),
        ("HR", "MAP", -0.25),
        ("HR", "Temp", 0.3),
        ("Temp", "WBC", 0.3),
        ("SaO2", "RespRate", -0.3),
    ):
        i, j = FEATURES.index(a), FEATURES.index(b)
        correlation[i, j] = correlation[j, i] = r
    return rng.normal(size=(n, len(FEATURES))) @ np.linalg.cholesky(correlation).T


def _at_rate(score: np.ndarray, rate: float) -> np.ndarray:
    """Probabilities that grow with ``score`` and have mean ``rate`` (the logit's constant is found by bisection)."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-(score + middle)))).mean() < rate else (low, middle)
    return 1 / (1 + np.exp(-(score + low)))


def _auroc(labels: np.ndarray, score: np.ndarray) -> float:
    """Share of (died, survived) pairs that the score orders rightly; the scores here have no ties."""
    rank = score.argsort().argsort() + 1
    positive = labels.sum()
    return float((rank[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive)))


def _expected_auroc(risk: np.ndarray) -> float:
    """Mean AUROC of the true risk over outcomes drawn from it (ratio of expected pair counts)."""
    pair = risk[:, None] * (1 - risk[None, :])  # i dies, j survives
    np.fill_diagonal(pair, 0)
    return float(pair[risk[:, None] > risk[None, :]].sum() / pair.sum())
