"""The search for settings: Optuna's TPE on validation scores of a cohort that publishes nothing, as many trials for every arm.

One study is one arm of one backbone, or a baseline that is a network, kept in a journal of its own: a killed search goes on at the trial where
it stopped, with the same suggestions. Every trial's model is stored like any other unit of work, so nothing is trained twice. What the trials
said goes to results/search.csv, and the winners into profiles/tuned/<backbone>.yaml, which a profile reads when it says `tuned: true`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from modts import runs
from modts.backbones import sizes
from modts.errors import ModtsError, choose

from . import warden
from .journals import whole
from .params import STAGE_PARAMS, BackboneName, Fraction, parse
from .profiles import Settings, profile_path, read_yaml, sentence
from .spaces import ARMS, BASELINE, BASELINES, has, space, suggest


def _of_search(arm: str) -> str:
    return choose(arm, ARMS, "arm of a search")


class Search(BaseModel):
    """A search's file: on which cohort and split, how many trials, for whom, and what is not searched (`settings`, as in a profile)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    search: Annotated[str, AfterValidator(runs.profile_name)]
    cohort: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    trials: Annotated[int, Field(ge=1, le=10_000)]
    label_fractions: Annotated[list[Fraction], Field(min_length=1)] = [1.0, 0.1]
    backbones: list[BackboneName]
    arms: list[Annotated[str, AfterValidator(_of_search)]]
    baselines: list[Literal[*BASELINES]] = []
    settings: Settings = {}
    device: Literal["cpu", "cuda"] = Field(
        "cpu", exclude=True
    )  # where trials train: each says it, their recipe does not

    def params(self, stage: str, backbone: str, chosen: dict):
        """Parameters of a trial's stage: what the file fixes, and what the trial chose."""
        given: dict = {}
        for block in ("common", "pretrain", "extract", "heads", *([stage] if stage != "heads" else [])):
            given |= self.settings.get(block, {})
        given |= {"profile": self.search, "cohort": self.cohort, "backbone": backbone, "seeds": [self.seed]}
        if stage == "baselines":  # which have no backbone
            known = {*STAGE_PARAMS[stage].model_fields, *self.settings.get(stage, {})}
            given = {name: value for name, value in given.items() if name in known}
        else:
            given["device"] = self.device
        return parse(stage, given | {"label_fractions": self.label_fractions} | chosen)


@dataclass
class Tried:
    """What a trial measured on validation."""

    auroc: float | None = None
    auroc_few: float | None = None  # at the smallest share of the labels
    mae: float | None = None  # of imputation
    capped: bool = False


def read_search(name: str) -> Search:
    """A search's file, by name (search) or path; a ModtsError says what is wrong with it."""
    path = profile_path(name)
    try:
        return Search.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ModtsError(f"{path}: {sentence(error, Search)}") from None


def studies(search: Search) -> list[tuple[str, str]]:
    """What is searched: (backbone, arm), and (baseline, "baseline")."""
    pairs = [(backbone, arm) for backbone in search.backbones for arm in search.arms if has(backbone, arm)]
    return pairs + [(name, BASELINE) for name in search.baselines]


def journal(search: Search, backbone: str, arm: str) -> Path:
    """Where one study's journal lies: with the results, so that a search goes on elsewhere too."""
    return runs.results_dir() / "search" / search.search / f"{runs.backbone_label(backbone)}-{arm}.log"


def recipe(search: Search, backbone: str, arm: str) -> str:
    """What a study's trials have in common: the file's fixed settings and the code that decides a score; not how many trials."""
    fixed = search.model_dump(exclude={"trials", "backbones", "arms", "baselines"})
    stages = [("baselines", "")] if arm == BASELINE else [("heads", backbone), ("end_to_end", backbone)]
    codes = [runs.code_hash(*stage) for stage in stages]
    return runs.key({**fixed, "backbone": runs.backbone_label(backbone), "arm": arm, "codes": codes})


def study_of(search: Search, backbone: str, arm: str):
    """The Optuna study, from its journal or new."""
    optuna = _optuna()
    place = journal(search, backbone, arm)
    runs.made_folder(place.parent)
    whole(place)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(place))),
        study_name=f"{backbone} {arm}",
        direction="maximize",
        load_if_exists=True,
    )
    now = recipe(search, backbone, arm)
    if study.user_attrs.setdefault("recipe", now) != now:
        raise ModtsError(
            f"{place} holds trials of other settings or other code; move it away to search again, or return to that code."
        )
    if not study.trials:
        study.set_user_attr("recipe", now)
    return study


def run_search(search: Search, backbone: str, arm: str, until: float = float("inf")) -> int:
    """Trials of one arm until there are enough of them, or the clock (time.time) passes `until`. Returns how many are missing.

    The first trial is what would be trained without a search, so that a winner is never worse on validation.
    """
    with _alone(search, backbone, arm):
        return _trials(search, backbone, arm, until)


@contextlib.contextmanager
def _alone(search: Search, backbone: str, arm: str):
    """Two searches of one study at once would count each other's trials as killed."""
    import fcntl

    place = runs.work_dir() / "locks" / f"{search.search}-{runs.backbone_label(backbone)}-{arm}"
    runs.made_folder(place.parent)
    with open(place, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ModtsError(f"Another search is at work on {backbone}'s arm {arm}; wait for it or stop it.") from None
        yield


def _trials(search: Search, backbone: str, arm: str, until: float) -> int:
    optuna = _optuna()
    study, states = study_of(search, backbone, arm), optuna.trial.TrialState
    for trial in study.get_trials(states=(states.RUNNING,)):  # it was killed: its point is tried again
        study.tell(trial.number, state=states.FAIL)
        study.enqueue_trial(trial.params)
    if not study.trials:
        study.enqueue_trial(start(search, backbone, arm))
    while (missing := search.trials - len(finished(study))) > 0 and time.time() < until:
        seed = runs.epoch_seed(search.seed, len(finished(study))) % 2**32  # as if it had never been killed
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
        trial = study.ask()
        chosen = suggest(trial, backbone, arm)
        trial.set_user_attr("settings", chosen)
        clock = time.perf_counter()
        try:
            tried = evaluate(search, backbone, arm, chosen)
        except ModtsError as error:
            if "diverged" not in str(error):
                raise
            trial.set_user_attr("failed", str(error))
            study.tell(trial, float("-inf"))
            continue
        measured = {"seconds": round(time.perf_counter() - clock, 1), "hardware": runs.hardware(), **vars(tried)}
        for name, value in measured.items():
            trial.set_user_attr(name, value)
        study.tell(trial, objective(tried))
    return missing


def finished(study) -> list:
    """The trials of a study that count, those that diverged among them."""
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]


def objective(tried: Tried) -> float:
    """The mean of AUROC with all and with the fewest labels."""
    return (tried.auroc + tried.auroc_few) / 2


def evaluate(search: Search, backbone: str, arm: str, chosen: dict) -> Tried:
    """Train what a trial asks for, and score it on validation."""
    from .artefacts import pretrained

    if arm == BASELINE:
        return _baseline(search.params("baselines", backbone, {"gru_settings": [chosen]}), backbone)
    if arm == "frozen":
        params = search.params("heads", backbone, chosen)
        card = pretrained(params, search.seed)[0].card
        return Tried(*_validation(params, arm), card.get("validation_mae"), bool(card.get("capped")))
    given = winner(search, backbone, "frozen") if arm == "finetune" else {}
    # heads are not trained here: one setting of theirs lets a single candidate pass as a fair choice
    given |= {"arms": [arm], "per_arm": {arm: [chosen]}, "head_weight_decays": [0.1]}
    return Tried(*_validation(search.params("end_to_end", backbone, given), arm))


def _arm(params, arm: str):
    """The arm of a trial: the paper's pooling and head."""
    from .arms import HeadArm, WholeArm

    if arm != "frozen":
        return WholeArm(params, arm, *(("", "") if arm == "e2e_shipped" else ("simple", "paper")))
    return HeadArm(params, "frozen", "simple", "paper")


def _validation(params, arm: str) -> list[float]:
    """AUROC on validation with all labels and with the fewest, the best candidate of each draw of labels, draws averaged."""
    from .units import Units

    made, seed, found = _arm(params, arm), params.seeds[0], {}
    for fraction in params.label_fractions:
        units, draws = Units(made, fraction), range(made.draws(fraction))
        found[fraction] = sum(units.best(seed, draw)[2] for draw in draws) / len(draws)
    return [found[max(found)], found[min(found)]]


def _baseline(params, name: str) -> Tried:
    """What a baseline's trial measured, as `_validation` does."""
    from .arms import FEW, labelled
    from .artefacts import baseline_for, cohort_for

    seed, found, capped = params.seeds[0], {}, False
    cohort = cohort_for(params.cohort, seed)
    for fraction in params.label_fractions:
        draws = range(params.draws if fraction <= FEW else 1)
        records = [baseline_for(params, name, seed, labelled(cohort, fraction, seed, draw))[1] for draw in draws]
        found[fraction] = sum(record["validation"] for record in records) / len(draws)
        capped |= any(record["capped"] for record in records)
    return Tried(found[max(found)], found[min(found)], capped=capped)


def start(search: Search, backbone: str, arm: str) -> dict:
    """The point of the space at which everything is as the file, or without it the parameters' own values, say."""
    if arm == BASELINE:
        return dict(search.params("baselines", backbone, {}).gru_settings[0])
    stage = "heads" if arm == "frozen" else "end_to_end"
    params = search.params(stage, backbone, {})
    known = {name: getattr(params, name) for name in type(params).model_fields}
    if stage == "end_to_end":
        known["e2e_lrs"] = params.e2e_lrs[0]
    config = sizes(backbone, params.size, params.cohort, params.config)
    known |= {f"config.{name}": value for name, value in config.items()}
    return {name: known[name] for name in space(backbone, arm)}


def winner(search: Search, backbone: str, arm: str, place: int = 0) -> dict:
    """The settings of the best trial of a finished study, or of the one after it."""
    done = finished(study_of(search, backbone, arm))
    if len(done) < search.trials:
        raise ModtsError(
            f"The search for {backbone}'s arm {arm} has {len(done)} of {search.trials} trials; it must be finished first."
        )
    order = sorted(done, key=lambda trial: -trial.value)
    return order[place].user_attrs["settings"]


def run_all(search: Search, minutes: float, cores: int, only: tuple[str, ...] = ()) -> list[str]:
    """All studies, `cores` beside each other, for so many minutes, one backbone after another. Returns a line on each that is not finished.

    Raises
    ------
    ModtsError
        The minutes are no number of 0 or more, there is no core, the search does not have a backbone of `only`, or nothing can be written.
    """
    if not minutes >= 0 or cores < 1:
        raise ModtsError(
            f"A search cannot go on for {minutes:g} minutes on {cores} cores; give 0 minutes or more, and 1 core or more."
        )
    for name in only:
        choose(name, [*search.backbones, *search.baselines], f"backbone or baseline of the search {search.search}")
    for folder in (runs.work_dir(), runs.results_dir()):
        runs.made_folder(folder)
    until, left, running = time.time() + minutes * 60, [], {}
    ready = [pair for pair in studies(search) if not only or pair[0] in only]
    # fine-tuning starts from what `frozen` chose
    late = [pair for pair in ready if pair[1] == "finetune" and (pair[0], "frozen") in ready]
    ready = [pair for pair in ready if pair not in late]
    with concurrent.futures.ProcessPoolExecutor(
        cores, multiprocessing.get_context("spawn"), warden.end_with_parent
    ) as pool:
        while ready or running:
            while ready and len(running) < cores:
                pair = ready.pop(0)
                running[pool.submit(_in_child, search.model_dump() | {"device": search.device}, *pair, until)] = pair
            for job in concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED).done:
                backbone, arm = running.pop(job)
                missing, why = job.result()
                if missing:
                    left.append(f"{backbone} {arm}: {missing} of {search.trials} trials are missing{why}")
                if arm == "frozen":
                    ready[:0] = [pair for pair in late if pair[0] == backbone]
    return left


def _in_child(search: dict, backbone: str, arm: str, until: float) -> tuple[int, str]:
    search = Search.model_validate(search)
    try:
        return run_search(search, backbone, arm, until), ""
    except ModtsError as error:
        return search.trials, f" ({error})"


def _optuna():
    try:
        import optuna
    except ImportError:
        raise ModtsError("A search needs Optuna: install modts[search].") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
