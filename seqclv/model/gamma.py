"""The Gamma distribution function, fast: by a table of its distance from the normal one.

With s the shape, x the argument and l = log(x / s), let zeta = sign(l) sqrt(2 s (exp(l) - 1 - l)). Then the regularized
incomplete gamma function is P(s, x) = Phi(zeta + d / sqrt(s)), where d is smooth in zeta and 1 / sqrt(s) (Temme 1979,
'The asymptotic expansions of the incomplete gamma functions'). It is tabulated and interpolated linearly; the error of
P stays below 5e-7. Small shapes take the function itself.

Shape: T terms.
"""

import math
from functools import cache

import torch
from torch import Tensor

CERTAIN = 2.7  # beyond this distance between roots of shape and argument P is 0 or 1 to 2e-7
_SMALLEST = 1.5  # shape that the table serves
_BOUND = 7.0  # largest |zeta| of the table
_STEPS = 800  # of zeta, from - _BOUND to _BOUND
_ROOTS = 160  # of 1 / sqrt(s), from 0 to that of _SMALLEST
_NEWTON = 60
_NORMAL_DENSITY = 1 / math.sqrt(2 * math.pi)


@cache
def _table() -> Tensor:
    """[161 x 801, flat] d by 1 / sqrt(s), then zeta, float32: it should stay in a core's cache."""
    zeta = torch.linspace(-_BOUND, _BOUND, _STEPS + 1, dtype=torch.float64) + 1e-9  # d is 0 / 0 at 0
    root = torch.arange(_ROOTS + 1, dtype=torch.float64).clamp_min(0.2) / (_ROOTS * math.sqrt(_SMALLEST))
    shape = root.square().reciprocal().unsqueeze(-1)
    half = zeta.square() / 2 / shape
    log = torch.where(zeta > 0, torch.log1p((2 * half).sqrt() + half), -(2 * half).sqrt().maximum(half))
    for _ in range(_NEWTON):  # exp(l) - 1 - l = zeta^2 / 2 s
        slope = torch.expm1(log)
        log = log - ((slope - log - half) / slope).clamp(-2, 2)
    x = shape * log.exp()
    below, above = torch.special.gammainc(shape, x), torch.special.gammaincc(shape, x)
    normal = torch.where(below < 0.5, torch.special.ndtri(below), -torch.special.ndtri(above))
    return ((normal - zeta) / root.unsqueeze(-1)).float().view(-1)


def gamma_terms(weight: Tensor, shape: Tensor, log_ratio: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weighted Gamma distribution functions and their derivatives by the logarithm of the argument.

    Args:
        weight: [T].
        shape: [T] s, float64.
        log_ratio: [T] log(x / s), x the argument, float64.

    Returns:
        [T] each, float32: weight x P(s, x), its first and second derivative by log x, and a bound of the third.
    """
    rise = torch.expm1(log_ratio)  # x / s - 1
    excess = (shape * rise).float()  # x - s
    half = (shape * (rise - log_ratio)).clamp_min(0).float()
    wide, weight = (weight, shape, log_ratio), weight.float()
    root = shape.float().rsqrt()
    zeta = torch.copysign((2 * half).sqrt(), excess)
    value = 0.5 * weight * torch.erfc((zeta + root * _difference(zeta, root)) * -math.sqrt(0.5))
    square = root.square()
    stirling = 1 + (1 + square / 24) * square / 12  # Gamma(s + 1) over what Stirling's formula says
    slope = weight * torch.exp(-half) * _NORMAL_DENSITY / (root * stirling)  # x^s exp(-x) / Gamma(s)
    _correct_small(value, slope, *wide)
    return value, slope, -slope * excess, slope * (excess.square() + excess + 1 / square)


def _correct_small(value: Tensor, slope: Tensor, weight: Tensor, shape: Tensor, log_ratio: Tensor) -> None:
    """Overwrite the terms whose shapes are too small for the table."""
    small = torch.nonzero(shape < _SMALLEST).squeeze(-1)
    if len(small):
        s, part = shape[small], weight[small]
        x = s * log_ratio[small].exp()
        value[small] = (part * torch.special.gammainc(s, x)).float()
        slope[small] = (part * (torch.xlogy(s, x) - x - torch.lgamma(s)).exp()).float()


def _difference(zeta: Tensor, root: Tensor) -> Tensor:
    """[T] d, interpolated in the table; of no use where the shape is below _SMALLEST."""
    column = ((zeta + _BOUND) * (_STEPS / 2 / _BOUND)).clamp(0, _STEPS - 0.01)
    line = (root * (_ROOTS * math.sqrt(_SMALLEST))).clamp_max(_ROOTS - 0.01)
    i, j = line.int(), column.int()
    b, a = line - i, column - j
    at = i * (_STEPS + 1) + j
    table = _table()
    upper, lower = table[at], table[at + (_STEPS + 1)]
    upper = torch.lerp(upper, table[at + 1], a)
    lower = torch.lerp(lower, table[at + (_STEPS + 2)], a)
    return torch.lerp(upper, lower, b)
