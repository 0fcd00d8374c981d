"""Discounted sums over the future purchases of the classical models, by quadrature over time.

Whatever the model, with P(alive at t), the intensity of a purchase at t and the intensity of a purchase at t that is
the second of a pair, the first at any earlier instant,

    days alive       integral of exp(-d t) P(alive at t)
    purchases        integral of exp(-d t) intensity(t)
    their second     2 integral of exp(-d t) (1 - exp(-d t)) / d pairs(t)
    moment           + integral of exp(-2 d t) intensity(t)

For Pareto/NBD the second line without an end is the discounted expected residual transactions (DERT) of Fader, Hardie
and Lee (2005), 'RFM and CLV', equation 2.

Shape: C customers, T nodes in time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_NODES = 64  # over all intervals together, where there are few
_LEAST_NODES = 5  # of an interval
_NEGLIGIBLE = 40.0  # what is discounted by exp(-40) is left out


@dataclass(frozen=True)
class Course:
    """What becomes of customers who are alive at 0. Shape: each [C, T].

    alive: P(alive at t).
    buying: intensity of purchases at t, per day.
    pairs: intensity of purchases at t after a purchase at a given earlier instant, per day squared.
    """

    alive: FloatArray
    buying: FloatArray
    pairs: FloatArray


Courses = Callable[[FloatArray], Course]


@lru_cache(maxsize=32)
def unit_nodes(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes in (0, 1) and their weights, of sum 1."""
    v, w = np.polynomial.legendre.leggauss(nodes)
    return (v + 1) / 2, w / 2


def time_nodes(unit: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """Nodes between 0 and the last end, the weights of an integral over time [C, T], and the nodes per interval.

    Gauss-Legendre between consecutive ends, in log(1 + t / unit), in which powers of (1 + t / unit) are smooth.

    Args:
        unit: [C] days over which the integrand changes at first.
        ends: [H] days, not falling, finite.
    """
    number = max(_NODES // len(ends), _LEAST_NODES)
    v, w = unit_nodes(number)
    edge = np.log1p(np.concatenate([[0.0], ends]) / unit[:, None])  # [C, H + 1]
    length = np.diff(edge)[..., None]
    place = edge[:, :-1, None] + length * v  # [C, H, n]
    time = unit[:, None] * np.expm1(place.reshape(len(unit), -1))
    return time, (length * w).reshape(len(unit), -1) * (unit[:, None] + time), number


def moments(course: Courses, unit: FloatArray, horizons: FloatArray, rate: float) -> FloatArray:
    """[3, C, H] discounted purchases, discounted days alive, and discounted pairs of purchases in both orders.

    Args:
        course: what becomes of the customers at given times.
        unit: see `time_nodes`.
        horizons: [H] days; may be infinite if `rate` is above 0, for discounting ends them.
        rate: of discounting, continuous, per day.
    """
    ends = np.minimum(horizons, _NEGLIGIBLE / rate) if rate > 0 else horizons
    order = np.argsort(ends, kind="stable")
    time, weight, number = time_nodes(unit, ends[order])
    found = course(time)
    weight = weight * np.exp(-rate * time)
    parts = np.stack([found.buying, found.alive, 2 * earned(time, rate) * found.pairs]) * weight
    running: FloatArray = parts.reshape(3, len(unit), -1, number).sum(-1).cumsum(-1)
    result = np.empty_like(running)
    result[..., order] = running
    return result


def earned(time: FloatArray, rate: float) -> FloatArray:
    """The integral of exp(-rate t) from 0 to `time`: (1 - exp(-rate t)) / rate."""
    return -np.expm1(-rate * time) / rate if rate > 0 else time
