"""The classical table of recency, frequency, age and monetary value: all that a buy-till-you-die model reads.

Shape: every column of a table is [C], one entry per customer.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt

from seqclv.data.events import FIRST_FURTHER_TYPE, MICROSECONDS_PER_DAY, PURCHASE, Events
from seqclv.errors import InputError, offenders

if TYPE_CHECKING:
    import pandas as pd

    from seqclv.data.frames import Frame

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Zeros = Literal["exclude", "count"]


@dataclass(frozen=True)
class RfmTable:
    """One row per customer, times in days; the words mean what they mean in the literature and in `lifetimes`.

    frequency: days with a repeat purchase (the first purchase day is not counted).
    recency: first to last purchase day; 0 without a repeat purchase.
    T: first purchase day to the last calibration day, which is the day before a cutoff at midnight.
    monetary_value: mean amount of a repeat purchase day, currency units; 0 without one.
    first_amount: amount of the first purchase day, or None where only a classical table exists. Only a base in
        which nobody repeats needs it (see `gamma_gamma`).
    """

    customer_id: npt.NDArray[np.object_]
    frequency: FloatArray
    recency: FloatArray
    T: FloatArray
    monetary_value: FloatArray
    first_amount: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.customer_id)

    @property
    def fingerprint(self) -> str:
        """sha256 over the content, the same for any order of rows; it names the data without telling a customer."""
        order = np.argsort(self.customer_id, kind="stable")
        digest = hashlib.sha256("\n".join(self.customer_id[order]).encode())
        for column in (self.frequency, self.recency, self.T, self.monetary_value):
            digest.update(column[order].tobytes())
        return digest.hexdigest()

    def select(self, rows: IntArray | BoolArray) -> Self:
        """Keep the given customers: an index or a mask."""
        return replace(
            self,
            customer_id=self.customer_id[rows],
            frequency=self.frequency[rows],
            recency=self.recency[rows],
            T=self.T[rows],
            monetary_value=self.monetary_value[rows],
            first_amount=None if self.first_amount is None else self.first_amount[rows],
        )

    @classmethod
    def from_frame(cls, frame: "pd.DataFrame") -> Self:
        """Read a table made elsewhere: columns frequency, recency, T and, where known, monetary_value.

        The ids are the column `customer_id` or else the index. Times are days. A missing monetary_value is
        NaN everywhere: such a base has forecasts of purchases, but its spend is unknown (NaN).

        Raises:
            InputError: a column is missing, an id occurs twice, or a row contradicts the definitions.
        """
        missing = [name for name in ("frequency", "recency", "T") if name not in frame.columns]
        if missing:
            raise InputError(
                f"An RFM table needs the columns frequency, recency and T; it lacks {', '.join(missing)}; "
                "rename the columns or build the table with seqclv.rfm_summary."
            )
        ids = frame["customer_id"] if "customer_id" in frame.columns else frame.index
        known = "monetary_value" in frame.columns
        table = cls(
            customer_id=np.array([str(i) for i in ids], dtype=object),
            frequency=_numbers(frame, "frequency"),
            recency=_numbers(frame, "recency"),
            T=_numbers(frame, "T"),
            monetary_value=_numbers(frame, "monetary_value") if known else np.full(len(frame), np.nan),
        )
        _validate(table, known)
        return table

    def to_frame(self) -> "pd.DataFrame":
        """The table as a DataFrame indexed by customer_id: frequency, recency, T, monetary_value."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in ("frequency", "recency", "T", "monetary_value")}
        return pd.DataFrame(columns, index=pd.Index(self.customer_id, name="customer_id"))


def rfm_table(history: Events, cutoff: int, zeros: Zeros = "exclude") -> RfmTable:
    """Summarize a history: events strictly before `cutoff` (microseconds since 1970-01-01).

    Days are calendar days of the timestamps as given; lines of one day are one purchase day. With `zeros` =
    'exclude' only purchase events count (net amount > 0), with 'count' every day with a transaction line.
    Customers without a counted day get no row. Source of the definitions: Fader, Hardie and Lee (2005).
    """
    lines = history.event_type < FIRST_FURTHER_TYPE
    counted = history.event_type == PURCHASE if zeros == "exclude" else lines
    day = history.timestamp[counted] // MICROSECONDS_PER_DAY
    owner = history.owner[counted]
    starts = np.ones(len(day), dtype=bool)  # the first line of each customer's day; lines are in time order
    starts[1:] = (day[1:] != day[:-1]) | (owner[1:] != owner[:-1])
    index = np.flatnonzero(starts)
    day, owner = day[index], owner[index]
    amount = np.add.reduceat(history.amount[counted], index) if len(index) else np.zeros(0)

    customers, first, days = np.unique(owner, return_index=True, return_counts=True)
    last = first + days - 1
    total = np.add.reduceat(amount, first) if len(first) else np.zeros(0)
    repeats = (days - 1).astype(np.float64)
    last_calibration_day = (cutoff - 1) // MICROSECONDS_PER_DAY
    return RfmTable(
        customer_id=history.customer_id[customers],
        frequency=repeats,
        recency=(day[last] - day[first]).astype(np.float64),
        T=(last_calibration_day - day[first]).astype(np.float64),
        monetary_value=np.where(repeats > 0, (total - amount[first]) / np.maximum(repeats, 1), 0.0),
        first_amount=amount[first].astype(np.float64),
    )


def rfm_summary(
    log: "Frame",
    cutoff: object = None,
    *,
    customer_id: str = "customer_id",
    timestamp: str = "timestamp",
    amount: str = "amount",
    timestamp_format: str | None = None,
    zeros: Zeros = "exclude",
) -> "pd.DataFrame":
    """The classical table of a transaction log, with the definitions of `lifetimes`, in days.

    Args:
        log: one row per transaction line, a pandas DataFrame or an Arrow table.
        cutoff: end of the history, excluded: a date (its first instant) or a time. Without it the day after the
            log's last line, so that the whole log is read. It is the day after the `observation_period_end` of
            `lifetimes`.
        customer_id: name of the column with the ids; they are text in the result.
        timestamp: name of the column with the instants.
        amount: name of the column with the amounts.
        timestamp_format: strptime format of the instants; without it the usual formats are recognized.
        zeros: 'exclude' counts days with a net amount > 0, the convention of this package. 'count' counts every
            day with a line whatever its net amount, as `lifetimes` does; then the two agree on every log.

    Returns:
        frequency, recency, T and monetary_value by customer_id; the definitions stand at `RfmTable`.
    """
    from seqclv.config import DataConfig
    from seqclv.data.store import events_from_frame
    from seqclv.data.windows import before, end_of_log, history, instant

    if zeros not in ("exclude", "count"):
        raise InputError(f"zeros is 'exclude' or 'count'; found {zeros!r}; choose one of the two.")
    columns = DataConfig(customer_id=customer_id, timestamp=timestamp, amount=amount, timestamp_format=timestamp_format)
    events = events_from_frame(log, columns)
    end = end_of_log(int(events.timestamp.max(initial=0))) if cutoff is None else instant(cutoff)
    past = history(events, end, "1d") if zeros == "exclude" else before(events, end)
    return rfm_table(past, end, zeros).to_frame()


def _numbers(frame: "pd.DataFrame", name: str) -> FloatArray:
    try:
        return np.asarray(frame[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The column {name} of an RFM table holds numbers; found {frame[name].dtype}; convert it first."
        ) from error


def _validate(table: RfmTable, amounts_known: bool) -> None:
    x, recency, age, value = table.frequency, table.recency, table.T, table.monetary_value
    ids, counts = np.unique(table.customer_id.astype(str), return_counts=True)
    _refuse(np.isin(table.customer_id.astype(str), ids[counts > 1]), table, "an id occurs once", "aggregate first")
    finite = np.isfinite(x) & np.isfinite(recency) & np.isfinite(age)
    _refuse(~finite, table, "frequency, recency and T are finite", "drop or mend these rows")
    whole = (x >= 0) & (x == np.floor(x))
    _refuse(~whole, table, "frequency is a whole number of repeat purchases, at least 0", "count purchases, not shares")
    _refuse((recency < 0) | (age < 0), table, "recency and T are at least 0 days", "check the order of the dates")
    _refuse(recency > age, table, "recency <= T", "end the calibration after the last purchase")
    _refuse(
        (x == 0) != (recency == 0),
        table,
        "recency is 0 exactly when frequency is 0",
        "measure both from the first purchase, which is not a repeat",
    )
    if amounts_known:
        bad = ~np.isfinite(value) | (value < 0)
        _refuse(bad, table, "monetary_value is finite and at least 0", "net refunds or drop these rows")


def _refuse(bad: BoolArray, table: RfmTable, rule: str, remedy: str) -> None:
    if bad.any():
        found = offenders(table.customer_id[bad])
        raise InputError(f"In an RFM table {rule}; {bad.sum()} rows contradict it (customers {found}); {remedy}.")
