"""Whole runs: rows, intervals, provenance; a killed run goes on where it stopped and ends with the same rows."""

import os
import re
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core_fixture import go, places, tiny  # noqa: F401

import modts
from modts import runs
from modts.backbones import BACKBONES, Backbone, Scaler
from modts.errors import ModtsError
from modts.learning import adaptation, averaged, labels
from modts.runs import code
from modts.study import arms, artefacts, experiments, moved, params, scoring, units
from modts.study.jobs import ALWAYS

SHORT = {"backbone": "GRU-D", "seeds": [0, 1], "epochs": 2, "patience": 2, "batch_size": 16}
HEADS = SHORT | {
    "heads": ["simple"], "label_fractions": [1.0, 0.5], "head_lrs": [1e-2], "head_weight_decays": [1e-4, 1e-2],
    "head_epochs": 3, "head_patience": 3,
}  # fmt: skip
WHOLE = {**HEADS, "label_fractions": [1.0], "e2e_lrs": [1e-2, 1e-3], "e2e_epochs": 2, "e2e_patience": 2}
STEPS_AN_EPOCH = 4  # 50 training stays in batches of 16


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohorts")
    cohorts = {
        "icu": tiny(n=80, steps=6, features=4, name="icu"),
        "air": tiny(n=60, steps=6, features=4, task="regression", name="air"),
        "clinic": replace(
            tiny(n=100, steps=6, features=4, name="clinic"),
            ids=np.arange(100),
            X=tiny(n=100, steps=6, features=4).X + 1,
        ),
        "other": replace(tiny(n=60, steps=6, features=5, seed=3, name="other"), split_by="stratified"),
    }
    return {name: str(cohort.save(folder / f"{name}.npz")) for name, cohort in cohorts.items()}


def elsewhere(monkeypatch, tmp_path, name):
    """Another work folder, in which nothing has been made yet."""
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / name))


def stored():
    """Times of change of everything in the work folder."""
    return {str(path): path.stat().st_mtime_ns for path in runs.work_dir().rglob("*") if path.is_file()}


def names(times):
    return sorted(path.rsplit("/", 1)[-1] for path in times)


def hashes():
    """Hash of the weights of each seed."""
    cards = [runs.read_json(path) for path in runs.work_dir().rglob("backbone.json")]
    return {card["seed"]: card["weights_hash"] for card in cards}


def outcomes():
    """What each trained arm has stored (prediction, validation score of every epoch), bit for bit; not its seconds."""
    return {
        path.parent.name: {
            name: values.tobytes() for name, values in runs.read_arrays(path).items() if name != "seconds"
        }
        for path in runs.work_dir().rglob("outcome.npz")
    }


class Killed(BaseException):
    """Like SIGKILL: nothing in the program may catch it."""


@contextmanager
def killed_at(place, name, when):
    """The `when`-th call of place.name raises in here, and must; afterwards all is as before, whatever happened."""
    count, original = [0], getattr(place, name)

    def call(*args, **kwargs):
        count[0] += 1
        if count[0] == when:
            raise Killed
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as context, pytest.raises(Killed):
        context.setattr(place, name, call)
        yield


# --- rows -----------------------------------------------------------------------------------------------------------


def check_rows(run, task, seeds=2):
    metrics = {"classification": {"auroc", "auprc"}}.get(task, {"mae", "mse"})
    for row in run.rows:
        assert tuple(row) == runs.COLUMNS
        assert row["low"] <= row["value"] <= row["high"], row
        assert row["task"] == task and row["run"] == run.id and row["n_test"] > 0
        assert (row["split_seed"] == "") == (row["init_seed"] == "")
        assert (row["draw"] == "") == (row["init_seed"] == "" or task == "imputation")
    groups = {}
    for row in run.rows:
        key = tuple(
            row[c] for c in ("backbone", "arm", "head", "pooling", "label_fraction", "metric", "source", "test")
        )
        groups.setdefault(key, []).append(row)
    assert {key[5] for key in groups} == metrics
    for rows in groups.values():
        single, summary = [r for r in rows if r["init_seed"] != ""], [r for r in rows if r["init_seed"] == ""]
        at = {(r["init_seed"], r["draw"]) for r in single}
        assert {seed for seed, _ in at} == set(range(seeds)) and len(summary) == 1 and len(at) == len(single)
        assert summary[0]["value"] == pytest.approx(np.mean([r["value"] for r in single]), abs=1e-9)
    return groups


def test_a_heads_run_has_a_row_a_seed_and_one_over_all(files):
    run = go("heads", files["icu"], **HEADS)
    groups = check_rows(run, "classification")
    arms = (("frozen", "simple"), ("untrained", "simple"), ("fusion", "simple"), ("stacked", ""))
    assert {(key[1], key[2], key[4]) for key in groups} == {(*arm, share) for arm in arms for share in (1.0, 0.5)}
    saved = runs.read_json(run.path)
    assert saved["rows"] == run.rows and run.id == f"quick-heads-{runs.cohort_label(files['icu'])}-GRU-D"
    assert len(saved["data_hash"]) == 2  # two seeds, two splits
    assert saved["chosen"]["frozen|simple|paper|0.5|1|1|0"]["weight_decay"] in HEADS["head_weight_decays"]
    predictions = runs.read_arrays(runs.work_dir() / "quick/predictions" / f"{run.id}.npz")
    assert sorted(predictions) == sorted(
        f"{arm}|{head}|paper|{f}|{s}|{s}|0" for arm, head in arms for f in ("1", "0.5") for s in (0, 1)
    )
    assert {p.dtype.name for p in predictions.values()} <= {"float16", "float32"}


def test_a_regression_run_has_errors_and_no_shipped_arm(files):
    check_rows(go("heads", files["air"], **HEADS | {"label_fractions": [1.0]}), "regression")
    groups = check_rows(go("end_to_end", files["air"], **WHOLE), "regression")
    assert {key[1] for key in groups} == {"finetune", "e2e"}


def test_a_regression_sees_the_scale_of_its_labels_and_is_scored_in_that_of_all(files, monkeypatch):
    cohort, seen = modts.load_cohort(files["air"]), {}
    rows = arms.labelled_rows(cohort, 0.5, 0, 0)
    train_heads = arms.train_heads

    def spy(head, parts, targets, settings, **kwargs):
        for setting in settings:
            seen[len(setting.rows)] = (
                np.nanmean(targets["train"].y[setting.rows]),
                np.nanstd(targets["train"].y[setting.rows]),
            )
        return train_heads(head, parts, targets, settings, **kwargs)

    monkeypatch.setattr(arms, "train_heads", spy)
    run = go("heads", files["air"], **HEADS | {"seeds": [0]})
    assert len(rows) in seen and len(seen) == 2
    for mean, spread in seen.values():
        assert mean == pytest.approx(0, abs=1e-5) and spread == pytest.approx(1, abs=1e-5)
    outcome = runs.read_arrays(runs.work_dir() / "quick/predictions" / f"{run.id}.npz")
    y, p = labels(cohort)[0]["test"], outcome["frozen|simple|paper|0.5|0|0|0"]
    row = next(
        r for r in run.rows if (r["arm"], r["label_fraction"], r["metric"], r["draw"]) == ("frozen", 0.5, "mae", 0)
    )
    assert np.nanmean(abs(y.y - p)) == pytest.approx(row["value"], abs=1e-3)  # in the unit of all training targets


def test_standardised_predictions_change_their_unit():
    some, unit = Scaler(np.float32([3]), np.float32([2])), Scaler(np.float32([1]), np.float32([4]))
    p = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(units.in_unit(p, some, unit), (p * 2 + 3 - 1) / 4, rtol=1e-5, atol=1e-6)
    assert units.in_unit(p, unit, Scaler(unit.mean, unit.std)) is p


def test_heads_read_the_latents_of_every_step(files):
    groups = check_rows(
        go("heads", files["air"], **HEADS | {"label_fractions": [1.0], "poolings": ["paper", "steps"]}), "regression"
    )
    assert {key[3] for key in groups} == {"paper", "steps"}
    with pytest.raises(ModtsError, match="Pooling 'steps' .* needs a target at each of them"):
        go("heads", files["icu"], **HEADS | {"poolings": ["steps"]})


def test_arms_between_frozen_and_everything(files):
    between = WHOLE | {"arms": ["norm", "last_block", "lora"], "seeds": [0]}
    groups = check_rows(go("end_to_end", files["icu"], **between), "classification", 1)
    assert {key[1] for key in groups} == {"norm", "last_block", "lora"}
    before = set(outcomes())
    go("end_to_end", files["icu"], **between | {"lora_rank": 1})
    assert len(set(outcomes()) - before) == 2  # the rank is of LoRA's recipe alone: its two candidates


def test_a_pretraining_run_scores_hidden_test_values(files):
    run = go("pretrain", files["icu"], **SHORT)
    groups = check_rows(run, "imputation")
    assert {(key[0], key[1]) for key in groups} == {("GRU-D", "frozen")}
    assert {row["pattern"] for row in run.rows} == {"point"}
    assert {len(curve) for curve in run.history.values()} == {2}
    seeds = run.params["seeds"]
    assert run.extra["capped"] == [f"pretrain seed {seed}" for seed in seeds]  # two epochs are no time to be done
    done = go(
        "pretrain", files["icu"], **SHORT | {"schedule": "cosine", "clip": 1.0, "centre": True, "scaling": "winsorised"}
    )
    assert done.extra["capped"] == [] and {row["n_test"] for row in done.rows} == {row["n_test"] for row in run.rows}


def test_predictions_are_halved_where_that_changes_no_third_digit():
    rng = np.random.default_rng(0)
    y = (rng.random(800) < 0.2).astype(np.int64)
    spread, close = rng.random(800).astype(np.float32), (0.9 + 1e-4 * (rng.normal(size=800) + y)).astype(np.float32)
    assert scoring.small("classification", y, spread, None).dtype == np.float16
    kept = scoring.small("classification", y, close, None)
    assert kept.dtype == np.float32 and np.array_equal(kept, close)
    number = rng.normal(size=(50, 6))
    half = scoring.small("regression", rng.normal(size=(50, 6)), number, number > -2)
    assert half.dtype == np.float16 and np.abs(half - number).max() < 2e-3


def values(run, test):
    names = ("metric", "backbone", "arm", "head", "pooling", "label_fraction", "split_seed", "draw")
    return {tuple(str(row[name]) for name in names): row["value"] for row in run.rows if row["test"] == test}


@pytest.mark.parametrize("stage", ["pretrain", "heads", "end_to_end", "transfer", "baselines"])
def test_an_external_test_is_predicted_beside_the_split_and_changes_nothing_of_it(files, stage):
    known = params.STAGE_PARAMS[stage].model_fields
    given = {name: value for name, value in (WHOLE | {"source": files["other"]}).items() if name in known}
    alone = go(stage, files["icu"], **given)
    before = {path for path in runs.work_dir().rglob("backbone.safetensors")}
    both = go(stage, files["icu"], **given | {"external": files["clinic"]})
    assert {path for path in runs.work_dir().rglob("backbone.safetensors")} == before  # nothing is pretrained again
    check_rows(both, "imputation" if stage == "pretrain" else "classification") if stage != "baselines" else None
    assert values(alone, "external") == {} and values(both, "external").keys() == values(both, "split").keys()
    assert values(both, "split") == pytest.approx(values(alone, "split"), abs=1e-6)
    assert {row["n_test"] for row in both.rows if row["test"] == "external"} == {100}
    saved = runs.read_json(both.path)
    assert saved["data_hash"] == runs.read_json(alone.path)["data_hash"] and saved["external"]["n"] == 100
    if stage != "pretrain":
        found = runs.read_arrays(runs.work_dir() / "quick/predictions" / f"{both.id}.npz")
        outside = {name.removesuffix("|external"): p for name, p in found.items() if name.endswith("|external")}
        assert outside.keys() == {name for name in found if not name.endswith("|external")}
        assert {len(p) for p in outside.values()} == {100}


def test_fusion_is_the_mean_of_the_frozen_head_and_of_the_baselines_trees(files, monkeypatch):
    fitted, whole = [], artefacts.fit_baseline
    monkeypatch.setattr(artefacts, "fit_baseline", lambda name, *a, **k: fitted.append(name) or whole(name, *a, **k))
    run = go("heads", files["icu"], **HEADS | {"seeds": [0], "label_fractions": [0.7]})
    given, cohort = params.parse("heads", run.params), artefacts.cohort_for(files["icu"], 0)
    trees, _, _ = artefacts.baseline_for(given, "LightGBM", 0, arms.labelled(cohort, 0.7, 0, 0))
    other = params.parse("heads", run.params | {"backbone": "SAITS"})
    artefacts.baseline_for(other, "LightGBM", 0, arms.labelled(cohort, 0.7, 0, 0))
    assert len(fitted) <= 1, "LightGBM is fitted once for all backbones and the baselines"
    frozen, fusion, stacked = (
        run.predictions[f"{arm}|paper|0.7|0|0|0"] for arm in ("frozen|simple", "fusion|simple", "stacked|")
    )
    np.testing.assert_allclose(fusion, averaged("classification", frozen.astype(float), trees["test"]), atol=2e-3)
    assert (stacked != frozen).any() and (stacked != fusion).any()


def test_stays_without_labels_join_the_pretraining_and_nothing_else(files, monkeypatch):
    alone, shapes, pretrain = go("heads", files["icu"], **HEADS), [], artefacts.pretrain_backbone

    def spy(backbone, X, X_val, **kwargs):
        shapes.append((len(X), len(X_val)))
        return pretrain(backbone, X, X_val, **kwargs)

    monkeypatch.setattr(artefacts, "pretrain_backbone", spy)
    more = go("heads", files["icu"], **HEADS | {"unlabelled": files["clinic"]})
    icu = modts.load_cohort(files["icu"])
    sizes = {name: len(rows) for name, rows in icu.splits.items()}
    assert set(shapes) == {(sizes["train"] + 100, sizes["val"])}
    frozen, before = (
        {
            tuple(row[c] for c in ("arm", "metric", "split_seed", "draw", "pooling", "head")): row["value"]
            for row in run.rows
        }
        for run in (more, alone)
    )
    assert frozen.keys() == before.keys()
    changed = {key[0] for key, value in frozen.items() if value != before[key]}
    assert changed == {"frozen", "fusion", "stacked"}  # an untrained backbone has seen none of them
    saved = runs.read_json(more.path)
    assert saved["unlabelled"]["n"] == 100 and more.path != alone.path
    assert saved["data_hash"] == runs.read_json(alone.path)["data_hash"]


def test_an_external_test_is_scored_on_its_own_labels(files, monkeypatch):
    """An arm that knows the answers of the external stays, and the opposite of its own test stays'."""
    cohort = artefacts.tested(files["icu"], files["clinic"], 0)
    y = cohort.part("test")[1].astype(np.float32)
    n = len(y) - 100

    def knows(*_, **__):
        return lambda X, lengths: np.concatenate([1 - y[:n], y[n:]]) if len(X) == len(y) else np.zeros(len(X))

    monkeypatch.setattr(artefacts, "fit_baseline", knows)
    run = go("baselines", files["icu"], seeds=[0], external=files["clinic"], label_fractions=[1.0])
    auroc = {(row["test"], row["value"]) for row in run.rows if row["metric"] == "auroc"}
    assert auroc == {("split", 0.0), ("external", 1.0)}


def test_transfer_puts_four_arms_side_by_side(files):
    run = go("transfer", files["icu"], **WHOLE | {"source": files["other"]})
    groups = check_rows(run, "classification")
    assert {(key[1], key[6]) for key in groups} == {
        ("frozen", ""),
        ("transfer", runs.cohort_label(files["other"])),
        ("transfer_finetune", runs.cohort_label(files["other"])),
        ("e2e", ""),
    }
    assert run.id == "quick-transfer-{}-GRU-D-{}".format(*map(runs.cohort_label, (files["icu"], files["other"])))
    assert runs.read_json(run.path)["overlap"]["n_shared"] == 4


def test_a_moved_backbone_is_trained_on_once_and_read_without_a_checkpoint(files, monkeypatch):
    run = go("transfer", files["icu"], **WHOLE | {"source": files["other"], "seeds": [0]})
    frozen, tuned = (run.predictions[f"{arm}|simple|paper|1|0|0|0"] for arm in ("transfer", "transfer_finetune"))
    assert (frozen != tuned).any()
    before = stored()
    assert {str(path) for _, path in experiments.units_of("transfer", params.parse("transfer", run.params))} == {
        path for path in before if path.endswith("outcome.npz")
    }
    for path in before:
        if not path.endswith("outcome.npz"):
            os.unlink(path)

    def never(*_, **__):
        raise AssertionError("all of it is there")

    names_of = ((arms, "adapt"), (arms, "train_heads"), (arms, "pretrained"), (moved, "pretrained"), (moved, "extract"))
    for place, name in names_of:
        monkeypatch.setattr(place, name, never)
    assert go("transfer", files["icu"], **WHOLE | {"source": files["other"], "seeds": [0]}).rows == run.rows


@pytest.mark.parametrize(
    "asked, names",
    [
        (["e2e_shipped", "e2e"], ["e2e"]),
        (["finetune", "norm"], ["transfer_finetune"]),
        (["e2e", "finetune"], ["transfer_finetune", "e2e"]),
        (["lora"], []),
    ],
)
def test_a_transfer_trains_whole_what_its_arms_ask_for(files, asked, names):
    given = params.parse("transfer", {"cohort": files["icu"], **WHOLE, "source": files["other"], "arms": asked})
    assert [arm.name for arm, _ in experiments.ARMS_OF["transfer"](given)] == ["frozen", "transfer", *names]


def test_a_moved_backbone_trains_on_with_the_settings_of_fine_tuning_in_the_sources_space(files, tmp_path):
    ends = np.tile([8, 3], 40)
    X = np.where(np.arange(8)[:, None] < ends[:, None, None], tiny(n=80, steps=8, features=4).X, np.nan)
    target = replace(tiny(n=80, steps=8, features=4, name="long"), X=X, lengths=ends).save(tmp_path / "long.npz")
    more = {"cohort": str(target), "source": files["other"], "per_arm": {"finetune": [{"e2e_lrs": [0.1, 0.2]}]}}
    arm = moved.MovedWhole.of(params.parse("transfer", WHOLE | more), "simple")
    assert [candidate.lr for candidate in arm.candidates()] == [0.1, 0.2]
    read, steps = arm.windows(0)
    assert read["train"].shape[1:] == (6, 5) and np.isnan(read["train"][..., 4]).all()
    assert set(np.concatenate(list(steps.values()))) == {3, 6}
    plain = arms.WholeArm(arm.params, "finetune", "simple", "paper")
    one, other = (each.recipe(0, each.candidates()[0]) for each in (arm, plain))
    assert {name for name in one if one[name] != other[name]} == {"upstream"}


def test_latency_rows_name_every_stage(files):
    run = go("latency", files["icu"], **SHORT | {"seeds": [0], "batch_sizes": [1, 4], "repeats": 2})
    rows = runs.read_json(run.path)["latency"]
    stages = {("frozen", s) for s in ("inputs", "backbone", "head", "total")}
    assert {(r["arm"], r["stage"]) for r in rows} >= stages | {("predictor", "total"), ("e2e_shipped", "total")}
    assert {r["batch"] for r in rows} == {1, 4} and all(r["p50_ms"] > 0 and r["repeats"] == 2 for r in rows)
    assert {r["p99_ms"] for r in rows} == {""}  # not of two calls


def test_an_extraction_run_records_counts_and_widths(files):
    run = go("extract", files["icu"], **SHORT | {"poolings": ["paper", "mean+max+last"]})
    assert run.extra["latents"] == {
        "pretrained paper": [80, 64],
        "random paper": [80, 64],
        "pretrained mean+max+last": [80, 3 * 64 + 4],
        "random mean+max+last": [80, 3 * 64 + 4],
    }


FEW = {"label_fractions": [1.0, 0.25], "draws": 3}


def test_few_labels_are_drawn_several_times(files, monkeypatch):
    sweeps, splits = [], []
    train_heads, score_seeds = arms.train_heads, scoring.score_seeds

    def spy(head, parts, targets, settings, **kwargs):
        sweeps.append(settings)
        return train_heads(head, parts, targets, settings, **kwargs)

    monkeypatch.setattr(arms, "train_heads", spy)
    monkeypatch.setattr(
        scoring, "score_seeds", lambda *args, **kwargs: splits.append(kwargs["splits"]) or score_seeds(*args, **kwargs)
    )
    run = go("heads", files["icu"], **HEADS | FEW)
    check_rows(run, "classification")
    assert [len(settings) for settings in sweeps] == [
        2 * (1 + 3)
    ] * 4  # all draws and candidates of a split in one pass
    first = modts.load_cohort(files["icu"])
    wanted = first.labelled(0.25, 0)  # the first draw is what it was when there was one
    drawn = [setting.rows for setting in sweeps[0][2::2]]
    assert np.array_equal(first.splits["train"][drawn[0]], wanted)
    assert len({rows.tobytes() for rows in drawn}) == 3 and {len(rows) for rows in drawn} == {len(wanted)}
    assert {first.y[first.splits["train"][rows]].sum() for rows in drawn} == {first.y[wanted].sum()}
    assert splits[1] == [0] * 3 + [1] * 3  # the interval resamples splits, in them draws, in them stays
    at = {(r["split_seed"], r["label_fraction"], r["draw"]) for r in run.rows if r["draw"] != ""}
    assert at == {(s, f, d) for s in (0, 1) for f, n in ((1.0, 1), (0.25, 3)) for d in range(n)}
    keys = runs.read_arrays(runs.work_dir() / "quick/predictions" / f"{run.id}.npz")
    assert {key.split("|", 3)[3] for key in keys} == {f"{f:g}|{s}|{s}|{d}" for s, f, d in at}
    whole = go("end_to_end", files["icu"], **WHOLE | FEW | {"arms": ["e2e"], "e2e_draws": 2})
    (rows,) = (rows for key, rows in check_rows(whole, "classification").items() if key[4:6] == (0.25, "auroc"))
    assert Counter(r["draw"] for r in rows if r["draw"] != "") == {0: 2, 1: 2}
    simple = go("baselines", files["icu"], seeds=[0], label_fractions=[0.25], draws=2)
    assert {r["draw"] for r in simple.rows if r["task"] == "classification"} == {0, 1, ""}
    assert all(key.count("|") == 6 for key in simple.predictions)


def test_each_split_chooses_on_its_own_validation(files):
    run = go("heads", files["icu"], **HEADS | FEW)
    units = [runs.read_arrays(path) for path in runs.work_dir().rglob("outcome.npz")]
    heads = {key: p for key, p in run.predictions.items() if key.startswith(("frozen", "untrained"))}
    chosen = {key: run.extra["chosen"][key]["validation"] for key in heads}
    assert len(units) == 2 * len(heads) + len(run.predictions) - len(
        heads
    )  # two candidates each; fusions choose inside
    for key, prediction in heads.items():
        (winner,) = {float(u["validation"]) for u in units if np.allclose(u["prediction"], prediction, atol=1e-3)} & {
            chosen[key]
        }
        assert winner == chosen[key]
    fused = [run.extra["chosen"][key]["validation"] for key in run.predictions if key not in heads]
    pairs = sum(float(u["validation"]) for u in units) - sum(fused)
    assert np.mean(list(chosen.values())) >= pairs / (2 * len(heads))
    assert len({run.extra["chosen"][key]["weight_decay"] for key in heads}) == 2  # not one for all


def test_every_arm_has_its_candidates_on_every_split(files, monkeypatch):
    units, trained = Counter(), []
    adapt, train_heads = arms.adapt, arms.train_heads
    for kind in (arms.HeadArm, arms.WholeArm):

        def counted(arm, seed, *args, train=kind.train):  # only what is not there yet
            units[arm.name, seed] += 1
            return train(arm, seed, *args)

        monkeypatch.setattr(kind, "train", counted)

    def spy_adapt(*args, **kwargs):
        trained.append(1)
        return adapt(*args, **kwargs)

    def spy_sweep(head, parts, targets, settings, **kwargs):
        trained.append(len(settings))
        return train_heads(head, parts, targets, settings, **kwargs)

    monkeypatch.setattr(arms, "adapt", spy_adapt)
    monkeypatch.setattr(arms, "train_heads", spy_sweep)
    go("heads", files["icu"], **HEADS | {"label_fractions": [1.0]})
    assert trained == [2] * 4  # a sweep of both candidates for each of two arms and two seeds,
    go("end_to_end", files["icu"], **WHOLE)
    assert trained[4:] == [1] * 12  # and one training a unit of three arms: none has tried more than it stores
    for arm in ("frozen", "untrained", "finetune", "e2e", "e2e_shipped"):
        assert units[arm, 0] == units[arm, 1] == 2, arm


# --- killed and resumed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "name", "when", "done"),
    [
        (arms, "train_heads", 2, 2),  # between seeds: both candidates of seed 0 are done
        (arms, "outcome", 5, 4),  # amid the candidates of the second label fraction
    ],
)
def test_a_killed_run_keeps_what_was_done(files, tmp_path, monkeypatch, place, name, when, done):
    straight = go("heads", files["icu"], **HEADS).rows
    trained = outcomes()
    elsewhere(monkeypatch, tmp_path, "again")
    with killed_at(place, name, when):
        go("heads", files["icu"], **HEADS)
    before = stored()
    assert names(before).count("outcome.npz") == done and not any(
        re.search(r"\.part$|heads-icu[^/]*-GRU-D\.json$", path) for path in before
    )
    assert go("heads", files["icu"], **HEADS).rows == straight and outcomes() == trained
    after = stored()
    assert {path: after[path] for path in before} == before  # nothing that was there was made again


@pytest.mark.parametrize("step", [STEPS_AN_EPOCH + 2, 2 * STEPS_AN_EPOCH + STEPS_AN_EPOCH + 2])
def test_pretraining_killed_in_mid_epoch_ends_with_the_same_rows(files, tmp_path, monkeypatch, step):
    straight = go("pretrain", files["icu"], **SHORT).rows
    weights = hashes()
    elsewhere(monkeypatch, tmp_path, "again")
    original, count = Backbone.run, [0]

    def run(self, inputs):
        count[0] += self.training
        if count[0] == step:
            raise Killed
        return original(self, inputs)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(Backbone, "run", run)
        with pytest.raises(Killed):
            go("pretrain", files["icu"], **SHORT)
    before = stored()
    assert names(before).count("training.safetensors") == 1
    assert names(before).count("backbone.safetensors") == (step > 2 * STEPS_AN_EPOCH)
    assert go("pretrain", files["icu"], **SHORT).rows == straight
    after = stored()
    assert "training.safetensors" not in names(after)  # the result is safe, so it goes
    assert all(after[path] == before[path] for path in before if path.endswith("backbone.safetensors"))
    assert hashes() == weights


def test_end_to_end_training_killed_in_mid_epoch_ends_with_the_same_rows(files, tmp_path, monkeypatch):
    settings = WHOLE | {"arms": ["e2e"], "seeds": [0]}
    straight = go("end_to_end", files["icu"], **settings).rows
    trained = outcomes()
    elsewhere(monkeypatch, tmp_path, "again")
    with killed_at(adaptation.Whole, "loss", STEPS_AN_EPOCH + 2):
        go("end_to_end", files["icu"], **settings)
    assert "training.safetensors" in names(stored())
    assert go("end_to_end", files["icu"], **settings).rows == straight and outcomes() == trained


def test_an_interrupted_write_leaves_no_result_and_no_part(files):
    replace_file = os.replace

    def fail(source, target):
        if re.search(r"heads-icu[^/]*-GRU-D\.json$", str(target)):
            raise OSError("No space left on device")
        return replace_file(source, target)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(os, "replace", fail)
        with pytest.raises(ModtsError, match=r"heads-icu\.\w+-GRU-D.json cannot be written .*No space left"):
            go("heads", files["icu"], **HEADS)
    before = stored()
    assert not any(re.search(r"\.part$|heads-icu[^/]*-GRU-D\.json$", path) for path in before)
    run = go("heads", files["icu"], **HEADS)
    assert run.path.exists() and all(stored()[path] == before[path] for path in before if "artifacts" in path)


def test_a_changed_head_parameter_reruns_the_heads_alone(files):
    go("heads", files["icu"], **HEADS)
    before = stored()
    go("heads", files["icu"], **HEADS | {"head_epochs": 4})
    after = stored()
    new = set(after) - set(before)
    assert new and all("/artifacts/heads/" in path for path in new)
    assert all(after[path] == before[path] for path in before if "artifacts" in path)


def test_other_data_and_another_seed_make_other_artefacts(files):
    one = experiments.pretrained(params.parse("pretrain", {"cohort": files["icu"], **SHORT}), 0)[2]
    two = experiments.pretrained(params.parse("pretrain", {"cohort": files["icu"], **SHORT}), 1)[2]
    three = experiments.pretrained(params.parse("pretrain", {"cohort": files["other"], **SHORT}), 0)[2]
    four = experiments.pretrained(params.parse("pretrain", {"cohort": files["icu"], **SHORT, "lr": 0.02}), 0)[2]
    same = experiments.pretrained(params.parse("pretrain", {"cohort": files["icu"], **SHORT, "profile": "cpu"}), 0)[2]
    assert len({one, two, three, four}) == 4 and same == one


def test_a_corrupt_stored_unit_is_named(files):
    go("heads", files["icu"], **HEADS)
    path = next(runs.work_dir().rglob("outcome.npz"))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ModtsError, match=f"{path} is corrupt .*delete it"):
        go("heads", files["icu"], **HEADS)


def test_heads_leave_the_checkpoint_as_it_was(files):
    go("pretrain", files["icu"], **SHORT)
    before = {path: path.read_bytes() for path in runs.work_dir().rglob("backbone.*")}
    assert len(before) == 4  # two seeds, each with its card beside it
    go("heads", files["icu"], **HEADS)
    assert {path: path.read_bytes() for path in runs.work_dir().rglob("backbone.*")} == before


# --- the hash of the code covers what runs --------------------------------------------------------------------------


def executed(work) -> set[str]:
    """The package's modules of which a function ran."""
    package, found = Path(modts.__file__).parent, set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_name != "<module>":
            found.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    inside = [Path(name).relative_to(package) for name in found if Path(name).is_relative_to(package)]
    return {".".join(path.with_suffix("").parts) for path in inside}


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("stage", runs.STAGES)
def test_what_a_stage_executes_is_counted(files, stage, backbone):
    if backbone not in ("GRU-D", "SAITS") and stage not in ("pretrain", "extract"):
        pytest.skip("the later stages differ by backbone in its own modules alone")
    few = WHOLE | {"backbone": backbone, "seeds": [0], "epochs": 1, "head_epochs": 1, "e2e_epochs": 1}
    values = {
        "transfer": few | {"source": files["other"]},
        "latency": {"batch_sizes": [1], "repeats": 1},
        "baselines": {"label_fractions": [1.0]},
    }.get(stage, few)
    known = set(params.STAGE_PARAMS[stage].model_fields)
    values = {"seeds": [0]} | {name: value for name, value in {**few, **values}.items() if name in known}
    ran = executed(lambda: go(stage, files["icu"], **values))
    beside = {name for name in ran if name.split(".")[0] in ("study", "__init__")} | set(code.NEUTRAL)
    beside |= {name for name in ran if name.endswith("__init__")}
    missed = ran - beside - set(runs.modules_of(stage, "" if stage == "baselines" else backbone, rows=True))
    assert not missed
    assert len(ran - beside) > 5
    assert {name for name in ran if name.startswith("study.")} - set(ALWAYS) <= {"study.params"}
