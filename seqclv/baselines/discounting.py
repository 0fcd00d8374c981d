"""Discounted sums over the future purchases of the classical models, by quadrature over time.

Whatever the model, with P(alive at t), the intensity of a purchase at t and the intensity of a purchase at t that is
the second of a pair, the first at any earlier instant,

    days alive       integral of exp(-d t) P(alive at t)
    purchases        integral of exp(-d t) intensity(t)
    their second     2 integral of exp(-d t) (1 - exp(-d t)) / d pairs(t)
    moment           + integral of exp(-2 d t) intensity(t)

For Pareto/NBD the second line without an end is the discounted expected residual transactions (DERT) of Fader, Hardie
and Lee (2005), 'RFM and CLV', equation 7.

Shape: C customers, T nodes in time.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_NODES = 48
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


@lru_cache(maxsize=32)
def unit_nodes(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes in (0, 1) and their weights, of sum 1."""
    v, w = np.polynomial.legendre.leggauss(nodes)
    return (v + 1) / 2, w / 2


def time_nodes(unit: FloatArray, horizon: float, rate: float) -> tuple[FloatArray, FloatArray]:
    """Nodes in (0, horizon) and the weights of an integral over time: each [C, T].

    Gauss-Legendre in log(1 + t / unit), in which powers of (1 + t / unit) are smooth. Discounting ends an infinite
    horizon.

    Args:
        unit: [C] days over which the integrand changes at first.
        horizon: days; may be infinite if `rate` is above 0.
        rate: of discounting, continuous, per day.
    """
    end = min(horizon, _NEGLIGIBLE / rate) if rate > 0 else horizon
    v, w = unit_nodes(_NODES)
    span = np.log1p(end / unit)[:, None]
    time = unit[:, None] * np.expm1(span * v)
    return time, span * w * (unit[:, None] + time)


def earned(time: FloatArray, rate: float) -> FloatArray:
    """The integral of exp(-rate t) from 0 to `time`: (1 - exp(-rate t)) / rate."""
    return -np.expm1(-rate * time) / rate if rate > 0 else time


def lasts_for_ever(horizon: float, rate: float) -> bool:
    """Whether nothing ends the sum but the customers' own leaving."""
    return math.isinf(horizon) and rate == 0
