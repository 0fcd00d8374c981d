"""Purchase processes as the `Predictive` of scoring and evaluation: days and currency, numpy, float64."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqclv.batch import DAYS_PER_YEAR, KnownDays
from seqclv.forecast.discounting import integrals, leaving_time, squared_count, squared_spend
from seqclv.model.process import PurchaseProcess, concatenate
from seqclv.model.quantiles import quantiles
from seqclv.model.season import SeasonalClock
from seqclv.model.support import by_support
from seqclv.predictive import FloatArray

_SHORTEST_DAYS, _LONGEST_DAYS = 1e-3, 1e6  # between which the median time to the next purchase is sought
_HORIZON_BLOCK = 16  # horizons whose integrals are held at once
_SEARCH_STEPS = 100
_SEARCH_ERROR = 1e-11  # of the logarithm of the cumulative hazard, or of the days
_TINY, _ROUNDING = 1e-300, 1e-16


@dataclass(frozen=True)
class Clock:
    """The operational days that pass in the days after a cutoff, at `phase` of the year.

    With a calendar the phase is in years since the turn of the year before its first day, see `KnownDays`.
    """

    season: SeasonalClock
    phase: float
    days: KnownDays | None = None

    @property
    def known_days(self) -> float:
        """Days after the cutoff of which the calendar tells; the season repeats itself after them."""
        if self.days is None:
            return 0.0
        return max(len(self.days.values) - (self.phase - self.days.phase) * DAYS_PER_YEAR, 0.0)

    @property
    def steady(self) -> bool:
        """Whether operational time is clock time from the cutoff on."""
        return self.season.harmonics == 0 and self.known_days == 0

    def __call__(self, days: Tensor) -> Tensor:
        """Days -> operational days, elementwise, float64."""
        phase = torch.full_like(days, self.phase)
        with torch.no_grad():
            return self.season.operational(phase, days / DAYS_PER_YEAR, self.days) * DAYS_PER_YEAR


@dataclass(frozen=True)
class ClockedProcess:
    """One network's processes, in operational days and currency, and its clock."""

    process: PurchaseProcess
    clock: Clock | None = None  # without one operational time is clock time

    @property
    def steady(self) -> bool:
        """Whether its operational time is clock time."""
        return self.clock is None or self.clock.steady

    def until(self, horizon_days: float) -> PurchaseProcess:
        """The process in clock time up to a horizon: its rates hold on average over the window."""
        if self.clock is None or self.steady or math.isinf(horizon_days):  # over all time the mean pace is one
            return self.process
        passed = self.clock(torch.tensor(horizon_days, dtype=torch.float64))
        return self.process.faster(float(passed) / horizon_days)

    def churn_within(self, days: Tensor) -> Tensor:
        """[N] P(no purchase within days [N])."""
        return self.process.churn_probability(days if self.clock is None or self.steady else self.clock(days))

    def select(self, rows: Tensor) -> "ClockedProcess":
        """Keep the given customers."""
        return replace(self, process=self.process.select(rows))


class ProcessForecast:
    """The forecasts of N customers: the average of one or more networks' processes."""

    def __init__(self, parts: Sequence[ClockedProcess]) -> None:
        self.parts = [ClockedProcess(part.process.double(), part.clock) for part in parts]
        self._answered: tuple[tuple[tuple[float, ...], ...], FloatArray, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self.parts[0].process)

    def until(self, horizon_days: float) -> PurchaseProcess:
        """The joint mixture, whose closed forms hold for the window [cutoff, cutoff + horizon)."""
        return self._joined if self.steady else concatenate([part.until(horizon_days) for part in self.parts])

    @property
    def steady(self) -> bool:
        """Whether the operational time of all networks is clock time."""
        return all(part.steady for part in self.parts)

    @cached_property
    def _joined(self) -> PurchaseProcess:
        """The joint mixture where operational time is clock time."""
        return concatenate([part.process for part in self.parts])

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
        """[N] the median number of days to the next purchase; NaN where it is more likely that none comes in 1e6 days.

        One below a thousandth of a day is given as that.

        Sought by false position, whose stale end loses weight as Anderson and Bjorck (1973) have it, in the logarithm
        of the days and on a scale on which one behaviour's waiting is a straight line; customers that are found leave
        the search by halves.
        """
        parts = [ClockedProcess(self._joined)] if self.steady else self.parts
        never = _mean([part.process.never_probability() for part in parts])
        median = torch.full_like(never, math.nan)
        rows = torch.nonzero(never < 0.5).squeeze(-1)
        parts, never = [part.select(rows) for part in parts], never[rows]

        def beyond(log_days: Tensor) -> Tensor:
            """Above zero where more than half have bought by then, on the scale of the search."""
            churn = _mean([part.churn_within(log_days.exp()) for part in parts])
            return _log_hazard((churn - never) / (1 - never)) - _log_hazard((0.5 - never) / (1 - never))

        low = torch.full_like(never, math.log(_SHORTEST_DAYS))
        high = torch.full_like(never, math.log(_LONGEST_DAYS))
        below, above = beyond(low), beyond(high)
        late = rows[above <= 0]
        for step in range(_SEARCH_STEPS):
            # The slope is at most one, seldom below a half: two first steps give a narrow bracket.
            middle = low - (step + 1) * below if step < 2 else high - (high - low) * above / (above - below)
            middle = torch.where((middle > low) & (middle < high), middle, (low + high) / 2)
            median[rows] = middle.exp()
            found = beyond(middle)
            passed = found > 0
            kept = 1 - found / torch.where(passed, above, below)
            kept = torch.where(kept > 0, kept, 0.5)
            below, above = torch.where(passed, below * kept, found), torch.where(passed, found, above * kept)
            low, high = torch.where(passed, low, middle), torch.where(passed, middle, high)
            left = torch.nonzero((found.abs() > _SEARCH_ERROR) & (high - low > _SEARCH_ERROR)).squeeze(-1)
            if not len(left):
                break
            if 2 * len(left) <= len(rows):
                rows, low, high, below, above = (t[left] for t in (rows, low, high, below, above))
                parts, never = [part.select(left) for part in parts], never[left]
        median[late] = math.nan
        return np.asarray(median.numpy())

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[N, H, Q] the smallest n with P(N <= n) >= level."""
        return self._quantiles(horizons_days, levels)[0]

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[N, H, Q] the smallest y with P(spend <= y) >= level."""
        return self._quantiles(horizons_days, levels)[1]

    def _quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """Both kinds, which share their work; the last answer is remembered, as they are asked for one by one."""
        asked = (tuple(map(float, horizons_days)), tuple(levels))
        if self._answered is None or self._answered[0] != asked:
            together = [asked[0]] if self.steady else [(h,) for h in asked[0]]  # horizons that share a process
            answers = [quantiles(self.until(share[0]), share, levels) for share in together]
            counts, spend = (np.asarray(torch.cat(both, dim=1).numpy()) for both in zip(*answers, strict=True))
            self._answered = (asked, counts, spend)
        return self._answered[1:]

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


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)


def _log_hazard(share: Tensor) -> Tensor:
    """Log of the cumulative hazard where a share is left; finite."""
    return torch.log(-torch.log(share.clamp(_TINY, 1 - _ROUNDING)))
