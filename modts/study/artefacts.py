"""What later stages start from: pretrained backbones, latents and what baselines predict, from disk or made now.

Every artefact is stored under the hash of its recipe: data, parameters, seed and the code that decides it. What exists is not computed again,
and a change reruns what depends on it and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from modts import runs
from modts.backbones import build, load_backbone, options_of, place, replay
from modts.backbones import extract as extract_latents
from modts.cohorts import by_test, load_cohort, mask, training_windows, with_external
from modts.errors import ModtsError
from modts.learning import fit_baseline
from modts.learning import pretrain as pretrain_backbone

from .params import Extract, Pretrain

SPLITS = ("train", "val", "test")
TRAINING = ("pattern", "rate", "epochs", "patience", "batch_size", "lr", "schedule", "clip")
BUILDING = ("size", "config", "device", "reading", "scaling", "centre")
PRETRAINING = (*BUILDING, "criterion", *TRAINING)
# the parameters that some of them have
OF_BASELINES = {"GRU": ("gru_epochs", "gru_settings"), "TabICL": ("tabular_checkpoint",)}


@lru_cache(maxsize=4)
def cohort_for(name: str, seed: int):
    """The cohort at a seed of a run: stays split by it; a series at the origin that it names, seed modulo 3, which is then its split seed.

    Of a series the seeds 0, 1, 2 are three origins with one initialisation each, and 0 to 8 three origins with three.
    """
    return load_cohort(name, seed=seed)


@lru_cache(maxsize=4)
def tested(name: str, external: str, seed: int):
    """The cohort at a seed, with the stays of its external test cohort, if it has one, behind its test split (see cohorts.external)."""
    cohort = cohort_for(name, seed)
    return with_external(cohort, load_cohort(external)) if external else cohort


def note_data(run: runs.Run, cohort) -> None:
    """Write down which data a run has seen."""
    external = cohort.notes.get("external")
    run.data_hash[str(cohort.split_seed)] = external["own"] if external else cohort.content_hash
    if external:
        run.extra["external"] = {name: external[name] for name in ("name", "n", "data")}
    if run.params.get("unlabelled"):
        beside = _more(run.params["unlabelled"])
        run.extra["unlabelled"] = {"name": beside.name, "n": beside.n_samples, "data": beside.content_hash}


def windows(cohort) -> dict[str, np.ndarray]:
    """Raw windows per split."""
    return {name: cohort.part(name)[0] for name in SPLITS}


def lengths(cohort) -> dict[str, np.ndarray]:
    """Steps of each series per split; nothing where every series fills its window."""
    return {} if cohort.lengths is None else {name: cohort.lengths_of(name) for name in SPLITS}


@lru_cache(maxsize=2)
def _more(name: str):
    """The cohort whose stays join the pretraining without labels, or None."""
    return load_cohort(name) if name else None


def pretraining(params: Pretrain) -> dict:
    """What decides a pretraining beside its cohort and its seed, as a part of a recipe."""
    beside = {"unlabelled": _more(params.unlabelled).content_hash} if params.unlabelled else {}
    return settings(params, PRETRAINING) | beside


def settings(params, names: tuple[str, ...]) -> dict:
    """Those of the parameters, as a part of a recipe or as keyword arguments."""
    return {name: getattr(params, name) for name in names}


def fresh(params: Pretrain, cohort, seed: int):
    """The backbone of a seed at its random weights."""
    options = options_of(params.backbone, reading=params.reading)
    given = settings(params, ("config", "scaling", "centre"))
    made = build(params.backbone, cohort, params.size, params.criterion, options, seed, **given)
    return _placed(made, params)


def _placed(backbone, params: Pretrain):
    """The backbone on the run's device; on a GPU a recurrent one trains by replaying CUDA graphs."""
    backbone = backbone.to(place(params.device))
    return replay(backbone) if params.device == "cuda" and backbone.fast is not None else backbone


def pretrain_spec(params: Pretrain, seed: int) -> dict:
    """The recipe of a seed's pretrained backbone; no checkpoint is read for it."""
    return {
        "stage": "pretrain",
        "code": runs.code_hash("pretrain", params.backbone),
        "data": cohort_for(params.cohort, seed).content_hash,
        "backbone": params.label,
        "seed": seed,
        **pretraining(params),
    }


def pretrained(params: Pretrain, seed: int, run: runs.Run | None = None):
    """The pretrained backbone of a seed: from its checkpoint, or made now. Returns (backbone, cohort, its recipe's hash)."""
    cohort, spec = cohort_for(params.cohort, seed), pretrain_spec(params, seed)
    folder = runs.artifact_dir("pretrain", cohort.name, params.backbone, spec)
    path = folder / "backbone.safetensors"
    if not path.exists():
        runs.seed_everything(seed, params.threads)
        backbone = fresh(params, cohort, seed)
        X, lengths = training_windows(cohort, _more(params.unlabelled))
        clock, training = time.perf_counter(), settings(params, TRAINING)
        history = pretrain_backbone(
            backbone,
            X,
            cohort.part("val")[0],
            lengths=None if lengths is None else (lengths, cohort.lengths_of("val")),
            seed=seed,
            checkpoint=folder / "training.safetensors",
            progress=f"{params.label} seed {seed}",
            **training,
        )
        backbone.save(
            path,
            recipe=runs.key(spec),
            cohort=cohort.name,
            data_hash=cohort.content_hash,
            split_seed=cohort.split_seed,
            seed=seed,
            training=training | ({"unlabelled": params.unlabelled} if params.unlabelled else {}),
            **{"validation_mae" if backbone.row.imputes else "validation_loss": history.best},
            best_epoch=history.best_epoch,
            history=history.validation,
            capped=history.capped,
            seconds=round(time.perf_counter() - clock, 2),
            hardware=runs.hardware(),
            code_version=runs.code_version(),
            packages=runs.packages(),
        )
        (folder / "training.safetensors").unlink(missing_ok=True)
    own = runs.own_file(params.backbone)
    backbone = load_backbone(path, own=own and own.path)
    backbone = _placed(backbone, params)
    _same_recipe(path, backbone, {"recipe": runs.key(spec), "seed": seed, "data_hash": cohort.content_hash})
    if run is not None:
        note_data(run, cohort)
        run.history[str(seed)] = backbone.card["history"]
        run.timings[f"pretrain seed {seed}"] = backbone.card["seconds"]
        run.capped(f"pretrain seed {seed}", backbone.card["capped"])
    return backbone, cohort, runs.key(spec)


def _same_recipe(path, backbone, wanted: dict) -> None:
    """Refuse a whole checkpoint that lies in another's place; its card says what it is."""
    found = {name: backbone.card.get(name) for name in wanted}
    if found != wanted:
        differs = ", ".join(
            f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]
        )
        raise ModtsError(
            f"{path} is another backbone's checkpoint ({backbone.name}: {differs}); delete it and run its job again."
        )


def hidden_test(params, cohort, scaler, seed: int):
    """Test windows with artificial gaps (raw), their true z-scores, and the cells to score.

    Each test has masks of its own, so that an external one changes nothing of the other's.
    """
    X, _ = cohort.part("test")
    again = runs.epoch_seed(seed, -2)
    hidden = np.concatenate(
        [mask(X[rows], params.pattern, params.rate, seed=again) for rows in by_test(cohort).values()]
    )
    truth = scaler.transform(X)  # NaN also where the scaler never saw the feature: nothing to score
    return hidden, np.nan_to_num(truth), np.isnan(hidden) & ~np.isnan(truth)


def latents_spec(params: Extract, seed: int, start: str, pooling: str) -> dict:
    """The recipe of latents; neither they nor a checkpoint are read for it."""
    return {
        "stage": "extract",
        "code": runs.code_hash("extract", params.backbone),
        "data": tested(params.cohort, params.external, seed).content_hash,
        "backbone": params.label,
        "seed": seed,
        "start": start,
        "pooling": pooling,
        **(pretraining(params) if start == "pretrained" else settings(params, BUILDING)),
    }


def latents_for(params: Extract, seed: int, start: str, pooling: str) -> tuple[dict[str, np.ndarray], object, str]:
    """Latents per split of the pretrained or the untrained ("random") backbone, with the cohort and the recipe's hash."""
    cohort, spec = tested(params.cohort, params.external, seed), latents_spec(params, seed, start, pooling)
    path = runs.artifact_dir("extract", cohort.name, params.backbone, spec) / "latents.npz"
    if not path.exists():
        if start == "pretrained":
            backbone, _, _ = pretrained(params, seed)
        else:
            backbone = fresh(params, cohort, seed)
        runs.seed_everything(seed, params.threads)
        runs.write_arrays(
            path,
            runs.key(spec),
            **{
                name: extract_latents(backbone, X, pooling, lengths=cohort.lengths_of(name))
                for name, X in windows(cohort).items()
            },
        )
    return runs.read_arrays(path, runs.key(spec)), cohort, runs.key(spec)


def baseline_place(params, name: str, seed: int, labelled: np.ndarray) -> tuple[str, Path]:
    """The key of a baseline's recipe, and the file that holds what it predicts."""
    cohort, own = tested(params.cohort, params.external, seed), _of_baseline(params, name)
    spec = {
        "stage": "baselines",
        "code": runs.code_hash("baselines"),
        "data": cohort.content_hash,
        "name": name,
        "seed": seed,
        "labelled": hashlib.sha256(np.asarray(labelled, dtype=np.int64).tobytes()).hexdigest(),
        **own,
    }
    if "tabular_checkpoint" in own:
        with open(own["tabular_checkpoint"], "rb") as file:
            spec["tabular_checkpoint"] = hashlib.file_digest(file, "sha256").hexdigest()
    folder = runs.artifact_dir("baselines", cohort.name, re.sub("[^A-Za-z0-9]+", "_", name), spec)
    return runs.key(spec), folder / "predictions.npz"


def _of_baseline(params, name: str) -> dict:
    return settings(params, ("class_weight", *OF_BASELINES.get(name, ())))


def baseline_for(params, name: str, seed: int, labelled: np.ndarray) -> tuple[dict[str, np.ndarray], dict, float]:
    """What a baseline predicts for "val" and "test", in the units of the cohort's target; what it chose; and its seconds.

    labelled : row numbers in the cohort whose labels it may use.
    """
    recipe, path = baseline_place(params, name, seed, labelled)
    if not path.exists():
        cohort = tested(params.cohort, params.external, seed)
        runs.seed_everything(seed, params.threads)
        record, clock = {}, time.perf_counter()
        predict = fit_baseline(name, cohort, labelled, seed, params.threads, record, **_of_baseline(params, name))
        found = {part: predict(cohort.part(part)[0], cohort.lengths_of(part)) for part in ("val", "test")}
        seconds = time.perf_counter() - clock
        runs.write_arrays(path, recipe, **found, record=np.array(json.dumps(record)), seconds=np.float64(seconds))
    saved = runs.read_arrays(path, recipe)
    return {part: saved[part] for part in ("val", "test")}, json.loads(str(saved["record"])), float(saved["seconds"])
