"""Histories before a cutoff and what happened in the window after it: the only place that knows the two sides.

A cutoff is an instant. History is strictly before it; the future window is [cutoff, cutoff + horizon). History is
cut BEFORE lines are merged, so a line at or after the cutoff never joins an earlier transaction.
"""

import re
from dataclasses import dataclass, replace
from numbers import Number

import numpy as np
import pandas as pd

from seqclv.config import MERGE_PERIOD
from seqclv.data.events import (
    MICROSECONDS_PER_DAY,
    NO_COUNTERPART,
    PURCHASE,
    REFUND,
    ZERO,
    Categorical,
    Events,
    FloatArray,
    IntArray,
)
from seqclv.data.netting import INSTANT_ROUNDING, net_amounts, net_attributes
from seqclv.errors import InputError

_WRITTEN = re.compile(r"\s*(\d{4}|$|NaT$)")  # a year first, or empty
_MICROSECONDS = {"h": MICROSECONDS_PER_DAY // 24, "d": MICROSECONDS_PER_DAY}
_ROUNDING = 1e-9  # a net amount this small beside its lines is zero


def instant(value: object, *, what: str = "cutoff") -> int:
    """Microseconds since 1970-01-01 of a date (its first instant) or a time. A time zone is converted to UTC.

    Text begins with the year: 01/02/2024 means different days to different people. A number names no day.

    Raises:
        InputError: the value is something else, or empty.
    """
    try:
        if isinstance(value, Number) or (isinstance(value, str) and _WRITTEN.match(value) is None):
            raise ValueError(value)
        stamp = pd.Timestamp(value)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise InputError(f"A {what} is a date or a time such as 2024-07-01, but {value!r} is neither.") from error
    if pd.isna(stamp):
        raise InputError(f"A {what} is a date or a time such as 2024-07-01, but {value!r} is empty.")
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return int(stamp.as_unit("us").asm8.astype(np.int64))


def to_timestamp(microseconds: int) -> pd.Timestamp:
    """The instant as a pandas timestamp without a zone."""
    return pd.Timestamp(microseconds, unit="us")


def merge_period(merge: str) -> int | None:
    """The period of `DataConfig.merge` in microseconds; None for 'none'."""
    if merge == "none":
        return None
    match = MERGE_PERIOD.fullmatch(merge)
    if match is None or int(match[1]) == 0:
        raise InputError(f"merge is 'none' or a period of hours or days such as '1d' or '6h', but it is {merge!r}.")
    return int(match[1]) * _MICROSECONDS[match[2]]


def before(events: Events, cutoff: int) -> Events:
    """Events strictly before the cutoff; customers without one stay, empty."""
    return events.rows(events.timestamp < cutoff)


def within(events: Events, start: int, end: int) -> Events:
    """Events in [start, end)."""
    return events.rows((events.timestamp >= start) & (events.timestamp < end))


def merged(events: Events, merge: str) -> Events:
    """Net the transaction lines of one customer in one period into one event; further types stay as they are.

    The merged event stands at its first line. It is a purchase if its net amount is above zero, a refund if below,
    else a zero event. Cancelled purchases are settled first (see `settled`).
    """
    events = settled(events)
    lines = events.event_type == PURCHASE
    period = merge_period(merge)
    if period is not None:
        events, lines = _netted(events, lines, np.floor_divide(events.timestamp, period), _ROUNDING)
    sign = np.where(events.amount > 0, PURCHASE, np.where(events.amount < 0, REFUND, ZERO))
    return replace(events, event_type=np.where(lines, sign, events.event_type).astype(np.int16))


def settled(events: Events) -> Events:
    """Leave out each cancelled purchase together with its cancellation where both of them are there.

    The events are a cut in time, so what is there is what is known: as of a cutoff between a purchase and its
    cancellation the purchase stands, as of one after both neither does. In a future window a purchase cancelled within
    the window leaves nothing, one cancelled after it stands, and the cancellation of an earlier purchase is a refund.

    A store keeps the lines of an instant apart where one of them has a counterpart; what is left of them is netted
    here as it is when a store is built, in the same order, so that a cut is what it would be had the log ended there.
    """
    if events.counterpart is None:
        return events
    row = np.flatnonzero(events.counterpart != NO_COUNTERPART)
    time, owner = events.counterpart[row], events.owner[row]
    place = search(events.offset, events.timestamp, owner, time)
    there = place < events.offset[owner + 1]
    there[there] = events.timestamp[place[there]] == time[there]
    keep = np.ones(len(events), dtype=bool)
    keep[row[there]] = False
    events = replace(events.rows(keep), counterpart=None)
    return _netted(events, events.event_type == PURCHASE, events.timestamp, INSTANT_ROUNDING, last=True)[0]


def _netted(
    events: Events, lines: np.ndarray, bucket: IntArray, rounding: float, *, last: bool = False
) -> tuple[Events, np.ndarray]:
    """Net the lines of one customer and bucket; categories are those of the largest, of equals the first or last."""
    owner = events.owner
    index = np.flatnonzero(lines)
    new = np.ones(len(index), dtype=bool)
    new[1:] = (np.diff(owner[index]) != 0) | (np.diff(bucket[index]) != 0)
    if new.all():
        return events, lines
    first = index[new]  # the first line of each transaction
    start = np.flatnonzero(new)
    amount = events.amount.copy()
    amount[first] = net_amounts(events.amount[index], start, rounding)
    numeric = {}
    for name, column in events.numeric.items():
        numeric[name] = column.copy()
        numeric[name][first] = net_attributes(column[index], start)
    leading = index[_largest(events.amount[index], new, last)]  # the line that lends its categories
    categorical = {}
    for name, feature in events.categorical.items():
        codes = feature.codes.copy()
        codes[first] = feature.codes[leading]
        categorical[name] = Categorical(codes, feature.values)
    keep = ~lines
    keep[first] = True
    return replace(events, amount=amount, numeric=numeric, categorical=categorical).rows(keep), lines[keep]


def _largest(amount: FloatArray, new: np.ndarray, last: bool) -> IntArray:
    """Of each group, the position of the largest amount; of equals the first or the last."""
    group, position = np.cumsum(new), np.arange(len(amount))
    order = np.lexsort((-position if last else position, -amount, group))
    return order[np.flatnonzero(new)]


def history(events: Events, cutoff: int, merge: str) -> Events:
    """The merged events strictly before the cutoff of every customer with at least one purchase there."""
    past = merged(before(events, cutoff), merge)
    bought = np.bincount(past.owner[past.event_type == PURCHASE], minlength=past.customers) > 0
    return past.select(np.flatnonzero(bought))


@dataclass(frozen=True)
class Outcome:
    """What customers did in a window. Shape: each [C]."""

    transactions: FloatArray  # number of purchases
    spend: FloatArray  # their amount
    refunds: FloatArray  # amount of refund events, >= 0


def outcome(events: Events, customer_id: np.ndarray, cutoff: int, horizon_days: float, merge: str) -> Outcome:
    """What the given customers (a sorted subset of the log's) did in [cutoff, cutoff + horizon)."""
    end = cutoff + round(horizon_days * MICROSECONDS_PER_DAY)
    rows = np.searchsorted(events.customer_id, customer_id)
    future = merged(within(events.select(rows), cutoff, end), merge)
    purchase, refund = future.event_type == PURCHASE, future.event_type == REFUND
    owner, size = future.owner, future.customers
    return Outcome(
        np.bincount(owner[purchase], minlength=size).astype(np.float64),
        np.bincount(owner[purchase], weights=future.amount[purchase], minlength=size).astype(np.float64),
        np.abs(np.bincount(owner[refund], weights=future.amount[refund], minlength=size)).astype(np.float64),
    )


def end_of_log(events_last: int) -> int:
    """The first instant after the log's last calendar day."""
    return (events_last // MICROSECONDS_PER_DAY + 1) * MICROSECONDS_PER_DAY


def search(events_offset: IntArray, values: IntArray, rows: IntArray, target: IntArray) -> IntArray:
    """For each query, the first index in the row's slice of sorted `values` that is >= target (else the slice's end).

    Shape: rows, target, result [N]; the result is an index into the flat `values`.
    """
    low, high = events_offset[rows], events_offset[rows + 1]
    last = max(len(values) - 1, 0)
    for _ in range(int(np.max(high - low, initial=0)).bit_length()):
        middle = (low + high) // 2
        open_ = low < high
        less = open_ & (values[np.minimum(middle, last)] < target)
        low = np.where(less, middle + 1, low)
        high = np.where(open_ & ~less, middle, high)
    return low
