"""Sinks: files that appear whole, tables that change as a whole, secrets that stay secret."""

import sqlite3
import threading
from dataclasses import replace

import pandas as pd
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import main
from seqclv.data.store import build_store
from seqclv.data.windows import instant
from seqclv.errors import InputError
from seqclv.forecast.database import DatabaseSink
from seqclv.forecast.engines.local import score
from seqclv.forecast.forecaster import FORECAST_SCHEMA
from seqclv.forecast.sinks import FileSink, sink_of

CUTOFF = "2021-07-01"


@pytest.fixture
def store(small_log, small_config, tmp_path):
    return build_store(small_config.data, tmp_path / "store")


@pytest.fixture
def expected(small_bundle, store, tmp_path):
    return scored(small_bundle, store, tmp_path / "expected.parquet")


def scored(bundle, store, out, horizons=(30, 90), cutoff=CUTOFF):
    score(bundle, store, instant(cutoff), list(horizons), out)
    return pq.read_table(out).to_pandas() if str(out).endswith("parquet") else None


def table_of(rows):
    frame = pd.DataFrame(rows, columns=list(FORECAST_SCHEMA.names))
    frame["cutoff"] = pd.to_datetime(frame["cutoff"]).astype("datetime64[us]")
    frame = frame.astype(dict.fromkeys(FORECAST_SCHEMA.names[2:], float)).astype({"customer_id": "str"})
    return frame.sort_values(["cutoff", "customer_id", "horizon_days"], ignore_index=True)


def in_sqlite(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT {', '.join(FORECAST_SCHEMA.names)} FROM forecasts").fetchall()
    connection.close()
    return table_of(rows)


def in_postgres(url):
    import psycopg

    with psycopg.connect(url) as connection:
        return table_of(connection.execute(f"SELECT {', '.join(FORECAST_SCHEMA.names)} FROM forecasts").fetchall())


def test_csv_holds_the_same_rows_as_parquet(small_bundle, store, expected, tmp_path):
    scored(small_bundle, store, tmp_path / "f.csv")
    options = pacsv.ConvertOptions(column_types=FORECAST_SCHEMA)
    found = pacsv.read_csv(tmp_path / "f.csv", convert_options=options).to_pandas()
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("name", ["f.xlsx", "f.json", "f.csv.gz"])
def test_a_kind_of_file_that_cannot_be_written_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=r"ends in .parquet or .csv"):
        FileSink(tmp_path / name).check()


def test_sqlite_receives_what_the_file_holds(small_bundle, store, expected, tmp_path):
    path = tmp_path / "crm.db"
    scored(small_bundle, store, f"sqlite:///{path}")
    pd.testing.assert_frame_equal(in_sqlite(path), expected, check_exact=True)


def test_a_failed_run_leaves_sqlite_as_it_was(small_bundle, store, tmp_path):
    path = tmp_path / "crm.db"
    sink = DatabaseSink.of(f"sqlite:///{path}", "forecasts")

    def failing():
        raise RuntimeError("in the middle")
        yield

    with pytest.raises(RuntimeError, match="in the middle"):
        sink.write(failing(), tmp_path, dict)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


def test_postgres_receives_what_the_file_holds(small_bundle, store, expected, postgres_url):
    scored(small_bundle, store, postgres_url)
    pd.testing.assert_frame_equal(in_postgres(postgres_url), expected, check_exact=True)


def test_postgres_updates_the_same_keys_and_keeps_the_others(small_bundle, store, expected, postgres_url, tmp_path):
    scored(small_bundle, store, postgres_url)
    changed = replace(small_bundle, networks=small_bundle.networks[:1])
    scored(changed, store, postgres_url, [90, 365])
    scored(changed, store, postgres_url, [90], "2021-08-01")
    found = in_postgres(postgres_url)
    assert not found.duplicated(["customer_id", "cutoff", "horizon_days"]).any()
    july = found[found["cutoff"] == pd.Timestamp(CUTOFF)]
    new = scored(changed, store, tmp_path / "new.parquet", [90, 365])
    wanted = pd.concat([expected[expected["horizon_days"] == 30], new])
    wanted = wanted.sort_values(["customer_id", "horizon_days"], ignore_index=True)
    pd.testing.assert_frame_equal(july.reset_index(drop=True), wanted, check_exact=True)
    assert (found["cutoff"] == pd.Timestamp("2021-08-01")).sum() > 200


def test_a_reader_sees_the_old_or_the_new_table_never_a_mixture(small_bundle, store, postgres_url):
    import psycopg

    versions = [small_bundle, replace(small_bundle, networks=small_bundle.networks[:1])]
    scored(small_bundle, store, postgres_url)
    query = "SELECT count(*), sum(expected_spend::numeric) FROM forecasts"
    seen, done = [], threading.Event()

    def read():
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            while not done.is_set():
                seen.append(connection.execute(query).fetchone())

    reader = threading.Thread(target=read)
    reader.start()
    states = set()
    try:
        for turn in range(6):
            scored(versions[turn % 2], store, postgres_url)
            with psycopg.connect(postgres_url) as connection:
                states.add(connection.execute(query).fetchone())
    finally:
        done.set()
        reader.join()
    assert len(states) == 2
    assert set(seen) <= states and len(seen) > 10


def test_a_failed_run_changes_nothing_in_postgres(small_bundle, store, postgres_url):
    import psycopg

    scored(small_bundle, store, postgres_url)
    before = in_postgres(postgres_url)
    sink = sink_of(postgres_url)

    def failing():
        import pyarrow as pa

        yield pa.Table.from_pandas(before.assign(expected_spend=-1.0), FORECAST_SCHEMA)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        sink.write(failing(), None, dict)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("ALTER TABLE forecasts ADD CHECK (expected_spend >= 0 OR customer_id <> 'x')")
    pd.testing.assert_frame_equal(in_postgres(postgres_url), before, check_exact=True)


def test_what_a_database_refuses_is_one_sentence_and_changes_nothing(small_bundle, store, postgres_url):
    import psycopg

    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE forecasts (customer_id text)")
    with pytest.raises(InputError, match="lacks cutoff, horizon_days"):
        scored(small_bundle, store, postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP TABLE forecasts")
        columns = ", ".join(f"{c} double precision" for c in FORECAST_SCHEMA.names[2:])
        connection.execute(f"CREATE TABLE forecasts (customer_id text, cutoff timestamp, {columns})")
    with pytest.raises(InputError, match="must have the key"):
        scored(small_bundle, store, postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("ALTER TABLE forecasts ADD PRIMARY KEY (customer_id, cutoff, horizon_days)")
        connection.execute("ALTER TABLE forecasts ADD CHECK (expected_spend < 0)")
    with pytest.raises(InputError, match=r"must take the forecasts, but: .*check constraint"):
        scored(small_bundle, store, postgres_url)
    assert len(in_postgres(postgres_url)) == 0


def test_a_schema_of_its_own_can_be_named(small_bundle, store, expected, postgres_url):
    import psycopg

    from seqclv.forecast.engines.local import Execution, score_in
    from seqclv.forecast.workplace import workplace

    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE SCHEMA crm")
    sink = sink_of(postgres_url, "crm.scores")
    for _ in range(2):
        sink.check()
        with workplace(sink.workplace, sink.name) as place:
            score_in(place, small_bundle, store, (instant(CUTOFF), [30, 90]), sink, Execution())
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM crm.scores").fetchone() == (len(expected),)


SECRET = "open_sesame"
URLS = [
    f"postgresql://me:{SECRET}@127.0.0.1:1/x",
    f"postgresql://127.0.0.1:1/x?user=me&password={SECRET}",
    f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x",
    f"mysql://me:{SECRET}@127.0.0.1/x",
    f"nothing://me:{SECRET}@127.0.0.1/x",
    f"postgresql://me:{SECRET}@127.0.0.1:port/x",
    f"://me:{SECRET}@",
]


@pytest.mark.parametrize("url", URLS)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(url, small_bundle, small_log, capsys, tmp_path):
    save_bundle(small_bundle, tmp_path / "model")
    words = ["--model", tmp_path / "model", "--transactions", small_log, "--cutoff", CUTOFF, "--out", url]
    assert main(["score", *map(str, words)]) == 2
    printed = "".join(capsys.readouterr())
    assert SECRET not in printed and "Traceback" not in printed
    assert len([line for line in printed.splitlines() if not line.startswith("·")]) == 1


def test_a_password_appears_in_no_output(small_bundle, small_log, postgres_url, capsys, tmp_path):
    password = postgres_url.split(":")[2].split("@")[0]
    save_bundle(small_bundle, tmp_path / "model")
    words = ["--model", tmp_path / "model", "--transactions", small_log, "--cutoff", CUTOFF, "--out", postgres_url]
    assert main(["score", *map(str, words), "--json"]) == 0
    printed = "".join(capsys.readouterr())
    assert "#forecasts" in printed and password not in printed
    assert password not in repr(sink_of(postgres_url))


@pytest.mark.parametrize("table", ["a b", "x; DROP TABLE y", 'a"b', "a.b.c", "", "ä"])
def test_a_table_is_a_plain_name(table):
    with pytest.raises(InputError, match="--out-table is"):
        sink_of("sqlite:///x.db", table)
