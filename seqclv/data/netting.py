"""Sums over consecutive lines: of one instant when a store is built, of one merge period when histories are cut."""

import numpy as np

from seqclv.data.events import FloatArray, IntArray

INSTANT_ROUNDING = 1e-12  # a net amount below this share of the gross of one instant is rounding, not money


def net_amounts(amount: FloatArray, start: IntArray, rounding: float) -> FloatArray:
    """[N] sums of amounts from each start on; a sum below this share of the gross is rounding, not money, and zero."""
    total = np.add.reduceat(amount, start) + 0.0  # a negative zero becomes zero
    gross = np.add.reduceat(np.abs(amount), start)
    return np.where(np.abs(total) <= rounding * gross, 0.0, total)


def net_attributes(values: FloatArray, start: IntArray) -> FloatArray:
    """[N] sums that pass over missing values; NaN where all are missing."""
    missing = np.isnan(values)
    total = np.add.reduceat(np.where(missing, 0.0, values), start) + 0.0
    return np.where(np.logical_and.reduceat(missing, start), np.nan, total)
