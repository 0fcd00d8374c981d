"""The weekly-count LSTM: weeks, a coherent distribution of counts, seeded, sane on simulated customers."""

import warnings

import numpy as np
import pytest

from seqclv.baselines.weekly_counts import (
    WeeklyCounts,
    future_weeks_of_year,
    past_weeks_of_year,
    thinning,
    weekly_counts,
)
from seqclv.baselines.weekly_lstm import fit_weekly_lstm
from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY as DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, outcome
from seqclv.errors import InputError
from seqclv.evaluation import metrics

CUTOFF, HORIZON = instant("2021-01-01"), 92.0
LEVELS = [0.05, 0.5, 0.95]


@pytest.fixture(scope="module")
def base():
    """Histories and outcome of 500 simulated customers."""
    events = events_from_frame(
        simulate(SimulationConfig(customers=600, days=500, mean_events=12)).transactions, DataConfig()
    )
    past = history(events, CUTOFF, "1d")
    return past, outcome(events, past.customer_id, CUTOFF, HORIZON, "1d")


@pytest.fixture(scope="module")
def fitted(base):
    return fit_weekly_lstm(base[0], CUTOFF, HORIZON, seed=0)


@pytest.fixture(scope="module")
def forecast(base, fitted):
    return fitted.forecast(base[0], CUTOFF)


def test_weeks_end_at_the_cutoff_and_begin_with_the_first_purchase(make_events):
    rows = [("a", 0, 1.0), ("a", 13.9, 1.0), ("a", 14, 1.0), ("a", 20, 1.0), ("b", 27.5, 1.0)]
    counts = weekly_counts(history(make_events(rows), 28 * DAY, "none"), 28 * DAY, most=30)
    assert counts.length.tolist() == [4, 1]
    assert counts.count.tolist() == [[1, 1, 2, 0], [1, 0, 0, 0]]
    assert counts.known.tolist() == [[True] * 4, [True, False, False, False]]


def test_long_histories_are_cut_and_many_purchases_count_as_the_most(make_events):
    rows = [("a", float(day), 1.0) for day in (0, 1, *range(1500, 2100))]
    counts = weekly_counts(history(make_events(rows), 2100 * DAY, "none"), 2100 * DAY, most=5)
    assert counts.count.shape == (1, 200)
    assert counts.count[0, -1] == 5 and counts.count[0, 0] == 0


def test_customers_of_the_same_weeks_have_one_history():
    counts = WeeklyCounts(np.array([[1, 0, 0], [1, 0, 2], [1, 0, 0], [1, 0, 0]]), np.array([3, 3, 2, 3]))
    distinct, index = counts.distinct()
    assert len(distinct) == 3
    assert (distinct.count[index] == counts.count).all() and (distinct.length[index] == counts.length).all()


def test_weeks_of_the_year_go_on_across_the_cutoff():
    ahead, back = future_weeks_of_year(CUTOFF, 53), past_weeks_of_year(CUTOFF, 53)
    assert ahead[0] in (1, 52) and ahead[1:4].tolist() == [2, 3, 4] and ahead[52] in (1, 52)
    assert back[:3].tolist() == [52, 51, 50] or back[:3].tolist() == [51, 50, 49]


def test_a_part_of_a_week_keeps_each_purchase_with_its_share():
    kept = thinning(4, 0.25)
    assert kept.sum(axis=1) == pytest.approx(np.ones(4))
    assert kept @ np.arange(4) == pytest.approx(0.25 * np.arange(4))
    assert kept[2] == pytest.approx([0.5625, 0.375, 0.0625, 0])


def test_on_simulated_customers_it_beats_the_averages(base, forecast):
    actual = base[1]
    count, churn = forecast.expected_transactions([HORIZON])[:, 0], forecast.churn_probability([HORIZON])[:, 0]
    gone = actual.transactions == 0
    assert abs(metrics.bias(count, actual.transactions)) < 0.4
    assert metrics.gini(count, actual.transactions) > 0.6
    assert metrics.log_loss(churn, gone) < 0.8 * metrics.log_loss(np.full(len(gone), gone.mean()), gone)


def test_mean_churn_and_quantiles_are_of_one_distribution(forecast):
    pmf = forecast.transaction_pmf(HORIZON, 200)
    churn = forecast.churn_probability([HORIZON])[:, 0]
    assert pmf.sum(axis=1) == pytest.approx(np.ones(len(forecast)))
    assert (pmf >= 0).all() and (pmf[:, 0] == churn).all()
    mean, expected = pmf @ np.arange(201), forecast.expected_transactions([HORIZON])[:, 0]
    assert mean.sum() == pytest.approx(expected.sum(), rel=0.05)
    assert np.corrcoef(mean, expected)[0, 1] > 0.98
    quantiles = forecast.transaction_quantiles([HORIZON], LEVELS)[:, 0].astype(int)
    cdf = np.cumsum(pmf, axis=1)
    rows = np.arange(len(forecast))
    for level, n in zip(LEVELS, quantiles.T, strict=True):
        assert (cdf[rows, n] >= level - 1e-9).all()
        assert (np.where(n > 0, cdf[rows, np.maximum(n - 1, 0)], 0) < level).all()
    assert forecast.transaction_pmf(HORIZON, 2).shape == (len(forecast), 3)


def test_the_exact_churn_is_what_the_paths_show(base, fitted):
    counts, _ = weekly_counts(base[0], CUTOFF, fitted.network.head.out_features - 1).distinct()
    import torch

    with torch.inference_mode():
        none, mean, totals = fitted._roll_out(counts, CUTOFF)
    assert (totals == 0).mean() == pytest.approx(none.mean(), abs=0.01)
    assert totals.mean() == pytest.approx(mean.mean(), rel=0.03)


def test_the_same_seed_gives_the_same_forecast_and_another_one_another(base, forecast):
    few = base[0].select(np.arange(150))
    one, same, other = (fit_weekly_lstm(few, CUTOFF, HORIZON, seed).forecast(few, CUTOFF) for seed in (0, 0, 1))
    assert (one.transactions == same.transactions).all() and (one.pmf == same.pmf).all()
    assert (one.transactions != other.transactions).any()


def test_the_forecast_does_not_depend_on_the_company_of_other_customers(base, fitted, forecast):
    rows = np.array([5, 17, 300], dtype=np.int64)
    part = fitted.forecast(base[0].select(rows), CUTOFF)
    assert part.pmf[:, 0] == pytest.approx(forecast.pmf[rows, 0], rel=1e-4)
    assert part.transactions == pytest.approx(forecast.transactions[rows], rel=0.02)


def test_it_knows_no_money_and_no_other_horizon(forecast):
    assert forecast.expected_spend([HORIZON]) is None
    assert forecast.spend_quantiles([HORIZON], LEVELS) is None
    assert forecast.sample(HORIZON, 3, 0) is None
    assert forecast.alive_probability() is None and forecast.next_purchase_median() is None
    with pytest.raises(InputError, match="only the horizon it was fitted for, 92 days"):
        forecast.expected_transactions([30.0])


def test_a_season_is_read_only_from_histories_of_a_year(base, fitted):
    assert fitted.seasonal
    late = base[0].rows(base[0].timestamp >= instant("2020-06-01"))
    late = late.select(np.flatnonzero(np.diff(late.offset) > 0))
    assert not fit_weekly_lstm(late.select(np.arange(50)), CUTOFF, HORIZON).seasonal


LOGS = {
    "one purchase": [("a", 29.5, 5.0)],
    "one customer": [("a", float(day), 5.0) for day in range(1, 30)],
    "one-time buyers only": [(f"c{i:03d}", i / 7, 5.0) for i in range(200)],
    "everybody every day": [(f"c{i:03d}", float(day), 5.0) for i in range(60) for day in range(30)],
    "all on one day": [(f"c{i:03d}", 29.0, 5.0) for i in range(60)],
}


@pytest.mark.parametrize("horizon", [3.0, 100.0])
@pytest.mark.parametrize("name", LOGS)
def test_any_log_gives_finite_forecasts(name, horizon, make_events):
    past = history(make_events(LOGS[name]), 30 * DAY, "1d")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecast = fit_weekly_lstm(past, 30 * DAY, horizon).forecast(past, 30 * DAY)
    count, churn = forecast.expected_transactions([horizon]), forecast.churn_probability([horizon])
    assert np.isfinite(count).all() and (count > 0).all()
    assert (churn > 0).all() and (churn < 1).all()
