"""Reasons on paper: the drivers of a base or of single customers as a table, JSON or text.

{"quantity", "horizon_days", "cutoff", "base": [{"name", "mean_absolute", "share", "raises", "words"}],
 "customers": [{"customer_id", "forecast", "baseline", "names": [{"name", "contribution", "words"}],
                "events": [{"timestamp", "kind", "contribution"}]}]}

A model that knows a calendar adds "calendar": [{"name", "effect", "low", "high", "words"}], what its columns do to the
pace of all customers alike (JSON and text alone).
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from seqclv.bundle import Bundle
from seqclv.card import calendar_effects
from seqclv.config import DataConfig
from seqclv.data.apart import require_apart
from seqclv.data.feature_names import in_words
from seqclv.data.store import open_log
from seqclv.data.windows import history, to_timestamp
from seqclv.errors import InputError
from seqclv.files import whole_file
from seqclv.forecast.drivers import Drivers, explain
from seqclv.forecast.forecaster import checked_horizons

SUFFIXES = (".csv", ".json")
_SHOWN_EVENTS = 5
_QUANTITY_WORDS = {"spend": "expected spend", "purchases": "expected purchases", "churn": "churn probability"}

Announce = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class WhyPlan:
    """What to explain."""

    cutoff: int  # microseconds
    horizon_days: float | None = None  # None: that of the model
    quantity: str = "spend"  # or 'purchases', 'churn'
    customers: tuple[str, ...] = ()  # without any the base alone is explained


def why_log(
    bundle: Bundle, data: DataConfig, plan: WhyPlan, out: Path | None = None, *, announce: Announce = lambda _: None
) -> dict[str, Any]:
    """Explain forecasts on the log that `data` names; the document is also written to `out`, .json or .csv.

    Raises:
        InputError: the model is a classical one, or the log, a customer, the horizon or `out` is refused.
    """
    if out is not None and (out.suffix.lower() not in SUFFIXES or out.is_dir()):
        raise InputError(f"--out names a file that ends in .csv or .json, but it is '{out}': name such a file.")
    if out is not None:
        require_apart(out, data)
    (horizon,) = checked_horizons([bundle.horizon_days if plan.horizon_days is None else plan.horizon_days])
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        announce("reading the log")
        past = history(open_log(data, Path(workspace)).read(), plan.cutoff, bundle.merge)
        if past.customers == 0:
            raise InputError(
                f"A forecast needs purchases before the cutoff, but nobody bought before {to_timestamp(plan.cutoff)}: "
                "take a later one."
            )
        announce("following the forecasts back to their inputs")
        ask = {"quantity": plan.quantity}
        base = explain(bundle, past, plan.cutoff, horizon, **ask)
        single = (
            explain(bundle, past, plan.cutoff, horizon, customers=plan.customers, **ask) if plan.customers else None
        )
    document = {
        "quantity": plan.quantity,
        "horizon_days": horizon,
        "cutoff": to_timestamp(plan.cutoff).isoformat(),
        "base": base.importance(),
        "customers": [] if single is None else [_customer(single, i) for i in range(len(single.customer_id))],
    }
    if effects := calendar_effects(bundle):
        document["calendar"] = effects
    if out is not None:
        _write(document, out)
    return document


def _customer(found: Drivers, row: int) -> dict[str, Any]:
    order = np.argsort(-np.abs(found.contribution[row]), kind="stable")
    mine = np.flatnonzero(found.event_customer == row)
    mine = mine[np.argsort(-np.abs(found.event_contribution[mine]), kind="stable")]
    return {
        "customer_id": str(found.customer_id[row]),
        "forecast": float(found.forecast[row]),
        "baseline": float(found.baseline[row]),
        "names": [
            {
                "name": found.names[i],
                "contribution": float(found.contribution[row, i]),
                "words": in_words(found.names[i]),
            }
            for i in order
        ],
        "events": [
            {
                "timestamp": to_timestamp(int(found.event_time[i])).isoformat(),
                "kind": found.event_kind[i],
                "contribution": float(found.event_contribution[i]),
            }
            for i in mine
        ],
    }


def _write(document: Mapping[str, Any], out: Path) -> None:
    with whole_file(out) as staging:
        if out.suffix.lower() == ".json":
            staging.write_text(json.dumps(document, indent=2) + "\n")
        else:
            pacsv.write_csv(pa.Table.from_pylist(_rows(document), schema=_CSV), staging)


_CSV = pa.schema(
    [
        ("customer_id", pa.string()),  # null: the base
        ("level", pa.string()),  # base, forecast, baseline, name or event
        ("name", pa.string()),
        ("timestamp", pa.string()),
        ("value", pa.float64()),  # of a base's row the mean absolute contribution
        ("share", pa.float64()),
    ]
)


def _rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"level": "base", "name": row["name"], "value": row["mean_absolute"], "share": row["share"]}
        for row in document["base"]
    ]
    for one in document["customers"]:
        own = [{"level": level, "value": one[level]} for level in ("forecast", "baseline")]
        own += [{"level": "name", "name": row["name"], "value": row["contribution"]} for row in one["names"]]
        own += [
            {"level": "event", "name": row["kind"], "timestamp": row["timestamp"], "value": row["contribution"]}
            for row in one["events"]
        ]
        rows += [{"customer_id": one["customer_id"], **row} for row in own]
    return rows


def why_text(document: Mapping[str, Any]) -> str:
    """The document for people: the customers asked for, else the base."""
    quantity = f"{_QUANTITY_WORDS[document['quantity']]} in {document['horizon_days']:g} days"
    if document["customers"]:
        return "\n\n".join(_customer_text(one, quantity) for one in document["customers"])
    lines = [f"what moves the {quantity}".ljust(52) + f"{'share':>8}{'raises':>10}"]
    lines += [f"{row['name']:<52}{row['share']:>8.1%}{row['raises']:>10.0%}" for row in document["base"]]
    lines += ["", "'raises': the share of customers whose forecast the input raises."]
    if document.get("calendar"):
        lines += [
            "",
            "the calendar, the same for all customers",
            *(f"  {row['words']}" for row in document["calendar"]),
        ]
    return "\n".join(lines)


def _customer_text(one: Mapping[str, Any], quantity: str) -> str:
    lines = [f"customer {one['customer_id']}, {quantity}", _line("a customer of average inputs", one["baseline"])]
    lines += [_line(row["name"], row["contribution"], signed=True) for row in one["names"]]
    lines += [_line("this customer", one["forecast"]), "", "events that moved it most"]
    return "\n".join([*lines, *_event_lines(one["events"][:_SHOWN_EVENTS])])


def _event_lines(events: Sequence[Mapping[str, Any]]) -> list[str]:
    return [_line(f"{row['timestamp'][:10]} {row['kind']}", row["contribution"], signed=True) for row in events]


def _line(name: str, value: float, *, signed: bool = False) -> str:
    return f"  {name:<50}" + (f"{value:>+14,.3f}" if signed else f"{value:>14,.3f}")
