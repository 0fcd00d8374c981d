"""Cancellations and their purchases vanish together, and never before the cancellation is known."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY, NO_COUNTERPART, PURCHASE, REFUND
from seqclv.data.store import build_store, events_from_frame
from seqclv.data.windows import history, instant, merged, outcome

DAY = MICROSECONDS_PER_DAY
RETAIL = DataConfig(
    customer_id="CustomerID",
    timestamp="InvoiceDate",
    cancellation_days=30,
    match_on=("StockCode",),
)
COLUMNS = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]


def online_retail() -> pd.DataFrame:
    """A log of the shape of Online Retail, with its two cancelled orders of about 100,000 pounds."""
    rows = [
        ["541431", "23166", 74215, "2011-01-18 10:01:00", 1.04, "12346.0"],
        ["C541433", "23166", -74215, "2011-01-18 10:17:00", 1.04, "12346.0"],
        ["553573", "22980", 1, "2011-05-18 09:52:00", 1.65, "16446.0"],
        ["553573", "22982", 1, "2011-05-18 09:52:00", 1.25, "16446.0"],
        ["581483", "23843", 80995, "2011-12-08 09:15:00", 2.08, "16446.0"],
        ["C581484", "23843", -80995, "2011-12-09 09:27:00", 2.08, "16446.0"],
    ]
    for week in range(40):
        for customer in range(12):
            stamp = str(pd.Timestamp("2011-02-01 12:00") + pd.Timedelta(days=7 * week + customer % 5))
            invoice = str(560_000 + 100 * week + customer)
            rows += [[invoice, code, customer + 1, stamp, 2.5, f"{13_000 + customer}.0"] for code in ("85123A", "M")]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(amount=frame["Quantity"] * frame["UnitPrice"])


def test_two_cancelled_orders_of_a_hundred_thousand_make_no_whales(tmp_path: Path) -> None:
    online_retail().to_csv(tmp_path / "log.csv", index=False)
    store = build_store(replace(RETAIL, transactions=(str(tmp_path / "log.csv"),)), tmp_path / "store")
    past = history(store.read(), instant("2012-01-01"), "1d")
    assert past.amount.max() < 100
    assert "12346.0" not in past.customer_id  # never bought anything that was kept
    assert past.amount[past.offset[list(past.customer_id).index("16446.0")] :][:1] == [2.9]
    assert store.info.report["cancelled_purchases"] == 2
    assert store.info.report["cancelled_amount"] == pytest.approx(74215 * 1.04 + 80995 * 2.08)
    unmatched = build_store(
        replace(RETAIL, transactions=(str(tmp_path / "log.csv"),), cancellation_days=0, match_on=()),
        tmp_path / "unmatched",
    )
    assert history(unmatched.read(), instant("2012-01-01"), "1d").amount.max() > 100_000
    assert unmatched.info.report["cancelled_purchases"] == 0


def test_a_cancelled_purchase_stands_until_its_cancellation_is_known() -> None:
    events = events_from_frame(online_retail(), RETAIL)
    row = list(events.customer_id).index("16446.0")
    one = events.select(np.array([row]))
    between = history(one, instant("2011-12-09 09:27"), "1d")  # at the cutoff is not before it
    assert list(between.amount) == [2.9, 80995 * 2.08]
    after = history(one, instant("2011-12-09 09:28"), "1d")
    assert list(after.amount) == [2.9]
    assert list(after.event_type) == [PURCHASE]


def test_a_window_counts_what_remains_in_it() -> None:
    one = events_from_frame(online_retail(), RETAIL)
    who = np.array(["16446.0"], dtype=object)
    both = outcome(one, who, instant("2011-12-01"), 30, "1d")
    assert (both.transactions, both.spend, both.refunds) == ([0], [0], [0])
    bought = outcome(one, who, instant("2011-12-01"), 8, "1d")  # ends at 2011-12-09 0:00
    assert (bought.transactions, bought.spend) == ([1], [80995 * 2.08])
    returned = outcome(one, who, instant("2011-12-09"), 8, "1d")
    assert (returned.transactions, returned.refunds) == ([0], [80995 * 2.08])


def lines_of(rows: list[tuple[object, ...]], **options: object) -> DataConfig:
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount", "item"][: len(rows[0])])
    return events_from_frame(frame, DataConfig(**{"cancellation_days": 30, **options}))


def pairs(events: object) -> list[tuple[float, float]]:
    """(day of purchase, day of cancellation) of each match."""
    there = (events.counterpart != NO_COUNTERPART) & (events.amount > 0)
    return [(t / DAY, u / DAY) for t, u in zip(events.timestamp[there], events.counterpart[there], strict=True)]


def day(number: int) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(number, "D"))


def test_the_latest_open_purchase_of_the_same_amount_is_cancelled() -> None:
    rows = [("a", day(1), 5.0), ("a", day(2), 5.0), ("a", day(3), -5.0), ("a", day(4), 5.0), ("a", day(5), -5.0)]
    rows += [("a", day(6), -5.0), ("a", day(7), -5.0), ("a", day(8), 7.0), ("b", day(9), -7.0)]
    assert pairs(lines_of(rows)) == [(1, 6), (2, 3), (4, 5)]


def test_a_purchase_too_long_ago_and_another_item_are_not_cancelled() -> None:
    rows = [("a", day(1), 5.0, "x"), ("a", day(32), -5.0, "x"), ("a", day(40), 8.0, "x"), ("a", day(41), -8.0, "y")]
    assert pairs(lines_of(rows)) == [(40, 41)]
    assert pairs(lines_of(rows, cancellation_days=31)) == [(1, 32), (40, 41)]
    assert pairs(lines_of(rows, match_on=("item",))) == []
    rows = [("a", day(1), 5.0, None), ("a", day(2), -5.0, None)]
    assert pairs(lines_of(rows, match_on=("item",))) == []


def test_match_on_needs_a_span_and_the_span_is_bounded() -> None:
    for wrong in ({"match_on": ("item",)}, {"cancellation_days": -1}, {"cancellation_days": float("nan")}):
        with pytest.raises(ValueError, match="cancellation_days"):
            DataConfig(**wrong)


def slow_matches(rows: list[tuple[str, int, float, str]], limit: int) -> set[tuple[str, int, int, float, str]]:
    """The rule, word by word."""
    found = set()
    for key in {(who, abs(amount), item) for who, _, amount, item in rows}:
        mine = sorted((t, a < 0) for w, t, a, i in rows if (w, abs(a), i) == key)
        stack: list[int] = []
        for t, back in mine:
            if not back:
                stack.append(t)
            elif stack:
                bought = stack.pop()
                if 0 < t - bought <= limit:
                    found.add((key[0], bought, t, key[1], key[2]))
    return found


LINES = st.tuples(
    st.sampled_from(["a", "b"]),
    st.integers(0, 12),
    st.sampled_from([1.0, -1.0, 2.0, -2.0, 0.1, 0.0]),
    st.sampled_from("xy"),
)


@settings(max_examples=14, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_matches_are_those_of_the_rule_in_any_order_of_rows(
    rows: list[tuple[str, int, float, str]], random: object
) -> None:
    options = {"cancellation_days": 4, "match_on": ("item",), "categorical": ("item",)}
    events = lines_of([(w, day(t), a, i) for w, t, a, i in rows], **options)
    there = np.flatnonzero((events.counterpart != NO_COUNTERPART) & (events.amount > 0))
    items = events.categorical["item"]
    found = {
        (
            events.customer_id[events.owner[i]],
            events.timestamp[i] // DAY,
            events.counterpart[i] // DAY,
            events.amount[i],
            items.values[items.codes[i]],
        )
        for i in there
    }
    assert found == slow_matches(rows, 4)
    random.shuffle(rows)  # type: ignore[attr-defined]
    again = lines_of([(w, day(t), a, i) for w, t, a, i in rows], **options)
    assert np.array_equal(again.counterpart, events.counterpart)
    assert np.array_equal(again.amount, events.amount)


@settings(max_examples=14, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=25), st.sampled_from(["none", "1d", "3d"]))
def test_a_cut_is_what_it_would_be_had_the_log_ended_there(rows: list[tuple[str, int, float, str]], merge: str) -> None:
    options = {"cancellation_days": 6, "match_on": ("item",), "categorical": ("item",), "numeric": ("amount",)}
    whole = lines_of([(w, day(t), a, i) for w, t, a, i in rows], **options)
    for cutoff in (1, 4, 7, 10):
        kept = [(w, day(t), a, i) for w, t, a, i in rows if t < cutoff]
        if not kept:
            continue
        cut, ended = (history(e, cutoff * DAY, merge) for e in (whole, lines_of(kept, **options)))
        assert list(cut.customer_id) == list(ended.customer_id)
        for name in ("timestamp", "amount", "event_type"):
            assert np.array_equal(getattr(cut, name), getattr(ended, name))
        assert np.array_equal(cut.numeric["amount"], ended.numeric["amount"])
        words = [[c.values[k] for k in c.codes] for c in (cut.categorical["item"], ended.categorical["item"])]
        assert words[0] == words[1]


def test_what_is_left_of_an_instant_is_netted_as_if_the_cancelled_line_had_never_been() -> None:
    amounts = [0.1, 0.2, 0.3, 0.7, 1e9 / 3]
    rows = [("a", day(1), a) for a in amounts]
    cancelled = lines_of([*rows, ("a", day(1), 9.0), ("a", day(3), -9.0)])
    assert len(cancelled) == len(amounts) + 2
    left, never = merged(cancelled, "none"), merged(lines_of(rows), "none")
    assert np.array_equal(left.amount, never.amount)
    assert len(left) == 1


def test_simulated_refunds_of_whole_purchases_are_all_found(tmp_path: Path) -> None:
    from seqclv.data.simulate import SimulationConfig, simulate

    log = simulate(SimulationConfig(customers=200, mean_events=8, refund_share=0.2, seed=3)).transactions
    pq.write_table(log, tmp_path / "log.parquet")
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), cancellation_days=1000)
    store = build_store(data, tmp_path / "store")
    refunds = int((log["amount"].to_numpy() < 0).sum())
    assert store.info.report["cancelled_purchases"] == refunds > 100
    everything = merged(store.read(), "none")
    assert len(everything) == log.num_rows - 2 * refunds
    assert not (everything.event_type == REFUND).any()


def test_the_size_of_blocks_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqclv.data import archive

    rng = np.random.default_rng(0)
    rows = [(f"c{i % 7}", day(int(t)), float(a)) for i, (t, a) in enumerate(rng.integers([0, -3], [40, 4], (500, 2)))]
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    frame.to_parquet(tmp_path / "log.parquet")
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), cancellation_days=9)
    prints = set()
    for size, out in itertools.product((131_072, 7), ("one",)):
        monkeypatch.setattr(archive, "BATCH_ROWS", size)
        prints.add(build_store(data, tmp_path / f"{out}{size}").fingerprint)
    assert len(prints) == 1
    in_memory = events_from_frame(frame, replace(data, transactions=()))
    assert np.array_equal(in_memory.counterpart, build_store(data, tmp_path / "again").read().counterpart)
