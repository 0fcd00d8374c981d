"""The numbers on customers as of the cutoff: money, concentration, the best, those at risk, segments and cohorts.

`base` has one row per customer: the forecast of the report's horizon, joined with the table of values where there is
one. `worth` is what customers are ranked by: their value where it is known, else their expected spend.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from seqclv.evaluation.groups import period_groups
from seqclv.predictive import FloatArray
from seqclv.value.columns import STAGES

if TYPE_CHECKING:
    import pandas as pd

    from seqclv.report.subject import Subject, Worth
    from seqclv.tiers import Tiers

TOP_CUSTOMERS = 10
MOST_BANDS = 9
BRINGING = 0.8  # the share of money whose bringers are counted
_CURVE_POINTS = 100
_FORECAST_COLUMNS = ("spend_q05", "spend_q50", "spend_q95", "transactions_q50")


def base_of(subject: "Subject") -> "pd.DataFrame":
    """One row per customer of the report's horizon, by customer_id."""
    import pandas as pd

    rows = subject.forecasts
    if rows is None:
        raise TypeError("a base needs forecasts")
    base = rows[rows["horizon_days"] == subject.horizon_days].sort_values("customer_id").reset_index(drop=True)
    if subject.worth is not None:
        keys, value = ["customer_id", "horizon_days"], subject.worth.table
        new = [name for name in value.columns if name not in base.columns]
        base = base.merge(value[keys + new], on=keys, how="left", validate="one_to_one")
    if "value" in base:
        base["worth"] = base["value"]
    else:
        base["worth"] = base["expected_spend"].fillna(0.0)
        buys = (1 - base["churn_probability"]).clip(lower=1e-9)
        base["value_at_risk"] = base["churn_probability"] * base["worth"] / buys
    return pd.DataFrame(base)


def horizons_section(subject: "Subject") -> list[dict[str, Any]]:
    """What the whole base is expected to do, by horizon."""
    worth, found = subject.worth, []
    table = subject.forecasts if worth is None else worth.table
    if table is None:
        return []
    for horizon, rows in table.groupby("horizon_days", sort=True):
        entry = {
            "horizon_days": float(horizon),  # type: ignore[arg-type]
            "buyers": float((1 - rows["churn_probability"]).sum()),
            "transactions": _total(rows["expected_transactions"]),
            "spend": _total(rows["expected_spend"]),
            "value": None if worth is None else _total(rows["value"]),
            **_range(worth, "spend", float(horizon)),  # type: ignore[arg-type]
        }
        found.append(entry)
    return found


def _range(worth: "Worth | None", quantity: str, horizon_days: float) -> dict[str, float | None]:
    """Where the total of the base lies nine times in ten; None where the error that customers share is not known."""
    known: dict[str, float | None] = {"low": None, "high": None}
    if worth is None or worth.level_spread is None:
        return known
    for row in worth.totals:
        if row["quantity"] == quantity and row["horizon_days"] == horizon_days and row["group_by"] == "base":
            known = {"low": row["low"], "high": row["high"]}
    return known


def _total(column: "pd.Series[float]") -> float | None:
    return None if column.isna().any() else float(column.sum())


def money_section(base: "pd.DataFrame") -> dict[str, Any]:
    """Totals of the report's horizon."""
    worth = base["worth"].to_numpy()
    return {
        "customers": len(base),
        "ranked_by": "value" if "value" in base else "spend",
        "spend": _total(base["expected_spend"]),
        "value": float(base["value"].sum()) if "value" in base else None,
        "residual_value": _known_total(base, "residual_value"),
        "historic_value": _known_total(base, "historic_value"),
        "worth": float(worth.sum()),
        "worth_mean": float(worth.mean()),
        "worth_median": float(np.median(worth)),
        "transactions": _total(base["expected_transactions"]),
        "buyers": float((1 - base["churn_probability"]).sum()),
        "churn_mean": float(base["churn_probability"].mean()),
        "value_at_risk": float(base["value_at_risk"].sum()),
    }


def _known_total(base: "pd.DataFrame", name: str) -> float | None:
    return _total(base[name]) if name in base else None


def concentration_section(base: "pd.DataFrame") -> dict[str, Any]:
    """Who brings 80 % of the worth: customers from the highest down. Worth below zero counts as zero here."""
    worth = np.sort(base["worth"].to_numpy().clip(min=0))[::-1]
    total = float(worth.sum())
    running = np.cumsum(worth) / total if total > 0 else np.zeros(len(worth))
    needed = int(np.searchsorted(running, BRINGING - 1e-12) + 1) if total > 0 else None
    at = np.linspace(0, 1, _CURVE_POINTS + 1)
    curve = np.interp(at * len(worth), np.arange(len(worth) + 1), np.concatenate([[0.0], running]))
    return {
        "bringing": BRINGING,
        "customers_needed": needed,
        "share_needed": None if needed is None else needed / len(worth),
        "top_percent": _top_share(running, len(worth), 0.01),
        "top_tenth": _top_share(running, len(worth), 0.10),
        "curve": {"customers": at.tolist(), "worth": curve.tolist()},
    }


def _top_share(running: FloatArray, size: int, share: float) -> float:
    return float(running[max(1, round(share * size)) - 1])


def distribution_section(base: "pd.DataFrame") -> list[dict[str, Any]]:
    """Customers and worth by band of worth; a band is [from, below), its ends on a 1-2-5 or 1-3-10 scale."""
    worth = base["worth"].to_numpy()
    edges = band_edges(worth)
    place = np.searchsorted(edges, worth, side="right")
    total = float(worth.sum())
    bands = []
    for i in range(len(edges) + 1):
        inside = place == i
        bands.append(
            {
                "from": float(edges[i - 1]) if i else None,
                "below": float(edges[i]) if i < len(edges) else None,
                "customers": int(inside.sum()),
                "worth": float(worth[inside].sum()),
                "customers_share": float(inside.mean()),
                "worth_share": float(worth[inside].sum()) / total if total > 0 else 0.0,
            }
        )
    return bands


def band_edges(worth: FloatArray) -> FloatArray:
    """At most MOST_BANDS - 1 round numbers between which most customers and most of the worth lie."""
    positive = worth[worth > 0]
    if len(positive) == 0:
        return np.array([1.0])
    low, high = np.quantile(positive, [0.02, 1.0])
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        edges = np.asarray([step * 10.0**decade for decade in decades for step in steps])
        edges = edges[(edges > low) & (edges < high)]
        if len(edges) < MOST_BANDS:
            break
    return edges[-(MOST_BANDS - 1) :] if len(edges) else np.array([high])


_SHOWN = (
    "customer_id",
    "worth",
    "value",
    "expected_spend",
    *_FORECAST_COLUMNS,
    "expected_transactions",
    "churn_probability",
    "value_at_risk",
    "days_since_last",
    "usual_gap_days",
    "historic_spend",
    "tier",
    "stage",
)


def top_rows(base: "pd.DataFrame", by: str, number: int = TOP_CUSTOMERS) -> list[dict[str, Any]]:
    """The customers who lead by a column; ties in the order of their ids."""
    rows = base.sort_values([by, "customer_id"], ascending=[False, True]).head(number)
    return [{name: _plain(row[name]) for name in _SHOWN if name in base.columns} for _, row in rows.iterrows()]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return number if np.isfinite(number) else None


def matrix_section(base: "pd.DataFrame", known: "Tiers | None") -> dict[str, Any] | None:
    """Customers and money by value tier and lifecycle stage; None where the tiers are not known."""
    if known is None or base["tier"].isna().any():
        return None
    tiers = list(known.names)
    stages = [stage for stage in STAGES if (base["stage"] == stage).any()]
    cells = [[_cell(base[(base["tier"] == t) & (base["stage"] == s)]) for s in stages] for t in tiers]
    return {
        "tiers": tiers,
        "tier_shares": list(known.shares),
        "tier_bounds": list(known.bounds),
        "tier_horizon_days": known.horizon_days,
        "tiers_set_at": known.set_at,
        "stages": stages,
        "cells": cells,
        "by_tier": [_cell(base[base["tier"] == tier]) for tier in tiers],
        "by_stage": [_cell(base[base["stage"] == stage]) for stage in stages],
        "all": _cell(base),
    }


def _cell(rows: "pd.DataFrame") -> dict[str, float]:
    return {
        "customers": len(rows),
        "worth": float(rows["worth"].sum()),
        "value_at_risk": float(rows["value_at_risk"].sum()),
    }


def cohorts_section(base: "pd.DataFrame") -> list[dict[str, Any]] | None:
    """Customers by the month (or quarter, or year) of their first purchase; None where it is not known."""
    import pandas as pd

    if "first_purchase" not in base or base["first_purchase"].isna().any():
        return None
    names, index = period_groups(pd.DatetimeIndex(base["first_purchase"]))
    return [_cohort(name, base[index == i]) for i, name in enumerate(names)]


def _cohort(name: str, rows: "pd.DataFrame") -> dict[str, Any]:
    return {
        "name": name,
        "customers": len(rows),
        "historic_spend_mean": float(rows["historic_spend"].mean()),
        "bought_again": float((rows["historic_transactions"] > 1).mean()),
        "worth": float(rows["worth"].sum()),
        "worth_mean": float(rows["worth"].mean()),
        "buys_again": float(1 - rows["churn_probability"].mean()),
    }


def losing_section(base: "pd.DataFrame", worth: "Worth | None") -> dict[str, Any]:
    """Whom the company loses: how many are expected to buy nothing, what is at risk, and with whom.

    Where the stages are known, those who are lost already are counted and left out of what is at risk.
    """
    lost = (base["stage"] == "lost").to_numpy() if "stage" in base else np.zeros(len(base), dtype=bool)
    pool = base[~lost]
    risk = np.sort(pool["value_at_risk"].to_numpy())[::-1]
    total = float(risk.sum())
    half = int(np.searchsorted(np.cumsum(risk), total / 2) + 1) if total > 0 else None
    names = ("contacts", "value_at_risk", "recency", "random")
    return {
        "expected_to_leave": float(base["churn_probability"].sum()),
        "lost_already": int(lost.sum()) if "stage" in base else None,
        "customers": len(pool),
        "value_at_risk": total,
        "customers_with_half": half,
        "rows": top_rows(pool, "value_at_risk"),
        "curve": None if worth is None else {name: getattr(worth.curve, name).tolist() for name in names},
    }
