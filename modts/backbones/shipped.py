"""PyPOTS's own modules, imported when they are first needed (seconds, once a process), with its banner silenced at the source."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging

from modts.cohorts import import_tsdb
from modts.errors import choose

from .table import BACKBONES

CRITERIA = ("mse", "mae")  # of a reconstruction


def pypots(module: str):
    """Import a PyPOTS module (seconds, once a process); its banner and log lines are silenced at the source."""
    logging.getLogger("pypots").setLevel(logging.ERROR)
    import_tsdb()  # PyPOTS imports TSDB, which would otherwise write ~/.pypots
    sink = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # the banner asks for an encoding
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        return importlib.import_module(f"pypots.{module}")


def core(name: str, task: str):
    """PyPOTS's module class of a backbone; task: "imputation", "representation" or "classification"."""
    package, _, cls = BACKBONES[name].core.rpartition(".")
    return getattr(pypots(f"{task}.{package}"), cls)


def loss(criterion: str):
    return getattr(pypots("nn.modules.loss"), choose(criterion, CRITERIA, "criterion").upper())()
