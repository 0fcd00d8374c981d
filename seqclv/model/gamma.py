"""The Gamma distribution function, fast: by a table of its distance from the normal one.

With s the shape, x the argument and l = log(x / s), let zeta = sign(l) sqrt(2 s (exp(l) - 1 - l)). Then the regularized
incomplete gamma function is P(s, x) = Phi(zeta + d / sqrt(s)), where d is smooth in zeta and 1 / sqrt(s) (Temme 1979,
'The asymptotic expansions of the incomplete gamma functions'). It is tabulated and interpolated linearly; the error of
P stays below 5e-7. Small shapes are raised by P(s, x) = P(s + 2, x) + x^s exp(-x) / Gamma(s + 1) (1 + x / (s + 1)).
"""

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from seqclv.model.compiled import compiled

CERTAIN = 2.7  # beyond this distance between roots of shape and argument P is 0 or 1 to 2e-6
_SMALLEST = 1.5  # shape that the table serves
_BOUND = 7.0  # largest |zeta| of the table
_STEPS = 800  # of zeta, from - _BOUND to _BOUND
_ROOTS = 160  # of 1 / sqrt(s), from 0 to that of _SMALLEST
_NEWTON = 60
_BY_ZETA = _STEPS / 2 / _BOUND
_BY_ROOT = _ROOTS * math.sqrt(_SMALLEST)
_HALF_ROOT = math.sqrt(0.5)


@cache
def gamma_table() -> NDArray[np.float32]:
    """[161, 801] d by 1 / sqrt(s), then zeta; float32, since it should stay in a core's cache."""
    zeta = torch.linspace(-_BOUND, _BOUND, _STEPS + 1, dtype=torch.float64) + 1e-9  # d is 0 / 0 at 0
    root = torch.arange(_ROOTS + 1, dtype=torch.float64).clamp_min(0.2) / _BY_ROOT
    shape = root.square().reciprocal().unsqueeze(-1)
    half = zeta.square() / 2 / shape
    log = torch.where(zeta > 0, torch.log1p((2 * half).sqrt() + half), -(2 * half).sqrt().maximum(half))
    for _ in range(_NEWTON):  # exp(l) - 1 - l = zeta^2 / 2 s
        slope = torch.expm1(log)
        log = log - ((slope - log - half) / slope).clamp(-2, 2)
    x = shape * log.exp()
    below, above = torch.special.gammainc(shape, x), torch.special.gammaincc(shape, x)
    normal = torch.where(below < 0.5, torch.special.ndtri(below), -torch.special.ndtri(above))
    return np.asarray(((normal - zeta) / root.unsqueeze(-1)).float().numpy())


@compiled
def gamma_distribution(shape: float, x: float, log_ratio: float, table: NDArray[np.float32]) -> tuple[float, float]:
    """P(s, x) and its derivative by log x, which is x^s exp(-x) / Gamma(s).

    Args:
        shape: s, above zero.
        x: the argument, above zero.
        log_ratio: log(x / s).
        table: of `gamma_table`.
    """
    if shape < _SMALLEST:
        slope = math.exp(shape * (log_ratio + math.log(shape)) - x - math.lgamma(shape))
        raised = _tabulated(shape + 2, x, log_ratio + math.log(shape / (shape + 2)), table)[0]
        return raised + slope / shape * (1 + x / (shape + 1)), slope
    return _tabulated(shape, x, log_ratio, table)


@compiled
def _tabulated(shape: float, x: float, log_ratio: float, table: NDArray[np.float32]) -> tuple[float, float]:
    root = 1 / math.sqrt(shape)
    excess = x - shape
    half = max(excess - shape * log_ratio, 0.0)  # zeta^2 / 2
    zeta = math.copysign(math.sqrt(2 * half), excess)
    line = min(root * _BY_ROOT, _ROOTS - 0.01)
    column = min(max((zeta + _BOUND) * _BY_ZETA, 0.0), _STEPS - 0.01)
    i, j = int(line), int(column)
    b, a = line - i, column - j
    upper = table[i, j] + a * (table[i, j + 1] - table[i, j])
    lower = table[i + 1, j] + a * (table[i + 1, j + 1] - table[i + 1, j])
    distance = upper + b * (lower - upper)
    value = 0.5 * math.erfc(-_HALF_ROOT * (zeta + root * distance))
    square = root * root
    stirling = 1 + (1 + square / 24) * square / 12  # Gamma(s + 1) over what Stirling's formula says
    return value, math.exp(-half) / (root * stirling * math.sqrt(2 * math.pi))
