"""The network as a whole: from a batch to a proper distribution near its anchor."""

import math
from dataclasses import fields, replace

import pytest
import torch

from seqclv.batch import CategoricalFeature, EventBatch, FeatureSchema, NumericFeature
from seqclv.config import ModelConfig
from seqclv.model.embedding import event_width, table_sizes
from seqclv.model.network import Network

SCHEMA = FeatureSchema(
    time_scale_days=10.0,
    amount_scale=20.0,
    amount_log_std=0.5,
    amount_mean=1.2,
    purchase_rate=0.1,
    merge="1d",
    harmonics=2,
    trailing_windows_days=(8.0, 4.0),
    max_history_events=8,
    event_types=("visit",),
    numeric=(NumericFeature(name="discs", mean=1.0, std=1.0),),
    categorical=(CategoricalFeature(name="shop", vocabulary=("a", "b")),),
    query_mean=(0.0,) * 7,
    query_std=(1.0,) * 7,
)


def batch(query_event=(0, 4, 2, 3), scale=1.0, shift=0.0):
    """Two customers with three and two events, four queries."""
    g = torch.Generator().manual_seed(0)
    return EventBatch(
        numeric=shift + scale * torch.randn(5, event_width(SCHEMA), generator=g),
        categorical=torch.stack([torch.randint(size, (5,), generator=g) for size in table_sizes(SCHEMA)], -1),
        step_sizes=torch.tensor([2, 2, 1]),
        query_event=torch.tensor(query_event),
        query=scale * torch.randn(4, 7, generator=g),
        phase=torch.tensor([0.1, 0.9, 0.0, 0.5]),
        static_numeric=torch.zeros(4, 0),
        static_categorical=torch.zeros(4, 0, dtype=torch.int64),
        anchor=torch.tensor([[-2.0, 0.3, -1.0], [1.0, -0.5, 0.0], [0.0, 0.0, -3.0], [-4.0, 2.0, -1.0]]),
        trend=scale * torch.randn(4, 2, 2, generator=g),
        context=torch.zeros(1, 0),
        query_base=torch.zeros(4, dtype=torch.int64),
    )


def network(**sizes):
    torch.manual_seed(0)
    return Network(ModelConfig(**sizes), SCHEMA).eval()


@pytest.mark.parametrize("encoder", ["gru", "transformer"])
@pytest.mark.parametrize("behaviours", [1, 5, 8])
def test_the_answer_is_a_proper_distribution(encoder, behaviours):
    process = network(encoder=encoder, behaviours=behaviours)(batch())
    assert process.log_weight.shape == (4, 1 + behaviours)
    assert process.log_rate.shape == process.log_mean.shape == (4, behaviours)
    torch.testing.assert_close(process.log_weight.exp().sum(-1), torch.ones(4))
    assert all(torch.isfinite(t).all() for t in (process.log_rate, process.log_hazard, process.log_mean))


def test_the_trend_moves_the_rate_and_the_mean_amount_of_all_behaviours_alike():
    steady = network()
    following = network()
    with torch.no_grad():
        following.trend[:] = torch.tensor([[0.5, 0.0], [0.0, -1.0]])
    before, after, trend = steady(batch()), following(batch()), batch().trend
    moved = (after.log_rate - before.log_rate, after.log_mean - before.log_mean)
    torch.testing.assert_close(moved[0], (0.5 * trend[:, 0, :1]).expand(-1, 8))
    torch.testing.assert_close(moved[1], (-1.0 * trend[:, 1, 1:]).expand(-1, 8))
    torch.testing.assert_close(after.log_hazard, before.log_hazard)


def test_an_untrained_network_answers_with_its_anchor():
    process = network()(batch())
    anchor = batch().anchor
    torch.testing.assert_close(process.log_rate.mean(-1), anchor[:, 0], rtol=0, atol=0.3)
    torch.testing.assert_close(process.log_mean.mean(-1), anchor[:, 1], rtol=0, atol=0.3)


def test_offsets_and_shapes_stay_bounded_whatever_the_input():
    model = network()
    with torch.no_grad():
        model.head.weight.mul_(1e4)
    process = model(batch(scale=1e3))
    assert (process.log_rate - batch().anchor[:, :1]).abs().max() <= 1.5 + 4 + 1e-5
    assert (process.log_mean - batch().anchor[:, 1:2]).abs().max() <= 0.5 + 4 + 1e-5
    assert process.log_shape.min() >= math.log(0.05) - 1e-6 and process.log_shape.max() <= math.log(1000) + 1e-6


@pytest.mark.parametrize("behaviours", range(2, 13))
def test_behaviours_start_apart_in_rate_hazard_and_mean(behaviours):
    model = network(behaviours=behaviours)
    for start in (model.start_rate, model.start_hazard, model.start_mean):
        assert len(start.detach().unique()) == behaviours


def test_a_query_before_the_encoded_events_is_answered_without_a_state():
    model = network()

    def answer(events, shift):
        return model(batch(events, shift=shift)).log_weight

    too_old = (-1, 4, -1, 3)
    same = (answer(too_old, 0.0) == answer(too_old, 1.0)).all(dim=-1)
    assert same.tolist() == [True, False, True, False]


def test_every_parameter_of_the_network_learns():
    model = network()
    process = model(batch())
    season = model.season.operational(batch().phase, torch.full((4,), 0.3)).sum()
    answer = process.log_weight.sum() + process.expected_spend(3.0).log().sum() + process.log_shape.sum()
    (answer + season).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_tables_have_an_entry_for_every_value_and_one_for_the_unknown():
    assert table_sizes(SCHEMA) == (5, 3)  # unknown, purchase, refund, zero, visit; unknown, a, b
    assert event_width(SCHEMA) == 6 + 2 + 2


# -- attributes of customers -----------------------------------------------------------------------------------------

STATIC = replace(
    SCHEMA,
    static_numeric=(NumericFeature(name="age", mean=40.0, std=10.0),),
    static_categorical=(CategoricalFeature(name="country", vocabulary=("at", "ch", "de")),),
)


def static_batch(country, age=(1.0, 1.0)):
    return replace(batch(), static_numeric=torch.tensor([age] * 4), static_categorical=torch.full((4, 1), country))


def test_attributes_of_customers_change_nothing_before_they_are_learned():
    plain = network()(batch())
    torch.manual_seed(0)
    model = Network(ModelConfig(), STATIC).eval()
    for country in range(4):
        process = model(static_batch(country))
        assert all(torch.equal(getattr(process, f.name), getattr(plain, f.name)) for f in fields(plain))


def test_a_network_without_such_attributes_has_no_weights_for_them():
    assert not [name for name in network().state_dict() if name.startswith("static")]


def test_attributes_of_customers_are_learned_each_value_by_itself():
    torch.manual_seed(0)
    model = Network(ModelConfig(), STATIC)
    model(static_batch(2)).log_rate.sum().backward()
    table, numeric = model.static.tables[0].weight.grad, model.static.numeric.weight.grad
    assert (table.abs().sum(-1) > 0).tolist() == [False, False, True, False]
    assert (numeric.abs().sum(0) > 0).all()
