"""Forget customers of a store: it becomes the store of a log that never named them.

The kept lines of the store's own archive are sorted, netted, matched and counted anew, as after a delivery
(`seqclv.data.append`), so that vocabularies, report and fingerprint are those of the others alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqclv.config import CalendarConfig, CustomersConfig, DataConfig
from seqclv.data.append import with_earlier
from seqclv.data.building import write_store
from seqclv.data.database import connect, run
from seqclv.data.placing import move_into_place, one_at_a_time, scratch_beside
from seqclv.data.privacy import FORGOTTEN
from seqclv.data.privacy import TABLE as LEFT_OUT
from seqclv.data.store import EventStore, open_store
from seqclv.data.transactions import empty_log
from seqclv.errors import InputError


def forget_customers(store: EventStore, ids: Sequence[str]) -> int:
    """Replace a store by one without some customers, in one step, and tell how many of them it had.

    Rejected rows that mention one of the ids go, too; prospects as customers.

    Args:
        store: open; whoever has it open keeps it as it was.
        ids: as the store writes them.

    Raises:
        InputError: nobody would be left.
    """
    wanted = pa.array(sorted(set(ids)), pa.string())
    found = int(pc.sum(pc.is_in(store.ids, wanted)).as_py() or 0)
    if found == store.customers:
        raise InputError(f"A store must have customers, but '{store.path}' would have none left: delete it instead.")
    prospects = store.prospects
    if prospects is not None and len(prospects):
        found += int(pc.sum(pc.is_in(prospects["customer_id"], wanted)).as_py() or 0)
    with scratch_beside(store.path) as scratch:
        data = _as_prepared(store, scratch)
        finished = scratch / "store"
        finished.mkdir()
        with connect(scratch) as connection:
            log = empty_log(connection, data, until=store.info.until)
            connection.register("asked", pa.table({"customer": wanted}))
            for name in (LEFT_OUT, FORGOTTEN):
                run(connection, f"INSERT INTO {name} SELECT customer FROM asked")
            connection.unregister("asked")
            joined = with_earlier(log, store, replace_from=None)
            before = int(store.info.report["rows_not_profiled"])
            counts = joined.counts
            gone = counts.objections.rows - before  # counted as objections, which they are not
            counts = replace(
                counts,
                read=counts.read - gone,
                objections=replace(counts.objections, rows=before),
                forgotten=counts.forgotten + found,
            )
            write_store(replace(joined, counts=counts), finished, store.info.marks)
        with one_at_a_time(store.path):
            if open_store(store.path).fingerprint != store.fingerprint:
                raise InputError(f"A store must not change while it forgets, but '{store.path}' did: try again.")
            move_into_place(finished, store.path)
    return found


def _as_prepared(store: EventStore, scratch: Path) -> DataConfig:
    """The configuration that the store was prepared with, its tables read from the store itself."""
    info = store.info
    return DataConfig(
        numeric=info.numeric,
        categorical=tuple(info.categorical),
        cancellation_days=info.cancellation_days,
        match_on=info.match_on,
        watch=info.watch,
        do_not_profile=info.do_not_profile,
        customers=_customers(store, scratch / "customers.parquet"),
        calendar=_calendar(store, scratch / "calendar.parquet"),
    )


def _customers(store: EventStore, path: Path) -> CustomersConfig | None:
    """The customers table as far as the store holds it: rows of missing values alone are not told from no row."""
    info, prospects = store.info, store.prospects
    if prospects is None:
        return None
    numbers, words = list(info.static_numeric), list(info.static_categorical)
    columns: dict[str, pa.Array] = {"customer_id": store.ids.combine_chunks()}
    there = np.zeros(store.customers, dtype=np.bool_)
    for i in range(len(numbers)):
        values = np.asarray(store.arrays[f"static_numeric_{i}"])
        columns[f"s{i}"] = pa.array(values, pa.float64(), mask=np.isnan(values))
        there |= ~np.isnan(values)
    for i, name in enumerate(words):
        codes = np.asarray(store.arrays[f"static_categorical_{i}"])
        vocabulary = pa.array(info.static_categorical[name], pa.string())
        columns[f"t{i}"] = vocabulary.take(pa.array(codes, pa.int32(), mask=codes < 0))
        there |= codes >= 0
    own = pa.table(columns).filter(pa.array(there))
    others = prospects.rename_columns(own.column_names).cast(own.schema)
    pq.write_table(pa.concat_tables([own, others]), path)
    return CustomersConfig(
        files=(str(path),),
        numeric={name: f"s{i}" for i, name in enumerate(numbers)},
        categorical={name: f"t{i}" for i, name in enumerate(words)},
    )


def _calendar(store: EventStore, path: Path) -> CalendarConfig | None:
    calendar = store.calendar
    if calendar is None:
        return None
    calendar_columns = {name: calendar.values[:, i] for i, name in enumerate(calendar.columns)}
    date = "date"
    while date in calendar_columns:
        date += "_"
    pq.write_table(pa.table({date: pa.array(calendar.dates), **calendar_columns}), path)
    return CalendarConfig(files=(str(path),), date=date, columns=calendar.columns)
