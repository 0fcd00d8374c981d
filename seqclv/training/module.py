"""The thin LightningModule around a `Network`."""

from typing import Any

import lightning
import torch
from torch import Tensor

from seqclv.batch import FeatureSchema, TrainingBatch
from seqclv.config import ModelConfig, TrainingConfig
from seqclv.model.network import Network
from seqclv.training.objective import negative_log_likelihood

_WARM_UP_SHARE = 0.1  # of all steps


class ForecastModule(lightning.LightningModule):
    """Fits a network by the likelihood of future windows."""

    def __init__(self, model: ModelConfig, training: TrainingConfig, schema: FeatureSchema) -> None:
        super().__init__()
        self.network = Network(model, schema)
        self.training_config = training

    def training_step(self, batch: TrainingBatch, batch_index: int) -> Tensor:
        """Nats per window of one batch."""
        loss = negative_log_likelihood(self.network(batch.events), batch.future)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=_windows(batch))
        return loss

    def validation_step(self, batch: TrainingBatch, batch_index: int) -> None:
        """Nats per window on the held-out customers."""
        loss = negative_log_likelihood(self.network(batch.events), batch.future)
        self.log("val_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=_windows(batch))

    def transfer_batch_to_device(
        self, batch: TrainingBatch, device: torch.device, dataloader_idx: int
    ) -> TrainingBatch:
        """Batches are frozen dataclasses and know how to move."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine decay over all steps."""
        settings = self.training_config
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98)
        )
        steps = max(int(self.trainer.estimated_stepping_batches), 2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=steps + 1, pct_start=_WARM_UP_SHARE, cycle_momentum=False
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _windows(batch: TrainingBatch) -> int:
    return max(int(batch.future.weight.numel()), 1)
