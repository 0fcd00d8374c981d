"""Delta tables: a directory with a `_delta_log`, read at its current version."""

import importlib.util
from pathlib import Path

import duckdb

from seqclv.data.database import identifier, relation_types
from seqclv.errors import InputError

LOG_DIRECTORY = "_delta_log"


def is_delta(path: Path) -> bool:
    """Whether a directory is a Delta table."""
    return (path / LOG_DIRECTORY).is_dir()


def inside_delta(path: Path) -> Path | None:
    """The Delta table that a file is a part of, or None."""
    return next((parent for parent in path.parents if is_delta(parent)), None)


def delta_scan(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A FROM item whose columns are c0, c1, ..., their names and DuckDB's types; the rows are read as a stream.

    Raises:
        InputError: the reader is not installed, or the table is damaged or uses a feature that the reader lacks.
    """
    if importlib.util.find_spec("deltalake") is None:
        raise InputError(f"Reading the Delta table '{path}' needs the extra 'lake': pip install 'seqclv[lake]'.")
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        rows = DeltaTable(str(path)).to_pyarrow_dataset()
    except (DeltaError, OSError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"A Delta table must be readable, but '{path}' is not: {reason}.") from error
    view = identifier(f"delta {path.absolute()}")
    connection.register(f"delta {path.absolute()}", rows)
    names = tuple(rows.schema.names)
    scan = f"{view} AS t({', '.join(f'c{i}' for i in range(len(names)))})"
    return scan, names, relation_types(connection, scan)
