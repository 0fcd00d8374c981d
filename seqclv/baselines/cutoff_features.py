"""What a boosted model reads and learns: features of a history as seen at a cutoff, and past cutoffs as examples.

Shape: C customers, D features, E events, R examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, REFUND, Events

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_GAPS = 3


def trailing_windows(span_days: float) -> tuple[float, ...]:
    """Lengths in days of the trailing windows: span / 128, span / 64, ..., span / 2."""
    return tuple(span_days / 2**k for k in range(7, 0, -1))


def cutoff_features(history: Events, cutoff: int, windows_days: Sequence[float]) -> FloatArray:
    """[C, D] features of merged histories, whose events all lie strictly before `cutoff` (microseconds).

    Times are in days, amounts in currency units; what does not exist (a gap of a one-time buyer) is NaN. Every
    customer has at least one purchase. The trailing windows are [cutoff - window, cutoff).
    """
    bought = history.rows(history.event_type == PURCHASE)
    days = (cutoff - bought.timestamp) / MICROSECONDS_PER_DAY  # before the cutoff
    first, last = bought.offset[:-1], bought.offset[1:] - 1
    frequency = (last - first).astype(np.float64)
    recency = days[first] - days[last]
    mean_gap = np.where(frequency > 0, recency / np.maximum(frequency, 1), np.nan)
    return np.column_stack(
        [
            frequency,
            recency,
            days[first],
            days[last],
            mean_gap,
            days[last] / np.maximum(mean_gap, 1e-6),
            *_gaps(days, first, last),
            *_amounts(bought),
            *_trailing(bought, days, windows_days),
            *_refunds(history, cutoff, windows_days),
        ]
    )


def _gaps(days: FloatArray, first: IntArray, last: IntArray) -> list[FloatArray]:
    """The last gaps between purchases, the latest first."""
    return [
        np.where(last - k > first, days[np.maximum(last - k - 1, 0)] - days[np.maximum(last - k, 0)], np.nan)
        for k in range(_GAPS)
    ]


def _amounts(bought: Events) -> list[FloatArray]:
    first, last = bought.offset[:-1], bought.offset[1:] - 1
    count = last - first + 1
    total = np.add.reduceat(bought.amount, first)
    log_amount = np.log(np.maximum(bought.amount, 1e-300))
    mean_log = np.add.reduceat(log_amount, first) / count
    return [total, total / count, mean_log, bought.amount[last], np.maximum.reduceat(bought.amount, first)]


def _trailing(bought: Events, days: FloatArray, windows_days: Sequence[float]) -> list[FloatArray]:
    owner, columns = bought.owner, []
    for window in windows_days:
        inside = days <= window
        columns.append(np.bincount(owner[inside], minlength=bought.customers).astype(np.float64))
        columns.append(_sums(owner[inside], bought.amount[inside], bought.customers))
    return columns


def _refunds(history: Events, cutoff: int, windows_days: Sequence[float]) -> list[FloatArray]:
    refund = history.event_type == REFUND
    recent = refund & (cutoff - history.timestamp <= windows_days[-1] * MICROSECONDS_PER_DAY)
    owner, size = history.owner, history.customers
    return [
        np.bincount(owner[refund], minlength=size).astype(np.float64),
        -_sums(owner[refund], history.amount[refund], size),
        -_sums(owner[recent], history.amount[recent], size),
    ]


@dataclass(frozen=True)
class Examples:
    """Histories at past cutoffs and what followed, one row per customer and cutoff.

    Shape: features [R, D]; customer [R] index into the history's customers; the outcomes [R].
    """

    features: FloatArray
    customer: IntArray
    count: FloatArray  # purchases in [cutoff, cutoff + window)
    spend: FloatArray  # their amount
    half_count: FloatArray  # the same in the first half of the window
    half_spend: FloatArray

    def __len__(self) -> int:
        return len(self.customer)

    def select(self, rows: IntArray) -> "Examples":
        """Keep the given rows."""
        return Examples(*(getattr(self, f.name)[rows] for f in fields(self)))


def past_examples(history: Events, cutoff: int, window_days: float, cutoffs: int) -> Examples:
    """Examples at up to `cutoffs` past cutoffs, whole days apart, whose windows all end at or before `cutoff`.

    The latest past cutoff is cutoff - window; the others lie evenly between it and the first event.
    """
    start = int(history.timestamp.min(initial=cutoff))
    latest = cutoff - round(window_days * MICROSECONDS_PER_DAY)
    available = (latest - start) / MICROSECONDS_PER_DAY
    ages = {int(i * available / (cutoffs + 1)) for i in range(cutoffs)} if available > 0 else set()
    windows = trailing_windows((cutoff - start) / MICROSECONDS_PER_DAY)
    parts = [_examples_at(history, latest - age * MICROSECONDS_PER_DAY, window_days, windows) for age in sorted(ages)]
    parts = [part for part in parts if len(part)]
    if not parts:
        return Examples(np.zeros((0, 1)), np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(4)))
    return Examples(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Examples)))


def _examples_at(history: Events, cutoff: int, window_days: float, windows: Sequence[float]) -> Examples:
    past = history.rows(history.timestamp < cutoff)
    bought = past.event_type == PURCHASE
    customer = np.flatnonzero(np.bincount(past.owner[bought], minlength=past.customers))
    future = history.select(customer)
    count, spend = _outcome(future, cutoff, window_days)
    half_count, half_spend = _outcome(future, cutoff, window_days / 2)
    features = cutoff_features(past.select(customer), cutoff, windows)
    return Examples(features, customer, count, spend, half_count, half_spend)


def _outcome(future: Events, cutoff: int, window_days: float) -> tuple[FloatArray, FloatArray]:
    end = cutoff + round(window_days * MICROSECONDS_PER_DAY)
    inside = (future.event_type == PURCHASE) & (future.timestamp >= cutoff) & (future.timestamp < end)
    owner, size = future.owner[inside], future.customers
    count = np.bincount(owner, minlength=size).astype(np.float64)
    return count, _sums(owner, future.amount[inside], size)


def _sums(owner: IntArray, values: FloatArray, size: int) -> FloatArray:
    """[size] sum of the values of each owner."""
    return np.asarray(np.bincount(owner, values, size), dtype=np.float64)
