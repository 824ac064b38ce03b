"""Every path of the project, and how a run is called."""

from __future__ import annotations

import os
from pathlib import Path

from modts.errors import choose

from .files import key
from .owned import backbone_label

STAGES = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency", "baselines")


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


def cache_dir() -> Path:
    """Parsed data sets. MODTS_CACHE overrides the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("MODTS_CACHE") or platformdirs.user_cache_dir("modts")).resolve()


def artifact_dir(stage: str, cohort: str, backbone: str, spec: dict) -> Path:
    """Folder of one artefact, named after the content of its recipe: same recipe, same folder; another recipe, another folder."""
    return work_dir() / "artifacts" / stage / f"{cohort}-{backbone_label(backbone)}-{key(spec)}"


def run_id(stage: str, params: dict) -> str:
    """Such as cpu-heads-physionet_2012-SAITS; for a backbone of one's own, cpu-heads-physionet_2012-mine.MyImputer."""
    source = f"-{Path(params['source']).stem}" if params.get("source") else ""
    backbone = f"-{backbone_label(params['backbone'])}" if params.get("backbone") else ""
    cohort = Path(params["cohort"]).stem
    return f"{params['profile']}-{choose(stage, STAGES, 'stage')}-{cohort}{backbone}{source}"


def run_path(run: str) -> Path:
    """Where a local run's file lies."""
    return work_dir() / run.split("-", 1)[0] / "runs" / f"{run}.json"
