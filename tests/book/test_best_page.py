"""The page on mixtures: what is told of made-up rows; and the script, which averages log-odds and trains nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from core_fixture import benchmark, places  # noqa: F401

from modts import runs
from modts.book import best, fragments, results
from modts.cohorts import load_cohort
from modts.learning import fit_baseline


def row(recipe, share, difference, half=0.005, test="external", metric="auroc"):
    value = "" if recipe.startswith("share of") else "0.86"
    numbers = {"difference": difference, "low_difference": difference - half, "high_difference": difference + half}
    about = {
        "recipe": recipe,
        "label_fraction": f"{share:g}",
        "test": test,
        "metric": metric,
        "backbones": "GRU-D SAITS",
        "splits": "5",
        "draws": "25",
    }
    return (
        dict.fromkeys(results.TABLES["best"], "")
        | about
        | {"value": value, "low": value, "high": value}
        | {name: f"{value:.4f}" for name, value in numbers.items()}
    )


def found():
    rows = []
    for test in best.TESTS:
        for metric in ("auroc", "auprc"):
            for share, gain in ((1.0, 0.012), (0.1, 0.02)):
                some = {
                    best.ALL: gain,
                    "without any latents": 0.003,
                    "heads": gain - 0.02,
                    best.LATENTS: gain - 0.003,
                    "share of heads": 0.004,
                }
                rows += [row(recipe, share, value, test=test, metric=metric) for recipe, value in some.items()]
    made = results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    made.best = pd.DataFrame(rows, columns=list(results.TABLES["best"]))
    return made


def test_what_is_reached_what_latents_are_worth_and_what_was_aimed_at():
    said = best.answer(best.typed(found().best))
    assert said[0] == (
        "Put together, latents of a frozen GRU-D and SAITS and simple statistics reach an AUROC of 0.860 with all labels, "
        "+0.012 (+0.007 to +0.017), too small to matter; and 0.860 with 10 % of the labels, +0.020 (+0.015 to +0.025) over boosted trees on "
        "statistics alone."
    )
    assert said[1] == (
        "On the cohort's own test splits: +0.012 (+0.007 to +0.017) with all labels; +0.020 (+0.015 to +0.025) with 10 % of the labels."
    )
    assert said[2].startswith(
        "With all labels, the latents add +0.009 (+0.004 to +0.014), too small to matter. No single ingredient adds more than heads, +0.004"
    )
    assert said[4] == (
        "What the study had set itself, over the trees: +0.01 with all labels lies inside the interval, so whether it is reached cannot be "
        "told; +0.03 with 10 % of the labels is not reached."
    )
    sure = best.typed(found().best.assign(low_difference="0.0110"))
    assert "+0.01 with all labels is reached" in best.answer(sure)[4]
    told = best.answer(best.typed(found().best.assign(low_difference="-0.0010")))
    assert told[2].startswith("With all labels, what the latents add is +0.009 (−0.001 to +0.014), too small to matter")
    told = best.answer(best.typed(found().best.assign(low_difference="-0.0010", high_difference="0.0300")))
    assert told[2].startswith("With all labels, it cannot be told whether the latents add anything: +0.009")


def test_the_page_has_a_picture_and_tables(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    text = best.best(found())
    svg = (tmp_path / "best-wide.svg").read_text(encoding="utf-8")
    assert "what was aimed at" in svg and "without any latents" in svg and "share of" not in svg
    assert text.count("AUROC of mixtures") >= 2 and "share of heads" not in text
    assert "benchmarks/best.py" in best.best(results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame()))


@pytest.fixture
def script():
    return benchmark("best")


def test_an_ingredient_counts_once_however_many_backbones_it_has(script):
    p = {
        "LightGBM||statistics": 0.5,
        "Logistic regression||statistics": 0.2,
        "frozen|simple|paper": 0.9,
        "frozen|complex|paper": 0.7,
    }
    one, other = (
        {f"{start}|1|30|30|0": np.full(3, value) for start, value in some.items()}
        for some in (p, {"frozen|simple|paper": 0.4})
    )
    odds = {name: np.log(value / (1 - value)) for name, value in (p | {"second": 0.4}).items()}
    heads = np.mean([odds["frozen|simple|paper"], odds["second"], odds["frozen|complex|paper"]])
    want = np.mean([odds["LightGBM||statistics"], heads])
    names = ("boosted trees on statistics", "heads on latents, the paper's pooling")
    np.testing.assert_allclose(script.mixed([one, other], "1|30|30|0", names), 1 / (1 + np.exp(-want)), rtol=1e-6)
    assert script.mixed([one], "1|30|30|0", ("trees on latents beside statistics",)) is None
    assert set(script.recipes()[script.BARE]) == {"boosted trees on statistics", "logistic regression on statistics"}
    assert script.recipes()[script.ALL] == tuple(script.INGREDIENTS) and len(script.recipes()) == 2 + 2 * len(
        script.INGREDIENTS
    )


def test_every_split_and_draw_has_its_own_stays(script, monkeypatch):
    keys = [start for some in script.INGREDIENTS.values() for start in some]
    places_ = ["1|30|30|0", "1|31|31|0", "0.1|30|30|0", "0.1|30|30|4", "1|30|30|0|external"]
    arrays = {f"{start}|{place}": np.full(4, 0.3) for start in keys for place in places_}

    class Made:
        def __init__(self, seed):
            self.y = np.arange(4) % 2 + seed

        def part(self, name):
            return None, self.y

    monkeypatch.setattr(script, "load_cohort", lambda name, seed=0: Made(seed))
    some, splits = script.entries([arrays], 1.0, "split")
    assert splits == [30, 31] and [y[0] for y, _ in some] == [30, 31] and script.RIVAL in some[0][1]
    assert script.entries([arrays], 0.1, "split")[1] == [30, 30] and script.entries([arrays], 1.0, "external")[1] == [
        30
    ]


def test_it_reads_the_runs_of_heads_alone(script, places):  # noqa: F811
    folder = runs.work_dir() / "best"
    (folder / "runs").mkdir(parents=True)
    (folder / "predictions").mkdir()
    for name, stage, variant in (
        ("a", "heads", ""),
        ("b", "baselines", ""),
        ("c", "end_to_end", ""),
        ("d", "heads", "more"),
    ):
        record = {"run": name, "stage": stage, "cohort": "physionet_2012", "params": {"variant": variant}, "rows": []}
        runs.write_json(folder / "runs" / f"{name}.json", record)
        runs.write_arrays(folder / "predictions" / f"{name}.npz", x=np.zeros(2))
    assert [record["run"] for record in script.predictions("best")[1]] == ["a"]


def test_statistics_are_told_from_the_labels_that_the_heads_had(script, monkeypatch, places, tmp_path):  # noqa: F811
    own = load_cohort("simulated_icu")
    other = replace(own, name="others", ids=np.char.add("x", own.ids))
    monkeypatch.setattr(script, "COHORT", "simulated_icu")
    monkeypatch.setattr(script, "OUTSIDE", str(other.save(tmp_path / "others.npz")))
    heads = {f"frozen|simple|paper|{place}": np.zeros(1) for place in ("0.2|3|3|1", "0.2|3|3|1|external")}
    made = script.statistics([heads, {"frozen|complex|paper|1|9|9|0": np.zeros(1)}])
    assert sorted(made) == [
        f"{name}||statistics|0.2|3|3|1{end}"
        for name in ("LightGBM", "Logistic regression")
        for end in ("", "|external")
    ]
    here = own.resplit(3)
    rows = here.labelled(0.2, runs.epoch_seed(3, -3))
    for name in ("LightGBM", "Logistic regression"):
        want = fit_baseline(name, here, rows, 3)
        np.testing.assert_allclose(made[f"{name}||statistics|0.2|3|3|1"], want(here.part("test")[0]), rtol=1e-5)
        assert len(made[f"{name}||statistics|0.2|3|3|1|external"]) == other.n_samples


def test_without_heads_it_says_what_trains_them(script, places, monkeypatch):  # noqa: F811
    monkeypatch.setattr("sys.argv", ["best.py"])
    with pytest.raises(SystemExit, match="modts grid best"):
        script.main()
