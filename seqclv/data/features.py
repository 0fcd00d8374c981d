"""Features of events and of cutoffs, and the targets of future windows: vectorized over customers and queries.

Everything is computed from merged histories (see `seqclv.data.windows`). A query is a pair (customer row, cutoff).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqclv.batch import DAYS_PER_YEAR, FeatureSchema, NumericFeature
from seqclv.data.covariates import known_values
from seqclv.data.events import FIRST_FURTHER_TYPE, MICROSECONDS_PER_DAY, PURCHASE, REFUND, Events, FloatArray, IntArray
from seqclv.data.static import codes_of, standardized
from seqclv.data.windows import search

ANCHOR_PURCHASES = 0.5  # weight of the base's rate in the conjugate anchor, in purchases
ANCHOR_AMOUNTS = 1.0  # weight of the base's mean amount, in purchases
ANCHOR_DROPOUTS = 0.5  # shape of the hazard's prior; its scale is one time unit
TREND_PURCHASES = 2.0  # weight of 'no trend', in purchases
_SMALL = 1e-2  # added to times before the logarithm, time units


@dataclass(frozen=True)
class Ledger:
    """The purchases of C customers with running totals, so that any window is a difference of two rows.

    Shape: offset [C + 1]; time [P] microseconds; running totals [P + 1].
    """

    offset: IntArray
    time: IntArray
    amount: FloatArray  # running sum of amounts, currency
    log_amount: FloatArray  # of log amounts
    square: FloatArray  # of squared differences of log amounts from the customer's first
    refunds: FloatArray  # [E + 1] running count of refunds over all events
    event_offset: IntArray
    event_time: IntArray
    further: tuple[FloatArray, ...]  # running counts of the further event types, each [E + 1]
    regressors: FloatArray  # [P + 1, 2 J (+ X + 1)] running sums of what the log pace of the days is linear in


def ledger(
    events: Events, further_types: Sequence[str], harmonics: int = 0, calendar: Sequence[NumericFeature] = ()
) -> Ledger:
    """The ledger of merged histories.

    `further_types` names the event types whose counts are features; `harmonics` and `calendar` are what the season's
    targets are made of.
    """
    purchase = events.event_type == PURCHASE
    bought = events.rows(purchase)
    log_amount = np.log(bought.amount)
    difference = log_amount - log_amount[bought.offset[bought.owner]] if len(bought) else log_amount
    angle = 2 * np.pi * year_share(bought.timestamp)[:, None] * np.arange(1, harmonics + 1)
    waves = np.concatenate([np.sin(angle), np.cos(angle), *known_values(events, calendar, bought.timestamp)], axis=-1)
    code = {name: FIRST_FURTHER_TYPE + i for i, name in enumerate(events.further_types)}
    return Ledger(
        offset=bought.offset,
        time=bought.timestamp,
        amount=_running(bought.amount),
        log_amount=_running(log_amount),
        square=_running(difference**2),
        refunds=_running(events.event_type == REFUND),
        event_offset=events.offset,
        event_time=events.timestamp,
        further=tuple(_running(events.event_type == code.get(name, -1)) for name in further_types),
        regressors=np.concatenate([np.zeros((1, waves.shape[1])), np.cumsum(waves, axis=0)]),
    )


def _running(values: npt.NDArray[np.generic]) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def days(microseconds: IntArray) -> FloatArray:
    """Microseconds as days."""
    return microseconds / MICROSECONDS_PER_DAY


def year_share(microseconds: IntArray) -> FloatArray:
    """The share of the year gone by, in [0, 1): the phase of the season."""
    return np.asarray(days(microseconds) / DAYS_PER_YEAR % 1.0)


@dataclass(frozen=True)
class Query:
    """Queries and where they fall in the ledger.

    Shape: each [N]. Every query has at least one purchase strictly before its cutoff.
    """

    row: IntArray  # customer
    cutoff: IntArray  # microseconds
    index: IntArray  # first purchase at or after the cutoff, in the flat purchases
    event_index: IntArray  # first event at or after the cutoff, in the flat events


def locate(book: Ledger, row: IntArray, cutoff: IntArray) -> Query:
    """Find where each query's cutoff falls among the customer's purchases and events."""
    return Query(
        row,
        cutoff,
        search(book.offset, book.time, row, cutoff),
        search(book.event_offset, book.event_time, row, cutoff),
    )


def anchors(book: Ledger, query: Query, schema: FeatureSchema) -> FloatArray:
    """[N, 3] what conjugate posteriors would expect, in the schema's units, as logarithms.

    The purchase rate of a Gamma prior with the base's mean; the mean amount, shrunken to the base's; and the dropout
    hazard of a customer of this age: a Gamma prior's posterior mean s / (beta + T) falls as survivors grow older.
    """
    first, repeats, age = _age(book, query)
    time = age / schema.time_scale_days
    rate = (repeats + ANCHOR_PURCHASES) / (time + ANCHOR_PURCHASES / schema.purchase_rate)
    total = (book.amount[query.index] - book.amount[first]) / schema.amount_scale
    mean = (total + ANCHOR_AMOUNTS * schema.amount_mean) / (repeats + 1 + ANCHOR_AMOUNTS)
    hazard = ANCHOR_DROPOUTS / (time + 1)
    return np.log(np.stack([rate, mean, hazard], axis=-1))


def trends(book: Ledger, query: Query, schema: FeatureSchema) -> FloatArray:
    """[N, 2, R] how each trailing window differs from what a steady customer's would hold, as logarithms.

    The purchases in the window beside the customer's purchases so far times the window's share of the age; and the mean
    amount of the window beside that of all purchases. Both are drawn towards zero by `TREND_PURCHASES`.
    """
    first, repeats, age = _age(book, query)
    number = repeats + 1
    # Differences of running totals lose digits beside whales: no mean is taken to be nothing.
    mean = np.maximum((book.amount[query.index] - book.amount[first]) / number, _SMALL**3 * schema.amount_scale)
    columns = []
    for window in schema.trailing_windows_days:
        start = np.maximum(_window_start(book, query, window), first)
        inside = (query.index - start).astype(np.float64)
        steady = number * np.minimum(window / np.maximum(age, window), 1.0)
        spend = np.maximum(book.amount[query.index] - book.amount[start], 0.0)
        amount = (spend + TREND_PURCHASES * mean) / ((inside + TREND_PURCHASES) * mean)
        columns.append([(inside + TREND_PURCHASES) / (steady + TREND_PURCHASES), amount])
    return np.asarray(np.log(columns).transpose(2, 1, 0))


def _window_start(book: Ledger, query: Query, window_days: float) -> IntArray:
    """[N] the first purchase inside the window of so many days before the cutoff."""
    return search(book.offset, book.time, query.row, query.cutoff - round(window_days * MICROSECONDS_PER_DAY))


def _age(book: Ledger, query: Query) -> tuple[IntArray, FloatArray, FloatArray]:
    first = book.offset[query.row]
    return first, (query.index - first - 1).astype(np.float64), days(query.cutoff - book.time[first])


def query_features(book: Ledger, query: Query, schema: FeatureSchema) -> FloatArray:
    """[N, D] raw features at the cutoff, from what lies strictly before it."""
    columns = [*_timing(book, query, schema), *_amounts(book, query, schema), *_trailing(book, query, schema)]
    columns += _other_events(book, query, schema)
    if schema.harmonics:
        angle = 2 * np.pi * year_share(query.cutoff)
        columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=-1)


def _timing(book: Ledger, query: Query, schema: FeatureSchema) -> list[FloatArray]:
    first, repeats, age = _age(book, query)
    last = query.index - 1
    recency = days(book.time[last] - book.time[first])
    since = days(query.cutoff - book.time[last])
    gap = np.where(repeats > 0, days(book.time[last] - book.time[np.maximum(last - 1, first)]), age)
    mean_gap = np.where(repeats > 0, recency / np.maximum(repeats, 1), age)
    log = lambda t: np.log(t / schema.time_scale_days + _SMALL)  # noqa: E731
    return [
        log(age),
        log(since),
        log(gap),
        log(mean_gap),
        log(since) - log(mean_gap),
        np.log1p(repeats),
        (repeats == 0).astype(np.float64),
        since / np.maximum(age, 1e-9),
    ]


def _amounts(book: Ledger, query: Query, schema: FeatureSchema) -> list[FloatArray]:
    first, last = book.offset[query.row], query.index - 1
    number = (query.index - first).astype(np.float64)
    mean = (book.log_amount[query.index] - book.log_amount[first]) / number
    # Around the first amount, so that equal amounts have a variance of zero and not one of rounding errors.
    beside_first = mean - (book.log_amount[first + 1] - book.log_amount[first])
    variance = (book.square[query.index] - book.square[first]) / number - beside_first**2
    latest = book.log_amount[query.index] - book.log_amount[last]
    centre = np.log(schema.amount_scale)
    scale = schema.amount_log_std
    return [
        (mean - centre) / scale * number / (number + 1),
        np.sqrt(np.maximum(variance, 0)) / scale,
        (latest - centre) / scale,
    ]


def _trailing(book: Ledger, query: Query, schema: FeatureSchema) -> list[FloatArray]:
    columns = []
    for window in schema.trailing_windows_days:
        start = _window_start(book, query, window)
        columns.append(np.log1p((query.index - start).astype(np.float64)))
        spend = np.maximum(book.amount[query.index] - book.amount[start], 0)
        columns.append(np.log1p(spend / schema.amount_scale))
    return columns


def _other_events(book: Ledger, query: Query, schema: FeatureSchema) -> list[FloatArray]:
    start, end = book.event_offset[query.row], query.event_index
    since = days(query.cutoff - book.event_time[end - 1])
    columns = [
        np.log1p(book.refunds[end] - book.refunds[start]),
        np.log(since / schema.time_scale_days + _SMALL),
    ]
    recent = search(
        book.event_offset,
        book.event_time,
        query.row,
        query.cutoff - round(schema.trailing_windows_days[1] * MICROSECONDS_PER_DAY),
    )
    for running in book.further:
        columns += [np.log1p(running[end] - running[start]), np.log1p(running[end] - running[recent])]
    return columns


@dataclass(frozen=True)
class Targets:
    """What happened in windows after queries, in the schema's units. Shape: each [N, W] but regressors."""

    horizon: FloatArray
    purchases: FloatArray
    last_offset: FloatArray
    spend: FloatArray
    log_spend: FloatArray
    regressors: FloatArray  # [N, W, 2 J (+ X + 1)]


def targets(book: Ledger, query: Query, horizon: IntArray, schema: FeatureSchema) -> Targets:
    """The sufficient statistics of windows [cutoff, cutoff + horizon); horizon [N, W] in microseconds."""
    windows = horizon.shape[1]
    row = np.repeat(query.row, windows)
    cutoff = np.repeat(query.cutoff, windows)
    start = np.repeat(query.index, windows)
    end = search(book.offset, book.time, row, cutoff + horizon.ravel())
    number = (end - start).astype(np.float64)
    last = np.where(end > start, book.time[np.maximum(end - 1, 0)] - cutoff, 0)
    log_amount = book.log_amount[end] - book.log_amount[start] - number * np.log(schema.amount_scale)
    spend = (book.amount[end] - book.amount[start]) / schema.amount_scale
    shaped = lambda values: values.reshape(horizon.shape)  # noqa: E731
    return Targets(
        days(horizon) / schema.time_scale_days,
        shaped(number),
        shaped(days(last) / schema.time_scale_days),
        shaped(np.where(number > 0, spend, 0.0)),
        shaped(np.where(number > 0, log_amount, 0.0)),
        (book.regressors[end] - book.regressors[start]).reshape(*horizon.shape, book.regressors.shape[1]),
    )


def event_features(events: Events, schema: FeatureSchema) -> tuple[FloatArray, IntArray]:
    """Numeric [E, F] and categorical [E, G] features of each event of merged histories."""
    time = days(events.timestamp)
    first = np.zeros(len(events), dtype=bool)
    first[events.offset[:-1][np.diff(events.offset) > 0]] = True
    gap = np.diff(time, prepend=time[:1])
    gap[first] = 0.0
    age = time - time[events.offset[events.owner]] if len(events) else time
    log = lambda t: np.log(t / schema.time_scale_days + _SMALL)  # noqa: E731
    week = 2 * np.pi * time / 7
    columns = [
        np.where(first, 0.0, log(gap)),
        log(age) / 2,
        first.astype(np.float64),
        _log_amount(events, schema),
        np.sin(week) * schema.weekdays,
        np.cos(week) * schema.weekdays,
    ]
    if schema.harmonics:
        year = 2 * np.pi * year_share(events.timestamp)
        columns += [np.sin(year), np.cos(year)]
    for feature in schema.numeric:
        columns += standardized(events.numeric.get(feature.name), feature, len(events))
    return np.stack(columns, axis=-1).reshape(len(events), len(columns)), _codes(events, schema)


def _log_amount(events: Events, schema: FeatureSchema) -> FloatArray:
    size = np.abs(events.amount)
    present = size > 0
    log = np.log(np.where(present, size, 1.0) / schema.amount_scale) / schema.amount_log_std
    return np.where(present, np.clip(log, -6, 6), 0.0)


def _codes(events: Events, schema: FeatureSchema) -> IntArray:
    known = {name: i + FIRST_FURTHER_TYPE + 1 for i, name in enumerate(schema.event_types)}
    table = [code + 1 for code in range(FIRST_FURTHER_TYPE)] + [known.get(name, 0) for name in events.further_types]
    columns = [np.asarray(table, dtype=np.int64)[events.event_type]]
    columns += [codes_of(events.categorical.get(f.name), f.vocabulary, len(events)) for f in schema.categorical]
    return np.stack(columns, axis=-1)
