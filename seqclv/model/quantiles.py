"""Quantiles of a purchase process by inverting its distribution function; no simulated futures.

Customers are worked on in groups of like support, so that one whale does not make the whole base pay for its
hundreds of possible purchases. Of a customer's spend only those terms (behaviour, number of purchases) are evaluated
whose amount is uncertain to lie above or below the amount in question.

Shape: see the legend in `seqclv.batch`; M is the largest number of purchases of a group, T the number of its terms.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from seqclv.model.gamma import CERTAIN, gamma_terms
from seqclv.model.process import PurchaseProcess

_GROUP_ELEMENTS = 200_000  # largest intermediate tensor, elements: it should fit into a core's cache
_LOG_BEYOND = -24.0  # log of the probability that more purchases happen than the support counts
_NEGLIGIBLE = 1e-8  # probability of terms that are left out
_PRECISE = 5e-5  # of the level, a bound of the error left by the last step of Halley's method, mostly far below it
_CLOSE = 0.5  # largest last step, in standard deviations of the narrowest term near by
_START_STEPS = 5
_STEPS = 100  # bisection alone would do; Halley's steps need one or two
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


def quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Quantiles of the number of purchases and of their spend, each [N, Q], of a process in float64.

    See `transaction_quantiles` and `spend_quantiles`; both follow from the same probabilities of counts.
    """
    counts = torch.zeros(len(process), len(levels), dtype=process.log_rate.dtype)
    spend = torch.zeros_like(counts)
    churn = process.churn_probability(horizon)
    buying = torch.nonzero(churn < max(levels)).squeeze(-1)
    active = process.select(buying)
    level = torch.tensor(levels, dtype=churn.dtype)
    for rows, maximum in by_support(active, horizon):
        customers = buying[rows]
        future = _Future.of(active.select(rows), horizon, maximum)
        beyond = future.tail.sum(1)[:, 1:]  # [N, M + 1] P(N > n), n = 0 ... M
        mass = level - churn[customers].unsqueeze(-1)  # [N, Q]
        least = (beyond.unsqueeze(-1) > 1 - level).sum(1).to(counts)
        counts[customers] = torch.where(mass > 0, least.clamp_min(1), 0.0)
        who, which = torch.nonzero(mass > 0, as_tuple=True)
        spend[customers[who], which] = future.inverse(who, mass[who, which])
    return counts, spend


def transaction_quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> Tensor:
    """[N, Q] the smallest n with P(N(H) <= n) >= level."""
    return quantiles(process, horizon, levels)[0]


def spend_quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> Tensor:
    """[N, Q] the smallest y with P(spend(H) <= y) >= level, of a process in float64.

    P(spend <= y) = P(N = 0) + sum_k pi_k sum_n P_k(n) GammaCDF(y; n a_k, a_k / m_k) is inverted to within 5e-5 of
    the level; 0 where P(N = 0) reaches it.
    """
    return quantiles(process, horizon, levels)[1]


@dataclass(frozen=True)
class _Future:
    """The purchases of a group's customers in the window, by behaviour.

    Shape: tail [N, K, M + 2], pi_k P_k(at least n purchases) for n = 0 ... M + 1; the others [N, K].
    """

    tail: Tensor
    last: Tensor  # the largest number of purchases that is not negligible
    shape: Tensor
    log_mean: Tensor
    joined: "_Joined"

    @classmethod
    def of(cls, process: PurchaseProcess, horizon: float, maximum: int) -> Self:
        tail = process.weight.unsqueeze(-1) * process.behaviour_tail(horizon, maximum + 1)
        last = (tail > _NEGLIGIBLE).sum(-1) - 1
        shape = process.log_shape.exp()
        joined = _Joined.of(tail, process.log_mean.exp(), shape)
        return cls(tail, last.clamp(0, maximum), shape, process.log_mean, joined)

    def inverse(self, customers: Tensor, mass: Tensor) -> Tensor:
        """[n] the y at which the distribution function of the buyers' spend reaches `mass` [n], for some customers."""
        mass = torch.minimum(mass, self.joined.total[customers] * (1 - 1e-9))  # beyond it lies no finite quantile
        return self._solve(customers, mass, self.joined.quantile(customers, mass)).exp()

    def distribution(self, customers: Tensor, log_y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """[n] the buyers' distribution function at y, its first two derivatives by log y, a bound of the third.

        And a bound of the terms' sharpness near y, one over their standard deviation by log y.

        Twice the root of a Gamma variable is close to normal with variance one: this tells which terms surely lie
        below y, which surely above, and which remain.
        """
        shape, gap = self.shape[customers], log_y.unsqueeze(-1) - self.log_mean[customers]  # [n, K]
        root, last = (gap.exp() * shape).sqrt(), self.last[customers]
        low = torch.minimum((((root - CERTAIN).clamp_min(0).square() / shape).ceil().long()).clamp_min(1), last + 1)
        high = torch.minimum(((root + CERTAIN).square() / shape).clamp_max(1e9).long(), last)
        length = (high - low + 1).clamp_min(0)
        width, stride = shape.shape[-1], self.tail.shape[-1]
        start = (customers.unsqueeze(-1) * width + torch.arange(width)) * stride  # [n, K] of n = 0 in the flat tails
        flat = self.tail.view(-1)
        value = (flat[start + 1] - flat[start + low]).sum(-1)
        length, end = length.view(-1), length.view(-1).cumsum(0)
        row = torch.arange(len(length)).repeat_interleave(length)  # [T]
        place = torch.arange(len(row)) + (start.view(-1) + low.view(-1) - end + length)[row]
        number = (place - start.view(-1)[row]).to(flat)
        weight = flat[place] - flat[place + 1]
        sums = gamma_terms(weight, shape.view(-1)[row] * number, gap.view(-1)[row] - number.log())
        size = length.view(-1, width).sum(-1)
        uncertain, slope, curvature, bend = (
            torch.segment_reduce(part.double(), "sum", lengths=size, unsafe=True) for part in sums
        )
        return value + uncertain, slope, curvature, bend, root.amax(-1).clamp_min(1.0)

    def _solve(self, customers: Tensor, mass: Tensor, log_y: Tensor) -> Tensor:
        """[n] the log y where log F(y) = log mass: steps of Halley's method inside a bracket, else bisection."""
        result, index = log_y.clone(), torch.arange(len(log_y))
        low, high = torch.full_like(log_y, -math.inf), torch.full_like(log_y, math.inf)
        stride = torch.full_like(log_y, 2.0)
        for _ in range(_STEPS):
            value, slope, curvature, bend, sharpness = self.distribution(customers, log_y)
            below = value < mass
            low, high = torch.where(below, log_y, low), torch.where(below, high, log_y)
            value = value.clamp_min(_TINY)
            step = torch.where(value > 1e-9 * mass, _halley(value, slope, curvature, mass), stride)
            error = 0.42 * step.abs() ** 3 * (bend + slope * (slope / value).square())
            following = log_y + torch.clamp(step, -stride, stride)
            inside = (following > low) & (following < high)
            middle = (low + high) / 2
            bracketed = torch.isfinite(middle)
            following = torch.where(bracketed & ~inside, middle, following)
            stride = torch.where(bracketed, stride, 2 * stride)
            result[index] = log_y = following
            precise = inside & (error < _PRECISE) & (step.abs() * sharpness < _CLOSE)
            left = torch.nonzero(~precise & (high - low > 1e-12)).squeeze(-1)
            if not len(left):
                break
            customers, index, mass, log_y = customers[left], index[left], mass[left], log_y[left]
            low, high, stride = low[left], high[left], stride[left]
        return result


@dataclass(frozen=True)
class _Joined:
    """The spend of a group's customers with the behaviours joined: of n purchases one Gamma of their mean and variance.

    Its quantiles are where the search for the exact ones starts.

    Shape: total [N]; the others [N, M], for n = 1 ... M.
    """

    total: Tensor
    weight: Tensor
    log_mean: Tensor
    shape: Tensor
    first: Tensor  # [N] mean of the spend
    variance: Tensor  # [N]

    @classmethod
    def of(cls, tail: Tensor, mean: Tensor, shape: Tensor) -> Self:
        mass = tail[..., 1:-1] - tail[..., 2:]  # [N, K, M]
        square = mean.square()
        moments = torch.stack([torch.ones_like(mean), mean, square, square / shape], 1) @ mass  # [N, 4, M]
        weight, one, two, spread = moments.unbind(1)
        weight = weight.clamp_min(_TINY)
        n = torch.arange(1, weight.shape[-1] + 1, dtype=weight.dtype)
        first, second = n * one, n * n * two + n * spread
        total = weight.sum(-1)
        average = first / weight
        variance = (second / weight - average.square()).clamp_min(_TINY)
        whole = first.sum(-1) / total
        return cls(
            total,
            weight,
            average.clamp_min(_TINY).log(),
            (average.square() / variance).clamp(0.05, 1e6),
            whole,
            second.sum(-1) / total - whole.square(),
        )

    def quantile(self, customers: Tensor, mass: Tensor) -> Tensor:
        """[n] log of about the spend at which the distribution function reaches `mass`: some steps of Newton's method.

        Gamma distribution functions by the transformation of Wilson and Hilferty (1931) to a normal variable.
        """
        log_y = _gamma_start(mass / self.total[customers], self.first[customers], self.variance[customers])
        weight, log_mean, shape = self.weight[customers], self.log_mean[customers], self.shape[customers]
        scale = 3 * shape.sqrt()
        shift = (1 - 1 / (9 * shape)) * scale
        for _ in range(_START_STEPS):
            root = scale * ((log_y.unsqueeze(-1) - log_mean) / 3).clamp_max(5.0).exp()
            z = root - shift
            value = (weight * (0.5 + 0.5 * torch.erf(z * math.sqrt(0.5)))).sum(-1).clamp_min(_TINY)
            slope = (weight * root * (-0.5 * z.square()).exp()).sum(-1) / (3 * math.sqrt(2 * math.pi))
            log_y = log_y + ((mass / value).log() * value / slope.clamp_min(_TINY)).clamp(-0.5, 0.5)
        return log_y


def _gamma_start(level: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log of about the quantile of the Gamma distribution with this mean and variance."""
    shape = (mean.square() / variance.clamp_min(_TINY)).clamp(0.05, 1e6)
    root = 1 - 1 / (9 * shape) + torch.special.ndtri(level) / (3 * shape.sqrt())
    low = (level.log() + torch.lgamma(shape + 1)) / shape - shape.log()  # x^a / Gamma(a + 1) for small x
    return mean.log() + torch.where(root > 0.05, 3 * root.clamp_min(0.05).log(), low)


def _halley(value: Tensor, slope: Tensor, curvature: Tensor, mass: Tensor) -> Tensor:
    """The step of Halley's method for log F = log mass."""
    first = (slope / value).clamp_min(_TINY)
    bend = curvature / value - first.square()
    newton = (mass / value).log() / first
    return newton / (1 + newton * bend / first / 2).clamp(0.5, 2.0)
