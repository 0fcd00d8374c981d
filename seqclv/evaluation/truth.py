"""Forecasts of simulated customers against what only the simulation knows: pure functions of arrays, and an oracle.

The oracle is the exact posterior of a customer whom `seqclv.data.simulate` made, by someone who knows the population
and the season but not the customer: no method can be better on average.

Shape: C customers, W weeks, J nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from seqclv.evaluation import metrics
from seqclv.predictive import FloatArray

DAYS_PER_WEEK = 7.0
_NODES = 64
_STEPS_PER_DAY = 4  # of the integral over the days of a window

Season = Callable[[FloatArray], FloatArray]  # days -> operational days, the integral of the season


def alive_auc(alive_probability: FloatArray, alive: np.ndarray) -> float | None:
    """Area under the ROC curve of P(alive) against [C] who had not yet dropped out; None if all are alike."""
    return metrics.auc(alive_probability, alive)


def shape_correlation(cumulative: FloatArray, weekly: FloatArray) -> float | None:
    """Pearson correlation of the forecast with the actual purchases of all customers by week.

    Args:
        cumulative: [W] expected purchases up to the end of each week.
        weekly: [W] purchases in each week.

    Returns:
        None where fewer than three weeks are compared or one of the two is constant.
    """
    forecast = np.diff(cumulative, prepend=0.0)
    if len(weekly) < 3 or np.ptp(forecast) <= 1e-12 * np.abs(forecast).max() or np.ptp(weekly) == 0:
        return None
    return float(np.corrcoef(forecast, weekly)[0, 1])


def share_on_gone(forecast: FloatArray, alive: np.ndarray) -> float | None:
    """Share of the [C] expected purchases that falls on customers who had dropped out; None if none is expected."""
    total = float(forecast.sum())
    return float(forecast[~alive].sum()) / total if total > 0 else None


@dataclass(frozen=True)
class Population:
    """The laws that a simulation draws its customers from; times in days.

    The rate is Gamma(r) with inverse scale alpha in operational time, the hazard Gamma(s) with inverse scale beta in
    clock time: customers leave whatever the season.
    """

    r: float
    alpha: float
    s: float
    beta: float
    season: Season


@dataclass(frozen=True)
class Oracle:
    """What the population's posterior says of C customers at the cutoff: P(alive), and the law of rate and hazard."""

    population: Population
    cutoff: float  # day
    alive: FloatArray  # [C]
    shape: FloatArray  # [C] of the rate
    scale: FloatArray  # [C] operational days
    beta: FloatArray  # [C] days

    def expected_transactions(self, horizon_days: float) -> FloatArray:
        """[C] E[N] in the `horizon_days` after the cutoff.

        P(alive) E[lambda] times the integral over the window of season x P(not yet dropped out | alive).
        """
        steps = int(np.ceil(horizon_days * _STEPS_PER_DAY))
        border = self.cutoff + np.linspace(0.0, horizon_days, steps + 1)
        season = np.diff(self.population.season(border))  # [steps]
        middle = (border[1:] + border[:-1]) / 2 - self.cutoff
        stays = np.exp(-self.population.s * np.log1p(middle / self.beta[:, None])) @ season
        return np.asarray(self.alive * self.shape / self.scale * stays)


def oracle(population: Population, count: FloatArray, first: FloatArray, last: FloatArray, cutoff: float) -> Oracle:
    """The posterior at the cutoff of customers with `count` repeat purchases; each [C], times in days.

    With A the operational time since the first purchase, the likelihood of a customer who is alive at the cutoff is
    proportional to (alpha + A(T))^-(r + x) (beta + T)^-s; of one who left at t it is
    s (alpha + A(t))^-(r + x) (beta + t)^-(s + 1), integrated from the last purchase to the cutoff.
    Source: Schmittlein, Morrison and Colombo (1987), on a clock.
    """
    start = population.season(first)
    power = -(population.r + count)
    scale = population.alpha + population.season(np.full_like(first, cutoff)) - start
    beta = population.beta + cutoff - first
    survived = power * np.log(scale) - population.s * np.log(beta)
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    # Close to the last purchase the integrand of a busy customer falls steeply: nodes lie there densely, by a square.
    v, length = (node + 1) / 2, (cutoff - last)[:, None]
    time = last[:, None] + length * v**2  # [C, J]
    with np.errstate(divide="ignore"):  # who bought at the cutoff had no time to leave
        log_step = np.log(length * v * weight)
    passed = population.alpha + population.season(time) - start[:, None]
    dropped = np.log(population.s) + power[:, None] * np.log(passed) + log_step
    dropped = dropped - (population.s + 1) * np.log(population.beta + time - first[:, None])
    alive = np.exp(survived - np.logaddexp(survived, logsumexp(dropped, axis=-1)))
    return Oracle(population, cutoff, alive, population.r + count, scale, beta)
