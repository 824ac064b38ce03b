"""Made-up results of every kind, and the book built from them (or from the published ones) in a temporary folder."""

import csv
import fcntl
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modts import runs
from modts.backbones import SIX
from modts.book import latents, learn, pages, play, results
from modts.book.fragments import NOTEBOOKS
from modts.study import EFFECT_COLUMNS, QUESTIONS, TRANSFERS
from modts.study.collect import LATENCY_COLUMNS, metric_rows

ROOT = Path(__file__).resolve().parent.parent
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
    "simulated_air": {
        "name": "simulated_air",
        "title": "Simulated air",
        **_SERIES,
        **_ABOUT,
        "notes": {},
        "origins": [
            {"origin": 0, "train": 240, "val": 80, "test": 80, "test_from": "2023-11-18", "test_to": "2024-02-05"},
            {"origin": 1, "train": 180, "val": 60, "test": 80, "test_from": "2023-08-30", "test_to": "2023-11-17"},
        ],
    },
}
BASELINES = {
    "classification": ("LightGBM", "GRU", "Logistic regression", "LightGBM, measurement only"),
    "regression": ("Ridge regression", "LightGBM", "MiniRocket"),
}
_MAIN = "from jupyter_book.cli.main import main; main()"  # the package has no __main__


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
            best = 0.8 if task == "classification" else 0.2
            for place, name in enumerate(BASELINES[task]):
                add(
                    "baselines",
                    metric,
                    best - 0.1 * place * (best - 0.5),  # the first is the strongest
                    backbone=name,
                    arm="baseline",
                    pooling="statistics",
                    label_fraction=fraction,
                )
    if task == "classification":
        for name in backbones[:2]:
            moved = [(arm, "simulated_icu") for arm in ("transfer", "transfer_finetune")]
            for arm, source in (("frozen", ""), *moved, ("e2e", "")):
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
                LATENCY_COLUMNS,
                (
                    profile,
                    cohort,
                    name,
                    arm,
                    stage,
                    batch,
                    1.5,
                    2.0,
                    1000 if batch == 1 else 30,
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


def _effects(profile, cohort, backbones, draw):
    """Effects as `modts effects` writes them: a row a backbone, and their mean, for every question but those of arms that nobody ran."""
    task, rows = COHORTS[cohort]["task"], []
    fractions = (1.0, 0.1) if task == "classification" else (1.0,)
    for metric in ("auroc", "auprc") if task == "classification" else ("mae", "mse"):
        for question in (*QUESTIONS, *TRANSFERS):
            nobody = ("fusion", "norm", "last_block", "lora")
            others = ("shipped", "GRU", "transfer") if task == "regression" else ("MiniRocket",)
            if question.startswith(nobody) or any(word in question for word in others):
                continue
            source, names = ("simulated_icu", backbones[:2]) if question in TRANSFERS else ("", backbones)
            for fraction in (1.0,) if source else fractions:
                for name in (*names, "all"):
                    middle = draw.gauss(0, 0.03)
                    p = draw.random()
                    values = (
                        middle,
                        middle - 0.02,
                        middle + 0.02,
                        p,
                        min(1, 3 * p),
                        ", ".join(filter(None, (profile, question, cohort, metric, source and f"from {source}"))),
                        3,
                        1,
                    )
                    word = draw.choice(("better", "worse", "equivalent", "cannot tell"))
                    run = f"{profile}-heads-{cohort}-{backbones[0] if name == 'all' else name}"
                    row = (cohort, "", source, task, question, name, fraction, metric, "split", *values, word, run)
                    rows.append(dict(zip(EFFECT_COLUMNS, row, strict=True)))
    return rows


def _write(folder: Path, profile: str, cohorts, backbones, seeds) -> None:
    draw = random.Random(0)
    rows = [row for cohort in cohorts for row in _rows(profile, cohort, backbones, seeds, draw)]
    latency = [row for cohort in cohorts for row in _latency(profile, cohort, backbones)]
    effects = [row for cohort in cohorts for row in _effects(profile, cohort, backbones, draw)]
    records = []
    (folder / "runs").mkdir(parents=True)
    for run in sorted({row["run"] for row in [*rows, *latency]}):
        _, stage, rest = run.split("-", 2)
        record = {
            "run": run,
            "stage": stage,
            "profile": profile,
            "params": {"profile": profile, "cohort": rest.split("-")[0], "seeds": [0]},
            "rows": [row for row in rows if row["run"] == run],
            "latency": [row for row in latency if row["run"] == run],
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
        if stage == "baselines":
            record["not_run"] = {"TabICL": "no weights were <given>."}
        records.append(record)
        (folder / "runs" / f"{run}.json").write_text(json.dumps(record))
    for name, content, columns in (
        ("metrics", metric_rows(records), runs.COLUMNS),
        ("latency", latency, LATENCY_COLUMNS),
        ("effects", effects, EFFECT_COLUMNS),
    ):
        _write_table(folder / f"{name}.csv", columns, content)
    (folder / "cohorts.json").write_text(json.dumps({name: COHORTS[name] for name in cohorts}))


def _write_table(path: Path, columns, rows: list[dict]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def benchmark_rows(backbones=SIX) -> list[dict]:
    """Rows as `make bench` writes them, under the names that it gives them; three of the 16 targets are missed."""
    rows = []

    def add(part, name, peer, ours, theirs, unit="s", target="", note=""):
        run, ratio = f"bench-2026010{1 + (part == 'loading')}T030405Z", f"{theirs / ours:.4g}"
        rounds = 1000 if name.endswith("p99") else 3
        low, high = ("", "") if part == "economics" else (0.9 * theirs / ours, 1.05 * theirs / ours)
        values = (part, name, peer, ours, theirs, ratio, low, high, unit, target, rounds, note, HARDWARE, run)
        rows.append(dict(zip(results.TABLES["benchmarks"], values, strict=True)))

    add("heads", "400 simple heads, classification", "one after another, full batch", 2, 42, "s", 15, "100 steps each")
    add("heads", "400 simple heads, classification", "scikit-learn LogisticRegression", 2, 6, "s", 4, "same, or nearly")
    add("heads", "400 simple heads, classification, matrix products alone", "scikit-learn LogisticRegression", 1.6, 5.6)
    add("loading", "PhysioNet 2012, second load", "our first", 1.5, 31.5)
    for place, name in enumerate(backbones):
        add("latents", f"latents of 512 windows, {name}", "the bare forward pass", 0.3, 0.29 - 0.005 * place, "s", 0.91)
        add("pretraining", f"an epoch of pretraining, 512 windows, {name}", "PyPOTS fit", 1, 1.5 + place, "s", 1)
        for batch in (1, 256):
            forward, their_forward = (place + 1) * batch**0.5, 1.2 * (place + 1) * batch**0.5
            what = f"raw window to probability, {name}, batch {batch}"
            ours, theirs = forward + 0.5, their_forward + 6
            add("serving", f"{what}, p50", "PyPOTS predict, end to end", ours, theirs, "ms")
            add("serving", f"{what}, p99", "PyPOTS predict, end to end", ours * 1.5, theirs * 2, "ms")
            add("serving", f"{what}, p50", "the bare forward pass", ours, forward, "ms")
            add("serving", f"{what}, p50", "the end-to-end classifier, forward pass alone", ours, their_forward, "ms")
    for name in [name for name in ("GRU-D", "SAITS") if name in backbones]:
        for n, steps in ((2557, 48), (1278, 48), (639, 48), (639, 24), (639, 96)):
            what, once, head, whole = f"{name}, {n} windows of {steps} steps", n * steps / 500, n / 2e5, n * steps / 900
            add("economics", f"one more task, {what}", "an end-to-end run", head, whole, "s", 100 if n == 2557 else "")
            add("economics", f"pretraining and latents, once, {what}", "an end-to-end run", once, whole)
            paid = once / (whole - head)
            add("economics", f"tasks until the backbone is paid for, {what}", "100 tasks", paid, 100, "tasks")
        add("economics", f"peak memory, 100 heads, {name}", "an end-to-end run", 0.9, 1.7, "GiB")
    return rows


def roofline_rows(rows: list[dict]) -> list[dict]:
    """A roofline row for every row of the heads and of the latents: heads are bound by arithmetic, latents by memory."""
    out = []
    for row in rows:
        if row["part"] in ("heads", "latents"):
            counted = (200, 1, 5000) if row["part"] == "heads" else (1, 2, 100)
            best = 3 if "scikit" in row["peer"] else 20 if row["part"] == "heads" else 0.95
            values = (row["name"], row["peer"], *counted, row["ours"], best, 200, 20, 1, HARDWARE, row["run"])
            out.append(dict(zip(results.TABLES["roofline"], values, strict=True)))
    return out


def write_benchmarks(folder: Path, rows: list[dict]) -> None:
    """`benchmarks.csv` with these rows, `roofline.csv`, and a file for each of their runs."""
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    tables = {
        "benchmarks.csv": (results.TABLES["benchmarks"], rows),
        "roofline.csv": (results.TABLES["roofline"], roofline_rows(rows)),
    }
    for name, (columns, content) in tables.items():
        _write_table(folder / name, columns, content)
    for run in {row["run"] for row in rows}:
        record = {
            "run": run,
            "started": "2026-01-02T03:04:05Z",
            "hardware": HARDWARE,
            "threads": 2,
            "code_version": "0123456789ab",
            "packages": {"python": "3.11"},
            "command": "make bench",
        }
        (folder / "benchmarks" / f"{run}.json").write_text(json.dumps(record))


def fabricate(folder: Path, kind: str) -> None:
    """Write made-up results under `folder`: kind is "none", "quick" (local), "partial" (some backbones) or "full"."""
    backbones = SIX[:3] if kind == "partial" else SIX
    if kind in ("partial", "full"):
        _write(folder / "results", "cpu", ("physionet_2012", "italy_air"), backbones, 3)
        write_benchmarks(folder / "results", benchmark_rows(() if kind == "partial" else backbones))
    if kind != "none":
        _write(folder / "work" / "quick", "quick", ("simulated_icu", "simulated_air"), SIX, 1)


def from_rows() -> dict:
    """The generated pieces that are made from rows: all but those of the chapters under "Learn", which compute on made stays."""
    return {name: page for name, page in pages.PAGES.items() if name not in learn.PIECES | latents.PIECES | play.PIECES}


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


def _built(kind: str) -> Path:
    """The built book's folder; built once a session by the worker that comes first (conftest.py removes it at the end)."""
    home = Path(os.environ["MODTS_TESTS"], f"book {kind}")
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "built").is_file():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            _build(kind, home)
            before = {path: path.stat().st_mtime_ns for path in home.glob("_build/html/**/*.html")}
            build_book(home)  # again, before anybody reads: what it changes is told to a test
            changed = sorted(path.name for path, then in before.items() if path.stat().st_mtime_ns != then)
            (home / "built").write_text(json.dumps(changed))
    return home / "_build" / "html"


def _build(kind: str, home: Path) -> None:
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, home / name)
    shutil.copytree(ROOT / "book", home / "book", ignore=shutil.ignore_patterns("_generated"))
    shutil.copytree(ROOT / "examples", home / "examples")
    (home / "notebooks").mkdir()
    for name in (*NOTEBOOKS, "own_data"):
        source = ROOT / "notebooks" / f"{name}.ipynb"
        shutil.copy(source, home / "notebooks") if source.is_file() else _stand_in(home / "notebooks" / f"{name}.ipynb")
    if kind == "made up":
        fabricate(home, "full")
        places = {"MODTS_RESULTS": home / "results", "MODTS_WORK": home / "work"}
    else:
        places = {"MODTS_RESULTS": ROOT / "results", "MODTS_WORK": ROOT / "work"}
    subprocess.run(
        [sys.executable, "-m", "modts.book.pages"],
        cwd=home,
        env=environment(home, **places),
        check=True,
        capture_output=True,
    )
    build_book(home)


@pytest.fixture(scope="module", params=["made up", "published"])
def book(request) -> Path:
    """The built book, once from made-up results and once from the published ones (and a local quick run, if any)."""
    if importlib.util.find_spec("jupyter_book") is None:
        pytest.skip("Jupyter Book is not installed: the extra 'book' brings it.")
    if request.param == "published" and not (ROOT / "results" / "metrics.csv").is_file():
        pytest.skip("No results are published yet (results/metrics.csv).")
    return _built(request.param)
