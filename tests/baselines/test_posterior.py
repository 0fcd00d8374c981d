"""Forecasts of the classical models: closed forms of the literature, simulation, coherence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import hyp2f1
from scipy.stats import beta as beta_distribution

from seqclv.baselines.bg_nbd import BgNbd, BgNbdFuture
from seqclv.baselines.classical import KINDS, ClassicalModel, fit_classical
from seqclv.baselines.compound import Amounts
from seqclv.baselines.gamma_gamma import GammaGamma
from seqclv.baselines.pareto_nbd import ParetoNbd, ParetoNbdFuture
from seqclv.baselines.posterior import ClassicalForecast

LEVELS = [0.05, 0.5, 0.95]
PARETO = ParetoNbd(0.55, 74.0, 0.61, 82.0)
BG = BgNbd(0.24, 31.0, 0.79, 2.43)
AMOUNTS = GammaGamma(6.25, 3.74, 15.4)
MODELS = {"pareto_nbd": ClassicalModel(PARETO, AMOUNTS), "bg_nbd": ClassicalModel(BG, AMOUNTS)}

# (x, t_x, T): newcomers, one-time buyers, regulars, leavers, whales
CASES = [(0, 0, 0), (0, 0, 270), (1, 3, 200), (5, 200, 270), (9, 30, 270), (80, 265, 270), (5000, 795, 800)]
HORIZONS = [1.0, 30.0, 273.0, 1350.0, 4000.0]  # 1350 is five times the age of 270


def columns():
    return (np.array(c, dtype=np.float64) for c in zip(*CASES, strict=True))


@pytest.fixture(scope="module")
def table(make_table):
    return make_table(*columns(), monetary_value=[0, 0, 12.0, 35.0, 8.0, 20.0, 3.0])


@pytest.mark.parametrize("horizon", HORIZONS)
def test_pareto_nbd_expectation_equals_the_closed_form(horizon):
    x, _, age = columns()
    r, alpha, beta = PARETO.r + x, PARETO.alpha + age, PARETO.beta + age
    s = PARETO.s
    closed = r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + horizon)) ** (s - 1))
    assert ParetoNbdFuture(r, alpha, s, beta).expected(horizon) == pytest.approx(closed, rel=1e-9)


@pytest.mark.parametrize("horizon", HORIZONS)
def test_pareto_nbd_churn_equals_numerical_integration(horizon):
    x, _, age = columns()
    r, alpha, beta, s = PARETO.r + x, PARETO.alpha + age, PARETO.beta + age, PARETO.s
    for i in range(len(x)):

        def left(u, i=i):  # dropout after exp(u) - 1 days without a purchase, times the derivative of time by u
            t = np.expm1(u)
            log_density = np.log(s / beta[i]) - (s + 1) * np.log1p(t / beta[i]) - r[i] * np.log1p(t / alpha[i])
            return np.exp(log_density + u)

        integral = quad(left, 0, np.log1p(horizon), epsabs=0, epsrel=1e-9, limit=200)[0]
        stayed = (1 + horizon / alpha[i]) ** -r[i] * (1 + horizon / beta[i]) ** -s
        one = ParetoNbdFuture(r[[i]], alpha[[i]], s, beta[[i]])
        assert one.none(horizon)[0] == pytest.approx(integral + stayed, rel=1e-7)


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("a", [0.03, 0.79, 1.0, 4.0])
def test_bg_nbd_expectation_equals_the_closed_form(horizon, a):
    x, _, age = columns()
    ordinary = x < 100  # beyond, the hypergeometric function itself is not trustworthy
    shape, scale, b = BG.r + x[ordinary], BG.alpha + age[ordinary], BG.b + x[ordinary]
    off = a + 1e-6 if a == 1 else a  # the closed form has a pole at 1
    closed = (off + b - 1) / (off - 1) * (1 - hyp2f1(shape, off - 1, off + b - 1, -horizon / scale))
    assert BgNbdFuture(shape, scale, a, b).expected(horizon) == pytest.approx(closed, rel=1e-5)


@pytest.mark.parametrize("horizon", [30.0, 273.0])
def test_bg_nbd_mean_of_the_probabilities_is_the_expectation(horizon):
    x, _, age = columns()
    future = BgNbdFuture(BG.r + x, BG.alpha + age, BG.a, BG.b + x)
    pmf = future.pmf(horizon, 4000)
    assert pmf @ np.arange(4001) == pytest.approx(future.expected(horizon), rel=1e-6)


def test_bg_nbd_expectation_is_right_for_a_sharp_dropout_probability():
    a, b, horizon = 4000.0, 800.0, 50.0
    future = BgNbdFuture(np.array([0.4]), np.array([20.0]), a, np.array([b]))
    law = beta_distribution(a, b)
    value = quad(lambda p: law.pdf(p) * (1 - (1 + p * horizon / 20) ** -0.4) / p, *law.interval(1 - 1e-12))[0]
    assert future.expected(horizon)[0] == pytest.approx(value, rel=1e-8)


def test_alive_probabilities_equal_those_of_lifetimes(lifetimes, cdnow_table):
    import pandas as pd

    part = cdnow_table.select(cdnow_table.frequency < 30)
    columns = (part.frequency, part.recency, part.T)
    theirs = lifetimes.ParetoNBDFitter()
    theirs.params_ = pd.Series({"r": PARETO.r, "alpha": PARETO.alpha, "s": PARETO.s, "beta": PARETO.beta})
    alive = np.exp(PARETO.log_alive_probability(*columns))
    assert alive == pytest.approx(np.asarray(theirs.conditional_probability_alive(*columns)), rel=1e-8)
    expected = MODELS["pareto_nbd"].forecast(part).expected_transactions([100.0])[:, 0]
    by_formula = theirs.conditional_expected_number_of_purchases_up_to_time(100.0, *columns)
    assert expected == pytest.approx(np.asarray(by_formula), rel=1e-7)

    theirs = lifetimes.BetaGeoFitter()
    theirs.params_ = pd.Series({"r": BG.r, "alpha": BG.alpha, "a": BG.a, "b": BG.b})
    alive = np.exp(BG.log_alive_probability(*columns))
    assert alive == pytest.approx(np.asarray(theirs.conditional_probability_alive(*columns)), rel=1e-8)
    expected = MODELS["bg_nbd"].forecast(part).expected_transactions([100.0])[:, 0]
    by_formula = theirs.conditional_expected_number_of_purchases_up_to_time(100.0, *columns)
    assert expected == pytest.approx(np.asarray(by_formula), rel=1e-7)


def test_mean_amounts_equal_those_of_lifetimes(lifetimes, cdnow_table):
    import pandas as pd

    theirs = lifetimes.GammaGammaFitter()
    theirs.params_ = pd.Series({"p": AMOUNTS.p, "q": AMOUNTS.q, "v": AMOUNTS.gamma})
    value = theirs.conditional_expected_average_profit(cdnow_table.frequency, cdnow_table.monetary_value)
    assert AMOUNTS.mean_amount(cdnow_table) == pytest.approx(np.asarray(value), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_closed_forms_equal_monte_carlo(table, kind):
    forecast, horizon, draws = MODELS[kind].forecast(table.select(np.array([0, 1, 2, 3, 5]))), 273.0, 40_000
    counts, spend = forecast.sample(horizon, draws, seed=1)

    def within(sample, value):
        error = sample.std(axis=1) / np.sqrt(draws)
        return (np.abs(sample.mean(axis=1) - value) < 4.5 * error + 1e-12).all()

    assert within(counts, forecast.expected_transactions([horizon])[:, 0])
    assert within(spend, forecast.expected_spend([horizon])[:, 0])
    pmf = forecast.transaction_pmf(horizon, 20)
    share = (counts[:, :, None] == np.arange(21)).mean(axis=1)
    assert (np.abs(share - pmf) < 4.5 * np.sqrt(pmf * (1 - pmf) / draws) + 4 / draws).all()
    quantiles = forecast.spend_quantiles([horizon], LEVELS)[:, 0]
    for i, level in enumerate(LEVELS):
        share = (spend <= quantiles[:, [i]]).mean(axis=1)
        reached = quantiles[:, i] > 0
        assert np.abs(share[reached] - level).max(initial=0) < 0.01
        assert (share[~reached] >= level - 0.01).all()


def test_the_same_seed_draws_the_same_futures(table):
    forecast = MODELS["pareto_nbd"].forecast(table)
    for one, other in zip(forecast.sample(30.0, 5, 7), forecast.sample(30.0, 5, 7), strict=True):
        assert (one == other).all()


def simulated_base(kind, generator, size, age, horizon):
    """RFM columns and future counts of a base that follows the model."""
    x, last, future = np.zeros(size), np.zeros(size), np.zeros(size)
    for i in range(size):
        if kind == "pareto_nbd":
            rate = generator.gamma(PARETO.r) / PARETO.alpha
            life = generator.exponential() * PARETO.beta / generator.gamma(PARETO.s)
            times = np.cumsum(generator.exponential(size=4000)) / rate
            times = times[times < life]
        else:
            rate = generator.gamma(BG.r) / BG.alpha
            times = np.cumsum(generator.exponential(size=4000)) / rate
            times = times[: generator.geometric(generator.beta(BG.a, BG.b))]
        known = times[times < age]
        x[i], last[i] = len(known), known[-1] if len(known) else 0.0
        future[i] = ((times >= age) & (times < age + horizon)).sum()
    return x, last, future


@pytest.mark.parametrize("kind", KINDS)
def test_forecasts_of_a_base_that_follows_the_model_are_calibrated(make_table, kind):
    size, age, horizon = 6000, 200.0, 300.0
    x, last, future = simulated_base(kind, np.random.default_rng(3), size, age, horizon)
    table = make_table(x, last, np.full(size, age))
    forecast = fit_classical(kind, table).forecast(table)
    expected = forecast.expected_transactions([horizon])[:, 0]
    churn = forecast.churn_probability([horizon])[:, 0]
    for group in (x == 0, (x > 0) & (x < 4), x >= 4, last < 100, last >= 100):
        error = future[group].std() / np.sqrt(group.sum())
        assert abs(expected[group].mean() - future[group].mean()) < 5 * error
        error = np.sqrt(churn[group].mean() * (1 - churn[group].mean()) / group.sum())
        assert abs(churn[group].mean() - (future[group] == 0).mean()) < 5 * error


def positive(low, high):
    return st.floats(np.log(low), np.log(high)).map(np.exp)


@st.composite
def forecasts(draw):
    """Forecasts of a few customers under parameters far from any that were ever fitted."""
    size = draw(st.integers(1, 4))
    x = np.array(draw(st.lists(st.integers(0, 300), min_size=size, max_size=size)), dtype=np.float64)
    age = np.array(draw(st.lists(st.integers(0, 1000), min_size=size, max_size=size)), dtype=np.float64)
    x = np.minimum(x, age)
    recency = np.where(x > 0, np.maximum(age * draw(st.floats(0.1, 1.0)), 1), 0.0)
    first, third, fourth = draw(positive(1e-2, 50)), draw(positive(1e-2, 50)), draw(positive(1e-2, 50))
    scale = draw(positive(0.1, 1e4))
    alive_by = draw(st.sampled_from(KINDS))
    if alive_by == "pareto_nbd":
        model = ParetoNbd(first, scale, third, draw(positive(0.1, 1e4)))
        future = ParetoNbdFuture(first + x, scale + age, third, model.beta + age)
    else:
        model = BgNbd(first, scale, third, fourth)
        future = BgNbdFuture(first + x, scale + age, third, fourth + x)
    p, q = draw(positive(0.05, 200)), 1 + draw(positive(0.05, 50))
    amounts = Amounts(p, q + p * x, draw(positive(0.01, 1e5)) + x * 20.0)
    return ClassicalForecast(np.exp(model.log_alive_probability(x, recency, age)), future, amounts)


@given(forecasts(), positive(0.5, 700), positive(1.01, 4))
@settings(max_examples=60)
def test_every_forecast_is_coherent(forecast, horizon, factor):
    horizons = [horizon, horizon * factor]
    churn, expected = forecast.churn_probability(horizons), forecast.expected_transactions(horizons)
    assert ((churn >= 0) & (churn <= 1)).all()
    assert (np.diff(churn) <= 1e-12).all()
    assert (np.diff(expected) >= -1e-9 * expected[:, 1:]).all()
    pmf = forecast.transaction_pmf(horizon, 400)
    assert pmf[:, 0] == pytest.approx(churn[:, 0], abs=1e-9)
    assert (pmf >= 0).all()
    assert (pmf.sum(-1) <= 1 + 1e-9).all()
    whole = pmf.sum(-1) > 1 - 1e-12
    mean = pmf @ np.arange(401.0)
    assert mean[whole] == pytest.approx(expected[whole, 0], rel=1e-5, abs=1e-9)
    for quantiles in (forecast.spend_quantiles([horizon], LEVELS), forecast.transaction_quantiles([horizon], LEVELS)):
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles[:, 0]) >= 0).all()
        buys = churn[:, [0]] < np.array(LEVELS)
        assert ((quantiles[:, 0] > 0) == buys)[np.abs(churn[:, [0]] - np.array(LEVELS)) > 1e-6].all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_median_time_to_the_next_purchase_follows_from_churn(table, kind):
    forecast = MODELS[kind].forecast(table)
    median = forecast.next_purchase_median()
    known = np.flatnonzero(~np.isnan(median))
    assert 0 < len(known) < len(median)
    for i in known:
        assert forecast.churn_probability([median[i]])[i, 0] == pytest.approx(0.5, abs=1e-9)
    late = forecast.churn_probability([4000.0])[:, 0]
    assert (late[np.isnan(median)] > 0.5).all()


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    parameters=st.tuples(*[st.floats(np.log(lower), np.log(5_000.0)) for lower in (0.02, 5.0, 0.02, 5.0)]),
    chance=st.floats(0.501, 1.0),
)
def test_the_median_time_to_the_next_purchase_is_where_churn_crosses_a_half(kind, parameters, chance):
    r, alpha, s, beta = np.exp(parameters)
    one = np.ones(1)
    family = ParetoNbdFuture if kind == "pareto_nbd" else BgNbdFuture
    forecast = ClassicalForecast(chance * one, family(r * one, alpha * one, s, beta * one), None)
    median = forecast.next_purchase_median()[0]
    if np.isnan(median):
        assert forecast.churn_probability([2_000.0])[0, 0] > 0.5
    elif r / alpha * median < 100:  # of longer times a forecast takes many nodes
        early, late = forecast.churn_probability([median * 0.999, median * 1.001])[0]
        assert early >= 0.5 - 1e-7 and late <= 0.5 + 1e-7


def test_the_median_time_to_the_next_purchase_agrees_with_simulated_customers():
    generator, draws = np.random.default_rng(0), 200_000
    shape, scale, s, beta = 2.6, 60.0, 0.6, 300.0
    rate = generator.gamma(shape, 1 / scale, draws)
    life = generator.exponential(1 / generator.gamma(s, 1 / beta, draws))
    wait = generator.exponential(1 / rate)
    wait[wait > life] = np.inf
    alive = np.array([0.9])
    gone = generator.random(draws) > alive
    forecast = ClassicalForecast(
        alive, ParetoNbdFuture(np.array([shape]), np.array([scale]), s, np.array([beta])), None
    )
    assert forecast.next_purchase_median()[0] == pytest.approx(np.median(np.where(gone, np.inf, wait)), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_customer_is_forecast_the_same_in_any_company(table, kind):
    whole = MODELS[kind].forecast(table)
    for i in range(len(table)):
        one = MODELS[kind].forecast(table.select(np.array([i])))
        for name in ("expected_transactions", "expected_spend", "churn_probability"):
            assert getattr(one, name)(HORIZONS)[0] == pytest.approx(getattr(whole, name)(HORIZONS)[i], rel=1e-12)
        quantiles = one.spend_quantiles([30.0], LEVELS)[0], whole.spend_quantiles([30.0], LEVELS)[i]
        assert quantiles[0] == pytest.approx(quantiles[1], rel=1e-8)


def test_spend_quantiles_invert_the_distribution_function_of_one_purchase():
    """With exactly one purchase the spend is beta prime; its quantiles are those of a Beta distribution."""
    from seqclv.baselines.compound import spend_quantile

    amounts = Amounts(2.5, np.array([3.0]), np.array([40.0]))
    share = beta_distribution(2.5, 3.0).ppf(LEVELS)
    for level, u in zip(LEVELS, share, strict=True):
        found = spend_quantile(np.array([[1.0]]), amounts, np.array([level]))
        assert found[0] == pytest.approx(40 * u / (1 - u), rel=1e-8)


def test_parameters_survive_the_way_through_json(table):
    import json

    for model in MODELS.values():
        assert ClassicalModel.from_dict(json.loads(json.dumps(model.to_dict()))) == model


def test_a_damaged_description_is_refused():
    from seqclv.errors import InputError

    good = MODELS["bg_nbd"].to_dict()
    bad = [{}, good | {"kind": "lstm"}, good | {"time_unit": "week"}, good | {"purchases": {"r": 1.0}}]
    bad.append(good | {"purchases": good["purchases"] | {"a": -1.0}})
    for description in bad:
        with pytest.raises(InputError, match="stored classical model"):
            ClassicalModel.from_dict(description)
