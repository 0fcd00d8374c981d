"""The calendar's columns as covariates of the rate, standardized over the days of a training history.

Only days of the history set the scales. A column that does not vary there teaches nothing and is left out.

Shape: X columns, P purchases.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from seqclv.batch import KnownDays, NumericFeature
from seqclv.data.calendar import Calendar
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events, FloatArray, IntArray
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError, offenders

_CONSTANT = 1e-9  # a spread this small beside the mean is rounding: the column is constant


def calendar_scales(events: Events, cutoff: int) -> dict[str, Any]:
    """The fields `calendar` and `calendar_days` of the schema of histories that end at `cutoff` (microseconds)."""
    if events.calendar is None or not len(events):
        return {}
    first = int(events.timestamp[events.event_type == PURCHASE].min()) // MICROSECONDS_PER_DAY
    past = events.calendar.since(first)[: (cutoff - 1) // MICROSECONDS_PER_DAY + 1 - first]
    mean, std = past.mean(axis=0), past.std(axis=0)
    varies = std > _CONSTANT * np.abs(mean) if len(past) else np.zeros(past.shape[1], dtype=bool)
    if not varies.any():
        return {}
    names = [name for name, kept in zip(events.calendar.columns, varies, strict=True) if kept]
    scales = zip(names, mean[varies].tolist(), std[varies].tolist(), strict=True)
    kinds, number = np.unique((past - mean)[:, varies] / std[varies], axis=0, return_counts=True)
    return {
        "calendar": tuple(NumericFeature(name=name, mean=centre, std=spread) for name, centre, spread in scales),
        "calendar_days": tuple(tuple(row) for row in np.column_stack([number, kinds]).tolist()),
    }


def missing_columns(calendar: Calendar | None, features: Sequence[NumericFeature]) -> list[str]:
    """The features that a calendar does not have."""
    known = () if calendar is None else calendar.columns
    return [feature.name for feature in features if feature.name not in known]


def require_calendar(calendar: Calendar | None, features: Sequence[NumericFeature]) -> None:
    """Refuse a log without the calendar that a model was trained with.

    Raises:
        InputError: there is none, or a column is missing.
    """
    missing = [f"'{name}'" for name in missing_columns(calendar, features)]
    if missing:
        raise InputError(
            f"A model that was trained with a calendar needs the calendar of the days ahead, but this log has none of "
            f"{offenders(missing)}: name the table under data.calendar, or prepare the store with it."
        )


def beyond_calendar(
    calendar: Calendar | None, features: Sequence[NumericFeature], cutoff: int, horizons_days: Sequence[float]
) -> str | None:
    """A warning where the calendar of a model that knows one ends before the longest horizon does."""
    end = cutoff + round(max(horizons_days) * MICROSECONDS_PER_DAY)
    if calendar is None or not features or end <= calendar.end * MICROSECONDS_PER_DAY:
        return None
    return (
        f"warning: the calendar ends with {calendar.dates[-1]}, but forecasts reach to {to_timestamp(end).date()}: "
        "days after its end count as average days"
    )


def known_days(events: Events, features: Sequence[NumericFeature], start: int) -> KnownDays:
    """What the calendar says from the day of `start` (microseconds) on.

    Raises:
        InputError: see `require_calendar`.
    """
    first = start // MICROSECONDS_PER_DAY
    return KnownDays(torch.from_numpy(_standardized(events, features, first)), first)


def known_values(events: Events, features: Sequence[NumericFeature], time: IntArray) -> list[FloatArray]:
    """[P, X + 1] the values on the days of purchases, and whether they are known; of unknown days all are zero.

    It is the only item of the list, which is empty without a calendar.

    Raises:
        InputError: see `require_calendar`.
    """
    if not features:
        return []
    day = time // MICROSECONDS_PER_DAY
    first = int(day.min(initial=0))
    values = np.concatenate([_standardized(events, features, first), np.zeros((1, len(features)))])
    place = np.minimum(day - first, len(values) - 1)
    return [np.column_stack([values[place], place < len(values) - 1])]


def _standardized(events: Events, features: Sequence[NumericFeature], first: int) -> FloatArray:
    """[days, X] the features from a day on."""
    require_calendar(events.calendar, features)
    if events.calendar is None:  # then there are no features
        return np.zeros((0, 0))
    column = [events.calendar.columns.index(feature.name) for feature in features]
    values = events.calendar.since(first)[:, column]
    mean, std = (np.array([getattr(feature, name) for feature in features]) for name in ("mean", "std"))
    return np.asarray((values - mean) / std)
