"""How far the inputs of a model have moved: population stability index and Kolmogorov-Smirnov distance.

The reference is either a profile (see `seqclv.data.profile`), as a bundle keeps it, or the customers themselves.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from seqclv.data.events import FloatArray
from seqclv.data.profile import share_below

BINS = 10
WATCH, STRONG = 0.1, 0.25  # usual readings of the index: below none, between some, above much
_FLOOR = 1e-4  # of a bin's share, so that an empty bin does not make the index infinite


def population_stability(reference: FloatArray, current: FloatArray) -> float:
    """Population stability index of two vectors of bin shares: sum of (c - r) ln(c / r), 0 if they are the same.

    Source: Siddiqi (2006), 'Credit Risk Scorecards'; it is the symmetrized Kullback-Leibler divergence.
    """
    r, c = np.maximum(reference, _FLOOR), np.maximum(current, _FLOOR)
    return float(np.sum((c - r) * np.log(c / r)))


def drift_from_profile(profile: Mapping[str, Any], current: Mapping[str, FloatArray]) -> dict[str, dict[str, Any]]:
    """By input, how far the current customers are from a profile.

    The distance is taken at the profile's values, where its shares are exact, so it is a lower bound of the two
    samples' distance; its p-value is that of the two-sample test for large samples.
    """
    size = int(profile["customers"])
    return {
        name: _compared(np.asarray(profile[name]["value"]), np.asarray(profile[name]["share"]), size, column)
        for name, column in current.items()
        if name in profile and profile[name]["value"]
    }


def _compared(values: FloatArray, share: FloatArray, size: int, column: FloatArray) -> dict[str, Any]:
    now = share_below(column, values)
    cuts = _cuts(share)
    distance = float(np.abs(now - share).max())
    effective = np.sqrt(size * len(column) / (size + len(column)))
    return {
        "psi": population_stability(_bins(share[cuts]), _bins(now[cuts])),
        "ks": distance,
        "p_value": float(stats.kstwobign.sf(distance * effective)),
        "median_then": float(values[np.searchsorted(share, 0.5 - 1e-12).clip(0, len(values) - 1)]),
        "median_now": float(np.quantile(column, 0.5, method="inverted_cdf")),
    }


def drift_between(before: Mapping[str, FloatArray], now: Mapping[str, FloatArray]) -> dict[str, dict[str, Any]]:
    """By input, how far the customers of now are from those of before: both samples at hand."""
    found = {}
    for name, column in before.items():
        test = stats.ks_2samp(column, now[name])
        values = np.unique(np.quantile(column, np.arange(1, BINS) / BINS, method="inverted_cdf"))
        found[name] = {
            "psi": population_stability(_bins(share_below(column, values)), _bins(share_below(now[name], values))),
            "ks": float(test.statistic),
            "p_value": float(test.pvalue),
            "median_then": float(np.quantile(column, 0.5, method="inverted_cdf")),
            "median_now": float(np.quantile(now[name], 0.5, method="inverted_cdf")),
        }
    return found


def _cuts(share: FloatArray) -> np.ndarray:
    """The values that cut the reference into at most ten bins of about equal size."""
    wanted = np.arange(1, BINS) / BINS
    return np.unique(np.searchsorted(share, wanted - 1e-9).clip(0, len(share) - 1))


def _bins(cumulative: FloatArray) -> FloatArray:
    return np.diff(cumulative, prepend=0.0, append=1.0)
