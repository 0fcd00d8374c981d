"""Filter expressions: one SQL expression over a source's columns, such as "stock_code not in ('POST', 'M')".

An expression is made of columns, constants, operators and plain functions. What asks another table, looks at other
rows, at the clock or at chance is refused, so that a row passes or does not, whatever stands beside it and whenever.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from seqclv.data.database import first_line, run
from seqclv.errors import InputError

FALSE, UNKNOWN = "false", "unknown"  # why a row is left out: the filter says no, or says nothing for want of a value
_CLASSES = ("OPERATOR", "COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "BETWEEN", "CASE", "CAST", "FUNCTION")
_ALLOWED = (*_CLASSES, "COLLATE", "TYPE")


def columns_in(connection: duckdb.DuckDBPyConnection, where: str) -> tuple[str, ...]:
    """The columns that an expression names, as it writes them, each once."""
    return tuple(dict.fromkeys(node["column_names"][0] for node in _nodes(_tree(connection, where), "COLUMN_REF")))


def left_out(connection: duckdb.DuckDBPyConnection, where: str, scan: str, names: Sequence[str], origin: str) -> str:
    """SQL over the columns c0, c1, ... of `scan`: NULL for a row that passes, else FALSE or UNKNOWN.

    Args:
        connection: where the expression is parsed.
        where: the expression as the user writes it, over `names`; upper and lower case may be mixed up.
        scan: a FROM item.
        names: of its columns.
        origin: of the rows, for messages.

    Raises:
        InputError: it is no expression of the kind above, names a column that is not there, or does not fit the types.
    """
    tree = _tree(connection, where)
    where = _shown(where)
    for node in _nodes(tree, "COLUMN_REF"):
        node["column_names"][0] = f"c{_position(node['column_names'][0], names, where, origin)}"
    [(written,)] = run_with(connection, "SELECT json_deserialize_sql(CAST(? AS JSON))", json.dumps(tree))
    condition = str(written).removeprefix("SELECT ")
    try:
        [kind] = [row[1] for row in run(connection, f"DESCRIBE SELECT {condition} FROM {scan}")]
    except duckdb.Error as error:
        raise InputError(
            f'A filter must fit the columns of {origin}, but "{where}" does not: {first_line(error)}; columns of '
            "text, as all of a CSV file, become numbers with try_cast(x as double)."
        ) from error
    if kind != "BOOLEAN":
        raise InputError(f'A filter must be true or false for a row, but "{where}" is of type {kind}.')
    # What cannot be worked out for a row, such as a division by zero or a bad cast, is unknown for it.
    return f"CASE WHEN TRY({condition}) THEN NULL WHEN TRY({condition}) IS NULL THEN '{UNKNOWN}' ELSE '{FALSE}' END"


def run_with(connection: duckdb.DuckDBPyConnection, query: str, *values: str) -> list[tuple[Any, ...]]:
    """Run a query with parameters to its end."""
    return connection.execute(query, list(values)).fetchall()


def _position(name: str, names: Sequence[str], where: str, origin: str) -> int:
    """The position of a column: spelled so, or else the only one spelled so but for upper and lower case."""
    if name in names:
        return names.index(name)
    alike = [i for i, known in enumerate(names) if known.casefold() == name.casefold()]
    if len(alike) != 1:
        raise InputError(
            f'A filter is over the columns {", ".join(names)} of {origin}, but "{where}" names {name}: texts stand in '
            "single quotes, names with blanks in double quotes."
        )
    return alike[0]


def _tree(connection: duckdb.DuckDBPyConnection, where: str) -> Any:
    """The parsed statement `SELECT (where)`, checked to be that and nothing else."""
    try:
        duckdb.SQLExpression(where)
    except duckdb.Error as error:
        raise _refused(where, first_line(error)) from error
    [(text,)] = run_with(connection, "SELECT json_serialize_sql(?)", f"SELECT (\n{where}\n)")
    tree = json.loads(text)
    if tree["error"]:
        raise _refused(where, tree["error_message"])
    [statement] = tree["statements"]
    node = statement["node"]
    further = ("where_clause", "group_expressions", "having", "qualify", "modifiers", "sample")
    if (
        node["type"] != "SELECT_NODE"
        or len(node["select_list"]) != 1
        or node["from_table"]["type"] != "EMPTY"
        or any(node.get(part) for part in further)
    ):
        raise _refused(where, "it is more than an expression")
    for found in _nodes(node):
        if found["class"] not in _ALLOWED:
            raise _refused(where, f"it holds a {found['class'].lower()}")
    _require_plain_functions(connection, where, [found["function_name"] for found in _nodes(node, "FUNCTION")])
    return tree


def _require_plain_functions(connection: duckdb.DuckDBPyConnection, where: str, names: Sequence[str]) -> None:
    for name in dict.fromkeys(names):
        [(strange,)] = run_with(
            connection,
            "SELECT coalesce(bool_or(function_type NOT IN ('scalar', 'macro') OR stability <> 'CONSISTENT'), false) "
            "FROM duckdb_functions() WHERE function_name = lower(?)",
            name,
        )
        if strange:
            raise _refused(where, f"{name} depends on more than the row")


def _refused(where: str, reason: str) -> InputError:
    return InputError(
        f'A filter is one SQL expression over the columns of a row, such as x > 0, but "{_shown(where)}" is not: '
        f"{reason.rstrip('.')}."
    )


def _shown(where: str) -> str:
    """An expression in one line."""
    return " ".join(where.split())


def _nodes(part: Any, kind: str | None = None) -> Iterator[Any]:
    """All expressions in a parsed statement, or those of one class."""
    if isinstance(part, dict):
        if "class" in part and kind in (None, part["class"]):
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _nodes(inner, kind)
