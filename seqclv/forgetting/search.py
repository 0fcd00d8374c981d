"""The proof: look for ids in every byte and every cell of a file.

An id is searched for as UTF-8 text in the bytes of any file and, where these are packed, in the texts of the cells of
Parquet and Arrow files. An id below `TELLING_BYTES` stands in numbers and words by chance: of it, whole cells of
Parquet, Arrow and CSV files are searched alone, and whole strings of JSON.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqclv.data.privacy import TELLING_BYTES

_CHUNK = 1 << 24
_BATCH_ROWS = 65_536
PARQUET_SUFFIXES = (".parquet", ".pq", "")
_MAGIC = b"PAR1"


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
    wanted = {i: i.encode() for i in ids}
    overlap = max((len(text) for text in wanted.values()), default=1) - 1
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            content = tail + chunk
            yield from (i for i, text in wanted.items() if text in content)
            tail = content[-overlap:] if overlap else b""


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
        found |= {i for i in long if pc.any(pc.match_substring(column, i)).as_py()}
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
