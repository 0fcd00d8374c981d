"""Metrics of forecasts against what happened: pure functions of arrays.

Means are judged by bias and RMSE, the distribution by CRPS, its calibration by the probability integral transform, the
median by its absolute error (the absolute error of a mean rewards forecasting too little), ranking by Gini and
Spearman, churn by AUC, Brier score and log-loss.
"""

import numpy as np
from scipy import stats

from seqclv.predictive import FloatArray

_PROBABILITY_FLOOR = 1e-6  # of the log-loss
_RELIABILITY_BINS = 10


def bias(forecast: FloatArray, actual: FloatArray) -> float | None:
    """Sum of forecasts / sum of actuals - 1; None when nothing happened."""
    total = float(actual.sum())
    return float(forecast.sum()) / total - 1 if total > 0 else None


def rmse(forecast: FloatArray, actual: FloatArray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((forecast - actual) ** 2)))


def mae(median: FloatArray, actual: FloatArray) -> float:
    """Mean absolute error of the predictive median."""
    return float(np.mean(np.abs(median - actual)))


def gini(forecast: FloatArray, actual: FloatArray) -> float | None:
    """Normalized Gini: how well the forecast ranks the actual values, 1 for a perfect order; None if all are alike.

    Tied forecasts share their customers' mean, so that the order of the rows does not matter.
    Source: Wang, Liu and Miao (2019), 'A deep probabilistic model for customer lifetime value prediction'.
    """
    best = _lorenz_area(actual, actual)
    return _lorenz_area(forecast, actual) / best if best > 0 else None


def _lorenz_area(score: FloatArray, actual: FloatArray) -> float:
    total = actual.sum()
    if total <= 0:
        return 0.0
    values, group = np.unique(-score, return_inverse=True)
    size = np.bincount(group, minlength=len(values))
    share = np.bincount(group, weights=actual, minlength=len(values)) / total
    people = size / len(actual)
    reached = np.cumsum(share)
    return float(np.sum(people * (reached - share / 2)) - 0.5)  # trapezoids above the diagonal


def spearman(forecast: FloatArray, actual: FloatArray) -> float | None:
    """Rank correlation; None if either side is constant."""
    if len(actual) < 2 or np.ptp(forecast) == 0 or np.ptp(actual) == 0:
        return None
    return float(stats.spearmanr(forecast, actual).statistic)


def auc(score: FloatArray, happened: np.ndarray) -> float | None:
    """Area under the ROC curve, ties counted half; None if only one class occurs."""
    positive = int(happened.sum())
    negative = len(happened) - positive
    if positive == 0 or negative == 0:
        return None
    rank = stats.rankdata(score)
    return float((rank[happened].sum() - positive * (positive + 1) / 2) / (positive * negative))


def brier(probability: FloatArray, happened: np.ndarray) -> float:
    """Mean squared error of a probability."""
    return float(np.mean((probability - happened) ** 2))


def log_loss(probability: FloatArray, happened: np.ndarray) -> float:
    """Minus the mean log-likelihood of a binary outcome, nats; probabilities floored at 1e-6."""
    return float(log_losses(probability, happened).mean())


def log_losses(probability: FloatArray, happened: np.ndarray) -> FloatArray:
    """[N] what `log_loss` is the mean of."""
    p = np.clip(probability, _PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    return -np.where(happened, np.log(p), np.log1p(-p))


def ece(probability: FloatArray, happened: np.ndarray) -> float:
    """Expected calibration error over ten bins of equally many customers.

    Customers with the same probability share their mean outcome, so that the order of the rows does not matter.
    """
    _, group = np.unique(probability, return_inverse=True)
    happened = (np.bincount(group, weights=happened) / np.bincount(group))[group]
    order = np.argsort(probability, kind="stable")
    bins = np.array_split(order, min(_RELIABILITY_BINS, len(order)))
    gaps = [len(b) * abs(float(probability[b].mean()) - float(happened[b].mean())) for b in bins]
    return sum(gaps) / len(order)


def crps_from_pmf(pmf: FloatArray, actual: FloatArray) -> FloatArray:
    """[N] continuous ranked probability score of a count: sum over n of (P(N <= n) - [actual <= n])^2.

    The PMF [N, M + 1] covers the actual counts; the mass beyond it is taken as lying at M + 1.
    """
    cdf = np.cumsum(pmf, axis=1)
    n = np.arange(pmf.shape[1])
    return np.asarray(((cdf - (n >= actual[:, None])) ** 2).sum(axis=1))


def crps_from_draws(draws: FloatArray, actual: FloatArray) -> FloatArray:
    """[N] fair estimate of E|X - y| - E|X - X'| / 2 from draws [N, S] (Ferro 2014): unbiased in the number of draws."""
    number = draws.shape[1]
    ordered = np.sort(draws, axis=1)
    weight = 2 * np.arange(1, number + 1) - number - 1
    spread = (ordered * weight).sum(axis=1) / (number * (number - 1))
    return np.asarray(np.abs(draws - actual[:, None]).mean(axis=1) - spread)


def coverage(low: FloatArray, high: FloatArray, actual: FloatArray) -> float:
    """Share of actual values in [low, high]."""
    return float(np.mean((actual >= low) & (actual <= high)))


def pit_from_pmf(pmf: FloatArray, actual: FloatArray, chance: FloatArray) -> FloatArray:
    """[N] randomized probability integral transform of a count: F(y - 1) + chance P(y), uniform under the truth.

    Args:
        pmf: [N, M + 1] P(N = n), covering the actual counts.
        actual: [N] counts.
        chance: [N] independent uniform numbers in [0, 1).

    Source: Czado, Gneiting and Held (2009), 'Predictive model assessment for count data'.
    """
    y = actual.astype(np.int64)[:, None]
    at = np.take_along_axis(pmf, y, axis=1)[:, 0]
    upto = np.take_along_axis(np.cumsum(pmf, axis=1), y, axis=1)[:, 0]
    return np.clip(upto - (1 - chance) * at, 0.0, 1.0)


def pit_from_draws(draws: FloatArray, actual: FloatArray, chance: FloatArray) -> FloatArray:
    """[N] the same from draws [N, S]: the place of the actual value among them, ties and its own cell split at random.

    Uniform under the truth for any number of draws, whether the values are discrete, continuous or both.
    """
    below = (draws < actual[:, None]).sum(axis=1)
    tied = (draws == actual[:, None]).sum(axis=1)
    return np.asarray((below + chance * (tied + 1)) / (draws.shape[1] + 1))


def pit_ks(pit: FloatArray) -> float:
    """Kolmogorov-Smirnov distance of probability integral transforms from the uniform distribution; 0 is perfect."""
    ordered, n = np.sort(pit), len(pit)
    return float(max((np.arange(1, n + 1) / n - ordered).max(), (ordered - np.arange(n) / n).max()))
