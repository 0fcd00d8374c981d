"""The level of the whole base at earlier cutoffs: what is recorded, and what of it is more than chance."""

import numpy as np
import pytest

from seqclv.bundle import load_bundle, save_bundle
from seqclv.config import Config
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.training.train import classical_bundle

CUTOFF = instant("2022-01-01")


def fitted(**kind):
    """Pareto/NBD, whose assumptions a simulated base fulfils, with its levels, and the histories."""
    base = simulate(SimulationConfig(customers=3000, seed=4, days=730, mean_events=10, **kind))
    config = Config()
    past = history(events_from_frame(base.transactions, config.data), CUTOFF, "1d")
    bundle = classical_bundle("pareto_nbd", past, CUTOFF, horizon_days=90, config=config, fingerprint="f")
    return bundle, past


@pytest.fixture(scope="module")
def steady():
    return fitted()


def test_levels_are_actual_totals_over_forecast_ones(steady):
    bundle, past = steady
    level = bundle.calibration.levels[0]
    start, end = CUTOFF - 90 * MICROSECONDS_PER_DAY, CUTOFF
    bought = (past.event_type == PURCHASE) & (past.timestamp >= start) & (past.timestamp < end)
    known = history(past, start, "1d")
    mine = bought & np.isin(past.customer_id[past.owner], known.customer_id)
    from seqclv.forecast.forecaster import predict

    expected = predict(bundle, known, start).expected_transactions([90.0]).sum()
    assert (level.horizon_days, level.customers) == (90, known.customers)
    assert level.transactions == pytest.approx(mine.sum() / expected)


def test_a_steady_base_strays_little_and_a_seasonal_one_much(steady):
    seasonal, _ = fitted(yearly_season=0.6)
    assert steady[0].calibration.spread.transactions < 0.06
    assert seasonal.calibration.spread.transactions > 0.15


def test_levels_know_nothing_of_what_follows_the_cutoff(steady):
    bundle, _past = steady
    assert all(instant(v.cutoff) + v.horizon_days * MICROSECONDS_PER_DAY <= CUTOFF for v in bundle.calibration.levels)


def test_a_bundle_keeps_its_calibration_and_the_card_tells_it(steady, tmp_path):
    save_bundle(steady[0], tmp_path / "m")
    assert load_bundle(tmp_path / "m").calibration == steady[0].calibration
    assert "How far totals may stray" in (tmp_path / "m" / "card.md").read_text("utf-8")


def test_a_log_of_some_days_has_no_levels():
    base = simulate(SimulationConfig(customers=50, seed=4, days=5, mean_events=2))
    cutoff = int(base.transactions["timestamp"].to_numpy().max().astype("datetime64[us]").astype(np.int64)) + 1
    past = history(events_from_frame(base.transactions, Config().data), cutoff, "1d")
    bundle = classical_bundle("pareto_nbd", past, cutoff, horizon_days=2, config=Config(), fingerprint="f")
    assert bundle.calibration is None
