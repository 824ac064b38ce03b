"""Effects are kept by what they are made of: the same runs are not resampled again, changed ones are."""

import numpy as np
import pytest
from core_fixture import places, tiny  # noqa: F401

from modts import runs
from modts.study import collect, compared, effects, experiments, validate


@pytest.fixture
def made(places):  # noqa: F811
    cohort = str(tiny(n=80, steps=6, features=3).save(places / "tiny.npz"))
    given = {"profile": "study", "cohort": cohort, "backbone": "GRU-D", "seeds": [0, 1], "label_fractions": [1.0]}
    experiments.heads(validate("heads", {**given, "epochs": 1, "head_epochs": 3, "poolings": ["paper"]}))
    folder = runs.work_dir() / "study"
    return collect.read_runs(folder / "runs"), folder / "predictions"


def test_what_has_not_changed_is_not_resampled(made, monkeypatch):
    records, folder = made
    asked, really = [], effects.effects
    monkeypatch.setattr(effects, "effects", lambda group, where: asked.append(group) or really(group, where))
    first = compared.compared(records, folder)
    again = compared.compared(records, folder)
    assert first == again == really(records, folder) and len(asked) == 1 and len(first[0]) > 2
    path = folder / f"{records[0]['run']}.npz"
    arrays = runs.read_arrays(path, unsealed=True)
    runs.write_arrays(path, records[0]["run"], **{name: np.flip(values) for name, values in arrays.items()})
    other, _ = compared.compared(records, folder)
    assert len(asked) == 2 and other != first[0]
    monkeypatch.setattr(runs, "hash_of", lambda *modules: "another code")
    assert compared.compared(records, folder)[0] == other and len(asked) == 3


def test_what_could_not_be_compared_is_told_each_time(made):
    records, folder = made
    records = [record | {"data_hash": dict.fromkeys(record["data_hash"], "other data")} for record in records]
    for _ in range(2):
        rows, said = compared.compared(records, folder)
        assert not rows and "was made with other data than those here" in said[0]
