"""What each network's own loss asks for: the values that were hidden on purpose, or those that it sees. Method and lessons say which."""

import numpy as np
import pytest
import torch

import modts
from modts.backbones import SIX

ASKED_FOR_HIDDEN = {"SAITS", "Autoformer", "HELIX"}


@pytest.mark.parametrize("name", [*SIX, "HELIX"])
def test_moving_what_is_hidden_moves_the_loss_of_those_that_are_asked_for_it(name):
    cohort = modts.load_cohort("simulated_icu", seed=0)
    backbone = modts.build(name, cohort, seed=0)
    Z = torch.as_tensor(backbone.tensor(cohort.part("train")[0][:32]))
    hidden = torch.as_tensor(modts.mask(np.asarray(Z), "point", 0.2, seed=0))
    moved = torch.where(torch.isnan(hidden) & ~torch.isnan(Z), Z + 5, Z)
    losses = []
    for truth in (Z, moved):
        torch.manual_seed(0)
        losses.append(backbone.run(backbone.inputs(hidden, truth))[0]["loss"].item())
    assert (losses[0] != losses[1]) == (name in ASKED_FOR_HIDDEN)
