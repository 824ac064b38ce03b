"""What the tests of this room share: a cohort, and a backbone that was not trained."""

import pytest

import modts


@pytest.fixture(scope="module")
def cohort():
    return modts.load_cohort("simulated_icu")


@pytest.fixture(scope="module")
def backbone(cohort):
    return modts.build("GRU-D", cohort)
