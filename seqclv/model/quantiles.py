"""Quantiles of a purchase process by inverting its distribution function; no simulated futures.

Customers are worked on in groups of like support, so that one whale does not make the whole base pay for its
hundreds of possible purchases. Of a customer's spend only the terms (behaviour, number of purchases) that matter are
kept, the terms of all customers of a group in a row.

Shape: see the legend in `seqclv.batch`; a group of customers has T terms.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from seqclv.model.process import PurchaseProcess

_GROUP_ELEMENTS = 300_000  # largest intermediate tensor, elements
_LOG_BEYOND = -24.0  # log of the probability that more purchases happen than the support counts
_NEGLIGIBLE = 1e-9  # terms lighter than this, beside the customer's heaviest, change no quantile
_CERTAIN = 6.0  # standard deviations beyond which a Gamma variable is taken as surely above or below
_CLOSE = 0.03  # a step this small, in standard deviations of the narrowest term, leaves an error below 1e-6
_STEPS = 100  # bisection alone would do; Halley's steps need two or three
_TINY = 1e-300


def support_bound(process: PurchaseProcess, horizon: float) -> Tensor:
    """[N] a count that is exceeded with negligible probability (below 1e-9).

    The smaller of two bounds of a behaviour: that of the Poisson distribution without dropout, and that of the
    geometric distribution without horizon, whose tail is (lambda / s)^n; behaviours without weight do not count.
    """
    mean = process.log_rate.exp() * horizon
    poisson = mean + 7 * mean.sqrt() + 12
    log_buy = -torch.log1p((process.log_hazard - process.log_rate).exp())
    geometric = _LOG_BEYOND / log_buy.clamp_max(-_TINY) + 2
    bound = torch.where(process.log_weight[..., 1:] > _LOG_BEYOND, torch.minimum(poisson, geometric), 0.0)
    return bound.amax(-1).ceil().long()


def by_support(process: PurchaseProcess, horizon: float) -> Iterator[tuple[Tensor, int]]:
    """Yield (customers, largest count) groups: like supports, bounded memory."""
    bound = support_bound(process, horizon)
    group = (2 * torch.log2(bound.double() + 1)).ceil().long()
    width = process.log_rate.shape[-1]
    for g in torch.unique(group).tolist():
        rows = torch.nonzero(group == g).squeeze(-1)
        maximum = int(bound[rows].max())
        step = max(1, _GROUP_ELEMENTS // (width * (maximum + 1)))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], maximum


def transaction_quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> Tensor:
    """[N, Q] the smallest n with P(N(H) <= n) >= level, exactly from the PMF."""
    result = torch.zeros(len(process), len(levels), dtype=process.log_rate.dtype)
    for rows, maximum in by_support(process, horizon):
        cdf = process.select(rows).transaction_pmf(horizon, maximum).cumsum(-1)
        for i, level in enumerate(levels):
            result[rows, i] = (cdf < level).sum(-1).to(result)
    return result


def spend_quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> Tensor:
    """[N, Q] the smallest y with P(spend(H) <= y) >= level, of a process in float64.

    P(spend <= y) = P(N = 0) + sum_k pi_k sum_n P_k(n) GammaCDF(y; n a_k, a_k / m_k) is inverted to within 1e-6 of
    the level; 0 where P(N = 0) reaches it.
    """
    result = torch.zeros(len(process), len(levels), dtype=process.log_rate.dtype)
    churn = process.churn_probability(horizon)
    buying = torch.nonzero(churn < max(levels)).squeeze(-1)
    active = process.select(buying)
    for rows, maximum in by_support(active, horizon):
        customers = buying[rows]
        terms = _terms(active.select(rows), horizon, maximum)
        for i, level in enumerate(levels):
            mass = level - churn[customers]
            asked = mass > 0
            if asked.any():
                result[customers[asked], i] = _inverse(terms.keep(asked), mass[asked])
    return result


@dataclass(frozen=True)
class _Terms:
    """The buyers' part of the distribution function: sum over terms of weight x P(shape, shape y / mean).

    Shape: size [N], the number of a customer's terms; the others [T]. `log_mean` is that of a term's whole spend.
    """

    size: Tensor
    weight: Tensor
    shape: Tensor
    log_mean: Tensor

    def keep(self, customers: Tensor) -> Self:
        """Keep the customers where the mask [N] holds."""
        if customers.all():
            return self
        terms = self.spread(customers)
        return type(self)(self.size[customers], self.weight[terms], self.shape[terms], self.log_mean[terms])

    def spread(self, values: Tensor) -> Tensor:
        """[N] -> [T]: each customer's value at its terms."""
        return values.repeat_interleave(self.size)

    def total(self, values: Tensor, how: str = "sum") -> Tensor:
        """[T] -> [N] over each customer's terms."""
        return torch.segment_reduce(values, how, lengths=self.size, unsafe=True)

    def distribution(self, log_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N] the sum at y and its first two derivatives by log y.

        The costly incomplete gamma function is left out for terms that the transformation of Wilson and Hilferty
        (1931) to a standard normal variable places far from y.
        """
        root = ((self.spread(log_y) - self.log_mean) / 3).exp()  # cube root of y / mean
        z = (root - 1 + 1 / (9 * self.shape)) * 3 * self.shape.sqrt()
        near = torch.nonzero(z.abs() < _CERTAIN).squeeze(-1)
        weight, shape = self.weight[near], self.shape[near]
        x = shape * root[near] ** 3
        value = torch.where(z > 0, self.weight, 0.0)
        value[near] = weight * torch.special.gammainc(shape, x)
        slope, curvature = torch.zeros_like(value), torch.zeros_like(value)
        slope[near] = weight * (torch.xlogy(shape, x) - x - torch.lgamma(shape)).exp()
        curvature[near] = slope[near] * (shape - x)
        return self.total(value), self.total(slope), self.total(curvature)


def _terms(process: PurchaseProcess, horizon: float, maximum: int) -> _Terms:
    weight = process.weight.unsqueeze(-1) * process.behaviour_pmf(horizon, maximum)[..., 1:]  # [N, K, n]
    heavy = weight > _NEGLIGIBLE * weight.amax((-2, -1), keepdim=True)
    row, k, n = torch.nonzero(heavy, as_tuple=True)
    number = (n + 1).to(weight)
    shape, log_mean = process.log_shape[row, k].exp(), process.log_mean[row, k]
    return _Terms(heavy.sum((-2, -1)), weight[heavy], shape * number, log_mean + number.log())


def _inverse(terms: _Terms, mass: Tensor) -> Tensor:
    """[N] the y at which the distribution function of the terms reaches `mass`."""
    total = terms.total(terms.weight)
    mass = torch.minimum(mass, total * (1 - 1e-9))  # a level beyond what was counted has no finite quantile
    mean = terms.log_mean.exp()
    first = terms.total(terms.weight * mean) / total
    second = terms.total(terms.weight * mean.square() * (1 + 1 / terms.shape)) / total
    return _solve(terms, mass, _gamma_start(mass / total, first, second - first.square())).exp()


def _gamma_start(level: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log of about the quantile of the Gamma distribution with this mean and variance."""
    shape = (mean.square() / variance.clamp_min(_TINY)).clamp(0.05, 1e6)
    root = 1 - 1 / (9 * shape) + torch.special.ndtri(level) / (3 * shape.sqrt())
    low = (level.log() + torch.lgamma(shape + 1)) / shape - shape.log()  # x^a / Gamma(a + 1) for small x
    return mean.log() + torch.where(root > 0.05, 3 * root.clamp_min(0.05).log(), low)


def _solve(terms: _Terms, mass: Tensor, log_y: Tensor) -> Tensor:
    """[N] the log y where log F(y) = log mass: steps of Halley's method inside a bracket, else bisection."""
    result, index = log_y.clone(), torch.arange(len(log_y))
    low, high = torch.full_like(log_y, -math.inf), torch.full_like(log_y, math.inf)
    stride = torch.full_like(log_y, 2.0)
    sharpness = terms.total(terms.shape, "max").clamp_min(1.0).sqrt()
    for _ in range(_STEPS):
        value, slope, curvature = terms.distribution(log_y)
        below = value < mass
        low, high = torch.where(below, log_y, low), torch.where(below, high, log_y)
        step = _halley(value.clamp_min(_TINY), slope, curvature, mass)
        following = log_y + torch.clamp(step, -stride, stride)
        inside = (following > low) & (following < high)
        middle = (low + high) / 2
        bracketed = torch.isfinite(middle)
        following = torch.where(bracketed & ~inside, middle, following)
        stride = torch.where(bracketed, stride, 2 * stride)
        result[index] = log_y = following
        left = ~(inside & (step.abs() * sharpness < _CLOSE)) & (high - low > 1e-12)
        if not left.any():
            break
        terms, index, mass, log_y = terms.keep(left), index[left], mass[left], log_y[left]
        low, high, stride, sharpness = low[left], high[left], stride[left], sharpness[left]
    return result


def _halley(value: Tensor, slope: Tensor, curvature: Tensor, mass: Tensor) -> Tensor:
    """The step of Halley's method for log F = log mass."""
    first = (slope / value).clamp_min(_TINY)
    bend = curvature / value - first.square()
    newton = (mass / value).log() / first
    return newton / (1 + newton * bend / first / 2).clamp(0.5, 2.0)
