"""The Gamma distribution function, fast: by a table over the distance between the roots of argument and shape.

Twice the difference d = sqrt(x) - sqrt(s) of the roots of argument and shape is close to standard normal, the closer
the larger the shape s is. So the regularized incomplete gamma function P(s, x) is smooth in d and 1 / sqrt(s). It is
tabulated and interpolated linearly, without a transcendental function; the error of P stays below 5e-6, with signs
that alternate along d. Small shapes are raised by P(s, x) = P(s + 2, x) + x^s exp(-x) / Gamma(s + 1) (1 + x / (s + 1)).
"""

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from seqclv.model.compiled import compiled

CERTAIN = 2.7  # beyond this distance between roots of shape and argument P is 0 or 1 to 2e-6
SMALLEST = 1.5  # shape that the table serves
_STEPS = 1024  # of d, from - CERTAIN to CERTAIN
_ROOTS = 128  # of 1 / sqrt(s), from 0 to that of SMALLEST
_BY_DISTANCE = _STEPS / 2 / CERTAIN
_BY_ROOT = _ROOTS * math.sqrt(SMALLEST)
_BELOW = 1 - 1e-9  # keeps the last cell's end inside the table


@cache
def gamma_table() -> NDArray[np.float32]:
    """[130, 1025] P by 1 / sqrt(s), then d; float32, since it should stay in a core's cache."""
    distance = torch.linspace(-CERTAIN, CERTAIN, _STEPS + 1, dtype=torch.float64)
    root = _BY_ROOT / torch.arange(1, _ROOTS + 2, dtype=torch.float64).unsqueeze(-1)  # of the shape
    argument = (root + distance).clamp_min(0).square()
    normal = torch.special.ndtr(2 * distance).unsqueeze(0)  # the limit of large shapes
    table = torch.cat([normal, torch.special.gammainc(root.square().expand_as(argument), argument)])
    return np.asarray(table.float().numpy())


@compiled
def gamma_distribution(
    root_shape: float, inverse: float, root: float, table: NDArray[np.float32]
) -> tuple[float, float]:
    """P(s, x) and its derivative by d, which is twice that by log x over sqrt(x).

    Args:
        root_shape: the square root of s, which is SMALLEST or more.
        inverse: 1 / root_shape.
        root: the square root of the argument x.
        table: of `gamma_table`.
    """
    line = inverse * _BY_ROOT
    column = min(max((root - root_shape + CERTAIN) * _BY_DISTANCE, 0.0), _STEPS * _BELOW)
    i, j = np.int32(line), np.int32(column)
    b = line - i
    left = table[i, j] + b * (table[i + 1, j] - table[i, j])
    right = table[i, j + 1] + b * (table[i + 1, j + 1] - table[i, j + 1])
    rise = right - left
    return left + (column - j) * rise, _BY_DISTANCE * rise


@compiled
def small_gamma_distribution(shape: float, x: float, table: NDArray[np.float32]) -> tuple[float, float]:
    """P(s, x) and its derivative by log x, of a shape below SMALLEST and an argument x above zero."""
    slope = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    root = math.sqrt(shape + 2)
    raised = gamma_distribution(root, 1 / root, math.sqrt(x), table)[0]
    return raised + slope / shape * (1 + x / (shape + 1)), slope


@compiled
def normal_distribution(z: float, table: NDArray[np.float32]) -> tuple[float, float]:
    """The standard normal distribution function and its density, from the same table; 0 or 1 beyond 2 CERTAIN."""
    column = min(max((0.5 * z + CERTAIN) * _BY_DISTANCE, 0.0), _STEPS * _BELOW)
    j = int(column)
    rise = table[0, j + 1] - table[0, j]
    return table[0, j] + (column - j) * rise, 0.5 * _BY_DISTANCE * rise
