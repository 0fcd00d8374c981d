"""Intervals of metrics by bootstrap over customers: metrics of weighted customers, cheap enough to repeat.

Shape: N customers, K metrics, B resamples, G groups.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from seqclv.data.events import FloatArray, IntArray

RESAMPLES = 400
LEVELS = (0.025, 0.975)

Statistic = Callable[[FloatArray], float]  # weights [N] -> value; NaN where it is not defined


def customer_weights(size: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[FloatArray]:
    """[N] how often each customer is drawn, for each resample."""
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(0, size, size), minlength=size).astype(np.float64)


def resampled(statistics: dict[str, Statistic], size: int, resamples: int = RESAMPLES) -> dict[str, FloatArray]:
    """By name, [B] the statistics of customers drawn with replacement, the same draws for every statistic."""
    columns: dict[str, list[float]] = {name: [] for name in statistics}
    for weight in customer_weights(size, resamples):
        for name, statistic in statistics.items():
            columns[name].append(statistic(weight))
    return {name: np.asarray(values) for name, values in columns.items()}


def interval(draws: FloatArray) -> tuple[float, float] | None:
    """The 95 % interval of resamples; None where most of them are not defined."""
    defined = draws[np.isfinite(draws)]
    if len(defined) < len(draws) / 2 or len(defined) == 0:
        return None
    low, high = np.quantile(defined, LEVELS)
    return float(low), float(high)


def weighted_ratio(forecast: FloatArray, actual: FloatArray) -> Statistic:
    """Sum of forecasts / sum of actual values - 1."""

    def statistic(weight: FloatArray) -> float:
        happened = float(weight @ actual)
        return float(weight @ forecast) / happened - 1 if happened > 0 else float("nan")

    return statistic


def weighted_mean(values: FloatArray) -> Statistic:
    """The mean of values [N]."""
    return lambda weight: float(weight @ values / weight.sum())


def weighted_auc(score: FloatArray, happened: npt.NDArray[np.bool_]) -> Statistic:
    """`metrics.auc`; ties counted half."""
    _, group = np.unique(score, return_inverse=True)
    size = int(group.max(initial=-1)) + 1

    def statistic(weight: FloatArray) -> float:
        positive = np.bincount(group, weights=weight * happened, minlength=size)
        negative = np.bincount(group, weights=weight * ~happened, minlength=size)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs) if pairs > 0 else float("nan")

    return statistic


def weighted_gini(score: FloatArray, actual: FloatArray) -> Statistic:
    """`metrics.gini`: the normalized Gini, tied scores sharing their mean."""
    own, best = _lorenz(score, actual), _lorenz(actual, actual)

    def statistic(weight: FloatArray) -> float:
        most = best(weight)
        return own(weight) / most if most > 0 else float("nan")

    return statistic


def _lorenz(score: FloatArray, actual: FloatArray) -> Statistic:
    _, group = np.unique(-score, return_inverse=True)
    size = int(group.max(initial=-1)) + 1

    def area(weight: FloatArray) -> float:
        people = np.bincount(group, weights=weight, minlength=size)
        share = np.bincount(group, weights=weight * actual, minlength=size)
        total = share.sum()
        if total <= 0:
            return 0.0
        share = share / total
        return float(people @ (np.cumsum(share) - share / 2) / people.sum() - 0.5)

    return area


def group_ratios(group: IntArray, groups: int, forecast: FloatArray, actual: FloatArray) -> FloatArray:
    """[B, G] sum of forecasts / sum of actual values - 1 within each group; NaN where nothing happened."""
    rows = []
    for weight in customer_weights(len(group)):
        expected = np.bincount(group, weights=weight * forecast, minlength=groups)
        happened = np.bincount(group, weights=weight * actual, minlength=groups)
        rows.append(np.where(happened > 0, expected / np.where(happened > 0, happened, 1.0) - 1, np.nan))
    return np.stack(rows)
