"""Pretraining, latents, heads, end to end: what one run of each does, for all seeds of one cohort and backbone.

A run resumes where it stopped and ends with one whole result file.

Every unit of work (a pretrained backbone, a set of latents, a trained arm) is stored under the hash of its recipe: data, parameters, seed
and the code that decides it. A unit that exists is not computed again, and a change reruns what depends on it and nothing else.
"""

from __future__ import annotations

import itertools
import time
from functools import lru_cache

import numpy as np
import torch

from modts import adaptation, runs, scores
from modts.backbones import build, load_backbone
from modts.cohorts import load_cohort
from modts.latents import extract as extract_latents
from modts.missingness import mask
from modts.params import EndToEnd, Extract, Heads, Pretrain
from modts.sweep import Setting, sweep
from modts.training import epoch_seed
from modts.training import pretrain as pretrain_backbone

SPLITS = ("train", "val", "test")
_PRETRAINING = ("size", "criterion", "pattern", "rate", "epochs", "patience", "batch_size", "lr")


@lru_cache(maxsize=4)
def cohort_for(name: str, seed: int):
    """The cohort at a split seed; series are split by time, so their split does not change with the seed (it is 0)."""
    cohort = load_cohort(name, seed=0)
    return cohort if cohort.series or seed == 0 else load_cohort(name, seed=seed)


def windows(cohort) -> dict[str, np.ndarray]:
    """Raw windows per split."""
    return {name: cohort.part(name)[0] for name in SPLITS}


# --- pretraining ----------------------------------------------------------------------------------------------------------------


def pretrained(params: Pretrain, seed: int, run: runs.Run | None = None):
    """The pretrained backbone of a seed: from its checkpoint, or made now. Returns (backbone, its recipe's hash)."""
    cohort = cohort_for(params.cohort, seed)
    spec = {
        "stage": "pretrain", "code": runs.code_hash("pretrain", params.backbone), "data": cohort.content_hash, "backbone": params.backbone,
        "seed": seed, **{name: getattr(params, name) for name in _PRETRAINING},
    }  # fmt: skip
    folder = runs.artifact_dir("pretrain", cohort.name, params.backbone, spec)
    path = folder / "backbone.safetensors"
    if not path.exists():
        runs.seed_everything(seed, params.threads)
        backbone = build(params.backbone, cohort, params.size, params.criterion, seed=seed)
        parts, clock = windows(cohort), time.perf_counter()
        settings = {
            name: getattr(params, name) for name in ("pattern", "rate", "epochs", "patience", "batch_size", "lr")
        }
        history = pretrain_backbone(
            backbone, parts["train"], parts["val"], seed=seed, checkpoint=folder / "training.safetensors",
            progress=f"{params.backbone} seed {seed}", **settings,
        )  # fmt: skip
        card = {
            "cohort": cohort.name, "data_hash": cohort.content_hash, "split_seed": cohort.split_seed, "seed": seed,
            "training": settings, "validation_mae": history.best, "best_epoch": history.best_epoch, "history": history.validation,
            "seconds": round(time.perf_counter() - clock, 2), "hardware": runs.hardware(), "code_version": runs.code_version(),
            "packages": runs.packages(),
        }  # fmt: skip
        backbone.save(path, **card)
        (folder / "training.safetensors").unlink(missing_ok=True)
    backbone = load_backbone(path)
    if run is not None:
        run.data_hash[str(cohort.split_seed)] = cohort.content_hash
        run.history[str(seed)] = backbone.card["history"]
        run.timings[f"pretrain seed {seed}"] = backbone.card["seconds"]
    return backbone, cohort, runs.key(spec)


def hidden_test(params, cohort, scaler, seed: int):
    """Test windows with artificial gaps (raw), their true z-scores, and the cells to score."""
    X, _ = cohort.part("test")
    hidden = mask(X, params.pattern, params.rate, seed=epoch_seed(seed, -2))
    return hidden, np.nan_to_num(scaler.transform(X)), np.isnan(hidden) & ~np.isnan(X)


def pretrain(params: Pretrain) -> runs.Run:
    """Pretrain every seed and score the imputation of hidden test values (z-scores)."""
    run, items, seeds = runs.Run("pretrain", params.model_dump()), [], []
    for seed in params.seeds:
        backbone, cohort, _ = pretrained(params, seed, run)
        hidden, truth, scored = hidden_test(params, cohort, backbone.scaler, seed)
        items.append((truth, backbone.scaler.transform(backbone.impute(hidden)), scored))
        seeds.append((cohort.split_seed, seed))
    score_rows(run, "imputation", items, seeds, backbone=params.backbone, arm="frozen", pattern=params.pattern)
    run.finish()
    return run


# --- latents --------------------------------------------------------------------------------------------------------------------


def latents_for(params: Extract, seed: int, start: str, pooling: str) -> tuple[dict[str, np.ndarray], object, str]:
    """Latents per split of the pretrained or the untrained ("random") backbone, from disk or made now; with the cohort and the recipe's hash."""
    cohort = cohort_for(params.cohort, seed)
    upstream = (
        {name: getattr(params, name) for name in _PRETRAINING} if start == "pretrained" else {"size": params.size}
    )
    spec = {
        "stage": "extract", "code": runs.code_hash("extract", params.backbone), "data": cohort.content_hash,
        "backbone": params.backbone, "seed": seed, "start": start, "pooling": pooling, **upstream,
    }  # fmt: skip
    path = runs.artifact_dir("extract", cohort.name, params.backbone, spec) / "latents.npz"
    if not path.exists():
        if start == "pretrained":
            backbone, _, _ = pretrained(params, seed)
        else:
            backbone = build(params.backbone, cohort, params.size, params.criterion, seed=seed)
        runs.seed_everything(seed, params.threads)
        parts = {name: extract_latents(backbone, X, pooling) for name, X in windows(cohort).items()}
        runs.write_arrays(path, **parts)
    return runs.read_arrays(path), cohort, runs.key(spec)


def extract(params: Extract) -> runs.Run:
    """Extract the latents of every seed, pretrained and untrained, and record their sizes."""
    run, sizes = runs.Run("extract", params.model_dump()), {}
    for seed, start, pooling in itertools.product(params.seeds, ("pretrained", "random"), params.poolings):
        clock = time.perf_counter()
        parts, cohort, _ = latents_for(params, seed, start, pooling)
        run.timings[f"{start} {pooling} seed {seed}"] = round(time.perf_counter() - clock, 3)
        run.data_hash[str(cohort.split_seed)] = cohort.content_hash
        sizes[f"{start} {pooling}"] = [sum(map(len, parts.values())), parts["train"].shape[1]]
    run.extra["latents"] = sizes
    run.finish()
    return run


# --- arms -----------------------------------------------------------------------------------------------------------------------


def _unit(stage: str, params, seed: int, spec: dict, work):
    """A trained arm from disk, or made now by work(checkpoint). Returns (test prediction, validation score, seconds)."""
    spec = {
        "stage": stage,
        "code": runs.code_hash(stage, params.backbone),
        "seed": seed,
        "backbone": params.backbone,
        **spec,
    }
    folder = runs.artifact_dir(stage, params.cohort.rsplit("/", 1)[-1].removesuffix(".npz"), params.backbone, spec)
    path = folder / "outcome.npz"
    if not path.exists():
        runs.seed_everything(seed, params.threads)
        clock = time.perf_counter()
        outcome = work(folder / "training.safetensors")
        runs.write_arrays(
            path, prediction=outcome.prediction, validation=np.float64(outcome.validation),
            seconds=np.float64(time.perf_counter() - clock), curve=np.array(outcome.history.validation),
        )  # fmt: skip
        (folder / "training.safetensors").unlink(missing_ok=True)
    saved = runs.read_arrays(path)
    return saved["prediction"], float(saved["validation"]), float(saved["seconds"])


def _tuned(candidates: list[tuple[float, float]], seeds: list[int], unit, better):
    """Compare the candidates on the validation score of the first seed, then run every seed with the winner.

    unit(seed, lr, weight_decay) -> (prediction, validation, seconds). Returns (outcomes per seed, the winner, all seconds of tuning).
    """
    first = {candidate: unit(seeds[0], *candidate) for candidate in candidates}
    winner = better(first, key=lambda candidate: first[candidate][1])
    return [unit(seed, *winner) for seed in seeds], winner, sum(outcome[2] for outcome in first.values())


def run_arm(run, stage, params, candidates, arm, head, pooling, fraction, make, source=""):
    """Tune, train and score one arm over all seeds. make(seed) -> (cohort, targets, spec, work(labelled, lr, wd, checkpoint))."""
    prepared = {}

    def unit(seed, lr, weight_decay):
        if seed not in prepared:
            cohort, spec, work = make(seed)
            targets, _ = adaptation.labels(cohort)
            prepared[seed] = cohort, targets, labelled_rows(cohort, fraction, seed), spec, work
        _, targets, labelled, spec, work = prepared[seed]
        spec = {
            **spec,
            "arm": arm,
            "head": head,
            "pooling": pooling,
            "fraction": fraction,
            "lr": lr,
            "wd": weight_decay,
        }
        return _unit(
            stage, params, seed, spec, lambda checkpoint: work(targets, labelled, lr, weight_decay, checkpoint)
        )

    classification = cohort_for(params.cohort, params.seeds[0]).task == "classification"
    outcomes, winner, tuning = _tuned(candidates, params.seeds, unit, max if classification else min)
    items, seeds = [], []
    for seed, (prediction, _, seconds) in zip(params.seeds, outcomes, strict=True):
        cohort, targets, labelled, _, _ = prepared[seed]
        y = targets["test"]
        items.append((np.nan_to_num(y.y), prediction, y.seen))
        seeds.append((cohort.split_seed, seed))
        run.data_hash[str(cohort.split_seed)] = cohort.content_hash
        name = f"{arm}|{head}|{pooling}|{fraction:g}"
        run.predictions[f"{name}|{cohort.split_seed}|{seed}"] = prediction
        run.timings[f"{name} seed {seed}"] = round(seconds, 3)
    run.timings[f"{name} tuning"] = round(tuning, 3)
    run.extra.setdefault("chosen", {})[name] = {"lr": winner[0], "weight_decay": winner[1], "labelled": len(labelled)}
    score_rows(
        run, cohort.task, items, seeds, backbone=params.backbone, arm=arm, head=head, pooling=pooling, label_fraction=fraction,
        pattern=params.pattern, source=source,
    )  # fmt: skip


def labelled_rows(cohort, fraction: float, seed: int) -> np.ndarray:
    """Positions in the training split whose labels a label fraction leaves."""
    return np.flatnonzero(np.isin(cohort.splits["train"], cohort.labelled(fraction, seed)))


def score_rows(run, task, items, seeds, **columns) -> None:
    """One row a seed and metric, and one over all seeds (its seeds left empty)."""
    for item, (split_seed, init_seed) in zip(items, seeds, strict=True):
        for metric, (value, low, high) in scores.score(task, *item).items():
            run.row(
                task=task, metric=metric, value=value, low=low, high=high, n_test=len(item[0]), split_seed=split_seed,
                init_seed=init_seed, **columns,
            )  # fmt: skip
    for metric, (value, low, high) in scores.score_seeds(task, items).items():
        run.row(task=task, metric=metric, value=value, low=low, high=high, n_test=len(items[0][0]), **columns)


def heads(params: Heads) -> runs.Run:
    """Heads on frozen latents, pretrained and untrained, at every label fraction."""
    run = runs.Run("heads", params.model_dump())
    for arm, pooling, head in itertools.product(("frozen", "untrained"), params.poolings, params.heads):

        def latents(seed, start=adaptation.ARMS[arm].start, pooling=pooling):
            return latents_for(params, seed, start, pooling)

        make = on_latents(params, head, latents)
        for fraction in params.label_fractions:
            run_arm(run, "heads", params, head_candidates(params), arm, head, pooling, fraction, make)
    run.finish()
    return run


def head_candidates(params: Heads) -> list[tuple[float, float]]:
    """The (learning rate, weight decay) among which a head's are chosen."""
    return list(itertools.product(params.head_lrs, params.head_weight_decays))


def on_latents(params: Heads, head: str, latents):
    """make(seed) for an arm that trains a head on latents(seed) (see run_arm): all its candidates and label fractions in one sweep."""
    swept = {}

    def make(seed):
        parts, cohort, upstream = latents(seed)

        def work(targets, labelled, lr, weight_decay, checkpoint):
            if seed not in swept:
                grid = itertools.product(params.label_fractions, head_candidates(params))
                keys = [(labelled_rows(cohort, fraction, seed), *candidate) for fraction, candidate in grid]
                trained = sweep(
                    head, parts, targets, [Setting(*key, seed) for key in keys], epochs=params.head_epochs, patience=params.head_patience
                )  # fmt: skip
                swept[seed] = {
                    (rows.tobytes(), *candidate): pair for (rows, *candidate), pair in zip(keys, trained, strict=True)
                }
            model, history = swept[seed][labelled.tobytes(), lr, weight_decay]
            return adaptation.outcome(cohort.task, model, history, torch.from_numpy(parts["test"]))

        return cohort, {"upstream": upstream, "epochs": params.head_epochs, "patience": params.head_patience}, work

    return make


def end_to_end(params: EndToEnd) -> runs.Run:
    """Fine-tuning, end-to-end training with the reconstruction loss, and PyPOTS's classifier as shipped."""
    run = runs.Run("end_to_end", params.model_dump())
    candidates = [(lr, 0.0) for lr in params.e2e_lrs]
    for arm, pooling, fraction in itertools.product(params.arms, params.poolings, params.label_fractions):
        if arm == "e2e_shipped":
            if cohort_for(params.cohort, params.seeds[0]).task != "classification" or pooling != params.poolings[0]:
                continue  # PyPOTS ships classifiers only, and they bring their own pooling
            run_arm(run, "end_to_end", params, candidates, arm, "", "", fraction, whole(params, arm, "", "paper"))
        else:
            head = params.heads[0]
            run_arm(
                run, "end_to_end", params, candidates, arm, head, pooling, fraction, whole(params, arm, head, pooling)
            )
    run.finish()
    return run


def whole(params: EndToEnd, arm: str, head: str, pooling: str):
    """make(seed) for an arm that trains backbone and head together (see run_arm)."""
    fixed = {
        name: getattr(params, name)
        for name in ("size", "criterion", "e2e_epochs", "e2e_patience", "auxiliary", "pattern", "rate", "batch_size")
    }

    def make(seed):
        cohort = cohort_for(params.cohort, seed)
        from_pretrained = adaptation.ARMS[arm].start == "pretrained"
        spec = {
            **fixed,
            "data": cohort.content_hash,
            "upstream": pretrained(params, seed)[2] if from_pretrained else "",
        }

        def work(targets, labelled, lr, weight_decay, checkpoint):
            if from_pretrained:
                backbone = pretrained(params, seed)[0]
            else:
                backbone = build(params.backbone, cohort, params.size, params.criterion, seed=seed)
            return adaptation.adapt(
                arm, head, targets, labelled, backbone=backbone, windows=windows(cohort), pooling=pooling, lr=lr,
                weight_decay=weight_decay, epochs=params.e2e_epochs, patience=params.e2e_patience, batch_size=params.batch_size,
                auxiliary=params.auxiliary, pattern=params.pattern, rate=params.rate, seed=seed, checkpoint=checkpoint,
            )  # fmt: skip

        return cohort, spec, work

    return make
