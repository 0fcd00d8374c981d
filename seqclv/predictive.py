"""What every forecasting method hands to scoring and evaluation: one predictive distribution per customer."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Predictive(Protocol):
    """The forecasts of N customers, as of one cutoff, for any horizon in days.

    A method returns None where it has no answer, as point forecasts have no quantiles: nothing is invented.

    Shape: per-horizon results are [N, H]; quantiles [N, H, Q]; draws [N, S].
    """

    def __len__(self) -> int:
        """Number of customers N."""
        ...

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray | None:
        """E[number of purchases in [cutoff, cutoff + horizon)]."""
        ...

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray | None:
        """E[amount of the purchases in the window], currency units."""
        ...

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray | None:
        """P(no purchase in the window)."""
        ...

    def alive_probability(self) -> FloatArray | None:
        """[N] P(the customer can still buy at the cutoff)."""
        ...

    def next_purchase_median(self) -> FloatArray | None:
        """[N] median days to the next purchase; NaN where the customer more likely never buys again."""
        ...

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray | None:
        """The smallest n with P(N <= n) >= level."""
        ...

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray | None:
        """The smallest amount y with P(spend <= y) >= level."""
        ...

    def transaction_pmf(self, horizon_days: float, maximum: int) -> FloatArray | None:
        """[N, maximum + 1] P(N = n) for n = 0 ... maximum."""
        ...

    def sample(self, horizon_days: float, draws: int, seed: int) -> tuple[FloatArray | None, FloatArray] | None:
        """Draws of (number of purchases, spend) in the window, each [N, S]."""
        ...


class Discounted(Protocol):
    """What valuation asks of a deployed model beside `Predictive`: discounted sums over time, and variances.

    `rate` is the continuous discount rate per day; a horizon may be infinite. A sum that has no end is inf, a variance
    that is infinite NaN; money is NaN, and its variance None, where the model knows no amounts.

    Shape: [N, H].
    """

    def __len__(self) -> int:
        """Number of customers N."""
        ...

    def discounted_transactions(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """E[sum of exp(-rate t_i)] over the purchases, at t_i days after the cutoff."""
        ...

    def discounted_spend(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """E[sum of exp(-rate t_i) v_i] over the purchases and their amounts."""
        ...

    def discounted_alive_days(self, horizons_days: Sequence[float], rate: float) -> FloatArray:
        """The integral of exp(-rate t) P(alive at t)."""
        ...

    def transaction_variance(self, horizons_days: Sequence[float]) -> FloatArray:
        """Var[number of purchases in the window]."""
        ...

    def discounted_spend_variance(self, horizons_days: Sequence[float], rate: float) -> FloatArray | None:
        """Var[sum of exp(-rate t_i) v_i]."""
        ...
