"""What earlier cutoffs say about a model: how far the level of the whole base strays from what is expected.

Customers' own errors average out over a base; an error that all share does not. Its spread is what the interval of a
total needs beside the customers' own variances (see `seqclv.value.totals`). `seqclv.forecast.levels` measures it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LevelSpread:
    """Standard deviation of actual / forecast totals over earlier cutoffs, shares; 0.05 is five per cent."""

    transactions: float = 0.0
    spend: float = 0.0

    def of(self, quantity: str) -> float:
        """The spread that a quantity's total has: money follows the spread of spend."""
        return self.transactions if quantity == "transactions" else self.spend


@dataclass(frozen=True, kw_only=True)
class Level:
    """The totals of one earlier window: what happened as a multiple of what was forecast."""

    cutoff: str  # ISO
    horizon_days: float
    customers: int
    transactions: float | None  # actual / forecast; None where nothing was forecast
    spend: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The levels at earlier cutoffs and their spread beyond what the customers' own errors explain."""

    levels: tuple[Level, ...]
    spread: LevelSpread
