"""The loss: minus the log-likelihood of what happened in the windows after the queries."""

import torch
from torch import Tensor

from seqclv.batch import FutureWindow
from seqclv.model.process import PurchaseProcess


def negative_log_likelihood(process: PurchaseProcess, future: FutureWindow) -> Tensor:
    """Weighted mean over the [N, W] windows, in nats per window."""
    total = torch.zeros((), device=future.weight.device)
    for w in range(future.horizon.shape[1]):
        log_likelihood = process.window_log_likelihood(
            future.horizon[:, w],
            future.purchases[:, w],
            future.last_offset[:, w],
            future.spend[:, w],
            future.log_spend[:, w],
        )
        total = total - (future.weight[:, w] * log_likelihood).sum()
    return total / future.weight.sum().clamp_min(1e-9)
