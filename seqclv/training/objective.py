"""The loss: minus the log-likelihood of what happened in the windows after the queries."""

import torch
from torch import Tensor

from seqclv.batch import FutureWindow, TrainingBatch
from seqclv.model.network import Network
from seqclv.model.process import PurchaseProcess


def network_loss(network: Network, batch: TrainingBatch) -> Tensor:
    """Nats per window of a batch: the process is judged on the network's seasonal clock."""
    process = network(batch.events)
    season = network.season
    loss = negative_log_likelihood(process, season.window(batch.events.phase, batch.future))
    if season.harmonics == 0:
        return loss
    weight = batch.future.weight
    return loss - (weight * season.log_likelihood(batch.future)).sum() / weight.sum().clamp_min(1e-9)


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
