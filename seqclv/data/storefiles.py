"""The files of a store while it is written: flat arrays that grow, customer ids, and a digest of the content."""

import hashlib
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.data.arrays import ArrayFile
from seqclv.data.lines import Lines
from seqclv.data.store import CUSTOMERS_FILE, array_types

CUSTOMERS_SCHEMA = pa.schema([("customer_id", pa.string())])


def fresh_start(block: Lines, last_id: str | None) -> int:
    """1 if the block's first customer is the last one of the block before, else 0."""
    return int(last_id is not None and block.customer_id[0].as_py() == last_id)


class StoreFiles:
    """The files of a store while lines are appended."""

    def __init__(self, directory: Path, data: DataConfig) -> None:
        types = array_types(len(data.numeric), len(data.categorical), matched=data.cancellation_days > 0)
        self._arrays = {name: ArrayFile(directory / f"{name}.npy", dtype) for name, dtype in types.items()}
        self._offset = ArrayFile(directory / "offset.npy", np.dtype(np.int64))
        self._ids = pa.ipc.new_file(str(directory / CUSTOMERS_FILE), CUSTOMERS_SCHEMA)
        self._ids_hash = hashlib.sha256()
        self._last_id: str | None = None
        self.customers = 0
        self.events = 0
        self.duplicates = 0

    def append(self, block: Lines) -> None:
        """Add the lines that follow those before."""
        fresh = fresh_start(block, self._last_id)
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
            *([] if block.counterpart is None else [block.counterpart]),
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
