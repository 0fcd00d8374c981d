"""Quantiles of a purchase process by inverting its distribution function; no simulated futures.

Shape: see the legend in `seqclv.batch`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqclv.model.gamma import gamma_table
from seqclv.model.inversion import invert
from seqclv.model.process import PurchaseProcess
from seqclv.model.support import support_bound


def quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Quantiles of the number of purchases and of their spend, each [N, Q], of a process in float64.

    See `transaction_quantiles` and `spend_quantiles`; both follow from the same probabilities of counts.
    """
    churn = process.churn_probability(horizon)
    unit = process.log_mean.amax(-1, keepdim=True)  # a customer's own: squares of the largest amounts may overflow
    amounts = (process.log_shape.exp(), (process.log_mean - unit).exp())
    behaviours = torch.stack([process.weight, process.rate, process.hazard, *amounts], dim=1)  # [N, 5, K]
    counts, spend = invert(
        behaviours.contiguous().numpy(),
        churn.numpy(),
        support_bound(process, horizon).numpy(),
        float(horizon),
        np.asarray(levels, dtype=np.float64),
        gamma_table(),
    )
    return torch.from_numpy(counts), torch.from_numpy(spend) * unit.exp()


def transaction_quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> Tensor:
    """[N, Q] the smallest n with P(N(H) <= n) >= level."""
    return quantiles(process, horizon, levels)[0]


def spend_quantiles(process: PurchaseProcess, horizon: float, levels: Sequence[float]) -> Tensor:
    """[N, Q] the smallest y with P(spend(H) <= y) >= level, of a process in float64.

    P(spend <= y) = P(N = 0) + sum_k pi_k sum_n P_k(n) GammaCDF(y; n a_k, a_k / m_k) is inverted to within 1e-5 of
    the level; 0 where P(N = 0) reaches it.
    """
    return quantiles(process, horizon, levels)[1]
