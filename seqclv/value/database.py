"""Tables of values opened in DuckDB, checked once: the code after it trusts its input."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.data.database import THREADS, memory_limit, quoted
from seqclv.errors import InputError, offenders
from seqclv.value.columns import VALUE_SCHEMA


def read_schema(path: Path) -> pa.Schema:
    """The schema of a table of values.

    Raises:
        InputError: it is no Parquet file, or lacks columns.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"A table of values is a Parquet file that `seqclv value` writes, but {path} cannot be read as one: "
            "check the path."
        ) from error
    missing = [name for name in VALUE_SCHEMA.names if name not in schema.names]
    if missing:
        raise InputError(
            f"A table of values has the columns of `seqclv value`, but {path} lacks {offenders(missing)}: make it with "
            "this command."
        )
    return schema


@contextmanager
def open_values(path: Path, **further: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in which the table is the view `values_`, and further ones the views of their names.

    Raises:
        InputError: a file is no table of values, or the tables hold more than one currency.
    """
    config: dict[str, str | bool | int | float | list[str]] = {"threads": THREADS, "memory_limit": f"{memory_limit()}B"}
    connection = duckdb.connect(":memory:", config=config)
    try:
        for name, file in {"values_": Path(path), **further}.items():
            read_schema(Path(file))
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({quoted(str(file))})")
        require_one_currency(connection, ["values_", *further])
        yield connection
    finally:
        connection.close()


def require_one_currency(connection: duckdb.DuckDBPyConnection, tables: list[str]) -> str:
    """The currency of the tables.

    Raises:
        InputError: there is more than one.
    """
    union = " UNION ".join(f"SELECT DISTINCT currency FROM {name}" for name in tables)
    found = [str(row[0]) for row in connection.execute(f"SELECT currency FROM ({union}) ORDER BY 1").fetchall()]
    if len(found) > 1:
        raise InputError(
            f"Money is added up in one currency, but the values are in {offenders(found)}: convert them first."
        )
    return found[0] if found else ""


def horizons_of(connection: duckdb.DuckDBPyConnection, table: str = "values_") -> list[float]:
    """The horizons of a table, rising."""
    query = f"SELECT DISTINCT horizon_days FROM {table} ORDER BY 1"
    return [float(row[0]) for row in connection.execute(query).fetchall()]


def chosen_horizon(connection: duckdb.DuckDBPyConnection, asked: float | None, tables: list[str]) -> float:
    """The asked horizon, or the longest that all tables have.

    Raises:
        InputError: a table lacks it.
    """
    common = sorted(set.intersection(*(set(horizons_of(connection, name)) for name in tables)))
    if not common:
        raise InputError(
            "Tables of values are compared at one horizon, but these have none in common: value them anew."
        )
    if asked is None:
        return common[-1]
    if asked not in common:
        known = ", ".join(f"{h:g}" for h in common)
        raise InputError(f"A horizon must be in the table of values, but {asked:g} is not: choose one of {known}.")
    return asked
