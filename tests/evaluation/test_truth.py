"""Forecasts against a simulation's truth: the oracle is the exact posterior, the measures say what they claim."""

from functools import partial

import numpy as np
import pytest

from seqclv.baselines.classical import ClassicalModel
from seqclv.baselines.pareto_nbd import ParetoNbd
from seqclv.baselines.rfm import RfmTable
from seqclv.data.simulate import SimulationConfig, operational
from seqclv.evaluation.truth import Population, alive_auc, oracle, shape_correlation, share_on_gone

SEASON = partial(operational, config=SimulationConfig(yearly_season=0.7))
POPULATION = Population(r=0.9, alpha=20.0, s=0.8, beta=300.0, season=SEASON)
CUTOFF = 500.0


def simulated(population, size, cutoff, horizon, seed=0):
    """Customers from the laws themselves: first and last purchase, repeats, whether alive, purchases to come."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, cutoff, size)
    rate, life = rng.gamma(population.r, 1 / population.alpha, size), rng.standard_exponential(size)
    dropout = first + life / rng.gamma(population.s, 1 / population.beta, size)
    low, high = population.season(first), population.season(np.minimum(dropout, cutoff + horizon))
    owner = np.repeat(np.arange(size), rng.poisson(rate * (high - low)))
    grid = np.linspace(0, cutoff + horizon, 40_000)
    day = np.interp(rng.uniform(low[owner], high[owner]), population.season(grid), grid)
    past = day < cutoff
    last = first.copy()
    np.maximum.at(last, owner[past], day[past])
    count, later = (np.bincount(owner[part], minlength=size).astype(float) for part in (past, ~past))
    return first, last, count, dropout >= cutoff, later


@pytest.fixture(scope="module")
def base():
    return simulated(POPULATION, 20_000, CUTOFF, 150.0)


@pytest.fixture(scope="module")
def answer(base):
    first, last, count, _, _ = base
    return oracle(POPULATION, count, first, last, CUTOFF)


def test_of_the_customers_whom_the_oracle_gives_a_probability_that_share_is_alive(base, answer):
    alive = base[3]
    for group in np.array_split(np.argsort(answer.alive), 10):
        p = answer.alive[group]
        assert abs(alive[group].mean() - p.mean()) < 4 * np.sqrt((p * (1 - p)).sum()) / len(group) + 1e-3


def test_the_oracle_expects_on_average_what_happens(base, answer):
    later, expected = base[4], answer.expected_transactions(150.0)
    for group in np.array_split(np.argsort(expected), 10):
        error = later[group].std() / np.sqrt(len(group))
        assert abs(later[group].mean() - expected[group].mean()) < 4 * error + 1e-3


def test_without_a_season_the_oracle_is_pareto_nbd(base):
    first, last, count, _, _ = base
    plain = Population(r=0.9, alpha=20.0, s=0.8, beta=300.0, season=lambda day: day)
    rows = np.flatnonzero(count < 60)[:3_000]
    answer = oracle(plain, count[rows], first[rows], last[rows], CUTOFF)
    table = RfmTable(
        customer_id=np.array([str(i) for i in rows], dtype=object),
        frequency=count[rows],
        recency=(last - first)[rows],
        T=CUTOFF - first[rows],
        monetary_value=np.zeros(len(rows)),
    )
    theirs = ClassicalModel(ParetoNbd(0.9, 20.0, 0.8, 300.0), None).forecast(table)
    np.testing.assert_allclose(answer.alive, theirs.alive_probability(), rtol=1e-6)
    np.testing.assert_allclose(
        answer.expected_transactions(150.0), theirs.expected_transactions([150.0])[:, 0], rtol=1e-5
    )


def test_who_bought_at_the_cutoff_is_alive():
    one = np.array([3.0])
    assert oracle(POPULATION, one, np.array([100.0]), np.array([CUTOFF]), CUTOFF).alive[0] == pytest.approx(1.0)


def test_nobody_tells_alive_from_gone_better_than_the_oracle(base, answer):
    first, last, _, alive, _ = base
    best = alive_auc(answer.alive, alive)
    assert best > alive_auc(last - CUTOFF, alive) > 0.5
    assert best > alive_auc(last - first, alive)


def test_the_shape_is_that_of_the_weeks_not_of_the_level():
    weekly = np.array([5.0, 9.0, 4.0, 2.0])
    assert shape_correlation(3 * np.cumsum(weekly), weekly) == pytest.approx(1.0)
    assert shape_correlation(np.cumsum(10 - weekly), weekly) == pytest.approx(-1.0)
    hand = np.corrcoef([1.0, 2.0, 0.0, 1.0], weekly)[0, 1]
    assert shape_correlation(np.array([1.0, 3.0, 3.0, 4.0]), weekly) == pytest.approx(hand)


def test_a_flat_forecast_has_no_shape():
    assert shape_correlation(np.arange(1.0, 26.0), np.random.default_rng(0).poisson(9.0, 25).astype(float)) is None
    assert shape_correlation(np.array([1.0, 2.5]), np.array([1.0, 2.0])) is None


def test_the_share_on_gone_customers_is_of_the_volume():
    assert share_on_gone(np.array([3.0, 1.0, 0.0]), np.array([True, False, False])) == pytest.approx(0.25)
    assert share_on_gone(np.zeros(2), np.array([True, False])) is None
