"""Build the EventStore: sorted lines are appended to flat files, which then move into place at once."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.config import DataConfig
from seqclv.data.arrays import ArrayFile
from seqclv.data.beside import static_attributes, write_beside
from seqclv.data.database import connect
from seqclv.data.events import Categorical, Events, FloatArray
from seqclv.data.lines import Lines
from seqclv.data.mapping import named_places
from seqclv.data.report import concentration
from seqclv.data.store import (
    CUSTOMERS_FILE,
    FORMAT_VERSION,
    REJECTS_FILE,
    STORE_FILE,
    StoreInfo,
    array_types,
    is_store,
    open_store,
)
from seqclv.data.transactions import Log, read_frame, read_log
from seqclv.errors import InputError

if TYPE_CHECKING:
    from seqclv.data.frames import Frame

CUSTOMERS_SCHEMA = pa.schema([("customer_id", pa.string())])


def build(data: DataConfig, out: Path, *, until: int | None = None) -> Path:
    """Build the store of `data` at `out`; arguments and errors are those of `seqclv.data.store.build_store`."""
    for source in named_places(data):
        if is_store(source):
            raise InputError(f"A log must be raw to be prepared, but '{source}' is a prepared store already.")
    _require_replaceable(out)
    with _scratch(out) as scratch:
        with connect(scratch) as connection:
            log = read_log(connection, data, until=until)
            finished = scratch / "store"
            finished.mkdir()
            _write_store(log, finished)
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rename(scratch / "replaced")
        finished.rename(out)
    return out


def gather(frame: "Frame", data: DataConfig) -> Events:
    """The events of a frame; see `seqclv.data.store.events_from_frame`."""
    with connect(None) as connection:
        log = read_frame(connection, frame, data)
        blocks = list(log.lines())
        static = _static(log, blocks)
    ids: list[str] = []
    starts, total = [], 0
    data = log.data
    for block in blocks:
        fresh = _fresh(block, ids[-1] if ids else None)
        ids += block.customer_id.slice(fresh).to_pylist()
        starts.append(block.first[fresh:] + total)
        total += len(block.timestamp)
    return Events(
        customer_id=np.array(ids, dtype=object),
        offset=np.concatenate([*starts, [total]]).astype(np.int64),
        timestamp=np.concatenate([block.timestamp for block in blocks]),
        amount=np.concatenate([block.amount for block in blocks]),
        event_type=np.concatenate([block.event_type for block in blocks]),
        further_types=log.further_types,
        numeric={n: np.concatenate([b.numeric[i] for b in blocks]) for i, n in enumerate(data.numeric)},
        categorical={
            name: Categorical(np.concatenate([b.categorical[i] for b in blocks]), log.vocabularies[i])
            for i, name in enumerate(data.categorical)
        },
        static_numeric=static[0],
        static_categorical=static[1],
    )


def _static(log: Log, blocks: Sequence[Lines]) -> tuple[dict[str, FloatArray], dict[str, Categorical]]:
    ids = pa.chunked_array([block.customer_id for block in blocks], pa.string()).unique()
    return static_attributes(log.connection, log.data, pa.chunked_array([ids]))


def _fresh(block: Lines, last_id: str | None) -> int:
    """1 if the block's first customer is the last one of the block before, else 0."""
    return int(last_id is not None and block.customer_id[0].as_py() == last_id)


def _require_replaceable(out: Path) -> None:
    if out.is_dir() and (is_store(out) or not any(out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise InputError(f"A store must be written to a new place or over another store, but '{out}' is neither.")


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A temporary directory on the file system of `out`, gone afterwards."""
    parent = out.absolute().parent
    while not parent.exists():
        parent = parent.parent
    try:
        directory = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=parent))
    except OSError as error:
        raise InputError(f"A store must lie where one may write, but '{parent}' is not: {error.strerror}.") from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class _StoreFiles:
    """The files of a store while lines are appended."""

    def __init__(self, directory: Path, numeric: int, categorical: int) -> None:
        self._arrays = {
            name: ArrayFile(directory / f"{name}.npy", dtype)
            for name, dtype in array_types(numeric, categorical).items()
        }
        self._offset = ArrayFile(directory / "offset.npy", np.dtype(np.int64))
        self._ids = pa.ipc.new_file(str(directory / CUSTOMERS_FILE), CUSTOMERS_SCHEMA)
        self._ids_hash = hashlib.sha256()
        self._last_id: str | None = None
        self.customers = 0
        self.events = 0
        self.duplicates = 0

    def append(self, block: Lines) -> None:
        fresh = _fresh(block, self._last_id)
        ids = block.customer_id.slice(fresh)
        if len(ids):
            self._ids.write_batch(pa.record_batch([ids], schema=CUSTOMERS_SCHEMA))
            for text in ids.to_pylist():
                content = text.encode()
                self._ids_hash.update(len(content).to_bytes(8, "little") + content)
            self._last_id = ids[-1].as_py()
        self._offset.append(block.first[fresh:] + self.events)
        columns: list[npt.NDArray[Any]] = [
            block.timestamp,
            block.amount,
            block.event_type,
            *block.numeric,
            *block.categorical,
        ]
        for array, column in zip(self._arrays.values(), columns, strict=True):
            array.append(column)
        self.customers += len(ids)
        self.events += len(block.timestamp)
        self.duplicates += block.duplicates

    def finish(self) -> list[bytes]:
        """Complete all files and give the digests of their content."""
        self._offset.append(np.array([self.events]))
        self._ids.close()
        return [self._ids_hash.digest(), self._offset.finish(), *(array.finish() for array in self._arrays.values())]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ids.close()
        for array in (self._offset, *self._arrays.values()):
            array.close()


def _write_store(log: Log, directory: Path) -> None:
    """Write all files of a store; store.json last, without which it is none."""
    numeric, categorical = log.data.numeric, log.data.categorical
    with _StoreFiles(directory, len(numeric), len(categorical)) as files:
        for block in log.lines():
            files.append(block)
        digests = files.finish()
    beside = write_beside(log.connection, log.data, directory)
    vocabularies = dict(zip(categorical, log.vocabularies, strict=True))
    names = repr((FORMAT_VERSION, log.further_types, numeric, vocabularies)).encode()
    info = StoreInfo(
        format_version=FORMAT_VERSION,
        customers=files.customers,
        events=files.events,
        first=log.counts.first,
        last=log.counts.last,
        further_types=log.further_types,
        numeric=numeric,
        categorical=vocabularies,
        fingerprint=hashlib.sha256(b"".join([names, *digests, *beside.digests])).hexdigest(),
        report={},
        static_numeric=beside.static_numeric,
        static_categorical=beside.static_categorical,
        calendar=beside.calendar,
    )
    _write_rejects(log, directory / REJECTS_FILE)
    (directory / STORE_FILE).write_text(info.to_json(), "utf-8")
    shares = concentration(open_store(directory).blocks())
    report = replace(log.report(files.customers, files.duplicates, *shares), customers_table=beside.counts).to_dict()
    text = replace(info, report=report).to_json()
    (directory / "store.json.new").write_text(text, "utf-8")
    (directory / "store.json.new").replace(directory / STORE_FILE)


def _write_rejects(log: Log, path: Path) -> None:
    names = log.reject_columns
    with pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in names])) as writer:
        for batch in log.rejects():
            writer.write_batch(batch)
