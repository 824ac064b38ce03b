"""Numbers that came out and were wrong: each is the number that is meant, or is told in a sentence."""

import copy
import pickle
import sys
import threading
import warnings
from decimal import Decimal
from functools import partial

import numpy as np
import pandas as pd
import pytest

import modts
from modts.errors import ModtsError, ModtsWarning
from modts.sklearn import ImputerLatents, ModularClassifier, ModularRegressor


def stays(n=30, rows=10, seed=0):
    """Stays whose every second one has a higher pulse, and dies."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.repeat([f"p{i:02d}" for i in range(n)], rows), "time": np.tile(np.arange(rows), n)})
    label = np.repeat(np.arange(n) % 2, rows)
    return frame.assign(hr=rng.normal(70 + 5 * label), lact=rng.normal(2, 0.3, len(frame)), label=label)


def arrays(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal((70, 2), (5, 0.3), (n, 8, 2)).astype(np.float32)
    X[rng.random(X.shape) < 0.2] = np.nan
    return X, np.arange(n) % 2


def silent(call):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ModtsWarning)
        return call()


# --- time ------------------------------------------------------------------------------------------------------------


def test_the_cohorts_step_is_as_long_where_new_times_have_another_unit():
    frame = stays()
    cohort = modts.cohort_from_table(frame, step=1, time_unit="h")
    minutes = frame.assign(time=frame.time * 60)
    dates = frame.assign(time=pd.Timestamp("2024-01-01", tz="Asia/Tokyo") + pd.to_timedelta(frame.time, unit="h"))
    for new in (minutes, dates):
        found = silent(lambda new=new: modts.windows_from_table(new, cohort, time_unit="min"))
        np.testing.assert_array_equal(found.X, cohort.X)
    bare = modts.cohort_from_table(frame, step=1)
    with pytest.raises(ModtsError, match="is 1 without a unit of time, so times in 'min'"):
        modts.windows_from_table(minutes, bare, time_unit="min")
    np.testing.assert_array_equal(modts.windows_from_table(minutes, bare, step=60, time_unit="min").X, cohort.X)


def test_rows_behind_the_windows_are_told_and_a_series_of_them_alone_is_refused():
    frame = stays()
    for given in ({"step": 1}, {}):
        cohort = modts.cohort_from_table(frame, **given)
        longer = pd.concat([frame, frame[frame.id == "p03"].assign(time=lambda new: new.time + 10)])
        with pytest.warns(
            ModtsWarning, match="1 of 30 series go on behind the 10 steps .*first: 'p03', with 10 of 20 rows"
        ):
            modts.windows_from_table(longer, cohort)
        silent(lambda cohort=cohort: modts.windows_from_table(frame, cohort))
    with pytest.raises(ModtsError, match="All rows of 'p00' lie behind the first 10 steps"):
        modts.windows_from_table(frame.assign(time=frame.time + 30), modts.cohort_from_table(frame, step=1))


EDGES = {
    "single precision": (lambda time: (time * 0.1).astype("float32"), 0.1),
    "rounded days": (lambda time: (time / 24).round(4), 1 / 24),
    "a clock that is late and early": (
        lambda time: pd.Timestamp("2024-01-01") + pd.to_timedelta(time * 3600 + np.where(time % 2, -2, 2), unit="s"),
        "1h",
    ),
}


@pytest.mark.parametrize("how", EDGES)
def test_times_on_the_edges_of_steps_are_told(how):
    change, step = EDGES[how]
    frame = stays().assign(time=lambda frame: change(frame.time))
    series = stays(1, 90).assign(time=lambda frame: change(frame.time)).drop(columns=["id", "label"])
    like = modts.cohort_from_table(stays())
    like.notes.pop("step")
    for call in (
        lambda: modts.cohort_from_table(frame, step=step),
        lambda: modts.cohort_from_series(series, time="time", steps=8, step=step),
        lambda: modts.windows_from_table(frame, like, step=step),
    ):
        with pytest.warns(ModtsWarning, match="fall into the same step, where both are averaged"):
            call()


def test_even_times_and_uneven_ones_are_no_edges():
    frame, rng = stays(), np.random.default_rng(0)
    for time, step in (
        (frame.time, 1),
        (frame.time, 2),
        (frame.time * 3, 2),
        (frame.time * 0.1, 0.1),
        (frame.time + rng.random(len(frame)), 1),
        (np.sort(rng.random((30, 10)) * 9).ravel(), 1),
    ):
        silent(lambda time=time, step=step: modts.cohort_from_table(frame.assign(time=time), step=step))


# --- whose a row is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [lambda name: f"{name} ", str.upper, lambda name: f"{name[1:]}.0"])
def test_two_spellings_of_one_name_are_told(other):
    frame = stays()
    names = frame.id.str[1:2].map(lambda name: f"a{name}") if other("a1") != "1.0" else frame.id.str[1:2]
    spelt = pd.Series(
        [other(f"a{n}" if other("a1") == "1.0" else n) if i % 20 < 10 else n for i, n in enumerate(names)]
    )
    with pytest.warns(ModtsWarning, match=r"Two groups differ in nothing but .*rows may lie in two splits"):
        modts.cohort_from_table(frame.assign(patient=spelt), groups="patient")
    silent(lambda: modts.cohort_from_table(frame.assign(patient=names), groups="patient"))


def test_two_spellings_of_ids_variables_and_classes_are_told():
    frame, (X, y) = stays(), arrays()
    single = frame.drop(columns="label").melt(["id", "time"])
    single.loc[::2, "variable"] += " "
    for what, call in (
        ("ids", lambda: modts.cohort_from_table(frame.assign(id=frame.id.where(frame.time % 2 == 0, frame.id + " ")))),
        ("variables", lambda: modts.cohort_from_table(single, variable="variable", label=None)),
        (
            "classes",
            lambda: modts.cohort_from_arrays(X, np.array(["well", "septic", "Septic", "well"] * 10), task="multiclass"),
        ),
        (
            "groups",
            lambda: modts.cohort_from_arrays(X, y, groups=[i // 4 if i % 2 else i // 4 + 0.0 for i in range(40)]),
        ),
    ):
        with pytest.warns(ModtsWarning, match=f"Two {what} differ in nothing but"):
            call()


def test_a_number_of_the_patient_among_the_variables_is_told():
    frame = stays().assign(number=lambda frame: frame.id.str[1:].astype(int) // 2)
    for name in ("subject_id", "Patient", "MRN", "patientunitstayid"):
        with pytest.warns(ModtsWarning, match=f"{name!r} looks like the number of a patient"):
            modts.cohort_from_table(frame.rename(columns={"number": name}))
        silent(lambda name=name: modts.cohort_from_table(frame.rename(columns={"number": name}), groups=name))
    silent(lambda: modts.cohort_from_table(frame.rename(columns={"number": "age"})))


def test_the_label_in_other_numbers_is_told():
    frame = stays()
    for name, values in (
        ("survived", 1 - frame.label),
        ("outcome", 2 * frame.label + 1),
        ("now_and_then", (3 - frame.label).where(frame.time % 3 == 0)),
    ):
        with pytest.warns(ModtsWarning, match=f"{name!r} is the label in other numbers"):
            modts.cohort_from_table(frame.assign(**{name: values}))
    silent(lambda: modts.cohort_from_table(frame.assign(sex=(frame.id.str[1:].astype(int) % 3 > 0).astype(int))))


# --- values ----------------------------------------------------------------------------------------------------------


def test_a_variable_or_target_that_would_be_read_as_constant_is_told():
    frame, (X, _) = stays(), arrays()
    amount = X[:, :, 1].astype(np.float64)
    for factor, offset, said in ((1e-11, 0, "is taken for a constant"), (1, 1.7e9, "single precision tells no values")):
        with pytest.warns(ModtsWarning, match=f"variable 'lact' .*{said}"):
            modts.cohort_from_table(frame.assign(lact=frame.lact * factor + offset))
        with pytest.warns(ModtsWarning, match=f"target 'label' .*{said}"):
            modts.cohort_from_arrays(X, np.nanmean(amount, 1) * factor + offset, task="regression")
        with pytest.warns(ModtsWarning, match=f"target 0 .*{said}"):
            ModularRegressor("GRU-D", epochs=1, head_epochs=1).fit(X, np.nanmean(amount, 1) * factor + offset)
    with pytest.warns(ModtsWarning, match="variable 'x1' .*is taken for a constant"):
        ImputerLatents("GRU-D", epochs=1).fit(np.stack([X[:, :, 0], amount * 1e-11], axis=2))
    silent(lambda: modts.cohort_from_table(frame.assign(lact=3.0)))


def test_numbers_as_objects_and_categories_are_numbers():
    frame = stays()
    cohort = modts.cohort_from_table(frame)
    single, series = (
        frame.drop(columns="label").melt(["id", "time"]),
        frame[["time", "lact"]].assign(time=np.arange(len(frame))),
    )
    for change in (
        lambda column: column.astype(object),
        lambda column: pd.Series([Decimal(repr(float(value))) for value in column], dtype=object),
        lambda column: column.astype("category"),
    ):
        other = frame.assign(lact=change(frame.lact))
        assert modts.cohort_from_table(other).content_hash == cohort.content_hash
        np.testing.assert_array_equal(modts.windows_from_table(other, cohort).X, cohort.X)
        long = modts.windows_from_table(single.assign(value=change(single.value)), cohort, variable="variable")
        np.testing.assert_array_equal(long.X, cohort.X)
        assert (
            modts.cohort_from_series(series.assign(lact=change(series.lact)), time="time", steps=10).missing_rate == 0
        )
    with pytest.raises(ModtsError, match="'lact' is not numeric"):
        modts.cohort_from_table(frame.assign(lact=[[value] for value in frame.lact]))


def test_estimators_read_what_a_mask_hides_as_missing():
    X, y = arrays()
    hidden = np.ma.masked_equal(np.where(np.isnan(X), -999, X), -999)
    given = {"epochs": 1, "head_epochs": 2}
    for padded in (False, True):
        model = ModularClassifier("GRU-D", padded=padded, **given)
        wanted = model.fit(X, y).predict_proba(X)
        for other in (hidden, list(hidden)):
            silent(partial(model.fit, other, y))
            np.testing.assert_array_equal(model.predict_proba(other), wanted)
    targets = np.ma.masked_array(np.stack([y, 1 - y], axis=1).astype(float), mask=np.arange(80).reshape(40, 2) % 7 == 0)
    targets.data[targets.mask] = -7
    for kind in (ModularClassifier, ModularRegressor):
        models = [kind("GRU-D", **given).fit(X, some) for some in (targets, targets.filled(np.nan))]
        np.testing.assert_array_equal(*(model.predict(X) for model in models))
        assert models[0].score(X, targets) == models[1].score(X, targets.filled(np.nan))


def test_a_code_for_missing_in_an_estimators_windows_is_told():
    X, y = arrays()
    with pytest.warns(ModtsWarning, match="looks like a code for missing: 'x0' is -999 in .* put NaN there"):
        ModularClassifier("GRU-D", epochs=1, head_epochs=1).fit(np.where(np.isnan(X), -999, X), y)


# --- scores ----------------------------------------------------------------------------------------------------------


def test_predictions_in_deviations_beside_targets_in_units_are_told():
    X, _ = arrays()
    cohort = modts.cohort_from_arrays(X[:, :, 1:], np.nan_to_num(X[:, :, 0], nan=70))
    backbone, (targets, scaler) = modts.build("GRU-D", cohort), modts.labels(cohort)
    latents = {part: backbone.latents(cohort.part(part)[0], "steps") for part in cohort.splits}
    given = modts.adapt("frozen", "simple", targets, np.arange(len(latents["train"])), latents=latents).prediction
    raw, scaled = cohort.part("test")[1], targets["test"].y
    back = scaler.inverse(given[..., None])[..., 0]
    for call in (
        lambda y: modts.score("regression", y, given, n_boot=2),
        lambda y: modts.paired("regression", "mae", y, given, given * 0, n_boot=2),
        lambda y: modts.paired("regression", "mae", y, np.asarray(given * 0), given, n_boot=2),
    ):
        with pytest.warns(ModtsWarning, match="in standard deviations of the training targets"):
            call(raw)
        silent(lambda call=call: call(scaled))
    for other in (back, given * scaler.std + scaler.mean):
        silent(lambda other=other: modts.score("regression", raw, other, n_boot=2))


@pytest.mark.parametrize("given", [{"seed": -1}, {"seed": "a"}, {"n_boot": 0}, {"n_boot": 1.5}])
def test_resampling_is_asked_for_in_whole_numbers(given):
    y, p = [0, 1, 0, 1], [0.1, 0.3, 0.2, 0.8]
    for call in (
        lambda: modts.score("classification", y, p, **given),
        lambda: modts.paired("classification", "auroc", y, p, p, **given),
    ):
        with pytest.raises(ModtsError, match=f"{next(iter(given))} must be a whole number"):
            call()


# --- serving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SAITS", "TimesNet"])
def test_threads_that_read_with_one_backbone_get_each_its_own_answers(name):
    X, y = arrays()
    backbone = modts.build(name, modts.cohort_from_arrays(X, y))
    predictor = modts.Predictor(backbone, modts.Head("simple", backbone.latents(X[:1]).shape[1], 1))
    asked = {"latents": backbone.latents, "impute": backbone.impute, "predict": predictor.predict}
    parts = [X[i : i + 8] for i in range(8)]
    wanted = {what: [call(part) for part in parts] for what, call in asked.items()}
    wrong, before = [], sys.getswitchinterval()

    def ask(number):
        for i in range(number, number + 8):
            for what, call in asked.items():
                try:
                    np.testing.assert_allclose(call(parts[i % 8]), wanted[what][i % 8], atol=1e-5)
                except Exception as error:
                    wrong.append(error)

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong


def test_a_predictor_with_traces_goes_through_a_pickle():
    X, y = arrays()
    backbone = modts.build("GRU-D", modts.cohort_from_arrays(X, y))
    predictor = modts.Predictor(backbone, modts.Head("simple", backbone.latents(X[:1]).shape[1], 1), trace=2)
    wanted = predictor.predict(X[:2])
    for other in (pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor)):
        np.testing.assert_allclose(other.predict(X[:2]), wanted, atol=1e-6)
