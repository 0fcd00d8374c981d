"""Finished parts of a scoring as files: written whole, by whichever process, always with the same bytes."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from seqclv.bundle import Bundle
from seqclv.data.store import EventStore
from seqclv.forecast.chunks import CHUNK_CUSTOMERS, PART_CHUNKS, Part, part_chunks
from seqclv.forecast.forecaster import FORECAST_SCHEMA, forecast_table, predict
from seqclv.version import __version__

_UNFINISHED = ".new-"


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that determines the bytes of a scoring's forecasts."""

    model: str  # version of its content
    merge: str
    log: str  # fingerprint
    cutoff: int  # microseconds
    horizons_days: tuple[float, ...]  # rising
    device: str  # 'cpu' or 'cuda': they round differently
    engine: str = "local"
    package: str = __version__
    torch: str = torch.__version__
    chunk: tuple[int, int] = (CHUNK_CUSTOMERS, PART_CHUNKS)

    @property
    def digest(self) -> str:
        """A name that any change of an input changes."""
        text = json.dumps({**asdict(self), "columns": str(FORECAST_SCHEMA)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def of(cls, bundle: Bundle, log: str, cutoff: int, horizons_days: Sequence[float], **further: Any) -> "Job":
        """The job of scoring a log with a bundle."""
        return cls(
            model=bundle.version,
            merge=bundle.merge,
            log=log,
            cutoff=cutoff,
            horizons_days=tuple(horizons_days),
            **further,
        )


def part_file(directory: Path, part: Part) -> Path:
    """Where a part lies when it is finished."""
    return directory / f"part-{part.index:06d}.arrow"


def score_part(bundle: Bundle, store: EventStore, job: Job, part: Part, directory: Path) -> Path:
    """Forecast the customers of a part and write them; a part that is there already is left as it is."""
    path = part_file(directory, part)
    if not is_whole(path):
        tables = [
            forecast_table(
                predict(bundle, chunk, job.cutoff, device=job.device), chunk.customer_id, job.cutoff, job.horizons_days
            )
            for chunk in part_chunks(store, part, job.cutoff, job.merge)
        ]
        _write(pa.concat_tables(tables), path)
    return path


def _write(table: pa.Table, path: Path) -> None:
    staging = path.with_name(f"{path.name}{_UNFINISHED}{os.getpid()}")
    with staging.open("wb") as file:
        with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(table.combine_chunks())
        file.flush()
        os.fsync(file.fileno())  # a name must not survive a power failure without its content
    staging.replace(path)


def is_whole(path: Path) -> bool:
    """Whether a finished part lies there."""
    try:
        with pa.memory_map(str(path)) as file:
            return bool(pa.ipc.open_file(file).num_record_batches)
    except (OSError, pa.ArrowInvalid):
        return False


def read_part(path: Path) -> pa.Table:
    """The forecasts of a finished part."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def remove_unfinished(directory: Path) -> None:
    """Remove what killed processes have begun to write."""
    for path in directory.glob(f"*{_UNFINISHED}*"):
        path.unlink(missing_ok=True)
