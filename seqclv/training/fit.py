"""Fit the networks of one model: histories before a cutoff in, trained networks out."""

import logging
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy

from seqclv.batch import FeatureSchema
from seqclv.config import Config, ModelConfig
from seqclv.data.events import Events
from seqclv.data.loader import HistoryDataModule, TrainingData
from seqclv.model.network import Network
from seqclv.training.module import ForecastModule
from seqclv.training.progress import EpochProgress
from seqclv.training.start import Start, starting_point

Observer = Callable[[int, int, dict[str, float]], None]
_RANK_STRIDE = 1 << 56
_SEEDS = 1 << 63


@dataclass(frozen=True)
class Role:
    """What one of several processes does, see `seqclv.training.ranks`."""

    processes: int = 1  # that train each network together
    networks: Sequence[int] | None = None  # the numbers of those that this process trains, from 0; None: all


@dataclass(frozen=True)
class FitResult:
    """Trained networks, the schema they share, and how the training went."""

    schema: FeatureSchema
    networks: tuple[Network, ...]
    curves: tuple[tuple[dict[str, float], ...], ...]  # per network and epoch: train_loss, val_loss in nats per window
    seconds: float
    start: str  # 'scratch' or 'prior'
    model: ModelConfig  # of the networks
    untrained: Network | None = None  # the prior as it was, where training started from it

    @property
    def averaged(self) -> tuple[Network, ...]:
        """The networks of the model.

        The untrained prior is one of them: a small base tells little about the time to come, bases without number do.
        """
        return self.networks if self.untrained is None else (*self.networks, self.untrained)


def fit_networks(
    history: Events,
    cutoff: int,
    *,
    horizon_days: float,
    config: Config,
    work: Path,
    quiet: bool = False,
    observer: Observer | None = None,
    role: Role | None = None,
) -> FitResult:
    """Train `config.ensemble` networks on merged histories that end at `cutoff` (microseconds).

    Args:
        history: merged events strictly before the cutoff, every customer with a purchase.
        horizon_days: the forecast horizon in mind; windows of this length are among the targets where they fit.
        work: directory for checkpoints; a training killed there before resumes where it stood.
        observer: called after each epoch with (network, epoch, metrics).
        role: of this process, where several train.

    The result depends on the histories, the config and its seed alone; on a CPU to the last bit.
    """
    role = role or Role()
    started = time.perf_counter()
    start = starting_point(history, cutoff, config)
    data = TrainingData(history, cutoff, horizon_days, start.schema)
    networks, curves = [], []
    for index in range(config.ensemble) if role.networks is None else role.networks:
        title = f"network {index + 1} of {config.ensemble}"
        row = 0 if role.networks is None else index  # other networks' bars are beside this one
        progress = EpochProgress(title, quiet=quiet, observer=observer and _for_network(observer, index), row=row)
        begin = start.of_network(index, config.ensemble)
        networks.append(_fit_one(data, begin, config, index, work / f"network-{index}", progress, role.processes))
        curves.append(tuple(progress.curve))
    return fit_result(start, networks, curves, time.perf_counter() - started)


def fit_result(
    start: Start, networks: Sequence[Network], curves: Sequence[Sequence[dict[str, float]]], seconds: float
) -> FitResult:
    """What a training from `start` has made."""
    untrained = None if start.prior is None else start.untrained().eval()
    every = tuple(tuple(curve) for curve in curves)
    return FitResult(start.schema, tuple(networks), every, seconds, start.name, start.model, untrained)


def _for_network(observer: Observer, index: int) -> Callable[[int, dict[str, float]], None]:
    return lambda epoch, metrics: observer(index, epoch, metrics)


def _fit_one(
    data: TrainingData, start: Start, config: Config, index: int, work: Path, progress: EpochProgress, processes: int
) -> Network:
    seed = config.seed * 1000 + index
    torch.manual_seed(seed)
    loader = HistoryDataModule(data, config.training, seed)
    network = start.network()
    before = start.validation_loss(loader)
    module = ForecastModule(network, config.training, data.events.customers, start.learning_rate)
    keep = ModelCheckpoint(work, filename="best", monitor="val_loss", save_last=True, enable_version_counter=False)
    early = EarlyStopping("val_loss", patience=config.training.patience, check_finite=True, verbose=False)
    averaging = EMAWeightAveraging(decay=config.training.averaging)
    callbacks = [progress, SeededBatches(seed), averaging, early, keep]
    trainer = _trainer(config, start.steps(loader.batches_per_epoch), loader, callbacks, work, processes)
    last = work / "last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")  # hints about workers and logging intervals
        trainer.fit(module, datamodule=loader, ckpt_path=last if last.is_file() else None, weights_only=True)
    after = min(metrics["val_loss"] for metrics in progress.curve)
    if start.tunes and not after < before:  # small bases are safe: what does not help is not kept
        return start.untrained().eval()
    best = torch.load(keep.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(best)
    return start.drawn_back(module.network.cpu()).eval()


def _trainer(
    config: Config, steps: int, loader: HistoryDataModule, callbacks: list[Callback], work: Path, processes: int
) -> lightning.Trainer:
    settings = config.training
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    gpu = torch.cuda.is_available() and config.accelerator != "cpu"
    if not gpu:
        torch.set_num_threads(1)  # small matrices: a second thread costs more than it brings
    epochs = math.ceil(steps / loader.batches_per_epoch)
    return lightning.Trainer(
        accelerator=config.accelerator if config.accelerator != "auto" else ("gpu" if gpu else "cpu"),
        devices=processes,
        strategy="auto" if processes == 1 else DDPStrategy(cluster_environment=LightningEnvironment()),
        precision="bf16-mixed" if gpu else "32-true",
        max_epochs=min(epochs, settings.max_epochs),
        gradient_clip_val=settings.gradient_clip,
        callbacks=callbacks,
        default_root_dir=work,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        deterministic=not gpu,
    )


class SeededBatches(Callback):
    """Seeds dropout by epoch and batch, so that a resumed training goes the way of an undisturbed one."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch for this batch; processes that train together draw on their own."""
        seed = (self.seed * 10_007 + trainer.current_epoch) * 1_000_003 + batch_idx
        torch.manual_seed((seed + trainer.global_rank * _RANK_STRIDE) % _SEEDS)
