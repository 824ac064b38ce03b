"""Published numbers made again: rows drawn at random, on a split of theirs and on one that nobody used.

    MODTS_DATA=/data/tsdb python benchmarks/again.py --rows 10              # writes results/again.csv, a row as it comes

Each row of the study's own table is drawn with equal chance. Its run is started anew, in a work folder that was empty before the first row, with
the parameters that stand in its run file, and of them only what the row needs: its arm, head, pooling, share of the labels, and one split. On a
split of the published run the number should come back as it was; on another it shows how far a new reader's number falls from the published mean
and its interval. Rows take the new splits in turn, so that rows of one network share its pretraining.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from modts import runs
from modts.book.columns import AGAIN, ROWS_AGAIN
from modts.study.collect import KEY, read_runs, read_table, table

NEW = (70, 71)  # splits that nobody used
SAME = tuple(name for name in KEY if name not in ("profile", "split_seed", "init_seed", "draw"))


def drawn(n: int, seed: int, profile: str, metric: str) -> list[dict]:
    """n rows of results/metrics.csv of a profile and metric, without replacement, in the order in which they are drawn.

    A row's lot is a hash of the seed and its own names, so rows that are published later leave the lots of the others as they are.
    """
    rows = read_table(runs.results_dir() / "metrics.csv")
    some = [row for row in rows if row["profile"] == profile and row["metric"] == metric and "," not in row["run"]]
    return sorted(some, key=lambda row: _lot(seed, row))[:n]


def _lot(seed: int, row: dict) -> str:
    return hashlib.sha256(json.dumps([seed, *(row[name] for name in SAME)]).encode()).hexdigest()


def needed(row: dict, params: dict, seed: int) -> dict:
    """The parameters of a row's run, of which only what it needs is asked."""
    one = {
        "seeds": [seed],
        "label_fractions": [float(row["label_fraction"] or 1)],
        "heads": [row["head"]],
        "poolings": [row["pooling"]],
    }
    one |= {"arms": [row["arm"]]} if row["arm"] in params.get("arms", ()) else {}
    asked = {name: value for name, value in one.items() if name in params and value not in ([""], ["statistics"])}
    return params | asked | {"profile": "again"}


def find(rows: list[dict], row: dict, seed: int) -> list[float]:
    """The values of a row's kind among others, on one split."""
    found = [one for one in rows if all(_text(one.get(name, "")) == _text(row[name]) for name in SAME)]
    return [float(one["value"]) for one in found if str(one["split_seed"]) == str(seed)]


def _text(value) -> str:
    return f"{float(value):g}" if str(value).replace(".", "", 1).isdigit() else str(value)


def made(row: dict, record: dict, seed: int, folder: str) -> float:
    """The row's number on a split, made in that work folder by a process of its own."""
    Path(folder, "asked.json").write_text(json.dumps([record["stage"], needed(row, record["params"], seed)]))
    done = subprocess.run(
        [sys.executable, __file__, "--only", folder],
        env={**os.environ, "MODTS_WORK": folder},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    (run,) = read_runs(Path(folder, "again", "runs"))
    shutil.rmtree(Path(folder, "again"))  # what was trained stays, under its recipe
    values = find(run["rows"], row, seed)
    return sum(values) / len(values)


def only(folder: str) -> None:
    """What the process of its own does: the stage's run, written into the work folder."""
    from modts.study import experiments, validate

    stage, params = json.loads(Path(folder, "asked.json").read_text())
    getattr(experiments, stage)(validate(stage, params))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS_AGAIN)
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--profile", default="study")
    parser.add_argument("--metric", default="auroc")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after so many")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        only(args.only)
        return
    path, until = runs.results_dir() / "again.csv", time.time() + 60 * args.minutes
    out = read_table(path)
    there = {tuple(str(row[name]) for name in (*SAME, "seed")) for row in out}
    published = {record["run"]: record for record in read_runs(runs.results_dir() / "runs")}
    with tempfile.TemporaryDirectory(prefix="modts-again-") as folder:
        for number, row in enumerate(drawn(args.rows, args.seed, args.profile, args.metric)):
            record = published[row["run"]]
            first = record["params"]["seeds"][0]
            for seed, kind in ((first, "same split"), (NEW[number % len(NEW)], "new split")):
                if (*(str(row[name]) for name in SAME), str(seed)) in there:
                    continue
                if time.time() > until:
                    return
                clock, value = time.perf_counter(), made(row, record, seed, folder)
                of_split = find(record["rows"], row, seed) if kind == "same split" else []
                target = sum(of_split) / len(of_split) if of_split else float(row["value"])
                about = {name: row[name] for name in ("run", "low", "high")} | {
                    "published": f"{target:.6g}",
                    "mean": row["value"],
                }
                about |= {"seed": seed, "kind": kind, "value": f"{value:.6g}", "difference": f"{value - target:+.6f}"}
                about |= {
                    "inside": int(float(row["low"]) <= value <= float(row["high"])),
                    "seconds": f"{time.perf_counter() - clock:.0f}",
                }
                out.append({name: str(text) for name, text in ({name: row[name] for name in SAME} | about).items()})
                out[-1] |= {"code": runs.code_version(), "hardware": runs.hardware()}
                print(
                    ", ".join(
                        out[-1][name]
                        for name in ("run", "arm", "head", "label_fraction", "test", "kind", "published", "value")
                    ),
                    flush=True,
                )
                runs.atomic_write(path, table(out, AGAIN))


if __name__ == "__main__":
    main()
