"""The yearly season as a clock: purchase rates and dropout hazards run on operational time.

Clock time is replaced by A(t), the integral of s(u) du, where s > 0 has mean one over a year. Every closed form of the
purchase process then holds with the horizon H replaced by A(c + H) - A(c), and the likelihood of a window gains the
sum of log s(t_i) over its purchases. log s is a Fourier series of J harmonics, less the logarithm that makes the mean
one; its coefficients are learned with the network.

Shape: J harmonics, 2 J coefficients (sines, then cosines); see `seqclv.batch` for the other letters.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from seqclv.batch import DAYS_PER_YEAR, FutureWindow

_GRID = 365  # parts of a year on which s is integrated
_PRIOR_SPREAD = 0.5  # of the first harmonic's coefficients; those of harmonic j are held j times as tight


class SeasonalClock(nn.Module):
    """s(t) and its integral. Without harmonics operational time is clock time."""

    grid: Tensor

    def __init__(self, harmonics: int, time_scale_days: float) -> None:
        super().__init__()
        self.harmonics = harmonics
        self.years_per_unit = time_scale_days / DAYS_PER_YEAR
        self.coefficients = nn.Parameter(torch.zeros(2 * harmonics))
        phase = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / _GRID
        self.register_buffer("grid", fourier(phase, harmonics), persistent=False)

    def operational(self, phase: Tensor, elapsed: Tensor) -> Tensor:
        """Operational time of [phase, phase + elapsed], all in years; phase is the share of the year gone by."""
        if self.harmonics == 0:
            return elapsed
        return self._integral(phase + elapsed) - self._integral(phase)

    def _log_shape(self) -> tuple[Tensor, Tensor]:
        """[365] the Fourier series on the grid, and the logarithm of its exponential's mean."""
        series = self.grid.to(self.coefficients.dtype) @ self.coefficients
        return series, torch.logsumexp(series, 0) - math.log(_GRID)

    def _integral(self, time: Tensor) -> Tensor:
        series, log_mean = self._log_shape()
        rate = (series - log_mean).exp()
        total = torch.cat([rate.new_zeros(1), rate.cumsum(0) / _GRID])  # [366], from 0 to 1
        year = time.floor()
        place = (time - year) * _GRID
        cell = place.long().clamp(0, _GRID - 1)
        return year + total[cell] + (place - cell) * rate[cell] / _GRID

    def window(self, phase: Tensor, future: FutureWindow) -> FutureWindow:
        """The windows [N, W] after cutoffs at `phase` [N], in operational time."""
        if self.harmonics == 0:
            return future
        start, scale = phase.unsqueeze(-1), self.years_per_unit
        return replace(
            future,
            horizon=self.operational(start, future.horizon * scale) / scale,
            last_offset=self.operational(start, future.last_offset * scale) / scale,
        )

    def log_likelihood(self, future: FutureWindow) -> Tensor:
        """[N, W] sum of log s(t_i) over the purchases of each window."""
        if self.harmonics == 0:
            return torch.zeros_like(future.purchases)
        return future.fourier @ self.coefficients - future.purchases * self._log_shape()[1]

    def penalty(self) -> Tensor:
        """Minus the log density of the coefficients' normal prior, up to a constant."""
        order = torch.arange(1, self.harmonics + 1, device=self.coefficients.device).repeat(2)
        return 0.5 * ((self.coefficients * order / _PRIOR_SPREAD) ** 2).sum()


def fourier(phase: Tensor, harmonics: int) -> Tensor:
    """[..., 2 J] sines and cosines of 2 pi j phase, j = 1 ... J."""
    angle = 2 * math.pi * phase.unsqueeze(-1) * torch.arange(1, harmonics + 1, dtype=phase.dtype, device=phase.device)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
