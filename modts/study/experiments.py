"""Comparisons around the arms: another cohort's backbone, the clock, and the simple baselines."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np

from modts import adaptation, runs
from modts import baselines as simple
from modts import latency as timing
from modts import transfer as transferring
from modts.backbones import build
from modts.heads import Head
from modts.latents import extract as extract_latents
from modts.latents import pool
from modts.params import Baselines, Latency, Pretrain, Transfer
from modts.scaling import Scaler

from .arms import (
    cohort_for,
    head_candidates,
    hidden_test,
    latents_for,
    on_latents,
    pretrained,
    run_arm,
    score_rows,
    whole,
    windows,
)


def transfer(params: Transfer) -> runs.Run:
    """Heads on a backbone frozen from the source cohort, on the target's own, and a network trained from scratch, side by side."""
    run = runs.Run("transfer", params.model_dump())
    candidates = head_candidates(params)
    source_params = Pretrain(
        **{name: getattr(params, name) for name in Pretrain.model_fields} | {"cohort": params.source}
    )
    pooling = params.poolings[0]

    def moved(seed):
        """Latents of the target's windows under the source's backbone."""
        source, source_cohort, upstream = pretrained(source_params, seed)
        target = cohort_for(params.cohort, seed)
        alignment = transferring.align(source_cohort.features, target.features)
        run.extra["overlap"] = alignment.report
        spec = {
            "code": runs.code_hash("transfer", params.backbone),
            "data": target.content_hash,
            "upstream": upstream,
            "pooling": pooling,
            "seed": seed,
        }
        path = runs.artifact_dir("transfer", target.name, params.backbone, spec) / "latents.npz"
        if not path.exists():
            shifted = {
                name: transferring.to_source_space(X, alignment, source_cohort.features, source_cohort.n_steps)
                for name, X in windows(target).items()
            }
            runs.write_arrays(path, **{name: extract_latents(source, X, pooling) for name, X in shifted.items()})
        return runs.read_arrays(path), target, runs.key(spec)

    def native(seed):
        return latents_for(params, seed, "pretrained", pooling)

    for head in params.heads:
        own, other = on_latents(params, head, native), on_latents(params, head, moved)
        for fraction in params.label_fractions:
            run_arm(run, "heads", params, candidates, "frozen", head, pooling, fraction, own)
            run_arm(
                run, "transfer", params, candidates, "transfer", head, pooling, fraction, other, source=Path(params.source).stem
            )  # fmt: skip
    for fraction in params.label_fractions:
        head = params.heads[0]
        settings = [(lr, 0.0) for lr in params.e2e_lrs]
        run_arm(
            run, "end_to_end", params, settings, "e2e", head, pooling, fraction, whole(params, "e2e", head, pooling)
        )
    run.finish()
    return run


def latency(params: Latency) -> runs.Run:
    """Raw window to prediction, stage by stage: the modular model, and PyPOTS's end-to-end classifier of the same sizes."""
    import torch

    run, seed, pooling = runs.Run("latency", params.model_dump()), params.seeds[0], params.poolings[0]
    backbone, cohort, _ = pretrained(params, seed, run)
    runs.seed_everything(seed, params.threads)
    X, _ = cohort.part("test")
    targets, _ = adaptation.labels(cohort)
    width = backbone.latents(X[:2], pooling).shape[1]
    head = Head("simple", width, targets["train"].n_outputs, seed=seed).to(backbone.device).eval()

    def pick(batch):
        return X[np.resize(np.arange(len(X)), batch)]

    def prepare(x):
        Z = torch.from_numpy(backbone.scaler.transform(x)).to(backbone.device)
        return backbone.inputs(Z), Z

    def encode(given):
        _, states = backbone.run(given[0])
        return pool(backbone.row.kind, states, given[1], pooling)

    stages = {"frozen": {"inputs": prepare, "backbone": encode, "head": lambda latent: head(latent).cpu().numpy()}}
    if cohort.task == "classification":
        shipped = adaptation.Shipped(build(params.backbone, cohort, params.size, params.criterion, seed=seed), seed)
        shipped = shipped.to(backbone.device).eval()
        stages["e2e_shipped"] = {
            "inputs": prepare,
            "backbone": lambda given: shipped.module(given[0])["classification_proba"].cpu().numpy(),
        }
    rows = []
    for arm, chain in stages.items():
        for row in timing.measure(chain, pick, params.batch_sizes, repeats=params.repeats, budget_s=5.0):
            rows.append({
                "profile": params.profile, "cohort": cohort.name, "backbone": params.backbone, "arm": arm, "stage": row["stage"],
                "batch": row["batch"], "p50_ms": round(row["p50_ms"], 4), "p99_ms": round(row["p99_ms"], 4), "repeats": row["repeats"],
                "hardware": runs.hardware(), "run": run.id,
            })  # fmt: skip
    run.extra["latency"] = rows
    run.finish()
    return run


def baselines(params: Baselines) -> runs.Run:
    """The simple baselines of a cohort: imputation of the same hidden cells, and predictors on statistics, at every label fraction."""
    run = runs.Run("baselines", params.model_dump())
    for name in simple.IMPUTERS:
        items, seeds = [], []
        for seed in params.seeds:
            cohort = cohort_for(params.cohort, seed)
            scaler = Scaler.fit(cohort.part("train")[0])
            hidden, truth, scored = hidden_test(params, cohort, scaler, seed)
            items.append((truth, simple.impute(name, scaler.transform(hidden), 0.0), scored))
            seeds.append((cohort.split_seed, seed))
        score_rows(run, "imputation", items, seeds, backbone=name, arm="baseline", pattern=params.pattern)
    for name, fraction in itertools.product(simple.PREDICTORS[cohort.task], params.label_fractions):
        items, seeds = [], []
        for seed in params.seeds:
            runs.seed_everything(seed, params.threads)
            cohort, clock, record = cohort_for(params.cohort, seed), time.perf_counter(), {}
            targets, scaler = adaptation.labels(cohort)
            prediction = simple.fit_predict(name, cohort, cohort.labelled(fraction, seed), seed, params.threads, record)
            if scaler is not None:
                prediction = scaler.transform(prediction[..., None])[..., 0]
            items.append((np.nan_to_num(targets["test"].y), prediction, targets["test"].seen))
            seeds.append((cohort.split_seed, seed))
            run.data_hash[str(cohort.split_seed)] = cohort.content_hash
            run.predictions[f"{name}||statistics|{fraction:g}|{cohort.split_seed}|{seed}"] = prediction.astype(
                np.float32
            )
            run.timings[f"{name} {fraction:g} seed {seed}"] = round(time.perf_counter() - clock, 3)
            run.extra.setdefault("chosen", {})[f"{name}|{fraction:g}|{seed}"] = record
        score_rows(
            run, cohort.task, items, seeds, backbone=name, arm="baseline", pooling="statistics", label_fraction=fraction
        )
    run.finish()
    return run
