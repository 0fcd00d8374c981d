"""Bundle + histories + cutoff -> forecasts: the one scorer that every engine runs."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from seqclv.baselines.posterior import ClassicalForecast
from seqclv.baselines.rfm import RfmTable, rfm_table
from seqclv.batch import EventBatch, FeatureSchema
from seqclv.bundle import Bundle
from seqclv.data.assemble import event_batch
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.features import ledger, locate, year_share
from seqclv.errors import InputError
from seqclv.forecast.distribution import Clock, ClockedProcess, ProcessForecast
from seqclv.model.network import Network
from seqclv.predictive import Predictive

if TYPE_CHECKING:
    import pandas as pd

LEVELS = (0.05, 0.50, 0.95)
FORECAST_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("cutoff", pa.timestamp("us")),
        *(
            (name, pa.float64())
            for name in (
                "horizon_days",
                "expected_transactions",
                "expected_spend",
                "spend_q05",
                "spend_q50",
                "spend_q95",
                "transactions_q05",
                "transactions_q50",
                "transactions_q95",
                "churn_probability",
                "alive_probability",
                "next_purchase_days_q50",
            )
        ),
    ]
)


def checked_horizons(horizons_days: Sequence[float]) -> list[float]:
    """The horizons in rising order, each once.

    Raises:
        InputError: there is none, or one is not a positive finite number of days.
    """
    values = sorted({float(h) for h in horizons_days})
    wrong = [h for h in values if not (np.isfinite(h) and h > 0)]
    if wrong or not values:
        found = f"{wrong[0]:g}" if wrong else "none is given"
        raise InputError(f"A horizon is a positive number of days, but {found}: give for example --horizons 30 90 365.")
    return values


def predict(
    bundle: Bundle, history: Events, cutoff: int, *, device: str = "cpu"
) -> ProcessForecast | ClassicalForecast:
    """The predictive distributions of every customer of merged histories, as of the cutoff (microseconds).

    They answer both `seqclv.predictive.Predictive` and `seqclv.predictive.Discounted`. Networks run on the device where
    they lie (see `on_device`), which `device` must name; what follows from their answers is worked out on the CPU.
    """
    if bundle.classical is not None:
        return bundle.classical.forecast(rfm_table(history, cutoff))
    if bundle.kind == "prior":
        raise InputError(
            "The prior forecasts a base as a whole, but here customers come without their base: use 'seqclv score "
            "--model prior' or seqclv.load('prior')."
        )
    return _network_forecast(bundle, history, cutoff, torch.device(device))


def device_for(bundle: Bundle, accelerator: str) -> str:
    """The device on which to score: 'cuda' where there is a GPU that may be used and the model is a network.

    Raises:
        InputError: a GPU is asked for, but there is none.
    """
    if accelerator == "cpu" or (accelerator == "auto" and not bundle.networks):
        return "cpu"
    if torch.cuda.is_available():
        return "cuda" if bundle.networks else "cpu"
    if accelerator == "gpu":
        raise InputError("--accelerator gpu needs a GPU that torch can use, but there is none: take auto or cpu.")
    return "cpu"


def on_device(bundle: Bundle, device: str) -> Bundle:
    """The bundle with its networks on a device."""
    if device == "cpu":
        return bundle
    networks = tuple(copy.deepcopy(network).to(device) for network in bundle.networks)
    for network in networks:
        network.season.cpu()  # it belongs to what is worked out from the networks' answers
    return replace(bundle, networks=networks)


def _network_forecast(bundle: Bundle, history: Events, cutoff: int, device: torch.device) -> ProcessForecast:
    schema = bundle.schema
    if schema is None:  # a bundle of kind 'network' always has one: see bundle.load_bundle
        raise TypeError("a network bundle without a schema")
    book = ledger(history, schema.event_types)
    everyone = np.arange(history.customers, dtype=np.int64)
    query = locate(book, everyone, np.full(history.customers, cutoff, dtype=np.int64))
    batch = event_batch(history, book, query, schema)
    if device.type != "cpu":
        batch = batch.to(device)
    with torch.inference_mode():
        return ProcessForecast([clocked(network, batch, schema, cutoff) for network in bundle.networks])


def clocked(network: Network, batch: EventBatch, schema: FeatureSchema, cutoff: int) -> ClockedProcess:
    """One network's processes of a batch whose queries are all at `cutoff` (microseconds), in days and currency."""
    process = network(batch).map(Tensor.cpu).double().rescaled(schema.time_scale_days, schema.amount_scale)
    if batch.days is None:
        phase = float(year_share(np.asarray([cutoff], dtype=np.int64))[0])
        return ClockedProcess(process, Clock(network.season, phase))
    days = replace(batch.days, values=batch.days.values.cpu())
    return ClockedProcess(process, Clock(network.season, days.years(cutoff / MICROSECONDS_PER_DAY), days))


def forecast_table(
    predictive: Predictive,
    customer_id: Sequence[str] | npt.NDArray[np.object_],
    cutoff: int,
    horizons_days: Sequence[float],
) -> pa.Table:
    """The forecasts contract: one row per customer and horizon, customers in the given order, horizons rising."""
    horizons = checked_horizons(horizons_days)
    size, width = len(predictive), len(horizons)
    churn, alive = predictive.churn_probability(horizons), predictive.alive_probability()
    soon = predictive.next_purchase_median()
    counts = predictive.transaction_quantiles(horizons, LEVELS)
    spend = predictive.spend_quantiles(horizons, LEVELS)
    columns: list[Any] = [
        np.repeat(np.asarray(customer_id, dtype=object), width),
        np.full(size * width, cutoff, dtype="datetime64[us]"),
        np.tile(np.asarray(horizons), size),
        _or_null(predictive.expected_transactions(horizons), size * width),
        _or_null(predictive.expected_spend(horizons), size * width),
        *_levels(spend, size * width),
        *_levels(counts, size * width),
        _or_null(churn, size * width),
        _or_null(alive if alive is None else np.repeat(alive, width), size * width),
        _or_null(soon if soon is None else np.repeat(soon, width), size * width),
    ]
    arrays = [
        pa.array(column, field.type, from_pandas=True) for column, field in zip(columns, FORECAST_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=FORECAST_SCHEMA)


def _levels(quantiles: np.ndarray | None, rows: int) -> list[Any]:
    if quantiles is None:
        return [pa.nulls(rows, pa.float64()) for _ in LEVELS]
    return [quantiles[..., i].ravel() for i in range(len(LEVELS))]


def _or_null(values: np.ndarray | None, rows: int) -> Any:
    return pa.nulls(rows, pa.float64()) if values is None else values.ravel()


def forecast_rfm(bundle: Bundle, table: RfmTable, horizons_days: Sequence[float], cutoff: int) -> "pd.DataFrame":
    """Score an RFM table with a classical model; a network needs the events themselves."""
    if bundle.classical is None:
        raise InputError("An RFM table can be scored by a classical model only, but this is a network: give the log.")
    forecast = bundle.classical.forecast(table)
    order = np.argsort(table.customer_id.astype(object), kind="stable")
    frame: pd.DataFrame = forecast_table(forecast, table.customer_id, cutoff, horizons_days).to_pandas()
    width = len(checked_horizons(horizons_days))
    rows = (order[:, None] * width + np.arange(width)).ravel()
    return frame.iloc[rows].reset_index(drop=True)
