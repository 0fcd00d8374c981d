"""Rows of a delivery that a store holds already, though the delivery begins to be complete only after them.

`--replace-from` makes room for the days that come again. What a delivery has beside these days (late rows, rejected
rows whose time was not understood, malformed lines) cannot be made room for; added anew each time that the same
delivery comes, it would grow. So of equal rows as many stay as the fuller of the two has, store or delivery: then a
delivery may come twice, and two line items that honestly repeat each other in one delivery are still two.
"""

import duckdb
import pyarrow.parquet as pq

from seqclv.data.archive import LINES_FILE
from seqclv.data.columns import MALFORMED, attribute_columns
from seqclv.data.database import quoted, run
from seqclv.data.log import REJECT_COLUMNS, Log
from seqclv.data.store import REJECTS_FILE, EventStore


def lines_of(store: EventStore) -> str:
    """SQL of the store's kept rows, an item of a FROM clause."""
    return f"read_parquet({quoted(str(store.path / LINES_FILE))})"


def rejects_of(store: EventStore) -> str:
    """SQL of the store's rejected rows, an item of a FROM clause."""
    return f"read_parquet({quoted(str(store.path / REJECTS_FILE))})"


def leave_out_repeats(log: Log, store: EventStore, replace_from: int) -> int:
    """Remove from a staged delivery what lies outside the days that it replaces and is in the store already.

    Args:
        log: the delivery, staged; its counts stay as they are.
        store: what was prepared before.
        replace_from: microseconds; from there on the delivery is complete.

    Returns:
        The number of usable rows before `replace_from`, removed ones included.
    """
    connection = log.connection
    late = f"reason IS NULL AND ts < {replace_from}"
    held = f"""SELECT row_hash FROM {lines_of(store)}
        WHERE ts < {replace_from} AND row_hash IN (SELECT row_hash FROM late)"""
    feeds = [name for name in attribute_columns(log.data) if name[0] == "w"]
    [[number]] = run(connection, f"CREATE TABLE late AS SELECT row_hash FROM staged WHERE {late}")
    _remove(connection, f"staged WHERE {late}", held, ["row_hash"], feeds)
    run(connection, "DROP TABLE late")
    own = _rejects_as_delivered(log, store)
    outside = f"reason IS NOT NULL AND coalesce(ts < {replace_from}, true)"
    _remove(connection, f"staged WHERE {outside}", own, ["reason", "ts", "raw"], feeds)
    malformed = f"SELECT line FROM {rejects_of(store)} WHERE reason = '{MALFORMED}'"
    _remove(connection, "malformed WHERE line IS NOT NULL", malformed, ["line"], [])
    return int(number)


def _rejects_as_delivered(log: Log, store: EventStore) -> str:
    """SELECT of the store's rejected rows: reason, ts and the cells of the delivery's columns, as `staged` has them."""
    columns, ours = pq.read_schema(store.path / REJECTS_FILE).names, log.reject_columns[len(REJECT_COLUMNS) :]
    raw = ", ".join(f"r{columns.index(name)}" if name in columns else "NULL::VARCHAR" for name in ours)
    aliases = ", ".join(f"r{i}" for i in range(len(columns)))  # names may differ in case alone
    reason, instant = (f"r{columns.index(name)}" for name in ("reason", "instant"))
    rows = f"{rejects_of(store)} AS t({aliases})"
    return f"SELECT {reason} AS reason, epoch_us({instant}) AS ts, [{raw}]::VARCHAR[] AS raw FROM {rows}"


def _remove(connection: duckdb.DuckDBPyConnection, chosen: str, held: str, alike: list[str], order: list[str]) -> None:
    """Remove chosen rows of a table, of equal ones as many as `held` has; `chosen` is 'TABLE WHERE CONDITION'."""
    table = chosen.split(" ", 1)[0]
    names = ", ".join(alike)
    nth = f"row_number() OVER (PARTITION BY {names} ORDER BY {', '.join([*order, 'rowid'])})"
    same = " AND ".join(f"ours.{name} IS NOT DISTINCT FROM theirs.{name}" for name in alike)
    again = f"""SELECT ours.row FROM (SELECT rowid AS row, {names}, {nth} AS nth FROM {chosen}) AS ours
        JOIN (SELECT {names}, count(*) AS held FROM ({held}) GROUP BY ALL) AS theirs ON {same} WHERE nth <= held"""
    run(connection, f"DELETE FROM {table} WHERE rowid IN ({again})")
