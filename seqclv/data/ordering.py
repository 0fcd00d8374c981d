"""The kept rows of a staged log in total order, texts of small vocabularies as codes."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.data.columns import attribute_columns
from seqclv.data.counts import kept
from seqclv.data.database import run
from seqclv.data.events import FIRST_FURTHER_TYPE

_MOST_CODES = 65_536  # of a column of feeds; more are no feeds, and stay text

Vocabularies = tuple[tuple[str, ...], ...]  # one per categorical attribute


def vocabularies(connection: duckdb.DuckDBPyConnection, data: DataConfig, until: int | None) -> Vocabularies:
    """The values of each categorical attribute in UTF-8 order, so that a code never depends on the rows' order."""
    return tuple(_vocabulary(connection, f"k{i}", until) for i in range(len(data.categorical)))


def _vocabulary(connection: duckdb.DuckDBPyConnection, column: str, until: int | None) -> tuple[str, ...]:
    query = f"SELECT DISTINCT {column} FROM staged WHERE {kept(until)} AND {column} IS NOT NULL ORDER BY 1"
    return tuple(str(row[0]) for row in run(connection, query))


def sorted_rows(
    connection: duckdb.DuckDBPyConnection,
    data: DataConfig,
    further_types: Sequence[str],
    words: Vocabularies,
    until: int | None,
) -> str:
    """SQL of the kept rows, sorted by all their columns; transaction lines stand before other events of an instant."""
    names = attribute_columns(data)
    numeric, categories = ([name for name in names if name[0] == letter] for letter in "nk")
    feeds = {name: _sorted_as_code(connection, name) for name in names if name[0] == "w"}
    texts = [*(name for name in names if name[0] == "m"), *(chosen for chosen, _ in feeds.values())]
    _register_codes(connection, {"further": further_types} | {f"k{i}": values for i, values in enumerate(words)})
    joins = " ".join(f"LEFT JOIN codes_{name} ON staged.{name} = codes_{name}.value" for name in categories)
    code = "0::SMALLINT AS code"
    if further_types:
        joins += " LEFT JOIN codes_further ON further = codes_further.value"
        code = f"coalesce(codes_further.code + {FIRST_FURTHER_TYPE}, 0)::SMALLINT AS code"
    coded = [f"coalesce(codes_{name}.code, -1)::INTEGER AS {name}" for name in categories]
    # Categories are compared before numbers: the last line of an instant gives its categories to the netted line.
    order = ["customer", "ts", "code", "amount", *categories, *(f"{name} NULLS FIRST" for name in numeric), "row_hash"]
    order += [f"{name} NULLS FIRST" for name in names if name[0] == "m"]
    order += [f"{name} NULLS FIRST" for name, (_, several) in feeds.items() if several]  # equal rows of several files
    chosen = ", ".join(["customer", "ts", code, "amount", *numeric, *coded, *texts, "row_hash"])
    return f"SELECT {chosen} FROM staged {joins} WHERE {kept(until)} ORDER BY {', '.join(order)}"


def _sorted_as_code(connection: duckdb.DuckDBPyConnection, feed: str) -> tuple[str, bool]:
    """SQL of the feed of a row as an ENUM, which is written as text but sorted along as a number; whether feeds differ.

    A Parquet file has its names in the order of the ENUM, which must therefore be the same each time.
    """
    run(connection, f"DROP TYPE IF EXISTS {feed}")
    found = [row[0] for row in run(connection, f"SELECT DISTINCT {feed} FROM staged LIMIT {_MOST_CODES + 2}")]
    names, several = sorted(str(name) for name in found if name is not None), len(found) > 1
    if not 0 < len(names) <= _MOST_CODES:
        return feed, several
    connection.register("vocabulary", pa.table({"value": pa.array(names, pa.string())}))
    run(connection, f"CREATE TYPE {feed} AS ENUM (SELECT value FROM vocabulary)")
    connection.unregister("vocabulary")
    return f"CAST({feed} AS {feed}) AS {feed}", several


def _register_codes(connection: duckdb.DuckDBPyConnection, words: dict[str, Sequence[str]]) -> None:
    for name, values in words.items():
        table = pa.table({"value": pa.array(values, pa.string()), "code": pa.array(range(len(values)), pa.int32())})
        connection.register("vocabulary", table)
        run(connection, f"CREATE OR REPLACE TABLE codes_{name} AS SELECT * FROM vocabulary")
        connection.unregister("vocabulary")
