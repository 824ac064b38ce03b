"""scikit-learn's way: its own checks, its tools around our estimators, and the README's ten lines."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from core_fixture import places, tiny  # noqa: F401
from outcome_fixture import NAMES, SEVERAL, asked
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

import modts
from modts.asked import enough
from modts.errors import ModtsError
from modts.learning import held_out, once
from modts.sklearn import ADAPTATIONS, ImputerLatents, ModularClassifier, ModularRegressor

SHORT = {"backbone": "GRU-D", "epochs": 1}
QUICK = SHORT | {"head_epochs": 3, "whole_epochs": 1}


@pytest.fixture(scope="module")
def icu():
    return tiny()


@pytest.fixture(autouse=True)
def forget():
    once._memory.clear()


@pytest.fixture
def pretrainings(monkeypatch):
    """How many windows each pretraining had that really ran."""
    ran, real = [], once.pretrain

    def count(backbone, X, *args, **settings):
        ran.append(len(X))
        return real(backbone, X, *args, **settings)

    monkeypatch.setattr(once, "pretrain", count)
    return ran


# --- scikit-learn's own checks --------------------------------------------------------------------------------------


class Flat:
    """For scikit-learn's checks, which feed tables (N, T): each row is a window of T steps of one feature."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        if tags.regressor_tags:
            tags.regressor_tags.poor_score = True  # after one epoch
        return tags

    def _windows(self, X, fitting=False):
        X = validate_data(self, X, reset=fitting, dtype=np.float32, ensure_all_finite="allow-nan")
        if fitting:
            enough(X)
        return super()._windows(X[..., None])


class FlatLatents(Flat, ImputerLatents):
    pass


class FlatClassifier(Flat, ModularClassifier):
    pass


class FlatRegressor(Flat, ModularRegressor):
    pass


EXEMPT = {  # check -> why it does not apply
    "check_class_weight_classifiers": "After the three epochs of these checks a head has hardly left its start; weights are tested below.",
    "check_classifiers_multilabel_output_format_decision_function": "There are probabilities and no decision function.",
    "check_fit2d_1feature": "A table of one column is here windows of one step; ten of them hide no value to validate on, and that is said.",
    "check_array_api_input": "Runs only where SCIPY_ARRAY_API is set; our arrays are NumPy's.",
}


@pytest.mark.parametrize("kind", [FlatLatents, FlatClassifier, FlatRegressor])
def test_scikit_learns_checks_pass(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks provoke them, and count them themselves
        given = SHORT if kind is FlatLatents else QUICK
        results = check_estimator(kind(**given), on_fail=None, on_skip=None)
    bad = {r["check_name"]: str(r["exception"]) for r in results if r["status"] != "passed"}
    assert set(bad) <= set(EXEMPT), bad
    assert sum(r["status"] == "passed" for r in results) >= 40


# --- its tools around our estimators --------------------------------------------------------------------------------

EACH = pytest.mark.parametrize("kind", [ImputerLatents, ModularClassifier, ModularRegressor])


@EACH
def test_parameters_are_read_set_and_cloned(kind):
    estimator = kind("BRITS", lr=0.01, features=["a", "b"])
    assert estimator.get_params()["lr"] == 0.01 and estimator.get_params()["backbone"] == "BRITS"
    assert estimator.set_params(lr=0.02).lr == 0.02
    again = clone(estimator)
    assert again is not estimator and again.get_params() == estimator.get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'learning_rate'"):
        estimator.set_params(learning_rate=1)


def test_latents_and_imputation_are_the_backbones(icu):
    latents = ImputerLatents(**SHORT, features=icu.features).fit(icu.X)
    np.testing.assert_array_equal(latents.transform(icu.X[:5]), latents.backbone_.latents(icu.X[:5]))
    filled = latents.impute(icu.X[:5])
    seen = ~np.isnan(icu.X[:5])
    assert np.isfinite(filled).all() and np.array_equal(filled[seen], icu.X[:5][seen])
    assert latents.backbone_.features == icu.features and (latents.n_steps_in_, latents.n_features_in_) == (8, 5)
    names = latents.get_feature_names_out()
    assert len(names) == 64 and names[0] == "imputerlatents0"


def test_a_search_behind_the_latents_pretrains_once_a_fold(icu, pretrainings):
    pipeline = make_pipeline(ImputerLatents(**SHORT), LogisticRegression(max_iter=5000))
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 0.1, 1, 10]}, cv=2, scoring="roc_auc")
    search.fit(icu.X, icu.y)
    assert len(pretrainings) == 3  # two folds, and the whole for the winner
    assert search.predict_proba(icu.X[:4]).shape == (4, 2)


def test_a_search_over_the_head_pretrains_once_a_fold(icu, pretrainings):
    grid = {"head": ["simple", "complex"], "head_lr": [1e-2, 1e-3]}
    search = GridSearchCV(ModularClassifier(**QUICK), grid, cv=2, scoring="roc_auc").fit(icu.X, icu.y)
    assert len(pretrainings) == 3
    assert set(search.best_params_) == {"head", "head_lr"} and len(search.cv_results_["params"]) == 4
    GridSearchCV(ModularClassifier(**QUICK), {"epochs": [1, 2]}, cv=2).fit(icu.X, icu.y)
    assert len(pretrainings) > 3  # what pretraining is made from does count


def test_a_cached_backbone_is_the_one_that_was_made(icu, pretrainings):
    first, second = (ModularClassifier(**QUICK).fit(icu.X, icu.y) for _ in range(2))
    assert len(pretrainings) == 1
    np.testing.assert_array_equal(first.predict_proba(icu.X), second.predict_proba(icu.X))
    before = second.predict_proba(icu.X)
    ModularClassifier(**QUICK, adaptation="finetune").fit(icu.X, icu.y)  # trains a backbone of its own
    assert len(pretrainings) == 1 and np.array_equal(before, second.predict_proba(icu.X))
    assert ModularClassifier(**QUICK).fit(icu.X, icu.y).backbone_.weights_hash() == first.backbone_.weights_hash()
    ModularClassifier(**QUICK, cache=None).fit(icu.X, icu.y)
    ModularClassifier(**QUICK, random_state=1).fit(icu.X, icu.y)
    assert len(pretrainings) == 3


def test_a_folder_keeps_pretrainings_for_the_next_process(icu, pretrainings, tmp_path):
    given = QUICK | {"cache": tmp_path / "cache"}
    first = ModularClassifier(**given).fit(icu.X, icu.y)
    once._memory.clear()
    second = ModularClassifier(**given).fit(icu.X, icu.y)
    assert len(pretrainings) == 1 and len(list((tmp_path / "cache").glob("*.safetensors"))) == 1
    np.testing.assert_array_equal(first.predict_proba(icu.X), second.predict_proba(icu.X))


def test_memory_holds_the_last_few(icu, monkeypatch):
    monkeypatch.setattr(once, "_MOST", 2)
    for seed in range(4):
        ImputerLatents(**SHORT, random_state=seed).fit(icu.X)
    assert len(once._memory) == 2


def test_scores_over_patients(icu):
    patients = np.arange(len(icu.X)) // 2
    model = ModularClassifier(**QUICK)
    for params in (
        None,
        {"groups": patients},
    ):  # for the outer folds alone, or for the held-out windows of each fit too
        scores = cross_val_score(
            model, icu.X, icu.y, groups=patients, cv=GroupKFold(3), scoring="roc_auc", params=params
        )
        assert scores.shape == (3,) and ((scores >= 0) & (scores <= 1)).all()


# --- what they answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adaptation", ADAPTATIONS)
def test_each_adaptation_answers_and_comes_back_from_its_file(icu, adaptation, tmp_path, pretrainings):
    words = np.array(["alive", "dead"])[icu.y]
    model = ModularClassifier(**QUICK, adaptation=adaptation).fit(icu.X, words)
    p = model.predict_proba(icu.X)
    assert p.shape == (80, 2) and np.allclose(p.sum(1), 1) and model.classes_.tolist() == ["alive", "dead"]
    np.testing.assert_array_equal(model.predict(icu.X), model.classes_[p.argmax(1)])
    assert len(pretrainings) == (adaptation not in ("untrained", "e2e"))
    assert 0 <= model.validation_score_ <= 1
    again = modts.load_predictor(model.save(tmp_path / "m.safetensors", author="us"))
    np.testing.assert_allclose(again.predict(icu.X), p[:, 1], atol=1e-6)
    assert (again.card["classes"], again.card["adaptation"]) == (["alive", "dead"], adaptation)
    assert again.card["author"] == "us"


def test_the_arms_are_those_that_end_in_a_head():
    assert ADAPTATIONS == ("untrained", "frozen", "norm", "last_block", "lora", "finetune", "e2e")


@pytest.mark.parametrize("adaptation", ["frozen", "e2e"])
def test_a_number_a_window_or_one_a_step(icu, adaptation, tmp_path):
    y = np.nanmean(icu.X[:, :, 0], axis=1)
    y = np.where(np.isnan(y), np.nanmean(y), y)
    model = ModularRegressor(**QUICK | {"head_epochs": 100, "whole_epochs": 20}, adaptation=adaptation).fit(icu.X, y)
    assert model.predict(icu.X).shape == (80,) and 40 < model.predict(icu.X).mean() < 140  # raw units: a heart rate
    air = tiny(task="regression")
    series = ModularRegressor(**QUICK, adaptation=adaptation).fit(air.X, air.y)
    assert np.isnan(air.y).any() and series.predict(air.X).shape == air.y.shape
    again = modts.load_predictor(series.save(tmp_path / "m.safetensors"))
    np.testing.assert_allclose(again.predict(air.X), series.predict(air.X), rtol=1e-6)


@pytest.mark.parametrize("adaptation", ["frozen", "e2e"])
def test_several_classes_labels_and_steps(adaptation, tmp_path):
    for task in SEVERAL:
        cohort = asked(task, n=120)
        y = np.array(NAMES[task])[cohort.y] if task == "multiclass" else cohort.y
        model = ModularClassifier(**QUICK, adaptation=adaptation, class_weight="balanced").fit(cohort.X, y)
        p = model.predict_proba(cohort.X)
        assert model.predictor_.task == task and p.shape == (
            120,
            {"multiclass": 3, "multilabel": 2, "stepwise": 6}[task],
        )
        if task == "multiclass":
            assert model.classes_.tolist() == ["high", "low", "middle"] and np.allclose(p.sum(1), 1, atol=1e-5)
            np.testing.assert_array_equal(model.predict(cohort.X), model.classes_[p.argmax(1)])
            assert model.score(cohort.X, y) == np.mean(model.predict(cohort.X) == y)
        else:
            np.testing.assert_array_equal(model.predict(cohort.X), (p > 0.5).astype(int))
        again = modts.load_predictor(model.save(tmp_path / f"{task}.safetensors"))
        np.testing.assert_allclose(again.predict(cohort.X), p, atol=1e-6)
        assert again.card["classes"] == {"multiclass": ["high", "low", "middle"], "multilabel": ["0", "1"]}.get(
            task, []
        )


def test_known_targets_among_unknown_ones_are_scored_and_searched(pretrainings):
    air, steps = tiny(task="regression"), asked("stepwise", n=120)
    y = np.where(np.arange(steps.y.size).reshape(steps.y.shape) % 7 == 0, np.nan, steps.y)
    model = ModularClassifier(**QUICK, pooling="steps").fit(steps.X, y)
    known, right = ~np.isnan(y), model.predict(steps.X) == y
    assert model.score(steps.X, y) == right[known].mean()
    model = ModularRegressor(**QUICK, pooling="steps").fit(air.X, air.y)
    p = model.predict(air.X)
    by_hand = [r2_score(air.y[seen, k], p[seen, k]) for k, seen in enumerate(~np.isnan(air.y).T)]
    assert np.isnan(air.y).any() and model.score(air.X, air.y) == pytest.approx(np.mean(by_hand))
    with pytest.raises(ModtsError, match="Weights of samples"):
        model.score(air.X, air.y, np.ones(len(air.X)))
    with pytest.raises(ModtsError, match="shape of the answers"):
        model.score(air.X, np.where(air.y[:, 0] > 0, np.nan, 1.0))
    search = GridSearchCV(
        ModularRegressor(**QUICK, pooling="steps"), {"head_lr": [1e-2, 1e-3]}, cv=2, error_score="raise"
    )
    assert np.isfinite(search.fit(air.X, air.y).best_score_)


def test_padded_windows_stay_padded_in_the_file(tmp_path):
    air = tiny(task="regression")
    X, y = air.X.copy(), np.nan_to_num(air.y)
    X[::3, 5:] = np.nan  # these end after five steps
    model = ModularRegressor(**QUICK, pooling="steps", padded=True).fit(X, y)
    again = modts.load_predictor(model.save(tmp_path / "m.safetensors"))
    p = model.predict(X)
    assert np.isnan(p[::3, 5:]).all() and not np.isnan(p[1::3, :5]).any()
    np.testing.assert_array_equal(again.predict(X), p)
    thrice = modts.load_predictor(again.save(tmp_path / "n.safetensors"))
    np.testing.assert_array_equal(thrice.predict(X), p)
    assert not np.isnan(again.predict(X, lengths=np.full(len(X), X.shape[1]))).any()
    with pytest.raises(ModtsError, match="known targets lie behind the last value of their window"):
        model.score(X, np.where(np.arange(y.size).reshape(y.shape) == 1, np.nan, y))


def test_latents_are_saved_as_a_backbone(icu, tmp_path):
    latents = ImputerLatents(**SHORT).fit(icu.X)
    again = modts.load_backbone(latents.save(tmp_path / "b.safetensors", ward="a"))
    np.testing.assert_allclose(again.latents(icu.X), latents.transform(icu.X), atol=1e-6)


def test_tools_take_several_classes(pretrainings):
    cohort = asked("multiclass", n=120)
    search = GridSearchCV(ModularClassifier(**QUICK), {"class_weight": [None, "balanced"]}, cv=2, scoring="roc_auc_ovr")
    search.fit(cohort.X, cohort.y)
    assert len(pretrainings) == 3 and 0 <= search.best_score_ <= 1
    patients = np.arange(120) // 2
    scores = cross_val_score(ModularClassifier(**QUICK), cohort.X, cohort.y, groups=patients, cv=GroupKFold(3))
    assert scores.shape == (3,)


def test_class_weights_by_class_and_not_for_numbers(icu):
    words = np.array(["alive", "dead"])[icu.y]
    given = [None, {"dead": 20.0}, {"alive": 20.0}]
    p = [ModularClassifier(**QUICK, class_weight=w).fit(icu.X, words).predict_proba(icu.X)[:, 1].mean() for w in given]
    assert p[2] < p[0] < p[1]
    with pytest.raises(ModtsError, match="class_weight is for classes"):
        ModularRegressor(**QUICK, class_weight="balanced").fit(icu.X, np.arange(80.0))


def test_the_same_seed_gives_the_same_bits_and_moves_no_generator(icu):
    def fitted(seed):
        once._memory.clear()
        return ModularClassifier(**QUICK, random_state=seed).fit(icu.X, icu.y).predict_proba(icu.X)

    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = fitted(0)
    assert torch.equal(torch.get_rng_state(), before[0]) and np.array_equal(np.random.get_state()[1], before[1])
    assert np.array_equal(first, fitted(0)) and not np.array_equal(first, fitted(1))
    assert np.array_equal(fitted(np.random.RandomState(4)), fitted(np.random.RandomState(4)))


# --- what is held out -----------------------------------------------------------------------------------------------


def test_held_out_windows_keep_proportions_and_patients():
    n, rng = 200, np.random.default_rng(0)
    y, patients = (rng.random(n) < 0.2).astype(int), np.repeat(np.arange(50), 4)
    for classes, groups in ((None, None), (y, None), (None, patients), (y, patients)):
        train, val = held_out(n, 0.2, 3, classes, groups)
        assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(n))
        assert 30 <= len(val) <= 50
        again = held_out(n, 0.2, 3, classes, groups)
        assert all(np.array_equal(a, b) for a, b in zip((train, val), again, strict=True))
        assert not np.array_equal(val, held_out(n, 0.2, 4, classes, groups)[1])
        if groups is not None:
            assert not set(patients[train]) & set(patients[val])
        if classes is not None:
            assert abs(y[val].mean() - y.mean()) < 0.05


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, "half", None, True, float("nan")])
def test_a_share_that_is_none_is_one_sentence(share):
    with pytest.raises(ModtsError, match="share to hold out must be above 0 and below 1"):
        held_out(20, share, 0)


@pytest.mark.parametrize(
    ("classes", "groups", "sentence"),
    [
        (np.r_[1, np.zeros(19)], None, "cannot be held out"),
        (None, np.zeros(20), "cannot be held out"),
        (np.arange(20) % 2, np.arange(20) % 3, "cannot be held out|single class"),
        (np.arange(20) % 2, np.arange(19), "groups must hold one value for each of 20 windows"),
        (np.arange(19) % 2, None, "y must hold one value for each of 20 windows"),
    ],
)
def test_too_little_to_hold_out_is_one_sentence(classes, groups, sentence):
    with pytest.raises(ModtsError, match=sentence) as raised:
        held_out(20, 0.2, 0, classes, groups)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "change", "sentence"),
    [
        ({"backbone": "GRUD"}, {}, "Unknown backbone 'GRUD'"),
        ({"adaptation": "e2e_shipped"}, {}, "Unknown adaptation 'e2e_shipped'; choose one of: untrained"),
        ({"head": "deep"}, {}, "Unknown head 'deep'"),
        ({"pooling": "max"}, {}, "Unknown pooling 'max'"),
        ({"device": "cuda:99"}, {}, "There is no device 'cuda:99'"),
        ({"features": ["a"]}, {}, "X has 5 features, but `features` gives 1"),
        ({"validation": 0}, {}, "share to hold out"),
        ({"options": {"last_obs": "zero"}}, {}, "GRU-D has no option 'last_obs'"),
        ({}, {"X": lambda X: X[:, 0]}, r"X must have shape \(windows, steps, features\)"),
        ({}, {"X": lambda X: X[0]}, "must have shape"),
        ({}, {"X": lambda X: np.where(np.isnan(X), X, np.inf)}, "infinity"),
        ({}, {"y": lambda y: None}, "requires y to be passed"),
        ({}, {"y": lambda y: np.zeros(80)}, "y must hold two classes or more, not 1"),
        ({}, {"y": lambda y: np.stack([y, y + 1], 1)}, "must hold 0, 1 and NaN alone"),
        ({}, {"y": lambda y: np.stack([y, np.zeros(80)], 1)}, "holds no 'yes' to the label '1'"),
        ({}, {"y": lambda y: np.r_[2, y[1:]]}, "cannot be held out"),
        ({"epochs": -1}, {}, "epochs must be a whole number of 1 or more"),
        ({"lr": 0}, {}, "lr must be a number above 0"),
        ({"head_lr": -1}, {}, "head_lr must be a number above 0"),
        ({"whole_patience": 0}, {}, "whole_patience must be a whole number"),
        ({"class_weight": "equal"}, {}, "class_weight must be None, 'balanced' or a dictionary"),
        ({"class_weight": {2: 1.0}}, {}, "names a class '2' that there is not; the classes: 0, 1"),
        ({}, {"y": lambda y: y[:-1]}, "inconsistent numbers of samples"),
        ({}, {"y": lambda y: np.where(np.arange(80) == 3, np.nan, y)}, "NaN"),
    ],
)
def test_what_does_not_fit_is_one_sentence(icu, given, change, sentence):
    X, y = change.get("X", lambda X: X)(icu.X), change.get("y", lambda y: y)(icu.y)
    with pytest.raises(ValueError, match=sentence):
        ModularClassifier(**QUICK | given).fit(X, y)


def test_windows_that_an_estimator_would_misread(icu):
    model = ModularClassifier(**QUICK).fit(icu.X, icu.y)
    nothing, ended = icu.X[:4].copy(), icu.X.copy()
    nothing[1], ended[:, 4:] = np.nan, np.nan
    with pytest.raises(ModtsError, match="1 of 4 windows hold no value .first: window 1."):
        model.predict_proba(nothing)
    for call in (lambda: model.predict_proba(ended), lambda: ModularClassifier(**QUICK).fit(ended, icu.y)):
        with pytest.warns(modts.ModtsWarning, match="end in steps without any value .* say padded=True"):
            call()
    for X, sentence in (
        ({"X": icu.X}, "X is a dictionary"),
        ([x[: 3 + i % 3] for i, x in enumerate(icu.X)], "padded=True"),
    ):
        with pytest.raises(ModtsError, match=sentence):
            ModularClassifier(**QUICK).fit(X)
    with pytest.raises(ModtsError, match=r"^ModularClassifier\(\) has no parameter 'epoch'; did you mean 'epochs'\?$"):
        ModularClassifier("GRU-D", epoch=3)


# --- the README -----------------------------------------------------------------------------------------------------


def test_the_readmes_ten_lines_run(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parent.parent / "README.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "ModularClassifier" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    icu = tiny()
    table = pd.DataFrame(icu.X.reshape(-1, 5), columns=list(icu.features))
    table.insert(0, "patient", np.repeat(np.arange(80), 8))
    table.insert(1, "hour", np.tile(np.arange(8), 80))
    table["died"] = np.repeat(icu.y, 8)
    table.to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.chdir(tmp_path)
    told: dict = {}
    exec(code, told)
    answers = capsys.readouterr().out.strip().splitlines()
    assert answers[0] == answers[1] and (tmp_path / "mine.safetensors").exists()
    np.testing.assert_allclose(told["again"].predict(icu.X), told["model"].predict_proba(icu.X)[:, 1], atol=1e-6)
