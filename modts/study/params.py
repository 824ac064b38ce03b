"""Strict notebook parameters: one pydantic model a notebook, unknown names refused, no silent conversion.

papermill only warns about a misspelt parameter and runs with the default, and YAML reads 1e-4 as text; the cell after a notebook's parameters
hands its names to `validate`, which stops with one sentence.
"""

from __future__ import annotations

import difflib
import re
import types
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from modts import runs
from modts.backbones import BACKBONES, POOLINGS, READINGS, SCALINGS, sizes
from modts.cohorts import PATTERNS, cohort_names
from modts.errors import ModtsError, choose
from modts.learning import GRU_SETTINGS, SCHEDULES


def _differ(values: list, info: ValidationInfo) -> list:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ModtsError(f"{info.field_name.capitalize()} must differ, got {values}.")
    return values


Several = (Field(min_length=1), AfterValidator(_differ))  # of a list: not empty, nothing twice
Profile = Annotated[str, AfterValidator(runs.profile_name)]
Variant = Annotated[str, AfterValidator(lambda name: name and runs.plain_name(name, "variant", apart="-"))]
Name = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(ge=1e-6, lt=1)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
LearningRate = Annotated[float, Field(ge=1e-12, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], *Several]
HeadName = Literal["simple", "complex"]
WholeName = Literal[
    "norm", "last_block", "lora", "finetune", "e2e", "e2e_shipped"
]  # the arms that train more than a head
Pooling = Literal[*POOLINGS]
Pattern = Literal[*PATTERNS]
Config = dict[str, bool | int | float]
Fraction = Annotated[float, Field(gt=0, le=1)]
ClassName = Annotated[
    str, BeforeValidator(lambda name: str(name) if isinstance(name, int) else name)
]  # YAML reads 0 as a number
ClassWeight = Literal["balanced"] | dict[ClassName, Annotated[float, Field(gt=0, le=1e6)]] | None


def _backbone(name: str) -> str:
    """A name of the table, or a class in a file that is there; the file does not run for that."""
    try:
        own = runs.own_file(name)
        if own:
            own.read()
    except ModtsError as error:
        raise PydanticCustomError("own_backbone", "{why}", {"why": str(error).removesuffix(".")}) from None
    if not own and name not in BACKBONES:
        known = ", ".join(map(repr, BACKBONES))
        raise PydanticCustomError("backbone", f"Input should be {known} or a class of your own, 'mine.py:MyImputer'")
    return name


BackboneName = Annotated[str, AfterValidator(_backbone)]


class Common(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    profile: Profile = "quick"
    cohort: Name = "simulated_icu"
    external: str = ""
    seeds: Seeds = [0]
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    variant: Variant = ""

    @model_validator(mode="after")
    def _known(self):
        if self.external == self.cohort:
            raise ValueError(f'external must be another cohort than {self.cohort!r}, or "" for none.')
        for name in filter(
            None, (self.cohort, getattr(self, "source", ""), self.external, getattr(self, "unlabelled", ""))
        ):
            if not name.endswith(".npz"):
                choose(name, cohort_names(), "cohort")
            elif runs.cohort_stem(name) in cohort_names():
                raise ModtsError(f"The cohort file {name!r} is called like a cohort that is always here; rename it.")
            elif not Path(name).is_file():
                raise ModtsError(f"There is no cohort file {name}.")
        return self


class Pretrain(Common):
    """Pretraining, and what every later notebook needs to name the same backbone."""

    backbone: BackboneName = "SAITS"
    size: Literal["small", "paper"] = "small"
    config: Config = {}
    device: Literal["cpu", "cuda"] = "cpu"
    reading: Literal[*READINGS] = "window"
    scaling: Literal[*SCALINGS] = "plain"
    centre: bool = False
    criterion: Literal["mse", "mae"] = "mse"
    pattern: Pattern = "point"
    rate: Rate = 0.1
    epochs: Positive = 10
    patience: Positive = 5
    batch_size: Positive = 128
    lr: LearningRate = 1e-3
    schedule: Literal[*SCHEDULES] = "constant"
    clip: Weight = 0.0
    unlabelled: str = ""

    @model_validator(mode="after")
    def _built(self):
        if self.unlabelled and self.unlabelled in (self.cohort, self.external, getattr(self, "source", "")):
            raise ValueError('unlabelled must be another cohort than those trained and tested on, or "" for none.')
        sizes(self.backbone, self.size, runs.cohort_stem(self.cohort), self.config)
        return self

    @property
    def label(self) -> str:
        """What rows and stored files call the backbone: "SAITS", or "mine.MyImputer"."""
        return runs.backbone_label(self.backbone)


class Extract(Pretrain):
    """Extraction of latents."""

    poolings: Annotated[list[Pooling], *Several] = ["paper"]


class Adapt(Extract):
    """What heads and end-to-end training share."""

    heads: Annotated[list[HeadName], *Several] = ["simple", "complex"]
    label_fractions: Annotated[list[Fraction], *Several] = [1.0, 0.1]
    draws: Positive = 5
    head_lrs: Annotated[list[LearningRate], *Several] = [1e-2]
    head_weight_decays: Annotated[list[Weight], *Several] = [0.01, 0.1, 1.0, 10.0]
    head_epochs: Positive = 200
    head_patience: Positive = 40
    class_weight: ClassWeight = None


class Heads(Adapt):
    """Heads on frozen latents."""


class OneArm(BaseModel):
    """What may differ from arm to arm of the networks that train whole."""

    model_config = ConfigDict(extra="forbid", strict=True)

    config: Config = {}
    batch_size: Positive = 128
    e2e_lrs: Annotated[list[LearningRate], *Several] = [1e-3]
    auxiliary: Weight = 1.0


class EndToEnd(Adapt):
    """Training of a part or all of the network beside the head."""

    arms: Annotated[list[WholeName], *Several] = [
        "finetune",
        "e2e",
        "e2e_shipped",
    ]
    e2e_draws: Positive = 2
    e2e_lrs: Annotated[list[LearningRate], *Several] = [1e-3, 3e-4]
    e2e_epochs: Positive = 8
    e2e_patience: Positive = 3
    e2e_schedule: Literal[*SCHEDULES] = "constant"
    e2e_clip: Weight = 0.0
    auxiliary: Weight = 1.0
    lora_rank: Positive = 4
    per_arm: dict[WholeName, Annotated[list[dict], Field(min_length=1)]] = {}

    def of_arm(self, arm: str) -> list[EndToEnd]:
        """What an arm is trained with: these parameters, or the sets of them that `per_arm` changes for it, to be chosen from on validation."""
        return [self.model_copy(update=changed) for changed in self.per_arm.get(arm, [{}])]

    @model_validator(mode="after")
    def _each_arm(self):
        for arm, changed in ((arm, changed) for arm, sets in self.per_arm.items() for changed in sets):
            try:
                OneArm.model_validate(changed)
            except ValidationError as error:
                raise ModtsError(f"per_arm of {arm}: {_sentence(OneArm, error)}") from None
            if arm not in ("e2e", "e2e_shipped") and "config" in changed:
                raise ModtsError(f"per_arm of {arm} cannot change config: it goes on from the pretrained network.")
            sizes(self.backbone, self.size, runs.cohort_stem(self.cohort), changed.get("config", self.config))
        return self

    @model_validator(mode="after")
    def _a_choice_for_both(self):
        heads = len(self.head_lrs) * len(self.head_weight_decays)
        if heads > 1 and any(sum(len(each.e2e_lrs) for each in self.of_arm(arm)) == 1 for arm in self.arms):
            raise ValueError(
                f"Heads choose among {heads} settings on each split's validation, so networks that train whole must have a choice as well: "
                "give at least two e2e_lrs."
            )
        return self


class Transfer(EndToEnd):
    """A backbone from another cohort, frozen and trained on, beside the target's own and a network from scratch.

    Of `arms`, finetune asks for the one that is trained on and e2e for the one from scratch; the others have no part here.
    """

    source: Name = "simulated_icu"

    @model_validator(mode="after")
    def _two_cohorts(self):
        if self.source == self.cohort:
            raise ValueError(f"Transfer needs two cohorts, but source and cohort are both {self.cohort!r}.")
        return self


class Latency(Extract):
    """Raw window to prediction."""

    batch_sizes: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], *Several] = [1, 8, 64, 512]
    repeats: Positive = 1000
    seconds: Annotated[float, Field(gt=0, le=3600)] = 5.0


class OneGRU(BaseModel):
    """What the baseline GRU is trained with; without a batch size, one that grows with the labelled windows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    hidden: Positive
    lr: LearningRate
    dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_size: Positive | None = None


def _gru(values: dict) -> dict:
    """A setting of the GRU, whole, so that what is the same has one recipe."""
    try:
        return OneGRU.model_validate(values).model_dump()
    except ValidationError as error:
        raise ModtsError(f"gru_settings: {_sentence(OneGRU, error)}") from None


class Baselines(Common):
    """The simple baselines of a cohort: no backbone.

    `gru_settings` are compared on each split's validation; `tabular_checkpoint` is a file with TabICL's weights, "" for none.
    """

    label_fractions: Annotated[list[Fraction], *Several] = [1.0, 0.1]
    draws: Positive = 5
    gru_epochs: Positive = 300
    gru_settings: Annotated[list[Annotated[dict, AfterValidator(_gru)]], *Several] = list(GRU_SETTINGS)
    tabular_checkpoint: str = ""
    pattern: Pattern = "point"
    rate: Rate = 0.1
    class_weight: ClassWeight = None


STAGE_PARAMS = {
    "pretrain": Pretrain, "extract": Extract, "heads": Heads, "end_to_end": EndToEnd, "transfer": Transfer, "latency": Latency,
    "baselines": Baselines,
}  # fmt: skip

# IPython's own names, and what they are while nobody has given them another value.
_KERNELS = {"In": list, "Out": dict, "get_ipython": object, "exit": object, "quit": object, "open": object}


def parse(stage: str, values: dict) -> Common:
    """Validated parameters of a stage, or a ModtsError of one sentence."""
    model = STAGE_PARAMS[choose(stage, STAGE_PARAMS, "stage")]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ModtsError(_sentence(model, error)) from None


def _sentence(model, error: ValidationError) -> str:
    first = error.errors()[0]
    if isinstance(first.get("ctx", {}).get("error"), ModtsError):
        return str(first["ctx"]["error"])
    name, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, model.model_fields, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; the parameters are {', '.join(model.model_fields)}."
        return f"Unknown parameter {name!r}{hint}"
    if not name:
        return message if message.endswith(".") else f"The parameters cannot be read: {message}."
    if first["type"] == "float_type" and isinstance(first["input"], str):
        message += " (YAML reads 1e-4 as text; write 0.0001 or 1.0e-4)"
    shown = repr(first["input"])
    return f"Parameter {name} = {shown if len(shown) < 80 else shown[:60] + '...'}: {message}."


def validate(stage: str, namespace: dict) -> Common:
    """Parameters from a notebook's globals: every plain public name there must be a parameter of the stage.

    In a notebook a ModtsError is shown as its one sentence, without traceback, and papermill still fails.
    """
    known = STAGE_PARAMS[choose(stage, STAGE_PARAMS, "stage")].model_fields
    return parse(stage, {n: value for n, value in namespace.items() if n in known or not _of_python(n, value, known)})


def _of_python(name: str, value, known) -> bool:
    """True for what a kernel or an import puts among a notebook's names, False for what papermill does."""
    if name in _KERNELS:
        return not isinstance(value, (bool, int, float, str, types.NoneType)) and isinstance(value, _KERNELS[name])
    if name.startswith("_"):  # a kernel has many of these; none of them looks like a parameter
        return bool(re.fullmatch("__.*__", name)) or not difflib.get_close_matches(name.strip("_"), known, 1, 0.8)
    return isinstance(value, (types.ModuleType, types.FunctionType, type))
