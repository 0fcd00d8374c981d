"""Acquisition costs are read from what a user writes; curves are crossed where they cross."""

import numpy as np
import pytest

from seqclv.errors import InputError
from seqclv.value.acquisition import AGES, Costs, _first_crossing, _interpolated, _step_crossing, read_costs


def test_costs_come_from_a_file_from_words_or_from_one_number(tmp_path):
    (tmp_path / "cost.csv").write_text("channel,cost\nweb,12.5\nstore,3\n")
    channel = np.array(["web", "store", "app", None], dtype=object)
    assert read_costs([str(tmp_path / "cost.csv")]).of(channel).tolist()[:2] == [12.5, 3.0]
    assert np.isnan(read_costs(["web=12.5"]).of(channel)[1:]).all()
    assert read_costs(["web=12.5", "4"]).of(channel).tolist() == [12.5, 4.0, 4.0, 4.0]
    assert read_costs(["a=b=2"]) == Costs({"a=b": 2.0}, None)


@pytest.mark.parametrize("words", [["web=-1"], ["web=nan"], ["much"], ["web="]])
def test_costs_that_are_no_amounts_are_refused(words):
    with pytest.raises(InputError, match="at least 0"):
        read_costs(words)


def test_a_cost_file_without_the_columns_is_refused(tmp_path):
    (tmp_path / "cost.csv").write_text("source,price\nweb,12.5\n")
    with pytest.raises(InputError, match="channel and cost"):
        read_costs([str(tmp_path / "cost.csv")])


def test_curves_are_interpolated_and_crossed_to_a_part_of_a_day():
    leaving, worth = np.array([[0.01], [0.001]]), np.array([[10.0], [80.0]])
    curve = worth * -np.expm1(-leaving * AGES)
    days = np.tile([0.2, 3.0, 47.0, 700.0, 5000.0], (2, 1))
    np.testing.assert_allclose(_interpolated(curve, days), worth * -np.expm1(-leaving * days), rtol=1e-4, atol=5e-4)
    level = np.array([5.0, 20.0])
    exact = -np.log1p(-level / worth[:, 0]) / leaving[:, 0]
    np.testing.assert_allclose(_first_crossing(curve, level), exact, rtol=1e-4)
    assert np.isnan(_first_crossing(curve, np.array([11.0, 81.0]))).all()
    assert _first_crossing(curve, np.array([0.0, -1.0])).tolist() == [0.0, 0.0]


def test_a_curve_of_steps_is_crossed_at_its_step():
    curve = np.where(AGES[50] <= AGES, 5.0, 1.0)
    assert AGES[49] <= _step_crossing(curve, 4.0) <= AGES[50]
    assert _step_crossing(curve, 0.5) == 0.0
    assert np.isnan(_step_crossing(curve, 6.0))
