"""How long the published model sizes take on a GPU, and how far they get: PhysioNet 2012's set-b, whose test stays are never read.

    python benchmarks/published_sizes.py cohort.npz OUT --alone          # seconds an epoch, one process, plain and replayed
    python benchmarks/published_sizes.py cohort.npz OUT --seconds 240    # every job below beside the others, until the time is up

A job is a process: a backbone pretrained, its heads and its fine-tuning ("modular"), or the same network from random weights and PyPOTS's
classifier ("scratch"). What is written is validation only: seconds of each epoch, validation score after it. It informs the plan of a study
and decides no claim. The cohort is one file written by Cohort.save, named physionet_2012 so that TSI-Bench's sizes for it are taken.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from modts import runs
from modts.backbones import build, replay
from modts.cohorts import load_cohort
from modts.learning import Labels, Setting, adaptation, train_heads, training

# learning rate and batch: TSI-Bench's winners, for CSAI its authors' defaults
RATES = {
    "SAITS": (1.02e-4, 128), "BRITS": (1.31e-4, 128), "GRU-D": (4.25e-3, 128), "TimesNet": (2.24e-3, 128),
    "Autoformer": (1.14e-4, 128), "CSAI": (5e-4, 64),
}  # fmt: skip
SHARES = (0.1, 1.0)


class TimeIsUp(Exception):
    pass


def watched(fit, log, deadline):
    """training.fit that notes each epoch's clock and validation score, and stops when the time is up."""

    def run(model, step, validate, **settings):
        def noting():
            value = validate()
            log["epochs"].append((round(time.time() - log["start"], 2), round(float(value), 5)))
            if time.time() > deadline:
                raise TimeIsUp
            return value

        log["start"] = time.time()
        return fit(model, step, noting, **settings)

    return run


def job(name, kind, path, out, deadline, replayed):
    runs.seed_everything(0, threads=1)
    cohort = load_cohort(path)
    (X, y), (X_val, y_val) = cohort.part("train"), cohort.part("val")
    windows = {"train": X, "val": X_val, "test": X_val[:64]}
    targets = {
        k: Labels("classification", v.astype(np.int64)) for k, v in (("train", y), ("val", y_val), ("test", y_val[:64]))
    }
    lr, batch = RATES[name]
    found = {"backbone": name, "kind": kind, "units": {}}
    plain = training.fit

    def timed(unit, work):
        log = found["units"][unit] = {"epochs": [], "start": time.time(), "complete": False}
        training.fit = adaptation.fit = watched(plain, log, deadline)
        try:
            result = work()
            log["complete"] = True
            return result
        finally:
            log["seconds"], log["memory_gb"] = (
                round(time.time() - log["start"], 2),
                round(torch.cuda.max_memory_allocated() / 2**30, 2),
            )
            Path(out).write_text(json.dumps(found))

    def fresh(weights=None):
        backbone = build(name, cohort, size="paper", seed=0)
        if weights:
            backbone.load_state_dict(weights)
        backbone = backbone.to("cuda")
        return replay(backbone) if replayed and backbone.fast is not None else backbone

    def whole(arm, share, weights=None):
        rows = np.random.default_rng(0).permutation(len(y))[: round(share * len(y))]
        given = {"backbone": fresh(weights), "windows": windows}
        how = adaptation.Training(lr=lr, epochs=100, patience=10, batch_size=batch)
        timed(f"{arm} {share:g}", lambda: adaptation.adapt(arm, "simple", targets, rows, **given, training=how))

    try:
        if kind == "modular":
            backbone = fresh()
            timed(
                "pretrain",
                lambda: training.pretrain(backbone, X, X_val, epochs=200, patience=10, batch_size=batch, lr=lr),
            )
            weights = {k: v.clone() for k, v in backbone.state_dict().items()}
            latents = {part: backbone.latents(windows[part]) for part in ("train", "val")}
            for head in ("simple", "complex"):
                for share in SHARES:
                    draws = 5 if share < 1 else 1
                    rows = [np.random.default_rng(i).permutation(len(y))[: round(share * len(y))] for i in range(draws)]
                    best = []
                    for decay in (0.01, 0.1, 1.0):
                        pairs = train_heads(
                            head, latents, targets, [Setting(r, 1e-2, decay) for r in rows], epochs=60, patience=10
                        )
                        best.append(float(np.mean([history.best for _, history in pairs])))
                    found["units"][f"frozen {head} {share:g}"] = {"validation": [round(b, 5) for b in best]}
            Path(out).write_text(json.dumps(found))
            for share in SHARES:
                whole("finetune", share, weights)
        else:
            for arm in ("e2e", "e2e_shipped"):
                for share in SHARES:
                    whole(arm, share)
    except TimeIsUp:
        pass


def alone(path):
    """Seconds an epoch of pretraining with nothing beside it."""
    runs.seed_everything(0, threads=8)
    cohort = load_cohort(path)
    X, X_val = cohort.part("train")[0], cohort.part("val")[0]
    rows = []
    for name in RATES:
        for replayed in (False, True):
            backbone = build(name, cohort, size="paper", seed=0).to("cuda")
            if replayed:
                if backbone.fast is None:
                    continue
                replay(backbone)
            log = {"epochs": []}
            plain, training.fit = training.fit, watched(training.fit, log, time.time() + 12)
            try:
                training.pretrain(
                    backbone, X, X_val, epochs=6, patience=10, batch_size=RATES[name][1], lr=RATES[name][0]
                )
            except TimeIsUp:
                pass
            finally:
                training.fit = plain
            clocks = [clock for clock, _ in log["epochs"]]
            each = np.diff(clocks) if len(clocks) > 1 else clocks
            row = {
                "backbone": name,
                "replayed": replayed,
                "parameters": sum(p.numel() for p in backbone.parameters()),
                "seconds_an_epoch": round(float(np.median(each)), 3),
                "epochs": len(clocks),
                "first": clocks[0],
                "memory_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2),
            }
            torch.cuda.reset_peak_memory_stats()
            print(row, flush=True)
            rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cohort")
    parser.add_argument("out", type=Path)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--job", nargs=3, metavar=("BACKBONE", "KIND", "DEADLINE"))
    given = parser.parse_args()
    if given.job:
        name, kind, deadline = given.job
        return job(name, kind, given.cohort, given.out, float(deadline), given.replay)
    about = {
        "hardware": runs.hardware(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "packages": runs.packages(),
        "code_version": runs.code_version(),
        "data": load_cohort(given.cohort).content_hash,
        "command": " ".join(sys.argv[1:]),
    }
    if given.alone:
        runs.write_json(given.out / "published_sizes_alone.json", {**about, "rows": alone(given.cohort)})
        return None
    parts, deadline = given.out / "parts", time.time() + given.seconds
    parts.mkdir(parents=True, exist_ok=True)
    jobs = [(name, kind) for name in RATES for kind in ("modular", "scratch")]
    started = [
        subprocess.Popen(
            [
                sys.executable,
                __file__,
                given.cohort,
                str(parts / f"{name}-{kind}.json"),
                *(["--replay"] if given.replay else []),
                "--job",
                name,
                kind,
                str(deadline),
            ]
        )
        for name, kind in jobs
    ]
    for process in started:
        try:
            process.wait(max(1, deadline + 15 - time.time()))
        except subprocess.TimeoutExpired:
            process.kill()
    done = [json.loads(file.read_text()) for file in sorted(parts.glob("*.json"))]
    runs.write_json(
        given.out / "published_sizes.json", {**about, "processes": len(jobs), "seconds": given.seconds, "jobs": done}
    )
    for part in done:
        for unit, log in part["units"].items():
            if "epochs" in log:
                best = (min if unit == "pretrain" else max)((v for _, v in log["epochs"]), default=None)
                end = "complete" if log["complete"] else "cut"
                print(part["backbone"], unit, end, len(log["epochs"]), "epochs", log["seconds"], "s, best", best)
            else:
                print(part["backbone"], unit, log["validation"])
    return None


if __name__ == "__main__":
    main()
