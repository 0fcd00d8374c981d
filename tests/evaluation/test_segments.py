"""Metrics by segment are those of the segment's customers, and nothing is counted twice."""

import numpy as np
import pytest

from seqclv.data.windows import instant
from seqclv.evaluation import metrics
from seqclv.evaluation.compare import held_out
from seqclv.evaluation.segments import sections_by_segment
from seqclv.forecast.forecaster import forecast_table, predict


@pytest.fixture(scope="module")
def window(small_events):
    return held_out(small_events, instant("2021-07-01"), 90.0, "1d")


@pytest.fixture(scope="module")
def table(window, small_bundle):
    past = window.history
    return forecast_table(predict(small_bundle, past, window.cutoff), past.customer_id, window.cutoff, [90.0])


def test_each_segment_has_the_metrics_of_its_customers(table, window):
    often = np.diff(window.history.offset) > 4
    segment = np.where(often, "often", "seldom").astype(object)
    rows = sections_by_segment(table, window.actual, segment)
    assert [row["segment"] for row in rows] == ["often", "seldom"]
    churn, gone = table["churn_probability"].to_numpy(), window.actual.transactions == 0
    assert rows[0]["churn"]["log_loss"] == pytest.approx(metrics.log_loss(churn[often], gone[often]))
    spend = table["expected_spend"].to_numpy()
    assert rows[1]["spend"]["bias"] == pytest.approx(metrics.bias(spend[~often], window.actual.spend[~often]))
    assert rows[0]["transactions"]["crps"] is None


def test_the_segments_add_up_to_the_base(table, window):
    segment = np.array([None, "a", "b"], dtype=object)[np.arange(len(table)) % 3]
    rows = sections_by_segment(table, window.actual, segment)
    assert [row["segment"] for row in rows] == ["a", "b", None]
    assert sum(row["customers"] for row in rows) == len(table)
    for name, actual in (("transactions", window.actual.transactions), ("spend", window.actual.spend)):
        assert sum(row["totals"][name]["actual"] for row in rows) == pytest.approx(actual.sum())
        expected = table[f"expected_{name}"].to_numpy().sum()
        assert sum(row["totals"][name]["expected"] for row in rows) == pytest.approx(expected)
    for row in rows:
        assert sum(group["customers"] for group in row["reliability"]) == row["customers"]
