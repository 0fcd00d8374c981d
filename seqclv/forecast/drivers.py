"""Why a forecast is what it is: attributions under plain names, by customer, by event and for the base.

Shape: C customers, M names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seqclv.batch import EventBatch, FeatureSchema
from seqclv.bundle import Bundle
from seqclv.data import feature_names as names
from seqclv.data.assemble import event_batch, packed_events
from seqclv.data.events import Events, FloatArray, IntArray
from seqclv.data.features import ledger, locate
from seqclv.errors import InputError
from seqclv.forecast.attribution import Attribution, Baseline, Measure, average_inputs, integrated_gradients
from seqclv.forecast.forecaster import clocked
from seqclv.model.process import PurchaseProcess

QUANTITIES: dict[str, Callable[[PurchaseProcess, float], Tensor]] = {
    "spend": PurchaseProcess.expected_spend,
    "purchases": PurchaseProcess.expected_transactions,
    "churn": PurchaseProcess.churn_probability,
}
BASE_CUSTOMERS = 4_096  # whose inputs are averaged for the baseline, at most
SAMPLE_CUSTOMERS = 512  # over whom importance is averaged, at most
_CHUNK_CUSTOMERS = 256


@dataclass(frozen=True, kw_only=True)
class Drivers:
    """What moved the forecasts of C customers away from that of average inputs.

    Shape: customer_id, forecast, baseline [C]; contribution [C, M]; the fields of events [E].
    """

    quantity: str
    horizon_days: float
    names: tuple[str, ...]
    customer_id: npt.NDArray[np.object_]
    forecast: FloatArray
    baseline: FloatArray  # what average inputs would get, the histories as long as they are
    contribution: FloatArray
    event_customer: IntArray  # index into the customers
    event_time: IntArray  # microseconds
    event_kind: tuple[str, ...]
    event_contribution: FloatArray  # of the event's own features; what it changes in the totals is in the names

    def importance(self) -> list[dict[str, Any]]:
        """The names by their mean absolute contribution, the largest first, each with its share of the sum."""
        size = np.abs(self.contribution).mean(axis=0)
        total = float(size.sum()) or 1.0
        raised = (self.contribution > 0).mean(axis=0)
        order = np.lexsort((np.asarray(self.names, dtype=object), -size))
        return [
            {
                "name": self.names[i],
                "mean_absolute": float(size[i]),
                "share": float(size[i]) / total,
                "raises": float(raised[i]),
                "words": names.in_words(self.names[i]),
            }
            for i in order
        ]


def explain(
    bundle: Bundle,
    past: Events,
    cutoff: int,
    horizon_days: float,
    *,
    quantity: str = "spend",
    customers: Sequence[str] | None = None,
) -> Drivers:
    """Explain the forecasts of customers of merged histories, as of the cutoff (microseconds).

    Args:
        bundle: the model; it must be a network.
        past: the histories of the base; its average inputs are the baseline.
        cutoff: end of the histories, excluded.
        horizon_days: of the window [cutoff, cutoff + horizon).
        quantity: 'spend', 'purchases' or 'churn'.
        customers: ids; without them every n-th customer, SAMPLE_CUSTOMERS at most.

    Raises:
        InputError: the model is a classical one, the quantity is none of the three, or a customer is not in the base.
    """
    schema = _network_schema(bundle)
    if quantity not in QUANTITIES:
        raise InputError(f"A quantity is {', '.join(QUANTITIES)}, but {quantity!r} was asked for: take one of them.")
    asked = _every(past.customers, SAMPLE_CUSTOMERS) if customers is None else _rows(past, customers)
    base = past.select(_every(past.customers, BASE_CUSTOMERS))
    baseline = average_inputs(_batch(base, cutoff, schema), bundle.networks[0])
    measure = _measure(schema, cutoff, horizon_days, quantity)
    parts = [
        _explained(bundle, past.select(asked[i : i + _CHUNK_CUSTOMERS]), cutoff, baseline, measure)
        for i in range(0, len(asked), _CHUNK_CUSTOMERS)
    ]
    starts = range(0, len(asked), _CHUNK_CUSTOMERS)
    join = lambda key: np.concatenate([part[key] for part in parts])  # noqa: E731
    return Drivers(
        quantity=quantity,
        horizon_days=horizon_days,
        names=_all_names(schema),
        customer_id=past.customer_id[asked],
        forecast=join("forecast"),
        baseline=join("baseline"),
        contribution=join("contribution"),
        event_customer=np.concatenate([p["event_customer"] + s for p, s in zip(parts, starts, strict=True)]),
        event_time=join("event_time"),
        event_kind=tuple(kind for part in parts for kind in part["event_kind"]),
        event_contribution=join("event_contribution"),
    )


def report_drivers(bundle: Bundle, past: Events, cutoff: int, horizon_days: float) -> tuple[dict[str, Any], ...]:
    """The drivers of the base's expected spend as a report shows them; none for a classical model."""
    if bundle.classical is not None:
        return ()
    rows = explain(bundle, past, cutoff, horizon_days).importance()
    return tuple(
        {
            "name": row["name"][0].upper() + row["name"][1:],
            "share": row["share"],
            "words": f"{row['words']}; raises the forecast of {row['raises']:.0%} of the customers",
        }
        for row in rows
    )


def _network_schema(bundle: Bundle) -> FeatureSchema:
    if bundle.schema is None:
        raise InputError(
            f"Reasons are drawn from a network, but this model is the classical '{bundle.kind}': its forecast follows "
            "from frequency, recency, age and mean amount alone. Give a network."
        )
    return bundle.schema


def _every(customers: int, most: int) -> IntArray:
    """Every n-th customer, `most` of them at most."""
    return np.arange(0, customers, max(1, -(-customers // most)), dtype=np.int64)


def _rows(past: Events, customers: Sequence[str]) -> IntArray:
    place = {name: i for i, name in enumerate(past.customer_id)}
    unknown = [name for name in customers if name not in place]
    if unknown:
        raise InputError(
            f"A customer is explained by purchases before the cutoff, but '{unknown[0]}' has none: check the id."
        )
    return np.asarray([place[name] for name in dict.fromkeys(customers)], dtype=np.int64)


def _batch(past: Events, cutoff: int, schema: FeatureSchema) -> EventBatch:
    book = ledger(past, schema.event_types)
    everyone = np.arange(past.customers, dtype=np.int64)
    return event_batch(past, book, locate(book, everyone, np.full(past.customers, cutoff, dtype=np.int64)), schema)


def _measure(schema: FeatureSchema, cutoff: int, horizon_days: float, quantity: str) -> Measure:
    read = QUANTITIES[quantity]
    return lambda network, batch: read(clocked(network, batch, schema, cutoff).until(horizon_days), horizon_days)


def _explained(bundle: Bundle, past: Events, cutoff: int, baseline: Baseline, measure: Measure) -> dict[str, Any]:
    schema = _network_schema(bundle)
    found = integrated_gradients(bundle.networks, _batch(past, cutoff, schema), baseline, measure)
    source = packed_events(past, schema)
    owner = past.owner[source]
    single = (found.continuous["numeric"].sum(-1) + found.event_codes.sum(-1)).numpy()
    order = np.lexsort((past.timestamp[source], owner))
    return {
        "forecast": found.forecast.numpy(),
        "baseline": found.baseline.numpy(),
        "contribution": _grouped(found, schema, owner, past.customers),
        "event_customer": owner[order],
        "event_time": past.timestamp[source][order],
        "event_kind": [names.kind_of_event(past, int(i)) for i in source[order]],
        "event_contribution": single[order],
    }


def _all_names(schema: FeatureSchema) -> tuple[str, ...]:
    """The M names, in the order in which the inputs are listed."""
    listed = [*names.query_names(schema), *names.ANCHOR_NAMES, *names.TREND_NAMES, *names.event_names(schema)]
    listed += [*names.event_code_names(schema), *names.static_names(schema), *names.static_code_names(schema)]
    return tuple(dict.fromkeys(listed))


def _grouped(found: Attribution, schema: FeatureSchema, owner: IntArray, customers: int) -> FloatArray:
    """[C, M] the attributions of a batch summed by customer and name; `owner` [E] is each packed event's customer."""
    column = {name: i for i, name in enumerate(_all_names(schema))}
    result = np.zeros((customers, len(column)))
    everyone = np.arange(customers)
    parts = {
        names.query_names(schema): (found.continuous["query"], everyone),
        names.ANCHOR_NAMES: (found.continuous["anchor"], everyone),
        names.TREND_NAMES: (found.continuous["trend"].sum(-1), everyone),
        names.event_names(schema): (found.continuous["numeric"], owner),
        names.event_code_names(schema): (found.event_codes, owner),
        names.static_names(schema): (found.continuous["static_numeric"], everyone),
        names.static_code_names(schema): (found.static_codes, everyone),
    }
    for listed, (values, rows) in parts.items():
        for name, part in zip(listed, values.unbind(-1), strict=True):
            np.add.at(result[:, column[name]], rows, part.numpy())
    return result
