"""Feeds under watch: has one gone silent, has the level of its amounts jumped, are days missing?

A feed is a file, a value of a watched column, or the whole log. Everything here is pure arithmetic on its own past.

Silence. Of each weekday, the days with and without an event among the days before are Bernoulli trials of an
unknown share; under Jeffreys' prior, Beta(1/2, 1/2), the probability that the next k days of that weekday are all empty
is B(1/2 + empty + k, 1/2 + full) / B(1/2 + empty, 1/2 + full), B the beta function; weekdays are multiplied. Feeds
ebb, so the days before are the last 28 or 56 days, or, where few of these had an event, all of the feed's past:
whichever give the largest probability. A feed is stale if its silence at the end of the log has a probability below
ALARM over the number of feeds, and is longer than any of its silences before.

Level. Of each customer and day the largest amount counts. The median log amount of a week is compared with those of up
to LEVEL_WEEKS weeks before. It jumped if it moved by more than a factor of ten, more than twice as far as any of those
weeks lay from their middle, and if so many of the week's amounts on one side of that middle are improbable (sign test,
ALARM over the number of feeds and weeks).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, lgamma, log

import numpy as np

from seqclv.data.events import IntArray

ALARM = 1e-4  # probability of a false alarm in a whole log
PAST_DAYS = (28, 56)
BUSY_DAYS = 14  # of the last 56, with an event; fewer may have come together by chance
LEAST_SPAN_DAYS = 28  # of a feed's past; a shorter one tells nothing
LEAST_ACTIVE_DAYS = 8
LEVEL_WEEKS = 8
LEAST_LEVEL_WEEKS = 4
LEAST_WEEK_AMOUNTS = 20
_SHORTEST_GAP = 3  # days; a shorter one is never improbable enough
_LONGEST = 1_000  # days of a silence that are weighed; a longer one is improbable enough
_STRAY_DAYS = 180  # without an event before
_STRAY_SHARE = 0.01  # of all rows, at most
BINS_PER_LOG = 20  # resolution of log amounts


@dataclass(frozen=True)
class Silence:
    """Whole days without an event."""

    first: int  # day since 1970-01-01
    days: int
    probability: float  # under the feed's own past


@dataclass(frozen=True)
class Jump:
    """A week whose amounts are of another order than those of the weeks before."""

    week: int  # its Monday, in days since 1970-01-01
    factor: float


@dataclass(frozen=True)
class Stray:
    """Rows that lie far behind all others."""

    last: int  # day of the others, since 1970-01-01
    first: int  # day of theirs
    rows: int


def stale(active: Mapping[str, IntArray], end: int) -> dict[str, Silence]:
    """The feeds that have gone silent.

    Args:
        active: the days (since 1970-01-01, rising, each once) on which each feed had an event.
        end: the first day that is not over yet.
    """
    silences = {name: _last_silence(days, end) for name, days in active.items() if len(days)}
    limit = ALARM / max(len(silences), 1)
    return {name: s for name, s in silences.items() if s is not None and s.probability < limit}


def _last_silence(days: IntArray, end: int) -> Silence | None:
    last, length = int(days[-1]), end - 1 - int(days[-1])
    if length < 1 or last + 1 - int(days[0]) < LEAST_SPAN_DAYS or len(days) < LEAST_ACTIVE_DAYS:
        return None
    if length <= int(np.diff(days).max(initial=1)) - 1:
        return None
    silence = np.arange(last + 1, last + 1 + min(length, _LONGEST))
    recent = len(days) - int(np.searchsorted(days, last + 1 - PAST_DAYS[-1]))
    pasts = PAST_DAYS if recent >= BUSY_DAYS else (*PAST_DAYS, last + 1 - int(days[0]))
    chances = [_all_empty(silence, _trials(days, last + 1 - past, last + 1)) for past in pasts]
    return Silence(last + 1, length, max(chances))


def gaps(days: IntArray) -> list[Silence]:
    """The runs of days without any event inside a log that neither the days before nor those after make probable."""
    length = np.diff(days) - 1
    limit = ALARM / max(int(np.count_nonzero(length)), 1)
    found = []
    for place in np.flatnonzero(length >= _SHORTEST_GAP):
        first, stop = int(days[place]) + 1, int(days[place + 1])
        run = np.arange(first, min(stop, first + _LONGEST))
        spans = [span for past in PAST_DAYS for span in ((first - past, first), (stop, stop + past))]
        trials = [t for t in (_trials(days, *span) for span in spans) if t.sum() >= LEAST_SPAN_DAYS]
        probability = max((_all_empty(run, t) for t in trials), default=1.0)
        if probability < limit:
            found.append(Silence(first, stop - first, probability))
    return found


def stray(days: IntArray, rows: IntArray) -> Stray | None:
    """The few rows after a silence that is longer by far than any before: years in the future, most likely.

    Args:
        days: with an event (since 1970-01-01, rising, each once).
        rows: on each of them.
    """
    length = np.diff(days) - 1
    after = rows.sum() - np.cumsum(rows)[:-1]
    longest = np.maximum.accumulate(np.append(0, length))[:-1]  # silence before
    found = np.flatnonzero((length >= _STRAY_DAYS) & (length > 2 * longest) & (after <= _STRAY_SHARE * rows.sum()))
    if not len(found):
        return None
    place = int(found[0])
    return Stray(int(days[place]), int(days[place + 1]), int(after[place]))


def _trials(days: IntArray, start: int, stop: int) -> IntArray:
    """[7, 2] how many days of each weekday in [start, stop), as far as the feed existed, were empty and were not."""
    start, stop = max(start, int(days[0])), min(stop, int(days[-1]) + 1)
    span = np.arange(start, max(stop, start))
    low, high = np.searchsorted(days, [start, stop])
    every = np.bincount(span % 7, minlength=7)
    full = np.bincount(days[low:high] % 7, minlength=7)
    return np.stack([every - full, full], axis=-1)


def _all_empty(days: IntArray, trials: IntArray) -> float:
    """The probability that none of the days has an event."""
    asked = np.bincount(days % 7, minlength=7)
    total = 0.0
    for k, (empty, full) in zip(asked.tolist(), trials.tolist(), strict=True):
        total += _log_beta(0.5 + empty + k, 0.5 + full) - _log_beta(0.5 + empty, 0.5 + full)
    return exp(total)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def jumps(weeks: Mapping[str, Mapping[int, IntArray]]) -> dict[str, list[Jump]]:
    """The jumps of each feed's level.

    Args:
        weeks: by feed and week (its Monday): [B, 2] rising bins of the log amount (BINS_PER_LOG to one) and counts.
    """
    tests = max(sum(len(by_week) for by_week in weeks.values()), 1)
    found = {name: list(_feed_jumps(by_week, ALARM / tests)) for name, by_week in weeks.items()}
    return {name: list_ for name, list_ in found.items() if list_}


def _feed_jumps(by_week: Mapping[int, IntArray], limit: float) -> Iterator[Jump]:
    past: list[float] = []
    for week in sorted(by_week):
        bins, counts = by_week[week].T
        if counts.sum() < LEAST_WEEK_AMOUNTS:
            continue
        level = float(bins[np.searchsorted(np.cumsum(counts), counts.sum() / 2)])
        if len(past) >= LEAST_LEVEL_WEEKS:
            middle = float(np.median(past[-LEVEL_WEEKS:]))
            spread = float(np.abs(np.asarray(past[-LEVEL_WEEKS:]) - middle).max())
            moved = level - middle
            if abs(moved) > max(BINS_PER_LOG * log(10), 2 * spread) and _one_sided(bins, counts, middle) < limit:
                yield Jump(week, exp(moved / BINS_PER_LOG))
                past.clear()  # what follows is compared with the new level
        past.append(level)


def _one_sided(bins: IntArray, counts: IntArray, middle: float) -> float:
    """The probability (two-sided) that so many of the amounts lie on one side of what should be their middle."""
    from scipy.special import bdtrc

    above, below = int(counts[bins > middle].sum()), int(counts[bins < middle].sum())
    return float(2 * bdtrc(max(above, below) - 1, above + below, 0.5)) if above + below else 1.0
