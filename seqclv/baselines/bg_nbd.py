"""BG/NBD: purchases at a Gamma-distributed rate; after each one a dropout with a Beta-distributed probability.

Source: Fader, Hardie and Lee (2005), 'Counting your customers the easy way'. lambda ~ Gamma(r, alpha),
p ~ Beta(a, b), independent.

Shape: C customers, J nodes, n counts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, betaln, digamma, gammaln, logit

from seqclv.baselines.discounting import Course, unit_nodes
from seqclv.baselines.pareto_nbd import LONGEST_DAYS, blocks, log_nbd, quiet_days

FloatArray = npt.NDArray[np.float64]

_NODES = 96
_COURSE_BLOCK = 500  # customers at a time, where every one has nodes in time and in p
_TAIL = 1e-15  # probability beyond the nodes
_CONSTANT = 1e-10  # relative change of g that counts as none


@dataclass(frozen=True)
class BgNbd:
    """The four parameters; `alpha` in days."""

    r: float
    alpha: float
    a: float
    b: float

    def log_alive_probability(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
        """[C] log P(alive at the end of the calibration | x, t_x, T); 0 for a customer without a repeat."""
        theta = np.array([self.r, self.alpha, self.a, self.b])
        alive, dropped = _terms(theta, x, recency, age)
        return np.asarray(alive - np.logaddexp(alive, dropped))


def log_likelihood(
    theta: FloatArray, x: FloatArray, recency: FloatArray, age: FloatArray, count: FloatArray
) -> tuple[float, FloatArray]:
    """The log-likelihood of `count` customers per distinct (x, t_x, T), and its gradient in (r, alpha, a, b).

    L = Gamma(r + x) / Gamma(r) alpha^r B(a, b + x) / B(a, b)
        [ (alpha + T)^-(r + x) + 1{x > 0} a / (b + x - 1) (alpha + t_x)^-(r + x) ].
    """
    r, alpha, a, b = theta
    alive, dropped = _terms(theta, x, recency, age)
    log_total = np.logaddexp(alive, dropped)
    share = np.exp(dropped - log_total)  # [C] P(dropped out)
    value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b) + log_total
    log_age, log_recency = np.log(alpha + age), np.log(alpha + recency)
    by_r = digamma(r + x) - digamma(r) + np.log(alpha) - (1 - share) * log_age - share * log_recency
    by_alpha = r / alpha - (r + x) * ((1 - share) / (alpha + age) + share / (alpha + recency))
    by_a = digamma(a + b) - digamma(a + b + x) + share / a
    by_b = digamma(b + x) - digamma(b) + by_a - share / a - share / np.where(x > 0, b + x - 1, 1.0)
    gradient = np.array([count @ by_r, count @ by_alpha, count @ by_a, count @ by_b])
    return float(count @ value), gradient


def _terms(theta: FloatArray, x: FloatArray, recency: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the bracket's two parts, alive and dropped out: each [C]."""
    r, alpha, a, b = theta
    alive = -(r + x) * np.log(alpha + age)
    odds = np.log(a) - np.log(np.where(x > 0, b + x - 1, 1.0))
    return alive, np.where(x > 0, odds - (r + x) * np.log(alpha + recency), -np.inf)


@dataclass(frozen=True)
class BgNbdFuture:
    """The future purchases of customers who are alive: shape r + x, scale alpha + T, a and b + x; [C] each but a."""

    shape: FloatArray
    scale: FloatArray
    a: float
    b: FloatArray

    def select(self, rows: npt.NDArray[np.int64]) -> "BgNbdFuture":
        """Keep the given customers."""
        return BgNbdFuture(self.shape[rows], self.scale[rows], self.a, self.b[rows])

    def expected(self, horizon: float) -> FloatArray:
        """[C] E[N(H) | alive] = E over p of g(p) = [1 - (1 + p c)^-shape] / p, with c = H / scale.

        This is the closed form (a hypergeometric function) without its pole at a = 1 and its overflow, by
        Gauss-Legendre quadrature in the log odds of p. Beyond the nodes g is constant: shape x c, and g(1).
        """
        result = np.empty_like(self.scale)
        for rows in blocks(len(result)):
            result[rows] = self._expected(horizon / self.scale[rows], self.shape[rows], self.b[rows])
        return result

    def _expected(self, reach: FloatArray, shape: FloatArray, b: FloatArray) -> FloatArray:
        p, weight, below, above = self._dropouts(reach, shape, b)
        inner = -np.expm1(-shape[:, None] * np.log1p(p * reach[:, None])) / p
        at_one = -np.expm1(-shape * np.log1p(reach))
        return np.asarray(below * shape * reach + (weight * inner).sum(-1) + above * at_one)

    def _dropouts(
        self, reach: FloatArray, shape: FloatArray, b: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Nodes of p and their probabilities [C, J], and the probabilities [C] of a smaller and a larger p."""
        distinct, index = np.unique(b, return_inverse=True)
        few = np.maximum(betaincinv(self.a, distinct, _TAIL)[index], _CONSTANT / (reach * shape + 1))
        rest = np.maximum(betaincinv(distinct, self.a, _TAIL)[index], _CONSTANT)  # 1 - p at the upper end
        below, above = betainc(self.a, b, few), betainc(b, self.a, rest)
        log_odds, log_weight = _span_nodes(logit(few), -logit(rest))  # [C, J]
        log_p, log_q = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
        weight = np.exp(log_weight + self.a * log_p + b[:, None] * log_q - betaln(self.a, b)[:, None])
        weight *= ((1 - below - above) / weight.sum(-1))[:, None]
        return np.exp(log_p), weight, below, above

    def course(self, time: FloatArray) -> Course:
        """Alive, buying and buying twice at `time` [C, T], given alive at 0, by quadrature over p.

        Given lambda and p the hazard is lambda p; the first of two purchases is survived with 1 - p. With the
        rate Gamma, E[lambda^j exp(-lambda p t)] = (shape)_j / scale^j (1 + p t / scale)^-(shape + j).
        """
        parts = [np.empty_like(time) for _ in range(3)]
        for rows in blocks(len(time), _COURSE_BLOCK):
            for whole, part in zip(parts, self.select(np.arange(len(time))[rows])._course(time[rows]), strict=True):
                whole[rows] = part
        once = (self.shape / self.scale)[:, None]
        twice = (self.shape * (self.shape + 1) / self.scale**2)[:, None]
        return Course(parts[0], once * parts[1], twice * parts[2])

    def _course(self, time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        reach = time / self.scale[:, None]
        p, weight, below, above = self._dropouts(reach.max(-1), self.shape, self.b)
        log_growth = np.log1p(p[:, None, :] * reach[..., None])  # [C, T, J]
        alive = weight[:, None, :] * np.exp(-self.shape[:, None, None] * log_growth)
        growth = np.exp(-log_growth)
        buying = alive * growth
        at_one = (above[:, None]) * np.exp(-self.shape[:, None] * np.log1p(reach))
        survived = (buying * growth * (1 - p[:, None, :])).sum(-1) + below[:, None]
        return (
            alive.sum(-1) + below[:, None] + at_one,
            buying.sum(-1) + below[:, None] + at_one / (1 + reach),
            survived,
        )

    def lifetime(self) -> tuple[FloatArray, FloatArray]:
        """[C] E[purchases ever | alive] = E[1 / p], and E[days alive | alive] = E[1 / lambda] E[1 / p]; may be inf."""
        with np.errstate(divide="ignore"):
            ever = np.where(self.a > 1, (self.a + self.b - 1) / max(self.a - 1, 0.0), np.inf)
            days = np.where(self.shape > 1, self.scale / np.maximum(self.shape - 1, 0.0), np.inf)
        return ever, ever * days

    def none(self, horizon: float) -> FloatArray:
        """[C] P(N(H) = 0 | alive)."""
        return np.exp(-self.shape * np.log1p(horizon / self.scale))

    def days_until_none_is(self, probability: FloatArray) -> FloatArray:
        """[C] the horizon at which `none` has fallen to `probability` [C]; NaN where a million days do not suffice."""
        days = quiet_days(self.shape, self.scale, probability)  # given alive nobody drops out before a purchase
        return np.where(days < LONGEST_DAYS, days, np.nan)

    def pmf(self, horizon: float, maximum: int) -> FloatArray:
        """[C, maximum + 1] P(N(H) = n | alive): alive after the n-th purchase, or dropped out with it.

        B(a, b + n) / B(a, b) NBD(n) + 1{n > 0} B(a + 1, b + n - 1) / B(a, b) P(NBD >= n).
        """
        n = np.arange(maximum + 1)
        nbd = np.exp(log_nbd(self.shape, horizon / self.scale, maximum))
        beyond = np.clip(1 - np.cumsum(nbd, axis=-1), 0, 1)  # P(NBD > n)
        b = self.b[:, None]
        survived = np.exp(betaln(self.a, b + n) - betaln(self.a, b))
        left = np.exp(betaln(self.a + 1, b + n[:-1]) - betaln(self.a, b))
        result = survived * nbd
        result[:, 1:] += left * beyond[:, :-1]
        return np.asarray(result)

    def draw(self, horizon: float, draws: int, generator: np.random.Generator) -> FloatArray:
        """[C, S] draws of N(H) given alive: as many as fall into the window, but none after the dropout."""
        size = (len(self.shape), draws)
        mean = generator.standard_gamma(self.shape[:, None], size) * (horizon / self.scale)[:, None]
        p = generator.beta(self.a, np.broadcast_to(self.b[:, None], size))
        until_dropout = generator.geometric(np.clip(p, 1e-12, 1.0))
        return np.minimum(generator.poisson(mean), until_dropout).astype(np.float64)


def _span_nodes(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes on [low, high] and their log weights: each [C, J]."""
    node, weight = unit_nodes(_NODES)
    length = (high - low)[:, None]
    return low[:, None] + length * node, np.log(length * weight)
