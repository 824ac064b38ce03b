"""Small things that the core tests share: a folder of their own, and a cohort that trains in a second."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from modts.cohorts import Cohort, load_cohort
from modts.errors import ModtsError

HOME = Path(__file__).resolve().parent.parent


def benchmark(name):
    """A module of benchmarks/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, HOME / "benchmarks" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def snakemake_command(profile, cores):
    """The words that start the repository's workflow on a profile."""
    words = [sys.executable, "-m", "snakemake", "-s", str(HOME / "Snakefile")]
    return [*words, "--configfile", str(profile), "--cores", str(cores)]


def unnoticed_flips(path, load, head, stride):
    """Positions of a file at which a flipped bit does not stop ``load``: 60 drawn ones and every ``stride``-th of the first ``head``."""
    data, survived = path.read_bytes(), []
    for at in np.random.default_rng(0).integers(0, len(data), 60).tolist() + list(range(8, head, stride)):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        try:
            load(path)
            survived.append(at)
        except ModtsError:
            pass
    return survived


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Everything a test writes lies below tmp_path."""
    for name in ("WORK", "RESULTS", "CACHE"):
        monkeypatch.setenv(f"MODTS_{name}", str(tmp_path / name.lower()))
    return tmp_path


@contextlib.contextmanager
def torchs_settings_kept():
    """What runs inside leaves PyTorch's settings as they were."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def go(stage, cohort, **values):
    """Run a stage of the study as a notebook would."""
    from modts.study import experiments, params

    with torchs_settings_kept():
        return getattr(experiments, stage)(params.parse(stage, {"cohort": cohort, **values}))


def tiny(n=80, steps=8, features=5, task="classification", seed=0, name="tiny"):
    """The first stays, steps and variables of simulated_icu, or of simulated_air with its target at every step."""
    whole = load_cohort("simulated_icu" if task == "classification" else "simulated_air")
    order = np.random.default_rng(1).permutation(whole.n_samples)[:n]
    parts = np.split(np.random.default_rng(seed).permutation(n), [n * 5 // 8, n * 6 // 8])
    y = whole.y[order] if task == "classification" else whole.y[order, :steps]
    if task == "classification":
        y = np.arange(n) % 2  # both classes in every split, whatever the draw
    return Cohort(
        name=name,
        title="Tiny",
        X=whole.X[order, :steps, :features],
        y=y,
        ids=whole.ids[order],
        features=whole.features[:features],
        units=whole.units[:features],
        task=task,
        target=whole.target,
        target_unit=whole.target_unit,
        splits={split: np.sort(part) for split, part in zip(("train", "val", "test"), parts, strict=True)},
        split_seed=seed,
        licence=whole.licence,
        citation=whole.citation,
        source=whole.source,
        split_by="stratified" if task == "classification" else "time",
    )
