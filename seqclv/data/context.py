"""The context of a base: what kind of base it is, as a fixed number of figures from its histories before a cutoff.

Every figure is free of units: times count in mean gaps or in shares of the span, amounts around the base's mean log
amount. The order of the customers does not matter. What later happened after earlier cutoffs, inside the histories,
tells what a fit of a classical model would learn.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seqclv.batch import FeatureSchema
from seqclv.data.events import MICROSECONDS_PER_DAY, REFUND, Events, FloatArray, IntArray
from seqclv.data.features import Ledger, Query, anchors, days, ledger, locate, query_features
from seqclv.data.sampling import uniforms
from seqclv.data.schema import derive_scales

CONTEXT_CUSTOMERS = 2_000  # a base is described by at most that many
_SAMPLING = 4  # key of the choice
_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
_TOLD = (0, 1, 3, 5, 7, 8, 9)  # the query features whose quantiles are figures: age, since, mean gap, repeats, ...
_LOOKS = (0.5, 0.25, 0.125)  # lengths of the windows that are looked back at, shares of the span
_SLICES = 8  # equal parts of the span
_REPEATS = (0, 1, 3, 10)  # lower ends of the groups by repeat purchases
_SAME_AMOUNT = 5e-5  # log amounts this near are one price
_PRIOR = 2.0  # customers of the whole base that a group's share is shrunken by


def base_context(events: Events, cutoff: int, schema: FeatureSchema) -> FloatArray:
    """The raw figures of merged histories that end at `cutoff` (microseconds); every customer has a purchase."""
    book = ledger(events, ())
    everyone = np.arange(events.customers, dtype=np.int64)
    query = locate(book, everyone, np.full(events.customers, cutoff, dtype=np.int64))
    raw = query_features(book, query, schema)[:, : 2 * len(schema.trailing_windows_days) + 13]
    figures = [*_size(events, book, cutoff, schema), *_shape(raw), *_gaps(book), *_concentration(book, raw)]
    for share in _LOOKS:
        figures += _look_back(book, cutoff, share, schema)
    figures += _course(book, cutoff, schema)
    return np.asarray(figures, dtype=np.float64)


def _span(schema: FeatureSchema) -> float:
    return 2 * schema.trailing_windows_days[0]


def _size(events: Events, book: Ledger, cutoff: int, schema: FeatureSchema) -> list[float]:
    bought = np.diff(book.offset)
    refunds = float((events.event_type == REFUND).sum())
    return [
        float(np.log(events.customers)),
        float(np.log(_span(schema) / schema.time_scale_days)),
        float(np.log(schema.purchase_rate)),
        float(np.log(schema.amount_log_std)),
        float(np.log(schema.amount_mean)),
        float((bought == 1).mean()),
        float(np.log(bought.mean())),
        float(np.log1p(refunds) - np.log1p(len(book.time))),
    ]


def _shape(raw: FloatArray) -> list[float]:
    told = raw[:, _TOLD]
    return [*raw.mean(axis=0), *raw.std(axis=0), *np.quantile(told, _LEVELS, axis=0).ravel()]


def _gaps(book: Ledger) -> list[float]:
    """Regularity: how gaps spread around their customer's mean, of customers with three gaps and more."""
    owner = np.repeat(np.arange(len(book.offset) - 1), np.diff(book.offset))
    gap = days(np.diff(book.time))[owner[1:] == owner[:-1]]
    of = owner[1:][owner[1:] == owner[:-1]]
    number = np.bincount(of, minlength=len(book.offset) - 1)
    total = np.bincount(of, weights=gap, minlength=len(number))
    enough = (number[of] >= 3) & (total[of] > 0)
    if not enough.any():
        return [0.0] * 6
    relative = (gap * number[of] / np.maximum(total[of], 1e-12))[enough]
    quantiles = np.log(np.quantile(relative, (0.1, 0.5, 0.9)) + 0.01)
    share = float((number >= 3).mean())
    return [1.0, share, float(np.log(relative.std() + 0.01)), *quantiles.tolist()]


def _concentration(book: Ledger, raw: FloatArray) -> list[float]:
    """Gini of purchases and of spend, tails of amounts, and whether frequent buyers spend more each time."""
    bought = np.diff(book.offset).astype(np.float64)
    spend = book.amount[book.offset[1:]] - book.amount[book.offset[:-1]]
    log_amount = np.diff(book.log_amount)
    centred = log_amount - log_amount.mean()
    spread = max(float(centred.std()), 0.01)
    repeats, mean = raw[:, 5], raw[:, 8]
    scales = float(repeats.std() * mean.std())
    link = float(((repeats - repeats.mean()) * (mean - mean.mean())).mean() / scales) if scales > 1e-9 else 0.0
    return [
        gini(bought),
        gini(spend),
        float(np.log(spend.max() / spend.sum())),
        float((centred**3).mean() / spread**3),
        float(np.log1p((centred**4).mean() / spread**4)),
        link,
        float(np.log((1 + (np.diff(np.sort(log_amount)) > _SAME_AMOUNT).sum()) / len(log_amount))),
    ]


def gini(values: FloatArray) -> float:
    """Gini coefficient of values of zero and more: 0 where all are equal."""
    ordered = np.sort(values)
    size = len(ordered)
    total = float(ordered.sum())
    return float((2 * np.arange(1, size + 1) - size - 1) @ ordered / (size * total)) if total > 0 else 0.0


def _look_back(book: Ledger, cutoff: int, share: float, schema: FeatureSchema) -> list[float]:
    """What the customers known at an earlier cutoff did from there to `cutoff`, by groups.

    Groups are by repeat purchases and by whether the last purchase was recent for the customer's age. Of each: its
    share of the customers, the share of it that bought again, and the log of its purchases over what the conjugate
    anchors expected.
    """
    length = round(share * _span(schema) * MICROSECONDS_PER_DAY)
    earlier = cutoff - length
    known = np.flatnonzero(book.time[book.offset[:-1]] < earlier).astype(np.int64)
    groups = 2 * len(_REPEATS)
    if len(known) == 0:
        return [0.0] * (3 * groups + 3)
    query = locate(book, known, np.full(len(known), earlier, dtype=np.int64))
    later = (book.offset[known + 1] - query.index).astype(np.float64)
    expected = _anchored(book, query, days(np.asarray([length]))[0], schema)
    group = _groups(book, query, earlier)
    number = np.bincount(group, minlength=groups).astype(np.float64)
    again = np.bincount(group, weights=later > 0, minlength=groups)
    overall = float((later > 0).mean())
    bought = (again + _PRIOR * overall) / (number + _PRIOR)
    actual = np.bincount(group, weights=later, minlength=groups)
    hoped = np.bincount(group, weights=expected, minlength=groups)
    ratio = float((later.sum() + 0.5) / (expected.sum() + 0.5))
    against = np.log((actual + _PRIOR * ratio) / (hoped + _PRIOR))
    return [
        overall,
        float(np.log(ratio)),
        len(known) / (len(book.offset) - 1),
        *(number / len(known)).tolist(),
        *bought.tolist(),
        *against.tolist(),
    ]


def _groups(book: Ledger, query: Query, cutoff: int) -> IntArray:
    first = book.offset[query.row]
    repeats = query.index - first - 1
    since = cutoff - book.time[query.index - 1]
    age = np.maximum(cutoff - book.time[first], 1)
    recent = since / age < 1.0 / (np.maximum(repeats, 0) + 2.0)
    return np.asarray((np.searchsorted(_REPEATS, repeats, side="right") - 1) * 2 + recent, dtype=np.int64)


def _anchored(book: Ledger, query: Query, length_days: float, schema: FeatureSchema) -> FloatArray:
    """[N] purchases that a customer of the anchor's rate and hazard is expected to make."""
    log_rate, _, log_hazard = anchors(book, query, schema).T
    hazard = np.exp(log_hazard)
    return np.asarray(np.exp(log_rate) * -np.expm1(-hazard * length_days / schema.time_scale_days) / hazard)


def _course(book: Ledger, cutoff: int, schema: FeatureSchema) -> list[float]:
    """How the base went: new customers and repeat purchases per customer in equal parts of the span, and lately."""
    span = _span(schema) * MICROSECONDS_PER_DAY
    first = book.time[book.offset[:-1]]
    repeat = np.ones(len(book.time), dtype=bool)
    repeat[book.offset[:-1]] = False
    edges = cutoff - span * np.arange(_SLICES, -1, -1) / _SLICES
    edges[0] -= 1.0
    joined = np.histogram(first, edges)[0] / len(first)
    recent = cutoff - span * np.asarray([1 / 16, 1 / 32])
    pace = [*_pace(book.time[repeat], first, edges[:-1], edges[1:])]
    pace += [*_pace(book.time[repeat], first, recent, np.full(2, float(cutoff)))]
    lately = (first >= recent[0]).mean()
    return [*np.sqrt(joined).tolist(), float(np.sqrt(lately)), *pace]


def _pace(repeats: IntArray, first: IntArray, start: Sequence[float] | FloatArray, end: FloatArray) -> FloatArray:
    """Log of repeat purchases per customer known and time in [start, end), over that of the whole history."""
    start = np.asarray(start)
    ordered, known = np.sort(repeats), np.sort(first)
    number = np.searchsorted(ordered, end) - np.searchsorted(ordered, start)
    total = np.concatenate([[0.0], np.cumsum(known.astype(np.float64) - known[0])])
    exposed = lambda t: (i := np.searchsorted(known, t)) * (t - known[0]) - total[i]  # noqa: E731
    exposure = np.maximum(exposed(end) - exposed(start), 1.0)
    whole = max(float(exposed(end[-1])), 1.0)
    expected = len(repeats) * exposure / whole
    return np.asarray(np.log((number + 1.0) / (expected + 1.0)))


def schema_like(template: FeatureSchema, events: Events, cutoff: int, *, merge: str) -> FeatureSchema:
    """The schema of another base for a network that knows many bases: its own scales and context.

    What the network was trained with stays: the centre and spread of the query features, the inputs that it knows.
    `events` are merged histories that end at `cutoff` (microseconds).
    """
    sample = sampled(events, CONTEXT_CUSTOMERS)
    scales = derive_scales(sample, cutoff, merge=merge, max_history_events=template.max_history_events)
    schema = replace(
        template,
        time_scale_days=scales.time_scale_days,
        amount_scale=scales.amount_scale,
        amount_log_std=scales.amount_log_std,
        amount_mean=scales.amount_mean,
        purchase_rate=scales.purchase_rate,
        trailing_windows_days=scales.trailing_windows_days,
        merge=merge,
    )
    return replace(schema, context=tuple(base_context(sample, cutoff, schema).tolist()))


def sampled(events: Events, most: int) -> Events:
    """At most that many customers, chosen by their ids alone."""
    if events.customers <= most:
        return events
    chosen = np.argsort(uniforms(events.customer_id, 1, _SAMPLING)[:, 0], kind="stable")[:most]
    return events.select(np.sort(chosen).astype(np.int64))
