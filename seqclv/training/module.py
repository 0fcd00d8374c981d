"""The thin LightningModule around a `Network`."""

import math
from typing import Any

import lightning
import torch
from torch import Tensor

from seqclv.batch import TrainingBatch
from seqclv.config import TrainingConfig
from seqclv.model.network import Network
from seqclv.training.objective import network_loss

_WARM_UP_SHARE = 0.1  # of all steps
_EFFECTS_SPEED = 5  # of a calendar's few effects, which all windows tell of, beside the other weights' learning rate


class ForecastModule(lightning.LightningModule):
    """Fits a network by the likelihood of future windows."""

    def __init__(self, network: Network, training: TrainingConfig, customers: int, learning_rate: float) -> None:
        super().__init__()
        self.customers = customers  # the season's prior weighs as much as one customer's window
        self.network = network
        self.training_config, self.learning_rate = training, learning_rate

    def training_step(self, batch: TrainingBatch, batch_index: int) -> Tensor:
        """Nats per window of one batch."""
        loss, windows = self._loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=windows, sync_dist=True)
        return loss + self.network.season.penalty() / self.customers

    def validation_step(self, batch: TrainingBatch, batch_index: int) -> None:
        """Nats per window on the held-out customers."""
        loss, windows = self._loss(batch)
        self.log("val_loss", loss, on_step=False, on_epoch=True, batch_size=windows, sync_dist=True)

    def _loss(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Nats per window of one batch, and its windows.

        Where several processes have a share of the batch each, the mean over them of what they return is the batch's
        loss: each share counts by the weight of its windows.
        """
        loss, processes = network_loss(self.network, batch), self.trainer.world_size
        if processes == 1:
            return loss, _windows(batch)
        weight = batch.future.weight
        whole = torch.stack([weight.sum(), weight.new_tensor(float(weight.numel()))])
        whole = self.trainer.strategy.reduce(whole, reduce_op="sum")
        share = weight.sum() / whole[0].clamp_min(1e-9)
        return loss * share * processes, max(int(whole[1]), 1)

    def transfer_batch_to_device(
        self, batch: TrainingBatch, device: torch.device, dataloader_idx: int
    ) -> TrainingBatch:
        """Batches are frozen dataclasses and know how to move."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine decay over all steps; biases and start values are not decayed."""
        settings = self.training_config
        matrices = [parameter for parameter in self.parameters() if parameter.ndim > 1]
        effects = self.network.season.effects
        others = [parameter for parameter in self.parameters() if parameter.ndim <= 1 and parameter is not effects]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        if effects is not None:
            groups.append({"params": [effects], "weight_decay": 0.0, "lr": _EFFECTS_SPEED * self.learning_rate})
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, betas=(0.9, 0.98))
        # Batches are bounded by events, so their number differs a little from epoch to epoch: the rate stays at its
        # last value in the steps that the estimate did not see.
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_share(progress: float) -> float:
    """Share of the learning rate at a share of all steps: a linear warm-up, then half a cosine down to a hundredth."""
    if progress < _WARM_UP_SHARE:
        return 0.04 + 0.96 * progress / _WARM_UP_SHARE
    falling = min((progress - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE), 1.0)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * falling)) / 2


def _windows(batch: TrainingBatch) -> int:
    return max(int(batch.future.weight.numel()), 1)
