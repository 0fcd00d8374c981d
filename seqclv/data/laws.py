"""The hyperprior over customer bases: what kind of base is simulated is itself drawn.

A law says how the customers of one base join, buy, spend and leave. `draw_law` draws it from wide ranges, so that the
bases that companies have lie inside them; `seqclv.data.bases` draws the customers and their events.

Shape: S segments of customers; T days of the clock grid.
"""

from dataclasses import dataclass, replace

import numpy as np

from seqclv.batch import DAYS_PER_YEAR
from seqclv.data.events import FloatArray

_SEGMENTS = (0.5, 0.3, 0.2)  # probabilities of one, two and three segments
_FUTURE_SPANS = 1.5  # how far beyond the history a base is simulated
_ACQUISITION_KNOTS = 60
_PANEL_SHARE = 0.12  # bases of regular customers: hardly anybody buys once or leaves
_SUBSCRIPTION_SHARE = 0.06  # bases whose purchases keep a strict rhythm until the customer leaves


@dataclass(frozen=True, kw_only=True)
class BuyingLaw:
    """How the customers of each segment buy and leave. Shape: every array [S]; times in spans of the history."""

    share: FloatArray  # of the customers
    rate: FloatArray  # mean purchases per span while alive
    rate_shape: FloatArray  # of the Gamma law of rates
    rate_tail: FloatArray  # spread of a further lognormal factor: the whales
    regularity: FloatArray  # Gamma shape of gaps: 1 is Poisson, above it regular, below it in clusters
    skip: FloatArray  # mean chance that a beat of a customer's rhythm is left out
    pause: FloatArray  # mean share of a customer's gaps that are pauses
    pause_length: FloatArray  # of a pause, ordinary gaps
    hazard: FloatArray  # mean dropout hazard per span
    hazard_shape: FloatArray  # of the Gamma law of hazards
    hazard_link: FloatArray  # power of the rate that the hazard is proportional to
    life_shape: FloatArray  # of the Weibull law of lives given the hazard: below 1 those who stayed stay on
    quit: FloatArray  # mean probability of dropping out right after a purchase
    quit_weight: FloatArray  # sum of the Beta law's parameters: large where all customers are alike
    once: float  # share of customers who buy once and never again


@dataclass(frozen=True, kw_only=True)
class AmountLaw:
    """How much customers spend. Amounts are around 1."""

    between: float  # spread of customers' mean log amounts
    within: float  # spread of a customer's log amounts
    heavy: bool  # customers' means have the tails of Student's t with three degrees of freedom
    gamma: bool  # a customer's amounts are Gamma, else lognormal
    link: float  # correlation of the mean log amount with the log rate
    prices: int  # number of price points, 0 for none
    quantity: float  # mean of the further units of a price
    refunds: float  # share of the purchases that are given back


@dataclass(frozen=True, kw_only=True)
class BaseLaw:
    """The law of a base."""

    span_days: float  # of the history
    future_days: float  # that follow it
    before_days: float  # in which customers joined before the log begins
    dated: bool  # the log holds dates, not times: purchases of a day are one
    acquisition: FloatArray  # density of joining over equal parts of [-before, span)
    activity: FloatArray  # [T] relative pace of purchases on each day from -before on, the same for all customers
    zeros: float  # events without money, for each purchase
    others: float  # events of a further kind, for each purchase
    others_stop: bool  # customers who have left send none of them
    buying: BuyingLaw
    amounts: AmountLaw


def draw_law(random: np.random.Generator) -> BaseLaw:
    """Draw what kind of base it is."""
    span = float(np.exp(random.uniform(np.log(25), np.log(1500))))
    before = span * random.uniform(0.2, 1.0) if random.random() < 0.35 else 0.0
    panel = random.random() < _PANEL_SHARE
    if panel:
        before = span * random.uniform(0.1, 1.0)
    subscription = not panel and random.random() < _SUBSCRIPTION_SHARE
    activity = _activity(random, span, before)
    if subscription and random.random() < 0.7:  # charges come by the calendar, not when people like to buy
        activity = np.ones_like(activity)
    buying, amounts = _panel(random) if panel else _buying(random), _amounts(random)
    if subscription:
        buying = _in_rhythm(random, buying)
        if random.random() < 0.6:
            amounts = replace(amounts, prices=int(random.integers(1, 6)), quantity=0.0)
    return BaseLaw(
        span_days=span,
        future_days=_FUTURE_SPANS * span,
        before_days=before,
        dated=bool(random.random() < 0.6),
        acquisition=_acquisition(random, before / span, activity, span),
        activity=activity,
        zeros=float(random.uniform(0, 0.1)) if random.random() < 0.15 else 0.0,
        others=float(random.uniform(0.05, 1.5)) if random.random() < 0.15 else 0.0,
        others_stop=bool(random.random() < 0.5),
        buying=buying,
        amounts=amounts,
    )


def _log_uniform(random: np.random.Generator, low: float, high: float, size: int | None = None) -> FloatArray:
    return np.asarray(np.exp(random.uniform(np.log(low), np.log(high), size)))


def _buying(random: np.random.Generator) -> BuyingLaw:
    size = int(random.choice(3, p=_SEGMENTS)) + 1
    level = 0.3 * 300.0 ** random.beta(1.2, 1.6)  # 0.3 to 90 purchases per span
    rate = np.clip(level * np.exp(random.normal(0, 1.0, size) * (size > 1)), 0.1, 150)
    leaving = random.random()  # which ways of leaving the base knows
    hazard = _log_uniform(random, 0.03, 10, 1) * np.exp(random.normal(0, 0.7, size) * (size > 1))
    quit_ = _log_uniform(random, 0.01, 0.6, 1) * np.exp(random.normal(0, 0.4, size) * (size > 1))
    return BuyingLaw(
        share=random.dirichlet(np.full(size, 2.0)),
        rate=rate,
        rate_shape=_log_uniform(random, 0.2, 6, size),
        rate_tail=np.full(size, random.uniform(0.2, 1.2) if random.random() < 0.35 else 0.0),
        regularity=np.where(random.random(size) < 0.45, 1.0, _log_uniform(random, 0.35, 6, size)),
        **_pauses(random, size),
        hazard=np.where(leaving < 0.75, hazard, 1e-4),
        hazard_shape=_log_uniform(random, 0.25, 6, size),
        hazard_link=np.full(size, random.uniform(0, 1) if random.random() < 0.25 else 0.0),
        life_shape=_log_uniform(random, 0.5, 2, size) if random.random() < 0.3 else np.ones(size),
        quit=np.where((leaving > 0.5) & (leaving < 0.95), np.minimum(quit_, 0.8), 0.0),
        quit_weight=_log_uniform(random, 0.6, 20, size),
        once=float(random.beta(1.2, 1.6)) if random.random() < 0.45 else 0.0,
    )


def _pauses(random: np.random.Generator, size: int) -> dict[str, FloatArray]:
    """Customers who pause for a while, in some bases."""
    pause = random.uniform(0.02, 0.3, size) if random.random() < 0.15 else np.zeros(size)
    return {"skip": np.zeros(size), "pause": pause, "pause_length": _log_uniform(random, 3, 30, size)}


def _in_rhythm(random: np.random.Generator, buying: BuyingLaw) -> BuyingLaw:
    """The same customers with gaps of one length, or of several of it where some beats are left out."""
    size = len(buying.share)
    return replace(
        buying,
        rate=np.clip(buying.rate, 2.0, 60.0),
        rate_shape=_log_uniform(random, 4, 2_000, size),
        rate_tail=np.zeros(size),
        regularity=_log_uniform(random, 20, 2_000, size),
        skip=random.uniform(0.02, 0.4, size) if random.random() < 0.6 else np.zeros(size),
        once=0.0,
    )


def _panel(random: np.random.Generator) -> BuyingLaw:
    """Customers who buy often and stay, as a grocer's households or a wholesaler's accounts do."""
    size = int(random.integers(1, 3))
    level = _log_uniform(random, 4, 100, 1)
    return BuyingLaw(
        share=random.dirichlet(np.full(size, 2.0)),
        rate=np.clip(level * np.exp(random.normal(0, 0.5, size) * (size > 1)), 1, 150),
        rate_shape=_log_uniform(random, 0.8, 8, size),
        rate_tail=np.zeros(size),
        regularity=np.where(random.random(size) < 0.45, 1.0, _log_uniform(random, 0.4, 6, size)),
        **_pauses(random, size),
        hazard=_log_uniform(random, 1e-3, 0.5, size),
        hazard_shape=_log_uniform(random, 0.25, 6, size),
        hazard_link=np.zeros(size),
        life_shape=np.ones(size),
        quit=np.zeros(size),
        quit_weight=np.ones(size),
        once=float(random.uniform(0, 0.1)) if random.random() < 0.3 else 0.0,
    )


def _amounts(random: np.random.Generator) -> AmountLaw:
    return AmountLaw(
        between=float(_log_uniform(random, 0.05, 1.6)),
        within=float(_log_uniform(random, 0.05, 1.3)),
        heavy=bool(random.random() < 0.3),
        gamma=bool(random.random() < 0.5),
        link=float(random.uniform(-0.5, 0.8)) if random.random() < 0.6 else 0.0,
        prices=int(random.integers(1, 9)) if random.random() < 0.15 else 0,
        quantity=float(random.choice([0.0, 0.2, 1.0])),
        refunds=float(random.uniform(0, 0.2)) if random.random() < 0.3 else 0.0,
    )


def _activity(random: np.random.Generator, span: float, before: float) -> FloatArray:
    """[T] pace per day: trend, yearly season, a yearly peak, slow drift, weekdays; mean one over the history."""
    day = np.arange(int(np.ceil(before + span * (1 + _FUTURE_SPANS))) + 1) - before
    log_pace = np.zeros(len(day))
    if random.random() < 0.5:
        slope = random.normal(0, 1.2 if random.random() < 0.25 else 0.35)
        log_pace += slope * np.minimum(day / span, 1 + random.uniform(0, _FUTURE_SPANS))
    year = day / DAYS_PER_YEAR + random.random()
    if random.random() < 0.45:
        angle = 2 * np.pi * (year[:, None] * np.arange(1, 4) + random.random(3))
        log_pace += np.sin(angle) @ (random.normal(0, 0.4, 3) / np.arange(1, 4))
    if random.random() < 0.3:
        width = random.uniform(6, 30) / DAYS_PER_YEAR
        distance = (year - random.random() + 0.5) % 1.0 - 0.5
        log_pace += random.uniform(0.2, 1.4) * np.exp(-0.5 * (distance / width) ** 2)
    if random.random() < 0.5:
        knots = np.arange(day[0], day[-1] + 60, 30.0)
        drift = np.cumsum(random.normal(0, random.uniform(0.02, 0.15), len(knots)))
        log_pace += np.interp(day, knots, drift)
    if random.random() < 0.5:
        weekday = random.normal(0, random.uniform(0.1, 0.8), 7)
        log_pace += weekday[np.floor(day).astype(np.int64) % 7]
    pace = np.exp(np.clip(log_pace, -5, 5))
    return np.asarray(pace / pace[(day >= 0) & (day < span)].mean())


def _acquisition(random: np.random.Generator, before: float, activity: FloatArray, span: float) -> FloatArray:
    """Density of joining: a cohort at the log's begin, or a stream that grows, falls or comes in bursts."""
    place = np.linspace(-before, 1, _ACQUISITION_KNOTS, endpoint=False) + (1 + before) / _ACQUISITION_KNOTS / 2
    kind = random.random()
    if before == 0.0 and kind < 0.35:
        width = random.uniform(0.03, 0.5)
        density = (place < width).astype(np.float64) * np.exp(random.normal(0, 0.3, len(place)))
        density[0] += 1e-3
    else:
        density = np.exp(np.clip(random.normal(0, 1.3) * place, -4, 4))
        density *= np.exp(random.normal(0, random.uniform(0, 0.8), len(place)))
        if random.random() < 0.3:  # most customers were there when the log began
            density[place < 0.15] *= random.uniform(2, 20)
    if random.random() < 0.3:
        index = np.clip(((place + before) * span).astype(np.int64), 0, len(activity) - 1)
        density = density * activity[index]
    return np.asarray(density / density.sum())
