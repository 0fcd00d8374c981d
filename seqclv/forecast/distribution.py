"""A purchase process as the `Predictive` of scoring and evaluation: days and currency, numpy, float64."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from seqclv.model.process import PurchaseProcess
from seqclv.model.quantiles import by_support, spend_quantiles, transaction_quantiles
from seqclv.predictive import FloatArray


class ProcessForecast:
    """The forecasts of N customers, whose processes are in days and currency."""

    def __init__(self, process: PurchaseProcess) -> None:
        self.process = process.double()

    def __len__(self) -> int:
        return len(self.process)

    def expected_transactions(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] E[number of purchases in the window]."""
        return _by_horizon(self.process.expected_transactions, horizons_days)

    def expected_spend(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] E[amount of the purchases in the window]."""
        return _by_horizon(self.process.expected_spend, horizons_days)

    def churn_probability(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] P(no purchase in the window)."""
        return _by_horizon(self.process.churn_probability, horizons_days)

    def alive_probability(self) -> FloatArray:
        """[N] P(the customer can still buy at the cutoff)."""
        return np.asarray(self.process.alive_probability().numpy())

    def transaction_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[N, H, Q] the smallest n with P(N <= n) >= level."""
        return _by_horizon(lambda h: transaction_quantiles(self.process, h, levels), horizons_days)

    def spend_quantiles(self, horizons_days: Sequence[float], levels: Sequence[float]) -> FloatArray:
        """[N, H, Q] the smallest y with P(spend <= y) >= level."""
        return _by_horizon(lambda h: spend_quantiles(self.process, h, levels), horizons_days)

    def transaction_pmf(self, horizon_days: float, maximum: int) -> FloatArray:
        """[N, maximum + 1] P(N = n)."""
        pmf = torch.zeros(len(self), maximum + 1, dtype=torch.float64)
        for rows, support in by_support(self.process, horizon_days):
            part = self.process.select(rows).transaction_pmf(horizon_days, min(support, maximum))
            pmf[rows, : part.shape[-1]] = part
        return np.asarray(pmf.numpy())

    def sample(self, horizon_days: float, draws: int, seed: int) -> tuple[FloatArray, FloatArray]:
        """Draws of (number of purchases, spend), each [N, S]."""
        generator = torch.Generator().manual_seed(seed)
        counts, spend = self.process.sample([horizon_days], draws, generator)
        return np.asarray(counts[..., 0].numpy()), np.asarray(spend[..., 0].numpy())


def _by_horizon(answer: Callable[[float], Tensor], horizons_days: Sequence[float]) -> FloatArray:
    return np.asarray(torch.stack([answer(float(h)) for h in horizons_days], dim=1).numpy())
