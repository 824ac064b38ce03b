"""Effects: questions from stored predictions, pooled and over cohorts, in small families, with one of four words."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from core_fixture import tiny

from modts import runs
from modts.cohorts import load_cohort
from modts.learning import labels
from modts.learning.resampling import levels
from modts.study import effects, questions

SEEDS = (0, 1)


def record(stage, backbone="", cohort="simulated_icu", profile="tiny", rows=(), source=""):
    name = "-".join(filter(None, (profile, stage, cohort, backbone, source)))
    hashes = {str(seed): load_cohort(cohort, seed=seed).content_hash for seed in SEEDS}
    params = {"cohort": cohort, "backbone": backbone} | ({"source": source} if source else {})
    return {"run": name, "stage": stage, "profile": profile, "params": params, "data_hash": hashes, "rows": list(rows)}


@pytest.fixture
def stored(tmp_path):
    """stored(stage, backbone, {arm: gain}): a run whose predictions are the labels times the gain, in noise that arms share."""
    made = []

    def write(stage, backbone, gains, seeds=SEEDS, draws=(None,), fraction="1", source=""):
        arrays = {}
        for seed in seeds:
            y = load_cohort("simulated_icu", seed=seed).part("test")[1]
            noise = np.random.default_rng(seed).normal(size=len(y))
            for draw in draws:
                mine = np.random.default_rng([seed, draw or 0, len(backbone)]).normal(0, 0.2, len(y))
                for arm, gain in gains.items():
                    end = "" if draw is None else f"|{draw}"
                    arrays[f"{arm}|{fraction}|{seed}|{seed}{end}"] = (gain * y + noise + mine).astype(np.float32)
        made.append(record(stage, backbone, source=source))
        runs.write_arrays(tmp_path / f"{made[-1]['run']}.npz", made[-1]["run"], **arrays)
        return made, tmp_path

    return write


def asked(made, folder, n_boot=500, **options):
    rows, said = effects.effects(made, folder, n_boot)
    assert said == []
    return {(row["question"], row["backbone"], row["metric"]): row for row in effects.judged(rows, made)}


def test_every_question_is_asked_of_what_was_stored(stored):
    arms = {
        "frozen|simple|paper": 2.0,
        "frozen|complex|paper": 2.0,
        "untrained|simple|paper": 0.0,
        "untrained|complex|paper": 3.0,
    }
    whole = {"e2e|simple|paper": 1.0, "e2e_shipped||": 1.0, "finetune|simple|paper": 3.0, "fusion|simple|paper": 2.5}
    whole |= {"norm|simple|paper": 3.0, "last_block|simple|paper": 3.0, "lora|simple|paper": 3.0}
    for name in ("SAITS", "BRITS"):
        stored("heads", name, arms | {"frozen|simple|mean+max+last": 9.0})
        stored("end_to_end", name, whole)
    base = {"LightGBM||statistics": 2.0, "Logistic regression||statistics": 9.0, "GRU||": 1.0, "MiniRocket||": 1.0}
    made, folder = stored("baselines", "", base)
    found = asked(made, folder)
    assert len(found) == len(effects.QUESTIONS) * 3 * 2  # two backbones and their mean, two metrics
    sign = {question: np.sign(found[question, "all", "auroc"]["difference"]) for question in effects.QUESTIONS}
    assert [sign[f"frozen - {arm}"] for arm in ("e2e", "e2e_shipped", "finetune", "untrained")] == [1, 1, -1, 1]
    assert {sign[question] for question in questions.FURTHER} == {1}
    assert sign["fusion - LightGBM"] == 1 and found["frozen - untrained", "all", "auroc"]["verdict"] == "better"
    for question in effects.QUESTIONS:
        one, other, both = (found[question, name, "auroc"] for name in ("SAITS", "BRITS", "all"))
        assert both["difference"] == pytest.approx((one["difference"] + other["difference"]) / 2)
        assert set(both["run"].split(",")) == {*one["run"].split(","), *other["run"].split(",")}
        name = f"tiny, {question}, simulated_icu, auroc"
        assert both["family"] == f"{name}, mean over backbones"  # the primary family: one share of the labels, one test
        assert both["p_holm"] == both["p"]
        assert one["family"] == other["family"] == f"{name}, each backbone"
        p = [float(row["p"]) for row in (one, other)]
        assert [row["p_holm"] for row in (one, other)] == pytest.approx(effects.holm(p))


def test_each_source_of_a_transfer_has_effects_of_its_own(stored):
    """Good from the ward, bad from elsewhere; what the transfer runs repeat of the cohort's own arms is not what counts."""
    stored("heads", "SAITS", {"frozen|simple|paper": 1.0, "untrained|simple|paper": 1.0})
    stored("end_to_end", "SAITS", {"finetune|simple|paper": 1.0, "e2e|simple|paper": 1.0})
    stored("baselines", "", {"LightGBM||statistics": 1.0})
    for source, gain in (("ward", 3.0), ("elsewhere", 0.0)):
        arms = {"transfer|simple|paper": gain, "transfer_finetune|simple|paper": gain, "frozen|simple|paper": 9.0}
        made, folder = stored("transfer", "SAITS", arms, source=source)
    rows, said = effects.effects(made, folder, 300)
    assert said == []
    found = {(row["source"], row["question"]): row for row in effects.judged(rows, made) if row["metric"] == "auroc"}
    native = [f"frozen - {arm}" for arm in ("e2e", "finetune", "untrained", "LightGBM")]
    moved = [(source, question) for source in ("ward", "elsewhere") for question in questions.TRANSFERS]
    assert set(found) == {*(("", question) for question in native), *moved}
    for source, question in moved:
        row = found[source, question]
        assert np.sign(row["difference"]) == (1 if source == "ward" else -1)
        assert row["family"] == f"tiny, {question}, simulated_icu, auroc, from {source}, each backbone"
        assert row["p_holm"] == row["p"]  # a family of its own, however many sources there are
    assert found["ward", "transfer - frozen"]["run"] == (
        "tiny-transfer-simulated_icu-SAITS-ward,tiny-heads-simulated_icu-SAITS"
    )
    assert not any("transfer" in found["", question]["run"] for question in native)
    before = found["", "frozen - e2e"]
    made[:] = [one for one in made if one["stage"] == "transfer"]
    rows, _ = effects.effects(made, folder, 50)
    assert {row["question"] for row in rows} == {"transfer - frozen"}  # beside the one that they bring themselves
    assert before["family"] == "tiny, frozen - e2e, simulated_icu, auroc, each backbone"


def test_draws_are_those_that_both_arms_have(stored):
    stored(
        "heads", "SAITS", {"frozen|simple|paper": 2.0, "untrained|simple|paper": 1.0}, draws=range(5), fraction="0.1"
    )
    made, folder = stored("end_to_end", "SAITS", {"e2e|simple|paper": 1.5}, draws=range(2), fraction="0.1")
    found = asked(made, folder)
    assert found["frozen - untrained", "SAITS", "auroc"]["n_draws"] == 5
    assert found["frozen - e2e", "SAITS", "auroc"]["n_draws"] == 2
    assert {row["n_splits"] for row in found.values()} == {2}


def test_the_mean_is_of_the_splits_that_all_backbones_have(stored):
    arms = {"frozen|simple|paper": 2.0, "untrained|simple|paper": 1.0}
    stored("heads", "SAITS", arms)
    made, folder = stored("heads", "BRITS", arms, seeds=(1,))
    found = asked(made, folder)
    sizes = {name: found["frozen - untrained", name, "auroc"]["n_splits"] for name in ("SAITS", "BRITS", "all")}
    assert sizes == {"SAITS": 2, "BRITS": 1, "all": 1}


def test_other_data_are_not_compared(stored):
    made, folder = stored("heads", "SAITS", {"frozen|simple|paper": 2.0, "untrained|simple|paper": 1.0})
    made[0]["data_hash"]["0"] = "other"
    rows, said = effects.effects(made, folder, 100)
    assert rows == [] and "was made with other data" in said[0]


def test_a_series_is_resampled_in_blocks(tmp_path, monkeypatch):
    cohort = load_cohort("simulated_air")
    made = [record("heads", "SAITS", "simulated_air"), record("end_to_end", "SAITS", "simulated_air")]
    shape = cohort.part("test")[1].shape
    for one, arm in zip(made, ("frozen|simple|paper", "e2e|simple|paper"), strict=True):
        noise = np.random.default_rng(len(arm)).normal(size=shape).astype(np.float32)
        runs.write_arrays(tmp_path / f"{one['run']}.npz", one["run"], **{f"{arm}|1|0|0": noise})
    taken = []
    monkeypatch.setattr(
        "modts.learning.resampling.draw_blocks", lambda *args: taken.append(args[3]) or np.ones((args[2], len(args[1])))
    )
    rows, _ = effects.effects(made, tmp_path, 10)
    assert {row["metric"] for row in rows} == {"mae", "mse"} and taken[0] >= np.ceil(shape[0] ** (1 / 3))


def test_an_external_test_is_a_family_of_its_own_and_stands_first(stored, tmp_path, monkeypatch):
    """Good on the own test stays, the other way round on the external ones."""
    cohort, outside = load_cohort("simulated_icu"), tiny(n=60, name="outside")
    X = np.random.default_rng(0).normal(size=(60, cohort.n_steps, cohort.n_features)).astype(np.float32)
    path = str(replace(outside, X=X, features=cohort.features, units=cohort.units).save(tmp_path / "outside.npz"))
    outside = load_cohort(path)
    made = []
    for stage, arm, gain in (("heads", "frozen|simple|paper", 2.0), ("end_to_end", "e2e|simple|paper", 0.0)):
        made.append(record(stage, "SAITS"))
        made[-1]["params"]["external"], made[-1]["external"] = path, {"data": outside.content_hash}
        arrays = {}
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            for end, y, sign in (
                ("", load_cohort("simulated_icu", seed=seed).part("test")[1], 1),
                ("|external", outside.y, -1),
            ):
                arrays[f"{arm}|1|{seed}|{seed}|0{end}"] = (sign * gain * y + rng.normal(size=len(y))).astype(np.float32)
        runs.write_arrays(tmp_path / f"{made[-1]['run']}.npz", made[-1]["run"], **arrays)
    rows, said = effects.effects(made, tmp_path, 300)
    assert said == []
    found = effects.judged(rows, made)
    assert [row["test"] for row in found] == ["external", "external", "split", "split"]  # two metrics each
    signs = {(row["test"], row["metric"]): np.sign(row["difference"]) for row in found}
    assert signs["split", "auroc"] == 1 and signs["external", "auroc"] == -1
    assert found[0]["family"].endswith("auprc, external, each backbone") and found[0]["n_splits"] == 2
    taken = []
    monkeypatch.setattr(
        "modts.learning.intervals.levels", lambda units, *rest: taken.append(units) or levels(units, *rest)
    )
    effects.effects(made, tmp_path, 10)
    ys = [[next(iter(draws[0].values())).y for draws in units] for units in taken]
    assert [np.array_equal(a, b) for a, b in ys] == [False, True]  # the external stays are the same for every split
    made[0]["external"]["data"] = "other"
    assert "was made with other data" in effects.effects(made, tmp_path, 10)[1][0]


def test_an_external_test_that_is_sealed_keeps_its_effects(stored):
    made, folder = stored("heads", "SAITS", {"frozen|simple|paper": 2.0, "untrained|simple|paper": 1.0})
    made[0]["params"]["external"] = "physionet_2012_c"
    rows, said = effects.effects(made, folder, 50)
    assert {row["test"] for row in rows} == {"split"}
    assert said[0].startswith(
        "external test physionet_2012_c of simulated_icu cannot be compared, its effects are kept"
    )


def test_origins_of_a_series_are_its_splits(tmp_path):
    """Three origins of two initialisations: each prediction is held against the truth of its own origin."""
    seeds, made = range(6), []
    for stage, arm, error in (("heads", "frozen|simple|paper", 0.1), ("end_to_end", "e2e|simple|paper", 0.3)):
        made.append(record(stage, "SAITS", "simulated_air"))
        arrays = {}
        for seed in seeds:
            cohort = load_cohort("simulated_air", seed=seed)
            y = np.nan_to_num(labels(cohort)[0]["test"].y)
            arrays[f"{arm}|1|{cohort.split_seed}|{seed}|0"] = y + np.float32(error)
            made[-1]["data_hash"][str(cohort.split_seed)] = cohort.content_hash
        runs.write_arrays(tmp_path / f"{made[-1]['run']}.npz", made[-1]["run"], **arrays)
    rows, said = effects.effects(made, tmp_path, 50)
    assert said == [] and {row["metric"] for row in rows} == {"mae", "mse"}
    mae = next(row for row in rows if row["metric"] == "mae")
    assert (mae["n_splits"], mae["n_draws"]) == (3, 2)
    for name in ("difference", "low", "high"):  # wherever and however it is drawn
        assert mae[name] == pytest.approx(-0.2, abs=1e-6)


def test_holm_is_the_closed_test_of_bonferroni():
    """An adjusted p is the largest that Bonferroni gives any family of hypotheses with this one in it (Marcus and others 1976)."""
    p = [0.03, 0.001, 0.2, 0.03, 0.9, 0.012, 0.013]
    families = [family for size in range(1, 8) for family in itertools.combinations(range(7), size)]
    least = {family: min(1.0, len(family) * min(p[one] for one in family)) for family in families}
    assert effects.holm(p) == pytest.approx([max(least[f] for f in families if one in f) for one in range(7)])


@pytest.mark.parametrize(
    "metric, low, high, p, word",
    [
        ("auroc", -0.01, 0.015, 0.7, "equivalent"),
        ("auroc", 0.005, 0.019, 0.0001, "equivalent"),  # real, and too small to matter
        ("auroc", 0.005, 0.03, 0.001, "better"),
        ("auroc", -0.03, -0.005, 0.001, "worse"),
        ("auroc", 0.005, 0.03, 0.06, "cannot tell"),
        ("auroc", -0.03, 0.01, 0.4, "cannot tell"),
        ("mae", -0.1, -0.03, 0.001, "better"),
        ("mae", 0.03, 0.1, 0.001, "worse"),
        ("mae", -0.019, 0.01, 0.7, "equivalent"),  # 5 % of 0.4
        ("mae", -0.021, 0.01, 0.7, "cannot tell"),
    ],
)
def test_the_four_words(metric, low, high, p, word):
    row = {"metric": metric, "difference": (low + high) / 2, "low": low, "high": high, "p_holm": p}
    assert effects.verdict(row, effects.margin(metric, 0.4)) == word


def test_the_margin_of_an_error_is_of_the_arm_it_is_compared_with():
    cells = {"cohort": "simulated_air", "head": "simple", "pooling": "paper", "label_fraction": 1.0, "metric": "mae"}
    scores = [
        {**cells, "arm": "e2e", "backbone": name, "value": value, "split_seed": seed}
        for name, value in (("SAITS", 0.2), ("BRITS", 0.6))
        for seed in ("", 0)
    ]
    scores += [{**cells, "arm": "frozen", "backbone": "SAITS", "value": 9.0, "split_seed": ""}]
    made = [{"stage": "end_to_end", "profile": "tiny", "rows": scores}]
    row = {
        "cohort": "simulated_air", "task": "regression", "question": "frozen - e2e", "label_fraction": "1", "metric": "mae", "test": "split",
        "difference": "0", "low": "-0.015", "high": "0.015", "p": "0.9", "run": "tiny-x",
    }  # fmt: skip
    words = {
        row["backbone"]: row["verdict"]
        for row in effects.judged([{**row, "backbone": name} for name in ("SAITS", "BRITS", "all")], made)
    }
    assert words == {"SAITS": "cannot tell", "BRITS": "equivalent", "all": "equivalent"}  # margins .01, .03, .02


def test_a_mean_over_cohorts_is_of_real_ones():
    row = {
        "task": "classification", "question": "frozen - e2e", "backbone": "all", "label_fraction": 1.0, "metric": "auroc", "test": "split",
        "difference": 0.03, "low": 0.02, "high": 0.04, "p": 0.001, "n_splits": 3, "n_draws": 1,
    }  # fmt: skip
    cohorts = {
        "physionet_2012": "cpu",
        "eicu": "cpu",
        "simulated_icu": "cpu",
        "physionet_2012_b": "cpu",
        "mimic": "paper",
    }
    rows = [{**row, "cohort": name, "run": f"{profile}-{name}"} for name, profile in cohorts.items()]
    rows += [row | {"cohort": name, "run": "cpu-x", "source": "y", "question": "transfer - e2e"} for name in cohorts]
    means = [one for one in effects.judged(rows, []) if one["cohort"] == "all"]
    assert len(means) == 1 and set(means[0]["run"].split(",")) == {"cpu-physionet_2012", "cpu-eicu"}
    assert (
        means[0]["difference"] == pytest.approx(0.03)
        and means[0]["family"] == "cpu, frozen - e2e, all, auroc, mean over backbones"
    )
    assert means[0]["high"] - means[0]["low"] > 0.02  # two cohorts know little of others
    assert len([one for one in effects.judged(effects.judged(rows, []), []) if one["cohort"] == "all"]) == 1
