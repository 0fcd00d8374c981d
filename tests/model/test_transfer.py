"""A network that starts from another one answers as it does; what that one never saw weighs nothing at first."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqclv.batch import CategoricalFeature, NumericFeature
from seqclv.config import ModelConfig
from seqclv.data.assemble import event_batch
from seqclv.data.bases import draw_base
from seqclv.data.context import schema_like
from seqclv.data.events import Categorical
from seqclv.data.features import ledger, locate
from seqclv.data.schema import derive_schema
from seqclv.model.network import Network
from seqclv.model.transfer import started_from, starting_schema
from seqclv.training.pretrain import PRIOR_MODEL, template_schema

KNOWN = template_schema(None, 27, 210, 64)


@pytest.fixture(scope="module")
def base():
    return draw_base(np.random.default_rng(11), 80)


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    network = Network(PRIOR_MODEL, KNOWN).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        network.embed.numeric.weight[:, 4:6] = 0.0
    return network


def answer(network, events, cutoff, schema):
    book = ledger(events, schema.event_types)
    everyone = np.arange(events.customers)
    query = locate(book, everyone, np.full(events.customers, cutoff))
    with torch.no_grad():
        return network(event_batch(events, book, query, schema))


def assert_same(one, other, atol=1e-5):
    for name in ("log_weight", "log_rate", "log_hazard", "log_shape", "log_mean"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=atol)


def extended(events):
    """The same events with columns that the source never saw."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 2, len(events)).astype(np.int32)
    return replace(
        events,
        numeric={"discs": random.normal(size=len(events))},
        categorical={"shop": Categorical(codes, ("a", "b"))},
    )


def test_new_columns_kinds_of_events_and_season_change_nothing_at_the_start(base, source):
    past = base.history
    described = schema_like(KNOWN, past, base.cutoff, merge="none")
    more = extended(past)
    derived = replace(
        derive_schema(more, base.cutoff, merge="none", max_history_events=64),
        harmonics=2,
        event_types=("other",),
        numeric=(NumericFeature(name="discs", mean=0.0, std=1.0),),
        categorical=(CategoricalFeature(name="shop", vocabulary=("a", "b")),),
        query_mean=(0.0,) * 31,
        query_std=(1.0,) * 31,
    )
    schema = starting_schema(KNOWN, described, derived)
    network = started_from(source, KNOWN, PRIOR_MODEL, schema).eval()
    assert schema.weekdays
    assert len(schema.query_mean) == len(KNOWN.query_mean) + 4  # two of the event type, two of the season
    assert_same(answer(network, more, base.cutoff, schema), answer(source, past, base.cutoff, described))


def test_new_inputs_are_learned_all_the_same(base, source):
    more = extended(base.history)
    described = schema_like(KNOWN, more, base.cutoff, merge="none")
    derived = derive_schema(more, base.cutoff, merge="none", max_history_events=64)
    network = started_from(source, KNOWN, PRIOR_MODEL, starting_schema(KNOWN, described, derived))
    book = ledger(more, derived.event_types)
    query = locate(book, np.arange(more.customers), np.full(more.customers, base.cutoff))
    network(event_batch(more, book, query, starting_schema(KNOWN, described, derived))).log_rate.sum().backward()
    assert network.embed.numeric.weight.grad[:, -2:].abs().sum() > 0


def test_another_size_cannot_start_from_it(source):
    with pytest.raises(RuntimeError):
        started_from(source, KNOWN, ModelConfig(hidden_size=8), KNOWN)
