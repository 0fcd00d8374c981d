"""The purchase process: one predictive distribution per customer, every quantity of interest in closed form.

A customer follows one of K latent behaviours, or is already gone. Behaviour k buys with rate lambda_k until a
dropout with hazard mu_k; the amount of a purchase is Gamma with shape a_k and mean m_k. This is the process of
Schmittlein, Morrison and Colombo (1987) with a discrete mixture in place of their Gamma priors.

Notation of the comments: s = lambda + mu; H a horizon; n a number of purchases, the last at offset t.

Shape: see the legend in `seqclv.batch`. Methods that take a horizon broadcast it against [N].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class PurchaseProcess:
    """The mixture of N customers.

    Shape: log_weight [N, 1 + K], index 0 is 'already gone', logsumexp over the last axis is 0; the others [N, K].
    Units: rates per time unit, amounts in amount units; `rescaled` changes both.
    """

    log_weight: Tensor
    log_rate: Tensor  # log lambda
    log_hazard: Tensor  # log mu
    log_shape: Tensor  # log a
    log_mean: Tensor  # log m

    def __len__(self) -> int:
        return len(self.log_weight)

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Apply `change` to every tensor."""
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})

    def double(self) -> Self:
        """Return the process in float64, as scoring evaluates it; its weights then sum to one as float64 sums."""
        wide = self.map(Tensor.double)
        return replace(wide, log_weight=torch.log_softmax(wide.log_weight, dim=-1))

    def select(self, rows: Tensor) -> Self:
        """Keep the given customers: an index or a mask over N."""
        return self.map(lambda tensor: tensor[rows])

    def faster(self, factor: float) -> Self:
        """The process on a clock that runs `factor` times as fast: rates and hazards grow by it."""
        log_factor = math.log(factor)
        return replace(self, log_rate=self.log_rate + log_factor, log_hazard=self.log_hazard + log_factor)

    def rescaled(self, time_unit: float, amount_unit: float) -> Self:
        """Express a process in units of `time_unit` days and `amount_unit` money in days and money."""
        log_time, log_amount = (torch.log(torch.tensor(u, dtype=torch.float64)) for u in (time_unit, amount_unit))
        return replace(
            self,
            log_rate=self.log_rate - log_time.to(self.log_rate),
            log_hazard=self.log_hazard - log_time.to(self.log_rate),
            log_mean=self.log_mean + log_amount.to(self.log_rate),
        )

    # -- likelihood ---------------------------------------------------------------------------------------

    def count_log_likelihood(self, horizon: Tensor, purchases: Tensor, last_offset: Tensor) -> Tensor:
        """log L of (n, t) in a window for each behaviour: [N, 1] statistics -> [N, K].

        L = lambda^n / s * [mu exp(-s t) + lambda exp(-s H)].
        """
        log_s, s = self.log_pace, self.pace
        survived = self.log_rate - log_s - s * horizon
        dropped = self.log_hazard - log_s - s * last_offset
        return purchases * self.log_rate + torch.logaddexp(survived, dropped)

    def amount_log_likelihood(self, purchases: Tensor, spend: Tensor, log_spend: Tensor) -> Tensor:
        """log of prod Gamma(v_i; a, a / m) for each behaviour: [N, 1] sums over n amounts -> [N, K]; 0 if n = 0."""
        shape = self.log_shape.exp()
        log_rate = self.log_shape - self.log_mean
        return purchases * (shape * log_rate - torch.lgamma(shape)) + (shape - 1) * log_spend - log_rate.exp() * spend

    def window_log_likelihood(
        self, horizon: Tensor, purchases: Tensor, last_offset: Tensor, spend: Tensor, log_spend: Tensor
    ) -> Tensor:
        """[N] log-likelihood of the windows [cutoff, cutoff + horizon): log sum_k pi_k L_counts,k L_amounts,k.

        Shape: every argument [N]. `last_offset` is 0 without a purchase.
        """
        n = purchases.unsqueeze(-1)  # [N, 1]
        active = self.count_log_likelihood(horizon.unsqueeze(-1), n, last_offset.unsqueeze(-1))
        active = active + self.amount_log_likelihood(n, spend.unsqueeze(-1), log_spend.unsqueeze(-1))
        gone = torch.where(purchases > 0, -torch.inf, torch.zeros_like(horizon))  # who is gone buys nothing
        return torch.logsumexp(self.log_weight + torch.cat([gone.unsqueeze(-1), active], dim=-1), dim=-1)

    # -- moments and probabilities, per customer -------------------------------------------------------------

    @cached_property
    def gone(self) -> Tensor:
        """[N] the weight of those already gone."""
        return self.log_weight[..., 0].exp()

    @cached_property
    def weight(self) -> Tensor:
        """[N, K] weights of the behaviours that can still buy."""
        return self.log_weight[..., 1:].exp()

    @cached_property
    def rate(self) -> Tensor:
        """[N, K] lambda."""
        return self.log_rate.exp()

    @cached_property
    def hazard(self) -> Tensor:
        """[N, K] mu."""
        return self.log_hazard.exp()

    @cached_property
    def log_pace(self) -> Tensor:
        """[N, K] log s: the rate at which something happens, purchase or dropout."""
        return torch.logaddexp(self.log_rate, self.log_hazard)

    @cached_property
    def pace(self) -> Tensor:
        """[N, K] s = lambda + mu."""
        return self.log_pace.exp()

    @cached_property
    def silent(self) -> Tensor:
        """[N, K] mu / s: P(the dropout comes first)."""
        return (self.log_hazard - self.log_pace).exp()

    @cached_property
    def buying(self) -> Tensor:
        """[N, K] pi lambda / s: the weight of those who buy at least once more."""
        return self.weight * (1 - self.silent)

    def alive_probability(self) -> Tensor:
        """[N] P(the customer can still buy at the cutoff) = 1 - the weight of those already gone."""
        return -torch.expm1(self.log_weight[..., 0])

    def discounted_transactions(self, horizon: Tensor | float, rate: float = 0.0) -> Tensor:
        """[N] E[sum of exp(-rate t_i)] over purchases up to the horizon; `rate` is continuous, per time unit.

        lambda (1 - exp(-(mu + d) H)) / (mu + d); an infinite horizon with d > 0 is the residual lifetime.
        Source: Fader, Hardie and Lee (2005), 'RFM and CLV', in the discrete mixture.
        """
        return (self.weight * self._discounted(horizon, rate)).sum(-1)

    def expected_transactions(self, horizon: Tensor | float) -> Tensor:
        """[N] E[N(H)] = sum_k pi_k lambda_k (1 - exp(-mu_k H)) / mu_k."""
        return self.discounted_transactions(horizon)

    def expected_spend(self, horizon: Tensor | float) -> Tensor:
        """[N] E[spend(H)] = sum_k pi_k m_k E_k[N(H)]."""
        return (self.weight * self.log_mean.exp() * self._discounted(horizon, 0.0)).sum(-1)

    def _discounted(self, horizon: Tensor | float, rate: float) -> Tensor:
        """[N, K] discounted transactions of each behaviour."""
        leaving = self.hazard + rate
        time = -torch.expm1(-leaving * _column(horizon, leaving)) / leaving
        return time * self.rate

    def churn_probability(self, horizon: Tensor | float) -> Tensor:
        """[N] P(N(H) = 0) = pi_0 + sum_k pi_k [mu_k + lambda_k exp(-s_k H)] / s_k."""
        waiting = torch.exp(-self.pace * _column(horizon, self.log_pace))
        churn = self.never_probability() + (self.buying * waiting).sum(-1)
        return churn.clamp_max(1)  # the weights sum to one up to rounding

    def never_probability(self) -> Tensor:
        """[N] P(no purchase ever) = pi_0 + sum_k pi_k mu_k / s_k: the limit of churn."""
        return self.gone + (self.weight * self.silent).sum(-1)

    def behaviour_pmf(self, horizon: Tensor | float, maximum: int) -> Tensor:
        """[N, K, maximum + 1] P(N(H) = n | behaviour k) for n = 0 ... maximum.

        exp(-s H) (lambda H)^n / n! + mu lambda^n / s^(n+1) * P(n + 1, s H), where
        P(n + 1, x) = 1 - sum_{j <= n} x^j exp(-x) / j!.
        """
        log_s = self.log_pace
        n = torch.arange(maximum + 1, dtype=log_s.dtype, device=log_s.device)
        log_x = log_s + torch.log(_column(horizon, log_s))  # s H
        poisson = (n * log_x.unsqueeze(-1) - log_x.exp().unsqueeze(-1) - torch.lgamma(n + 1)).exp()  # [N, K, n]
        all_buy = (n * (self.log_rate - log_s).unsqueeze(-1)).exp()  # (lambda / s)^n
        alive = all_buy * poisson
        beyond = (1 - poisson.cumsum(-1)).clamp_min(0)
        dropped = all_buy * (self.log_hazard - log_s).exp().unsqueeze(-1) * beyond
        return alive + dropped

    def count_log_probability(self, horizon: Tensor, purchases: Tensor) -> Tensor:
        """[N] log P(N(H) = n) of one number of purchases [N] for each customer; see `behaviour_pmf`."""
        n, h = purchases.unsqueeze(-1), horizon.unsqueeze(-1)  # [N, 1]
        log_s = self.log_pace
        x = log_s.exp() * h
        alive = n * (self.log_rate + h.log()) - x - torch.lgamma(n + 1)
        beyond = torch.special.gammainc((n + 1).expand_as(x), x).clamp_min(torch.finfo(x.dtype).tiny)
        dropped = self.log_hazard + n * self.log_rate - (n + 1) * log_s + beyond.log()
        gone = torch.where(purchases > 0, -torch.inf, torch.zeros_like(horizon)).unsqueeze(-1)
        active = torch.logaddexp(alive, dropped)
        return torch.logsumexp(self.log_weight + torch.cat([gone, active], dim=-1), dim=-1)

    def transaction_pmf(self, horizon: Tensor | float, maximum: int) -> Tensor:
        """[N, maximum + 1] P(N(H) = n)."""
        pmf = torch.einsum("nk,nkm->nm", self.weight, self.behaviour_pmf(horizon, maximum))
        pmf[..., 0] += self.gone
        return pmf

    # -- draws ----------------------------------------------------------------------------------------------

    def sample(self, horizons: Sequence[float], draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw (number of purchases, spend) jointly at several increasing horizons: each [N, S, H].

        k ~ pi; life ~ Exp(mu); purchases ~ Poisson(lambda x lifetime) by increments; spend ~ Gamma(N a, a / m).
        """
        k = torch.multinomial(self.log_weight.exp(), draws, replacement=True, generator=generator)  # [N, S]
        pick = lambda t: t.gather(-1, (k - 1).clamp_min(0))  # noqa: E731
        rate = torch.where(k == 0, 0.0, pick(self.log_rate).exp())
        life = torch.empty_like(rate).exponential_(generator=generator) / pick(self.log_hazard).exp()
        shape, mean = pick(self.log_shape).exp(), pick(self.log_mean).exp()
        counts, spends, start = [], [], 0.0
        for end in horizons:
            exposure = (life.clamp_max(end) - start).clamp_min(0)
            count = torch.poisson(rate * exposure, generator=generator)
            amount_shape = (count * shape).clamp_min(torch.finfo(rate.dtype).tiny)
            spend = torch._standard_gamma(amount_shape, generator=generator) * mean / shape
            counts.append(count)
            spends.append(torch.where(count > 0, spend, 0.0))
            start = end
        return torch.stack(counts, -1).cumsum(-1), torch.stack(spends, -1).cumsum(-1)


def concatenate(processes: Sequence[PurchaseProcess]) -> PurchaseProcess:
    """Average predictive distributions: a mixture of mixtures is again a mixture, so behaviours are joined."""
    if len(processes) == 1:
        return processes[0]
    log_share = torch.log(torch.tensor(float(len(processes)), dtype=torch.float64))
    gone = torch.logsumexp(torch.stack([p.log_weight[..., 0] for p in processes], -1), -1, keepdim=True)
    active = torch.cat([p.log_weight[..., 1:] for p in processes], -1)
    weight = torch.cat([gone, active], -1)
    join = lambda name: torch.cat([getattr(p, name) for p in processes], -1)  # noqa: E731
    return PurchaseProcess(
        weight - log_share.to(weight), join("log_rate"), join("log_hazard"), join("log_shape"), join("log_mean")
    )


def _column(horizon: Tensor | float, like: Tensor) -> Tensor:
    """A horizon as [N, 1] or scalar, ready to broadcast against [N, K]."""
    value = torch.as_tensor(horizon, dtype=like.dtype, device=like.device)
    return value.unsqueeze(-1) if value.ndim else value
