"""Parameters are strict: every mistake stops with one sentence that names it."""

import types

import pytest
from core_fixture import places, tiny  # noqa: F401
from own_fixture import EXAMPLE

from modts.errors import ModtsError
from modts.study import params

TRANSFER = {"cohort": "simulated_ward", "e2e_lrs": [1e-3, 3e-4]}
MISTAKES = {
    "misspelt": ("pretrain", {"epoch": 3}, "Unknown parameter 'epoch'; did you mean 'epochs'?"),
    "unlike anything": (
        "extract",
        {"zzz": 3},
        "Unknown parameter 'zzz'; the parameters are profile, cohort, .*poolings.",
    ),
    "of another notebook": ("pretrain", {"poolings": ["paper"]}, "Unknown parameter 'poolings'"),
    "text for a number": ("pretrain", {"epochs": "10"}, "Parameter epochs = '10': Input should be a valid integer."),
    "1e-4 in YAML": ("pretrain", {"lr": "1e-4"}, r"lr = '1e-4': .*YAML reads 1e-4 as text; write 0.0001 or 1.0e-4"),
    "fraction for a count": ("pretrain", {"epochs": 2.5}, "epochs = 2.5"),
    "truth for a count": ("pretrain", {"epochs": True}, "epochs = True"),
    "an argument that the backbone has not": (
        "pretrain",
        {"config": {"hidden": 3}},
        "SAITS has no argument 'hidden' to set in config; it has: n_layers, d_model, d_ffn, .*attn_dropout",
    ),
    "an argument of another kind": (
        "end_to_end",
        {"backbone": "GRU-D", "config": {"rnn_hidden_size": 0.5}},
        "config of GRU-D: rnn_hidden_size = 0.5 should be a number like 64",
    ),
    "zero epochs": ("pretrain", {"epochs": 0}, "epochs = 0: Input should be greater than or equal to 1"),
    "rate of one": ("pretrain", {"rate": 1.0}, "rate = 1.0: Input should be less than 1"),
    "negative learning rate": ("pretrain", {"lr": -0.1}, "lr = -0.1: Input should be greater than or equal to 0"),
    "label fraction in percent": (
        "heads",
        {"label_fractions": [10.0]},
        r"label_fractions.0 = 10.0: .*less than or equal to 1",
    ),
    "no seeds": ("heads", {"seeds": []}, r"seeds = \[\]: .*at least 1 item"),
    "one seed, no list": ("heads", {"seeds": 1}, "seeds = 1: Input should be a valid list"),
    "negative seed": ("heads", {"seeds": [-1]}, "seeds.0 = -1"),
    "duplicate seeds": ("heads", {"seeds": [1, 2, 1]}, r"Seeds must differ, got \[1, 2, 1\]"),
    "unknown cohort": (
        "heads",
        {"cohort": "physionet"},
        "Unknown cohort 'physionet'; choose one of: simulated_icu, .*traffic",
    ),
    "missing cohort file": ("heads", {"cohort": "nowhere.npz"}, "There is no cohort file nowhere.npz"),
    "unknown backbone": (
        "heads",
        {"backbone": "GRUD"},
        "backbone = 'GRUD': Input should be 'BRITS', 'GRU-D', .*'TS2Vec' or a class of your own",
    ),
    "a backbone's file that is not there": (
        "heads",
        {"backbone": "nowhere/mine.py:MyImputer"},
        "There is no file nowhere/mine.py .* to take MyImputer from",
    ),
    "a backbone's class that is not there": (
        "heads",
        {"backbone": f"{EXAMPLE}:Yours"},
        "mine.py has no class 'Yours'; it has: MyImputer",
    ),
    "a backbone's file without a class": (
        "heads",
        {"backbone": str(EXAMPLE)},
        "or a class of your own, 'mine.py:MyImputer'",
    ),
    "a backbone that is no text": ("heads", {"backbone": 3}, "backbone = 3: Input should be a valid string"),
    "misspelt setting of the GRU": (
        "baselines",
        {"gru_settings": [{"hidden": 32, "lr": 1e-3, "dropout": 0.0, "batchsize": 64}]},
        "gru_settings: Unknown parameter 'batchsize'; did you mean 'batch_size'",
    ),
    "dropout of all": (
        "baselines",
        {"gru_settings": [{"hidden": 32, "lr": 1e-3, "dropout": 1.0}]},
        "gru_settings: Parameter dropout = 1.0: Input should be less than 1",
    ),
    "no setting of the GRU": ("baselines", {"gru_settings": []}, r"gru_settings = \[\]: .*at least 1 item"),
    "a setting of the GRU twice": (
        "baselines",
        {
            "gru_settings": [
                {"hidden": 8, "lr": 1e-3, "dropout": 0, "batch_size": None},
                {"hidden": 8, "lr": 1e-3, "dropout": 0},
            ]
        },
        "ru_settings must differ",
    ),
    "unknown pattern": ("baselines", {"pattern": "mcar"}, "pattern = 'mcar': Input should be 'point'"),
    "unknown pooling": ("extract", {"poolings": ["paper", "max"]}, "poolings.1 = 'max'"),
    "unknown arm": ("end_to_end", {"arms": ["frozen"]}, "arms.0 = 'frozen'"),
    "unknown stage": ("head", {}, "Unknown stage 'head'; choose one of: pretrain"),
    "source is cohort": (
        "transfer",
        TRANSFER | {"source": "simulated_ward"},
        "source and cohort are both 'simulated_ward'",
    ),
    "unknown source": ("transfer", TRANSFER | {"source": "hospital"}, "Unknown cohort 'hospital'"),
    "a choice for heads alone": (
        "end_to_end",
        {"e2e_lrs": [1e-3]},
        "Heads choose among 4 settings .* give at least two e2e_lrs",
    ),
    "no draw": ("heads", {"draws": 0}, "draws = 0: Input should be greater than or equal to 1"),
    "half a draw": ("end_to_end", {"e2e_draws": 1.5}, "e2e_draws = 1.5"),
    "batch of none": ("latency", {"batch_sizes": [0]}, "batch_sizes.0 = 0"),
    "empty profile": ("heads", {"profile": ""}, "The profile name '' cannot be part"),
    "no learning rates": ("heads", {"head_lrs": []}, "head_lrs"),
    "no candidates end to end": ("end_to_end", {"e2e_lrs": [], "head_lrs": []}, "_lrs"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake):
    stage, values, says = MISTAKES[mistake]
    with pytest.raises(ModtsError, match=says) as caught:
        params.parse(stage, values)
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 400
    assert sentence[-1] in ".?)" and ".." not in sentence


@pytest.mark.parametrize("stage", params.STAGE_PARAMS)
def test_the_defaults_of_every_stage_are_valid(stage):
    values = {"cohort": "simulated_ward"} if stage == "transfer" else {}
    checked = params.parse(stage, values)
    assert params.parse(stage, checked.model_dump()) == checked  # round trip


def test_literal_names_are_those_of_the_tables():
    from typing import get_args

    from modts.backbones import BACKBONES, POOLINGS
    from modts.cohorts import PATTERNS
    from modts.learning import ARMS, HEADS
    from modts.runs import STAGES

    assert [params.parse("pretrain", {"backbone": name}).backbone for name in BACKBONES] == list(BACKBONES)
    assert get_args(params.HeadName) == HEADS
    assert get_args(params.Pooling) == POOLINGS
    for model in (params.Pretrain, params.Baselines):
        assert get_args(model.model_fields["pattern"].annotation) == tuple(PATTERNS)
    assert set(params.EndToEnd().arms) <= set(ARMS)
    assert tuple(params.STAGE_PARAMS) == STAGES


def test_whole_numbers_may_stand_for_fractions():
    assert params.parse("heads", {"label_fractions": [1], "head_weight_decays": [0]}).label_fractions == [1.0]


def test_an_own_cohort_is_a_path(tmp_path):
    path = tiny(n=40).save(tmp_path / "mine.npz")
    assert params.parse("pretrain", {"cohort": str(path)}).cohort == str(path)


def test_a_notebook_shows_the_sentence_and_no_traceback():
    assert ModtsError("One sentence.")._render_traceback_() == ["ModtsError: One sentence."]


def test_a_namespace_is_read_without_modules_functions_and_private_names():
    namespace = {
        "cohort": "simulated_air",
        "epochs": 3,
        "_hidden": 1,
        "__name__": "x",
        "params": params,
        "types": types,
        "f": lambda: 1,
        "Cohort": dict,
        "In": [],
        "Out": {},
        "get_ipython": print,
        "exit": object(),
        "quit": object(),
        "open": open,
    }
    checked = params.validate("pretrain", namespace)
    assert (checked.cohort, checked.epochs) == ("simulated_air", 3)
    with pytest.raises(ModtsError, match="Unknown parameter 'epoch'; did you mean 'epochs'"):
        params.validate("pretrain", namespace | {"epoch": 3})
