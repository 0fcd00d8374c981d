"""Both encoders: each customer as if alone, no look ahead."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from seqclv.config import ModelConfig
from seqclv.model.encoder import build_encoder

ENCODERS = pytest.mark.parametrize("kind", ["gru", "transformer"])
LENGTHS = (9, 5, 5, 2, 1)


def encoder(kind, layers=2):
    torch.manual_seed(0)
    return build_encoder(ModelConfig(encoder=kind, hidden_size=16, heads=2, layers=layers)).eval().double()


def histories(seed=0):
    """Embedded events and log ages of five customers, longest first."""
    g = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(n, 16, generator=g, dtype=torch.float64), torch.randn(n, generator=g).double().sort().values)
        for n in LENGTHS
    ]


def encode(network, customers):
    """States of each customer, encoded together."""
    packed = pack_sequence([x for x, _ in customers])
    time = pack_sequence([t for _, t in customers]).data
    states = network(packed.data, packed.batch_sizes, time)
    places = pack_sequence([torch.full((len(x),), i) for i, (x, _) in enumerate(customers)]).data
    return [states[places == i] for i in range(len(customers))]


@ENCODERS
def test_a_customer_in_a_batch_has_the_states_he_has_alone(kind):
    network, customers = encoder(kind), histories()
    for together, customer in zip(encode(network, customers), customers, strict=True):
        torch.testing.assert_close(together, encode(network, [customer])[0], rtol=1e-12, atol=1e-12)


@ENCODERS
def test_a_state_does_not_see_later_events(kind):
    network, (x, time) = encoder(kind), histories()[0]
    whole = encode(network, [(x, time)])[0]
    for seen in range(1, len(x)):
        changed = x.clone()
        changed[seen:] = -x[seen:]
        torch.testing.assert_close(encode(network, [(changed, time)])[0][:seen], whole[:seen], rtol=1e-12, atol=1e-12)


@ENCODERS
def test_a_state_does_see_earlier_events(kind):
    network, (x, time) = encoder(kind), histories()[0]
    changed = x.clone()
    changed[0] = -x[0]
    assert not torch.allclose(encode(network, [(changed, time)])[0][-1], encode(network, [(x, time)])[0][-1])


def test_the_gru_equals_a_loop_over_its_cell():
    network, customers = encoder("gru", layers=1), histories()
    cell = torch.nn.GRUCell(16, 16).double()
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data = getattr(network.gru, f"{name}_l0").data
    for states, (x, _) in zip(encode(network, customers), customers, strict=True):
        state = torch.zeros(1, 16, dtype=torch.float64)
        for step, event in enumerate(x):
            state = cell(event.unsqueeze(0), state)
            torch.testing.assert_close(states[step], state[0], rtol=1e-12, atol=1e-12)


def test_the_transformer_sees_differences_of_time_and_not_time_itself():
    network, (x, time) = encoder("transformer"), histories()[0]
    torch.testing.assert_close(
        encode(network, [(x, time)])[0], encode(network, [(x, time + 1.7)])[0], rtol=1e-9, atol=1e-9
    )
    assert not torch.allclose(encode(network, [(x, time)])[0][-1], encode(network, [(x, 2 * time)])[0][-1])


@ENCODERS
def test_every_parameter_of_an_encoder_learns(kind):
    network = encoder(kind)
    sum(states.square().sum() for states in encode(network, histories())).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
