"""The calendar as covariates: scales from the history's days alone, zero without a row, unknown after its end."""

from dataclasses import replace

import numpy as np
import pytest

from seqclv.batch import NumericFeature
from seqclv.data.assemble import event_batch
from seqclv.data.calendar import Calendar
from seqclv.data.covariates import beyond_calendar, calendar_scales, known_days, require_calendar
from seqclv.data.events import MICROSECONDS_PER_DAY as DAY
from seqclv.data.features import ledger, locate, targets
from seqclv.data.schema import derive_schema
from seqclv.data.windows import history
from seqclv.errors import InputError

CUTOFF = 40 * DAY
PROMO = NumericFeature(name="promo", mean=0.25, std=0.5)


def calendar_of(values, first=0, columns=("promo",)):
    values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    return Calendar(columns, np.datetime64(first, "D") + np.arange(len(values)), values)


@pytest.fixture
def events(events_of):
    lines = [("a", 2.5, 5.0), ("a", 11.0, 5.0), ("a", 30.2, 5.0), ("b", 12.9, 5.0), ("b", 13.0, 5.0), ("b", 50.0, 1.0)]
    return events_of(lines)


def with_promo(events, values, first=0):
    return replace(events, calendar=calendar_of(values, first))


def test_only_days_of_the_history_set_the_scales(events):
    past = history(events, CUTOFF, "1d")
    promo = np.zeros(60)
    promo[10:20] = 1
    found = calendar_scales(with_promo(past, promo), CUTOFF)
    days = promo[2:40]  # from the first purchase to the last day before the cutoff
    (feature,) = found["calendar"]
    assert (feature.name, feature.mean, feature.std) == ("promo", days.mean(), days.std())
    kinds = np.array(found["calendar_days"])
    assert kinds[:, 0].tolist() == [28, 10]
    np.testing.assert_allclose(kinds[:, 1] * feature.std + feature.mean, [0, 1], atol=1e-12)
    promo[40:] = 7
    assert calendar_scales(with_promo(past, promo), CUTOFF) == found


def test_what_does_not_vary_over_the_history_is_left_out(events):
    past = history(events, CUTOFF, "1d")
    never, always, later = np.zeros(60), np.ones(60), np.r_[np.zeros(40), np.ones(20)]
    known = replace(past, calendar=calendar_of(np.column_stack([never, always, later]), columns=("n", "a", "l")))
    assert calendar_scales(known, CUTOFF) == {}
    assert calendar_scales(with_promo(past, [1, 0], first=100), CUTOFF) == {}
    assert calendar_scales(past, CUTOFF) == {}
    assert derive_schema(known, CUTOFF, merge="1d", max_history_events=9) == derive_schema(
        past, CUTOFF, merge="1d", max_history_events=9
    )


def test_days_before_the_table_are_zero_and_days_after_it_unknown(events):
    known = with_promo(events, [1, 0, 1], first=11)
    found = known_days(known, (PROMO,), 9 * DAY + 5)
    assert found.first == 9
    assert (found.values[:, 0] * PROMO.std + PROMO.mean).tolist() == [0, 0, 1, 0, 1]
    assert len(known_days(known, (PROMO,), 14 * DAY).values) == 0
    assert len(known_days(known, (PROMO,), 30 * DAY).values) == 0


def test_windows_sum_the_values_of_their_purchases_days_and_count_the_known_ones(events):
    known = with_promo(events, [1, 0, 1], first=11)
    schema = derive_schema(history(events, CUTOFF, "1d"), CUTOFF, merge="1d", max_history_events=9)
    book = ledger(known, (), 0, (PROMO,))
    query = locate(book, np.array([0, 1]), np.array([5 * DAY, 13 * DAY]))
    horizon = np.array([[10 * DAY, 40 * DAY], [1 * DAY, 40 * DAY]])
    found = targets(book, query, horizon, schema).regressors
    z = lambda value: (value - PROMO.mean) / PROMO.std  # noqa: E731
    assert found.tolist() == [[[z(1), 1], [z(1), 1]], [[z(1), 1], [z(1), 1]]]
    with pytest.raises(InputError):
        ledger(events, (), 0, (PROMO,))


def test_a_batch_counts_days_from_its_earliest_cutoff(events):
    known = with_promo(history(events, CUTOFF, "1d"), np.r_[np.zeros(10), np.ones(60)])
    schema = derive_schema(known, CUTOFF, merge="1d", max_history_events=9)
    book = ledger(known, ())
    cutoff = np.array([20 * DAY + DAY // 2, 14 * DAY])
    batch = event_batch(known, book, locate(book, np.array([0, 1]), cutoff), schema)
    assert (batch.days.first, len(batch.days.values)) == (14, 56)
    since = (batch.phase.numpy() - batch.days.phase) * 365.2425
    np.testing.assert_allclose(since, [6.5, 0.0], atol=1e-9)
    plain = replace(schema, calendar=(), calendar_days=())
    assert event_batch(known, book, locate(book, np.array([0, 1]), cutoff), plain).days is None


@pytest.mark.parametrize("calendar", [None, calendar_of([1, 0], columns=("holiday",))])
def test_a_model_that_knows_a_calendar_needs_its_columns(calendar):
    require_calendar(calendar, ())
    with pytest.raises(InputError, match=r"none of 'promo': name the table under data\.calendar"):
        require_calendar(calendar, (PROMO,))


def test_a_calendar_that_ends_before_the_horizon_is_told():
    calendar = calendar_of([1, 0, 0], first=40)
    assert beyond_calendar(calendar, (PROMO,), CUTOFF, [1.0, 3.0]) is None
    assert beyond_calendar(calendar, (), CUTOFF, [30.0]) is None
    assert "ends with 1970-02-12, but forecasts reach to 1970-03-12" in beyond_calendar(
        calendar, (PROMO,), CUTOFF, [30.0]
    )
