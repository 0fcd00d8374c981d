"""From forecasts and histories to the table of values. The formulas stand in docs/value.md.

Shape: N customers, H horizons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from seqclv.baselines.formula import FormulaModel
from seqclv.baselines.posterior import ClassicalForecast
from seqclv.baselines.rfm import rfm_table
from seqclv.data.events import Events
from seqclv.errors import InputError
from seqclv.forecast.distribution import ProcessForecast
from seqclv.predictive import Discounted, FloatArray
from seqclv.tiers import TOLERANCE, Tiers
from seqclv.value.acquisition import AcquisitionBook, Costs, Past
from seqclv.value.columns import VALUE_SCHEMA
from seqclv.value.facts import Base, Facts
from seqclv.value.lifecycle import NEVER_DAYS, LifecycleRules, Rhythm, stages
from seqclv.value.money import Economics
from seqclv.value.previous import PreviousTiers

Forecast = ProcessForecast | ClassicalForecast

_LONGEST_LIFE_DAYS = 36_524.25  # a century: who is expected to stay longer has no finite value without discounting
_SURE = 1e-12  # a customer whose chance to buy is below has nothing left at risk


@dataclass(frozen=True, kw_only=True)
class Valuer:
    """All that turns a chunk of customers into rows of the table."""

    cutoff: int  # microseconds
    horizons_days: Sequence[float]  # rising
    economics: Economics
    base: Base
    tier_horizon_days: float
    tiers: Tiers | None = None  # None: the column stays empty
    previous: PreviousTiers | None = None  # customers keep these within the tolerance
    tier_tolerance: float = TOLERANCE
    costs: Costs | None = None
    residual: bool = True
    rules: LifecycleRules = field(default_factory=LifecycleRules)

    def table(
        self, forecast: Forecast, history: Events, facts: Facts, book: AcquisitionBook | None = None
    ) -> tuple[pa.Table, FloatArray]:
        """The rows of merged histories, and [N] the expected spend that tiers are about.

        Costs are booked in `book` by channel and cohort.

        Raises:
            InputError: a residual value is asked for without discounting, and somebody may stay for ever.
        """
        horizons = list(self.horizons_days)
        money = _Money(self.economics, forecast, forecast.alive_probability(), facts)
        tier_spend = forecast.expected_spend([self.tier_horizon_days])[:, 0]
        columns = self._by_customer(forecast, history, facts, tier_spend, money)
        columns |= self._acquisition(forecast, history, facts, money, book)
        width = len(horizons)
        wide = {name: np.repeat(values, width) for name, values in columns.items()}
        wide |= {name: values.ravel() for name, values in self._by_horizon(forecast, history, money).items()}
        wide["horizon_days"] = np.tile(np.asarray(horizons), len(forecast))
        return value_table(wide), tier_spend

    def _by_horizon(self, forecast: Forecast, history: Events, money: "_Money") -> dict[str, FloatArray]:
        horizons = list(self.horizons_days)
        churn = forecast.churn_probability(horizons)
        contribution = money.contribution(horizons)
        cost = money.service_cost(horizons)
        buys = 1 - churn
        given_a_purchase = np.where(buys > _SURE, contribution / np.maximum(buys, _SURE), 0.0)
        spend_variance = forecast.discounted_spend_variance(horizons, 0.0)
        return {
            "expected_transactions": forecast.expected_transactions(horizons),
            "expected_spend": forecast.expected_spend(horizons),
            "churn_probability": churn,
            "transactions_variance": forecast.transaction_variance(horizons),
            "spend_variance": np.full_like(churn, np.nan) if spend_variance is None else spend_variance,
            "value_variance": money.variance(horizons),
            "discounted_spend": forecast.discounted_spend(horizons, self.economics.daily_rate),
            "contribution": contribution,
            "service_cost": cost,
            "value": contribution - cost,
            "value_at_risk": churn * given_a_purchase,
            "textbook_value": money.factor[:, None] * self._textbook(history),
        }

    def _textbook(self, history: Events) -> FloatArray:
        """[N, H] average purchase x purchases per day x horizon."""
        formula = FormulaModel(self.base.mean_gap_days, np.nan)
        return formula.forecast(rfm_table(history, self.cutoff)).expected_spend(self.horizons_days)

    def _by_customer(
        self, forecast: Forecast, history: Events, facts: Facts, tier_spend: FloatArray, money: "_Money"
    ) -> dict[str, np.ndarray]:
        size = len(forecast)
        never = forecast.churn_probability([NEVER_DAYS])[:, 0]
        soon = forecast.next_purchase_median()
        unknown = np.full(size, np.nan)
        residual = money.residual() if self.residual else unknown
        rhythm = Rhythm(
            never_again=never,
            age_days=facts.age_days,
            days_since_last=facts.days_since_last,
            usual_gap_days=facts.usual_gap_days,
            earlier_gap_days=facts.earlier_gap_days,
            last_gap_days=facts.last_gap_days,
            base_gap_days=self.base.mean_gap_days,
        )
        return {
            "customer_id": np.asarray(history.customer_id, dtype=object),
            "cutoff": np.full(size, self.cutoff, dtype="datetime64[us]"),
            "currency": np.full(size, self.economics.currency, dtype=object),
            "alive_probability": forecast.alive_probability(),
            "never_again_probability": never,
            "next_purchase_days_q50": soon,
            "margin_rate": money.margin,
            "residual_value": residual,
            "residual_value_variance": money.variance([np.inf])[:, 0] if self.residual else unknown,
            "historic_value": money.historic_value(),
            "first_purchase": facts.first.astype("datetime64[us]"),
            "last_purchase": facts.last.astype("datetime64[us]"),
            "days_since_last": facts.days_since_last,
            "usual_gap_days": facts.usual_gap_days,
            "historic_transactions": facts.transactions,
            "historic_spend": facts.spend,
            "historic_refunds": facts.refunds,
            "cohort": cohorts(facts.first),
            "channel": facts.channel,
            "tier": self._tier(history, tier_spend),
            "stage": stages(rhythm, self.rules),
        }

    def _tier(self, history: Events, tier_spend: FloatArray) -> np.ndarray:
        if self.tiers is None:
            return np.full(len(tier_spend), None)
        before = None if self.previous is None else self.previous.of(history.customer_id)
        return self.tiers.assign(tier_spend, before, self.tier_tolerance)

    def _acquisition(
        self, forecast: Forecast, history: Events, facts: Facts, money: "_Money", book: AcquisitionBook | None
    ) -> dict[str, np.ndarray]:
        """Value from acquisition, and what it says of the cost."""
        unknown = np.full(len(forecast), np.nan)
        if not self.residual:
            return dict.fromkeys(("value_from_acquisition", "acquisition_cost", "clv_to_cac", "payback_days"), unknown)
        past = Past(
            history=history,
            facts=facts,
            alive_probability=forecast.alive_probability(),
            factor=money.historic_factor,
            economics=self.economics,
        )
        worth = past.value() + past.discount * money.residual()
        cost = unknown if self.costs is None else self.costs.of(facts.channel)
        payback = unknown
        if book is not None:
            payback = book.add(past, cost, worth, cohorts(facts.first), money.values)
        return {
            "value_from_acquisition": worth,
            "acquisition_cost": cost,
            "clv_to_cac": np.divide(worth, cost, out=unknown.copy(), where=cost > 0),
            "payback_days": payback,
        }


class _Money:
    """The money of N customers under the given terms."""

    def __init__(self, economics: Economics, forecast: Discounted, alive_probability: FloatArray, facts: Facts) -> None:
        self.economics = economics
        self.forecast = forecast
        self.alive_probability = alive_probability
        self.facts = facts
        self.margin = own_margins(facts, economics, shrink=True)
        self.factor = self.margin * (1 - economics.refund_share)  # money kept of each unit of spend
        self.historic_factor = own_margins(facts, economics, shrink=False)

    def contribution(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] margin x (1 - refund share) x discounted spend."""
        return self.factor[:, None] * self.forecast.discounted_spend(horizons_days, self.economics.daily_rate)

    def service_cost(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] cost per day x discounted days alive."""
        cost = self.economics.daily_service_cost
        if cost == 0:
            return np.zeros((len(self.forecast), len(horizons_days)))
        return cost * self.forecast.discounted_alive_days(horizons_days, self.economics.daily_rate)

    def values(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] contribution less service cost."""
        return self.contribution(horizons_days) - self.service_cost(horizons_days)

    def variance(self, horizons_days: Sequence[float]) -> FloatArray:
        """[N, H] variance of the contribution; the service cost counts as certain."""
        variance = self.forecast.discounted_spend_variance(horizons_days, self.economics.daily_rate)
        if variance is None:
            return np.full((len(self.forecast), len(horizons_days)), np.nan)
        return self.factor[:, None] ** 2 * variance

    def residual(self) -> FloatArray:
        """[N] the value of all the time after the cutoff."""
        if self.economics.daily_rate == 0:
            self._require_an_end()
        return self.values([np.inf])[:, 0]

    def _require_an_end(self) -> None:
        days = self.forecast.discounted_alive_days([np.inf], 0.0)[:, 0]
        endless = ~(days <= _LONGEST_LIFE_DAYS)
        if endless.any():
            raise InputError(
                "A residual value without discounting needs customers who leave, but some are expected to stay for "
                f"more than a century ({int(endless.sum())} of the first {len(days)}): give a --discount-rate above "
                "0, or leave the residual out with --no-residual."
            )

    def historic_value(self) -> FloatArray:
        """[N] margin x (purchases - refunds), less the service cost of the days that the customer was alive."""
        facts = self.facts
        lived = facts.age_days - facts.days_since_last + self.alive_probability * facts.days_since_last
        earned = self.historic_factor * (facts.spend - facts.refunds)
        return np.asarray(earned - self.economics.daily_service_cost * lived)


def own_margins(facts: Facts, economics: Economics, *, shrink: bool) -> FloatArray:
    """[N] each customer's margin rate; with `shrink` the base's counts as one more purchase of average size."""
    base = np.full(len(facts.first), economics.margin)
    if not economics.own_margins:
        return base
    extra = facts.known_spend / np.maximum(facts.known_transactions, 1.0) if shrink else np.zeros_like(base)
    total = facts.known_spend + extra
    own = (facts.known_margin + extra * economics.margin) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, own, base)


def cohorts(first: np.ndarray) -> np.ndarray:
    """[N] the month of each instant (microseconds), such as 2024-07."""
    return np.datetime_as_string(first.astype("datetime64[us]"), unit="M").astype(object)


def value_table(columns: dict[str, np.ndarray]) -> pa.Table:
    """The columns in the order and types of `VALUE_SCHEMA`; NaN becomes null."""
    arrays = [pa.array(columns[column.name], column.type, from_pandas=True) for column in VALUE_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=VALUE_SCHEMA)
