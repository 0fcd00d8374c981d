"""Does a log end long before the cutoff? Then its silence reads as churn."""

from collections.abc import Iterator

import numpy as np

from seqclv.data.events import MICROSECONDS_PER_DAY, IntArray
from seqclv.data.watch import LEAST_SPAN_DAYS, stale
from seqclv.data.windows import to_timestamp

_UNSEEN_DAYS = 2  # a shorter silence is never improbable enough to look at the days before
_PIECE = 1_000_000


def silence_before(cutoff: int, span: tuple[int, int], timestamps: IntArray) -> str | None:
    """A warning where the log's silence before the cutoff is improbable, or longer than a short log itself.

    Args:
        cutoff: microseconds; it need not lie after the log's end.
        span: microseconds of the log's first and of its last event.
        timestamps: of all events, in any order; read only where events lie behind the cutoff or some days before it
            are empty.
    """
    first, last = span
    if last >= cutoff:
        last = max((int(piece[piece < cutoff].max(initial=first)) for piece in _pieces(timestamps)), default=first)
    end, last_day = cutoff // MICROSECONDS_PER_DAY, last // MICROSECONDS_PER_DAY
    days = end - 1 - last_day
    if days < _UNSEEN_DAYS:
        return None
    lasted = last_day + 1 - first // MICROSECONDS_PER_DAY
    if lasted < LEAST_SPAN_DAYS:
        improbable = days > lasted
    else:
        improbable = bool(stale({"": _days(timestamps, cutoff)}, end))
    if not improbable:
        return None
    return (
        f"warning: the last event before the cutoff {to_timestamp(cutoff)} is of {to_timestamp(last).date()}, {days:,} "
        "whole days earlier: nobody's purchases since are known, and their silence is read as churn. "
        "Add the days that are missing, or take an earlier cutoff."
    )


def _days(timestamps: IntArray, cutoff: int) -> IntArray:
    """The days (since 1970-01-01) with an event before the cutoff, rising, each once."""
    found = [np.unique(piece[piece < cutoff] // MICROSECONDS_PER_DAY) for piece in _pieces(timestamps)]
    return np.unique(np.concatenate(found))


def _pieces(timestamps: IntArray) -> Iterator[IntArray]:
    """The array, which may be a file larger than memory, piece by piece."""
    for start in range(0, len(timestamps), _PIECE):
        yield np.asarray(timestamps[start : start + _PIECE])
