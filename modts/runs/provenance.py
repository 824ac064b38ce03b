"""Where everything lies, how it is written, and where a number comes from.

Every path of the project is made here. A file exists only if it is whole: it is written beside its place, synced, then renamed.
A run is one execution of one notebook (or of the baselines) for one cohort and one backbone, all its seeds; its file carries the rows it
measured with parameters, seeds, data hash, code version, hardware and time.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import platform
import random
import resource
import subprocess
import time
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from .errors import ModtsError, choose

STAGES = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency", "baselines")
COLUMNS = (
    "profile", "cohort", "task", "backbone", "arm", "head", "pooling", "label_fraction", "pattern", "split_seed", "init_seed",
    "metric", "value", "low", "high", "n_test", "hardware", "run", "source",
)  # fmt: skip
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

# The modules that decide a stage's numbers: a change there makes its stored results stale, a change elsewhere does not.
_MODEL = ("cohorts", "missingness.py", "scaling.py", "inputs.py", "backbones.py", "training.py")
STAGE_CODE = {
    "pretrain": _MODEL,
    "extract": (*_MODEL, "latents.py"),
    "heads": (*_MODEL, "latents.py", "heads.py", "adaptation.py", "sweep.py", "scores.py"),
    "end_to_end": (*_MODEL, "latents.py", "heads.py", "adaptation.py", "scores.py"),
    "transfer": (*_MODEL, "latents.py", "heads.py", "adaptation.py", "sweep.py", "scores.py", "transfer.py"),
    "latency": (*_MODEL, "latents.py", "heads.py", "adaptation.py", "latency.py"),
    "baselines": ("cohorts", "missingness.py", "scaling.py", "baselines.py", "scores.py"),
}
# What only some backbones run through.
BACKBONE_CODE = {
    "BRITS": ("recurrent.py",),
    "GRU-D": ("recurrent.py",),
    "CSAI": ("recurrent.py", "attention.py"),
    "SAITS": ("blocks.py",),
    "TimesNet": ("blocks.py",),
    "Autoformer": ("blocks.py",),
}


# --- places ---------------------------------------------------------------------------------------------------------


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
    return work_dir() / "artifacts" / stage / f"{cohort}-{backbone}-{key(spec)}"


def run_id(stage: str, params: dict) -> str:
    """Such as cpu-heads-physionet_2012-SAITS."""
    source = f"-{Path(params['source']).stem}" if params.get("source") else ""
    backbone = f"-{params['backbone']}" if params.get("backbone") else ""
    cohort = Path(params["cohort"]).stem
    return f"{params['profile']}-{choose(stage, STAGES, 'stage')}-{cohort}{backbone}{source}"


def run_path(run: str) -> Path:
    """Where a local run's file lies."""
    return work_dir() / run.split("-", 1)[0] / "runs" / f"{run}.json"


# --- whole files only -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole_file(path: Path):
    """A file to write to, beside its place: synced and renamed at the end, so that a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file at once (see whole_file)."""
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, value) -> None:
    """JSON, written whole. NaN is refused: a missing number is null."""
    atomic_write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=_plain) + "\n")


def read_json(path: Path):
    """Read JSON; a file that cannot be read is a ModtsError that names it."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ModtsError(f"{path} does not exist.") from None
    except (ValueError, OSError) as error:
        raise ModtsError(f"{path} is not readable JSON ({error}); delete it and run its job again.") from None


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Arrays as npz, written whole."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays from npz, without pickle."""
    try:
        # opened here: np.load leaves a broken file open
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ModtsError(f"{path} does not exist.") from None
    except Exception as error:  # zipfile and zlib raise many kinds
        raise ModtsError(f"{path} is corrupt ({error}); delete it and run its job again.") from None


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, tuple, set)):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


# --- where a number comes from --------------------------------------------------------------------------------------


def key(spec: dict) -> str:
    """Twelve hex digits of the canonical JSON of a recipe."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=_plain).encode()).hexdigest()[:12]


@cache
def code_hash(stage: str, backbone: str = "") -> str:
    """Twelve hex digits over the modules that decide a stage's numbers; comments, docstrings and layout do not count.

    Modules that only some backbones run through count for those alone.
    """
    here, digest = Path(__file__).parent, hashlib.sha256()
    for name in (*STAGE_CODE[stage], *BACKBONE_CODE.get(backbone, ())):
        place = here / name
        for file in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{file.name}\n{_bare(file.read_text())}".encode())
    return digest.hexdigest()[:12]


@cache
def _bare(source: str) -> str:
    """Source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def code_version() -> str:
    """The git commit (with -dirty when modts differs from it), else the package's version."""
    folder = Path(__file__).parent.parent
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(folder)]
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, check=True, text=True
        ).stdout.strip()
        changes = subprocess.run(
            [*git, "status", "--porcelain", "modts"], capture_output=True, check=True, text=True
        ).stdout
        return commit + ("-dirty" if changes.strip() else "")
    return metadata.version("modts")


@cache
def hardware() -> str:
    """What the numbers were computed on, in words."""
    with contextlib.suppress(Exception):
        import torch

        if torch.cuda.is_available():
            return f"GPU {torch.cuda.get_device_name(0)}"
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


def seed_everything(seed: int, threads: int | None = None) -> None:
    """Seed Python, NumPy and PyTorch and ask for deterministic kernels; same seed, same CPU and threads: same bits."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    if threads:
        torch.set_num_threads(threads)


class Run:
    """Collects what one execution measured and writes it once, whole, at the end."""

    def __init__(self, stage: str, params: dict):
        self.stage, self.params, self.id = stage, dict(params), run_id(stage, params)
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
            "cohort": Path(self.params["cohort"]).stem,
            "hardware": hardware(),
            "run": self.id,
        }
        self.rows.append({column: {**fixed, **values}.get(column, "") for column in COLUMNS})

    @property
    def path(self) -> Path:
        return run_path(self.id)

    def finish(self) -> Path:
        """Write predictions, then the run's file; the file is the sign of success."""
        if self.predictions:
            write_arrays(self.path.parent.parent / "predictions" / f"{self.id}.npz", **self.predictions)
        write_json(
            self.path,
            {
                "run": self.id,
                "stage": self.stage,
                "profile": self.params["profile"],
                "params": self.params,
                "started": self.started,
                "seconds": round(time.perf_counter() - self._clock, 2),
                "code_version": code_version(),
                "code_hash": code_hash(self.stage, self.params.get("backbone", "")),
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
