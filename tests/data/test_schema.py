"""The schema knows nothing of what lies after the cutoff and survives degenerate bases."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.schema import MINIMUM_VALUE_COUNT, derive_schema
from seqclv.data.windows import before, history

DAY = MICROSECONDS_PER_DAY


def schema_of(events, cutoff, merge="1d"):
    return derive_schema(history(events, cutoff, merge), cutoff, merge=merge, max_history_events=512)


def numbers(schema):
    values = [v for v in asdict(schema).values() if isinstance(v, float)]
    return np.array([*values, *schema.query_mean, *schema.query_std, *schema.trailing_windows_days])


@pytest.mark.parametrize("day", [10_100, 10_250])
def test_nothing_at_or_after_the_cutoff_enters(random_log, day):
    events, cutoff = random_log(0, customers=60), day * DAY
    assert schema_of(events, cutoff) == schema_of(before(events, cutoff), cutoff)


def test_a_value_or_type_seen_only_after_the_cutoff_is_in_no_vocabulary(events_of):
    lines = [(f"c{i:02d}", 1.0, 5) for i in range(20)] + [(f"c{i:02d}", 9.0, 5, "visit") for i in range(20)]
    events = events_of(lines, categorical={"shop": ["old"] * 20 + ["new"] * 20})
    schema = schema_of(events, 5 * DAY)
    assert schema.categorical[0].vocabulary == ("old",)
    assert schema.event_types == ()
    later = schema_of(events, 10 * DAY)
    assert later.categorical[0].vocabulary == ("new", "old")
    assert later.event_types == ("visit",)


def test_a_value_of_few_customers_is_out_of_vocabulary_however_often_it_occurs(events_of):
    few = MINIMUM_VALUE_COUNT - 1
    lines = [(f"c{i:02d}", 1.0 + day, 5) for i in range(MINIMUM_VALUE_COUNT) for day in range(3)]
    shops = ["rare" if i < few and day == 0 else "common" for i in range(MINIMUM_VALUE_COUNT) for day in range(3)]
    assert schema_of(events_of(lines, categorical={"shop": shops}), 9 * DAY).categorical[0].vocabulary == ("common",)


def test_scales_are_the_mean_gap_and_the_geometric_mean_amount(events_of):
    events = events_of([("a", 1, 2), ("a", 5, 8), ("a", 11, 4), ("b", 3, 4)])
    schema = schema_of(events, 21 * DAY)
    assert schema.time_scale_days == pytest.approx(5.0)  # ten days, two gaps
    assert schema.amount_scale == pytest.approx(4.0)
    assert schema.amount_mean == pytest.approx(4.5 / 4)
    assert schema.purchase_rate == pytest.approx(2 / (38 / 5))
    assert schema.trailing_windows_days[0] == pytest.approx(10.0)


@pytest.mark.parametrize(("years", "harmonics"), [(0.5, 0), (1.99, 0), (2.01, 2), (3.5, 3), (11, 4)])
def test_the_season_has_as_many_harmonics_as_the_span_supports(events_of, years, harmonics):
    events = events_of([("a", 0, 5), ("a", 3, 5)])
    assert schema_of(events, round(years * 365.2425) * DAY).harmonics == harmonics


DEGENERATE = {
    "one purchase": [("a", 10, 5)],
    "one customer": [("a", 10, 5), ("a", 12, 6), ("a", 19, 3)],
    "the same amount": [(f"c{i}", 10 + j, 0.1) for i in range(20) for j in range(0, i, 3)] + [("z", 1, 0.1)],
    "one-time buyers": [(f"c{i}", 10 + i / 7, 5 + i) for i in range(20)],
    "the same instant": [(f"c{i}", 10, 5 + i) for i in range(20)],
    "one microsecond before the cutoff": [("a", 30 - 1 / DAY, 5)],
    "amounts from pennies to billions": [(f"c{i}", 10 + i, 10.0 ** (i - 3)) for i in range(13)],
}


@pytest.mark.parametrize("merge", ["1d", "none"])
@pytest.mark.parametrize("lines", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_degenerate_bases_have_finite_scales(events_of, lines, merge):
    schema = schema_of(events_of(lines), 30 * DAY, merge)
    assert np.isfinite(numbers(schema)).all()
    assert min(schema.time_scale_days, schema.amount_scale, schema.amount_log_std, schema.purchase_rate) > 0
    assert min(schema.query_std) > 0
    assert schema.amount_log_std >= 0.01


@pytest.mark.parametrize("value", [0.1, 1e-9, 1e12, 0.0])
def test_a_constant_number_has_a_spread_of_one(events_of, value):
    lines = [(f"c{i}", 10 + i, 5) for i in range(30)]
    (feature,) = schema_of(events_of(lines, numeric={"discs": [value] * 30}), 60 * DAY).numeric
    assert feature.mean == pytest.approx(value)
    assert feature.std == 1.0


def test_numbers_are_standardized_by_what_is_present_and_finite(events_of):
    lines = [(f"c{i}", 10 + i, 5) for i in range(5)]
    schema = schema_of(
        events_of(lines, numeric={"discs": [1, 3, np.nan, np.inf, np.nan], "none": [np.nan] * 5}), 60 * DAY
    )
    assert [(f.name, f.mean, f.std) for f in schema.numeric] == [("discs", 2.0, 1.0), ("none", 0.0, 1.0)]


def test_the_order_of_attributes_and_types_does_not_matter(random_log):
    events = random_log(1, customers=60)
    turned = replace(events, categorical=dict(reversed(events.categorical.items())))
    assert schema_of(turned, 10_300 * DAY) == schema_of(events, 10_300 * DAY)
