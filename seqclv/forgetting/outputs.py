"""Remove customers from tables on disk: forecasts, values and lists, each replaced as a whole."""

import csv
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqclv.data.store import is_store
from seqclv.errors import InputError
from seqclv.files import whole_file
from seqclv.forecast.sinks import manifest_path
from seqclv.forecast.workplace import SUFFIX
from seqclv.forgetting.search import is_parquet

COLUMN = "customer_id"
_BATCH_ROWS = 65_536


def forget_in_file(path: Path, ids: Sequence[str]) -> int:
    """Rewrite a Parquet or CSV file without the rows of some customers, in one step; returns the rows removed.

    A manifest beside it is mended: rows, customers and sha256 are those of the file as it is now. It goes before the
    file changes and comes back afterwards, so that it never describes another file.

    Raises:
        InputError: the file cannot be read or has no column customer_id.
    """
    if not path.is_file():
        raise InputError(f"A file to forget customers in must exist, but '{path}' does not: check the path.")
    beside = manifest_path(path)
    manifest = json.loads(beside.read_text("utf-8")) if beside.is_file() else None
    with whole_file(path) as staging:
        try:
            removed, customers = (_parquet if is_parquet(path) else _csv)(path, staging, ids)
        except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"A file to forget customers in is Parquet or CSV, but '{path}' is neither.") from error
        shutil.copymode(path, staging)
        if manifest is not None:
            beside.unlink()
    if manifest is not None:
        manifest["rows"] = int(manifest.get("rows", removed)) - removed
        manifest["customers"] = int(manifest.get("customers", customers)) - customers
        manifest["customers_forgotten"] = int(manifest.get("customers_forgotten", 0)) + customers
        if "sha256" in manifest:
            with path.open("rb") as file:
                manifest["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        with whole_file(beside) as staging:
            staging.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    return removed


def _parquet(path: Path, out: Path, ids: Sequence[str]) -> tuple[int, int]:
    """Rows and customers removed."""
    removed, gone = 0, set()
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if COLUMN not in schema.names:
            raise _no_column(path, schema.names)
        packing = file.metadata.row_group(0).column(0).compression if file.metadata.num_row_groups else "SNAPPY"
        with pq.ParquetWriter(out, schema, compression="NONE" if packing == "UNCOMPRESSED" else packing) as writer:
            for batch in file.iter_batches(_BATCH_ROWS):
                named = batch[COLUMN].cast(pa.string())
                hit = pc.is_in(named, pa.array(ids, pa.string()))
                gone |= set(named.filter(hit).to_pylist())
                kept = batch.filter(pc.invert(hit))
                removed += len(batch) - len(kept)
                if len(kept):
                    writer.write_batch(kept)
    return removed, len(gone)


def _csv(path: Path, out: Path, ids: Sequence[str]) -> tuple[int, int]:
    """Rows and customers removed."""
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    if COLUMN not in header:
        raise _no_column(path, header)
    removed, gone, wanted, place = 0, set(), set(ids), header.index(COLUMN)
    with path.open(encoding="utf-8", newline="") as file, out.open("w", encoding="utf-8", newline="") as sink:
        reader, writer = csv.reader(file), csv.writer(sink, lineterminator="\n")
        for row in reader:
            if len(row) > place and row[place] in wanted:
                removed += 1
                gone.add(row[place])
            else:
                writer.writerow(row)
    return removed, len(gone)


def _no_column(path: Path, names: Sequence[str]) -> InputError:
    return InputError(
        f"A file to forget customers in has a column {COLUMN}, but '{path}' has {', '.join(names) or 'none'}."
    )


def list_files(directory: Path) -> list[Path]:
    """The tables of a directory of contact lists that name customers.

    Raises:
        InputError: it is no directory, or names nobody.
    """
    if not directory.is_dir() or is_store(directory):
        raise InputError(f"--lists names a directory that `seqclv lists` wrote, but '{directory}' is none.")
    found = []
    for path in sorted(directory.iterdir()):
        if path.suffix == ".parquet" and COLUMN in pq.read_schema(path).names:
            found.append(path)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                found += [path] if COLUMN in next(csv.reader(file), []) else []
    if not found:
        raise InputError(f"A directory of lists holds tables with a column {COLUMN}, but '{directory}' has none.")
    return found


def resume_state(out: Path) -> Path:
    """Where a scoring to the file `out` keeps what it has finished."""
    return out.with_name(f".{out.name}{SUFFIX}")


def remove_resume_state(directory: Path) -> bool:
    """Remove what an interrupted scoring kept, the whole of it; returns whether there was anything.

    Raises:
        InputError: it is no such directory, or a scoring is at work there.
    """
    if not directory.is_dir():
        return False
    if not directory.name.endswith(SUFFIX) or directory.is_symlink():
        raise InputError(f"Resume state is a directory that ends in {SUFFIX}, but '{directory}' is none.")
    lock = directory / "lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory)
    except BlockingIOError as error:
        raise InputError(f"Nothing is forgotten while a scoring runs, but one holds '{directory}': wait.") from error
    finally:
        os.close(handle)
    return True
