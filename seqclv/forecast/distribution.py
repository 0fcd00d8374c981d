"""Purchase processes as the `Predictive` of scoring and evaluation: days and currency, numpy, float64."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqclv.batch import DAYS_PER_YEAR
from seqclv.forecast.discounting import integrals, leaving_time, squared_count, squared_spend
from seqclv.model.process import PurchaseProcess, concatenate
from seqclv.model.quantiles import by_support, spend_quantiles, transaction_quantiles
from seqclv.model.season import SeasonalClock
from seqclv.predictive import FloatArray

_SHORTEST_DAYS, _LONGEST_DAYS = 1e-3, 1e6  # between which the median time to the next purchase is sought
_BISECTIONS = 48  # to a relative 1e-13
_HORIZON_BLOCK = 16  # horizons whose integrals are held at once


@dataclass(frozen=True)
class Clock:
    """The operational days that pass in the days after a cutoff, at `phase` of the year."""

    season: SeasonalClock
    phase: float

    def __call__(self, days: Tensor) -> Tensor:
        """Days -> operational days, elementwise, float64."""
        phase = torch.full_like(days, self.phase)
        with torch.no_grad():
            return self.season.operational(phase, days / DAYS_PER_YEAR) * DAYS_PER_YEAR


@dataclass(frozen=True)
class ClockedProcess:
    """One network's processes, in operational days and currency, and its clock."""

    process: PurchaseProcess
    clock: Clock | None = None  # without one operational time is clock time

    def until(self, horizon_days: float) -> PurchaseProcess:
        """The process in clock time up to a horizon: its rates hold on average over the window."""
        if self.clock is None or math.isinf(horizon_days):  # over all time the season's mean is one
            return self.process
        passed = self.clock(torch.tensor(horizon_days, dtype=torch.float64))
        return self.process.faster(float(passed) / horizon_days)

    def churn_at(self, days: Tensor) -> Tensor:
        """[N] P(no purchase within days [N])."""
        return self.process.churn_probability(days if self.clock is None else self.clock(days))


class ProcessForecast:
    """The forecasts of N customers: the average of one or more networks' processes."""

    def __init__(self, parts: Sequence[ClockedProcess]) -> None:
        self.parts = [ClockedProcess(part.process.double(), part.clock) for part in parts]

    def __len__(self) -> int:
        return len(self.parts[0].process)

    def until(self, horizon_days: float) -> PurchaseProcess:
        """The joint mixture, whose closed forms hold for the window [cutoff, cutoff + horizon)."""
        return concatenate([part.until(horizon_days) for part in self.parts])

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] E[number of purchases in the window]."""
        return self._by_horizon(PurchaseProcess.expected_transactions, horizons_days)

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] E[amount of the purchases in the window]."""
        return self._by_horizon(PurchaseProcess.expected_spend, horizons_days)

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] P(no purchase in the window)."""
        return self._by_horizon(PurchaseProcess.churn_probability, horizons_days)

    def alive_probability(self) -> FloatArray:
        """[N] P(the customer can still buy at the cutoff)."""
        return np.asarray(self.until(1.0).alive_probability().numpy())

    def next_purchase_median(self) -> FloatArray:
        """[N] the median number of days to the next purchase; NaN where the customer more likely never buys again."""
        never = torch.stack([part.process.never_probability() for part in self.parts]).mean(0)
        buys = never < 0.5
        low = torch.full_like(never, math.log(_SHORTEST_DAYS))
        high = torch.full_like(never, math.log(_LONGEST_DAYS))
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            still = self._churn_at(middle.exp()) > 0.5
            low, high = torch.where(still, middle, low), torch.where(still, high, middle)
        return np.where(buys.numpy(), high.exp().numpy(), np.nan)

    def _churn_at(self, days: Tensor) -> Tensor:
        """[N] P(no purchase within days [N])."""
        return torch.stack([part.churn_at(days) for part in self.parts]).mean(0)

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[N, H, Q] the smallest n with P(N <= n) >= level."""
        return self._by_horizon(lambda p, h: transaction_quantiles(p, h, levels), horizons_days)

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[N, H, Q] the smallest y with P(spend <= y) >= level."""
        return self._by_horizon(lambda p, h: spend_quantiles(p, h, levels), horizons_days)

    def transaction_pmf(self, horizon_days: float, maximum: int) -> FloatArray:
        """[N, maximum + 1] P(N = n)."""
        pmf = torch.zeros(len(self), maximum + 1, dtype=torch.float64)
        process = self.until(horizon_days)
        for rows, support in by_support(process, horizon_days):
            part = process.select(rows).transaction_pmf(horizon_days, min(support, maximum))
            pmf[rows, : part.shape[-1]] = part
        return np.asarray(pmf.numpy())

    def sample(self, horizon_days: float, draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
        """Draws of (number of purchases, spend), each [N, S]."""
        generator = torch.Generator().manual_seed(seed)
        counts, spend = self.until(horizon_days).sample([horizon_days], draws, generator)
        return np.asarray(counts[..., 0].numpy()), np.asarray(spend[..., 0].numpy())

    def discounted_transactions(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[N, H] E[sum of exp(-rate t_i)] over the purchases; `rate` is continuous, per day; H may be infinite."""
        return self._discounted(horizons_days, rate, lambda p: p.log_rate.exp())

    def discounted_spend(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[N, H] E[sum of exp(-rate t_i) v_i]."""
        return self._discounted(horizons_days, rate, lambda p: (p.log_rate + p.log_mean).exp())

    def discounted_alive_days(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[N, H] the integral of exp(-rate t) P(alive at t)."""
        return self._discounted(horizons_days, rate, None)

    def _discounted(
        self, horizons_days: Sequence[float], rate: float, worth: Callable[[PurchaseProcess], Tensor] | None
    ) -> FloatArray:
        blocks = [horizons_days[i : i + _HORIZON_BLOCK] for i in range(0, len(horizons_days), _HORIZON_BLOCK)]
        total = torch.cat([self._discounted_block(block, rate, worth) for block in blocks], dim=1)
        return np.asarray((total / len(self.parts)).numpy())

    def _discounted_block(
        self, horizons_days: Sequence[float], rate: float, worth: Callable[[PurchaseProcess], Tensor] | None
    ) -> Tensor:
        """[N, H] summed over the networks."""
        total = torch.zeros(len(self), len(horizons_days), dtype=torch.float64)
        for part in self.parts:
            found, process = integrals(part, horizons_days, rate), part.process
            weight = process.weight if worth is None else process.weight * worth(process)
            time = found.alive if worth is None else found.purchases
            total += torch.einsum("nk,nkh->nh", weight, time)
        return total

    def transaction_variance(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] Var[number of purchases in the window]."""
        return self._by_horizon(squared_count, horizons_days) - self.expected_transactions(horizons_days) ** 2

    def discounted_spend_variance(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[N, H] Var[sum of exp(-rate t_i) v_i], the season taken at its mean over the window; H may be infinite."""

        def variance(process: PurchaseProcess, horizon: float) -> Tensor:
            time = leaving_time(process.log_hazard.exp() + rate, horizon)
            mean = (process.weight * (process.log_rate + process.log_mean).exp() * time).sum(-1)
            return squared_spend(process, horizon, rate) - mean.square()

        return self._by_horizon(variance, horizons_days)

    def _by_horizon(
        self, answer: Callable[[PurchaseProcess, float], Tensor], horizons_days: Sequence[float]
    ) -> FloatArray:
        answers = [answer(self.until(float(h)), float(h)) for h in horizons_days]
        return np.asarray(torch.stack(answers, dim=1).numpy())
