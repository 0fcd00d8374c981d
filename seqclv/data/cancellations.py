"""Cancellations: negative lines matched to the purchases that they take back.

A negative line cancels the latest earlier purchase line of the same customer and the same amount (and the same values
in the columns of `DataConfig.match_on`; a missing value matches nothing) that no line in between has cancelled, if
it lies at most `cancellation_days` before. Lines of one instant are netted anyway and match nothing.

Read in time order, a purchase opens a bracket and a cancellation closes the latest open one. Whether a line is matched,
and to which, depends on earlier lines alone; a line after a cutoff changes no match before it. The matches are only
recorded here; what they mean as of a cutoff is told by `seqclv.data.windows.settled`.
"""

import duckdb
import numpy as np
import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.data.database import run
from seqclv.data.events import MICROSECONDS_PER_DAY, NO_COUNTERPART, PURCHASE, IntArray

TABLE = "counterparts"


def match_cancellations(connection: duckdb.DuckDBPyConnection, data: DataConfig) -> None:
    """Write the table `counterparts` (row, counterpart) of the view `lines`; counterpart is the other line's time.

    A bracket's height is the number of open ones after it, from the lowest point so far: a cancellation below that
    finds nothing open. A cancellation's purchase is the line before it at its height. A purchase that lies too long
    before its cancellation hides only older ones, which lie too long before as well.
    """
    names = [f"m{i}" for i in range(len(data.match_on))]
    key = ", ".join(["customer", "size", *names])
    same = " AND ".join(f"lines.{name} = taken.{name}" for name in ("customer", *names))
    chosen = "".join(f", lines.{name}" for name in names)
    taken = "".join(f", {name}" for name in names)
    order = "ORDER BY ts, back, row"
    limit = round(data.cancellation_days * MICROSECONDS_PER_DAY)
    run(
        connection,
        f"""CREATE OR REPLACE TABLE {TABLE} AS
        WITH taken AS (
            SELECT DISTINCT customer, -amount AS size{taken} FROM lines WHERE code = {PURCHASE} AND amount < 0),
        brackets AS (
            SELECT lines.row, lines.ts, lines.amount < 0 AS back, lines.customer, taken.size{chosen}
            FROM lines JOIN taken ON {same} AND abs(lines.amount) = taken.size WHERE code = {PURCHASE}),
        steps AS (
            SELECT *, sum(CASE WHEN back THEN -1 ELSE 1 END) OVER (PARTITION BY {key} {order}
                ROWS UNBOUNDED PRECEDING) AS height FROM brackets),
        floors AS (
            SELECT *, least(0, min(height) OVER (PARTITION BY {key} {order} ROWS UNBOUNDED PRECEDING)) AS low
            FROM steps),
        levels AS (
            SELECT *, coalesce(lag(low) OVER (PARTITION BY {key} {order}), 0) AS low_before FROM floors),
        pairs AS (
            SELECT row, ts, back, lag(row) OVER level AS bought_row, lag(ts) OVER level AS bought_ts
            FROM levels WHERE NOT (back AND height < low_before)
            WINDOW level AS (
                PARTITION BY {key}, CASE WHEN back THEN height - low_before + 1 ELSE height - low END {order})),
        matched AS (
            SELECT * FROM pairs WHERE back AND ts > bought_ts AND ts - bought_ts <= {limit})
        SELECT row, bought_ts AS counterpart FROM matched UNION ALL SELECT bought_row, ts FROM matched""",
    )


class Counterparts:
    """The counterparts of lines that are read in order."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        table: pa.Table = connection.cursor().sql(f"SELECT * FROM {TABLE} ORDER BY row").to_arrow_table()
        self._row: IntArray = table["row"].to_numpy()
        self._time: IntArray = table["counterpart"].to_numpy()
        self._read = 0

    def beside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The next lines with their column `counterpart`."""
        column = np.full(batch.num_rows, NO_COUNTERPART, dtype=np.int64)
        low, high = np.searchsorted(self._row, [self._read, self._read + batch.num_rows])
        column[self._row[low:high] - self._read] = self._time[low:high]
        self._read += batch.num_rows
        return batch.append_column("counterpart", pa.array(column))
