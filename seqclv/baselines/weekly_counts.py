"""Purchases by week, as the weekly LSTM reads them.

Weeks are counted back from the cutoff: the last one is [cutoff - 7 days, cutoff). A history begins with the week of
the first purchase and has at most the last 200 weeks.

Shape: C customers, L weeks.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events
from seqclv.data.features import year_share

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DAYS_PER_WEEK = 7
WEEKS_OF_YEAR = 52
_MOST_WEEKS = 200
_WEEK = DAYS_PER_WEEK * MICROSECONDS_PER_DAY


@dataclass(frozen=True)
class WeeklyCounts:
    """Weekly purchases from the first week on, aligned at the left. Shape: count [C, L], 0 beyond length [C]."""

    count: IntArray
    length: IntArray

    def __len__(self) -> int:
        return len(self.length)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """[C, L] which weeks belong to the history."""
        return np.arange(self.count.shape[1]) < self.length[:, None]

    def select(self, rows: IntArray) -> "WeeklyCounts":
        """Keep the given histories, as wide as the longest of them."""
        length = self.length[rows]
        return WeeklyCounts(self.count[rows, : int(length.max(initial=1))], length)

    def distinct(self) -> tuple["WeeklyCounts", IntArray]:
        """The different histories, and [C] which of them each customer has."""
        _, first, index = np.unique(self.keys(), return_index=True, return_inverse=True)
        return WeeklyCounts(self.count[first], self.length[first]), np.asarray(index, dtype=np.int64)

    def keys(self) -> npt.NDArray[np.object_]:
        """[C] a text for each history; the same for the same history in any company."""
        rows = zip(self.count.astype(np.uint8), self.length, strict=True)
        return np.array([row[:length].tobytes().hex() for row, length in rows], dtype=object)


def weekly_counts(history: Events, cutoff: int, most: int) -> WeeklyCounts:
    """The weekly purchases of merged histories strictly before `cutoff` (microseconds); more than `most` count as it.

    Every customer has at least one purchase.
    """
    bought = history.rows(history.event_type == PURCHASE)
    back = (cutoff - bought.timestamp - 1) // _WEEK  # 0: the last week
    length = np.minimum(back[bought.offset[:-1]] + 1, _MOST_WEEKS)
    owner, inside = bought.owner, back < _MOST_WEEKS
    count = np.zeros((history.customers, int(length.max(initial=1))), dtype=np.int64)
    np.add.at(count, (owner[inside], length[owner[inside]] - 1 - back[inside]), 1)
    return WeeklyCounts(np.minimum(count, most), length)


def past_weeks_of_year(cutoff: int, weeks: int) -> IntArray:
    """[weeks] the week of the year, 1 to 52, of the last week before the cutoff, the one before it, and so on."""
    return _week_of_year(cutoff - _WEEK * np.arange(1, weeks + 1))


def future_weeks_of_year(cutoff: int, weeks: int) -> IntArray:
    """[weeks] the week of the year, 1 to 52, of the first week from the cutoff on, the next one, and so on."""
    return _week_of_year(cutoff + _WEEK * np.arange(weeks))


def _week_of_year(start: IntArray) -> IntArray:
    return np.minimum((year_share(start) * WEEKS_OF_YEAR).astype(np.int64), WEEKS_OF_YEAR - 1) + 1


def thinning(classes: int, share: float) -> npt.NDArray[np.float32]:
    """[K, K] P(j of k purchases fall into a part of the week), row k, column j."""
    n = np.arange(classes)
    return np.asarray(binom.pmf(n[None, :], n[:, None], share), dtype=np.float32)
