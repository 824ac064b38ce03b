"""The published quick results come back: the same parameters, run again here, give the same data and nearly the same numbers.

Notebook outputs are compared as text and so hold no digits; the numbers are compared here, with a tolerance, because the last digits of
training differ between kinds of CPU.
"""

import pytest

from modts import runs
from modts.study import collect, experiments, params

RUNS = ("quick-pretrain-simulated_air-GRU-D", "quick-heads-simulated_air-GRU-D", "quick-baselines-simulated_air")
TOLERANCE = {"mae": 0.05, "mse": 0.08}  # z-scores; a fifth of the effect of training at all


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The same runs, made anew in a folder of their own."""
    published = {record["run"]: record for record in collect.read_runs(runs.results_dir() / "runs")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODTS_WORK", str(tmp_path_factory.mktemp("work")))
        return {
            name: (record, getattr(experiments, record["stage"])(params.parse(record["stage"], record["params"])))
            for name, record in published.items()
            if name in RUNS
        }


@pytest.mark.parametrize("name", RUNS)
def test_the_same_parameters_give_the_published_numbers(fresh, name):
    record, run = fresh[name]
    assert run.data_hash == record["data_hash"], "the embedded data have changed: publish the quick profile again"
    key = [column for column in runs.COLUMNS if column not in ("value", "low", "high", "hardware")]
    found = {tuple(row[column] for column in key): row["value"] for row in run.rows}
    expected = {tuple(row[column] for column in key): row for row in record["rows"]}
    assert set(found) == set(expected)
    far = {
        place: (value, expected[place]["value"])
        for place, value in found.items()
        if abs(value - expected[place]["value"]) > TOLERANCE[expected[place]["metric"]]
    }
    assert not far
