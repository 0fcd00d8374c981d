"""The Spark engine: the same scorer over a table of events that is spread over a cluster.

Rows are read by Spark, brought together by customer and sorted, and cleaned and forecast where they are by the code
that the local engine runs. Rules on the log as a whole are checked first, from counts of each batch. Spark's output
committer lets one attempt of each task count; what it wrote is then copied, in order, into the same file or table as
the local engine's. The forecasts equal those of the local engine but for rounding: customers share other chunks.
"""

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.bundle import Bundle, save_bundle
from seqclv.config import DataConfig
from seqclv.credentials import without_credentials
from seqclv.data.calendar import Calendar
from seqclv.data.covariates import beyond_calendar, require_calendar
from seqclv.data.database import connect
from seqclv.data.lake import is_delta
from seqclv.data.places import find_files
from seqclv.data.sources import DATASET_PREFIX, is_parquet
from seqclv.data.store import is_store
from seqclv.data.tables import load_calendar
from seqclv.errors import InputError
from seqclv.forecast.engines.local import Execution, Scored, manifest_facts, require_customers
from seqclv.forecast.engines.spark_errors import first_line, in_plain_words
from seqclv.forecast.engines.spark_source import quoted_column, read_lines
from seqclv.forecast.engines.spark_survey import Surveyed, surveyed
from seqclv.forecast.engines.spark_tasks import KEY, Model, forecast
from seqclv.forecast.forecaster import FORECAST_SCHEMA
from seqclv.forecast.parts import Job
from seqclv.forecast.sinks import Sink
from seqclv.forecast.summary import Summary
from seqclv.forecast.told import told_of_log, unknown
from seqclv.forecast.workplace import Workplace

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Task = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_DATABASES = ("env:", "adbc:")  # which a colon alone tells from a file
_SPARK_TYPES = {"string": "string", "timestamp[us]": "timestamp_ntz", "double": "double"}


def score_with_spark(
    place: Workplace,
    bundle: Bundle,
    data: DataConfig,
    window: tuple[int, Sequence[float]],
    sink: Sink,
    execution: Execution,
) -> Scored:
    """Score the Parquet log that `data` names; `window` is the cutoff (microseconds) and the rising horizons.

    Raises:
        InputError: Spark is not there, the log is of a kind that this engine does not read, or is refused.
    """
    _require_plain(bundle, data, execution)
    data = replace(data, watch=())  # feeds are watched by the local engine alone
    cutoff, horizons = window
    calendar = _calendar(data)
    require_calendar(calendar, bundle.calendar)
    if (warning := beyond_calendar(calendar, bundle.calendar, cutoff, horizons)) is not None:
        execution.announce(warning)
    with _session() as spark, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")  # Arrow alone is used
        execution.announce("reading the log")
        lines = read_lines(spark, data)
        found = surveyed(lines, data)
        for sentence in filter(None, (*told_of_log(found.report), unknown(bundle, found))):
            execution.announce(sentence)
        job = Job.of(bundle, found.fingerprint, cutoff, horizons, device="cpu", engine="spark")
        work = place.parts(job.digest)
        shutil.rmtree(work / "spark", ignore_errors=True)  # of a killed scoring: Spark starts over
        execution.announce("forecasting")
        task = forecast_task(bundle, data, calendar, (cutoff, horizons))
        try:
            rows = _write(forecasts(lines, data, task), work / "spark")
            files = require_whole(work / "spark", rows)
            return _collect(files, work, bundle, job, found, sink, execution)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _require_plain(bundle: Bundle, data: DataConfig, execution: Execution) -> None:
    """Refuse what needs the whole log in one place, and what only the local engine heeds."""
    if execution.workers is not None or execution.accelerator == "gpu":
        raise InputError(
            "--workers and --accelerator gpu are the local engine's, but --engine spark is asked for, which runs on "
            "as many cores as Spark's own configuration says: leave them out."
        )
    further = [name for name in ("sources", "customers", "identities", "query", "table") if getattr(data, name)]
    if further:
        raise InputError(
            f"--engine spark reads one Parquet log, but the configuration has {' and '.join(further)}: use --engine "
            "local."
        )
    if bundle.kind == "prior":
        raise InputError("--engine spark needs a model that was trained, but this is the prior: use --engine local.")
    strange = [place for place in data.transactions if not _is_parquet(place)]
    if strange:
        raise InputError(
            f"--engine spark reads Parquet files or directories of them, but '{without_credentials(strange[0])}' is "
            "neither: use --engine local."
        )


def _is_parquet(place: str) -> bool:
    """Whether a place holds Parquet files and nothing else; behind an address only Spark can tell."""
    if place.startswith((DATASET_PREFIX, *_DATABASES)) or is_store(place):
        return False
    return "://" in place or all(not is_delta(file) and is_parquet(file) for file in find_files([place]).files)


def _calendar(data: DataConfig) -> Calendar | None:
    """The calendar, read here: it travels with the task."""
    if data.calendar is None:
        return None
    with connect(None) as connection:
        return load_calendar(connection, data.calendar, data.decimal)


@contextmanager
def _session() -> Iterator["SparkSession"]:
    """The active session, else a new one of Spark's own configuration that ends afterwards."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise InputError("--engine spark needs PySpark: pip install 'seqclv[spark]', and Java 17 or newer.") from error
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        builder = SparkSession.builder.appName("seqclv score").config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.log.level", "FATAL")  # the traces of a failed task would bury the one sentence
        spark = builder.getOrCreate()
    except PySparkException as error:
        raise InputError(
            f"--engine spark needs Java 17 or newer and a Spark that starts: {first_line(error)}."
        ) from error
    try:
        yield spark
    finally:
        spark.stop()


def forecast_task(
    bundle: Bundle, data: DataConfig, calendar: Calendar | None, window: tuple[int, Sequence[float]]
) -> Task:
    """What a worker does with a partition; it carries the model and the calendar."""
    with tempfile.TemporaryDirectory(prefix="seqclv-") as directory:
        save_bundle(bundle, Path(directory) / "bundle")
        files = {path.name: path.read_bytes() for path in (Path(directory) / "bundle").iterdir()}
    shipped = Model(bundle.version, files)
    rules = replace(data, transactions=(), calendar=None, max_reject_share=1.0)
    return partial(forecast, model=shipped, data=rules, calendar=calendar, window=window)


def forecasts(lines: "DataFrame", data: DataConfig, task: Task) -> "DataFrame":
    """The forecasts in the order of customers and horizons, over all partitions."""
    from pyspark.sql import functions

    keyed = lines.withColumn(KEY, quoted_column(data.customer_id).cast("string"))
    keyed = keyed.where(functions.col(KEY).isNotNull())
    ordered = keyed.repartitionByRange(KEY).sortWithinPartitions(KEY)
    schema = ", ".join(f"{field.name} {_SPARK_TYPES[str(field.type)]}" for field in FORECAST_SCHEMA)
    return ordered.mapInArrow(task, schema)


def _write(table: "DataFrame", directory: Path) -> int:
    """Write Parquet files and tell how many rows the tasks that count have handed on."""
    from pyspark.sql import Observation, functions

    written = Observation()
    with in_plain_words():
        observed = table.observe(written, functions.count(functions.lit(1)).alias("rows"))
        observed.write.parquet(f"file://{directory.absolute()}")
    return int(written.get["rows"])


def require_whole(directory: Path, rows: int) -> list[Path]:
    """The files that Spark wrote, in their order.

    Raises:
        InputError: fewer than `rows` rows are in them: other machines wrote to disks of their own.
    """
    files = sorted(directory.glob("part-*.parquet"))
    found = sum(pq.read_metadata(file).num_rows for file in files)
    if found != rows:
        raise InputError(
            f"--out, or for a database TMPDIR, must lie on a disk that all of Spark's machines share, but of {rows:,} "
            f"forecasts only {found:,} are in '{directory.parent}': name such a place."
        )
    return files


def _collect(
    files: Sequence[Path], work: Path, bundle: Bundle, job: Job, found: Surveyed, sink: Sink, execution: Execution
) -> Scored:
    """Copy what Spark wrote into the sink."""
    summary = Summary(job.horizons_days)
    log = {"fingerprint": job.log, "rows": found.counts.read}
    customers = sum(pq.read_metadata(file).num_rows for file in files) // len(job.horizons_days)
    require_customers(customers, job.cutoff, found.counts.first)
    bar = execution.progress(customers) if execution.progress else nullcontext(lambda _: None)
    with bar as advance:

        def tables() -> Iterator[pa.Table]:
            for file in files:
                with pq.ParquetFile(file) as opened:
                    for group in range(opened.num_row_groups):
                        table = opened.read_row_group(group).cast(FORECAST_SCHEMA)
                        summary.add(table)
                        advance(len(table) // len(job.horizons_days))
                        yield table

        manifest = sink.write(tables(), work, lambda: manifest_facts(bundle, log, job, customers))
    return Scored(sink.name, customers, customers * len(job.horizons_days), manifest, summary)
