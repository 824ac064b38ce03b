"""Made-up results of every kind, and the book built from them (or from the published ones) in a temporary folder."""

import atexit
import csv
import functools
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from modts import runs, tables

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency")
HARDWARE = "CPU made up (2 cores)"
_SERIES = {
    "task": "regression",
    "target": "the last variable",
    "target_unit": "",
    "n": 777,
    "train": 467,
    "val": 155,
    "test": 155,
    "n_steps": 12,
    "n_features": 12,
    "missing_rate": 0.137,
    "split_by": "time",
    "split_seed": 0,
    "target_mean": 1.0,
    "target_std": 0.4,
}
_STAYS = {
    "task": "classification",
    "target": "death",
    "target_unit": "",
    "n": 3997,
    "train": 2557,
    "val": 640,
    "test": 800,
    "n_steps": 48,
    "n_features": 35,
    "missing_rate": 0.797,
    "split_by": "stay",
    "split_seed": 0,
    "prevalence": 0.14,
    "positives": {"train": 358, "val": 90, "test": 112},
}
_ABOUT = {
    "licence": "some licence",
    "citation": "Somebody 2012",
    "source": "https://example.org/data",
    "content_hash": "0" * 64,
}
COHORTS = {
    "physionet_2012": {"name": "physionet_2012", "title": "PhysioNet 2012, made up", **_STAYS, **_ABOUT, "notes": {}},
    "italy_air": {
        "name": "italy_air",
        "title": "ItalyAir, made up",
        **_SERIES,
        **_ABOUT,
        "notes": {"missing": "coded -200"},
    },
    "simulated_icu": {
        "name": "simulated_icu",
        "title": "Simulated stays",
        **_STAYS,
        **_ABOUT,
        "notes": {"best_auroc": 0.87},
    },
    "simulated_air": {"name": "simulated_air", "title": "Simulated air", **_SERIES, **_ABOUT, "notes": {}},
}
LATENCY = ("profile", "cohort", "backbone", "arm", "stage", "batch", "p50_ms", "p99_ms", "repeats", "hardware", "run")
_MAIN = "from jupyter_book.cli.main import main; main()"  # the package has no __main__
PAIRED = (
    "profile",
    "cohort",
    "task",
    "metric",
    "label_fraction",
    "split_seed",
    "a",
    "b",
    "difference",
    "low",
    "high",
    "p",
    "n_test",
)


def _rows(profile, cohort, backbones, seeds, draw):
    """Rows as the runs write them: a row a seed, and one for the mean."""
    task, rows = COHORTS[cohort]["task"], []

    def add(stage, metric, middle, width=0.03, task=task, **columns):
        run = f"{profile}-{stage}-{cohort}" + ("" if stage == "baselines" else f"-{columns['backbone']}")
        fixed = {
            "profile": profile,
            "cohort": cohort,
            "task": task,
            "metric": metric,
            "hardware": HARDWARE,
            "run": run,
            "n_test": COHORTS[cohort]["test"],
        }
        for seed in [*range(seeds), ""]:
            value = middle + draw.gauss(0, 0.01)
            rows.append(
                {
                    **dict.fromkeys(runs.COLUMNS, ""),
                    **fixed,
                    **columns,
                    "split_seed": seed,
                    "init_seed": seed,
                    "value": value,
                    "low": value - width,
                    "high": value + width,
                }
            )

    for metric in ("mae", "mse"):
        for name in backbones:
            add("pretrain", metric, 0.35, 0.01, "imputation", backbone=name, arm="frozen", pattern="point")
        for name in ("Linear interpolation", "LOCF", "Mean"):
            add("baselines", metric, 0.4, 0.01, "imputation", backbone=name, arm="baseline", pattern="point")
    arms = [("heads", arm, head) for arm in ("frozen", "untrained") for head in ("simple", "complex")]
    arms += [("end_to_end", "finetune", "simple"), ("end_to_end", "e2e", "simple")]
    arms += [("end_to_end", "e2e_shipped", "")] if task == "classification" else []
    metrics = ("auroc", "auprc") if task == "classification" else ("mae", "mse")
    for fraction in (1.0, 0.1) if task == "classification" else (1.0,):
        for metric in metrics:
            for name in backbones:
                for stage, arm, head in arms:
                    for pooling in ("paper", "mean+max+last") if arm == "frozen" else ("paper",) if head else ("",):
                        add(
                            stage,
                            metric,
                            0.75,
                            backbone=name,
                            arm=arm,
                            head=head,
                            pooling=pooling,
                            label_fraction=fraction,
                            pattern="point",
                        )
            for name in ("LightGBM", "Logistic regression" if task == "classification" else "Ridge regression"):
                add(
                    "baselines",
                    metric,
                    0.8,
                    backbone=name,
                    arm="baseline",
                    pooling="statistics",
                    label_fraction=fraction,
                )
    if task == "classification":
        for name in backbones[:2]:
            for arm, source in (("frozen", ""), ("transfer", "simulated_icu"), ("e2e", "")):
                add(
                    "transfer",
                    "auroc",
                    0.74,
                    backbone=name,
                    arm=arm,
                    head="simple",
                    pooling="paper",
                    label_fraction=1.0,
                    pattern="point",
                    source=source,
                )
    return rows


def _latency(profile, cohort, backbones):
    arms = ("frozen", "e2e_shipped") if COHORTS[cohort]["task"] == "classification" else ("frozen",)
    return [
        dict(
            zip(
                LATENCY,
                (
                    profile,
                    cohort,
                    name,
                    arm,
                    stage,
                    batch,
                    1.5,
                    2.0,
                    30,
                    HARDWARE,
                    f"{profile}-latency-{cohort}-{name}",
                ),
                strict=True,
            )
        )
        for name in backbones
        for arm in arms
        for batch in (1, 64)
        for stage in ("inputs", "backbone", "head", "total")
    ]


def _write(folder: Path, profile: str, cohorts, backbones, seeds) -> None:
    draw = random.Random(0)
    rows = [row for cohort in cohorts for row in _rows(profile, cohort, backbones, seeds, draw)]
    latency = [row for cohort in cohorts for row in _latency(profile, cohort, backbones)]
    paired = [
        dict(
            zip(
                PAIRED,
                (
                    profile,
                    cohorts[0],
                    "classification",
                    "auroc",
                    1.0,
                    "",
                    f"{name}/frozen/simple",
                    f"{name}/frozen/complex",
                    0.01,
                    -0.01,
                    0.03,
                    0.4,
                    800,
                ),
                strict=True,
            )
        )
        for name in backbones
    ]
    (folder / "runs").mkdir(parents=True)
    for name, content, columns in (
        ("metrics", rows, runs.COLUMNS),
        ("latency", latency, LATENCY),
        ("paired", paired, PAIRED),
    ):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(content)
    (folder / "cohorts.json").write_text(json.dumps({name: COHORTS[name] for name in cohorts}))
    for run in {row["run"] for row in [*rows, *latency]}:
        _, stage, rest = run.split("-", 2)
        record = {
            "run": run,
            "stage": stage,
            "profile": profile,
            "params": {"profile": profile, "cohort": rest.split("-")[0], "seeds": [0]},
            "rows": [],
            "started": "2026-01-02T03:04:05Z",
            "seconds": 12.3,
            "code_version": "0123456789ab",
            "code_hash": "0",
            "data_hash": {},
            "hardware": HARDWARE,
            "packages": {"python": "3.11"},
            "peak_memory_mb": 512,
            "timings": {},
            "history": {},
        }
        (folder / "runs" / f"{run}.json").write_text(json.dumps(record))


def fabricate(folder: Path, kind: str) -> None:
    """Write made-up results under `folder`: kind is "none", "quick" (local), "partial" (some backbones) or "full"."""
    backbones = tables.BACKBONES[:3] if kind == "partial" else tables.BACKBONES
    if kind in ("partial", "full"):
        _write(folder / "results", "cpu", ("physionet_2012", "italy_air"), backbones, 3)
    if kind != "none":
        _write(folder / "work" / "quick", "quick", ("simulated_icu", "simulated_air"), tables.BACKBONES, 1)


def environment(home: Path, **more) -> dict:
    """The environment in which the book under `home` is built."""
    return {
        **os.environ,
        "MODTS_HOME": str(home),
        "NO_COLOR": "1",
        **{name: str(value) for name, value in more.items()},
    }


def build_book(home: Path) -> float:
    """Build the book under `home`, warnings being errors; returns the seconds it took."""
    clock = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MAIN, "build", "-W", "-n", "--keep-going", "-q", str(home)],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return time.perf_counter() - clock


def _stand_in(path: Path) -> None:
    """A notebook in the place of one that has not been written yet."""
    import nbformat

    cells = [
        nbformat.v4.new_markdown_cell(f"# {path.stem}\n\nNot written yet."),
        nbformat.v4.new_code_cell("cohort = 'simulated_icu'"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@functools.cache
def _built(kind: str) -> Path:
    """The built book's folder; built once a process and removed at its end."""
    home = Path(tempfile.mkdtemp(prefix="modts-book-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, home / name)
    shutil.copytree(ROOT / "book", home / "book", ignore=shutil.ignore_patterns("_generated"))
    (home / "notebooks").mkdir()
    for name in NOTEBOOKS:
        source = ROOT / "notebooks" / f"{name}.ipynb"
        shutil.copy(source, home / "notebooks") if source.is_file() else _stand_in(home / "notebooks" / f"{name}.ipynb")
    if kind == "made up":
        fabricate(home, "full")
        places = {"MODTS_RESULTS": home / "results", "MODTS_WORK": home / "work"}
    else:
        places = {"MODTS_RESULTS": ROOT / "results", "MODTS_WORK": ROOT / "work"}
    subprocess.run(
        [sys.executable, "-m", "modts.pages"],
        cwd=home,
        env=environment(home, **places),
        check=True,
        capture_output=True,
    )
    build_book(home)
    return home / "_build" / "html"


@pytest.fixture(scope="module", params=["made up", "published"])
def book(request) -> Path:
    """The built book, once from made-up results and once from the published ones (and a local quick run, if any)."""
    if importlib.util.find_spec("jupyter_book") is None:
        pytest.skip("Jupyter Book is not installed: the extra 'book' brings it.")
    if request.param == "published" and not (ROOT / "results" / "metrics.csv").is_file():
        pytest.skip("No results are published yet (results/metrics.csv).")
    return _built(request.param)
