"""Events keep customers and their rows together through every selection."""

from itertools import pairwise

import numpy as np
import pytest

from seqclv.data.events import concatenate


def assert_same(left, right):
    assert left.customer_id.tolist() == right.customer_id.tolist()
    for name in ("offset", "timestamp", "amount", "event_type"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
        assert getattr(left, name).dtype == getattr(right, name).dtype
    for name, column in left.numeric.items():
        np.testing.assert_array_equal(column, right.numeric[name])
    for name, column in left.categorical.items():
        assert column.values == right.categorical[name].values
        np.testing.assert_array_equal(column.codes, right.categorical[name].codes)


def test_rows_keeps_customers_without_a_row(events_of):
    events = events_of([("a", 1, 5), ("b", 1, 1), ("b", 2, 2), ("c", 3, 9)])
    kept = events.rows(np.array([False, True, True, False]))
    assert kept.offset.tolist() == [0, 0, 2, 2]
    assert kept.customer_id.tolist() == ["a", "b", "c"]
    assert kept.owner.tolist() == [1, 1]


def test_select_takes_customers_in_the_given_order_with_all_their_columns(random_log):
    events = random_log()
    chosen = np.array([7, 2, 2, 29])
    picked = events.select(chosen)
    for i, c in enumerate(chosen):
        mine = slice(events.offset[c], events.offset[c + 1])
        there = slice(picked.offset[i], picked.offset[i + 1])
        assert picked.customer_id[i] == events.customer_id[c]
        np.testing.assert_array_equal(picked.timestamp[there], events.timestamp[mine])
        np.testing.assert_array_equal(picked.amount[there], events.amount[mine])
        np.testing.assert_array_equal(picked.numeric["discs"][there], events.numeric["discs"][mine])
        np.testing.assert_array_equal(picked.categorical["shop"].codes[there], events.categorical["shop"].codes[mine])


def test_select_nobody_is_an_empty_log(random_log):
    nobody = random_log().select(np.array([], dtype=np.int64))
    assert nobody.customers == len(nobody) == 0


@pytest.mark.parametrize("borders", [(0, 30), (0, 1, 30), (0, 10, 10, 25, 30)])
def test_parts_join_to_the_whole(random_log, borders):
    events = random_log()
    parts = [events.select(np.arange(a, b)) for a, b in pairwise(borders)]
    assert_same(concatenate(parts), events)


def test_the_owner_of_each_row_is_its_customer(random_log):
    events = random_log()
    for c in range(events.customers):
        assert (events.owner[events.offset[c] : events.offset[c + 1]] == c).all()
