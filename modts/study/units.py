"""Units of work: how they are stored, and how one runs; from all units of an arm to the rows of a run.

A unit is one arm trained for one seed, one share of the labels, one draw of them and one candidate (learning rate, weight decay). It is stored
under the hash of its recipe, so a killed run resumes at the unit where it stopped.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from modts import runs
from modts.backbones import Scaler
from modts.cohorts import TASKS
from modts.learning import labels

from .arms import Arm, Candidate, labelled_rows
from .scoring import note_unit, score_rows


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

    def each(self) -> Iterator[tuple[int, int]]:
        """Every seed and draw of labels."""
        return itertools.product(self.arm.params.seeds, range(self.arm.draws(self.fraction)))

    def place(self, seed: int, draw: int, candidate: Candidate) -> tuple[str, Path]:
        """The key of a unit's recipe, and the file that holds what was made by it."""
        arm, params = self.arm, self.arm.params
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
        return runs.key(spec), folder / "outcome.npz"

    def run(self, seed: int, draw: int, candidate: Candidate) -> tuple[np.ndarray, float, float, bool]:
        """One unit, from disk or made now: its test prediction, validation score, seconds, and whether it ended at its cap."""
        params, (cohort, _, unit) = self.arm.params, self.at(seed)
        recipe, path = self.place(seed, draw, candidate)
        training = path.with_name("training.safetensors")
        if not path.exists():
            self.arm.prepare(seed)
            runs.seed_everything(seed, params.threads)
            clock = time.perf_counter()
            rows = labelled_rows(cohort, self.fraction, seed, draw)
            targets, seen = labels(cohort, params.class_weight, rows)
            made = self.arm.train(seed, targets, rows, candidate, training)
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
    for seed, draw in units.each():
        winner, prediction, validation, seconds, capped = units.best(seed, draw)
        cohort, targets, _ = units.at(seed)
        y = targets["test"]
        items.append((np.nan_to_num(y.y), prediction, y.seen))
        places.append((cohort.split_seed, seed, draw))
        key = "|".join(map(str, (name, *places[-1])))
        note_unit(run, cohort, key, items[-1], seconds, {**asdict(winner), "validation": validation}, capped)
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
