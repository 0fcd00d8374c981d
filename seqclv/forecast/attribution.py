"""Integrated gradients: what each input of the network adds to a forecast, compared with average inputs.

Along the straight line from a baseline x0 to the inputs x, input i is given

    (x_i - x0_i) * integral over a in [0, 1] of dF/dx_i (x0 + a (x - x0)).

The parts sum to F(x) - F(x0) (Sundararajan, Taly and Yan 2017, 'Axiomatic Attribution for Deep Networks', equation 1
and proposition 1). Of a categorical input the row of its embedding table takes the place of x_i, and the parts of the
row are summed. The day of the forecast, and with it the clock of the season, is the same on the whole line.

Shape: see the legend in `seqclv.batch`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqclv.batch import EventBatch
from seqclv.model.network import Network

POINTS = 32  # of the Gauss-Legendre rule
CONTINUOUS = ("numeric", "query", "anchor", "trend", "static_numeric")  # fields of `EventBatch`

Measure = Callable[[Network, EventBatch], Tensor]  # the quantity [N] that is explained


@dataclass(frozen=True)
class Baseline:
    """The average inputs of a base.

    Every event of a history is replaced by the average event, so a history keeps its length.
    """

    continuous: dict[str, Tensor]  # of CONTINUOUS, without the first axis
    event_codes: tuple[Tensor, ...]  # of each of the G tables: the share of each entry
    static_codes: tuple[Tensor, ...]  # of each of the T tables


@dataclass(frozen=True)
class Attribution:
    """What the inputs add to the quantity, averaged over networks; float64.

    Shape: forecast and baseline [N]; continuous as the batch's fields; event_codes [E, G]; static_codes [N, T].
    """

    forecast: Tensor
    baseline: Tensor  # the quantity at the average inputs
    continuous: dict[str, Tensor]
    event_codes: Tensor
    static_codes: Tensor


def average_inputs(batch: EventBatch, network: Network) -> Baseline:
    """The baseline of a base, from a batch with one query for each of its customers."""
    return Baseline(
        {name: getattr(batch, name).double().mean(0).float() for name in CONTINUOUS},
        _shares(batch.categorical, network.embed.tables),
        _shares(batch.static_categorical, network.static.tables),
    )


def _shares(codes: Tensor, tables: nn.ModuleList) -> tuple[Tensor, ...]:
    counts = [torch.bincount(codes[:, i], minlength=len(table.weight)) for i, table in enumerate(_rows(tables))]
    return tuple((count.double() / count.sum()).float() for count in counts)


def _rows(tables: nn.ModuleList) -> list[Any]:
    return list(tables)


def integrated_gradients(
    networks: Sequence[Network], batch: EventBatch, baseline: Baseline, measure: Measure, *, points: int = POINTS
) -> Attribution:
    """Attribute the average of `measure` over the networks to the inputs of the batch.

    Each customer of the batch has one query, so that the gradient of the sum over queries is that of each.
    """
    parts = [_of_network(network, batch, baseline, measure, points) for network in networks]
    mean = lambda name: torch.stack([getattr(part, name) for part in parts]).mean(0)  # noqa: E731
    return Attribution(
        mean("forecast"),
        mean("baseline"),
        {name: torch.stack([part.continuous[name] for part in parts]).mean(0) for name in CONTINUOUS},
        mean("event_codes"),
        mean("static_codes"),
    )


def _of_network(network: Network, batch: EventBatch, baseline: Baseline, measure: Measure, points: int) -> Attribution:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    line = _Line(network, batch, baseline)
    total: list[Tensor] = []
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        slopes = line.slopes(float(node), measure)
        parts = [slope.double() * weight for slope in slopes]
        total = [old + new for old, new in zip(total, parts, strict=True)] if total else parts
    return line.attribution(total, measure)


class _Line:
    """The straight line from the baseline to the inputs of a batch, for one network."""

    def __init__(self, network: Network, batch: EventBatch, baseline: Baseline) -> None:
        self.network, self.batch = network, batch
        self.start = {name: baseline.continuous[name].expand_as(getattr(batch, name)) for name in CONTINUOUS}
        self.tables = [*_rows(network.embed.tables), *_rows(network.static.tables)]
        codes = [*batch.categorical.unbind(-1), *batch.static_categorical.unbind(-1)]
        shares = (*baseline.event_codes, *baseline.static_codes)
        self.rows = [table.weight.detach()[code] for table, code in zip(self.tables, codes, strict=True)]
        self.average = [share @ table.weight.detach() for table, share in zip(self.tables, shares, strict=True)]

    def at(self, place: float, measure: Measure) -> tuple[Tensor, list[Tensor]]:
        """The quantity [N] at a place from 0 to 1, and the inputs there, ready for gradients."""
        inputs: dict[str, Any] = {
            name: torch.lerp(start, getattr(self.batch, name), place).requires_grad_()
            for name, start in self.start.items()
        }
        rows = [
            (average + place * (row - average)).requires_grad_()
            for row, average in zip(self.rows, self.average, strict=True)
        ]
        with ExitStack() as stack:
            for table, row in zip(self.tables, rows, strict=True):
                handle = table.register_forward_hook(lambda _module, _inputs, _output, row=row: row)
                stack.callback(handle.remove)
            value = measure(self.network, replace(self.batch, **inputs))
        return value, [*inputs.values(), *rows]

    def slopes(self, place: float, measure: Measure) -> list[Tensor]:
        """The gradients of the quantity by the inputs at a place."""
        value, inputs = self.at(place, measure)
        return list(torch.autograd.grad(value.sum(), inputs, allow_unused=True, materialize_grads=True))

    def attribution(self, integrated: list[Tensor], measure: Measure) -> Attribution:
        """The parts, from the gradients averaged along the line."""
        slopes, codes = integrated[: len(CONTINUOUS)], integrated[len(CONTINUOUS) :]
        continuous = {
            name: (getattr(self.batch, name) - self.start[name]).double() * slope
            for name, slope in zip(CONTINUOUS, slopes, strict=True)
        }
        parts = [
            ((row - average).double() * slope).sum(-1)
            for row, average, slope in zip(self.rows, self.average, codes, strict=True)
        ]
        events = self.batch.categorical.shape[1]
        with torch.no_grad():
            forecast, baseline = (self.at(place, measure)[0].double() for place in (1.0, 0.0))
        return Attribution(
            forecast,
            baseline,
            continuous,
            _columns(parts[:events], self.batch.numeric),
            _columns(parts[events:], self.batch.query),
        )


def _columns(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(parts, dim=-1) if parts else torch.zeros(len(like), 0, dtype=torch.float64)
