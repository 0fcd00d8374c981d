"""What a new customer brings, counted from the first purchase on: by what earlier ones with the same attributes did.

Of somebody without a purchase no history tells anything, and no log tells whether they will ever buy. What can be said
is what they bring IF they make a first purchase: the distribution of what newcomers of the last year brought in the
days since theirs, the first purchase included. Attributes are taken one after the other; with M_0 all newcomers and
M_j those who share the first j attributes,

    P_0 = the newcomers of M_0, equally likely
    P_j = (n_j x the newcomers of M_j, equally likely + K x P_(j-1)) / (n_j + K),    n_j = |M_j|

so that few newcomers with the same attributes lean on the many with some of them (K = `PRIOR_NEWCOMERS`). Expected
values and quantiles are those of this weighted sample: no law is assumed, the width is that of what happened.

Shape: P newcomers, A attributes, G profiles (combinations of attributes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seqclv.data.events import MICROSECONDS_PER_DAY, Events, IntArray
from seqclv.data.features import ledger
from seqclv.data.windows import search
from seqclv.forecast.forecaster import LEVELS
from seqclv.predictive import FloatArray

PRIOR_NEWCOMERS = 50.0  # weight of those who share one attribute less
RECENT_DAYS = 365.0  # newcomers of the last year are the ones like those to come
FEWEST = 20  # newcomers that a forecast needs
MOST = 50_000  # newcomers that are looked at, the latest
QUARTILES = (0.25, 0.5, 0.75)  # between which the values of a numeric attribute count as the same

Words = npt.NDArray[np.object_]  # values of an attribute; None is missing


@dataclass(frozen=True)
class Newcomers:
    """First purchases and what followed within some days, of P customers in the order of their first purchases.

    Shape: first, transactions, spend [P]; each attribute [P].
    """

    first: IntArray  # microseconds
    transactions: FloatArray  # purchases in [first, first + horizon), the first one included
    spend: FloatArray
    attributes: Mapping[str, Words | FloatArray]  # text, or numbers with NaN where missing

    def __len__(self) -> int:
        return len(self.first)

    def rows(self, keep: npt.NDArray[Any]) -> Self:
        """Those for whom a mask [P] holds, or those of some indices in their order."""
        attributes = {name: values[keep] for name, values in self.attributes.items()}
        return replace(
            self,
            first=self.first[keep],
            transactions=self.transactions[keep],
            spend=self.spend[keep],
            attributes=attributes,
        )


def newcomers(history: Events, horizon_days: float, names: Sequence[str]) -> Newcomers:
    """The newcomers of merged histories; of those younger than the horizon what they did so far."""
    book = ledger(history, ())
    row = np.arange(history.customers, dtype=np.int64)
    start = book.offset[:-1]
    first = book.time[start]
    end = search(book.offset, book.time, row, first + round(horizon_days * MICROSECONDS_PER_DAY))
    order = np.argsort(first, kind="stable")
    found = Newcomers(
        first,
        (end - start).astype(np.float64),
        book.amount[end] - book.amount[start],
        {name: _attribute(history, name) for name in names},
    )
    return found.rows(order)


def _attribute(history: Events, name: str) -> Words | FloatArray:
    if name in history.static_numeric:
        return history.static_numeric[name]
    column = history.static_categorical[name]
    return np.array([*column.values, None], dtype=object)[column.codes]  # code -1 is missing: the last


def pool(known: Newcomers, cutoff: int, horizon_days: float) -> Newcomers:
    """The newcomers of the last year who were seen for the whole horizon before the cutoff (microseconds)."""
    latest = cutoff - round(horizon_days * MICROSECONDS_PER_DAY)
    recent = latest - round(RECENT_DAYS * MICROSECONDS_PER_DAY)
    return known.rows(np.flatnonzero((known.first <= latest) & (known.first > recent))[-MOST:])


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What newcomers of G profiles bring within the horizon. Shape: [G], ranges [G, levels]."""

    alike: FloatArray  # newcomers with the same attributes
    expected_transactions: FloatArray
    expected_spend: FloatArray
    repeat_probability: FloatArray  # of a second purchase within the horizon
    transactions: FloatArray
    spend: FloatArray


def promise(past: Newcomers, profiles: Mapping[str, Words | FloatArray]) -> Promise:
    """What each of G profiles brings, by the newcomers of a pool; attributes count in the order of `profiles`."""
    codes = [_codes(past.attributes[name], profiles[name]) for name in profiles]
    size = len(next(iter(profiles.values()))) if profiles else 1
    by_spend, by_count = np.argsort(past.spend, kind="stable"), np.argsort(past.transactions, kind="stable")
    rows = []
    for profile in range(size):
        weight, alike = _weights([(own, asked[profile]) for own, asked in codes], len(past))
        rows.append(
            [
                alike,
                weight @ past.transactions,
                weight @ past.spend,
                weight @ (past.transactions > 1),
                *_quantiles(past.transactions, weight, by_count),
                *_quantiles(past.spend, weight, by_spend),
            ]
        )
    table = np.asarray(rows, dtype=np.float64)
    levels = len(LEVELS)
    return Promise(
        alike=table[:, 0],
        expected_transactions=table[:, 1],
        expected_spend=table[:, 2],
        repeat_probability=table[:, 3],
        transactions=table[:, 4 : 4 + levels],
        spend=table[:, 4 + levels :],
    )


def _codes(own: Words | FloatArray, asked: Words | FloatArray) -> tuple[IntArray, IntArray]:
    """Codes of the newcomers' values [P] and of the profiles' [G]: the same where the values count as the same."""
    if own.dtype == object:
        known = {value: i for i, value in enumerate(dict.fromkeys([*own, *asked]))}
        return np.array([known[v] for v in own], dtype=np.int64), np.array([known[v] for v in asked], dtype=np.int64)
    present = own[np.isfinite(own.astype(np.float64))]
    edges = np.unique(np.quantile(present, QUARTILES)) if len(present) else np.zeros(0)
    return tuple(  # type: ignore[return-value]
        np.where(np.isnan(values.astype(np.float64)), -1, np.searchsorted(edges, values, side="right"))
        for values in (own, asked)
    )


def _weights(attributes: Sequence[tuple[IntArray, int]], size: int) -> tuple[FloatArray, int]:
    """[P] probabilities of the newcomers for one profile, and how many of them share all its attributes."""
    member = np.ones(size, dtype=bool)
    weight = np.full(size, 1.0 / size)
    for own, asked in attributes:
        member = member & (own == asked)
        weight = (member + PRIOR_NEWCOMERS * weight) / (member.sum() + PRIOR_NEWCOMERS)
    return weight, int(member.sum())


def _quantiles(values: FloatArray, weight: FloatArray, order: IntArray) -> list[float]:
    """The smallest values up to which at least each level of the weight lies; `order` sorts the values."""
    running = np.cumsum(weight[order])
    place = np.searchsorted(running, np.asarray(LEVELS) * running[-1] - 1e-12)
    return [float(values[order[min(int(i), len(order) - 1)]]) for i in place]
