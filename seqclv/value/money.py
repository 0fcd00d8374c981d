"""What a forecast is worth: margin, refunds, service cost and discount, stated once and converted in one place."""

import math
from dataclasses import dataclass

from seqclv.batch import DAYS_PER_YEAR
from seqclv.errors import InputError

NO_CURRENCY = "XXX"  # ISO 4217's code for 'no currency'


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms as a user states them."""

    margin: float = 1.0  # gross margin, a share of the amounts; 1 values revenue
    margin_column: str | None = None  # a column with the gross margin of each line in money; replaces `margin`
    refund_share: float | None = None  # of the amounts that are given back; None: estimated from the history
    service_cost: float = 0.0  # of a customer who is alive, money per `service_cost_period_days`
    service_cost_period_days: float = 30.0
    discount_rate: float = 0.10  # per year
    currency: str | None = None  # None: that of the currency column, else 'XXX'
    currency_column: str | None = None  # a column with the currency of each line; more than one is refused
    channel_column: str | None = None  # a column whose value at the first purchase is the channel of acquisition
    residual: bool = True  # value all the time after the cutoff too

    def __post_init__(self) -> None:
        self._require(-1 <= self.margin <= 1, "A margin is a share of the amounts from -1 to 1", self.margin, "0.3")
        share = self.refund_share
        self._require(
            share is None or 0 <= share <= 1, "A refund share lies between 0 and 1", share, "0.05, or leave it out"
        )
        self._require(
            0 <= self.service_cost < math.inf, "A service cost is at least 0 and finite", self.service_cost, "2.0"
        )
        days = self.service_cost_period_days
        self._require(0 < days < math.inf, "A service cost's period is a positive number of days", days, "30")
        self._require(
            0 <= self.discount_rate <= 10,
            "A discount rate is a share per year from 0 to 10",
            self.discount_rate,
            "0.1 for ten per cent a year",
        )

    @staticmethod
    def _require(holds: bool, rule: str, found: object, example: str) -> None:
        if not holds:
            raise InputError(f"{rule}, but it is {found}: give for example {example}.")

    @property
    def daily_rate(self) -> float:
        """The continuous discount rate per day."""
        return daily_rate(self.discount_rate)

    @property
    def daily_service_cost(self) -> float:
        """Money per day alive."""
        return self.service_cost / self.service_cost_period_days


@dataclass(frozen=True, kw_only=True)
class Economics:
    """The terms with what the base tells filled in: numbers only, rates per day."""

    margin: float  # of the base; customers' own margins are shrunken towards it
    own_margins: bool  # whether customers have margins of their own
    refund_share: float
    daily_service_cost: float
    daily_rate: float
    currency: str


def in_currency(text: str, currency: str) -> str:
    """A text of money with its currency, where one is known."""
    return text if currency == NO_CURRENCY else f"{text} {currency}"


def daily_rate(annual_rate: float) -> float:
    """The continuous rate per day that compounds to `annual_rate` in a year of 365.2425 days: ln(1 + r) / 365.2425."""
    return math.log1p(annual_rate) / DAYS_PER_YEAR
