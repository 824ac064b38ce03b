"""Arms: what one column of a table is made from, how its units of work are stored, and how a unit runs.

A unit is one arm trained for one seed, one share of the labels, one draw of them and one candidate (learning rate, weight decay). It is stored
under the hash of its recipe, so a killed run resumes at the unit where it stopped.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from modts import runs
from modts.backbones import Scaler
from modts.cohorts import TASKS
from modts.learning import (
    ARMS,
    Labels,
    Outcome,
    Setting,
    Training,
    adapt,
    labels,
    outcome,
    train_heads,
)

from .artefacts import fresh, lengths, note_data, pretrained, settings, tested, windows
from .scoring import note_predictions, score_rows

WHOLE = (
    "size",
    "config",
    "device",
    "reading",
    "scaling",
    "centre",
    "criterion",
    "e2e_epochs",
    "e2e_patience",
    "e2e_schedule",
    "e2e_clip",
    "auxiliary",
    "pattern",
    "rate",
    "batch_size",
    "class_weight",
)
FEW = 0.25  # at this share of the labels and below, which labels they are decides as much as what is compared: several draws


@dataclass(frozen=True)
class Candidate:
    """What is compared on validation: Adam's learning rate and weight decay; of networks that train whole also which of EndToEnd.per_arm."""

    lr: float
    weight_decay: float = 0.0
    place: int = 0


@dataclass
class Arm:
    """What every arm has.

    Attributes
    ----------
    params
        Of the run.
    name, head, pooling
        As in its rows; the name is a key of learning.ARMS, or "transfer".
    stage
        Whose code decides its units.
    source
        The cohort that a transferred backbone comes from.
    """

    params: object
    name: str
    head: str
    pooling: str
    stage: str
    source: str = ""

    def candidates(self) -> list[Candidate]:
        """What is compared on the validation windows of each split and draw of labels."""
        raise NotImplementedError

    def draws(self, fraction: float) -> int:
        """How many draws of a share of the labels are trained."""
        raise NotImplementedError

    def cohort(self, seed: int):
        """The cohort at that seed."""
        return tested(self.params.cohort, self.params.external, seed)

    def recipe(self, seed: int, candidate: Candidate) -> dict:
        """The part of a unit's recipe that is this arm's own."""
        raise NotImplementedError

    def code(self) -> str:
        """The hash of the code that decides its units."""
        return runs.code_hash(self.stage, self.params.backbone)

    def train(
        self, seed: int, targets: dict[str, Labels], rows: np.ndarray, candidate: Candidate, file: Path
    ) -> Outcome:
        """Train on the labels of `rows` (positions in the training split); `file` takes training checkpoints."""
        raise NotImplementedError


@dataclass
class HeadArm(Arm):
    """A head on latents; all its candidates, label fractions and draws of labels are trained in one sweep.

    latents : seed -> (latents per split, cohort, their recipe's hash).
    """

    latents: Callable = None
    stage: str = "heads"
    _read: dict = field(default_factory=dict)
    _swept: dict = field(default_factory=dict)

    def candidates(self):
        return list(
            itertools.starmap(Candidate, itertools.product(self.params.head_lrs, self.params.head_weight_decays))
        )

    def draws(self, fraction):
        return self.params.draws if fraction <= FEW else 1

    def cohort(self, seed):
        return self.read(seed)[1]

    def recipe(self, seed, candidate):
        return {
            "upstream": self.read(seed)[2],
            **settings(self.params, ("head_epochs", "head_patience", "class_weight")),
        }

    def read(self, seed):
        """(Latents per split, cohort, their recipe's hash) at a seed."""
        if seed not in self._read:
            self._read[seed] = self.latents(seed)
        return self._read[seed]

    def trained(self, seed, rows, candidate):
        """(Head, its history) of one candidate."""
        if seed not in self._swept:
            self._swept[seed] = self._sweep(seed)
        return self._swept[seed][rows.tobytes(), candidate]

    def train(self, seed, targets, rows, candidate, file):
        model, history = self.trained(seed, rows, candidate)
        parts, cohort, _ = self.read(seed)
        return outcome(cohort.task, model, history, torch.from_numpy(parts["test"]))

    def _sweep(self, seed):
        parts, cohort, _ = self.read(seed)
        labelled = [
            labelled_rows(cohort, fraction, seed, draw)
            for fraction in self.params.label_fractions
            for draw in range(self.draws(fraction))
        ]
        # a regression's targets have the scale of the labels at hand, so that each set of them is a sweep of its own
        sweeps = [labelled] if TASKS[cohort.task].probability else [[rows] for rows in labelled]
        found = {}
        for some in sweeps:
            grid = list(itertools.product(some, self.candidates()))
            trained = train_heads(
                self.head,
                parts,
                labels(cohort, self.params.class_weight, some[0])[0],
                [Setting(rows, candidate.lr, candidate.weight_decay, seed) for rows, candidate in grid],
                epochs=self.params.head_epochs,
                patience=self.params.head_patience,
            )
            found |= {(rows.tobytes(), candidate): pair for (rows, candidate), pair in zip(grid, trained, strict=True)}
        return found


@dataclass
class WholeArm(Arm):
    """Backbone and head trained together, from pretrained or from random weights; or PyPOTS's classifier as shipped."""

    stage: str = "end_to_end"
    _upstream: dict = field(default_factory=dict)

    def candidates(self):
        return [
            Candidate(lr, place=place)
            for place, params in enumerate(self.params.of_arm(self.name))
            for lr in params.e2e_lrs
        ]

    def draws(self, fraction):
        return self.params.e2e_draws if fraction <= FEW else 1

    def recipe(self, seed, candidate):
        params = self.params.of_arm(self.name)[candidate.place]
        if seed not in self._upstream:  # once a seed: it reads the checkpoint
            self._upstream[seed] = pretrained(self.params, seed)[2] if self._starts_pretrained else ""
        rank = {"lora_rank": params.lora_rank} if self.name == "lora" else {}
        return {
            **settings(params, WHOLE),
            **rank,
            "data": self.cohort(seed).content_hash,
            "upstream": self._upstream[seed],
        }

    @property
    def _starts_pretrained(self) -> bool:
        return ARMS[self.name].start == "pretrained"

    def train(self, seed, targets, rows, candidate, file):
        params, cohort = self.params.of_arm(self.name)[candidate.place], self.cohort(seed)
        if self._starts_pretrained:
            backbone = pretrained(self.params, seed)[0]
        else:
            backbone = fresh(params, cohort, seed)
        training = Training(
            lr=candidate.lr,
            weight_decay=candidate.weight_decay,
            epochs=params.e2e_epochs,
            patience=params.e2e_patience,
            batch_size=params.batch_size,
            schedule=params.e2e_schedule,
            clip=params.e2e_clip,
            auxiliary=params.auxiliary,
            pattern=params.pattern,
            rate=params.rate,
            lora_rank=params.lora_rank,
            seed=seed,
            checkpoint=file,
        )
        return adapt(
            self.name,
            self.head,
            targets,
            rows,
            backbone=backbone,
            windows=windows(cohort),
            lengths=lengths(cohort),
            pooling=self.pooling or "paper",
            training=training,
        )


def labelled(cohort, fraction: float, seed: int, draw: int) -> np.ndarray:
    """Row numbers in the cohort of one draw of a share of the training labels; the first draw is that of the seed itself."""
    return cohort.labelled(fraction, runs.epoch_seed(seed, -2 - draw) if draw else seed)


def labelled_rows(cohort, fraction: float, seed: int, draw: int) -> np.ndarray:
    """Positions in the training split whose labels a draw leaves."""
    return np.flatnonzero(np.isin(cohort.splits["train"], labelled(cohort, fraction, seed, draw)))


def in_unit(prediction: np.ndarray, of: Scaler, unit: Scaler) -> np.ndarray:
    """Standardised predictions (N, K) of one scaler in the unit of another; the same bits where the two are one."""
    same = np.array_equal(of.mean, unit.mean) and np.array_equal(of.std, unit.std)
    return prediction if same else unit.transform(of.inverse(prediction[..., None]))[..., 0]


class Units:
    """The units of one arm at one share of the labels."""

    def __init__(self, arm: Arm, fraction: float):
        self.arm, self.fraction, self._at = arm, fraction, {}

    def at(self, seed: int):
        """(cohort, its targets in the unit of scores and what takes them to raw units) at a seed.

        The unit of scores is the deviation of all training targets, so that arms, shares and draws of the labels can be compared; what is
        trained sees the scale of its labelled targets alone.
        """
        if seed not in self._at:
            cohort = self.arm.cohort(seed)
            self._at[seed] = cohort, *labels(cohort, class_weight=self.arm.params.class_weight)
        return self._at[seed]

    def best(self, seed: int, draw: int) -> tuple[Candidate, np.ndarray, float, float, bool]:
        """The candidate with the best validation score, its test prediction and that score, the seconds of all candidates, and whether its
        training ended at its cap."""
        tried = {candidate: self.run(seed, draw, candidate) for candidate in self.arm.candidates()}
        better = max if TASKS[self.at(seed)[0].task].probability else min
        winner = better(tried, key=lambda candidate: tried[candidate][1])
        prediction, validation, _, capped = tried[winner]
        return winner, prediction, validation, sum(seconds for _, _, seconds, _ in tried.values()), capped

    def run(self, seed: int, draw: int, candidate: Candidate) -> tuple[np.ndarray, float, float, bool]:
        """One unit, from disk or made now: its test prediction, validation score, seconds, and whether it ended at its cap."""
        arm, params = self.arm, self.arm.params
        cohort, _, unit = self.at(seed)
        spec = {
            "stage": arm.stage,
            "code": arm.code(),
            "seed": seed,
            "backbone": params.label,
            **arm.recipe(seed, candidate),
            "arm": arm.name,
            "head": arm.head,
            "pooling": arm.pooling,
            "fraction": self.fraction,
            "draw": draw,
            "lr": candidate.lr,
            "wd": candidate.weight_decay,
        }
        folder = runs.artifact_dir(arm.stage, Path(params.cohort).stem, params.backbone, spec)
        recipe, path, training = runs.key(spec), folder / "outcome.npz", folder / "training.safetensors"
        if not path.exists():
            runs.seed_everything(seed, params.threads)
            clock = time.perf_counter()
            rows = labelled_rows(cohort, self.fraction, seed, draw)
            targets, seen = labels(cohort, params.class_weight, rows)
            made = arm.train(seed, targets, rows, candidate, training)
            runs.write_arrays(
                path,
                recipe,
                prediction=made.prediction if unit is None else in_unit(made.prediction, seen, unit),
                validation=np.float64(made.validation),
                seconds=np.float64(time.perf_counter() - clock),
                curve=np.array(made.history.validation),
                capped=np.bool_(made.history.capped),
            )
            training.unlink(missing_ok=True)
        saved = runs.read_arrays(path, recipe)
        return saved["prediction"], float(saved["validation"]), float(saved["seconds"]), bool(saved["capped"])


def run_arm(run: runs.Run, arm: Arm, fraction: float) -> None:
    """Train every candidate on every split and draw of labels, keep what is best on that split's validation, and score its test windows."""
    units, params = Units(arm, fraction), arm.params
    name, items, places = f"{arm.name}|{arm.head}|{arm.pooling}|{fraction:g}", [], []
    for seed, draw in itertools.product(params.seeds, range(arm.draws(fraction))):
        winner, prediction, validation, seconds, capped = units.best(seed, draw)
        cohort, targets, _ = units.at(seed)
        y = targets["test"]
        items.append((np.nan_to_num(y.y), prediction, y.seen))
        places.append((cohort.split_seed, seed, draw))
        key = "|".join(map(str, (name, *places[-1])))
        note_data(run, cohort)
        note_predictions(run, cohort, key, items[-1])
        run.timings[key] = round(seconds, 3)
        run.capped(key, capped)
        run.extra.setdefault("chosen", {})[key] = {**asdict(winner), "validation": validation}
    score_rows(
        run,
        cohort,
        cohort.task,
        items,
        places,
        names=cohort.classes,
        backbone=params.label,
        arm=arm.name,
        head=arm.head,
        pooling=arm.pooling,
        label_fraction=fraction,
        pattern=params.pattern,
        source=arm.source,
    )
