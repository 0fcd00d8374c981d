"""Walk a base in chunks of customers who have a history, in bounded memory.

Chunks hold a fixed number of customers WITH a purchase before the cutoff. So what a forecast is computed beside
depends on events before the cutoff only: one more customer after it does not shift the chunks, and no bit of a
forecast changes.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from seqclv.data.events import Events, concatenate
from seqclv.data.store import EventStore
from seqclv.data.windows import history

CHUNK_CUSTOMERS = 4_096
_BLOCK_CUSTOMERS = 65_536  # read from the store at once


def history_chunks(store: EventStore, cutoff: int, merge: str) -> Iterator[Events]:
    """Merged histories before the cutoff (microseconds), CHUNK_CUSTOMERS at a time, fewer in the last chunk."""
    return chunked(history(block, cutoff, merge) for block in store.blocks(_BLOCK_CUSTOMERS))


def chunked(histories: Iterable[Events]) -> Iterator[Events]:
    """Regroup histories into chunks of CHUNK_CUSTOMERS, fewer in the last."""
    rest: Events | None = None
    for block in histories:
        joined = block if rest is None else concatenate([rest, block])
        full = joined.customers // CHUNK_CUSTOMERS * CHUNK_CUSTOMERS
        for first in range(0, full, CHUNK_CUSTOMERS):
            yield _part(joined, first, first + CHUNK_CUSTOMERS)
        rest = _part(joined, full, joined.customers)
    if rest is not None and rest.customers:
        yield rest


def _part(events: Events, start: int, stop: int) -> Events:
    return events.select(np.arange(start, stop, dtype=np.int64))
