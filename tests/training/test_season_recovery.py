"""A season in the data is found by training and moves the forecasts of single months."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.forecast.forecaster import predict
from seqclv.training.train import train_bundle

CUTOFF, AMPLITUDE = "2023-01-01", 0.6


@pytest.fixture(scope="module")
def seasonal(small_config, tmp_path_factory):
    """A model of customers who buy with a yearly season, 2020 to 2022, and their histories."""
    base = simulate(SimulationConfig(customers=1_000, seed=3, days=1096, mean_events=12, yearly_season=AMPLITUDE))
    past = history(events_from_frame(base.transactions, DataConfig()), instant(CUTOFF), "1d")
    training = replace(small_config.training, max_steps=300, max_epochs=50)
    config = replace(small_config, training=training, ensemble=1, data=DataConfig())
    work = tmp_path_factory.mktemp("work")
    bundle, _ = train_bundle(
        past, instant(CUTOFF), horizon_days=180.0, config=config, fingerprint="f", work=work, quiet=True
    )
    return bundle, past


@pytest.mark.slow
def test_the_season_is_recovered(seasonal):
    bundle, _ = seasonal
    season = bundle.networks[0].season
    days = torch.arange(366, dtype=torch.float32) / 365.2425
    with torch.no_grad():
        passed = season.operational(torch.zeros(366), days).numpy()
    start = (instant("2020-01-01") / MICROSECONDS_PER_DAY / 365.2425) % 1.0  # the simulated season begins there
    expected = 1 + AMPLITUDE * np.sin(2 * np.pi * (days[:-1].numpy() - start))
    found = np.diff(passed) * 365.2425
    assert np.corrcoef(found, expected)[0, 1] > 0.95
    assert np.abs(found - expected).mean() < 0.2


@pytest.mark.slow
def test_forecasts_of_single_months_follow_the_season(seasonal):
    bundle, past = seasonal
    predictive = predict(bundle, past, instant(CUTOFF))
    total = predictive.expected_transactions([float(d) for d in range(30, 361, 30)]).sum(axis=0)
    monthly = np.diff(total, prepend=0.0)
    assert monthly[:3].mean() > 1.3 * monthly[6:9].mean()  # the sine is high in spring, low in autumn


@pytest.mark.slow
def test_churn_still_falls_with_the_horizon_on_a_seasonal_clock(seasonal):
    bundle, past = seasonal
    churn = predict(bundle, past, instant(CUTOFF)).churn_probability([1.0, 7.0, 30.0, 180.0, 365.0, 1000.0])
    assert (np.diff(churn, axis=1) <= 1e-12).all()
