"""Training batches of simulated bases: histories before the cutoff, and what the simulation then lets happen.

Each batch is drawn from its own key (seed, epoch, index), so that a resumed pretraining sees what an undisturbed one
would have seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from seqclv.batch import FeatureSchema, TrainingBatch
from seqclv.data.assemble import FlatBatch, flat_batch, future_window, packed
from seqclv.data.bases import Base, draw_base
from seqclv.data.context import schema_like
from seqclv.data.events import MICROSECONDS_PER_DAY, FloatArray, IntArray
from seqclv.data.features import Ledger, Query, Targets, ledger, locate, query_features, targets

_HORIZONS = (0.02, 1.5)  # shortest and longest window, spans of the history
_SPREAD_FLOOR = 1e-3


@dataclass(frozen=True, kw_only=True)
class PretrainingPlan:
    """How much is simulated for each step."""

    seed: int = 0
    bases: int = 8  # in a batch
    customers: tuple[int, int] = (40, 1_600)  # fewest and most that are simulated for a base
    asked: int = 96  # customers of a base whose futures are targets, at most
    windows: int = 3  # for each of them
    steps: int = 480  # in an epoch
    uses: int = 3  # of each batch, one after another among `shuffled` batches: simulating costs more than a step
    shuffled: int = 40


class SimulatedBatches(IterableDataset[TrainingBatch]):
    """The batches of one epoch; every worker of a loader makes its share.

    Some are made, then each of them is used `plan.uses` times in orders of its own, then the next are made.
    """

    def __init__(self, plan: PretrainingPlan, template: FeatureSchema, epoch: int) -> None:
        self.plan, self.template, self.epoch = plan, template, epoch

    def __len__(self) -> int:
        return self.plan.steps

    def __iter__(self) -> Iterator[TrainingBatch]:
        worker = torch.utils.data.get_worker_info()
        start, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        plan = self.plan
        rounds = -(-plan.steps // (plan.uses * plan.shuffled))
        for index in range(start, rounds, stride):
            random = np.random.default_rng([plan.seed, self.epoch + 1, index, 0])
            keys = [[plan.seed, self.epoch + 1, index, 1, place] for place in range(plan.shuffled)]
            batches = [simulated_batch(plan, self.template, key) for key in keys]
            for _ in range(plan.uses):
                yield from (batches[place] for place in random.permutation(plan.shuffled))


def simulated_loader(
    plan: PretrainingPlan, template: FeatureSchema, epoch: int, workers: int = 0
) -> DataLoader[TrainingBatch]:
    """A loader of one epoch; workers simulate ahead of the device. One worker changes nothing but the time."""
    ahead = None
    if workers:  # a whole round, so that the next one is made while this one is used; descriptors would run out
        torch.multiprocessing.set_sharing_strategy("file_system")
        ahead = plan.uses * plan.shuffled
    batches = SimulatedBatches(plan, template, epoch)
    return DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=ahead)


def simulated_batch(plan: PretrainingPlan, template: FeatureSchema, key: Sequence[int]) -> TrainingBatch:
    """The batch that belongs to a key."""
    random = np.random.default_rng(key)
    low, high = np.log(plan.customers)
    bases = [draw_base(random, int(np.exp(random.uniform(low, high)))) for _ in range(plan.bases)]
    return batch_of(random, [base for base in bases if base.events.customers > 0], plan, template)


def batch_of(
    random: np.random.Generator, bases: Sequence[Base], plan: PretrainingPlan, template: FeatureSchema
) -> TrainingBatch:
    """Histories, contexts and futures of several bases."""
    parts = [_part(random, base, plan, template) for base in bases]
    known = [future for _, future, _ in parts]
    join = lambda name: np.concatenate([getattr(future, name) for future in known])  # noqa: E731
    future = future_window(
        Targets(*(join(name) for name in ("horizon", "purchases", "last_offset", "spend", "log_spend", "regressors")))
    )
    weight = torch.from_numpy(np.concatenate([weight for _, _, weight in parts]).astype(np.float32))
    batch = packed([flat for flat, _, _ in parts], template.max_history_events)
    return TrainingBatch(batch, replace(future, weight=weight))


def _part(
    random: np.random.Generator, base: Base, plan: PretrainingPlan, template: FeatureSchema
) -> tuple[FlatBatch, Targets, FloatArray]:
    history = base.history
    schema = schema_like(template, history, base.cutoff, merge="none")
    chosen = np.arange(base.events.customers, dtype=np.int64)
    if len(chosen) > plan.asked:
        chosen = np.sort(random.choice(chosen, plan.asked, replace=False))
    events = history.select(chosen)
    book, whole = ledger(events, ()), base.events.select(chosen)
    flat = flat_batch(events, book, _queries(book, base.cutoff), schema)
    known = ledger(whole, ())
    query = _queries(known, base.cutoff)
    shortest, longest = np.log(_HORIZONS)
    share = np.exp(random.uniform(shortest, longest, (len(chosen), plan.windows)))
    span = base.cutoff - int(history.timestamp.min())
    step = MICROSECONDS_PER_DAY if base.dated else 1
    length = np.minimum((share * span).astype(np.int64), base.end - base.cutoff)
    length = np.maximum(length // step, 1) * step
    future = targets(known, query, length, schema)
    # The likelihood of a window grows with its purchases: without a weight a few busy bases would be all that counts.
    expected = np.exp(flat.anchor[:, :1]) * future.horizon
    return flat, future, 1.0 / np.sqrt(1.0 + expected)


def _queries(book: Ledger, cutoff: int) -> Query:
    everyone: IntArray = np.arange(len(book.offset) - 1, dtype=np.int64)
    return locate(book, everyone, np.full(len(everyone), cutoff, dtype=np.int64))


@dataclass(frozen=True)
class Scales:
    """Centre and spread over many simulated bases, of the query's features [D] and of the context's figures [Z]."""

    query: tuple[FloatArray, FloatArray]
    context: tuple[FloatArray, FloatArray]


def simulated_scales(plan: PretrainingPlan, template: FeatureSchema, bases: int) -> Scales:
    """The scales that a network for all bases standardizes with."""
    queries, contexts = [], []
    for index in range(bases):
        random = np.random.default_rng([plan.seed, 0, index])
        base = draw_base(random, int(np.exp(random.uniform(*np.log(plan.customers)))))
        if base.events.customers == 0:
            continue
        history = base.history
        schema = schema_like(template, history, base.cutoff, merge="none")
        contexts.append(np.asarray(schema.context))
        few = history.select(np.arange(min(history.customers, 50), dtype=np.int64))
        book = ledger(few, ())
        queries.append(query_features(book, _queries(book, base.cutoff), schema))
    return Scales(_scales(np.concatenate(queries)), _scales(np.stack(contexts)))


def _scales(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    return values.mean(axis=0), np.maximum(values.std(axis=0), _SPREAD_FLOOR)
