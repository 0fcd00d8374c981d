"""Packed batches answer for a customer what he would be answered alone, and see nothing after a query."""

import numpy as np
import pytest
import torch

from seqclv.config import ModelConfig
from seqclv.data.assemble import event_batch, future_window
from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE
from seqclv.data.features import event_features, ledger, locate, targets
from seqclv.data.schema import derive_schema
from seqclv.data.windows import before, history
from seqclv.model.network import Network

DAY = MICROSECONDS_PER_DAY
END = 10_400 * DAY
ENCODERS = pytest.mark.parametrize("encoder", ["gru", "transformer"])


def base(random_log, seed=0, max_history_events=512, **kind):
    past = history(random_log(seed, **kind), END, "1d")
    return past, derive_schema(past, END, merge="1d", max_history_events=max_history_events)


def batch_of(events, schema, rows=None, cutoffs=None):
    """The batch of all customers; without rows every customer is asked at the end."""
    rows = np.arange(events.customers) if rows is None else rows
    cutoffs = np.full(len(rows), END, dtype=np.int64) if cutoffs is None else cutoffs
    book = ledger(events, schema.event_types)
    return event_batch(events, book, locate(book, rows, cutoffs), schema)


def buyers(events, cutoff):
    bought = before(events, cutoff)
    count = np.bincount(bought.owner[bought.event_type == PURCHASE], minlength=events.customers)
    return np.flatnonzero(count > 0)


def network(schema, encoder):
    torch.manual_seed(0)
    model = Network(ModelConfig(encoder=encoder, hidden_size=16, heads=2, layers=2), schema).eval()
    with torch.no_grad():
        model.head.weight.mul_(20)  # so that differences of the inputs show
    return model


@torch.inference_mode()
def answers(model, batch):
    p = model(batch)
    return torch.cat([p.log_weight, p.log_rate, p.log_hazard, p.log_shape, p.log_mean], dim=-1)


def test_packed_rows_are_the_events_of_each_customer_in_order(random_log):
    events, schema = base(random_log)
    batch = batch_of(events, schema)
    numeric = event_features(events, schema)[0]
    length = np.diff(events.offset)
    order = np.argsort(-length, kind="stable")
    packed = [numeric[events.offset[c] + step] for step in range(length.max()) for c in order if length[c] > step]
    np.testing.assert_allclose(batch.numeric, np.array(packed), rtol=1e-6)
    assert batch.step_sizes.tolist() == [(length > step).sum() for step in range(length.max())]
    last = numeric[events.offset[1:] - 1]
    np.testing.assert_allclose(batch.numeric[batch.query_event], last, rtol=1e-6)


@ENCODERS
def test_a_customer_is_answered_as_if_alone(random_log, encoder):
    events, schema = base(random_log)
    model = network(schema, encoder)
    together = answers(model, batch_of(events, schema))
    assert together.std(dim=0).max() > 0.1
    for c in range(events.customers):
        alone = answers(model, batch_of(events.select(np.array([c])), schema))
        torch.testing.assert_close(together[c : c + 1], alone, rtol=0, atol=1e-5)


@ENCODERS
def test_the_order_of_customers_does_not_matter(random_log, encoder):
    events, schema = base(random_log)
    model = network(schema, encoder)
    order = np.random.default_rng(0).permutation(events.customers)
    shuffled = answers(model, batch_of(events.select(order), schema))
    torch.testing.assert_close(shuffled, answers(model, batch_of(events, schema))[order], rtol=0, atol=1e-5)


@ENCODERS
@pytest.mark.parametrize("limit", [512, 6])
@pytest.mark.parametrize("day", [40, 150, 300])
def test_a_query_within_a_history_sees_no_later_event(random_log, encoder, limit, day):
    events, schema = base(random_log, max_history_events=512)
    model, cutoff = network(schema, encoder), END - day * DAY
    rows = buyers(events, cutoff)
    cutoffs = np.full(len(rows), cutoff, dtype=np.int64)
    whole = batch_of(events, schema, rows, cutoffs)
    cut = batch_of(before(events, cutoff), schema, rows, cutoffs)
    torch.testing.assert_close(answers(model, whole), answers(model, cut), rtol=0, atol=1e-5)


@ENCODERS
def test_a_later_event_changes_no_answer_where_histories_are_truncated(random_log, encoder):
    events, schema = base(random_log, max_history_events=4)
    model, cutoff = network(schema, encoder), END - 200 * DAY
    rows = buyers(events, cutoff)
    cutoffs = np.full(len(rows), cutoff, dtype=np.int64)
    whole = batch_of(events, schema, rows, cutoffs)
    assert (whole.query_event < 0).any() and (whole.query_event >= 0).any()
    later = events.timestamp >= cutoff
    changed = batch_of(
        type(events)(
            **{**vars(events), "amount": np.where(later & (events.amount > 0), events.amount * 9, events.amount)}
        ),
        schema,
        rows,
        cutoffs,
    )
    assert not torch.equal(whole.numeric, changed.numeric)
    torch.testing.assert_close(answers(model, whole), answers(model, changed), rtol=0, atol=1e-5)


def test_the_latest_events_are_kept(random_log):
    events, schema = base(random_log, max_history_events=4)
    batch = batch_of(events, schema)
    numeric = event_features(events, schema)[0]
    length = np.minimum(np.diff(events.offset), 4)
    assert len(batch.numeric) == length.sum()
    np.testing.assert_allclose(batch.numeric[batch.query_event], numeric[events.offset[1:] - 1], rtol=1e-6)
    longest_first = np.argsort(-length, kind="stable")
    first = (events.offset[1:] - length)[longest_first]
    np.testing.assert_allclose(batch.numeric[: len(first)], numeric[first], rtol=1e-6)


def test_what_is_too_old_to_be_encoded_still_counts_in_the_query(random_log):
    events, schema = base(random_log, max_history_events=2)
    short, long = batch_of(events, schema), batch_of(*base(random_log)[:1], base(random_log)[1])
    torch.testing.assert_close(short.query, long.query)
    torch.testing.assert_close(short.anchor, long.anchor)


def test_standardized_queries_are_bounded_and_centred(random_log):
    events, schema = base(random_log, customers=300)
    query = batch_of(events, schema).query
    assert query.abs().max() <= 8
    assert query.mean(dim=0).abs().max() < 1


def test_windows_become_tensors_of_weight_one(random_log):
    events, schema = base(random_log)
    book = ledger(events, schema.event_types)
    rows = buyers(events, END - 100 * DAY)
    query = locate(book, rows, np.full(len(rows), END - 100 * DAY))
    known = targets(book, query, np.full((len(rows), 2), 50 * DAY), schema)
    window = future_window(known)
    assert window.weight.shape == (len(rows), 2) and (window.weight == 1).all()
    np.testing.assert_allclose(window.spend, known.spend, rtol=1e-6)
    assert window.purchases.dtype == torch.float32
