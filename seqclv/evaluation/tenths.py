"""Ten groups of equally many customers by rising forecast: what was forecast and what happened. Shape: N customers."""

import numpy as np
from scipy import stats

from seqclv.predictive import FloatArray

GROUPS = 10


def deciles(forecast: FloatArray, actual: FloatArray) -> list[dict[str, float]]:
    """Ten groups of equal size by rising forecast: mean forecast and mean of what happened."""
    parts = [part for part in np.array_split(np.argsort(forecast, kind="stable"), GROUPS) if len(part)]
    return [
        {"customers": len(p), "forecast": float(forecast[p].mean()), "actual": float(actual[p].mean())} for p in parts
    ]


def reliability(churn: FloatArray, gone: np.ndarray) -> list[dict[str, float]]:
    """Ten groups of equal size by rising probability, with Wilson's 95 % interval of the share that churned."""
    rows = []
    for part in np.array_split(np.argsort(churn, kind="stable"), GROUPS):
        if len(part) == 0:
            continue
        between = stats.binomtest(int(gone[part].sum()), len(part)).proportion_ci(method="wilson")
        rows.append(
            {
                "customers": len(part),
                "forecast": float(churn[part].mean()),
                "actual": float(gone[part].mean()),
                "low": float(between.low),
                "high": float(between.high),
            }
        )
    return rows
