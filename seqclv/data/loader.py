"""The LightningDataModule: batches bounded by events, cutoffs drawn anew each epoch, everything seeded by id."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from seqclv.batch import FeatureSchema, TrainingBatch
from seqclv.config import TrainingConfig
from seqclv.data.assemble import event_batch, future_window
from seqclv.data.events import Events, IntArray
from seqclv.data.features import ledger, locate, targets
from seqclv.data.sampling import draw_cutoffs, draw_horizons, validation_customers

_VALIDATION_EPOCH = -1  # the cutoffs of validation never change
_VALIDATION_CUTOFFS = 4
_CUTOFFS = (4, 16)  # fewest and most of a customer in an epoch


@dataclass(frozen=True)
class TrainingData:
    """Merged histories that end at `end` (microseconds), how they are merged, and the horizon in mind."""

    events: Events
    end: int
    horizon_days: float
    schema: FeatureSchema


class CustomerBatches(Dataset[TrainingBatch]):
    """Turns customer indices into a training batch, in one vectorized step."""

    def __init__(self, data: TrainingData, *, cutoffs: int, seed: int, epoch: int) -> None:
        self.data, self.cutoffs, self.seed, self.epoch = data, cutoffs, seed, epoch

    def __len__(self) -> int:
        return self.data.events.customers

    def __getitems__(self, customers: list[int]) -> TrainingBatch:
        """The batch of these customers with their queries and windows."""
        data, schema = self.data, self.data.schema
        events = data.events.select(np.asarray(customers, dtype=np.int64))
        key = {"seed": self.seed, "epoch": self.epoch}
        row, cutoff = draw_cutoffs(events, data.end, per_customer=self.cutoffs, merge=schema.merge, **key)
        book = ledger(events, schema.event_types, schema.harmonics, schema.calendar)
        query = locate(book, row, cutoff)
        horizon = draw_horizons(
            events, row, cutoff, data.end, horizon_days=data.horizon_days, merge=schema.merge, **key
        )
        return TrainingBatch(
            event_batch(events, book, query, schema), future_window(targets(book, query, horizon, schema))
        )


class EventBoundedSampler(Sampler[list[int]]):
    """Lists of customers, in an order drawn by seed and epoch, whose events stay within a bound.

    A customer with more events than the bound makes a batch alone. Of several processes that train together each has a
    share of every batch's customers; a batch of fewer customers than processes is the share of each.
    """

    def __init__(
        self,
        length: IntArray,
        customers: IntArray,
        *,
        batch_events: int,
        seed: int,
        epoch: int,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        order = np.random.default_rng([seed, epoch + 1]).permutation(len(customers))
        shuffled = customers[order]
        size = np.minimum(length[shuffled], batch_events)
        batches = (shuffled[part].tolist() for part in _bounded(size, batch_events))
        first, step = process  # this one, and how many there are
        self.batches = [batch[first::step] if len(batch) >= step else batch for batch in batches]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _bounded(size: IntArray, bound: int) -> Iterator[slice]:
    """Consecutive slices whose sizes sum to at most the bound."""
    total = np.concatenate([[0], np.cumsum(size)])
    start = 0
    while start < len(size):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + bound, side="right")) - 1)
        yield slice(start, stop)
        start = stop


class HistoryDataModule(lightning.LightningDataModule):
    """Training and validation batches of one base; customers are split by id."""

    def __init__(self, data: TrainingData, training: TrainingConfig, seed: int) -> None:
        super().__init__()
        self.data, self.seed = data, seed
        # Long histories hold more to ask about, and a batch needs enough customers to be a fair sample.
        self.length = np.minimum(np.diff(data.events.offset), data.schema.max_history_events)
        typical = float(self.length.mean())
        self.batch_events = max(training.batch_events, round(training.batch_customers * typical))
        self.cutoffs = training.cutoffs_per_customer or int(np.clip(round(0.4 * typical), *_CUTOFFS))
        held_out = validation_customers(data.events, training.validation_share, seed)
        if held_out.all() or not held_out.any():  # a handful of customers: train on all, validate on all
            self.train_customers = self.validation_customers = np.arange(data.events.customers, dtype=np.int64)
        else:
            self.train_customers = np.flatnonzero(~held_out)
            self.validation_customers = np.flatnonzero(held_out)

    @property
    def batches_per_epoch(self) -> int:
        """Number of training batches in an epoch, to within the chance of how customers fall together."""
        return max(len(self._loader(self.train_customers, 1, 0)), 1)

    def train_dataloader(self) -> DataLoader[TrainingBatch]:
        """The batches of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return self._loader(self.train_customers, self.cutoffs, epoch)

    def val_dataloader(self) -> DataLoader[TrainingBatch]:
        """The held-out customers, always at the same cutoffs."""
        return self._loader(self.validation_customers, _VALIDATION_CUTOFFS, _VALIDATION_EPOCH)

    def _loader(self, customers: IntArray, cutoffs: int, epoch: int) -> DataLoader[TrainingBatch]:
        process = (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
        sampler = EventBoundedSampler(
            self.length, customers, batch_events=self.batch_events, seed=self.seed, epoch=epoch, process=process
        )
        batches = CustomerBatches(self.data, cutoffs=cutoffs, seed=self.seed, epoch=epoch)
        return DataLoader(batches, batch_sampler=sampler, collate_fn=_unchanged, num_workers=0)


def _unchanged(batch: Any) -> Any:
    """`__getitems__` has made the batch already."""
    return batch
