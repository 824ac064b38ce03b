"""The page on patterns of missing values: what is told of made-up rows; and the script that makes the true ones."""

import numpy as np
import pandas as pd
from core_fixture import benchmark, places  # noqa: F401

from modts.book import fragments, ledger, missingness, results

ERRORS = {  # pretrained on -> error on single values, on blocks, on what was really missing
    "point": (0.40, 0.60, 0.50),
    "block": (0.42, 0.50, 0.51),
    "": (0.60, 0.90, 0.80),
}
HEADS = {"point": (0.80, 0.82), "block": (0.79, 0.83)}  # a split each


def row(backbone, trained, seed, **values):
    return dict.fromkeys(results.TABLES["missingness"], "x") | {
        "cohort": "simulated_icu", "backbone": backbone, "trained": trained, "seed": str(seed), "seconds": 60.0, "hidden": "0.3", "capped": 0,
    } | values  # fmt: skip


def found():
    rows = []
    for seed in (0, 1):
        for trained, values in ERRORS.items():
            name = "SAITS" if trained else "Linear interpolation"
            for scored, value in zip(("point", "block", missingness.REALLY), values, strict=True):
                rate = "" if scored == missingness.REALLY else "0.3"
                rows.append(row(name, trained, seed, scored=scored, rate=rate, metric="mae", value=value + seed * 0.02))
            if trained:
                rows.append(
                    row(name, trained, seed, scored="head", rate="0.1", metric="auroc", value=HEADS[trained][seed])
                )
    made = results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    made.missingness = pd.DataFrame(rows, columns=list(results.TABLES["missingness"]))
    return made


def test_errors_are_means_over_the_splits_and_told_as_multiples():
    crossed = missingness.table(found().missingness)
    assert crossed.loc[("SAITS", "block")].round(3).tolist() == [0.43, 0.51, 0.52]
    said = missingness.answer(crossed)
    assert said[1:] == [
        "SAITS pretrained on single values has, on blocks, 20 % more error than when it is pretrained on these."
    ]
    alike = crossed.assign(block=crossed["point"])
    assert missingness.answer(alike)[1].startswith(
        "SAITS pretrained on single values fills every other kind of gap as well as one"
    )
    assert said[0].startswith(
        "Over all gaps asked, pretraining on blocks is nearest to the best: 2 % above it on average; MCAR, single values is farthest"
    )


def test_kinds_that_were_not_pretrained_on_are_named_and_not_counted():
    crossed = missingness.table(found().missingness)
    alike = crossed.assign(block=crossed["point"], mar=crossed["point"])
    nearest, first, *_ = missingness.answer(alike)
    assert nearest.endswith("(of the two kinds that every network was pretrained on).")
    assert first == (
        "SAITS pretrained on single values fills blocks as well as one pretrained on these, within 2 %, or better. "
        "Pretraining on MAR was not run, or taught it nothing."
    )


def test_two_patterns_that_are_as_near_to_the_best_are_both_named():
    crossed = missingness.table(found().missingness)
    crossed.loc[("SAITS", "point")] = crossed.loc[("SAITS", "block")] * 1.001
    assert missingness.answer(crossed)[0].startswith(
        "Over all gaps asked, pretraining on blocks and on MCAR, single values are nearest to the best: 0 % above it on average"
    )


def test_interpolation_and_what_was_not_learnt_are_told():
    crossed = missingness.table(found().missingness)
    assert missingness.beside(crossed) == [
        "Linear interpolation, which learns nothing, has less error than every network on no kind of gaps."
    ]
    crossed.loc[("Linear interpolation", ""), ["point", "block"]] = 0.1
    crossed.loc[("Mean", ""), :] = [0.44, 0.8, 0.9]
    assert missingness.beside(crossed)[0].endswith("than every network on all gaps but really missing.")
    assert len(missingness.beside(crossed)) == 1
    crossed.loc[("SAITS", "block"), "block"] = 0.79  # of a mean's 0.80
    assert (
        missingness.beside(crossed)[1]
        == "Did not learn from what was hidden, and has the error of the mean there: SAITS on blocks."
    )
    assert not [line for line in missingness.answer(crossed) if line.startswith("SAITS")]  # nothing to compare with


def test_heads_are_told_beside_the_splits():
    (said,) = missingness.heads(found().missingness)
    assert said.endswith(
        "10 % of the labels: between SAITS's pretrainings the AUROC moves by 0.000 at most, between the splits of one "
        "pretraining by 0.030 on average and 0.040 at most. Two splits are too few to test the pretrainings in pairs."
    )


def test_another_order_with_more_hidden_is_told():
    made = found().missingness
    assert missingness.other_rates(made) == []
    more = made[made["rate"] == "0.3"].assign(rate="0.7")
    assert missingness.other_rates(pd.concat([made, more])) == [
        "Nearest to the best at other shares: with 70 % hidden, blocks (2.3 % above it), single values 6.5 %."
    ]


def test_the_ledger_tells_of_real_cohorts_alone():
    made = found()
    assert ledger.ANSWERS["Q1"](made) == ledger.ANSWERS["N2"](made) == []
    natural = [
        row("SAITS", trained, 0, scored="natural", rate="0.3", metric="mae", value=value)
        for trained, value in (("point", 0.6), ("natural", 0.5))
    ]
    made.missingness = pd.concat([made.missingness, pd.DataFrame(natural)]).assign(cohort="physionet_2012")
    (of_gaps,), (of_heads,) = ledger.ANSWERS["Q1"](made), ledger.ANSWERS["N2"](made)
    assert (
        round(of_gaps["ours"], 3) == 0.2
        and of_gaps["verdict"] == "measured"
        and "SAITS pretrained on single values" in of_gaps["why"]
    )
    assert "ours" not in of_heads and "the AUROC moves" in of_heads["why"]


def test_the_page_has_a_picture_and_every_table(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    text = missingness.missingness(found())
    svg = (tmp_path / "missingness-simulated_icu-wide.svg").read_text(encoding="utf-8")
    assert "**With 30 % of the values hidden: over all gaps asked" in text
    assert "natural gaps" not in svg and "blocks" in svg and "Linear" not in svg
    assert "really missing" in text and "Linear interpolation" in text and "2 pretrainings" not in text
    assert "four pretrainings on two splits, of which 0 ended at the cap" in text
    empty = results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    assert "benchmarks/missingness.py" in missingness.missingness(empty)


def test_the_script_fills_the_plan_with_the_same_cells_for_all(monkeypatch):
    script = benchmark("missingness")
    monkeypatch.setitem(script.PATTERNS, "natural", script.natural)
    runs_ = script.plan(("simulated_icu",))
    assert len(runs_) == 3 * (3 + 3 * 6) and [run["seed"] for run in runs_] == sorted(run["seed"] for run in runs_)
    monkeypatch.setattr(script, "ASKED", (0.3,))
    line = script.carry_out({"cohort": "simulated_icu", "backbone": "Linear interpolation", "seed": 0, "trained": ""})
    mean = script.carry_out({"cohort": "simulated_icu", "backbone": "Mean", "seed": 0, "trained": ""})
    assert [r["hidden"] for r in line] == [r["hidden"] for r in mean] and len(line) == 7
    assert {r["scored"] for r in line} == {*script.TRAINED, script.REALLY} and {*line[0]} == {
        *results.TABLES["missingness"]
    }
    assert float(line[0]["value"]) < float(mean[0]["value"]) and abs(float(line[0]["hidden"]) - 0.3) < 0.01


def test_natural_gaps_are_another_windows(monkeypatch):
    script = benchmark("missingness")
    from modts.cohorts import mask

    assert "natural" not in script.PATTERNS  # importing the script changes nothing for others
    monkeypatch.setitem(script.PATTERNS, "natural", script.natural)

    X = np.ones((2, 4, 3), np.float32)
    X[0, 1, 2] = X[1, :, 0] = np.nan
    hidden = {np.isnan(mask(X, "natural", 0.9, seed=seed)).tobytes() for seed in range(20)}
    own, both = np.isnan(X), np.isnan(X) | np.isnan(X[::-1])
    assert hidden == {
        own.tobytes(),
        both.tobytes(),
    }  # as many as the gaps suffice for: a window draws itself, or the other
