"""Discounted sums over a purchase process: of purchases, of time alive, and their second moments.

Behaviour k buys at rate lambda_k s(t) until a dropout of hazard mu_k s(t), s being the season (1 without one) and A(t)
its integral. Discounting at a continuous rate d runs in clock time, so that up to a horizon H

    purchases   lambda R,  R = integral of s(t) exp(-mu A(t) - d t)
    days alive  E          E = integral of      exp(-mu A(t) - d t)

Without a season both integrals are (1 - exp(-(mu + d) H)) / (mu + d). With one they depend on the behaviour through mu
alone. The season is constant within a cell of its grid and of a calendar's day, where they have a closed form; after
the last day that a calendar knows, a year repeats with the factor exp(-(mu + d) year); and between values of mu on a
fine fixed grid they are interpolated (to about 1e-8).

Source: Fader, Hardie and Lee (2005), 'RFM and CLV', for the discounting; the season is ours.

Shape: see the legend in `seqclv.batch`; M values of mu, C cells of the known days and a year.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from seqclv.batch import DAYS_PER_YEAR
from seqclv.model.process import PurchaseProcess
from seqclv.predictive import FloatArray

if TYPE_CHECKING:
    from seqclv.forecast.distribution import Clock, ClockedProcess

_LOG_HAZARD = np.arange(-30.0, 12.0, 0.04)  # [M] of mu per day; beyond these nothing changes


@dataclass(frozen=True)
class Integrals:
    """R and E of every behaviour and horizon, days. Shape: each [N, K, H]."""

    purchases: Tensor
    alive: Tensor


def integrals(part: "ClockedProcess", horizons_days: Sequence[float], rate: float) -> Integrals:
    """The integrals of one network's behaviours; `rate` is continuous, per day; a horizon may be infinite."""
    log_hazard = part.process.log_hazard
    if part.clock is None or part.clock.steady:
        both = torch.stack([leaving_time(log_hazard.exp() + rate, h) for h in horizons_days], dim=-1)
        return Integrals(both, both)
    by_hazard = _seasonal(part.clock, horizons_days, rate)  # [M, 2 H]
    spline = CubicSpline(_LOG_HAZARD, np.log(by_hazard), axis=0)
    places = log_hazard.numpy().clip(_LOG_HAZARD[0], _LOG_HAZARD[-1])
    values = torch.from_numpy(np.exp(spline(places)))
    width = len(horizons_days)
    return Integrals(values[..., :width], values[..., width:])


def leaving_time(leaving: Tensor, horizon_days: float) -> Tensor:
    """(1 - exp(-leaving H)) / leaving: the integral of exp(-leaving t) up to H, elementwise."""
    if math.isinf(horizon_days):
        return 1 / leaving
    return -torch.expm1(-leaving * horizon_days) / leaving


def _seasonal(clock: "Clock", horizons_days: Sequence[float], rate: float) -> FloatArray:
    """[M, 2 H] R of every horizon, then E, for the hazards of the grid."""
    known = clock.known_days
    years, rests = _folded(np.maximum(np.asarray(horizons_days, dtype=np.float64) - known, 0.0))
    ends = np.where(np.asarray(horizons_days) < known, horizons_days, known + rests)
    edges = _edges(clock, known, ends)
    place = (np.searchsorted(edges, known), np.searchsorted(edges, ends))
    passed = clock(torch.from_numpy(edges)).numpy()
    step, run = np.diff(edges), np.diff(passed)  # [C] clock days, operational days
    hazard = np.exp(_LOG_HAZARD)[:, None]
    decay = hazard * run + rate * step
    alive = np.exp(-hazard * passed[:-1] - rate * edges[:-1]) * step * _share(decay)
    columns = []
    for weight in (run / step, np.ones_like(step)):
        running = np.concatenate([np.zeros_like(hazard), np.cumsum(alive * weight, axis=1)], axis=1)
        columns.append(_unfolded(running, years, place, hazard[:, 0] + rate))
    return np.concatenate(columns, axis=1)


def _folded(horizons: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Whole years (infinite for an infinite horizon) and the days beyond them."""
    years = np.floor(horizons / DAYS_PER_YEAR)
    rests = np.where(np.isinf(horizons), 0.0, horizons - np.where(np.isinf(years), 0.0, years) * DAYS_PER_YEAR)
    return years, rests


def _edges(clock: "Clock", known: float, ends: FloatArray) -> FloatArray:
    """[C + 1] days from the cutoff: the edges of the cells of `known` days and of a year, and the horizons' ends."""
    cells = len(clock.season.grid)
    share = np.arange(cells) / cells
    boundary = known + (share - (clock.phase + known / DAYS_PER_YEAR)) % 1.0 * DAYS_PER_YEAR
    years = np.arange(np.ceil(known / DAYS_PER_YEAR))[:, None]
    before = (years + (share - clock.phase) % 1.0).ravel() * DAYS_PER_YEAR
    midnights = known - np.arange(np.ceil(known))
    before = np.concatenate([before[before < known], midnights])
    return np.unique(np.concatenate([[0.0], before, boundary, ends, [known + DAYS_PER_YEAR]]))


def _share(decay: FloatArray) -> FloatArray:
    """(1 - exp(-x)) / x, 1 at 0."""
    safe = np.maximum(decay, 1e-300)
    return np.where(decay > 1e-300, -np.expm1(-safe) / safe, 1.0)


def _unfolded(
    running: FloatArray, years: FloatArray, place: tuple[np.intp, np.ndarray], leaving: FloatArray
) -> FloatArray:
    """[M, H] the known days, whole years and the rest, from the running integral [M, C + 1] over what is not folded.

    `place` is where the known days and where the horizons end.
    """
    start, end = place
    known, year = running[:, start : start + 1], running[:, -1:] - running[:, start : start + 1]
    lost = leaving[:, None] * DAYS_PER_YEAR  # minus the log of what a year leaves
    whole = -np.expm1(-lost * years) / -np.expm1(-lost)  # a geometric sum; 1 / (1 - q) without an end
    left = np.where(np.isinf(years), 0.0, np.exp(-lost * np.where(np.isinf(years), 0.0, years)))
    beyond = known + whole * year + left * (running[:, end] - known)
    return np.where(end < start, running[:, end], beyond)


def squared_count(process: PurchaseProcess, horizon_days: float) -> Tensor:
    """[N] E[N(H)^2] of a process in clock time: sum_k pi_k (lambda G + lambda^2 T2)."""
    first, second = _time_moments(process, horizon_days, 0.0)
    rate = process.log_rate.exp()
    return (process.weight * (rate * first + rate.square() * second)).sum(-1)


def squared_spend(process: PurchaseProcess, horizon_days: float, rate: float) -> Tensor:
    """[N] E[X^2], X the sum of exp(-d t_i) v_i: sum_k pi_k m^2 [lambda (1 + 1 / a) G(2 d) + lambda^2 T2].

    Given the life, X is compound Poisson, of variance lambda E[v^2] int exp(-2 d t) and mean lambda m (1 - exp(-d
    life)) / d.
    """
    first, second = _time_moments(process, horizon_days, rate)
    buying, mean = process.log_rate.exp(), process.log_mean.exp()
    wide = 1 + (-process.log_shape).exp()
    return (process.weight * mean.square() * (buying * wide * first + buying.square() * second)).sum(-1)


def _time_moments(process: PurchaseProcess, horizon_days: float, rate: float) -> tuple[Tensor, Tensor]:
    """G(2 d) and T2 = E[((1 - exp(-d life)) / d)^2] = 2 (G(d) - G(2 d)) / d, life ending at H: each [N, K]."""
    hazard = process.log_hazard.exp()
    twice = leaving_time(hazard + 2 * rate, horizon_days)
    if rate > 0:
        return twice, 2 * (leaving_time(hazard + rate, horizon_days) - twice) / rate
    if math.isinf(horizon_days):
        return twice, 2 / hazard.square()
    return twice, 2 * torch.special.gammainc(torch.full_like(hazard, 2.0), hazard * horizon_days) / hazard.square()
