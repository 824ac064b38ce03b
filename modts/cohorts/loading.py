"""Every data set of the compendium behind one call, ``load_cohort(name, seed)``.

Simulated cohorts are always at hand. The public ones come from the folder in ``MODTS_DATA`` (laid out as a tsdb_home),
or by download; or, where there are no raw files, from copies in the folder ``MODTS_PREPARED``, each named like its
cohort and written by :meth:`Cohort.save`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from modts.errors import ModtsError
from modts.runs import prepared_file

from .base import Cohort
from .checks import seed_of

# name -> (module, function); imported on demand, so that asking for one cohort costs only that one
_LOADERS = {
    "simulated_icu": ("simulated_icu", "load"),
    "simulated_air": ("simulated_air", "load"),
    "simulated_ward": ("simulated_icu", "load_ward"),
    "physionet_2012": ("physionet", "load_2012"),
    "physionet_2012_b": ("physionet", "load_2012_b"),
    "physionet_2012_c": ("physionet", "load_2012_c"),
    "physionet_2012_all": ("physionet", "load_2012_all"),
    "physionet_2012_emit": ("physionet", "load_2012_emit"),
    "physionet_2019": ("physionet", "load_2019"),
    "eicu": ("icu", "load_eicu"),
    "mimic": ("icu", "load_mimic"),
    "italy_air": ("series", "load_italy_air"),
    "beijing_air": ("series", "load_beijing_air"),
    "ett_h1": ("series", "load_ett_h1"),
    "ett_h2": ("series", "load_ett_h2"),
    "ett_m1": ("series", "load_ett_m1"),
    "ett_m2": ("series", "load_ett_m2"),
    "traffic": ("series", "load_traffic"),
}
_SEALED = (
    "physionet_2012_c",
    "physionet_2012_all",
    "physionet_2012_emit",
)  # their loader asks first (see runs.protocol): no copy stands in


def cohort_names() -> tuple[str, ...]:
    """Names that :func:`load_cohort` knows, the embedded ones first."""
    return tuple(_LOADERS)


def load_cohort(name: str, seed: int = 0, **options) -> Cohort:
    """Load a cohort by name.

    Parameters
    ----------
    name : str
        One of :func:`cohort_names`, or the path of an ``.npz`` file written by :meth:`Cohort.save`.
    seed : int
        Drives the split of stays. Series are split by time: there it names one of three origins, ``seed % 3`` (see
        :meth:`Cohort.resplit`), of which 0 is the benchmarks' own split. Values never depend on it. A saved cohort whose
        splits were given by its owner keeps them.
    **options
        What the cohort's loader takes, for example ``subset="all"`` for ``physionet_2019``.

    Returns
    -------
    Cohort

    Raises
    ------
    ModtsError
        If the name or an option is unknown, or the data are absent or damaged.
    """
    seed = seed_of(seed)
    if str(name).endswith(".npz"):
        if options:
            raise ModtsError(f"A saved cohort takes no options, but got {', '.join(options)}.")
        return Cohort.load(name).resplit(seed)
    if name not in _LOADERS:
        known = ", ".join(_LOADERS)
        raise ModtsError(f"Unknown cohort {name!r}; choose one of: {known}; or the path of a saved cohort (.npz).")
    prepared = None if options or name in _SEALED else prepared_file(name)
    if prepared is not None:
        return _prepared(name, prepared).resplit(seed)
    loader = _loader(name)
    allowed = loader.__code__.co_varnames[1 : loader.__code__.co_argcount + loader.__code__.co_kwonlyargcount]
    for option in options:
        if option not in allowed:
            known = ", ".join(allowed) if allowed else "none"
            raise ModtsError(f"Cohort {name!r} has no option {option!r}; its options: {known}.")
    return loader(seed, **options)


def _prepared(name: str, path: Path) -> Cohort:
    """A public cohort from the copy that somebody saved of it; it splits by any seed as the raw files do."""
    cohort = Cohort.load(path)
    if cohort.name != name or cohort.split_by not in ("stratified", "random"):
        raise ModtsError(
            f"{path} holds {cohort.name!r}, split by {cohort.split_by}; only a copy of {name!r} itself can stand in, and of no series."
        )
    return cohort


def _loader(name: str) -> Callable[..., Cohort]:
    module, function = _LOADERS[name]
    return getattr(import_module(f"modts.cohorts.{module}"), function)
