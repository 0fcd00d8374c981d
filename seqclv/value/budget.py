"""The budget curve: how much value at risk is reached with how many contacts, beside simpler orders.

Shape: N customers who are not lost; P points of a curve.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from seqclv.predictive import FloatArray
from seqclv.value.database import chosen_horizon, open_values
from seqclv.value.money import in_currency

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 200
ORDERS = {  # of contacts; random is the straight line
    "value_at_risk": "value_at_risk DESC",
    "recency": "days_since_last",  # the most recent buyers first
}


@dataclass(frozen=True, kw_only=True)
class BudgetCurve:
    """Value at risk of the customers reached, in currency units. Shape: each [P]."""

    contacts: FloatArray
    value_at_risk: FloatArray  # contacts by falling value at risk
    recency: FloatArray  # the most recent buyers first
    random: FloatArray  # expected for a random order
    currency: str
    horizon_days: float

    def table(self) -> pa.Table:
        """The curve as columns."""
        names = ("contacts", "value_at_risk", "recency", "random")
        return pa.table({name: getattr(self, name) for name in names})


def budget_curve(values: Path, horizon_days: float | None = None) -> BudgetCurve:
    """The curve over the customers of a table of values who are not lost."""
    with open_values(values) as connection:
        horizon = chosen_horizon(connection, horizon_days, ["values_"])
        condition = f"horizon_days = {horizon} AND stage <> 'lost'"
        reached = {
            name: connection.sql(
                f"SELECT value_at_risk AS v FROM values_ WHERE {condition} ORDER BY {order}, customer_id"
            )
            .to_arrow_table()["v"]
            .to_numpy()
            for name, order in ORDERS.items()
        }
        currency = connection.execute("SELECT min(currency) FROM values_").fetchall()[0][0]
    size = len(reached["recency"])
    contacts = np.unique(np.linspace(0, size, POINTS + 1).round()).astype(np.int64)
    running = {name: np.concatenate([[0.0], np.cumsum(v)])[contacts] for name, v in reached.items()}
    total = running["recency"][-1]
    return BudgetCurve(
        contacts=contacts.astype(np.float64),
        value_at_risk=running["value_at_risk"],
        recency=running["recency"],
        random=total * contacts / max(size, 1),
        currency=str(currency),
        horizon_days=horizon,
    )


def budget_chart(curve: BudgetCurve, contacts: int) -> "Figure":
    """The curve, with the budget of `contacts` marked; the title says what the picture shows."""
    from matplotlib.figure import Figure

    from seqclv.evaluation.plots import BLUE, GREY, INK, ORANGE

    figure = Figure(figsize=(8.4, 4.9), dpi=110, facecolor="white")
    axes = figure.add_subplot()
    figure.subplots_adjust(left=0.11, right=0.8, top=0.83, bottom=0.13)
    figure.text(0.03, 0.96, _title(curve, contacts), fontsize=13, fontweight="bold", color=INK, va="top")
    of = in_currency("value at risk in", curve.currency).removesuffix(" in")
    note = f"{of} within {curve.horizon_days:g} days; it is not what a contact saves"
    figure.text(0.03, 0.90, note, fontsize=9.5, color=GREY, va="top")
    lines = (
        ("value_at_risk", BLUE, "by value at risk", "-"),
        ("recency", ORANGE, "by recency", "--"),
        ("random", GREY, "random", ":"),
    )
    for name, colour, label, style in lines:
        values = getattr(curve, name)
        axes.plot(curve.contacts, values, color=colour, linestyle=style, linewidth=1.8)
        place = int(len(values) * {"value_at_risk": 0.35, "recency": 0.5, "random": 0.62}[name])
        axes.annotate(
            label,
            (curve.contacts[place], values[place]),
            (6, -12),
            textcoords="offset points",
            color=colour,
            fontsize=9.5,
        )
    axes.axvline(min(contacts, curve.contacts[-1]), color=INK, linewidth=0.8)
    axes.set(xlim=(0, max(curve.contacts[-1], 1)), ylim=(0, None))
    axes.set_xlabel("contacts", color=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=GREY, labelsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def _title(curve: BudgetCurve, contacts: int) -> str:
    total = curve.value_at_risk[-1]
    if total <= 0:
        return "Nothing is at risk"
    share = [float(np.interp(contacts, curve.contacts, v)) / total for v in (curve.value_at_risk, curve.recency)]
    return f"{contacts:,} contacts reach {share[0]:.0%} of the value at risk; by recency {share[1]:.0%}"
