"""The Spark engine: the same scorer over a table of events that is spread over a cluster.

Rows are read by Spark, brought together by customer and sorted, and cleaned and forecast where they are by the code
that the local engine runs. Rules on the log as a whole are checked first, from counts of each batch. Spark's output
committer lets one attempt of each task count; what it wrote is then copied, in order, into the same file or table as
the local engine's. The forecasts equal those of the local engine but for rounding: customers share other chunks.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.bundle import Bundle, save_bundle
from seqclv.config import DataConfig
from seqclv.data.calendar import Calendar
from seqclv.data.counts import Counts, require_one_zone, require_usable
from seqclv.data.covariates import beyond_calendar, require_calendar
from seqclv.data.database import connect
from seqclv.data.mapping import named_places
from seqclv.data.places import find_files
from seqclv.data.privacy import Objections
from seqclv.data.store import is_store
from seqclv.data.tables import load_calendar
from seqclv.data.transactions import read_frame
from seqclv.errors import InputError
from seqclv.forecast.engines.local import Execution, Scored, manifest_facts, require_customers
from seqclv.forecast.engines.spark_tasks import KEY, SURVEY_COLUMN, Model, forecast, survey
from seqclv.forecast.forecaster import FORECAST_SCHEMA
from seqclv.forecast.parts import Job
from seqclv.forecast.sinks import Sink
from seqclv.forecast.summary import Summary
from seqclv.forecast.workplace import Workplace

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Task = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_TEXT_OR_WHOLE = ("string", "tinyint", "smallint", "int", "bigint")
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
    _require_plain(bundle, data)
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
        job = Job.of(bundle, found.fingerprint, cutoff, horizons, device="cpu", engine="spark")
        work = place.parts(job.digest)
        shutil.rmtree(work / "spark", ignore_errors=True)  # of a killed scoring: Spark starts over
        execution.announce("forecasting")
        task = forecast_task(bundle, data, calendar, (cutoff, horizons))
        try:
            _told(lambda: forecasts(lines, data, task).write.parquet(str((work / "spark").absolute())))
            return _collect(work, bundle, job, found, sink, execution)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _require_plain(bundle: Bundle, data: DataConfig) -> None:
    """Refuse what needs the whole log in one place."""
    further = [name for name in ("sources", "customers", "identities", "query", "table") if getattr(data, name)]
    if further:
        raise InputError(
            f"--engine spark reads one Parquet log, but the configuration has {' and '.join(further)}: use --engine "
            "local."
        )
    if bundle.kind == "prior":
        raise InputError("--engine spark needs a model that was trained, but this is the prior: use --engine local.")
    strange = [p for p in named_places(data) if "://" not in p and (is_store(p) or not _is_parquet(p))]
    if strange:
        raise InputError(
            f"--engine spark reads Parquet files or directories of them, but '{strange[0]}' is neither: use --engine "
            "local."
        )


def _calendar(data: DataConfig) -> Calendar | None:
    """The calendar, read here: it travels with the task."""
    if data.calendar is None:
        return None
    with connect(None) as connection:
        return load_calendar(connection, data.calendar, data.decimal)


def _is_parquet(path: str) -> bool:
    return all(file.suffix.lower() in (".parquet", ".pq") for file in find_files([path]).files)


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
        spark = builder.getOrCreate()
    except PySparkException as error:
        raise InputError(f"--engine spark needs Java 17 or newer and a Spark that starts: {_first(error)}.") from error
    try:
        yield spark
    finally:
        spark.stop()


def read_lines(spark: "SparkSession", data: DataConfig) -> "DataFrame":
    """The rows of the log as Spark reads them.

    Raises:
        InputError: it cannot be read, or the customers' column is neither text nor of whole numbers.
    """
    local = [place for place in data.transactions if "://" not in place]
    paths = [place for place in data.transactions if "://" in place]
    paths += [file.absolute().as_uri() for file in find_files(local).files] if local else []
    lines: DataFrame = _told(lambda: spark.read.parquet(*paths))
    with connect(None) as connection:  # columns and their types are checked here, before any row is read
        read_frame(connection, _told(lines.limit(0).toArrow), data, whole=False)
    kind = dict(lines.dtypes)[data.customer_id]
    if kind not in _TEXT_OR_WHOLE:
        raise InputError(
            f"--engine spark needs customers as text or whole numbers, but column '{data.customer_id}' is of type "
            f"{kind}: convert it or use --engine local."
        )
    return lines


@dataclass(frozen=True)
class Surveyed:
    """What the rules on a log as a whole are checked with."""

    counts: Counts
    fingerprint: str  # of the rows as read, in any order; another one than a prepared store's


def surveyed(lines: "DataFrame", data: DataConfig) -> Surveyed:
    """Count the rows by the reader's rules and check the log as a whole.

    Raises:
        InputError: as the local reader raises it.
    """
    rows = _told(lines.mapInArrow(partial(survey, data=data), f"{SURVEY_COLUMN} string").collect)
    found = [json.loads(row[0]) for row in rows]
    counts = _summed([one["counts"] for one in found])
    require_one_zone((sum(one["zones"][0] for one in found), sum(one["zones"][1] for one in found)), [data.timestamp])
    require_usable(counts, data.max_reject_share, [data.customer_id])
    content = sum(one["content"] for one in found) % 2**64
    return Surveyed(counts, f"rows:{counts.read}:{content:016x}")


def _summed(parts: Sequence[Mapping[str, Any]]) -> Counts:
    total = {
        name: sum(part[name] for part in parts)
        for name in ("read", "kept", "after_end", "negative_lines", "zero_lines", "filtered", "filtered_unknown")
    }
    reasons, further = Counter[str](), Counter[str]()
    for part in parts:
        reasons.update(part["reasons"])
        further.update(part["further"])
    used = [part for part in parts if part["kept"]]
    return Counts(
        **total,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        further=dict(sorted(further.items())),
        first=min((part["first"] for part in used), default=0),
        last=max((part["last"] for part in used), default=0),
        zoned=any(part["zoned"] for part in used),
        objections=Objections(0, sum(part["objections"]["rows"] for part in parts)),
    )


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

    keyed = lines.withColumn(KEY, functions.col(f"`{data.customer_id}`").cast("string"))
    keyed = keyed.where(functions.col(KEY).isNotNull())
    ordered = keyed.repartitionByRange(KEY).sortWithinPartitions(KEY)
    schema = ", ".join(f"{field.name} {_SPARK_TYPES[str(field.type)]}" for field in FORECAST_SCHEMA)
    return ordered.mapInArrow(task, schema)


def _collect(work: Path, bundle: Bundle, job: Job, found: Surveyed, sink: Sink, execution: Execution) -> Scored:
    """Copy what Spark wrote into the sink."""
    summary = Summary(job.horizons_days)
    log = {"fingerprint": job.log, "rows": found.counts.read}
    files = sorted((work / "spark").glob("part-*.parquet"))
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


def _told(action: Callable[[], Any]) -> Any:
    """Run what Spark refuses where the user's input is wrong, and say so in plain words."""
    from pyspark.errors import AnalysisException

    try:
        return action()
    except AnalysisException as error:
        raise InputError(f"A log must be readable by Spark, but: {_first(error)}.") from error


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
