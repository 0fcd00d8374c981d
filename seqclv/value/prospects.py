"""Forecast customers who have not bought yet, and check the forecasts on newcomers of earlier months."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.config import DataConfig
from seqclv.data.events import MICROSECONDS_PER_DAY, concatenate
from seqclv.data.store import EventStore, open_log
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError, offenders
from seqclv.files import whole_file
from seqclv.forecast.chunks import history_chunks
from seqclv.forecast.forecaster import checked_horizons
from seqclv.value.newcomers import FEWEST, Newcomers, Promise, Words, newcomers, pool, promise

CHECK_MONTHS = 12
CHECK_STEP_DAYS = 30.0
_SHOWN_PROFILES = 20
Announce = Callable[[str], None]
PROSPECT_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("cutoff", pa.timestamp("us")),
        *(
            (name, pa.float64())
            for name in (
                "horizon_days",
                "newcomers_alike",
                "expected_transactions",
                "expected_spend",
                "spend_q05",
                "spend_q50",
                "spend_q95",
                "transactions_q05",
                "transactions_q50",
                "transactions_q95",
                "repeat_probability",
            )
        ),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ProspectPlan:
    """What is asked."""

    cutoff: int  # microseconds; only newcomers before it are looked at
    horizons_days: Sequence[float] = (30.0, 90.0, 365.0)  # counted from the first purchase
    by: tuple[str, ...] | None = None  # attributes of customers, the weightiest first; None: all of them


def prospects_log(
    data: DataConfig, plan: ProspectPlan, out: Path | None, *, announce: Announce = lambda _: None
) -> dict[str, Any]:
    """What new customers bring by their attributes, checked on earlier months; prospects get rows in `out`.

    Raises:
        InputError: an attribute is unknown or sensitive, too few newcomers were seen for a horizon, or rows are asked
            for and the customers table names nobody who has not bought.
    """
    horizons = checked_horizons(plan.horizons_days)
    with tempfile.TemporaryDirectory(prefix="seqclv-") as workspace:
        announce("reading the log")
        store = open_log(data, Path(workspace))
        names = _attributes(store, plan, data.sensitive)
        asked = _asked(store, names) if out is not None else None
        announce("looking at earlier newcomers")
        chunks = list(history_chunks(store, plan.cutoff, data.merge))
        if not chunks:
            raise InputError(
                f"New customers are forecast by earlier ones, but nobody bought before {to_timestamp(plan.cutoff)}: "
                "take a later cutoff."
            )
        history = concatenate(chunks)
        known = {days: newcomers(history, days, names) for days in horizons}
        pools = {days: _enough(pool(known[days], plan.cutoff, days), days) for days in horizons}
        document: dict[str, Any] = {
            "cutoff": to_timestamp(plan.cutoff).isoformat(),
            "horizons_days": horizons,
            "attributes": list(names),
            "log": {"fingerprint": store.fingerprint, "customers": store.customers},
            "profiles": _profiles(pools, names),
            "check": [row for days in horizons if (row := check(known[days], plan.cutoff, days)) is not None],
            "prospects": 0,
        }
        if asked is not None and out is not None:
            document["prospects"] = len(asked[0])
            _write(asked, pools, plan.cutoff, out)
            with whole_file(out.with_name(f"{out.name}.manifest.json")) as staging:
                rows = {"customers": len(asked[0]), "rows": len(asked[0]) * len(horizons)}
                facts = {name: value for name, value in document.items() if name != "prospects"} | rows
                staging.write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n")
    return document


def _attributes(store: EventStore, plan: ProspectPlan, sensitive: Sequence[str]) -> tuple[str, ...]:
    known = [n for n in (*store.info.static_categorical, *store.info.static_numeric) if n not in sensitive]
    chosen = tuple(known if plan.by is None else dict.fromkeys(plan.by))
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(
            f"--by names attributes of the customers table, no sensitive ones ({', '.join(known) or 'it has none'}), "
            f"but {offenders(unknown)} is not among them: change it."
        )
    return chosen


def _asked(store: EventStore, names: Sequence[str]) -> tuple[pa.Array, dict[str, Any]]:
    """The ids of the prospects and their attributes."""
    table = store.prospects
    if table is None or len(table) == 0:
        raise InputError(
            "Rows are for customers whom the customers table names and who have no event, but there is none: leave "
            "--out away, or name a customers table in the data section."
        )
    columns = {name: table[name + "_" * (name == "customer_id")] for name in names}
    return table["customer_id"], {name: _values(column) for name, column in columns.items()}


def _values(column: pa.ChunkedArray) -> Any:
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    return np.array(column.to_pylist(), dtype=object)


def _enough(found: Newcomers, days: float) -> Newcomers:
    if len(found) < FEWEST:
        raise InputError(
            f"A forecast of new customers needs {FEWEST} earlier ones, seen for {days:g} days after their first "
            f"purchase, but there are {len(found)}: ask for shorter horizons."
        )
    return found


def _distinct(attributes: Mapping[str, Any], size: int) -> tuple[dict[str, Any], np.ndarray]:
    """The distinct profiles among `size` customers, in the order of their appearance, and each customer's."""
    if not attributes:
        return {}, np.zeros(size, dtype=np.int64)
    keys = list(zip(*(_keys(values) for values in attributes.values()), strict=True))
    place: dict[Any, int] = {}
    first = []
    for row, key in enumerate(keys):
        if key not in place:
            place[key] = len(place)
            first.append(row)
    distinct = {name: values[first] for name, values in attributes.items()}
    return distinct, np.array([place[key] for key in keys], dtype=np.int64)


def _keys(values: Any) -> Sequence[Any]:
    """Values that compare equal where both are missing."""
    return values if values.dtype == object else [value if np.isfinite(value) else None for value in values]


def _write(asked: tuple[pa.Array, dict[str, Any]], pools: Mapping[float, Newcomers], cutoff: int, out: Path) -> None:
    ids, attributes = asked
    profiles, place = _distinct(attributes, len(ids))
    stamps = pa.array(np.full(len(ids), cutoff), pa.int64()).cast(pa.timestamp("us"))
    parts = []
    for days, past in pools.items():
        found = promise(past, profiles)
        columns = {"horizon_days": np.full(len(ids), days)} | {n: v[place] for n, v in _columns(found).items()}
        arrays = [ids.combine_chunks(), stamps, *(pa.array(columns[name]) for name in PROSPECT_SCHEMA.names[2:])]
        parts.append(pa.table(arrays, schema=PROSPECT_SCHEMA))
    table = pa.concat_tables(parts).sort_by([("customer_id", "ascending"), ("horizon_days", "ascending")])
    with whole_file(out) as staging:
        pq.write_table(table, staging)


def _columns(found: Promise) -> dict[str, Any]:
    ranges = {"spend": found.spend, "transactions": found.transactions}
    return {
        "newcomers_alike": found.alike,
        "expected_transactions": found.expected_transactions,
        "expected_spend": found.expected_spend,
        "repeat_probability": found.repeat_probability,
        **{f"{name}_q{q}": table[:, i] for name, table in ranges.items() for i, q in enumerate(("05", "50", "95"))},
    }


def _profiles(pools: Mapping[float, Newcomers], names: Sequence[str]) -> list[dict[str, Any]]:
    """The most frequent profiles among the newcomers, text attributes alone, and what they bring; the first is all."""
    rows = []
    for days, past in pools.items():
        texts = {name: past.attributes[name] for name in names if past.attributes[name].dtype == object}
        profiles, place = _distinct(texts, len(past))
        number = np.bincount(place)
        chosen = np.argsort(-number, kind="stable")[:_SHOWN_PROFILES]
        rows.append(_row({}, days, promise(past, {}), 0))
        if texts:
            found = promise(past, profiles)
            rows += [_row({name: values[i] for name, values in profiles.items()}, days, found, int(i)) for i in chosen]
    return rows


def _row(profile: Mapping[str, Words], days: float, found: Promise, i: int) -> dict[str, Any]:
    figures = {name: float(values[i]) for name, values in _columns(found).items()}
    return {"profile": dict(profile), "horizon_days": days, **figures}


def check(known: Newcomers, cutoff: int, horizon_days: float) -> dict[str, Any] | None:
    """Forecasts of the newcomers of earlier months, each by what was known at its beginning, beside what they did.

    A month is judged where all of its newcomers were seen for the whole horizon before the cutoff (microseconds).

    Returns:
        Newcomers, months, sums of forecast and actual, and the share within nine-in-ten ranges; None where no month
        can be judged.
    """
    step, horizon = (round(days * MICROSECONDS_PER_DAY) for days in (CHECK_STEP_DAYS, horizon_days))
    months = []
    for i in range(1, CHECK_MONTHS + 1):
        start = cutoff - horizon - i * step
        joined = known.rows((known.first >= start) & (known.first < start + step))
        past = pool(known, start, horizon_days)
        if len(past) >= FEWEST and len(joined):
            months.append(_judged(past, joined))
    if not months:
        return None
    sums = {name: sum(month[name] for month in months) for name in months[0]}
    customers = sums["customers"]
    return {
        "horizon_days": horizon_days,
        "months": len(months),
        "customers": int(customers),
        "transactions": {"forecast": sums["transactions"], "actual": sums["bought"]},
        "spend": {"forecast": sums["spend"], "actual": sums["spent"]},
        "transactions_coverage_90": sums["bought_within"] / customers,
        "spend_coverage_90": sums["spent_within"] / customers,
    }


def _judged(past: Newcomers, joined: Newcomers) -> dict[str, float]:
    profiles, place = _distinct(joined.attributes, len(joined))
    found = promise(past, profiles)
    within = lambda actual, ranges: float(((ranges[place, 0] <= actual) & (actual <= ranges[place, -1])).sum())  # noqa: E731
    return {
        "customers": float(len(joined)),
        "transactions": float(found.expected_transactions[place].sum()),
        "bought": float(joined.transactions.sum()),
        "spend": float(found.expected_spend[place].sum()),
        "spent": float(joined.spend.sum()),
        "bought_within": within(joined.transactions, found.transactions),
        "spent_within": within(joined.spend, found.spend),
    }
