"""Spend under the Gamma-Gamma model: a random number of amounts with a common, uncertain scale.

Given n purchases and nu, the sum is Gamma(p n, nu); with nu ~ Gamma(shape, rate) it is a scaled beta prime:
P(sum <= y | n) = I_{y / (rate + y)}(p n, shape), I the regularized incomplete beta function.

Shape: C customers, n counts, E terms of all customers' sums in a row.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaln, expit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NEGLIGIBLE = 1e-11  # probability of a count that changes no quantile
_STEPS = 80  # bisection alone would reach the last digit; Newton needs about eight
_PRECISION = 1e-9  # of a quantile, relative


@dataclass(frozen=True)
class Amounts:
    """Purchases are Gamma(p, nu), nu ~ Gamma(shape, rate): p a number, the others [C]; rate in currency units."""

    p: float
    shape: FloatArray
    rate: FloatArray

    def select(self, rows: IntArray) -> "Amounts":
        """Keep the given customers."""
        return Amounts(self.p, self.shape[rows], self.rate[rows])

    def mean(self) -> FloatArray:
        """[C] E[amount of a purchase]."""
        return self.p * self.rate / (self.shape - 1)

    def mean_square_scale(self) -> FloatArray:
        """[C] E[nu^-2] = rate^2 / ((shape - 1) (shape - 2)); NaN where it is infinite."""
        finite = self.shape > 2
        return np.where(finite, self.rate**2 / ((self.shape - 1) * np.where(finite, self.shape - 2, 1.0)), np.nan)

    def draw(self, counts: FloatArray, generator: np.random.Generator) -> FloatArray:
        """[C, S] draws of the sum of `counts` [C, S] purchases, a fresh nu for each draw."""
        nu = generator.standard_gamma(self.shape[:, None], counts.shape) / self.rate[:, None]
        total = generator.standard_gamma(self.p * counts) / np.maximum(nu, 1e-300)
        return np.where(counts > 0, total, 0.0)


@dataclass(frozen=True)
class _Terms:
    """sum over n of P(n) I(p n, shape) for several customers. Shape: every column [E]."""

    owner: IntArray
    weight: FloatArray  # P(n)
    first: FloatArray  # p n
    second: FloatArray  # shape
    log_beta: FloatArray  # log B(first, second)
    size: int  # number of customers

    def keep(self, customers: npt.NDArray[np.bool_]) -> "_Terms":
        terms = customers[self.owner]
        number = np.cumsum(customers) - 1
        columns = (self.weight[terms], self.first[terms], self.second[terms], self.log_beta[terms])
        return _Terms(number[self.owner[terms]], *columns, int(customers.sum()))

    def cdf(self, z: FloatArray) -> FloatArray:
        """[C] the sum at y = rate exp(z)."""
        share = betainc(self.first, self.second, expit(z)[self.owner])
        return _sums(self.owner, self.weight * share, self.size)

    def density(self, z: FloatArray) -> FloatArray:
        """[C] its derivative by z."""
        log_hit, log_miss = -np.logaddexp(0, -z)[self.owner], -np.logaddexp(0, z)[self.owner]
        density = np.exp(self.first * log_hit + self.second * log_miss - self.log_beta)
        return _sums(self.owner, self.weight * density, self.size)


def spend_quantile(pmf: FloatArray, amounts: Amounts, mass: FloatArray) -> FloatArray:
    """[C] the smallest y at which the buyers' part of the distribution function of spend reaches `mass`.

    Args:
        pmf: [C, n] P(N = n) for n = 1, 2, ...
        amounts: posterior of the amounts.
        mass: [C] level - P(N = 0); the quantile is 0 where it is <= 0.
    """
    result = np.zeros(len(mass))
    # The buyers' total mass is the limit of the sum: a level beyond it by rounding has no finite quantile.
    mass = np.minimum(mass, pmf.sum(-1) * (1 - 1e-9))
    active = np.flatnonzero(mass > 0)
    if len(active) == 0:
        return result
    owner, column = np.nonzero(pmf[active] > np.minimum(_NEGLIGIBLE, mass[active] / 100)[:, None])
    first = np.asarray(amounts.p * (column + 1), dtype=np.float64)
    second = amounts.shape[active][owner]
    weight = pmf[active][owner, column]
    terms = _Terms(owner, weight, first, second, betaln(first, second), len(active))
    typical = _sums(owner, weight * first, len(active)) / _sums(owner, weight, len(active))
    z = _solve(terms, mass[active], np.log(typical / amounts.shape[active]))
    result[active] = amounts.rate[active] * np.exp(z)
    return result


def _solve(terms: _Terms, mass: FloatArray, z: FloatArray) -> FloatArray:
    """The z with cdf(z) = mass: Newton steps inside a bracket that doubles or halves where they leave it."""
    result, index = z.copy(), np.arange(len(z))
    low, high = np.full_like(z, -np.inf), np.full_like(z, np.inf)
    stride = np.ones_like(z)
    for _ in range(_STEPS):
        excess = terms.cdf(z) - mass
        low, high = np.where(excess < 0, z, low), np.where(excess >= 0, z, high)
        step = -excess / np.maximum(terms.density(z), 1e-300)
        bracketed = np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):  # infinite ends are not used
            fallback = np.where(bracketed, (low + high) / 2, z + np.where(excess < 0, stride, -stride))
        stride = np.where(bracketed, stride, 2 * stride)
        newton = z + np.clip(step, -stride, stride)
        inside = (newton > low) & (newton < high)
        following = np.where(inside, newton, fallback)
        done = (np.abs(following - z) < _PRECISION) | (excess == 0)
        result[index] = z = np.where(excess == 0, z, following)
        if done.all():
            break
        left = ~done
        terms, index, mass, z = terms.keep(left), index[left], mass[left], z[left]
        low, high, stride = low[left], high[left], stride[left]
    return result


def _sums(owner: IntArray, values: FloatArray, size: int) -> FloatArray:
    """[size] sum of the values of each owner."""
    return np.asarray(np.bincount(owner, values, size), dtype=np.float64)
