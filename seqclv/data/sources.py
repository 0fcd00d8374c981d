"""Where rows come from: files, directories, globs, Delta tables, databases, public logs or a table in memory.

A source becomes one or more `Relation`s that DuckDB scans out of core. Columns are addressed by position
(c0, c1, ...), because DuckDB's own names ignore case and the user's need not.
"""

import csv
import glob
import gzip
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.config import SqlConfig
from seqclv.data import sql as database
from seqclv.data.database import first_line, identifier, quoted, relation_types
from seqclv.data.hive import partition_columns, with_partitions
from seqclv.data.lake import delta_scan, is_delta
from seqclv.data.places import find_files, head
from seqclv.errors import InputError, offenders

DATASET_PREFIX = "dataset:"
DELIMITERS = (",", ";", "\t", "|")
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
FILE_COLUMN = "source_file"  # beside c0, c1, ...: where a row of a file comes from

ParquetColumns: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # names, types, partitions


@dataclass(frozen=True)
class Relation:
    """Rows of equal columns that DuckDB can scan."""

    scan: str  # an item of a FROM clause; its columns are c0, c1, ... in the order of `names`
    names: tuple[str, ...]  # as the user knows them
    types: tuple[str, ...]  # DuckDB's
    origin: str  # for messages
    left_out: str = "CAST(NULL AS VARCHAR)"  # SQL of why a filter leaves a row out, NULL where it does not
    feed: str = "CAST(NULL AS VARCHAR)"  # SQL of the file or table that a row comes from
    passed_over: tuple[Path, ...] = ()  # files in the same directories that are no data files

    def column(self, name: str) -> str:
        """The position name of the user's column `name`."""
        return f"c{self.names.index(name)}"

    def type_of(self, name: str) -> str:
        """DuckDB's type of the user's column `name`."""
        return self.types[self.names.index(name)]


def relations(
    connection: duckdb.DuckDBPyConnection,
    places: Sequence[str],
    needed: Iterable[str],
    databases: Sequence[SqlConfig] = (),
    what: str = "log",
) -> list[Relation]:
    """Open the sources of a log.

    Args:
        connection: where tables in memory are registered and rows of databases are copied to.
        places: files, directories, globs, Delta tables, or names of public logs spelled `dataset:NAME`.
        needed: the columns that will be asked for; they tell the delimiter of a CSV file.
        databases: what to ask of databases.
        what: the sources are of, for messages.

    Raises:
        InputError: nothing was found, a file is damaged or empty, a database refuses, or column names are not unique.
    """
    from seqclv.data.datasets import dataset

    named = dict.fromkeys(place for place in places if place.startswith(DATASET_PREFIX))
    found = [table_relation(connection, dataset(n.removeprefix(DATASET_PREFIX)), n) for n in named]
    found += [_named_relation(*database.load(connection, sql), database.describe(sql)) for sql in databases]
    in_files = find_files([place for place in places if not place.startswith(DATASET_PREFIX)], what)
    tables = [path for path in in_files.files if is_delta(path)]
    found += [_named_relation(*delta_scan(connection, path), f"the Delta table '{path}'") for path in tables]
    plain = [path for path in in_files.files if not is_delta(path)]
    found += _file_relations(connection, plain, frozenset(needed), what) if plain else []
    return [replace(one, passed_over=tuple(in_files.passed_over) if i == 0 else ()) for i, one in enumerate(found)]


def _named_relation(scan: str, names: tuple[str, ...], types: tuple[str, ...], origin: str) -> Relation:
    _require_unique(names, origin)
    return Relation(scan, names, types, origin, feed=quoted(origin))


def table_relation(connection: duckdb.DuckDBPyConnection, table: pa.Table, origin: str) -> Relation:
    """Register an Arrow table with DuckDB under the name `origin`.

    Raises:
        InputError: column names are not unique or a type is unknown to DuckDB.
    """
    _require_unique(table.column_names, origin)
    view = identifier(origin)
    try:
        connection.register(origin, table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
    except duckdb.Error as error:
        raise InputError(f"The columns of {origin} must be plain: {first_line(error)}.") from error
    names, types = tuple(table.column_names), relation_types(connection, view)
    return Relation(view, names, types, origin, feed=quoted(origin))


def _file_relations(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], needed: frozenset[str], what: str
) -> list[Relation]:
    """One relation for all files of equal format, columns and partitions."""
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[Path]] = defaultdict(list)
    for file in files:
        first = head(file, what)
        if not first:
            continue
        if _says_parquet(file, first):
            names, types, partitions = _parquet_columns(file)
            groups["parquet", names, types, partitions].append(file)
        else:
            packed = first.startswith(GZIP_MAGIC)
            delimiter, names = _csv_columns(file, packed, needed)
            kind = ("gzip" if packed else "none") + delimiter
            groups[kind, names, (), partition_columns(file, names)].append(file)
    if not groups:
        raise InputError(f"A {what} must have rows, but {offenders(files)} is empty.")
    return [
        _group_relation(connection, kind, names, partitions, group)
        for (kind, names, _, partitions), group in groups.items()
    ]


def _group_relation(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    names: tuple[str, ...],
    partitions: tuple[str, ...],
    files: Sequence[Path],
) -> Relation:
    origin = f"'{files[0]}'" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    _require_unique(names, origin)
    path = FILE_COLUMN
    while path in {name.casefold() for name in names}:
        path += "_"
    paths = "[" + ", ".join(quoted(glob.escape(str(file))) for file in files) + "]"
    if kind == "parquet":
        aliases = ", ".join(f"c{i}" for i in range(len(names)))
        options = f"binary_as_string=true, hive_partitioning=false, filename='{path}'"
        scan = f"read_parquet({paths}, {options}) AS t({aliases})"
    else:
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
        scan = (
            f"read_csv({paths}, columns={{{columns}}}, auto_detect=false, header=true, delim={quoted(kind[4:])}, "
            f"compression='{kind[:4]}', quote='\"', escape='\"', nullstr='', store_rejects=true, "
            f"hive_partitioning=false, filename='{path}')"
        )
    types = relation_types(connection, scan)[: len(names)]
    if partitions:
        scan = with_partitions(scan, path, len(names), partitions)
    types = (*types, *("VARCHAR" for _ in partitions))
    return Relation(scan, (*names, *partitions), types, origin, feed=path)


def is_parquet(file: Path) -> bool:
    """Whether a file is read as Parquet: it says so in its first bytes or by its name."""
    return _says_parquet(file, head(file))


def _says_parquet(file: Path, first: bytes) -> bool:
    return first == PARQUET_MAGIC or file.suffix.lower() in (".parquet", ".pq")


def parquet_groups(files: Sequence[Path]) -> dict[ParquetColumns, list[Path]]:
    """Parquet files by their columns, types and partitions; a file without a byte is passed over.

    Raises:
        InputError: a file is damaged, or none has a byte.
    """
    groups: dict[ParquetColumns, list[Path]] = defaultdict(list)
    for file in files:
        if head(file):
            groups[_parquet_columns(file)].append(file)
    if not groups:
        raise InputError(f"A log must have rows, but {offenders(files)} is empty.")
    return groups


def _parquet_columns(file: Path) -> ParquetColumns:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"A Parquet file must be whole, but '{file}' is damaged or no Parquet.") from error
    names = tuple(schema.names)
    return names, tuple(str(kind) for kind in schema.types), partition_columns(file, names)


def _csv_columns(file: Path, packed: bool, needed: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """The delimiter that finds most of the needed columns in the first line, and the column names."""
    try:
        opener = gzip.open if packed else open
        with opener(file, "rt", encoding="utf-8-sig", newline="") as stream:
            line = stream.readline()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"A CSV file must be UTF-8 text with a header, but '{file}' is not.") from error
    headers = [(mark, tuple(next(csv.reader([line], delimiter=mark), ()))) for mark in DELIMITERS]
    return max(headers, key=lambda header: (len(needed & set(header[1])), len(header[1])))


def _require_unique(names: Iterable[str], origin: str) -> None:
    doubled = [name for name, times in Counter(names).items() if times > 1]
    if doubled:
        raise InputError(f"Column names must be unique, but {origin} repeats {offenders(doubled)}: rename them.")
