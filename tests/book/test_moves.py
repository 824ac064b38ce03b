"""What a transfer could be told by: rank correlations, what is told of made-up pairs, and the script that measures it without a label."""

import itertools

import numpy as np
import pandas as pd
import pytest
from core_fixture import benchmark, places, tiny  # noqa: F401
from scipy.stats import spearmanr

from modts import runs
from modts.book import fragments, ledger, moves, results
from modts.study import EFFECT_COLUMNS

PAIRS = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")]


def found(gains=(0.01, 0.02, 0.03, 0.04, 0.05, 0.06), verdict="cannot tell"):
    known, told = [], []
    for place, ((source, cohort), gain) in enumerate(zip(PAIRS, gains, strict=True)):
        for seed in (30, 31):
            values = {"shared": 20, "overlap": 0.5 + 0.05 * place, "missing": (-1) ** place, "source_size": 100}
            values |= {"mae": 0.3 + seed / 1000, "line_mae": 0.4}
            row = {"source": source, "cohort": cohort, "backbone": "GRU-D", "seed": seed}
            known.append(dict.fromkeys(results.TABLES["moves"], "") | row | values)
        row = dict.fromkeys([*EFFECT_COLUMNS, "place"], "") | {"cohort": cohort, "source": source, "profile": "study"}
        row |= {"question": moves.GAIN, "metric": "auroc", "backbone": "GRU-D", "label_fraction": 1.0, "test": "split"}
        told.append(row | {"difference": gain, "low": gain - 0.05, "high": gain + 0.05, "verdict": verdict})
    made = results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(told))
    made.moves = pd.DataFrame(known, columns=list(results.TABLES["moves"])).astype(str)
    return made


def test_a_rank_correlation_has_the_known_value_and_an_interval():
    a, b = [3.0, 1.0, 2.0, 5.0, 4.0, 6.0], [1.0, 2.0, 4.0, 3.0, 6.0, 5.0]
    rho, low, high = moves.correlation(a, b)
    assert rho == pytest.approx(spearmanr(a, b).statistic) and low < rho < high
    half = 1.96 * np.sqrt((1 + rho**2 / 2) / 3)
    assert (np.arctanh(high) - np.arctanh(low)) / 2 == pytest.approx(half)
    assert moves.correlation([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0])[0] == 0.0  # nothing differs
    assert moves.correlation([1.0, 2.0], [1.0, 2.0])[1:] == (-1.0, 1.0)


def test_pairs_that_share_three_cohorts_cannot_tell_a_correlation():
    """Permuted one by one, six pairs in the same order have p .003; renaming three cohorts gives but six ways."""
    rows = moves.pairs(found((0.01, 0.02, 0.03, 0.06, 0.05, 0.04)))
    known, gains = np.zeros((3, 3)), np.zeros((3, 3))
    for row in rows.itertuples():
        place = "abc".index(row.source), "abc".index(row.cohort)
        known[place], gains[place] = row.overlap, row.difference
    apart = ~np.eye(3, dtype=bool)
    ways = [
        abs(spearmanr(known[apart], gains[np.ix_(order, order)][apart]).statistic)
        for order in itertools.permutations(range(3))  # rows and columns together: the cohorts have other names
    ]
    p = np.mean(np.array(ways) >= ways[0] - 1e-9)
    assert 1 / 6 < p < 1 and moves.renamed(rows, "overlap") == pytest.approx(p)
    part = rows.iloc[:5]  # one pair is missing: but for the names as they are, no way has all five
    assert moves.renamed(part, "overlap") == 1.0


def test_what_goes_with_a_gain_is_told_with_its_doubt(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    made = found()
    rows = moves.pairs(made)
    assert len(rows) == 6 and rows["mae"].iloc[0] == pytest.approx(0.3305) and rows["ratio"].iloc[0] < 1
    said = moves.answer(rows)
    assert said[0].startswith(
        "**In none of six pairs did the moved backbone do better than an untrained one, with all labels; three cohorts are too few to tell"
    )
    assert said[1] == "With the share of the target's variables that the source has: +1.00, p 0.33."
    assert "pair by pair" in moves.moves(made)
    other = found((0.03, 0.01, 0.05, 0.02, 0.06, 0.04), "better")
    assert (
        moves.TOO_FEW in moves.answer(moves.pairs(other))[0]
        and "In six of six pairs" in moves.answer(moves.pairs(other))[0]
    )
    (row,) = ledger._moved(other)
    assert row["verdict"] == ledger.CANNOT_TELL
    assert said[-1].endswith(
        "the 6 ways to rename the cohorts (QAP), and whatever the order of the pairs it could not fall below 0.17."
    )
    assert "benchmarks/moves.py" in moves.moves(results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame()))


def test_the_script_reads_no_label_and_counts_what_both_cohorts_have(places):  # noqa: F811
    from modts.study.params import parse

    tiny(n=80, steps=6, features=5, name="icu").save(places / "icu.npz")
    tiny(n=60, steps=4, features=4, seed=3, name="ward").save(places / "ward.npz")
    given = {
        "profile": "study",
        "source": str(places / "icu.npz"),
        "cohort": str(places / "ward.npz"),
        "backbone": "GRU-D",
        "seeds": [0],
        "epochs": 1,
        "batch_size": 16,
    }
    script = benchmark("moves")
    arm = script.Moved.of(parse("transfer", given), "simple")
    known = script.known_before(arm, 0)
    assert known["shared"] == 4 and known["overlap"] == 1.0
    assert known["source_size"] == len(script.cohort_for(given["source"], 0).part("train")[0])
    assert 0 <= known["missing"] < 0.5 and known["mae"] > 0 and known["line_mae"] > 0
    assert runs.work_dir().is_relative_to(places)
