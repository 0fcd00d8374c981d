"""Lists for a CRM: whom to keep, whom to develop, whom to leave alone; each with scores, reasons and a control group.

    retention      not lost, ranked by value at risk
    growth         new, active or returned and not on the retention list, ranked by value
    do_not_spend   lost, or worth no more than a contact costs, and on neither list; the least valuable first

A list of contacts is filled from the top until it holds as many contacts as the budget allows. A share of the customers
on the way are controls: they are left alone, so that the difference between both groups measures what the contacts
bring. Who is a control follows from the customer's id and the seed alone: it is the same in every list and every month.

Value at risk is not persuadability: it says what is lost if a customer leaves, not that a contact would keep them. Only
the experiment that the control group makes can tell.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from seqclv.errors import InputError
from seqclv.value.columns import GROUPS, LIST_SCHEMA, LISTS
from seqclv.value.database import chosen_horizon, open_values
from seqclv.value.reasons import reason

CAUTION = (
    "Value at risk is not persuadability: that a contact keeps these customers is known only from an experiment. "
    "Leave the control group alone and compare."
)
_RANKINGS = {
    "retention": ("stage <> 'lost' AND value_at_risk > 0", "value_at_risk DESC"),
    "growth": ("stage IN ('new', 'active', 'returned') AND value > 0", "value DESC"),
}
_SCORES = {"retention": "value_at_risk", "growth": "value", "do_not_spend": "value"}
_FETCHED = 10_000


@dataclass(frozen=True, kw_only=True)
class ListPlan:
    """How many contacts, at what cost, and how large a control group."""

    contacts: int  # on each list, controls not counted
    control_share: float = 0.0  # of the customers who would be contacted
    contact_cost: float = 0.0  # money; who is worth no more is on the do-not-spend list
    horizon_days: float | None = None  # None: the longest of the table
    seed: int = 0

    def __post_init__(self) -> None:
        if self.contacts < 1:
            raise InputError(f"A list needs at least 1 contact, but --contacts is {self.contacts}: give more.")
        if not 0 <= self.control_share < 1:
            raise InputError(f"A control share is at least 0 and below 1, but it is {self.control_share}: give 0.1.")
        if not 0 <= self.contact_cost < float("inf"):
            raise InputError(f"A contact costs 0 or more, but --contact-cost is {self.contact_cost}: change it.")


def is_control(customer_id: str, share: float, seed: int) -> bool:
    """Whether a customer is a control: a draw that depends on the id and the seed alone."""
    digest = hashlib.blake2b(f"{seed}\0{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def make_lists(values: Path, plan: ListPlan) -> pa.Table:
    """The lists of a table of values, one under the other; rows as in `LIST_SCHEMA`.

    Raises:
        InputError: the file is no table of values or lacks the horizon.
    """
    with open_values(values) as connection:
        horizon = chosen_horizon(connection, plan.horizon_days, ["values_"])
        connection.execute(f"CREATE VIEW rows_ AS SELECT * FROM values_ WHERE horizon_days = {horizon}")
        connection.execute("CREATE TABLE listed (customer_id VARCHAR)")
        tables = []
        for name, (condition, order) in _RANKINGS.items():
            chosen = _filled(_ranked(connection, condition, order), name, plan)
            tables.append(chosen)
            connection.register("chosen", chosen)
            connection.execute("INSERT INTO listed SELECT customer_id FROM chosen")
            connection.unregister("chosen")
        low = f"stage = 'lost' OR value <= {plan.contact_cost}"
        tables += _in_parts("do_not_spend", _ranked(connection, low, "value"))
    return pa.concat_tables(tables)


def _ranked(connection: duckdb.DuckDBPyConnection, condition: str, order: str) -> Iterator[dict[str, Any]]:
    """Rows of customers on no list yet, in the order of their rank."""
    cursor = connection.cursor().execute(
        f"SELECT * FROM rows_ WHERE ({condition}) AND customer_id NOT IN (SELECT customer_id FROM listed) "
        f"ORDER BY {order}, customer_id"
    )
    names = [column[0] for column in cursor.description or ()]
    while block := cursor.fetchmany(_FETCHED):
        for row in block:
            yield dict(zip(names, row, strict=True))


def _filled(rows: Iterable[dict[str, Any]], name: str, plan: ListPlan) -> pa.Table:
    """The list until it holds its contacts, controls among them."""
    taken: list[tuple[dict[str, Any], str | None]] = []
    contacts = 0
    for row in rows:
        control = is_control(row["customer_id"], plan.control_share, plan.seed)
        taken.append((row, "control" if control else "contact"))
        contacts += not control
        if contacts == plan.contacts:
            break
    return _table(name, taken)


def _in_parts(name: str, rows: Iterator[dict[str, Any]]) -> Iterator[pa.Table]:
    """A list without groups, part by part: it can hold most of a base."""
    done = 0
    while part := list(islice(rows, _FETCHED)):
        yield _table(name, [(row, None) for row in part], first_rank=done + 1)
        done += len(part)


def _table(name: str, rows: Sequence[tuple[dict[str, Any], str | None]], first_rank: int = 1) -> pa.Table:
    columns: dict[str, list[Any]] = {column: [] for column in LIST_SCHEMA.names}
    for rank, (row, group) in enumerate(rows, start=first_rank):
        own = {"list": name, "rank": rank, "group": group, "score": row[_SCORES[name]], "reason": reason(name, row)}
        for column, values in columns.items():
            values.append(own.get(column, row.get(column)))
    return pa.table([pa.array(columns[f.name], f.type) for f in LIST_SCHEMA], schema=LIST_SCHEMA)


def summary(table: pa.Table, plan: ListPlan) -> list[dict[str, Any]]:
    """Customers and money of each list and group."""
    groups = {"retention": GROUPS, "growth": GROUPS, "do_not_spend": (None,)}
    rows = []
    for name, group in ((listed, member) for listed in LISTS for member in groups[listed]):
        if group == "control" and plan.control_share == 0:
            continue
        chosen = pc.equal(table["group"], group) if group else pc.is_null(table["group"])
        part = table.filter(pc.and_(pc.equal(table["list"], name), chosen))
        sums = {c: float(pc.sum(part[c]).as_py() or 0.0) for c in ("value", "value_at_risk")}
        rows.append({"list": name, "group": group, "customers": len(part), **sums})
    return rows
