"""What a base looks like to a model at a cutoff: a few inputs per customer, and their distribution without customers.

A bundle keeps the distribution as of its training cutoff, so that an audit can say how far tonight's customers have
moved from those the model learned from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events, FloatArray

RECENT_DAYS = 90
# Input -> what it is, in words that fit behind 'the distribution of'.
INPUTS: Mapping[str, str] = {
    "days_since_last_purchase": "days since the last purchase",
    "days_since_first_purchase": "days since the first purchase",
    "purchases": "purchases so far",
    "recent_purchases": f"purchases in the last {RECENT_DAYS} days",
    "mean_amount": "mean amount of a purchase",
}
_LEVELS = np.arange(1, 40) / 40  # without the extremes, which are single customers


def input_table(history: Events, cutoff: int) -> dict[str, FloatArray]:
    """[N] each of `INPUTS` of every customer of merged histories as of the cutoff (microseconds)."""
    bought = history.rows(history.event_type == PURCHASE)
    number = np.diff(bought.offset).astype(np.float64)
    day = (cutoff - bought.timestamp) / MICROSECONDS_PER_DAY
    recent = np.bincount(bought.owner[day <= RECENT_DAYS], minlength=bought.customers).astype(np.float64)
    spend = np.bincount(bought.owner, weights=bought.amount, minlength=bought.customers)
    return {
        "days_since_last_purchase": day[bought.offset[1:] - 1],
        "days_since_first_purchase": day[bought.offset[:-1]],
        "purchases": number,
        "recent_purchases": recent,
        "mean_amount": spend / number,
    }


def input_profile(table: Mapping[str, FloatArray]) -> dict[str, Any]:
    """The distributions of inputs as values and the share of customers at or below each: aggregates, no customer.

    The values are quantiles, each once; so the shares are exact also where many customers share a value.
    """
    sizes = {len(column) for column in table.values()}
    profile: dict[str, Any] = {"customers": max(sizes, default=0)}
    for name, column in table.items():
        values = np.unique(np.quantile(column, _LEVELS, method="inverted_cdf")) if len(column) else np.zeros(0)
        profile[name] = {"value": values.tolist(), "share": share_below(column, values).tolist()}
    return profile


def share_below(column: FloatArray, values: FloatArray) -> FloatArray:
    """The share of entries at or below each of the values."""
    return np.searchsorted(np.sort(column), values, side="right") / max(len(column), 1)
