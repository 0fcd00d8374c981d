"""What Spark reads is what the local engine reads: columns, partitions, paths, types; or one sentence says why not."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.bundle import save_bundle
from seqclv.cli import main
from seqclv.config import DataConfig
from seqclv.errors import InputError
from seqclv.forecast.engines.spark import require_whole
from seqclv.forecast.engines.spark_errors import in_plain_words
from seqclv.forecast.engines.spark_source import read_lines

CUTOFF = "2021-07-01"
ROWS = pd.DataFrame(
    {
        "customer_id": ["007", "8"] * 20,
        "timestamp": pd.date_range("2021-01-01", periods=40).astype("datetime64[us]"),
        "amount": [1.5, 2.0] * 20,
    }
)

pytestmark = pytest.mark.slow


@pytest.fixture
def model(small_bundle, tmp_path):
    save_bundle(small_bundle, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def halves(small_base):
    """The small log in two deliveries."""
    frame = small_base.to_pandas().sample(frac=1, random_state=0)
    return frame[: len(frame) // 2], frame[len(frame) // 2 :]


def write(place, **files):
    place.mkdir(parents=True, exist_ok=True)
    for name, frame in files.items():
        table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table, place / f"{name}.parquet")
    return place


def score(model, logs, out, *options):
    words = ["--model", model, "--transactions", *logs, "--cutoff", CUTOFF, "--horizons", 30, 90, "--out", out]
    return main(["score", *map(str, [*words, *options])])


def both(model, logs, place, *options):
    """The forecasts of both engines, which must be equal."""
    for engine in ("local", "spark"):
        assert score(model, logs, place / f"{engine}.parquet", "--engine", engine, "--quiet", *options) == 0
    found, expected = (pd.read_parquet(place / f"{engine}.parquet") for engine in ("spark", "local"))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)
    return found


def read(spark, *places, **columns):
    data = DataConfig(transactions=tuple(map(str, places)), require_columns=False, **columns)
    return read_lines(spark, data).toArrow().to_pandas()


def test_a_column_that_the_first_file_lacks_is_read_from_the_others(spark, model, halves, tmp_path):
    log = write(tmp_path / "log", a=halves[0].drop(columns="category"), b=halves[1])
    assert len(both(model, [log / "[ab].parquet"], tmp_path)) > 0


def test_a_column_without_any_value_takes_the_type_that_it_has_elsewhere(spark, tmp_path):
    empty = pa.Table.from_pandas(ROWS, preserve_index=False).append_column("shop", pa.nulls(len(ROWS)))
    found = read(spark, write(tmp_path / "log", a=empty, b=ROWS.assign(shop="x")), categorical=("shop",))
    assert sorted(found["shop"].dropna()) == ["x"] * 40 and len(found) == 80


def test_partitions_and_odd_paths_are_read_as_the_local_engine_reads_them(spark, model, small_base, tmp_path):
    place = tmp_path / "we ird ü=x%20 #[a]{b}*?"
    for name, rows in small_base.to_pandas().groupby("category", dropna=False):
        folder = "__HIVE_DEFAULT_PARTITION__" if pd.isna(name) else name
        write(place / f"category={folder}", **{"é part": rows.drop(columns="category")})
    plain = both(model, [place], tmp_path)
    assert len(both(model, [place], tmp_path, "--where", "category = 'books'")) < len(plain)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_a_directory_says_stays_as_it_is_written(spark, tmp_path, scheme):
    for name, rows in ROWS.groupby("customer_id"):
        write(tmp_path / "log" / f"customer_id={name}" / "shop=1.0", part=rows.drop(columns="customer_id"))
    found = read(spark, f"{scheme}{tmp_path / 'log'}", categorical=("shop",))
    assert set(found["customer_id"]) == {"007", "8"} and set(found["shop"]) == {"1.0"}


def test_signs_in_partitions_are_decoded_and_the_files_own_column_counts_first(spark, tmp_path):
    write(tmp_path / "log" / "shop=%C3%BC+x", part=ROWS)
    write(tmp_path / "log" / "shop=wrong", part=ROWS.assign(shop="own"))
    assert set(read(spark, tmp_path / "log", categorical=("shop",))["shop"]) == {"ü+x", "own"}


def test_types_that_differ_without_harm_are_brought_together(spark, tmp_path):
    whole = ROWS.assign(customer_id=ROWS["customer_id"].astype("int32"), amount=np.int32(3))
    dates = ROWS.assign(timestamp=ROWS["timestamp"].dt.date, shop=5)
    log = write(tmp_path / "log", a=whole, b=dates, c=ROWS.assign(shop="x"))
    found = read(spark, log, categorical=("shop",))
    assert len(found) == 120 and set(found["customer_id"]) == {"007", "7", "8"}
    assert found["timestamp"].nunique() == 40 and set(found["amount"]) == {1.5, 2.0, 3.0}
    assert set(found["shop"].dropna()) == {"5", "x"}


def test_text_in_bytes_is_text(spark, tmp_path):
    table = pa.Table.from_pandas(ROWS, preserve_index=False)
    table = table.append_column("shop", pa.array(["ü".encode()] * len(ROWS), pa.binary()))
    assert set(read(spark, write(tmp_path / "log", a=table), categorical=("shop",))["shop"]) == {"ü"}


def test_what_the_configuration_says_of_a_log_is_carried_out(spark, model, small_base, tmp_path):
    frame = small_base.to_pandas()
    frame["kind"] = np.where(np.arange(len(frame)) % 5 == 0, "V", "B")
    back = frame[::7].assign(amount=-frame["amount"][::7], timestamp=frame["timestamp"][::7] + pd.Timedelta(days=2))
    frame = pd.concat([frame, back])
    frame["no"] = np.where(np.arange(len(frame)) % 90 == 0, "yes", "")
    data = {
        "event_type": "kind",
        "types": {"V": "visit", "B": "purchase"},
        "categorical": ["category"],
        "where": "amount > -60 and Channel <> 'app'",
        "cancellation_days": 5,
        "match_on": ["category"],
        "do_not_profile": "no",
        "watch": ["till"],
    }
    (tmp_path / "c.yaml").write_text(json.dumps({"data": data}))
    log = write(tmp_path / "log", a=frame[: len(frame) // 2], b=frame[len(frame) // 2 :])
    found = both(model, [log], tmp_path, "--config", tmp_path / "c.yaml")
    assert score(model, [log], tmp_path / "plain.parquet", "--quiet") == 0
    assert 0 < len(found) < len(pd.read_parquet(tmp_path / "plain.parquet"))


def test_whoever_scores_is_told_what_was_set_aside_and_what_is_missing(spark, model, small_base, tmp_path, capsys):
    frame = small_base.to_pandas().drop(columns="category")
    frame.loc[:9, "customer_id"] = None
    frame.loc[10:12, "amount"] = np.nan
    log, told = write(tmp_path / "log", a=frame[:11], b=frame[11:]), {}
    for engine in ("local", "spark"):
        assert score(model, [log], tmp_path / f"{engine}.parquet", "--engine", engine) == 0
        lines = capsys.readouterr().err.splitlines()
        told[engine] = [line for line in lines if "set aside" in line or "counts as missing" in line]
    assert len(told["spark"]) == 2 and told["spark"] == told["local"]


def damaged(place, frame):
    """A log of one whole file and one whose pages are not what its footer says."""
    write(place, a=frame, b=frame)
    content = bytearray((place / "b.parquet").read_bytes())
    content[200:2000] = np.random.default_rng(0).bytes(1800)
    (place / "b.parquet").write_bytes(content)
    return place


def refused(frame, place):
    """Logs that must be refused, and a word of the message."""
    text, zoned = frame.assign(amount=frame["amount"].astype(str)), pa.Table.from_pandas(frame, preserve_index=False)
    zoned = zoned.set_column(1, "timestamp", zoned["timestamp"].cast(pa.timestamp("us", "UTC")))
    write(place / "no amount", a=frame, b=frame.drop(columns="amount"))
    write(place / "two types", a=frame, b=text)
    write(place / "zones", a=frame, b=zoned)
    write(place / "colon", **{"12:30": frame})
    write(place / "nanoseconds", a=frame.assign(timestamp=frame["timestamp"].astype("datetime64[ns]")))
    write(place / "cut", a=frame)
    (place / "cut" / "b.parquet").write_bytes((place / "cut" / "a.parquet").read_bytes()[:5000])
    (write(place / "delta", a=frame) / "_delta_log").mkdir()
    return {
        place / "no amount": "b.parquet' lacks amount",
        place / "two types": "'amount' is double in some files and string in others",
        place / "zones": "'timestamp' is",
        place / "colon": "no file with a colon",
        place / "nanoseconds": "write microseconds",
        place / "cut": "damaged or no Parquet",
        damaged(place / "pages", frame): "error while reading file",
        place / "delta": "use --engine local",
        f"file://{place / 'delta'}": "is a Delta table",
        f"file://{place / 'two types'}": "convert the files",
        f"file://{place / 'nothing'}": "does not exist",
        "postgresql://me:secret@localhost/db": 'No FileSystem for scheme "postgresql"',
        "dataset:cdnow": "use --engine local",
    }


def test_what_cannot_be_read_is_refused_in_one_sentence(spark, model, small_base, tmp_path, capsys):
    for log, word in refused(small_base.to_pandas(), tmp_path).items():
        assert score(model, [log], tmp_path / "f.parquet", "--engine", "spark", "--quiet") == 2, log
        message = capsys.readouterr().err
        assert word in message and "secret" not in message, message
        assert len(message.strip().splitlines()) == 1, message
        assert not (tmp_path / "f.parquet").exists()


def test_an_option_of_the_local_engine_is_not_dropped_in_silence(model, small_log, tmp_path, capsys):
    for options in (["--workers", 2], ["--accelerator", "gpu"]):
        assert score(model, [small_log], tmp_path / "f.parquet", "--engine", "spark", *options) == 2
        assert "leave them out" in capsys.readouterr().err


def test_nobody_is_profiled_for_want_of_the_column_that_says_who_objects(spark, model, small_log, tmp_path, capsys):
    assert score(model, [small_log], tmp_path / "f.parquet", "--engine", "spark", "--do-not-profile", "objects") == 2
    assert "Whoever must not be profiled" in capsys.readouterr().err


@pytest.mark.parametrize("names", [("a.b",), ("a`b",)])
def test_names_that_spark_confuses_are_refused(spark, tmp_path, names):
    log = write(tmp_path / "log", a=ROWS.assign(**dict.fromkeys(names, 1.0)))
    with pytest.raises(InputError, match="without dots and backticks"):
        read(spark, log, numeric=names)


def test_a_column_of_another_case_is_another_column(spark, tmp_path):
    log = write(tmp_path / "log", a=ROWS.assign(Shop="a"), b=ROWS.assign(shop="b"))
    assert set(read(spark, log, categorical=("shop",))["shop"].dropna()) == {"b"}
    with pytest.raises(InputError, match="upper and lower case"):
        read(spark, log, categorical=("shop",), where="shop <> 'c'")


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
def test_an_error_of_the_user_in_a_worker_is_told_and_any_other_stays_what_it_is(spark):
    def raising(error):
        def task(batches):
            raise error

        return spark.range(1).mapInArrow(task, "id bigint")

    with pytest.raises(InputError, match=r"^A must be B\.$"), in_plain_words():
        raising(InputError("A must be B.")).collect()
    with pytest.raises(Exception, match="our own fault") as caught, in_plain_words():
        raising(RuntimeError("our own fault")).collect()
    assert not isinstance(caught.value, InputError)


def test_forecasts_that_other_machines_kept_on_their_own_disks_are_missed(tmp_path):
    write(tmp_path / "spark", **{"part-0": ROWS})
    assert len(require_whole(tmp_path / "spark", len(ROWS))) == 1
    with pytest.raises(InputError, match=r"of 50 forecasts only 40 are"):
        require_whole(tmp_path / "spark", 50)
