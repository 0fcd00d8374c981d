"""Assemble batches: merged histories and queries in, padded tensors out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from seqclv.batch import EventBatch, FeatureSchema, FutureWindow
from seqclv.data.covariates import known_days
from seqclv.data.events import MICROSECONDS_PER_DAY, Events, FloatArray, IntArray
from seqclv.data.features import Ledger, Query, Targets, anchors, event_features, query_features, trends, year_share
from seqclv.data.static import static_features


def event_batch(events: Events, book: Ledger, query: Query, schema: FeatureSchema) -> EventBatch:
    """The packed batch of merged histories (all customers of `events`) and queries on them.

    Only the latest `schema.max_history_events` events of a customer are encoded; what was before them still counts
    in the query's features.
    """
    batch = packed([flat_batch(events, book, query, schema)], schema.max_history_events)
    if not schema.calendar:
        return batch
    days = known_days(events, schema.calendar, int(query.cutoff.min(initial=np.iinfo(np.int64).max)))
    return replace(batch, days=days, phase=torch.from_numpy(days.years(query.cutoff / MICROSECONDS_PER_DAY)))


@dataclass(frozen=True)
class FlatBatch:
    """Histories and queries of one base, customer by customer.

    Shape: numeric [E, F], categorical [E, G], offset [B + 1], event_index [N] (first event at or after the cutoff),
    query [N, D], phase [N], anchor [N, 3], trend [N, 2, R], static_numeric [N, 2 A], static_categorical [N, T],
    context [Z].
    """

    numeric: FloatArray
    categorical: IntArray
    offset: IntArray
    event_index: IntArray
    query: FloatArray
    phase: FloatArray
    anchor: FloatArray
    trend: FloatArray
    static_numeric: FloatArray
    static_categorical: IntArray
    context: FloatArray


def flat_batch(events: Events, book: Ledger, query: Query, schema: FeatureSchema) -> FlatBatch:
    """The features of merged histories and of queries on them."""
    numeric, categorical = event_features(events, schema)
    raw = query_features(book, query, schema)
    static_numeric, static_categorical = static_features(events, schema)
    standardized = (raw - np.asarray(schema.query_mean)) / np.asarray(schema.query_std)
    return FlatBatch(
        numeric=numeric,
        categorical=categorical,
        offset=events.offset,
        event_index=query.event_index,
        query=np.clip(standardized, -8, 8),
        phase=year_share(query.cutoff),
        anchor=anchors(book, query, schema),
        trend=trends(book, query, schema),
        static_numeric=static_numeric[query.row],
        static_categorical=static_categorical[query.row],
        context=np.asarray(schema.context),
    )


def packed(bases: Sequence[FlatBatch], max_history_events: int) -> EventBatch:
    """One batch of one or several bases."""
    join = lambda name: np.concatenate([getattr(base, name) for base in bases])  # noqa: E731
    shift = np.cumsum([0, *(len(base.numeric) for base in bases)])
    start = np.concatenate([base.offset[:-1] + s for base, s in zip(bases, shift[:-1], strict=True)])
    end = np.concatenate([base.offset[1:] + s for base, s in zip(bases, shift[:-1], strict=True)])
    length = np.minimum(end - start, max_history_events)
    first = end - length  # the first encoded event of each customer
    source, place, step_sizes = _packing(first, length)
    # A cutoff among the events that are too old to be encoded has no state: a later event's would see the future.
    where = np.full(int(shift[-1]), -1, dtype=np.int64)
    where[source] = place
    asked = np.concatenate([base.event_index + s for base, s in zip(bases, shift[:-1], strict=True)])
    number = [len(base.event_index) for base in bases]
    return EventBatch(
        numeric=_tensor(join("numeric")[source]),
        categorical=torch.from_numpy(join("categorical")[source]),
        step_sizes=torch.from_numpy(step_sizes),
        query_event=torch.from_numpy(where[asked - 1]),
        query=_tensor(join("query")),
        phase=_tensor(join("phase")),
        anchor=_tensor(join("anchor")),
        trend=_tensor(join("trend")),
        static_numeric=_tensor(join("static_numeric")),
        static_categorical=torch.from_numpy(join("static_categorical")),
        context=_tensor(np.stack([base.context for base in bases])),
        query_base=torch.from_numpy(np.repeat(np.arange(len(bases), dtype=np.int64), number)),
    )


def packed_events(events: Events, schema: FeatureSchema) -> IntArray:
    """[E] the index in `events` of each event of their packed batch."""
    return _packed(events, schema)[0]


def _packed(events: Events, schema: FeatureSchema) -> tuple[IntArray, IntArray, IntArray]:
    length = np.minimum(np.diff(events.offset), schema.max_history_events)
    return _packing(events.offset[1:] - length, length)  # from the first encoded event of each customer on


def _packing(first: IntArray, length: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Flat index of each packed event, its place in the packed order, and the customers at each step."""
    longest_first = np.argsort(-length, kind="stable")
    steps = int(length.max(initial=1))
    step_sizes = len(length) - np.searchsorted(np.sort(length), np.arange(steps), side="right")
    step_start = np.concatenate([[0], np.cumsum(step_sizes)]).astype(np.int64)
    step = np.repeat(np.arange(steps, dtype=np.int64), step_sizes)
    place = np.arange(step_start[-1], dtype=np.int64)
    source = first[longest_first[place - step_start[step]]] + step
    return source, place, step_sizes.astype(np.int64)


def future_window(known: Targets) -> FutureWindow:
    """The targets as tensors, every window with weight 1."""
    return FutureWindow(
        _tensor(known.horizon),
        _tensor(known.purchases),
        _tensor(known.last_offset),
        _tensor(known.spend),
        _tensor(known.log_spend),
        _tensor(known.regressors),
        torch.ones(known.horizon.shape, dtype=torch.float32),
    )


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
