"""Segments: the matrix of tiers and stages, movements between two valuations, and the user's own expressions.

An expression of the user is SQL over the columns of a table of values (`seqclv.value.columns`), as DuckDB reads it: a
condition such as `value > 500 AND stage = 'active'`, or a label such as `CASE WHEN ... END`. It is checked to be one
expression and is evaluated where it can reach no file and no other table.

Shape: R rows of a table of values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from seqclv.errors import InputError
from seqclv.value.columns import STAGES, VALUE_SCHEMA
from seqclv.value.database import chosen_horizon, open_values, read_schema

_BATCH_ROWS = 200_000


def matrix(values: Path, horizon_days: float | None = None) -> list[dict[str, Any]]:
    """Counts and money by tier and stage, at one horizon (by default the longest)."""
    with open_values(values) as connection:
        horizon = chosen_horizon(connection, horizon_days, ["values_"])
        found = connection.execute(
            "SELECT tier, stage, count(*), sum(value), sum(value_at_risk), sum(historic_value) FROM values_ "
            "WHERE horizon_days = ? GROUP BY tier, stage",
            [horizon],
        ).fetchall()
    names = ("tier", "stage", "customers", "value", "value_at_risk", "historic_value")
    rows = [dict(zip(names, row, strict=True)) | {"horizon_days": horizon} for row in found]
    worth: dict[str, float] = {}
    for row in rows:  # tiers from the best customers to the last
        worth[row["tier"]] = worth.get(row["tier"], 0.0) + (row["value"] or 0.0) / row["customers"]
    best = {tier: max((r["value"] or 0.0) / r["customers"] for r in rows if r["tier"] == tier) for tier in worth}
    return sorted(rows, key=lambda row: (-best[row["tier"]], str(row["tier"]), STAGES.index(row["stage"])))


def movements(
    earlier: Path, later: Path, *, rescored: Path | None = None, column: str = "tier", horizon_days: float | None = None
) -> list[dict[str, Any]]:
    """How many customers, worth how much now, went from which tier (or stage) to which.

    Args:
        earlier: a table of values.
        later: a later one.
        rescored: the later log valued with the earlier model: then `cause` tells 'behaviour' (earlier to rescored) from
            'model' (rescored to later); without it, it is 'both'.
        column: 'tier' or 'stage'.
        horizon_days: by default the longest that the tables have in common.

    Returns:
        Rows with cause, from, to, customers, value; `from` is None for a new customer, `to` for one no longer there.
    """
    if column not in ("tier", "stage"):
        raise InputError(f"Movements are between tiers or stages, but {column!r} was asked for: choose one.")
    tables = {"earlier": earlier} if rescored is None else {"earlier": earlier, "rescored": rescored}
    with open_values(later, **tables) as connection:
        horizon = chosen_horizon(connection, horizon_days, ["values_", *tables])
        pairs = {"both": ("earlier", "values_")}
        if rescored is not None:
            pairs = {"behaviour": ("earlier", "rescored"), "model": ("rescored", "values_")}
        rows = []
        for cause, (before, after) in pairs.items():
            found = connection.execute(
                f"SELECT o.{column}, n.{column}, count(*), sum(coalesce(n.value, o.value)) "
                f"FROM (SELECT * FROM {before} WHERE horizon_days = {horizon}) o "
                f"FULL JOIN (SELECT * FROM {after} WHERE horizon_days = {horizon}) n USING (customer_id) "
                "GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2 NULLS LAST"
            ).fetchall()
            names = ("from", "to", "customers", "value")
            rows += [{"cause": cause, **dict(zip(names, row, strict=True)), "horizon_days": horizon} for row in found]
    return rows


def moved_share(rows: list[dict[str, Any]], cause: str) -> float:
    """The share of customers in both tables who changed their tier (or stage) for this cause."""
    both = [row for row in rows if row["cause"] == cause and row["from"] is not None and row["to"] is not None]
    everybody = sum(row["customers"] for row in both)
    return sum(row["customers"] for row in both if row["from"] != row["to"]) / everybody if everybody else 0.0


def read_segments(path: Path) -> dict[str, str]:
    """The expressions under the key `segments` of a YAML file, by name.

    Raises:
        InputError: there is no such mapping of names to text.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"Segments are a YAML file with the key segments, but {path} cannot be read: {error}"
        ) from error
    found = document.get("segments") if isinstance(document, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(text, str) for text in found.values()):
        raise InputError(
            f"Segments are a mapping of names to expressions under the key segments, but {path} holds none: write for "
            "example\n\nsegments:\n  best: value > 500 AND stage = 'active'"
        )
    return {str(name): text for name, text in found.items()}


def check_expression(expression: str) -> None:
    """Check that it is one expression over the columns of a table of values.

    Raises:
        InputError: it is something else, or names what is no column.
    """
    with _Closed(VALUE_SCHEMA.empty_table()) as connection:
        _evaluate(connection, expression)


def label(table: pa.Table, expression: str) -> npt.NDArray[np.object_]:
    """[R] the label of each row of a table of values as text: 'yes' and 'no' of a condition; None where it is unknown.

    Raises:
        InputError: see `check_expression`.
    """
    with _Closed(table) as connection:
        answer = _evaluate(connection, expression)
    if pa.types.is_boolean(answer.type):
        words = np.array(["no", "yes", None], dtype=object)
        return np.asarray(words[answer.cast(pa.int8()).fill_null(2).to_numpy(zero_copy_only=False)])
    return np.asarray(answer.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)


def segment_table(values: Path, expressions: Mapping[str, str], horizon_days: float | None = None) -> pa.Table:
    """Customers, value and value at risk by the labels of each expression, at one horizon."""
    read_schema(values)
    with open_values(values) as connection:
        horizon = chosen_horizon(connection, horizon_days, ["values_"])
    sums: dict[tuple[str, str | None], np.ndarray] = {}
    for batch in pq.ParquetFile(values).iter_batches(_BATCH_ROWS):
        table = pa.Table.from_batches([batch])
        table = table.filter(pc.equal(table["horizon_days"], horizon))
        money = np.stack([np.ones(len(table)), *(table[n].to_numpy() for n in ("value", "value_at_risk"))])
        for name, expression in expressions.items():
            words = label(table, expression)
            for word in set(words):
                chosen = np.array([w == word for w in words], dtype=bool)
                sums[name, word] = sums.get((name, word), np.zeros(3)) + money[:, chosen].sum(axis=1)
    rows = [
        {
            "segment": name,
            "label": word,
            "horizon_days": horizon,
            "customers": int(total[0]),
            "value": float(total[1]),
            "value_at_risk": float(total[2]),
        }
        for (name, word), total in sorted(sums.items(), key=lambda item: (item[0][0], str(item[0][1])))
    ]
    return pa.Table.from_pylist(rows)


class _Closed:
    """A DuckDB that holds one table, `values_`, and can reach nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        self.connection = duckdb.connect(":memory:", config={"threads": 1, "python_enable_replacements": False})
        self.connection.register("values_", self.table)
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")
        return self.connection

    def __exit__(self, *error: object) -> None:
        self.connection.close()


def _evaluate(connection: duckdb.DuckDBPyConnection, expression: str) -> pa.ChunkedArray:
    query = f"SELECT (\n{expression}\n) AS segment FROM values_"
    try:
        if len(duckdb.extract_statements(query)) != 1:
            raise InputError(f"A segment is one expression, but {expression!r} is several statements: give one.")
        answer = connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"A segment is one expression over the columns of a table of values, but {expression!r} is none: {reason}"
        ) from error
    one = answer.num_columns == 1 and not pa.types.is_nested(answer.schema.types[0])
    if not one or answer.num_rows != _count(connection):
        raise InputError(f"A segment is one expression for each customer, but {expression!r} is not: give one.")
    return answer["segment"]


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    return int(connection.execute("SELECT count(*) FROM values_").fetchall()[0][0])
