"""What a merged history says about its customers' money and rhythm, and what the whole base says.

Shape: N customers; each column [N].
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, REFUND, Events, IntArray
from seqclv.predictive import FloatArray


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The history of N customers, each with at least one purchase. Times in microseconds or days, money in currency."""

    first: IntArray  # microseconds
    last: IntArray
    age_days: FloatArray  # first purchase to cutoff
    days_since_last: FloatArray
    transactions: FloatArray
    spend: FloatArray
    refunds: FloatArray  # >= 0
    usual_gap_days: FloatArray  # median gap between purchases; NaN for one-time buyers
    earlier_gap_days: FloatArray  # the median without the last gap; NaN below three purchases
    last_gap_days: FloatArray  # between the last two purchases; NaN for one-time buyers
    known_margin: FloatArray  # gross margin of the purchases where it is known
    known_spend: FloatArray  # their amount
    known_transactions: FloatArray  # their number
    channel: npt.NDArray[np.object_]  # at the first purchase; None where unknown


def facts(history: Events, cutoff: int, *, margin_column: str | None, channel_column: str | None) -> Facts:
    """The facts of merged histories before the cutoff (microseconds)."""
    bought = history.rows(history.event_type == PURCHASE)
    owner, size = bought.owner, bought.customers
    refund = history.event_type == REFUND
    first, last = bought.timestamp[bought.offset[:-1]], bought.timestamp[bought.offset[1:] - 1]
    margin = np.full(len(bought), np.nan) if margin_column is None else bought.numeric[margin_column]
    known = ~np.isnan(margin)
    gap_owner, gap = _gaps(bought)
    final = np.append(gap_owner[1:] != gap_owner[:-1], True)[: len(gap)]  # each customer's last gap
    last_gap = np.full(size, np.nan)
    last_gap[gap_owner[final]] = gap[final]

    def total(weights: FloatArray, of: IntArray) -> FloatArray:
        """[C] sums of weights by their customers."""
        return np.asarray(np.bincount(of, weights=weights, minlength=size), dtype=np.float64)

    return Facts(
        first=first,
        last=last,
        age_days=(cutoff - first) / MICROSECONDS_PER_DAY,
        days_since_last=(cutoff - last) / MICROSECONDS_PER_DAY,
        transactions=np.diff(bought.offset).astype(np.float64),
        spend=total(bought.amount, owner),
        refunds=np.abs(total(history.amount[refund], history.owner[refund])),
        usual_gap_days=_medians(gap_owner, gap, size),
        earlier_gap_days=_medians(gap_owner[~final], gap[~final], size),
        last_gap_days=last_gap,
        known_margin=total(margin[known], owner[known]),
        known_spend=total(bought.amount[known], owner[known]),
        known_transactions=total(np.ones(int(known.sum())), owner[known]),
        channel=_first_words(bought, channel_column),
    )


def _gaps(bought: Events) -> tuple[IntArray, FloatArray]:
    """The gaps between consecutive purchases, days, and whose they are."""
    owner = bought.owner
    same = owner[1:] == owner[:-1]
    return owner[1:][same], np.diff(bought.timestamp)[same] / MICROSECONDS_PER_DAY


def _medians(owner: IntArray, values: FloatArray, size: int) -> FloatArray:
    """[size] the median of each owner's values; NaN without one."""
    ordered = values[np.lexsort((values, owner))]
    count = np.bincount(owner, minlength=size)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    some = count > 0
    result = np.full(size, np.nan)
    low, high = start[some] + (count[some] - 1) // 2, start[some] + count[some] // 2
    result[some] = (ordered[low] + ordered[high]) / 2
    return result


def _first_words(bought: Events, column: str | None) -> npt.NDArray[np.object_]:
    """[N] the column's value at each customer's first purchase, or the customer's own where it is a static one."""
    if column is None:
        return np.full(bought.customers, None, dtype=object)
    static = bought.static_categorical.get(column)
    feature = bought.categorical[column] if static is None else static
    codes = feature.codes[bought.offset[:-1]] if static is None else feature.codes
    words = np.array([*feature.values, None], dtype=object)  # code -1 is missing: the last
    return np.asarray(words[codes])


@dataclass(frozen=True, kw_only=True)
class Base:
    """Sums over a whole base, from one pass over it."""

    customers: int = 0
    spend: float = 0.0
    refunds: float = 0.0
    known_margin: float = 0.0
    known_spend: float = 0.0
    gap_days: float = 0.0  # sum of the gaps between purchases
    gaps: float = 0.0  # their number
    oldest_days: float = 0.0

    def with_facts(self, part: Facts) -> "Base":
        """The sums with further customers."""
        lived = part.age_days - part.days_since_last
        return Base(
            customers=self.customers + len(part.first),
            spend=self.spend + float(part.spend.sum()),
            refunds=self.refunds + float(part.refunds.sum()),
            known_margin=self.known_margin + float(part.known_margin.sum()),
            known_spend=self.known_spend + float(part.known_spend.sum()),
            gap_days=self.gap_days + float(lived.sum()),
            gaps=self.gaps + float((part.transactions - 1).sum()),
            oldest_days=max(self.oldest_days, float(part.age_days.max(initial=0.0))),
        )

    @property
    def mean_gap_days(self) -> float:
        """Mean gap between purchases; the age of the oldest customer where nobody repeats."""
        return self.gap_days / self.gaps if self.gaps > 0 else max(self.oldest_days, 1.0)
