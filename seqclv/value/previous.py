"""The tiers of an earlier valuation, read beside the customers of a new one: both are sorted, so memory stays small."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from seqclv.errors import InputError
from seqclv.value.database import read_schema

_BATCH_ROWS = 65_536


class PreviousTiers:
    """Tiers by customer, asked in the order of customer ids (UTF-8 bytes)."""

    def __init__(self, path: Path) -> None:
        """Open a table of values.

        Raises:
            InputError: it is none.
        """
        read_schema(path)
        self._path = path
        self._batches = pq.ParquetFile(path).iter_batches(_BATCH_ROWS, columns=["customer_id", "tier"])
        self._known: dict[str, str | None] = {}
        self._last = ""
        self._finished = False

    def of(self, customer_id: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
        """[N] the earlier tier of each customer; None where there was none. Ids rise, also from call to call.

        Raises:
            InputError: the table is not sorted by customer_id.
        """
        while not self._finished and self._last <= customer_id[-1]:
            self._read()
        result = np.array([self._known.get(name) for name in customer_id], dtype=object)
        self._known = {name: tier for name, tier in self._known.items() if name > customer_id[-1]}
        return result

    def _read(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self._finished = True
            return
        ids, tiers = batch["customer_id"].to_pylist(), batch["tier"].to_pylist()
        if [self._last, *ids] != sorted([self._last, *ids]):
            raise InputError(
                f"A table of values is sorted by customer_id, but {self._path} is not: give the file that "
                "`seqclv value` wrote."
            )
        self._known.update(zip(ids, tiers, strict=True))
        self._last = ids[-1]
