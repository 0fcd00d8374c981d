"""The Spark engine on a real Spark: the local engine's forecasts, whatever fails on the way."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import main
from seqclv.forecast.engines.spark_tasks import KEY, whole_customers
from seqclv.forecast.sinks import manifest_path

CUTOFF = "2021-07-01"


@pytest.fixture
def model(small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def dirty_log(small_base, tmp_path):
    """Several files, with rows that the rules reject."""
    frame = small_base.to_pandas()
    bad = frame[:6].copy()
    bad.loc[bad.index[:3], "amount"] = [np.nan, np.inf, 1e300]
    bad.loc[bad.index[3:], "customer_id"] = [None, "", "  "]
    frame = pd.concat([frame, bad], ignore_index=True).sample(frac=1, random_state=0)
    (tmp_path / "log").mkdir()
    for i, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
        pq.write_table(pa.Table.from_pandas(frame.iloc[rows], preserve_index=False), tmp_path / "log" / f"{i}.parquet")
    return tmp_path / "log"


def score(model, log, out, *options):
    words = ["--model", model, "--transactions", log, "--cutoff", CUTOFF, "--horizons", 30, 90, "--out", out, *options]
    return main(["score", *map(str, words), "--quiet"])


def assert_equal(found, expected):
    assert pq.read_schema(found).equals(pq.read_schema(expected))
    found, expected = (pq.read_table(path).to_pandas() for path in (found, expected))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_spark_gives_the_local_engines_file(spark, model, dirty_log, tmp_path, capsys):
    assert score(model, dirty_log, tmp_path / "local.parquet") == 0
    assert score(model, dirty_log, tmp_path / "spark.parquet", "--engine", "spark") == 0
    assert_equal(tmp_path / "spark.parquet", tmp_path / "local.parquet")
    manifest = json.loads(manifest_path(tmp_path / "spark.parquet").read_text())
    local = json.loads(manifest_path(tmp_path / "local.parquet").read_text())
    same = ("model", "training_cutoff", "cutoff", "horizons_days", "customers", "rows")
    assert {name: manifest[name] for name in same} == {name: local[name] for name in same}
    assert manifest["engine"] == "spark"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_task_that_fails_is_tried_again_without_duplicates(spark, model, small_log, tmp_path, monkeypatch):
    from seqclv.forecast.engines import spark as engine

    real = engine.forecast_task

    def failing_once(*arguments):
        task = real(*arguments)

        def attempt(batches):
            from pyspark import TaskContext

            for batch in task(batches):
                yield batch  # what a failed attempt has handed on must not count
                if TaskContext.get().attemptNumber() == 0:
                    raise RuntimeError("the first attempt fails")

        return attempt

    assert score(model, small_log, tmp_path / "expected.parquet") == 0
    monkeypatch.setattr(engine, "forecast_task", failing_once)
    assert score(model, small_log, tmp_path / "found.parquet", "--engine", "spark") == 0
    assert_equal(tmp_path / "found.parquet", tmp_path / "expected.parquet")


@pytest.mark.slow
def test_whole_numbers_as_customers_are_texts_in_their_order(spark, model, small_base, tmp_path):
    frame = small_base.to_pandas()
    frame["customer_id"] = frame["customer_id"].str[1:].astype("int64") * 7
    frame.to_parquet(tmp_path / "log.parquet", index=False)
    for engine in ("local", "spark"):
        assert score(model, tmp_path / "log.parquet", tmp_path / f"{engine}.parquet", "--engine", engine) == 0
    assert_equal(tmp_path / "spark.parquet", tmp_path / "local.parquet")


def bad_logs(frame):
    """Logs that must be refused, by what is wrong with them, and a word of the message."""
    return {
        "no amount": (frame.drop(columns="amount"), "lacks amount"),
        "unparsable": (frame.assign(timestamp="yesterday"), "At most 50% of the rows"),
        "nameless": (frame.assign(customer_id=pd.Series(index=frame.index, dtype="str")), "name a customer"),
        "fractions": (frame.assign(customer_id=0.5), "text or whole numbers"),
        "late": (frame[frame["timestamp"] >= CUTOFF], "nobody bought before"),
        "no rows": (frame[:0], "must have rows"),
    }


@pytest.mark.slow
def test_spark_refuses_what_the_local_engine_refuses(spark, model, small_base, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    for name, (frame, word) in bad_logs(small_base.to_pandas()).items():
        frame.to_parquet(tmp_path / "log.parquet", index=False)
        assert score(model, tmp_path / "log.parquet", tmp_path / "out" / "f.parquet", "--engine", "spark") == 2, name
        message = capsys.readouterr().err
        assert word in message and len(message.strip().splitlines()) == 1, name
        assert not list((tmp_path / "out").iterdir()), name


@pytest.mark.slow
def test_spark_says_what_it_does_not_read(spark, model, small_log, small_base, tmp_path, capsys):
    small_base.to_pandas().to_csv(tmp_path / "log.csv", index=False)
    assert main(["prepare", "--transactions", str(small_log), "--out", str(tmp_path / "store"), "--quiet"]) == 0
    capsys.readouterr()
    for log in (tmp_path / "log.csv", tmp_path / "store"):
        assert score(model, log, tmp_path / "f.parquet", "--engine", "spark") == 2
        assert "use --engine local" in capsys.readouterr().err


def test_without_pyspark_the_extra_is_named(model, small_log, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)
    monkeypatch.setitem(__import__("sys").modules, "pyspark.errors", None)
    assert score(model, small_log, tmp_path / "f.parquet", "--engine", "spark") == 2
    assert "pip install 'seqclv[spark]'" in capsys.readouterr().err


@pytest.mark.parametrize("block", [1, 5, 1000])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_rows_of_a_customer_are_never_torn(block, batch, monkeypatch):
    monkeypatch.setattr("seqclv.forecast.engines.spark_tasks._BLOCK_ROWS", block)
    rng = np.random.default_rng(0)
    keys = np.repeat([f"{i:03}" for i in range(40)], rng.integers(1, 12, 40))
    rows = pa.table({KEY: keys, "n": np.arange(len(keys))})
    tables = list(whole_customers(rows.to_batches(max_chunksize=batch)))
    assert pa.concat_tables(tables)["n"].to_pylist() == list(range(len(keys)))
    seen = [set(table[KEY].to_pylist()) for table in tables]
    assert sum(len(one) for one in seen) == len(set.union(*seen))
    if block == 1:
        assert len(tables) > 10
