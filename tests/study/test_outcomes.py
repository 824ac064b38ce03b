"""A cohort with one number a stay runs through every notebook's function, from the saved cohort to scored rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core_fixture import go, places, tiny  # noqa: F401
from outcome_fixture import SEVERAL, asked

from modts import runs
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import METRICS
from modts.study import effects, params

SHORT = {
    "backbone": "GRU-D",
    "seeds": [0],
    "epochs": 1,
    "batch_size": 16,
    "heads": ["simple"],
    "label_fractions": [1.0],
    "head_epochs": 2,
}


@pytest.fixture(scope="module")
def number(tmp_path_factory):
    c = tiny(n=80, steps=6, features=4, name="number")
    y = np.nan_to_num(c.X[..., 0]).mean(1)
    y[::7] = np.nan
    return str(replace(c, y=y, task="regression", split_by="random").save(tmp_path_factory.mktemp("c") / "number.npz"))


def test_rows_of_heads_whole_networks_and_baselines(number):
    done = [
        go("heads", number, **SHORT),
        go("end_to_end", number, **SHORT, arms=["e2e", "e2e_shipped"], e2e_epochs=1),
        go("baselines", number, seeds=[0], label_fractions=[1.0]),
    ]
    rows = [row for run in done for row in run.rows if row["task"] == "regression"]
    assert {row["metric"] for row in rows} == {"mae", "mse"}
    assert {row["arm"] for row in rows} >= {"frozen", "e2e", "baseline"} and "e2e_shipped" not in {
        row["arm"] for row in rows
    }
    assert all(np.isfinite(row["value"]) and row["low"] <= row["value"] <= row["high"] for row in rows)


def test_a_cohort_without_labels_is_pretrained_on_and_no_more(number):
    c = load_cohort(number)
    path = str(replace(c, y=np.empty((80, 0)), task="imputation", name="bare").save(Path(number).with_name("bare.npz")))
    rows = go("pretrain", path, **{k: SHORT[k] for k in ("backbone", "seeds", "epochs", "batch_size")}).rows
    assert {row["task"] for row in rows} == {"imputation"}
    assert {row["task"] for row in go("baselines", path, seeds=[0]).rows} == {"imputation"}
    for stage, more in (("heads", {}), ("end_to_end", {"arms": ["e2e"]})):
        with pytest.raises(ModtsError, match="no label to predict"):
            go(stage, path, **SHORT, **more)


@pytest.mark.parametrize("task", SEVERAL)
def test_classes_labels_and_steps_run_through_the_notebooks_functions(task, tmp_path):
    cohort = asked(task, n=100)
    path = str(cohort.save(tmp_path / f"{task}.npz"))
    done = [
        go("heads", path, **SHORT, class_weight="balanced"),
        go("end_to_end", path, **SHORT, arms=["e2e", "e2e_shipped"], e2e_epochs=1),
        go("baselines", path, seeds=[0], label_fractions=[1.0]),
        go("latency", path, **{k: SHORT[k] for k in ("backbone", "seeds", "epochs")}, batch_sizes=[1], repeats=2),
    ]
    rows = [row for run in done for row in run.rows if row["task"] == task]
    names = [f"{m} of {name}" for m in ("auroc", "auprc") for name in cohort.classes]
    assert {row["metric"] for row in rows} == {*METRICS[task], *names}
    assert {row["arm"] for row in rows} - {"e2e_shipped"} == {
        "frozen",
        "fusion",
        "stacked",
        "untrained",
        "e2e",
        "baseline",
    }
    assert ("e2e_shipped" in {row["arm"] for row in rows}) == (task == "multiclass")
    # on a test of a few stays a class's AUPRC may lie below its resampled ones, which repeat what they found
    assert all(np.isfinite(row["value"]) and row["low"] <= row["high"] for row in rows)
    saved = runs.read_json(runs.work_dir() / done[0].params["profile"] / "runs" / f"{done[0].id}.json")
    assert saved["params"]["class_weight"] == "balanced"
    found, said = effects.effects([runs.read_json(p) for p in _records()], _records()[0].parents[1] / "predictions")
    assert not said and {row["task"] for row in found} == {task}
    assert {row["metric"] for row in found} == set(METRICS[task])


def _records():
    return sorted(runs.work_dir().glob("*/runs/*.json"))


def test_class_weights_are_part_of_a_recipe(tmp_path):
    path = str(asked("multiclass", n=100).save(tmp_path / "weighted.npz"))
    plain, weighted = (go("heads", path, **SHORT, class_weight=w) for w in (None, {"high": 30}))
    key = next(key for key in plain.predictions if key.startswith("frozen"))
    assert not np.array_equal(plain.predictions[key], weighted.predictions[key])
    assert weighted.predictions[key][:, 2].mean() > plain.predictions[key][:, 2].mean()
    again = go("heads", path, **SHORT, class_weight={"high": 30.0})
    assert np.array_equal(again.predictions[key], weighted.predictions[key])


@pytest.mark.parametrize(
    "given, sentence",
    [
        ("equal", "class_weight"),
        ({"a": -1.0}, "class_weight"),
        ({"a": "x"}, "class_weight"),
        (3, "class_weight"),
    ],
)
def test_class_weights_that_do_not_fit_stop_at_the_parameters(given, sentence):
    with pytest.raises(ModtsError, match=sentence):
        params.parse("heads", {"class_weight": given})
    assert params.parse("heads", {"class_weight": {0: 1, 1: 3}}).class_weight == {"0": 1, "1": 3}
