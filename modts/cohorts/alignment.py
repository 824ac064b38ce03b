"""Transfer between clinical cohorts: which variables two of them share, and the target's stays in the source's shape.

A frozen backbone reads the variables it was pretrained on, in their order and units. A new cohort is therefore brought
into the source's space by name, through one table of synonyms: shared variables are converted to the source's unit,
variables the target lacks are missing throughout (the backbone was trained to live with gaps), variables only the
target has are lost. How much is shared is reported, because it bounds what transfer can give.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from modts.errors import ModtsError

from .synonyms import conversion, identify


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
        sides.append([identify(name, units.get(name)) for name in features])
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
            "transfer needs at least one; rename yours to names in modts.cohorts.SYNONYMS."
        )
    conversions = tuple(conversion(target[j][2], source[i][2]) for i, j in pairs)
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
        rows.append(
            {
                "variable": alignment.source_features[i],
                "source": median,
                "target": other,
                "ratio": other / median if median else float("nan"),
                "plausible": low - slack <= other <= high + slack,
            }
        )
    return rows


def _some(names):
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
