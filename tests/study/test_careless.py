"""What a careless run does, one thing at a time: each way does what it says, and what was run is not run again."""

import sys

import numpy as np
import pytest
import torch
from core_fixture import benchmark, places, tiny  # noqa: F401

from modts import runs
from modts.errors import ModtsError
from modts.study.collect import read_table


@pytest.fixture(scope="module")
def careless():
    return benchmark("careless")


@pytest.fixture(scope="module")
def cohort():
    return tiny(n=160)


def trained(careless, cohort, *names):
    found = careless.measure(cohort, "GRU-D", 0, careless.way_of(names), epochs=4)
    return {name: float(value) for name, value in found.items()}


def test_each_change_is_one_and_pairs_are_two(careless):
    way = careless.Way()
    for name, changed in careless.WAYS.items():
        made = careless.way_of((name,))
        assert {field for field in vars(way) if getattr(made, field) != getattr(way, field)} == set(changed)
    singles, pairs = careless.plan(), careless.plan(pairs=True)
    n, each = len(careless.WAYS), len(careless.SEEDS) * len(careless.BACKBONES)
    assert len(singles) == (1 + n) * each and len(pairs) == (1 + n + n * (n - 1) // 2) * each
    impossible = [run for run in pairs if not careless.possible(run)]
    assert {run["ways"] for run in impossible} == {"head on the reconstruction + sigmoid into cross-entropy"}


def test_every_change_but_the_last_trains_another_network(careless, cohort, monkeypatch):
    study = trained(careless, cohort)
    assert study == trained(careless, cohort)  # the same twice
    other = trained(careless, cohort, "score of the other class")
    assert other["test"] == pytest.approx(1 - study["test"], abs=2e-5) and other["validation"] == study["validation"]
    for name in (
        "labels of other rows",
        "labels of other rows, in validation too",
        "batches in one order",
        "raw units",
        "sigmoid into cross-entropy",
    ):
        assert trained(careless, cohort, name) != study, name
    rates, whole = [], careless.fit
    monkeypatch.setattr(careless, "fit", lambda *given, **named: rates.append(named["lr"]) or whole(*given, **named))
    trained(
        careless, cohort, "learning rate of 0.01"
    )  # after one step of Adam the order of the answers is that of any rate
    assert rates == [0.01]


def test_no_early_stopping_ends_with_the_last_weights_of_all_epochs(careless, cohort, monkeypatch):
    seen, whole = [], careless.fit

    def watched(model, step, validate, **named):
        history = whole(model, step, validate, **named)
        seen.append((history.best_epoch, len(history.validation)))
        return history

    monkeypatch.setattr(careless, "fit", watched)
    monkeypatch.setattr(careless, "LONG", 120)  # of 60: twice the epochs
    trained(careless, cohort, "200 epochs, no early stopping")
    assert seen == [(7, 8)]


def test_a_reference_to_the_best_weights_is_the_last_ones(careless, cohort, monkeypatch):
    """The scores differ from the study's only where the best epoch was not the last."""
    kept, whole = [], careless.fit

    def watched(model, step, validate, **named):
        states = []

        def seen():
            states.append({name: value.clone() for name, value in model.state_dict().items()})
            return validate()

        history = whole(model, step, seen, **named)
        kept.append((model, states, history.best_epoch))
        return history

    monkeypatch.setattr(careless, "fit", watched)
    for name in ((), ("best weights kept by reference",)):
        trained(careless, cohort, *name)
    for (model, states, best), place in zip(kept, (kept[0][2], -1), strict=True):
        assert all(torch.equal(value, states[place][name]) for name, value in model.state_dict().items())
        assert best == kept[0][2]


def test_a_run_is_a_row_and_is_not_made_again(careless, cohort, monkeypatch, capsys):
    def measured(*_):
        calls.append(1)
        if len(calls) == 2:
            raise ModtsError("Training diverged in epoch 0 (loss nan, validation 0.5); use a smaller learning rate.")
        return {"validation": "0.7", "test": "0.8", "steps": 3}

    calls = []
    monkeypatch.setattr(careless, "load_cohort", lambda name, seed: cohort)
    monkeypatch.setattr(careless, "measure", measured)
    monkeypatch.setattr(careless, "WAYS", {"raw units": {"scaled": False}})
    monkeypatch.setattr(sys, "argv", ["careless.py"])
    careless.main()
    rows = read_table(runs.results_dir() / "careless.csv")
    assert len(rows) == 12 == len(calls) and [row["test"] for row in rows].count("0.5") == 1
    careless.main()
    assert len(calls) == 12
    said = capsys.readouterr().out
    assert "the study's way, SAITS: AUROC 0.700 (3 splits, 0.500 to 0.800)" in said
    assert np.isfinite([float(row["seconds"]) for row in rows]).all()
