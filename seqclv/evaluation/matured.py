"""Forecasts whose windows have passed: read a forecasts file and set beside it what has happened since.

Shape: N customers of the forecasts file, in its order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.data.events import MICROSECONDS_PER_DAY, Events, FloatArray
from seqclv.data.windows import Outcome, end_of_log, outcome, to_timestamp
from seqclv.errors import InputError, offenders
from seqclv.evaluation.scores import Scores

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ("customer_id", "cutoff", "horizon_days", "expected_transactions", "expected_spend", "churn_probability")


@dataclass(frozen=True)
class Forecasts:
    """A forecasts file: one row per customer and horizon, and its manifest where one lies beside it."""

    frame: "pd.DataFrame"
    cutoff: int  # microseconds
    horizons_days: tuple[float, ...]  # rising
    manifest: Mapping[str, Any] | None

    def of(self, horizon_days: float) -> "pd.DataFrame":
        """The rows of one horizon, in the order of their ids."""
        rows = self.frame[self.frame["horizon_days"] == horizon_days]
        return rows.sort_values("customer_id").reset_index(drop=True)


@dataclass(frozen=True)
class Matured:
    """The forecasts of one horizon and what then happened to the same customers."""

    horizon_days: float
    rows: "pd.DataFrame"  # [N] of the forecasts file
    scores: Scores  # [N] without CRPS, which needs more than the columns of a table
    actual: Outcome  # [N]


def read_forecasts(path: Path) -> Forecasts:
    """Read a Parquet file of forecasts as `score` and `backtest` write it.

    Raises:
        InputError: it is none, lacks a column or holds several cutoffs.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"Forecasts are a Parquet file that `score` wrote, but '{path}' cannot be read.") from error
    missing = [name for name in _NEEDED if name not in table.column_names]
    if missing:
        raise InputError(
            f"A forecasts file has the columns of `score`, but '{path}' lacks {', '.join(missing)}: give that file."
        )
    frame = table.to_pandas()
    cutoffs = frame["cutoff"].unique()
    if len(cutoffs) != 1:
        found = offenders(cutoffs) if len(cutoffs) else "it has no rows"
        raise InputError(f"A forecasts file has one cutoff, but '{path}' has {len(cutoffs)} ({found}): split it.")
    cutoff = int(frame["cutoff"].iloc[0].as_unit("us").asm8.astype(np.int64))
    horizons = tuple(sorted(float(h) for h in frame["horizon_days"].unique()))
    return Forecasts(frame, cutoff, horizons, _manifest(path))


def _manifest(path: Path) -> dict[str, Any] | None:
    beside = path.with_name(path.name + ".manifest.json")
    if not beside.is_file():
        return None
    try:
        document = json.loads(beside.read_text())
    except ValueError as error:
        raise InputError(f"The manifest '{beside}' is damaged: remove it or score again.") from error
    return dict(document)


def split_horizons(forecasts: Forecasts, events: Events) -> tuple[list[float], list[dict[str, Any]]]:
    """The horizons whose windows lie in the log as a whole, and the others with the date they will be whole.

    Raises:
        InputError: none is whole.
    """
    if len(events) == 0:
        raise InputError("A log needs transactions, but it has none: give another file.")
    end = end_of_log(int(events.timestamp.max()))
    ripe, unripe = [], []
    for horizon in forecasts.horizons_days:
        due = forecasts.cutoff + round(horizon * MICROSECONDS_PER_DAY)
        if due <= end:
            ripe.append(horizon)
        else:
            unripe.append({"horizon_days": horizon, "whole_on": str(to_timestamp(due).date())})
    if not ripe:
        raise InputError(
            f"An audit needs a window that has passed as a whole, but the shortest, {unripe[0]['horizon_days']:g} days "
            f"from {to_timestamp(forecasts.cutoff).date()}, is whole on {unripe[0]['whole_on']} and the log ends on "
            f"{to_timestamp(end - 1).date()}: wait, or give the log up to then."
        )
    return ripe, unripe


def mature(forecasts: Forecasts, horizon_days: float, events: Events, merge: str) -> Matured:
    """Set beside the forecasts of one horizon what happened in [cutoff, cutoff + horizon).

    A customer whom the log does not name bought nothing.
    """
    rows = forecasts.of(horizon_days)
    ids = rows["customer_id"].to_numpy(dtype=object)
    known = np.isin(ids, events.customer_id)
    found = outcome(events, ids[known], forecasts.cutoff, horizon_days, merge)
    whole = Outcome(*(_spread(getattr(found, name), known) for name in ("transactions", "spend", "refunds")))
    return Matured(horizon_days, rows, _scores(rows), whole)


def _spread(values: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    spread = np.zeros(len(known))
    spread[known] = values
    return spread


def _scores(rows: "pd.DataFrame") -> Scores:
    return Scores(
        _column(rows, "expected_transactions"),
        _column(rows, "expected_spend"),
        _column(rows, "churn_probability"),
        _columns(rows, ("transactions_q05", "transactions_q50", "transactions_q95")),
        _columns(rows, ("spend_q05", "spend_q50", "spend_q95")),
    )


def _column(rows: "pd.DataFrame", name: str) -> FloatArray | None:
    values = rows[name].to_numpy(dtype=np.float64)
    return None if np.isnan(values).any() else values


def _columns(rows: "pd.DataFrame", names: Sequence[str]) -> FloatArray | None:
    found = [_column(rows, name) if name in rows else None for name in names]
    return None if any(column is None for column in found) else np.stack(found, axis=-1)  # type: ignore[arg-type]
