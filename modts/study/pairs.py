"""Paired tests among stored predictions: is one arm better than another on the same test stays, over all seeds?

The tests are few and named beforehand: within a backbone, frozen against what trains more or nothing; each backbone's
main arms against boosted trees. p-values carry Holm's correction within a cohort and label fraction (Holm 1979, Scand J
Stat 6:65-70).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

PAIRED_COLUMNS = (
    "profile", "cohort", "task", "metric", "label_fraction", "split_seed", "a", "b", "difference", "low", "high", "p",
    "n_test", "p_holm",
)  # fmt: skip
METRIC = {"classification": "auroc", "regression": "mae"}
TRAINED = ("finetune", "e2e", "e2e_shipped", "untrained")
POOLING = ("paper", "statistics", "")  # of a backbone, of the baselines, of a classifier that brings its own
TREES = ("LightGBM", "baseline", "")
N_BOOT = 2000

Model = tuple[str, str, str]  # backbone or baseline, arm, head


def compare(records: list[dict], folder: Path, n_boot: int = N_BOOT) -> tuple[list[dict], list[str]]:
    """All planned tests among the runs' predictions.

    Parameters
    ----------
    records : list of dict
        Run records of one profile.
    folder : Path
        Where <run>.npz lie, keyed "<arm>|<head>|<pooling>|<label fraction>|<split seed>|<initial seed>".

    Returns
    -------
    rows : list of dict
        `PAIRED_COLUMNS`; difference = a - b.
    said : list of str
        A line on each cohort or run that could not be tested.
    """
    rows, said = [], []
    cohorts = defaultdict(list)
    for record in records:
        cohorts[record["params"]["cohort"]].append(record)
    for name, group in cohorts.items():
        stored = [record for record in group if (folder / f"{record['run']}.npz").is_file()]
        if not stored:
            continue
        try:
            truth = _Truth(name)
            predictions = _read(stored, folder, truth, said)
        except ModtsError as error:
            said.append(f"cohort {name} cannot be loaded, its paired tests are kept as they were: {error}")
            continue
        for fraction, models in sorted(predictions.items()):
            block = []
            for a, b in planned(list(models)):
                seeds = sorted(set(models[a]) & set(models[b]))
                if seeds:
                    items = [(truth[s][0], models[a][s], models[b][s], truth[s][1]) for s in seeds]
                    block.append(_test(records[0]["profile"], name, truth.task, fraction, a, b, items, n_boot))
            for row, p in zip(block, holm([row["p"] for row in block]), strict=True):
                rows.append({**row, "p_holm": p})
    return rows, said


def planned(models: list[Model]) -> list[tuple[Model, Model]]:
    """Which of the models present are compared."""
    present, found = set(models), []
    for backbone in sorted({model[0] for model in models if model[1] != "baseline"}):
        of = {
            arm: sorted(model for model in present if model[:2] == (backbone, arm))
            for arm in ("frozen", "transfer", *TRAINED)
        }
        for a in of["frozen"]:
            for arm in TRAINED:
                found += [(a, b) for b in of[arm] if arm != "untrained" or a[2] == b[2]]
            found += [(b, a) for b in of["transfer"] if b[2] == a[2]]
        found += [(a, b) for a in of["frozen"] for b in of["frozen"] if (a[2], b[2]) == ("simple", "complex")]
        if TREES in present:
            found += [(a, TREES) for arm in ("frozen", "finetune", "e2e") for a in of[arm]]
    return found


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


class _Truth:
    """Test labels of a cohort by split seed, as the arms were scored: (y, observed or None)."""

    def __init__(self, name: str):
        from .artefacts import cohort_for

        self.cohort_for, self.name, self.found = cohort_for, name, {}
        self.task = cohort_for(name, 0).task

    def __getitem__(self, seeds: tuple[int, int]):
        import numpy as np

        from modts.learning import labels

        if seeds[0] not in self.found:
            y = labels(self.cohort_for(self.name, seeds[0]))[0]["test"]
            self.found[seeds[0]] = np.nan_to_num(y.y), y.seen
        return self.found[seeds[0]]

    def matches(self, record: dict) -> bool:
        """True if the record's data are these."""
        stored = record.get("data_hash", {})
        return all(self.cohort_for(self.name, int(seed)).content_hash == value for seed, value in stored.items())


def _read(records: list[dict], folder: Path, truth: _Truth, said: list[str]) -> dict:
    """{label fraction: {model: {(split, initial seed): prediction}}}; an arm's own run speaks before a transfer's."""
    found: dict = defaultdict(lambda: defaultdict(dict))
    moved = {record["params"]["source"] for record in records if record["stage"] == "transfer"}
    for record in sorted(records, key=lambda record: record["stage"] == "transfer"):
        if not truth.matches(record):
            said.append(f"{record['run']} was made with other data than those here: not tested; run it again")
            continue
        for key, prediction in runs.read_arrays(folder / f"{record['run']}.npz", record["run"], unsealed=True).items():
            arm, head, pooling, fraction, split, init = key.split("|")
            if pooling not in POOLING or (
                arm == "transfer" and len(moved) > 1
            ):  # the table has no column for the source
                continue
            backbone = runs.backbone_label(record["params"].get("backbone", ""))
            model = (arm, "baseline", "") if record["stage"] == "baselines" else (backbone, arm, head)
            found[float(fraction)][model].setdefault((int(split), int(init)), prediction)
    return found


def _test(profile: str, cohort: str, task: str, fraction: float, a: Model, b: Model, items: list, n_boot: int) -> dict:
    from modts.learning import paired_seeds

    result = paired_seeds(task, METRIC[task], items, n_boot=n_boot)
    return {
        "profile": profile,
        "cohort": Path(cohort).stem,
        "task": task,
        "metric": METRIC[task],
        "label_fraction": fraction,
        "split_seed": "",
        "a": "/".join(a),
        "b": "/".join(b),
        **result,
        "n_test": len(items[0][0]),
    }
