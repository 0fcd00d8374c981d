"""Audit figures by group of customers: a segment of the user's, or the month of the first purchase (vintage)."""

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
        InputError: neither has the column.
    """
    if column in matured.rows.columns:
        values = matured.rows[column].astype("str").to_numpy(dtype=object)
    elif column in past.categorical:
        values = _last_values(column, matured, past)
        if (values == MISSING).all():  # a column that a log may lack is read as missing everywhere
            raise InputError(f"A segment needs values, but '{column}' is empty before the cutoff: name another column.")
    elif column in past.static_categorical:
        values = _own_values(column, matured, past)
    else:
        raise InputError(
            f"A segment is a column of the forecasts or of the log, but '{column}' is neither: check the name."
        )
    names, index, size = np.unique(values, return_inverse=True, return_counts=True)
    if len(names) > MOST_GROUPS:
        kept = np.sort(np.argsort(-size, kind="stable")[: MOST_GROUPS - 1])
        place = np.full(len(names), len(kept))
        place[kept] = np.arange(len(kept))
        names, index = np.append(names[kept], OTHERS), place[index]
    return Grouping(column, tuple(str(name) for name in names), index.astype(np.int64))


def _last_values(column: str, matured: Matured, past: Events) -> np.ndarray:
    feature = past.categorical[column]
    words = np.asarray([*feature.values, MISSING], dtype=object)  # code -1 is the last entry
    place = np.searchsorted(past.customer_id, ids := matured.rows["customer_id"].to_numpy(dtype=object))
    place = np.minimum(place, past.customers - 1)
    known = past.customer_id[place] == ids
    last = past.offset[place + 1] - 1
    return np.where(known, words[feature.codes[last]], MISSING)


def _own_values(column: str, matured: Matured, past: Events) -> np.ndarray:
    """An attribute of the customers."""
    feature = past.static_categorical[column]
    words = np.asarray([*feature.values, MISSING], dtype=object)
    place = np.searchsorted(past.customer_id, ids := matured.rows["customer_id"].to_numpy(dtype=object))
    place = np.minimum(place, past.customers - 1)
    return np.where(past.customer_id[place] == ids, words[feature.codes[place]], MISSING)


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
