"""The distribution of a customer's future spend, and its inverse: one customer after the other, in machine code.

A customer's purchases and their spend are a mixture over behaviours k and numbers of purchases n, with terms of weight
pi_k P_k(n) that are Gamma distributed with shape n a_k and mean n m_k. Of these only those are evaluated whose spend is
uncertain to lie above or below the amount in question.

Shape: K behaviours of one customer; M the largest number of purchases that is not negligible. A customer is an array
[5, K]: weight pi, rate lambda, hazard mu, shape a and mean m. `tail` [K, M + 2] holds pi_k P_k(at least n purchases).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqclv.model.compiled import compiled, summing
from seqclv.model.gamma import CERTAIN, SMALLEST, gamma_distribution, normal_distribution, small_gamma_distribution

Floats = NDArray[np.float64]
_WEIGHT, _RATE, _HAZARD, _SHAPE, _MEAN = range(5)
_NEGLIGIBLE = 1e-7  # probability of terms that are left out
_NOTHING = 1e-10  # probability that ends a tail
_MANY = 128  # purchases from which on it is worth the work to see whether dropout lets fewer happen
_PRECISE = 1e-5  # of the level, a bound of the error left by the last step of Halley's method, mostly far below it
_CLOSE = 0.5  # largest last step, in standard deviations of the narrowest term near by
_START_STEPS = 5
_STEPS = 100  # bisection alone would do; Halley's steps need one or two
_TINY = 1e-300


class _Terms(NamedTuple):
    """The terms of one customer's mixture."""

    tail: Floats  # [K, M + 2]
    last: NDArray[np.int64]  # [K] the largest number of purchases that is not negligible
    customer: Floats  # [5, K]
    roots: Floats  # [2, M + 2] the square root of n, and one over it
    table: NDArray[np.float32]


@compiled
def invert(
    behaviours: Floats, churn: Floats, horizons: Floats, levels: Floats, table: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """[N, H, Q] quantiles of the number of purchases before each horizon and of their spend.

    Args:
        behaviours: [N, 5, K] the customers.
        churn: [N, H] P(no purchase).
        horizons: [H] in the unit of time of the rates.
        levels: [Q] between 0 and 1.
        table: of `seqclv.model.gamma.gamma_table`.
    """
    customers, _, width = behaviours.shape
    counts = np.zeros((customers, len(horizons), len(levels)))
    spend = np.zeros(counts.shape)
    tail, joined = np.empty((width, 0)), np.empty((5, 0))
    roots, beyond = np.empty((2, 0)), np.empty(0)
    last = np.empty(width, np.int64)
    highest = levels.max()
    for i in range(customers):
        customer = behaviours[i]
        for h in range(len(horizons)):
            if churn[i, h] >= highest:
                continue
            size = _support(customer, horizons[h]) + 2
            if size > tail.shape[1]:
                tail, joined = np.empty((width, 2 * size)), np.empty((5, 2 * size))
                roots, beyond = np.empty((2, 2 * size)), np.empty(2 * size)
                roots[0] = np.sqrt(np.maximum(np.arange(2 * size), 1))
                roots[1] = 1 / roots[0]
            for k in range(width):
                last[k] = _fill_tail(tail[k, :size], customer[:, k], horizons[h])
            most = last.max()
            _add_up(tail, beyond[:size])
            terms = _Terms(tail, last, customer, roots, table)
            total, first, variance = _join(joined, terms)
            for j in range(len(levels)):
                mass = levels[j] - churn[i, h]
                if mass <= 0:
                    continue
                counts[i, h, j] = _count_at(beyond[:size], 1 - levels[j])
                mass = min(mass, total * (1 - 1e-9))  # beyond it lies no finite quantile
                log_y = _start(joined[:, : most + 1], mass, _gamma_start(mass / total, first, variance), table)
                spend[i, h, j] = math.exp(_solve(log_y, mass, terms))
    return counts, spend


@compiled
def _support(customer: Floats, horizon: float) -> int:
    """A number of purchases that is exceeded with negligible probability.

    The smaller of two bounds of a behaviour: that of the Poisson distribution without dropout, and that of the
    geometric distribution without horizon, whose tail is (lambda / s)^n.
    """
    most = 0.0
    for k in range(customer.shape[1]):
        mean = customer[_RATE, k] * horizon
        bound = mean + 7 * math.sqrt(mean) + 12
        if bound > most and customer[_WEIGHT, k] > _NOTHING:
            if bound > _MANY:
                fall = math.log1p(customer[_HAZARD, k] / max(customer[_RATE, k], _TINY))
                bound = min(bound, -math.log(_NOTHING) / max(fall, _TINY) + 2)
            most = max(most, bound)
    return math.ceil(most)


@compiled
def _fill_tail(tail: Floats, behaviour: Floats, horizon: float) -> int:
    """Fill in pi P(at least n purchases) for n = 0, 1 ... and return the largest n that is not negligible.

    P(N >= n) = (lambda / s)^n P(n, s H) with P(n, x) = 1 - sum_{j < n} x^j exp(-x) / j!: the n-th purchase comes after
    a Gamma distributed time, before dropout and horizon.
    """
    s = max(behaviour[_RATE] + behaviour[_HAZARD], _TINY)
    x, buy = max(s * horizon, _TINY), behaviour[_RATE] / s
    begin = math.floor(max(x - 9 * math.sqrt(x) - 9, 0.0))  # Poisson probabilities below it are nothing
    poisson = math.exp(-x) if begin == 0 else math.exp(begin * math.log(x) - x - math.lgamma(begin + 1.0))
    power, reached = behaviour[_WEIGHT], 1.0
    last = 0
    for n in range(len(tail)):
        tail[n] = power * max(reached, 0.0)
        if tail[n] > _NEGLIGIBLE:
            last = n
        elif tail[n] < _NOTHING:
            tail[n:] = 0.0
            break
        power *= buy
        if n >= begin:
            reached -= poisson
            poisson *= x / (n + 1)
    return min(last, len(tail) - 2)


@compiled
def _add_up(tail: Floats, beyond: Floats) -> None:
    """Fill in P(at least n purchases) over all behaviours."""
    beyond[:] = 0.0
    for k in range(len(tail)):
        for n in range(len(beyond)):
            beyond[n] += tail[k, n]


@compiled
def _count_at(beyond: Floats, probability: float) -> float:
    """The smallest n >= 1 that is exceeded with at most this probability."""
    for n in range(1, len(beyond) - 1):
        if beyond[n + 1] <= probability:
            return float(n)
    return float(len(beyond) - 1)


@compiled
def _join(joined: Floats, terms: _Terms) -> tuple[float, float, float]:
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
        mean = customer[_MEAN, k]
        square = mean * mean
        spread = square / customer[_SHAPE, k]
        for n in range(1, last[k] + 1):
            mass = tail[k, n] - tail[k, n + 1]
            joined[0, n] += mass
            joined[1, n] += mass * mean
            joined[2, n] += mass * square
            joined[3, n] += mass * spread
    total = first = second = 0.0
    for n in range(1, most + 1):
        weight = max(joined[0, n], _TINY)
        one, two = n * joined[1, n], n * n * joined[2, n] + n * joined[3, n]
        total, first, second = total + joined[0, n], first + one, second + two
        mean = max(one / weight, _TINY)
        shape = min(max(mean * mean / max(two / weight - mean * mean, _TINY), 0.05), 1e6)
        scale = 3 * math.sqrt(shape)
        joined[1, n] = scale * math.exp(math.log(mean) / -3)
        joined[2, n] = (1 - 1 / (9 * shape)) * scale
    total = max(total, _TINY)
    whole = first / total
    return total, whole, second / total - whole * whole


@compiled
def _gamma_start(level: float, mean: float, variance: float) -> float:
    """Log of about the quantile of the Gamma distribution with this mean and variance."""
    shape = min(max(mean * mean / max(variance, _TINY), 0.05), 1e6)
    root = 1 - 1 / (9 * shape) + _normal_quantile(level) / (3 * math.sqrt(shape))
    if root > 0.05:
        return math.log(mean) + 3 * math.log(root)
    # x^a / Gamma(a + 1) for small x
    return math.log(mean) + (math.log(level) + math.lgamma(shape + 1)) / shape - math.log(shape)


@compiled
def _normal_quantile(level: float) -> float:
    """To within 5e-4: formula 26.2.23 of Abramowitz and Stegun (1964)."""
    tail = min(level, 1 - level)
    t = math.sqrt(-2 * math.log(max(tail, _TINY)))
    above = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return above if level > 0.5 else -above


@summing
def _start(joined: Floats, mass: float, log_y: float, table: NDArray[np.float32]) -> float:
    """Log of about the spend at which the distribution function reaches `mass`: some steps of Newton's method."""
    for _ in range(_START_STEPS):
        root = math.exp(log_y / 3)
        value = slope = 0.0
        for n in range(1, joined.shape[1]):
            high = joined[1, n] * root
            below, density = normal_distribution(high - joined[2, n], table)
            value += joined[0, n] * below
            slope += joined[0, n] * high * density
        value, slope = max(value, _TINY), max(slope / 3, _TINY)
        step = min(max(math.log(mass / value) * value / slope, -0.5), 0.5)
        log_y += step
        if abs(step) < 1e-3:
            break
    return log_y


@compiled
def _distribution(log_y: float, terms: _Terms) -> tuple[float, float, float, float, float]:
    """The distribution function of the buyers' spend, its first two derivatives by log y, a bound of the third.

    And a bound of the terms' sharpness near y, one over their standard deviation by log y.

    Twice the root of a Gamma variable is close to normal with variance one: this tells which terms surely lie below y,
    which surely above, and which remain.
    """
    tail, last, customer = terms.tail, terms.last, terms.customer
    value = slope = curvature = bend = 0.0
    sharpness, y = 1.0, math.exp(log_y)
    for k in range(len(last)):
        if last[k] < 1:
            continue
        a = customer[_SHAPE, k]
        x = max(a * y / customer[_MEAN, k], _TINY)
        root = math.sqrt(x)
        sharpness = max(sharpness, root)
        most = float(last[k])
        low = int(min(max(math.ceil(max(root - CERTAIN, 0.0) ** 2 / a), 1.0), most + 1))
        high = int(min((root + CERTAIN) ** 2 / a, most))
        value += tail[k, 1] - tail[k, low]
        while low <= high and low * a < SMALLEST:
            below, density = small_gamma_distribution(low * a, x, terms.table)
            weight, excess = tail[k, low] - tail[k, low + 1], x - low * a
            value += weight * below
            slope += weight * density
            curvature -= weight * density * excess
            bend += weight * density * (excess * excess + x)
            low += 1
        if low <= high:
            add = _band(tail[k], low, high, terms.roots, a, root, terms.table)
            value, slope, curvature, bend = value + add[0], slope + add[1], curvature + add[2], bend + add[3]
    return value, slope, curvature, bend, sharpness


@summing
def _band(
    tail: Floats, low: int, high: int, roots: Floats, a: float, root: float, table: NDArray[np.float32]
) -> tuple[float, float, float, float]:
    """What the terms from `low` to `high` of one behaviour add to `_distribution`."""
    value = slope = curvature = bend = 0.0
    root_shape = math.sqrt(a)
    inverse, x = 1 / root_shape, root * root
    for n in range(low, high + 1):
        below, density = gamma_distribution(root_shape * roots[0, n], inverse * roots[1, n], root, table)
        weight, excess = tail[n] - tail[n + 1], x - n * a
        value += weight * below
        density *= weight
        slope += density
        curvature -= density * excess
        bend += density * (excess * excess + x)
    by_log = 0.5 * root
    return value, slope * by_log, curvature * by_log, bend * by_log


@compiled
def _solve(log_y: float, mass: float, terms: _Terms) -> float:
    """The log y where log F(y) = log mass: steps of Halley's method inside a bracket, else bisection."""
    low, high, stride = -math.inf, math.inf, 2.0
    for _ in range(_STEPS):
        value, slope, curvature, bend, sharpness = _distribution(log_y, terms)
        if value < mass:
            low = log_y
        else:
            high = log_y
        value = max(value, _TINY)
        step = _halley(value, slope, curvature, mass) if value > 1e-9 * mass else stride
        error = 0.42 * abs(step) ** 3 * (bend + slope * (slope / value) ** 2)
        following = log_y + min(max(step, -stride), stride)
        inside = low < following < high
        if math.isinf(low) or math.isinf(high):
            stride *= 2
        elif not inside:
            following = (low + high) / 2
        log_y = following
        if (inside and error < _PRECISE and abs(step) * sharpness < _CLOSE) or high - low <= 1e-12:
            break
    return log_y


@compiled
def _halley(value: float, slope: float, curvature: float, mass: float) -> float:
    """The step of Halley's method for log F = log mass."""
    first = max(slope / value, _TINY)
    bend = curvature / value - first * first
    newton = math.log(mass / value) / first
    return newton / min(max(1 + newton * bend / first / 2, 0.5), 2.0)
