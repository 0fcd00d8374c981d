"""Pretrain the network that knows many bases, on simulated ones."""

import logging
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from seqclv.batch import FeatureSchema, TrainingBatch
from seqclv.bundle import Bundle, git_commit
from seqclv.config import Config, ModelConfig
from seqclv.data.bases import draw_base
from seqclv.data.pretraining import PretrainingPlan, Scales, batch_of, simulated_loader, simulated_scales
from seqclv.model.embedding import WEEKDAY_COLUMNS
from seqclv.model.network import Network
from seqclv.training.objective import judged_loss, negative_log_likelihood, network_loss

PRIOR_MODEL = ModelConfig(query_size=128, dropout=0.0)
TRAILING = tuple(0.5**i for i in range(1, 8))  # spans; a base's own follow from its span
SCALE_BASES = 1_000
VALIDATION_BASES = 200
_VALIDATION_KEY = 7_777
_WARM_UP_STEPS = 200
_FALLING_SHARE = 0.35


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How the prior is made."""

    model: ModelConfig = field(default_factory=lambda: PRIOR_MODEL)
    plan: PretrainingPlan = field(default_factory=PretrainingPlan)
    judged_from: int = 10  # epoch from which churn and counts are also scored as they are judged
    epochs: int = 30  # of `plan.steps` steps; the learning rate falls to zero over them
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    averaging: float = 0.998  # share of the old average of the weights that a step keeps
    max_history_events: int = 128
    workers: int = 0  # processes that simulate ahead
    accelerator: str = "cpu"


def template_schema(scales: Scales | None, features: int, figures: int, max_history_events: int) -> FeatureSchema:
    """The schema of no base: what is the same for all."""
    zeros, ones = (0.0,) * features, (1.0,) * features
    return FeatureSchema(
        time_scale_days=1.0,
        amount_scale=1.0,
        amount_log_std=1.0,
        amount_mean=1.0,
        purchase_rate=1.0,
        merge="1d",
        harmonics=0,
        trailing_windows_days=TRAILING,
        max_history_events=max_history_events,
        event_types=(),
        numeric=(),
        categorical=(),
        query_mean=zeros if scales is None else tuple(scales.query[0].tolist()),
        query_std=ones if scales is None else tuple(scales.query[1].tolist()),
        weekdays=False,
        context=(0.0,) * figures,
    )


class PretrainModule(lightning.LightningModule):
    """Fits a network by the likelihood of simulated futures."""

    def __init__(self, config: PretrainConfig, schema: FeatureSchema, scales: Scales) -> None:
        super().__init__()
        self.settings, self.schema = config, schema
        self.network = Network(config.model, schema)
        if self.network.context is None:
            raise ValueError("the prior's schema has a context")
        self.network.context.centre.copy_(torch.from_numpy(scales.context[0]))
        self.network.context.spread.copy_(torch.from_numpy(scales.context[1]))

    def training_step(self, batch: TrainingBatch, batch_index: int) -> Tensor:
        """Weighted nats per window of one batch."""
        process = self.network(batch.events)
        loss = negative_log_likelihood(process, batch.future)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)
        if self.current_epoch < self.settings.judged_from:
            return loss
        return loss + judged_loss(process, batch.future)

    def validation_step(self, batch: TrainingBatch, batch_index: int) -> None:
        """The same on bases that are not trained on."""
        self.log("val_loss", network_loss(self.network, batch), on_step=False, on_epoch=True, batch_size=1)

    def transfer_batch_to_device(
        self, batch: TrainingBatch, device: torch.device, dataloader_idx: int
    ) -> TrainingBatch:
        """Batches are frozen dataclasses and know how to move."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up, a constant part and a linear decay."""
        settings = self.settings
        groups = [
            {"params": [p for p in self.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in self.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
        steps = settings.plan.steps * settings.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: pretraining_rate(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def pretraining_rate(step: int, steps: int) -> float:
    """Share of the learning rate at a step: a warm-up, then constant, then falling to zero in the last part.

    Until it falls it does not depend on the number of steps: a run that is resumed with another number of epochs ends
    as one that had it from the start.
    """
    rising = min(1.0, 0.02 + step / _WARM_UP_STEPS)
    falling = min(1.0, (steps - step) / (_FALLING_SHARE * steps))
    return max(min(rising, falling), 1e-3)


class SimulatedBases(lightning.LightningDataModule):
    """Simulated batches, other ones in every epoch, and a fixed set for validation."""

    def __init__(self, config: PretrainConfig, template: FeatureSchema) -> None:
        super().__init__()
        self.config, self.template = config, template
        self.validation: list[TrainingBatch] = []

    def train_dataloader(self) -> Any:
        """The batches of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return simulated_loader(self.config.plan, self.template, epoch, self.config.workers)

    def val_dataloader(self) -> Any:
        """The same bases after every epoch."""
        if not self.validation:
            plan = self.config.plan
            for index in range(VALIDATION_BASES // plan.bases):
                random = np.random.default_rng([_VALIDATION_KEY, index])
                drawn = [draw_base(random, int(random.integers(200, 2_000))) for _ in range(plan.bases)]
                bases = [base for base in drawn if base.events.customers > 0]
                self.validation.append(batch_of(random, bases, plan, self.template))
        return DataLoader(self.validation, batch_size=None)  # type: ignore[arg-type]  # a list is a dataset


class Journal(Callback):
    """Prints the losses of each epoch."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """One line."""
        train, val = (float(trainer.callback_metrics[name]) for name in ("train_loss", "val_loss"))
        spent = time.perf_counter() - self.started
        print(f"epoch {trainer.current_epoch + 1}: training {train:.4f}, held out {val:.4f}, {spent:.0f} s", flush=True)


def prior_bundle(config: PretrainConfig, work: Path, *, command: str) -> Bundle:
    """Pretrain (see `pretrain`), as a bundle that tells how it was made."""
    network, template = pretrain(config, work)
    plan = config.plan
    steps = plan.steps * config.epochs
    facts = {
        "simulated_bases": steps * plan.bases // plan.uses,
        "passes_over_each_simulated_base": plan.uses,
        "command": command,
        "seed": plan.seed,
        "steps": steps,
        "weights": sum(parameter.numel() for parameter in network.parameters()),
        "device": config.accelerator,
    }
    return Bundle(
        kind="prior",
        config=Config(model=config.model, seed=plan.seed, ensemble=1),
        training_cutoff=0,
        horizon_days=Config().horizons_days[-1],
        fingerprint="simulated",
        training=facts,
        schema=template,
        networks=(network,),
        git_commit=git_commit(),
    )


def pretrain(config: PretrainConfig, work: Path) -> tuple[Network, FeatureSchema]:
    """Pretrain, or go on where an earlier call in `work` was killed.

    On a CPU the result depends on the configuration alone.
    """
    torch.manual_seed(config.plan.seed)
    scales = _scales(config, work)
    features, figures = len(scales.query[0]), len(scales.context[0])
    template = template_schema(scales, features, figures, config.max_history_events)
    module = PretrainModule(config, template, scales)
    keep = ModelCheckpoint(work, filename="latest", save_last=True, save_top_k=1, enable_version_counter=False)
    averaging = EMAWeightAveraging(decay=config.averaging)
    trainer = lightning.Trainer(
        accelerator=config.accelerator,
        devices=1,
        max_epochs=config.epochs,
        gradient_clip_val=1.0,
        callbacks=[Journal(), averaging, keep],
        default_root_dir=work,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
    )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if config.accelerator == "cpu":
        torch.set_num_threads(1)
    last = work / "last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer.fit(
            module,
            datamodule=SimulatedBases(config, template),
            ckpt_path=last if last.is_file() else None,
            weights_only=True,
        )
    return _without_weekdays(module.network.cpu().eval()), template


def _scales(config: PretrainConfig, work: Path) -> Scales:
    """The scales of the plan; kept beside the checkpoints, as a resumed run needs the same."""
    kept = work / "scales.npz"
    if not kept.is_file():
        scales = simulated_scales(config.plan, first_template(config), SCALE_BASES)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(kept, query=np.stack(scales.query), context=np.stack(scales.context))
    with np.load(kept) as stored:
        query, context = stored["query"], stored["context"]
    return Scales((query[0], query[1]), (context[0], context[1]))


def _without_weekdays(network: Network) -> Network:
    """The weekday's inputs, which are off in pretraining, weigh nothing where a base switches them on."""
    with torch.no_grad():
        network.embed.numeric.weight[:, list(WEEKDAY_COLUMNS)] = 0.0
    return network


def first_template(config: PretrainConfig) -> FeatureSchema:
    """The template before the scales are known."""
    return template_schema(None, 0, 0, config.max_history_events)
