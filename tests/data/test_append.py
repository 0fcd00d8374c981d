"""A delivery appended to a store gives the store that all files give at once."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqclv.config import DataConfig, SourceConfig
from seqclv.configfile import config_from
from seqclv.data import building
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import EventStore, append_store, build_store, open_store
from seqclv.data.windows import history, instant
from seqclv.errors import InputError

DAY = MICROSECONDS_PER_DAY
LOG = simulate(
    SimulationConfig(customers=150, mean_events=8, attributes=True, refund_share=0.1, seed=5)
).transactions.to_pandas()
COLUMNS = DataConfig(categorical=("category",), cancellation_days=60, match_on=("channel",), watch=("channel",))


def at(path: Path, frame: pd.DataFrame, data: DataConfig = COLUMNS) -> DataConfig:
    frame.to_parquet(path, index=False)
    return replace(data, transactions=(str(path),))


def content(store: EventStore) -> dict[str, bytes]:
    """The bytes of everything that a forecast reads."""
    files = [path for path in store.path.iterdir() if path.suffix == ".npy"]
    return {path.name: path.read_bytes() for path in files} | {"ids": str(store.ids.to_pylist()).encode()}


def facts(store: EventStore) -> tuple[object, ...]:
    """All that store.json says, but for the warning that a delivery may have come twice."""
    report = store.info.report
    warnings = [text for text in report["warnings"] if "--replace-from" not in text]
    return replace(store.info, report={}), {**report, "warnings": warnings}


def rejected(store: EventStore) -> list[tuple[object, ...]]:
    rows = pq.read_table(store.path / "rejects.parquet").to_pylist()
    return sorted((tuple(sorted((k, str(v)) for k, v in row.items() if v is not None)) for row in rows), key=str)


def same(one: EventStore, other: EventStore) -> bool:
    return (
        one.fingerprint == other.fingerprint
        and content(one) == content(other)
        and facts(one) == facts(other)
        and rejected(one) == rejected(other)
    )


def test_a_new_day_gives_the_store_and_the_report_of_a_full_rebuild(tmp_path: Path) -> None:
    late = LOG["timestamp"] >= "2021-06-01"
    late[::17] = True  # rows that come late, of all times
    build_store(at(tmp_path / "old.parquet", LOG[~late]), tmp_path / "store")
    (tmp_path / "old.parquet").rename(tmp_path / "archived")  # the earlier raw log is not read
    appended = append_store(at(tmp_path / "new.parquet", LOG[late]), tmp_path / "store")
    whole = build_store(at(tmp_path / "whole.parquet", LOG), tmp_path / "whole")
    assert same(appended, whole)
    assert appended.info.report["cancelled_purchases"] > 20


CELLS = st.tuples(
    st.sampled_from(["", "a", "b", "00a", "é"]),
    st.sampled_from(["2024-01-01", "2024-01-01 10:00", "20240102", "2024-01-05", "x", ""]),
    st.sampled_from(["1", "2.5", "-1", "-2.5", "0", "0.1", "0.3", "-0.1", "1e9", "NaN", "x", "1e20"]),
    st.sampled_from(["", "sale", "refund", "visit", "mail"]),
    st.sampled_from(["", "1", "0.3", "x"]),
    st.sampled_from(["", "u", "v", "w"]),
)
HEADER = "customer_id,timestamp,amount,kind,n,c"
CONFIG = DataConfig(event_type="kind", numeric=("n",), categorical=("c",), max_reject_share=1.0, watch=("c",))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(CELLS, max_size=30),
    st.lists(st.sampled_from([1, 2]), min_size=31, max_size=31),
    st.sampled_from([0.0, 2.0]),
    st.sampled_from([None, "2024-01-02", "2024-01-05"]),
    st.integers(0, 5),
)
def test_any_rows_in_any_deliveries_give_the_same_store(
    tmp_path: Path, rows: list[tuple[str, ...]], share: list[int], days: float, until: str | None, broken: int
) -> None:
    data = replace(CONFIG, cancellation_days=days)
    parts: dict[int, list[str]] = {1: [], 2: []}
    lines = [",".join(row) for row in rows] + ["broken,line"] * broken
    for i, line in enumerate(lines):
        parts[share[i % len(share)]].append(line)
    for part in parts.values():
        part.append("z,2023-12-31,3,,1,u")
    for name, part in (("one", parts[1]), ("two", parts[2]), ("all", parts[1] + parts[2])):
        (tmp_path / f"{name}.csv").write_text("\n".join([HEADER, *part]) + "\n")
    named = {name: replace(data, transactions=(str(tmp_path / f"{name}.csv"),)) for name in ("one", "two", "all")}
    end = None if until is None else instant(until)
    build_store(named["one"], tmp_path / "store", until=end)
    appended = append_store(named["two"], tmp_path / "store", until=end)
    assert same(appended, build_store(named["all"], tmp_path / "whole", until=end))


def test_many_small_deliveries_in_any_order_give_the_same_store(tmp_path: Path) -> None:
    plain = DataConfig(categorical=("category",))
    weeks = [part for _, part in LOG.groupby(LOG["timestamp"].dt.to_period("Q"))]
    random.Random(3).shuffle(weeks)
    build_store(at(tmp_path / "0.parquet", weeks[0], plain), tmp_path / "store")
    for i, week in enumerate(weeks[1:]):
        store = append_store(at(tmp_path / f"{i}.parquet", week, plain), tmp_path / "store")
    assert content(store) == content(build_store(at(tmp_path / "all.parquet", LOG, plain), tmp_path / "whole"))


def test_days_delivered_again_replace_what_was_there(tmp_path: Path) -> None:
    from_ = pd.Timestamp("2021-09-01")
    wrong = LOG.assign(amount=np.where(LOG["timestamp"] >= from_, 99.0, LOG["amount"]))
    wrong.loc[wrong.index[-1], "amount"] = np.inf  # a rejected row of the days that come again
    build_store(at(tmp_path / "old.parquet", wrong), tmp_path / "store")
    delivery = at(tmp_path / "new.parquet", LOG[LOG["timestamp"] >= from_])
    corrected = append_store(delivery, tmp_path / "store", replace_from=instant(from_))
    assert same(corrected, build_store(at(tmp_path / "all.parquet", LOG), tmp_path / "whole"))
    again = append_store(delivery, tmp_path / "store", replace_from=instant(from_))
    assert same(again, corrected)


def test_a_delivery_that_comes_twice_adds_its_late_its_rejected_and_its_malformed_rows_once(tmp_path: Path) -> None:
    days = LOG.assign(timestamp=LOG["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    late, old = days[days["timestamp"] >= "2021-09-01"], days[days["timestamp"] < "2021-09-01"]
    columns = replace(COLUMNS, transactions=(str(tmp_path / "new.csv"),))
    build_store(replace(columns, transactions=(csv_at(tmp_path / "old.csv", old),)), tmp_path / "store")
    row = {"customer_id": "x", "amount": "5", "category": "c", "channel": "web"}
    strange = [
        {**row, "timestamp": "2021-02-01 10:00:00"},  # late, and twice in one delivery: two line items
        {**row, "timestamp": "2021-02-01 10:00:00"},
        {**row, "timestamp": "2021-02-02 10:00:00", "amount": "five"},
        {**row, "timestamp": "soon"},
        old.iloc[0].to_dict(),  # the store holds it already
    ]
    place = Path(csv_at(tmp_path / "new.csv", pd.concat([late, pd.DataFrame(strange)])))
    place.write_text(place.read_text() + "too,few\n")
    once = append_store(columns, tmp_path / "store", replace_from=instant("2021-09-01"))
    assert once.info.report["rows_kept"] == len(LOG) + 2
    assert once.info.report["rows_rejected"] == 3
    twice = append_store(columns, tmp_path / "store", replace_from=instant("2021-09-01"))
    assert same(twice, once) and twice.info.report == once.info.report
    for store in (once, twice):
        [told] = [text for text in store.info.report["warnings"] if "held it already" in text]
        assert told.startswith("3 rows of this delivery lie before")


def csv_at(path: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(path, index=False)
    return str(path)


def test_rows_forgotten_for_days_that_are_not_delivered_are_counted_in_a_warning(tmp_path: Path) -> None:
    """Whoever mistypes a month in --replace-from hears of it."""
    late = LOG["timestamp"] >= "2021-06-01"
    build_store(at(tmp_path / "old.parquet", LOG[~late]), tmp_path / "store")
    lost = int((LOG["timestamp"][~late] >= "2021-02-01").sum())
    delivery = at(tmp_path / "new.parquet", LOG[late])
    meant = append_store(delivery, tmp_path / "store", replace_from=instant("2021-06-01"))
    assert not any("forgotten" in text for text in meant.info.report["warnings"])
    mistyped = append_store(delivery, tmp_path / "store", replace_from=instant("2021-02-01"))
    [told] = [text for text in mistyped.info.report["warnings"] if "forgotten" in text]
    assert told.startswith(f"{lost:,} rows of the store")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_day_without_purchases_changes_nothing_but_the_warnings(tmp_path: Path, kind: str) -> None:
    store = build_store(at(tmp_path / "log.parquet", LOG), tmp_path / "store")
    nothing, after = at(tmp_path / "new.parquet", LOG.head(0)), instant("2030-01-01")
    if kind == "csv":
        LOG.head(0).to_csv(tmp_path / "new.csv", index=False)
        nothing = replace(nothing, transactions=(str(tmp_path / "new.csv"),))
    before = content(store)
    later = append_store(nothing, tmp_path / "store", replace_from=after)
    assert content(later) == before
    assert later.info.report["rows_kept"] == len(LOG)
    assert any("no rows" in text for text in later.info.report["warnings"])
    assert content(append_store(nothing, tmp_path / "store")) == before


def test_rows_are_not_forgotten_for_a_delivery_that_has_none(tmp_path: Path) -> None:
    before = content(build_store(at(tmp_path / "log.parquet", LOG), tmp_path / "store"))
    last = LOG["timestamp"].max().floor("D")
    with pytest.raises(InputError, match=r"must have some, but it has none, .* holds [\d,]+ rows from"):
        append_store(at(tmp_path / "new.parquet", LOG.head(0)), tmp_path / "store", replace_from=instant(last))
    assert content(open_store(tmp_path / "store")) == before


def test_a_delivery_that_comes_twice_is_kept_counted_and_warned_about(tmp_path: Path) -> None:
    build_store(at(tmp_path / "log.parquet", LOG), tmp_path / "store")
    twice = append_store(at(tmp_path / "log.parquet", LOG), tmp_path / "store")
    assert twice.info.report["exact_duplicates"] == len(LOG)
    assert twice.info.report["rows_kept"] == 2 * len(LOG)
    [warning] = [text for text in twice.info.report["warnings"] if "--replace-from" in text]
    assert f"{len(LOG):,}" in warning


def test_a_reader_keeps_the_old_store_and_a_failed_delivery_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = LOG["timestamp"] >= "2021-06-01"
    old = build_store(at(tmp_path / "old.parquet", LOG[~late]), tmp_path / "store")
    before = content(old)
    (tmp_path / "bad.csv").write_text("customer_id,timestamp,amount,category,channel\na,x,1,u,v\n")
    with pytest.raises(InputError, match="rejected"):
        append_store(replace(COLUMNS, transactions=(str(tmp_path / "bad.csv"),)), tmp_path / "store")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    delivery = at(tmp_path / "new.parquet", LOG[late])
    with monkeypatch.context() as patch:
        patch.setattr(building, "_write_rejects", fail)
        with pytest.raises(KeyboardInterrupt):
            append_store(delivery, tmp_path / "store")
    assert content(open_store(tmp_path / "store")) == before
    new = append_store(delivery, tmp_path / "store")
    assert new.customers >= old.customers and len(new.read()) > len(old.read())
    assert old.read().amount.tobytes() == before["amount.npy"][128:]  # of the mapped file that is gone
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "new.parquet", "old.parquet", "store"]


def test_a_store_replaced_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_store(at(tmp_path / "old.parquet", LOG[:500]), tmp_path / "store")
    write = building.write_store

    def slow(*args: object) -> None:
        monkeypatch.setattr(building, "write_store", write)
        append_store(at(tmp_path / "other.parquet", LOG[500:600]), tmp_path / "store")
        write(*args)

    monkeypatch.setattr(building, "write_store", slow)
    with pytest.raises(InputError, match="replaced meanwhile"):
        append_store(at(tmp_path / "new.parquet", LOG[600:]), tmp_path / "store")
    assert open_store(tmp_path / "store").info.report["rows_kept"] == 600


_APPEND = """
import sys
from seqclv.config import DataConfig
from seqclv.data.store import append_store
from seqclv.errors import InputError

columns = dict(categorical=("category",), cancellation_days=60, match_on=("channel",), watch=("channel",))
try:
    append_store(DataConfig(transactions=(sys.argv[1],), **columns), sys.argv[2])
except InputError as error:
    sys.exit(f"refused: {error}")
"""


def test_of_two_deliveries_at_once_each_is_added_or_refused(tmp_path: Path) -> None:
    build_store(at(tmp_path / "old.parquet", LOG[:500]), tmp_path / "store")
    for name, rows in (("one", LOG[500:600]), ("two", LOG[600:750])):
        at(tmp_path / f"{name}.parquet", rows)
    commands = [
        [sys.executable, "-c", _APPEND, str(tmp_path / f"{n}.parquet"), tmp_path / "store"] for n in ("one", "two")
    ]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate()[1] for process in running]
    added = [rows for rows, process in zip((100, 150), running, strict=True) if process.returncode == 0]
    assert all(process.returncode == 0 or "refused" in text for process, text in zip(running, said, strict=True))
    assert added and open_store(tmp_path / "store").info.report["rows_kept"] == 500 + sum(added)


@pytest.mark.parametrize("name", ["lines.parquet", "rejects.parquet"])
def test_a_delivery_to_a_store_whose_lines_are_lost_or_cut_is_refused(tmp_path: Path, name: str) -> None:
    store = build_store(at(tmp_path / "old.parquet", LOG[:500]), tmp_path / "store")
    delivery = at(tmp_path / "new.parquet", LOG[500:])
    (store.path / name).write_bytes((store.path / name).read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{name} is not readable: prepare it anew"):
        append_store(delivery, tmp_path / "store")
    (store.path / name).unlink()
    with pytest.raises(InputError, match=f"{name} is not readable: prepare it anew"):
        append_store(delivery, tmp_path / "store")


def test_a_delivery_of_other_rules_or_zone_is_refused(tmp_path: Path) -> None:
    build_store(at(tmp_path / "old.parquet", LOG[:500]), tmp_path / "store")
    new = at(tmp_path / "new.parquet", LOG[500:])
    for change, message in {
        "categorical": "categorical is empty, not category",
        "cancellation_days": "cancellation_days is 1, not 60",
    }.items():
        other = replace(new, **{change: () if change == "categorical" else 1})
        with pytest.raises(InputError, match=message):
            append_store(other, tmp_path / "store")
    zoned = LOG[500:].assign(timestamp=LOG["timestamp"][500:].dt.tz_localize("UTC"))
    with pytest.raises(InputError, match="time zone"):
        append_store(at(tmp_path / "zoned.parquet", zoned), tmp_path / "store")
    with pytest.raises(InputError, match="prepared store"):
        append_store(new, tmp_path / "nowhere")


def test_new_columns_of_rejected_rows_join_the_old_ones(tmp_path: Path) -> None:
    good = "".join(f"g{i},2024-01-01,1,x\n" for i in range(5))
    plain = DataConfig(transactions=(str(tmp_path / "log.csv"),))
    (tmp_path / "log.csv").write_text("customer_id,timestamp,amount,reason\n" + good + "b,x,1,gift\n")
    build_store(plain, tmp_path / "store")
    (tmp_path / "log.csv").write_text("amount,customer_id,timestamp,note\n" + "1,h,2024-01-02,\n" * 5 + "1,c,y,new\n")
    store = append_store(plain, tmp_path / "store")
    rows = {row["customer_id"]: row for row in pq.read_table(store.path / "rejects.parquet").to_pylist()}
    assert (rows["b"]["timestamp"], rows["b"]["reason_"], rows["b"]["note"]) == ("x", "gift", None)
    assert (rows["c"]["timestamp"], rows["c"]["reason_"], rows["c"]["note"]) == ("y", None, "new")


def test_filters_merged_identities_and_customers_tables_give_the_store_of_a_full_rebuild(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("customer_id,age\na,30\nb,40\nnobody,50\n")
    values = {
        "where": "amount <> 7",
        "customers": {"files": [str(tmp_path / "people.csv")], "numeric": {"age": "age"}},
        "identities": {"files": [str(tmp_path / "merged.csv")]},
    }

    def data(*names: str) -> DataConfig:
        files = [str(tmp_path / f"{name}.csv") for name in names]
        return config_from({"data": {**values, "transactions": files}}).data

    (tmp_path / "one.csv").write_text(
        "customer_id,timestamp,amount\nold,2024-01-01,1\nx,2024-01-01,2\nb,2024-01-02,7\n"
    )
    (tmp_path / "two.csv").write_text("customer_id,timestamp,amount\na,2024-01-01,4\nb,2024-01-03,7\nx,2024-01-04,5\n")
    (tmp_path / "merged.csv").write_text("old_id,customer_id\nold,a\n")
    build_store(data("one"), tmp_path / "store")
    (tmp_path / "merged.csv").write_text("old_id,customer_id\nold,a\nx,b\n")  # known since today
    appended = append_store(data("two"), tmp_path / "store")
    whole = build_store(data("one", "two"), tmp_path / "whole")
    assert same(appended, whole)
    assert list(appended.read().customer_id) == ["a", "b"]
    assert (whole.info.report["rows_filtered"], whole.info.report["rows_relabelled"]) == (2, 3)
    with pytest.raises(InputError, match=r"customers\.numeric is empty, not age"):
        append_store(replace(data("two"), customers=None), tmp_path / "store")


def test_several_sources_share_what_is_matched_and_watched_where_they_have_it(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(
        "customer_id,timestamp,amount,sku,ch\na,2024-01-01,5,x,web\na,2024-01-02,5,y,app\na,2024-01-03,-5,x,web\n"
    )
    (tmp_path / "reviews.csv").write_text("customer_id,timestamp\na,2024-01-05\n")
    sales = {"files": [str(tmp_path / "sales.csv")], "categorical": {"channel": "ch"}}
    reviews = {"files": [str(tmp_path / "reviews.csv")], "every_row_is": "review"}
    shared = {"cancellation_days": 30, "match_on": ["sku"], "watch": ["channel"]}
    store = build_store(config_from({"data": {**shared, "sources": [sales, reviews]}}).data, tmp_path / "store")
    assert store.info.report["cancelled_purchases"] == 1
    assert list(history(store.read(), instant("2024-02-01"), "1d").timestamp // DAY) == [19_724, 19_727]
    wrong = config_from({"data": {**shared, "watch": ["nothing"], "sources": [sales, reviews]}}).data
    with pytest.raises(InputError, match="no source has it"):
        build_store(wrong, tmp_path / "store")


def test_sources_delivered_one_after_the_other_give_the_store_of_all_their_files(tmp_path: Path) -> None:
    def sources(*parts: str) -> DataConfig:
        named = {kind: tuple(str(tmp_path / f"{kind}-{part}.parquet") for part in parts) for kind in ("a", "b")}
        return DataConfig(sources=(SourceConfig(files=named["a"]), SourceConfig(files=named["b"], every_row_is="call")))

    for i, part in enumerate((LOG[:500], LOG[500:])):
        part[::2].to_parquet(tmp_path / f"a-{i}.parquet")
        part[1::2].to_parquet(tmp_path / f"b-{i}.parquet")
    build_store(sources("0"), tmp_path / "store")
    appended = append_store(sources("1"), tmp_path / "store")
    assert same(appended, build_store(sources("0", "1"), tmp_path / "whole"))
    lines = [pq.read_table(tmp_path / name / "lines.parquet").to_pydict() for name in ("store", "whole")]
    assert lines[0] == lines[1]
