"""Totals for finance: the base and its groups, with intervals that contain the error that customers share.

Customers' own errors are independent given the model, so their variances add. But a model that is five per cent too
high is so for everybody: the error of the level does not average out. With T the sum of the expected values,

    Var(total) = sum of the customers' own variances + (level spread x T)^2

The level spread is the standard deviation of actual / forecast totals over earlier cutoffs (a model's calibration
knows it). The interval is that of the Gamma distribution with this mean and variance, since neither counts nor spend
can be negative; service costs are taken off as certain.

Shape: G groups.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from seqclv.calibration import LevelSpread
from seqclv.data.database import quoted
from seqclv.predictive import FloatArray
from seqclv.value.database import horizons_of, open_values

COVERAGE = 0.90
GROUPINGS = ("base", "tier", "stage", "cohort", "channel")
EVERYBODY = "all"
QUANTITIES: Mapping[str, tuple[str, str, str]] = {  # expected, own variance, certain cost
    "transactions": ("expected_transactions", "transactions_variance", "0"),
    "spend": ("expected_spend", "spend_variance", "0"),
    "value": ("contribution", "value_variance", "service_cost"),
}


def interval(
    expected: FloatArray, own_variance: FloatArray, spread: float, coverage: float = COVERAGE
) -> tuple[FloatArray, FloatArray]:
    """[G] lower and upper bound of totals that cannot change their sign; NaN where the variance is unknown.

    Args:
        expected: [G] sums of expected values.
        own_variance: [G] sums of the customers' own predictive variances.
        spread: of the shared level, a share of the expected total.
        coverage: probability within the bounds.
    """
    expected = np.asarray(expected, dtype=np.float64)
    variance = np.asarray(own_variance, dtype=np.float64) + (spread * expected) ** 2
    known = (expected != 0) & (variance > 0)
    size = np.abs(expected)
    shape = np.where(known, size**2 / np.where(known, variance, 1.0), 1.0)
    scale = np.where(known, variance / np.where(known, size, 1.0), 1.0)
    otherwise = np.where(np.isnan(variance), np.nan, expected)
    bounds = [
        np.where(known, np.sign(expected) * stats.gamma.ppf(level, shape, scale=scale), otherwise)
        for level in ((1 - coverage) / 2, (1 + coverage) / 2)
    ]
    return np.minimum(*bounds), np.maximum(*bounds)


def totals(values: Path, spread: LevelSpread, groupings: Sequence[str] = GROUPINGS) -> list[dict[str, Any]]:
    """One row per grouping, group, horizon and quantity of a table of values; the residual has horizon None."""
    rows: list[dict[str, Any]] = []
    with open_values(values) as connection:
        longest = horizons_of(connection)[-1]
        for grouping in groupings:
            group = quoted(EVERYBODY) if grouping == "base" else f'"{grouping}"'
            for quantity, (expected, variance, cost) in QUANTITIES.items():
                found = connection.execute(_query(group, expected, variance, cost)).fetchall()
                rows.extend(_rows(found, grouping, quantity, spread.of(quantity)))
            residual = _query(group, "residual_value", "residual_value_variance", "0", f"horizon_days = {longest}")
            found = connection.execute(residual).fetchall()
            rows.extend(_rows([(g, None, *rest) for g, _, *rest in found], grouping, "residual_value", spread.spend))
    return rows


def _query(group: str, expected: str, variance: str, cost: str, condition: str = "true") -> str:
    """Sums by group and horizon; a sum with an unknown part is unknown."""
    whole = "CASE WHEN count(*) = count({0}) THEN sum({0}) END"
    return (
        f"SELECT {group} AS g, horizon_days, count(*), {whole.format(expected)}, {whole.format(variance)}, sum({cost}) "
        f"FROM values_ WHERE {condition} GROUP BY g, horizon_days ORDER BY g NULLS LAST, horizon_days"
    )


def _rows(found: Sequence[tuple[Any, ...]], grouping: str, quantity: str, spread: float) -> Iterator[dict[str, Any]]:
    for group, horizon, customers, expected, variance, cost in found:
        if expected is None:
            continue
        own = np.nan if variance is None else float(variance)
        low, high = interval(np.array([expected]), np.array([own]), spread)
        yield {
            "group_by": grouping,
            "group": group,
            "horizon_days": horizon,
            "quantity": quantity,
            "customers": int(customers),
            "expected": float(expected) - float(cost),
            "low": None if np.isnan(low[0]) else float(low[0]) - float(cost),
            "high": None if np.isnan(high[0]) else float(high[0]) - float(cost),
            "own_sd": None if variance is None else float(np.sqrt(max(own, 0.0))),
            "level_sd": spread * float(expected),
        }
