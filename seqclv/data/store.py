"""The EventStore: a log on disk as memory-mapped flat columns, one run of rows per customer, immutable.

A store is a directory:

    store.json          format version, counts, span, event types, attributes with vocabularies, fingerprint, report
    customers.arrow     customer ids in UTF-8 byte order (Arrow IPC)
    offset.npy          [C + 1] row at which each customer begins
    timestamp.npy       [E] microseconds since 1970-01-01; amount.npy [E]; event_type.npy [E]
    numeric_0.npy ..    [E] numeric attributes, NaN is missing
    categorical_0.npy ..[E] codes of categorical attributes, -1 is missing
    static_numeric_0.npy .., static_categorical_0.npy ..   [C] attributes of customers, where a customers table is given
    prospects.arrow     the customers of that table who have no event, with their attributes
    calendar.parquet    daily values, where a calendar table is given
    counterpart.npy     [E] where cancellations are matched: microseconds of the other line
    lines.parquet       the lines before they were netted (see `seqclv.data.archive`): what later deliveries join
    rejects.parquet     rejected rows with their reason
    report.txt          the data report as text

Shape: C customers, E events (lines of one instant netted).
"""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.data.calendar import CALENDAR_FILE, Calendar, read_calendar
from seqclv.data.events import Categorical, Events
from seqclv.data.honoured import require_honoured
from seqclv.data.remarks import no_purchase
from seqclv.data.storeinfo import STORE_FILE, StoreInfo, read_info
from seqclv.errors import InputError
from seqclv.pseudonyms import PseudonymKey

if TYPE_CHECKING:
    from seqclv.data.frames import Frame

CUSTOMERS_FILE = "customers.arrow"
REJECTS_FILE = "rejects.parquet"
PROSPECTS_FILE = "prospects.arrow"
REPORT_FILE = "report.txt"
BLOCK_CUSTOMERS = 100_000


@dataclass(frozen=True)
class EventStore:
    """An open store; `open_store` makes one. Arrays are mapped, not loaded."""

    path: Path
    info: StoreInfo
    ids: pa.ChunkedArray  # [C]
    arrays: Mapping[str, npt.NDArray[Any]]  # by file name without suffix

    @property
    def customers(self) -> int:
        """Number of customers C."""
        return self.info.customers

    @property
    def first(self) -> int:
        """Microseconds of the earliest event."""
        return self.info.first

    @property
    def last(self) -> int:
        """Microseconds of the latest event."""
        return self.info.last

    @property
    def fingerprint(self) -> str:
        """sha256 over the content; the same for any order of rows and files."""
        return self.info.fingerprint

    @cached_property
    def calendar(self) -> Calendar | None:
        """What is known ahead for each day; None where the store was prepared without a calendar."""
        return read_calendar(self.path, self.info.calendar) if self.info.calendar else None

    @property
    def prospects(self) -> pa.Table | None:
        """Customers of the customers table who have no event, with their attributes; None without such a table."""
        path = self.path / PROSPECTS_FILE
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all() if path.is_file() else None

    def read(self, start: int = 0, stop: int | None = None) -> Events:
        """The events of the customers from `start` (included) to `stop` (excluded; None: all), as mapped views."""
        low, high, _ = slice(start, stop).indices(self.customers)
        high, info = max(low, high), self.info
        offset = self.arrays["offset"][low : high + 1]
        rows = slice(int(offset[0]), int(offset[-1]))
        return Events(
            customer_id=self.ids.slice(low, high - low).to_numpy(zero_copy_only=False).astype(object),
            offset=np.asarray(offset - offset[0]),
            timestamp=self.arrays["timestamp"][rows],
            amount=self.arrays["amount"][rows],
            event_type=self.arrays["event_type"][rows],
            further_types=self.info.further_types,
            numeric={name: self.arrays[f"numeric_{i}"][rows] for i, name in enumerate(self.info.numeric)},
            categorical={
                name: Categorical(self.arrays[f"categorical_{i}"][rows], words)
                for i, (name, words) in enumerate(self.info.categorical.items())
            },
            static_numeric={n: self.arrays[f"static_numeric_{i}"][low:high] for i, n in enumerate(info.static_numeric)},
            static_categorical={
                name: Categorical(self.arrays[f"static_categorical_{i}"][low:high], words)
                for i, (name, words) in enumerate(info.static_categorical.items())
            },
            counterpart=self.arrays["counterpart"][rows] if "counterpart" in self.arrays else None,
            calendar=self.calendar,
        )

    def blocks(self, customers: int = BLOCK_CUSTOMERS) -> Iterator[Events]:
        """All events, in blocks of so many customers; a pass over them does not fill the memory with mapped pages."""
        for start in range(0, self.customers, customers):
            yield self.read(start, start + customers)
            self.release()

    def release(self) -> None:
        """Give the pages of the mapped files back to the system; they are read again when they are asked for."""
        for array in self.arrays.values():
            pages = getattr(array, "_mmap", None)
            if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)


def array_types(numeric: int, categorical: int, *, matched: bool) -> dict[str, np.dtype[Any]]:
    """The flat event columns of a store by file name without suffix, beside `offset`."""
    return {
        "timestamp": np.dtype(np.int64),
        "amount": np.dtype(np.float64),
        "event_type": np.dtype(np.int16),
        **{f"numeric_{i}": np.dtype(np.float64) for i in range(numeric)},
        **{f"categorical_{i}": np.dtype(np.int32) for i in range(categorical)},
        **({"counterpart": np.dtype(np.int64)} if matched else {}),
    }


def static_types(numeric: int, categorical: int) -> dict[str, np.dtype[Any]]:
    """The columns of a store with one value per customer, by file name without suffix."""
    return {
        **{f"static_numeric_{i}": np.dtype(np.float64) for i in range(numeric)},
        **{f"static_categorical_{i}": np.dtype(np.int32) for i in range(categorical)},
    }


def is_store(path: str | Path) -> bool:
    """Whether `path` is a prepared store: a directory with a store.json."""
    return (Path(path) / STORE_FILE).is_file()


def open_store(path: str | Path) -> EventStore:
    """Open a prepared store; one that is replaced meanwhile is opened anew, so that all files are of one store.

    Raises:
        InputError: it is no store, of an unknown format, or damaged.
    """
    root = Path(path)
    while True:
        if not is_store(root):
            raise InputError(f"A prepared store must be a directory with {STORE_FILE}, but '{root}' is not.")
        info = read_info(root)
        try:
            store = _opened(root, info)
        except InputError:
            if _still_there(root, info):
                raise
        else:
            if _still_there(root, info):
                return store


def _still_there(root: Path, info: StoreInfo) -> bool:
    return is_store(root) and read_info(root) == info


def _opened(root: Path, info: StoreInfo) -> EventStore:
    types = array_types(len(info.numeric), len(info.categorical), matched=info.cancellation_days > 0)
    static = static_types(len(info.static_numeric), len(info.static_categorical))
    lengths = dict.fromkeys(types, info.events) | dict.fromkeys(static, info.customers) | {"offset": info.customers + 1}
    types |= {**static, "offset": np.dtype(np.int64)}
    try:
        arrays = {name: np.load(root / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in types}
        ids = pa.ipc.open_file(pa.memory_map(str(root / CUSTOMERS_FILE))).read_all()["customer_id"]
    except PermissionError as error:
        raise InputError(f"A store must be readable, but '{error.filename or root}' is not: ask its owner.") from error
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise InputError(f"The store '{root}' is damaged: prepare it anew ({error}).") from error
    fits = all(arrays[n].shape == (lengths[n],) and arrays[n].dtype == types[n] for n in types)
    if info.calendar and not (root / CALENDAR_FILE).is_file():
        fits = False
    if not fits or len(ids) != info.customers or int(arrays["offset"][-1]) != info.events:
        raise InputError(f"The store '{root}' is damaged, its files do not fit together: prepare it anew.")
    return EventStore(root, info, ids, arrays)


def build_store(
    data: DataConfig, out: str | Path, *, until: int | None = None, key: PseudonymKey | None = None
) -> EventStore:
    """Read, validate and sort a log into a store, out of core.

    The store is built beside `out` and moved there when it is finished. A finished store at `out` is replaced; before
    the log is validated nothing is touched.

    Args:
        data: files and column names; files may be public logs (`dataset:NAME`).
        out: the directory to make.
        until: microseconds since 1970; rows at or after it are left out.
        key: replaces ids by pseudonyms; it is not kept.

    Raises:
        InputError: the log is refused (see `seqclv.data.transactions.stage`) or `out` holds something else.
    """
    from seqclv.data.building import build

    return open_store(build(data, Path(out), until=until, key=key))


def append_store(
    data: DataConfig,
    out: str | Path,
    *,
    until: int | None = None,
    replace_from: int | None = None,
    key: PseudonymKey | None = None,
) -> EventStore:
    """Append a delivery to the store at `out`, without the raw log that it was built from.

    All that forecasts, fingerprint and report need becomes, bit for bit, what `build_store` makes of all files
    together. The share of rejected rows is judged by the delivery alone. The old store stays whole until the new one
    is, and a reader that has it open keeps it.

    Args:
        data: the delivery's files and column names; attributes, cancellations and feeds as the store's.
        out: the store.
        until: microseconds since 1970; rows at or after it are left out, those of the store too.
        replace_from: microseconds since 1970; the store's rows from there on are forgotten before the delivery is
            added, so that a job may deliver the latest days again. Without it a row that comes again is a duplicate:
            kept and counted.
        key: that of the store, where its ids are pseudonyms.

    Raises:
        InputError: `out` is no store or of other rules, the delivery is refused (see `build_store`), or the store was
            replaced meanwhile.
    """
    from seqclv.data.append import require_same_rules
    from seqclv.data.building import Delivery, build

    out = Path(out).resolve()  # a link to a store stays one
    earlier = open_store(out)
    require_same_rules(data, earlier, key)
    return open_store(build(data, out, until=until, delivery=Delivery(earlier, replace_from), key=key))


def open_log(data: DataConfig, workspace: str | Path, *, of_purchases: bool = True) -> EventStore:
    """Open `data.transactions` if it is a prepared store, else build one in `workspace`.

    Raises:
        InputError: the log or the store is refused, the store was prepared by other rules than `data` states (see
            `seqclv.data.honoured`), or a log of purchases has none.
    """
    store = _found(data, workspace)
    nothing_bought = no_purchase(store.info.report)
    if of_purchases and nothing_bought is not None:
        raise InputError(f"A log must have purchases, transaction lines above zero, but {nothing_bought}.")
    return store


def _found(data: DataConfig, workspace: str | Path) -> EventStore:
    stores = [source for source in data.transactions if is_store(source)]
    if not stores:
        return build_store(data, Path(workspace) / "store")
    if len(data.transactions) > 1:
        raise InputError(f"A prepared store must stand alone, but '{stores[0]}' is given beside other files.")
    store = open_store(stores[0])
    require_honoured(data, store.info, store.path)
    return store


def events_from_frame(frame: "Frame", data: DataConfig) -> Events:
    """The events of a log in memory, a pandas DataFrame or an Arrow table; validated as files are, nothing is written.

    Raises:
        InputError: see `seqclv.data.transactions.stage`.
    """
    from seqclv.data.building import gather

    return gather(frame, data)
