"""Sorted rows to blocks of netted lines: what was bought at the same instant is one line.

No cutoff can separate lines of the same customer and instant, so they are summed here; but where one of them is
cancelled or cancels another they are kept apart, and summed when a history is cut (`seqclv.data.windows.settled`).
Further event types are kept line by line. Sums do not depend on the order of the input because the rows arrive in a
total order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seqclv.data.events import NO_COUNTERPART, PURCHASE, FloatArray, IntArray
from seqclv.data.netting import INSTANT_ROUNDING, net_amounts, net_attributes

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lines:
    """A block of netted lines in customer and time order.

    Shape: customer_id [C]; first [C] rows at which each customer begins; all else [E]. The first customer of a block
    may be the last one of the block before.
    """

    customer_id: pa.StringArray
    first: IntArray
    timestamp: IntArray
    amount: FloatArray
    event_type: npt.NDArray[np.int16]
    numeric: tuple[FloatArray, ...]
    categorical: tuple[npt.NDArray[np.int32], ...]
    counterpart: IntArray | None  # see `seqclv.data.events.Events`
    duplicates: int  # rows that repeat another row exactly, before netting


def net(batches: Iterable[pa.RecordBatch], numeric: int, categorical: int) -> Iterator[Lines]:
    """Net sorted rows block by block; lines of one instant are never torn between blocks.

    Args:
        batches: rows with the columns customer, ts, code, amount, n0.., k0.., row_hash in total order; with
            counterpart where cancellations are matched.
        numeric: how many numeric attributes there are.
        categorical: how many categorical attributes there are.
    """
    rest: pa.Table | None = None
    for batch in batches:
        block = pa.Table.from_batches([batch])
        rows = block if rest is None else pa.concat_tables([rest, block])
        changed = np.flatnonzero(_changes(rows))
        whole = int(changed[-1]) if len(changed) else 0
        if whole:
            yield _net_block(rows.slice(0, whole), numeric, categorical)
        rest = rows.slice(whole)
    if rest is not None and rest.num_rows:
        yield _net_block(rest, numeric, categorical)


def _differs(column: pa.ChunkedArray) -> BoolArray:
    """[E] whether a row's text differs from that of the row before; the first row does."""
    array = column.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(column.chunks)
    changed = np.ones(len(array), dtype=np.bool_)
    if len(array) > 1:
        changed[1:] = pc.not_equal(array.slice(1), array.slice(0, len(array) - 1)).to_numpy(zero_copy_only=False)
    return changed


def _changes(rows: pa.Table) -> BoolArray:
    """[E] whether customer or instant differ from the row before; False at the first row."""
    changed = _differs(rows["customer"])
    stamp = rows["ts"].to_numpy()
    changed[1:] |= stamp[1:] != stamp[:-1]
    changed[:1] = False
    return changed


def _net_block(rows: pa.Table, numeric: int, categorical: int) -> Lines:
    customer = _differs(rows["customer"])
    stamp = rows["ts"].to_numpy()
    code = rows["code"].to_numpy().astype(np.int16)
    digest = rows["row_hash"].to_numpy()
    instant = customer.copy()
    instant[1:] |= stamp[1:] != stamp[:-1]
    duplicates = int(np.count_nonzero(~instant[1:] & (digest[1:] == digest[:-1])))
    counterpart = rows["counterpart"].to_numpy() if "counterpart" in rows.column_names else None
    start = np.flatnonzero(instant | (code != PURCHASE) | _apart(instant, counterpart))
    last = np.append(start[1:], len(stamp)) - 1
    begins = np.flatnonzero(customer)
    return Lines(
        customer_id=rows["customer"].take(pa.array(begins)).combine_chunks(),
        first=np.searchsorted(start, begins),
        timestamp=stamp[start].astype(np.int64),
        amount=net_amounts(rows["amount"].to_numpy(), start, INSTANT_ROUNDING),
        event_type=code[start],
        numeric=tuple(net_attributes(rows[f"n{i}"].to_numpy(), start) for i in range(numeric)),
        # Within an instant rows are ordered by amount, then by categories: the last one is the largest.
        categorical=tuple(rows[f"k{i}"].to_numpy()[last].astype(np.int32) for i in range(categorical)),
        counterpart=None if counterpart is None else counterpart[start],
        duplicates=duplicates,
    )


def _apart(instant: BoolArray, counterpart: IntArray | None) -> BoolArray:
    """[E] whether a line's instant holds a line with a counterpart."""
    if counterpart is None:
        return np.zeros(len(instant), dtype=np.bool_)
    start = np.flatnonzero(instant)
    matched = np.logical_or.reduceat(counterpart != NO_COUNTERPART, start)
    return np.repeat(matched, np.diff(np.append(start, len(instant))))
