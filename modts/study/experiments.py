"""What one run of each notebook does: all seeds of one cohort and backbone, from a cohort's name to one whole result file.

A run resumes where it stopped: every unit of work is stored (see `artefacts` and `arms`).
"""

from __future__ import annotations

import itertools
import time

import numpy as np

from modts import runs
from modts.backbones import BACKBONES, Scaler, pool, ships_classifier
from modts.backbones import extract as extract_latents
from modts.cohorts import align, to_source_space
from modts.errors import ModtsError
from modts.learning import ARMS, IMPUTERS, PREDICTORS, SHIPPED_TASKS, Head, Shipped, impute, labels, why_not
from modts.serving import Predictor, measure

from .arms import FEW, HeadArm, WholeArm, labelled, run_arm
from .artefacts import (
    baseline_for,
    cohort_for,
    fresh,
    hidden_test,
    latents_for,
    lengths,
    note_data,
    pretrained,
    tested,
    windows,
)
from .fused import Fusion, Stacked
from .params import Baselines, EndToEnd, Extract, Heads, Latency, Pretrain, Transfer
from .scoring import note_predictions, score_rows

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
    for name, pooling, head in itertools.product(("frozen", "untrained"), params.poolings, params.heads):

        def latents(seed, start=ARMS[name].start, pooling=pooling):
            return latents_for(params, seed, start, pooling)

        arm = HeadArm(params, name, head, pooling, latents=latents)
        arms = [arm] if name != "frozen" or head != params.heads[0] else [arm, Fusion.of(arm), Stacked.of(arm)]
        for arm, fraction in itertools.product(arms, params.label_fractions):
            run_arm(run, arm, fraction)
    run.finish()
    return run


def end_to_end(params: EndToEnd) -> runs.Run:
    """Training of a part or all of the network beside the head, and PyPOTS's classifier as shipped, where there is one."""
    if params.arms == ["e2e_shipped"] and cohort_for(params.cohort, params.seeds[0]).task not in SHIPPED_TASKS:
        raise ModtsError(
            f"PyPOTS ships classifiers alone, and {params.cohort} has another target; add finetune or e2e to arms."
        )
    run = runs.Run("end_to_end", params.model_dump())
    for name, pooling, fraction in itertools.product(params.arms, params.poolings, params.label_fractions):
        if name != "e2e_shipped":
            run_arm(run, WholeArm(params, name, params.heads[0], pooling), fraction)
        elif _ships(params, cohort_for(params.cohort, params.seeds[0]).task) and pooling == params.poolings[0]:
            run_arm(
                run, WholeArm(params, name, "", ""), fraction
            )  # PyPOTS ships classifiers with a pooling of their own
    run.finish()
    return run


def _ships(params: Pretrain, task: str) -> bool:
    """Whether PyPOTS has an end-to-end model of the backbone for the task: of classes alone, and not of every backbone."""
    return task in SHIPPED_TASKS and ships_classifier(params.backbone)


def transfer(params: Transfer) -> runs.Run:
    """Heads on a backbone frozen from the source cohort, on the target's own, and a network trained from scratch, side by side."""
    run, pooling = runs.Run("transfer", params.model_dump()), params.poolings[0]
    of_source = {name: getattr(params, name) for name in Pretrain.model_fields} | {
        "cohort": params.source,
        "external": "",
        "unlabelled": "",
    }
    source_params = Pretrain(**of_source)

    def moved(seed):
        """Latents of the target's windows under the source's backbone."""
        source, source_cohort, upstream = pretrained(source_params, seed)
        target = tested(params.cohort, params.external, seed)
        alignment = align(source_cohort.features, target.features)
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
                name: to_source_space(X, alignment, source_cohort.features, source_cohort.n_steps)
                for name, X in windows(target).items()
            }
            ends = {name: np.minimum(steps, source_cohort.n_steps) for name, steps in lengths(target).items()}
            made = {name: extract_latents(source, X, pooling, lengths=ends.get(name)) for name, X in shifted.items()}
            runs.write_arrays(path, runs.key(spec), **made)
        return runs.read_arrays(path, runs.key(spec)), target, runs.key(spec)

    def native(seed):
        return latents_for(params, seed, "pretrained", pooling)

    source = runs.cohort_label(params.source)
    for head in params.heads:
        own = HeadArm(params, "frozen", head, pooling, latents=native)
        other = HeadArm(params, "transfer", head, pooling, "transfer", source, latents=moved)
        for arm, fraction in ((arm, fraction) for fraction in params.label_fractions for arm in (own, other)):
            run_arm(run, arm, fraction)
    for fraction in params.label_fractions:
        run_arm(run, WholeArm(params, "e2e", params.heads[0], pooling), fraction)
    run.finish()
    return run


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
    for name, fraction in itertools.product(PREDICTORS[cohort.task], params.label_fractions):
        reason = why_not(name, cohort, params.tabular_checkpoint)
        if reason:
            run.extra.setdefault("not_run", {})[name] = reason
            continue
        items, places, pooling = [], [], "statistics" if name in ON_STATISTICS else ""
        for seed, draw in itertools.product(params.seeds, range(params.draws if fraction <= FEW else 1)):
            cohort = tested(params.cohort, params.external, seed)
            targets, scaler = labels(cohort)
            found, record, seconds = baseline_for(params, name, seed, labelled(cohort, fraction, seed, draw))
            prediction = found["test"]
            if scaler is not None:
                prediction = scaler.transform(prediction[..., None])[..., 0].reshape(targets["test"].y.shape)
            items.append((np.nan_to_num(targets["test"].y), prediction, targets["test"].seen))
            places.append((cohort.split_seed, seed, draw))
            key = "|".join(map(str, (name, "", pooling, f"{fraction:g}", *places[-1])))
            note_data(run, cohort)
            note_predictions(run, cohort, key, items[-1])
            run.timings[key] = round(seconds, 3)
            if "capped" in record:
                run.capped(key, record["capped"])
            run.extra.setdefault("chosen", {})[key] = record
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
