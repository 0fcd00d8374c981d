"""Which cutoffs and windows are asked in training. Randomness is keyed by customer id, seed and epoch."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events, FloatArray, IntArray, concatenate
from seqclv.data.store import EventStore
from seqclv.data.windows import merge_period

_SAMPLE_KEY = 7_001


def uniforms(customer_id: npt.NDArray[np.object_], columns: int, *key: int) -> FloatArray:
    """[C, columns] uniform numbers in [0, 1) that depend on nothing but each customer's id and the key."""
    state = pd.util.hash_array(np.asarray(customer_id, dtype=object), categorize=False).astype(np.uint64)
    for part in key:
        state = _mixed(state ^ np.uint64(part & 0xFFFFFFFFFFFFFFFF))
    column = np.arange(1, columns + 1, dtype=np.uint64)
    bits = _mixed(state[:, None] + column[None, :] * np.uint64(0x9E3779B97F4A7C15))
    return (bits >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def draw_cutoffs(
    events: Events, end: int, *, per_customer: int, merge: str, seed: int, epoch: int
) -> tuple[IntArray, IntArray]:
    """Cutoffs between each customer's first purchase and `end`, both exclusive, on the borders of merge periods.

    Returns:
        row [N] and cutoff [N] in microseconds. A customer whose first purchase lies within the last period has none.
    """
    period = merge_period(merge) or 1
    first = _first_purchase(events)
    earliest = first // period + 1  # in periods; the first border after the first purchase
    latest = (end - 1) // period  # the last border before the end
    room = np.maximum(latest - earliest + 1, 0)
    share = uniforms(events.customer_id, per_customer, seed, epoch, 1)
    cutoff = (earliest[:, None] + np.floor(share * room[:, None]).astype(np.int64)) * period
    row = np.repeat(np.arange(events.customers, dtype=np.int64), per_customer)
    usable = np.repeat(room > 0, per_customer)
    return row[usable], cutoff.ravel()[usable]


def _first_purchase(events: Events) -> IntArray:
    bought = events.rows(events.event_type == PURCHASE)
    return bought.timestamp[bought.offset[:-1]]


def draw_horizons(
    events: Events, row: IntArray, cutoff: IntArray, end: int, *, horizon_days: float, merge: str, seed: int, epoch: int
) -> IntArray:
    """[N, 2] windows of each query: to `end`, and a shorter one, in microseconds.

    The shorter one is the asked horizon where it fits, else uniform in the logarithm between a day and the end, in
    whole merge periods: a log of dates has all purchases of a day at its start, so a window that ends within a day
    would hold a whole day's purchases in a part of its time.
    """
    period = merge_period(merge) or 1
    whole = end - cutoff
    asked = round(horizon_days * MICROSECONDS_PER_DAY)
    # Keyed by the customer alone, then spread over the queries by their cutoffs.
    share = uniforms(events.customer_id, 1, seed, epoch, 2)[row, 0]
    share = (share + cutoff.astype(np.float64) / MICROSECONDS_PER_DAY * 0.6180339887498949) % 1.0
    shortest = np.minimum(MICROSECONDS_PER_DAY, whole)
    drawn = (shortest * (whole / shortest) ** share).astype(np.int64)
    drawn = np.minimum(np.maximum(drawn // period, 1) * period, whole)
    shorter = np.where(asked < whole, asked, drawn)
    return np.stack([whole, shorter], axis=-1)


def read_sample(store: EventStore, most: int) -> Events:
    """The events of all customers of a store, or of about `most` of a larger one, drawn by their ids.

    A store that fits is read as mapped views; a sample is gathered block by block, in memory that grows with the
    sample alone. A larger share draws the same customers and more.
    """
    if store.customers <= most:
        return store.read()
    share = most / store.customers
    parts = [
        block.select(np.flatnonzero(uniforms(block.customer_id, 1, _SAMPLE_KEY)[:, 0] < share))
        for block in store.blocks()
    ]
    return concatenate(parts)


def validation_customers(events: Events, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """[C] the customers held out for early stopping; by id, so that the split survives any change of the log."""
    return uniforms(events.customer_id, 1, seed, 3)[:, 0] < share
