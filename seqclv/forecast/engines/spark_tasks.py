"""What Spark's workers do: count the rows of a log by reader's rules, and forecast customers from Arrow batches.

No MLflow, no tracking URI: the model comes with the task as the bytes of its bundle's files, and a worker process
loads it once.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from seqclv.bundle import Bundle, load_bundle
from seqclv.config import DataConfig
from seqclv.data.building import gather_part
from seqclv.data.calendar import Calendar
from seqclv.data.counts import zones
from seqclv.data.database import connect, run
from seqclv.data.events import Events
from seqclv.data.transactions import read_frame
from seqclv.data.windows import history
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import FORECAST_SCHEMA, forecast_table, predict

KEY = "seqclv_customer"  # the customer as text, by which rows are brought together
SURVEY_COLUMN = "survey"
_BLOCK_ROWS = 131_072  # rows whose customers are forecast together

_loaded: dict[str, Bundle] = {}


@dataclass(frozen=True)
class Model:
    """A bundle on its way to a worker."""

    digest: str
    files: Mapping[str, bytes]

    def load(self) -> Bundle:
        """The bundle; from the second time on that of the first."""
        if self.digest not in _loaded:
            torch.set_num_threads(1)
            with tempfile.TemporaryDirectory(prefix="seqclv-") as directory:
                for name, content in self.files.items():
                    (Path(directory) / name).write_bytes(content)
                _loaded[self.digest] = load_bundle(Path(directory))
        return _loaded[self.digest]


def survey(batches: Iterable[pa.RecordBatch], data: DataConfig) -> Iterator[pa.RecordBatch]:
    """Counts of each batch's rows by the reader's rules: one row of JSON for each batch."""
    for batch in batches:
        table = pa.Table.from_batches([batch])
        if len(table):
            with connect(None) as connection:
                log = read_frame(connection, table, data, whole=False)
                [[content]] = run(connection, "SELECT coalesce(sum(row_hash), 0) % 18446744073709551616 FROM staged")
                found = {"counts": asdict(log.counts), "zones": zones(connection), "content": int(content)}
            yield pa.record_batch([pa.array([json.dumps(found)])], names=[SURVEY_COLUMN])


def forecast(
    batches: Iterable[pa.RecordBatch],
    model: Model,
    data: DataConfig,
    calendar: Calendar | None,
    window: tuple[int, Sequence[float]],
) -> Iterator[pa.RecordBatch]:
    """The forecasts of the customers of one partition, whose rows come sorted by KEY; `window` as in `spark`."""
    bundle, (cutoff, horizons_days) = model.load(), window
    for rows in whole_customers(batches):
        events = gather_part(rows.drop_columns([KEY]), data)
        for chunk in _histories(events, cutoff, bundle.merge):
            known = replace(chunk, calendar=calendar)
            table = forecast_table(predict(bundle, known, cutoff), chunk.customer_id, cutoff, horizons_days)
            yield from table.cast(FORECAST_SCHEMA).combine_chunks().to_batches()


def _histories(events: Events | None, cutoff: int, merge: str) -> Iterator[Events]:
    return iter(()) if events is None else chunked([history(events, cutoff, merge)])


def whole_customers(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Regroup sorted rows into tables that hold all rows of their customers, of bounded size but for giants."""
    waiting: list[pa.Table] = []
    for batch in batches:
        table = pa.Table.from_batches([batch])
        starts = _starts(table[KEY], waiting[-1][KEY][-1].as_py() if waiting else None)
        begin = 0
        for start in starts:
            rows = sum(len(part) for part in waiting) + start - begin
            if rows >= _BLOCK_ROWS:
                yield pa.concat_tables([*waiting, table.slice(begin, start - begin)])
                waiting, begin = [], start
        if begin < len(table):
            waiting.append(table.slice(begin))
    if waiting:
        yield pa.concat_tables(waiting)


def _starts(key: pa.ChunkedArray, before: str | None) -> list[int]:
    """Some of the rows at which a customer begins, evenly spread; `before` is the customer of the row before."""
    array = key.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    if len(array) == 0:
        return []
    changed = np.ones(len(array), dtype=np.bool_)
    changed[0] = array[0].as_py() != before
    changed[1:] = pc.not_equal(array.slice(1), array.slice(0, len(array) - 1)).to_numpy(zero_copy_only=False)
    found = np.flatnonzero(changed)
    return [int(start) for start in found[:: max(1, len(found) // 64)]]
