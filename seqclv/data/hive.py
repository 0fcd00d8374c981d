"""Partitions in the names of directories: `log/channel=web/year=2024/part.parquet` has the columns channel and year."""

import re
from collections.abc import Sequence
from pathlib import Path

from seqclv.data.database import quoted

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"  # how Hive, Spark and DuckDB write a missing value
_PARTITION = re.compile(r"([^=]+)=[^=]*")


def partition_columns(file: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """Names of the partition columns in a file's path as given; a column in the file itself is not taken from there."""
    found = [match[1] for part in file.parts[:-1] if (match := _PARTITION.fullmatch(part))]
    return tuple(name for name in dict.fromkeys(found) if name not in columns)


def with_partitions(scan: str, path: str, columns: int, partitions: Sequence[str]) -> str:
    """A FROM item with what `scan` has and then its partitions, all text.

    Args:
        scan: a FROM item with the columns c0, c1, ...
        path: its column with the path of the file that a row comes from.
        columns: how many columns it has beside.
        partitions: names, as from `partition_columns`.
    """
    values = [f"{_value(path, name)} AS c{columns + i}" for i, name in enumerate(partitions)]
    return f"(SELECT *, {', '.join(values)} FROM {scan})"


def _value(path: str, name: str) -> str:
    # Whatever is no letter, digit or underscore is escaped; signs beyond ASCII stand for themselves.
    escaped = "".join(sign if sign.isalnum() or sign == "_" or not sign.isascii() else f"\\{sign}" for sign in name)
    written = f"regexp_extract({path}, {quoted(f'(?:^|/){escaped}=([^/=]*)/')}, 1)"
    return f"nullif(nullif(url_decode({written}), {quoted(NULL_PARTITION)}), '')"
