"""Effects: what the study answers with. Paired differences between arms on the same test stays, few and named beforehand.

A question is one difference, such as `frozen - e2e`. Each is asked of every backbone, and of the mean over these backbones (backbone "all"),
whose splits, draws of labels and stays are resampled together; over cohorts (cohort "all") it is a random-effects mean with the interval of
Hartung and Knapp. p-values carry Holm's correction (Scand J Stat 6:65-70, 1979) within families that are named beforehand: of one question, one
cohort, one metric and one test, the pooled lines are the primary family, and the lines of each backbone, which explain them, a secondary one.

A transfer is a pair of cohorts: its questions (`TRANSFERS`) are asked for each source of a cohort, beside the arms of the cohort's own, and a
family is then of one source too. All other questions are asked where there is none.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from modts import runs
from modts.cohorts import EXTERNAL, SPLIT, TASKS
from modts.errors import ModtsError

from .predicted import POOLING, Model, Truth, predictions
from .questions import ASKED, BASELINE, QUESTIONS, TRANSFERS

EFFECT_COLUMNS = (
    "cohort", "variant", "source", "task", "question", "backbone", "label_fraction", "metric", "test", "difference", "low", "high", "p",
    "p_holm", "family", "n_splits", "n_draws", "verdict", "run",
)  # fmt: skip
ALL = "all"
SEARCHED = (
    "physionet_2012_b",
)  # where settings were searched and the protocol was decided: no part of a mean over cohorts
POOLED, EACH = "mean over backbones", "each backbone"  # the two kinds of families
BETTER, WORSE, EQUIVALENT, CANNOT_TELL = "better", "worse", "equivalent", "cannot tell"
MARGIN, MARGIN_OF_ERROR = 0.02, 0.05  # what is too small to matter: of AUROC or AUPRC; as a share of an error
LEVEL = 0.05
N_BOOT = 20_000


def effects(records: list[dict], folder: Path, n_boot: int = N_BOOT) -> tuple[list[dict], list[str]]:
    """Every question that the runs' predictions can answer, cohort by cohort.

    Parameters
    ----------
    records : list of dict
        Run records of one profile.
    folder : Path
        Where <run>.npz lie, keyed "<arm>|<head>|<pooling>|<label fraction>|<split seed>|<initial seed>|<draw of labels>", and
        "|external" behind it for an external test.
    n_boot : int
        Resamples.

    Returns
    -------
    rows : list of dict
        `EFFECT_COLUMNS` but for what `judged` adds; difference = a - b.
    said : list of str
        A line on each cohort or run that could not be compared.
    """
    rows, said = [], []
    cohorts = defaultdict(list)
    for record in records:
        cohorts[record["params"]["cohort"], record["params"].get("variant", "")].append(record)
    for (name, variant), group in cohorts.items():
        stored = [record for record in group if (folder / f"{record['run']}.npz").is_file()]
        if not stored:
            continue
        for test in (SPLIT, EXTERNAL):
            external = (
                {record["params"].get("external") for record in stored} - {None, ""} if test == EXTERNAL else {""}
            )
            for other in sorted(external):
                try:
                    truth = Truth(name, other)
                    found = predictions(stored, folder, truth, said)
                except ModtsError as error:
                    what = f"external test {other} of {name}" if other else f"cohort {name}"
                    said.append(f"{what} cannot be compared, its effects are kept as they were: {error}")
                    continue
                for (source, fraction), models in sorted(found.items(), reverse=True):
                    for question in TRANSFERS if source else QUESTIONS:
                        answers = _answers(question, fraction, models, truth, n_boot)
                        rows += [{**row, "variant": variant, "source": source} for row in answers]
    return rows, said


def judged(rows: list[dict], records: list[dict]) -> list[dict]:
    """These rows with the random-effects means over cohorts, Holm's correction and the verdicts, in the order of the table.

    Parameters
    ----------
    rows : list of dict
        As `effects` makes them, or read from the table; of one profile or of several, which share no family.
    records : list of dict
        The runs behind them: a margin of an error is a share of the error that the arm b has.
    """
    rows = [row for row in rows if row["cohort"] != ALL]
    margins = _margins(rows, records)
    rows = [{**row, "margin": allowed} for row, allowed in zip(rows, margins, strict=True)]
    rows += _over_cohorts(rows)
    families = defaultdict(list)
    for row in rows:
        names = [profile_of(row), row["question"], row["cohort"], row["metric"]]
        source = f"from {row['source']}" if row.get("source") else ""  # a table of before has no such column
        names += filter(None, [row.get("variant", ""), source, row["test"] if row["test"] != SPLIT else ""])
        row["family"] = ", ".join([*names, POOLED if row["backbone"] == ALL else EACH])
        families[row["family"]].append(row)
    for family in families.values():
        for row, p in zip(family, holm([float(row["p"]) for row in family]), strict=True):
            row["p_holm"] = p
            row["verdict"] = verdict(row, row["margin"])
    order = list(ASKED)
    return sorted(
        rows,
        key=lambda row: (
            profile_of(row),
            row["cohort"] == ALL,
            row["cohort"],
            row.get("variant", ""),
            row.get("source", ""),
            row["test"] == SPLIT,
            row["metric"],
            order.index(row["question"]),
            -float(row["label_fraction"]),
            row["backbone"] == ALL,
            row["backbone"],
        ),
    )


def profile_of(row: dict) -> str:
    """The profile whose runs a row compares: a run is called after it."""
    return row["run"].split("-", 1)[0]


def cohort_of(record: dict) -> str:
    """What a run's rows call its cohort."""
    return record.get("cohort") or Path(record["params"]["cohort"]).stem


def margin(metric: str, reference: float) -> float:
    """The difference that is too small to matter: .02 of AUROC or AUPRC, 5 % of the error that stands against it.

    >>> margin("auroc", 0.8), margin("mae", 1.0)
    (0.02, 0.05)
    """
    from modts.learning import HIGHER_IS_BETTER

    return MARGIN if HIGHER_IS_BETTER[metric] else MARGIN_OF_ERROR * reference


def verdict(row: dict, allowed: float) -> str:
    """The word for one effect, of a seen from b.

    *equivalent*: the 95 % interval lies within the margin (stricter than the two one-sided tests at 5 %, whose interval is the 90 % one), be
    the difference zero or not; else *better* or *worse* where Holm's correction leaves p below .05; else *cannot tell*.
    """
    from modts.learning import HIGHER_IS_BETTER

    if -allowed < float(row["low"]) and float(row["high"]) < allowed:
        return EQUIVALENT
    if float(row["p_holm"]) < LEVEL:
        return BETTER if (float(row["difference"]) > 0) == HIGHER_IS_BETTER[row["metric"]] else WORSE
    return CANNOT_TELL


def holm(p: list[float]) -> list[float]:
    """Holm's step-down adjustment.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted


# --- one question, one cohort, one share of the labels ---


def _pair(question: str, backbone: str) -> tuple[Model, Model]:
    a, b = (("", *side) if side[0] == BASELINE else (backbone, *side) for side in ASKED[question])
    return a, b


def _backbone(model: Model) -> str:
    return model[0]


def _answers(question: str, fraction: float, models: dict, truth: Truth, n_boot: int) -> list[dict]:
    """A row a backbone and metric, and one for their mean where there are several.

    Compared are the splits and draws that both models have; the mean is of those that all of its models have.
    """
    from modts.learning import METRICS, contrasts

    backbones = [
        name
        for name in dict.fromkeys(model[0] for model in models)
        if name and all(model in models for model in _pair(question, name))
    ]
    sets = {name: _shared(models, _pair(question, name)) for name in backbones}
    groups = defaultdict(list)  # backbones with the same splits and draws are resampled together
    for name in backbones:
        if sets[name]:
            groups[tuple(sets[name])].append(name)
    asked = [(units, {name: [name] for name in names}) for units, names in groups.items()]
    if len(backbones) > 1:
        every = tuple(_shared(models, [model for name in backbones for model in _pair(question, name)]))
        if every in groups and len(groups) == 1:
            asked[0][1][ALL] = backbones
        elif every:
            asked.append((every, {ALL: backbones}))
    rows = []
    for units, names in asked:
        used = dict.fromkeys(model for some in names.values() for name in some for model in _pair(question, name))
        entries = [
            (truth[split][0], {model: models[model][0][split, init, draw] for model in used}, truth[split][1])
            for split, init, draw in units
        ]
        pairs = {name: [_pair(question, one) for one in some] for name, some in names.items()}
        splits = [split for split, _, _ in units]
        # several seeds of one origin of a series are initialisations, and those of two backbones have nothing in common
        options = {"block": "auto"} if truth.series and not TASKS[truth.task].probability else {}
        options |= {"apart": _backbone} if truth.series else {}
        found = contrasts(truth.task, entries, pairs, n_boot=n_boot, splits=splits, **options)
        for metric in METRICS[truth.task]:
            for name, some in names.items():
                value = found[metric][name]
                rows.append(
                    {
                        "cohort": truth.title,
                        "task": truth.task,
                        "question": question,
                        "backbone": name,
                        "label_fraction": fraction,
                        "metric": metric,
                        "test": truth.test,
                        **{key: value[key] for key in ("difference", "low", "high", "p")},
                        "n_splits": len(set(splits)),
                        "n_draws": min(splits.count(split) for split in splits),
                        "run": ",".join(
                            dict.fromkeys(models[model][1] for one in some for model in _pair(question, one))
                        ),
                    }
                )
    return rows


def _shared(models: dict, some) -> list[tuple[int, int, int]]:
    """The (split, initial seed, draw) that all of these models have predicted."""
    return sorted(set.intersection(*(set(models[model][0]) for model in some)))


def _margins(rows: list[dict], records: list[dict]) -> list[float]:
    """The margin of each row, from the stored score of its arm b (for a pooled row, the mean over its backbones); 0 where none is stored."""
    scores: dict = {}
    for record in sorted(records, key=lambda record: record["stage"] == "transfer"):
        for row in record.get("rows", []):
            of_own = row["label_fraction"] != "" and not row.get("source")  # no arm b comes from elsewhere
            if row["split_seed"] == "" and row["pooling"] in POOLING and of_own:
                model = (
                    ("", BASELINE, row["backbone"])
                    if row["arm"] == BASELINE
                    else tuple(map(row.get, ("backbone", "arm", "head")))
                )
                scores.setdefault((record["profile"], *_cell(row), model), row["value"])
    where = [(profile_of(row), *_cell(row), row.get("source", ""), row["question"]) for row in rows]
    backbones = defaultdict(list)
    for row, place in zip(rows, where, strict=True):
        if row["backbone"] != ALL:
            backbones[place].append(row["backbone"])
    out = []
    for row, place in zip(rows, where, strict=True):
        *first, _, question = place
        names = backbones[place] if row["backbone"] == ALL else [row["backbone"]]
        found = [scores.get((*first, _pair(question, name)[1]), 0.0) for name in names]
        out.append(margin(row["metric"], sum(found) / max(1, len(found))))
    return out


def _cell(row: dict) -> tuple[str, ...]:
    """Where a score or an effect stands, whoever it is of."""
    row = {**runs.LATER, **row}
    return row["cohort"], row["variant"], row["test"], f"{float(row['label_fraction']):g}", row["metric"]


def _over_cohorts(rows: list[dict]) -> list[dict]:
    """A random-effects mean of each question over the cohorts of real data, from their pooled rows and the widths of their intervals.

    Cohorts on which the protocol was decided are left out, and so are transfers, which are of pairs.
    """
    from modts.learning import random_effects

    pooled = defaultdict(list)
    for row in rows:
        real = not row["cohort"].startswith("simulated") and row["cohort"] not in SEARCHED
        if row["backbone"] == ALL and real and not row.get("source"):
            names = [row.get(name, "") for name in ("variant", "task", "question", "metric", "test")]
            pooled[profile_of(row), *names, f"{float(row['label_fraction']):g}"].append(row)
    out = []
    for some in pooled.values():
        errors = [(float(row["high"]) - float(row["low"])) / (2 * 1.96) for row in some]
        if len(some) < 2 or min(errors) <= 0:
            continue
        found = random_effects([float(row["difference"]) for row in some], errors)
        out.append(
            {
                **some[0],
                "cohort": ALL,
                "difference": found["mean"],
                **{name: found[name] for name in ("low", "high", "p")},
                "n_splits": min(int(row["n_splits"]) for row in some),
                "n_draws": min(int(row["n_draws"]) for row in some),
                "run": ",".join(dict.fromkeys(run for row in some for run in row["run"].split(","))),
                "margin": sum(row["margin"] for row in some) / len(some),
            }
        )
    return out
