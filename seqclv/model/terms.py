"""How many purchases a customer may make: the probabilities of a mixture over behaviours, in machine code.

Shape: K behaviours of one customer; M the largest number of purchases that is not negligible. A customer is an array
[5, K]: weight pi, rate lambda, hazard mu, shape a and mean m. `tail` [K, M + 2] holds pi_k P_k(at least n purchases).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqclv.model.compiled import compiled, entry

Floats = NDArray[np.float64]
WEIGHT, RATE, HAZARD, SHAPE, MEAN = range(5)
TINY = 1e-300
_NEGLIGIBLE = 1e-7  # probability of terms that are left out
_NOTHING = 1e-10  # probability that ends a tail
_MANY = 128  # purchases from which on it is worth the work to see whether dropout lets fewer happen


class Terms(NamedTuple):
    """The terms of one customer's mixture."""

    tail: Floats  # [K, M + 2]
    last: NDArray[np.int64]  # [K] the largest number of purchases that is not negligible
    customer: Floats  # [5, K]
    roots: Floats  # [2, M + 2] the square root of n, and one over it
    table: NDArray[np.float32]


@entry
@compiled
def supports(behaviours: Floats, horizon: float) -> NDArray[np.int64]:
    """[N] `support` of customers [N, 3 or more, K]."""
    found = np.empty(len(behaviours), np.int64)
    for i in range(len(behaviours)):
        found[i] = support(behaviours[i], horizon)
    return found


@compiled
def support(customer: Floats, horizon: float) -> int:
    """A number of purchases that is exceeded with negligible probability.

    The smaller of two bounds of a behaviour: that of the Poisson distribution without dropout, and that of the
    geometric distribution without horizon, whose tail is (lambda / s)^n.
    """
    most = 0.0
    for k in range(customer.shape[1]):
        mean = customer[RATE, k] * horizon
        bound = mean + 7 * math.sqrt(mean) + 12
        if bound > most and customer[WEIGHT, k] > _NOTHING:
            if bound > _MANY:
                fall = math.log1p(customer[HAZARD, k] / max(customer[RATE, k], TINY))
                bound = min(bound, -math.log(_NOTHING) / max(fall, TINY) + 2)
            most = max(most, bound)
    return math.ceil(most)


@compiled
def fill_tail(tail: Floats, behaviour: Floats, horizon: float) -> int:
    """Fill in pi P(at least n purchases) for n = 0, 1 ... and return the largest n that is not negligible.

    P(N >= n) = (lambda / s)^n P(n, s H) with P(n, x) = 1 - sum_{j < n} x^j exp(-x) / j!: the n-th purchase comes after
    a Gamma distributed time, before dropout and horizon.
    """
    s = max(behaviour[RATE] + behaviour[HAZARD], TINY)
    x, buy = max(s * horizon, TINY), behaviour[RATE] / s
    begin = math.floor(max(x - 9 * math.sqrt(x) - 9, 0.0))  # Poisson probabilities below it are nothing
    poisson = math.exp(-x) if begin == 0 else math.exp(begin * math.log(x) - x - math.lgamma(begin + 1.0))
    power, reached = behaviour[WEIGHT], 1.0
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
def add_up(tail: Floats, beyond: Floats) -> None:
    """Fill in P(at least n purchases) over all behaviours."""
    beyond[:] = 0.0
    for k in range(len(tail)):
        for n in range(len(beyond)):
            beyond[n] += tail[k, n]


@compiled
def count_at(beyond: Floats, probability: float) -> float:
    """The smallest n >= 1 that is exceeded with at most this probability."""
    for n in range(1, len(beyond) - 1):
        if beyond[n + 1] <= probability:
            return float(n)
    return float(len(beyond) - 1)
