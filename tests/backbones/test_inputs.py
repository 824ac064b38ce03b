"""What the imputers read equals what PyPOTS computes, sample by sample and step by step."""

import numpy as np
import pytest
import torch
from core_fixture import places  # noqa: F401

from modts.backbones import inputs, pypots

TOLERANCE = dict(atol=1e-6, rtol=0)
SHAPES = {"usual": (7, 13, 5), "one step": (4, 1, 3), "one stay": (1, 6, 2), "one variable": (3, 9, 1)}


def draw(shape, missing, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=shape).astype(np.float32)
    X[rng.random(shape) < missing] = np.nan
    return X


def cases():
    for label, shape in SHAPES.items():
        for missing in (0.0, 0.5, 0.9, 1.0):
            yield pytest.param(draw(shape, missing), id=f"{label}, {missing:.0%} missing")
    X = draw((5, 8, 4), 0.5)
    X[:, :, 1] = np.nan  # a variable that nobody measured
    X[2] = np.nan  # a stay in which nothing was measured
    X[3] = 1.0  # a stay in which everything was
    yield pytest.param(X, id="mixed")


# PyPOTS's own LOCF calls NumPy on tensors in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
ALL = pytest.mark.parametrize("X", list(cases()))


def same(ours, theirs):
    torch.testing.assert_close(
        torch.as_tensor(ours, dtype=torch.float32), torch.as_tensor(theirs, dtype=torch.float32), **TOLERANCE
    )


def stacked(dataset, i):
    return torch.stack([dataset[k][i] for k in range(len(dataset))])


@ALL
def test_brits_inputs_are_those_of_pypots(X):
    dataset = pypots("imputation.brits.data").DatasetForBRITS({"X": X}, return_X_ori=False, return_y=False)
    ours = inputs.model_inputs("both_ways", torch.from_numpy(X))
    places_of = {("forward", "X"): 1, ("forward", "missing_mask"): 2, ("forward", "deltas"): 3,
                 ("backward", "X"): 4, ("backward", "missing_mask"): 5, ("backward", "deltas"): 6}  # fmt: skip
    for (direction, name), i in places_of.items():
        same(ours[direction][name], stacked(dataset, i))


def test_what_was_hidden_is_marked_as_in_pypots():
    truth = draw((6, 9, 4), 0.3)
    X = truth.copy()
    X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    dataset = pypots("imputation.brits.data").DatasetForBRITS(
        {"X": X, "X_ori": truth}, return_X_ori=True, return_y=False
    )
    ours = inputs.model_inputs("both_ways", torch.from_numpy(X), torch.from_numpy(truth))
    same(ours["X_ori"], stacked(dataset, 7))
    same(ours["indicating_mask"], stacked(dataset, 8))
    assert ours["indicating_mask"].sum() == (np.isnan(X) & ~np.isnan(truth)).sum() > 0


@ALL
def test_grud_inputs_are_those_of_pypots(X):
    dataset = pypots("imputation.grud.data").DatasetForGRUD({"X": X}, return_X_ori=False)
    ours = inputs.model_inputs("grud", torch.from_numpy(X), empirical_mean=dataset[0][5], last_observation="zero")
    for name, i in {"X": 1, "X_filledLOCF": 2, "missing_mask": 3, "deltas": 4}.items():
        same(ours[name], stacked(dataset, i))
    same(ours["empirical_mean"], dataset[0][5])


@ALL
def test_grud_reads_last_observations_where_pypots_hands_over_zeros(X):
    """Upstream: DatasetForGRUD fills the gaps with zero and only then carries forward, so nothing is carried."""
    Z = torch.from_numpy(X)
    ours = inputs.model_inputs("grud", Z)["X_filledLOCF"]
    same(ours, pypots("imputation.locf").locf_torch(Z.clone(), first_step_imputation="zero"))
    shipped = inputs.model_inputs("grud", Z, last_observation="zero")["X_filledLOCF"]
    same(shipped, torch.nan_to_num(Z))


def test_the_two_readings_of_the_last_observation_differ():
    Z = torch.tensor([[[2.0], [float("nan")], [float("nan")], [5.0], [float("nan")]]])
    assert inputs.model_inputs("grud", Z)["X_filledLOCF"].flatten().tolist() == [2, 2, 2, 5, 5]
    assert inputs.model_inputs("grud", Z, last_observation="zero")["X_filledLOCF"].flatten().tolist() == [2, 0, 0, 5, 0]


@ALL
def test_csai_inputs_are_those_of_pypots(X, monkeypatch):
    csai = pypots("imputation.csai.data")
    monkeypatch.setattr(csai, "mnar_nonuniform", lambda values, *args: (values, None))  # hides nothing
    ours = inputs.model_inputs("csai", torch.from_numpy(X), interval=torch.from_numpy(inputs.intervals(X)))
    theirs, _ = csai.non_uniform_sample(X, 0.1)
    same(ours["forward"]["X"], theirs["values"])
    same(ours["forward"]["missing_mask"], theirs["masks"])
    for direction, letter in (("forward", "f"), ("backward", "b")):
        same(ours[direction]["deltas"], theirs[f"deltas_{letter}"])
        same(ours[direction]["last_obs"], theirs[f"last_obs_{letter}"])
    same(ours["backward"]["X"], theirs["values"].flip(1))
    medians = csai.compute_intervals(X)
    assert list(ours["intervals"]) == list(medians)
    np.testing.assert_allclose(list(ours["intervals"].values()), np.nan_to_num(list(medians.values())), **TOLERANCE)


def test_intervals_do_not_reach_from_one_stay_into_the_next():
    X = np.full((2, 10, 1), np.nan, dtype=np.float32)
    X[0, [0, 9], 0] = 1  # one gap of 9
    X[1, [4, 5, 6], 0] = 1  # two gaps of 1
    assert inputs.intervals(X).tolist() == [1.0]
    assert inputs.intervals(X[:1]).tolist() == [9.0]


def test_deltas_by_hand():
    seen = torch.tensor([1.0, 0, 0, 1, 0]).view(1, 5, 1)
    assert inputs.deltas(seen).flatten().tolist() == [0, 1, 2, 3, 1]
    assert inputs.deltas(torch.zeros(1, 4, 1)).flatten().tolist() == [0, 1, 2, 3]
    assert inputs.deltas(torch.ones(1, 4, 1)).flatten().tolist() == [0, 1, 1, 1]


def test_last_observations_by_hand():
    X = torch.tensor([0.0, 7, 0, 0, 9]).view(1, 5, 1)
    seen = torch.tensor([0.0, 1, 0, 0, 1]).view(1, 5, 1)
    assert inputs.last_observations(X, seen).flatten().tolist() == [0, 0, 7, 7, 7]


def test_plain_inputs_hold_no_nan_and_hide_nothing_by_themselves():
    X = draw((4, 6, 3), 0.5)
    ours = inputs.model_inputs("plain", torch.from_numpy(X))
    assert not any(torch.isnan(value).any() for value in ours.values())
    same(ours["missing_mask"], ~np.isnan(X))
    assert ours["indicating_mask"].abs().sum() == 0
