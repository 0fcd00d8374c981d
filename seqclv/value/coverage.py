"""Do the intervals of totals keep their word? Rolling cutoffs, each judged with what earlier ones had shown.

At every cutoff a model is fitted on what lies before it and forecasts the total of the window after it. The spread of
the level at a cutoff comes from those earlier cutoffs whose windows had ended by then, and from nothing later.

Shape: C cutoffs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqclv.baselines.classical import Kind, fit_classical
from seqclv.baselines.rfm import rfm_table
from seqclv.bundle import Bundle
from seqclv.config import Config
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.windows import history, outcome
from seqclv.forecast.chunks import chunked
from seqclv.forecast.forecaster import predict
from seqclv.value.totals import COVERAGE, interval

Fit = Callable[[Events, int], Bundle]  # merged histories, cutoff -> model
QUANTITIES = ("transactions", "spend")


@dataclass(frozen=True, kw_only=True)
class Total:
    """The total of one quantity in one window: what was expected and what happened."""

    cutoff: int  # microseconds
    horizon_days: float
    quantity: str
    expected: float
    own_variance: float  # sum of the customers' own
    actual: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A total beside its intervals."""

    total: Total
    spread: float
    low: float
    high: float
    own_low: float  # without the shared error
    own_high: float

    @property
    def covered(self) -> bool:
        """Whether the interval contains what happened."""
        return self.low <= self.total.actual <= self.high

    @property
    def covered_by_own(self) -> bool:
        """Whether the interval without the shared error does."""
        return self.own_low <= self.total.actual <= self.own_high


def rolling_totals(
    events: Events, cutoffs: Sequence[int], horizon_days: float, fit: Fit, *, merge: str = "1d"
) -> list[Total]:
    """The totals of [cutoff, cutoff + horizon) of the customers known at each cutoff (microseconds)."""
    found: list[Total] = []
    for cutoff in cutoffs:
        past = history(events, cutoff, merge)
        model = fit(past, cutoff)
        sums = np.zeros((len(QUANTITIES), 2))
        for part in chunked([past]):
            forecast = predict(model, part, cutoff)
            variance = forecast.discounted_spend_variance([horizon_days], 0.0)
            sums[0] += (
                forecast.expected_transactions([horizon_days]).sum(),
                forecast.transaction_variance([horizon_days]).sum(),
            )
            sums[1] += forecast.expected_spend([horizon_days]).sum(), np.nan if variance is None else variance.sum()
        actual = outcome(events, past.customer_id, cutoff, horizon_days, merge)
        happened = (float(actual.transactions.sum()), float(actual.spend.sum()))
        found += [
            Total(
                cutoff=cutoff,
                horizon_days=horizon_days,
                quantity=quantity,
                expected=float(mean),
                own_variance=float(own),
                actual=value,
            )
            for quantity, (mean, own), value in zip(QUANTITIES, sums, happened, strict=True)
        ]
    return found


def classical_fit(kind: Kind, horizon_days: float) -> Fit:
    """A classical model at every cutoff, fitted and nothing else: no tiers, no levels of its own."""

    def fit(past: Events, cutoff: int) -> Bundle:
        """Fit to a history that ends at the cutoff."""
        return Bundle(
            kind=kind,
            config=Config(),
            training_cutoff=cutoff,
            horizon_days=horizon_days,
            fingerprint="",
            classical=fit_classical(kind, rfm_table(past, cutoff)),
        )

    return fit


def level_spread(matured: Sequence[Total]) -> float:
    """The spread of actual / expected around one, beyond what the customers' own errors explain."""
    ratio = np.array([total.actual / total.expected for total in matured])
    own = np.array([total.own_variance / total.expected**2 for total in matured])
    return float(np.sqrt(max(np.mean((ratio - 1) ** 2) - np.mean(own), 0.0)))


def judge(totals: Sequence[Total], *, warm_up: int = 4, coverage: float = COVERAGE) -> list[Judged]:
    """The totals at cutoffs with at least `warm_up` earlier ones whose windows had ended."""
    judged = []
    for total in totals:
        matured = [
            other
            for other in totals
            if other.quantity == total.quantity
            and other.cutoff + other.horizon_days * MICROSECONDS_PER_DAY <= total.cutoff
        ]
        if len(matured) < warm_up:
            continue
        spread = level_spread(matured)
        mean, own = np.array([total.expected]), np.array([total.own_variance])
        low, high = interval(mean, own, spread, coverage)
        own_low, own_high = interval(mean, own, 0.0, coverage)
        judged.append(
            Judged(
                total=total,
                spread=spread,
                low=float(low[0]),
                high=float(high[0]),
                own_low=float(own_low[0]),
                own_high=float(own_high[0]),
            )
        )
    return judged
