"""Pareto/NBD: purchases at a Gamma-distributed rate until a dropout with a Gamma-distributed hazard.

Source: Schmittlein, Morrison and Colombo (1987). lambda ~ Gamma(r, alpha), mu ~ Gamma(s, beta), independent. With
the dropout at an unseen time, everything here is one integral over that time, which is evaluated by quadrature in
log space: the two hypergeometric functions of the textbook form overflow for busy customers, this does not.

Shape: C customers, J nodes, n counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, logsumexp

from seqclv.baselines.discounting import Course, unit_nodes

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LIKELIHOOD_NODES = 40
_BLOCK = 50_000  # customers at a time
_NODES = 20
_NODES_PER_ROOT = 2.5  # further nodes per root of the expected count
LONGEST_DAYS = 1e6  # that the time to the next purchase is sought in
_BISECTIONS = 45  # to a relative 1e-12
_NEGLIGIBLE = 45.0  # an integrand below exp(-45) of its largest value is left out


@dataclass(frozen=True)
class ParetoNbd:
    """The four parameters; `alpha` and `beta` in days."""

    r: float
    alpha: float
    s: float
    beta: float

    def log_alive_probability(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
        """[C] log P(alive at the end of the calibration | x, t_x, T)."""
        theta, result = np.array([self.r, self.alpha, self.s, self.beta]), np.empty(len(x))
        for rows in blocks(len(x)):
            survived, dropped, _ = _terms(theta, x[rows], recency[rows], age[rows])
            result[rows] = survived - np.logaddexp(survived, logsumexp(dropped, axis=-1))
        return result


def blocks(size: int, step: int = _BLOCK) -> Iterator[slice]:
    """Slices that cover `size` rows, short enough that arrays with a column per node stay small."""
    for start in range(0, size, step):
        yield slice(start, start + step)


def log_likelihood(
    theta: FloatArray, x: FloatArray, recency: FloatArray, age: FloatArray, count: FloatArray
) -> tuple[float, FloatArray]:
    """The log-likelihood of `count` customers per distinct (x, t_x, T), and its gradient in (r, alpha, s, beta).

    L = Gamma(r + x) / Gamma(r) alpha^r beta^s [ (alpha + T)^-(r + x) (beta + T)^-s
        + s int_{t_x}^{T} (alpha + t)^-(r + x) (beta + t)^-(s + 1) dt ]: alive at T, or dropped out at t.
    The gradient is the posterior mean of the derivative given the dropout time.
    """
    r, alpha, s, beta = theta
    survived, dropped, time = _terms(theta, x, recency, age)
    log_total = np.logaddexp(survived, logsumexp(dropped, axis=-1))
    value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + log_total
    alive = np.exp(survived - log_total)  # [C]
    at = np.exp(dropped - log_total[:, None])  # [C, J]

    def mean(of_age: FloatArray, of_time: FloatArray) -> FloatArray:
        return np.asarray(alive * of_age + (at * of_time).sum(-1))

    by_r = digamma(r + x) - digamma(r) + np.log(alpha) - mean(np.log(alpha + age), np.log(alpha + time))
    by_alpha = r / alpha - (r + x) * mean(1 / (alpha + age), 1 / (alpha + time))
    by_s = np.log(beta) + (1 - alive) / s - mean(np.log(beta + age), np.log(beta + time))
    by_beta = s / beta - mean(s / (beta + age), (s + 1) / (beta + time))
    gradient = np.array([count @ by_r, count @ by_alpha, count @ by_s, count @ by_beta])
    return float(count @ value), gradient


def _terms(
    theta: FloatArray, x: FloatArray, recency: FloatArray, age: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logarithms of the bracket's two parts, the second per node: [C], [C, J], and the nodes' dropout times [C, J]."""
    r, alpha, s, beta = theta
    survived = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
    # Past `reach` the integrand is negligible: (alpha + t) has grown too much. (The clip only avoids an overflow.)
    reach = (alpha + recency) * np.expm1(np.minimum(_NEGLIGIBLE / (r + x), 300.0))
    length = np.minimum(age - recency, reach)
    time, log_step = log_time_nodes(length, alpha + recency, beta + recency, _LIKELIHOOD_NODES)
    time = time + recency[:, None]
    dropped = np.log(s) - (r + x)[:, None] * np.log(alpha + time) - (s + 1) * np.log(beta + time) + log_step
    return survived, dropped, time


def log_time_nodes(
    length: FloatArray, alpha: FloatArray, beta: FloatArray, nodes: int
) -> tuple[FloatArray, FloatArray]:
    """Nodes tau in (0, length) and log weights of the integral over tau: each [C, J].

    Gauss-Legendre in v, with log(1 + tau / k) = Y v^2 and k = min(alpha, beta): Poisson-like probabilities have
    a constant width in the root of time, and powers of (k + tau) are smooth in its logarithm.
    """
    v, w = unit_nodes(nodes)
    k = np.minimum(alpha, beta)[:, None]
    span = np.log1p(length[:, None] / k)
    time = k * np.expm1(span * v**2)
    with np.errstate(divide="ignore"):  # a window of length 0 has weight 0
        log_step = np.log(2 * span * v * w) + np.log(k + time)
    return time, log_step


@dataclass(frozen=True)
class ParetoNbdFuture:
    """The future purchases of customers who are alive: shape r + x [C], scale alpha + T [C], s and beta + T [C].

    Given a dropout after tau days, purchases until the horizon are negative binomial, the rate being Gamma; tau
    is integrated by quadrature. Every quantity of one horizon uses the same nodes and weights, which sum to one.
    """

    shape: FloatArray
    scale: FloatArray
    s: float
    beta: FloatArray

    def select(self, rows: IntArray) -> "ParetoNbdFuture":
        """Keep the given customers."""
        return ParetoNbdFuture(self.shape[rows], self.scale[rows], self.s, self.beta[rows])

    def expected(self, horizon: float) -> FloatArray:
        """[C] E[N(H) | alive]."""
        result = np.empty_like(self.scale)
        for rows, part, exposure, log_weight in self._exposures(horizon):
            result[rows] = part.shape / part.scale * (np.exp(log_weight) * exposure).sum(-1)
        return result

    def none(self, horizon: float) -> FloatArray:
        """[C] P(N(H) = 0 | alive)."""
        result = np.empty_like(self.scale)
        for rows, part, exposure, log_weight in self._exposures(horizon):
            log_none = -part.shape[:, None] * np.log1p(exposure / part.scale[:, None])
            result[rows] = np.exp(log_weight + log_none).sum(-1)
        return result

    def days_until_none_is(self, probability: FloatArray) -> FloatArray:
        """[C] the horizon at which `none` has fallen to `probability` [C]; NaN where a million days do not suffice.

        By bisection of log time, from the answer for somebody who cannot drop out on.
        """
        longest = np.full_like(self.scale, LONGEST_DAYS)
        rows = np.flatnonzero(self._none_by(longest) < probability)
        part, level = self.select(rows), probability[rows]
        low, high = np.log(quiet_days(part.shape, part.scale, level)), np.log(longest[rows])
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            still = part._none_by(np.exp(middle)) > level
            low, high = np.where(still, middle, low), np.where(still, high, middle)
        result = np.full_like(self.scale, np.nan)
        result[rows] = np.exp(high)
        return result

    def _none_by(self, horizon: FloatArray) -> FloatArray:
        """[C] P(N(H) = 0 | alive) for a horizon of each customer [C], however long, with nodes for this alone."""
        result = np.empty_like(self.scale)
        for rows in blocks(len(result)):
            shape, scale, beta, end = self.shape[rows], self.scale[rows], self.beta[rows], horizon[rows]
            length = np.minimum(end, scale * np.expm1(np.minimum(_NEGLIGIBLE / shape, 300.0)))  # see `_terms`
            time, log_step = log_time_nodes(length, scale, beta, _LIKELIHOOD_NODES)
            left = np.log(self.s / beta)[:, None] - (self.s + 1) * np.log1p(time / beta[:, None]) + log_step
            left -= shape[:, None] * np.log1p(time / scale[:, None])
            stays = -shape * np.log1p(end / scale) - self.s * np.log1p(end / beta)
            result[rows] = np.exp(left).sum(-1) + np.exp(stays)
        return result

    def pmf(self, horizon: float, maximum: int) -> FloatArray:
        """[C, maximum + 1] P(N(H) = n | alive)."""
        result = np.zeros((len(self.shape), maximum + 1))
        for rows, part, exposure, log_weight in self._exposures(horizon):
            mixture = np.zeros((len(rows), maximum + 1))
            for j in range(exposure.shape[1]):
                nbd = log_nbd(part.shape, exposure[:, j] / part.scale, maximum)
                mixture += np.exp(log_weight[:, j, None] + nbd)
            result[rows] = mixture
        return result

    def course(self, time: FloatArray) -> Course:
        """Alive, buying and buying twice at `time` [C, T], given alive at 0: P(life > t) = (1 + t / beta)^-s."""
        alive = np.exp(-self.s * np.log1p(time / self.beta[:, None]))
        once = (self.shape / self.scale)[:, None]
        twice = (self.shape * (self.shape + 1) / self.scale**2)[:, None]
        return Course(alive, once * alive, twice * alive)

    def lifetime(self) -> tuple[FloatArray, FloatArray]:
        """[C] E[purchases ever | alive] and E[days alive | alive] = beta / (s - 1); may be inf."""
        days = self.beta / (self.s - 1) if self.s > 1 else np.full_like(self.beta, np.inf)
        return self.shape / self.scale * days, days

    def draw(self, horizon: float, draws: int, generator: np.random.Generator) -> FloatArray:
        """[C, S] draws of N(H) given alive."""
        size = (len(self.shape), draws)
        rate = generator.standard_gamma(self.shape[:, None], size) / self.scale[:, None]
        hazard = generator.standard_gamma(self.s, size) / self.beta[:, None]
        life = generator.standard_exponential(size) / np.maximum(hazard, 1e-300)
        return generator.poisson(rate * np.minimum(life, horizon)).astype(np.float64)

    def _exposures(self, horizon: float) -> Iterator[tuple[IntArray, "ParetoNbdFuture", FloatArray, FloatArray]]:
        """Groups of customers: index, members, days at risk until dropout or horizon, their log probabilities.

        Busier customers need more nodes. Groups are powers of four of the expected count while alive, so that a
        customer's nodes do not depend on who else is forecast.

        Shape: the last two are [members, J + 1].
        """
        busy = np.ceil(np.log2(np.maximum(self.shape / self.scale * horizon, 1.0)) / 2).astype(np.int64)
        groups = [(level, np.flatnonzero(busy == level)) for level in np.unique(busy).tolist()]
        for level, rows in ((level, members[block]) for level, members in groups for block in blocks(len(members))):
            part = self.select(rows)
            length = np.full_like(part.scale, horizon)
            time, log_step = log_time_nodes(length, part.scale, part.beta, _NODES + int(_NODES_PER_ROOT * 2**level))
            beta = part.beta[:, None]
            log_density = np.log(self.s / beta) - (self.s + 1) * np.log1p(time / beta) + log_step
            survive = -self.s * np.log1p(horizon / part.beta)
            # The weights' sum is known, P(dropout before the horizon): quadrature and rounding must not change it.
            log_density += (np.log(-np.expm1(survive)) - logsumexp(log_density, axis=-1))[:, None]
            yield rows, part, np.column_stack([time, length]), np.column_stack([log_density, survive])


def log_nbd(shape: FloatArray, exposure: FloatArray, maximum: int) -> FloatArray:
    """[C, maximum + 1] log P(n) of a Poisson count whose mean is `exposure` x Gamma(shape, 1)."""
    n = np.arange(maximum + 1)
    log_miss = -np.log1p(exposure)  # log of 1 / (1 + exposure)
    log_hit = np.log(exposure) + log_miss
    combinations = gammaln(shape[:, None] + n) - gammaln(shape)[:, None] - gammaln(n + 1)
    return np.asarray(combinations + (shape * log_miss)[:, None] + n * log_hit[:, None])


def quiet_days(shape: FloatArray, scale: FloatArray, probability: FloatArray) -> FloatArray:
    """[C] days, at most a million, after which a customer who stays has bought nothing with `probability` [C]."""
    root = np.minimum(-np.log(probability) / shape, 300.0)  # the clip only avoids an overflow
    return np.minimum(scale * np.expm1(root), LONGEST_DAYS)
