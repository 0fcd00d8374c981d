"""Metrics and calibration by segment: is the model as good for these customers as for those?"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqclv.data.windows import Outcome
from seqclv.evaluation.scores import scores_of_table, sections

_RELIABILITY_BINS = 10


def sections_by_segment(table: pa.Table, actual: Outcome, segment: npt.NDArray[np.object_]) -> list[dict[str, Any]]:
    """The metrics of each segment, in the order of the segments' names; customers without one (None) come last.

    Args:
        table: forecasts (`FORECAST_SCHEMA`) of N customers for one horizon.
        actual: what they did in the window.
        segment: [N] the segment of each customer.

    Returns:
        Per segment its name, the number of customers, the sections of metrics.json without CRPS (which needs the whole
        distribution), the actual and expected totals, and the reliability of churn in groups of equal size.
    """
    names = sorted(set(segment.tolist()), key=lambda name: (name is None, str(name)))
    rows = []
    for name in names:
        index = np.flatnonzero(np.array([word == name for word in segment], dtype=bool))
        part, happened = table.take(pa.array(index)), _select(actual, index)
        rows.append(
            {
                "segment": name,
                "customers": len(index),
                **sections(scores_of_table(part), happened),
                "totals": _totals(part, happened),
                "reliability": reliability(part["churn_probability"].to_numpy(), happened.transactions == 0),
            }
        )
    return rows


def _select(actual: Outcome, index: npt.NDArray[np.int64]) -> Outcome:
    return Outcome(actual.transactions[index], actual.spend[index], actual.refunds[index])


def _totals(part: pa.Table, happened: Outcome) -> dict[str, dict[str, float | None]]:
    pairs = {"transactions": happened.transactions, "spend": happened.spend}
    return {
        name: {
            "expected": None if (column := part[f"expected_{name}"]).null_count else float(column.to_numpy().sum()),
            "actual": float(values.sum()),
        }
        for name, values in pairs.items()
    }


def reliability(probability: npt.NDArray[np.float64], happened: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
    """Mean forecast and actual share in at most ten groups of equal size, by rising probability."""
    if np.isnan(probability).any():
        return []
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, _RELIABILITY_BINS) if len(group)]
    return [
        {"customers": len(g), "expected": float(probability[g].mean()), "actual": float(happened[g].mean())}
        for g in groups
    ]
