"""Several classes, several labels, a yes or no at every step: from own data to a cohort, split, saved and described."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from core_fixture import places  # noqa: F401
from outcome_fixture import NAMES, SEVERAL, asked

import modts
from modts.cohorts import TASKS, cohort_from_arrays, cohort_from_table, load_cohort
from modts.cohorts.splits import subset
from modts.cohorts.tasks import coded
from modts.errors import ModtsError

SHAPES = {"multiclass": (120,), "multilabel": (120, 2), "stepwise": (120, 6)}


@pytest.mark.parametrize("task", SEVERAL)
def test_a_cohort_keeps_its_outcome_and_its_names(task, tmp_path):
    c = asked(task)
    assert (c.task, c.y.shape, c.split_by) == (task, SHAPES[task], "stratified")
    assert c.classes == (NAMES[task] or ())
    again = load_cohort(str(c.save(tmp_path / "c.npz")))
    assert (again.content_hash, again.classes) == (c.content_hash, c.classes)
    np.testing.assert_array_equal(again.y, c.y)
    if c.classes:
        assert replace(c, classes=tuple(reversed(c.classes))).content_hash != c.content_hash
    moved = c.resplit(5)
    assert not np.array_equal(moved.splits["test"], c.splits["test"]) and moved.split_by == "stratified"


@pytest.mark.parametrize("task", SEVERAL)
def test_splits_and_label_shares_keep_proportions(task):
    c = asked(task)

    def shares(rows):
        y = c.y[rows]
        return np.nanmean(y[:, None] == np.arange(3) if task == "multiclass" else y == 1, axis=0)

    for rows in c.splits.values():
        assert np.abs(shares(rows) - shares(np.arange(120))).max() < 0.2
    small, large = c.labelled(0.3, 1), c.labelled(0.7, 1)
    assert set(small) <= set(large) <= set(c.splits["train"]) and np.array_equal(small, c.labelled(0.3, 1))
    assert len(small) == int(0.3 * len(c.splits["train"])) and not np.array_equal(small, c.labelled(0.3, 2))
    with pytest.raises(ModtsError, match="holds no|leaves only one class"):
        c.labelled(1.5 / len(c.splits["train"]), 0)


def test_subsets_of_many_classes_lie_inside_one_another_and_hold_their_shares():
    labels = np.repeat([0, 1, 2, 3], (60, 30, 8, 2))
    before = set()
    for size in range(5, 101, 5):
        now = set(subset(100, labels, size / 100, 3))
        assert before <= now and len(now) == size
        for c, count in enumerate((60, 30, 8, 2)):
            assert abs(sum(labels[i] == c for i in now) - size * count / 100) <= 2
        before = now


def test_what_a_cohort_says_of_its_outcome():
    row = asked("multiclass").describe()
    assert list(row["classes"]) == ["low", "middle", "high"] and sum(row["classes"].values()) == pytest.approx(1)
    labels, c = asked("multilabel").describe()["classes"], asked("multilabel")
    assert labels["hot"] == pytest.approx(np.nanmean(c.y[:, 1]))
    step, c = asked("stepwise").describe(), asked("stepwise")
    assert step["prevalence"] == pytest.approx(np.nanmean(c.y)) and 0 < step["target_missing_rate"] < 0.2


def test_the_task_follows_from_the_shape_and_from_0_and_1():
    X, rng = np.random.default_rng(0).normal(size=(40, 5, 2)), np.random.default_rng(1)
    assert cohort_from_arrays(X, np.arange(40) % 2).task == "classification"
    c = cohort_from_arrays(X, rng.integers(0, 2, (40, 3)))
    assert (c.task, c.classes) == ("multilabel", ("label0", "label1", "label2"))
    assert cohort_from_arrays(X, rng.integers(0, 2, (40, 5))).task == "stepwise"
    assert cohort_from_arrays(X, rng.normal(size=(40, 5))).task == "regression"
    assert cohort_from_arrays(X, rng.integers(0, 2, (40, 5)), task="regression").task == "regression"


def test_classes_are_words_or_numbers_in_the_order_asked_for():
    X, y = np.random.default_rng(0).normal(size=(40, 5, 2)), np.arange(40) % 4
    assert cohort_from_arrays(X, y, task="multiclass").classes == ("0", "1", "2", "3")
    c = cohort_from_arrays(X, y, task="multiclass", classes=["n", "e", "s", "w"])  # numbers, and their names
    assert c.classes == ("n", "e", "s", "w") and np.array_equal(c.y, y)
    words = np.array(["n", "e", "s", "w"])[y]
    assert cohort_from_arrays(X, words, task="multiclass").classes == ("e", "n", "s", "w")
    assert np.array_equal(cohort_from_arrays(X, words, task="multiclass", classes=["n", "e", "s", "w"]).y, y)
    assert coded([10, 9.0, 2, 2])[1] == ("2", "9", "10") and coded([True, False])[1] == ("0", "1")


@pytest.mark.parametrize(
    "y, given, sentence",
    [
        (np.arange(40) % 3, {}, "Labels must be 0 or 1, not .2.0.; for several classes say task='multiclass'"),
        (np.array(["a", "b"])[np.arange(40) % 2], {}, "but holds words; for classes in words say task='multiclass'"),
        (["a", None] * 20, {"task": "multiclass"}, "class of row 1 is missing"),
        ([1.0, np.nan] * 20, {"task": "multiclass"}, "class of row 1 is missing"),
        (["a"] * 40, {"task": "multiclass"}, "two names or more that differ"),
        (["a", "b"] * 20, {"task": "multiclass", "classes": ["a", "c"]}, "the class 'b', which classes= lacks: a, c"),
        (["a", *["b", "c"] * 19, "c"], {"task": "multiclass"}, "at least 3 rows with label 0"),
        (np.zeros((40, 2)), {"task": "multiclass"}, "one class a row"),
        (np.arange(40) % 2, {"classes": ["a", "b"]}, "for classification leave it out"),
        (np.arange(120).reshape(40, 3) % 3, {"task": "multilabel"}, "Labels must be 0 or 1, not .2.0."),
        (np.eye(40)[:, :2], {}, "holds no 'yes' to the label"),
        (np.ones((40, 5)), {"task": "stepwise"}, "holds no 'no' at any step"),
        (np.zeros((40, 4)), {"task": "stepwise"}, r"For stepwise y must have shape \(40, 5\), not \(40, 4\)"),
        (np.arange(40) % 2, {"task": "stepwise"}, r"must have shape \(40, 5\)"),
        (np.arange(80).reshape(40, 2) % 2, {"classes": ["a"]}, r"must have shape \(40, 1\)"),
        (
            np.stack([np.arange(40) % 2, np.arange(40) // 2 % 2], 1),
            {"classes": ["a", "a"]},
            "names of classes must differ",
        ),
        (np.arange(40) % 2, {"task": "several"}, "Unknown task 'several'; choose one of: classification, multiclass"),
    ],
)
def test_outcomes_that_do_not_fit_are_one_sentence(y, given, sentence):
    X = np.random.default_rng(0).normal(size=(40, 5, 2))
    with pytest.raises(ModtsError, match=sentence) as raised:
        cohort_from_arrays(X, y, **given)
    assert "\n" not in str(raised.value)


def table(n=30, steps=4, **label):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.repeat(np.arange(n), steps), "time": np.tile(np.arange(steps), n)})
    return frame.assign(a=rng.normal(size=n * steps), b=rng.normal(size=n * steps), **label)


def test_a_table_with_classes_in_words():
    word = np.array(["home", "ward", "died"])[np.arange(30) % 3]
    c = cohort_from_table(table(label=np.repeat(word, 4)), task="multiclass")
    assert c.classes == ("died", "home", "ward") and np.array(c.classes)[c.y].tolist() == word.tolist()
    assert c.features == ("a", "b")
    outcomes = pd.DataFrame({"id": np.arange(30), "label": word})
    beside = cohort_from_table(table(), labels=outcomes, task="multiclass", classes=["ward", "home", "died"])
    assert beside.classes == ("ward", "home", "died") and np.array(beside.classes)[beside.y].tolist() == word.tolist()
    with pytest.raises(ModtsError, match="Id 3 has no label"):
        cohort_from_table(table(), labels=outcomes.drop(index=3), task="multiclass")


def test_a_table_with_several_labels():
    rng = np.random.default_rng(1)
    died, sepsis = rng.integers(0, 2, 30).astype(float), rng.integers(0, 2, 30).astype(float)
    sepsis[4] = np.nan
    frame = table(died=np.repeat(died, 4), sepsis=np.repeat(sepsis, 4))
    c = cohort_from_table(frame, label=["died", "sepsis"])
    assert (c.task, c.classes, c.features, c.target) == ("multilabel", ("died", "sepsis"), ("a", "b"), "died, sepsis")
    np.testing.assert_array_equal(c.y, np.stack([died, sepsis], 1))
    coded = cohort_from_table(frame.fillna(-9), label=["died", "sepsis"], missing=-9)
    np.testing.assert_array_equal(coded.y, c.y)
    beside = pd.DataFrame({"id": np.arange(30), "died": died, "sepsis": sepsis})
    np.testing.assert_array_equal(cohort_from_table(table(), labels=beside, label=["died", "sepsis"]).y, c.y)
    with pytest.raises(ModtsError, match="no column 'flu'"):
        cohort_from_table(frame, label=["died", "flu"])
    with pytest.raises(ModtsError, match="are for multilabel; for stepwise name one column"):
        cohort_from_table(frame, label=["died", "sepsis"], task="stepwise")


def test_a_table_with_a_yes_or_no_at_every_time():
    y = np.random.default_rng(2).integers(0, 2, 120).astype(float)
    y[5] = np.nan
    c = cohort_from_table(table(label=y), task="stepwise")
    assert c.task == "stepwise" and c.features == ("a", "b")
    np.testing.assert_array_equal(c.y, y.reshape(30, 4))
    with pytest.raises(ModtsError, match="not constant within id 0; .*task='stepwise' for a yes or no at every time"):
        cohort_from_table(table(label=y))
    halves = table(label=y).assign(time=lambda t: t.time / 2)
    wide = cohort_from_table(halves, task="stepwise", step=1)  # two rows in a step: a yes in one is a yes
    assert wide.y.shape == (30, 2) and wide.y[1, 0] == max(y[4:5])
    np.testing.assert_array_equal(wide.y[2:], y.reshape(30, 2, 2).max(2)[2:])
    outcomes = table(label=y)[["id", "time", "label"]].dropna()
    beside = cohort_from_table(table(), labels=outcomes, task="stepwise")
    np.testing.assert_array_equal(beside.y, c.y)


def test_groups_are_kept_together_with_several_classes():
    X, y = np.random.default_rng(0).normal(size=(60, 5, 2)), np.arange(60) % 3
    c = cohort_from_arrays(X, y, task="multiclass", groups=np.arange(60) // 2)
    for a, b in (("train", "val"), ("train", "test")):
        assert not set(c.groups[c.splits[a]]) & set(c.groups[c.splits[b]])


def test_one_table_says_what_kinds_there_are():
    assert [name for name, task in TASKS.items() if task.probability] == ["classification", *SEVERAL]
    with pytest.raises(ModtsError, match="classes cannot be"):
        replace(modts.load_cohort("simulated_icu"), classes=("a", "b"))
