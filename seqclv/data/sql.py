"""Rows of a database, streamed in Arrow batches into the staging: never a whole table in memory.

A database is named by

    postgresql://user@host/db     PostgreSQL, through its ADBC driver (the extra 'postgres')
    sqlite:///path/to/file.db     anything else that SQLAlchemy knows, through a cursor on the server's side
    adbc:NAME:URI                 any ADBC driver: the package adbc_driver_NAME, connected with URI
    env:VARIABLE                  one of these, in an environment variable: so a password stays out of files

What SQLAlchemy fetches is taken as text, as cells of a CSV file are: databases without strict types, as SQLite,
change them from row to row.
"""

import datetime
import importlib
import importlib.util
import math
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa

from seqclv.config import SqlConfig
from seqclv.credentials import without_credentials
from seqclv.data.database import identifier, relation_types, run
from seqclv.errors import InputError

BATCH_ROWS = 65_536
MONEY = "MONEY"  # the type of columns whose unit is not known: they serve as text, never as numbers
_DATABASE = re.compile(r"env:.+|adbc:[^:]+:.+|[A-Za-z][\w+.-]*://.+", re.DOTALL)
# Schemes of object stores and the like, which hold files and are no databases.
_FILES = re.compile(r"(?i)(s3[an]?|gs|gcs|abfss?|az|adl|wasbs?|hdfs|dbfs|https?|ftps?|file)://")
_READS = re.compile(r"(?is)(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:(?:select|with|values|table|from)\b|$)")
_POSTGRES = ("postgresql://", "postgres://")


def is_database(source: str) -> bool:
    """Whether a source is the URL of a database, not a file."""
    return _DATABASE.fullmatch(source) is not None and _FILES.match(source) is None


def describe(sql: SqlConfig) -> str:
    """The source as messages show it, without user and password."""
    asked = f"table '{sql.table}'" if sql.table is not None else "the query"
    return f"{asked} of '{without_credentials(sql.url)}'"


def load(connection: duckdb.DuckDBPyConnection, sql: SqlConfig) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Copy the rows that a database answers into a table of the staging, batch by batch.

    Returns:
        The table, whose columns are c0, c1, ...; the names of the columns; DuckDB's types.

    Raises:
        InputError: the variable is not set, a driver is not installed, or the database refuses.
    """
    if sql.query is not None and _READS.match(sql.query) is None:
        shown = " ".join(sql.query.split())[:40]
        raise InputError(f"A query must read, as SELECT and WITH do, but it is '{shown}': write one that begins so.")
    url = _resolved(sql.url)
    with _answering(sql, url), _batches(url, sql) as reader:
        names = tuple(reader.schema.names)
        money = [_is_money(field) for field in reader.schema]
        [(number,)] = run(connection, "SELECT count(*) FROM duckdb_tables()")
        table = identifier(f"database_{number}")
        positions = ", ".join(f"c{i}" for i in range(len(names)))
        plain = pa.RecordBatchReader.from_batches(_plain_schema(reader.schema), (_plain(batch) for batch in reader))
        connection.register("answer", plain)
        run(connection, f"CREATE TABLE {table} AS SELECT * FROM answer AS t({positions})")
        connection.unregister("answer")
    types = relation_types(connection, table)
    return table, names, tuple(MONEY if cents else kind for cents, kind in zip(money, types, strict=True))


def _resolved(url: str) -> str:
    if not url.startswith("env:"):
        return url
    variable = url.removeprefix("env:")
    value = os.environ.get(variable, "")
    if not value:
        raise InputError(f"'{url}' stands for the URL in the environment variable {variable}, but it is not set.")
    if not is_database(value) or value.startswith("env:"):
        raise InputError(f"The environment variable {variable} must hold the URL of a database, but it does not.")
    return value


@contextmanager
def _answering(sql: SqlConfig, url: str) -> Iterator[None]:
    """Turn what drivers raise into one sentence without the URL; a driver's own text may repeat it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not _is_drivers(error):
            raise
        reason = without_credentials(" ".join(str(error).replace(url, "the database").split()))[:300].rstrip(". ")
        for secret in _passwords(url):
            reason = reason.replace(secret, "***")
        raise InputError(f"A database must answer, but {describe(sql)} does not: {reason}.") from None


def _is_drivers(error: Exception) -> bool:
    """Whether an error comes from a driver or from what it handed over, and not from this program."""
    known = (OSError, ImportError, ValueError, UnicodeError, pa.ArrowException, duckdb.Error)
    return isinstance(error, known) or type(error).__module__.split(".")[0] in (
        "sqlalchemy",
        "adbc_driver_manager",
        "sqlite3",
        "psycopg",
    )


def _passwords(url: str) -> set[str]:
    """The passwords in a URL, as it writes them and as they are."""
    found = re.findall(r"://[^:/@\s]*:(.+)@", url) + re.findall(r"(?i)(?:password|passwd|pwd)=([^&;\s]+)", url)
    return {*found, *(unquote(password) for password in found)}


def _batches(url: str, sql: SqlConfig) -> AbstractContextManager[pa.RecordBatchReader]:
    if url.startswith(_POSTGRES):
        return _through_adbc("postgresql", url, sql)
    if url.startswith("adbc:"):
        _, name, uri = url.split(":", 2)
        return _through_adbc(name, uri, sql)
    return _through_sqlalchemy(url, sql)


@contextmanager
def _through_adbc(name: str, uri: str, sql: SqlConfig) -> Iterator[pa.RecordBatchReader]:
    package = f"adbc_driver_{name}"
    if not name.isidentifier() or importlib.util.find_spec(package) is None:
        extra = "seqclv[postgres]" if name == "postgresql" else package.replace("_", "-")
        raise InputError(f"Reading {describe(sql)} needs the ADBC driver '{name}': pip install '{extra}'.")
    driver = importlib.import_module(f"{package}.dbapi")
    with driver.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(sql.query or f"SELECT * FROM {'.'.join(identifier(part) for part in _parts(sql.table))}")
        yield cursor.fetch_record_batch()


@contextmanager
def _through_sqlalchemy(url: str, sql: SqlConfig) -> Iterator[pa.RecordBatchReader]:
    import sqlalchemy

    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not os.path.exists(parsed.database):  # noqa: PTH110
        raise InputError(f"A database must exist, but there is no file '{parsed.database}'.")  # SQLite would make one
    engine = sqlalchemy.create_engine(parsed, hide_parameters=True)
    try:
        quote = engine.dialect.identifier_preparer.quote_identifier
        query = sql.query or f"SELECT * FROM {'.'.join(quote(part) for part in _parts(sql.table))}"
        with engine.connect() as connection:
            if parsed.get_backend_name() == "sqlite":  # the only one that keeps changes which nobody commits
                connection.exec_driver_sql("PRAGMA query_only = ON")
            options = {"stream_results": True, "yield_per": BATCH_ROWS, "no_parameters": True}
            result = connection.execution_options(**options).exec_driver_sql(query)
            schema = pa.schema([(str(name), pa.string()) for name in result.keys()])  # noqa: SIM118  # not a mapping
            yield pa.RecordBatchReader.from_batches(schema, _texts(result, schema))
    finally:
        engine.dispose()


def _parts(table: str | None) -> list[str]:
    return (table or "").split(".")


def _texts(result: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for rows in result.partitions(BATCH_ROWS):
        columns = zip(*rows, strict=True)
        yield pa.record_batch([pa.array([_text(v) for v in column], pa.string()) for column in columns], schema=schema)


def _text(value: object) -> str | None:
    """A cell as text, exactly; None where it holds nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode()
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat(*([" "] if isinstance(value, datetime.datetime) else []))
    return str(value)


def _is_money(field: pa.Field) -> bool:
    """PostgreSQL's money arrives as a whole number of a unit that depends on the server's locale."""
    return bool((field.metadata or {}).get(b"POSTGRESQL:type") == b"money")


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """Types that DuckDB knows: a driver's own types (PostgreSQL's NUMERIC) as what they are stored in, text mostly."""
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name != "arrow.uuid":
        return kind.storage_type
    return kind


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    arrays = [column.storage if _plain_type(column.type) != column.type else column for column in batch.columns]
    return pa.record_batch(arrays, schema=_plain_schema(batch.schema))
