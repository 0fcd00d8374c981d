"""What a scored base comes to: totals by horizon and the customers with the highest expected spend."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TOP_CUSTOMERS = 5


class Summary:
    """Running totals over forecast tables, in bounded memory."""

    def __init__(self, horizons_days: Sequence[float]) -> None:
        self.horizons_days = list(horizons_days)
        self.customers = 0
        self._sums = np.zeros((len(self.horizons_days), 3))  # purchases, spend, customers who buy
        self._top: pa.Table | None = None  # rows of the longest horizon

    def add(self, table: pa.Table) -> None:
        """Add the forecasts of further customers, one row per customer and horizon."""
        width = len(self.horizons_days)
        self.customers += len(table) // width
        columns = [table[name].to_numpy() for name in ("expected_transactions", "expected_spend", "churn_probability")]
        purchases, spend, churn = (column.reshape(-1, width) for column in columns)
        self._sums += np.stack([purchases.sum(axis=0), spend.sum(axis=0), (1 - churn).sum(axis=0)], axis=-1)
        longest = table.filter(pc.equal(table["horizon_days"], self.horizons_days[-1]))
        both = longest if self._top is None else pa.concat_tables([self._top, longest])
        order = pc.sort_indices(both, [("expected_spend", "descending"), ("customer_id", "ascending")])
        self._top = both.take(order[:TOP_CUSTOMERS])

    def totals(self) -> list[dict[str, float]]:
        """The expected totals of the base by horizon."""
        names = ("expected_transactions", "expected_spend", "expected_buyers")
        return [
            {"horizon_days": horizon, **dict(zip(names, map(float, row), strict=True))}
            for horizon, row in zip(self.horizons_days, self._sums, strict=True)
        ]

    def render(self) -> str:
        """Plain text for people."""
        lines = [f"{'in the next':<14}{'customers who buy':>22}{'purchases':>14}{'spend':>18}"]
        for total in self.totals():
            share = total["expected_buyers"] / max(self.customers, 1)
            buyers = f"{total['expected_buyers']:,.0f} ({share:.0%})"
            lines.append(
                f"{total['horizon_days']:g} days".ljust(14)
                + f"{buyers:>22}{total['expected_transactions']:>14,.0f}{total['expected_spend']:>18,.2f}"
            )
        return "\n".join([*lines, "", *self._best()])

    def _best(self) -> list[str]:
        if self._top is None:
            return []
        horizon = f"{self.horizons_days[-1]:g} days"
        lines = [f"{'best customers, ' + horizon:<32}{'purchases':>12}{'spend':>14}{'9 in 10 between':>22}{'churn':>8}"]
        for row in self._top.to_pylist():
            low, high = row["spend_q05"], row["spend_q95"]
            between = "-" if low is None or high is None else f"{low:,.0f} and {high:,.0f}"
            lines.append(
                f"{row['customer_id'][:30]:<32}{row['expected_transactions']:>12,.1f}{row['expected_spend']:>14,.2f}"
                f"{between:>22}{row['churn_probability']:>8.1%}"
            )
        return lines
