from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.config import CalendarConfig, CustomersConfig, DataConfig, IdentitiesConfig, SourceConfig
from seqclv.data.store import build_store
from seqclv.errors import InputError

ROWS = pd.DataFrame(
    {
        "customer_id": [f"c{i % 7}" for i in range(40)],
        "timestamp": pd.date_range("2024-01-01", periods=40, freq="9h"),
        "amount": [float(i + 1) for i in range(40)],
        "channel": ["web", "shop", "tele phone", "a/b=c%"] * 10,
        "year": ["2023", "2024"] * 20,
    }
)
COLUMNS = {"categorical": ("channel", "year")}


def store_of(tmp_path, *places, **options):
    return build_store(DataConfig(transactions=tuple(map(str, places)), **options), tmp_path / "store")


def reference(tmp_path):
    ROWS.to_parquet(tmp_path / "flat.parquet")
    return build_store(DataConfig(transactions=(str(tmp_path / "flat.parquet"),), **COLUMNS), tmp_path / "reference")


# ---------------------------------------------------------------- partitions


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_partitions_in_the_names_of_directories_are_columns(tmp_path, kind):
    from urllib.parse import quote

    for (channel, year), part in ROWS.groupby(["channel", "year"]):
        place = tmp_path / "log" / f"channel={quote(channel, safe=' ')}" / f"year={year}"
        place.mkdir(parents=True)
        rows = part.drop(columns=["channel", "year"])
        rows.to_parquet(place / "part.parquet") if kind == "parquet" else rows.to_csv(place / "part.csv", index=False)
    expected = reference(tmp_path).fingerprint
    assert store_of(tmp_path, tmp_path / "log", **COLUMNS).fingerprint == expected
    assert store_of(tmp_path, f"{tmp_path}/log/*/*/*", **COLUMNS).fingerprint == expected
    one = store_of(tmp_path, tmp_path / "log" / "channel=web", **COLUMNS)
    assert one.info.categorical["channel"] == ("web",)


def test_a_relative_path_that_begins_with_a_partition_has_it_as_a_column(tmp_path, monkeypatch):
    (tmp_path / "channel=web").mkdir()
    ROWS.drop(columns="channel").to_parquet(tmp_path / "channel=web" / "a.parquet")
    monkeypatch.chdir(tmp_path)
    assert store_of(tmp_path, "channel=web", categorical=("channel",)).info.categorical["channel"] == ("web",)


def test_what_spark_and_duckdb_write_in_partitions_is_read_as_they_mean_it(tmp_path):
    import duckdb

    duckdb.from_arrow(pa.table({**ROWS.to_dict("list"), "shop": [None, "é ü", "q\"uo'te", "x"] * 10})).create("log")
    duckdb.sql(f"COPY log TO '{tmp_path}/log' (FORMAT parquet, PARTITION_BY (shop))")
    duckdb.sql("DROP TABLE log")
    names = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert any("__HIVE_DEFAULT_PARTITION__" in name for name in names)
    store = store_of(tmp_path, tmp_path / "log", categorical=("shop",))
    assert store.info.categorical["shop"] == ("q\"uo'te", "x", "é ü")
    assert (store.read().categorical["shop"].codes == -1).sum() == 10


def test_the_column_in_the_file_counts_before_the_directory(tmp_path):
    place = tmp_path / "log" / "channel=wrong" / "amount=99"
    place.mkdir(parents=True)
    ROWS.to_parquet(place / "part.parquet")
    assert store_of(tmp_path, tmp_path / "log", **COLUMNS).fingerprint == reference(tmp_path).fingerprint


def test_the_names_of_partitions_may_hold_any_sign(tmp_path):
    place = tmp_path / "log" / "sales.(channel) é+=web"
    place.mkdir(parents=True)
    ROWS.to_parquet(place / "part.parquet")
    store = store_of(tmp_path, tmp_path / "log", categorical=("sales.(channel) é+",))
    assert store.info.categorical["sales.(channel) é+"] == ("web",)


# ---------------------------------------------------------------- Delta


@pytest.fixture
def delta(tmp_path):
    """A Delta table that was written twice, partitioned, and lost a row."""
    import deltalake

    table = pa.Table.from_pandas(ROWS, preserve_index=False)
    deltalake.write_deltalake(tmp_path / "delta", table.slice(0, 20), partition_by=["channel"])
    deltalake.write_deltalake(tmp_path / "delta", table.slice(20), mode="append")
    deltalake.DeltaTable(tmp_path / "delta").delete("amount = 7.0")
    return tmp_path / "delta"


def test_a_delta_table_is_read_at_its_current_version(delta, tmp_path):
    ROWS[ROWS["amount"] != 7].to_parquet(tmp_path / "flat.parquet")
    expected = store_of(tmp_path, tmp_path / "flat.parquet", **COLUMNS).fingerprint
    assert store_of(tmp_path, delta, **COLUMNS).fingerprint == expected
    (tmp_path / "lake").mkdir()
    delta.rename(tmp_path / "lake" / "orders")
    assert store_of(tmp_path, tmp_path / "lake", **COLUMNS).fingerprint == expected
    assert store_of(tmp_path, f"{tmp_path}/la*/ord*", **COLUMNS).fingerprint == expected


def test_files_of_a_delta_table_are_refused_since_deleted_rows_are_among_them(delta, tmp_path):
    for place in (delta / "channel=web", f"{delta}/*/*.parquet"):
        with pytest.raises(InputError, match=r"must be read as a whole.*name '.*delta'"):
            store_of(tmp_path, place)


def test_a_damaged_delta_table_is_refused(delta, tmp_path):
    for log in sorted((delta / "_delta_log").glob("*.json")):
        log.write_text("{")
    with pytest.raises(InputError, match="A Delta table must be readable"):
        store_of(tmp_path, delta)


# ---------------------------------------------------------------- names


NAMES = ['a "b"', "c.d", "e f", "größe", "SELECT", "", "g'h", "c0", "customer", "source_file;--"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_columns_with_any_name_work(tmp_path, kind):
    # Names that differ in upper and lower case only are two names.
    renamed = ROWS.set_axis(['a "b"', "c.d", "e f", "Größe", "größe"], axis=1)
    for i, name in enumerate(n for n in NAMES if n not in renamed.columns):
        renamed[name] = [f"v{i}"] * len(renamed)
    path = tmp_path / f"log.{kind}"
    renamed.to_parquet(path) if kind == "parquet" else renamed.to_csv(path, index=False)
    names = {"customer_id": 'a "b"', "timestamp": "c.d", "amount": "e f"}
    store = store_of(tmp_path, path, **names, categorical=("Größe", "größe", "SELECT", "", "g'h", "c0", "customer"))
    assert store.info.categorical["größe"] == ("2023", "2024")
    assert store.info.categorical["Größe"] == ("a/b=c%", "shop", "tele phone", "web")
    assert store.customers == 7
    filtered = store_of(
        tmp_path, path, **names, where='"größe" = \'2024\' and "g\'h" is not null and "SELECT" is not null'
    )
    assert filtered.info.report["rows_filtered"] == 20


def test_a_folder_of_another_programs_markers_is_read_past_them(tmp_path):
    place = tmp_path / "log"
    place.mkdir()
    ROWS.to_parquet(place / "part.parquet")
    for name in ("_SUCCESS", ".part.parquet.crc", "_common_metadata", "readme.md"):
        (place / name).write_text("x")
    assert store_of(tmp_path, place, **COLUMNS).fingerprint == reference(tmp_path).fingerprint


def test_parquet_types_may_differ_from_file_to_file(tmp_path):
    frame = pa.Table.from_pandas(ROWS, preserve_index=False)
    pq.write_table(frame.slice(0, 10), tmp_path / "a.parquet")
    text = frame.slice(10).set_column(2, "amount", frame["amount"].slice(10).cast(pa.string()))
    pq.write_table(text, tmp_path / "b.parquet")
    expected = reference(tmp_path).fingerprint
    assert store_of(tmp_path, Path(tmp_path / "a.parquet"), tmp_path / "b.parquet", **COLUMNS).fingerprint == expected


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_column_may_be_called_as_our_own(tmp_path, kind):
    frame = ROWS.assign(source_file="x", source_file_="y", customer="z", left_out="w")
    path = tmp_path / "channel=web" / f"log.{kind}"
    path.parent.mkdir()
    frame = frame.drop(columns="channel")
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    names = ("source_file", "source_file_", "customer", "left_out", "channel")
    found = store_of(tmp_path, path, categorical=names, where="left_out = 'w'").info.categorical
    assert [found[name] for name in names] == [("x",), ("y",), ("z",), ("w",), ("web",)]


# ---------------------------------------------------------------- what is no log


def test_files_that_a_folder_holds_beside_the_log_are_told_but_for_hidden_ones_and_markers(tmp_path):
    (tmp_path / "log").mkdir()
    ROWS.to_parquet(tmp_path / "log/a.parquet")
    assert store_of(tmp_path, tmp_path / "log").info.report["warnings"] == []
    for name in ("_SUCCESS", ".a.parquet.crc", "000001_0", "b.csv.zst"):
        (tmp_path / "log" / name).write_text("x")
    [warning] = store_of(tmp_path, tmp_path / "log").info.report["warnings"]
    assert warning.startswith("2 files in the directories of the log were not read")
    assert ": 000001_0, b.csv.zst;" in warning


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("log.xlsx", b"PK\x03\x04...", "an Excel workbook"),
        ("log.csv", b"PK\x03\x04...", "an Excel workbook"),
        ("log.csv", b"\x28\xb5\x2f\xfd...", "packed by zstd"),
        ("log.json.gz", b"\x1f\x8b...", "JSON"),
        ("log.txt", b'{"customer_id": 1}', "JSON"),
        ("log.txt", b'[{"customer_id": 1}]', "JSON"),
        ("LOG.JSONL", b" ", "JSON"),
        ("shop.db", b"SQLite format 3", "a database of SQLite"),
    ],
)
def test_a_file_of_another_format_is_refused_with_its_name(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError, match=f"must be in Parquet or CSV files, plain or gzipped, but '.*{name}' is {kind}"
    ):
        store_of(tmp_path, tmp_path / name)


def test_a_parquet_file_whose_names_are_no_text_is_refused(tmp_path):
    path = tmp_path / "log.parquet"
    ROWS.rename(columns={"channel": "channel_zz"}).to_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"channel_zz", b"channel_\xa9z"))
    with pytest.raises(InputError, match="A Parquet file must be whole"):
        store_of(tmp_path, path)


@pytest.mark.parametrize(
    "url", ["s3://bucket/log.parquet", "gs://bucket/log", "abfss://box@store/log", "https://x/l.csv"]
)
def test_an_object_store_is_no_database(tmp_path, url):
    with pytest.raises(InputError, match="must lie in files of this machine"):
        store_of(tmp_path, url)
    with pytest.raises(InputError, match="must lie in files of this machine"):
        build_store(DataConfig(sources=(SourceConfig(files=(url,)),)), tmp_path / "store")


def test_a_missing_table_beside_the_log_is_called_what_it_is(tmp_path):
    ROWS.to_parquet(tmp_path / "log.parquet")
    beside = {
        "calendar": CalendarConfig(files=("away.csv",), columns=("promo",)),
        "customers table": CustomersConfig(files=("away.csv",), numeric={"age": "age"}),
        "table of identities": IdentitiesConfig(files=("away.csv",)),
    }
    for what, table in beside.items():
        with pytest.raises(InputError, match=f"A {what} must exist, but there is no file"):
            store_of(tmp_path, tmp_path / "log.parquet", **{what.split()[-1].replace("table", "customers"): table})
