"""Eight held-out kinds of simulated bases, drawn by other laws than those that the prior is trained on.

The first three are the classical processes, in their own parameters. Customers who pause and lapsing subscriptions
are known to `seqclv.data.laws` in kind, by other laws of gaps, pauses and lives. The others lie outside what it can
draw: lognormal gaps, power laws, seasonal gifts.

Shape: C customers; times in days since the log's begin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqclv.data.bases import Base, base_of
from seqclv.data.events import FloatArray, IntArray
from seqclv.data.laws import AmountLaw, BaseLaw, BuyingLaw

FUTURE_SPANS = 1.0
_MOST_PURCHASES = 2_000
_Random = np.random.Generator
_Gaps = Callable[[IntArray], FloatArray]  # customers [n] -> their next gaps [n]


@dataclass(frozen=True)
class _Frame:
    """[C] the customers of a base: when they join and leave, and the base's span."""

    joined: FloatArray
    gone: FloatArray
    span: float

    @property
    def end(self) -> float:
        """The last day that is simulated."""
        return self.span * (1 + FUTURE_SPANS)


def draw_family(name: str, random: _Random, customers: int) -> Base:
    """A base of a family: its cutoff lies at the end of the history, its future is as long as that."""
    span = float(np.round(random.uniform(120, 500)))
    owner, day, amount = FAMILIES[name](random, customers, span)
    base = base_of(random, _law(span), owner, day, amount)
    ids = np.asarray([f"{number:07d}" for number in range(base.events.customers)], dtype=object)
    return replace(base, events=replace(base.events, customer_id=ids))


def _law(span: float) -> BaseLaw:
    """What `base_of` reads: dates, no further events."""
    one = np.ones(1)
    buying = BuyingLaw(
        share=one,
        rate=one,
        rate_shape=one,
        rate_tail=one,
        regularity=one,
        skip=0 * one,
        pause=0 * one,
        pause_length=one,
        hazard=one,
        hazard_shape=one,
        hazard_link=one,
        life_shape=one,
        quit=one,
        quit_weight=one,
        once=0.0,
    )
    amounts = AmountLaw(between=0.0, within=0.0, heavy=False, gamma=True, link=0.0, prices=0, quantity=0.0, refunds=0.0)
    return BaseLaw(
        span_days=span,
        future_days=FUTURE_SPANS * span,
        before_days=0.0,
        dated=True,
        acquisition=one,
        activity=one,
        zeros=0.0,
        others=0.0,
        others_stop=False,
        buying=buying,
        amounts=amounts,
    )


_Purchases = tuple[IntArray, FloatArray, FloatArray]


def _renewal(frame: _Frame, gaps: _Gaps, allowance: IntArray | None = None) -> tuple[IntArray, FloatArray]:
    """Owners and days of purchases from joining until leaving, gap by gap; at most `allowance` [C] of each."""
    who = np.arange(len(frame.joined))
    day = frame.joined.copy()
    owners, days = [who], [day.copy()]
    for number in range(2, _MOST_PURCHASES):
        if allowance is not None:
            who = who[allowance[who] >= number]
        day[who] += gaps(who)
        who = who[day[who] < np.minimum(frame.gone[who], frame.end)]
        if len(who) == 0:
            break
        owners.append(who)
        days.append(day[who])
    return np.concatenate(owners), np.concatenate(days)


def _gamma_gamma(random: _Random, customers: int, owner: IntArray) -> FloatArray:
    """Gamma amounts of a customer's own scale, itself inverse Gamma (Fader and Hardie 2013)."""
    shape, spread = random.uniform(1.5, 8), random.uniform(2.2, 5)
    scale = 15.0 / random.gamma(spread, 1.0, customers)
    return np.asarray(scale[owner] * random.gamma(shape, 1.0, len(owner)) + 0.01)


def _pareto_nbd(random: _Random, customers: int, span: float) -> _Purchases:
    """Schmittlein, Morrison and Colombo (1987); customers join evenly."""
    shape, mean = random.uniform(0.3, 1.5), random.uniform(2, 12) / span
    rate = random.gamma(shape, mean / shape, customers) + 1e-9
    hazard = random.gamma(random.uniform(0.4, 1.5), random.uniform(0.5, 3) / span, customers) + 1e-9
    joined = random.uniform(0, span, customers)
    frame = _Frame(joined, joined + random.exponential(1.0, customers) / hazard, span)
    owner, day = _renewal(frame, lambda who: random.exponential(1.0, len(who)) / rate[who])
    return owner, day, _gamma_gamma(random, customers, owner)


def _bg_nbd(random: _Random, customers: int, span: float) -> _Purchases:
    """Fader, Hardie and Lee (2005); one cohort."""
    shape, mean = random.uniform(0.3, 1.2), random.uniform(2, 10) / span
    rate = random.gamma(shape, mean / shape, customers) + 1e-9
    quit_ = np.clip(random.beta(random.uniform(0.5, 1.5), random.uniform(1.5, 4), customers), 1e-4, 1)
    allowance = 1 + random.geometric(quit_)  # nobody leaves before the first repeat
    joined = random.uniform(0, 0.25 * span, customers)
    frame = _Frame(joined, np.full(customers, np.inf), span)
    owner, day = _renewal(frame, lambda who: random.exponential(1.0, len(who)) / rate[who], allowance)
    return owner, day, _gamma_gamma(random, customers, owner)


def _regular(random: _Random, customers: int, span: float) -> _Purchases:
    """Erlang gaps and dropout after every purchase, the first included: MBG/CNBD-k (Reutterer et al. 2021)."""
    k = int(random.integers(2, 6))
    mean = random.uniform(6, 25) / span
    shape = random.uniform(0.8, 3)
    rate = random.gamma(shape, mean / shape, customers) + 1e-9
    quit_ = np.clip(random.beta(random.uniform(0.4, 1), random.uniform(3, 9), customers), 1e-4, 1)
    joined = random.uniform(0, 0.8 * span, customers)
    frame = _Frame(joined, np.full(customers, np.inf), span)
    gaps: _Gaps = lambda who: random.gamma(k, 1 / k, len(who)) / rate[who]  # noqa: E731
    owner, day = _renewal(frame, gaps, random.geometric(quit_))
    return owner, day, _gamma_gamma(random, customers, owner)


def _lognormal(random: _Random, customers: int, span: float) -> _Purchases:
    """Lognormal gaps, lives of Weibull law: older customers leave less; amounts follow the gap's length."""
    median = span / random.uniform(3, 15) * np.exp(random.normal(0, 0.8, customers))
    spread = random.uniform(0.5, 1.3)
    joined = span * random.beta(1, 1.6, customers)
    life = span * random.uniform(0.5, 3) * random.weibull(random.uniform(0.5, 0.9), customers)
    frame = _Frame(joined, joined + life, span)
    owner, day = _renewal(frame, lambda who: median[who] * np.exp(random.normal(0, spread, len(who))))
    log_mean = random.normal(3, 0.6, customers) + 0.3 * np.log(median / median.mean())
    return owner, day, np.exp(log_mean[owner] + random.normal(0, 0.6, len(owner)))


def _whales(random: _Random, customers: int, span: float) -> _Purchases:
    """Rates and mean amounts of power laws: a few customers bring most."""
    rate = (0.6 / span) * (1 + random.pareto(random.uniform(1.1, 1.8), customers))
    rate = np.minimum(rate, 300 / span)
    joined = random.uniform(0, 0.7 * span, customers)
    frame = _Frame(joined, joined + random.exponential(random.uniform(1, 4) * span, customers), span)
    owner, day = _renewal(frame, lambda who: random.exponential(1.0, len(who)) / rate[who])
    mean = 10 * (1 + random.pareto(random.uniform(1.3, 2.2), customers))
    return owner, day, mean[owner] * random.gamma(2.0, 0.5, len(owner)) + 0.01


def _pausing(random: _Random, customers: int, span: float) -> _Purchases:
    """Customers never leave, but pause: gaps are short while they are active, long at times."""
    short = span / random.uniform(8, 40) * np.exp(random.normal(0, 0.5, customers))
    long = span * random.uniform(0.15, 0.8) * np.exp(random.normal(0, 0.4, customers))
    pause = random.beta(1, random.uniform(2, 6), customers)
    joined = random.uniform(0, 0.9 * span, customers)
    frame = _Frame(joined, np.full(customers, np.inf), span)

    def gaps(who: IntArray) -> FloatArray:
        mean = np.where(random.random(len(who)) < pause[who], long[who], short[who])
        return np.asarray(random.exponential(1.0, len(who)) * mean)

    owner, day = _renewal(frame, gaps)
    return owner, day, _gamma_gamma(random, customers, owner)


def _subscriptions(random: _Random, customers: int, span: float) -> _Purchases:
    """A fixed rhythm, at times a period is left out; few prices; lives of Weibull law."""
    period = float(random.choice([7.0, 14.0, 30.0]))
    skip = random.beta(1, random.uniform(2, 8), customers)
    joined = random.uniform(0, 0.9 * span, customers)
    life = span * random.uniform(0.3, 2) * random.weibull(random.uniform(0.7, 1.5), customers)
    frame = _Frame(joined, joined + life, span)

    def gaps(who: IntArray) -> FloatArray:
        periods = random.geometric(1 - np.minimum(skip[who], 0.9))
        return np.asarray(period * periods + random.uniform(-0.4, 0.4, len(who)))

    owner, day = _renewal(frame, gaps)
    price = np.asarray([9.9, 19.9, 39.9])[random.integers(0, 3, customers)]
    return owner, day, price[owner]


def _gifts(random: _Random, customers: int, span: float) -> _Purchases:
    """Most buy once; joining and buying again follow a yearly season."""
    depth, phase = float(random.uniform(0.3, 0.8)), float(random.random())

    def season(day: FloatArray) -> FloatArray:
        return np.asarray(1 + depth * np.sin(2 * np.pi * (day / 365.25 + phase)))

    candidate = random.uniform(0, span, 4 * customers)
    joined = candidate[random.random(len(candidate)) * 1.8 < season(candidate)][:customers]
    size = len(joined)
    once = random.random(size) < random.uniform(0.6, 0.85)
    rate = 1.8 * random.gamma(0.8, random.uniform(3, 8) / 0.8, size) / span + 1e-9
    frame = _Frame(joined, joined + np.where(once, 0.0, random.exponential(1.5 * span, size)), span)
    owner, day = _renewal(frame, lambda who: random.exponential(1.0, len(who)) / rate[who])
    first = np.arange(len(owner)) < size
    kept = first | (random.random(len(owner)) * 1.8 < season(day))  # thinning gives the season to repeats
    owner, day = owner[kept], day[kept]
    return owner, day, np.exp(random.normal(3.5, 0.4, size)[owner] + random.normal(0, 0.8, len(owner)))


FAMILIES: Mapping[str, Callable[[_Random, int, float], _Purchases]] = {
    "Pareto/NBD": _pareto_nbd,
    "BG/NBD": _bg_nbd,
    "regular buyers": _regular,
    "lognormal gaps": _lognormal,
    "power laws": _whales,
    "pausing customers": _pausing,
    "subscriptions": _subscriptions,
    "seasonal gifts": _gifts,
}
