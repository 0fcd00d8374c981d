"""The zero-inflated lognormal head: a coherent distribution of spend, seeded, sane on simulated customers."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import lognorm

from seqclv.baselines.ziln import Lognormal, Scaling, ZilnForecast, fit_ziln
from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY as DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, outcome
from seqclv.errors import InputError
from seqclv.evaluation import metrics

CUTOFF, HORIZON = instant("2021-01-01"), 120.0
LEVELS = [0.05, 0.5, 0.95]


@pytest.fixture(scope="module")
def base():
    """Histories and outcome of 1,000 simulated customers."""
    events = events_from_frame(
        simulate(SimulationConfig(customers=1_000, days=600, mean_events=10)).transactions, DataConfig()
    )
    past = history(events, CUTOFF, "1d")
    return past, outcome(events, past.customer_id, CUTOFF, HORIZON, "1d")


@pytest.fixture(scope="module")
def fitted(base):
    return fit_ziln(base[0], CUTOFF, HORIZON, seed=0)


@pytest.fixture(scope="module")
def forecast(base, fitted):
    return fitted.forecast(base[0], CUTOFF)


def test_on_simulated_customers_it_beats_the_averages(base, forecast):
    actual = base[1]
    spend, churn = forecast.expected_spend([HORIZON])[:, 0], forecast.churn_probability([HORIZON])[:, 0]
    gone = actual.transactions == 0
    assert abs(metrics.bias(spend, actual.spend)) < 0.3
    assert metrics.gini(spend, actual.spend) > 0.5
    assert metrics.log_loss(churn, gone) < 0.85 * metrics.log_loss(np.full(len(gone), gone.mean()), gone)
    low, high = forecast.spend_quantiles([HORIZON], [0.05, 0.95])[:, 0].T
    assert 0.85 < metrics.coverage(low, high, actual.spend) <= 1


def test_the_likelihood_is_that_of_the_distribution():
    buys, mu, sigma = 0.3, 1.2, 0.7
    spend = torch.tensor([0.0, 2.0, 9.0])
    columns = [torch.full((3,), value) for value in (np.log(buys), np.log(1 - buys), mu, sigma)]
    found = Lognormal(*columns).log_likelihood(spend).numpy()
    assert found[0] == pytest.approx(np.log(0.7))
    density = np.log(buys) + lognorm.logpdf([2.0, 9.0], sigma, scale=np.exp(mu))
    jacobian = -np.log([2.0, 9.0]) - 0.5 * np.log(2 * np.pi)
    assert found[1:] == pytest.approx(density - jacobian, rel=1e-5)


def test_mean_quantiles_and_draws_are_of_one_distribution():
    forecast = ZilnForecast(30.0, np.array([0.2, 0.97]), np.array([1.0, 3.0]), np.array([0.5, 1.0]))
    counts, spend = forecast.sample(30.0, 200_000, seed=0)
    assert counts is None
    assert (spend == 0).mean(axis=1) == pytest.approx([0.2, 0.97], abs=0.005)
    assert spend.mean(axis=1) == pytest.approx(forecast.expected_spend([30.0])[:, 0], rel=0.05)
    quantiles = forecast.spend_quantiles([30.0], LEVELS)[:, 0]
    assert quantiles[0] == pytest.approx(np.quantile(spend[0], LEVELS), rel=0.02)
    assert (quantiles[1] == 0).all()


def test_quantiles_rise_and_are_zero_up_to_the_churn_probability(forecast):
    quantiles = forecast.spend_quantiles([HORIZON], LEVELS)[:, 0]
    churn = forecast.churn_probability([HORIZON])
    assert (np.diff(quantiles) >= 0).all()
    assert ((quantiles > 0) == (np.array(LEVELS) > churn)).all()


def test_the_same_seed_gives_the_same_model_and_another_one_another(base, forecast):
    again = fit_ziln(base[0], CUTOFF, HORIZON, seed=0).forecast(base[0], CUTOFF)
    assert (again.mu == forecast.mu).all() and (again.churn == forecast.churn).all()
    assert (fit_ziln(base[0], CUTOFF, HORIZON, seed=1).forecast(base[0], CUTOFF).mu != forecast.mu).any()


def test_fitting_leaves_the_global_randomness_alone(base):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fit_ziln(base[0].select(np.arange(100)), CUTOFF, HORIZON)
    assert torch.rand(1) == expected


def test_the_forecast_does_not_depend_on_the_company_of_other_customers(base, fitted, forecast):
    rows = np.array([5, 17, 400], dtype=np.int64)
    part = fitted.forecast(base[0].select(rows), CUTOFF)
    assert part.mu == pytest.approx(forecast.mu[rows], rel=1e-4)
    assert part.churn == pytest.approx(forecast.churn[rows], rel=1e-4)


def test_a_longer_horizon_than_the_past_windows_has_more_spend_and_less_churn(base, forecast):
    longer = fit_ziln(base[0], CUTOFF, 2 * HORIZON, seed=0).forecast(base[0], CUTOFF)
    assert longer.expected_spend([2 * HORIZON]).sum() > 1.2 * forecast.expected_spend([HORIZON]).sum()
    assert longer.churn.mean() < forecast.churn.mean()


def test_it_knows_no_counts_and_no_other_horizon(forecast):
    assert forecast.expected_transactions([HORIZON]) is None
    assert forecast.transaction_quantiles([HORIZON], LEVELS) is None
    assert forecast.transaction_pmf(HORIZON, 3) is None
    assert forecast.alive_probability() is None and forecast.next_purchase_median() is None
    with pytest.raises(InputError, match="only the horizon it was fitted for, 120 days"):
        forecast.expected_spend([30.0])


def test_missing_and_far_features_stay_finite():
    scaling = Scaling.of(np.array([[1.0, np.nan, 3.0], [2.0, np.nan, 3.0]]))
    scaled = scaling(np.array([[1e12, 4.0, np.nan], [-1e12, np.nan, 3.0]]))
    assert torch.isfinite(scaled).all()
    assert scaled[:, 3:].tolist() == [[0, 0, 1], [0, 1, 0]]


LOGS = {
    "one purchase": [("a", 29.5, 5.0)],
    "one customer": [("a", float(day), 5.0) for day in range(1, 30)],
    "one-time buyers only": [(f"c{i:03d}", i / 7, 5.0) for i in range(200)],
    "everybody every day": [(f"c{i:03d}", float(day), 5.0) for i in range(60) for day in range(30)],
    "all on one day": [(f"c{i:03d}", 29.0, 5.0) for i in range(60)],
}


@pytest.mark.parametrize("horizon", [3.0, 365.0])
@pytest.mark.parametrize("name", LOGS)
def test_any_log_gives_finite_forecasts(name, horizon, make_events):
    past = history(make_events(LOGS[name]), 30 * DAY, "1d")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecast = fit_ziln(past, 30 * DAY, horizon).forecast(past, 30 * DAY)
    spend, churn = forecast.expected_spend([horizon]), forecast.churn_probability([horizon])
    assert np.isfinite(spend).all() and (spend > 0).all()
    assert (churn > 0).all() and (churn < 1).all()
