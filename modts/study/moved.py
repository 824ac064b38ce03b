"""The arms of a transfer: a cohort's windows under the backbone of another, which stays frozen or trains on beside the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modts import runs
from modts.backbones import extract
from modts.cohorts import align, to_source_space

from .arms import HeadArm, WholeArm
from .artefacts import cohort_for, lengths, pretrain_spec, pretrained, tested, windows
from .params import Pretrain, Transfer


class FromSource:
    """What these arms share: the backbone of the run's source cohort, and the target's windows as it reads them."""

    called = ""

    @classmethod
    def of(cls, params: Transfer, head: str):
        """The arm with that head."""
        return cls(params, cls.called, head, params.poolings[0], "transfer", runs.cohort_label(params.source))

    @property
    def given(self) -> Pretrain:
        """The pretraining of the source's backbone."""
        own = {name: getattr(self.params, name) for name in Pretrain.model_fields}
        return Pretrain(**own | {"cohort": self.params.source, "external": "", "unlabelled": ""})

    def alignment(self, seed: int):
        """Which variables of the two cohorts are the same."""
        return align(cohort_for(self.params.source, seed).features, self.cohort(seed).features)

    def windows(self, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The target's raw windows per split in the source's variables, units and steps, and the steps of each series."""
        source, target, matched = cohort_for(self.params.source, seed), self.cohort(seed), self.alignment(seed)
        shifted = {
            name: to_source_space(X, matched, source.features, source.n_steps) for name, X in windows(target).items()
        }
        return shifted, {name: np.minimum(steps, source.n_steps) for name, steps in lengths(target).items()}


@dataclass
class Moved(FromSource, HeadArm):
    """A head on a backbone frozen from the run's source cohort."""

    called = "transfer"

    def spec(self, seed):
        return {
            "code": runs.code_hash("transfer", self.params.backbone),
            "data": tested(self.params.cohort, self.params.external, seed).content_hash,
            "upstream": runs.key(pretrain_spec(self.given, seed)),
            "pooling": self.pooling,
            "seed": seed,
        }

    def latents(self, seed):
        spec = self.spec(seed)
        path = runs.artifact_dir("transfer", self.cohort(seed).name, self.params.backbone, spec) / "latents.npz"
        if not path.exists():
            source, (shifted, ends) = pretrained(self.given, seed)[0], self.windows(seed)
            made = {name: extract(source, X, self.pooling, lengths=ends.get(name)) for name, X in shifted.items()}
            runs.write_arrays(path, runs.key(spec), **made)
        return runs.read_arrays(path, runs.key(spec))


@dataclass
class MovedWhole(FromSource, WholeArm):
    """Fine-tuning that starts from the backbone of the run's source cohort, with the settings of fine-tuning."""

    called = "transfer_finetune"
    way = "finetune"
