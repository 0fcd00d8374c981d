"""Audit figures by group of customers: a segment of the user's, or the month of the first purchase (vintage)."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqclv.data.events import PURCHASE, Events, FloatArray, IntArray
from seqclv.errors import InputError
from seqclv.evaluation import metrics, resampling
from seqclv.evaluation.matured import Matured

MOST_GROUPS = 24
OTHERS, MISSING = "all others", "(none)"


@dataclass(frozen=True)
class Grouping:
    """Which group each of N customers belongs to: an index into the names."""

    by: str
    names: tuple[str, ...]
    index: IntArray  # [N]


def segments(column: str, matured: Matured, past: Events) -> Grouping:
    """Groups by a column of the forecasts file, or by the last value before the cutoff of a column of the log.

    The largest groups stand alone, the rest are one.

    Raises:
        InputError: neither has the column, or it is empty.
    """
    if column in matured.rows.columns:
        found = matured.rows[column]
        return _largest(column, np.where(found.isna(), MISSING, found.astype("str").to_numpy(dtype=object)))
    return attribute_groups(column, matured.rows["customer_id"].to_numpy(dtype=object), past)


def attribute_groups(column: str, ids: np.ndarray, past: Events) -> Grouping:
    """Groups of customers by an attribute of the log: of events its last value, of numbers the quarters of the base.

    The largest groups stand alone, the rest are one. A customer whom the log does not name has no value.

    Raises:
        InputError: the log has no such attribute, or it is empty before the cutoff.
    """
    if past.customers == 0:
        raise InputError(f"A segment needs customers, but nobody bought before the cutoff: '{column}' has no values.")
    place = np.minimum(np.searchsorted(past.customer_id, ids), past.customers - 1)
    known = past.customer_id[place] == ids
    last = past.offset[place + 1] - 1
    if column in past.categorical or column in past.static_categorical:
        of_event = column in past.categorical
        feature = past.categorical[column] if of_event else past.static_categorical[column]
        words = np.asarray([*feature.values, MISSING], dtype=object)  # code -1 is the last entry
        values = np.where(known, words[feature.codes[last if of_event else place]], MISSING)
    elif column in past.numeric or column in past.static_numeric:
        number = past.numeric[column][last] if column in past.numeric else past.static_numeric[column][place]
        values = _quarters(np.where(known, number, np.nan))
    else:
        raise InputError(
            f"A segment is a column of the forecasts or of the log, but '{column}' is neither: check the name."
        )
    if (values == MISSING).all():  # a column that a log may lack is read as missing everywhere
        raise InputError(f"A segment needs values, but '{column}' is empty before the cutoff: name another column.")
    return _largest(column, values)


def _quarters(number: FloatArray) -> np.ndarray:
    """Words for the quarters of the base that the numbers fall into; a quarter holds its lower end."""
    known = np.isfinite(number)
    edges = np.unique(np.quantile(number[known], (0.25, 0.5, 0.75))) if known.any() else np.zeros(0)
    ends = [f"{edge:g}" for edge in edges]
    words = [f"below {ends[0]}" if ends else MISSING]
    words += [f"from {low} to below {high}" for low, high in itertools.pairwise(ends)]
    words += [f"{ends[-1]} and more"] if ends else []
    return np.where(known, np.asarray(words, dtype=object)[np.searchsorted(edges, number, side="right")], MISSING)


def _largest(column: str, values: np.ndarray) -> Grouping:
    names, index, size = np.unique(values, return_inverse=True, return_counts=True)
    if len(names) > MOST_GROUPS:
        kept = np.sort(np.argsort(-size, kind="stable")[: MOST_GROUPS - 1])
        place = np.full(len(names), len(kept))
        place[kept] = np.arange(len(kept))
        names, index = np.append(names[kept], OTHERS), place[index]
    return Grouping(column, tuple(str(name) for name in names), index.astype(np.int64))


def vintages(matured: Matured, past: Events) -> Grouping | None:
    """Groups by month of the first purchase, by quarter or year where there are many; None without that past."""
    first = first_purchases(matured.rows["customer_id"].to_numpy(dtype=object), past)
    if first is None:
        return None
    names, index = period_groups(first)
    return Grouping("first purchase", names, index)


def first_purchases(ids: np.ndarray, past: Events) -> "pd.DatetimeIndex | None":
    """[N] the first purchase of each customer; None where the log does not hold it for all."""
    bought = past.rows(past.event_type == PURCHASE)
    if bought.customers == 0:
        return None
    place = np.minimum(np.searchsorted(bought.customer_id, ids), bought.customers - 1)
    if not (bought.customer_id[place] == ids).all():
        return None
    return pd.DatetimeIndex(bought.timestamp[bought.offset[place]].astype("datetime64[us]"))


def period_groups(first: "pd.DatetimeIndex") -> tuple[tuple[str, ...], IntArray]:
    """Names and [N] index of months, or of quarters or years where the months are more than fit a table."""
    for unit in ("M", "Q", "Y"):
        periods = first.to_period(unit)
        names, index = np.unique(np.asarray(periods.astype("str"), dtype=object), return_inverse=True)
        if len(names) <= MOST_GROUPS:
            break
    return tuple(str(name) for name in names), index.astype(np.int64)


def groups_table(matured: Matured, group: Grouping) -> dict[str, Any]:
    """Level, ranking and churn of each group, the level with its 95 % interval."""
    scores, actual = matured.scores, matured.actual
    gone = actual.transactions == 0
    size = len(group.names)
    between = None if scores.spend is None else _intervals(group, scores.spend, actual.spend)
    rows = []
    for i, name in enumerate(group.names):
        inside = group.index == i
        spend = None if scores.spend is None else scores.spend[inside]
        churn = None if scores.churn is None else scores.churn[inside]
        rows.append(
            {
                "name": name,
                "customers": int(inside.sum()),
                "spend_forecast": None if spend is None else float(spend.sum()),
                "spend_actual": float(actual.spend[inside].sum()),
                "spend_bias": None if spend is None else metrics.bias(spend, actual.spend[inside]),
                "spend_bias_interval": None if between is None else between[i],
                "spend_gini": None if spend is None else metrics.gini(spend, actual.spend[inside]),
                "churn_forecast": None if churn is None else float(churn.mean()),
                "churn_actual": float(gone[inside].mean()),
                "churn_auc": None if churn is None else metrics.auc(churn, gone[inside]),
            }
        )
    return {"by": group.by, "horizon_days": matured.horizon_days, "groups": size, "rows": rows}


def _intervals(group: Grouping, forecast: FloatArray, actual: FloatArray) -> list[tuple[float, float] | None]:
    draws = resampling.group_ratios(group.index, len(group.names), forecast, actual)
    return [resampling.interval(draws[:, i]) for i in range(len(group.names))]
