"""Read a transaction log into canonical rows, set bad rows aside with their reason, and count both.

The rows are read once, into a DuckDB table (`staged`, columns in `seqclv.data.columns`); what follows are queries on
it. Nothing depends on the order of rows or files, nor on the machine's time zone.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import duckdb

from seqclv.config import DataConfig
from seqclv.data.columns import UNPARSABLE_AMOUNT, UNPARSABLE_TIMESTAMP, attribute_columns, canonical_select
from seqclv.data.counts import Counts, count_rows, kept, require_one_zone, require_rows, require_usable, zones
from seqclv.data.database import quoted, run, without_statistics
from seqclv.data.identities import load_identities, relabelled
from seqclv.data.log import Log
from seqclv.data.mapping import Mapped, mapped_frame, mapped_log
from seqclv.data.ordering import vocabularies
from seqclv.data.privacy import (
    REJECT_COLUMN,
    Objections,
    leave_out,
    load_objections,
    make_tables,
    objects,
    set_key,
    under_pseudonyms,
)
from seqclv.errors import InputError
from seqclv.pseudonyms import PseudonymKey

if TYPE_CHECKING:
    from seqclv.data.frames import Frame

_CELLS, _CELL = 2, 30  # examples in a message, and their signs at most
# Of reading; any other error of the database is the files'.
OUR_FAULT = (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.OutOfMemoryException)


def read_log(
    connection: duckdb.DuckDBPyConnection,
    data: DataConfig,
    *,
    until: int | None = None,
    key: PseudonymKey | None = None,
    delivery: bool = False,
) -> Log:
    """Stage and validate the log that `data.transactions` or `data.sources` name.

    Args:
        connection: from `connect`.
        data: places and column names.
        until: microseconds since 1970; rows at or after it are left out.
        key: of pseudonyms; None: ids stay as they are.
        delivery: whether it joins earlier rows: then it may have none.

    Raises:
        InputError: see `stage`.
    """
    if not data.named:
        raise InputError("A log must be named, but none is: give --transactions a file, directory or glob.")
    mapped = mapped_log(connection, data)
    return stage(connection, mapped, until=until, key=key, required=True, delivery=delivery)


def read_frame(
    connection: duckdb.DuckDBPyConnection,
    frame: "Frame",
    data: DataConfig,
    *,
    whole: bool = True,
    origin: str = "the table",
) -> Log:
    """Stage and validate a log in memory, `origin` in messages; of a part of one (not `whole`) only its columns.

    Raises:
        InputError: see `stage`.
    """
    return stage(connection, mapped_frame(connection, frame, data, origin), required=data.require_columns, whole=whole)


def stage(
    connection: duckdb.DuckDBPyConnection,
    mapped: Mapped,
    *,
    until: int | None = None,
    key: PseudonymKey | None = None,
    required: bool,
    whole: bool = True,
    delivery: bool = False,
) -> Log:
    """Read all rows once into the table `staged` and check them as a whole.

    Args:
        connection: from `connect`.
        mapped: the sources.
        until: microseconds since 1970; rows at or after it are left out.
        key: of pseudonyms; None: ids stay as they are.
        required: whether the column of those who must not be profiled has to be there.
        whole: whether the rows are a whole log; the rules on whole logs do not hold for a part.
        delivery: whether the rows join earlier ones: then there may be none.

    Raises:
        InputError: columns are of a wrong type, a file is damaged, there are no rows, zoned and unzoned timestamps are
            mixed, too many rows are rejected, or no row is left.
    """
    data, originals = mapped.data, mapped.originals
    if key is not None:
        set_key(connection, data, key)
    if data.identities is not None:
        load_identities(connection, data.identities)
    load_objections(connection, data, [one.relation for one in mapped.sources], required=required)
    rows = _rows(mapped)
    if key is not None:
        rows, originals = under_pseudonyms(rows), (REJECT_COLUMN,)
    try:
        with without_statistics(connection):
            run(connection, f"CREATE TABLE staged AS {rows}")
        _collect_malformed(connection, legible=key is None and data.do_not_profile is None)
    except OUR_FAULT:
        raise
    except duckdb.Error as error:
        raise InputError(_unreadable(error, mapped)) from error
    objections = leave_out(connection)
    filtered = _leave_out(connection)
    counts = count_rows(connection, until, filtered, data.numeric)
    counts = replace(
        counts,
        read=counts.read + objections.rows,
        relabelled=_relabelled(connection, data, until),
        objections=objections,
    )
    if whole:
        require_one_zone(zones(connection), [one.columns.timestamp for one in mapped.sources])
        if counts.read > counts.filtered + objections.rows or not delivery:
            customers = [one.columns.customer_id for one in mapped.sources]
            examples = partial(_examples, connection, mapped, legible=key is None)
            require_usable(counts, data.max_reject_share, customers, examples)
    log = Log(connection, data, originals, counts, (), until, mapped.passed_over)
    return replace(log, vocabularies=vocabularies(log.connection, log.data, log.until))


def _examples(connection: duckdb.DuckDBPyConnection, mapped: Mapped, reason: str, *, legible: bool) -> list[str]:
    """Some cells, without blanks around them and cut, for which rows were rejected; none under pseudonyms."""
    if not legible:
        return []
    name = {UNPARSABLE_AMOUNT: "amount", UNPARSABLE_TIMESTAMP: "timestamp"}[reason]
    columns = dict.fromkeys(getattr(one.columns, name) for one in mapped.sources)
    cells = ", ".join(f"raw[{mapped.originals.index(column) + 1}]" for column in columns if column in mapped.originals)
    query = f"""SELECT DISTINCT left(trim(coalesce({cells}, '')), {_CELL}) AS cell FROM staged
        WHERE reason = {quoted(reason)} AND cell <> '' ORDER BY 1 LIMIT {_CELLS}"""
    return [str(row[0]) for row in run(connection, query)]


def empty_log(connection: duckdb.DuckDBPyConnection, data: DataConfig, *, until: int | None) -> Log:
    """A log without any row, which the rows of a store may join; `data` is of the flat form."""
    kinds = {"n": "DOUBLE", "k": "VARCHAR", "m": "VARCHAR", "w": "VARCHAR"}
    attributes = "".join(f"{name} {kinds[name[0]]}, " for name in attribute_columns(data))
    columns = "customer VARCHAR, ts BIGINT, zoned BOOLEAN, further VARCHAR, amount DOUBLE, "
    columns += f"{attributes}row_hash UBIGINT, reason VARCHAR, raw VARCHAR[]"
    make_tables(connection)
    run(connection, f"CREATE TABLE staged ({columns})")
    _collect_malformed(connection, legible=True)
    return Log(connection, data, (), count_rows(connection, until, {}), (), until)


def _rows(mapped: Mapped) -> str:
    """SQL of the rows of all sources, those of merged identities under their customer."""
    data = mapped.data
    rows = " UNION ALL ".join(
        canonical_select(
            one.relation, one.columns, mapped.originals, objects=objects(one.relation, data.do_not_profile)
        )
        for one in mapped.sources
    )
    return rows if data.identities is None else relabelled(rows)


def recounted(log: Log, originals: Sequence[str], earlier: Counts) -> Log:
    """The log after earlier rows have joined the staged ones; `earlier` counts what is not among these.

    Raises:
        InputError: zoned and unzoned timestamps are mixed, or no row is left.
    """
    counts = count_rows(log.connection, log.until, {}, log.data.numeric)
    counts = replace(
        counts,
        read=counts.read + log.counts.filtered + log.counts.objections.rows + earlier.read,
        after_end=counts.after_end + earlier.after_end,
        filtered=log.counts.filtered + earlier.filtered,
        filtered_unknown=log.counts.filtered_unknown + earlier.filtered_unknown,
        relabelled=log.counts.relabelled + earlier.relabelled,
        forgotten=log.counts.forgotten + earlier.forgotten,
        objections=Objections(
            log.counts.objections.customers + earlier.objections.customers,
            log.counts.objections.rows + earlier.objections.rows,
        ),
    )
    require_one_zone(zones(log.connection), [log.data.timestamp])
    require_rows(counts)
    return replace(
        log, originals=tuple(originals), counts=counts, vocabularies=vocabularies(log.connection, log.data, log.until)
    )


def _leave_out(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Remove the rows that filters leave out, and count them by reason."""
    filtered = dict(
        run(connection, "SELECT left_out, count(*) FROM staged WHERE left_out IS NOT NULL GROUP BY left_out")
    )
    if filtered:
        run(connection, "DELETE FROM staged WHERE left_out IS NOT NULL")
    run(connection, "ALTER TABLE staged DROP COLUMN left_out")
    return filtered


def _relabelled(connection: duckdb.DuckDBPyConnection, data: DataConfig, until: int | None) -> int:
    """Kept rows that stand under another customer than the one they name."""
    if data.identities is None:
        return 0
    return int(run(connection, f"SELECT count(*) FROM staged WHERE relabelled AND {kept(until)}")[0][0])


def _collect_malformed(connection: duckdb.DuckDBPyConnection, *, legible: bool) -> None:
    """Lines of CSV files that have too many or too few cells, broken quotes or no UTF-8; each once.

    Their customer is not known: where that matters, they are counted, and their text is not kept.
    """
    tables = {str(row[0]) for row in run(connection, "SELECT table_name FROM duckdb_tables()")}
    if "reject_errors" in tables:
        line = "any_value(csv_line)" if legible else "NULL::VARCHAR"
        once = f"SELECT {line} AS line FROM reject_errors GROUP BY scan_id, file_id, reject_errors.line"
    else:  # no CSV file was read
        once = "SELECT NULL::VARCHAR AS line LIMIT 0"
    run(connection, f"CREATE TABLE malformed AS {once}")


def _unreadable(error: Exception, mapped: Mapped) -> str:
    text = " ".join(str(error).split())
    detail = text.split(" Possible ")[0][:200].rstrip(". ")
    formats = {one.columns.timestamp_format: None for one in mapped.sources if one.columns.timestamp_format}
    if "format specifier" in text or "strptime" in text:
        return f"--timestamp-format must be a strptime format, but '{', '.join(formats)}' is not: {detail}."
    files = ", ".join(one.relation.origin for one in mapped.sources)
    if "state machine" in text or "CSV Error" in text:
        return f"A CSV file must be well formed (one kind of line end, quotes closed), but {files} is not."
    return f"A log must be readable, but {files} is not: {detail}."
