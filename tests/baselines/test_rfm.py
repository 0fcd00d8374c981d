import warnings

import numpy as np
import pandas as pd
import pytest

from seqclv.baselines.rfm import RfmTable, rfm_summary, rfm_table
from seqclv.data.datasets import dataset
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.windows import history
from seqclv.errors import InputError


def by_lifetimes(lifetimes, frame, end=None):
    """The table of `lifetimes`; `end` is its last calibration day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lifetimes.utils.summary_data_from_transaction_data(
            frame, "customer_id", "timestamp", "amount", observation_period_end=end
        ).sort_index()


def random_log(seed, zeros):
    generator = np.random.default_rng(seed)
    size = 400
    amount = generator.lognormal(3, 1, size).round(2)
    if zeros:
        amount[generator.random(size) < 0.2] = 0.0
    return pd.DataFrame(
        {
            "customer_id": [f"{i:03d}" for i in generator.integers(0, 60, size)],
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 90 * 24, size), unit="h"),
            "amount": amount,
        }
    )


@pytest.mark.parametrize("end", [None, "1997-09-30"])
def test_the_summary_of_cdnow_equals_that_of_lifetimes(lifetimes, end):
    frame = dataset("cdnow_sample").to_pandas()
    ours = rfm_summary(frame, end and pd.Timestamp(end) + pd.Timedelta(days=1), zeros="count")
    pd.testing.assert_frame_equal(ours, by_lifetimes(lifetimes, frame, end), check_index_type=False)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", [None, "2024-02-15"])
def test_the_summary_of_a_random_log_equals_that_of_lifetimes(lifetimes, seed, end):
    frame = random_log(seed, zeros=True)
    ours = rfm_summary(frame, end and pd.Timestamp(end) + pd.Timedelta(days=1), zeros="count")
    pd.testing.assert_frame_equal(ours, by_lifetimes(lifetimes, frame, end), check_index_type=False)


@pytest.mark.parametrize("seed", range(3))
def test_without_zero_amounts_both_conventions_agree(seed):
    frame = random_log(seed, zeros=False)
    pd.testing.assert_frame_equal(rfm_summary(frame), rfm_summary(frame, zeros="count"))


def test_by_default_days_without_a_positive_net_amount_are_no_purchases():
    rows = [("a", "2024-01-01", 0.0), ("a", "2024-01-03", 5.0), ("a", "2024-01-05", 9.0), ("a", "2024-01-05", -9.0)]
    rows += [("a", "2024-01-08", 7.0), ("b", "2024-01-02", 0.0)]
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    ours = rfm_summary(frame, "2024-01-11")
    assert ours.index.tolist() == ["a"]
    assert ours.loc["a"].tolist() == [1.0, 5.0, 7.0, 7.0]
    assert rfm_summary(frame, "2024-01-11", zeros="count").loc["a", "frequency"] == 3.0


def test_other_column_names_and_an_arrow_table_are_read(lifetimes):
    frame = random_log(0, zeros=True).rename(columns={"customer_id": "who", "timestamp": "when", "amount": "paid"})
    import pyarrow as pa

    names = {"customer_id": "who", "timestamp": "when", "amount": "paid"}
    pd.testing.assert_frame_equal(
        rfm_summary(pa.Table.from_pandas(frame), **names), rfm_summary(random_log(0, zeros=True))
    )


def test_age_ends_on_the_last_calibration_day(make_events):
    events = make_events([("a", 10.5, 1.0), ("a", 12.9, 3.0), ("a", 12.95, 2.0)])
    table = rfm_table(history(events, 20 * MICROSECONDS_PER_DAY, "1d"), 20 * MICROSECONDS_PER_DAY)
    assert (table.frequency[0], table.recency[0], table.T[0]) == (1.0, 2.0, 9.0)
    assert (table.monetary_value[0], table.first_amount[0]) == (5.0, 1.0)


def test_events_at_or_after_the_cutoff_do_not_count(make_events):
    rows = [("a", 1.0, 1.0), ("a", 3.0, 1.0)]
    cutoff = 5 * MICROSECONDS_PER_DAY
    past = rfm_table(history(make_events(rows), cutoff, "1d"), cutoff)
    known = rfm_table(history(make_events([*rows, ("a", 5.0, 9.0), ("b", 6.0, 1.0)]), cutoff, "1d"), cutoff)
    pd.testing.assert_frame_equal(past.to_frame(), known.to_frame())


def test_a_history_without_events_has_an_empty_table(make_events):
    assert len(rfm_table(history(make_events([("a", 9.0, 1.0)]), 0, "1d"), 0)) == 0


def test_a_table_survives_the_way_through_a_frame(cdnow_table):
    back = RfmTable.from_frame(cdnow_table.to_frame())
    pd.testing.assert_frame_equal(back.to_frame(), cdnow_table.to_frame())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"recency": 99.0}, "recency <= T"),
        ({"frequency": -1.0}, "frequency is a whole number"),
        ({"frequency": 1.5}, "frequency is a whole number"),
        ({"frequency": 0.0}, "recency is 0 exactly when frequency is 0"),
        ({"recency": 0.0}, "recency is 0 exactly when frequency is 0"),
        ({"recency": -2.0}, "at least 0 days"),
        ({"T": np.nan}, "are finite"),
        ({"monetary_value": -3.0}, "monetary_value is finite"),
        ({"T": "soon"}, "holds numbers"),
    ],
)
def test_a_contradictory_table_is_refused_with_the_rule_and_the_customer(change, rule):
    row = {"customer_id": "x7", "frequency": 2.0, "recency": 5.0, "T": 9.0, "monetary_value": 3.0} | change
    with pytest.raises(InputError, match=rule):
        RfmTable.from_frame(pd.DataFrame([row]))


def test_a_table_without_age_or_with_doubled_ids_is_refused():
    frame = pd.DataFrame({"frequency": [0, 0], "recency": [0, 0]}, index=["a", "a"])
    with pytest.raises(InputError, match="lacks T"):
        RfmTable.from_frame(frame)
    with pytest.raises(InputError, match="an id occurs once"):
        RfmTable.from_frame(frame.assign(T=3))


def test_an_unknown_convention_is_refused():
    with pytest.raises(InputError, match="'exclude' or 'count'"):
        rfm_summary(random_log(0, zeros=False), zeros="drop")
