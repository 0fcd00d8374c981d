"""Value a log for a report: the table of values, tiers, totals and their ranges, by `seqclv.value`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from seqclv.bundle import Bundle
from seqclv.calibration import LevelSpread
from seqclv.data.store import EventStore
from seqclv.report.subject import CONTACT_EACH, ReportOptions, Worth
from seqclv.value.budget import budget_curve
from seqclv.value.lists import ListPlan, make_lists
from seqclv.value.money import NO_CURRENCY
from seqclv.value.run import Plan, value_store
from seqclv.value.totals import EVERYBODY


def worth_of(
    bundle: Bundle,
    store: EventStore,
    cutoff: int,
    horizons_days: Sequence[float],
    options: ReportOptions,
    *,
    windows: Sequence[Mapping[str, Any]],
    workspace: Path,
) -> Worth:
    """The values of a store's customers as of a cutoff (microseconds).

    Args:
        windows: the model's sections of metrics.json, one for each held-out window; the level's spread comes from
            them where the model's calibration does not have it.
        workspace: where the table may be written.
    """
    spread = level_spread(windows) if bundle.calibration is None else bundle.calibration.spread
    # Without discounting a customer who may stay for ever has no finite residual value.
    terms = replace(options.terms, residual=options.terms.residual and options.terms.discount_rate > 0)
    plan = Plan(cutoff=cutoff, horizons_days=horizons_days, terms=terms, spread=spread)
    valued = value_store(bundle, store, plan, workspace / "values.parquet")
    lists = ListPlan(
        contacts=options.contacts or max(valued.customers // CONTACT_EACH, 1),
        control_share=options.control_share,
        contact_cost=options.contact_cost,
        horizon_days=bundle.horizon_days,
    )
    economics = valued.manifest["economics"]
    currency = str(economics["currency"])
    return Worth(
        table=pq.read_table(valued.out).to_pandas(),
        totals=[row for row in valued.totals["totals"] if row["group"] == EVERYBODY],
        level_spread=None if spread is None else spread.spend,
        tiers=valued.tiers,
        currency="" if currency == NO_CURRENCY else currency,
        margin=float(economics["margin"]),
        refund_share=float(economics["refund_share"]),
        lists=make_lists(valued.out, lists).to_pandas(),
        curve=budget_curve(valued.out, bundle.horizon_days),
    )


def level_spread(windows: Sequence[Mapping[str, Any]]) -> LevelSpread | None:
    """How far actual totals were from forecast ones: the root of the mean square of actual / forecast - 1.

    Around one and not around their mean, as the forecasts are used as they are. None without a window.
    """
    spreads = []
    for section in ("transactions", "spend"):
        misses = [window[section]["bias"] for window in windows]
        known = [1 / (1 + miss) - 1 for miss in misses if miss is not None and miss > -1]
        if not known:
            return None
        spreads.append(float(np.sqrt(np.mean(np.square(known)))))
    return LevelSpread(transactions=spreads[0], spend=spreads[1])
