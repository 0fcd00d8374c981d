"""The contract between data and model.

Shape legend, used in every comment of the package:

    B  customers in a batch            L  events of the longest history
    E  events in a batch
    N  queries (customer x cutoff)     W  target windows per query
    F  numeric features of an event    G  categorical features of an event
    D  features of a query             K  behaviours of the mixture (index 0: already gone)
    H  horizons                        S  draws
    J  harmonics of the season           R  trailing windows
    A  numeric attributes of a customer      T  categorical attributes of a customer
    Z  figures of a base's context       M  bases in a batch
    X  columns of the calendar

Times inside a batch are in units of `FeatureSchema.time_scale_days`, amounts in units of
`FeatureSchema.amount_scale`, so that one set of hyperparameters serves hours and years, pennies and millions.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

DAYS_PER_YEAR = 365.2425  # of the Gregorian calendar

_Days = TypeVar("_Days", float, npt.NDArray[np.float64])


@dataclass(frozen=True, kw_only=True)
class CategoricalFeature:
    """A categorical column of an event or a customer. Code 0 is 'out of vocabulary'; value i has code i + 1."""

    name: str
    vocabulary: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NumericFeature:
    """A numeric column of an event or a customer and the centre and spread it is standardized with."""

    name: str
    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class FeatureSchema:
    """What the data determines. Derived from events before the training cutoff only."""

    time_scale_days: float  # mean gap between purchases of a customer
    amount_scale: float  # exp of the mean log amount of a purchase
    amount_log_std: float  # spread of log amounts
    amount_mean: float  # mean amount, amount units
    purchase_rate: float  # purchases per time unit and customer: the prior mean of the rate
    merge: str  # how lines become transactions, see DataConfig.merge
    harmonics: int  # of the yearly season that the span supports; 0 is none
    trailing_windows_days: tuple[float, ...]
    max_history_events: int
    event_types: tuple[str, ...]  # vocabulary of further event types; code of value i is i + 4, see data.events
    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]
    query_mean: tuple[float, ...]  # [D] centre of the raw query features
    query_std: tuple[float, ...]  # [D] spread of the raw query features
    static_numeric: tuple[NumericFeature, ...] = ()  # attributes of customers
    static_categorical: tuple[CategoricalFeature, ...] = ()
    weekdays: bool = True  # events tell their weekday
    context: tuple[float, ...] = ()  # [Z] what kind of base it is, standardized; empty: the network knows one base
    calendar: tuple[NumericFeature, ...] = ()  # [X] columns of the calendar, standardized over the history's days
    calendar_days: tuple[tuple[float, ...], ...] = ()  # of these: a number of days and the X values that they share


@dataclass(frozen=True)
class FutureWindow:
    """What is known of a window [cutoff, cutoff + horizon): the sufficient statistics of its likelihood.

    Shape: every field is [N, W] but regressors, [N, W, 2 J (+ X + 1)]. A window that does not count has weight 0.
    """

    horizon: Tensor  # > 0, time units
    purchases: Tensor  # number of purchases in the window
    last_offset: Tensor  # of the last purchase from the cutoff, time units; 0 without purchase
    spend: Tensor  # sum of amounts, amount units
    log_spend: Tensor  # sum of log amounts
    # Sums over the purchases of what the log pace of their days is linear in: sin and cos of 2 pi j (share of the year
    # gone by), j = 1 ... J; with a calendar then its standardized values, and the number of purchases on known days.
    regressors: Tensor
    weight: Tensor  # of the window in the loss

    def to(self, device: torch.device) -> Self:
        """Return the same window on `device`."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class KnownDays:
    """What the calendar says of the days from an origin on; those after the last of them are average days.

    Shape: values [days, X].
    """

    values: Tensor  # standardized
    first: int  # the origin: whole days since 1970-01-01

    @property
    def phase(self) -> float:
        """The share of the year gone by when the first of them begins."""
        return self.first / DAYS_PER_YEAR % 1.0

    def years(self, days: _Days) -> _Days:
        """Instants (days since 1970-01-01) in years since the turn of the year before the origin."""
        return self.phase + (days - self.first) / DAYS_PER_YEAR


@dataclass(frozen=True)
class EventBatch:
    """Histories of B customers without padding, and N queries at cutoffs.

    Events lie in the order of torch's `PackedSequence`: the first event of every customer, then every second event,
    and so on; customers with longer histories come first.

    Shape:
        numeric: [E, F] float32; categorical: [E, G] int64; step_sizes: [L] int64, customers with an l-th event
        query_event: [N] int64; query: [N, D] float32; anchor: [N, 3] float32; trend: [N, 2, R] float32;
        phase: [N] float32, float64 with a calendar
        static_numeric: [N, 2 A] float32; static_categorical: [N, T] int64
        context: [M, Z] float32; query_base: [N] int64
    """

    numeric: Tensor
    categorical: Tensor
    step_sizes: Tensor  # stays on the CPU, where PackedSequence wants it
    query_event: Tensor  # the customer's last event before the cutoff, an index into E; -1: too old to be encoded
    query: Tensor  # standardized features at the cutoff
    phase: Tensor  # share of the year gone by at the cutoff; with a calendar the years of `KnownDays.years`
    anchor: Tensor  # logs of what conjugate posteriors expect: purchase rate, mean amount, dropout hazard
    trend: Tensor  # logs of what trailing windows hold beside what a steady customer's would: purchases, mean amount
    static_numeric: Tensor  # of the query's customer: standardized values, each with whether it is known
    static_categorical: Tensor
    context: Tensor  # what kinds of bases the customers belong to; one row where they are of one base
    query_base: Tensor  # the row of `context` that a query belongs to
    days: KnownDays | None = None  # None: the model knows no calendar

    def to(self, device: torch.device) -> Self:
        """Return the same batch on `device`."""
        tensors = [f.name for f in fields(self) if f.name not in ("step_sizes", "days")]
        moved: dict[str, Any] = {name: getattr(self, name).to(device) for name in tensors}
        if self.days is not None:
            moved["days"] = replace(self.days, values=self.days.values.to(device))
        return replace(self, **moved)


@dataclass(frozen=True)
class TrainingBatch:
    """Events, queries, and what then happened."""

    events: EventBatch
    future: FutureWindow

    def to(self, device: torch.device) -> Self:
        """Return the same batch on `device`."""
        return replace(self, events=self.events.to(device), future=self.future.to(device))
