"""A profile (profiles/*.yaml) as a list of jobs: one job is one notebook for one cohort and one backbone, all seeds.

The Snakefile, `modts stale` and `modts job` all read a profile here, so they agree on what a run's parameters are.
Settings are given once and inherited: what `pretrain` is told holds for every later stage of the same backbone, what
`heads` is told also for `end_to_end` and `transfer`. From weak to strong: defaults, what a search chose for the backbone
or the baselines (where the profile says `tuned: true`), one backbone's, one cohort's, one cohort's backbone's, one variant's, one transfer's.
A variant is a named set of settings (`variants`); a cohort or transfer that lists several (`variants: ["", block]`, where "" is
none) has all its runs once for each.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from modts import runs
from modts.errors import ModtsError

from .jobs import Job
from .params import STAGE_PARAMS, BackboneName, Common, Variant, parse
from .spaces import BASELINES

# Whose settings a stage takes, weak to strong.
INHERITS = {
    "pretrain": ("common", "pretrain"),
    "extract": ("common", "pretrain", "extract"),
    "heads": ("common", "pretrain", "extract", "heads"),
    "end_to_end": ("common", "pretrain", "heads", "end_to_end"),
    "transfer": ("common", "pretrain", "heads", "end_to_end", "transfer"),
    "latency": ("common", "pretrain", "latency"),
    "baselines": ("common", "pretrain", "heads", "baselines"),
}
# What must be there before a stage: the first of these stages that the profile has for the same cohort and backbone.
NEEDS = {
    "extract": ("pretrain",),
    "heads": ("extract", "pretrain"),
    "end_to_end": ("pretrain",),
    "latency": ("pretrain",),
}
Stage = Literal["pretrain", "extract", "heads", "end_to_end", "latency", "baselines"]
Settings = dict[Literal["common", *STAGE_PARAMS], dict]


Variants = Annotated[list[Variant], Field(min_length=1)]  # which of the file's variants; "" is the settings without any


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Cohort(_Strict):
    stages: list[Stage]
    backbones: list[BackboneName] = []
    only: dict[Stage, list[BackboneName]] = {}  # a stage that runs for fewer backbones
    settings: Settings = {}
    backbone_settings: dict[BackboneName, Settings] = {}
    variants: Variants = [""]


class _Transfer(_Strict):
    source: str
    cohort: str
    backbones: list[BackboneName]
    settings: Settings = {}
    variants: Variants = [""]


class _File(_Strict):
    profile: Annotated[str, AfterValidator(runs.profile_name)]
    reuse_published: bool = False
    tuned: bool = False  # each backbone's and baseline's winners of the search (profiles/tuned/) above the defaults
    defaults: Settings = {}
    backbone_settings: dict[BackboneName, Settings] = {}
    variants: dict[Variant, Settings] = {}
    cohorts: dict[str, _Cohort]
    transfer: list[_Transfer] = []


@dataclass(frozen=True)
class Profile:
    """A profile's name, its file, and its jobs in an order in which they could run."""

    name: str
    path: Path
    reuse_published: bool
    jobs: dict[str, Job]

    def job(self, run: str) -> Job:
        """The job with this run id."""
        if run not in self.jobs:
            raise ModtsError(
                f"Profile {self.name} has no run {run!r}; `modts runs --profile {self.name}` lists those it has."
            )
        return self.jobs[run]

    def wanted(self) -> dict[str, Job]:
        """The jobs to be done here: all, or with reuse_published those not published with the same parameters.

        A job is left out only if everything that depends on it is left out too: who needs it, needs its weights.
        """
        if not self.reuse_published:
            return self.jobs
        keep = {run for run, job in self.jobs.items() if not job.published()}
        for job in reversed(self.jobs.values()):
            if job.run in keep:
                keep |= set(job.needs)
        return {run: job for run, job in self.jobs.items() if run in keep}


def profile_path(name: str) -> Path:
    """The file of a profile given by name (quick) or by path (profiles/quick.yaml)."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else runs.root() / "profiles" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in (runs.root() / "profiles").glob("*.yaml"))) or "none"
        raise ModtsError(f"There is no profile file {path}; the profiles in profiles/ are: {known}.")
    return path


def read_profile(name: str | Path) -> Profile:
    """Read and check a profile.

    Raises
    ------
    ModtsError
        No such file, not YAML, or one sentence on the first misspelt or impossible setting, with its place in the file.
    """
    path = profile_path(str(name))
    try:
        file = _File.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ModtsError(f"{path}: {sentence(error)}") from None
    _check(path, file)
    jobs: dict[str, Job] = {}
    for job in [*_grid(path, file), *_transfers(path, file)]:
        if job.run in jobs:
            raise ModtsError(f"{path}: the run {job.run} is listed twice.")
        jobs[job.run] = job
    for job in jobs.values():
        for need in job.needs:
            if need not in jobs:
                raise ModtsError(
                    f"{path}: {job.run} needs {need}, so add that stage and backbone to its cohort in the profile."
                )
    _same_pretraining(path, jobs)
    _same_files(path, jobs)
    return Profile(file.profile, path, file.reuse_published, jobs)


def tuned_path(backbone: str) -> Path:
    """The file that holds what a search chose for a backbone, or for a baseline."""
    return runs.root() / "profiles" / "tuned" / f"{runs.backbone_label(backbone)}.yaml"


def tuned(backbone: str) -> dict:
    """What a search chose for a backbone, or for a baseline, as blocks of settings."""
    path = tuned_path(backbone)
    if not path.is_file():
        raise ModtsError(
            f"There is no {path}, so nothing is tuned for {backbone}: search first (modts search), or leave out `tuned`."
        )
    return read_yaml(path)


def read_yaml(path: Path) -> dict:
    """A profile's content as written; a key that is there twice is a mistake."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        twice = _twice(yaml.compose(text, yaml.SafeLoader))
        given = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OSError) as error:  # ValueError: not UTF-8, a number of thousands of digits
        raise ModtsError(f"{path} is not readable YAML: {' '.join(str(error).split())[:200]}.") from None
    except RecursionError:
        raise ModtsError(f"{path} is not readable YAML: it is nested too deep.") from None
    if twice:
        raise ModtsError(f"{path}: {twice}; keep one of them.")
    if not isinstance(given, dict):
        raise ModtsError(f"{path} is not a profile: it must have the keys profile, defaults and cohorts.")
    return given


def _twice(root) -> str:
    """The first key that one block of a YAML document holds twice, in words; YAML itself would let the last one win."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop(0)
        if id(node) in seen or not isinstance(getattr(node, "value", ""), list):
            continue
        seen.add(id(node))
        keys = [pair[0].value for pair in node.value if isinstance(pair, tuple)]
        for place, pair in enumerate(node.value):
            if isinstance(pair, tuple) and isinstance(pair[0].value, str) and pair[0].value in keys[:place]:
                return f"line {pair[0].start_mark.line + 1} gives {pair[0].value!r} again"
            waiting += pair if isinstance(pair, tuple) else [pair]
    return ""


def _check(path: Path, file: _File) -> None:
    """Refuse what would be passed over without a word: a misspelt setting that no job uses, a stage or backbone that does not run."""
    layers = [("defaults", file.defaults)]
    layers += [(f"backbone_settings.{name}", layer) for name, layer in file.backbone_settings.items()]
    for cohort, block in file.cohorts.items():
        place = f"cohorts.{cohort}"
        layers.append((f"{place}.settings", block.settings))
        layers += [(f"{place}.backbone_settings.{name}", layer) for name, layer in block.backbone_settings.items()]
        _runs(f"{path}, {place}", block)
    layers += [(f"variants.{name}", layer) for name, layer in file.variants.items()]
    layers += [(f"transfer to {block.cohort}", block.settings) for block in file.transfer]
    for place, layer in layers:
        _known(path, place, layer)


def _runs(place: str, block: _Cohort) -> None:
    """Refuse a cohort whose stages have no backbone to run for, or whose `only` names what the cohort does not run."""
    stages = [stage for stage in block.stages if stage != "baselines"]
    if stages and not block.backbones:
        raise ModtsError(f"{place}: {', '.join(stages)} would run for no backbone; list some under `backbones`.")
    for stage, backbones in block.only.items():
        if stage not in stages:
            raise ModtsError(
                f"{place}: `only` names {stage}, which runs for no backbone here; leave it out, or add it to `stages`."
                if stage != "baselines"
                else f"{place}: `only` names baselines, which run without a backbone; leave it out."
            )
        for name in backbones:
            if name not in block.backbones:
                raise ModtsError(
                    f"{place}: `only` has {name} for {stage}, but `backbones` does not; add it there, or leave it out."
                )


def _grid(path: Path, file: _File):
    """The jobs of the cohorts, one cohort after another as the file has them, stage by stage, so that what is needed comes first."""
    for cohort, block in file.cohorts.items():
        for stage in (stage for stage in INHERITS if stage in block.stages):
            backbones = [None] if stage == "baselines" else block.only.get(stage, block.backbones)
            for backbone, variant in itertools.product(backbones, block.variants):
                fixed = {"cohort": cohort, "variant": variant} | ({"backbone": backbone} if backbone else {})
                params = _params(path, file, stage, fixed, [])
                yield Job(runs.run_id(stage, params), stage, params, _needs(stage, block, params))


def _needs(stage: str, block: _Cohort, params: dict) -> tuple[str, ...]:
    for need in NEEDS.get(stage, ()):
        if need in block.stages and params["backbone"] in block.only.get(need, block.backbones):
            return (runs.run_id(need, {**params, "source": ""}),)
    return ()  # the notebook makes what it needs


def _transfers(path: Path, file: _File):
    for block in file.transfer:
        for backbone, variant in itertools.product(block.backbones, block.variants):
            fixed = {"cohort": block.cohort, "source": block.source, "backbone": backbone, "variant": variant}
            params = _params(path, file, "transfer", fixed, [(f"transfer to {block.cohort}", block.settings)])
            needs = [
                runs.run_id("pretrain", {**params, "cohort": cohort, "source": ""})
                for cohort in (block.source, block.cohort)
            ]
            yield Job(runs.run_id("transfer", params), "transfer", params, tuple(needs))


def _params(path: Path, file: _File, stage: str, fixed: dict, extra: list) -> dict:
    """All parameters of one job: layers of settings, each read in the order of INHERITS."""
    cohort, backbone = file.cohorts.get(fixed["cohort"], _Cohort(stages=[])), fixed.get("backbone")
    layers = [
        ("defaults", file.defaults),
        *(("tuned", tuned(name)) for name in ([backbone] if backbone else BASELINES) if file.tuned),
        (f"backbone_settings.{backbone}", file.backbone_settings.get(backbone, {})),
        (f"cohorts.{fixed['cohort']}.settings", cohort.settings),
        (f"cohorts.{fixed['cohort']}.backbone_settings.{backbone}", cohort.backbone_settings.get(backbone, {})),
        (f"variants.{fixed['variant']}", _variant(path, file, fixed["variant"])),
        *extra,
    ]
    known, values = STAGE_PARAMS[stage].model_fields, {}
    for place, layer in layers:
        _known(path, place, layer)
        for block in INHERITS[stage]:
            values |= {name: value for name, value in layer.get(block, {}).items() if name in known}
    try:
        return parse(stage, {**values, **fixed, "profile": file.profile}).model_dump()
    except ModtsError as error:
        where = " ".join(filter(None, (stage, fixed["cohort"], backbone)))
        raise ModtsError(f"{path}, {where}: {error}") from None


def _variant(path: Path, file: _File, name: str) -> dict:
    """The settings of a variant."""
    if name and name not in file.variants:
        raise ModtsError(f"{path}: there is no variant {name!r}{_hint(name, list(file.variants) or ['none is given'])}")
    return file.variants.get(name, {})


def _known(path: Path, place: str, layer: dict) -> None:
    """Refuse a name that a block's stage does not take; the job's name is made from the others."""
    for block, settings in layer.items():
        allowed = set((Common if block == "common" else STAGE_PARAMS[block]).model_fields) - {
            "profile",
            "cohort",
            "backbone",
            "source",
            "variant",
        }
        for name in settings:
            if name not in allowed:
                hint = _hint(str(name), sorted(allowed))
                raise ModtsError(f"{path}, {place}.{block}: unknown parameter {name!r}{hint}")


def _same_pretraining(path: Path, jobs: dict[str, Job]) -> None:
    """Later stages take a backbone as it was pretrained; other settings there would silently pretrain it again."""
    names = set(STAGE_PARAMS["pretrain"].model_fields) - {"cohort", "external"}
    for job in jobs.values():
        for need in job.needs:
            other = jobs[need].params
            for name in sorted(names & set(other)):
                if jobs[need].stage != "pretrain" or job.params[name] == other[name]:
                    continue
                if name != "seeds" or not set(job.params[name]) <= set(
                    other[name]
                ):  # a later stage may take some of the seeds
                    raise ModtsError(
                        f"{path}: {job.run} has {name} = {job.params[name]!r} but {need} has {other[name]!r}; "
                        "a backbone's pretraining settings must be the same in both."
                    )


def _same_files(path: Path, jobs: dict[str, Job]) -> None:
    """Refuse a relative path that jobs, which run in the project's folder, would read from another place than this command."""
    for job in jobs.values():
        for name in ("backbone", "cohort", "source", "external", "unlabelled", "tabular_checkpoint"):
            value = str(job.params.get(name) or "")
            own = runs.own_file(value) if name == "backbone" else None
            if not own and not value.endswith(".npz") and name != "tabular_checkpoint":
                continue
            file = own.path if own else Path(value)
            if value and (Path.cwd() / file).resolve() != (runs.root() / file).resolve():
                raise ModtsError(
                    f"{path}: {name} {value!r} is read from {runs.root()}, where jobs run, and this command runs in {Path.cwd()}; give a whole "
                    "path, or start it there."
                )


def _hint(name: str, allowed: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; choose one of: {', '.join(allowed)}."


def sentence(error: ValidationError, whole=_File) -> str:
    """What is wrong with a file first, and where; `whole` is the model of its uppermost keys."""
    first = error.errors()[0]
    if isinstance(first.get("ctx", {}).get("error"), ModtsError):
        return str(first["ctx"]["error"])
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        *above, name = first["loc"]
        model = whole if not above else _Cohort if above[0] == "cohorts" else _Transfer
        return f"unknown key {place!r}{_hint(str(name), list(model.model_fields))}"
    if first["type"] == "missing":
        return f"the key {place!r} is missing."
    return f"{place}: {first['msg']} (found {first['input']!r})."
