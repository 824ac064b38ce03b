"""Every path of the project, and how a run is called."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from modts.errors import ModtsError, choose

from .files import key
from .owned import backbone_label

STAGES = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency", "baselines")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # Windows keeps these for itself
# What distinguishes two runs of one profile, stage, cohort and backbone: its usual value, which is not said, and how another is said.
MARKS = {
    "reading": ("window", str),
    "scaling": ("plain", str),
    "centre": (False, lambda _: "centred"),
    "criterion": ("mse", str),
    "size": ("small", lambda size: f"size_{size}"),
    "config": ({}, lambda config: f"config_{key(config)[:6]}"),
    "device": ("cpu", str),
    "pattern": ("point", str),
    "rate": (0.1, lambda rate: f"rate{rate:g}"),
    "threads": (1, lambda threads: f"{threads}threads"),
    "unlabelled": ("", lambda name: f"with_{cohort_label(name)}"),
    "variant": ("", str),
}
_RUN = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9][A-Za-z0-9_.-]*)+")


def plain_name(value, what: str, apart: str = "") -> str:
    """Return `value` if it may become part of a run's name, and so of files, folders and command lines.

    Letters from a to z, digits and _ . -, at most 64, a letter or digit first.

    Parameters
    ----------
    value : str
    what : str
        What it names, in words.
    apart : str
        Marks that this kind of name may not hold, such as "-" where names are joined by it.

    Raises
    ------
    ModtsError
        It is no such name.

    Examples
    --------
    >>> plain_name("italy_air", "cohort")
    'italy_air'
    """
    if (
        isinstance(value, str)
        and _NAME.fullmatch(value)
        and not _DEVICE.fullmatch(value)
        and not set(value) & set(apart)
    ):
        return value
    shown = repr(value) if len(repr(value)) < 80 else repr(value)[:60] + "..."
    marks = " ".join(mark for mark in "_.-" if mark not in apart)
    raise ModtsError(
        f"The {what} name {shown} cannot be part of a file's name; use letters from a to z, digits and {marks} (at most 64, "
        "a letter or digit first)."
    )


def profile_name(value) -> str:
    """A profile's name: what comes before the first - in a run's name."""
    return plain_name(value, "profile", apart=".-")


def cohort_stem(cohort: str) -> str:
    """How a cohort is called in a run's name: its own name, or its file's without the ending."""
    return plain_name(Path(cohort).stem if str(cohort).endswith(".npz") else cohort, "cohort")


def cohort_label(cohort: str) -> str:
    """What tells a cohort from all others: its own name; of a file its stem and six digits of its content's hash, such as mine.3f09ac.

    Two files of one stem are thus two cohorts. A file that is not there, or no saved cohort, is called by its stem.
    """
    stem = cohort_stem(cohort)
    if not str(cohort).endswith(".npz"):
        return stem
    try:
        mark = _content(str(cohort), Path(cohort).stat().st_mtime_ns)
    except (
        Exception
    ):  # zip, JSON and numpy have their own ways to fail on a damaged file; whoever loads it says what is wrong
        mark = ""
    return f"{stem}.{mark}" if mark else stem


@lru_cache
def _content(path: str, changed: int) -> str:
    """From the description that Cohort.save puts beside the arrays."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["meta"]))["content_hash"][:6]


def root() -> Path:
    """The project's folder: MODTS_HOME, else the nearest parent of the working folder that holds _toc.yml, else the working folder."""
    if os.environ.get("MODTS_HOME"):
        return Path(os.environ["MODTS_HOME"]).resolve()
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").exists()), here)


def work_dir() -> Path:
    """Intermediate files: checkpoints, latents, executed notebooks, logs. Never committed. MODTS_WORK overrides."""
    return Path(os.environ.get("MODTS_WORK") or root() / "work").resolve()


def results_dir() -> Path:
    """What runs produced and pages read; committed. MODTS_RESULTS overrides."""
    return Path(os.environ.get("MODTS_RESULTS") or root() / "results").resolve()


def prepared_file(cohort: str) -> Path | None:
    """The saved copy of a public cohort in the folder MODTS_PREPARED, for machines without the raw files; None without folder or file."""
    path = Path(os.environ.get("MODTS_PREPARED") or "", f"{cohort}.npz")
    return path if os.environ.get("MODTS_PREPARED") and path.is_file() else None


def cache_dir() -> Path:
    """Parsed data sets. MODTS_CACHE overrides the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("MODTS_CACHE") or platformdirs.user_cache_dir("modts")).resolve()


def artifact_dir(stage: str, cohort: str, backbone: str, spec: dict) -> Path:
    """Folder of one artefact, named after the content of its recipe: same recipe, same folder; another recipe, another folder."""
    choose(stage, STAGES, "stage")
    named = f"{plain_name(cohort, 'cohort')}-{plain_name(backbone_label(backbone), 'backbone')}-{key(spec)}"
    return work_dir() / "artifacts" / stage / named


def run_id(stage: str, params: dict) -> str:
    """Such as cpu-heads-physionet_2012-SAITS; for a backbone of one's own, cpu-heads-physionet_2012-mine.MyImputer.

    Whatever else distinguishes a run and is not as usual follows (`MARKS`), such as cpu-pretrain-italy_air-SAITS-block-rate0.5.
    """
    source = f"-{cohort_label(params['source'])}" if params.get("source") else ""
    backbone = f"-{plain_name(backbone_label(params['backbone']), 'backbone')}" if params.get("backbone") else ""
    profile, cohort = profile_name(params["profile"]), cohort_label(params["cohort"])
    marks = "".join(
        f"-{say(params[name])}" for name, (usual, say) in MARKS.items() if name in params and params[name] != usual
    )
    return f"{profile}-{choose(stage, STAGES, 'stage')}-{cohort}{backbone}{source}{marks}"


def run_path(run: str) -> Path:
    """Where a local run's file lies."""
    if not _RUN.fullmatch(run):
        raise ModtsError(f"{run!r} is not a run's name, such as quick-heads-simulated_icu-SAITS.")
    return work_dir() / run.split("-", 1)[0] / "runs" / f"{run}.json"


def published_path(run: str) -> Path:
    """Where a published run's file lies, compressed: a run of six label shares has thousands of rows."""
    return results_dir() / "runs" / f"{run}.json.gz"
