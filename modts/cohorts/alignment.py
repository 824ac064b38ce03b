"""Transfer between clinical cohorts: which variables two of them share, and the target's stays in the source's shape.

A frozen backbone reads the variables it was pretrained on, in their order and units. A new cohort is therefore brought
into the source's space by name, through one table of synonyms: shared variables are converted to the source's unit,
variables the target lacks are missing throughout (the backbone was trained to live with gaps), variables only the
target has are lost. How much is shared is reported, because it bounds what transfer can give.

Names and units: PhysioNet/CinC Challenges 2012 (Silva et al. 2012, Computing in Cardiology 39:245-248) and 2019 (Reyna
et al. 2020, doi:10.1097/CCM.0000000000004145), and the concepts of ricu (Bennett et al. 2023,
doi:10.1093/gigascience/giad041) as YAIB uses them. The units were checked on the data (`compare_medians`): between
PhysioNet 2012, PhysioNet 2019 and the eICU demo every shared variable's median lies in the other's 5-95 % range, and
four in five differ by less than a fifth; liver enzymes, troponin, base excess and urine differ by up to sevenfold, as
the patients do. What that check brought out:

- inspired oxygen is a fraction in both challenges and a percentage in ricu;
- magnesium is documented in mmol/L (2012) and mmol/dL (2019), but its median of 2.0 is mg/dL in all of them;
- calcium of 2019 mixes in some ionised values (5th percentile 1.1, median 8.1): mostly total calcium in mg/dL;
- oxygen saturation is arterial and rare in 2012 (4 % of hours), mostly from the finger in the others (88 %): one
  quantity, two methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from modts.errors import ModtsError

# One variable a line: canonical name | unit | names in PhysioNet 2012 | in PhysioNet 2019 | in ricu/YAIB | elsewhere.
# The simulated cohort borrows the names of PhysioNet 2012. Of several names in a cell the preferred one comes first.
# [..] after a name is its unit where that differs from the variable's.
_TABLE = """
HR                | 1/min   | HR                  | HR               | hr          | heart_rate
SBP               | mmHg    | SysABP NISysABP     | SBP              | sbp         |
DBP               | mmHg    | DiasABP NIDiasABP   | DBP              | dbp         |
MAP               | mmHg    | MAP NIMAP           | MAP              | map         | MBP
RespRate          | 1/min   | RespRate            | Resp             | resp        | RR
Temp              | degC    | Temp                | Temp             | temp        | temperature
SaO2              | %       | SaO2                | SaO2 O2Sat       | o2sat       | SpO2
FiO2              | fraction| FiO2                | FiO2             | fio2[%]     |
EtCO2             | mmHg    |                     | EtCO2            |             | etco2
GCS               | points  | GCS                 |                  |             | tgcs
Urine             | mL      | Urine               |                  | urine       |
MechVent          |         | MechVent            |                  |             |
pH                |         | pH                  | pH               | ph          |
PaCO2             | mmHg    | PaCO2               | PaCO2            | pco2        |
PaO2              | mmHg    | PaO2                |                  | po2         |
BaseExcess        | mmol/L  |                     | BaseExcess       | be          |
HCO3              | mmol/L  | HCO3                | HCO3             | bicar       |
Lactate           | mmol/L  | Lactate             | Lactate          | lact        |
Na                | mmol/L  | Na                  |                  | na          | Sodium
K                 | mmol/L  | K                   | Potassium        | k           |
Cl                | mmol/L  |                     | Chloride         | cl          |
Ca                | mg/dL   |                     | Calcium          | ca          |
CaIonised         | mmol/L  |                     |                  | cai         |
Mg                | mg/dL   | Mg                  | Magnesium        | mg          |
Phosphate         | mg/dL   |                     | Phosphate        | phos        |
Glucose           | mg/dL   | Glucose             | Glucose          | glu         |
BUN               | mg/dL   | BUN                 | BUN              | bun         |
Creatinine        | mg/dL   | Creatinine          | Creatinine       | crea        |
Albumin           | g/dL    | Albumin             |                  | alb         |
ALP               | IU/L    | ALP                 | Alkalinephos     | alp         |
ALT               | IU/L    | ALT                 |                  | alt         |
AST               | IU/L    | AST                 | AST              | ast         |
BilirubinTotal    | mg/dL   | Bilirubin           | Bilirubin_total  | bili        |
BilirubinDirect   | mg/dL   |                     | Bilirubin_direct | bili_dir    |
Cholesterol       | mg/dL   | Cholesterol         |                  |             |
TroponinI         | ng/mL   | TroponinI           | TroponinI        |             | tri
TroponinT         | ng/mL   | TroponinT           |                  | tnt         |
CK                | IU/L    |                     |                  | ck          |
CKMB              | ng/mL   |                     |                  | ckmb        |
CRP               | mg/L    |                     |                  | crp         |
Hct               | %       | HCT                 | Hct              |             | hematocrit
Hgb               | g/dL    |                     | Hgb              | hgb         | hemoglobin
MCH               | pg      |                     |                  | mch         |
MCHC              | %       |                     |                  | mchc        |
MCV               | fL      |                     |                  | mcv         |
MetHb             | %       |                     |                  | methb       |
WBC               | 1e3/uL  | WBC                 | WBC              | wbc         |
Bands             | %       |                     |                  | bnd         |
Lymphocytes       | %       |                     |                  | lymph       |
Neutrophils       | %       |                     |                  | neut        |
Platelets         | 1e3/uL  | Platelets           | Platelets        | plt         |
Fibrinogen        | mg/dL   |                     | Fibrinogen       | fgn         |
PTT               | s       |                     | PTT              | ptt         |
INR               |         |                     |                  | inr_pt      |
Age               | years   | Age                 | Age              | age         |
Male              |         | Gender              | Gender           | sex         |
Height            | cm      | Height              |                  | height      |
Weight            | kg      | Weight              |                  | weight      |
"""
DATASETS = ("physionet_2012", "physionet_2019", "ricu", "other")

# unit -> (factor, offset) to the variable's own unit: own = factor * value + offset
_CONVERSIONS = {
    "FiO2": {"%": (0.01, 0.0)},
    "Temp": {"degF": (5 / 9, -160 / 9), "K": (1.0, -273.15)},
    "Glucose": {"mmol/L": (18.016, 0.0)},
    "Creatinine": {"umol/L": (1 / 88.42, 0.0)},
    "BUN": {"mmol/L": (2.8, 0.0)},
    "BilirubinTotal": {"umol/L": (1 / 17.1, 0.0)},
    "BilirubinDirect": {"umol/L": (1 / 17.1, 0.0)},
    "Lactate": {"mg/dL": (1 / 9.008, 0.0)},
    "Ca": {"mmol/L": (4.008, 0.0)},
    "Mg": {"mmol/L": (2.431, 0.0)},
    "Phosphate": {"mmol/L": (3.097, 0.0)},
    "Albumin": {"g/L": (0.1, 0.0)},
    "Hgb": {"g/L": (0.1, 0.0)},
    "Hct": {"fraction": (100.0, 0.0)},
    "SaO2": {"fraction": (100.0, 0.0)},
    "Fibrinogen": {"g/L": (100.0, 0.0)},
    "CRP": {"mg/dL": (10.0, 0.0)},
    "PaO2": {"kPa": (7.50062, 0.0)},
    "PaCO2": {"kPa": (7.50062, 0.0)},
}


@dataclass(frozen=True)
class Variable:
    """One line of the table: a clinical quantity, its unit, and its names ({data set: ((name, unit), ...)})."""

    name: str
    unit: str
    aliases: dict[str, tuple[tuple[str, str], ...]]

    def to_own(self, unit):
        """(factor, offset) from `unit` to this variable's unit."""
        known = {self.unit: (1.0, 0.0), **_CONVERSIONS.get(self.name, {})}
        if unit not in known:
            raise ModtsError(
                f"Unit {unit!r} of {self.name} is unknown: convert it to one of {', '.join(map(repr, known))}."
            )
        return known[unit]


def _parsed(table):
    variables = []
    for line in table.strip().splitlines():
        name, unit, *cells = (cell.strip() for cell in line.split("|"))
        aliases = {}
        for data, cell in zip(DATASETS, cells, strict=True):
            pairs = (word.rstrip("]").partition("[") for word in cell.split())
            aliases[data] = tuple((alias, other or unit) for alias, _, other in pairs)
        variables.append(Variable(name, unit, aliases))
    return tuple(variables)


SYNONYMS = _parsed(_TABLE)
# name as written -> (variable, unit, rank among that data set's names of the variable: preferred measurements first)
_EXACT = {v.name: (v, v.unit, 0) for v in reversed(SYNONYMS)}
for _variable in SYNONYMS:
    for _pairs in _variable.aliases.values():
        for _rank, (_alias, _unit) in enumerate(_pairs):
            _EXACT.setdefault(_alias, (_variable, _unit, _rank))
_LOOSE = {}  # the same in lower case, for own data; a name in several units needs its unit said
for _alias, _found in _EXACT.items():
    _LOOSE.setdefault(_alias.lower(), []).append(_found)


@dataclass(frozen=True)
class Alignment:
    """How a target's variables fill a source's (made by `align`).

    Attributes
    ----------
    source_features, target_features : tuple of str
    pairs : tuple of (i_source, j_target)
        Source variable i reads target variable j. Where one i has several j (invasive and cuff pressure), the first
        observed wins.
    conversions : tuple of (factor, offset), one a pair
        Value in the source's unit = factor * value in the target's unit + offset.
    canonical : tuple of str, one a pair
        The shared variable's name in the table, or the common name of a variable the table does not know.
    """

    source_features: tuple[str, ...]
    target_features: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    conversions: tuple[tuple[float, float], ...]
    canonical: tuple[str, ...]

    @property
    def shared(self):
        """Names of the shared variables, each once, in the source's order."""
        return tuple(dict.fromkeys(self.canonical))

    @cached_property
    def report(self):
        """The overlap as a JSON-able dict: counts, fractions of the variables used, pairs, what is left over."""
        used_source = {i for i, _ in self.pairs}
        used_target = {j for _, j in self.pairs}
        return {
            "n_source": len(self.source_features),
            "n_target": len(self.target_features),
            "n_shared": len(self.shared),
            "fraction_source": len(used_source) / len(self.source_features),
            "fraction_target": len(used_target) / len(self.target_features),
            "pairs": [
                {
                    "variable": name,
                    "source": self.source_features[i],
                    "target": self.target_features[j],
                    "factor": a,
                    "offset": b,
                }
                for (i, j), (a, b), name in zip(self.pairs, self.conversions, self.canonical, strict=True)
            ],
            "source_only": [name for i, name in enumerate(self.source_features) if i not in used_source],
            "target_only": [name for j, name in enumerate(self.target_features) if j not in used_target],
        }


def align(
    source_features: Sequence[str],
    target_features: Sequence[str],
    source_units: Mapping[str, str] | None = None,
    target_units: Mapping[str, str] | None = None,
):
    """Pair the variables of two cohorts by name, through `SYNONYMS` or an identical name the table does not know.

    A name that both cohorts use pairs with itself. A target variable left over joins the source's preferred measurement
    of the same quantity as a stand-in where the first choice is missing.

    Parameters
    ----------
    source_features : sequence of str
        What the backbone was pretrained on.
    target_features : sequence of str
        What the new cohort has.
    source_units, target_units : mapping of feature name to unit, optional
        Only for own data in other units than the table says ("degF", "mmol/L"): they overrule it.

    Returns
    -------
    Alignment

    Raises
    ------
    ModtsError
        No shared variable, a name given twice, or a unit that cannot be converted.

    Examples
    --------
    >>> a = align(["HR", "FiO2", "GCS"], ["fio2", "hr", "be"])
    >>> a.shared, a.pairs, a.conversions[1]
    (('HR', 'FiO2'), ((0, 1), (1, 0)), (0.01, 0.0))
    """
    sides = []
    for what, features, units in (("source", source_features, source_units), ("target", target_features, target_units)):
        features, units = tuple(features), dict(units or {})
        twice = sorted({name for name in features if features.count(name) > 1})
        if twice:
            raise ModtsError(
                f"The {what}'s variables must have different names, but these are given twice: {', '.join(twice)}."
            )
        if not set(units) <= set(features):
            raise ModtsError(
                f"Units are given for {sorted(set(units) - set(features))}, which the {what} does not have."
            )
        sides.append([_identify(name, units.get(name)) for name in features])
    source, target = sides
    pairs = []
    for i, (name, _, _) in enumerate(source):
        rivals = [k for k, other in enumerate(source) if other[0] == name]
        first = i == min(rivals, key=lambda k: (source[k][1], k))
        # its namesake, then (for the preferred measurement only) those no other source variable is the namesake of
        taken = {source_features[k] for k in rivals if k != i}
        found = [j for j, other in enumerate(target) if other[0] == name and target_features[j] not in taken]
        found = [j for j in found if first or target_features[j] == source_features[i]]
        found.sort(key=lambda j: (target_features[j] != source_features[i], target[j][1], j))
        pairs += [(i, j) for j in found]
    if not pairs:
        raise ModtsError(
            f"The source ({_some(source_features)}) and the target ({_some(target_features)}) share no variable: "
            "transfer needs at least one; rename yours to names in modts.transfer.SYNONYMS."
        )
    conversions = tuple(_conversion(target[j][2], source[i][2]) for i, j in pairs)
    canonical = tuple(source[i][0] for i, _ in pairs)
    return Alignment(tuple(source_features), tuple(target_features), tuple(pairs), conversions, canonical)


def to_source_space(X, alignment, source_features, n_steps):
    """Put a target's raw series into the variables, order, units and length the source's backbone reads.

    Parameters
    ----------
    X : (N, T_target, F_target) array, raw units, NaN = missing
    alignment : Alignment
    source_features : sequence of str
        The backbone's; must be those of the alignment.
    n_steps : int
        Steps the backbone reads: longer series are cut at the end, shorter ones go on as missing.

    Returns
    -------
    (N, n_steps, F_source) float32 array in the source's raw units; NaN where nothing was measured, and in variables not
    shared

    Raises
    ------
    ModtsError
        Features or shape that do not fit the alignment.
    """
    X = np.asarray(X)
    if tuple(source_features) != alignment.source_features:
        raise ModtsError(
            "The alignment was made for other source features than the backbone's: call align() with the backbone's."
        )
    if X.ndim != 3 or X.shape[2] != len(alignment.target_features):
        wanted = f"(N, T, {len(alignment.target_features)})"
        raise ModtsError(f"The target's series must have the shape {wanted}, as in its alignment, but have {X.shape}.")
    if n_steps < 1:
        raise ModtsError(f"The number of steps must be at least 1, but it is {n_steps}.")
    steps = min(X.shape[1], n_steps)
    out = np.full((len(X), n_steps, len(alignment.source_features)), np.nan, dtype=np.float32)
    for (i, j), (factor, offset) in zip(alignment.pairs, alignment.conversions, strict=True):
        so_far, value = out[:, :steps, i], X[:, :steps, j] * factor + offset
        out[:, :steps, i] = np.where(np.isnan(so_far), value, so_far)
    return out


def compare_medians(X_source, X_target, alignment):
    """Do the units agree? Per shared variable the medians of both cohorts, in the source's unit.

    Parameters
    ----------
    X_source, X_target : (N, T, F) arrays, raw units, NaN = missing

    Returns
    -------
    list of dict
        variable, source, target (medians), ratio (target over source), plausible: the target's median lies between the
        5th and the 95th percentile of the source. Other patients shift a median; a wrong unit throws it out of that
        range.
    """
    moved = to_source_space(X_target, alignment, alignment.source_features, X_target.shape[1])
    rows = []
    for i in dict.fromkeys(i for i, _ in alignment.pairs):
        ours, theirs = X_source[..., i], moved[..., i]
        if np.isnan(ours).all() or np.isnan(theirs).all():
            continue
        low, median, high = (float(q) for q in np.nanquantile(ours, (0.05, 0.5, 0.95)))
        other, slack = float(np.nanmedian(theirs)), 1e-4 * (high - low)  # float32 rounds at the edge
        rows.append({
            "variable": alignment.source_features[i], "source": median, "target": other,
            "ratio": other / median if median else float("nan"), "plausible": low - slack <= other <= high + slack,
        })  # fmt: skip
    return rows


def _identify(name, unit):
    """(canonical name, rank, (variable, unit)) of one feature; a name the table does not know stands for itself."""
    found = [_EXACT[name]] if name in _EXACT else _LOOSE.get(name.lower(), [])
    if len({v.name for v, _, _ in found}) != 1:
        return name, 0, (None, unit)
    if unit is None and len({u for _, u, _ in found}) > 1:
        units = sorted({u for _, u, _ in found})
        raise ModtsError(
            f"{name!r} may be in {' or '.join(map(repr, units))}: say which in source_units or target_units."
        )
    variable, own, rank = found[0]
    unit = own if unit is None else unit
    variable.to_own(unit)  # an unknown unit is an error here, where its feature is known
    return variable.name, rank, (variable, unit)


def _conversion(target, source):
    (variable, unit), (_, wanted) = target, source
    if unit == wanted:
        return 1.0, 0.0
    if variable is None:
        raise ModtsError(
            f"A variable the table does not know cannot be converted from {unit!r} to {wanted!r}: convert it yourself."
        )
    (a, b), (c, d) = variable.to_own(unit), variable.to_own(wanted)
    return a / c, (b - d) / c


def _some(names):
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
