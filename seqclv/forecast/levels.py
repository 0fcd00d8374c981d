"""Measure the level of a model's forecasts at earlier cutoffs of the base it was trained on.

The model has learned from those windows, so the levels average about one; but it knows no dates, so a good month and a
bad one stay visible as what they are: errors that all customers share. Their spread is a lower bound of what an unseen
window holds.

Shape: M cutoffs.
"""

from dataclasses import replace

import numpy as np

from seqclv.bundle import Bundle
from seqclv.calibration import Calibration, Level, LevelSpread
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, Events, FloatArray
from seqclv.data.windows import history, to_timestamp, within
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import predict

_MOST_CUSTOMERS = 8_192
_MOST_CUTOFFS = 8
_LONGEST_SHARE = 1 / 4  # of the span that a window may take
_EARLIEST_SHARE = 1 / 4  # of the span that must lie before the first cutoff


def with_levels(bundle: Bundle, past: Events, cutoff: int) -> Bundle:
    """The model with the levels of its forecasts before the cutoff (microseconds) on record.

    Args:
        bundle: the model.
        past: the merged histories that it was trained on; of a large base every n-th customer is asked.
        cutoff: the end of the histories.

    A log too short for two windows leaves the model as it is.
    """
    start = int(past.timestamp.min())
    span = cutoff - start
    window = min(round(bundle.horizon_days * MICROSECONDS_PER_DAY), int(span * _LONGEST_SHARE))
    window -= window % (2 * MICROSECONDS_PER_DAY)  # cutoffs half a window apart then fall between days
    if window <= 0:
        return bundle
    step = max(1, -(-past.customers // _MOST_CUSTOMERS))
    sample = past.select(np.arange(0, past.customers, step, dtype=np.int64))
    cutoffs = [cutoff - window - i * (window // 2) for i in range(_MOST_CUTOFFS)]
    rows = [
        row
        for earlier in cutoffs
        if earlier >= start + span * _EARLIEST_SHARE and (row := _totals(bundle, sample, earlier, window)) is not None
    ]
    if len(rows) < 2:
        return bundle
    levels = tuple(level for level, _ in rows)
    own = np.array([variance for _, variance in rows])  # [M, 2] of the ratios
    spread = LevelSpread(
        transactions=_spread([level.transactions for level in levels], own[:, 0]),
        spend=_spread([level.spend for level in levels], own[:, 1]),
    )
    return replace(bundle, calibration=Calibration(levels=levels, spread=spread))


def _totals(bundle: Bundle, past: Events, cutoff: int, window: int) -> tuple[Level, FloatArray] | None:
    """The level at one cutoff and the customers' own variances of its ratios; None where nobody was known."""
    known = history(past, cutoff, bundle.merge)
    if known.customers == 0:
        return None
    days = window / MICROSECONDS_PER_DAY
    expected, variance = np.zeros(2), np.zeros(2)
    for part in chunked([known]):
        forecast = predict(bundle, part, cutoff)
        spend, spread = forecast.expected_spend([days]), forecast.discounted_spend_variance([days], 0.0)
        counts, wide = forecast.expected_transactions([days]), forecast.transaction_variance([days])
        expected += counts.sum(), spend.sum()
        variance += wide.sum(), np.nan if spread is None else spread.sum()
    future = within(past.select(np.searchsorted(past.customer_id, known.customer_id)), cutoff, cutoff + window)
    bought = future.event_type == PURCHASE
    actual = np.array([bought.sum(), future.amount[bought].sum()])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, own = actual / expected, variance / expected**2
    level = Level(
        cutoff=to_timestamp(cutoff).isoformat(),
        horizon_days=days,
        customers=known.customers,
        transactions=_finite(ratio[0]),
        spend=_finite(ratio[1]),
    )
    return level, own


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spread(levels: list[float | None], own: FloatArray) -> float:
    """The spread of the levels around one, less what the customers' own errors explain; 0 where nothing is left."""
    ratio = np.array([np.nan if level is None else level for level in levels])
    known = np.isfinite(ratio) & np.isfinite(own)
    if not known.any():
        return 0.0
    return float(np.sqrt(max(np.mean((ratio[known] - 1) ** 2 - own[known]), 0.0)))
