"""Quantiles of a purchase process by inverting its distribution function; no simulated futures.

Customers are worked on in groups of like support, so that one whale does not make the whole base pay for its
hundreds of possible purchases.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from seqclv.model.process import PurchaseProcess

_GROUP_ELEMENTS = 4_000_000  # largest intermediate tensor, elements
_BRACKET_STEPS = 22
_NEWTON_STEPS = 3


def support_bound(process: PurchaseProcess, horizon: float) -> Tensor:
    """[N] a count that more purchases than this exceed with negligible probability (below 1e-9)."""
    mean = (process.log_rate.exp() * horizon).amax(-1)
    bound = mean + 7 * mean.sqrt() + 12
    return bound.ceil().long()


def by_support(process: PurchaseProcess, horizon: float) -> Iterator[tuple[Tensor, int]]:
    """Yield (customers, largest count) groups: supports within a factor of two, bounded memory."""
    bound = support_bound(process, horizon)
    group = torch.log2(bound.double()).ceil().long()
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
    """[N, Q] the smallest y with P(spend(H) <= y) >= level.

    P(spend <= y) = P(N = 0) + sum_k pi_k sum_n P_k(n) GammaCDF(y; n a_k, a_k / m_k) is inverted: a bracket by
    bisection with the normal approximation of Wilson and Hilferty (1931) to the Gamma distribution, then Newton
    steps with the exact distribution function.
    """
    result = torch.zeros(len(process), len(levels), dtype=process.log_rate.dtype)
    churn = process.churn_probability(horizon)
    for i, level in enumerate(levels):
        buying = torch.nonzero(churn < level).squeeze(-1)
        active = process.select(buying)
        for rows, maximum in by_support(active, horizon):
            part = active.select(rows)
            result[buying[rows], i] = _invert(part, horizon, maximum, level, churn[buying[rows]])
    return result


def _invert(process: PurchaseProcess, horizon: float, maximum: int, level: float, churn: Tensor) -> Tensor:
    pmf = process.behaviour_pmf(horizon, maximum)[..., 1:]
    weight = (process.weight.unsqueeze(-1) * pmf).flatten(1)  # [N, K * n]
    n = torch.arange(1, maximum + 1, dtype=pmf.dtype)
    shape = (process.log_shape.exp().unsqueeze(-1) * n).flatten(1)
    log_rate = (process.log_shape - process.log_mean).unsqueeze(-1).expand_as(pmf).flatten(1)
    weight, shape, log_rate = _heaviest(weight, shape, log_rate)
    target = level - churn

    mean = (shape.log() - log_rate).exp()
    high = (mean * (1 + 12 / shape.sqrt() + 60 / shape)).amax(-1).log()
    low = torch.full_like(high, -1.0) + (mean.amin(-1).log() - 60 / shape.amin(-1)).clamp_min(-690)
    approximate = lambda y: (weight * _wilson_hilferty((y.unsqueeze(-1) + log_rate).exp(), shape)).sum(-1)  # noqa: E731
    low, high = _bisect(approximate, target, low, high)
    return _newton(weight, shape, log_rate, target, (low + high) / 2).exp()


def _heaviest(weight: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Drop the terms that no customer of the group needs: fewer columns for the same sum to 1e-10."""
    ordered, index = weight.sort(dim=-1, descending=True)
    beyond = ordered.flip(-1).cumsum(-1).flip(-1)  # mass of this term and all lighter ones
    needed = int((beyond > 1e-10).sum(-1).max().clamp_min(1))
    return ordered[:, :needed], *(t.gather(-1, index)[:, :needed] for t in others)


def _wilson_hilferty(x: Tensor, shape: Tensor) -> Tensor:
    ninth = 1 / (9 * shape)
    return torch.special.ndtr(((x / shape).pow(1 / 3) - (1 - ninth)) / ninth.sqrt())


def _bisect(cdf: Callable[[Tensor], Tensor], target: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    for _ in range(_BRACKET_STEPS):
        middle = (low + high) / 2
        below = cdf(middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low, high


def _newton(weight: Tensor, shape: Tensor, log_rate: Tensor, target: Tensor, log_y: Tensor) -> Tensor:
    """Newton steps in log y, with steps bounded to a factor of e^0.5 so that a poor start cannot throw them off."""
    log_gamma = torch.lgamma(shape)
    for _ in range(_NEWTON_STEPS):
        log_x = log_y.unsqueeze(-1) + log_rate
        x = log_x.exp()
        excess = (weight * torch.special.gammainc(shape, x)).sum(-1) - target
        slope = (weight * (shape * log_x - x - log_gamma).exp()).sum(-1)
        log_y = log_y - (excess / slope.clamp_min(1e-300)).clamp(-0.5, 0.5)
    return log_y
