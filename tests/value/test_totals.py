"""Totals add up, and their intervals contain the error that customers share."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from seqclv.calibration import LevelSpread
from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import instant
from seqclv.value.coverage import Total, classical_fit, judge, level_spread, rolling_totals
from seqclv.value.totals import interval, totals


@pytest.fixture(scope="module")
def rows(valued):
    return pd.DataFrame(valued["network"].totals["totals"])


def test_every_grouping_adds_up_to_the_base(rows):
    sums = rows.groupby(["group_by", "quantity", "horizon_days"], dropna=False)[["expected", "customers"]].sum()
    base = sums.loc["base"]
    for grouping in ("tier", "stage", "cohort", "channel"):
        pd.testing.assert_frame_equal(sums.loc[grouping], base, rtol=1e-9)


def test_totals_are_those_of_the_table(rows, valued):
    frame = pq.read_table(valued["network"].out).to_pandas()
    part = frame[frame["horizon_days"] == 90]
    chosen = rows[(rows["group_by"] == "base") & (rows["horizon_days"] == 90)].set_index("quantity")
    assert chosen.loc["value", "expected"] == pytest.approx(part["value"].sum())
    assert chosen.loc["spend", "expected"] == pytest.approx(part["expected_spend"].sum())
    assert chosen.loc["spend", "own_sd"] == pytest.approx(np.sqrt(part["spend_variance"].sum()))
    assert chosen.loc["spend", "level_sd"] == pytest.approx(0.06 * part["expected_spend"].sum())
    assert chosen.loc["transactions", "level_sd"] == pytest.approx(0.05 * part["expected_transactions"].sum())
    residual = rows[(rows["group_by"] == "base") & rows["horizon_days"].isna()].iloc[0]
    assert residual["expected"] == pytest.approx(part["residual_value"].sum())


def test_the_interval_is_the_gamma_distribution_of_mean_and_variance():
    low, high = interval(np.array([100.0]), np.array([36.0]), 0.08)
    deviation = np.sqrt(36 + 64)
    shape = (100 / deviation) ** 2
    drawn = np.random.default_rng(0).gamma(shape, 100 / shape, 400_000)
    assert drawn.std() == pytest.approx(deviation, rel=0.01)
    assert np.quantile(drawn, [0.05, 0.95]) == pytest.approx([low[0], high[0]], rel=0.002)
    assert stats.norm.interval(0.9, 100, deviation) == pytest.approx((low[0], high[0]), rel=0.02)


def test_shared_error_does_not_average_out():
    """A hundred times the customers: the own error falls to a tenth, the shared one stays."""
    small = interval(np.array([1e3]), np.array([1e3]), 0.05)
    large = interval(np.array([1e5]), np.array([1e5]), 0.05)
    assert (large[1] - large[0])[0] / 1e5 > 0.15
    assert (small[1] - small[0])[0] / 1e3 > (large[1] - large[0])[0] / 1e5


def test_an_unknown_variance_has_no_interval(make_values, tmp_path):
    path = make_values(tmp_path / "v.parquet", customer_id=["a", "b"], spend_variance=[1.0, np.nan])
    rows = pd.DataFrame(totals(path, LevelSpread()))
    chosen = rows[(rows["group_by"] == "base") & (rows["quantity"] == "spend")].iloc[0]
    assert chosen["expected"] == 2.0
    assert np.isnan(chosen["low"])
    assert np.isnan(chosen["high"])
    low, high = interval(np.array([-100.0]), np.array([100.0]), 0.0)  # a loss is as wide as a gain
    assert low[0] < -100 < high[0] < 0
    low, high = interval(np.array([0.0]), np.array([0.0]), 0.1)
    assert (low[0], high[0]) == (0.0, 0.0)


def total(day, ratio, own=0.0):
    return Total(
        cutoff=day * MICROSECONDS_PER_DAY,
        horizon_days=10.0,
        quantity="spend",
        expected=1000.0,
        own_variance=own,
        actual=1000.0 * ratio,
    )


def test_the_level_spread_is_what_own_errors_do_not_explain():
    ratios = [0.9, 1.1, 0.9, 1.1]
    assert level_spread([total(i, r) for i, r in enumerate(ratios)]) == pytest.approx(0.1)
    assert level_spread([total(i, r, own=80.0**2) for i, r in enumerate(ratios)]) == pytest.approx(0.06)
    assert level_spread([total(i, r, own=200.0**2) for i, r in enumerate(ratios)]) == 0.0


def test_a_total_is_judged_by_windows_that_had_ended():
    found = [total(10 * i, 1.0) for i in range(6)]
    wild = [*found, total(55, 5.0)]  # its window ends on day 65
    judged = judge([*wild, total(60, 1.0)], warm_up=4)
    assert [one.total.cutoff // MICROSECONDS_PER_DAY for one in judged] == [40, 50, 55, 60]
    assert judged[-1].spread == 0.0


@pytest.mark.slow
def test_intervals_of_totals_cover_what_happens_about_nine_times_in_ten():
    """A base with a season that Pareto/NBD does not know: the own errors alone cover far too little."""
    base = simulate(SimulationConfig(customers=1200, seed=3, days=1095, mean_events=8, yearly_season=0.3))
    events = events_from_frame(base.transactions, DataConfig())
    cutoffs = [instant("2021-01-01") + i * 21 * MICROSECONDS_PER_DAY for i in range(32)]

    judged = judge(rolling_totals(events, cutoffs, 28.0, classical_fit("pareto_nbd", 28.0)), warm_up=6)
    assert len(judged) >= 2 * 12
    assert np.mean([one.covered for one in judged]) >= 0.8
    assert np.mean([one.covered_by_own for one in judged]) < 0.6
