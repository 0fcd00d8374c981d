"""The lines of a log in order: sorted once, kept as a Parquet file, and read back in batches.

A store keeps the file, so that a later delivery is merged in without the earlier raw log (`seqclv.data.append`). Its
columns are those of `seqclv.data.columns` but customer, ts, code (0, or that of the further event type), amount,
n0 .., k0 .. (codes, -1 is missing), m0 .., w0 .. and row_hash; its rows are the kept ones, in total order.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.config import DataConfig
from seqclv.data.cancellations import Counterparts, match_cancellations
from seqclv.data.columns import attribute_columns
from seqclv.data.database import quoted, run

LINES_FILE = "lines.parquet"
BATCH_ROWS = 131_072
_ROW_GROUP = 131_072


def ordered_batches(
    connection: duckdb.DuckDBPyConnection, query: str, data: DataConfig, archive: Path | None
) -> Iterator[pa.RecordBatch]:
    """The rows of the sorting `query` in batches, with their counterparts where cancellations are matched.

    With an archive or with cancellations, the view `lines` shows them from now on, with their position `row`.

    Args:
        connection: the database of the log.
        query: selects the columns of the archive in total order.
        data: tells whether and how cancellations are matched.
        archive: the file to make; None: the lines stay in the database.
    """
    if archive is None and not data.cancellation_days:
        yield from connection.cursor().sql(query).to_arrow_reader(BATCH_ROWS)
        return
    if archive is None:
        run(connection, f"CREATE TABLE sorted AS {query}")
        run(connection, "CREATE VIEW lines AS SELECT *, rowid AS row FROM sorted")
        batches = iter(connection.cursor().sql("SELECT * FROM sorted").to_arrow_reader(BATCH_ROWS))
    else:
        place = quoted(str(archive))
        run(connection, f"COPY ({query}) TO {place} (FORMAT parquet, ROW_GROUP_SIZE {_ROW_GROUP})")
        scan = f"read_parquet({place}, file_row_number=true)"
        run(connection, f"CREATE VIEW lines AS SELECT * RENAME (file_row_number AS row) FROM {scan}")
        batches = _file_batches(archive, data)
    if not data.cancellation_days:
        yield from batches
        return
    match_cancellations(connection, data)
    counterparts = Counterparts(connection)
    for batch in batches:
        yield counterparts.beside(batch)


def _file_batches(path: Path, data: DataConfig) -> Iterator[pa.RecordBatch]:
    """The rows without the texts, which only queries need; the next batch is read while one is worked on."""
    attributes = [name for name in attribute_columns(data) if name[0] in "nk"]
    columns = ["customer", "ts", "code", "amount", *attributes, "row_hash"]
    with pq.ParquetFile(path) as file, ThreadPoolExecutor(1) as reader:
        batches = file.iter_batches(BATCH_ROWS, columns=columns)
        following = reader.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = reader.submit(next, batches, None)
            yield batch
