"""Simulated bases: reproducible, sound, and of so many kinds that real logs lie among them."""

from dataclasses import replace

import numpy as np
import pytest

from seqclv.data.bases import draw_base, simulate_base
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, REFUND
from seqclv.data.families import FAMILIES, draw_family
from seqclv.data.laws import draw_law
from seqclv.data.statistics import STATISTICS, simulated_statistics, statistics
from seqclv.data.windows import history, instant


def bases(number, customers=150):
    random = np.random.default_rng(3)
    drawn = [draw_base(random, customers) for _ in range(number)]
    return [base for base in drawn if base.events.customers]


def test_the_same_seed_gives_the_same_base():
    first, second = (draw_base(np.random.default_rng(5), 200) for _ in range(2))
    np.testing.assert_array_equal(first.events.timestamp, second.events.timestamp)
    np.testing.assert_array_equal(first.events.amount, second.events.amount)
    assert (first.cutoff, first.end) == (second.cutoff, second.end)


def test_every_customer_bought_before_the_cutoff_and_events_are_in_order():
    for base in bases(30):
        past = base.history
        bought = np.bincount(past.owner[past.event_type == PURCHASE], minlength=past.customers)
        assert (bought > 0).all()
        within = np.diff(base.events.owner) == 0
        assert (np.diff(base.events.timestamp)[within] >= 0).all()
        assert base.events.timestamp[base.events.event_type == PURCHASE].max() < base.end


def test_purchases_have_amounts_above_zero_and_refunds_below():
    for base in bases(30):
        kind, amount = base.events.event_type, base.events.amount
        assert (amount[kind == PURCHASE] > 0).all()
        assert (amount[kind == REFUND] < 0).all()


def test_in_a_log_of_dates_a_customer_buys_once_a_day_at_most():
    dated = [base for base in bases(40) if base.dated]
    assert dated
    for base in dated:
        bought = base.events.rows(base.events.event_type == PURCHASE)
        day = bought.timestamp // MICROSECONDS_PER_DAY
        pairs = bought.owner * 100_000 + day
        assert len(np.unique(pairs)) == len(pairs)


def test_customers_who_buy_once_never_come_back():
    random = np.random.default_rng(0)
    law = draw_law(random)
    law = replace(law, before_days=0.0, buying=replace(law.buying, once=1.0))
    bought = simulate_base(random, law, 300).events
    assert (np.bincount(bought.owner[bought.event_type == PURCHASE]) == 1).all()


def test_a_faster_base_buys_more():
    random = np.random.default_rng(1)
    law = draw_law(random)
    buying = replace(law.buying, once=0.0, quit=0 * law.buying.quit, hazard=0 * law.buying.hazard + 1e-6)
    slow, fast = (
        simulate_base(np.random.default_rng(2), replace(law, buying=replace(buying, rate=rate + 0 * buying.rate)), 400)
        for rate in (2.0, 20.0)
    )
    assert len(fast.events) / fast.events.customers > 3 * len(slow.events) / slow.events.customers


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_bases_with_a_past_and_a_future(family):
    base = draw_family(family, np.random.default_rng(0), 200)
    assert base.events.customers > 50
    assert (base.events.timestamp >= base.cutoff).any()
    again = draw_family(family, np.random.default_rng(0), 200)
    np.testing.assert_array_equal(base.events.timestamp, again.events.timestamp)


@pytest.mark.parametrize(
    ("log", "cutoff"), [("cdnow", "1997-10-01"), ("cdnow_sample", "1997-10-01"), ("complete_journey", "2017-10-01")]
)
def test_public_logs_lie_inside_the_range_of_the_generator(log, cutoff):
    from seqclv.config import DataConfig
    from seqclv.data.datasets import dataset
    from seqclv.data.store import events_from_frame

    lines = dataset(log).select(["customer_id", "timestamp", "amount"])
    at = instant(cutoff)
    found = statistics(history(events_from_frame(lines, DataConfig()), at, "1d"), at)
    drawn = simulated_statistics(400, seed=1)
    for name, value in zip(STATISTICS, found, strict=True):
        column = drawn[:, STATISTICS.index(name)]
        assert column.min() <= value <= column.max(), (name, value)
