"""Customers who have bought once: their forecast is as wide as their future is open."""

import numpy as np
import pytest

from seqclv.config import DataConfig
from seqclv.configfile import config_from
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, outcome
from seqclv.forecast.forecaster import predict
from seqclv.training.train import classical_bundle, train_bundle

TRAINED, ASKED, HORIZON = "2021-01-01", "2021-06-01", 90.0


@pytest.fixture(scope="module")
def events():
    base = simulate(SimulationConfig(customers=6000, seed=5, days=730, mean_events=6))
    return events_from_frame(base.transactions, DataConfig())


def newcomers(events):
    """Who bought once, after the model was trained."""
    past = history(events, instant(ASKED), "1d")
    once = np.diff(past.offset) == 1
    late = past.timestamp[past.offset[:-1]] >= instant(TRAINED)
    return past.select(np.flatnonzero(once & late))


def coverage(events, bundle):
    """The share of randomized probability integral transforms of the count in [0.05, 0.95], and their mean."""
    past = newcomers(events)
    actual = outcome(events, past.customer_id, instant(ASKED), HORIZON, "1d").transactions.astype(int)
    cdf = predict(bundle, past, instant(ASKED)).transaction_pmf(HORIZON, int(actual.max()) + 1).cumsum(-1)
    row = np.arange(len(actual))
    below = np.where(actual > 0, cdf[row, np.maximum(actual - 1, 0)], 0.0)
    place = below + (cdf[row, actual] - below) * np.random.default_rng(0).random(len(actual))
    return len(actual), float(np.mean((place >= 0.05) & (place <= 0.95))), float(place.mean())


def test_later_cohorts_of_one_time_buyers_are_covered_by_the_true_model(events):
    past = history(events, instant(TRAINED), "1d")
    config = config_from({})
    bundle = classical_bundle("pareto_nbd", past, instant(TRAINED), horizon_days=HORIZON, config=config, fingerprint="")
    number, share, centre = coverage(events, bundle)
    assert number > 500
    assert share == pytest.approx(0.9, abs=0.035)
    assert centre == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_later_cohorts_of_one_time_buyers_are_covered_by_the_network(events, tmp_path):
    past = history(events, instant(TRAINED), "1d")
    assert (past.timestamp < instant(TRAINED)).all()
    config = config_from(
        {
            "model": {"hidden_size": 12, "query_size": 24, "behaviours": 6},
            "training": {"max_steps": 250, "batch_events": 4096},
            "ensemble": 1,
        }
    )
    bundle, _ = train_bundle(
        past, instant(TRAINED), horizon_days=HORIZON, config=config, fingerprint="", work=tmp_path, quiet=True
    )
    number, share, centre = coverage(events, bundle)
    assert number > 500
    assert share == pytest.approx(0.9, abs=0.05)
    assert centre == pytest.approx(0.5, abs=0.08)


def test_a_newcomer_of_an_hour_ago_is_forecast(events):
    past = history(events, instant(TRAINED), "1d")
    bundle = classical_bundle(
        "pareto_nbd", past, instant(TRAINED), horizon_days=HORIZON, config=config_from({}), fingerprint=""
    )
    one = newcomers(events).select(np.array([0]))
    soon = int(one.timestamp[0]) + MICROSECONDS_PER_DAY // 24
    forecast = predict(bundle, one, soon)
    assert 0 < forecast.churn_probability([HORIZON])[0, 0] < 1
    assert forecast.transaction_quantiles([365.0], [0.05, 0.95])[0, 0].tolist()[0] == 0
