"""The rows of a log as Spark reads them: files by the rules of the local engine, addresses by Spark's own.

Files of equal columns are opened together, by their plain paths: what their directories say (`channel=web`) is worked
out by the local engine's own SQL. Then all are brought under one schema by name, so that no column is lost because one
file lacks it.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.credentials import without_credentials
from seqclv.data.database import connect
from seqclv.data.hive import with_partitions
from seqclv.data.lake import LOG_DIRECTORY
from seqclv.data.mapping import asked_columns, mapped_frame
from seqclv.data.places import find_files
from seqclv.data.sources import ParquetColumns, parquet_groups
from seqclv.data.transactions import read_frame, stage
from seqclv.errors import InputError
from seqclv.forecast.engines.spark_errors import in_plain_words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

WHOLE = frozenset(("tinyint", "smallint", "int", "bigint"))
_FRACTIONS = ("float", "double", "decimal")
_INFERENCE = "spark.sql.sources.partitionColumnTypeInference.enabled"
_FILE = "seqclv_file"


@dataclass(frozen=True)
class _Part:
    """Rows that were opened together."""

    lines: "DataFrame"
    origin: str  # for messages
    empty: frozenset[str] = frozenset()  # columns without any value, whose type says nothing


def read_lines(spark: "SparkSession", data: DataConfig) -> "DataFrame":
    """The columns of the log that are looked at, under one schema.

    Raises:
        InputError: the log cannot be read, a file lacks a column or holds it as another type than others do, or the
            customers' column is neither text nor of whole numbers.
    """
    files = [place for place in data.transactions if "://" not in place]
    addresses = [place for place in data.transactions if "://" in place]
    groups = parquet_groups(find_files(files).files) if files else {}
    parts = [_of_files(spark, columns, group) for columns, group in groups.items()]
    parts += [_of_address(spark, address) for address in addresses]
    for part in parts:  # before any row is read
        with connect(None) as connection, in_plain_words():
            read_frame(connection, part.lines.limit(0).toArrow(), data, whole=False, origin=part.origin)
    found = [part.lines for part in _of_one_schema(parts, data)]
    lines = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), found)
    with connect(None) as connection, in_plain_words():
        stage(connection, mapped_frame(connection, lines.limit(0).toArrow(), data), required=True, whole=False)
    kind = dict(lines.dtypes)[data.customer_id]
    if kind not in {"string", *WHOLE}:
        raise InputError(
            f"--engine spark needs customers as text or whole numbers, but column '{data.customer_id}' is of type "
            f"{kind}: convert it or use --engine local."
        )
    return lines


def _of_files(spark: "SparkSession", columns: ParquetColumns, files: Sequence[Path]) -> _Part:
    """Files of equal columns."""
    names, types, partitions = columns
    refused = next((file for file in files if ":" in file.name), None)
    if refused is not None:
        raise InputError(f"--engine spark reads no file with a colon in its name, but there is '{refused}': rename it.")
    with in_plain_words(opening=True):
        lines = spark.read.parquet(*(_address(file) for file in files))
        if partitions:
            lines = _with_partitions(spark, lines, files, partitions)
    origin = f"'{files[0]}'" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    return _plain(lines, origin, [name for name, kind in zip(names, types, strict=True) if kind == "null"])


def _address(file: Path) -> str:
    """A file as Spark takes it: nothing is encoded, and signs that would make a pattern of it are escaped."""
    return "file://" + re.sub(r"([{}\[\]*?\\])", r"\\\1", str(file.resolve()))


def _with_partitions(
    spark: "SparkSession", lines: "DataFrame", files: Sequence[Path], partitions: Sequence[str]
) -> "DataFrame":
    """The rows and what the directories of their files say, all text; Spark's own reading would turn 007 into 7."""
    from pyspark.sql import functions

    given = {str(file.resolve()): str(file) for file in files}
    opened = [url.removeprefix("file:").lstrip("/") for url in lines.inputFiles()]
    with connect(None) as connection:
        paths = pa.table({"c0": opened, "path": [given[f"/{unquote(name)}"] for name in opened]})
        connection.register("files", paths)
        said = connection.sql(f"SELECT * EXCLUDE path FROM {with_partitions('files', 'path', 1, partitions)}")
        values = spark.createDataFrame(said.to_arrow_table().rename_columns([_FILE, *partitions]))
    named = lines.withColumn(_FILE, functions.regexp_replace("_metadata.file_path", "^file:/+", ""))
    return named.join(functions.broadcast(values), on=_FILE).drop(_FILE)


def _of_address(spark: "SparkSession", place: str) -> _Part:
    """What Spark finds behind an address such as s3a://bucket/log, partitions as text."""
    _require_no_delta(spark, place)
    with in_plain_words(opening=True), _text_partitions(spark):
        lines = spark.read.option("mergeSchema", "true").parquet(place)
    return _plain(lines, f"'{without_credentials(place)}'")


def _require_no_delta(spark: "SparkSession", place: str) -> None:
    """Refuse a Delta table: its directory holds rows that were deleted, too."""
    from pyspark.errors import AnalysisException

    try:
        with in_plain_words(opening=True):
            spark.read.format("binaryFile").load(f"{place.rstrip('/')}/{LOG_DIRECTORY}")
    except InputError as error:
        if isinstance(error.__cause__, AnalysisException):  # there is no such directory
            return
        raise
    raise InputError(
        f"--engine spark reads Parquet files, but '{without_credentials(place)}' is a Delta table: use a copy of "
        "its current rows or --engine local."
    )


@contextmanager
def _text_partitions(spark: "SparkSession") -> Iterator[None]:
    """Let Spark take partitions as they are written, and leave the session as it was."""
    before = spark.conf.get(_INFERENCE)
    spark.conf.set(_INFERENCE, "false")
    try:
        yield
    finally:
        spark.conf.set(_INFERENCE, str(before))


def _plain(lines: "DataFrame", origin: str, empty: Collection[str] = ()) -> _Part:
    """Rows whose text is text, also where a file says bytes or, for want of any value, nothing."""
    from pyspark.sql import functions

    kinds = dict(lines.dtypes)
    empty = frozenset(name for name, kind in kinds.items() if kind == "void" or name in empty)

    def column(name: str) -> "Column":
        as_read = functions.lit(None) if name in empty else quoted_column(name)
        return as_read.cast("string").alias(name) if name in empty or kinds[name] == "binary" else as_read

    with in_plain_words(opening=True):
        return _Part(lines.select(*map(column, kinds)), origin, empty)


def quoted_column(name: str) -> "Column":
    """A column by its name, whatever signs are in it."""
    from pyspark.sql import functions

    return functions.col("`" + name.replace("`", "``") + "`")


def _of_one_schema(parts: Sequence[_Part], data: DataConfig) -> list[_Part]:
    """The columns that are looked at, each of one type in all parts."""
    with connect(None) as connection:
        asked = [asked_columns(connection, data, part.lines.columns) for part in parts]
    kinds: dict[str, dict[str, None]] = {name: {} for names in asked for name in names}
    for part, names in zip(parts, asked, strict=True):
        of_part = dict(part.lines.dtypes)
        for name in names:
            if name not in part.empty:
                kinds[name][of_part[name]] = None
    _require_names(tuple(kinds))
    common = {name: _common(name, tuple(found), data) for name, found in kinds.items()}
    return [_converted(part, names, common) for part, names in zip(parts, asked, strict=True)]


def _require_names(names: Sequence[str]) -> None:
    """Refuse names that Spark confuses."""
    alike = len({name.casefold() for name in names}) < len(names)
    odd = [name for name in names if "." in name or "`" in name]
    if alike or odd:
        raise InputError(
            "--engine spark needs names of columns without dots and backticks, which differ in more than upper and "
            f"lower case, but the log has {', '.join(odd or names)}: rename columns or use --engine local."
        )


def _converted(part: _Part, names: Sequence[str], common: Mapping[str, str]) -> _Part:
    of_part = dict(part.lines.dtypes)
    columns = [
        quoted_column(name) if of_part[name] == common[name] else quoted_column(name).cast(common[name]).alias(name)
        for name in names
    ]
    return _Part(part.lines.select(*columns), part.origin)


def _common(name: str, kinds: Sequence[str], data: DataConfig) -> str:
    """The type that a column takes where files hold it as several, if that changes no value.

    Raises:
        InputError: it would.
    """
    if len(kinds) < 2:
        return kinds[0] if kinds else "string"
    text = {data.customer_id, data.event_type, data.do_not_profile, data.timestamp, *data.categorical, *data.match_on}
    if set(kinds) <= WHOLE:
        return "bigint"
    if name in text and set(kinds) <= {"string", *WHOLE}:
        return "string"
    if name == data.timestamp and set(kinds) == {"date", "timestamp_ntz"}:
        return "timestamp_ntz"
    if name in {data.amount, *data.numeric} - text and all(k in WHOLE or k.startswith(_FRACTIONS) for k in kinds):
        return "double"
    raise InputError(
        f"--engine spark needs a column to be of one type, but '{name}' is {' in some files and '.join(kinds)} in "
        "others: convert it or use --engine local."
    )
