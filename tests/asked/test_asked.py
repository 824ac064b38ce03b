"""What users call is looked at first: wrong values are one sentence, right ones go through unchanged."""

import inspect

import numpy as np
import pandas as pd
import pytest
from core_fixture import tiny

import modts
from modts import asked, cohorts, learning, serving
from modts.errors import ModtsError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", -1), ("epochs", "3"), ("epochs", 1.5), ("patience", -1), ("patience", 0), ("batch_size", 0),
        ("batch_size", -4),
        ("lr", 0), ("lr", -1), ("lr", float("nan")), ("lr", float("inf")), ("lr", "1e-3"), ("lr", True), ("weight_decay", -1), ("clip", -1),
        ("seed", -1), ("seed", 2**63), ("lengths", np.full(9, 3)),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_pretraining_is_a_sentence_that_names_it(backbone, cohort, name, value):
    X = cohort.X[:9]
    with pytest.raises(ModtsError, match=name) as told:
        modts.pretrain(backbone, X, X, **{name: value})
    assert "\n" not in str(told.value)


def test_a_right_call_does_what_the_room_does(cohort):
    X, given = cohort.X[:24], {"epochs": 1, "batch_size": 8, "progress": None, "patience": 1}
    one, other = modts.build("GRU-D", cohort), modts.build("GRU-D", cohort)
    assert modts.pretrain(one, X[:16], X[16:], **given).best == learning.pretrain(other, X[:16], X[16:], **given).best
    assert (one.latents(X) == other.latents(X)).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda c: modts.build("GRU-D", c.X),
        lambda c: modts.build(c, "GRU-D"),
        lambda c: modts.pretrain("GRU-D", c.X, c.X),
        lambda c: modts.labels(c.X),
        lambda c: modts.stream("backbone", "a.npy", "b.npy"),
        lambda c: modts.windows_from_table(pd.DataFrame(), "backbone"),
    ],
)
def test_a_wrong_type_says_what_was_wanted(cohort, call):
    with pytest.raises(TypeError, match="must be a|takes a") as told:
        call(cohort)
    assert "\n" not in str(told.value)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_config_that_cannot_be_is_a_sentence(cohort):
    for size in (-3, 0, 10**9):
        with pytest.raises(ModtsError, match="GRU-D cannot be built with the config"):
            modts.build("GRU-D", cohort, config={"rnn_hidden_size": size})
    with pytest.raises(ModtsError, match="SAITS cannot be built .* n_heads must be 1 or more"):
        modts.build("SAITS", cohort, config={"n_heads": 0})
    with pytest.raises(ModtsError, match="choose one of"):
        modts.build("GRUD", cohort)


@pytest.fixture(scope="module")
def trained(cohort, backbone):
    targets, _ = modts.labels(cohort)
    latents = {part: backbone.latents(cohort.part(part)[0]) for part in ("train", "val", "test")}
    return targets, latents


WRONG = {
    "no val": lambda t, z, c: (t, [0], {"latents": {"train": z["train"], "test": z["test"]}}),
    "an array": lambda t, z, c: (t, [0], {"latents": z["train"]}),
    "too short": lambda t, z, c: (t, [0], {"latents": z | {"train": z["train"][:5]}}),
    "rows of the cohort": lambda t, z, c: (t, c.splits["train"] + len(z["train"]), {"latents": z}),
    "nothing labelled": lambda t, z, c: (t, [], {"latents": z}),
    "a mask": lambda t, z, c: (t, np.ones(len(z["train"]), bool), {"latents": z}),
    "both that labels returns": lambda t, z, c: ((t, None), [0], {"latents": z}),
    "too few epochs": lambda t, z, c: (t, [0], {"latents": z, "training": learning.Training(epochs=0)}),
    "no windows": lambda t, z, c: (t, [0], {"arm": "finetune", "backbone": modts.build("GRU-D", c)}),
}


@pytest.mark.parametrize("slip", WRONG)
def test_a_slip_with_adapt_is_a_sentence(cohort, trained, slip):
    targets, labelled, given = WRONG[slip](*trained, cohort)
    with pytest.raises(ModtsError) as told:
        modts.adapt(given.pop("arm", "frozen"), "simple", targets, labelled, **given)
    assert "\n" not in str(told.value) and len(str(told.value)) < 400


def test_finetuning_asks_for_a_backbone(trained, cohort):
    with pytest.raises(TypeError, match="backbone of arm 'finetune'"):
        modts.adapt("finetune", "simple", trained[0], [0], windows=trained[1])


def test_adapt_takes_a_list_of_positions(trained):
    made = modts.adapt("frozen", "simple", trained[0], list(range(50)), latents=trained[1])
    assert len(made.prediction) == len(trained[0]["test"].y)


def test_labels_of_rows_that_are_not_there_and_a_seed_below_zero(cohort):
    with pytest.raises(ModtsError, match="positions in the training split"):
        modts.labels(cohort, labelled=np.array([9999]))
    with pytest.raises(ModtsError, match="seed"):
        modts.score("classification", np.array([0, 1, 1]), np.array([0.1, 0.9, 0.4]), seed=-1)


@pytest.mark.parametrize(
    ("function", "slip", "meant"), [("cohort_from_table", "lable", "label"), ("cohort_from_series", "stepps", "steps")]
)
def test_a_misspelt_parameter_is_told_by_the_function_that_was_called(function, slip, meant):
    with pytest.raises(TypeError, match=rf"^{function}\(\) has no parameter '{slip}'; did you mean '{meant}'\?$"):
        getattr(modts, function)(pd.DataFrame(), **{slip: 1})


def test_every_parameter_of_a_room_stands_in_the_signature_that_users_see():
    rooms = {
        "build": __import__("modts.backbones", fromlist=["build"]),
        "cohort_from_table": cohorts,
        "cohort_from_series": cohorts,
    }
    rooms |= dict.fromkeys(("mask", "series_back"), cohorts) | {"stream": serving}
    for name in (*rooms, "adapt", "labels", "paired", "pretrain", "score"):
        room = getattr(rooms.get(name, learning), name)
        assert (
            inspect.signature(getattr(asked, name)) == inspect.signature(room)
            and getattr(asked, name).__doc__ == room.__doc__
        )
        assert getattr(modts, name) is getattr(asked, name)


def test_a_head_is_read_with_the_pooling_it_was_trained_on(tmp_path):
    air = tiny(task="regression")
    backbone = modts.build("GRU-D", air)
    targets, scaler = modts.labels(air)
    for trained_on in ("steps", "paper"):
        latents = {part: backbone.latents(air.part(part)[0], trained_on) for part in ("train", "val", "test")}
        head = modts.adapt("frozen", "simple", targets, np.arange(len(latents["train"])), latents=latents).model
        right = modts.Predictor(backbone, head, trained_on, target_scaler=scaler)
        X = air.part("test")[0]
        again = modts.load_predictor(right.save(tmp_path / "right.safetensors"))
        np.testing.assert_allclose(again.predict(X), right.predict(X), rtol=1e-6)
        np.testing.assert_allclose(
            modts.Predictor(backbone, head, trained_on, scaler, trace=2).predict(X[:2]), right.predict(X[:2]), rtol=1e-5
        )
    head = modts.Head("simple", 64, 1)
    head = modts.adapt(
        "frozen",
        "simple",
        targets,
        [0, 1, 2],
        latents={part: backbone.latents(air.part(part)[0], "steps") for part in latents},
    ).model
    wrong = modts.Predictor(backbone, head, target_scaler=scaler)  # the same length: 64 both ways
    with pytest.raises(ModtsError, match="trained on latents of every step .* asked about one latent a window"):
        wrong.predict(X)
    with pytest.raises(ModtsError, match="not trained with the pooling 'paper'"):
        wrong.save(tmp_path / "wrong.safetensors")
    made = modts.adapt(
        "finetune",
        "simple",
        targets,
        [0, 1, 2],
        backbone=backbone,
        windows={p: air.part(p)[0] for p in latents},
        pooling="steps",
        training=learning.Training(epochs=1),
    )
    with pytest.raises(ModtsError, match="every step"):
        modts.Predictor(backbone, made.model.head, target_scaler=scaler).predict(X)


def test_labels_beside_the_tables_times_are_noticed():
    table = pd.DataFrame(
        {
            "id": np.repeat(np.arange(12), 6),
            "time": np.tile(np.arange(6.0), 12),
            "a": np.arange(72.0),
            "b": 1.0 + np.arange(72) % 5,
        }
    )
    labels = table[["id", "time"]].assign(label=np.arange(72) % 2)
    given = {"task": "stepwise", "name": "t"}
    assert modts.cohort_from_table(table, labels=labels, **given).X.shape == (12, 6, 2)
    with pytest.warns(
        modts.ModtsWarning, match="72 labels stand at times at which the table has no row .first: id 0 at 0.5"
    ):
        modts.cohort_from_table(table, labels=labels.assign(time=labels["time"] + 0.5), **given)
    assert modts.cohort_from_table(table, labels=labels.assign(time=labels["time"] + 0.5), step=1, **given).X.shape == (
        12,
        6,
        2,
    )
