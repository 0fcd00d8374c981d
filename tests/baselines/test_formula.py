import numpy as np
import pytest

from seqclv.baselines.formula import fit_formula


def test_the_formula_is_value_times_rate_times_horizon(make_table):
    table = make_table([4, 1], [80, 40], [99, 49], monetary_value=[10.0, 20.0], first_amount=30.0)
    forecast = fit_formula(table).forecast(table)
    assert forecast.expected_transactions([10.0, 20.0]).tolist() == [[0.5, 1.0], [0.4, 0.8]]
    assert forecast.expected_spend([10.0])[:, 0].tolist() == pytest.approx([0.5 * 14.0, 0.4 * 25.0])


def test_a_newcomer_is_not_taken_for_a_daily_buyer(make_table):
    table = make_table([4, 0], [80, 0], [99, 0], first_amount=30.0)
    forecast = fit_formula(table).forecast(table)
    assert forecast.rate[1] == 1 / 20  # the mean gap of the base


def test_customers_without_a_known_amount_get_the_mean_of_the_base(make_table):
    table = make_table([4, 1, 0], [80, 40, 0], [99, 49, 20], monetary_value=[10.0, 20.0, 0.0])
    assert fit_formula(table).forecast(table).value.tolist() == [10.0, 20.0, 12.0]


def test_where_nobody_repeats_the_longest_age_is_the_least(make_table):
    table = make_table([0, 0], [0, 0], [9, 99], first_amount=3.0)
    assert fit_formula(table).forecast(table).rate.tolist() == [0.01, 0.01]


def test_the_formula_claims_no_distribution(make_table):
    table = make_table([1], [5], [9])
    forecast = fit_formula(table).forecast(table)
    assert len(forecast) == 1
    assert forecast.churn_probability([30.0]) is None
    assert forecast.alive_probability() is None
    assert forecast.transaction_quantiles([30.0], [0.5]) is None
    assert forecast.spend_quantiles([30.0], [0.5]) is None
    assert forecast.transaction_pmf(30.0, 3) is None
    assert forecast.sample(30.0, 3, 0) is None
    assert np.isfinite(forecast.expected_spend([30.0])).all()
