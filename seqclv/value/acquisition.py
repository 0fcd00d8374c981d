"""What customers cost to win: CLV : CAC, payback, and the highest cost that the next ones may have.

Everything is measured from a customer's first purchase and discounted to it. Up to the cutoff it is what happened;
after it, what the model expects. The highest affordable cost of a channel and cohort is the mean of that value over its
customers: at this cost a customer earns nothing and loses nothing, the discount rate being the return asked for.

Shape: N customers; A ages of a fixed grid.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqclv.data.events import MICROSECONDS_PER_DAY, PURCHASE, REFUND, Events
from seqclv.errors import InputError
from seqclv.predictive import FloatArray
from seqclv.value.facts import Facts
from seqclv.value.money import Economics

LONGEST_DAYS = 10_957.0  # thirty years: a cost that is earned later is never earned
AGES = np.concatenate([[0.0], np.geomspace(0.5, LONGEST_DAYS, 159)])  # [A] days
_GRID = np.log1p(AGES)
EVERY_COHORT = "all"

Values = Callable[[Sequence[float]], FloatArray]  # horizons -> [N, H] expected value


@dataclass(frozen=True)
class Costs:
    """The acquisition cost of a customer: by channel, or one for all."""

    by_channel: Mapping[str, float] = field(default_factory=dict)
    everyone: float | None = None  # of channels that are not named

    def of(self, channel: npt.NDArray[np.object_]) -> FloatArray:
        """[N] the cost of each customer; NaN where none is stated."""
        default = np.nan if self.everyone is None else self.everyone
        return np.array([self.by_channel.get(name, default) for name in channel], dtype=np.float64)


def read_costs(words: Sequence[str]) -> Costs:
    """Costs from the words of an option: a CSV file with the columns channel and cost, NAME=COST ..., or one number.

    Raises:
        InputError: the file or a word cannot be read, or a cost is below 0.
    """
    if len(words) == 1 and words[0].lower().endswith(".csv"):
        return Costs({name: _amount(cost, name) for name, cost in _rows(Path(words[0]))})
    named, everyone = {}, None
    for word in words:
        name, separator, cost = word.rpartition("=")
        if separator:
            named[name] = _amount(cost, name)
        else:
            everyone = _amount(word, "every customer")
    return Costs(named, everyone)


def _rows(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [(row["channel"], row["cost"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"Acquisition costs are a CSV file with the columns channel and cost, but {path} is none ({error}): "
            "mend it or give NAME=COST."
        ) from error


def _amount(text: str, name: str) -> float:
    try:
        cost = float(text)
    except (TypeError, ValueError):
        cost = -1.0
    if not 0 <= cost < float("inf"):
        raise InputError(f"An acquisition cost is a number of at least 0, but that of {name} is {text!r}: change it.")
    return cost


@dataclass(frozen=True, kw_only=True)
class Past:
    """The history of N customers as money, discounted to each one's first purchase."""

    history: Events
    facts: Facts
    alive_probability: FloatArray
    factor: FloatArray  # [N] margin of the history
    economics: Economics

    @property
    def discount(self) -> FloatArray:
        """[N] what a unit of money at the cutoff is worth at the first purchase."""
        return np.asarray(np.exp(-self.economics.daily_rate * self.facts.age_days))

    def value(self) -> FloatArray:
        """[N] of the whole history."""
        owner, _, money = self._flows()
        earned = np.bincount(owner, weights=money, minlength=len(self.facts.first))
        return np.asarray(earned - self._service_cost(self.facts.age_days[:, None])[:, 0])

    def at_ages(self, ages: FloatArray) -> FloatArray:
        """[N, A] cumulative value up to each age, of which those beyond the cutoff repeat the whole history's."""
        owner, age, money = self._flows()
        steps = np.zeros((len(self.facts.first), len(ages) + 1))
        np.add.at(steps, (owner, np.searchsorted(ages, age)), money)
        lived = np.minimum(ages[None, :], self.facts.age_days[:, None])
        return np.asarray(np.cumsum(steps, axis=1)[:, :-1] - self._service_cost(lived))

    def reached(self, cost: FloatArray) -> FloatArray:
        """[N] the age at the first purchase that brought the cumulative value to the cost; NaN where none did."""
        owner, age, money = self._flows()
        running = np.cumsum(money)
        start = np.searchsorted(owner, np.arange(len(cost)))
        before = np.concatenate([[0.0], running])[start]
        value = running - before[owner] - self._service_cost(age, owner)
        hit = np.flatnonzero(value >= cost[owner])  # false for a NaN
        result = np.full(len(cost), np.nan)
        result[owner[hit][::-1]] = age[hit][::-1]  # the last one written is the first in time
        return result

    def _flows(self) -> tuple[np.ndarray, FloatArray, FloatArray]:
        """Purchases and refunds, in time order: owner, age of the customer in days, discounted margin."""
        counted = (self.history.event_type == PURCHASE) | (self.history.event_type == REFUND)
        owner = self.history.owner[counted]
        age = (self.history.timestamp[counted] - self.facts.first[owner]) / MICROSECONDS_PER_DAY
        money = self.factor[owner] * self.history.amount[counted] * np.exp(-self.economics.daily_rate * age)
        return owner, age, money

    def _service_cost(self, age: FloatArray, owner: np.ndarray | None = None) -> FloatArray:
        """Discounted cost up to an age: certain until the last purchase, then while alive at the cutoff."""
        lived, alive = self.facts.age_days - self.facts.days_since_last, self.alive_probability
        if owner is not None:
            lived, alive = lived[owner], alive[owner]
        else:
            lived, alive = lived[:, None], alive[:, None]
        certain = _annuity(np.minimum(age, lived), self.economics.daily_rate)
        total = certain + alive * (
            _annuity(np.maximum(age, lived), self.economics.daily_rate) - _annuity(lived, self.economics.daily_rate)
        )
        return np.asarray(self.economics.daily_service_cost * total)


def _annuity(days: FloatArray, rate: float) -> FloatArray:
    """One unit of money per day, discounted: (1 - exp(-rate days)) / rate."""
    return np.asarray(-np.expm1(-rate * days) / rate if rate > 0 else days)


class AcquisitionBook:
    """Running sums by channel and cohort, in bounded memory; and each customer's payback."""

    def __init__(self) -> None:
        self._curves: dict[tuple[str | None, str], FloatArray] = {}  # [A + 2] curve, worth, customers

    def add(
        self, past: Past, cost: FloatArray, worth: FloatArray, cohort: npt.NDArray[np.object_], values: Values
    ) -> FloatArray:
        """Book N customers; [N] days from the first purchase until the cost is earned, NaN where it never is."""
        future = values(list(AGES[1:]))
        future = np.concatenate([np.zeros((len(cost), 1)), future], axis=1)  # [N, A] by days after the cutoff
        self._book(past, worth, cohort, future)
        payback = past.reached(cost)
        open_ = np.isnan(payback) & ~np.isnan(cost)
        missing = (cost - past.value()) / past.discount  # money at the cutoff
        payback[open_] = past.facts.age_days[open_] + _first_crossing(future[open_], missing[open_])
        return payback

    def _book(self, past: Past, worth: FloatArray, cohort: npt.NDArray[np.object_], future: FloatArray) -> None:
        after = np.maximum(AGES[None, :] - past.facts.age_days[:, None], 0.0)
        expected = past.discount[:, None] * _interpolated(future, after)
        rows = np.column_stack([past.at_ages(AGES) + expected, worth, np.ones(len(worth))])
        keys = [(channel, month) for channel, month in zip(past.facts.channel, cohort, strict=True)]
        distinct = sorted(set(keys), key=str)
        place = {key: i for i, key in enumerate(distinct)}
        member = np.zeros((len(distinct), len(keys)))
        member[[place[key] for key in keys], np.arange(len(keys))] = 1.0
        for key, total in zip(distinct, member @ rows, strict=True):
            self._curves[key] = self._curves.get(key, 0.0) + total

    def table(self, costs: Costs) -> list[dict[str, Any]]:
        """One row per channel, and per channel and cohort."""
        sums = dict(self._curves)
        for (channel, _), total in self._curves.items():
            whole = (channel, EVERY_COHORT)
            sums[whole] = sums.get(whole, 0.0) + total
        order = sorted(sums, key=lambda key: (key[0] is None, key[0] or "", key[1] != EVERY_COHORT, key[1]))
        return [_row(key, sums[key], costs) for key in order]


def _row(key: tuple[str | None, str], total: FloatArray, costs: Costs) -> dict[str, Any]:
    channel, cohort = key
    customers, worth = total[-1], total[-2] / total[-1]
    cost = float(costs.of(np.array([channel], dtype=object))[0])
    known = not np.isnan(cost)
    payback = _step_crossing(total[:-2] / customers, cost) if known else np.nan
    return {
        "channel": channel,
        "cohort": cohort,
        "customers": int(customers),
        "value_from_acquisition": float(worth),
        "highest_affordable_cost": float(worth),
        "acquisition_cost": cost if known else None,
        "clv_to_cac": float(worth) / cost if known and cost > 0 else None,
        "payback_days": None if np.isnan(payback) else payback,
    }


def _interpolated(curve: FloatArray, days: FloatArray) -> FloatArray:
    """[N, A] each customer's smooth curve [N, A] over `AGES`, at its own days [N, A]: cubic in the log of 1 + days."""
    cell = np.clip(np.searchsorted(AGES, days, side="right") - 1, 0, len(AGES) - 2)
    share = np.clip((np.log1p(days) - _GRID[cell]) / (_GRID[cell + 1] - _GRID[cell]), 0.0, 1.0)
    slope = np.gradient(curve, _GRID, axis=1, edge_order=2)
    at = lambda values, where: np.take_along_axis(values, where, axis=1)  # noqa: E731
    return _hermite(
        share,
        at(curve, cell),
        at(curve, cell + 1),
        *(_GRID[cell + 1] - _GRID[cell]) * np.stack([at(slope, cell), at(slope, cell + 1)]),
    )


def _hermite(
    t: FloatArray, low: FloatArray, high: FloatArray, rise_low: FloatArray, rise_high: FloatArray
) -> FloatArray:
    """The cubic on [0, 1] with these ends and slopes."""
    return np.asarray(
        low * (1 + 2 * t) * (1 - t) ** 2
        + high * t**2 * (3 - 2 * t)
        + t * (1 - t) * ((1 - t) * rise_low - t * rise_high)
    )


def _first_crossing(curve: FloatArray, level: FloatArray) -> FloatArray:
    """[N] days at which a smooth curve [N, A] over `AGES` first reaches its level; NaN where it never does."""
    above = curve >= level[:, None]
    index = above.argmax(axis=1)
    row, before = np.arange(len(level)), np.maximum(index - 1, 0)
    slope = np.gradient(curve, _GRID, axis=1, edge_order=2) if len(curve) else curve
    width = _GRID[index] - _GRID[before]
    ends = (curve[row, before], curve[row, index], width * slope[row, before], width * slope[row, index])
    left, right = np.zeros(len(level)), np.ones(len(level))
    for _ in range(40):
        middle = (left + right) / 2
        reached = _hermite(middle, *ends) >= level
        left, right = np.where(reached, left, middle), np.where(reached, middle, right)
    days = np.where(index > 0, np.expm1(_GRID[before] + right * width), 0.0)
    return np.where(above.any(axis=1), days, np.nan)


def _step_crossing(curve: FloatArray, level: float) -> float:
    """Days at which a curve [A] that rises in steps first reaches the level, linear between ages; NaN: never."""
    above = curve >= level
    if not above.any():
        return np.nan
    index = int(above.argmax())
    if index == 0:
        return 0.0
    share = (level - curve[index - 1]) / (curve[index] - curve[index - 1])
    return float(AGES[index - 1] + share * (AGES[index] - AGES[index - 1]))
