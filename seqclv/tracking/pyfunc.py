"""The MLflow model: a bundle directory behind MLflow's `predict`, without pickles.

MLflow stores the directory as it is and the name of this module; `mlflow.pyfunc.load_model` calls `_load_pyfunc` with
it. So loading needs the seqclv package and nothing else, and no code travels with the model.

    predict(df, params={"cutoff": "2024-07-01", "horizons": [30, 90, 365]})

takes one row per event (customer_id, timestamp, amount and the log's further event columns) or one row per customer
with list columns (customer_id, timestamps, amounts, and lists under the names of the further columns), and gives the
columns of `seqclv.forecast.forecaster.FORECAST_SCHEMA`:

- from events: customers in the order of their ids, those with a purchase before the cutoff;
- from lists: customers in the order of the rows, each of them; where one has no purchase before the cutoff all
  forecasts are missing. So with one horizon row i of the result answers row i, as Spark's `spark_udf` asks.

MLflow itself drops parameters that the signature does not name, with a warning. As both of ours are required, a
misspelt one is an error all the same.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqclv.bundle import Bundle, load_bundle
from seqclv.config import DataConfig
from seqclv.data.events import Events
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, to_timestamp
from seqclv.errors import InputError, offenders
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import FORECAST_SCHEMA, checked_horizons, forecast_table, predict
from seqclv.version import __version__

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

PARAMETERS = ("cutoff", "horizons")
_USAGE = 'pass params={"cutoff": "2024-07-01", "horizons": [30, 90, 365]}'
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForecastModel:
    """What MLflow loads: a bundle that answers `predict`."""

    bundle: Bundle

    def predict(self, data: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Forecast the customers of a frame; see the module's description.

        Raises:
            InputError: a parameter is missing or unknown, a column is missing, or a row cannot be used.
        """
        cutoff, horizons = _parameters(params)
        if cutoff < self.bundle.training_cutoff:
            _LOG.warning(
                "The model was trained on events up to %s; forecasts as of %s know the future.",
                to_timestamp(self.bundle.training_cutoff),
                to_timestamp(cutoff),
            )
        _require_names(data)
        if "timestamps" not in data.columns:
            return self._forecast(events_from_frame(data, self._columns()), cutoff, horizons)
        lines = _lines(data, self._columns())
        events = events_from_frame(lines, self._columns()) if len(lines) else None
        known = _no_forecasts() if events is None else self._forecast(events, cutoff, horizons)
        return _in_order_of(data["customer_id"].astype(str), known, cutoff, horizons)

    def _columns(self) -> DataConfig:
        """The log's further columns under their own names. A bad row is refused: there is no place to set it aside."""
        given = self.bundle.config.data
        plain = DataConfig(
            event_type=given.event_type,
            types=given.types,
            merge=self.bundle.merge,
            max_reject_share=0.0,
            require_columns=False,
        )
        if self.bundle.classical is not None:
            return plain
        return replace(plain, numeric=given.numeric, categorical=given.categorical)

    def _forecast(self, events: Events, cutoff: int, horizons: Sequence[float]) -> pd.DataFrame:
        past = history(events, cutoff, self.bundle.merge)
        tables = [
            forecast_table(predict(self.bundle, part, cutoff), list(part.customer_id), cutoff, horizons).to_pandas()
            for part in chunked([past])
        ]
        return pd.concat(tables, ignore_index=True) if tables else _no_forecasts()


def _load_pyfunc(path: str) -> ForecastModel:
    """MLflow's entry: the model behind a bundle directory."""
    return ForecastModel(load_bundle(Path(path)))


def _parameters(params: Mapping[str, Any] | None) -> tuple[int, list[float]]:
    given = dict(params or {})
    unknown = sorted(set(given) - set(PARAMETERS))
    if unknown:
        raise InputError(f"The parameters are {' and '.join(PARAMETERS)}, but {offenders(unknown)} is given: {_USAGE}.")
    if given.get("cutoff") is None:
        raise InputError(f"A forecast needs a cutoff, the instant at which history ends, but none is given: {_USAGE}.")
    horizons = given.get("horizons")
    if horizons is None or len(horizons) == 0:
        raise InputError(f"A forecast needs horizons in days, but none is given: {_USAGE}.")
    return instant(given["cutoff"]), checked_horizons(horizons)


def _require_names(data: pd.DataFrame) -> None:
    if "customer_id" not in data.columns:
        raise InputError(
            f"Each row must name its customer, but the columns are {offenders(data.columns)}: add customer_id."
        )
    names = data["customer_id"]
    nameless = int((names.isna() | (names.astype(str).str.strip() == "")).sum())
    if nameless:
        raise InputError(
            f"Each row must name its customer, but {nameless:,} of {len(data):,} rows have no customer_id."
        )


def _lines(rows: pd.DataFrame, columns: DataConfig) -> pd.DataFrame:
    """One row per event from one row per customer."""
    plural = {"timestamps": "timestamp", "amounts": "amount"}
    named = (columns.event_type, *columns.numeric, *columns.categorical)
    further = {name: name for name in named if name is not None and name in rows.columns}
    missing = [name for name in ("customer_id", *plural) if name not in rows.columns]
    if missing:
        raise InputError(
            f"One row per customer needs the columns {', '.join(['customer_id', *plural])}, but "
            f"{', '.join(missing)} is missing: add it as lists, or give one row per event."
        )
    twice = rows["customer_id"].duplicated()
    if twice.any():
        found = offenders(rows["customer_id"][twice].unique())
        raise InputError(f"With lists each customer has one row, but {found} has several: join their lists.")
    lists = {name: [_listed(cell) for cell in rows[name]] for name in {**plural, **further}}
    length = [len(cell) for cell in lists["timestamps"]]
    for name, cells in lists.items():
        uneven = [str(c) for c, cell, n in zip(rows["customer_id"], cells, length, strict=True) if len(cell) != n]
        if uneven:
            raise InputError(f"A customer's lists must be of one length, but {name} is not for {offenders(uneven)}.")
    flat = {new: pd.Series(list(chain.from_iterable(lists[old]))) for old, new in {**plural, **further}.items()}
    return pd.DataFrame({"customer_id": rows["customer_id"].repeat(length).to_numpy(), **flat})


def _listed(cell: Any) -> Sequence[Any]:
    """A cell of a list column; a missing one is a customer without events."""
    if isinstance(cell, list | tuple | np.ndarray):
        return cell  # type: ignore[return-value]  # an array is sequence enough: it has a length and is iterated
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return []
    raise InputError(f"timestamps and amounts hold one list per customer, but one cell is {cell!r}.")


def _no_forecasts() -> pd.DataFrame:
    return pd.DataFrame(FORECAST_SCHEMA.empty_table().to_pandas())


def _in_order_of(
    customer_id: "pd.Series[str]", known: pd.DataFrame, cutoff: int, horizons: Sequence[float]
) -> pd.DataFrame:
    """All customers in the given order, their horizons rising; forecasts are missing where `known` has none."""
    keys = pd.MultiIndex.from_product([list(customer_id), list(horizons)], names=["customer_id", "horizon_days"])
    table = known.set_index(["customer_id", "horizon_days"]).reindex(keys).reset_index()
    table["cutoff"] = np.full(len(table), cutoff, dtype="datetime64[us]")
    return pd.DataFrame(table[FORECAST_SCHEMA.names])


def signature(bundle: Bundle) -> "ModelSignature":
    """The signature of a bundle's model.

    Amounts and lists are of any type, because MLflow refuses whole numbers where it expects doubles, and needs half a
    millisecond per row to check a typed list. They are checked here, when they are read.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    data = bundle.config.data
    optional = ["amount", "timestamps", "amounts", data.event_type, *data.numeric, *data.categorical]
    customer = ColSpec(DataType.string, "customer_id")
    timestamp = ColSpec(DataType.datetime, "timestamp", required=False)
    further = [ColSpec(AnyType(), name, required=False) for name in dict.fromkeys(optional) if name is not None]
    kinds = {"string": DataType.string, "timestamp[us]": DataType.datetime, "double": DataType.double}
    outputs = [ColSpec(kinds[str(field.type)], field.name) for field in FORECAST_SCHEMA]
    params = [ParamSpec("cutoff", DataType.string, None), ParamSpec("horizons", DataType.double, [], shape=(-1,))]
    return ModelSignature(Schema([customer, timestamp, *further]), Schema([*outputs]), ParamSchema(params))


def write_model(bundle_directory: Path, destination: Path, model: "Model") -> None:
    """Write a bundle as an MLflow model directory.

    Args:
        bundle_directory: from `seqclv.bundle.save_bundle`.
        destination: a directory that does not exist yet.
        model: where MLflow keeps it (its run and model id).
    """
    import mlflow.pyfunc

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example was not provided")  # it would be customer rows
        mlflow.pyfunc.save_model(
            path=str(destination),
            loader_module=__name__,
            data_path=str(bundle_directory),
            mlflow_model=model,
            signature=signature(load_bundle(bundle_directory)),
            pip_requirements=[f"seqclv=={__version__}", f"mlflow=={mlflow.__version__}"],  # given: nothing is inferred
        )
    for stray in ("uv.lock", "pyproject.toml", ".python-version"):  # MLflow copies them from the working directory
        (destination / stray).unlink(missing_ok=True)
