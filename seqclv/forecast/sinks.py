"""Where forecasts go: a Parquet or CSV file that appears whole, or a database table (see `seqclv.forecast.database`).

Beside a file lies its manifest. The old manifest goes before the new forecasts come, and the new one comes after
them: a manifest never stands beside forecasts that it does not describe. It holds their sha256.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seqclv.errors import InputError
from seqclv.forecast.forecaster import FORECAST_SCHEMA
from seqclv.forecast.workplace import SUFFIX

PARQUET_SUFFIXES = (".parquet", ".pq", "")
CSV_SUFFIX = ".csv"
DEFAULT_TABLE = "forecasts"
_REPEATED = ["cutoff", "horizon_days", "transactions_q05", "transactions_q50", "transactions_q95"]

Manifest = Mapping[str, Any]


class Sink(Protocol):
    """A place for forecasts that changes as a whole or not at all."""

    streams: bool  # whether tables may come as slowly as they are computed

    @property
    def name(self) -> str:
        """The place, for messages and the manifest; without secrets."""
        ...

    @property
    def workplace(self) -> Path:
        """The hidden directory for what is unfinished."""
        ...

    def check(self) -> None:
        """Refuse a place that cannot be written, before any work is done."""
        ...

    def write(self, tables: Iterable[pa.Table], work: Path, manifest: Callable[[], Manifest]) -> Manifest:
        """Write all tables and give the finished manifest.

        Args:
            tables: of FORECAST_SCHEMA, in the order of the rows.
            work: a directory in the workplace for what is unfinished.
            manifest: called when the last table has come.
        """
        ...


@dataclass(frozen=True)
class FileSink:
    """A Parquet or, where the name ends in .csv, a CSV file."""

    out: Path
    streams = True

    @property
    def name(self) -> str:
        """The path."""
        return str(self.out)

    @property
    def workplace(self) -> Path:
        """Beside the file, on its file system."""
        return self.out.with_name(f".{self.out.name}{SUFFIX}")

    def check(self) -> None:
        """Refuse a directory and a kind of file that cannot be written.

        Raises:
            InputError: either of them.
        """
        if self.out.is_dir():
            raise InputError(f"--out names a file to write, but {self.out} is a directory: add a file name.")
        suffix = self.out.suffix.lower()
        if suffix not in (*PARQUET_SUFFIXES, CSV_SUFFIX):
            raise InputError(
                f"--out names a file that ends in .parquet or .csv, or a database's URL, but '{self.out.name}' ends in "
                f"{suffix}: rename it."
            )

    def write(self, tables: Iterable[pa.Table], work: Path, manifest: Callable[[], Manifest]) -> Manifest:
        """Write the file and its manifest, and move them into place."""
        staging, beside = work / "forecasts", work / "manifest"
        with _writer(staging, csv=self.out.suffix.lower() == CSV_SUFFIX) as writer:
            for table in tables:
                writer.write_table(table)
        with staging.open("rb") as file:
            finished = {**manifest(), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        beside.write_text(json.dumps(finished, indent=2) + "\n")
        final = manifest_path(self.out)
        final.unlink(missing_ok=True)
        staging.replace(self.out)
        beside.replace(final)
        return finished


def manifest_path(out: Path) -> Path:
    """Where the manifest of a forecasts file lies."""
    return out.with_name(out.name + ".manifest.json")


def _writer(path: Path, *, csv: bool) -> Any:
    """A writer of tables; one of its row groups is one table."""
    if csv:
        return pacsv.CSVWriter(str(path), FORECAST_SCHEMA)
    encoding = {"customer_id": "DELTA_BYTE_ARRAY"}  # sorted ids share their beginnings
    return pq.ParquetWriter(
        path, FORECAST_SCHEMA, compression="zstd", use_dictionary=_REPEATED, column_encoding=encoding
    )


def sink_of(out: str | Path, table: str | None = None) -> Sink:
    """The sink that `--out` names: a file, or the table of a database where it is a URL, or env:NAME that holds one.

    Raises:
        InputError: the URL cannot be used, or a table is named beside a file.
    """
    if isinstance(out, str) and ("://" in out or out.startswith("env:")):
        from seqclv.forecast.database import DatabaseSink, named_url

        return DatabaseSink.of(named_url(out), DEFAULT_TABLE if table is None else table)
    if table is not None:
        raise InputError(f"--out-table names a table of a database, but --out is the file '{out}': leave it out.")
    return FileSink(Path(out))
