"""Simulated customer bases whose truth is known: Pareto/NBD purchases and Gamma-Gamma amounts.

Each customer joins at a time uniform over the span, buys at a Gamma-distributed rate, and drops out after an
exponential time of Gamma-distributed hazard (Schmittlein, Morrison and Colombo 1987). The mean amount of a customer
follows Gamma-Gamma (Fader and Hardie 2013).

Shape: C customers, E transactions.
"""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seqclv.data.events import MICROSECONDS_PER_DAY, FloatArray, IntArray
from seqclv.errors import InputError

RATE_SHAPE = 0.9  # of the Gamma law of purchase rates; the scale follows from `mean_events`
HAZARD_SHAPE = 0.8  # of the Gamma law of dropout hazards per day
HAZARD_SCALE_SPANS = 0.5  # its scale parameter (days) as a share of the simulated span
AMOUNT_SHAPE, MEAN_SHAPE, MEAN_SCALE = 6.25, 3.744, 15.44  # Gamma-Gamma p, q, gamma (those of CDNOW)
REFUND_DELAY_DAYS = 10.0  # mean of an exponential time from purchase to refund
REVIEW_DELAY_DAYS = 2.0  # mean of an exponential time from purchase to review
REVIEW_MIDDLE, REVIEW_SLOPE, REVIEW_NOISE = 3.2, 1.1, 0.7  # score by satisfaction, before rounding to 1 ... 5
ANGRY_SCORE = 2
CAMPAIGN_SHARE = 0.2  # of the weeks
CAMPAIGN_DAYS_AHEAD = 365  # that the calendar reaches beyond the span
DAYS_PER_YEAR = 365.25
CATEGORIES = ("books", "garden", "kitchen", "music", "sports", "toys")
CHANNELS = ("app", "store", "web")
FAVOURITE_SHARE = 0.7  # of a customer's lines fall into one category and channel


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """The size and kind of a simulated base."""

    customers: int = 10_000
    seed: int = 0
    start: str = "2020-01-01"  # first day
    days: int = 730  # span
    mean_events: float = 20.0  # purchases per customer within the span, the first one included
    yearly_season: float = 0.0  # amplitude of the rate's yearly sine, in [0, 1)
    campaign_effect: float = 1.0  # times as many purchases on the days of a campaign
    refund_share: float = 0.0  # of the purchases that are given back
    attributes: bool = False  # add the columns category and channel
    satisfaction_effect: float = 0.0  # a spread of satisfaction divides the dropout hazard by exp(effect)
    response_rate: float = 0.0  # of the purchases that are followed by a review
    only_angry: bool = False  # who would give more than ANGRY_SCORE stays silent

    def __post_init__(self) -> None:
        rules = {
            "customers must be at least 1": self.customers >= 1,
            "days must be at least 1": self.days >= 1,
            "mean_events must be at least 1": 1 <= self.mean_events < np.inf,
            "yearly_season must be in [0, 1)": 0 <= self.yearly_season < 1,
            "campaign_effect must be above 0 and at most 20": 0 < self.campaign_effect <= 20,
            "refund_share must be in [0, 1]": 0 <= self.refund_share <= 1,
            "satisfaction_effect must be in [0, 3]": 0 <= self.satisfaction_effect <= 3,
            "response_rate must be in [0, 1]": 0 <= self.response_rate <= 1,
            "seed must be at least 0": self.seed >= 0,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise InputError(f"A simulation cannot be made: {'; '.join(broken)}.")
        try:
            datetime.date.fromisoformat(self.start)
        except ValueError as error:
            raise InputError(f"The first day must read like 2020-01-31, but '{self.start}' does not.") from error


@dataclass(frozen=True)
class Simulation:
    """A simulated log and its truth.

    `transactions` [E rows, in time order]: customer_id, timestamp, amount and, on request, category and channel;
    with reviews also event_type ('purchase' or 'review') and score (1 to 5, null of purchases).
    `customers` [C rows]: customer_id, rate (purchases per day while alive, season and campaigns aside), hazard (per
    day), acquired, dropout (timestamps; dropout may lie beyond the span), mean_amount; satisfaction where it has an
    effect.
    `calendar` [days of the span and of a year ahead]: date, campaign (1 or 0).
    """

    transactions: pa.Table
    customers: pa.Table
    calendar: pa.Table


@dataclass(frozen=True)
class _Population:
    """[C] parameters of the customers; times in days since the start."""

    rate: FloatArray
    hazard: FloatArray
    acquired: FloatArray
    dropout: FloatArray
    mean_amount: FloatArray
    satisfaction: FloatArray  # standard normal


def simulate(config: SimulationConfig) -> Simulation:
    """Simulate a base; the same configuration gives the same base.

    Purchases lie in [acquisition, dropout) and within the span; the first one is the acquisition itself. Rates are
    scaled so that the expected number of purchases per customer is `mean_events`. Refunds are lines of the negative
    amount, some days after their purchase and before dropout.
    """
    random = np.random.default_rng(config.seed)
    people = _population(random, config)
    owner, day = _purchases(random, people, config)
    amount = _amounts(random, people.mean_amount[owner])
    owner, day, amount = _refunds(random, people, config, (owner, day, amount))
    owner, day, amount, score = _reviews(people, config, (owner, day, amount))
    start = int(np.datetime64(config.start, "us").astype(np.int64))
    stamp = np.minimum(_microseconds(day), config.days * MICROSECONDS_PER_DAY - 1)
    order = np.argsort(stamp, kind="stable")
    owner = owner[order]
    ids = pa.array([f"C{i:0{len(str(config.customers))}d}" for i in range(1, config.customers + 1)])
    columns = {"customer_id": ids.take(pa.array(owner)), "timestamp": _timestamps(stamp[order] + start)}
    columns["amount"] = pa.array(amount[order])
    if config.attributes:
        columns["category"] = _favourites(random, owner, config.customers, CATEGORIES)
        columns["channel"] = _favourites(random, owner, config.customers, CHANNELS)
    if config.response_rate > 0:
        given = np.isfinite(score[order])
        columns["event_type"] = pa.array(np.where(given, "review", "purchase"))
        columns["score"] = pa.array(score[order], from_pandas=True)
    truth = {
        "customer_id": ids,
        "rate": people.rate,
        "hazard": people.hazard,
        "acquired": _timestamps(_microseconds(people.acquired) + start),
        "dropout": _timestamps(_microseconds(people.dropout) + start),
        "mean_amount": people.mean_amount,
    }
    if config.satisfaction_effect > 0:
        truth["satisfaction"] = people.satisfaction
    known = campaigns(config)
    dates = np.datetime64(config.start, "D") + np.arange(len(known))
    calendar = pa.table({"date": pa.array(dates), "campaign": pa.array(known.astype(np.int64))})
    return Simulation(pa.table(columns), pa.table(truth), calendar)


def write(
    simulation: Simulation, out: str | Path, *, truth: str | Path | None = None, calendar: str | Path | None = None
) -> None:
    """Write the log and, where asked, the truth and the calendar; Parquet, or CSV where the name ends in .csv.

    A file is complete or absent: it is written beside its place and then renamed.

    Raises:
        InputError: a path cannot be written.
    """
    _write_table(simulation.transactions, Path(out))
    if truth is not None:
        _write_table(simulation.customers, Path(truth))
    if calendar is not None:
        _write_table(simulation.calendar, Path(calendar))


def _population(random: np.random.Generator, config: SimulationConfig) -> _Population:
    size, days = config.customers, float(config.days)
    acquired = random.uniform(0.0, days, size)
    hazard = random.gamma(HAZARD_SHAPE, 1.0 / (HAZARD_SCALE_SPANS * days), size)
    satisfaction = np.random.default_rng([config.seed, 1]).normal(size=size)
    # Divided by the mean of the factor, so that the average hazard stays what it is without satisfaction.
    hazard = hazard * np.exp(-config.satisfaction_effect * satisfaction - config.satisfaction_effect**2 / 2)
    lifetime = np.minimum(random.exponential(1.0, size) / np.maximum(hazard, 1e-300), 100 * days)
    dropout = acquired + lifetime
    mean_amount = AMOUNT_SHAPE / random.gamma(MEAN_SHAPE, 1.0 / MEAN_SCALE, size)
    rate = random.gamma(RATE_SHAPE, 1.0, size)
    active = operational(np.minimum(dropout, days), config) - operational(acquired, config)
    rate *= (config.mean_events - 1.0) * size / max(float(rate @ active), 1e-300)
    return _Population(rate, hazard, acquired, dropout, mean_amount, satisfaction)


def _purchases(
    random: np.random.Generator, people: _Population, config: SimulationConfig
) -> tuple[IntArray, FloatArray]:
    """[E] owners and days: acquisitions, then repeat purchases uniform in the time that the season stretches."""
    low = operational(people.acquired, config)
    high = operational(np.minimum(people.dropout, config.days), config)
    repeats = random.poisson(people.rate * (high - low))
    first = np.arange(config.customers, dtype=np.int64)
    owner = np.repeat(first, repeats)
    moment = low[owner] + random.random(len(owner)) * (high - low)[owner]
    grid = np.linspace(0.0, config.days, 24 * config.days + 1)
    day = np.interp(moment, operational(grid, config), grid) if _stretched(config) else moment
    # The inverse of the season is interpolated: it must not leave the customer's lifetime by a rounding.
    day = np.clip(day, people.acquired[owner], np.nextafter(people.dropout, 0.0)[owner])
    return np.concatenate([first, owner]), np.concatenate([people.acquired, day])


def operational(day: FloatArray, config: SimulationConfig) -> FloatArray:
    """The integral from 0 to `day` of the season 1 + a sin(2 pi t / year), times the effect on campaign days."""
    if config.campaign_effect == 1.0:
        return _season(day, config)
    edges = _season(np.arange(config.days + 1.0), config)
    pace = np.where(campaigns(config)[: config.days], config.campaign_effect, 1.0)
    total = np.concatenate([[0.0], np.cumsum(pace * np.diff(edges))])
    place = np.minimum(day.astype(np.int64), config.days - 1)
    return np.asarray(total[place] + pace[place] * (_season(day, config) - edges[place]))


def _season(day: FloatArray, config: SimulationConfig) -> FloatArray:
    turn = 2.0 * np.pi / DAYS_PER_YEAR
    return np.asarray(day + config.yearly_season / turn * (1.0 - np.cos(turn * day)))


def _stretched(config: SimulationConfig) -> bool:
    return config.yearly_season > 0 or config.campaign_effect != 1.0


def campaigns(config: SimulationConfig) -> npt.NDArray[np.bool_]:
    """[days of the span and of a year ahead] whether there is a campaign: in whole weeks from the first day on."""
    days = config.days + CAMPAIGN_DAYS_AHEAD
    weeks = np.random.default_rng([config.seed, 3]).random(days // 7 + 1) < CAMPAIGN_SHARE
    return np.repeat(weeks, 7)[:days]


def _amounts(random: np.random.Generator, mean: FloatArray) -> FloatArray:
    """[E] amounts of at least one cent, in whole cents."""
    drawn = mean / AMOUNT_SHAPE * random.gamma(AMOUNT_SHAPE, 1.0, len(mean))
    return np.maximum(np.round(drawn, 2), 0.01)


def _refunds(
    random: np.random.Generator,
    people: _Population,
    config: SimulationConfig,
    lines: tuple[IntArray, FloatArray, FloatArray],
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Append refund lines to owners, days and amounts; those after dropout or the span never happen."""
    if config.refund_share == 0.0:
        return lines
    owner, day, amount = lines
    given = random.random(len(owner)) < config.refund_share
    late = day + random.exponential(REFUND_DELAY_DAYS, len(owner))
    given &= late < np.minimum(people.dropout[owner], config.days)
    chosen = [np.concatenate([owner, owner[given]]), np.concatenate([day, late[given]])]
    return chosen[0], chosen[1], np.concatenate([amount, -amount[given]])


def _reviews(
    people: _Population, config: SimulationConfig, lines: tuple[IntArray, FloatArray, FloatArray]
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Append reviews of no amount; the scores, [E], are NaN of other lines. After dropout nobody writes."""
    owner, day, amount = lines
    score = np.full(len(owner), np.nan)
    if config.response_rate == 0.0:
        return owner, day, amount, score
    random = np.random.default_rng([config.seed, 2])
    answers = random.random(len(owner)) < config.response_rate
    late = day + random.exponential(REVIEW_DELAY_DAYS, len(owner))
    said = REVIEW_MIDDLE + REVIEW_SLOPE * people.satisfaction[owner] + REVIEW_NOISE * random.normal(size=len(owner))
    said = np.clip(np.round(said), 1, 5)
    answers &= (amount > 0) & (late < np.minimum(people.dropout[owner], config.days))
    if config.only_angry:
        answers &= said <= ANGRY_SCORE
    nothing = np.zeros(int(answers.sum()))
    return (
        np.concatenate([owner, owner[answers]]),
        np.concatenate([day, late[answers]]),
        np.concatenate([amount, nothing]),
        np.concatenate([score, said[answers]]),
    )


def _favourites(random: np.random.Generator, owner: IntArray, customers: int, words: tuple[str, ...]) -> pa.Array:
    """[E] words: mostly the customer's favourite, else any."""
    favourite = random.integers(0, len(words), customers)[owner]
    other = random.integers(0, len(words), len(owner))
    return pa.array(words).take(pa.array(np.where(random.random(len(owner)) < FAVOURITE_SHARE, favourite, other)))


def _microseconds(day: FloatArray) -> IntArray:
    return np.floor(day * MICROSECONDS_PER_DAY).astype(np.int64)


def _timestamps(microseconds: IntArray) -> pa.Array:
    return pa.array(microseconds, pa.int64()).cast(pa.timestamp("us"))


def _write_table(table: pa.Table, out: Path) -> None:
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise InputError(f"The file '{out}' must be writable, but is not: {error.strerror}.") from error
    try:
        if out.suffix.lower() == ".csv":
            pacsv.write_csv(table, partial)
        else:
            pq.write_table(table, partial)
        partial.replace(out)
    except OSError as error:
        raise InputError(f"The file '{out}' must be writable, but is not: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
