"""The proof: look for ids in every byte and every cell of a file.

An id is searched for as UTF-8 text in the bytes of any file and, where these are packed, in the texts of the cells of
Parquet and Arrow files. An id below `TELLING_BYTES` stands in numbers and words by chance: of it, whole cells of
Parquet, Arrow and CSV files are searched alone, and whole strings of JSON. Where an id begins or ends with a digit, a
digit beside it makes it another id ('customer-1' in 'customer-10'), or two texts of a column that lie side by side
('000010', '000011': 001000); the cells tell whether it is the id's own.
"""

import csv
import json
import mmap
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqclv.data.privacy import TELLING_BYTES

_BATCH_ROWS = 65_536
PARQUET_SUFFIXES = (".parquet", ".pq", "")
_MAGIC = b"PAR1"
_DIGITS = "0123456789"


def occurrences(path: Path, ids: Sequence[str]) -> list[str]:
    """Those of the ids that a file holds."""
    long = [i for i in ids if len(i.encode()) >= TELLING_BYTES]
    found = set(_in_bytes(path, long))
    if is_parquet(path) or path.suffix == ".arrow":
        for batch in _batches(path):
            found |= _in_cells(batch, ids, long)
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            wanted = set(ids)
            found |= {cell for row in csv.reader(file) for cell in row if cell in wanted}
    elif path.suffix == ".json":
        found |= set(ids) & set(_strings(json.loads(path.read_text("utf-8"))))
    return sorted(found)


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by what it begins with."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _in_bytes(path: Path, ids: Sequence[str]) -> Iterator[str]:
    if not ids or path.stat().st_size == 0:  # an empty file cannot be mapped
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield from (i for i in ids if content.find(i.encode()) >= 0 and re.search(_alone(i), content))


def _alone(name: str) -> bytes:
    """What finds an id; a digit at its end only where no digit goes on."""
    before = rb"(?<![0-9])(?<![0-9]\.)" if name[0] in _DIGITS else b""
    return before + re.escape(name.encode()) + (rb"(?![0-9])" if name[-1] in _DIGITS else b"")


def _holds(column: pa.Array, name: str) -> pa.Array:
    """Which cells hold an id, alone or in a text."""
    before, after = "(^|[^0-9])" * (name[0] in _DIGITS), "($|[^0-9])" * (name[-1] in _DIGITS)
    return pc.match_substring_regex(column, before + re.escape(name) + after)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    if is_parquet(path):
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH_ROWS)
        return
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))


def _in_cells(batch: pa.RecordBatch, ids: Sequence[str], long: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        hits = column.filter(pc.is_in(column, pa.array(ids, column.type)))
        found |= set(hits.to_pylist())
        found |= {i for i in long if pc.any(_holds(column, i)).as_py()}
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
