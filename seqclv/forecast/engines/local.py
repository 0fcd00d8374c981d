"""The local engine: stream a store through the scorer into one Parquet file, in bounded memory."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from seqclv.bundle import Bundle
from seqclv.data.store import EventStore
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError
from seqclv.files import whole_file
from seqclv.forecast.chunks import history_chunks
from seqclv.forecast.forecaster import FORECAST_SCHEMA, checked_horizons, forecast_table, predict
from seqclv.forecast.summary import Summary


@dataclass(frozen=True)
class Scored:
    """What a scoring run did."""

    out: Path
    customers: int
    rows: int
    manifest: dict[str, Any]
    summary: Summary


def score(
    bundle: Bundle,
    store: EventStore,
    cutoff: int,
    horizons_days: Sequence[float],
    out: Path,
    *,
    advance: Callable[[int], None] | None = None,
) -> Scored:
    """Write the forecasts of every customer with a purchase before the cutoff (microseconds).

    Args:
        advance: called with the number of customers scored since the last call.

    `out` and `<out>.manifest.json` appear when everything is written.

    Raises:
        InputError: a horizon is refused, or nobody bought before the cutoff.
    """
    horizons = checked_horizons(horizons_days)
    torch.set_num_threads(1)  # small matrices: a second thread costs more than it brings
    summary = Summary(horizons)
    with whole_file(Path(out)) as staging:
        with pq.ParquetWriter(staging, FORECAST_SCHEMA, compression="zstd") as writer:
            for chunk in history_chunks(store, cutoff, bundle.merge):
                table = forecast_table(predict(bundle, chunk, cutoff), chunk.customer_id, cutoff, horizons)
                writer.write_table(table)
                summary.add(table)
                if advance is not None:
                    advance(chunk.customers)
        if summary.customers == 0:
            raise InputError(
                f"A forecast needs purchases before the cutoff, but nobody bought before {to_timestamp(cutoff)} "
                f"(the log begins on {to_timestamp(store.first)}): take a later cutoff."
            )
    manifest = _manifest(bundle, store, cutoff, horizons, summary.customers)
    with whole_file(manifest_path(Path(out))) as staging:
        staging.write_text(json.dumps(manifest, indent=2) + "\n")
    return Scored(Path(out), summary.customers, manifest["rows"], manifest, summary)


def manifest_path(out: Path) -> Path:
    """Where the manifest of a forecasts file lies."""
    return out.with_name(out.name + ".manifest.json")


def _manifest(
    bundle: Bundle, store: EventStore, cutoff: int, horizons: Sequence[float], customers: int
) -> dict[str, Any]:
    return {
        "model": {"kind": bundle.kind, "version": bundle.version, "package_version": bundle.package_version},
        "training_cutoff": to_timestamp(bundle.training_cutoff).isoformat(),
        "cutoff": to_timestamp(cutoff).isoformat(),
        "horizons_days": list(horizons),
        "log": {"fingerprint": store.fingerprint, "customers": store.customers},
        "merge": bundle.merge,
        "transaction": f"purchases of one customer merged by {bundle.merge}; counts are counts of merged purchases",
        "customers": customers,
        "customers_without_purchase_before_cutoff": store.customers - customers,
        "rows": customers * len(horizons),
    }
