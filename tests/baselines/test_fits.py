"""Fitting: the figures of the literature, and tables that identify no parameter."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from seqclv.baselines import bg_nbd, gamma_gamma, pareto_nbd
from seqclv.baselines.btyd import fit_bg_nbd, fit_pareto_nbd, log_likelihood
from seqclv.baselines.classical import KINDS, fit_classical
from seqclv.baselines.gamma_gamma import fit_gamma_gamma

WEEK = 7.0


def in_weeks(log_likelihood_in_days, table):
    return log_likelihood_in_days + table.frequency.sum() * np.log(WEEK)


def test_bg_nbd_on_cdnow_has_the_parameters_of_the_literature(cdnow_table):
    model = fit_bg_nbd(cdnow_table)
    assert len(cdnow_table) == 2357
    assert [model.r, model.alpha / WEEK, model.a, model.b] == pytest.approx([0.2426, 4.4136, 0.7929, 2.4259], rel=2e-4)
    assert in_weeks(log_likelihood(model, cdnow_table), cdnow_table) == pytest.approx(-9582.4, abs=0.05)


def test_pareto_nbd_on_cdnow_has_the_parameters_of_the_literature(cdnow_table):
    model = fit_pareto_nbd(cdnow_table)
    found = [model.r, model.alpha / WEEK, model.s, model.beta / WEEK]
    assert found == pytest.approx([0.5533, 10.578, 0.6062, 11.668], rel=2e-4)
    assert in_weeks(log_likelihood(model, cdnow_table), cdnow_table) == pytest.approx(-9595.0, abs=0.05)


def test_gamma_gamma_on_cdnow_has_the_parameters_of_the_literature(cdnow_table):
    model = fit_gamma_gamma(cdnow_table)
    assert [model.p, model.q, model.gamma] == pytest.approx([6.25, 3.744, 15.44], rel=5e-4)


@pytest.mark.parametrize("unit", [1 / 7, 24.0, 86_400.0])
def test_the_unit_of_time_does_not_matter(cdnow_table, make_table, unit):
    part = cdnow_table.select(np.arange(0, 2357, 5))
    scaled = make_table(part.frequency, part.recency * unit, part.T * unit)
    for fit in (fit_pareto_nbd, fit_bg_nbd):
        one, other = fit(part), fit(scaled)
        assert other.r == pytest.approx(one.r, rel=1e-5)
        assert other.alpha == pytest.approx(one.alpha * unit, rel=1e-5)


@pytest.mark.parametrize("module", [pareto_nbd, bg_nbd])
@pytest.mark.parametrize("theta", [(0.5, 0.3, 0.6, 0.3), (3.0, 0.01, 0.02, 5.0), (0.02, 40.0, 8.0, 0.05)])
def test_gradients_equal_finite_differences(module, theta):
    x = np.array([0.0, 1.0, 4.0, 80.0, 900.0])
    recency = np.array([0.0, 0.2, 0.9, 0.95, 1.0])
    age = np.array([1.0, 1.0, 0.9, 1.2, 1.1])
    count = np.array([5.0, 3.0, 2.0, 1.0, 1.0])
    theta = np.array(theta)
    _, gradient = module.log_likelihood(theta, x, recency, age, count)
    numeric = approx_fprime(theta, lambda t: module.log_likelihood(t, x, recency, age, count)[0], 1e-7 * theta)
    assert gradient == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_the_gradient_of_gamma_gamma_equals_finite_differences():
    theta, x, mean = np.array([4.0, 2.0, 0.7]), np.array([1.0, 7.0, 300.0]), np.array([0.3, 1.2, 1.0])
    count = np.array([3.0, 1.0, 2.0])
    _, gradient = gamma_gamma.log_likelihood(theta, x, mean, count)
    numeric = approx_fprime(theta, lambda t: gamma_gamma.log_likelihood(t, x, mean, count)[0], 1e-7)
    assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_the_pareto_nbd_likelihood_equals_that_of_lifetimes(lifetimes, cdnow_table):
    part = cdnow_table.select(cdnow_table.frequency < 20)
    theta = np.array([0.55, 74.0, 0.6, 82.0])
    ones = np.ones(len(part))
    ours, _ = pareto_nbd.log_likelihood(theta, part.frequency, part.recency, part.T, ones)
    theirs = lifetimes.ParetoNBDFitter._conditional_log_likelihood(theta, part.frequency, part.recency, part.T).sum()
    assert ours == pytest.approx(theirs, rel=1e-9)


DEGENERATE = {
    "one customer who bought once": ([0], [0], [30]),
    "one customer who repeated": ([3], [20], [30]),
    "one-time buyers only": (np.zeros(200), np.zeros(200), np.arange(200)),
    "one-time buyers of one age": (np.zeros(50), np.zeros(50), np.full(50, 90)),
    "all bought first on the last day": (np.zeros(9), np.zeros(9), np.zeros(9)),
    "all alike": (np.full(100, 5), np.full(100, 50), np.full(100, 60)),
    "nobody leaves": (np.arange(1, 101), np.full(100, 99), np.full(100, 100)),
    "busy customers": (np.linspace(80, 5000, 60).astype(int), np.linspace(30, 700, 60), np.full(60, 730)),
    "one whale among one-time buyers": (np.r_[np.zeros(99), 5000], np.r_[np.zeros(99), 700], np.full(100, 730)),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_tables_get_finite_and_sane_forecasts(make_table, kind, case):
    table = make_table(*DEGENERATE[case], first_amount=20.0)
    forecast = fit_classical(kind, table).forecast(table)
    horizon = 30.0
    expected = forecast.expected_transactions([horizon, 365.0])
    assert np.isfinite(expected).all()
    assert (expected >= 0).all()
    # Nobody is forecast to buy much more often than the busiest customer has, a newcomer not more than daily.
    busiest = ((table.frequency + 1) / (table.T + 1)).max() * horizon
    assert expected[:, 0].max() <= 1.5 * busiest
    spend = forecast.expected_spend([horizon])
    assert np.isfinite(spend).all()
    churn = forecast.churn_probability([horizon, 365.0])
    assert (churn[:, 1] <= churn[:, 0]).all()
    assert ((churn >= 0) & (churn <= 1)).all()
    quantiles = forecast.spend_quantiles([horizon], [0.05, 0.5, 0.95])
    assert np.isfinite(quantiles).all()


def test_one_time_buyers_only_are_not_forecast_to_return_often(make_table):
    table = make_table(np.zeros(500), np.zeros(500), np.linspace(0, 365, 500))
    for kind in KINDS:
        expected = fit_classical(kind, table).forecast(table).expected_transactions([365.0])
        assert expected.max() < 0.1


def test_equal_amounts_are_forecast_as_they_are(make_table):
    table = make_table(np.arange(1, 101), np.full(100, 50), np.full(100, 60), monetary_value=25.0)
    mean = fit_gamma_gamma(table).mean_amount(table)
    assert mean == pytest.approx(25.0, rel=0.02)


def test_without_repeats_amounts_come_from_first_purchases_and_without_these_are_unknown(make_table):
    columns = (np.zeros(50), np.zeros(50), np.full(50, 9))
    known = make_table(*columns, first_amount=40.0)
    assert fit_gamma_gamma(known).mean_amount(known) == pytest.approx(40.0, rel=0.1)
    unknown = make_table(*columns)
    assert fit_gamma_gamma(unknown) is None
    forecast = fit_classical("pareto_nbd", unknown).forecast(unknown)
    assert np.isnan(forecast.expected_spend([30.0])).all()
    assert forecast.spend_quantiles([30.0], [0.5]) is None
    assert np.isnan(forecast.sample(30.0, 3, seed=0)[1]).all()
