"""The backbones in one table: which PyPOTS module each is, what it reads, where its latents come out, its sizes. A further one is a row.

Six are those of arXiv 2411.03941 (`SIX`); a row beyond them says what it is here for.

A class of one's own, in a file, has a row made for it (see modts.backbones.own).

Sizes: "small" is ours, for a CPU; "paper" are the winners that TSI-Bench (arXiv 2406.12747) published per data set, because the paper
itself (arXiv 2411.03941) states none. HELIX's are those of its own experiments (arXiv 2605.02278, github.com/milaogou/HELIX).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from modts.errors import ModtsError, choose

READINGS = ("window", "shipped")
SCALINGS = ("plain", "winsorised")  # what mean and deviation are taken from: see modts.backbones.scaling
POOLINGS = (
    "paper",
    "mean+max+last",
    "steps",
)  # how the states of a backbone become latents: see modts.backbones.latents


@dataclass(frozen=True)
class Row:
    """One backbone.

    Attributes
    ----------
    kind
        "recurrent" (latent = final hidden states), "attention" (mean over time), "convolutional" (flattened) or "contrastive" (largest
        over time).
    reads
        Which inputs it takes (see inputs.model_inputs).
    core
        PyPOTS's module, "package.Class" below pypots.imputation and pypots.classification; below pypots.representation if it does not impute.
    tap
        The submodule whose output is read for latents; ">name" reads the input of `name`. Empty if recurrent: see recurrent.FAST.
    small
        Constructor arguments on a CPU.
    fixed
        Constructor arguments that are not sizes.
    classifier
        Arguments only PyPOTS's end-to-end classifier takes; None where PyPOTS has none.
    options
        How it reads its input where PyPOTS's reading is not the only one: name -> (ours, PyPOTS's).
    last_block
        The submodules that the arm "last_block" trains, of a list or sequence its last; what comes after the states is none of it.
    own
        None for PyPOTS's; for a class of one's own, what modts.backbones.own made of it.
    beyond
        What a backbone beside the six is here for.
    imputes
        False: it learns a representation by a loss of its own and fills no gaps.
    ends
        How it is kept from reading behind a series' end: "turned", "masked", "alone" or "padded" (see modts.backbones.ends).
    """

    kind: str
    reads: str
    core: str
    tap: str
    small: dict
    fixed: dict
    classifier: dict | None
    options: dict = field(default_factory=dict)
    last_block: tuple[str, ...] = ()
    own: object = None
    beyond: str = ""
    imputes: bool = True
    ends: str = "padded"


BACKBONES = {
    "BRITS": Row(
        "recurrent", "both_ways", "brits.core._BRITS", "",
        {"rnn_hidden_size": 64}, {}, {"classification_weight": 1.0, "reconstruction_weight": 1.0},
        last_block=("model.rits_f.rnn_cell", "model.rits_b.rnn_cell"), ends="turned",
    ),
    "GRU-D": Row(
        "recurrent", "grud", "grud.core._GRUD", "", {"rnn_hidden_size": 64}, {}, {},
        {"last_observation": ("locf", "zero"), "empirical_mean": ("training", "given")}, ("backbone.rnn_cell",), ends="turned",
    ),
    "SAITS": Row(
        "attention", "plain", "saits.core._SAITS", ">encoder.reduce_dim_beta",
        {"n_layers": 2, "d_model": 64, "d_ffn": 128, "n_heads": 4, "d_k": 16, "d_v": 16, "dropout": 0.1, "attn_dropout": 0.1},
        {"diagonal_attention_mask": True, "ORT_weight": 1.0, "MIT_weight": 1.0}, {},
        last_block=("encoder.layer_stack_for_second_block",), ends="masked",
    ),
    "CSAI": Row(
        "recurrent", "csai", "csai.core._BCSAI", "",
        {"rnn_hidden_size": 64, "step_channels": 32}, {"consistency_weight": 0.1, "imputation_weight": 0.3},
        {"classification_weight": 1.0, "dropout": 0.1}, {"attention_over": ("time", "batch")},
        ("model.model_f.gru", "model.model_b.gru"), ends="turned",
    ),
    "TimesNet": Row(
        "convolutional", "plain", "timesnet.core._TimesNet", ">projection",
        {"n_layers": 1, "top_k": 2, "d_model": 32, "d_ffn": 32, "n_kernels": 3, "dropout": 0.1},
        {"apply_nonstationary_norm": False}, {}, {"periods": ("window", "batch")}, ("model.model",), ends="alone",
    ),
    "Autoformer": Row(
        # before its last layer takes the mean over time away: after it, the mean over time is zero for every window
        "attention", "plain", "autoformer.core._Autoformer", "encoder.encoder.norm.layer_norm",
        {"n_layers": 2, "d_model": 64, "d_ffn": 128, "n_heads": 4, "factor": 3, "moving_avg_window_size": 13, "dropout": 0.1},
        {"ORT_weight": 1.0, "MIT_weight": 1.0}, {}, last_block=("encoder.encoder.attn_layers", "encoder.encoder.norm"), ends="alone",
    ),
    "HELIX": Row(
        "attention", "plain", "helix.core._HELIX", "backbone.final_norm",
        {"d_pe": 8, "d_feature_embed": 8, "d_model": 32, "n_heads": 2, "n_layers": 1, "dropout": 0.1},
        {"ORT_weight": 1.0, "MIT_weight": 1.0}, None, last_block=("backbone.encoders", "backbone.final_norm"),
        beyond="the imputer with the lowest published error on PhysioNet 2012", ends="alone",
    ),
    "TS2Vec": Row(
        # its classifier in PyPOTS trains the same network by the same loss, without labels, and then a support vector machine: not end to end
        "contrastive", "gaps", "ts2vec.core._TS2Vec", "encoder",
        {"n_pred_features": 64, "d_hidden": 32, "n_layers": 4}, {"mask_mode": "binomial"}, None, {"gaps": ("cell", "step")},
        ("encoder.feature_extractor.net",),
        beyond="the one frozen representation that PyPOTS ships", imputes=False, ends="alone",
    ),
}  # fmt: skip
SIX = tuple(name for name, row in BACKBONES.items() if not row.beyond)  # those of arXiv 2411.03941

_FIELDS = {
    "SAITS": ("n_layers", "d_ffn", "n_heads", "d_k", "d_v", "dropout", "attn_dropout"),
    "TimesNet": ("n_layers", "top_k", "d_model", "d_ffn", "n_kernels", "dropout"),
    "Autoformer": ("n_layers", "d_model", "d_ffn", "n_heads", "moving_avg_window_size", "dropout"),
    "BRITS": ("rnn_hidden_size",),
    "GRU-D": ("rnn_hidden_size",),
    "HELIX": ("d_pe", "d_feature_embed", "d_model", "n_heads", "n_layers", "dropout"),
}
# TSI-Bench's winners, in the order of _FIELDS, from the settings its code ran with (benchmark_code/hpo_results).
# They name a d_model of 64 for SAITS, which PyPOTS's SAITS does not take: it resets it to n_heads * d_k, and so does `sizes`.
# HELIX's are from the same place in its own repository, in the versions whose sizes its results print (ItalyAir and ETT_h1 were written over
# later); its d_model of 256 for BeijingAir does not divide by 12 heads, and PyPOTS makes it 252. PhysioNet 2019 has settings and no result.
_PAPER = {
    "physionet_2012": {
        "SAITS": (3, 512, 8, 128, 256, 0.2, 0.1), "BRITS": (1024,), "GRU-D": (128,),
        "TimesNet": (3, 3, 128, 512, 5, 0.0), "Autoformer": (3, 1024, 256, 1, 13, 0.0),
        "HELIX": (16, 16, 96, 8, 2, 0.1),
    },
    "physionet_2019": {
        "SAITS": (3, 512, 8, 32, 256, 0.0, 0.3), "BRITS": (512,), "GRU-D": (32,),
        "TimesNet": (3, 1, 512, 1024, 5, 0.3), "Autoformer": (1, 128, 1024, 4, 13, 0.0),
        "HELIX": (12, 10, 96, 4, 2, 0.1),
    },
    "beijing_air": {
        "SAITS": (1, 256, 4, 256, 64, 0.1, 0.1), "BRITS": (512,), "GRU-D": (1024,),
        "TimesNet": (2, 1, 1024, 128, 5, 0.1), "Autoformer": (1, 1024, 1024, 8, 5, 0.3),
        "HELIX": (12, 24, 252, 12, 3, 0.2),
    },
    "italy_air": {
        "SAITS": (3, 64, 8, 128, 32, 0.1, 0.2), "BRITS": (256,), "GRU-D": (128,),
        "TimesNet": (1, 1, 512, 256, 4, 0.2), "Autoformer": (3, 256, 128, 8, 25, 0.0),
        "HELIX": (6, 6, 32, 2, 3, 0.2),
    },
    "ett_h1": {
        "SAITS": (3, 512, 8, 256, 128, 0.0, 0.1), "BRITS": (512,), "GRU-D": (256,),
        "TimesNet": (1, 1, 128, 256, 4, 0.1), "Autoformer": (2, 128, 64, 1, 25, 0.0),
        "HELIX": (24, 12, 128, 4, 2, 0.0),
    },
    "traffic": {
        "SAITS": (3, 128, 8, 256, 64, 0.0, 0.3), "BRITS": (1024,), "GRU-D": (1024,),
        "TimesNet": (1, 3, 1024, 512, 4, 0.0), "Autoformer": (3, 64, 1024, 8, 3, 0.0),
        "HELIX": (6, 32, 576, 6, 3, 0.1),
    },
}  # fmt: skip


def row_of(name: str) -> Row:
    """The row of a backbone: a key of BACKBONES, or "mine.py:MyImputer", a class in a file (see modts.backbones.own)."""
    if name not in BACKBONES and ":" in str(name):
        from .own import row_of_own

        found = row_of_own(name)
        if found:
            return found
    if name not in BACKBONES:
        raise ModtsError(
            f"Unknown backbone {name!r}; choose one of: {', '.join(BACKBONES)}, or a class of your own, such as mine.py:MyImputer."
        )
    return BACKBONES[name]


def sizes(name: str, size: str = "small", cohort: str = "", config: dict | None = None) -> dict:
    """Constructor arguments of a backbone: size "small", or "paper" (TSI-Bench's winner for that cohort, PhysioNet 2012's elsewhere).

    Parameters
    ----------
    name, size, cohort : str
        A backbone, a named set of arguments, and the cohort whose winner is meant.
    config : dict, optional
        Arguments that take the place of the set's, such as {"rnn_hidden_size": 128}.

    Raises
    ------
    ModtsError
        An unknown name or size, or an argument that the backbone does not have or of another kind.
    """
    found = _named(name, size, cohort)
    for key, value in (config or {}).items():
        if key not in found:
            raise ModtsError(f"{name} has no argument {key!r} to set in config; it has: {', '.join(found)}.")
        if type(value) is not type(found[key]) and not (type(found[key]) is float and type(value) is int):
            raise ModtsError(f"config of {name}: {key} = {value!r} should be a number like {found[key]!r}.")
    found |= config or {}
    return found | {"d_model": found["n_heads"] * found["d_k"]} if name == "SAITS" else found


def _named(name: str, size: str, cohort: str) -> dict:
    row = row_of(name)
    if choose(size, ("small", "paper"), "size") == "small":
        return dict(row.small)
    if row.own:
        return dict(row.own.paper)
    if name == "CSAI":  # not in TSI-Bench: the CSAI paper's own defaults
        return {"rnn_hidden_size": 108, "step_channels": 512}
    if name == "TS2Vec":  # its paper's (arXiv 2106.10466), the same for every data set
        return {"n_pred_features": 320, "d_hidden": 64, "n_layers": 10}
    winners = _PAPER.get(cohort, _PAPER["physionet_2012"])[name]
    return {**row.small, **dict(zip(_FIELDS[name], winners, strict=True))}


def options_of(name: str, given: dict | None = None, reading: str = "window") -> dict:
    """All options of a backbone: ours (a window's answer depends on that window alone), or with reading "shipped" PyPOTS's; then `given`.

    Raises
    ------
    ModtsError
        An option or a value that the backbone does not have.
    """
    known, given = row_of(name).options, given or {}
    place = READINGS.index(choose(reading, READINGS, "reading"))
    for option, value in given.items():
        if option not in known:
            has = ", ".join(f"{key!r} ({' or '.join(map(repr, values))})" for key, values in known.items())
            raise ModtsError(f"{name} has no option {option!r}; " + (f"it has {has}." if has else "it has none."))
        choose(value, known[option], f"value of {name}'s option {option!r}:")
    return {option: values[place] for option, values in known.items()} | given


def ships_classifier(name: str) -> bool:
    """Whether PyPOTS has an end-to-end classifier of the backbone; of a class of one's own it has none."""
    return name in BACKBONES and BACKBONES[name].classifier is not None


def classifier_settings(name: str) -> dict:
    """Constructor arguments of PyPOTS's end-to-end classifier that are not sizes."""
    row, imputing = BACKBONES[name], ("ORT_weight", "MIT_weight", "apply_nonstationary_norm")
    return {k: v for k, v in row.fixed.items() if k not in imputing} | row.classifier
