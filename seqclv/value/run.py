"""Value a log: stream a store through model and terms into one Parquet file, in bounded memory.

    OUT                 the table of values (`seqclv.value.columns`)
    OUT.totals.json     totals with intervals, acquisition by channel and cohort
    OUT.manifest.json   model, log, terms as they were resolved, tiers

Each appears whole or not at all. The log is passed over twice: once for what the terms need of the base (refunds,
margins, the base's rhythm), once for the values.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from seqclv import prior
from seqclv.bundle import Bundle
from seqclv.calibration import LevelSpread
from seqclv.data.store import EventStore
from seqclv.data.windows import to_timestamp
from seqclv.errors import InputError
from seqclv.files import whole_file
from seqclv.forecast.chunks import history_chunks
from seqclv.forecast.forecaster import checked_horizons, predict
from seqclv.forecast.threads import threads_kept
from seqclv.predictive import FloatArray
from seqclv.tiers import HORIZON_DAYS, NAMES, SHARES, TOLERANCE, Tiers, set_tiers
from seqclv.value.acquisition import AcquisitionBook, Costs
from seqclv.value.columns import VALUE_SCHEMA
from seqclv.value.facts import Base, facts
from seqclv.value.log_columns import currency_of, require_channels, require_columns
from seqclv.value.money import Economics, Terms
from seqclv.value.previous import PreviousTiers
from seqclv.value.totals import totals
from seqclv.value.valuation import Valuer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to value and how."""

    cutoff: int  # microseconds
    horizons_days: Sequence[float]
    terms: Terms
    costs: Costs | None = None
    spread: LevelSpread | None = None  # of the shared level; None: the model's own, where it knows one
    tier_names: tuple[str, ...] = NAMES
    tier_shares: tuple[float, ...] = SHARES
    new_tiers: bool = False  # set boundaries anew, whatever the model has
    previous: Path | None = None  # an earlier table of values: its customers keep their tier within the tolerance
    tier_tolerance: float = TOLERANCE  # a share of a boundary
    tiers: Tiers | None = None  # boundaries to use instead of the model's, such as those of its predecessor

    def __post_init__(self) -> None:
        if not 0 <= self.tier_tolerance < 1:
            raise InputError(
                f"The tolerance of tiers is a share from 0 to below 1, but it is {self.tier_tolerance}: give 0.15."
            )


@dataclass(frozen=True)
class Valued:
    """What a valuation did."""

    out: Path
    customers: int
    rows: int
    tiers: Tiers  # that were used
    manifest: dict[str, Any]
    totals: dict[str, Any]


@threads_kept()
def value_store(
    bundle: Bundle, store: EventStore, plan: Plan, out: Path, *, advance: Callable[[int], None] | None = None
) -> Valued:
    """Write the values of every customer with a purchase before the cutoff.

    Raises:
        InputError: a horizon is refused, nobody bought before the cutoff, or the log holds several currencies.
    """
    horizons = checked_horizons(plan.horizons_days)
    torch.set_num_threads(1)  # small matrices: a second thread costs more than it brings
    require_columns(store.info, plan.terms)
    if plan.costs is not None:
        require_channels(store.info, plan.terms, plan.costs)
    base = _base(bundle, store, plan)
    economics = _economics(base, store, plan.terms)
    spread = plan.spread or (bundle.calibration.spread if bundle.calibration else None)
    valuer = _valuer(bundle, plan, economics, base)
    known = valuer.tiers
    book = None if plan.costs is None or not plan.terms.residual else AcquisitionBook()
    with whole_file(Path(out)) as staging:
        spend = _write(bundle, store, valuer, plan, book, staging, advance)
        if np.isnan(spend).all():
            raise InputError(
                "A valuation needs amounts, but this model was trained on none: train it on a log with amounts."
            )
        tiers = known or _new_tiers(spend, plan)
        if known is None:
            _fill_tiers(staging, tiers, spend, len(horizons))
        document = {
            "cutoff": to_timestamp(plan.cutoff).isoformat(),
            "currency": economics.currency,
            "level_spread": None if spread is None else asdict(spread),
            "totals": totals(staging, spread or LevelSpread()),
            "acquisition": None if book is None or plan.costs is None else book.table(plan.costs),
        }
    manifest = _manifest(bundle, store, plan, valuer, tiers)
    _write_json(document, companion(out, "totals"))
    _write_json(manifest, companion(out, "manifest"))
    return Valued(Path(out), base.customers, base.customers * len(horizons), tiers, manifest, document)


def _valuer(bundle: Bundle, plan: Plan, economics: Economics, base: Base) -> Valuer:
    """What values a customer, in the tiers of the plan, else in those of the model."""
    known = plan.tiers or (None if plan.new_tiers else bundle.tiers)
    if plan.previous is not None and known is None:
        raise InputError(
            "Customers keep an earlier tier within boundaries that stay, but the model has none, or new ones are asked "
            "for: store boundaries first, or leave --previous out."
        )
    return Valuer(
        cutoff=plan.cutoff,
        horizons_days=checked_horizons(plan.horizons_days),
        economics=economics,
        base=base,
        tier_horizon_days=HORIZON_DAYS if known is None else known.horizon_days,
        tiers=known,
        previous=None if plan.previous is None else PreviousTiers(plan.previous),
        tier_tolerance=plan.tier_tolerance,
        costs=plan.costs,
        residual=plan.terms.residual,
    )


def companion(out: Path, what: str) -> Path:
    """Where the totals or the manifest of a table of values lie."""
    return Path(out).with_name(f"{Path(out).name}.{what}.json")


def _base(bundle: Bundle, store: EventStore, plan: Plan) -> Base:
    base = Base()
    for chunk in history_chunks(store, plan.cutoff, bundle.merge):
        base = base.with_facts(_facts(chunk, plan))
    if base.customers == 0:
        raise InputError(
            f"A valuation needs purchases before the cutoff, but nobody bought before {to_timestamp(plan.cutoff)} "
            f"(the log begins on {to_timestamp(store.first)}): take a later cutoff."
        )
    if plan.terms.margin_column is not None and base.known_spend <= 0:
        raise InputError(
            f"A margin column holds the gross margin of each line in money, but '{plan.terms.margin_column}' is empty "
            "in every purchase before the cutoff: name another column or give --margin."
        )
    return base


def _facts(chunk: Any, plan: Plan) -> Any:
    terms = plan.terms
    return facts(chunk, plan.cutoff, margin_column=terms.margin_column, channel_column=terms.channel_column)


def _economics(base: Base, store: EventStore, terms: Terms) -> Economics:
    own = terms.margin_column is not None
    share = base.refunds / base.spend if terms.refund_share is None else terms.refund_share
    return Economics(
        margin=base.known_margin / base.known_spend if own else terms.margin,
        own_margins=own,
        refund_share=min(share, 1.0),
        daily_service_cost=terms.daily_service_cost,
        daily_rate=terms.daily_rate,
        currency=currency_of(store.info, terms),
    )


def _write(
    bundle: Bundle,
    store: EventStore,
    valuer: Valuer,
    plan: Plan,
    book: AcquisitionBook | None,
    staging: Path,
    advance: Callable[[int], None] | None,
) -> FloatArray:
    """Write all rows; [C] the expected spend that tiers are about."""
    spend = []
    with pq.ParquetWriter(staging, VALUE_SCHEMA, compression="zstd") as writer:
        for chunk in history_chunks(store, plan.cutoff, bundle.merge):
            forecast = predict(bundle, chunk, plan.cutoff)
            table, tier_spend = valuer.table(forecast, chunk, _facts(chunk, plan), book)
            writer.write_table(table, row_group_size=len(table))  # one group to a chunk
            spend.append(tier_spend)
            if advance is not None:
                advance(chunk.customers)
    return np.concatenate(spend)


def _new_tiers(spend: FloatArray, plan: Plan) -> Tiers:
    at = to_timestamp(plan.cutoff).isoformat()
    return set_tiers(spend, set_at=at, names=plan.tier_names, shares=plan.tier_shares)


def _fill_tiers(staging: Path, tiers: Tiers, spend: FloatArray, width: int) -> None:
    """Fill the column of tiers of a written table; its rows are in the order of `spend`, `width` to a customer."""
    column = VALUE_SCHEMA.get_field_index("tier")
    with tempfile.TemporaryDirectory(dir=staging.parent, prefix=".tiers-") as scratch:
        second = Path(scratch) / "values.parquet"
        file = pq.ParquetFile(staging)
        with pq.ParquetWriter(second, VALUE_SCHEMA, compression="zstd") as writer:
            done = 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                names = tiers.assign(spend[done : done + len(table) // width])
                words = pa.array(np.repeat(names, width), pa.string())
                writer.write_table(table.set_column(column, VALUE_SCHEMA.field(column), words))
                done += len(table) // width
        second.replace(staging)


def _manifest(bundle: Bundle, store: EventStore, plan: Plan, valuer: Valuer, tiers: Tiers) -> dict[str, Any]:
    return {
        **prior.model_facts(bundle),
        "cutoff": to_timestamp(plan.cutoff).isoformat(),
        "horizons_days": list(valuer.horizons_days),
        "log": {"fingerprint": store.fingerprint, "customers": store.customers},
        "terms": asdict(plan.terms),
        "economics": asdict(valuer.economics),
        "tiers": asdict(tiers)
        | {
            "stored_in_model": bundle.tiers == tiers,
            "tolerance": None if plan.previous is None else plan.tier_tolerance,
        },
        "lifecycle": asdict(valuer.rules),
        "customers": valuer.base.customers,
        "rows": valuer.base.customers * len(valuer.horizons_days),
    }


def _write_json(document: dict[str, Any], path: Path) -> None:
    with whole_file(path) as staging:
        staging.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
