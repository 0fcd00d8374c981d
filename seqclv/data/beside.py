"""What a store holds beside the events: attributes of customers, prospects and the calendar."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.data.arrays import ArrayFile
from seqclv.data.events import Categorical, FloatArray
from seqclv.data.store import CUSTOMERS_FILE, PROSPECTS_FILE, static_types
from seqclv.data.tables import CustomersTable, load_calendar, load_customers


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a store holds beside the events."""

    static_numeric: tuple[str, ...] = ()
    static_categorical: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    calendar: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)  # of the customers table
    digests: tuple[bytes, ...] = ()  # of the content; none without such tables


def write_beside(connection: duckdb.DuckDBPyConnection, data: DataConfig, directory: Path) -> Beside:
    """Write the attributes of customers and the calendar, where the configuration names them.

    Args:
        connection: the staging.
        data: with the tables' places.
        directory: of the store, whose customers are written already.

    Raises:
        InputError: a table is refused.
    """
    beside = Beside()
    if data.customers is not None:
        ids = pa.ipc.open_file(pa.memory_map(str(directory / CUSTOMERS_FILE))).read_all()["customer_id"]
        table = load_customers(connection, data, ids)
        digests = _write_static(table, directory)
        with pa.ipc.new_file(str(directory / PROSPECTS_FILE), table.prospects_schema) as file:
            for batch in table.prospects():
                file.write_batch(batch)
        beside = Beside(
            static_numeric=table.numeric,
            static_categorical=table.vocabularies,
            counts=table.counts,
            digests=(repr((table.numeric, table.vocabularies)).encode(), *digests),
        )
    if data.calendar is not None:
        calendar = load_calendar(connection, data.calendar, data.decimal)
        calendar.write(directory)
        content = (repr(calendar.columns).encode(), calendar.dates.tobytes(), calendar.values.tobytes())
        beside = replace(beside, calendar=calendar.columns, digests=(*beside.digests, *content))
    return beside


def _write_static(table: CustomersTable, directory: Path) -> list[bytes]:
    """Write the arrays of the log's customers and give the digests of their content."""
    types = static_types(len(table.numeric), len(table.vocabularies))
    arrays = [ArrayFile(directory / f"{name}.npy", dtype) for name, dtype in types.items()]
    try:
        for batch in table.aligned():
            for array, column in zip(arrays, batch.columns, strict=True):
                array.append(_missing_as_nan(column))
        return [array.finish() for array in arrays]
    finally:
        for array in arrays:
            array.close()


def static_attributes(
    connection: duckdb.DuckDBPyConnection, data: DataConfig, ids: pa.ChunkedArray
) -> tuple[dict[str, FloatArray], dict[str, Categorical]]:
    """Numeric and categorical attributes of the given customers in memory; none without a customers table."""
    if data.customers is None:
        return {}, {}
    table = load_customers(connection, data, ids)
    found = pa.Table.from_batches(table.aligned())
    numeric = {name: _missing_as_nan(found[f"s{i}"]) for i, name in enumerate(table.numeric)}
    words = table.vocabularies.items()
    return numeric, {n: Categorical(found[f"t{i}"].to_numpy(), w) for i, (n, w) in enumerate(words)}


def _missing_as_nan(column: pa.ChunkedArray | pa.Array) -> FloatArray:
    return np.asarray(column.to_pandas(), dtype=np.float64)
