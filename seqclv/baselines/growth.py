"""How forecasts of a shorter window are extended to the horizon: power laws in time, their exponents from the past.

A base whose history is too short for past windows of the asked horizon teaches shorter ones. Counts and spend then
grow by (horizon / window)^g, and -log P(no purchase) by (horizon / window)^k; the exponents are what the first half
of the past windows shows of the whole.

Shape: R examples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from seqclv.baselines.cutoff_features import Examples

FloatArray = npt.NDArray[np.float64]

_SHARE_OF_HISTORY = 1 / 3  # longest window of a past cutoff


@dataclass(frozen=True)
class Growth:
    """Exponents of the power laws that extend a window to the horizon; 1 is in proportion to time."""

    count: float
    spend: float
    churn: float


def past_window(horizon_days: float, span_days: float) -> float:
    """Days of the windows at past cutoffs: the horizon, but at most a third of the history."""
    return min(horizon_days, max(span_days * _SHARE_OF_HISTORY, 1.0))


def growth(examples: Examples, churn: FloatArray) -> Growth:
    """The exponents of examples whose forecast P(no purchase in the window) is `churn` [R]."""
    return Growth(
        _exponent(examples.half_count, examples.count),
        _exponent(examples.half_spend, examples.spend),
        _churn_exponent(churn, float(np.mean(examples.half_count == 0))),
    )


def _exponent(half: FloatArray, whole: FloatArray) -> float:
    """The g with mean(whole) = 2^g mean(half), within [0, 1]; 1 where nothing happened."""
    if half.sum() <= 0:
        return 1.0
    return float(np.clip(np.log2(whole.sum() / half.sum()), 0.0, 1.0))


def _churn_exponent(none: FloatArray, half_share: float) -> float:
    """The k in [0, 1] with which P(none)^(1 / 2^k) reproduces the share without a purchase in half a window."""

    def excess(k: float) -> float:
        return float(np.mean(np.clip(none, 1e-6, 1 - 1e-6) ** (0.5**k))) - half_share

    if excess(0.0) >= 0 or excess(1.0) <= 0:
        return 0.0 if excess(0.0) >= 0 else 1.0
    return float(brentq(excess, 0.0, 1.0))
