"""Gamma-Gamma: amounts of a customer vary around a mean of their own, which varies between customers.

Source: Fader, Hardie and Lee (2005), 'RFM and CLV', and Fader and Hardie (2013). A purchase is Gamma(p, nu), and
nu ~ Gamma(q, gamma); the mean amount of a customer, p / nu, does not depend on how often they buy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from seqclv.baselines.maximum_likelihood import maximize
from seqclv.baselines.rfm import RfmTable

FloatArray = npt.NDArray[np.float64]

_STARTS = ((3.0, 2.0, 1.0), (6.0, 3.0, 0.4), (1.0, 1.0, 2.0))  # p, q - 1, gamma in units of the mean amount


@dataclass(frozen=True)
class GammaGamma:
    """The three parameters; `gamma` in currency units. q > 1, so that the mean amount exists."""

    p: float
    q: float
    gamma: float

    def posterior(self, table: RfmTable) -> tuple[FloatArray, FloatArray]:
        """[C] shape and rate of nu given x repeat purchases of mean m: p x + q, gamma + x m.

        Repeats whose mean amount is 0 or unknown say nothing about amounts.
        """
        told = (table.frequency > 0) & (table.monetary_value > 0)
        x = np.where(told, table.frequency, 0.0)
        value = np.where(told, table.monetary_value, 0.0)
        return self.p * x + self.q, self.gamma + x * value

    def mean_amount(self, table: RfmTable) -> FloatArray:
        """[C] E[amount of a purchase | x, m] = p (gamma + x m) / (p x + q - 1)."""
        shape, rate = self.posterior(table)
        return self.p * rate / (shape - 1)


def fit_gamma_gamma(table: RfmTable) -> GammaGamma | None:
    """The maximum-likelihood Gamma-Gamma model of the customers with repeat purchases of positive mean amount.

    The search keeps q > 1. Where nobody repeats, the amounts of first purchases stand in as single observations;
    where amounts do not identify the parameters (all equal, one customer), a weak prior decides, see
    `maximum_likelihood.maximize`. None if no positive amount is known at all: spend is then unknown.
    """
    repeated = (table.frequency > 0) & (table.monetary_value > 0)
    if repeated.any():
        x, mean = table.frequency[repeated], table.monetary_value[repeated]
    elif table.first_amount is not None and (table.first_amount > 0).any():
        mean = table.first_amount[table.first_amount > 0]
        x = np.ones_like(mean)
    else:
        return None
    unit = float(mean.mean())
    rows, count = np.unique(np.column_stack([x, mean / unit]), axis=0, return_counts=True)

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        p, excess, gamma = theta
        return log_likelihood(np.array([p, 1 + excess, gamma]), rows[:, 0], rows[:, 1], count.astype(np.float64))

    p, excess, gamma = maximize(objective, _STARTS[0], _STARTS).tolist()
    return GammaGamma(p, 1 + excess, gamma * unit)


def log_likelihood(theta: FloatArray, x: FloatArray, mean: FloatArray, count: FloatArray) -> tuple[float, FloatArray]:
    """Log-likelihood of `count` customers per distinct (x, mean amount), and its gradient in (p, q, gamma).

    Gamma(p x + q) / (Gamma(p x) Gamma(q)) gamma^q m^(p x - 1) x^(p x) / (gamma + x m)^(p x + q).
    """
    p, q, gamma = theta
    total = gamma + x * mean
    value = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(gamma)
        + p * x * np.log(x * mean)
        - np.log(mean)
        - (p * x + q) * np.log(total)
    )
    by_p = x * (digamma(p * x + q) - digamma(p * x) + np.log(x * mean) - np.log(total))
    by_q = digamma(p * x + q) - digamma(q) + np.log(gamma) - np.log(total)
    by_gamma = q / gamma - (p * x + q) / total
    return float(count @ value), np.array([count @ by_p, count @ by_q, count @ by_gamma])
