"""Assemble batches: merged histories and queries in, padded tensors out."""

import numpy as np
import torch

from seqclv.batch import EventBatch, FeatureSchema, FutureWindow
from seqclv.data.events import Events, FloatArray, IntArray
from seqclv.data.features import Ledger, Query, Targets, anchors, event_features, query_features, trends, year_share
from seqclv.data.static import static_features


def event_batch(events: Events, book: Ledger, query: Query, schema: FeatureSchema) -> EventBatch:
    """The packed batch of merged histories (all customers of `events`) and queries on them.

    Only the latest `schema.max_history_events` events of a customer are encoded; what was before them still counts
    in the query's features.
    """
    numeric, categorical = event_features(events, schema)
    source, place, step_sizes = _packed(events, schema)
    # A cutoff among the events that are too old to be encoded has no state: a later event's would see the future.
    where = np.full(len(events), -1, dtype=np.int64)
    where[source] = place
    raw = query_features(book, query, schema)
    static_numeric, static_categorical = static_features(events, schema)
    standardized = (raw - np.asarray(schema.query_mean)) / np.asarray(schema.query_std)
    return EventBatch(
        numeric=_tensor(numeric[source]),
        categorical=torch.from_numpy(categorical[source]),
        step_sizes=torch.from_numpy(step_sizes),
        query_event=torch.from_numpy(where[query.event_index - 1]),
        query=_tensor(np.clip(standardized, -8, 8)),
        phase=_tensor(year_share(query.cutoff)),
        anchor=_tensor(anchors(book, query, schema)),
        trend=_tensor(trends(book, query, schema)),
        static_numeric=_tensor(static_numeric[query.row]),
        static_categorical=torch.from_numpy(static_categorical[query.row]),
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
        _tensor(known.fourier),
        torch.ones(known.horizon.shape, dtype=torch.float32),
    )


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
