"""Encoders: the state after an event sees that event and those before it, nothing later.

Both map embedded events [E, hidden], in the packed order of `EventBatch`, to states [E, hidden].
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqclv.config import ModelConfig
from seqclv.model.recurrence import compiled_states, runs_compiled


def build_encoder(config: ModelConfig) -> "GruEncoder | TransformerEncoder":
    """The encoder that the configuration names."""
    return GruEncoder(config) if config.encoder == "gru" else TransformerEncoder(config)


class GruEncoder(nn.Module):
    """A gated recurrent unit (Cho et al. 2014)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gru = nn.GRU(config.hidden_size, config.hidden_size, config.layers)

    def forward(self, embedded: Tensor, step_sizes: Tensor, time: Tensor) -> Tensor:
        """States after each event; the times are already among the embedded features."""
        if torch.is_inference_mode_enabled() and runs_compiled(embedded):
            return compiled_states(self.gru, embedded, step_sizes)
        states: Tensor = self.gru(PackedSequence(embedded, step_sizes))[0].data
        return states


class TransformerEncoder(nn.Module):
    """A causal pre-norm transformer whose positions are the events' log ages, by rotary embedding (Su et al. 2021)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CausalBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, embedded: Tensor, step_sizes: Tensor, time: Tensor) -> Tensor:
        """States after each event; `time` [E] is the position that the rotation uses.

        Histories are padded on the right inside, so that no state of a real event depends on padding.
        """
        x, length = pad_packed_sequence(PackedSequence(embedded, step_sizes), batch_first=True)  # [B, L, hidden]
        padded_time, _ = pad_packed_sequence(PackedSequence(time.unsqueeze(-1), step_sizes), batch_first=True)
        for block in self.blocks:
            x = block(x, padded_time.squeeze(-1))
        states: Tensor = pack_padded_sequence(self.norm(x), length, batch_first=True).data
        return states


class CausalBlock(nn.Module):
    """Causal self-attention and a feed-forward layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.dropout = config.heads, config.dropout
        self.before_attention, self.before_feed = nn.LayerNorm(size), nn.LayerNorm(size)
        self.project_in, self.project_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.feed = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[B, L, hidden] -> [B, L, hidden]."""
        size = x.shape[-1] // self.heads
        projected = self.project_in(self.before_attention(x)).unflatten(-1, (3, self.heads, size))
        q, k, v = projected.permute(2, 0, 3, 1, 4)  # each [B, heads, L, size]
        q, k = _rotate(q, time), _rotate(k, time)
        dropout = self.dropout if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        x = x + self.project_out(attended.transpose(1, 2).flatten(2))
        fed: Tensor = x + self.feed(self.before_feed(x))
        return fed


def _rotate(x: Tensor, time: Tensor) -> Tensor:
    """Rotate pairs of [B, heads, L, size] by angles that grow with time [B, L]."""
    half = x.shape[-1] // 2
    speed = torch.logspace(1, -1, half, dtype=x.dtype, device=x.device)
    angle = (time.to(x.dtype).unsqueeze(-1) * speed).unsqueeze(1)  # [B, 1, L, half]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=-1)
