"""Arms in which a frozen backbone and the summary statistics answer together (see learning.fusion)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from modts import runs
from modts.cohorts import TASKS
from modts.learning import History, Outcome, answer, averaged, labels, outputs, stacked, validated

from .arms import Arm, Candidate, HeadArm
from .artefacts import baseline_for


@dataclass
class Fused(Arm):
    """What both have: the frozen head whose latents they use. What they choose, they choose inside: there is one candidate."""

    frozen: HeadArm = None

    @classmethod
    def of(cls, frozen: HeadArm, name: str, head: str):
        return cls(frozen.params, name, head, frozen.pooling, frozen.stage, frozen=frozen)

    def candidates(self):
        return [Candidate(0.0)]

    def draws(self, fraction):
        return self.frozen.draws(fraction)

    def cohort(self, seed):
        return self.frozen.cohort(seed)

    def recipe(self, seed, candidate):
        heads = [(each.lr, each.weight_decay) for each in self.frozen.candidates()]
        return {**self.frozen.recipe(seed, candidate), "heads": heads}

    def code(self):
        return runs.code_hash(self.stage, self.params.backbone, rows=True)

    def prepare(self, seed):
        self.frozen.prepare(seed)

    def train(self, seed, targets, rows, candidate, file):
        found, history = self.answers(seed, rows, labels(self.cohort(seed), self.params.class_weight, rows)[1])
        return Outcome(found["test"].astype(np.float32), validated(targets["val"], found["val"]), history, None)

    def answers(self, seed: int, rows: np.ndarray, scaler) -> tuple[dict[str, np.ndarray], History]:
        """What it says of "val" and "test", in the unit of the scaler."""
        raise NotImplementedError


@dataclass
class Fusion(Fused):
    """The frozen head's answer and that of LightGBM on statistics, averaged; the trees are those of the baselines, one for all backbones."""

    @classmethod
    def of(cls, frozen):
        return super().of(frozen, "fusion", frozen.head)

    def answers(self, seed, rows, scaler):
        frozen, parts, cohort = self.frozen, self.frozen.read(seed), self.cohort(seed)
        better = max if TASKS[cohort.task].probability else min
        tried = [frozen.trained(seed, rows, candidate) for candidate in frozen.candidates()]
        model, history = better(tried, key=lambda pair: pair[1].best)
        trees, _, _ = baseline_for(self.params, "LightGBM", seed, cohort.splits["train"][rows])
        found = {}
        for part, said in trees.items():
            own = answer(cohort.task, outputs(model, torch.from_numpy(parts[part]))).numpy()
            found[part] = averaged(cohort.task, own, _standardised(said, scaler))
        return found, history


@dataclass
class Stacked(Fused):
    """Latents beside statistics in one model."""

    @classmethod
    def of(cls, frozen):
        return super().of(frozen, "stacked", "")

    def answers(self, seed, rows, scaler):
        parts, cohort, params = self.frozen.read(seed), self.cohort(seed), self.params
        found = stacked(cohort, rows, parts, seed, params.threads, class_weight=params.class_weight)
        return {part: _standardised(said, scaler) for part, said in found.items()}, History(finished=True)


def _standardised(said: np.ndarray, scaler) -> np.ndarray:
    """Answers in raw units, (N,) or (N, K), as the z-scores (N, K) that targets are; chances as they are."""
    return said if scaler is None else scaler.transform(said.reshape(len(said), -1)[..., None])[..., 0]
