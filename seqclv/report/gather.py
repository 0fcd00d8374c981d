"""Collect what a report is about: from a model and a log, or from a backtest's directory."""

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from seqclv import prior
from seqclv.bundle import Bundle, load_bundle
from seqclv.config import DataConfig
from seqclv.data.events import Events, FloatArray
from seqclv.data.store import EventStore
from seqclv.data.windows import end_of_log, history, to_timestamp
from seqclv.errors import InputError
from seqclv.evaluation.compare import key_of
from seqclv.evaluation.matured import Forecasts, read_forecasts
from seqclv.forecast.chunks import chunked
from seqclv.forecast.drivers import report_drivers
from seqclv.forecast.forecaster import checked_horizons, forecast_table, predict
from seqclv.forecast.told import opened
from seqclv.report.held_out import held_out, held_out_of_model
from seqclv.report.stability import between_networks, between_seeds
from seqclv.report.subject import HeldOut, Log, ReportOptions, Subject
from seqclv.report.worth import worth_of
from seqclv.value.log_columns import with_terms

if TYPE_CHECKING:
    from collections.abc import Iterator

Announce = Callable[[str], None]
_CUTOFF_DIRECTORY = re.compile(r"\d{4}-\d{2}-\d{2}(T.+)?")


def subject_of_model(
    bundle: Bundle,
    data: DataConfig | None,
    cutoff: int | None,
    *,
    options: ReportOptions,
    announce: Announce = lambda _: None,
) -> Subject:
    """A model and, where a log and a cutoff are given, the customers of the log as of the cutoff.

    Raises:
        InputError: the log, the cutoff or a horizon is refused.
    """
    if data is None:
        return Subject(kind="model", options=options, bundle=bundle, metrics=bundle.metrics, drivers=options.drivers)
    horizons = checked_horizons([*(options.horizons_days or bundle.config.horizons_days), bundle.horizon_days])
    if bundle.kind == "prior":
        bundle = prior.for_log(bundle, data)
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        store = opened(_columns(data, options), Path(workspace), announce)
        log = read_log(store)
        if cutoff is None:
            cutoff = end_of_log(int(log.events.timestamp.max(initial=0)))
        past = history(log.events, cutoff, bundle.merge)
        if past.customers == 0:
            raise InputError(
                f"A report needs purchases before the cutoff, but nobody bought before {to_timestamp(cutoff).date()}: "
                "take a later one."
            )
        bundle = prior.shown(bundle, [past], cutoff)
        announce(f"forecasting {past.customers:,} customers")
        forecasts = forecast_frame(bundle, past, cutoff, bundle.horizon_days)
        worth = worth_of(
            bundle,
            store,
            cutoff,
            horizons,
            options,
            windows=_own(bundle, [bundle.metrics]),
            workspace=Path(workspace),
        )
        announce("comparing with what happened after the training")
        return Subject(
            kind="model",
            options=options,
            bundle=bundle,
            metrics=bundle.metrics,
            cutoff=cutoff,
            horizon_days=bundle.horizon_days,
            forecasts=forecasts,
            worth=worth,
            log=log,
            held_out=held_out_of_model(bundle, log.events),
            drivers=options.drivers or report_drivers(bundle, past, cutoff, bundle.horizon_days),
            sensitive=_sensitive(data, log),
            stability=between_networks(bundle, past, cutoff),
        )


def forecast_frame(bundle: Bundle, past: Events, cutoff: int, horizon_days: float) -> "pd.DataFrame":
    """The forecasts of every customer of merged histories, the same to the bit as `score` writes them."""
    tables = [
        forecast_table(predict(bundle, part, cutoff), part.customer_id, cutoff, [horizon_days])
        for part in chunked([past])
    ]
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def read_log(store: EventStore) -> Log:
    """The log in memory, with the report on its data."""
    events = store.read().select(np.arange(store.customers, dtype=np.int64))  # in memory, before the files go
    return Log(events, store.info.report, store.fingerprint)


def subject_of_backtest(
    directory: Path,
    data: DataConfig | None,
    *,
    options: ReportOptions,
    announce: Announce = lambda _: None,
) -> Subject:
    """A backtest's last cutoff and all its figures; with the log also what happened, by customer and over time.

    Of several seeds the first one's forecasts are shown; the figures are pooled over all.

    Raises:
        InputError: the directory holds no finished backtest, or the log is not the one it was made from.
    """
    metrics, parts = _finished(directory)
    last = parts[-1]
    bundle, forecasts = load_bundle(last / "bundle"), read_forecasts(last / "forecasts.parquet")
    windows = [found for part in parts if (found := _read_json(part / "metrics.json")) is not None]
    log, held, worth = None, None, None
    if data is not None:
        with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
            store = opened(_columns(data, options), Path(workspace), announce)
            log = read_log(store)
            announce("comparing with what happened")
            held = _checked_held_out(bundle, forecasts, log)
            earlier = _own(bundle, windows[:-1])  # the last one's own miss is not known at its cutoff
            worth = worth_of(
                bundle,
                store,
                forecasts.cutoff,
                forecasts.horizons_days,
                options,
                windows=earlier,
                workspace=Path(workspace),
            )
    return Subject(
        kind="backtest",
        options=options,
        bundle=bundle,
        metrics=metrics,
        windows=windows,
        cutoff=forecasts.cutoff,
        horizon_days=forecasts.horizons_days[-1],
        forecasts=forecasts.frame,
        worth=worth,
        log=log,
        held_out=held,
        drivers=options.drivers or _drivers(bundle, forecasts, log),
        sensitive=() if data is None or log is None else _sensitive(data, log),
        stability=between_seeds([root / last.name / "forecasts.parquet" for root in _seeds(directory)]),
    )


def _columns(data: DataConfig, options: ReportOptions) -> DataConfig:
    """What to read of a log: the columns that value needs, and the sensitive ones, which a model's columns lack."""
    known = {name for names in data.attributes for name in names}
    if data.customers is not None:
        known |= {*data.customers.numeric, *data.customers.categorical}
    more = () if data.sources else tuple(name for name in data.sensitive if name not in known)
    return with_terms(replace(data, categorical=(*data.categorical, *more)), options.terms)


def _sensitive(data: DataConfig, log: Log) -> tuple[str, ...]:
    """The sensitive attributes of which the log has any value."""
    events = log.events
    found = {name for column in (events.numeric, events.static_numeric) for name in _with_numbers(column)}
    found |= {
        name
        for column in (events.categorical, events.static_categorical)
        for name, feature in column.items()
        if (feature.codes >= 0).any()
    }
    return tuple(name for name in data.sensitive if name in found)


def _with_numbers(columns: Mapping[str, FloatArray]) -> list[str]:
    return [name for name, values in columns.items() if np.isfinite(values).any()]


def _drivers(bundle: Bundle, forecasts: Forecasts, log: Log | None) -> Sequence[Mapping[str, Any]]:
    if log is None:
        return ()
    past = history(log.events, forecasts.cutoff, bundle.merge)
    return report_drivers(bundle, past, forecasts.cutoff, forecasts.horizons_days[-1])


def _own(bundle: Bundle, windows: Sequence[Mapping[str, Any] | None]) -> list[Mapping[str, Any]]:
    """The sections of metrics.json of the report's own model, one for each window."""
    name = key_of(bundle)
    return [window["models"][name] for window in windows if window is not None and name in window["models"]]


def last_bundle(directory: Path) -> Bundle:
    """The model of a backtest's last cutoff."""
    return load_bundle(_finished(directory)[1][-1] / "bundle")


def _finished(directory: Path) -> tuple[dict[str, Any], list[Path]]:
    """The pooled figures and the directories of the cutoffs."""
    metrics, parts = _read_json(directory / "metrics.json"), _cutoff_directories(directory)
    if metrics is None or "cutoffs" not in metrics or not parts:
        raise InputError(
            f"--backtest names the directory that `seqclv backtest --out` wrote, but {directory} holds no finished "
            "backtest: run it first."
        )
    return metrics, parts


def _checked_held_out(bundle: Bundle, forecasts: Forecasts, log: Log) -> HeldOut:
    past = history(log.events, forecasts.cutoff, bundle.merge)
    if log.fingerprint != bundle.fingerprint and set(past.customer_id) != set(forecasts.frame["customer_id"]):
        raise InputError(
            "A report on a backtest needs the log it was made from, but this one has other customers before the "
            "cutoff: give that log."
        )
    return held_out(bundle, forecasts, log.events)


def _cutoff_directories(directory: Path) -> list[Path]:
    """The directories of a backtest's cutoffs in their order, of the first seed where there are several."""
    root = [*_seeds(directory), directory][0]
    return sorted(path for path in _directories(root) if (path / "forecasts.parquet").is_file())


def _seeds(directory: Path) -> list[Path]:
    """The directories of a backtest's seeds; none where there was one alone."""
    return sorted(directory.glob("seed-*"), key=lambda path: (len(path.name), path.name))


def _directories(root: Path) -> "Iterator[Path]":
    for path in root.iterdir() if root.is_dir() else ():
        if path.is_dir() and _CUTOFF_DIRECTORY.fullmatch(path.name):
            yield path


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except OSError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is damaged and cannot be read: run the backtest again.") from error
