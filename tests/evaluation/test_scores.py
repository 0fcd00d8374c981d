"""Scores reduce a predictive distribution to what the metrics need, and invent nothing."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from seqclv.data.windows import Outcome
from seqclv.evaluation.scores import Scores, join, scores, sections
from seqclv.forecast.distribution import ClockedProcess, ProcessForecast
from seqclv.forecast.forecaster import forecast_table
from seqclv.model.process import PurchaseProcess

HORIZON = 20.0
SECTIONS = {
    "transactions": {"bias", "rmse", "mae_of_median", "crps", "gini", "spearman", "pit_ks"},
    "spend": {"bias", "rmse", "mae_of_median", "crps", "gini", "spearman", "coverage_90", "pit_ks"},
    "churn": {"auc", "brier", "log_loss", "ece"},
}


def one_process(process):
    return ProcessForecast([ClockedProcess(process)])


@pytest.fixture(scope="module")
def forecast():
    g = torch.Generator().manual_seed(0)

    def draw(low, high, k):
        return low + (high - low) * torch.rand(400, k, generator=g, dtype=torch.float64)

    weight = torch.log_softmax(torch.randn(400, 4, generator=g, dtype=torch.float64), -1)
    return one_process(PurchaseProcess(weight, draw(-4, 0, 3), draw(-5, -1, 3), draw(0, 2, 3), draw(2, 4, 3)))


@pytest.fixture(scope="module")
def actual(forecast):
    """An outcome drawn from the forecast itself."""
    counts, spend = forecast.sample(HORIZON, 1, seed=1)
    return Outcome(counts[:, 0], spend[:, 0], np.zeros(len(forecast)))


@pytest.fixture(scope="module")
def table(forecast):
    return forecast_table(forecast, [f"c{i:03d}" for i in range(len(forecast))], 0, [HORIZON])


@pytest.fixture(scope="module")
def result(forecast, table, actual):
    return scores(forecast, table, actual, HORIZON)


def test_sections_are_those_of_the_contract_and_plain_json(result, actual):
    found = sections(result, actual)
    assert {name: set(section) for name, section in found.items()} == SECTIONS
    assert json.loads(json.dumps(found)) == found


def test_a_distribution_scores_well_on_what_it_generated(result, actual):
    found = sections(result, actual)
    assert abs(found["transactions"]["bias"]) < 0.2
    assert found["spend"]["coverage_90"] > 0.88
    assert found["churn"]["ece"] < 0.1
    assert found["churn"]["auc"] > 0.6


def test_pits_of_the_truth_are_uniform_and_of_a_distorted_forecast_are_not(forecast, table, actual, result):
    found = sections(result, actual)
    limit = 1.95 / np.sqrt(len(forecast))
    assert found["transactions"]["pit_ks"] < limit and found["spend"]["pit_ks"] < limit
    p = forecast.until(HORIZON)
    other = one_process(PurchaseProcess(p.log_weight, p.log_rate + 0.7, p.log_hazard, p.log_shape, p.log_mean + 0.7))
    worse = sections(scores(other, table, actual, HORIZON), actual)
    assert worse["transactions"]["pit_ks"] > limit and worse["spend"]["pit_ks"] > limit


def test_the_chance_in_pits_depends_on_the_customer_alone(forecast, table, actual, result):
    rows = np.arange(100, 400)
    part = one_process(forecast.until(HORIZON).select(torch.from_numpy(rows)))
    some = scores(part, table.take(rows), Outcome(*(c[rows] for c in vars(actual).values())), HORIZON, seed=9)
    np.testing.assert_allclose(some.transaction_pit, result.transaction_pit[rows], atol=1e-9)
    nobody = (actual.spend[rows] == 0) & (some.churn > 0.05)
    np.testing.assert_allclose(some.spend_pit[nobody], result.spend_pit[rows][nobody], atol=0.15)  # other draws


def test_amounts_that_are_unknown_have_no_pit_and_no_crps(forecast, table, actual):
    class CountsOnly:
        """Counts of a forecast, with draws of spend that are no numbers."""

        expected_transactions, transaction_pmf = forecast.expected_transactions, forecast.transaction_pmf

        def sample(self, horizon_days, draws, seed):
            counts, spend = forecast.sample(horizon_days, draws, seed)
            return counts, np.full_like(spend, np.nan)

    found = sections(scores(CountsOnly(), table, actual, HORIZON), actual)
    assert found["spend"]["pit_ks"] is None and found["spend"]["crps"] is None
    assert found["transactions"]["pit_ks"] is not None


def test_crps_of_the_truth_is_smaller_than_of_another_distribution(forecast, table, actual, result):
    p = forecast.until(HORIZON)
    other = one_process(PurchaseProcess(p.log_weight, p.log_rate + 0.7, p.log_hazard, p.log_shape, p.log_mean + 0.7))
    worse = scores(other, table, actual, HORIZON)
    assert worse.transaction_crps.mean() > result.transaction_crps.mean()
    assert worse.spend_crps.mean() > result.spend_crps.mean()


def test_crps_of_counts_agrees_with_that_of_draws(forecast, actual, result):
    from seqclv.evaluation.metrics import crps_from_draws

    draws = forecast.sample(HORIZON, 4_000, seed=5)[0]
    np.testing.assert_allclose(
        result.transaction_crps.mean(), crps_from_draws(draws, actual.transactions).mean(), rtol=0.02
    )


def test_scores_are_the_same_for_the_same_seed(forecast, table, actual, result):
    again = scores(forecast, table, actual, HORIZON)
    np.testing.assert_array_equal(again.spend_crps, result.spend_crps)


def test_groups_of_customers_join_to_the_whole(result):
    def cut(a, b):
        return Scores(**{name: column[a:b] for name, column in vars(result).items()})

    whole = join([cut(0, 150), cut(150, 151), cut(151, 400)])
    for name, column in vars(result).items():
        np.testing.assert_array_equal(getattr(whole, name), column)


def test_what_one_group_lacks_the_whole_lacks(result):
    bare = Scores(result.transactions, result.spend, *[None] * 7)
    whole = join([result, bare])
    assert whole.churn is None and whole.spend_crps is None
    assert len(whole.spend) == 800


def test_a_method_with_point_forecasts_only_has_null_where_it_has_no_answer(actual, table):
    class PointForecast:
        """Means and nothing else."""

        def expected_transactions(self, horizons_days):
            return np.ones((400, 1))

        def transaction_pmf(self, horizon_days, maximum):
            return None

        def sample(self, horizon_days, draws, seed):
            return None

    nothing = pa.nulls(400, pa.float64())
    columns = [name for name in table.column_names if name.startswith(("spend_q", "transactions_q", "churn"))]
    for name in columns:
        table = table.set_column(table.column_names.index(name), name, nothing)
    found = sections(scores(PointForecast(), table, actual, HORIZON), actual)
    assert set(found["churn"].values()) == {None}
    for part in ("transactions", "spend"):
        assert found[part]["pit_ks"] is None
        assert found[part]["crps"] is None and found[part]["mae_of_median"] is None
        assert found[part]["rmse"] is not None
    assert found["spend"]["coverage_90"] is None


def test_a_window_in_which_nobody_buys_has_no_ranking_and_no_bias(forecast, table):
    nothing = Outcome(*(np.zeros(400),) * 3)
    found = sections(scores(forecast, table, nothing, HORIZON), nothing)
    assert found["transactions"]["bias"] is None and found["spend"]["gini"] is None and found["churn"]["auc"] is None
    assert found["transactions"]["crps"] > 0


def test_a_method_without_counts_or_without_money_has_null_for_their_section(actual, result):
    without_counts = Scores(
        None, result.spend, result.churn, None, result.spend_quantiles, None, result.spend_crps, None, result.spend_pit
    )
    found = sections(without_counts, actual)
    assert set(found["transactions"].values()) == {None}
    assert None not in found["spend"].values() and None not in found["churn"].values()
    without_money = Scores(result.transactions, *[None] * 8)
    assert set(sections(without_money, actual)["spend"].values()) == {None}
    assert join([result, without_counts]).transactions is None


def test_draws_stand_in_for_very_long_pmfs(forecast, table, actual, result, monkeypatch):
    monkeypatch.setattr("seqclv.evaluation.scores._PMF_CELLS", 1)
    drawn = scores(forecast, table, actual, HORIZON)
    assert drawn.transaction_crps.mean() == pytest.approx(result.transaction_crps.mean(), rel=0.02)
    np.testing.assert_allclose(drawn.transaction_pit, result.transaction_pit, atol=0.15)
