"""Event columns of many customers in memory: the value that store, windows and features exchange."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from seqclv.errors import InputError, offenders

if TYPE_CHECKING:
    from seqclv.data.calendar import Calendar

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MICROSECONDS_PER_DAY = 86_400_000_000

# Codes of `Events.event_type`. Further types that a log declares follow from FIRST_FURTHER_TYPE on.
PURCHASE = 0  # before merging: any transaction line, whatever its sign
REFUND = 1
ZERO = 2
FIRST_FURTHER_TYPE = 3

NO_COUNTERPART = int(np.iinfo(np.int64).min)  # of a line that is not cancelled and cancels nothing


@dataclass(frozen=True)
class Categorical:
    """A categorical column: `codes`, [E] of events or [C] of customers, index `values`; -1 is missing."""

    codes: npt.NDArray[np.int32]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Events:
    """Flat event columns of C customers, E events.

    Customer c owns rows `offset[c]` (included) to `offset[c + 1]` (excluded), in time order; customers are in
    the order of their ids' UTF-8 bytes.

    Shape: customer_id [C] of str; offset [C + 1]; timestamp, amount, event_type, attributes and counterpart [E]; static
    attributes, those of customers, [C].
    """

    customer_id: npt.NDArray[np.object_]
    offset: IntArray
    timestamp: IntArray  # microseconds since 1970-01-01, as given or UTC
    amount: FloatArray  # currency units; 0 for events without an amount
    event_type: npt.NDArray[np.int16]
    further_types: tuple[str, ...] = ()  # names of the codes from FIRST_FURTHER_TYPE on
    numeric: Mapping[str, FloatArray] = None  # type: ignore[assignment]  # NaN is missing
    categorical: Mapping[str, Categorical] = None  # type: ignore[assignment]
    static_numeric: Mapping[str, FloatArray] = None  # type: ignore[assignment]  # NaN is missing
    static_categorical: Mapping[str, Categorical] = None  # type: ignore[assignment]
    # Microseconds of the line that cancels or is cancelled by this one, else NO_COUNTERPART. None: nothing is matched.
    counterpart: IntArray | None = None
    calendar: "Calendar | None" = None  # what is known ahead of each day, the same for all customers

    def __post_init__(self) -> None:
        object.__setattr__(self, "numeric", dict(self.numeric or {}))
        object.__setattr__(self, "categorical", dict(self.categorical or {}))
        object.__setattr__(self, "static_numeric", dict(self.static_numeric or {}))
        object.__setattr__(self, "static_categorical", dict(self.static_categorical or {}))

    @property
    def customers(self) -> int:
        """Number of customers C."""
        return len(self.offset) - 1

    def __len__(self) -> int:
        return len(self.timestamp)

    @property
    def owner(self) -> IntArray:
        """[E] the customer index of each event."""
        return np.repeat(np.arange(self.customers, dtype=np.int64), np.diff(self.offset))

    def without_attributes(self, names: Collection[str]) -> Self:
        """The events without some of their attributes.

        Raises:
            InputError: an attribute is not there: a slip of the pen would leave it in.
        """
        columns = ("numeric", "categorical", "static_numeric", "static_categorical")
        known = {name for column in columns for name in getattr(self, column)}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(
                f"A sensitive attribute must be one of the log's ({', '.join(sorted(known)) or 'it has none'}), but "
                f"{offenders(unknown)} is not: check data.sensitive."
            )
        return replace(
            self,
            numeric={n: v for n, v in self.numeric.items() if n not in names},
            categorical={n: v for n, v in self.categorical.items() if n not in names},
            static_numeric={n: v for n, v in self.static_numeric.items() if n not in names},
            static_categorical={n: v for n, v in self.static_categorical.items() if n not in names},
        )

    def rows(self, keep: npt.NDArray[np.bool_]) -> Self:
        """Keep the events where `keep` [E] holds; customers stay, also those left without an event."""
        kept = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
        return replace(
            self,
            offset=kept[self.offset],
            timestamp=self.timestamp[keep],
            amount=self.amount[keep],
            event_type=self.event_type[keep],
            numeric={name: column[keep] for name, column in self.numeric.items()},
            categorical={n: Categorical(c.codes[keep], c.values) for n, c in self.categorical.items()},
            counterpart=None if self.counterpart is None else self.counterpart[keep],
        )

    def select(self, customers: IntArray) -> Self:
        """Keep the given customers (indices), in the given order, with all their events."""
        length = np.diff(self.offset)[customers]
        offset = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        start = np.repeat(self.offset[customers] - offset[:-1], length)
        index = start + np.arange(offset[-1], dtype=np.int64)
        return replace(
            self,
            customer_id=self.customer_id[customers],
            offset=offset,
            timestamp=self.timestamp[index],
            amount=self.amount[index],
            event_type=self.event_type[index],
            numeric={name: column[index] for name, column in self.numeric.items()},
            categorical={n: Categorical(c.codes[index], c.values) for n, c in self.categorical.items()},
            static_numeric={name: column[customers] for name, column in self.static_numeric.items()},
            static_categorical={
                n: Categorical(c.codes[customers], c.values) for n, c in self.static_categorical.items()
            },
            counterpart=None if self.counterpart is None else self.counterpart[index],
        )


def concatenate(parts: Sequence[Events]) -> Events:
    """Join customers of several parts of one store; the parts are in the order of their ids."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    shift = np.cumsum([0, *(len(part) for part in parts)])
    join = lambda name: np.concatenate([getattr(part, name) for part in parts])  # noqa: E731
    return replace(
        first,
        customer_id=join("customer_id"),
        offset=np.concatenate([[0], *(p.offset[1:] + s for p, s in zip(parts, shift[:-1], strict=True))]).astype(
            np.int64
        ),
        timestamp=join("timestamp"),
        amount=join("amount"),
        event_type=join("event_type"),
        numeric={name: np.concatenate([p.numeric[name] for p in parts]) for name in first.numeric},
        categorical={
            name: Categorical(np.concatenate([p.categorical[name].codes for p in parts]), column.values)
            for name, column in first.categorical.items()
        },
        static_numeric={name: np.concatenate([p.static_numeric[name] for p in parts]) for name in first.static_numeric},
        static_categorical={
            name: Categorical(np.concatenate([p.static_categorical[name].codes for p in parts]), column.values)
            for name, column in first.static_categorical.items()
        },
        counterpart=None if first.counterpart is None else join("counterpart"),
    )
