"""Season and calendar as a clock: purchase rates and dropout hazards run on operational time.

Clock time is replaced by A(t), the integral of s(u) du. Every closed form of the purchase process then holds with the
horizon H replaced by A(c + H) - A(c), and the likelihood of a window gains the sum of log s(t_i) over its purchases.

    log s(t) = season(share of the year gone by at t) + b . z(day of t)

The season is a Fourier series of J harmonics, less the logarithm that makes the mean of its exponential one over a
year. z are the calendar's values, standardized, less the logarithm that makes the mean of exp(b . z) one over the days
of the training history. Days of which the calendar says nothing are average ones, without the second term. The
coefficients of both are learned with the network.

Times are in years since a turn of the year, so that their fraction is the phase of the season.

Shape: J harmonics, 2 J coefficients (sines, then cosines); X columns of the calendar; see `seqclv.batch` for the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from seqclv.batch import DAYS_PER_YEAR, FutureWindow, KnownDays

_GRID = 365  # parts of a year on which the season is integrated
_PRIOR_SPREAD = 0.5  # of effects and the first harmonic's coefficients; those of harmonic j are held j times as tight


class SeasonalClock(nn.Module):
    """s(t) and its integral. Without harmonics and calendar operational time is clock time."""

    grid: Tensor
    history: Tensor

    def __init__(self, harmonics: int, time_scale_days: float, calendar_days: Sequence[Sequence[float]] = ()) -> None:
        """`calendar_days` are those of `FeatureSchema`."""
        super().__init__()
        self.harmonics = harmonics
        self.years_per_unit = time_scale_days / DAYS_PER_YEAR
        self.coefficients = nn.Parameter(torch.zeros(2 * harmonics))
        phase = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / _GRID
        self.register_buffer("grid", fourier(phase, harmonics), persistent=False)
        # Only where there is a calendar: the weights of other models keep their names.
        self.effects = nn.Parameter(torch.zeros(len(calendar_days[0]) - 1)) if calendar_days else None
        history = torch.tensor(calendar_days, dtype=torch.float64)
        self.register_buffer("history", history, persistent=False)  # [kinds of days, 1 + X]

    @property
    def steady(self) -> bool:
        """Whether operational time is clock time."""
        return self.harmonics == 0 and self.effects is None

    def operational(self, start: Tensor, elapsed: Tensor, days: KnownDays | None = None) -> Tensor:
        """Operational time of [start, start + elapsed], all in years; no start lies before the first known day."""
        if days is None or self.effects is None:
            return elapsed if self.harmonics == 0 else self._integral(start + elapsed) - self._integral(start)
        begin, end = torch.broadcast_tensors(start, start + elapsed)
        passed = self._paced(self.effects, torch.stack([begin, end]), days)
        return (passed[1] - passed[0]).to(elapsed.dtype)

    def _paced(self, effects: Tensor, time: Tensor, days: KnownDays) -> Tensor:
        """Operational time since the first known day: season by season's integral, each day at its own pace."""
        edges = torch.arange(len(days.values) + 1, dtype=torch.float64, device=time.device) / DAYS_PER_YEAR
        edges = self._integral(edges + days.phase)  # [days + 1]
        pace = ((days.values * effects).sum(-1) - self._log_average(effects)).exp()  # [days]
        total = torch.cat([pace.new_zeros(1), (pace * edges.diff()).cumsum(0)])
        pace = torch.cat([pace, pace.new_ones(1)])
        day = ((time - days.phase) * DAYS_PER_YEAR).floor().long().clamp(0, len(days.values))
        return total[day] + pace[day] * (self._integral(time) - edges[day])

    def _log_average(self, effects: Tensor) -> Tensor:
        """The logarithm of the mean of exp(b . z) over the history's days."""
        share = self.history[:, 0] / self.history[:, 0].sum()
        return torch.logsumexp((self.history[:, 1:] * effects).sum(-1) + share.log(), 0)

    def _log_shape(self) -> tuple[Tensor, Tensor]:
        """[365] the Fourier series on the grid, and the logarithm of its exponential's mean."""
        series = self.grid.to(self.coefficients.dtype) @ self.coefficients
        return series, torch.logsumexp(series, 0) - math.log(_GRID)

    def _integral(self, time: Tensor) -> Tensor:
        """Of the season alone."""
        if self.harmonics == 0:
            return time
        series, log_mean = self._log_shape()
        rate = (series - log_mean).exp()
        total = torch.cat([rate.new_zeros(1), rate.cumsum(0) / _GRID])  # [366], from 0 to 1
        year = time.floor()
        place = (time - year) * _GRID
        cell = place.long().clamp(0, _GRID - 1)
        return year + total[cell] + (place - cell) * rate[cell] / _GRID

    def window(self, start: Tensor, future: FutureWindow, days: KnownDays | None = None) -> FutureWindow:
        """The windows [N, W] after cutoffs at `start` [N], in operational time."""
        if self.steady:
            return future
        begin, scale = start.unsqueeze(-1), self.years_per_unit
        return replace(
            future,
            horizon=self.operational(begin, future.horizon * scale, days) / scale,
            last_offset=self.operational(begin, future.last_offset * scale, days) / scale,
        )

    def log_likelihood(self, future: FutureWindow) -> Tensor:
        """[N, W] sum of log s(t_i) over the purchases of each window."""
        total = torch.zeros_like(future.purchases)
        waves = 2 * self.harmonics
        if self.harmonics:
            total = future.regressors[..., :waves] @ self.coefficients - future.purchases * self._log_shape()[1]
        if self.effects is not None:
            values, known = future.regressors[..., waves:-1], future.regressors[..., -1]
            total = total + (values * self.effects).sum(-1) - known * self._log_average(self.effects).to(known.dtype)
        return total

    def log_effects(self) -> list[float]:
        """[X] what a standard deviation more of each column of the calendar adds to the log pace."""
        return [] if self.effects is None else [float(effect) for effect in self.effects.detach()]

    def penalty(self) -> Tensor:
        """Minus the log density of the coefficients' normal prior, up to a constant."""
        order = torch.arange(1, self.harmonics + 1, device=self.coefficients.device).repeat(2)
        total = 0.5 * ((self.coefficients * order / _PRIOR_SPREAD) ** 2).sum()
        return total if self.effects is None else total + 0.5 * ((self.effects / _PRIOR_SPREAD) ** 2).sum()


def fourier(phase: Tensor, harmonics: int) -> Tensor:
    """[..., 2 J] sines and cosines of 2 pi j phase, j = 1 ... J."""
    angle = 2 * math.pi * phase.unsqueeze(-1) * torch.arange(1, harmonics + 1, dtype=phase.dtype, device=phase.device)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
