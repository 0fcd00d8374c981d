"""About where a customer's quantiles of spend lie: the mixture with one distribution for each number of purchases.

Shape: as in `seqclv.model.terms`; `joined` [5, M + 1].
"""

import math

import numpy as np
from numpy.typing import NDArray

from seqclv.model.compiled import compiled, summing
from seqclv.model.gamma import normal_distribution
from seqclv.model.terms import MEAN, SHAPE, TINY, Floats, Terms

_STEPS = 5


@compiled
def join(joined: Floats, terms: Terms) -> tuple[float, float, float]:
    """Fill in, for each n, one Gamma distribution with the mean and variance of the behaviours' n purchases.

    By the transformation of Wilson and Hilferty (1931), (y / mean)^(1 / 3) is close to normal: the rows of `joined` are
    the weight, what y^(1 / 3) is multiplied by, and what is subtracted then to give a standard normal variable; two
    more rows are sums on the way.

    Returns:
        The weight of all n, the mean and the variance of the spend of those who buy.
    """
    tail, last, customer = terms.tail, terms.last, terms.customer
    most = last.max()
    joined[:, : most + 1] = 0.0
    for k in range(len(last)):
        mean = customer[MEAN, k]
        square = mean * mean
        spread = square / customer[SHAPE, k]
        for n in range(1, last[k] + 1):
            mass = tail[k, n] - tail[k, n + 1]
            joined[0, n] += mass
            joined[1, n] += mass * mean
            joined[2, n] += mass * square
            joined[3, n] += mass * spread
    total = first = second = 0.0
    for n in range(1, most + 1):
        weight = max(joined[0, n], TINY)
        one, two = n * joined[1, n], n * n * joined[2, n] + n * joined[3, n]
        total, first, second = total + joined[0, n], first + one, second + two
        mean = max(one / weight, TINY)
        shape = min(max(mean * mean / max(two / weight - mean * mean, TINY), 0.05), 1e6)
        scale = 3 * math.sqrt(shape)
        joined[1, n] = scale * math.exp(math.log(mean) / -3)
        joined[2, n] = (1 - 1 / (9 * shape)) * scale
    total = max(total, TINY)
    whole = first / total
    return total, whole, second / total - whole * whole


@compiled
def gamma_start(level: float, mean: float, variance: float) -> float:
    """Log of about the quantile of the Gamma distribution with this mean and variance."""
    shape = min(max(mean * mean / max(variance, TINY), 0.05), 1e6)
    root = 1 - 1 / (9 * shape) + _normal_quantile(level) / (3 * math.sqrt(shape))
    if root > 0.05:
        return math.log(mean) + 3 * math.log(root)
    # x^a / Gamma(a + 1) for small x
    return math.log(mean) + (math.log(level) + math.lgamma(shape + 1)) / shape - math.log(shape)


@compiled
def _normal_quantile(level: float) -> float:
    """To within 5e-4: formula 26.2.23 of Abramowitz and Stegun (1964)."""
    tail = min(level, 1 - level)
    t = math.sqrt(-2 * math.log(max(tail, TINY)))
    above = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return above if level > 0.5 else -above


@summing
def start(joined: Floats, mass: float, log_y: float, table: NDArray[np.float32]) -> float:
    """Log of about the spend at which the distribution function reaches `mass`: some steps of Newton's method."""
    for _ in range(_STEPS):
        root = math.exp(log_y / 3)
        value = slope = 0.0
        for n in range(1, joined.shape[1]):
            high = joined[1, n] * root
            below, density = normal_distribution(high - joined[2, n], table)
            value += joined[0, n] * below
            slope += joined[0, n] * high * density
        value, slope = max(value, TINY), max(slope / 3, TINY)
        step = min(max(math.log(mass / value) * value / slope, -0.5), 0.5)
        log_y += step
        if abs(step) < 1e-3:
            break
    return log_y
