"""Where a number comes from: the record of one execution of one notebook (or of the baselines), for one cohort and one backbone, all its seeds.

Its file carries the rows it measured with parameters, seeds, data hash, code version, hardware and time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from modts.errors import ModtsError

from .arrays import write_arrays
from .code import code_hash, code_version
from .files import write_json
from .places import cohort_label, run_id, run_path

COLUMNS = (
    "profile", "cohort", "variant", "task", "backbone", "arm", "head", "pooling", "label_fraction", "pattern", "test", "split_seed", "init_seed",
    "draw", "metric", "value", "low", "high", "n_test", "hardware", "run", "source",
)  # fmt: skip
LATER = {
    "variant": "",
    "draw": "",
    "test": "split",
}  # what a row that was stored before there was the column says in it
PACKAGES = (
    "modts",
    "torch",
    "pypots",
    "pygrinder",
    "tsdb",
    "benchpots",
    "numpy",
    "scikit-learn",
    "lightgbm",
    "safetensors",
)


@cache
def hardware() -> str:
    """What the numbers were computed on, in words."""
    with contextlib.suppress(Exception):
        import torch

        if torch.cuda.is_available():
            exact = torch.get_float32_matmul_precision() == "highest"
            return f"GPU {torch.cuda.get_device_name(0)}{'' if exact else ', matrix products in TF32'}"
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"CPU {name} ({os.cpu_count()} cores)"


def packages() -> dict[str, str]:
    """Versions of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


class Run:
    """Collects what one execution measured and writes it once, whole, at the end."""

    def __init__(self, stage: str, params: dict):
        self.stage, self.params, self.id = stage, dict(params), run_id(stage, params)
        self.cohort = cohort_label(params["cohort"])
        self.started, self._clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
        self.rows, self.timings, self.history, self.data_hash, self.extra = [], {}, {}, {}, {}
        self.predictions: dict[str, np.ndarray] = {}

    def row(self, **values) -> None:
        """Add one measured number; columns not given are empty."""
        unknown = set(values) - set(COLUMNS)
        if unknown:
            raise ModtsError(f"Unknown result columns: {sorted(unknown)}.")
        fixed = {
            "profile": self.params["profile"],
            "cohort": self.cohort,
            "variant": self.params.get("variant", ""),
            "hardware": hardware(),
            "run": self.id,
        }
        self.rows.append({column: {**fixed, **values}.get(column, "") for column in COLUMNS})

    def capped(self, name: str, ended_at_cap: bool) -> None:
        """Note that a training was made, and its name if it ended at its cap of epochs and not because it was done."""
        self.extra.setdefault("capped", []).extend([name] if ended_at_cap else [])

    @property
    def path(self) -> Path:
        return run_path(self.id)

    def finish(self) -> Path:
        """Write predictions, then the run's file; the file is the sign of success."""
        if self.predictions:
            write_arrays(self.path.parent.parent / "predictions" / f"{self.id}.npz", self.id, **self.predictions)
        write_json(
            self.path,
            {
                "run": self.id,
                "stage": self.stage,
                "profile": self.params["profile"],
                "cohort": self.cohort,
                "params": self.params,
                "started": self.started,
                "seconds": round(time.perf_counter() - self._clock, 2),
                "code_version": code_version(),
                "code_hash": code_hash(self.stage, self.params.get("backbone", ""), rows=True),
                "data_hash": self.data_hash,
                "hardware": hardware(),
                "packages": packages(),
                "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "timings": self.timings,
                "history": self.history,
                **self.extra,
                "rows": self.rows,
            },
        )
        return self.path
