"""Cut a base into chunks of customers who have a history, in bounded memory.

Chunks hold a fixed number of customers WITH a purchase before the cutoff, counted from the first customer on. So what
a forecast is computed beside depends on events before the cutoff only: one more customer after it does not shift the
chunks, and no bit of a forecast changes. Nor does it matter who computes which chunk.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqclv.data.events import PURCHASE, Events, concatenate
from seqclv.data.store import EventStore
from seqclv.data.windows import before, history

CHUNK_CUSTOMERS = 2_048  # the numbers that are worked with at once should fit into a core's cache
PART_CHUNKS = 8
_BLOCK_CUSTOMERS = 65_536  # read from the store at once while planning


@dataclass(frozen=True)
class Part:
    """A run of a store's customers, from `start` (included) to `stop` (excluded); a whole number of chunks.

    `customers` is the number of those with a purchase before the cutoff: PART_CHUNKS chunks, fewer in the last part.
    """

    index: int
    start: int
    stop: int
    customers: int


def plan(store: EventStore, cutoff: int, merge: str) -> list[Part]:
    """The parts of a store as of the cutoff (microseconds); none where nobody bought before it."""
    size = CHUNK_CUSTOMERS * PART_CHUNKS
    starts, total = [], 0
    for number, block in enumerate(store.blocks(_BLOCK_CUSTOMERS)):
        first, rows = number * _BLOCK_CUSTOMERS, np.flatnonzero(buyers(block, cutoff, merge))
        starts += [first + int(row) for row in rows[(-total) % size :: size]]
        total += len(rows)
    ends = [*starts[1:], store.customers][: len(starts)]
    return [
        Part(i, start, end, min(size, total - i * size))
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def buyers(events: Events, cutoff: int, merge: str) -> npt.NDArray[np.bool_]:
    """[C] whether a customer has a purchase strictly before the cutoff: those that `history` keeps.

    A customer without negative lines buys where any line is above zero; only the others' lines must be merged.
    """
    line = (events.event_type == PURCHASE) & (events.timestamp < cutoff)
    buys = _any(events, line & (events.amount > 0))
    unsure = np.flatnonzero(buys & _any(events, line & (events.amount < 0)))
    if len(unsure):
        mixed = before(events.select(unsure), cutoff)
        buys[unsure] = np.isin(mixed.customer_id, history(mixed, cutoff, merge).customer_id)
    return buys


def _any(events: Events, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """[C] whether the mask [E] holds for any event of the customer."""
    running = np.concatenate([[0], np.cumsum(mask)])
    return np.asarray(running[events.offset[1:]] > running[events.offset[:-1]])


def part_chunks(store: EventStore, part: Part, cutoff: int, merge: str) -> Iterator[Events]:
    """Merged histories of a part's customers before the cutoff, chunk by chunk; then no page of them stays mapped."""
    yield from chunked([history(store.read(part.start, part.stop), cutoff, merge)])
    store.release()


def history_chunks(store: EventStore, cutoff: int, merge: str) -> Iterator[Events]:
    """Merged histories before the cutoff (microseconds) of a whole store, chunk by chunk."""
    for part in plan(store, cutoff, merge):
        yield from part_chunks(store, part, cutoff, merge)


def chunked(histories: Iterable[Events]) -> Iterator[Events]:
    """Regroup histories into chunks of CHUNK_CUSTOMERS, fewer in the last."""
    rest: Events | None = None
    for block in histories:
        joined = block if rest is None else concatenate([rest, block])
        full = joined.customers // CHUNK_CUSTOMERS * CHUNK_CUSTOMERS
        for first in range(0, full, CHUNK_CUSTOMERS):
            yield _slice(joined, first, first + CHUNK_CUSTOMERS)
        rest = _slice(joined, full, joined.customers)
    if rest is not None and rest.customers:
        yield rest


def _slice(events: Events, start: int, stop: int) -> Events:
    return events.select(np.arange(start, stop, dtype=np.int64))
