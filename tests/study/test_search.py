"""A search: as many trials an arm, on validation alone, the same after a kill; its winners reach the grid."""

from dataclasses import replace

import pytest
from core_fixture import places, tiny  # noqa: F401

from modts import runs
from modts.backbones import BACKBONES
from modts.errors import ModtsError
from modts.study import arms, profiles, search, spaces, tuned
from modts.study.params import OneArm, Pretrain

pytest.importorskip("optuna")
FILE = """
search: small
cohort: {cohort}
trials: 3
label_fractions: [1.0, 0.2]
backbones: [GRU-D]
arms: [imputer, frozen, finetune, e2e, e2e_shipped]
settings:
  pretrain: {{epochs: 2, batch_size: 32}}
  heads: {{draws: 2, head_epochs: 10}}
  end_to_end: {{e2e_draws: 1, e2e_epochs: 1}}
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("MODTS_HOME", str(tmp_path))
    tiny(n=160).save(tmp_path / "cohort.npz")
    (tmp_path / "small.yaml").write_text(FILE.format(cohort=tmp_path / "cohort.npz"))
    return search.read_search(str(tmp_path / "small.yaml"))


def trials(found):
    return [
        (row["arm"], row["trial"], row["value"], row["auroc"], row["mae"], row["settings"]) for row in tuned.rows(found)
    ]


PAIRS = [(backbone, arm) for backbone in spaces.MODELS for arm in spaces.ARMS if spaces.has(backbone, arm)]


def test_arms_that_a_backbone_does_not_have_are_not_searched(small):
    """TS2Vec is no imputer, and PyPOTS ships no end-to-end classifier of it or of HELIX."""
    lacking = {(b, arm) for b in spaces.MODELS for arm in spaces.ARMS} - set(PAIRS)
    assert lacking == {("TS2Vec", "imputer"), ("TS2Vec", "e2e_shipped"), ("HELIX", "e2e_shipped")}
    none = small.model_copy(update={"backbones": ["TS2Vec"], "arms": ["imputer", "e2e_shipped"]})
    assert search.run_all(none, minutes=1, cores=1) == []


@pytest.mark.parametrize(("backbone", "arm"), PAIRS)
def test_a_search_starts_where_one_would_be_without_it(backbone, arm):
    made = search.Search(search="x", cohort="simulated_icu", trials=1, backbones=[backbone], arms=[arm])
    point, choices = search.start(made, backbone, arm), spaces.space(backbone, arm)
    assert set(point) == set(choices)
    for name, value in point.items():
        inside = choices[name]
        assert inside.low <= value <= inside.high if isinstance(inside, spaces.Log) else value in inside
    assert {name for name in choices if not name.startswith("config.")} <= {
        *OneArm.model_fields,
        *Pretrain.model_fields,
    }


def test_every_backbone_of_the_paper_has_a_space():
    assert set(spaces.MODELS) <= set(BACKBONES)
    assert {"BRITS", "GRU-D", "SAITS", "CSAI", "TimesNet", "Autoformer"} <= set(spaces.MODELS)


def test_a_killed_search_makes_the_same_trials(small, tmp_path, monkeypatch):
    for arm in ("imputer", "e2e"):
        assert search.run_search(small, "GRU-D", arm) == 0
    straight = trials(small)
    assert len(straight) == 6 and len({row[-1] for row in straight}) > 4
    monkeypatch.setenv("MODTS_RESULTS", str(tmp_path / "again"))
    monkeypatch.setenv("MODTS_WORK", str(tmp_path / "again work"))
    whole, calls = search.evaluate, []

    def dies(*args):
        calls.append(1)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(search, "evaluate", dies)
    for arm in ("imputer", "e2e", "imputer", "e2e"):
        try:
            search.run_search(small, "GRU-D", arm)
        except KeyboardInterrupt:
            continue
    assert trials(small) == straight and len(calls) == 8


def test_test_labels_decide_nothing(small, tmp_path, monkeypatch):
    search.run_search(small, "GRU-D", "frozen")
    before = trials(small)
    whole = arms.labels

    def flipped(*args, **named):
        targets, scaler = whole(*args, **named)
        test = replace(targets["test"], y=1 - targets["test"].y)
        return {**targets, "test": test}, scaler

    monkeypatch.setattr(arms, "labels", flipped)
    for name in ("RESULTS", "WORK"):
        monkeypatch.setenv(f"MODTS_{name}", str(tmp_path / f"other {name}"))
    search.run_search(small, "GRU-D", "frozen")
    assert trials(small) == before


def test_a_trial_that_diverges_counts_and_loses(small, monkeypatch):
    whole = search.evaluate

    def diverges(found, backbone, arm, chosen):
        if len(search.finished(search.study_of(found, backbone, arm))) == 1:
            raise ModtsError("Training diverged in epoch 0; use a smaller learning rate.")
        return whole(found, backbone, arm, chosen)

    monkeypatch.setattr(search, "evaluate", diverges)
    assert search.run_search(small, "GRU-D", "imputer") == 0
    values = [row["value"] for row in tuned.rows(small)]
    assert values[1] == float("inf") and values[0] < 1e3 and values[2] < 1e3
    assert search.winner(small, "GRU-D", "imputer") != search.winner(small, "GRU-D", "imputer", 2)


def test_other_code_or_settings_are_another_search(small):
    search.run_search(small, "GRU-D", "imputer")
    assert search.run_search(small.model_copy(update={"trials": 2}), "GRU-D", "imputer") <= 0
    with pytest.raises(ModtsError, match="holds trials of other settings or other code"):
        search.run_search(small.model_copy(update={"seed": 1}), "GRU-D", "imputer")


def test_winners_reach_the_grid(small, tmp_path):
    with pytest.raises(ModtsError, match="arm frozen has 0 of 3 trials; it must be finished first"):
        search.run_search(small, "GRU-D", "finetune")
    assert "nothing is frozen, trials are missing (imputer 3," in tuned.publish_search(small)[1]
    assert search.run_all(small, minutes=9, cores=1) == []
    assert tuned.publish_search(small)[1] == "GRU-D: the winners are in profiles/tuned/GRU-D.yaml"
    assert len(tuned.read_table(runs.results_dir() / "search.csv")) == 15
    profile = "profile: x\ntuned: true\ncohorts:\n  simulated_icu: {stages: [pretrain, heads, end_to_end], backbones: [GRU-D]}\n"
    (tmp_path / "x.yaml").write_text(profile)
    jobs = profiles.read_profile(str(tmp_path / "x.yaml")).jobs
    best = search.winner(small, "GRU-D", "frozen")
    for job in jobs.values():
        assert {name: job.params[name] for name in best} == best
    (per_arm,) = (job.params["per_arm"] for job in jobs.values() if job.stage == "end_to_end")
    assert per_arm["e2e"] == [search.winner(small, "GRU-D", "e2e", place) for place in (0, 1)]
    (tmp_path / "x.yaml").write_text(profile.replace("GRU-D", "SAITS"))
    with pytest.raises(ModtsError, match="nothing is tuned for SAITS"):
        profiles.read_profile(str(tmp_path / "x.yaml"))
