"""The plots of a comparison, by file name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events
from seqclv.data.windows import before, merged
from seqclv.evaluation.compare import OURS, Result, Window, tracking_horizons
from seqclv.evaluation.plots import curves_chart, decile_chart, pit_chart, reliability_chart, tracking_chart
from seqclv.predictive import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRACKED = "pareto_nbd"  # beside the model


def evaluation_figures(
    window: Window,
    results: Mapping[str, Result],
    events: Events,
    merge: str,
    curves: Sequence[Sequence[Mapping[str, float]]] = (),
    key: str = OURS,
) -> dict[str, "Figure"]:
    """Cumulative purchases, deciles, probability integral transforms, churn reliability and, where known, curves.

    `events` are the raw lines of the whole log, `key` names the model that they are about.
    """
    ours, actual = results[key].scores, window.actual
    days = f"in {window.horizon_days:g} days"
    figures = {"cumulative-purchases": _tracking(window, results, events, merge, key)}
    if ours.transactions is not None:
        figures["deciles-purchases"] = decile_chart(ours.transactions, actual.transactions, f"purchases {days}")
    if ours.spend is not None:
        figures["deciles-spend"] = decile_chart(ours.spend, actual.spend, f"spend {days}")
    if ours.churn is not None:
        figures["churn-reliability"] = reliability_chart(ours.churn, actual.transactions == 0)
    if ours.transaction_pit is not None:
        figures["pit-purchases"] = pit_chart(ours.transaction_pit, f"purchases {days}")
    if ours.spend_pit is not None:
        figures["pit-spend"] = pit_chart(ours.spend_pit, f"spend {days}")
    if any(curves):
        figures["training-curves"] = curves_chart(curves)
    return figures


def save_figures(figures: Mapping[str, "Figure"], out: Path) -> None:
    """Write each plot as `out`/plots/<name>.png."""
    (out / "plots").mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / "plots" / f"{name}.png", dpi=150)


def _tracking(window: Window, results: Mapping[str, Result], events: Events, merge: str, key: str) -> "Figure":
    rows = np.searchsorted(events.customer_id, window.history.customer_id)
    cutoff = window.cutoff // MICROSECONDS_PER_DAY
    end = int(np.ceil(window.cutoff / MICROSECONDS_PER_DAY + window.horizon_days))
    known = merged(before(events.select(rows), end * MICROSECONDS_PER_DAY), merge)
    day = known.timestamp[known.event_type == PURCHASE] // MICROSECONDS_PER_DAY
    first = int(day.min(initial=cutoff))
    dates = np.arange(first, end)
    daily = np.bincount(np.clip(day[day < end] - first, 0, None), minlength=len(dates))
    total = np.cumsum(daily).astype(np.float64)
    base = float(total[cutoff - first - 1]) if cutoff > first else 0.0
    forecasts = {
        name: _by_day(result.cumulative, window, dates - cutoff, base)
        for name in dict.fromkeys((key, _TRACKED))
        if name in results and (result := results[name]).cumulative is not None
    }
    stamp = np.datetime64(window.cutoff, "us")
    return tracking_chart(dates.astype("datetime64[D]"), total, forecasts, stamp)


def _by_day(cumulative: FloatArray | None, window: Window, day: np.ndarray, base: float) -> FloatArray:
    """Cumulative forecasts at the end of each day, counted from the cutoff's day; NaN before it."""
    grid = np.asarray([0.0, *tracking_horizons(window.horizon_days)])
    values = np.asarray([0.0, *(cumulative if cumulative is not None else [])])
    return np.where(day >= 0, base + np.interp(day + 1.0, grid, values), np.nan)
