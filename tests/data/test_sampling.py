"""What is asked in training is drawn by customer id, seed and epoch, and by nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE
from seqclv.data.sampling import draw_cutoffs, draw_horizons, read_sample, uniforms, validation_customers
from seqclv.data.store import build_store
from seqclv.data.windows import history

DAY = MICROSECONDS_PER_DAY
END = 10_400 * DAY


def past(random_log, seed=0, **kind):
    return history(random_log(seed, **kind), END, "1d")


def ids(count, prefix="customer-"):
    return np.array([f"{prefix}{i}" for i in range(count)], dtype=object)


def test_uniform_numbers_are_uniform_and_independent():
    u = uniforms(ids(20_000), 3, 1, 2)
    assert (u >= 0).all() and (u < 1).all()
    assert len(np.unique(u)) == u.size
    np.testing.assert_allclose(u.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(np.histogram(u, 10, (0, 1))[0] / u.size, 0.1, atol=0.005)
    np.testing.assert_allclose(np.corrcoef(u.T), np.eye(3), atol=0.03)


def test_keys_and_their_order_give_other_numbers():
    keys = [(), (0,), (1,), (0, 1), (1, 0), (-1,), (2**40,)]
    drawn = [uniforms(ids(1_000), 1, *key)[:, 0] for key in keys]
    assert np.abs(np.corrcoef(drawn) - np.eye(len(keys))).max() < 0.15


def test_uniform_numbers_never_change_between_versions():
    # Seeds in published results stand for these numbers.
    pinned = [[0.49291139112222904, 0.30255095979921387], [0.013295452907652106, 0.7986012241779884]]
    np.testing.assert_allclose(uniforms(np.array(["0001", "é"], dtype=object), 2, 7, 1), pinned, rtol=0, atol=1e-15)


def test_a_customer_has_the_same_cutoffs_whoever_is_beside_him(random_log):
    events = past(random_log)
    row, cutoff = draw_cutoffs(events, END, per_customer=5, merge="1d", seed=3, epoch=2)
    some = np.array([20, 4, 11])
    part = events.select(some)
    part_row, part_cutoff = draw_cutoffs(part, END, per_customer=5, merge="1d", seed=3, epoch=2)

    def windows(e, r, c):
        return draw_horizons(e, r, c, END, horizon_days=150, merge="1d", seed=3, epoch=2)

    all_windows, part_windows = windows(events, row, cutoff), windows(part, part_row, part_cutoff)
    for i, c in enumerate(some):
        np.testing.assert_array_equal(part_cutoff[part_row == i], cutoff[row == c])
        np.testing.assert_array_equal(part_windows[part_row == i], all_windows[row == c])


def test_seed_and_epoch_change_the_cutoffs(random_log):
    events = past(random_log)

    def draw(seed, epoch):
        return draw_cutoffs(events, END, per_customer=3, merge="1d", seed=seed, epoch=epoch)[1]

    np.testing.assert_array_equal(draw(0, 0), draw(0, 0))
    assert (draw(0, 0) != draw(0, 1)).mean() > 0.9
    assert (draw(0, 0) != draw(1, 0)).mean() > 0.9


@pytest.mark.parametrize(("merge", "period"), [("1d", DAY), ("6h", DAY // 4), ("7d", 7 * DAY), ("none", 1)])
@pytest.mark.parametrize("end", [END, END - DAY // 3])
def test_cutoffs_lie_after_the_first_purchase_and_before_the_end_on_borders_of_periods(random_log, merge, period, end):
    events = history(random_log(1, customers=200), end, merge)
    row, cutoff = draw_cutoffs(events, end, per_customer=4, merge=merge, seed=0, epoch=0)
    bought = events.rows(events.event_type == PURCHASE)
    first = bought.timestamp[bought.offset[:-1]]
    assert (cutoff > first[row]).all()
    assert (cutoff < end).all()
    assert (cutoff % period == 0).all()
    assert (np.bincount(row, minlength=events.customers) % 4 == 0).all()


def test_every_border_can_be_a_cutoff(events_of):
    events = events_of([(f"c{i}", 10.5, 5) for i in range(300)])
    _, cutoff = draw_cutoffs(events, 16 * DAY, per_customer=4, merge="1d", seed=0, epoch=0)
    assert sorted(set(cutoff // DAY)) == [11, 12, 13, 14, 15]


@pytest.mark.parametrize("first", [15.0, 15.5, 15.999])
def test_a_customer_who_came_in_the_last_period_is_asked_nothing(events_of, first):
    events = events_of([("a", 3, 5), ("b", first, 5)])
    row, _ = draw_cutoffs(events, 16 * DAY, per_customer=4, merge="1d", seed=0, epoch=0)
    assert set(row) == {0}


@pytest.mark.parametrize("start", [0, 10_000, -20_000])  # days since 1970
@pytest.mark.parametrize("horizon_days", [0.5, 30.0, 100.0, 4_000.0])
def test_windows_end_at_the_end_or_earlier_after_the_asked_horizon_where_it_fits(events_of, start, horizon_days):
    events = events_of([(f"c{i}", start + 1 + i / 8, 5) for i in range(80)])
    end = (start + 120) * DAY
    row, cutoff = draw_cutoffs(events, end, per_customer=9, merge="1d", seed=0, epoch=0)
    whole, shorter = draw_horizons(events, row, cutoff, end, horizon_days=horizon_days, merge="1d", seed=0, epoch=0).T
    np.testing.assert_array_equal(whole, end - cutoff)
    asked = round(horizon_days * DAY)
    assert (shorter[whole > asked] == asked).all()
    drawn = shorter[whole <= asked]
    assert (drawn >= DAY).all()
    assert (drawn <= whole[whole <= asked]).all()
    assert (drawn % DAY == 0).all()  # as cutoffs do, windows end on the border of a day
    if horizon_days > 1_000:
        assert np.quantile(drawn / DAY, 0.2) < 8 < 15 < np.quantile(drawn / DAY, 0.8)


def test_windows_of_a_log_of_dates_hold_as_many_purchases_as_their_length_says(events_of):
    everyday = [(f"c{i}", float(day), 5) for i in range(60) for day in range(100)]
    events = events_of(everyday)
    row, cutoff = draw_cutoffs(events, 100 * DAY, per_customer=4, merge="1d", seed=0, epoch=0)
    horizon = draw_horizons(events, row, cutoff, 100 * DAY, horizon_days=500, merge="1d", seed=0, epoch=0)
    for window in horizon.T:
        held = [
            int(((np.arange(100) * DAY >= c) & (np.arange(100) * DAY < c + h)).sum())
            for c, h in zip(cutoff, window, strict=True)
        ]
        np.testing.assert_array_equal(held, window / DAY)


def test_the_validation_split_of_a_customer_never_changes(random_log):
    events = past(random_log, customers=300)
    held_out = validation_customers(events, 0.2, seed=5)
    assert 0.1 < held_out.mean() < 0.3
    part = np.arange(0, events.customers, 7)
    np.testing.assert_array_equal(validation_customers(events.select(part), 0.2, seed=5), held_out[part])
    longer = history(random_log(0, customers=300), END - 100 * DAY, "1d")
    before = dict(zip(events.customer_id, held_out, strict=True))
    assert all(before[c] == h for c, h in zip(longer.customer_id, validation_customers(longer, 0.2, 5), strict=True))
    assert (validation_customers(events, 0.4, seed=5) >= held_out).all()
    assert (validation_customers(events, 0.2, seed=6) != held_out).any()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=20, unique=True))
def test_any_text_is_a_customer_id(names):
    drawn = uniforms(np.array(names, dtype=object), 1, 0)[:, 0]
    assert len(set(drawn)) == len(names)


# -- bases too large for memory -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(small_log, tmp_path_factory):
    return build_store(DataConfig(transactions=(str(small_log),)), tmp_path_factory.mktemp("store") / "s")


def test_a_base_that_fits_is_read_whole(store):
    assert read_sample(store, 300).customers == store.customers == 300


def test_of_a_larger_base_a_sample_of_whole_customers_is_read(store):
    sample, everyone = read_sample(store, 100), store.read()
    assert 70 <= sample.customers <= 130
    rows = np.searchsorted(everyone.customer_id, sample.customer_id)
    kept = everyone.select(rows)
    assert (kept.customer_id == sample.customer_id).all()
    np.testing.assert_array_equal(kept.timestamp, sample.timestamp)
    np.testing.assert_array_equal(kept.offset, sample.offset)


def test_a_larger_sample_holds_the_smaller_one(store):
    small, large = read_sample(store, 50), read_sample(store, 200)
    assert set(small.customer_id) < set(large.customer_id)
