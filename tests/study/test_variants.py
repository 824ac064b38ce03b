"""Variants: named sets of settings by which a profile multiplies its grid, through tables and effects."""

import numpy as np
import pytest
from core_fixture import places  # noqa: F401

from modts import runs
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.study import collect, effects, params, profiles

FILE = """
profile: tiny
defaults: {pretrain: {rate: 0.2}, heads: {head_epochs: 60}}
variants:
  gaps: {pretrain: {pattern: block}}
  long: {heads: {head_epochs: 90}, pretrain: {rate: 0.5}}
cohorts:
  simulated_icu:
    stages: [pretrain, heads, baselines]
    backbones: [SAITS, GRU-D]
    variants: ["", gaps, long]
  simulated_ward: {stages: [pretrain], backbones: [SAITS], variants: [gaps]}
transfer:
  - {source: simulated_icu, cohort: simulated_ward, backbones: [SAITS], variants: [gaps]}
"""


@pytest.fixture
def jobs(tmp_path):
    (tmp_path / "tiny.yaml").write_text(FILE)
    return profiles.read_profile(tmp_path / "tiny.yaml").jobs


def test_a_grid_is_multiplied_by_its_variants(jobs):
    named = [run for run in jobs if "simulated_icu-SAITS" in run and "pretrain" in run]
    assert named == [
        "tiny-pretrain-simulated_icu-SAITS-rate0.2",
        "tiny-pretrain-simulated_icu-SAITS-block-rate0.2-gaps",
        "tiny-pretrain-simulated_icu-SAITS-rate0.5-long",
    ]
    assert len(jobs) == 3 * (2 + 2 + 1) + 1 + 1
    assert {job.params["variant"] for job in jobs.values() if "simulated_ward" in job.run} == {"gaps"}


def test_a_variants_settings_are_its_own_and_its_runs_need_each_other(jobs):
    heads = jobs["tiny-heads-simulated_icu-SAITS-rate0.5-long"]
    assert (heads.params["head_epochs"], heads.params["pattern"], heads.params["rate"]) == (90, "point", 0.5)
    assert heads.needs == ("tiny-pretrain-simulated_icu-SAITS-rate0.5-long",) and heads.label.endswith("SAITS long")
    plain = jobs["tiny-heads-simulated_icu-SAITS-rate0.2"]
    assert (plain.params["head_epochs"], plain.params["variant"]) == (60, "")
    transfer = jobs["tiny-transfer-simulated_ward-SAITS-simulated_icu-block-rate0.2-gaps"]
    assert set(transfer.needs) == {
        "tiny-pretrain-simulated_icu-SAITS-block-rate0.2-gaps",
        "tiny-pretrain-simulated_ward-SAITS-block-rate0.2-gaps",
    }


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("gaps, long]", "gap]", r"there is no variant 'gap'; did you mean 'gaps'\?"),
        (
            "  gaps: {pretrain: {pattern",
            "  gaps: {pretrain: {patern",
            "variants.gaps.pretrain: unknown parameter 'patern'",
        ),
        ("  gaps: {", "  a-b: {", "variant name 'a-b' cannot be part of a file's name"),
        ("{rate: 0.2}", "{rate: 0.2, variant: x}", "unknown parameter 'variant'"),
        ('variants: ["", gaps, long]', "variants: []", "at least 1 item"),
        (
            "  long: {",
            "  unused: {heads: {head_epoch: 9}}\n  long: {",
            r"variants.unused.heads: unknown parameter 'head_epoch'; did you mean 'head_epochs'\?",
        ),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, before, after, sentence):
    (tmp_path / "tiny.yaml").write_text(FILE.replace(before, after))
    with pytest.raises(ModtsError, match=sentence):
        profiles.read_profile(tmp_path / "tiny.yaml")


def test_a_variant_has_a_plain_name():
    assert params.parse("pretrain", {"variant": "wide_2"}).variant == "wide_2"
    for name in ("a-b", "a b", "../x"):
        with pytest.raises(ModtsError, match="variant name"):
            params.parse("pretrain", {"variant": name})


# --- through the tables ---


def record(variant, value, run=None, stage="heads"):
    given = {"profile": "tiny", "cohort": "simulated_icu", "backbone": "SAITS", "variant": variant}
    row = dict.fromkeys(runs.COLUMNS, "") | {
        **{name: given[name] for name in ("profile", "cohort", "backbone", "variant")},
        "arm": "frozen", "head": "simple", "pooling": "paper", "label_fraction": 1.0, "test": "split", "metric": "auroc",
        "task": "classification", "value": value,
    }  # fmt: skip
    run = run or runs.run_id("heads", given)
    hashes = {"0": load_cohort("simulated_icu").content_hash}
    return {
        "run": run, "stage": stage, "profile": "tiny", "params": given, "rows": [{**row, "run": run}], "data_hash": hashes,
    }  # fmt: skip


def test_variants_keep_their_rows_apart_and_a_clash_is_said():
    made = [record("", 0.7), record("wide", 0.8)]
    assert {(row["variant"], row["value"]) for row in collect.metric_rows(made)} == {("", 0.7), ("wide", 0.8)}
    assert collect.clashes(made) == []
    assert collect.clashes([*made, record("wide", 0.9, "tiny-heads-simulated_icu-SAITS-block-wide")]) == [
        "left out: tiny-heads-simulated_icu-SAITS-block-wide has rows under the names of tiny-heads-simulated_icu-SAITS-wide's; "
        "give one of them a variant"
    ]
    assert (
        collect.clashes([*made, record("", 0.7, "tiny-transfer-x", "transfer")]) == []
    )  # it repeats the target's own arms


def test_effects_compare_within_a_variant(tmp_path):
    y, made = load_cohort("simulated_icu").part("test")[1], []
    noise = np.random.default_rng(0).normal(size=len(y))
    for variant, gain in (("", 3.0), ("wide", -3.0)):
        made.append(record(variant, 0.7))
        arms = {"frozen|simple|paper|1|0|0|0": gain * y + noise, "untrained|simple|paper|1|0|0|0": noise}
        runs.write_arrays(tmp_path / f"{made[-1]['run']}.npz", made[-1]["run"], **arms)
    rows, said = effects.effects(made, tmp_path, 100)
    found = {row["variant"]: row for row in effects.judged(rows, made) if row["metric"] == "auroc"}
    assert said == [] and found[""]["difference"] > 0 > found["wide"]["difference"]
    assert found["wide"]["family"] == "tiny, frozen - untrained, simulated_icu, auroc, wide, each backbone"
