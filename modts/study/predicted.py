"""What was predicted of a cohort's test stays, and what is true of them: what effects are made from."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

from modts import runs
from modts.cohorts import EXTERNAL, SPLIT, by_test

from .questions import BASELINE, MOVED

POOLING = ("paper", "statistics", "")  # of a backbone, of the baselines, of a classifier that brings its own
Model = tuple[str, str, str]  # backbone, arm, head; a baseline has no backbone and its name as head


def source_of(record: dict) -> str:
    """What a run's rows call the cohort that its backbone comes from; "" for what is no transfer."""
    source = record["params"].get("source", "") if record["stage"] == "transfer" else ""
    said = (row["source"] for row in record.get("rows", []) if row.get("source"))
    return next(said, "") or (source and runs.cohort_label(source))


class Truth:
    """Labels of a cohort's test by split seed, as the arms were scored: (y, observed or None); of its external test, if one is named."""

    def __init__(self, name: str, external: str = ""):
        from .artefacts import tested

        self.tested, self.name, self.external, self.found = tested, name, external, {}
        self.test = EXTERNAL if external else SPLIT
        cohort = tested(name, external, 0)
        self.task, self.series, self.title = cohort.task, cohort.series, runs.cohort_label(name)

    def __getitem__(self, seed: int):
        import numpy as np

        from modts.learning import labels

        if seed not in self.found:
            cohort = self.tested(self.name, self.external, seed)
            y = labels(cohort)[0]["test"].take(by_test(cohort)[self.test])
            self.found[seed] = np.nan_to_num(y.y), y.seen
        return self.found[seed]

    def matches(self, record: dict) -> bool:
        """True if the record's data are these."""
        stored = record.get("data_hash", {})
        if self.external:
            here = self.tested(self.name, self.external, 0).notes["external"]["data"]
            if record.get("external", {}).get("data") != here:
                return False
        return all(self.tested(self.name, "", int(seed)).content_hash == value for seed, value in stored.items())


def predictions(records: list[dict], folder: Path, truth: Truth, said: list[str]) -> dict:
    """{(source, label fraction): {model: ({(split, initial seed, draw): prediction}, its run)}}.

    Under source "" stands what starts from the cohort's own data; under another cohort's name what starts from that one's backbone, and all else
    beside it. An arm's own run speaks before a transfer's.
    """
    sources = {"", *map(source_of, records)}
    found: dict = defaultdict(dict)
    for record in sorted(records, key=lambda record: record["stage"] == "transfer"):
        if truth.external and record["params"].get("external") != truth.external:
            continue
        if not truth.matches(record):
            said.append(f"{record['run']} was made with other data than those here: not compared; run it again")
            continue
        mine: dict = defaultdict(lambda: defaultdict(dict))
        for key, prediction in runs.read_arrays(folder / f"{record['run']}.npz", record["run"], unsealed=True).items():
            arm, head, pooling, fraction, split, init, *rest = key.split("|")
            test = EXTERNAL if EXTERNAL in rest else SPLIT
            if pooling in POOLING and test == truth.test:
                backbone = runs.backbone_label(record["params"].get("backbone", ""))
                model = ("", BASELINE, arm) if record["stage"] == "baselines" else (backbone, arm, head)
                place = int(split), int(init), int(rest[0]) if rest else 0
                mine[float(fraction)][model][place] = prediction.astype("float32")
        own = source_of(record)
        for source, (fraction, models) in itertools.product({"", own} if own else sources, mine.items()):
            for model, answers in models.items():
                if source or model[1] not in MOVED:
                    found[source, fraction].setdefault(model, (answers, record["run"]))
    return found
