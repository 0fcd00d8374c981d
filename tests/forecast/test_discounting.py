"""Discounted sums of the purchase process agree with numerical integration, with simulation and with each other."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from seqclv.batch import DAYS_PER_YEAR, KnownDays
from seqclv.forecast.distribution import Clock, ClockedProcess, ProcessForecast
from seqclv.model.process import PurchaseProcess
from seqclv.model.season import SeasonalClock

RATE = math.log(1.1) / DAYS_PER_YEAR
HORIZONS = [1.0, 30.0, 365.0, 400.0, 5000.0, math.inf]


@pytest.fixture(scope="module")
def process():
    """Twelve customers of three behaviours, from hours to a century."""
    random = torch.Generator().manual_seed(3)
    draw = lambda low, high: low + (high - low) * torch.rand(12, 3, generator=random, dtype=torch.float64)  # noqa: E731
    weight = torch.log_softmax(torch.randn(12, 4, generator=random, dtype=torch.float64), -1)
    return PurchaseProcess(weight, draw(-6.0, 0.0), draw(-11.0, -1.0), draw(-1.0, 2.0), draw(0.0, 5.0))


@pytest.fixture(scope="module")
def season():
    clock = SeasonalClock(2, 10.0)
    with torch.no_grad():
        clock.coefficients.copy_(torch.tensor([0.5, -0.2, 0.3, 0.1]))
    return Clock(clock, 0.37)


def by_quadrature(part, row, horizon, rate):
    """Discounted purchases and days alive of one customer, by adaptive integration over clock time."""
    process = part.process
    end = min(horizon, 60 / rate)
    passed = (lambda t: float(part.clock(torch.tensor([t], dtype=torch.float64)))) if part.clock else (lambda t: t)
    total = np.zeros(2)
    for k in range(process.log_rate.shape[1]):
        weight, buying, hazard = (
            float(x) for x in (process.weight[row, k], process.log_rate[row, k].exp(), process.log_hazard[row, k].exp())
        )
        alive = lambda t, hazard=hazard: math.exp(-hazard * passed(t) - rate * t)  # noqa: E731
        edges = [0.0, *np.geomspace(1e-3, 1, 8) * end]
        days = sum(quad(alive, a, b, limit=400)[0] for a, b in itertools.pairwise(edges))
        # By parts: the integral of hazard s exp(-hazard A - d t) is 1 - its last value - d x the days alive.
        purchases = buying / hazard * (1 - alive(end) - rate * days)
        total += weight * np.array([purchases, days])
    return total


def test_without_a_season_the_sums_are_those_of_the_process(process):
    forecast = ProcessForecast([ClockedProcess(process)])
    found = forecast.discounted_transactions(HORIZONS, RATE)
    expected = np.stack([process.discounted_transactions(h, RATE).numpy() for h in HORIZONS], -1)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("row", [0, 5, 11])
@pytest.mark.parametrize("horizon", [30.0, 400.0, math.inf])
def test_discounted_sums_agree_with_numerical_integration(process, row, horizon):
    part = ClockedProcess(process.select(torch.tensor([row])))
    forecast = ProcessForecast([part])
    purchases, days = by_quadrature(part, 0, horizon, RATE)
    assert forecast.discounted_transactions([horizon], RATE)[0, 0] == pytest.approx(purchases, rel=1e-7)
    assert forecast.discounted_alive_days([horizon], RATE)[0, 0] == pytest.approx(days, rel=1e-7)


@pytest.fixture(scope="module", params=[0, 2])
def campaigns(request):
    """A clock whose calendar ends 80.5 days after the cutoff, with and without a season."""
    clock = SeasonalClock(request.param, 10.0, [(80.0, -0.5), (20.0, 2.0)])
    days = KnownDays(torch.tensor([[-0.5]] * 20 + [[2.0]] * 5 + [[-0.5]] * 40 + [[2.0]] * 18).double(), first=18_700)
    with torch.no_grad():
        clock.effects.fill_(0.4)
        clock.coefficients.copy_(torch.tensor([0.5, -0.2, 0.3, 0.1][: 2 * request.param]))
    return Clock(clock, days.years(18_702.5), days)


@pytest.mark.parametrize("horizon", [3.0, 70.0, 80.5, 500.0])
def test_with_a_calendar_they_agree_with_a_fine_sum(process, campaigns, horizon):
    test_with_a_season_they_agree_with_a_fine_sum(process, campaigns, horizon)


@pytest.mark.parametrize("row", [0, 11])
def test_with_a_calendar_residual_values_agree_with_numerical_integration(process, campaigns, row):
    rate = 20 * RATE
    forecast = ProcessForecast([ClockedProcess(process.select(torch.tensor([row])), campaigns)])
    edges = torch.cat([torch.linspace(0, 100, 100_001), torch.linspace(100, 12_000, 300_001)[1:]]).double()
    passed, middle = campaigns(edges), (edges[1:] + edges[:-1]) / 2
    alive = -process.log_hazard[row].exp()[:, None] * (passed[1:] + passed[:-1]) / 2
    buying = (process.weight[row, :, None] * process.log_rate[row].exp()[:, None] * alive.exp()).sum(0)
    expected = float((buying * passed.diff() * torch.exp(-rate * middle)).sum())
    assert forecast.discounted_transactions([math.inf], rate)[0, 0] == pytest.approx(expected, rel=1e-4)


def test_with_a_calendar_the_undiscounted_sums_are_the_expectations(process, campaigns):
    test_with_a_season_the_undiscounted_sums_are_the_expectations(process, campaigns)


def test_a_calendar_that_has_ended_leaves_clock_time(process, campaigns):
    over = Clock(
        SeasonalClock(0, 10.0, [(80.0, -0.5), (20.0, 2.0)]), campaigns.phase, KnownDays(torch.zeros(0, 1), 19_000)
    )
    forecasts = [ProcessForecast([ClockedProcess(process, clock)]) for clock in (over, None)]
    one, other = (forecast.discounted_spend(HORIZONS, RATE) for forecast in forecasts)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("horizon", [3.0, 200.0, 1000.0])
def test_with_a_season_they_agree_with_a_fine_sum(process, season, horizon):
    forecast = ProcessForecast([ClockedProcess(process, season)])
    edges = torch.linspace(0, horizon, 200_001, dtype=torch.float64)
    passed = season(edges)
    middle, run, step = (passed[1:] + passed[:-1]) / 2, passed.diff(), edges.diff()
    discount = torch.exp(-RATE * (edges[1:] + edges[:-1]) / 2)
    purchases, days = [], []
    for row in range(len(process)):
        alive = torch.exp(-process.log_hazard[row].exp()[:, None] * middle) * discount
        purchases.append(float((process.weight[row] * process.log_rate[row].exp() * (alive * run).sum(-1)).sum()))
        days.append(float((process.weight[row] * (alive * step).sum(-1)).sum()))
    np.testing.assert_allclose(forecast.discounted_transactions([horizon], RATE)[:, 0], purchases, rtol=1e-6)
    np.testing.assert_allclose(forecast.discounted_alive_days([horizon], RATE)[:, 0], days, rtol=1e-6)


def test_with_a_season_the_undiscounted_sums_are_the_expectations(process, season):
    forecast = ProcessForecast([ClockedProcess(process, season), ClockedProcess(process)])
    horizons = [1.0, 90.0, 365.0, 2000.0]
    np.testing.assert_allclose(
        forecast.discounted_transactions(horizons, 0.0), forecast.expected_transactions(horizons), rtol=1e-7
    )
    np.testing.assert_allclose(forecast.discounted_spend(horizons, 0.0), forecast.expected_spend(horizons), rtol=1e-7)


def test_residual_value_is_the_limit_of_long_horizons(process, season):
    forecast = ProcessForecast([ClockedProcess(process, season)])
    found = forecast.discounted_spend([100 * DAYS_PER_YEAR, 200 * DAYS_PER_YEAR, math.inf], 10 * RATE)
    np.testing.assert_allclose(found[:, 1], found[:, 2], rtol=1e-9)
    assert (np.diff(found, axis=1) >= -1e-9 * found[:, :1]).all()


def test_variances_agree_with_the_pmf_and_with_draws(process):
    forecast = ProcessForecast([ClockedProcess(process)])
    horizon = 60.0
    pmf, n = forecast.transaction_pmf(horizon, 200), np.arange(201)
    exact = (pmf * n**2).sum(-1) - (pmf * n).sum(-1) ** 2
    np.testing.assert_allclose(forecast.transaction_variance([horizon])[:, 0], exact, rtol=1e-6)
    _, spend = forecast.sample(horizon, 100_000, 0)
    ratio = forecast.discounted_spend_variance([horizon], 0.0)[:, 0] / spend.var(axis=1)
    np.testing.assert_allclose(ratio, 1, atol=0.12)
    assert abs(ratio.mean() - 1) < 0.02


@pytest.mark.parametrize("rate", [0.0, RATE])
def test_second_moments_agree_with_numerical_integration_over_the_life(process, rate):
    """E over the life L of lambda E[v^2] int exp(-2 d t) + (lambda m int exp(-d t))^2, for one behaviour."""
    one = process.map(lambda t: t[:1, :1])
    one = PurchaseProcess(
        torch.tensor([[-math.inf, 0.0]]).double(),
        *(getattr(one, n) for n in ("log_rate", "log_hazard", "log_shape", "log_mean")),
    )
    buying, hazard, shape, mean = (float(t.exp()) for t in (one.log_rate, one.log_hazard, one.log_shape, one.log_mean))
    horizon = 90.0
    whole = lambda c, life: life if c == 0 else -math.expm1(-c * life) / c  # noqa: E731

    def second(life):
        alone = buying * mean**2 * (1 + 1 / shape) * whole(2 * rate, life)
        return alone + (buying * mean * whole(rate, life)) ** 2

    inside = quad(lambda t: hazard * math.exp(-hazard * t) * second(t), 0, horizon)[0]
    expected = inside + math.exp(-hazard * horizon) * second(horizon)
    first = buying * mean * whole(hazard + rate, horizon)
    found = ProcessForecast([ClockedProcess(one)]).discounted_spend_variance([horizon], rate)[0, 0]
    assert found == pytest.approx(expected - first**2, rel=1e-8)


def test_a_forecast_does_not_depend_on_who_else_is_valued(process, season):
    together = ProcessForecast([ClockedProcess(process, season)]).discounted_spend([90.0, math.inf], RATE)
    alone = ProcessForecast([ClockedProcess(process.select(torch.tensor([4])), season)])
    np.testing.assert_allclose(alone.discounted_spend([90.0, math.inf], RATE)[0], together[4], rtol=1e-12)
