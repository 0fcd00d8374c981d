"""What a report is about: forecasts of a base at a cutoff and, where it is known, what happened afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from seqclv.bundle import Bundle
from seqclv.data.events import Events
from seqclv.errors import InputError
from seqclv.evaluation.matured import Matured
from seqclv.predictive import FloatArray

if TYPE_CHECKING:
    import pandas as pd


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
class ReportOptions:
    """What a report takes beside its data."""

    margin: float = 1.0  # gross margin, a share of the amounts
    discount_rate: float = 0.0  # per year
    currency: str = ""  # of the log; '' is not known
    horizons_days: Sequence[float] = ()  # beside the one the model was judged on; empty: those of the model
    drivers: Sequence[Mapping[str, Any]] = ()  # what moves the forecasts: name, share, words

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 1:
            raise InputError(f"A margin is a share of the amounts above 0 and up to 1, but it is {self.margin:g}.")
        if not 0 <= self.discount_rate < 10:
            raise InputError(f"A discount rate is per year, such as 0.1, but it is {self.discount_rate:g}.")
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
    forecasts: "pd.DataFrame | None" = None  # a row per customer and horizon
    value: "pd.DataFrame | None" = None  # the table of values, likewise
    lists: "pd.DataFrame | None" = None  # contact lists, as `seqclv.value.columns` has them
    totals: Mapping[str, Any] | None = None  # of the base's spend: low and high, nine times in ten
    log: Log | None = None
    held_out: HeldOut | None = None
