"""Rows into a database table: inserted or updated by (customer_id, cutoff, horizon_days), in one transaction.

A reader sees the whole table as it was or as it becomes. Rows of other keys stay; of contact lists only those of other
cutoffs and horizons. Nothing is done before all rows are computed, so the transaction is short. PostgreSQL receives
them by COPY; SQLite serves small bases and trials.
"""

import getpass
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.csv as pacsv

from seqclv.errors import InputError
from seqclv.forecast.forecaster import FORECAST_SCHEMA
from seqclv.forecast.workplace import SUFFIX

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

KEY = ("customer_id", "cutoff", "horizon_days")
_KINDS = {
    "postgresql": {"string": "text", "timestamp[us]": "timestamp", "double": "double precision", "int64": "bigint"},
    "sqlite": {"string": "TEXT", "timestamp[us]": "TEXT", "double": "REAL", "int64": "INTEGER"},
}
_NEW = "seqclv_new"  # the temporary table
# Without WHERE, SQLite would take ON for the beginning of a join.
_INSERT = """INSERT INTO {table} ({columns}) SELECT {columns} FROM {new} WHERE true
    ON CONFLICT ({key}) DO UPDATE SET {changes}"""
_STALE = """DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM {new} WHERE {shared}) AND NOT EXISTS
    (SELECT 1 FROM {new} WHERE {shared} AND {new}.customer_id = {table}.customer_id)"""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a table holds, and how messages speak of it."""

    what: str
    columns: pa.Schema  # KEY is among them
    alone: bool  # rows of a cutoff and horizon that are not among the new ones go
    options: tuple[str, str]  # that name the database and its table


FORECASTS = Rows(what="forecasts", columns=FORECAST_SCHEMA, alone=False, options=("--out", "--out-table"))


@dataclass(frozen=True)
class DatabaseSink:
    """A table of a PostgreSQL or SQLite database; `of` makes one from a URL."""

    url: "URL" = field(repr=False)  # it may hold a password
    table: str
    rows: Rows = FORECASTS
    streams = False

    @classmethod
    def of(cls, url: str, table: str, rows: Rows = FORECASTS) -> Self:
        """The table behind an SQLAlchemy URL such as postgresql://user@host/database.

        Raises:
            InputError: the URL or the table's name cannot be used. The URL is not repeated: it may hold a password.
        """
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise InputError(
                f"A database reads like postgresql://user@host:5432/name, but {rows.options[0]} does not."
            ) from error
        backend = parsed.get_backend_name()
        if backend not in _KINDS:
            raise InputError(
                f"{rows.what.capitalize()} go to files or to databases of kind {' or '.join(_KINDS)}, but "
                f"{rows.options[0]} is of kind {backend}."
            )
        if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", table, re.ASCII) is None:
            raise InputError(
                f"A table's name has letters, digits and _, as in crm.{rows.what}, but {rows.options[1]} is {table!r}."
            )
        driver = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite+pysqlite"}[backend]
        return cls(parsed.set(drivername=driver), table, rows)

    @property
    def name(self) -> str:
        """Kind, host, database and table: neither user, password nor options."""
        place = self.url.host or ""
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.url.get_backend_name()}://{place}{port}/{self.url.database or ''}#{self.table}"

    @property
    def workplace(self) -> Path:
        """In the directory for temporary files, under the user's name: a database has no place beside it."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f".seqclv-{getpass.getuser()}-{digest}{SUFFIX}"

    def check(self) -> None:
        """Connect, and see whether the table fits.

        Raises:
            InputError: the database cannot be reached, or the table lacks columns or the key.
        """
        if self._is_new_file():
            return
        with self._transaction() as connection:
            self._require_fitting(connection)

    def forget(self, customer_ids: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        """Delete all rows of some customers in one transaction; returns the rows deleted and the ids still there.

        Raises:
            InputError: the database or the table cannot be reached.
        """
        from sqlalchemy import bindparam, text

        if self._is_new_file():
            raise InputError(f"A database to forget customers in must exist, but {self.name} does not: check --sql.")
        named: Any = bindparam("ids", list(customer_ids), expanding=True)
        delete = text(f"DELETE FROM {self.table} WHERE customer_id IN :ids").bindparams(named)
        search = text(f"SELECT DISTINCT customer_id FROM {self.table} WHERE customer_id IN :ids").bindparams(named)
        with self._transaction() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA secure_delete = ON")  # else the file keeps deleted text
            removed = connection.execute(delete).rowcount
        with self._transaction() as connection:
            left = tuple(str(row[0]) for row in connection.execute(search))
        return int(removed), left

    def _is_new_file(self) -> bool:
        """Whether connecting would make a SQLite file."""
        path = Path(self.url.database or "")
        if self.url.get_backend_name() != "sqlite" or path.exists():
            return False
        if not os.access(path.absolute().parent, os.W_OK):
            raise InputError(
                f"A database must lie where one may write, but '{path.absolute().parent}' is no such place."
            )
        return True

    def write(
        self, tables: Iterable[pa.Table], work: Path, manifest: Callable[[], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Insert or update all rows in one transaction; the manifest goes to the caller alone."""
        with self._no_empty_file(), self._transaction() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver would begin only after the CREATE
            connection.exec_driver_sql(self._create())
            self._require_fitting(connection)
            self._stage(connection, tables)
            if self.rows.alone:
                shared = " AND ".join(f"{_NEW}.{name} = {self.table}.{name}" for name in KEY[1:])
                connection.exec_driver_sql(_STALE.format(table=self.table, new=_NEW, shared=shared))
            changes = ", ".join(f'"{name}" = excluded."{name}"' for name in self._names if name not in KEY)
            insert = _INSERT.format(
                table=self.table, columns=self._columns, new=_NEW, key=", ".join(KEY), changes=changes
            )
            connection.exec_driver_sql(insert)
            connection.exec_driver_sql(f"DROP TABLE {_NEW}")
        return manifest()

    @contextmanager
    def _no_empty_file(self) -> Iterator[None]:
        """Connecting makes a SQLite file: where nothing comes into a new one, it goes again."""
        path = Path(self.url.database or "") if self._is_new_file() else None
        try:
            yield
        except BaseException:
            if path is not None and path.is_file() and path.stat().st_size == 0:
                path.unlink()
            raise

    @property
    def _names(self) -> list[str]:
        return list(self.rows.columns.names)

    @property
    def _columns(self) -> str:
        """Quoted: `group` is a word of SQL."""
        return ", ".join(f'"{name}"' for name in self._names)

    def _create(self) -> str:
        kinds = _KINDS[self.url.get_backend_name()]
        columns = [f'"{f.name}" {kinds[str(f.type)]}{" NOT NULL" * (f.name in KEY)}' for f in self.rows.columns]
        return f"CREATE TABLE IF NOT EXISTS {self.table} ({', '.join(columns)}, PRIMARY KEY ({', '.join(KEY)}))"

    def _require_fitting(self, connection: "Connection") -> None:
        from sqlalchemy import inspect

        schema, _, name = self.table.lower().rpartition(".")
        inspector = inspect(connection)
        if not inspector.has_table(name, schema or None):
            return
        found = {column["name"] for column in inspector.get_columns(name, schema or None)}
        missing = [column for column in self._names if column not in found]
        if missing:
            raise InputError(
                f"The table {self.table} must have the columns of the {self.rows.what}, but it lacks "
                f"{', '.join(missing)}: add them or name another table with {self.rows.options[1]}."
            )
        primary = inspector.get_pk_constraint(name, schema or None)["constrained_columns"]
        unique = [u["column_names"] for u in inspector.get_unique_constraints(name, schema or None)]
        if sorted(KEY) not in [sorted(columns) for columns in (primary, *unique)]:
            raise InputError(
                f"The table {self.table} must have the key ({', '.join(KEY)}), but it has not: add a primary key or "
                f"name another table with {self.rows.options[1]}."
            )

    def _stage(self, connection: "Connection", tables: Iterable[pa.Table]) -> None:
        """Put the rows into a temporary table. Other writers wait meanwhile, readers do not."""
        postgres = connection.dialect.name == "postgresql"
        if postgres:
            connection.exec_driver_sql(f"LOCK TABLE {self.table} IN SHARE ROW EXCLUSIVE MODE")
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {_NEW} AS SELECT {self._columns} FROM {self.table} LIMIT 0")
        (self._copy if postgres else self._execute_many)(connection, tables)

    def _copy(self, connection: "Connection", tables: Iterable[pa.Table]) -> None:
        cursor = connection.connection.cursor()
        with cursor.copy(f"COPY {_NEW} ({self._columns}) FROM STDIN (FORMAT csv)") as copy:
            for table in tables:
                text = io.BytesIO()
                pacsv.write_csv(table, text, pacsv.WriteOptions(include_header=False))
                copy.write(text.getvalue())

    def _execute_many(self, connection: "Connection", tables: Iterable[pa.Table]) -> None:
        insert = f"INSERT INTO {_NEW} ({self._columns}) VALUES ({', '.join('?' for _ in self._names)})"
        cursor = connection.connection.cursor()
        for table in tables:
            at = table.column_names.index("cutoff")
            plain = table.set_column(at, "cutoff", table["cutoff"].cast(pa.string()))
            cursor.executemany(insert, list(zip(*(column.to_pylist() for column in plain.columns), strict=True)))

    @contextmanager
    def _transaction(self) -> Iterator["Connection"]:
        """A transaction that is committed at the end and rolled back on any error."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        engine = self._engine()
        try:
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise InputError(
                f"The database {self.name} must take the {self.rows.what}, but: {_told(error.orig)}."
            ) from error
        except SQLAlchemyError as error:
            raise InputError(
                f"The database {self.name} must take the {self.rows.what}, but: {_told(error)}."
            ) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("psycopg", "sqlite3"):  # from the driver's own cursor
                raise InputError(
                    f"The database {self.name} must take the {self.rows.what}, but: {_told(error)}."
                ) from error
            raise
        finally:
            engine.dispose()

    def _engine(self) -> "Engine":
        from sqlalchemy import create_engine

        try:
            return create_engine(self.url)
        except ImportError as error:
            raise InputError(
                "PostgreSQL is reached through psycopg, which is not installed: pip install 'seqclv[postgres]'."
            ) from error


def named_url(place: str) -> str:
    """A database's URL, or that in the environment variable NAME where the place reads env:NAME.

    Raises:
        InputError: the variable is not set.
    """
    if not place.startswith("env:"):
        return place
    found = os.environ.get(place.removeprefix("env:"))
    if found is None:
        raise InputError(
            f"A database is named by the variable {place.removeprefix('env:')}, but it is not set: set it to the URL."
        )
    return found


def _told(error: object) -> str:
    """The first line of what a database says; it never repeats the URL."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
