import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqclv.config import DataConfig, SqlConfig
from seqclv.data import sql
from seqclv.data.database import connect
from seqclv.data.store import build_store, events_from_frame
from seqclv.errors import InputError

PASSWORD = "geheim"


def execute(url, *statements):
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="module")
def orders(postgres_server_url):
    """A table of 5,000 orders with types that databases have and files have not; its frame."""
    execute(
        postgres_server_url,
        "CREATE SCHEMA sales",
        'CREATE TABLE sales."Order.Lines" ("Customer" uuid, at timestamp, "net amount" numeric(12, 2), channel text)',
        """INSERT INTO sales."Order.Lines" SELECT md5((i % 700)::text)::uuid,
           timestamp '2020-01-01' + i * interval '3 hours', (i * 37 % 9973) / 100.0 - 1,
           CASE i % 3 WHEN 0 THEN 'web' WHEN 1 THEN 'shop' END FROM generate_series(1, 5000) AS i""",
    )
    import psycopg

    with psycopg.connect(postgres_server_url) as connection:
        rows = connection.execute('SELECT "Customer", at, "net amount", channel FROM sales."Order.Lines"').fetchall()
    frame = pd.DataFrame(rows, columns=["Customer", "at", "net amount", "channel"])
    return frame.assign(Customer=frame["Customer"].astype(str), **{"net amount": frame["net amount"].astype(float)})


COLUMNS = DataConfig(customer_id="Customer", timestamp="at", amount="net amount", categorical=("channel",))
QUERY = 'SELECT * FROM sales."Order.Lines"'


def same(events, other):
    assert list(events.customer_id) == list(other.customer_id)
    for name in ("offset", "timestamp", "amount", "event_type"):
        assert np.array_equal(getattr(events, name), getattr(other, name)), name
    for name, column in events.categorical.items():
        assert column.values == other.categorical[name].values
        assert np.array_equal(column.codes, other.categorical[name].codes)


def test_a_query_to_postgres_gives_the_same_store_as_the_table_in_memory(postgres_server_url, orders, tmp_path):
    data = replace(COLUMNS, transactions=(postgres_server_url,), query=QUERY)
    same(build_store(data, tmp_path / "store").read(), events_from_frame(orders, COLUMNS))


def test_sqlalchemy_reads_postgres_alike(postgres_server_url, orders, tmp_path):
    url = postgres_server_url.replace("postgresql://", "postgresql+psycopg://")
    data = replace(COLUMNS, transactions=(url,), query=QUERY)
    same(build_store(data, tmp_path / "store").read(), events_from_frame(orders, COLUMNS))


def test_a_table_is_named_with_its_schema_and_an_adbc_driver_by_its_name(postgres_server_url, orders, tmp_path):
    execute(postgres_server_url, 'CREATE OR REPLACE VIEW sales.lines AS SELECT * FROM sales."Order.Lines"')
    data = replace(COLUMNS, transactions=(f"adbc:postgresql:{postgres_server_url}",), table="sales.lines")
    same(build_store(data, tmp_path / "store").read(), events_from_frame(orders, COLUMNS))


def test_the_url_may_come_from_the_environment(postgres_server_url, orders, tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_URL", postgres_server_url)
    data = replace(COLUMNS, transactions=("env:WAREHOUSE_URL",), query=QUERY)
    assert build_store(data, tmp_path / "store").customers == 700
    for value, message in [(None, "is not set"), ("not a url", "must hold the URL"), ("env:X", "must hold the URL")]:
        monkeypatch.delenv("WAREHOUSE_URL") if value is None else monkeypatch.setenv("WAREHOUSE_URL", value)
        with pytest.raises(InputError, match=message):
            build_store(data, tmp_path / "store")


def test_awkward_types_of_postgres_are_exact_or_missing_and_never_wrong(postgres_server_url, tmp_path):
    execute(
        postgres_server_url,
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE odd (id numeric, at timestamptz, amount numeric, kind mood, open boolean, tags int[], ip inet)",
        """INSERT INTO odd VALUES (12345678901234567890123, '2024-01-01 10:00+02', 1.10, 'good', true, '{1}', '::1'),
           (7, '2024-01-02 10:00+00', 'NaN', 'bad', null, null, null), (7, 'infinity', 3, null, null, null, null),
           (7, '-infinity', 3, null, null, null, null), (7, '2024-01-03', 5, 'bad', false, null, null)""",
    )
    data = DataConfig(
        transactions=(postgres_server_url,),
        table="odd",
        customer_id="id",
        timestamp="at",
        categorical=("kind", "open"),
        max_reject_share=1.0,
    )
    store = build_store(data, tmp_path / "store")
    events = store.read()
    assert list(events.customer_id) == ["12345678901234567890123", "7"]
    assert list(events.amount) == [1.1, 5.0]
    assert events.timestamp[0] == pd.Timestamp("2024-01-01 08:00").value // 1000
    assert store.info.report["rejected_by_reason"] == {"unparsable timestamp": 2, "no amount": 1}
    assert events.categorical["kind"].values == ("bad", "good")


def test_money_is_refused_since_its_unit_is_not_known(postgres_server_url, tmp_path):
    execute(
        postgres_server_url, "CREATE TABLE rich AS SELECT 'a' AS customer_id, now() AS timestamp, 3.5::money AS amount"
    )
    with pytest.raises(InputError, match=r"'amount' must hold numbers.*MONEY"):
        build_store(DataConfig(transactions=(postgres_server_url,), table="rich"), tmp_path / "store")


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
def test_what_a_database_refuses_is_one_sentence_without_the_password(postgres_server_url, driver, tmp_path):
    url = postgres_server_url.replace("postgresql", driver, 1)
    wrong = [
        (url.replace(PASSWORD, "fal:sch"), {"query": "SELECT 1"}),
        (url.replace(PASSWORD, "fal%3Asch"), {"query": "SELECT 1"}),
        (url.replace("127.0.0.1", "127.0.0.2"), {"query": "SELECT 1"}),
        (url, {"query": f"SELECT '{PASSWORD}' FROM nowhere"}),
        (url, {"table": "nowhere"}),
        (url, {"query": "SELECT 1 AS a, 2 AS a"}),
        (url, {"query": "SELECT 1 / (i - 3) AS a FROM generate_series(1, 5) AS i"}),
        (url + "?password=geheim&nonsense=1", {"query": "SELECT 1"}),
    ]
    for place, asked in wrong:
        with pytest.raises(InputError) as refused:
            build_store(DataConfig(transactions=(place,), **asked), tmp_path / "store")
        assert PASSWORD not in str(refused.value).replace("the query", "")
        assert "fal:sch" not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_database_needs_a_question_and_a_question_a_database(tmp_path):
    url = f"postgresql://me:{PASSWORD}@host/db"
    with pytest.raises(InputError, match=r"must be asked.*--table or --query") as refused:
        build_store(DataConfig(transactions=(url,)), tmp_path / "store")
    assert PASSWORD not in str(refused.value)
    with pytest.raises(InputError, match="names none: give its URL"):
        build_store(DataConfig(transactions=("log.csv",), table="orders"), tmp_path / "store")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://host/db", "does not: "),
        ("adbc:nosuch:uri", "needs the ADBC driver 'nosuch'"),
        ("sqlite:///missing.db", "no file 'missing.db'"),
    ],
)
def test_a_database_that_is_not_there_is_refused(url, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        build_store(DataConfig(transactions=(url,), table="orders"), tmp_path / "store")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def loose(tmp_path):
    """An SQLite database whose columns hold what they like."""
    path = tmp_path / "loose.db"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE "the log" (customer_id, timestamp, amount, "a ""b"".c")')
        rows = [
            (1, "2024-01-01", 1, "x"),
            ("00012", "2024-01-02 10:00:00", 2.5, None),
            (2**53 + 1, 20240103, "3", b"y"),
            (None, "2024-01-01", 1, None),
        ]
        connection.executemany('INSERT INTO "the log" VALUES (?, ?, ?, ?)', rows)
    connection.close()
    return f"sqlite:///{path}"


def test_sqlite_with_mixed_types_is_read_exactly(loose, tmp_path):
    data = DataConfig(transactions=(loose,), table="the log", categorical=('a "b".c',))
    store = build_store(data, tmp_path / "store")
    events = store.read()
    assert list(events.customer_id) == ["00012", "1", "9007199254740993"]
    assert list(events.amount) == [2.5, 1.0, 3.0]
    assert events.categorical['a "b".c'].values == ("x", "y")
    assert store.info.report["rows_without_customer"] == 1


def test_signs_that_mean_something_to_drivers_stay_in_a_query(loose, tmp_path):
    query = """SELECT *, ':name %s %(x)s' AS note FROM "the log" WHERE timestamp LIKE '2024%'"""
    data = DataConfig(transactions=(loose,), query=query, categorical=("note",))
    assert build_store(data, tmp_path / "store").read().categorical["note"].values == (":name %s %(x)s",)


def test_rows_are_streamed_and_never_a_whole_table_in_memory(loose, tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "BATCH_ROWS", 100)
    sizes = []
    monkeypatch.setattr(sql, "_plain", lambda batch, plain=sql._plain: sizes.append(batch.num_rows) or plain(batch))
    asked = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1050) SELECT i FROM n"
    with connect(tmp_path) as connection:
        table, names, types = sql.load(connection, SqlConfig(url=loose, query=asked))
        assert connection.execute(f"SELECT count(*), min(c0::int), max(c0::int) FROM {table}").fetchall() == [
            (1050, 1, 1050)
        ]
    assert (names, types) == (("i",), ("VARCHAR",))
    assert max(sizes) == 100
    assert len(sizes) == 11


def test_a_password_reaches_neither_store_nor_bundle_nor_tracking(small_bundle, tmp_path):
    from seqclv.bundle import save_bundle
    from seqclv.data.mapping import named_places
    from seqclv.tracking.runs import plain_config
    from seqclv.training.train import portable

    config = small_bundle.config
    url = f"postgresql://me:{PASSWORD}@host/db"
    table = {"sql": {"url": url, "table": "t"}}
    from seqclv.configfile import config_from, with_values

    flat = config_from(with_values(config, {"data": {"transactions": [url], "table": "t"}}))
    rich = config_from(
        {
            "data": {
                "sources": [table],
                "customers": {**table, "numeric": ["age"]},
                "calendar": {**table, "columns": ["promo"]},
                "identities": table,
            }
        }
    )
    for one in (flat, rich):
        assert PASSWORD not in json.dumps(plain_config(one))
        save_bundle(replace(small_bundle, config=portable(one)), tmp_path / "bundle")
        assert PASSWORD not in (tmp_path / "bundle/bundle.json").read_text()
        assert "postgresql" not in (tmp_path / "bundle/bundle.json").read_text()
    assert named_places(rich.data) == [url]


def test_the_staging_shows_no_progress_of_its_own_where_somebody_watches():
    """DuckDB takes a program without a file for somebody at a console."""
    code = """
from seqclv.data.database import connect
with connect(None) as connection:
    print(connection.execute("SELECT current_setting('enable_progress_bar')").fetchall())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[(False,)]\n"


@pytest.mark.parametrize(
    "query",
    ["DROP TABLE t", " delete from t", "/* SELECT */ UPDATE t SET amount = 0", "WITH x AS (SELECT 1) DELETE FROM t"],
)
def test_a_query_changes_nothing(tmp_path, query):
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (customer_id, timestamp, amount)")
        connection.execute("INSERT INTO t VALUES ('a', '2024-01-01', 1)")
    with pytest.raises(InputError, match=r"must read, as SELECT and WITH do|readonly database"):
        build_store(DataConfig(transactions=(f"sqlite:///{path}",), query=query), tmp_path / "store")
    asked = "-- all of them\nSELECT * FROM t"
    store = build_store(DataConfig(transactions=(f"sqlite:///{path}",), query=asked), tmp_path / "store")
    assert store.info.events == 1
