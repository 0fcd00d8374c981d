"""Features of events and queries, and targets: no look ahead, equal to slow references, free of units."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqclv.data.events import FIRST_FURTHER_TYPE, MICROSECONDS_PER_DAY, PURCHASE, REFUND
from seqclv.data.features import anchors, event_features, ledger, locate, query_features, targets, trends
from seqclv.data.schema import derive_schema
from seqclv.data.windows import before, history

DAY = MICROSECONDS_PER_DAY
END = 10_400 * DAY


def base(random_log, seed=0, **kind):
    """Merged histories that end at END and their schema."""
    past = history(random_log(seed, **kind), END, "1d")
    return past, derive_schema(past, END, merge="1d", max_history_events=512)


def everyone(events, cutoff):
    """The customers with a purchase before the cutoff, and the cutoff for each."""
    bought = before(events, cutoff)
    count = np.bincount(bought.owner[bought.event_type == PURCHASE], minlength=events.customers)
    rows = np.flatnonzero(count > 0)
    return rows, np.full(len(rows), cutoff, dtype=np.int64)


def ask(events, schema, rows, cutoffs):
    book = ledger(events, schema.event_types)
    query = locate(book, rows, cutoffs)
    return book, query


# -- no look ahead -------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), day=st.integers(1, 399))
def test_query_features_do_not_change_when_the_future_is_cut_off(random_log, seed, day):
    events, schema = base(random_log, seed, customers=6)
    cutoff = END - day * DAY
    rows, cutoffs = everyone(events, cutoff)
    whole, cut = (ask(e, schema, rows, cutoffs) for e in (events, before(events, cutoff)))
    np.testing.assert_allclose(query_features(*whole, schema), query_features(*cut, schema), rtol=0, atol=1e-6)
    np.testing.assert_allclose(anchors(*whole, schema), anchors(*cut, schema), rtol=0, atol=1e-9)
    np.testing.assert_allclose(trends(*whole, schema), trends(*cut, schema), rtol=0, atol=1e-6)


def test_query_features_are_finite_for_every_customer_and_day(random_log):
    events, schema = base(random_log, 1)
    for day in range(0, 400, 7):
        rows, cutoffs = everyone(events, END - day * DAY)
        assert np.isfinite(query_features(*ask(events, schema, rows, cutoffs), schema)).all()


def test_an_event_at_the_cutoff_is_not_seen(events_of):
    events = events_of([("a", 10, 5), ("a", 20, 7), ("a", 20, 0, "visit")])
    schema = derive_schema(events, 30 * DAY, merge="1d", max_history_events=9)
    _, query = ask(events, schema, np.array([0, 0]), np.array([20 * DAY, 20 * DAY + 1]))
    assert query.index.tolist() == [1, 2]
    assert query.event_index.tolist() == [1, 3]


# -- slow references -------------------------------------------------------------------------------------------------


def test_trailing_windows_count_and_sum_what_a_loop_does(random_log):
    events, schema = base(random_log, 2)
    rows, cutoffs = everyone(events, END - 50 * DAY)
    features = query_features(*ask(events, schema, rows, cutoffs), schema)
    columns = features[:, 11 : 11 + 2 * len(schema.trailing_windows_days)]  # after 8 of timing and 3 of amounts
    for i, row in enumerate(rows):
        mine = slice(events.offset[row], events.offset[row + 1])
        time, amount = events.timestamp[mine], events.amount[mine]
        bought = events.event_type[mine] == PURCHASE
        for w, window in enumerate(schema.trailing_windows_days):
            inside = bought & (time < cutoffs[i]) & (time >= cutoffs[i] - round(window * DAY))
            assert columns[i, 2 * w] == pytest.approx(np.log1p(inside.sum()))
            assert columns[i, 2 * w + 1] == pytest.approx(np.log1p(amount[inside].sum() / schema.amount_scale))


def test_timing_amounts_and_other_events_are_what_a_loop_finds(random_log):
    events, schema = base(random_log, 3)
    cutoff = END - 33 * DAY
    rows, cutoffs = everyone(events, cutoff)
    features = query_features(*ask(events, schema, rows, cutoffs), schema)

    def log(days):
        return np.log(days / schema.time_scale_days + 0.01)

    visit = FIRST_FURTHER_TYPE + events.further_types.index("visit")
    for i, row in enumerate(rows):
        mine = np.flatnonzero((events.owner == row) & (events.timestamp < cutoff))
        kind, day = events.event_type[mine], events.timestamp[mine] / DAY
        times, amounts = day[kind == PURCHASE], np.log(events.amount[mine][kind == PURCHASE])
        now, repeats = cutoff / DAY, len(times) - 1
        mean_gap = (times[-1] - times[0]) / repeats if repeats else now - times[0]
        gap = times[-1] - times[-2] if repeats else now - times[0]
        centre, n = np.log(schema.amount_scale), repeats + 1
        expected = [
            log(now - times[0]),
            log(now - times[-1]),
            log(gap),
            log(mean_gap),
            log(now - times[-1]) - log(mean_gap),
            np.log1p(repeats),
            float(repeats == 0),
            (now - times[-1]) / (now - times[0]),
            (amounts.mean() - centre) / schema.amount_log_std * n / (n + 1),
            amounts.std() / schema.amount_log_std,
            (amounts[-1] - centre) / schema.amount_log_std,
        ]
        np.testing.assert_allclose(features[i, :11], expected, atol=1e-5)
        recent = (kind == visit) & (day >= now - schema.trailing_windows_days[1])
        others = [
            np.log1p((kind == REFUND).sum()),
            log(now - day[-1]),
            np.log1p((kind == visit).sum()),
            np.log1p(recent.sum()),
        ]
        np.testing.assert_allclose(features[i, -4:], others, atol=1e-9)


def test_targets_are_what_a_loop_finds(random_log):
    events, schema = base(random_log, 4)
    rows, cutoffs = everyone(events, END - 120 * DAY)
    horizon = np.stack([np.full(len(rows), 120 * DAY), np.arange(1, len(rows) + 1) * 3 * DAY], axis=-1)
    found = targets(*ask(events, schema, rows, cutoffs), horizon, schema)
    for i, row in enumerate(rows):
        for w in range(2):
            inside = (events.owner == row) & (events.event_type == PURCHASE)
            inside &= (events.timestamp >= cutoffs[i]) & (events.timestamp < cutoffs[i] + horizon[i, w])
            amounts = events.amount[inside] / schema.amount_scale
            last = (events.timestamp[inside].max() - cutoffs[i]) / DAY if inside.any() else 0.0
            assert found.purchases[i, w] == inside.sum()
            assert found.horizon[i, w] * schema.time_scale_days == pytest.approx(horizon[i, w] / DAY)
            assert found.last_offset[i, w] * schema.time_scale_days == pytest.approx(last)
            assert found.spend[i, w] == pytest.approx(amounts.sum())
            assert found.log_spend[i, w] == pytest.approx(np.log(amounts).sum(), abs=1e-9)


def test_a_purchase_at_the_start_of_a_window_counts_and_one_at_its_end_does_not(events_of):
    events = events_of([("a", 10, 5), ("a", 20, 7), ("a", 30, 9)])
    schema = derive_schema(events, 40 * DAY, merge="1d", max_history_events=9)
    book, query = ask(events, schema, np.array([0]), np.array([20 * DAY]))
    found = targets(book, query, np.array([[10 * DAY, 10 * DAY + 1]]), schema)
    assert found.purchases.tolist() == [[1, 2]]
    assert found.last_offset[0, 0] == 0


def test_anchors_are_the_means_of_conjugate_posteriors(events_of):
    events = events_of([("a", 10, 5), ("a", 20, 7), ("b", 10, 40)])
    schema = derive_schema(events, 40 * DAY, merge="1d", max_history_events=9)
    rate, mean, _ = anchors(*ask(events, schema, np.array([0]), np.array([40 * DAY])), schema)[0]
    assert np.exp(rate) == pytest.approx(1.5 / (30 / schema.time_scale_days + 0.5 / schema.purchase_rate))
    assert np.exp(mean) * schema.amount_scale == pytest.approx((12 + schema.amount_mean * schema.amount_scale) / 3)


def test_a_trend_compares_windows_with_what_a_steady_customer_would_do(events_of):
    events = events_of([("a", 0, 10), ("a", 80, 10), ("a", 90, 40), ("b", 0, 5), ("b", 50, 5), ("b", 100, 5)])
    schema = replace(
        derive_schema(events, 101 * DAY, merge="1d", max_history_events=9), trailing_windows_days=(25.0, 1000.0)
    )
    (counts, amounts), _ = trends(*ask(events, schema, np.array([0, 1]), np.full(2, 100 * DAY)), schema)
    # In the last quarter of a's 100 days fell two of three purchases, worth 25 on average where all are worth 20.
    np.testing.assert_allclose(np.exp(counts), [(2 + 2) / (0.75 + 2), 1])
    np.testing.assert_allclose(np.exp(amounts), [(50 + 2 * 20) / (4 * 20), 1])


# -- numerical traps ---------------------------------------------------------------------------------------------


def test_equal_amounts_have_no_spread_whoever_else_is_in_the_batch(events_of):
    whales = [(f"a{i}", 10 + j, 10.0 ** (3 + (i + j) % 7)) for i in range(40) for j in range(50)]
    steady = [(f"z{i:02d}", 10 + j, 0.1 + i) for i in range(40) for j in range(30)]
    events = events_of([*whales, *steady])
    schema = derive_schema(events, 80 * DAY, merge="1d", max_history_events=512)
    rows = np.arange(40, 80)
    spread = query_features(*ask(events, schema, rows, np.full(40, 80 * DAY)), schema)[:, 9]
    np.testing.assert_allclose(spread, 0, atol=1e-12)


# -- units -----------------------------------------------------------------------------------------------------------


def rescaled(events, *, time=1, money=1):
    scaled = replace(events, timestamp=events.timestamp * time, amount=events.amount * money)
    return scaled, derive_schema(scaled, END * time, merge="none", max_history_events=512)


@pytest.mark.parametrize(("time", "money"), [(1, 1000), (7, 1), (7, 1e-3)])
def test_units_of_time_and_money_do_not_matter(random_log, time, money):
    events = history(random_log(5), END, "none")
    one, other = (rescaled(events), rescaled(events, time=time, money=money))
    rows, cutoffs = everyone(events, END - 50 * DAY)
    asked = [ask(e, schema, rows, cutoffs * factor) for (e, schema), factor in ((one, 1), (other, time))]
    for answer in (query_features, anchors, trends):
        left, right = (answer(*a, schema) for a, (_, schema) in zip(asked, (one, other), strict=True))
        keep = (
            slice(None) if answer is not query_features or not other[1].harmonics else slice(0, -2)
        )  # the day of the year
        np.testing.assert_allclose(left, right[:, keep], atol=1e-5)
    left, right = (event_features(*pair)[0] for pair in (one, other))
    for column in (0, 1, 2, 3):  # log gap, log age, is first, log amount; the others are of the calendar
        np.testing.assert_allclose(left[:, column], right[:, column], atol=1e-9)


# -- event features ------------------------------------------------------------------------------------------------


def test_gaps_and_ages_start_anew_with_each_customer(events_of):
    events = events_of([("a", 10, 5), ("a", 13, 5), ("a", 20, 5), ("b", 2, 5), ("b", 2, 7)])
    schema = derive_schema(events, 40 * DAY, merge="none", max_history_events=9)
    numeric, categorical = event_features(events, schema)

    def log(days):
        return np.log(np.array(days) / schema.time_scale_days + 0.01)

    np.testing.assert_allclose(numeric[:, 0], [0, log(3), log(7), 0, log(0)])
    np.testing.assert_allclose(numeric[:, 1], log([0, 3, 10, 0, 0]) / 2)
    assert numeric[:, 2].tolist() == [1, 0, 0, 1, 0]
    assert categorical.tolist() == [[1]] * 5


def test_types_have_codes_of_their_own_and_unknown_ones_share_the_first(random_log):
    events, schema = base(random_log, 6)
    code = event_features(events, schema)[1][:, 0]
    assert (code == events.event_type + 1).all()
    unaware = replace(schema, event_types=())
    assert (event_features(events, unaware)[1][events.event_type == FIRST_FURTHER_TYPE, 0] == 0).all()
    renamed = replace(events, further_types=("other",))
    assert (event_features(renamed, schema)[1][events.event_type == FIRST_FURTHER_TYPE, 0] == 0).all()


def test_codes_follow_the_vocabulary_whatever_the_order_in_the_log(random_log):
    events, schema = base(random_log, 7, customers=80)
    shop = events.categorical["shop"]
    turned = {
        "shop": replace(
            shop,
            codes=np.where(shop.codes >= 0, len(shop.values) - 1 - shop.codes, -1).astype(np.int32),
            values=shop.values[::-1],
        )
    }
    left, right = event_features(events, schema)[1], event_features(replace(events, categorical=turned), schema)[1]
    np.testing.assert_array_equal(left, right)
    vocabulary = next(f.vocabulary for f in schema.categorical)
    for code, column in zip(shop.codes, left[:, 1], strict=True):
        value = shop.values[code] if code >= 0 else None
        assert column == (vocabulary.index(value) + 1 if value in vocabulary else 0)


def test_a_missing_or_wild_number_does_no_harm(random_log):
    events, schema = base(random_log, 8)
    numeric = events.numeric["discs"].copy()
    numeric[:4] = [np.nan, np.inf, -np.inf, 1e300]
    features = event_features(replace(events, numeric={"discs": numeric}), schema)[0]
    assert np.isfinite(features).all()
    assert features[:4, -2].tolist() == [0, 8, -8, 8]
    assert features[:4, -1].tolist() == [0, 1, 1, 1]


def test_a_log_without_a_customer_has_no_features(random_log):
    events, schema = base(random_log)
    nobody = events.select(np.array([], dtype=np.int64))
    numeric, categorical = event_features(nobody, schema)
    assert (len(numeric), len(categorical)) == (0, 0)
