"""The classical models' discounted sums agree with the literature's closed form, with integration and with draws."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, hyperu

from seqclv.baselines.bg_nbd import BgNbd
from seqclv.baselines.classical import ClassicalModel
from seqclv.baselines.gamma_gamma import GammaGamma
from seqclv.baselines.pareto_nbd import ParetoNbd

WEEK = 7.0
# The example of 'RFM and CLV' (all of CDNOW's 78 weeks) as the R package BTYD documents it: weeks, 15 % a year.
R, ALPHA, S, BETA = 0.5629966, 12.5590370, 0.4081095, 10.5148048
AGE, WEEKLY_RATE = 77.86, 0.0027
AMOUNTS = GammaGamma(6.25, 3.744, 15.44)
RATE = math.log(1.1) / 365.2425


def literature(make_table, frequency, recency):
    table = make_table(frequency, np.asarray(recency) * WEEK, np.full(len(np.atleast_1d(frequency)), AGE * WEEK))
    return ClassicalModel(ParetoNbd(R, ALPHA * WEEK, S, BETA * WEEK), AMOUNTS).forecast(table)


def dert_by_integration(x, recency):
    """Of the definition: the posterior mean of lambda / (mu + d) where alive, by integrals over lambda and mu."""

    def gamma_density(value, shape, rate):
        return math.exp(shape * math.log(rate) + (shape - 1) * math.log(value) - rate * value - gammaln(shape))

    def over_rate(power, span):  # E[lambda^power exp(-lambda span)], lambda ~ Gamma(r, alpha)
        log = gammaln(R + power) - gammaln(R) + R * math.log(ALPHA) - (R + power) * math.log(ALPHA + span)
        return math.exp(log)

    def over_hazard(function):  # a root takes the pole at 0 away
        pieces = [0.0, 0.01, 0.1, 0.5, 1.0, 3.0]
        inner = lambda u: function(u**5) * gamma_density(u**5, S, BETA) * 5 * u**4 if u > 0 else 0.0  # noqa: E731
        return sum(quad(inner, a, b, epsabs=0, epsrel=1e-11, limit=300)[0] for a, b in itertools.pairwise(pieces))

    worth = over_rate(x + 1, AGE) * over_hazard(lambda mu: math.exp(-mu * AGE) / (mu + WEEKLY_RATE))
    alive = over_rate(x, AGE) * over_hazard(lambda mu: math.exp(-mu * AGE))
    left = quad(lambda t: over_rate(x, t) * over_hazard(lambda mu: mu * math.exp(-mu * t)), recency, AGE, epsrel=1e-10)[
        0
    ]
    return worth / (alive + left)


@pytest.mark.parametrize(("x", "recency"), [(7, 35), (1, 30), (10, 30), (0, 0)])
def test_dert_of_pareto_nbd_agrees_with_numerical_integration(make_table, x, recency):
    found = literature(make_table, [x], [recency]).discounted_transactions([math.inf], WEEKLY_RATE / WEEK)
    assert found[0, 0] == pytest.approx(dert_by_integration(x, recency), rel=1e-6)


def test_dert_is_the_closed_form_of_rfm_and_clv(make_table):
    """Equation 2, with Kummer's second function: P(alive) (r + x) / (alpha + T) d^(s - 1) (beta + T)^s Psi(s, s, .)."""
    x = np.arange(1.0, 11.0)
    forecast = literature(make_table, x, np.full(10, 30.0))
    scale = BETA + AGE
    closed = (R + x) / (ALPHA + AGE) * WEEKLY_RATE ** (S - 1) * scale**S * hyperu(S, S, WEEKLY_RATE * scale)
    found = forecast.discounted_transactions([math.inf], WEEKLY_RATE / WEEK)[:, 0]
    np.testing.assert_allclose(found, forecast.alive * closed, rtol=1e-12)


def test_more_purchases_and_then_silence_can_be_worth_less(make_table):
    """The paper's 'increasing frequency paradox': of two customers last seen in week 30, the busier is worth less."""
    found = literature(make_table, [2, 10], [30, 30]).discounted_transactions([math.inf], WEEKLY_RATE / WEEK)[:, 0]
    assert found[1] < found[0]


@pytest.fixture(scope="module")
def forecasts(make_table):
    x = np.array([0, 1, 3, 12, 80])
    table = make_table(x, [0.0, 200.0, 200.0, 200.0, 248.0], np.full(5, 250.0))
    pareto = ClassicalModel(ParetoNbd(0.55, 74.0, 0.61, 82.0), AMOUNTS).forecast(table)
    beta = ClassicalModel(BgNbd(0.24, 31.0, 0.79, 2.43), AMOUNTS).forecast(table)
    return {"pareto_nbd": pareto, "bg_nbd": beta}


BOTH = pytest.mark.parametrize("kind", ["pareto_nbd", "bg_nbd"])


@BOTH
def test_without_discounting_the_sums_are_the_expectations(kind, forecasts):
    horizons = [1.0, 90.0, 365.0, 3650.0]
    found = forecasts[kind].discounted_transactions(horizons, 0.0)
    np.testing.assert_allclose(found, forecasts[kind].expected_transactions(horizons), rtol=1e-9)
    spend = forecasts[kind].discounted_spend(horizons, 0.0)
    np.testing.assert_allclose(spend, forecasts[kind].expected_spend(horizons), rtol=1e-9)


@BOTH
def test_discounting_is_the_integral_of_the_expectation(kind, forecasts):
    """By parts: e^(-d H) E[N(H)] + d x the integral of e^(-d t) E[N(t)]."""
    forecast, horizon = forecasts[kind], 365.0
    nodes, weights = np.polynomial.legendre.leggauss(60)
    time, weight = (nodes + 1) / 2 * horizon, weights / 2 * horizon
    expected = forecast.expected_transactions(list(time))
    by_parts = math.exp(-RATE * horizon) * forecast.expected_transactions([horizon])[:, 0]
    by_parts = by_parts + RATE * (expected * weight * np.exp(-RATE * time)).sum(-1)
    np.testing.assert_allclose(forecast.discounted_transactions([horizon], RATE)[:, 0], by_parts, rtol=1e-7)


@BOTH
def test_variances_are_those_of_the_pmf_and_of_draws(kind, forecasts):
    forecast, horizon = forecasts[kind], 120.0
    pmf, n = forecast.transaction_pmf(horizon, 400), np.arange(401)
    exact = (pmf * n**2).sum(-1) - (pmf * n).sum(-1) ** 2
    np.testing.assert_allclose(forecast.transaction_variance([horizon])[:, 0], exact, rtol=1e-6)
    _, spend = forecast.sample(horizon, 400_000, 1)
    ratio = forecast.discounted_spend_variance([horizon], 0.0)[:, 0] / spend.var(axis=1)
    np.testing.assert_allclose(ratio[1:], 1, atol=0.06)  # the first customer's amounts have a heavy tail


def test_days_alive_of_pareto_nbd_are_the_integral_of_survival(forecasts):
    forecast = forecasts["pareto_nbd"]
    survival = lambda t: (1 + t / (82.0 + 250.0)) ** -0.61 * math.exp(-RATE * t)  # noqa: E731
    for horizon in (30.0, 1000.0):
        expected = forecast.alive * quad(survival, 0, horizon)[0]
        np.testing.assert_allclose(forecast.discounted_alive_days([horizon], RATE)[:, 0], expected, rtol=1e-9)


def test_days_alive_of_bg_nbd_agree_with_simulated_lives(forecasts):
    random = np.random.default_rng(0)
    future, rows = forecasts["bg_nbd"].future, 5
    rate = random.standard_gamma(future.shape[:, None], (rows, 400_000)) / future.scale[:, None]
    leave = random.beta(future.a, np.broadcast_to(future.b[:, None], rate.shape))
    life = np.minimum(random.standard_exponential(rate.shape) / (rate * leave), 365.0)
    drawn = forecasts["bg_nbd"].alive * (-np.expm1(-RATE * life) / RATE).mean(axis=1)
    np.testing.assert_allclose(forecasts["bg_nbd"].discounted_alive_days([365.0], RATE)[:, 0], drawn, rtol=0.005)


def test_a_lifetime_without_an_end_is_infinite_and_not_invented(make_table):
    forecast = literature(make_table, [3], [30])  # s < 1: some never leave
    assert np.isinf(forecast.discounted_transactions([math.inf], 0.0)).all()
    assert np.isfinite(forecast.discounted_transactions([math.inf], 1e-6)).all()
    unknown = ClassicalModel(ParetoNbd(R, 80.0, S, 70.0), None).forecast(make_table([3], [30.0], [300.0]))
    assert unknown.discounted_spend_variance([30.0], RATE) is None
    assert np.isnan(unknown.discounted_spend([30.0], RATE)).all()
