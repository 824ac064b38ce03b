"""A cohort with one number a stay runs through every notebook's function, from the saved cohort to scored rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401

from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.study import experiments, params

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


def go(stage, cohort, **values):
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        return getattr(experiments, stage)(params.parse(stage, {"cohort": cohort, **values}))
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


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
