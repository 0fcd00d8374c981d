"""The loss: minus the log-likelihood of what happened in the windows after the queries."""

import torch
from torch import Tensor

from seqclv.batch import FutureWindow, TrainingBatch
from seqclv.model.network import Network
from seqclv.model.process import PurchaseProcess

_SURE = 1e-6  # probabilities of churn are kept this far from 0 and 1


def network_loss(network: Network, batch: TrainingBatch) -> Tensor:
    """Nats per window of a batch: the process is judged on the network's seasonal clock."""
    process = network(batch.events)
    season = network.season
    loss = negative_log_likelihood(process, season.window(batch.events.phase, batch.future, batch.events.days))
    if season.steady:
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


def judged_loss(process: PurchaseProcess, future: FutureWindow) -> Tensor:
    """What forecasts are judged by, in nats per window: whether somebody buys at all, and how often.

    The log score of churn over every window, and that of the number of purchases in the first one of each query.
    """
    total = torch.zeros((), device=future.weight.device)
    for w in range(future.horizon.shape[1]):
        churn = process.churn_probability(future.horizon[:, w]).clamp(_SURE, 1 - _SURE)
        score = torch.where(future.purchases[:, w] > 0, torch.log1p(-churn), churn.log())
        total = total - (future.weight[:, w] * score).sum()
    counted = process.count_log_probability(future.horizon[:, 0], future.purchases[:, 0])
    weight = future.weight[:, 0]
    counts = -(weight * counted).sum() / weight.sum().clamp_min(1e-9)
    return total / future.weight.sum().clamp_min(1e-9) + counts
