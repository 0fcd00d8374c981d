"""Tables beside the log: customers with what does not change about them, and the calendar."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from seqclv.config import CalendarConfig, CustomersConfig, DataConfig, SqlConfig
from seqclv.data.calendar import Calendar
from seqclv.data.columns import as_instant, as_number, as_text
from seqclv.data.database import run, without_statistics
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.identities import TABLE as IDENTITY
from seqclv.data.privacy import TABLE as UNPROFILED
from seqclv.data.sources import Relation, relations
from seqclv.errors import InputError, offenders

BATCH_ROWS = 65_536
MOST_CALENDAR_DAYS = 36_525  # a hundred years: more is a slip in a date


def _open(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], sql: SqlConfig | None, needed: Sequence[str], what: str
) -> list[Relation]:
    called = what if what == "calendar" else f"{what} table"
    found = relations(connection, files, needed, [sql] if sql is not None else [], called)
    for relation in found:
        missing = [name for name in needed if name not in relation.names]
        if missing:
            raise InputError(
                f"The {what} table must have the columns {', '.join(needed)}, but {relation.origin} lacks "
                f"{', '.join(missing)} and has {', '.join(relation.names)}: name them in data.{what}."
            )
    return found


@dataclass(frozen=True)
class CustomersTable:
    """The customers table in DuckDB, one row per customer, beside the customers of the log.

    Its tables are `attributes` (customer, s0 .. numeric, t0 .. categorical) and `bought` (customer, position).
    """

    connection: duckdb.DuckDBPyConnection
    numeric: tuple[str, ...]
    vocabularies: dict[str, tuple[str, ...]]  # of the categorical attributes, over the customers of the log
    counts: dict[str, int]  # for the report

    def aligned(self) -> Iterator[pa.RecordBatch]:
        """Attributes of the log's customers in their order: s0 .. (NULL is missing), t0 .. codes (-1 is missing)."""
        numbers = [f"s{i}" for i in range(len(self.numeric))]
        texts = [f"t{i}" for i in range(len(self.vocabularies))]
        for name, words in zip(texts, self.vocabularies.values(), strict=True):
            table = pa.table({"value": pa.array(words, pa.string()), "code": pa.array(range(len(words)), pa.int32())})
            self.connection.register("vocabulary", table)
            run(self.connection, f"CREATE OR REPLACE TABLE codes_{name} AS SELECT * FROM vocabulary")
            self.connection.unregister("vocabulary")
        joins = " ".join(f"LEFT JOIN codes_{name} ON attributes.{name} = codes_{name}.value" for name in texts)
        codes = [f"coalesce(codes_{name}.code, -1)::INTEGER AS {name}" for name in texts]
        query = f"SELECT {', '.join([*numbers, *codes])} FROM bought LEFT JOIN attributes USING (customer) {joins}"
        yield from self.connection.cursor().sql(f"{query} ORDER BY position").to_arrow_reader(BATCH_ROWS)

    def prospects(self) -> Iterator[pa.RecordBatch]:
        """Customers whom the table names and the log does not: customer_id and the attributes under their names."""
        numbers = [f"s{i}" for i in range(len(self.numeric))]
        texts = [f"t{i}" for i in range(len(self.vocabularies))]
        query = f"""SELECT {", ".join(["customer", *numbers, *texts])} FROM attributes
            ANTI JOIN bought USING (customer) ORDER BY customer"""
        for batch in self.connection.cursor().sql(query).to_arrow_reader(BATCH_ROWS):
            yield pa.record_batch(batch.columns, schema=self.prospects_schema)

    @property
    def prospects_schema(self) -> pa.Schema:
        """Columns of `prospects`; an attribute named customer_id gets an underscore."""
        named = [(name, pa.float64()) for name in self.numeric] + [(name, pa.string()) for name in self.vocabularies]
        return pa.schema([("customer_id", pa.string()), *((n + "_" * (n == "customer_id"), kind) for n, kind in named)])


def load_customers(connection: duckdb.DuckDBPyConnection, data: DataConfig, ids: pa.ChunkedArray) -> CustomersTable:
    """Read the customers table; ids are replaced by those of `seqclv.data.identities`, if there are any.

    Where a merged identity has a row of its own beside the customer's, the customer's counts.

    Args:
        connection: the staging.
        data: with a customers table.
        ids: [C] customers of the log, in their order.

    Raises:
        InputError: a file or column is missing, or a customer has rows that differ.
    """
    customers = data.customers
    if customers is None:
        raise TypeError("no customers table is configured")
    counts = _stage_attributes(connection, customers, data.decimal, merged=data.identities is not None)
    doubled = run(connection, "SELECT customer FROM attributes GROUP BY customer HAVING count(*) > 1 ORDER BY customer")
    if doubled:
        raise InputError(
            f"The customers table must say one thing of a customer, but of {offenders(row[0] for row in doubled)} it "
            "says several: keep one row."
        )
    position = pa.array(np.arange(len(ids)))
    connection.register("customers_of_the_log", pa.table({"customer": ids, "position": position}))
    run(connection, "CREATE TABLE bought AS SELECT * FROM customers_of_the_log")
    connection.unregister("customers_of_the_log")
    words = {name: _words(connection, f"t{i}") for i, name in enumerate(customers.categorical)}
    [(known, prospects)] = run(
        connection,
        "SELECT count(bought.customer), count(*) - count(bought.customer) "
        "FROM attributes LEFT JOIN bought USING (customer)",
    )
    counts |= {"customers without events": prospects, "customers of the log without a row": len(ids) - known}
    return CustomersTable(connection, tuple(customers.numeric), words, counts)


def _stage_attributes(
    connection: duckdb.DuckDBPyConnection, customers: CustomersConfig, decimal: str, *, merged: bool
) -> dict[str, int]:
    """Make the table `attributes` of distinct rows, and count what was read."""
    numbers, texts = list(customers.numeric.values()), list(customers.categorical.values())
    needed = tuple(dict.fromkeys([customers.customer_id, *numbers, *texts]))
    selects = []
    for relation in _open(connection, customers.files, customers.sql, needed, "customers"):
        written = [as_number(relation, name, decimal) for name in numbers]
        empty = [f"coalesce(trim({as_text(relation, name)}), '') = ''" for name in numbers]
        bad = " + ".join(f"({v} IS NULL AND NOT {gone})::INT" for v, gone in zip(written, empty, strict=True)) or "0"
        cells = [f"CASE WHEN isfinite({value}) THEN {value} END AS s{i}" for i, value in enumerate(written)]
        cells += [f"{as_text(relation, name)} AS t{i}" for i, name in enumerate(texts)]
        chosen = ", ".join([f"{as_text(relation, customers.customer_id)} AS named", f"{bad} AS bad", *cells])
        selects.append(f"SELECT {chosen} FROM {relation.scan}")
    with without_statistics(connection):
        run(connection, f"CREATE TABLE rows_of_customers AS {' UNION ALL '.join(selects)}")
    columns = ", ".join([*(f"s{i}" for i in range(len(numbers))), *(f"t{i}" for i in range(len(texts)))])
    merge = f"SELECT old, new FROM {IDENTITY}" if merged else "SELECT NULL::VARCHAR AS old, NULL::VARCHAR AS new"
    run(
        connection,
        f"""CREATE TABLE attributes AS SELECT DISTINCT customer, {columns} FROM (
            SELECT *, bool_or(own) OVER (PARTITION BY customer) AS has_own FROM (
                SELECT *, pseudonym(coalesce(new, named)) AS customer, new IS NULL AS own
                FROM rows_of_customers LEFT JOIN ({merge}) ON named = old WHERE regexp_matches(named, '\\S')))
            WHERE (own OR NOT has_own) AND customer NOT IN (SELECT customer FROM {UNPROFILED})""",
    )
    [(rows, nameless, bad)] = run(
        connection,
        "SELECT count(*), count(*) - count(*) FILTER (regexp_matches(named, '\\S')), coalesce(sum(bad), 0) "
        "FROM rows_of_customers",
    )
    run(connection, "DROP TABLE rows_of_customers")
    return {"rows": rows, "rows without a customer": nameless, "unreadable numbers": int(bad)}


def _words(connection: duckdb.DuckDBPyConnection, column: str) -> tuple[str, ...]:
    query = f"SELECT DISTINCT {column} FROM attributes SEMI JOIN bought USING (customer) WHERE {column} IS NOT NULL"
    return tuple(str(row[0]) for row in run(connection, f"{query} ORDER BY 1"))


def load_calendar(connection: duckdb.DuckDBPyConnection, calendar: CalendarConfig, decimal: str = ".") -> Calendar:
    """Read and check the calendar table; `decimal` is the mark of decimals in text.

    Raises:
        InputError: a file or column is missing, a date is missing, unreadable or named twice, a value is no number, or
            the days span more than a hundred years.
    """
    needed = (calendar.date, *calendar.columns)
    selects = []
    for relation in _open(connection, calendar.files, calendar.sql, needed, "calendar"):
        stamp, _ = as_instant(relation, calendar.date, calendar.date_format)
        cells = [f"{stamp} AS stamp", f"{as_text(relation, calendar.date)} AS written"]
        for i, name in enumerate(calendar.columns):
            cells += [f"{as_number(relation, name, decimal)} AS v{i}", f"{as_text(relation, name)} AS w{i}"]
        selects.append(f"SELECT {', '.join(cells)} FROM {relation.scan}")
    with without_statistics(connection):
        run(connection, f"CREATE OR REPLACE TABLE calendar AS {' UNION ALL '.join(selects)}")
    _require_days(connection)
    for i, name in enumerate(calendar.columns):
        wrong = f"coalesce(trim(w{i}), '') <> '' AND (v{i} IS NULL OR NOT isfinite(v{i}))"
        bad = run(connection, f"SELECT DISTINCT w{i} FROM calendar WHERE {wrong} ORDER BY 1")
        if bad:
            raise InputError(
                f"A calendar's columns hold numbers, but column '{name}' says {offenders(row[0] for row in bad)}: "
                "write 1 for a day on which it holds, 0 or nothing for others."
            )
    said = ", ".join(f"CASE WHEN isfinite(v{i}) THEN v{i} ELSE 0 END" for i in range(len(calendar.columns)))
    rows = run(connection, f"SELECT stamp, {said} FROM calendar")
    table = np.array([row[1:] for row in rows], dtype=np.float64)
    days = np.array([row[0] // MICROSECONDS_PER_DAY for row in rows], dtype=np.int64).astype("datetime64[D]")
    return Calendar.of_days(calendar.columns, days, table)


def _require_days(connection: duckdb.DuckDBPyConnection) -> None:
    [(size, unreadable, first, last)] = run(
        connection, "SELECT count(*), count(*) - count(stamp), min(stamp), max(stamp) FROM calendar"
    )
    if size == 0:
        raise InputError("A calendar must have rows, but it has only a header.")
    if unreadable:
        found = run(
            connection, "SELECT DISTINCT coalesce(written, 'nothing') FROM calendar WHERE stamp IS NULL ORDER BY 1"
        )
        raise InputError(
            f"A calendar names a day in each row, but {unreadable:,} rows say {offenders(row[0] for row in found)}: "
            "write 2024-01-31, or describe the dates by date_format."
        )
    if (last - first) // MICROSECONDS_PER_DAY >= MOST_CALENDAR_DAYS:
        raise InputError("A calendar spans at most a hundred years, but this one spans more: mend its dates.")
    day = f"floor(stamp / {MICROSECONDS_PER_DAY}.0)"
    doubled = run(connection, f"SELECT any_value(written) FROM calendar GROUP BY {day} HAVING count(*) > 1 ORDER BY 1")
    if doubled:
        raise InputError(
            f"A calendar has one row a day, but several for {offenders(row[0] for row in doubled)}: keep one."
        )
