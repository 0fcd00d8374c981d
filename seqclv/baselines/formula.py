"""The formula of the textbooks: average purchase value x purchase frequency x remaining time.

Shape: C customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqclv.baselines.rfm import RfmTable

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FormulaForecast:
    """Fulfils `seqclv.predictive.Predictive`: means only. Nobody leaves, so churn is not answered.

    rate: [C] purchases per day; value: [C] average amount of a purchase, NaN where unknown.
    """

    rate: FloatArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.rate)

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] rate x horizon."""
        return self.rate[:, None] * np.asarray(horizons_days, dtype=np.float64)

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray:
        """[C, H] value x rate x horizon."""
        return self.value[:, None] * self.expected_transactions(horizons_days)

    def churn_probability(self, horizons_days: Sequence[float]) -> None:
        """Unknown: the formula knows no distribution."""

    def alive_probability(self) -> None:
        """Unknown: in the formula nobody leaves."""

    def next_purchase_median(self) -> None:
        """Not given: None."""
        return

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> None:
        """Unknown: means only."""

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> None:
        """Unknown: means only."""

    def transaction_pmf(self, horizon_days: float, maximum: int) -> None:
        """Unknown: means only."""

    def sample(self, horizon_days: float, draws: int, seed: int) -> None:
        """Unknown: means only."""


@dataclass(frozen=True)
class FormulaModel:
    """What the formula needs of the base: the age below which a customer is too new for a rate, and a mean amount."""

    least_age_days: float
    mean_amount: float  # of a purchase, for customers whose own amounts are unknown; NaN if nothing is known

    def forecast(self, table: RfmTable) -> FormulaForecast:
        """The formula for each customer of a table.

        rate = purchase days, the first included, over the days from the first one to the cutoff (T + 1), a lower
        age counting as `least_age_days`: a newcomer's single purchase is not taken for a daily habit.
        value = the customer's mean amount of a purchase day; where the first amount is unknown, of a repeat, and
        the base's mean for one-time buyers.
        """
        rate = (table.frequency + 1) / np.maximum(table.T + 1, self.least_age_days)
        if table.first_amount is not None:
            total = table.first_amount + table.frequency * table.monetary_value
            return FormulaForecast(rate, total / (table.frequency + 1))
        return FormulaForecast(rate, np.where(table.frequency > 0, table.monetary_value, self.mean_amount))


def fit_formula(table: RfmTable) -> FormulaModel:
    """The base's figures: the mean gap between purchases (the whole observed age where nobody repeats), mean repeat."""
    repeats = float(table.frequency.sum())
    if repeats == 0:
        return FormulaModel(float(table.T.max(initial=0.0)) + 1, np.nan)
    amount = float(table.frequency @ table.monetary_value) / repeats
    return FormulaModel(float(table.recency.sum()) / repeats, amount)
