"""The feature schema of a base: scales and vocabularies, derived from merged histories before the cutoff only."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from seqclv.batch import DAYS_PER_YEAR, CategoricalFeature, FeatureSchema, NumericFeature
from seqclv.data.covariates import calendar_scales
from seqclv.data.events import FIRST_FURTHER_TYPE, PURCHASE, Events, FloatArray
from seqclv.data.features import days, ledger, locate, query_features
from seqclv.data.sampling import draw_cutoffs
from seqclv.data.static import static_vocabularies

SEASON_SPAN_YEARS = 2.0  # every day of the year was seen at least twice
MOST_HARMONICS = 4
TRAILING_WINDOWS = 7  # span / 2 ... span / 128
MINIMUM_VALUE_COUNT = 10  # customers; a rarer categorical value is out of vocabulary
_SAMPLE_CUSTOMERS = 20_000  # for the centre and spread of the query features
_LOG_SPREAD_FLOOR = 0.01
_CONSTANT = 1e-9  # a spread this small beside the mean is rounding: the column is constant


def derive_schema(
    events: Events, cutoff: int, *, merge: str, max_history_events: int, sensitive: Collection[str] = ()
) -> FeatureSchema:
    """The schema of merged histories that end at `cutoff` (microseconds), without the `sensitive` attributes."""
    events = events.without_attributes(sensitive)
    schema = derive_scales(events, cutoff, merge=merge, max_history_events=max_history_events)
    return _with_query_scales(replace(schema, **calendar_scales(events, cutoff)), events, cutoff)


def derive_scales(events: Events, cutoff: int, *, merge: str, max_history_events: int) -> FeatureSchema:
    """The schema without the centre and spread of the query features."""
    purchase = events.event_type == PURCHASE
    bought = events.rows(purchase)
    span = max(float(days(np.asarray([cutoff - bought.timestamp.min()]))[0]), 1e-3)
    log_amount = np.log(bought.amount)
    repeats = len(bought) - bought.customers
    first = bought.timestamp[bought.offset[:-1]]
    recency = float(days(bought.timestamp[bought.offset[1:] - 1] - first).sum())
    exposure = float(days(cutoff - first).sum())
    scale = recency / repeats if repeats > 0 and recency > 0 else span / 10
    return FeatureSchema(
        time_scale_days=scale,
        amount_scale=float(np.exp(log_amount.mean())),
        amount_log_std=max(float(log_amount.std()), _LOG_SPREAD_FLOOR),
        amount_mean=float(bought.amount.mean() / np.exp(log_amount.mean())),
        purchase_rate=max(repeats, 0.5) / max(exposure / scale, 1e-9),
        merge=merge,
        harmonics=season_harmonics(span),
        trailing_windows_days=tuple(span / 2**i for i in range(1, TRAILING_WINDOWS + 1)),
        max_history_events=max_history_events,
        event_types=_seen_types(events),
        numeric=_numeric(events.numeric),
        categorical=_categorical(events),
        query_mean=(),
        query_std=(),
        static_numeric=_numeric(events.static_numeric),
        static_categorical=static_vocabularies(events, MINIMUM_VALUE_COUNT),
    )


def season_harmonics(span_days: float) -> int:
    """Harmonics of the season that a log of this span supports: none below two years, then one a year, up to four."""
    years = span_days / DAYS_PER_YEAR
    return min(int(years), MOST_HARMONICS) if years >= SEASON_SPAN_YEARS else 0


def _seen_types(events: Events) -> tuple[str, ...]:
    counts = np.bincount(events.event_type, minlength=FIRST_FURTHER_TYPE + len(events.further_types))
    return tuple(sorted(n for i, n in enumerate(events.further_types) if counts[FIRST_FURTHER_TYPE + i] > 0))


def _numeric(columns: Mapping[str, FloatArray]) -> tuple[NumericFeature, ...]:
    features = []
    for name, column in sorted(columns.items()):
        present = column[np.isfinite(column)]
        mean, std = (float(present.mean()), float(present.std())) if len(present) else (0.0, 1.0)
        features.append(NumericFeature(name=name, mean=mean, std=std if std > _CONSTANT * abs(mean) else 1.0))
    return tuple(features)


def _categorical(events: Events) -> tuple[CategoricalFeature, ...]:
    """Values seen before the cutoff with at least MINIMUM_VALUE_COUNT customers, in sorted order."""
    features = []
    owner = events.owner
    for name, column in sorted(events.categorical.items()):
        known = column.codes >= 0
        pairs = np.unique(column.codes[known].astype(np.int64) * events.customers + owner[known])
        customers = np.bincount(pairs // events.customers, minlength=len(column.values))
        kept = sorted(v for v, count in zip(column.values, customers, strict=True) if count >= MINIMUM_VALUE_COUNT)
        features.append(CategoricalFeature(name=name, vocabulary=tuple(kept)))
    return tuple(features)


def _with_query_scales(schema: FeatureSchema, events: Events, cutoff: int) -> FeatureSchema:
    """Centre and spread of the raw query features over drawn cutoffs and the training cutoff itself."""
    step = max(1, events.customers // _SAMPLE_CUSTOMERS)
    sample = events.select(np.arange(0, events.customers, step, dtype=np.int64))
    book = ledger(sample, schema.event_types)
    row, cutoffs = draw_cutoffs(sample, cutoff, per_customer=2, merge=schema.merge, seed=0, epoch=0)
    everyone = np.arange(sample.customers, dtype=np.int64)
    row = np.concatenate([row, everyone])
    cutoffs = np.concatenate([cutoffs, np.full(sample.customers, cutoff, dtype=np.int64)])
    raw = query_features(book, locate(book, row, cutoffs), schema)
    std = raw.std(axis=0)
    return replace(
        schema,
        query_mean=tuple(raw.mean(axis=0).tolist()),
        query_std=tuple(np.where(std > 1e-6, std, 1.0).tolist()),
    )
