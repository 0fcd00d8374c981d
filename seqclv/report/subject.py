"""What a report is about: forecasts of a base at a cutoff and, where it is known, what happened afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from seqclv.bundle import Bundle
from seqclv.data.events import Events
from seqclv.errors import InputError
from seqclv.evaluation.matured import Matured
from seqclv.predictive import FloatArray
from seqclv.tiers import Tiers
from seqclv.value.budget import BudgetCurve
from seqclv.value.money import Terms

if TYPE_CHECKING:
    import pandas as pd


CONTACT_EACH = 20


@dataclass(frozen=True)
class Log:
    """The transaction log behind the forecasts."""

    events: Events  # raw lines of the whole log
    report: Mapping[str, Any]  # `seqclv.data.report.DataReport`
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Cumulative purchases of the base from a cutoff on, at equal steps. Shape: each [P]."""

    days: FloatArray  # from the cutoff
    actual: FloatArray
    forecasts: Mapping[str, FloatArray]  # by model


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A future that the model had not seen."""

    cutoff: int  # microseconds
    matured: Matured
    tracking: Tracking


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What the customers are worth as of the cutoff, and the lists that follow from it."""

    table: "pd.DataFrame"  # the table of values, `seqclv.value.columns.VALUE_SCHEMA`
    totals: Sequence[Mapping[str, Any]]  # `seqclv.value.totals`, rows of the base
    level_spread: float | None  # of the spend's level, shares; None: nothing is known of it, so totals have no range
    tiers: Tiers
    currency: str  # '' is not known
    margin: float  # of the base
    refund_share: float
    lists: "pd.DataFrame"  # contact lists, `seqclv.value.columns.LIST_SCHEMA`
    curve: BudgetCurve


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report takes beside its data."""

    terms: Terms = field(default_factory=Terms)  # how spend becomes value
    horizons_days: Sequence[float] = ()  # beside the one the model was judged on; empty: those of the model
    drivers: Sequence[Mapping[str, Any]] = ()  # what moves the forecasts: name, share, words
    contacts: int | None = None  # on each contact list; None: one customer in CONTACT_EACH
    control_share: float = 0.1  # of those who would be contacted: left alone, at random
    contact_cost: float = 0.0  # money

    def __post_init__(self) -> None:
        for driver in self.drivers:
            if not {"name", "share", "words"} <= set(driver):
                raise InputError(f"A driver has name, share and words, but one is {driver!r}: add what is missing.")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Everything that a report's numbers come from."""

    kind: Literal["model", "backtest"]
    options: ReportOptions
    bundle: Bundle | None = None
    metrics: Mapping[str, Any] | None = None  # the comparison with the simple methods, as metrics.json has it
    windows: Sequence[Mapping[str, Any]] = ()  # metrics.json of each cutoff of a backtest
    cutoff: int | None = None  # microseconds
    horizon_days: float = 0.0  # the one that sentences speak of
    forecasts: "pd.DataFrame | None" = None  # a row per customer of `horizon_days`
    worth: Worth | None = None
    log: Log | None = None
    held_out: HeldOut | None = None
    drivers: Sequence[Mapping[str, Any]] = ()  # what moves the forecasts: those of the options, else what was found
    sensitive: Sequence[str] = ()  # attributes of the log that the model does not see
    stability: Mapping[str, Any] | None = None  # of the tiers between trainings, see `seqclv.report.stability`
