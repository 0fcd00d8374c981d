import gzip
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqclv.config import DataConfig, SourceConfig
from seqclv.data.events import FIRST_FURTHER_TYPE, PURCHASE
from seqclv.data.report import DataReport
from seqclv.data.store import EventStore, build_store, events_from_frame
from seqclv.errors import InputError

DAY = 86_400_000_000
GOOD = "customer_id,timestamp,amount\n" + "".join(f"g{i},2024-01-01,1\n" for i in range(20))


def store_of(tmp_path: Path, text: str, **options: object) -> EventStore:
    """The store of a CSV text."""
    (tmp_path / "log.csv").write_bytes(text.encode())
    return build_store(DataConfig(transactions=(str(tmp_path / "log.csv"),), **options), tmp_path / "store")


def instants(values: list[str], **options: object) -> list[int]:
    """Microseconds of text timestamps, one customer each."""
    frame = pd.DataFrame({"customer_id": [f"{i:03d}" for i in range(len(values))], "timestamp": values, "amount": 1.0})
    return list(events_from_frame(frame, DataConfig(**options)).timestamp)


def micros(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def table(**columns: object) -> pa.Table:
    size = len(next(iter(columns.values())))
    rest = {"customer_id": ["a"] * size, "timestamp": ["2024-01-01"] * size, "amount": [1.0] * size}
    return pa.table(rest | columns)


# ---------------------------------------------------------------- customer ids


def test_ids_in_csv_stay_byte_for_byte(tmp_path: Path) -> None:
    ids = ["00012", "17850.0", "9007199254740993", "1e5", " x ", "NULL", "é", "𝄞", "true", '"']
    rows = "".join(f'"{i.replace(chr(34), chr(34) * 2)}",2024-01-01,1\n' for i in ids)
    store = store_of(tmp_path, "customer_id,timestamp,amount\n" + rows)
    assert list(store.read().customer_id) == sorted(ids, key=str.encode)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=1, unique=True))
def test_ids_round_trip_in_the_order_of_their_bytes(ids: list[str]) -> None:
    events = events_from_frame(table(customer_id=ids), DataConfig())
    assert list(events.customer_id) == sorted((i for i in ids), key=str.encode)


def test_integer_ids_beyond_float_precision_are_exact(tmp_path: Path) -> None:
    ids = [2**53 + 1, 2**63 + 5, 12]
    log = tmp_path / "log.parquet"
    pq.write_table(table(customer_id=pa.array(ids, pa.uint64())), log)
    store = build_store(DataConfig(transactions=(str(log),)), tmp_path / "store")
    assert set(store.read().customer_id) == {str(i) for i in ids}


def test_object_columns_of_python_integers_are_exact() -> None:
    frame = pd.DataFrame({"customer_id": pd.Series([2**70, 5, None, "x"], dtype=object), "timestamp": "2024-01-01"})
    events = events_from_frame(frame.assign(amount=Decimal("1.10")), DataConfig())
    assert list(events.customer_id) == [str(2**70), "5", "x"]
    assert list(events.amount) == [1.1] * 3


def test_a_pandas_category_is_read_as_its_values() -> None:
    frame = pd.DataFrame({"customer_id": pd.Categorical([7, 8, 7]), "timestamp": pd.Timestamp("2024-01-01")})
    assert list(events_from_frame(frame.assign(amount=1), DataConfig()).customer_id) == ["7", "8"]


def test_rows_without_customer_are_reported_and_no_error_while_customers_are_left(tmp_path: Path) -> None:
    nameless = ',2024-01-01,1\n"",2024-01-01,1\n' * 9
    store = store_of(tmp_path, "customer_id,timestamp,amount\n" + nameless + "a,2024-01-01,1\n")
    assert store.info.report["rows_without_customer"] == 18
    assert store.customers == 1


def test_a_log_without_any_customer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 1 does"):
        store_of(tmp_path, "customer_id,timestamp,amount\n,2024-01-01,1\n")


# ---------------------------------------------------------------- timestamps


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31 18:30", "2024-01-31T18:30"),
        ("2024-01-31T18:30:05", "2024-01-31T18:30:05"),
        ("2024-01-31 18:30:05.123456789", "2024-01-31T18:30:05.123456"),
        ("2024-01-31T18:30:05Z", "2024-01-31T18:30:05"),
        ("2024-01-31T18:30:05.5+02:00", "2024-01-31T16:30:05.5"),
        ("2024-01-31 18:30:05 -0330", "2024-01-31T22:00:05"),
        ("2024-01-31 18:30:05 UTC", "2024-01-31T18:30:05"),
        ("19970101", "1997-01-01"),
        (" 2024-01-31 ", "2024-01-31"),
        ("1950-06-01", "1950-06-01"),
    ],
)
def test_the_usual_formats_are_read(text: str, instant: str) -> None:
    assert instants([text]) == [micros(instant)]


@pytest.mark.parametrize(
    "text", ["2024-02-30", "31/01/2024", "yesterday", "1706720000", "infinity", "20241301", "0000-01-01"]
)
def test_other_text_is_an_unparsable_timestamp(tmp_path: Path, text: str) -> None:
    store = store_of(tmp_path, GOOD + f"b,{text},1\n")
    assert store.info.report["rejected_by_reason"] == {"unparsable timestamp": 1}
    rejects = pq.read_table(store.path / "rejects.parquet").to_pylist()
    assert rejects == [
        {
            "reason": "unparsable timestamp",
            "line": None,
            "instant": None,
            "customer_id": "b",
            "timestamp": text,
            "amount": "1",
        }
    ]


def test_a_format_may_be_given() -> None:
    assert instants(["31/01/2024 05", "x"], timestamp_format="%d/%m/%Y %H") == [micros("2024-01-31T05")]
    assert instants(["01.02.2024 05:00 +0200"], timestamp_format="%d.%m.%Y %H:%M %z") == [micros("2024-02-01T03")]


def test_a_wrong_format_names_its_option() -> None:
    with pytest.raises(InputError, match="--timestamp-format"):
        instants(["2024"], timestamp_format="%Q")


def test_zoned_and_unzoned_text_do_not_mix() -> None:
    with pytest.raises(InputError, match="time zone"):
        instants(["2024-01-31T18:30:05Z", "2024-01-31T18:30:05"])


def test_zoned_and_unzoned_files_do_not_mix(tmp_path: Path) -> None:
    for name, zone in (("a", None), ("b", "Europe/Berlin")):
        pq.write_table(table(timestamp=pa.array([DAY], pa.timestamp("us", zone))), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match="time zone"):
        build_store(DataConfig(transactions=(str(tmp_path),)), tmp_path / "store")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_typed_timestamps_are_kept_or_converted_to_utc(tmp_path: Path, unit: str, zone: str | None) -> None:
    column = pa.array([datetime(2024, 7, 1, 12), None], pa.timestamp(unit, zone))
    log = table(timestamp=column)
    pq.write_table(log, tmp_path / "log.parquet")
    store = build_store(DataConfig(transactions=(str(tmp_path),)), tmp_path / "store")
    for events in (store.read(), *(events_from_frame(frame, DataConfig()) for frame in (log, log.to_pandas()))):
        assert list(events.timestamp) == [micros("2024-07-01T12")]


def test_dates_and_python_datetimes_are_read() -> None:
    frame = pd.DataFrame({"customer_id": ["a", "b"], "timestamp": [date(2024, 1, 1), datetime(2024, 1, 2, 3)]})
    assert list(events_from_frame(frame.assign(amount=1), DataConfig()).timestamp) == [
        micros("2024-01-01"),
        micros("2024-01-02T03"),
    ]


def test_python_datetimes_with_and_without_zone_do_not_mix() -> None:
    values = pd.Series([pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-01")], dtype=object)
    with pytest.raises(InputError, match="time zone"):
        events_from_frame(pd.DataFrame({"customer_id": ["a", "b"], "timestamp": values, "amount": 1}), DataConfig())


def test_integers_are_days_like_19970101() -> None:
    assert list(events_from_frame(table(timestamp=[19970101]), DataConfig()).timestamp) == [micros("1997-01-01")]


@pytest.mark.parametrize("value", [1_706_720_000, 1_706_720_000_000, 1.5])
def test_other_numbers_are_no_timestamps_and_the_message_names_the_remedy(value: float) -> None:
    with pytest.raises(InputError, match="convert"):
        events_from_frame(table(timestamp=[value] * 3), DataConfig())


def test_the_machine_time_zone_does_not_matter(tmp_path: Path) -> None:
    rows = "a,2024-01-01T01:00:00+03:00,1\na,2024-01-02 5:00Z,2\n"
    (tmp_path / "log.csv").write_text("customer_id,timestamp,amount\n" + rows)
    code = (
        "from seqclv.config import DataConfig; from seqclv.data.store import build_store; "
        f"print(build_store(DataConfig(transactions=('{tmp_path}/log.csv',)), '{tmp_path}/store').fingerprint)"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True
        ).stdout
        for zone in ("America/New_York", "Asia/Tokyo")
    }
    assert len(prints) == 1


# ---------------------------------------------------------------- amounts and event types


def test_bad_amounts_are_rejected_with_their_reason(tmp_path: Path) -> None:
    bad = ["", "NaN", "inf", "-inf", "1e400", "1e16", "12 EUR", "1,5"]
    store = store_of(tmp_path, GOOD + "".join(f'b,2024-01-01,"{amount}"\n' for amount in bad))
    assert store.info.report["rejected_by_reason"] == {
        "infinite amount": 3,
        "no amount": 2,
        "unparsable amount": 2,
        "amount out of range": 1,
    }


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_not_a_number_in_parquet_is_no_amount_and_no_customer(tmp_path: Path, kind: pa.DataType) -> None:
    values = [np.float16(v) if kind == pa.float16() else v for v in (1.0, 2.0, float("nan"))]
    for column, reason in (("amount", "no amount"), ("customer_id", "no customer")):
        if column == "amount" or kind != pa.float16():
            pq.write_table(table(**{column: pa.array(values, kind)}), tmp_path / "log.parquet")
            store = build_store(DataConfig(transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "store")
            assert store.info.report["rejected_by_reason"] == {reason: 1}
            assert np.isfinite(store.read().amount).all()


def test_digits_grouped_by_underscores_are_no_amount(tmp_path: Path) -> None:
    store = store_of(tmp_path, GOOD + "b,2024-01-01,1_000\n")
    assert store.info.report["rejected_by_reason"] == {"unparsable amount": 1}


def amounts(tmp_path: Path, written: list[str], **options: object) -> list[float | None]:
    """The amounts of lines of a semicolon-separated file, None where they are rejected."""
    rows = "".join(f"c{i:02};2024-01-01;{amount}\n" for i, amount in enumerate(written))
    store = store_of(tmp_path, "customer_id;timestamp;amount\n" + rows, max_reject_share=1.0, **options)
    events = store.read()
    found = {name: float(amount) for name, amount in zip(events.customer_id, events.amount, strict=True)}
    return [found.get(f"c{i:02}") for i in range(len(written))]


def test_amounts_with_a_decimal_comma_are_read_where_it_is_said(tmp_path: Path) -> None:
    written = ["8,50", "1.234,56", "-1.234.567", "7", "1 234,5", "1\u00a0234,5", ",5", "1e3", "8.50", "1,2,3", "1.23,4"]
    written += ["0.500", "-0.125", "01.500"]  # no groups of thousands
    expected = [8.5, 1234.56, -1234567, 7, 1234.5, 1234.5, 0.5, 1000, *[None] * 6]
    assert amounts(tmp_path, written, decimal=",") == expected
    assert amounts(tmp_path, ["8,50", "8.50", "1.234"]) == [None, 8.5, 1.234]


def test_a_source_may_have_a_decimal_mark_of_its_own(tmp_path: Path) -> None:
    for name, text in (("de", "a;2024-01-01;1,5\n"), ("uk", "b;2024-01-01;2.5\n")):
        (tmp_path / f"{name}.csv").write_text("customer_id;timestamp;amount\n" + text)
    german, english = (SourceConfig(files=(str(tmp_path / f"{name}.csv"),)) for name in ("de", "uk"))
    data = DataConfig(sources=(replace(german, decimal=","), english))
    assert list(build_store(data, tmp_path / "store").read().amount) == [1.5, 2.5]
    other = DataConfig(sources=(german, replace(english, decimal=".")), decimal=",")
    assert list(build_store(other, tmp_path / "store").read().amount) == [1.5, 2.5]


def test_amounts_that_cannot_be_read_name_the_rule_some_of_them_and_the_remedy(tmp_path: Path) -> None:
    rows = ",2024-01-01,1\n" * 3 + 'a,2024-01-01,"8,50"\na,2024-01-02,"1.234,56"\na,2024-01-03,3\n'
    with pytest.raises(InputError) as caught:
        store_of(tmp_path, "customer_id,timestamp,amount\n" + rows)
    assert str(caught.value) == (
        "At most 50% of the rows may be rejected, but 2 of 3 were (2 with unparsable amount); amounts must read like "
        "1234.56, or with --decimal , like 1.234,56, not like '1.234,56' or '8,50': mend the rows or raise "
        "--max-reject-share."
    )
    with pytest.raises(InputError, match=r"20240131, not like '31/01/2024', or be described by --timestamp-format"):
        store_of(tmp_path, "customer_id,timestamp,amount\na,31/01/2024,1\n")


def test_negative_and_zero_amounts_are_kept_and_counted(tmp_path: Path) -> None:
    store = store_of(tmp_path, "customer_id,timestamp,amount\na,2024-01-01,-5\na,2024-01-02,0\na,2024-01-03,-0.0\n")
    assert list(store.read().amount) == [-5, 0, 0]
    assert (store.info.report["negative_lines"], store.info.report["zero_lines"]) == (1, 2)
    assert not np.signbit(store.read().amount[2])


def test_event_types_are_lines_refunds_or_further_types() -> None:
    kinds = [None, "purchase", "Transaction", "sale", "refund", "RETURN", "visit", "email"]
    stamps = [f"2024-01-{i + 1:02d}" for i in range(len(kinds))]
    log = table(timestamp=stamps, amount=[1.0, 2, 3, 4, 5, -6, None, 7], kind=pa.array(kinds))
    events = events_from_frame(log, DataConfig(event_type="kind"))
    assert events.further_types == ("email", "visit")
    assert list(events.event_type) == [PURCHASE] * 6 + [FIRST_FURTHER_TYPE + 1, FIRST_FURTHER_TYPE]
    assert list(events.amount) == [1, 2, 3, 4, -5, -6, 0, 7]


def test_further_events_of_one_instant_stay_line_by_line_after_the_netted_line() -> None:
    log = table(amount=[1.0, 2.0, 3.0, 3.0], kind=["visit", "sale", "sale", "visit"])
    events = events_from_frame(log, DataConfig(event_type="kind"))
    assert list(events.amount) == [5, 1, 3]
    assert list(events.event_type) == [PURCHASE, FIRST_FURTHER_TYPE, FIRST_FURTHER_TYPE]


def test_unparsable_attributes_are_missing(tmp_path: Path) -> None:
    text = "customer_id,timestamp,amount,size,shop\na,2024-01-01,1,x,\na,2024-01-02,1,2,west\na,2024-01-03,1,inf,east\n"
    events = store_of(tmp_path, text, numeric=("size",), categorical=("shop",)).read()
    assert np.array_equal(events.numeric["size"], [np.nan, 2, np.nan], equal_nan=True)
    assert events.categorical["shop"].values == ("east", "west")
    assert list(events.categorical["shop"].codes) == [-1, 1, 0]


def test_lines_of_one_instant_are_netted_with_their_attributes() -> None:
    log = table(amount=[0.1, 0.2, -0.3], n=[1.0, None, 2.0], c=["x", "y", "z"])
    events = events_from_frame(log, DataConfig(numeric=("n",), categorical=("c",)))
    assert list(events.amount) == [0.0]  # not 2.8e-17, which would be a purchase
    assert list(events.numeric["n"]) == [3.0]
    assert events.categorical["c"].values[events.categorical["c"].codes[0]] == "y"


def test_an_attribute_missing_on_all_netted_lines_stays_missing() -> None:
    log = table(amount=[1.0, 2.0], n=pa.array([None, None], pa.float64()))
    events = events_from_frame(log, DataConfig(numeric=("n",)))
    assert np.isnan(events.numeric["n"]).all()


# ---------------------------------------------------------------- files


def test_missing_columns_name_what_was_found_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lacks customer_id and has CustomerID, timestamp, amount.*--customer-id"):
        store_of(tmp_path, "CustomerID,timestamp,amount\na,2024-01-01,1\n")
    with pytest.raises(InputError, match="configuration"):
        events_from_frame(table(amount=[1.0]), DataConfig(numeric=("weight",)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_delimiters_and_line_ends_are_recognized(tmp_path: Path, delimiter: str, line_end: str) -> None:
    lines = [["customer_id", "timestamp", "amount", "note"], ["a", "2024-01-01", "1.5", f'"x{delimiter}""y""\nz"']]
    text = "\ufeff" + line_end.join(delimiter.join(line) for line in lines) + line_end
    events = store_of(tmp_path, text, categorical=("note",)).read()
    assert list(events.amount) == [1.5]
    assert events.categorical["note"].values == (f'x{delimiter}"y"\nz',)


def test_malformed_lines_are_rejected_and_counted(tmp_path: Path) -> None:
    store = store_of(tmp_path, GOOD + 'b,2024-01-01\nb,2024-01-01,1,2,3\n"b"x,2024-01-01,1\nc,2024-01-01,1\n')
    report = store.info.report
    assert report["rejected_by_reason"] == {"malformed line": 3}
    assert report["rows_read"] == 24 == report["rows_kept"] + report["rows_rejected"]
    assert "b,2024-01-01,1,2,3" in pq.read_table(store.path / "rejects.parquet")["line"].to_pylist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("customer_id,timestamp,amount\n", "only a header"),
        ("customer_id,timestamp,amount,amount\na,2024-01-01,1,2\n", "repeats amount"),
        ("customer_id,timestamp,amount\na,2024-01-01,x\na,2024-01-01,1\na,x,1\n", "--max-reject-share"),
        ("customer_id,timestamp,amount\na,01/02/24,1\n", "--timestamp-format"),
    ],
)
def test_files_that_cannot_be_used_are_refused_plainly(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        store_of(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.parquet", b"PAR1 and nothing else"),
        ("log.parquet", b"no parquet at all"),
        ("log.csv.gz", b"\x1f\x8b\x08 broken"),
        ("log.csv", "customer_id,timestamp,amount\nä,2024-01-01,1\n".encode("utf-16")),
    ],
)
def test_damaged_files_are_refused_plainly(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        build_store(DataConfig(transactions=(str(tmp_path / name),)), tmp_path / "store")


def test_a_truncated_gzip_file_is_refused_plainly(tmp_path: Path) -> None:
    whole = gzip.compress((GOOD + "".join(f"{i},2024-01-01,{i * 7919 % 1013}\n" for i in range(50_000))).encode())
    (tmp_path / "log.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"log\.csv\.gz"):
        build_store(DataConfig(transactions=(str(tmp_path / "log.csv.gz"),)), tmp_path / "store")


def test_a_log_must_be_named_and_exist(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases = {(): "--transactions", ("no/such*",): "no/such", (str(tmp_path / "empty"),): "data files"}
    for sources, message in cases.items():
        with pytest.raises(InputError, match=message):
            build_store(DataConfig(transactions=sources), tmp_path / "store")


def test_files_directories_and_globs_are_read_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    pq.write_table(table(customer_id=["p"], amount=[1]), tmp_path / "in/a[1].parquet")
    (tmp_path / "in/deep/b.csv").write_text("amount;timestamp;customer_id\n2;2024-01-01;q\n")
    (tmp_path / "in/deep/c.csv.gz").write_bytes(gzip.compress(b"customer_id,timestamp,amount\nr,2024-01-01,3\n"))
    (tmp_path / "in/_old.csv").write_text("no log")
    (tmp_path / "in/zero.csv").write_text("")
    sources = (str(tmp_path / "in"), str(tmp_path / "in/deep/*.csv"), str(tmp_path / "in/a[1].parquet"))
    events = build_store(DataConfig(transactions=sources), tmp_path / "store").read()
    assert list(zip(events.customer_id, events.amount, strict=True)) == [("p", 1), ("q", 2), ("r", 3)]


def test_other_column_names_and_names_that_differ_in_case_only(tmp_path: Path) -> None:
    text = "ID,id,When,Euro\nx,y,2024-01-01,3\n"
    store = store_of(tmp_path, text, customer_id="id", timestamp="When", amount="Euro")
    assert list(store.read().customer_id) == ["y"]


def test_columns_named_reason_do_not_clash_in_the_rejects(tmp_path: Path) -> None:
    text = GOOD.replace("amount\n", "amount,reason\n").replace(",1\n", ",1,r\n") + "b,x,1,gift\n"
    rejects = pq.read_table(store_of(tmp_path, text).path / "rejects.parquet").to_pylist()
    assert [(row["reason"], row["reason_"]) for row in rejects] == [("unparsable timestamp", "gift")]


@pytest.mark.parametrize("name", ["customer_id", "timestamp", "amount"])
def test_nested_columns_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        events_from_frame(table(**{name: [[1]]}), DataConfig())


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match="DataFrame"):
        events_from_frame([1, 2], DataConfig())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has a"):
        events_from_frame(pd.DataFrame({"a": [1]}), DataConfig())
    with pytest.raises(InputError, match="rows"):
        events_from_frame(table(customer_id=["a"]).slice(0, 0), DataConfig())
    frame = pd.DataFrame([["a", "2024-01-01", 1, 2]], columns=["customer_id", "timestamp", "amount", "amount"])
    with pytest.raises(InputError, match="repeats amount"):
        events_from_frame(frame, DataConfig())


# ---------------------------------------------------------------- laws

CELLS = st.tuples(
    st.sampled_from(["", "a", "b", "00a", "é"]),
    st.sampled_from(["2024-01-01", "2024-01-01 10:00", "20240102", "x", ""]),
    st.sampled_from(["1", "2.5", "-1", "0", "0.1", "NaN", "x", "", "1e20"]),
    st.sampled_from(["", "sale", "refund", "visit"]),
    st.sampled_from(["", "1", "0.3", "x"]),
    st.sampled_from(["", "u", "v"]),
)
COLUMNS = "customer_id,timestamp,amount,kind,n,c"
CONFIG = DataConfig(event_type="kind", numeric=("n",), categorical=("c",), max_reject_share=1.0)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, max_size=30), st.randoms(use_true_random=False), st.integers(0, 30))
def test_order_of_rows_and_files_never_matters_and_every_row_is_kept_or_rejected(
    tmp_path: Path, rows: list[tuple[str, ...]], random: object, cut: int
) -> None:
    rows = [*rows, ("z", "2024-01-01", "3", "", "1", "u")]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for name, part in (("one", rows), ("two", shuffled[:cut]), ("three", shuffled[cut:])):
        (tmp_path / f"{name}.csv").write_text("\n".join([COLUMNS, *map(",".join, part)]) + "\n")
    one, two = (
        build_store(replace(CONFIG, transactions=tuple(str(tmp_path / f"{n}.csv") for n in names)), tmp_path / "store")
        for names in (["one"], ["two", "three"])
    )
    assert one.fingerprint == two.fingerprint
    assert one.info.report == two.info.report
    report = one.info.report
    assert report["rows_read"] == len(rows) == report["rows_kept"] + report["rows_rejected"]
    assert pq.read_table(two.path / "rejects.parquet").num_rows == report["rows_rejected"]
    frame = pd.read_csv(tmp_path / "one.csv", dtype=str, keep_default_na=False)
    events = events_from_frame(frame, CONFIG)
    assert list(events.customer_id) == list(one.read().customer_id)
    assert np.array_equal(events.amount, one.read().amount)


def test_the_report_reads_as_plain_text(tmp_path: Path) -> None:
    store = store_of(tmp_path, GOOD + "g1,2024-01-01,1\nb,x,1\n")
    report = DataReport(**store.info.report)
    assert report.exact_duplicates == 1
    assert report.one_purchase_day_share == 1.0
    assert report.customers == 20
    assert "unparsable timestamp" in report.render()
