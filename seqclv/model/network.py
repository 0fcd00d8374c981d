"""The network: embed events, encode them, query the state at the cutoff, answer with a purchase process."""

import math

import torch
from torch import Tensor, nn

from seqclv.batch import EventBatch, FeatureSchema
from seqclv.config import ModelConfig
from seqclv.model.embedding import EventEmbedding, StaticEmbedding
from seqclv.model.encoder import build_encoder
from seqclv.model.process import PurchaseProcess
from seqclv.model.season import SeasonalClock

_AGE = 1  # the column of the numeric event features that holds the log age
_OFFSET_BOUND = 4.0  # learned log offsets saturate here: whales stay near their conjugate posterior
CODE_SIZE = 64  # of a base's context
_CONTEXT_WIDTH = 160
_FAR = 5.0  # standardized figures of a context beyond this are held
_LOG_SHAPE_BOUNDS = (math.log(0.05), math.log(1000.0))


class Network(nn.Module):
    """History and cutoff -> `PurchaseProcess`, in the schema's units and on the time of `season`.

    Rates, hazards and mean amounts are offsets from what conjugate posteriors would say (the anchor), and the last
    layers start near zero, so that training starts at something like the classical model. Rates and amounts follow the
    customer's trend by weights that all customers share, as in exponential smoothing. Each kind of offset is the sum
    of a linear map of the query's features, common to all behaviours, and of each behaviour's own answer of the
    two-layer network: the linear part is learned in few steps, before the other overfits.
    """

    def __init__(self, config: ModelConfig, schema: FeatureSchema) -> None:
        super().__init__()
        k = config.behaviours
        self.season = SeasonalClock(schema.harmonics, schema.time_scale_days, schema.calendar_days)
        self.embed = EventEmbedding(schema, config.hidden_size)
        self.encode = build_encoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.context = BaseContext(len(schema.context), len(schema.query_mean)) if schema.context else None
        width = config.hidden_size + len(schema.query_mean) + (CODE_SIZE if schema.context else 0)
        self.query = nn.Sequential(
            nn.Linear(width, config.query_size), nn.SiLU(), nn.Linear(config.query_size, config.query_size), nn.SiLU()
        )
        self.head = nn.Linear(config.query_size, 1 + 5 * k)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.shift = nn.Linear(len(schema.query_mean), 5, bias=False)
        nn.init.zeros_(self.shift.weight)
        self.trend = nn.Parameter(torch.zeros(2, len(schema.trailing_windows_days)))
        spread = torch.linspace(-1.0, 1.0, k)
        self.start_rate = nn.Parameter(1.5 * spread)
        self.start_hazard = nn.Parameter(2.0 * _shuffled(spread, 3))
        self.start_mean = nn.Parameter(0.5 * _shuffled(spread, 5))
        self.start_shape = nn.Parameter(torch.full((k,), math.log(2.0)))
        self.static = StaticEmbedding(schema, config.query_size)  # last: the other weights are drawn as without it

    def forward(self, batch: EventBatch) -> PurchaseProcess:
        """The processes of the batch's N queries."""
        embedded = self.embed(batch.numeric, batch.categorical)
        states = self.encode(embedded, batch.step_sizes, batch.numeric[:, _AGE])  # [E, hidden]
        encoded = (batch.query_event >= 0).unsqueeze(-1)
        state = self.dropout(torch.where(encoded, states[batch.query_event.clamp_min(0)], 0.0))  # [N, hidden]
        inputs, shift = [state, batch.query], self.shift(batch.query)
        if self.context is not None:
            code = self.context(batch.context)[batch.query_base]  # [N, CODE_SIZE]
            inputs.append(code)
            shift = shift + self.context.shift(code, batch.query)
        hidden = self.query[0](torch.cat(inputs, dim=-1))
        hidden = self.static(hidden, batch.static_numeric, batch.static_categorical)
        answer = self.head(self.query[1:](hidden))
        trend = (batch.trend * self.trend).sum(-1)  # [N, 2]
        anchor = torch.cat([batch.anchor[:, :2] + trend, batch.anchor[:, 2:]], dim=-1)
        return self._process(answer.float(), shift.float(), anchor)

    def _process(self, answer: Tensor, shift: Tensor, anchor: Tensor) -> PurchaseProcess:
        gone = answer[:, :1] + shift[:, :1]
        weight, *offsets = answer[:, 1:].chunk(5, dim=-1)  # each [N, K]
        rate, hazard, mean, shape = (o + shift[:, i : i + 1] for i, o in enumerate(offsets, start=1))
        low, high = _LOG_SHAPE_BOUNDS
        return PurchaseProcess(
            log_weight=torch.log_softmax(torch.cat([gone, weight], dim=-1), dim=-1),
            log_rate=anchor[:, :1] + self.start_rate + _bounded(rate),
            log_hazard=anchor[:, 2:] + self.start_hazard + _bounded(hazard),
            log_shape=(self.start_shape + _bounded(shape)).clamp(low, high),
            log_mean=anchor[:, 1:2] + self.start_mean + _bounded(mean),
        )


class BaseContext(nn.Module):
    """What kind of base the customers belong to: raw figures [M, Z] -> code [M, CODE_SIZE].

    The code also moves the linear map of the query's features, from zero at the start.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, figures: int, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(figures))
        self.register_buffer("spread", torch.ones(figures))
        self.read = nn.Sequential(nn.Linear(figures, _CONTEXT_WIDTH), nn.SiLU(), nn.Linear(_CONTEXT_WIDTH, CODE_SIZE))
        self.maps = nn.Linear(CODE_SIZE, 5 * (features + 1), bias=False)
        nn.init.zeros_(self.maps.weight)

    def forward(self, context: Tensor) -> Tensor:
        """The codes of M bases."""
        code: Tensor = torch.tanh(self.read(((context - self.centre) / self.spread).clamp(-_FAR, _FAR)))
        return code

    def shift(self, code: Tensor, query: Tensor) -> Tensor:
        """[N, 5] what the base adds to the linear map of the query's features [N, D]."""
        maps = self.maps(code).unflatten(-1, (5, -1))  # [N, 5, D + 1]
        moved: Tensor = (maps[..., :-1] * query.unsqueeze(1)).sum(-1) + maps[..., -1]
        return moved


def _shuffled(values: Tensor, stride: int) -> Tensor:
    """The K values in the order of steps of the stride, or of the next longer one that visits every value."""
    k = len(values)
    while math.gcd(stride, k) > 1:
        stride += 1
    return values[torch.arange(k) * stride % k]


def _bounded(offset: Tensor) -> Tensor:
    return _OFFSET_BOUND * torch.tanh(offset / _OFFSET_BOUND)
