"""Does a log end long before the cutoff? Then its silence reads as churn."""

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
        timestamps: of all events, in any order; looked at only where some days before the cutoff are empty.
    """
    first, last = span
    end, last_day = cutoff // MICROSECONDS_PER_DAY, last // MICROSECONDS_PER_DAY
    days = end - 1 - last_day
    if days < _UNSEEN_DAYS:
        return None
    lasted = last_day + 1 - first // MICROSECONDS_PER_DAY
    if lasted < LEAST_SPAN_DAYS:
        improbable = days > lasted
    else:
        improbable = bool(stale({"": _days(timestamps)}, end))
    if not improbable:
        return None
    return (
        f"warning: the log ends on {to_timestamp(last).date()}, {days:,} whole days before the cutoff "
        f"{to_timestamp(cutoff)}: nobody's purchases since are known, and their silence is read as churn. "
        "Add the days that are missing, or take an earlier cutoff."
    )


def _days(timestamps: IntArray) -> IntArray:
    """The days (since 1970-01-01) with an event, rising, each once; the array may be a file larger than memory."""
    pieces = (timestamps[start : start + _PIECE] for start in range(0, len(timestamps), _PIECE))
    return np.unique(np.concatenate([np.unique(np.asarray(piece) // MICROSECONDS_PER_DAY) for piece in pieces]))
