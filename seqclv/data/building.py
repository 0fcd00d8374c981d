"""Build the EventStore: sorted lines are appended to flat files, which then move into place at once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.config import DataConfig
from seqclv.data.append import delivery_warnings, replaced, require_rows_to_replace, with_earlier
from seqclv.data.archive import LINES_FILE
from seqclv.data.beside import static_attributes, write_beside
from seqclv.data.database import connect
from seqclv.data.events import Categorical, Events, FloatArray
from seqclv.data.honoured import filters_of
from seqclv.data.inspection import Inspection
from seqclv.data.lines import Lines
from seqclv.data.log import Log
from seqclv.data.mapping import named_places
from seqclv.data.placing import move_into_place, one_at_a_time, scratch_beside
from seqclv.data.remarks import without_customer
from seqclv.data.report import concentration
from seqclv.data.store import (
    REJECTS_FILE,
    REPORT_FILE,
    EventStore,
    is_store,
    open_store,
)
from seqclv.data.storefiles import StoreFiles, fresh_start
from seqclv.data.storeinfo import FORMAT_VERSION, STORE_FILE, Marks, StoreInfo
from seqclv.data.tables import load_calendar
from seqclv.data.transactions import read_frame, read_log
from seqclv.errors import InputError
from seqclv.pseudonyms import PseudonymKey

if TYPE_CHECKING:
    from seqclv.data.frames import Frame


@dataclass(frozen=True)
class Delivery:
    """Rows to be appended to a store that exists."""

    earlier: EventStore
    replace_from: int | None  # microseconds; the store's rows from there on are forgotten


def build(
    data: DataConfig,
    out: Path,
    *,
    until: int | None = None,
    delivery: Delivery | None = None,
    key: PseudonymKey | None = None,
) -> Path:
    """Build the store of `data` at `out`, or with a `delivery` append `data` to the store there.

    Other arguments and errors are those of `seqclv.data.store.build_store` and `append_store`.
    """
    for source in named_places(data):
        if is_store(source):
            raise InputError(f"A log must be raw to be prepared, but '{source}' is a prepared store already.")
    _require_replaceable(out)
    marks = _marks(data, key, None if delivery is None else delivery.earlier.info)
    with scratch_beside(out) as scratch:
        finished = scratch / "store"
        with connect(scratch) as connection:
            log = read_log(connection, data, until=until, key=key, delivery=delivery is not None)
            finished.mkdir()
            if delivery is None:
                write_store(log, finished, marks)
            else:
                require_rows_to_replace(log, delivery.earlier, delivery.replace_from)
                found = replaced(log, delivery.earlier, delivery.replace_from)
                joined = with_earlier(log, delivery.earlier, replace_from=delivery.replace_from)
                warn = partial(delivery_warnings, delivery.earlier, log.counts, found)
                write_store(joined, finished, marks, warn)
        out.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(out):
            if delivery is not None:
                _require_unchanged(out, delivery)
            move_into_place(finished, out)
    return out


def _marks(data: DataConfig, key: PseudonymKey | None, earlier: StoreInfo | None) -> Marks:
    """What is done to the rows of `data` on their way into a store, and was done to those that it holds."""
    filters, identities = filters_of(data), data.identities is not None
    if earlier is not None:
        filters = tuple(sorted({*filters, *(earlier.filters or ("",))}))
        identities = identities or bool(earlier.identities)
    return Marks(
        pseudonym_check=None if key is None else key.check,
        filters=filters,
        identities=identities,
    )


def _require_unchanged(out: Path, delivery: Delivery) -> None:
    if not is_store(out) or open_store(out).fingerprint != delivery.earlier.fingerprint:
        raise InputError(
            f"A store must not change while a delivery is appended, but '{out}' was replaced meanwhile: append again."
        )


def gather(frame: "Frame", data: DataConfig) -> Events:
    """The events of a frame; see `seqclv.data.store.events_from_frame`."""
    with connect(None) as connection:
        return _gathered(read_frame(connection, frame, replace(data, watch=())))


def gather_part(frame: "Frame", data: DataConfig) -> Events | None:
    """The events of all rows of some customers, from a log that was validated as a whole; None if none is usable."""
    with connect(None) as connection:
        log = read_frame(connection, frame, replace(data, watch=()), whole=False)
        return _gathered(log) if log.counts.kept else None


def _gathered(log: Log) -> Events:
    blocks = list(log.lines())
    static = _static(log, blocks)
    ids: list[str] = []
    starts, total = [], 0
    data = log.data
    for block in blocks:
        fresh = fresh_start(block, ids[-1] if ids else None)
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
        counterpart=np.concatenate([block.counterpart for block in blocks]) if data.cancellation_days else None,
        calendar=None if data.calendar is None else load_calendar(log.connection, data.calendar, data.decimal),
    )


def _static(log: Log, blocks: Sequence[Lines]) -> tuple[dict[str, FloatArray], dict[str, Categorical]]:
    ids = pa.chunked_array([block.customer_id for block in blocks], pa.string()).unique()
    return static_attributes(log.connection, log.data, pa.chunked_array([ids]))


def _require_replaceable(out: Path) -> None:
    if out.resolve() == Path.cwd():
        raise InputError(
            f"A store is a directory that comes into its place whole, but '{out}' is the current one: name another, "
            "such as 'store'."
        )
    if out.is_dir() and (is_store(out) or not any(out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise InputError(f"A store must be written to a new place or over another store, but '{out}' is neither.")


def write_store(
    log: Log, directory: Path, marks: Marks, warn: Callable[[int], list[str]] = lambda duplicates: []
) -> None:
    """Write all files of a store; store.json last, without which it is none.

    Args:
        log: validated.
        directory: an empty one.
        marks: what was done to the rows before.
        warn: gives further warnings for the report, from the number of exact duplicates.
    """
    numeric, categorical = log.data.numeric, log.data.categorical
    with StoreFiles(directory, log.data) as files:
        inspection = _append_all(log, files, directory / LINES_FILE)
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
        cancellation_days=log.data.cancellation_days,
        match_on=log.data.match_on,
        watch=log.data.watch,
        zoned=log.counts.zoned,
        until=log.until,
        fingerprint=hashlib.sha256(b"".join([names, *digests, *beside.digests])).hexdigest(),
        report={},
        static_numeric=beside.static_numeric,
        static_categorical=beside.static_categorical,
        calendar=beside.calendar,
        do_not_profile=log.data.do_not_profile,
        **asdict(marks),
    )
    _write_rejects(log, directory / REJECTS_FILE)
    (directory / STORE_FILE).write_text(info.to_json(), "utf-8")
    shares = concentration(open_store(directory).blocks())
    report = log.report(inspection, files.customers, files.duplicates, shares)
    warnings = [*report.warnings, *without_customer(beside.counts, files.customers), *warn(files.duplicates)]
    report = replace(report, warnings=warnings, customers_table=beside.counts)
    (directory / REPORT_FILE).write_text(report.render() + "\n", "utf-8")
    text = replace(info, report=report.to_dict()).to_json()
    (directory / "store.json.new").write_text(text, "utf-8")
    (directory / "store.json.new").replace(directory / STORE_FILE)


def _append_all(log: Log, files: StoreFiles, archive: Path) -> Inspection:
    """Append the lines to the store's files, and inspect them meanwhile: the database is idle while they are netted.

    Where it is asked for the counterparts of cancellations, it is not: then they are inspected afterwards.
    """
    inspection: Future[Inspection] | None = None
    with ThreadPoolExecutor(1) as aside:
        try:
            for block in log.lines(archive):
                if inspection is None and not log.data.cancellation_days:
                    inspection = aside.submit(log.inspected)
                files.append(block)
        except BaseException:
            while inspection is not None and wait([inspection], timeout=0.05).not_done:
                log.connection.interrupt()  # of no use any more; between two queries it does not hear
            raise
        return log.inspected() if inspection is None else inspection.result()


def _write_rejects(log: Log, path: Path) -> None:
    kinds = {"instant": pa.timestamp("us")}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in log.reject_columns])
    with pq.ParquetWriter(path, schema) as writer:
        for batch in log.rejects():
            writer.write_batch(batch)
