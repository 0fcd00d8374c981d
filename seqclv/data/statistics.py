"""A few figures that say what kind of base a log is, to see whether simulated bases reach as far as real ones."""

import numpy as np

from seqclv.data.bases import draw_base
from seqclv.data.context import gini
from seqclv.data.events import PURCHASE, REFUND, Events, FloatArray
from seqclv.data.features import days
from seqclv.data.schema import derive_scales

STATISTICS = (
    "share of one-time buyers",
    "mean gap, share of the span",
    "purchases of a customer",
    "spread of a customer's gaps / their mean",
    "Gini of purchases",
    "Gini of spend",
    "spread of log amounts",
    "refunds for each purchase",
    "customers who joined in the first quarter",
    "customers who joined in the last quarter",
    "repeat purchases in the last quarter",
)


def statistics(history: Events, cutoff: int) -> FloatArray:
    """[11] the figures of merged histories that end at `cutoff` (microseconds); see `STATISTICS`."""
    scales = derive_scales(history, cutoff, merge="none", max_history_events=1)
    bought = history.rows(history.event_type == PURCHASE)
    number = np.diff(bought.offset).astype(np.float64)
    first = np.zeros(len(bought), dtype=bool)
    first[bought.offset[:-1]] = True
    gap = days(np.diff(bought.timestamp, prepend=bought.timestamp[:1]))[~first]
    span = 2 * scales.trailing_windows_days[0]
    place = 1 - days(cutoff - bought.timestamp) / span
    repeats = max(int((~first).sum()), 1)
    return np.asarray(
        [
            (number == 1).mean(),
            scales.time_scale_days / span,
            number.mean(),
            gap.std() / max(gap.mean(), 1e-9) if len(gap) else 0.0,
            gini(number),
            gini(np.add.reduceat(bought.amount, bought.offset[:-1])),
            scales.amount_log_std,
            float((history.event_type == REFUND).sum()) / len(bought),
            (place[first] < 0.25).mean(),
            (place[first] >= 0.75).mean(),
            (place[~first] >= 0.75).sum() / repeats,
        ]
    )


def simulated_statistics(bases: int, *, seed: int) -> FloatArray:
    """[bases, 11] the figures of bases that the generator draws."""
    random = np.random.default_rng([seed, 99])
    rows: list[FloatArray] = []
    while len(rows) < bases:
        base = draw_base(random, int(np.exp(random.uniform(np.log(100), np.log(1_500)))))
        if base.events.customers > 20:
            rows.append(statistics(base.history, base.cutoff))
    return np.stack(rows)
