"""The distribution of a customer's future spend, and its inverse: one customer after the other, in machine code.

A customer's purchases and their spend are a mixture over behaviours k and numbers of purchases n, with terms of weight
pi_k P_k(n) that are Gamma distributed with shape n a_k and mean n m_k. Of these only those are evaluated whose spend is
uncertain to lie above or below the amount in question.

Shape: as in `seqclv.model.terms`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from seqclv.model.approximation import gamma_start, join, start
from seqclv.model.compiled import compiled, entry, summing
from seqclv.model.gamma import CERTAIN, SMALLEST, gamma_distribution, small_gamma_distribution
from seqclv.model.terms import MEAN, SHAPE, TINY, Floats, Terms, add_up, count_at, fill_tail, support

_PRECISE = 1e-5  # of the level, a bound of the error left by the last step of Halley's method, mostly far below it
_CLOSE = 0.5  # largest last step, in standard deviations of the narrowest term near by
_STEPS = 100
_HALLEY_STEPS = 30  # one or two are the rule; from here on the bracket is halved


@entry
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
            size = support(customer, horizons[h]) + 2
            if size > tail.shape[1]:
                room = size + size // 4
                tail, joined = np.empty((width, room)), np.empty((5, room))
                roots, beyond = np.empty((2, room)), np.empty(room)
                roots[0] = np.sqrt(np.maximum(np.arange(room), 1))
                roots[1] = 1 / roots[0]
            for k in range(width):
                last[k] = fill_tail(tail[k, :size], customer[:, k], horizons[h])
            most = last.max()
            add_up(tail, beyond[:size])
            terms = Terms(tail, last, customer, roots, table)
            total, first, variance = join(joined, terms)
            for j in range(len(levels)):
                mass = levels[j] - churn[i, h]
                if mass <= 0:
                    continue
                counts[i, h, j] = count_at(beyond[:size], 1 - levels[j])
                mass = min(mass, total * (1 - 1e-9))  # beyond it lies no finite quantile
                log_y = start(joined[:, : most + 1], mass, gamma_start(mass / total, first, variance), table)
                spend[i, h, j] = math.exp(_solve(log_y, mass, terms))
    return counts, spend


@compiled
def _distribution(log_y: float, terms: Terms) -> tuple[float, float, float, float, float]:
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
        a = customer[SHAPE, k]
        x = max(a * y / customer[MEAN, k], TINY)
        root = math.sqrt(x)
        sharpness = max(sharpness, root)
        most = float(last[k])
        first = min(max(root - CERTAIN, 0.0) ** 2 / a, most + 1)  # bounded first: it may be too large for an integer
        low = max(math.ceil(first), 1)
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
def _solve(log_y: float, mass: float, terms: Terms) -> float:
    """The log y where log F(y) = log mass: steps of Halley's method inside a bracket, else bisection."""
    low, high, stride = -math.inf, math.inf, 2.0
    for turn in range(_STEPS):
        value, slope, curvature, bend, sharpness = _distribution(log_y, terms)
        if value < mass:
            low = log_y
        else:
            high = log_y
        value = max(value, TINY)
        step = _halley(value, slope, curvature, mass) if value > 1e-9 * mass else stride
        error = 0.42 * abs(step) ** 3 * (bend + slope * (slope / value) ** 2)
        following = log_y + min(max(step, -stride), stride)
        inside = low < following < high and turn < _HALLEY_STEPS
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
    first = max(slope / value, TINY)
    bend = curvature / value - first * first
    newton = math.log(mass / value) / first
    return newton / min(max(1 + newton * bend / first / 2, 0.5), 2.0)
