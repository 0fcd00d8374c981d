"""Before and after: histories end strictly before the cutoff, lines are cut before they are merged."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqclv.data.events import FIRST_FURTHER_TYPE, MICROSECONDS_PER_DAY, PURCHASE, REFUND, ZERO
from seqclv.data.windows import (
    before,
    end_of_log,
    history,
    instant,
    merge_period,
    merged,
    outcome,
    search,
    to_timestamp,
    within,
)
from seqclv.errors import InputError

DAY = MICROSECONDS_PER_DAY
NAMES = {PURCHASE: "purchase", REFUND: "refund", ZERO: "zero"}


def facts(events):
    """Each event as (customer, day, amount, kind)."""
    kinds = [*NAMES.values(), *events.further_types]
    return [
        (events.customer_id[c], t / DAY, a, kinds[k])
        for c, t, a, k in zip(events.owner, events.timestamp, events.amount, events.event_type, strict=True)
    ]


# -- instants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-07-01", "2024-07-01"),
        ("20240701", "2024-07-01"),
        ("2024-07-01 13:30", "2024-07-01 13:30"),
        ("2024-07-01T13:30:00.25", "2024-07-01 13:30:00.25"),
        ("2024-07-01T13:30Z", "2024-07-01 13:30"),
        ("2024-07-01T13:30+02:00", "2024-07-01 11:30"),
        ("1958-02-03", "1958-02-03"),
        (datetime.date(2024, 7, 1), "2024-07-01"),
        (datetime.datetime(2024, 7, 1, 5), "2024-07-01 05:00"),
        (np.datetime64("2024-07-01"), "2024-07-01"),
        (pd.Timestamp("2024-07-01 00:00", tz="Asia/Tokyo"), "2024-06-30 15:00"),
    ],
)
def test_an_instant_is_a_date_or_a_time_and_zones_become_utc(value, expected):
    assert to_timestamp(instant(value)) == pd.Timestamp(expected)


@pytest.mark.parametrize(
    "value",
    [
        *("", "nonsense", "2024-13-01", "123456-01-01", "10:00", "today", "01/02/2024", "12"),
        *(None, float("nan"), pd.NaT, 20240701, 1.5, True, [1], {}),
    ],
)
def test_what_is_no_date_is_refused_as_a_cutoff(value):
    with pytest.raises(InputError, match=r"A cutoff is a date or a time such as 2024-07-01"):
        instant(value)


def test_the_message_names_what_the_instant_is_for():
    with pytest.raises(InputError, match="A bound is a date"):
        instant("soon", what="bound")


@pytest.mark.parametrize(("merge", "days"), [("none", None), ("6h", 0.25), ("1d", 1), ("7d", 7), (" 12 h ", 0.5)])
def test_a_merge_period_is_hours_or_days(merge, days):
    assert merge_period(merge) == (None if days is None else days * DAY)


@pytest.mark.parametrize("merge", ["", "0d", "1w", "d", "-1d", "1.5d", "daily"])
def test_another_merge_period_is_refused(merge):
    with pytest.raises(InputError, match="merge is 'none' or a period"):
        merge_period(merge)


# -- cutting -------------------------------------------------------------------------------------------------------


def test_history_is_strictly_before_the_cutoff_and_the_window_starts_with_it(events_of):
    events = events_of([("a", 1, 5), ("a", 2, 7), ("a", 3, 9)])
    assert before(events, 2 * DAY).amount.tolist() == [5]
    assert within(events, 2 * DAY, 3 * DAY).amount.tolist() == [7]


def test_a_cutoff_within_a_day_splits_the_lines_of_that_day(events_of):
    events = events_of([("a", 1.25, 5), ("a", 1.75, 7), ("b", 1.75, 1)])
    cutoff = round(1.5 * DAY)
    past = history(events, cutoff, "1d")
    assert facts(past) == [("a", 1.25, 5, "purchase")]
    after = outcome(events, past.customer_id, cutoff, 1.0, "1d")
    assert (after.transactions.tolist(), after.spend.tolist()) == ([1], [7])


def test_a_refund_after_the_cutoff_does_not_take_back_a_purchase_before_it(events_of):
    events = events_of([("a", 1.25, 5), ("a", 1.75, -5)])
    cutoff = round(1.5 * DAY)
    past = history(events, cutoff, "1d")
    assert facts(past) == [("a", 1.25, 5, "purchase")]
    assert outcome(events, past.customer_id, cutoff, 1.0, "1d").refunds.tolist() == [5]


def test_a_customer_without_a_purchase_before_the_cutoff_has_no_history(events_of):
    events = events_of(
        [("a", 1, 5), ("b", 1, 0), ("c", 1, -3), ("d", 9, 5), ("e", 1, 0, "visit"), ("f", 1, 5), ("f", 1, -5)]
    )
    assert history(events, 5 * DAY, "1d").customer_id.tolist() == ["a"]


def test_nobody_bought_before_the_first_event(events_of):
    assert history(events_of([("a", 1, 5)]), 0, "1d").customers == 0


# -- merging -------------------------------------------------------------------------------------------------------


def test_lines_of_one_day_become_one_event_at_the_first_line(events_of):
    events = events_of([("a", 1.5, 5), ("a", 1.75, 7), ("a", 2.0, 1), ("b", 1.75, 3)])
    assert facts(merged(events, "1d")) == [
        ("a", 1.5, 12, "purchase"),
        ("a", 2, 1, "purchase"),
        ("b", 1.75, 3, "purchase"),
    ]


@pytest.mark.parametrize(
    ("merge", "days"),
    [
        ("none", [6.9, 7.0, 7.2, 7.3, 13.9, 14]),
        ("6h", [6.9, 7.0, 7.3, 13.9, 14]),
        ("1d", [6.9, 7, 13.9, 14]),
        ("7d", [6.9, 7, 14]),
    ],
)
def test_the_period_decides_what_is_one_transaction(events_of, merge, days):
    events = events_of([("a", t, 1) for t in (6.9, 7.0, 7.2, 7.3, 13.9, 14.0)])
    assert [day for _, day, _, _ in facts(merged(events, merge))] == pytest.approx(days)


def test_the_net_amount_decides_between_purchase_refund_and_zero_event(events_of):
    events = events_of(
        [("a", 1, 5), ("a", 1.1, -2), ("a", 2, 5), ("a", 2.1, -9), ("a", 3, 5), ("a", 3.1, -5), ("a", 4, 0)]
    )
    assert facts(merged(events, "1d")) == [
        ("a", 1, 3, "purchase"),
        ("a", 2, -4, "refund"),
        ("a", 3, 0, "zero"),
        ("a", 4, 0, "zero"),
    ]


def test_without_merging_each_line_has_its_own_sign(events_of):
    events = events_of([("a", 1, 5), ("a", 1.1, -2), ("a", 1.2, 0)])
    assert [kind for *_, kind in facts(merged(events, "none"))] == ["purchase", "refund", "zero"]


@pytest.mark.parametrize("amounts", [(0.1, 0.2, -0.3), (1e9, 0.7, -1e9, -0.7), (0.1,) * 10 + (-1.0,)])
def test_rounding_noise_is_a_zero_event(events_of, amounts):
    events = events_of([("a", 1, amount) for amount in amounts])
    assert facts(merged(events, "1d")) == [("a", 1, 0, "zero")]


def test_a_cent_beside_a_million_is_no_noise(events_of):
    events = events_of([("a", 1, 1e6), ("a", 1, -1e6), ("a", 1, 0.01)])
    assert facts(merged(events, "1d")) == [("a", 1, pytest.approx(0.01), "purchase")]


def test_days_before_1970_are_days_too(events_of):
    events = events_of([("a", "1969-12-30 23:00", 1), ("a", "1969-12-31 01:00", 2), ("a", "1969-12-31 23:59", 4)])
    assert [amount for _, _, amount, _ in facts(merged(events, "1d"))] == [1, 6]


def test_further_event_types_survive_between_the_lines_of_a_transaction(events_of):
    events = events_of([("a", 1.1, 5), ("a", 1.2, 0, "visit"), ("a", 1.3, 7), ("a", 1.4, 2.5, "return")])
    assert [kind for *_, kind in facts(merged(events, "1d"))] == ["purchase", "visit", "return"]
    assert merged(events, "1d").event_type.tolist() == [PURCHASE, FIRST_FURTHER_TYPE + 1, FIRST_FURTHER_TYPE]
    assert merged(events, "1d").amount.tolist() == [12, 0, 2.5]


def test_numeric_attributes_add_up_and_the_largest_line_lends_its_categories(events_of):
    events = events_of(
        [("a", 1.1, 5), ("a", 1.2, 7), ("a", 1.3, 7), ("a", 2.1, 1), ("a", 2.2, -1)],
        numeric={"discs": [1, np.nan, 3, np.nan, np.nan]},
        categorical={"shop": ["north", "south", "east", "", "north"]},
    )
    once = merged(events, "1d")
    np.testing.assert_array_equal(once.numeric["discs"], [4, np.nan])
    shop = once.categorical["shop"]
    assert [shop.values[code] if code >= 0 else None for code in shop.codes] == ["south", None]


def test_merging_leaves_its_input_alone_and_merging_twice_changes_nothing(random_log):
    events = random_log()
    amounts = events.amount.copy()
    once = merged(events, "1d")
    np.testing.assert_array_equal(events.amount, amounts)
    twice = merged(once, "1d")
    for name in ("offset", "timestamp", "amount", "event_type"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(once, name))


# -- outcomes ------------------------------------------------------------------------------------------------------

LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "é", "Z"]),
        st.integers(-40, 120).map(lambda quarters: quarters / 4),
        st.sampled_from([-5.0, -0.3, 0.0, 0.1, 0.2, 5.0, 12.5]),
    ),
    min_size=1,
    max_size=40,
)


def slow_transactions(lines, period_days):
    """Net amounts of (customer, period) by pandas, for lines cut already."""
    frame = pd.DataFrame(lines, columns=["customer", "day", "amount"])
    frame["period"] = np.floor(frame.day / period_days)
    return frame.groupby(["customer", "period"]).amount.sum().round(6)


@given(lines=LINES, cutoff=st.integers(-40, 120), quarters=st.integers(1, 60), days=st.sampled_from([0.25, 1, 7]))
def test_outcomes_equal_a_slow_reference(events_of, lines, cutoff, quarters, days):
    events, cutoff, horizon = events_of(lines), cutoff / 4, quarters / 4
    merge = "6h" if days == 0.25 else f"{days}d"
    past = history(events, round(cutoff * DAY), merge)
    net_past = slow_transactions([line for line in lines if line[1] < cutoff], days)
    buyers = sorted({customer for customer, _ in net_past[net_past > 0].index})
    assert past.customer_id.tolist() == buyers
    assert int((past.event_type == PURCHASE).sum()) == (
        net_past[net_past > 0].reset_index().customer.isin(buyers).sum()
    )

    after = outcome(events, past.customer_id, round(cutoff * DAY), horizon, merge)
    net = slow_transactions([line for line in lines if cutoff <= line[1] < cutoff + horizon], days)
    for i, customer in enumerate(buyers):
        mine = net[net.index.get_level_values(0) == customer]
        assert after.transactions[i] == (mine > 0).sum()
        assert after.spend[i] == pytest.approx(mine[mine > 0].sum())
        assert after.refunds[i] == pytest.approx(-mine[mine < 0].sum())


def test_the_log_ends_with_its_last_calendar_day():
    assert to_timestamp(end_of_log(instant("2024-07-01 00:00"))) == pd.Timestamp("2024-07-02")
    assert to_timestamp(end_of_log(instant("2024-07-01 23:59"))) == pd.Timestamp("2024-07-02")
    assert to_timestamp(end_of_log(instant("1969-07-01 12:00"))) == pd.Timestamp("1969-07-02")


@given(
    slices=st.lists(st.lists(st.integers(-5, 5), max_size=9).map(sorted), min_size=1, max_size=6),
    queries=st.lists(st.tuples(st.integers(0, 5), st.integers(-7, 7)), max_size=12),
)
def test_search_equals_numpy_on_each_slice(slices, queries):
    offset = np.concatenate([[0], np.cumsum([len(s) for s in slices])]).astype(np.int64)
    values = np.array([v for s in slices for v in s], dtype=np.int64)
    rows = np.array([row % len(slices) for row, _ in queries], dtype=np.int64)
    target = np.array([t for _, t in queries], dtype=np.int64)
    expected = [offset[r] + np.searchsorted(slices[r], t) for r, t in zip(rows, target, strict=True)]
    assert search(offset, values, rows, target).tolist() == expected
