"""Every command that reads a log takes every form of it."""

import json

import pandas as pd
import pytest

from tests.commands.test_cli import TINY, run

PASSWORD = "geheim"

CONFIG = """
data:
  sources:
    - files: orders
      categorical: [category]
      where: "category <> 'toys'"
    - files: visits.csv
      every_row_is: visit
      timestamp: day
      numeric: {minutes: spent}
  customers: {files: people.csv, categorical: [country]}
  calendar: {files: calendar.csv, columns: [promo]}
  identities: {files: map.csv, from: old, to: new}
"""


@pytest.fixture
def desk(small_base, tmp_path, monkeypatch):
    """The files of a shop and the configuration that maps them."""
    monkeypatch.chdir(tmp_path)
    frame = small_base.to_pandas()
    ids = sorted(frame["customer_id"].unique())
    for channel, part in frame.groupby("channel"):
        (tmp_path / "orders" / f"channel={channel}").mkdir(parents=True)
        part.drop(columns="channel").to_parquet(tmp_path / "orders" / f"channel={channel}" / "part.parquet")
    visits = frame.iloc[::3].assign(day=frame["timestamp"].dt.date, spent=2)[["customer_id", "day", "spent"]]
    visits.to_csv("visits.csv", index=False)
    pd.DataFrame({"customer_id": ids, "country": [["de", "ch"][i % 2] for i in range(len(ids))]}).to_csv(
        "people.csv", index=False
    )
    (tmp_path / "calendar.csv").write_text("date,promo\n2020-01-01,1\n2021-12-31,1\n")
    (tmp_path / "map.csv").write_text(f"old,new\n{ids[1]},{ids[0]}\n")
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.slow
def test_one_configuration_serves_prepare_backtest_evaluate_and_score(desk, capsys):
    status, text, errors = run(capsys, "prepare", "--config", "c.yaml", "--out", "store")
    assert status == 0, errors
    for line in ("events 'visit'", "rows left out by a filter", "rows of merged identities", "customers table, rows"):
        assert line in text
    window = ["--cutoff", "2021-07-01", "--horizon", 60]
    assert run(capsys, "backtest", "--config", "c.yaml", *TINY, *window, "--out", "raw", "--quiet")[0] == 0
    model = "raw/2021-07-01/bundle"
    schema = json.loads((desk / model / "bundle.json").read_text())["schema"]
    assert [f["name"] for f in schema["static_categorical"]] == ["country"]
    assert schema["event_types"] == ["visit"]
    log = ["--config", "c.yaml", "--transactions", "store"]
    judged = run(capsys, "evaluate", "--model", model, *log, *window, "--out", "judged", "--quiet")
    assert judged[0] == 0, judged[2]
    outs = {"raw.parquet": ["--config", "c.yaml"], "store.parquet": ["--transactions", "store"]}
    for out, log in outs.items():
        status, _, errors = run(capsys, "score", "--model", model, *log, "--cutoff", "2021-07-01", "--out", out)
        assert status == 0, errors
        assert "warning" not in errors
    pd.testing.assert_frame_equal(pd.read_parquet("raw.parquet"), pd.read_parquet("store.parquet"))
    # Without the configuration: one table with the names of the attributes, what it lacks is missing.
    plain = ["--transactions", "orders", "--cutoff", "2021-07-01", "--out", "plain.parquet"]
    status, _, errors = run(capsys, "score", "--model", model, *plain)
    assert status == 0, errors
    assert "attribute 'minutes', attribute 'country', events 'visit'" in errors


def test_a_log_named_by_an_option_takes_the_place_of_the_sources(desk, capsys):
    pd.DataFrame(
        {"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1], "category": ["toys"], "minutes": [3]}
    ).assign(event_type="visit").to_csv("table.csv", index=False)
    arguments = ["prepare", "--config", "c.yaml", "--out", "store", "--json", "--transactions"]
    status, text, errors = run(capsys, *arguments, "table.csv")
    assert status == 0, errors
    report = json.loads(text)["report"]
    assert (report["rows_read"], report["rows_filtered"], report["further_events"]) == (1, 0, {"visit": 1})
    status, _, errors = run(capsys, *arguments, "orders")
    assert (status, "lacks event_type, minutes" in errors) == (2, True)


def test_a_filter_on_the_command_line(desk, capsys):
    arguments = ["--transactions", "orders", "--where", "channel = 'web' and amount > 0", "--out", "store", "--json"]
    status, text, errors = run(capsys, "prepare", *arguments)
    assert status == 0, errors
    assert json.loads(text)["report"]["rows_filtered"] > 0
    arguments[3] = "amount > 0; drop table x"
    status, _, errors = run(capsys, "prepare", *arguments)
    assert (status, errors.count("\n")) == (2, 2)
    assert "A filter is one SQL expression" in errors


def test_a_database_on_the_command_line_and_in_a_configuration(desk, capsys, postgres_url, monkeypatch):
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE command_lines (customer_id int, timestamp date, amount numeric)")
        connection.execute(
            "INSERT INTO command_lines SELECT i % 50, date '2021-01-01' + i, i FROM generate_series(1, 500) AS i"
        )
    monkeypatch.setenv("WAREHOUSE_URL", postgres_url)
    direct = run(
        capsys, "prepare", "--transactions", postgres_url, "--table", "command_lines", "--out", "one", "--json"
    )
    assert direct[0] == 0, direct[2]
    asked = ["--query", "SELECT * FROM command_lines"]
    named = run(capsys, "prepare", "--transactions", "env:WAREHOUSE_URL", *asked, "--out", "two", "--json")
    assert json.loads(named[1])["fingerprint"] == json.loads(direct[1])["fingerprint"]
    (desk / "sql.yaml").write_text("data: {sources: [{sql: {url: 'env:WAREHOUSE_URL', table: command_lines}}]}")
    mapped = run(capsys, "prepare", "--config", "sql.yaml", "--out", "three", "--json")
    assert json.loads(mapped[1])["fingerprint"] == json.loads(direct[1])["fingerprint"]
    written = [path.read_bytes() for path in desk.rglob("*") if path.is_file()]
    said = "".join(part for result in (direct, named, mapped) for part in result[1:])
    assert PASSWORD not in said
    assert not any(PASSWORD.encode() in content for content in written)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--transactions", f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", "--table", "t"],
        ["--transactions", f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:1/db", "--table", "t"],
        ["--transactions", f"mysql+nosuch://me:{PASSWORD}@127.0.0.1:1/db", "--table", "t"],
        ["--transactions", f"postgresql://me:{PASSWORD}@127.0.0.1:1/db"],
        ["--transactions", f"postgresql://127.0.0.1:1/db?user=me&password={PASSWORD}", "--table", "t"],
        ["--set", f"data.transactions=postgresql://me:{PASSWORD}@host/db"],
        ["--set", f"data.sources=[{{sql: {{url: 'postgresql://me:{PASSWORD}@h/db'}}}}]"],
        ["--set", f"data.sources=[{{files: ['postgresql://me:{PASSWORD}@h/db']}}]"],
        ["--transactions", "orders", "--set", f"data.identities={{files: 'postgresql://me:{PASSWORD}@h/db'}}"],
        ["--transactions", "orders", "--set", f"data.customers={{files: 'mysql://me:{PASSWORD}@h/db', numeric: [a]}}"],
    ],
)
def test_no_message_shows_a_password(desk, capsys, arguments):
    status, out, errors = run(capsys, "prepare", *arguments, "--out", "store")
    assert status == 2
    assert PASSWORD not in out + errors


@pytest.mark.slow
def test_a_run_in_mlflow_holds_no_password(desk, capsys, small_base, postgres_url):
    import adbc_driver_postgresql.dbapi

    with adbc_driver_postgresql.dbapi.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("tracked", small_base)
        connection.commit()
    window = ["--cutoff", "2021-07-01", "--horizon", 60, "--tracking-uri", "sqlite:///mlflow.db"]
    asked = ["--transactions", postgres_url, "--table", "tracked"]
    status, out, errors = run(capsys, "train", *asked, *TINY, *window, "--out", "out")
    assert status == 0, errors
    assert PASSWORD not in out + errors
    files = [path for path in desk.rglob("*") if path.is_file()]
    assert (desk / "mlflow.db") in files
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_score_needs_a_log(desk, capsys, small_bundle):
    from seqclv.bundle import save_bundle

    save_bundle(small_bundle, desk / "model")
    status, _, errors = run(capsys, "score", "--model", "model", "--cutoff", "2021-07-01", "--out", "f.parquet")
    assert status == 2
    assert "A log is needed" in errors
