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

_NOTHING = 1e-12  # weight of a behaviour that moves no quantile


def quantiles(process: PurchaseProcess, horizons: Sequence[float], levels: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Quantiles of the number of purchases and of their spend, each [N, H, Q], of a process in float64.

    Of purchases it is the smallest n with P(N(H) <= n) >= level. Of spend it is the smallest y with P(spend(H) <= y) >=
    level: P(spend <= y) = P(N = 0) + sum_k pi_k sum_n P_k(n) GammaCDF(y; n a_k, a_k / m_k) is inverted to within 2e-5
    of the level; 0 where P(N = 0) reaches it.
    """
    # A customer's own unit of money, since squares of the largest amounts may overflow; of what has any weight.
    heavy = process.log_mean.masked_fill(process.weight < _NOTHING, -torch.inf)
    unit = heavy.amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float64).min)
    amounts = (process.log_shape.exp(), (process.log_mean - unit).clamp_max(0).exp())
    behaviours = torch.stack([process.weight, process.rate, process.hazard, *amounts], dim=1)  # [N, 5, K]
    churn = torch.stack([process.churn_probability(horizon) for horizon in horizons], dim=1)
    counts, spend = invert(
        behaviours.numpy(),
        churn.numpy(),
        np.asarray(horizons, dtype=np.float64),
        np.asarray(levels, dtype=np.float64),
        gamma_table(),
    )
    return torch.from_numpy(counts), torch.from_numpy(spend) * unit.unsqueeze(-1).exp()
