"""The bridge from one valuation to the next: which customers made the difference, to the cent.

Every customer's value is rounded to cents first, and the steps are sums of these cents, so that they add up exactly:

    opening              the earlier total
    new_customers        in the later table only
    no_longer_in_log     in the earlier table only: forgotten, or missing in the later log
    lost                 not lost before, lost now (the stage)
    more, less           everybody else whose value rose or fell
    model_change         the same customers under the new model instead of the old one
    closing              the later total

Model change is told apart only with a third table, the later log valued with the earlier model: then the other steps
compare it with the earlier table, and model_change is the later table less the third. Without it the steps contain
both, and model_change is None.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from seqclv.errors import InputError
from seqclv.value.database import chosen_horizon, open_values, require_one_currency
from seqclv.value.money import in_currency

BEHAVIOUR = ("new_customers", "no_longer_in_log", "lost", "more", "less")
MEASURES = ("value", "residual_value", "contribution", "expected_spend")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a bridge."""

    name: str
    cents: int
    customers: int


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A bridge at one horizon: opening + steps + model change = closing, in whole cents."""

    measure: str
    horizon_days: float
    currency: str
    opening: Step
    steps: tuple[Step, ...]
    model_change: Step | None
    closing: Step

    def to_dict(self) -> dict[str, Any]:
        """Plain values, money in currency units."""
        order = [self.opening, *self.steps, *([self.model_change] if self.model_change else []), self.closing]
        return {
            "measure": self.measure,
            "horizon_days": self.horizon_days,
            "currency": self.currency,
            "model_change_separated": self.model_change is not None,
            "steps": [{"step": s.name, "amount": s.cents / 100, "customers": s.customers} for s in order],
        }

    def render(self) -> str:
        """Plain text for people."""
        head = in_currency(f"{self.measure} within {self.horizon_days:g} days,", self.currency).removesuffix(",")
        lines = [head.ljust(44) + f"{'customers':>12}"]
        lines += [
            f"{row['step'].replace('_', ' '):<22}{row['amount']:>22,.2f}{row['customers']:>12,}"
            for row in self.to_dict()["steps"]
        ]
        if self.model_change is None:
            lines.append("The change of the model is inside these steps: give --rescored to tell it apart.")
        return "\n".join(lines)


def bridge(
    earlier: Path,
    later: Path,
    *,
    rescored: Path | None = None,
    horizon_days: float | None = None,
    measure: str = "value",
) -> Bridge:
    """The bridge between two tables of values.

    Args:
        earlier: the table of the earlier valuation.
        later: that of the later one.
        rescored: the later log at the later cutoff, valued with the earlier model.
        horizon_days: of the values; by default the longest that the tables have in common.
        measure: one of `MEASURES`.

    Raises:
        InputError: a file is no table of values, currencies or horizons differ, `rescored` is of other customers or of
            another cutoff than `later`, or a value is unknown.
    """
    if measure not in MEASURES:
        raise InputError(f"A bridge is of one of {', '.join(MEASURES)}, but {measure!r} was asked for: choose one.")
    tables = {"earlier": earlier} if rescored is None else {"earlier": earlier, "rescored": rescored}
    with open_values(later, **tables) as connection:
        names = ["values_", *tables]
        horizon = chosen_horizon(connection, horizon_days, names)
        for name in names:
            _round(connection, name, measure, horizon)
        if rescored is not None:
            _require_same_customers(connection)
        middle = "values__cents" if rescored is None else "rescored_cents"
        return Bridge(
            measure=measure,
            horizon_days=horizon,
            currency=require_one_currency(connection, names),
            opening=_total(connection, "opening", "earlier_cents"),
            steps=tuple(_steps(connection, middle)),
            model_change=None if rescored is None else _model_change(connection),
            closing=_total(connection, "closing", "values__cents"),
        )


def _round(connection: duckdb.DuckDBPyConnection, name: str, measure: str, horizon: float) -> None:
    unknown = _rows(connection, f"SELECT count(*) FROM {name} WHERE horizon_days = {horizon} AND {measure} IS NULL")[0][
        0
    ]
    if unknown:
        raise InputError(
            f"A bridge needs every customer's {measure}, but {unknown} are unknown: value with a model that knows them "
            "or choose another --measure."
        )
    connection.execute(
        f"CREATE VIEW {name}_cents AS SELECT customer_id, cutoff, stage, "
        f"CAST(round({measure} * 100) AS HUGEINT) AS cents FROM {name} WHERE horizon_days = {horizon}"
    )


def _require_same_customers(connection: duckdb.DuckDBPyConnection) -> None:
    other = _rows(
        connection,
        "SELECT count(*) FROM values__cents v FULL JOIN rescored_cents r USING (customer_id, cutoff) "
        "WHERE v.cents IS NULL OR r.cents IS NULL",
    )[0][0]
    if other:
        raise InputError(
            f"The rescored table must hold the later table's customers at its cutoff, but {other} rows differ: value "
            "the later log at the same cutoff with the earlier model."
        )


def _steps(connection: duckdb.DuckDBPyConnection, after: str) -> list[Step]:
    """The behaviour of customers between the earlier table and `after`."""
    kind = (
        "CASE WHEN o.cents IS NULL THEN 'new_customers' WHEN n.cents IS NULL THEN 'no_longer_in_log' "
        "WHEN n.stage = 'lost' AND o.stage <> 'lost' THEN 'lost' "
        "WHEN n.cents > o.cents THEN 'more' WHEN n.cents < o.cents THEN 'less' ELSE 'same' END"
    )
    found = _rows(
        connection,
        f"SELECT {kind} AS step, sum(coalesce(n.cents, 0) - coalesce(o.cents, 0)), count(*) "
        f"FROM earlier_cents o FULL JOIN {after} n USING (customer_id) GROUP BY step",
    )
    known = {name: (int(cents), int(customers)) for name, cents, customers in found}
    return [Step(name=n, cents=known.get(n, (0, 0))[0], customers=known.get(n, (0, 0))[1]) for n in BEHAVIOUR]


def _model_change(connection: duckdb.DuckDBPyConnection) -> Step:
    cents, customers = _rows(
        connection,
        "SELECT sum(n.cents - r.cents), count(*) FILTER (n.cents <> r.cents) "
        "FROM values__cents n JOIN rescored_cents r USING (customer_id)",
    )[0]
    return Step(name="model_change", cents=int(cents), customers=int(customers))


def _total(connection: duckdb.DuckDBPyConnection, name: str, table: str) -> Step:
    cents, customers = _rows(connection, f"SELECT coalesce(sum(cents), 0), count(*) FROM {table}")[0]
    return Step(name=name, cents=int(cents), customers=int(customers))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> Sequence[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
