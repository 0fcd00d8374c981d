"""The share of customers whose tier a new training changes."""

import numpy as np

from seqclv.value.stability import tier_changes

BASE = np.array([50.0, 30.0, 15.0, 5.0])


def test_the_same_forecasts_move_nobody():
    found = tier_changes({0: BASE, 1: BASE, 2: BASE}, "2024-01-01")
    assert found["kept"] == found["inherited"] == found["own"] == {"mean": 0.0, "worst": 0.0}
    assert found["customers"] == 4


def test_a_new_level_moves_customers_over_inherited_boundaries_only():
    found = tier_changes({0: BASE, 1: 2 * BASE}, "2024-01-01")
    assert found["own"]["worst"] == 0.0
    # Bounds 50, 30, 15: of 100, 60, 30, 10 the second and the third rise. Bounds 100, 60, 30: of 50, 30, 15, 5 all but
    # the last fall.
    assert found["inherited"] == {"mean": 0.625, "worst": 0.75}


def test_small_changes_move_nobody_who_keeps_their_tier():
    found = tier_changes({0: BASE, 1: 1.1 * BASE}, "2024-01-01")
    assert found["kept"]["worst"] == 0.0
    assert found["inherited"]["worst"] > 0.0


def test_a_customer_who_falls_is_a_quarter_of_four():
    other = np.array([50.0, 15.0, 15.0, 5.0])
    found = tier_changes({0: BASE, 1: other}, "2024-01-01")
    # Bounds 50, 30, 15: the second falls to silver. Bounds 50, 15, 5: nobody moves. Own: the last two are a tier apart.
    assert found["inherited"] == {"mean": 0.125, "worst": 0.25}
    assert found["own"] == {"mean": 0.5, "worst": 0.5}
