"""Transfer: one table of names, units that agree, and the target's values in the right place."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from modts.cohorts import SYNONYMS, load_cohort
from modts.cohorts import alignment as transfer
from modts.errors import ModtsError

HOME = os.environ.get("MODTS_DATA", "")


def words(text):
    return text.split()


P12 = words(
    "DiasABP HR Na Lactate NIDiasABP PaO2 WBC pH Albumin ALT Glucose SaO2 Temp AST Bilirubin HCO3 BUN RespRate Mg "
    "HCT SysABP FiO2 K GCS Cholesterol NISysABP TroponinT MAP TroponinI PaCO2 Platelets Urine NIMAP Creatinine "
    "ALP"
)
P19 = words(
    "HR O2Sat Temp SBP MAP DBP Resp EtCO2 BaseExcess HCO3 FiO2 pH PaCO2 SaO2 AST BUN Alkalinephos Calcium "
    "Chloride Creatinine Bilirubin_direct Glucose Lactate Magnesium Phosphate Potassium Bilirubin_total TroponinI "
    "Hct Hgb PTT WBC Fibrinogen Platelets"
)
YAIB = words(
    "alb alp alt ast be bicar bili bili_dir bnd bun ca cai ck ckmb cl crea crp dbp fgn fio2 glu hgb hr inr_pt k "
    "lact lymph map mch mchc mcv methb mg na neut o2sat pco2 ph phos plt po2 ptt resp sbp temp tnt urine wbc"
)


@pytest.mark.parametrize("names, data", [(P12, "physionet_2012"), (P19, "physionet_2019"), (YAIB, "ricu")])
def test_every_variable_of_the_data_sets_is_in_the_table(names, data):
    known = {alias for variable in SYNONYMS for alias, _ in variable.aliases[data]}
    assert set(names) <= known


def test_a_name_means_one_quantity():
    meaning = {}
    for variable in SYNONYMS:
        for alias in {variable.name, *(alias for pairs in variable.aliases.values() for alias, _ in pairs)}:
            assert meaning.setdefault(alias, variable.name) == variable.name, alias
        for pairs in variable.aliases.values():
            for _, unit in pairs:
                variable.to_own(unit)  # every unit in the table can be converted


def test_simulated_icu_is_in_the_table():
    cohort = load_cohort("simulated_icu")
    for features in (P12, P19, YAIB):
        assert transfer.align(features, cohort.features).report["n_shared"] >= 11


@pytest.mark.parametrize("features", [P12, P19, YAIB])
def test_a_cohort_aligned_with_itself_is_unchanged(features):
    alignment = transfer.align(features, features)
    assert alignment.pairs == tuple((i, i) for i in range(len(features)))
    X = np.random.default_rng(0).normal(size=(3, 6, len(features))).astype(np.float32)
    X[X < 0] = np.nan
    np.testing.assert_array_equal(transfer.to_source_space(X, alignment, features, 6), X)
    assert alignment.report["fraction_source"] == 1 and not alignment.report["target_only"]


def test_2012_to_2019():
    report = transfer.align(P12, P19).report
    json.dumps(report)
    pairs = {(p["source"], p["target"]) for p in report["pairs"]}
    assert {("DiasABP", "DBP"), ("K", "Potassium"), ("ALP", "Alkalinephos"), ("Bilirubin", "Bilirubin_total")} <= pairs
    assert "NIDiasABP" in report["source_only"] and "Bilirubin_direct" in report["target_only"]
    assert (report["n_source"], report["n_target"], report["n_shared"]) == (35, 34, 24)
    assert report["fraction_source"] == pytest.approx(24 / 35)
    assert report["fraction_target"] == pytest.approx(25 / 34)  # both kinds of oxygen saturation are used


def test_units_order_gaps_and_length():
    alignment = transfer.align(["Temp", "GCS", "FiO2", "HR"], ["fio2", "hr", "be"])
    X = np.array([[[40.0, 80.0, 1.0], [np.nan, 90.0, 2.0]]])  # (1, 2, 3)
    got = transfer.to_source_space(X, alignment, ["Temp", "GCS", "FiO2", "HR"], 3)
    nan = np.nan
    np.testing.assert_allclose(got, [[[nan, nan, 0.4, 80], [nan, nan, nan, 90], [nan, nan, nan, nan]]], rtol=1e-6)
    assert got.dtype == np.float32
    assert transfer.to_source_space(X, alignment, ["Temp", "GCS", "FiO2", "HR"], 1).shape == (1, 1, 4)
    back = transfer.align(["fio2"], ["FiO2"])
    np.testing.assert_allclose(transfer.to_source_space(np.full((1, 1, 1), 0.5), back, ["fio2"], 1), 50)


def test_a_second_measurement_stands_in_where_the_first_is_missing():
    alignment = transfer.align(["MAP", "SBP"], ["NIMAP", "MAP", "NISysABP"])
    assert alignment.pairs == ((0, 1), (0, 0), (1, 2))
    X = np.array([[[70.0, 80.0, 120.0], [71.0, np.nan, np.nan]]])
    np.testing.assert_array_equal(
        transfer.to_source_space(X, alignment, ["MAP", "SBP"], 2), [[[80, 120], [71, np.nan]]]
    )


def test_own_units_and_own_names():
    alignment = transfer.align(
        ["Temp", "Glucose"], ["temp", "GLUCOSE"], target_units={"temp": "degF", "GLUCOSE": "mmol/L"}
    )
    got = transfer.to_source_space(np.array([[[98.6, 5.0]]]), alignment, ["Temp", "Glucose"], 1)
    np.testing.assert_allclose(got, [[[37.0, 90.08]]], rtol=1e-5)
    assert transfer.align(["channel 1", "HR"], ["channel 1"]).pairs == ((0, 0),)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: transfer.align(["HR", "Temp"], ["PM2.5", "NO2"]),
            r"source \(HR, Temp\) and the target \(PM2.5, NO2\) share no",
        ),
        (lambda: transfer.align(["HR"], []), "share no variable"),
        (lambda: transfer.align(["HR", "HR"], ["hr"]), "given twice: HR"),
        (lambda: transfer.align(["HR"], ["hr"], target_units={"Hr": "1/min"}), "does not have"),
        (lambda: transfer.align(["Temp"], ["temp"], target_units={"temp": "degX"}), "'degF'"),
        (lambda: transfer.align(["FIO2"], ["fio2"]), "'%' or 'fraction'"),
        (lambda: transfer.align(["a"], ["a"], target_units={"a": "m"}), "convert it yourself"),
        (
            lambda: transfer.to_source_space(np.zeros((1, 2, 3)), transfer.align(["HR"], ["hr"]), ["HR"], 2),
            r"\(N, T, 1\)",
        ),
        (lambda: transfer.to_source_space(np.zeros((1, 2, 1)), transfer.align(["HR"], ["hr"]), ["Temp"], 2), "align"),
        (
            lambda: transfer.to_source_space(np.zeros((1, 2, 1)), transfer.align(["HR"], ["hr"]), ["HR"], 0),
            "at least 1",
        ),
    ],
)
def test_mistakes_are_said(call, message):
    with pytest.raises(ModtsError, match=message):
        call()


def test_a_wrong_unit_is_noticed():
    rng = np.random.default_rng(0)
    ours = rng.normal(37, 1, size=(50, 5, 1)).astype(np.float32)
    theirs = ours * 1.8 + 32
    assert not transfer.compare_medians(ours, theirs, transfer.align(["Temp"], ["temp"]))[0]["plausible"]
    right = transfer.align(["Temp"], ["temp"], target_units={"temp": "degF"})
    (row,) = transfer.compare_medians(ours, theirs, right)
    assert row["plausible"] and row["ratio"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "source, target", [("physionet_2012", "physionet_2019"), ("physionet_2019", "eicu"), ("eicu", "physionet_2012")]
)
def test_units_agree_on_real_data(source, target):
    folders = {"physionet_2012": "physionet_2012", "physionet_2019": "physionet_2019", "eicu": "yaib_demo"}
    for name in (source, target):
        if not HOME or not (Path(HOME) / folders[name]).is_dir():
            pytest.skip(f"MODTS_DATA holds no {folders[name]}")
    ours, theirs = load_cohort(source), load_cohort(target)
    alignment = transfer.align(ours.features, theirs.features)
    rows = transfer.compare_medians(ours.X, theirs.X, alignment)
    assert len(rows) >= 24 and [row for row in rows if not row["plausible"]] == []
