"""Forecasts of the classical models: one predictive distribution per customer, in closed form.

Conjugacy leaves at most one integral: given alive, the count is BG/NBD's closed form with updated parameters or
a negative binomial mixed over the dropout time (Pareto/NBD). Churn, mean, quantiles and PMF of a horizon come from
the same sums, so they cannot contradict each other.

Shape: see `seqclv.predictive`; C customers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy.special import gammainccinv

from seqclv.baselines.compound import Amounts, spend_quantile
from seqclv.baselines.discounting import Course, moments

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_GROUP_ELEMENTS = 2_000_000  # largest intermediate array, elements
_TAIL = 1e-10  # probability of counts that are left out


class Future(Protocol):
    """The future purchases of customers who are alive, the rate having a Gamma posterior: each column [C]."""

    @property
    def shape(self) -> FloatArray:
        """Shape of the rate."""
        ...

    @property
    def scale(self) -> FloatArray:
        """Inverse scale of the rate, days."""
        ...

    def select(self, rows: IntArray) -> Self:
        """Keep the given customers."""
        ...

    def expected(self, horizon: float) -> FloatArray:
        """[C] E[N(H) | alive]."""
        ...

    def none(self, horizon: float) -> FloatArray:
        """[C] P(N(H) = 0 | alive)."""
        ...

    def days_until_none_is(self, probability: FloatArray) -> FloatArray:
        """[C] the horizon at which P(N(H) = 0 | alive) has fallen to `probability` [C].

        NaN where a million days do not suffice.
        """
        ...

    def pmf(self, horizon: float, maximum: int) -> FloatArray:
        """[C, maximum + 1] P(N(H) = n | alive)."""
        ...

    def draw(self, horizon: float, draws: int, generator: np.random.Generator) -> FloatArray:
        """[C, S] draws of N(H) given alive."""
        ...

    def course(self, time: FloatArray) -> Course:
        """Alive, buying and buying twice at `time` [C, T], given alive at 0."""
        ...

    def lifetime(self) -> tuple[FloatArray, FloatArray]:
        """[C] E[purchases ever | alive] and E[days alive | alive]; may be infinite."""
        ...


@dataclass(frozen=True)
class ClassicalForecast:
    """Fulfils `seqclv.predictive.Predictive`.

    alive: [C] P(alive at the cutoff).
    future: purchases of those alive.
    amounts: posterior of the amounts; None where they are unknown: spend is NaN then, and has no quantiles.
    """

    alive: FloatArray
    future: Future
    amounts: Amounts | None
    _known: dict[tuple[tuple[float, ...], float], FloatArray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.alive)

    def select(self, rows: IntArray) -> Self:
        """Keep the given customers."""
        amounts = None if self.amounts is None else self.amounts.select(rows)
        return type(self)(self.alive[rows], self.future.select(rows), amounts)

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] E[N] in [cutoff, cutoff + horizon)."""
        return np.stack([self.alive * self.future.expected(h) for h in horizons_days], axis=-1)

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] E[spend]: purchases and amounts are independent. NaN where amounts are unknown."""
        mean = np.full(len(self), np.nan) if self.amounts is None else self.amounts.mean()
        return self.expected_transactions(horizons_days) * mean[:, None]

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] P(no purchase in the window)."""
        return np.stack([1 - self.alive * (1 - self.future.none(h)) for h in horizons_days], axis=-1)

    def alive_probability(self) -> FloatArray:
        """[C] P(the customer can still buy at the cutoff)."""
        return self.alive

    def transaction_pmf(self, horizon_days: float, maximum: int) -> FloatArray:
        """[C, maximum + 1] P(N = n)."""
        result = np.empty((len(self), maximum + 1))
        step = max(1, _GROUP_ELEMENTS // (maximum + 1))
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))
            result[rows] = self._pmf(rows, horizon_days, maximum)
        return result

    def next_purchase_median(self) -> FloatArray:
        """[C] median days to the next purchase, where churn is a half.

        NaN where the customer more likely never buys, or not within a million days.
        """
        result = np.full(len(self), np.nan)
        rows = np.flatnonzero(self.alive > 0.5)
        result[rows] = self.future.select(rows).days_until_none_is(1 - 0.5 / self.alive[rows])
        return result

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[C, H, Q] the smallest n with P(N <= n) >= level."""
        result = np.zeros((len(self), len(horizons_days), len(levels)))
        everyone = np.arange(len(self))
        for h, horizon in enumerate(horizons_days):
            for rows, maximum in self._by_support(everyone, horizon):
                cdf = self._pmf(rows, horizon, maximum).cumsum(-1)
                for q, level in enumerate(levels):
                    result[rows, h, q] = (cdf < level).sum(-1)
        return result

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray | None:
        """[C, H, Q] the smallest y with P(spend <= y) >= level; None where amounts are unknown."""
        if self.amounts is None:
            return None
        result = np.zeros((len(self), len(horizons_days), len(levels)))
        for h, horizon in enumerate(horizons_days):
            churn = self.churn_probability([horizon])[:, 0]
            buying = np.flatnonzero(churn < max(levels, default=0.0))
            for rows, maximum in self._by_support(buying, horizon):
                pmf = self._pmf(rows, horizon, maximum)[:, 1:]
                amounts = self.amounts.select(rows)
                for q, level in enumerate(levels):
                    result[rows, h, q] = spend_quantile(pmf, amounts, level - churn[rows])
        return result

    def sample(self, horizon_days: float, draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
        """Draws of (number of purchases, spend), each [C, S]; spend is NaN where amounts are unknown."""
        generator = np.random.default_rng(seed)
        alive = generator.random((len(self), draws)) < self.alive[:, None]
        counts = np.where(alive, self.future.draw(horizon_days, draws, generator), 0.0)
        if self.amounts is None:
            return counts, np.full_like(counts, np.nan)
        return counts, self.amounts.draw(counts, generator)

    def discounted_transactions(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[C, H] E[sum of exp(-rate t_i)] over the purchases; `rate` is continuous, per day; H may be infinite."""
        return np.asarray(self.alive[:, None] * self._moments(horizons_days, rate)[0])

    def discounted_spend(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[C, H] E[sum of exp(-rate t_i) v_i]. NaN where amounts are unknown."""
        mean = np.full(len(self), np.nan) if self.amounts is None else self.amounts.mean()
        return self.discounted_transactions(horizons_days, rate) * mean[:, None]

    def discounted_alive_days(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[C, H] the integral of exp(-rate t) P(alive at t)."""
        return np.asarray(self.alive[:, None] * self._moments(horizons_days, rate)[1])

    def transaction_variance(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] Var[N]."""
        once, _, twice = self._moments(horizons_days, 0.0)
        alive = self.alive[:, None]
        return np.asarray(alive * (twice + once) - (alive * once) ** 2)

    def discounted_spend_variance(self, horizons_days: Sequence[float], rate: float) -> FloatArray | None:
        """[C, H] Var[sum of exp(-rate t_i) v_i]; NaN where it is infinite, None where amounts are unknown.

        The amounts of a customer share nu: E[v_i v_j] = p^2 E[nu^-2], E[v_i^2] = p (p + 1) E[nu^-2].
        """
        if self.amounts is None:
            return None
        p, square, mean = self.amounts.p, self.amounts.mean_square_scale()[:, None], self.amounts.mean()[:, None]
        once, _, twice = self._moments(horizons_days, rate)
        alone = once if rate == 0 else self._moments(horizons_days, 2 * rate)[0]
        alive = self.alive[:, None]
        second = alive * square * (p * (p + 1) * alone + p**2 * twice)
        return np.asarray(second - (alive * mean * once) ** 2)

    def _moments(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """[3, C, H] given alive; see `discounting.moments`. Each is computed once."""
        key = (tuple(horizons_days), rate)
        if key not in self._known:
            horizons = np.asarray(horizons_days, dtype=np.float64)
            endless = np.isinf(horizons) & (rate == 0)  # nothing ends the sum but the customers' own leaving
            found = np.full((3, len(self), len(horizons)), np.nan)
            unit = self.future.scale / np.maximum(self.future.shape, 1.0)
            if not endless.all():
                found[..., ~endless] = moments(self.future.course, unit, horizons[~endless], rate)
            found[:2, :, endless] = np.stack(self.future.lifetime())[..., None]
            self._known[key] = found
        return self._known[key]

    def _pmf(self, rows: IntArray, horizon: float, maximum: int) -> FloatArray:
        pmf = self.alive[rows, None] * self.future.select(rows).pmf(horizon, maximum)
        pmf[:, 0] += 1 - self.alive[rows]
        return pmf

    def _by_support(self, rows: IntArray, horizon: float) -> Iterator[tuple[IntArray, int]]:
        """Groups of customers with a largest count in common, within a factor of two and in bounded memory.

        The count while alive dominates the count, and is a Poisson mixed over the rate.
        """
        part = self.future.select(rows)
        mean = gammainccinv(part.shape, _TAIL) / part.scale * horizon
        bound = mean + 7 * np.sqrt(mean) + 12
        group = np.ceil(np.log2(bound)).astype(np.int64)
        for g in np.unique(group).tolist():
            members = rows[group == g]
            step = max(1, _GROUP_ELEMENTS // 2**g)
            for start in range(0, len(members), step):
                yield members[start : start + step], 2**g
