"""Arms: what one column of a table is made from, what its units of work have in their recipes, and how one is trained.

An arm says its part of a recipe without reading a checkpoint or latents: those are for training alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from modts import runs
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

from .artefacts import (
    fresh,
    latents_for,
    latents_spec,
    lengths,
    pretrain_spec,
    pretrained,
    settings,
    tested,
    windows,
)
from .params import Pretrain

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
        As in its rows; the name is a key of learning.ARMS, or one of moved's or of fused's.
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

    def prepare(self, seed: int) -> None:
        """Make what its training starts from, where that is not there yet: before chance is seeded for the training."""

    def train(
        self, seed: int, targets: dict[str, Labels], rows: np.ndarray, candidate: Candidate, file: Path
    ) -> Outcome:
        """Train on the labels of `rows` (positions in the training split); `file` takes training checkpoints."""
        raise NotImplementedError


@dataclass
class HeadArm(Arm):
    """A head on latents; all its candidates, label fractions and draws of labels are trained in one sweep.

    Where every unit is there, nothing is swept, and neither latents nor a checkpoint are read.
    """

    stage: str = "heads"
    _about: dict = field(default_factory=dict)
    _read: dict = field(default_factory=dict)
    _swept: dict = field(default_factory=dict)

    def candidates(self):
        return list(
            itertools.starmap(Candidate, itertools.product(self.params.head_lrs, self.params.head_weight_decays))
        )

    def draws(self, fraction):
        return self.params.draws if fraction <= FEW else 1

    def spec(self, seed: int) -> dict:
        """The recipe of its latents."""
        return latents_spec(self.params, seed, ARMS[self.name].start, self.pooling)

    def latents(self, seed: int) -> dict[str, np.ndarray]:
        """Its latents per split, from disk or made now."""
        return latents_for(self.params, seed, ARMS[self.name].start, self.pooling)[0]

    def about(self, seed):
        """(Cohort, the recipe's hash of its latents) at a seed."""
        if seed not in self._about:
            self._about[seed] = super().cohort(seed), runs.key(self.spec(seed))
        return self._about[seed]

    def cohort(self, seed):
        return self.about(seed)[0]

    def recipe(self, seed, candidate):
        return {
            "upstream": self.about(seed)[1],
            **settings(self.params, ("head_epochs", "head_patience", "class_weight")),
        }

    def prepare(self, seed):
        self.read(seed)

    def read(self, seed):
        """Latents per split at a seed, kept."""
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
        return outcome(self.cohort(seed).task, model, history, torch.from_numpy(self.read(seed)["test"]))

    def _sweep(self, seed):
        parts, cohort = self.read(seed), self.cohort(seed)
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

    def candidates(self):
        return [
            Candidate(lr, place=place)
            for place, params in enumerate(self.params.of_arm(self.way))
            for lr in params.e2e_lrs
        ]

    def draws(self, fraction):
        return self.params.e2e_draws if fraction <= FEW else 1

    @property
    def way(self) -> str:
        """The key of learning.ARMS by which it is trained, and of the parameters that are its own."""
        return self.name

    @property
    def given(self) -> Pretrain:
        """The pretraining that it starts from, if from one."""
        return self.params

    def windows(self, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Raw windows per split as the backbone reads them, and the steps of each series (see artefacts.lengths)."""
        cohort = self.cohort(seed)
        return windows(cohort), lengths(cohort)

    def recipe(self, seed, candidate):
        params = self.params.of_arm(self.way)[candidate.place]
        rank = {"lora_rank": params.lora_rank} if self.name == "lora" else {}
        return {
            **settings(params, WHOLE),
            **rank,
            "data": self.cohort(seed).content_hash,
            "upstream": runs.key(pretrain_spec(self.given, seed)) if self._starts_pretrained else "",
        }

    @property
    def _starts_pretrained(self) -> bool:
        return ARMS[self.way].start == "pretrained"

    def prepare(self, seed):
        if self._starts_pretrained:
            pretrained(self.given, seed)

    def train(self, seed, targets, rows, candidate, file):
        params = self.params.of_arm(self.way)[candidate.place]
        if self._starts_pretrained:
            backbone = pretrained(self.given, seed)[0]
        else:
            backbone = fresh(params, self.cohort(seed), seed)
        read, ends = self.windows(seed)
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
            self.way,
            self.head,
            targets,
            rows,
            backbone=backbone,
            windows=read,
            lengths=ends,
            pooling=self.pooling or "paper",
            training=training,
        )


def labelled(cohort, fraction: float, seed: int, draw: int) -> np.ndarray:
    """Row numbers in the cohort of one draw of a share of the training labels; the first draw is that of the seed itself."""
    return cohort.labelled(fraction, runs.epoch_seed(seed, -2 - draw) if draw else seed)


def labelled_rows(cohort, fraction: float, seed: int, draw: int) -> np.ndarray:
    """Positions in the training split whose labels a draw leaves."""
    return np.flatnonzero(np.isin(cohort.splits["train"], labelled(cohort, fraction, seed, draw)))
