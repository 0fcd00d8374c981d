import json
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.config import DataConfig
from seqclv.data import archive, building
from seqclv.data import log as log_module
from seqclv.data.events import Events
from seqclv.data.report import concentration
from seqclv.data.simulate import SimulationConfig, simulate, write
from seqclv.data.store import EventStore, build_store, events_from_frame, is_store, open_log, open_store
from seqclv.data.storefiles import StoreFiles
from seqclv.errors import InputError

BASE = simulate(SimulationConfig(customers=300, mean_events=8, attributes=True, refund_share=0.1))
COLUMNS = DataConfig(categorical=("category", "channel"))


def log_at(path: Path) -> DataConfig:
    write(BASE, path)
    return replace(COLUMNS, transactions=(str(path),))


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    return build_store(log_at(tmp_path / "log.parquet"), tmp_path / "store")


def same(left: Events, right: Events) -> bool:
    columns = ("customer_id", "offset", "timestamp", "amount", "event_type")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in columns) and all(
        np.array_equal(left.categorical[name].codes, right.categorical[name].codes) for name in left.categorical
    )


def test_a_store_holds_the_log_sorted_by_customer_and_time(store: EventStore) -> None:
    frame = BASE.transactions.to_pandas().sort_values(["customer_id", "timestamp"])
    events = store.read()
    assert store.customers == events.customers == frame["customer_id"].nunique()
    assert list(events.customer_id) == sorted(frame["customer_id"].unique())
    assert np.array_equal(events.timestamp, frame["timestamp"].astype("datetime64[us]").astype("int64"))
    assert np.array_equal(events.amount, frame["amount"])
    assert np.array_equal(events.customer_id[events.owner], frame["customer_id"])
    assert (store.first, store.last) == (events.timestamp.min(), events.timestamp.max())


def test_a_part_of_the_customers_is_read_as_the_whole_has_it(store: EventStore) -> None:
    whole = store.read()
    assert same(store.read(10, 20), whole.select(np.arange(10, 20)))
    assert same(store.read(290), whole.select(np.arange(290, store.customers)))
    assert len(store.read(5, 5)) == 0
    assert sum(len(block) for block in store.blocks(customers=7)) == len(whole)


def test_several_files_give_the_same_bytes_each_time(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows, feeds = 60_000, 200
    days = random.integers(0, 700, rows).astype("timedelta64[D]")
    frame = pd.DataFrame(
        {"customer_id": random.integers(0, 3_000, rows), "timestamp": np.datetime64("2021-01-01") + days}
    )
    frame["amount"] = random.integers(1, 100, rows).astype(float)
    frame["channel"] = random.integers(0, feeds, rows).astype(str)
    frame.loc[::97, "amount"] = np.nan
    places = [tmp_path / f"{i}.csv" for i in range(4)]
    for i, place in enumerate(places):
        frame[i::4].to_csv(place, index=False)
        with place.open("a") as file:
            file.writelines(f"malformed {i} {j}\n" for j in range(20))
    data = DataConfig(transactions=tuple(map(str, places)), watch=("channel",))
    stores = [build_store(data, tmp_path / f"store{i}").path for i in range(6)]
    names = sorted(path.name for path in stores[0].iterdir())
    for name in names:
        assert len({(store / name).read_bytes() for store in stores}) == 1, name
    rejects = pq.read_table(stores[0] / "rejects.parquet").to_pandas()
    assert len(rejects) == 80 + -(-rows // 97)
    assert rejects["reason"].is_monotonic_increasing
    # Feeds are few and stand in a dictionary, in an order that threads do not decide.
    written = pq.read_table(stores[0] / "lines.parquet", read_dictionary=["w0"])["w0"].chunk(0).dictionary.to_pylist()
    assert written == sorted(written) == sorted(map(str, range(feeds)))


def test_equal_rows_of_several_files_give_the_same_bytes_each_time(tmp_path: Path) -> None:
    rows = pd.DataFrame({"customer_id": "c", "timestamp": pd.Timestamp("2021-01-01"), "amount": [1.0] * 30_000})
    places = [tmp_path / f"{i}.parquet" for i in range(4)]
    for place in places:
        rows.to_parquet(place, index=False)
    data = DataConfig(transactions=tuple(map(str, places)))
    written = {(build_store(data, tmp_path / f"store{i}").path / "lines.parquet").read_bytes() for i in range(5)}
    assert len(written) == 1


@pytest.mark.parametrize("cause", [KeyboardInterrupt, OSError])
def test_whatever_stops_the_writing_stops_the_inspection_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: type[BaseException]
) -> None:
    """Nobody waits for the queries of an inspection whose store will never be."""
    asked = threading.Event()

    def endless(connection: duckdb.DuckDBPyConnection, *_: object) -> None:
        asked.set()
        connection.execute("SELECT max(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b").fetchall()

    def stopped(*_: object) -> None:
        assert asked.wait(60)
        raise cause

    monkeypatch.setattr(log_module, "inspect", endless)
    monkeypatch.setattr(StoreFiles, "append", stopped)
    with pytest.raises(cause):
        build_store(log_at(tmp_path / "log.parquet"), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_store_a_csv_and_a_frame_hold_the_same(store: EventStore, tmp_path: Path) -> None:
    from_csv = build_store(log_at(tmp_path / "log.csv"), tmp_path / "other")
    assert from_csv.fingerprint == store.fingerprint
    assert same(events_from_frame(BASE.transactions, COLUMNS), store.read())
    assert same(events_from_frame(BASE.transactions.to_pandas(), COLUMNS), store.read())


def test_the_size_of_batches_does_not_matter(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netted = build_store(DataConfig(transactions=("dataset:cdnow_sample",)), tmp_path / "netted")
    monkeypatch.setattr(archive, "BATCH_ROWS", 2048)
    again = build_store(DataConfig(transactions=("dataset:cdnow_sample",)), tmp_path / "again")
    assert again.fingerprint == netted.fingerprint
    assert again.info.report == netted.info.report


def test_a_changed_amount_changes_the_fingerprint(store: EventStore, tmp_path: Path) -> None:
    frame = BASE.transactions.to_pandas()
    frame.loc[7, "amount"] += 0.01
    frame.to_parquet(tmp_path / "changed.parquet")
    data = replace(COLUMNS, transactions=(str(tmp_path / "changed.parquet"),))
    assert build_store(data, tmp_path / "other").fingerprint != store.fingerprint


def test_rows_from_the_end_asked_for_on_leave_no_trace(store: EventStore, tmp_path: Path) -> None:
    until = int(np.median(store.read().timestamp))
    stamps = BASE.transactions["timestamp"].to_numpy().astype("datetime64[us]").astype(np.int64)
    write(replace(BASE, transactions=BASE.transactions.filter(pa.array(stamps < until))), tmp_path / "before.parquet")
    before = build_store(replace(COLUMNS, transactions=(str(tmp_path / "before.parquet"),)), tmp_path / "before")
    cut = build_store(replace(COLUMNS, transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "cut", until=until)
    assert cut.fingerprint == before.fingerprint
    report = cut.info.report
    assert report["rows_read"] == report["rows_kept"] + report["rows_after_end"]
    with pytest.raises(InputError, match="end asked for"):
        build_store(replace(COLUMNS, transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "cut", until=0)


def test_a_finished_store_is_replaced_and_nothing_else_is(store: EventStore, tmp_path: Path) -> None:
    again = build_store(DataConfig(transactions=("dataset:cdnow_sample",)), store.path)
    assert again.customers == 2357
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("dear")
    for place in (tmp_path / "mine", tmp_path / "mine/thesis.txt"):
        with pytest.raises(InputError, match="neither"):
            build_store(DataConfig(transactions=("dataset:cdnow_sample",)), place)
    assert (tmp_path / "mine/thesis.txt").read_text() == "dear"


def test_a_failure_leaves_the_old_store_and_no_half_written_one(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.csv").write_text("customer_id,timestamp,amount\na,x,1\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError):
        build_store(DataConfig(transactions=(str(tmp_path / "bad.csv"),)), store.path)
    with pytest.raises(InputError):
        build_store(DataConfig(transactions=(str(tmp_path / "bad.csv"),)), tmp_path / "new/deep/store")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "_write_rejects", fail)
    with pytest.raises(KeyboardInterrupt):
        build_store(DataConfig(transactions=(str(tmp_path / "log.parquet"),)), store.path)
    assert sorted(tmp_path.rglob("*")) == before
    assert open_store(store.path).fingerprint == store.fingerprint


def test_open_log_takes_a_store_or_builds_one(store: EventStore, tmp_path: Path) -> None:
    assert open_log(DataConfig(transactions=(str(store.path),)), tmp_path / "work").fingerprint == store.fingerprint
    assert not (tmp_path / "work").exists()
    built = open_log(replace(COLUMNS, transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "work")
    assert built.fingerprint == store.fingerprint
    assert is_store(tmp_path / "work/store")


def test_a_store_cannot_be_mixed_prepared_again_or_asked_for_what_it_lacks(store: EventStore, tmp_path: Path) -> None:
    place = str(store.path)
    with pytest.raises(InputError, match="alone"):
        open_log(DataConfig(transactions=(place, "more.csv")), tmp_path)
    with pytest.raises(InputError, match="already"):
        build_store(DataConfig(transactions=(place,)), tmp_path / "other")
    with pytest.raises(InputError, match="lacks weight"):
        open_log(DataConfig(transactions=(place,), numeric=("weight",)), tmp_path)


def test_the_current_directory_is_no_place_for_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_at(tmp_path / "log.parquet")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for here in (".", tmp_path / "here"):
        with pytest.raises(InputError, match="is the current one: name another"):
            build_store(log, here)


def test_a_directory_around_a_store_is_no_part_of_the_log(store: EventStore, tmp_path: Path) -> None:
    again = build_store(replace(COLUMNS, transactions=(str(tmp_path),)), tmp_path / "again")
    assert again.fingerprint == store.fingerprint


@pytest.mark.parametrize("file", ["amount.npy", "offset.npy", "customers.arrow", "store.json"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "gone"])
def test_a_damaged_store_is_refused(store: EventStore, file: str, damage: str) -> None:
    content = (store.path / file).read_bytes()
    (store.path / file).unlink()  # the open store keeps its own mapped file
    if damage != "gone":
        (store.path / file).write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
    with pytest.raises(InputError, match="store"):
        open_store(store.path)


def test_files_that_do_not_fit_together_and_unknown_formats_are_refused(store: EventStore, tmp_path: Path) -> None:
    (store.path / "amount.npy").unlink()
    np.save(store.path / "amount.npy", np.zeros(3))
    with pytest.raises(InputError, match="fit"):
        open_store(store.path)
    (store.path / "store.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(InputError, match="format 99"):
        open_store(store.path)
    assert not is_store(tmp_path)
    with pytest.raises(InputError, match=r"store\.json"):
        open_store(tmp_path)


def test_the_report_tells_one_day_customers_and_the_share_of_the_best(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b", "b", "c", "d"],
            "timestamp": ["2024-01-01 1:00", "2024-01-01 2:00", *["2024-01-01", "2024-01-02"] * 2],
            "amount": [1.0, 2.0, 50.0, 47.0, 0.0, -1.0],
        }
    )
    assert concentration([events_from_frame(frame, DataConfig())]) == (0.5, 0.97)
    assert concentration([]) == (None, None)


def test_rejects_keep_every_column_of_the_row(tmp_path: Path) -> None:
    frame = BASE.transactions.to_pandas()
    frame.loc[3, "amount"] = np.inf
    frame["note"] = [b"x"] * len(frame)
    frame.to_parquet(tmp_path / "log.parquet")
    built = build_store(DataConfig(transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "store")
    [row] = pq.read_table(built.path / "rejects.parquet").to_pylist()
    assert row["reason"] == "infinite amount"
    assert row["category"] == frame.loc[3, "category"]
    assert row["note"] == "x"
