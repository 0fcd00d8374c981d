"""Does a log hold rows twice because a file does, or two files of it do?

Line items repeat honestly, so that repeats alone say little. Where most rows of a file are in another file, too, the
two overlap; where nearly every row of a log is there more than once, it was put together with itself.
"""

from collections.abc import Iterator

import duckdb

from seqclv.data.database import run
from seqclv.data.feeds import named
from seqclv.errors import offenders

_LEAST_ROWS = 20  # of a file or a log; of fewer, chance repeats most
_SUSPECT = 0.1  # share of repeats in a log below which nobody looks
_OVERLAP = 0.5  # of the rows of a file
_SINGLE = 0.01  # of the different rows of a log that was put together with itself: they are there once


def copied(connection: duckdb.DuckDBPyConnection, rows: int, duplicates: int, *, by_file: bool) -> Iterator[str]:
    """Warnings of copies, as sentences.

    Args:
        connection: the database with the view `lines`.
        rows: of the log.
        duplicates: rows that repeat another one exactly.
        by_file: whether the feed w0 is the file of a row.
    """
    if rows < _LEAST_ROWS or duplicates < _SUSPECT * rows:
        return
    overlapping = _overlapping(connection) if by_file else []
    if overlapping:
        yield (
            f"{duplicates:,} of {rows:,} rows repeat another one exactly and count again: most rows of "
            f"{offenders(overlapping)} are in another file, too; remove what is there twice."
        )
        return
    [[single, different]] = run(
        connection,
        "SELECT count(*) FILTER (times = 1), count(*) FROM (SELECT count(*) AS times FROM lines GROUP BY row_hash)",
    )
    if single <= _SINGLE * different:
        yield (
            f"{duplicates:,} of {rows:,} rows repeat another one exactly and count again: where a file was put "
            "together with itself or lies there twice, remove the copy."
        )


def _overlapping(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The files of which most rows are in other files, too."""
    found = run(
        connection,
        f"""WITH held AS (SELECT w0, row_hash, count(*) AS times FROM lines WHERE w0 IS NOT NULL GROUP BY ALL),
            shared AS (SELECT row_hash FROM held GROUP BY row_hash HAVING count(*) > 1)
        SELECT w0 FROM held LEFT JOIN shared ON held.row_hash = shared.row_hash GROUP BY w0
        HAVING sum(times) >= {_LEAST_ROWS}
            AND sum(times) FILTER (shared.row_hash IS NOT NULL) >= {_OVERLAP} * sum(times) ORDER BY w0""",
    )
    return [named(str(row[0])) for row in found]
