"""The arm of a transfer: a head on the latents of a cohort's windows under the frozen backbone of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modts import runs
from modts.backbones import extract
from modts.cohorts import align, to_source_space

from .arms import HeadArm
from .artefacts import cohort_for, lengths, pretrain_spec, pretrained, tested, windows
from .params import Pretrain, Transfer


@dataclass
class Moved(HeadArm):
    """A head on a backbone frozen from the run's source cohort."""

    @classmethod
    def of(cls, params: Transfer, head: str):
        return cls(params, "transfer", head, params.poolings[0], "transfer", runs.cohort_label(params.source))

    @property
    def given(self) -> Pretrain:
        """The pretraining of the source's backbone."""
        own = {name: getattr(self.params, name) for name in Pretrain.model_fields}
        return Pretrain(**own | {"cohort": self.params.source, "external": "", "unlabelled": ""})

    def alignment(self, seed: int):
        """Which variables of the two cohorts are the same."""
        return align(cohort_for(self.params.source, seed).features, self.cohort(seed).features)

    def spec(self, seed):
        return {
            "code": runs.code_hash("transfer", self.params.backbone),
            "data": tested(self.params.cohort, self.params.external, seed).content_hash,
            "upstream": runs.key(pretrain_spec(self.given, seed)),
            "pooling": self.pooling,
            "seed": seed,
        }

    def latents(self, seed):
        target, spec = self.cohort(seed), self.spec(seed)
        path = runs.artifact_dir("transfer", target.name, self.params.backbone, spec) / "latents.npz"
        if not path.exists():
            source, from_cohort, _ = pretrained(self.given, seed)
            shifted = {
                name: to_source_space(X, self.alignment(seed), from_cohort.features, from_cohort.n_steps)
                for name, X in windows(target).items()
            }
            ends = {name: np.minimum(steps, from_cohort.n_steps) for name, steps in lengths(target).items()}
            made = {name: extract(source, X, self.pooling, lengths=ends.get(name)) for name, X in shifted.items()}
            runs.write_arrays(path, runs.key(spec), **made)
        return runs.read_arrays(path, runs.key(spec))
