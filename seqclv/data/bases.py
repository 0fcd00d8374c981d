"""Simulated bases of many kinds: customers and their merged events, drawn from a `BaseLaw`.

Purchases follow one another by Gamma gaps on the base's clock, which runs faster where its activity is higher; some
bases have customers who pause, or who leave out beats of a rhythm. A customer leaves at an exponential or Weibull time
of Gamma-distributed hazard (Schmittlein, Morrison and Colombo 1987), or after a purchase with a Beta-distributed
probability (Fader, Hardie and Lee 2005), whichever comes first.

Shape: C customers, E events, S segments.
"""

from dataclasses import dataclass

import numpy as np

from seqclv.data.events import (
    FIRST_FURTHER_TYPE,
    MICROSECONDS_PER_DAY,
    PURCHASE,
    REFUND,
    ZERO,
    Events,
    FloatArray,
    IntArray,
)
from seqclv.data.laws import AmountLaw, BaseLaw, BuyingLaw, draw_law

MOST_PURCHASES = 800  # of a customer, past and future
_BLOCK = 12  # gaps drawn at once
_REFUND_DELAY = 0.02  # mean time from a purchase to its refund, spans
_EPOCH_DAYS = 18_262  # the log begins on 2020-01-01


@dataclass(frozen=True)
class Base:
    """A simulated base with its future: merged events in [start, end), a cutoff between them.

    Every customer has a purchase before the cutoff; refunds may follow after the end. Times in microseconds.
    """

    events: Events
    cutoff: int
    end: int
    dated: bool  # purchases are known to the day

    @property
    def history(self) -> Events:
        """The events before the cutoff."""
        return self.events.rows(self.events.timestamp < self.cutoff)


@dataclass(frozen=True)
class _Customers:
    """[C] what distinguishes the customers; times in days since the log's begin."""

    joined: FloatArray
    gone: FloatArray
    rate: FloatArray  # per day of the base's clock
    regularity: FloatArray
    skip: FloatArray  # chance that a beat is left out
    pause: FloatArray  # chance that a gap is a pause
    pause_length: FloatArray
    allowance: IntArray  # purchases after which the customer leaves


def draw_base(random: np.random.Generator, customers: int) -> Base:
    """A base of a kind that is drawn too. Fewer customers result: some never buy before the cutoff."""
    return simulate_base(random, draw_law(random), customers)


def simulate_base(random: np.random.Generator, law: BaseLaw, customers: int) -> Base:
    """Draw the customers of a law and all they do."""
    people = _customers(random, law, customers)
    owner, day = purchase_days(random, law, people)
    keep = (day >= 0) & (day < law.span_days + law.future_days)
    owner, day = owner[keep], day[keep]
    amount = _amounts(random, law.amounts, people.rate, owner)
    return base_of(random, law, owner, day, amount, gone=people.gone)


def base_of(
    random: np.random.Generator,
    law: BaseLaw,
    owner: IntArray,
    day: FloatArray,
    amount: FloatArray,
    *,
    gone: FloatArray | None = None,
) -> Base:
    """The base of purchases [E] at days since the log's begin: merged, with refunds, of buyers before the cutoff.

    `gone` [C] are the days on which customers leave; without it their further events go on.
    """
    span = float(np.ceil(law.span_days)) if law.dated else law.span_days
    at_midnight = law.dated and random.random() < 0.5
    order = _order(owner, day)
    owner, day, amount = owner[order], day[order], amount[order]
    if law.dated:
        owner, day, amount = _merged(owner, day, amount)
    lines = (owner, day, amount, np.full(len(owner), PURCHASE, dtype=np.int16))
    if law.amounts.refunds:
        lines = _with_refunds(random, law, lines)
    if law.zeros:
        lines = _with_others(random, law, lines, ZERO, law.zeros, None)
    if law.others:
        lines = _with_others(random, law, lines, FIRST_FURTHER_TYPE, law.others, gone if law.others_stop else None)
    owner, day, amount, kind = lines
    if at_midnight:
        day = np.floor(day)
    bought = np.zeros(int(owner.max(initial=0)) + 1, dtype=bool)
    bought[owner[(day < span) & (kind == PURCHASE)]] = True
    number = np.cumsum(bought) - 1
    keep = bought[owner] if len(owner) else np.zeros(0, dtype=bool)
    owner = number[owner[keep]]
    size = int(bought.sum())
    stamp = np.floor((day[keep] + _EPOCH_DAYS) * MICROSECONDS_PER_DAY).astype(np.int64)
    events = Events(
        customer_id=np.arange(size).astype(object),
        offset=np.searchsorted(owner, np.arange(size + 1)).astype(np.int64),
        timestamp=stamp,
        amount=amount[keep],
        event_type=kind[keep],
        further_types=("other",),
    )
    at = lambda days: int((days + _EPOCH_DAYS) * MICROSECONDS_PER_DAY)  # noqa: E731
    return Base(events, at(span), at(law.span_days + law.future_days), law.dated)


def _customers(random: np.random.Generator, law: BaseLaw, customers: int) -> _Customers:
    buying = law.buying
    segment = random.choice(len(buying.share), customers, p=buying.share)
    pick = lambda values: values[segment]  # noqa: E731
    relative = random.gamma(pick(buying.rate_shape)) / pick(buying.rate_shape)
    tail = pick(buying.rate_tail)
    relative = relative * np.exp(tail * random.normal(size=customers) - tail**2 / 2)
    joined = _joining(random, law, customers)
    hazard = pick(buying.hazard) * random.gamma(pick(buying.hazard_shape)) / pick(buying.hazard_shape)
    hazard = hazard * np.maximum(relative, 1e-3) ** pick(buying.hazard_link)
    life = random.exponential(1.0, customers) ** (1 / pick(buying.life_shape))
    life = life / np.maximum(hazard, 1e-9) * law.span_days
    return _Customers(
        joined=joined,
        gone=joined + np.minimum(life, 1e6),
        rate=np.maximum(pick(buying.rate) * relative, 1e-6) / law.span_days,
        regularity=pick(buying.regularity),
        skip=_chance(random, pick(buying.skip)),
        pause=_chance(random, pick(buying.pause)),
        pause_length=pick(buying.pause_length),
        allowance=_allowance(random, buying, segment),
    )


def _chance(random: np.random.Generator, mean: FloatArray) -> FloatArray:
    """[C] chances of a Beta law of this mean [C], zero where the mean is."""
    kept = np.maximum(mean, 1e-6)
    return np.where(mean > 0, np.minimum(random.beta(2 * kept, 2 * (1 - kept)), 0.9), 0.0)


def _allowance(random: np.random.Generator, buying: BuyingLaw, segment: IntArray) -> IntArray:
    """[C] purchases until a customer leaves after one of them."""
    mean, weight = np.maximum(buying.quit, 1e-6)[segment], buying.quit_weight[segment]
    quit_ = np.clip(random.beta(mean * weight, (1 - mean) * weight), 1e-4, 1)
    allowance = np.where(buying.quit[segment] > 0, random.geometric(quit_), MOST_PURCHASES)
    once = random.random(len(segment)) < buying.once
    return np.where(once, 1, np.minimum(allowance, MOST_PURCHASES)).astype(np.int64)


def _joining(random: np.random.Generator, law: BaseLaw, customers: int) -> FloatArray:
    edges = np.linspace(-law.before_days, law.span_days, len(law.acquisition) + 1)
    reached = np.concatenate([[0.0], np.cumsum(law.acquisition)])
    return np.asarray(np.interp(random.random(customers), reached / reached[-1], edges))


def purchase_days(random: np.random.Generator, law: BaseLaw, people: _Customers) -> tuple[IntArray, FloatArray]:
    """Owners and days of all purchases, the first ones (joining) included; unordered."""
    grid = np.arange(len(law.activity) + 1) - law.before_days
    clock = np.concatenate([[0.0], np.cumsum(law.activity)])
    end = law.span_days + law.future_days
    who = np.flatnonzero(people.allowance > 1)
    reached = np.interp(people.joined, grid, clock)
    owners, days = [np.arange(len(people.joined))], [people.joined]
    done = 1
    while len(who) and done < MOST_PURCHASES:
        gap = _gaps(random, people, who)
        moment = reached[who, None] + np.cumsum(gap, axis=1)
        day = np.interp(moment, clock, grid, right=np.inf)
        number = done + 1 + np.arange(_BLOCK)
        real = (day < np.minimum(people.gone[who], end)[:, None]) & (number <= people.allowance[who, None])
        row, column = np.nonzero(real)
        owners.append(who[row])
        days.append(day[row, column])
        reached[who] = moment[:, -1]
        who = who[real[:, -1]]
        done += _BLOCK
    return np.concatenate(owners), np.concatenate(days)


def _gaps(random: np.random.Generator, people: _Customers, who: IntArray) -> FloatArray:
    """[n, _BLOCK] the next gaps of some customers, on the base's clock."""
    size = (len(who), _BLOCK)
    shape = people.regularity[who, None]
    gap = random.gamma(np.broadcast_to(shape, size)) / shape / people.rate[who, None]
    skip, pause = people.skip[who, None], people.pause[who, None]
    if skip.any():
        gap *= random.geometric(np.broadcast_to(1 - skip, size))
    if pause.any():
        length = random.exponential(1.0, size) * people.pause_length[who, None]
        gap *= np.where(random.random(size) < pause, length, 1.0)
    return gap


def _amounts(random: np.random.Generator, law: AmountLaw, rate: FloatArray, owner: IntArray) -> FloatArray:
    """[E] amounts of the owners' purchases."""
    customers = len(rate)
    log_rate = np.log(rate)
    active = (log_rate - log_rate.mean()) / max(float(log_rate.std()), 1e-3)
    own = random.standard_t(3, customers) if law.heavy else random.normal(size=customers)
    mean = law.between * (law.link * np.clip(active, -3, 3) + np.sqrt(1 - law.link**2) * np.clip(own, -8, 8))
    if law.prices:
        price = np.exp(random.normal(0, 1.0, law.prices))
        favourite = random.integers(0, law.prices, customers)
        other = random.integers(0, law.prices, len(owner))
        chosen = np.where(random.random(len(owner)) < 0.6, favourite[owner], other)
        return np.asarray(price[chosen] * (1 + random.poisson(law.quantity, len(owner))))
    if law.gamma:
        shape = 1 / law.within**2
        return np.asarray(np.maximum(np.exp(mean[owner]) * random.gamma(shape, 1 / shape, len(owner)), 1e-4))
    return np.asarray(np.exp(mean[owner] + law.within * random.normal(size=len(owner))))


def _merged(owner: IntArray, day: FloatArray, amount: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Purchases of one customer on one day are one, at the time of the first."""
    date = np.floor(day)
    new = np.ones(len(owner), dtype=bool)
    new[1:] = (np.diff(owner) != 0) | (np.diff(date) != 0)
    start = np.flatnonzero(new)
    total = np.add.reduceat(amount, start) if len(start) else amount
    return owner[new], day[new], total


_Lines = tuple[IntArray, FloatArray, FloatArray, np.ndarray]  # owner, day, amount, kind of each event


def _with_refunds(random: np.random.Generator, law: BaseLaw, lines: _Lines) -> _Lines:
    owner, day, amount, _ = lines
    given = random.random(len(owner)) < law.amounts.refunds
    late = day[given] + random.exponential(_REFUND_DELAY * law.span_days, int(given.sum()))
    part = amount[given] * np.where(random.random(len(late)) < 0.5, 1.0, random.random(len(late)))
    return _joined(lines, (owner[given], late, -part, np.full(len(late), REFUND, dtype=np.int16)))


def _with_others(
    random: np.random.Generator, law: BaseLaw, lines: _Lines, code: int, share: float, gone: FloatArray | None
) -> _Lines:
    """Further events, `share` for each purchase of a customer, from the first purchase to the end or to leaving."""
    owner, day = lines[0], lines[1]
    if len(owner) == 0:
        return lines
    first = np.full(int(owner.max()) + 1, np.inf)
    np.minimum.at(first, owner, day)
    end = np.full(len(first), law.span_days + law.future_days)
    last = end if gone is None else np.minimum(gone[: len(first)], end)
    number = np.bincount(owner, minlength=len(first)).astype(np.float64)
    room = np.where(np.isfinite(first), np.maximum(last - first, 0.0), 0.0)
    whose = np.repeat(np.arange(len(first)), random.poisson(np.minimum(share * number, 200) * (room > 0)))
    when = first[whose] + random.random(len(whose)) * room[whose]
    return _joined(lines, (whose, when, np.zeros(len(whose)), np.full(len(whose), code, dtype=np.int16)))


def _order(owner: IntArray, day: FloatArray) -> IntArray:
    """By owner, then by day: one sort of numbers whose whole part is the owner is faster than two."""
    if len(day) == 0:
        return np.zeros(0, dtype=np.int64)
    low = day.min()
    return np.argsort(owner + (day - low) / (1.000001 * (day.max() - low) + 1e-9))


def _joined(lines: _Lines, further: _Lines) -> _Lines:
    owner, day, amount, kind = (np.concatenate(pair) for pair in zip(lines, further, strict=True))
    order = _order(owner, day)
    return owner[order], day[order], amount[order], kind[order]
