"""What one run of each notebook does: all seeds of one cohort and backbone, from a cohort's name to one whole result file.

A run resumes where it stopped: every unit of work is stored (see `artefacts` and `units`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from modts import runs
from modts.backbones import BACKBONES, Scaler, pool, ships_classifier
from modts.errors import ModtsError
from modts.learning import IMPUTERS, PREDICTORS, SHIPPED_TASKS, Head, Shipped, impute, labels, why_not
from modts.serving import Predictor, measure

from .arms import FEW, Arm, HeadArm, WholeArm, labelled
from .artefacts import (
    baseline_for,
    baseline_place,
    cohort_for,
    fresh,
    hidden_test,
    latents_for,
    note_data,
    pretrained,
    tested,
)
from .fused import Fusion, Stacked
from .moved import Moved, MovedWhole
from .params import Baselines, EndToEnd, Extract, Heads, Latency, Pretrain, Transfer
from .scoring import note_unit, score_rows
from .units import Units, run_arm

ON_STATISTICS = ("LightGBM", "Logistic regression", "Ridge regression", "TabICL")  # what rows call their pooling


def pretrain(params: Pretrain) -> runs.Run:
    """Pretrain every seed and score the imputation of hidden test values (z-scores); a backbone that does not impute has no row."""
    run, items, places = runs.Run("pretrain", params.model_dump()), [], []
    for seed in params.seeds:
        backbone, own, _ = pretrained(params, seed, run)
        if not backbone.row.imputes:
            continue
        cohort = tested(params.cohort, params.external, seed)
        note_data(run, cohort)
        unit = Scaler.fit(own.part("train")[0])  # one for all backbones and baselines, whatever their scaling
        hidden, truth, scored = hidden_test(params, cohort, unit, seed)
        items.append((truth, unit.transform(backbone.impute(hidden, lengths=cohort.lengths_of("test"))), scored))
        places.append((cohort.split_seed, seed, ""))
    if items:
        score_rows(
            run, cohort, "imputation", items, places, backbone=params.label, arm="frozen", pattern=params.pattern
        )
    run.finish()
    return run


def extract(params: Extract) -> runs.Run:
    """Extract the latents of every seed, pretrained and untrained, and record their sizes."""
    run, sizes = runs.Run("extract", params.model_dump()), {}
    for seed, start, pooling in itertools.product(params.seeds, ("pretrained", "random"), params.poolings):
        clock = time.perf_counter()
        parts, cohort, _ = latents_for(params, seed, start, pooling)
        run.timings[f"{start} {pooling} seed {seed}"] = round(time.perf_counter() - clock, 3)
        note_data(run, cohort)
        sizes[f"{start} {pooling}"] = [sum(map(len, parts.values())), *parts["train"].shape[1:]]
    run.extra["latents"] = sizes
    run.finish()
    return run


def heads(params: Heads) -> runs.Run:
    """Heads on frozen latents, pretrained and untrained, and the first head's fused with the statistics, at every label fraction."""
    run = runs.Run("heads", params.model_dump())
    return _finished(run, _heads_arms(params))


def _heads_arms(params: Heads) -> Iterator[tuple[Arm, float]]:
    for name, pooling, head in itertools.product(("frozen", "untrained"), params.poolings, params.heads):
        arm = HeadArm(params, name, head, pooling)
        arms = [arm] if name != "frozen" or head != params.heads[0] else [arm, Fusion.of(arm), Stacked.of(arm)]
        yield from itertools.product(arms, params.label_fractions)


def end_to_end(params: EndToEnd) -> runs.Run:
    """Training of a part or all of the network beside the head, and PyPOTS's classifier as shipped, where there is one."""
    if params.arms == ["e2e_shipped"] and cohort_for(params.cohort, params.seeds[0]).task not in SHIPPED_TASKS:
        raise ModtsError(
            f"PyPOTS ships classifiers alone, and {params.cohort} has another target; add finetune or e2e to arms."
        )
    run = runs.Run("end_to_end", params.model_dump())
    return _finished(run, _whole_arms(params))


def _whole_arms(params: EndToEnd) -> Iterator[tuple[Arm, float]]:
    for name, pooling, fraction in itertools.product(params.arms, params.poolings, params.label_fractions):
        if name != "e2e_shipped":
            yield WholeArm(params, name, params.heads[0], pooling), fraction
        elif _ships(params, cohort_for(params.cohort, params.seeds[0]).task) and pooling == params.poolings[0]:
            yield WholeArm(params, name, "", ""), fraction  # PyPOTS ships classifiers with a pooling of their own


def _ships(params: Pretrain, task: str) -> bool:
    """Whether PyPOTS has an end-to-end model of the backbone for the task: of classes alone, and not of every backbone."""
    return task in SHIPPED_TASKS and ships_classifier(params.backbone)


def transfer(params: Transfer) -> runs.Run:
    """Heads on a backbone frozen from the source cohort and on the target's own, and of `arms` what is asked for here: finetune, the source's
    backbone trained on; e2e, a network trained from scratch."""
    run = runs.Run("transfer", params.model_dump())
    run.extra["overlap"] = Moved.of(params, params.heads[0]).alignment(params.seeds[0]).report
    return _finished(run, _transfer_arms(params))


def _transfer_arms(params: Transfer) -> Iterator[tuple[Arm, float]]:
    pooling = params.poolings[0]
    for head in params.heads:
        arms = HeadArm(params, "frozen", head, pooling), Moved.of(params, head)
        yield from ((arm, fraction) for fraction in params.label_fractions for arm in arms)
    for fraction in params.label_fractions:
        if "finetune" in params.arms:
            yield MovedWhole.of(params, params.heads[0]), fraction
        if "e2e" in params.arms:
            yield WholeArm(params, "e2e", params.heads[0], pooling), fraction


ARMS_OF = {"heads": _heads_arms, "end_to_end": _whole_arms, "transfer": _transfer_arms}


def _finished(run: runs.Run, arms: Iterator[tuple[Arm, float]]) -> runs.Run:
    for arm, fraction in arms:
        run_arm(run, arm, fraction)
    run.finish()
    return run


def units_of(stage: str, params) -> Iterator[tuple[str, Path]]:
    """(Recipe's key, file) of every unit that a run is made of, whether it is there or not. No checkpoint is read, and nothing is trained."""
    for arm, fraction in ARMS_OF[stage](params) if stage in ARMS_OF else ():
        units = Units(arm, fraction)
        for (seed, draw), candidate in itertools.product(units.each(), arm.candidates()):
            yield units.place(seed, draw, candidate)
    if stage == "baselines":
        for name, fraction, reason in _predictors(params):
            for seed, draw in () if reason else _draws(params, fraction):
                cohort = tested(params.cohort, params.external, seed)
                yield baseline_place(params, name, seed, labelled(cohort, fraction, seed, draw))


def latency(params: Latency) -> runs.Run:
    """Raw window to prediction: the modular model and, where there is one, PyPOTS's end-to-end classifier of the same sizes, stage by stage as
    plain PyTorch; and the predictor as it is served, which traces its pass for a single window."""
    import torch

    run, seed, pooling = runs.Run("latency", params.model_dump()), params.seeds[0], params.poolings[0]
    backbone, cohort, _ = pretrained(params, seed, run)
    runs.seed_everything(seed, params.threads)
    X, _ = cohort.part("test")
    targets, target_scaler = labels(cohort)
    head = Head.reading(backbone.latents(X[:2], pooling), "simple", targets["train"], seed=seed)
    head = head.to(backbone.device).eval()

    def pick(batch):
        return X[np.resize(np.arange(len(X)), batch)]

    def prepare(x):
        Z = torch.from_numpy(backbone.scaler.transform(x)).to(backbone.device)
        return backbone.inputs(Z), Z

    def encode(given):
        _, states = backbone.run(given[0])
        return pool(backbone.row.kind, states, given[1], pooling, backbone.centre)

    stages = {"frozen": {"inputs": prepare, "backbone": encode, "head": lambda latent: head(latent).cpu().numpy()}}
    if _ships(params, cohort.task):
        shipped = Shipped(fresh(params, cohort, seed), seed, targets["train"].n_outputs)
        shipped = shipped.to(backbone.device).eval()
        stages["e2e_shipped"] = {
            "inputs": prepare,
            "backbone": lambda given: shipped.module(given[0])["classification_proba"].cpu().numpy(),
        }
    traced = int(params.device == "cpu" and params.backbone in BACKBONES)  # a batch of one window
    classes = targets["train"].classes if cohort.task in ("multiclass", "multilabel") else ()
    predictor = Predictor(backbone, head, pooling, target_scaler, traced, cohort.task, classes)
    stages["predictor"] = {"predict": predictor.predict}
    rows = []
    for row in measure(stages, pick, params.batch_sizes, calls=params.repeats, budget_s=params.seconds):
        rows.append(
            {
                "profile": params.profile,
                "cohort": cohort.name,
                "backbone": params.label,
                "arm": row["way"],
                "stage": row["stage"],
                "batch": row["batch"],
                "p50_ms": round(row["p50_ms"], 4),
                "p99_ms": "" if row["p99_ms"] is None else round(row["p99_ms"], 4),
                "repeats": row["repeats"],
                "hardware": runs.hardware(),
                "run": run.id,
            }
        )
    run.extra["latency"] = rows
    run.finish()
    return run


def _predictors(params: Baselines) -> Iterator[tuple[str, float, str]]:
    """(Name, label fraction, why it cannot run here) of every baseline that predicts."""
    cohort = tested(params.cohort, params.external, params.seeds[0])
    for name, fraction in itertools.product(PREDICTORS[cohort.task], params.label_fractions):
        yield name, fraction, why_not(name, cohort, params.tabular_checkpoint)


def _draws(params: Baselines, fraction: float) -> Iterator[tuple[int, int]]:
    """Every seed and draw of labels."""
    return itertools.product(params.seeds, range(params.draws if fraction <= FEW else 1))


def baselines(params: Baselines) -> runs.Run:
    """The simple baselines of a cohort: imputation of the same hidden cells, and predictors on statistics, at every label fraction."""
    run = runs.Run("baselines", params.model_dump())
    for name in IMPUTERS:
        items, places = [], []
        for seed in params.seeds:
            cohort = tested(params.cohort, params.external, seed)
            scaler = Scaler.fit(cohort.part("train")[0])
            hidden, truth, scored = hidden_test(params, cohort, scaler, seed)
            items.append((truth, impute(name, scaler.transform(hidden), 0.0), scored))
            places.append((cohort.split_seed, seed, ""))
        score_rows(run, cohort, "imputation", items, places, backbone=name, arm="baseline", pattern=params.pattern)
    for name, fraction, reason in _predictors(params):
        if reason:
            run.extra.setdefault("not_run", {})[name] = reason
            continue
        items, places, pooling = [], [], "statistics" if name in ON_STATISTICS else ""
        for seed, draw in _draws(params, fraction):
            cohort = tested(params.cohort, params.external, seed)
            targets, scaler = labels(cohort)
            found, record, seconds = baseline_for(params, name, seed, labelled(cohort, fraction, seed, draw))
            prediction = found["test"]
            if scaler is not None:
                prediction = scaler.transform(prediction[..., None])[..., 0].reshape(targets["test"].y.shape)
            items.append((np.nan_to_num(targets["test"].y), prediction, targets["test"].seen))
            places.append((cohort.split_seed, seed, draw))
            key = "|".join(map(str, (name, "", pooling, f"{fraction:g}", *places[-1])))
            note_unit(run, cohort, key, items[-1], seconds, record, record.get("capped"))
        score_rows(
            run,
            cohort,
            cohort.task,
            items,
            places,
            names=cohort.classes,
            backbone=name,
            arm="baseline",
            pooling=pooling,
            label_fraction=fraction,
        )
    run.finish()
    return run
