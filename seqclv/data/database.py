"""The DuckDB that stages a log: how it is opened and asked."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from seqclv.errors import InputError

THREADS = 2
MOST_MEMORY = 2_000_000_000  # bytes that staged rows and sorting may take; DuckDB spills the rest
LEAST_MEMORY = 256_000_000
# A write that failed, and rows that found no room to spill.
_UNWRITTEN = re.compile(r"could not write|write failed|no space left|max_temp_directory_size", re.IGNORECASE)
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def connect(scratch: Path | None) -> duckdb.DuckDBPyConnection:
    """A DuckDB that works out of core inside the directory `scratch`, or (None) in memory without any file.

    Its tables lie in memory and spill: in a database file they would be compressed first, which takes twice as long.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {"threads": THREADS, "temp_directory": ""}
    if scratch is not None:
        settings |= {"memory_limit": f"{memory_limit()}B", "temp_directory": str(scratch / "spill")}
    connection = duckdb.connect(":memory:", config=settings)
    # In a notebook DuckDB shows one, on standard output, which belongs to results.
    run(connection, "SET enable_progress_bar = false")
    try:
        run(connection, "SET TimeZone = 'UTC'")  # only the text of rejected rows depends on it
    except duckdb.Error:  # builds without ICU know no time zones and write UTC anyway
        pass
    run(connection, "CREATE TEMP MACRO pseudonym(text) AS text")  # until `seqclv.data.privacy.set_key`
    return connection


def memory_limit() -> int:
    """Bytes that a staging may take: 2 GB, but at most half of what this machine or container has."""
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        available = min(available, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        pass
    return max(min(MOST_MEMORY, available // 2), LEAST_MEMORY)


def run(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """Run a query to its end: a connection with rows left to fetch refuses further work.

    Raises:
        KeyboardInterrupt: it was interrupted, by Ctrl-C or by another thread; DuckDB has an error of its own for it.
        OSError: a file could not be written, as where the disk is full; DuckDB has errors of its own for that, too.
    """
    try:
        return connection.execute(query).fetchall()
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        if _UNWRITTEN.search(str(error)):
            raise _system_error(str(error)) from error
        raise
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from error
        raise


def _system_error(text: str) -> OSError:
    """What the system said, as DuckDB repeats it; without a number it is a disk without room to spill."""
    number = re.search(r'"errno":"(\d+)"', text)
    code = int(number[1]) if number else errno.ENOSPC
    place = re.search(r'(/[^"\\]+)\\?": ', text)
    return OSError(code, os.strerror(code), *([place[1]] if place else []))


@contextmanager
def without_statistics(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Read the user's files without believing their statistics.

    Those of a Parquet file leave NaN out; by them DuckDB takes abs(x) <= 9 for true and isnan(x) for false everywhere.
    A WHERE on the columns of a file is decided by them all the same: rows are judged in the SELECT, and chosen later.
    """
    run(connection, "SET disabled_optimizers = 'statistics_propagation'")
    try:
        yield
    finally:
        run(connection, "RESET disabled_optimizers")


def quoted(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def relation_types(connection: duckdb.DuckDBPyConnection, scan: str) -> tuple[str, ...]:
    """DuckDB's types of the columns of a FROM item.

    Raises:
        InputError: it cannot be read.
    """
    try:
        rows = run(connection, f"DESCRIBE SELECT * FROM {scan}")
    except duckdb.Error as error:
        raise InputError(f"A log must be readable, but: {first_line(error)}.") from error
    return tuple(str(row[1]) for row in rows)


def first_line(error: Exception) -> str:
    """What a DuckDB error says first, without its full stop."""
    return str(error).strip().splitlines()[0].rstrip(".")
