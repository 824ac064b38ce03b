"""The page between frozen and fine-tuned: what is told of made-up effects, the sign of fine-tuning, and that no other page tells it again."""

import pandas as pd
import pytest

from modts import runs
from modts.book import between, fragments, ledger, results
from modts.study import EFFECT_COLUMNS


def effect(question, difference, verdict, share=1.0, backbone="GRU-D", metric="auroc"):
    row = dict.fromkeys([*EFFECT_COLUMNS, "profile", "place"], "")
    return row | {
        "cohort": "physionet_2012",
        "task": "classification",
        "question": question,
        "backbone": backbone,
        "label_fraction": share,
        "metric": metric,
        "test": "split",
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.02,
        "p": 0.02,
        "p_holm": 0.03 if verdict != "equivalent" or difference > 0.01 else 0.9,  # as the interval says
        "family": "some",
        "verdict": verdict,
        "n_splits": 3,
        "run": "between-end_to_end-physionet_2012-GRU-D",
        "profile": "between",
        "place": "published",
    }


def score(arm, value, share=1.0, profile="between"):
    row = dict.fromkeys([*runs.COLUMNS, "place"], "")
    return row | {
        "profile": profile,
        "cohort": "physionet_2012",
        "task": "classification",
        "backbone": "GRU-D",
        "arm": arm,
        "head": "simple",
        "pooling": "paper",
        "label_fraction": share,
        "test": "split",
        "metric": "auroc",
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "n_test": 800,
        "place": "published",
        "device": "CPU",
        "seeds": 3,
        "hardware": "CPU some",
        "run": "between-end_to_end-physionet_2012-GRU-D",
    }


def found():
    effects = [
        effect("norm - frozen", 0.001, "equivalent"),
        effect("last_block - frozen", 0.03, "better"),
        effect("frozen - finetune", -0.03, "worse"),
        effect("frozen - finetune", 0.02, "better", share=0.1),
    ]
    scores = [score("frozen", 0.8), score("last_block", 0.83), score("frozen", 0.8, profile="study")]
    made = results.Results(pd.DataFrame(scores), pd.DataFrame(), pd.DataFrame(effects))
    made.runs = {
        "between-end_to_end-physionet_2012-GRU-D": {
            "stage": "end_to_end",
            "params": {"backbone": "GRU-D", "seeds": [30]},
            "timings": {"last_block|simple|paper|1|30|30|0": 40.0, "last_block|simple|paper|0.1|30|30|0": 4.0},
        }
    }
    return made


def test_fine_tuning_is_told_from_the_head_as_the_others_are():
    rows = between.turned(found().effects)
    full = rows[rows["question"] == "finetune - frozen"].iloc[0]
    assert [full["difference"], full["low"], full["high"]] == pytest.approx([0.03, 0.01, 0.04])
    assert full["verdict"] == "better"
    assert between.answer(rows) == [
        "**Better than the head alone: training the last block with all labels; training everything with all labels**: AUROC, GRU-D alone, "
        "three splits.",
        "With all labels, training the normalisation layers (or biases) does as well as the head alone, +0.001 "
        "(−0.009 to +0.021); training the last block does better than the head alone, +0.030 (+0.020 to +0.050); "
        "training everything does better than the head alone, +0.030 (+0.010 to +0.040).",
        "With 10 % of the labels, training everything does worse than the head alone, −0.020 (−0.040 to −0.010).",
    ]
    (lead, _) = between.answer(rows[rows["label_fraction"] == 0.1])
    assert (
        lead == "**Of one way to train more, none does better than the head alone**: AUROC, GRU-D alone, three splits."
    )


def test_a_gain_that_is_sure_and_small_is_told():
    (lead, sure, _) = between.answer(pd.DataFrame([effect("lora - frozen", 0.012, "equivalent")]))
    assert lead.startswith("**Of one way to train more, none does better than the head alone by what matters**")
    assert sure.startswith(
        "A gain that stands after the correction, and is too small to matter: training low-rank additions (LoRA) with all labels, +0.012"
    )
    unsure = pd.DataFrame([effect("lora - frozen", 0.012, "equivalent") | {"p_holm": 0.06}])
    assert "stands" not in " ".join(between.answer(unsure))


def test_where_the_own_test_splits_say_another_word_it_is_told():
    deciding = between.turned(found().effects)
    own = deciding.assign(verdict="better")
    (line,) = between._own_splits(own, deciding)
    assert line.startswith(
        "On the cohort's own test splits, which are smaller, some read otherwise: training the normalisation layers (or biases)"
    )
    assert "with all labels, +0.001 (−0.009 to +0.021), better; training everything with 10 % of the labels" in line
    assert "last block" not in line and between._own_splits(deciding, deciding) == []


def test_networks_that_have_not_been_run_here_are_told_from_the_study():
    made, here = found(), between.turned(found().effects)
    assert between._others(made, "physionet_2012", here) == []
    study = [
        effect("frozen - finetune", -0.04, "worse", backbone=name) | {"profile": "study"} for name in ("SAITS", "GRU-D")
    ]
    made.effects = pd.concat([made.effects, pd.DataFrame(study)])
    (line,) = between._others(made, "physionet_2012", here)
    assert line == (
        "Other networks have not been run here. What training everything gains in them, all labels, the study: "
        "SAITS +0.040 (+0.020 to +0.050), better."
    )


def test_a_training_costs_its_median_with_all_labels():
    made = found()
    table = between.cost(made, made.summary)
    assert table.header == ["Backbone", "Last block tuned"] and table.rows == [["GRU-D", "40 s"]]


def test_the_page_is_made_and_no_other_shows_its_rows(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    made = found()
    text = between.between(made)
    assert "training the last block does better" in text and "between-physionet_2012" in text
    assert [key[1] for key, _ in results.blocks(made.summary)] == ["study"]
    assert not ledger._differences(made, "frozen - finetune", ("worse",))
    assert ledger._differences(made, "last_block - frozen", ("better",), every=True)
    assert "modts grid between" in between.between(results.Results(made.summary[:0], pd.DataFrame(), pd.DataFrame()))
