"""Tiers: shares decide the boundaries once; afterwards they are the model's and do not move."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqclv.bundle import load_bundle, save_bundle
from seqclv.errors import InputError
from seqclv.tiers import set_tiers


def test_the_first_tier_brings_the_first_share_of_expected_spend():
    spend = np.array([50.0, 20.0, 10.5, 9.5, 5.0, 3.0, 2.0])
    tiers = set_tiers(spend, set_at="2024-01-01")
    assert tiers.assign(spend).tolist() == ["platinum", "gold", "gold", "silver", "silver", "bronze", "bronze"]


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60))
def test_everybody_has_one_tier_and_more_spend_is_no_lower_tier(spend):
    spend = np.array(spend)
    tiers = set_tiers(spend, set_at="2024-01-01")
    rank = np.array([tiers.names.index(name) for name in tiers.assign(spend)])
    assert (np.diff(rank[np.argsort(-spend, kind="stable")]) >= 0).all()
    assert list(tiers.bounds) == sorted(tiers.bounds, reverse=True)


def test_boundaries_do_not_move_with_the_base():
    tiers = set_tiers(np.array([100.0, 50.0, 10.0, 1.0]), set_at="2024-01-01")
    alone = tiers.assign(np.array([50.0]))
    assert alone == tiers.assign(np.array([1e6, 50.0, 0.0]))[1]


@pytest.mark.parametrize(
    ("spend", "before", "after"),
    [
        (105.0, "gold", "gold"),  # within the tolerance above the boundary of 100
        (116.0, "gold", "platinum"),
        (90.0, "platinum", "platinum"),
        (85.0, "platinum", "gold"),
        (1.0, "platinum", "bronze"),
        (28.0, "gold", "silver"),  # it must leave gold, but is within the tolerance of silver, from 30 on
        (28.0, None, "bronze"),
        (28.0, "an old name", "bronze"),
    ],
)
def test_a_customer_keeps_a_tier_within_the_tolerance(spend, before, after):
    tiers = set_tiers(np.array([100.0, 60.0, 30.0, 10.0]), set_at="2024-01-01")
    assert tiers.bounds == (100.0, 60.0, 30.0)
    previous = np.array([before], dtype=object)
    assert tiers.assign(np.array([spend]), previous, 0.15).tolist() == [after]
    assert tiers.assign(np.array([spend]), previous, 0.0).tolist() == tiers.assign(np.array([spend])).tolist()


def test_an_unknown_spend_has_no_tier():
    tiers = set_tiers(np.array([100.0, 50.0, np.nan]), set_at="2024-01-01")
    assert tiers.assign(np.array([np.nan, 100.0])).tolist() == [None, "platinum"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ("a", "b"), "shares": (0.5, 0.6)}, "sum to 1"),
        ({"names": ("a", "b", "c"), "shares": (0.5, 0.5)}, "as many shares"),
        ({"names": ("a", "a"), "shares": (0.5, 0.5)}, "different names"),
    ],
)
def test_names_and_shares_must_fit(arguments, message):
    with pytest.raises(InputError, match=message):
        set_tiers(np.ones(3), set_at="2024-01-01", **arguments)


def test_nobody_who_spends_has_no_tiers():
    with pytest.raises(InputError, match="expected spend above 0"):
        set_tiers(np.zeros(3), set_at="2024-01-01")


def test_training_sets_tiers_on_its_own_base(small_bundle):
    tiers = small_bundle.tiers
    assert tiers.names == ("platinum", "gold", "silver", "bronze")
    assert tiers.set_at == "2021-07-01T00:00:00"
    assert tiers.bounds[0] > tiers.bounds[1] > tiers.bounds[2] > 0


def test_a_bundle_keeps_its_tiers_and_an_old_one_has_none(small_bundle, tmp_path):
    tiers = set_tiers(np.array([3.0, 2.0, 1.0]), set_at="2024-01-01")
    save_bundle(small_bundle.with_tiers(tiers), tmp_path / "with")
    assert load_bundle(tmp_path / "with").tiers == tiers
    assert load_bundle(tmp_path / "with").version == small_bundle.version
    save_bundle(replace(small_bundle, tiers=None), tmp_path / "without")
    path = tmp_path / "without" / "bundle.json"
    path.write_text(path.read_text().replace('"tiers": null,', ""))
    assert load_bundle(tmp_path / "without").tiers is None
