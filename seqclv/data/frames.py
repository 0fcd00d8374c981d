"""A log in memory (pandas DataFrame or Arrow table) as an Arrow table whose text is exact."""

import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from seqclv.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    Frame: TypeAlias = pa.Table | pd.DataFrame


def column_names(frame: "Frame") -> list[str]:
    """The columns of a table; of what is none, none."""
    return frame.column_names if isinstance(frame, pa.Table) else list(getattr(frame, "columns", []))


def to_table(frame: "Frame", columns: tuple[str, ...]) -> pa.Table:
    """Convert the given columns of a frame; columns that the frame lacks are left to the caller to refuse.

    Object columns become text, element by element, so that Python integers of any size stay as they are.

    Raises:
        InputError: `frame` is no table, repeats a column name, or a column cannot be converted.
    """
    names = column_names(frame)
    if not names and not isinstance(frame, pa.Table):
        raise InputError(f"A log in memory must be a pandas DataFrame or an Arrow table, not {type(frame).__name__}.")
    doubled = sorted({name for name in columns if names.count(name) > 1})
    if doubled:
        raise InputError(f"Column names must be unique, but the table repeats {', '.join(doubled)}: rename them.")
    # Columns that are not asked for stay as empty names, so that a message can list them.
    wanted = [name for name in columns if name in names]
    if len(wanted) < len(columns):
        return pa.table({str(name): pa.array([], pa.string()) for name in names})
    if isinstance(frame, pa.Table):
        return frame.select(wanted)
    return pa.table({name: _to_array(frame[name], name) for name in wanted})


def _to_array(column: "pd.Series[Any]", name: str) -> pa.Array:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype if not column.hasnans else object)
    try:
        if column.dtype == object:
            missing = column.isna().to_numpy()
            texts = [None if gone else _exact(value) for value, gone in zip(column.tolist(), missing, strict=True)]
            return pa.array(texts, pa.string())
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            utc = pa.Array.from_pandas(column.dt.tz_convert(None))
            return utc.cast(pa.timestamp("us"), safe=False).cast(pa.timestamp("us", "UTC"))
        array = pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"Column '{name}' must hold plain values, but does not: {error}.") from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _exact(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return str(value)
