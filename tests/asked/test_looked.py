"""Windows, heads and labels that would be answered without a word: each is a sentence, or a warning where the data may be right."""

import warnings

import numpy as np
import pytest
import torch
from core_fixture import tiny

import modts
from modts.asked import suspects
from modts.errors import ModtsError, ModtsWarning


@pytest.fixture(scope="module")
def predictor(backbone):
    return modts.Predictor(backbone, modts.Head("simple", 64, 1))


@pytest.fixture(scope="module")
def latents(cohort, backbone):
    return {part: backbone.latents(cohort.part(part)[0]) for part in ("train", "val", "test")}


def padded(X):
    X = X.copy()
    X[:, 30:] = np.nan
    return X


# --- series that end before their windows do ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda b, p, X: b.latents(X),
        lambda b, p, X: b.impute(X),
        lambda b, p, X: p.predict(X),
        lambda b, p, X: p.predict(X[:1]),
        lambda b, p, X: modts.pretrain(b, X, X, epochs=1, progress=None),
        lambda b, p, X: modts.cohort_from_arrays(X),
    ],
)
def test_an_empty_end_without_lengths_is_noticed(cohort, backbone, predictor, call):
    X = padded(cohort.X[:40])
    backbone = modts.build("GRU-D", cohort)
    with pytest.warns(
        ModtsWarning,
        match="windows end in steps without any value .as a rule 18.. If the series end there, give lengths=",
    ):
        call(backbone, predictor, X)


def test_adapt_notices_it_too_and_lengths_silence_it(cohort):
    small = tiny()
    windows = {part: small.part(part)[0].copy() for part in ("train", "val", "test")}
    for X in windows.values():
        X[:, 3:] = np.nan
    given = {"windows": windows, "training": modts.learning.Training(epochs=1)}
    targets, rows = modts.labels(small)[0], np.arange(len(windows["train"]))
    with pytest.warns(ModtsWarning, match="give lengths="):
        modts.adapt("finetune", "simple", targets, rows, backbone=modts.build("GRU-D", small), **given)
    ends = {part: np.full(len(X), 3) for part, X in windows.items()}
    modts.adapt("finetune", "simple", targets, rows, backbone=modts.build("GRU-D", small), lengths=ends, **given)


@pytest.mark.parametrize("name", ["simulated_icu", "simulated_ward", "simulated_air"])
def test_gaps_at_an_end_and_real_patients_are_not_noticed(name):
    whole = modts.load_cohort(name)
    backbone = modts.build("GRU-D", whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suspects.unended(whole.X)
        for start in range(0, len(whole.X), 16):
            suspects.unended(whole.X[start : start + 16])
            suspects.another_unit(whole.X[start : start + 16], backbone)


# --- another unit, nothing at all ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "times"), [("HR", 1 / 60), ("Glucose", 1 / 18), ("Lactate", 9)])
def test_one_patient_in_another_unit_is_noticed_by_name(cohort, predictor, backbone, name, times):
    f = cohort.features.index(name)
    one = next(x for x in cohort.X if (~np.isnan(x[:, f])).sum() > 3)[None].copy()
    predictor.predict(one)
    one[..., f] *= times
    for call in (predictor.predict, backbone.latents, backbone.impute):
        with pytest.warns(ModtsWarning, match=f"'{name}' of window 0 may be in another unit: its median is"):
            call(one)


def test_a_window_without_any_value_is_refused_alone_and_among_others(cohort, predictor):
    X = cohort.X[:4].copy()
    X[2] = np.nan
    with pytest.raises(ModtsError, match="1 of 4 windows hold no value .first: window 2."):
        predictor.predict(X)
    with pytest.raises(ModtsError, match="no observed value"):
        predictor.predict(X[2:3])
    behind = cohort.X[:2].copy()
    behind[1, :5] = np.nan
    with pytest.raises(ModtsError, match="hold no value"):
        predictor.predict(behind, lengths=[48, 5])


# --- labels and heads ------------------------------------------------------------------------------------------------


def test_rows_that_labelled_gives_are_known_for_what_they_are(cohort, latents):
    targets, _ = modts.labels(cohort)
    rows, train = cohort.labelled(0.1, 0), cohort.splits["train"]
    positions = np.searchsorted(train, np.asarray(rows))
    assert rows.max() < len(train) or not np.array_equal(rows, positions)
    by_rows, by_positions = (
        modts.adapt("frozen", "simple", targets, given, latents=latents).prediction for given in (rows, positions)
    )
    np.testing.assert_array_equal(by_rows, by_positions)
    part = modts.adapt("frozen", "simple", targets, rows[:40], latents=latents).prediction
    np.testing.assert_array_equal(
        part, modts.adapt("frozen", "simple", targets, positions[:40], latents=latents).prediction
    )
    again = np.searchsorted(train, rows)  # positions already: they are not taken for rows
    np.testing.assert_array_equal(modts.adapt("frozen", "simple", targets, again, latents=latents).prediction, by_rows)
    with pytest.raises(ModtsError, match="rows of a cohort with 78 training windows"):
        other = modts.cohort_from_arrays(cohort.X[:125], cohort.y[:125]).labelled(0.5, 0)
        modts.adapt("frozen", "simple", targets, other, latents=latents)
    numbers = modts.cohort_from_arrays(cohort.X, np.arange(600.0), task="regression")
    few = numbers.labelled(0.1, 0)
    assert modts.labels(numbers, labelled=few)[1].mean == pytest.approx(numbers.y[few].mean())


def test_labels_that_teach_nothing_are_refused(cohort, latents):
    targets, _ = modts.labels(cohort)
    alive = np.flatnonzero(targets["train"].y == 0)[:20]
    for labelled, sentence in (
        (alive, "All 20 labelled windows have the label 0"),
        ([1, 1, 2], "3 positions, of which 2 differ"),
    ):
        with pytest.raises(ModtsError, match=sentence):
            modts.adapt("frozen", "simple", targets, labelled, latents=latents)
    numbers = tiny(task="regression")
    targets, _ = modts.labels(numbers)
    targets["train"].y[:2] = np.nan
    made = {part: np.zeros((len(t.y), 3), np.float32) for part, t in targets.items()}
    with pytest.raises(ModtsError, match="None of the labelled windows has a known target"):
        modts.adapt("frozen", "simple", targets, [0, 1], latents=made)


def test_latents_with_nan_are_refused(cohort, latents):
    targets, _ = modts.labels(cohort)
    with pytest.raises(ModtsError, match="latents of 'test' hold NaN"):
        modts.adapt("frozen", "simple", targets, np.arange(50), latents=latents | {"test": latents["test"] * np.nan})


def test_a_head_answers_the_task_that_it_was_trained_for(cohort, backbone, latents):
    targets, _ = modts.labels(cohort)
    yes = modts.adapt("frozen", "simple", targets, np.arange(50), latents=latents).model
    numbers = modts.cohort_from_arrays(cohort.X, np.nanmean(cohort.X, (1, 2)), task="regression")
    targets, scaler = modts.labels(numbers)
    made = {part: backbone.latents(numbers.part(part)[0]) for part in ("train", "val", "test")}
    number = modts.adapt("frozen", "simple", targets, np.arange(50), latents=made).model
    with pytest.raises(ModtsError, match="trained for regression, .* give target_scaler="):
        modts.Predictor(backbone, number)
    for heads in (yes, {"a": yes}):
        with pytest.raises(ModtsError, match="trained for classification, .* no target_scaler"):
            modts.Predictor(backbone, heads, target_scaler=scaler)
    assert modts.Predictor(backbone, number, target_scaler=scaler).task == "regression"
    with pytest.raises(ModtsError, match="The backbone must be a Backbone"):
        modts.Predictor(yes, backbone)


# --- files and calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda c, b, p: modts.load_backbone(None), "must be the path of a file, not None"),
        (lambda c, b, p: modts.load_predictor(3), "must be the path of a file, not 3"),
        (lambda c, b, p: b.save(None), "must be the path of a file, not None"),
        (lambda c, b, p: p.save(None), "must be the path of a file, not None"),
        (lambda c, b, p: modts.pretrain(b, c.X, c.X, epoch=1), r"pretrain\(\) has no parameter 'epoch'; did you mean 'epochs'"),
        (lambda c, b, p: modts.pretrain(b, c.X), r"pretrain\(\) cannot be called so: missing a required argument: 'X_val'"),
        (lambda c, b, p: modts.build("GRU-D", c, sed=1), "has no parameter 'sed'; did you mean 'seed'"),
        (lambda c, b, p: p.predict(c.X, length=[1]), "has no parameter 'length'; did you mean 'lengths'"),
        (lambda c, b, p: b.latents(c.X, pool="steps"), "has no parameter 'pool'; did you mean 'pooling'"),
        (lambda c, b, p: modts.windows_from_table(c.X, b, steps=1), "has no parameter 'steps'; did you mean 'step'"),
        (lambda c, b, p: modts.Predictor(b, {}, poling="paper"), r"Predictor\(\) has no parameter 'poling'; did you mean 'pooling'"),
        (lambda c, b, p: modts.cohort_from_arrays(c.X, featurs=[]), "has no parameter 'featurs'; did you mean 'features'"),
        (lambda c, b, p: modts.labels(c.X), "must be a Cohort"),
        (lambda c, b, p: modts.build("GRU-D", c.X), "must be a Cohort"),
        (lambda c, b, p: modts.from_pypots(b, c.X), "must be a Cohort"),
    ],
)  # fmt: skip
def test_a_slip_in_a_call_is_one_sentence_of_ours(cohort, backbone, predictor, call, sentence):
    with pytest.raises(ModtsError, match=sentence) as told:
        call(cohort, backbone, predictor)
    assert "\n" not in str(told.value) and isinstance(told.value, TypeError)


def test_a_folder_as_checkpoint_and_settings_as_a_dictionary(cohort, backbone, latents, tmp_path):
    with pytest.raises(ModtsError, match="is a folder; name a file in it"):
        modts.pretrain(backbone, cohort.X, cohort.X, checkpoint=tmp_path)
    targets, _ = modts.labels(cohort)
    with pytest.raises(ModtsError, match="training must be a Training"):
        modts.adapt("frozen", "simple", targets, np.arange(50), latents=latents, training={})


def test_training_that_diverges_is_an_error():
    small = tiny()
    X, X_val = small.part("train")[0], small.part("val")[0]
    with pytest.raises(ModtsError, match="Training diverged: its best validation error is .*; build the backbone anew"):
        modts.pretrain(modts.build("GRU-D", small), X, X_val, epochs=1, lr=1e9, progress=None)


def test_what_comes_back_from_a_file_looks_as_well(cohort, backbone, predictor, tmp_path):
    b = modts.load_backbone(backbone.save(tmp_path / "b.safetensors"))
    p = modts.load_predictor(predictor.save(tmp_path / "p.safetensors"))
    assert isinstance(b, modts.Backbone) and isinstance(p, modts.Predictor) and isinstance(p.backbone, modts.Backbone)
    assert isinstance(modts.load_cohort(cohort.save(tmp_path / "c.npz")), modts.Cohort)
    assert isinstance(cohort.resplit(3), modts.Cohort)


# --- PyPOTS's imputers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fills", "noticed"), [(80.0, True), (0.0, False)])
def test_an_imputer_trained_on_raw_values_is_noticed(monkeypatch, fills, noticed):
    from modts.asked import backbone as module

    X = np.random.default_rng(0).normal(80, 10, (60, 6, 2)).astype(np.float32)
    raw = modts.cohort_from_arrays(X)
    made = modts.build("SAITS", raw)
    monkeypatch.setattr(
        type(made), "run", lambda self, inputs: ({"imputation": torch.full_like(inputs["X"], fills)}, [])
    )
    said = []
    monkeypatch.setattr(module, "notice", said.append)
    module._same_scale(made, raw)
    assert bool(said) == noticed and all("trained on another scale" in one for one in said)


def test_arrays_as_others_have_them(cohort):
    X, y = cohort.X[:40], np.arange(40) % 2
    with pytest.raises(ModtsError, match=r"X is a dictionary; .*cohort_from_arrays\(data\['X'\], data\['y'\]\)"):
        modts.cohort_from_arrays({"X": X, "y": y})
    assert modts.cohort_from_arrays(X, y[:, None]).task == "classification"
    assert modts.cohort_from_arrays(**{"X": X, "y": y}).y.shape == (40,)
    with pytest.raises(ModtsError, match="is missing; .* Leave out what has no label; to pretrain on it all the same"):
        modts.cohort_from_arrays(X, np.where(y, y, np.nan))


def test_a_cohort_replaces_no_file_of_another_kind_and_knows_its_splits(cohort, tmp_path):
    for name, values in (("a.npz", {"X": np.zeros(3)}), ("b.npz", None)):
        path = tmp_path / name
        np.savez(path, **values) if values else path.write_bytes(b"no archive")
        with pytest.raises(ModtsError, match="holds no cohort; it is left as it is"):
            cohort.save(path)
    assert cohort.save(cohort.save(tmp_path / "c.npz")).is_file()
    with pytest.raises(ModtsError, match="split seed must be a whole number of 0 or more"):
        cohort.resplit(-1)
    with pytest.raises(ModtsError, match="Unknown split 'valid'"):
        cohort.lengths_of("valid")
