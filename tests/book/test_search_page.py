"""The page on the search says what its trials say."""

import json

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from core_fixture import places  # noqa: F401

from modts import runs
from modts.book import fragments, results, search
from modts.study import SEARCH_COLUMNS


def trials(sign=1):
    rows = []
    for arm in ("frozen", "e2e"):
        for trial in range(6):
            quality = ((trial * 5 + (arm == "e2e")) % 6) / 100
            auroc, mae = 0.8 + quality, 0.4 - sign * quality
            settings = {"config": {"rnn_hidden_size": 32}, "lr": 0.001 * (trial + 1)}
            known = {
                "auroc": auroc,
                "auroc_few": auroc,
                "mae": mae if arm != "e2e" else "",
                "value": auroc,
                "seconds": 60,
            }
            known |= {"search": "small", "cohort": "physionet_2012_b", "backbone": "GRU-D", "arm": arm, "trial": trial}
            rows.append({name: "" for name in SEARCH_COLUMNS} | known | {"settings": json.dumps(settings)})
    return pd.DataFrame(rows)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path / "out")

    def made(sign=1):
        runs.results_dir().mkdir(exist_ok=True)
        trials(sign).to_csv(runs.results_dir() / "search.csv", index=False)
        return search.search(results.collect())

    return made


def test_it_says_how_much_was_tried_and_what_won(page):
    text = page(-1)
    assert "12 trials, 6 for each arm of 1 backbone" in text and "in 0.2 hours" in text
    table = {
        cells[1].get_text(): [cell.get_text(" ") for cell in cells[2:]]
        for cells in (row.find_all(["th", "td"]) for row in BeautifulSoup(text, "html.parser").select("tbody tr"))
    }
    before, best_value, settings = table["Frozen + Simple"]
    best = trials(-1).query("arm == 'frozen'").sort_values("value").iloc[-1]
    assert before == "0.800" and best_value.startswith("0.850")
    assert f"trial {best['trial'] + 1} of 6" in best_value and f"lr {0.001 * (best['trial'] + 1):g}" in settings
    before, lowest, settings = table["Pretraining, by imputation"]  # the same trials by their error
    assert before == "0.400" and lowest.startswith("0.400") and "trial 1 of 6" in lowest and "lr 0.001" in settings


@pytest.mark.parametrize(
    ("sign", "words"), [(1, "the better imputer, the better"), (-1, "the better imputer, the worse")]
)
def test_whether_the_better_imputer_predicts_better(page, sign, words):
    assert f"{words}." in page(sign)


def test_a_baseline_that_was_searched_stands_beside_the_backbones(page):
    rows, settings = trials(), {"batch_size": None, "dropout": 0.3, "hidden": 32, "lr": 0.003}
    net = rows.query("arm == 'e2e'").assign(backbone="GRU", arm="baseline", settings=json.dumps(settings))
    runs.results_dir().mkdir(exist_ok=True)
    pd.concat([rows, net]).to_csv(runs.results_dir() / "search.csv", index=False)
    text = search.search(results.collect())
    assert "18 trials, 6 for each arm of 1 backbone and for the baseline GRU, were trained" in text
    row = BeautifulSoup(text, "html.parser").select("tbody tr")[-1]
    assert [cell.get_text(" ") for cell in row.find_all(["th", "td"])][:2] == ["GRU", "Baseline"]
    assert "batch size by the labels, dropout 0.3, hidden 32" in row.get_text()


def test_a_trial_that_diverged_is_no_best(page):
    rows = trials()
    rows.loc[rows["arm"] == "e2e", "value"] = [-np.inf, 0.8, 0.81, 0.79, 0.8, 0.8]
    runs.results_dir().mkdir(exist_ok=True)
    rows.to_csv(runs.results_dir() / "search.csv", index=False)
    assert "0.810" in search.search(results.collect())


def test_without_trials_the_page_says_so(page):
    assert "No search has been published yet" in search.search(results.collect())
