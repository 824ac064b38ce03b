"""A published row is made again: only what it needs is asked, in an empty work folder, and the same split gives the same number."""

import sys

import pytest
from core_fixture import benchmark, places, tiny  # noqa: F401

from modts import runs
from modts.study import collect, experiments, validate
from modts.study.collect import read_table


@pytest.fixture
def script():
    return benchmark("again")


def test_only_what_a_row_needs_is_asked(script):
    params = {
        "seeds": [1, 2],
        "label_fractions": [1.0, 0.1],
        "heads": ["simple", "complex"],
        "poolings": ["paper", "steps"],
        "arms": ["e2e", "finetune"],
    }
    row = {"label_fraction": "0.1", "head": "simple", "pooling": "paper", "arm": "e2e"}
    assert script.needed(row, params, 7) == {
        "seeds": [7], "label_fractions": [0.1], "heads": ["simple"], "poolings": ["paper"], "arms": ["e2e"], "profile": "again",
    }  # fmt: skip
    bare = script.needed(row | {"head": "", "pooling": "statistics", "arm": "baseline"}, params, 7)
    assert (
        bare["heads"] == ["simple", "complex"]
        and bare["poolings"] == ["paper", "steps"]
        and bare["arms"] == ["e2e", "finetune"]
    )


def test_the_same_split_gives_the_same_number_and_a_new_one_another(script, places, monkeypatch):  # noqa: F811
    cohort = str(tiny(n=80, steps=6, features=3).save(places / "tiny.npz"))
    names = {"profile": "study", "cohort": cohort, "seeds": [0, 1], "label_fractions": [1.0], "gru_epochs": 1}
    experiments.baselines(validate("baselines", names))
    (record,) = collect.read_runs(runs.work_dir() / "study" / "runs")
    (runs.results_dir() / "runs").mkdir(parents=True)
    runs.write_json(runs.results_dir() / "runs" / f"{record['run']}.json", record)
    rows = [row for row in record["rows"] if row["backbone"] == "LightGBM" and row["split_seed"] == ""]
    runs.atomic_write(
        runs.results_dir() / "metrics.csv", collect.table([row | {"run": record["run"]} for row in rows], runs.COLUMNS)
    )
    monkeypatch.setattr(sys, "argv", ["again.py", "--rows", "1"])
    script.main()
    same, new = read_table(runs.results_dir() / "again.csv")
    assert (same["kind"], new["kind"]) == ("same split", "new split") and float(same["difference"]) == 0
    assert float(new["value"]) != float(new["published"]) and new["seed"] == "70" and new["mean"] == new["published"]
    before = (runs.results_dir() / "again.csv").read_text()
    script.main()
    assert (runs.results_dir() / "again.csv").read_text() == before


def test_rows_that_join_leave_the_lots_of_the_others(script, places):  # noqa: F811
    def published(fractions):
        same = dict.fromkeys(runs.COLUMNS, "") | {"profile": "study", "metric": "auroc", "run": "r"}
        return [same | {"label_fraction": str(fraction)} for fraction in fractions]

    def lots(rows, n, seed=0):
        runs.atomic_write(runs.results_dir() / "metrics.csv", collect.table(rows, runs.COLUMNS))
        return [row["label_fraction"] for row in script.drawn(n, seed, "study", "auroc")]

    early, late = published(range(1, 41)), published(range(41, 81))
    first, both = lots(early, 10), lots(early + late, 80)
    assert len(set(first)) == 10 and [name for name in both if int(name) <= 40][:10] == first
    assert sorted(first) != sorted(lots(early, 10, seed=1)) and lots(late + early, 80) == both
    assert any(int(name) > 40 for name in both[:10])  # the late ones have the same chance
