"""Open or fit a model and score a log with it: what the command line and the Python API share."""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from seqclv import prior
from seqclv.baselines import classical
from seqclv.baselines.rfm import RfmTable, rfm_table
from seqclv.bundle import Bundle, git_commit, load_bundle, save_bundle
from seqclv.config import Config, DataConfig
from seqclv.data.apart import require_apart
from seqclv.data.covariates import beyond_calendar
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.freshness import silence_before
from seqclv.data.honoured import as_prepared
from seqclv.data.store import events_from_frame, is_store, open_log
from seqclv.data.storeinfo import read_info
from seqclv.data.windows import end_of_log, history, instant, to_timestamp
from seqclv.errors import InputError
from seqclv.forecast.chunks import chunked, history_chunks
from seqclv.forecast.engines.local import Execution, Scored, score_in
from seqclv.forecast.forecaster import checked_horizons, forecast_rfm, forecast_table, predict
from seqclv.forecast.sinks import sink_of
from seqclv.forecast.threads import threads_kept
from seqclv.forecast.told import opened, unknown
from seqclv.forecast.workplace import workplace

if TYPE_CHECKING:
    import pandas as pd


def open_model(model: str | Path, *, tracking_uri: str | None = None) -> Bundle:
    """The bundle in a directory or behind an MLflow URI (`models:/name@alias`, `models:/name/3`, `runs:/id/path`).

    The name `prior` is the network that the package ships: it forecasts any log without training.

    Raises:
        InputError: nothing is there, or the bundle is damaged.
    """
    if str(model).startswith(("models:/", "runs:/")):
        from seqclv.tracking.registry import download
        from seqclv.tracking.store import open_store

        return load_bundle(download(str(model), store=open_store(tracking_uri)))
    if str(model) == prior.NAME and not Path(model).is_dir():
        return prior.shipped()
    return load_bundle(Path(model))


@threads_kept()
def score_log(
    bundle: Bundle,
    data: DataConfig,
    cutoff: int,
    horizons_days: Sequence[float],
    out: str | Path,
    *,
    table: str | None = None,
    engine: str = "local",
    execution: Execution | None = None,
) -> Scored:
    """Score the log that `data` names, as of the cutoff (microseconds).

    Args:
        bundle: the model.
        data: the log and its columns.
        cutoff: end of history, excluded.
        horizons_days: in any order.
        out: a Parquet or CSV file, or the SQLAlchemy URL of a database.
        table: of the database; default: forecasts.
        engine: 'local' or 'spark'.
        execution: processes, device and progress.

    Raises:
        InputError: the log, a horizon or the output is refused, nobody bought before the cutoff, or another scoring
            writes to the same place.
    """
    execution = execution or Execution()
    horizons = checked_horizons(horizons_days)
    require_apart(out, data)
    sink = sink_of(out, table)
    sink.check()
    if cutoff < bundle.training_cutoff:
        execution.announce(_too_early(bundle, cutoff))
    with workplace(sink.workplace, sink.name) as place:
        if engine == "spark":
            from seqclv.forecast.engines.spark import score_with_spark

            return score_with_spark(place, bundle, data, (cutoff, horizons), sink, execution)
        store = opened(data, place.log, execution.announce)
        if bundle.kind == "prior":
            execution.announce("reading off the log what kind of base it is")
            bundle = prior.for_log(bundle, data)
            chunks = history_chunks(store, cutoff, bundle.merge)
            bundle = prior.shown(bundle, chunks, cutoff, fingerprint=store.fingerprint)
        found = (
            silence_before(cutoff, (store.first, store.last), store.arrays["timestamp"]),
            prior.few_customers(bundle),
            unknown(bundle, store.info),
            beyond_calendar(store.calendar, bundle.calendar, cutoff, horizons),
        )
        for warning in filter(None, found):
            execution.announce(warning)
        return score_in(place, bundle, store, (cutoff, horizons), sink, execution)


def _too_early(bundle: Bundle, cutoff: int) -> str:
    return (
        f"warning: the model was trained on events up to {to_timestamp(bundle.training_cutoff)}, after the cutoff "
        f"{to_timestamp(cutoff)}: its forecasts there know the future and say nothing about its quality"
    )


@dataclass(frozen=True)
class Model:
    """A model ready to forecast; `load` and `fit_classical` make one."""

    bundle: Bundle

    def save(self, directory: str | Path) -> None:
        """Write the model as a bundle directory, which `load` and every `--model` read; an older one is replaced."""
        save_bundle(self.bundle, Path(directory))

    def forecast(
        self, log: Any, cutoff: object, horizons: Sequence[float] | None = None, **columns: Any
    ) -> "pd.DataFrame":
        """Forecast every customer of a log as of a cutoff.

        Args:
            log: a pandas DataFrame, an Arrow table, or the path (or paths) of files or of a prepared store.
            cutoff: a date or time; history is strictly before it, windows are [cutoff, cutoff + horizon).
            horizons: days; default those of the model's configuration.
            **columns: names of the log's columns where they differ from training, such as customer_id="CustomerID"; and
                the tables beside it, such as calendar=CalendarConfig(files=("calendar.csv",), columns=("promo",)).

        Returns:
            One row per customer and horizon, sorted by customer_id: the columns of `score`.

        Raises:
            InputError: the log, the cutoff or a horizon is refused.
        """
        days = checked_horizons(horizons if horizons is not None else self.bundle.config.horizons_days)
        instant_ = instant(cutoff)
        if instant_ < self.bundle.training_cutoff:
            warnings.warn(_too_early(self.bundle, instant_), stacklevel=2)
        data = replace(self.bundle.config.data.without_places(), require_columns=False, **columns)
        bundle = prior.for_log(self.bundle, data) if self.bundle.kind == "prior" else self.bundle
        events = _events(log, data)
        span = int(events.timestamp.min()), int(events.timestamp.max())
        found = (
            silence_before(instant_, span, events.timestamp),
            unknown(bundle, events),
            beyond_calendar(events.calendar, bundle.calendar, instant_, days),
        )
        for warning in filter(None, found):
            warnings.warn(warning.removeprefix("warning: "), stacklevel=2)
        past = history(events, instant_, bundle.merge)
        if past.customers == 0:
            raise InputError(
                f"A forecast needs purchases before the cutoff, but nobody bought before {cutoff}: take a later one."
            )
        bundle = prior.shown(bundle, [past], instant_)
        tables = [
            forecast_table(predict(bundle, part, instant_), part.customer_id, instant_, days)
            for part in chunked([past])
        ]
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return frame

    def forecast_rfm(
        self, table: "pd.DataFrame", horizons: Sequence[float] | None = None, cutoff: object = None
    ) -> "pd.DataFrame":
        """Forecast from an RFM table (frequency, recency, T, monetary_value; days), with a classical model only."""
        days = checked_horizons(horizons if horizons is not None else self.bundle.config.horizons_days)
        at = self.bundle.training_cutoff if cutoff is None else instant(cutoff)
        return forecast_rfm(self.bundle, RfmTable.from_frame(table), days, at)


def _events(log: Any, data: DataConfig) -> Any:
    if isinstance(log, str | Path):
        log = [log]
    if isinstance(log, list | tuple):
        with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
            events = open_log(replace(data, transactions=tuple(str(p) for p in log)), Path(workspace)).read()
            return events.select(np.arange(events.customers, dtype=np.int64))  # in memory, before the files go
    return events_from_frame(log, data)


def fit_classical(
    kind: classical.Kind,
    data: Any,
    cutoff: object = None,
    *,
    horizons: Sequence[float] = Config().horizons_days,
    **columns: Any,
) -> Model:
    """Fit Pareto/NBD or BG/NBD with Gamma-Gamma amounts by maximum likelihood, to a log or to an RFM table.

    Args:
        kind: 'pareto_nbd' or 'bg_nbd'.
        data: a log as `Model.forecast` takes it, of which days with a net amount > 0 count; or a pandas DataFrame
            with the columns frequency, recency, T and, where known, monetary_value, times in days (`rfm_summary`).
        cutoff: end of the history, excluded. Of a log by default the day after its last line. Of an RFM table it
            must be given: the day after the last one that T counts (after `observation_period_end`).
        horizons: days; what the model forecasts where no horizons are asked for.
        **columns: names of the log's columns where they differ, such as customer_id="CustomerID".

    Raises:
        InputError: the kind, the log, the table, the cutoff or a horizon is refused.
    """
    if kind not in classical.KINDS:
        raise InputError(f"A classical model is {' or '.join(classical.KINDS)}, but {kind!r} was asked for.")
    days = tuple(checked_horizons(horizons))
    columns_of = DataConfig(**columns)
    if isinstance(data, str | Path) and is_store(data):
        columns_of = as_prepared(columns_of, read_info(Path(data)))
    config = Config(data=columns_of, horizons_days=days)
    table, end = _summarized(data, config.data, cutoff)
    model = classical.fit_classical(kind, table)
    return Model(
        Bundle(
            kind=kind,
            config=config,
            training_cutoff=end,
            horizon_days=days[-1],
            fingerprint=table.fingerprint,
            training=_facts(table, end),
            classical=model,
            git_commit=git_commit(),
        )
    )


def _summarized(data: Any, columns: DataConfig, cutoff: object) -> tuple[RfmTable, int]:
    """The RFM table of what is given, and its cutoff in microseconds."""
    names = list(getattr(data, "columns", []))
    if "frequency" in names and columns.timestamp not in names:
        if cutoff is None:
            raise InputError(
                "An RFM table does not say when it ends, and no cutoff is given: give the day after its last one."
            )
        return RfmTable.from_frame(data), instant(cutoff)
    events = _events(data, columns)
    end = end_of_log(int(events.timestamp.max(initial=0))) if cutoff is None else instant(cutoff)
    return rfm_table(history(events, end, columns.merge), end), end


def _facts(table: RfmTable, cutoff: int) -> dict[str, object]:
    oldest = int(table.T.max()) * MICROSECONDS_PER_DAY
    return {
        "customers": len(table),
        "purchases": int(table.frequency.sum()) + len(table),
        "one_time_buyers": int((table.frequency == 0).sum()),
        "first_purchase": str(to_timestamp(cutoff - 1 - oldest).date()),
    }


def load(model: str | Path, *, tracking_uri: str | None = None) -> Model:
    """Load a model from a bundle directory or an MLflow URI, or the shipped one that needs no training: `prior`."""
    return Model(open_model(model, tracking_uri=tracking_uri))
