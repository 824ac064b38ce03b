"""One table of clinical variables: what each is called in which data set, in which unit, and how units are converted.

Names and units: PhysioNet/CinC Challenges 2012 (Silva et al. 2012, Computing in Cardiology 39:245-248) and 2019 (Reyna
et al. 2020, doi:10.1097/CCM.0000000000004145), and the concepts of ricu (Bennett et al. 2023,
doi:10.1093/gigascience/giad041) as YAIB uses them. The units were checked on the data (`alignment.compare_medians`): between
PhysioNet 2012, PhysioNet 2019 and the eICU demo every shared variable's median lies in the other's 5-95 % range, and
four in five differ by less than a fifth; liver enzymes, troponin, base excess and urine differ by up to sevenfold, as
the patients do. What that check brought out:

- inspired oxygen is a fraction in both challenges and a percentage in ricu;
- magnesium is documented in mmol/L (2012) and mmol/dL (2019), but its median of 2.0 is mg/dL in all of them;
- calcium of 2019 mixes in some ionised values (5th percentile 1.1, median 8.1): mostly total calcium in mg/dL;
- oxygen saturation is arterial and rare in 2012 (4 % of hours), mostly from the finger in the others (88 %): one
  quantity, two methods.
"""

from dataclasses import dataclass

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


def identify(name, unit):
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


def conversion(target, source):
    (variable, unit), (_, wanted) = target, source
    if unit == wanted:
        return 1.0, 0.0
    if variable is None:
        raise ModtsError(
            f"A variable the table does not know cannot be converted from {unit!r} to {wanted!r}: convert it yourself."
        )
    (a, b), (c, d) = variable.to_own(unit), variable.to_own(wanted)
    return a / c, (b - d) / c
