"""A gated recurrent unit in machine code: one customer after the other, whose state stays in the core's fastest cache.

torch runs step by step over all customers, through memory; where nothing is learned that is work for nothing. Both
give the same states but for rounding.

Source: Cho et al. (2014), 'Learning phrase representations using RNN encoder-decoder', in the form of torch.nn.GRU:

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r (W_hn h + b_hn))     h' = (1 - z) n + z h

Shape: E events in packed order; S the size of the state and of the inputs.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqclv.model.compiled import entry, summing

Floats = NDArray[np.float32]
Steps = NDArray[np.int64]

_UNROLLED = 4  # inputs that are worked in at once; the size of the state must be a multiple

_FAR = np.float32(8.5)  # beyond it tanh is one to within float32
# tanh(x) / x = P(x^2) / Q(x^2) up to _FAR, fitted for the smallest relative error, which is 1.2e-8.
_P0, _P1, _P2, _P3, _P4 = (
    np.float32(c)
    for c in (0.9999999882607771, 0.13413436929511685, 3.5342502868331124e-3, 2.125461924048924e-5, 1.4273961571614e-8)
)
_Q1, _Q2, _Q3, _Q4 = (
    np.float32(c) for c in (0.46746759759911527, 0.026023607268556632, 3.3492259762392206e-4, 8.147108958085071e-7)
)
_ONE, _HALF = np.float32(1), np.float32(0.5)


@summing
def tanh(x: np.float32) -> np.float32:
    """The hyperbolic tangent in float32, to within 4e-7; arithmetic alone, so that several are worked out at once."""
    x = min(max(x, -_FAR), _FAR)
    y = x * x
    above = _P0 + y * (_P1 + y * (_P2 + y * (_P3 + y * _P4)))
    return x * above / (_ONE + y * (_Q1 + y * (_Q2 + y * (_Q3 + y * _Q4))))


def runs_compiled(embedded: Tensor) -> bool:
    """Whether `compiled_states` can work on embedded events [E, S]."""
    return embedded.device.type == "cpu" and embedded.dtype == torch.float32 and embedded.shape[1] % _UNROLLED == 0


def compiled_states(gru: nn.GRU, embedded: Tensor, step_sizes: Tensor) -> Tensor:
    """The states [E, S] of the last of the layers, whose inputs are as wide as their states."""
    states, like_state = embedded.numpy(), (0,) * gru.hidden_size
    for layer in range(gru.num_layers):
        by_input, by_state, bias_input, bias_state = (
            getattr(gru, f"{name}_l{layer}").detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        gates = 2 * gru.hidden_size
        bias = torch.cat([bias_input[:gates] + bias_state[:gates], bias_input[gates:], bias_state[gates:]])
        weights = (by_input.T.contiguous().numpy(), by_state.T.contiguous().numpy())
        states = recurrent_states(states, step_sizes.numpy(), *weights, bias.numpy(), like_state)
    return torch.from_numpy(states)


@entry
@summing
def recurrent_states(
    inputs: Floats, step_sizes: Steps, by_input: Floats, by_state: Floats, bias: Floats, like_state: tuple[int, ...]
) -> Floats:
    """[E, S] the state after each event.

    Args:
        inputs: [E, S] in the order of torch's `PackedSequence`.
        step_sizes: [L] customers with a first, second ... event.
        by_input: [S, 3 S] weights: r, z, n.
        by_state: [S, 3 S] weights.
        bias: [4 S] of r and z, each the sum of both; of n for inputs, then for the state.
        like_state: S numbers. Their number is known when this is compiled, which makes it twice as fast.
    """
    size = len(like_state)
    states = np.empty((len(inputs), size), np.float32)
    start = np.cumsum(step_sizes) - step_sizes
    h, gate = np.empty(size, np.float32), np.empty(4 * size, np.float32)
    for b in range(step_sizes[0] if len(step_sizes) else 0):
        h[:] = 0
        for step in range(len(step_sizes)):
            if step_sizes[step] <= b:
                break
            event = start[step] + b
            for j in range(4 * size):
                gate[j] = bias[j]
            for i in range(0, size, _UNROLLED):  # several at once, to spare the cache
                x, y, z, w = inputs[event, i], inputs[event, i + 1], inputs[event, i + 2], inputs[event, i + 3]
                p, q, r, s = h[i], h[i + 1], h[i + 2], h[i + 3]
                for j in range(2 * size):
                    gate[j] += (
                        x * by_input[i, j]
                        + y * by_input[i + 1, j]
                        + z * by_input[i + 2, j]
                        + w * by_input[i + 3, j]
                        + p * by_state[i, j]
                        + q * by_state[i + 1, j]
                        + r * by_state[i + 2, j]
                        + s * by_state[i + 3, j]
                    )
                for j in range(2 * size, 3 * size):
                    gate[j] += (
                        x * by_input[i, j] + y * by_input[i + 1, j] + z * by_input[i + 2, j] + w * by_input[i + 3, j]
                    )
                for j in range(2 * size, 3 * size):
                    gate[size + j] += (
                        p * by_state[i, j] + q * by_state[i + 1, j] + r * by_state[i + 2, j] + s * by_state[i + 3, j]
                    )
            for j in range(size):
                reset = _HALF + _HALF * tanh(_HALF * gate[j])
                keep = _HALF + _HALF * tanh(_HALF * gate[size + j])
                fresh = tanh(gate[2 * size + j] + reset * gate[3 * size + j])
                h[j] = fresh + keep * (h[j] - fresh)
                states[event, j] = h[j]
    return states
