"""The real data sets, where they are at hand (MODTS_DATA): sizes, rates, speed, equality with TSDB."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from test_cohorts_tsdb import assert_equals_tsdb

from modts.cohorts import load_cohort, physionet

# read once: other tests of the session may change the variable
HOME = os.environ.get("MODTS_DATA", "")


def needs(folder: str):
    if not HOME:
        pytest.skip("MODTS_DATA is not set: no real data here")
    if not (Path(HOME) / folder).is_dir():
        pytest.skip(f"MODTS_DATA holds no {folder}")


# cohort, its folder, (train, val, test), (T, F), missing rate, prevalence (None: regression)
KNOWN = [
    ("physionet_2012", "physionet_2012", (2557, 640, 800), (48, 35), 0.805, 0.1386),
    ("physionet_2012_b", "physionet_2012", (2555, 639, 799), (48, 35), 0.804, 0.1422),
    ("physionet_2019", "physionet_2019/training_setB", (2950, 738, 923), (48, 34), 0.803, 0.104),
    ("italy_air", "italy_air_quality", (467, 155, 155), (12, 12), 0.146, None),
    ("beijing_air", "beijing_multisite_air_quality", (852, 305, 304), (24, 131), 0.0157, None),
    ("ett_h1", "electricity_transformer_temperature", (213, 76, 72), (48, 6), 0.0, None),
    ("ett_h2", "electricity_transformer_temperature", (213, 76, 72), (48, 6), 0.0, None),
    ("ett_m1", "electricity_transformer_temperature", (427, 153, 145), (96, 6), 0.0, None),
    ("ett_m2", "electricity_transformer_temperature", (427, 153, 145), (96, 6), 0.0, None),
    ("eicu", "yaib_demo/mortality24/eicu_demo", (873, 220, 274), (25, 48), 0.847, 0.0512),
    ("mimic", "yaib_demo/mortality24/mimic_demo", (61, 17, 21), (25, 48), 0.825, 0.212),
]


@pytest.mark.parametrize("name, folder, sizes, shape, missing, prevalence", KNOWN, ids=[k[0] for k in KNOWN])
def test_known_sizes(name, folder, sizes, shape, missing, prevalence):
    needs(folder)
    if name == "physionet_2019" and len(os.listdir(Path(HOME) / "physionet_2019/training")) > 20_000:
        pytest.skip("set A is there, and is the default")
    c = load_cohort(name)
    assert tuple(len(c.splits[s]) for s in ("train", "val", "test")) == sizes and c.X.shape[1:] == shape
    assert c.missing_rate == pytest.approx(missing, abs=0.001)
    if prevalence is not None:
        assert c.y.mean() == pytest.approx(prevalence, abs=0.001)
    else:
        assert c.series and not any(np.array_equal(c.X[:, :, f], c.y, equal_nan=True) for f in range(c.n_features))
    start = time.perf_counter()
    assert load_cohort(name).content_hash == c.content_hash
    assert time.perf_counter() - start < 2.0  # from the cache


@pytest.mark.parametrize(
    "name, folder, sizes",
    [
        ("italy_air", "italy_air_quality", [(351, 116, 155), (234, 78, 155)]),
        ("beijing_air", "beijing_multisite_air_quality", [(628, 225, 304), (404, 145, 304)]),
        ("ett_h1", "electricity_transformer_temperature", [(160, 57, 72), (107, 38, 72)]),
        ("ett_m2", "electricity_transformer_temperature", [(320, 115, 145), (214, 76, 145)]),
    ],
)
def test_earlier_origins_of_the_series(name, folder, sizes):
    needs(folder)
    cohorts = [load_cohort(name, seed=seed) for seed in range(3)]
    assert [tuple(len(c.splits[s]) for s in ("train", "val", "test")) for c in cohorts[1:]] == sizes
    tests = [c.ids[c.splits["test"]] for c in cohorts]
    assert max(tests[2]) < min(tests[1]) and max(tests[1]) < min(tests[0])
    for c in cohorts:
        train, val, test = (c.ids[c.splits[s]] for s in ("train", "val", "test"))
        assert max(train) < min(val) and max(val) < min(test)
        assert not np.isnan(c.part("test")[1]).all()


def test_physionet_2012_sample_equals_tsdb(tmp_path, monkeypatch):
    needs("physionet_2012")
    for letter in "abc":
        for source in sorted((Path(HOME) / "physionet_2012" / f"set-{letter}").glob("*.txt"))[::100]:
            target = tmp_path / "data/physionet_2012" / f"set-{letter}" / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        shutil.copy(Path(HOME) / f"physionet_2012/Outcomes-{letter}.txt", tmp_path / "data/physionet_2012")
    monkeypatch.setenv("MODTS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MODTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(physionet, "ask_unsealed", lambda name: "")  # values of every hundredth stay, no score of any
    assert_equals_tsdb(tmp_path / "data/physionet_2012")


def test_physionet_2019_equals_the_raw_files():
    needs("physionet_2019/training_setB")
    import pandas as pd

    c = load_cohort("physionet_2019", subset="training_setB")
    for i in range(0, c.n_samples, 500):
        raw = pd.read_csv(Path(HOME) / "physionet_2019/training_setB" / f"{c.ids[i]}.psv", sep="|")
        np.testing.assert_array_equal(c.X[i], raw[list(c.features)].to_numpy(dtype=np.float32)[:48])
        assert c.y[i] == raw["SepsisLabel"].max()


@pytest.mark.parametrize(
    "name, task, shape, target",
    [
        ("eicu", "kidney_function", (801,), 1.48),
        ("mimic", "kidney_function", (69,), 1.39),
        ("eicu", "los", (2267, 169), 55.82),
        ("mimic", "los", (132, 169), 79.26),
    ],
)
def test_numbers_of_the_open_demos(name, task, shape, target):
    needs(f"yaib_demo/{task}/{name}_demo")
    c = load_cohort(name, task=task)
    assert c.task == "regression" and c.y.shape == shape and np.nanmean(c.y) == pytest.approx(target, abs=0.01)
    assert np.isnan(c.y).sum() == (0 if len(shape) == 1 else np.prod(shape) - {"eicu": 124_094, "mimic": 9_656}[name])
