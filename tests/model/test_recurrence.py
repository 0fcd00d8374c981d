"""The recurrent unit in machine code gives the states of torch's."""

import numpy as np
import pytest
import torch

from seqclv.config import ModelConfig
from seqclv.model.encoder import build_encoder
from seqclv.model.recurrence import compiled_states, runs_compiled, tanh

STEP_SIZES = torch.tensor([5, 4, 4, 2, 1, 1])


def encoder(size=8, layers=1):
    torch.manual_seed(0)
    return build_encoder(ModelConfig(hidden_size=size, layers=layers)).eval()


def embedded(size=8, spread=1.0):
    g = torch.Generator().manual_seed(1)
    return spread * torch.randn(int(STEP_SIZES.sum()), size, generator=g)


def test_tanh_is_that_of_numpy_and_never_beyond_one():
    x = np.concatenate([np.linspace(-30, 30, 20_001), [-1e30, -np.inf, np.inf, 1e-30, 0.0]]).astype(np.float32)
    found = np.array([tanh(value) for value in x])
    np.testing.assert_allclose(found, np.tanh(x), rtol=0, atol=5e-7)
    assert np.abs(found).max() <= 1 + 2e-7
    small = np.linspace(1e-6, 0.1, 100).astype(np.float32)
    np.testing.assert_allclose([tanh(value) for value in small], np.tanh(small), rtol=5e-7)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 100.0])
def test_the_states_are_those_of_torch(layers, spread):
    network, events = encoder(layers=layers), embedded(spread=spread)
    with torch.no_grad():
        expected = network(events, STEP_SIZES, None)
    found = compiled_states(network.gru, events, STEP_SIZES)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_where_nothing_is_learned_the_encoder_runs_compiled(monkeypatch):
    asked = []
    monkeypatch.setattr("seqclv.model.encoder.compiled_states", lambda *given: asked.append(given) or torch.zeros(1))
    network, events = encoder(), embedded()
    network(events, STEP_SIZES, None)
    assert not asked  # gradients are torch's
    with torch.inference_mode():
        network(events, STEP_SIZES, None)
    assert len(asked) == 1


def test_states_of_other_sizes_and_precisions_are_left_to_torch():
    assert runs_compiled(embedded(size=8))
    assert not runs_compiled(embedded(size=6))
    assert not runs_compiled(embedded().double())
    network, events = encoder(size=6), embedded(size=6)
    with torch.inference_mode():
        assert network(events, STEP_SIZES, None).shape == events.shape


def test_no_history_at_all_has_no_states():
    nothing, no_steps = torch.empty(0, 8), torch.empty(0, dtype=torch.int64)
    assert compiled_states(encoder().gru, nothing, no_steps).shape == (0, 8)
