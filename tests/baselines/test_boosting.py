import warnings

import numpy as np
import pytest

from seqclv.baselines.boosting import fit_boosting
from seqclv.baselines.cutoff_features import cutoff_features, past_examples, trailing_windows
from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY as DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, outcome
from seqclv.errors import InputError

CUTOFF = instant("1997-10-01")


@pytest.fixture(scope="module")
def fitted(cdnow_lines):
    past = history(cdnow_lines, CUTOFF, "1d")
    return past, fit_boosting(past, CUTOFF, 273.0, seed=0)


def test_features_of_a_known_history(make_events):
    events = history(make_events([("a", 10, 4.0), ("a", 14, 1.0), ("a", 20, 7.0), ("a", 21, -2.0)]), 30 * DAY, "1d")
    row = cutoff_features(events, 30 * DAY, (1.0, 12.0))[0]
    assert row[:6].tolist() == [2.0, 10.0, 20.0, 10.0, 5.0, 2.0]  # frequency, recency, age, since last, gap, ratio
    assert row[6:9].tolist() == pytest.approx([6.0, 4.0, np.nan], nan_ok=True)
    assert row[9:14].tolist() == pytest.approx([12.0, 4.0, np.log(28) / 3, 7.0, 7.0])
    assert row[14:18].tolist() == [0.0, 0.0, 1.0, 7.0]
    assert row[18:].tolist() == [1.0, 2.0, 2.0]


def test_a_feature_that_every_example_lacks_is_left_out():
    """One purchase each so far: nobody has a gap."""
    lines = simulate(SimulationConfig(customers=3000, seed=1, days=730, mean_events=2)).transactions
    cutoff = instant("2020-02-01")
    past = history(events_from_frame(lines, DataConfig()), cutoff, "1d")
    assert np.isnan(past_examples(past, cutoff, 7.0, 6).features).all(axis=0).any()
    forecast = fit_boosting(past, cutoff, 7.0).forecast(past, cutoff)
    assert np.isfinite(forecast.expected_transactions([7.0])).all()
    assert np.isfinite(forecast.churn_probability([7.0])).all()


def test_windows_of_past_cutoffs_end_before_the_cutoff_and_halves_are_parts(cdnow_lines):
    past = history(cdnow_lines, CUTOFF, "1d")
    examples = past_examples(past, CUTOFF, 91.0, 6)
    assert (examples.half_count <= examples.count).all()
    latest = past_examples(past, CUTOFF, 91.0, 1)
    actual = outcome(cdnow_lines, past.customer_id[latest.customer], CUTOFF - 91 * DAY, 91.0, "1d")
    assert (latest.count == actual.transactions).all()
    assert latest.spend == pytest.approx(actual.spend)


def test_trailing_windows_double():
    assert trailing_windows(128.0) == (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


def test_on_cdnow_it_ranks_as_well_as_the_literature_says(cdnow_lines, fitted):
    past, model = fitted
    forecast = model.forecast(past, CUTOFF)
    actual = outcome(cdnow_lines, past.customer_id, CUTOFF, 273.0, "1d")
    expected, churn = forecast.expected_transactions([273.0])[:, 0], forecast.churn_probability([273.0])[:, 0]
    assert np.sqrt(np.mean((expected - actual.transactions) ** 2)) < 1.75
    none = actual.transactions == 0
    assert -np.mean(np.log(np.where(none, churn, 1 - churn))) < 0.53
    assert abs(expected.sum() / actual.transactions.sum() - 1) < 0.25


def test_the_forecast_does_not_depend_on_the_company_of_other_customers(fitted):
    past, model = fitted
    rows = np.array([5, 17, 400], dtype=np.int64)
    whole, part = model.forecast(past, CUTOFF), model.forecast(past.select(rows), CUTOFF)
    assert (part.transactions == whole.transactions[rows]).all()
    assert (part.churn == whole.churn[rows]).all()


def test_the_same_seed_gives_the_same_model(fitted):
    past, model = fitted
    again = fit_boosting(past, CUTOFF, 273.0, seed=0).forecast(past, CUTOFF)
    assert (again.spend == model.forecast(past, CUTOFF).spend).all()


def test_another_horizon_is_refused(fitted):
    past, model = fitted
    with pytest.raises(InputError, match="only the horizon it was fitted for, 273 days"):
        model.forecast(past, CUTOFF).expected_transactions([30.0])


def test_it_claims_no_distribution(fitted):
    past, model = fitted
    forecast = model.forecast(past, CUTOFF)
    assert len(forecast) == past.customers
    assert forecast.alive_probability() is None
    assert forecast.transaction_quantiles([273.0], [0.5]) is None
    assert forecast.spend_quantiles([273.0], [0.5]) is None
    assert forecast.transaction_pmf(273.0, 3) is None
    assert forecast.sample(273.0, 3, 0) is None


LOGS = {
    "one purchase": [("a", 29.5, 5.0)],
    "one customer": [("a", float(day), 5.0) for day in (1, 4, 9, 11, 20)],
    "one-time buyers only": [(f"c{i:03d}", i / 7, 5.0) for i in range(200)],
    "everybody every day": [(f"c{i:03d}", float(day), 5.0) for i in range(60) for day in range(30)],
    "all on one day": [(f"c{i:03d}", 29.0, 5.0) for i in range(60)],
}


@pytest.mark.parametrize("horizon", [3.0, 365.0])
@pytest.mark.parametrize("name", LOGS)
def test_tiny_and_degenerate_logs_get_finite_forecasts(make_events, name, horizon):
    past = history(make_events(LOGS[name]), 30 * DAY, "1d")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecast = fit_boosting(past, 30 * DAY, horizon).forecast(past, 30 * DAY)
    expected, spend = forecast.expected_transactions([horizon]), forecast.expected_spend([horizon])
    churn = forecast.churn_probability([horizon])
    assert np.isfinite(expected).all()
    assert np.isfinite(spend).all()
    assert ((expected >= 0) & (expected <= 1.2 * horizon)).all()
    assert ((churn >= 0) & (churn <= 1)).all()


def test_a_large_base_is_learned_from_a_sample_of_its_customers(cdnow_lines, monkeypatch):
    past = history(cdnow_lines, CUTOFF, "1d")
    monkeypatch.setattr("seqclv.baselines.boosting._MOST_CUSTOMERS", 300)
    forecast = fit_boosting(past, CUTOFF, 91.0).forecast(past, CUTOFF)
    assert len(forecast) == past.customers
    actual = outcome(cdnow_lines, past.customer_id, CUTOFF, 91.0, "1d")
    assert forecast.transactions.mean() == pytest.approx(actual.transactions.mean(), rel=0.8)
