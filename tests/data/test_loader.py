"""Batches: every customer once an epoch, bounded by events, the same for the same seed and epoch."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from seqclv.config import TrainingConfig
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.loader import CustomerBatches, EventBoundedSampler, HistoryDataModule, TrainingData
from seqclv.data.schema import derive_schema
from seqclv.data.windows import history

DAY = MICROSECONDS_PER_DAY
END = 10_400 * DAY


def training_data(random_log, customers=60, limit=512):
    past = history(random_log(0, customers=customers), END, "1d")
    schema = derive_schema(past, END, merge="1d", max_history_events=limit)
    return TrainingData(past, END, 90.0, schema)


def tensors(batch):
    found = [*vars(batch.events).values(), *vars(batch.future).values()]
    return [value for value in found if value is not None]  # without a calendar there are no known days


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(tensors(left), tensors(right), strict=True))


@pytest.mark.parametrize("bound", [1, 10, 37, 10_000])
@pytest.mark.parametrize("epoch", [-1, 0, 5])
def test_every_customer_is_in_exactly_one_batch_of_an_epoch(bound, epoch):
    length = np.random.default_rng(0).integers(1, 30, 200)
    customers = np.arange(3, 200, 2)
    batches = list(EventBoundedSampler(length, customers, batch_events=bound, seed=1, epoch=epoch))
    assert sorted(c for batch in batches for c in batch) == customers.tolist()


def test_batches_stay_within_the_bound_and_are_as_full_as_the_order_allows():
    length = np.random.default_rng(0).integers(1, 30, 500)
    sampler = EventBoundedSampler(length, np.arange(500), batch_events=100, seed=1, epoch=0)
    batches = list(sampler)
    size = [length[batch].sum() for batch in batches]
    assert len(sampler) == len(batches)
    assert max(size) <= 100
    for this, following in pairwise(batches):
        assert length[this].sum() + length[following[0]] > 100


def test_a_customer_with_more_events_than_the_bound_is_a_batch_alone():
    length = np.array([2, 500, 3, 100])
    batches = list(EventBoundedSampler(length, np.arange(4), batch_events=100, seed=0, epoch=0))
    assert [1] in batches and [3] in batches


def test_the_order_of_customers_depends_on_seed_and_epoch():
    length = np.ones(200, dtype=np.int64)

    def order(seed, epoch):
        return list(EventBoundedSampler(length, np.arange(200), batch_events=10, seed=seed, epoch=epoch))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_a_batch_depends_on_seed_and_epoch_alone(random_log):
    data = training_data(random_log)

    def batch(seed, epoch):
        return CustomerBatches(data, cutoffs=3, seed=seed, epoch=epoch).__getitems__([5, 1, 30])

    assert same(batch(0, 0), batch(0, 0))
    assert not torch.equal(batch(0, 0).events.query, batch(0, 1).events.query)
    assert not torch.equal(batch(0, 0).events.query, batch(1, 0).events.query)


def test_a_batch_asks_each_customer_several_times_with_two_windows_each(random_log):
    data = training_data(random_log)
    batch = CustomerBatches(data, cutoffs=3, seed=0, epoch=0).__getitems__(list(range(20)))
    queries = len(batch.events.query)
    assert queries <= 60 and queries % 3 == 0
    assert batch.future.horizon.shape == (queries, 2)
    assert len(batch.events.query_event) == len(batch.events.anchor) == queries
    assert (batch.future.horizon > 0).all()
    assert (batch.future.last_offset < batch.future.horizon).all()
    assert ((batch.future.purchases == 0) == (batch.future.spend == 0)).all()


def test_customers_are_split_into_training_and_validation_by_id(random_log):
    data = training_data(random_log, customers=200)
    module = HistoryDataModule(data, TrainingConfig(validation_share=0.25), seed=3)
    together = np.concatenate([module.train_customers, module.validation_customers])
    assert sorted(together) == list(range(data.events.customers))
    assert 20 < len(module.validation_customers) < 80
    part = np.arange(0, data.events.customers, 2)
    fewer = HistoryDataModule(
        replace(data, events=data.events.select(part)), TrainingConfig(validation_share=0.25), seed=3
    )
    assert set(part[fewer.validation_customers]) == set(module.validation_customers) & set(part)


def test_a_handful_of_customers_is_trained_and_validated_as_a_whole(random_log):
    data = training_data(random_log, customers=1)
    module = HistoryDataModule(data, TrainingConfig(), seed=0)
    assert module.train_customers.tolist() == module.validation_customers.tolist() == [0]
    assert len(list(module.val_dataloader())) == module.batches_per_epoch == 1


def test_validation_asks_the_same_questions_every_time(random_log):
    module = HistoryDataModule(training_data(random_log), TrainingConfig(batch_events=50), seed=0)
    first, second = (list(module.val_dataloader()) for _ in range(2))
    assert len(first) == len(second) > 0
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_of_the_loader_covers_the_training_customers(random_log):
    module = HistoryDataModule(training_data(random_log), TrainingConfig(batch_events=50, batch_customers=1), seed=0)
    batches = list(module.train_dataloader())
    length = np.diff(module.data.events.offset)
    assert sum(len(batch.events.numeric) for batch in batches) == length[module.train_customers].sum()
    assert max(len(batch.events.numeric) for batch in batches) <= max(50, length.max())
    assert abs(len(batches) - module.batches_per_epoch) <= 3


def test_long_histories_come_in_larger_batches_and_are_asked_more_often(random_log):
    data = training_data(random_log)
    typical = np.diff(data.events.offset).mean()
    module = HistoryDataModule(data, TrainingConfig(batch_events=50, batch_customers=20), seed=0)
    assert module.batch_events == round(20 * typical)
    assert module.cutoffs == round(0.4 * typical)
    assert HistoryDataModule(data, TrainingConfig(cutoffs_per_customer=7), seed=0).cutoffs == 7


def test_a_whale_is_truncated_in_a_batch(random_log):
    data = training_data(random_log, limit=5)
    batch = CustomerBatches(data, cutoffs=2, seed=0, epoch=0).__getitems__([0, 1, 2])
    assert len(batch.events.numeric) == np.minimum(np.diff(data.events.offset)[:3], 5).sum()


def test_a_customer_who_came_in_the_last_period_makes_a_batch_without_questions(events_of):
    events = events_of([("a", 1, 5), ("b", 9.5, 5)])
    data = TrainingData(events, 10 * DAY, 5.0, derive_schema(events, 10 * DAY, merge="1d", max_history_events=9))
    batch = CustomerBatches(data, cutoffs=4, seed=0, epoch=0).__getitems__([1])
    assert len(batch.events.query) == 0 and batch.future.horizon.shape == (0, 2)
