"""The calendar of a store: what is known ahead for each day, such as campaigns and holidays.

A day without a row is zero up to the last day that the table names; of days after it nothing is known.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqclv.data.events import FloatArray

CALENDAR_FILE = "calendar.parquet"


@dataclass(frozen=True)
class Calendar:
    """Daily values without gaps, from the first to the last day that the table names.

    Shape: dates [days] of datetime64[D]; values [days, X].
    """

    columns: tuple[str, ...]  # [X]
    dates: npt.NDArray[np.datetime64]
    values: FloatArray

    @classmethod
    def of_days(cls, columns: tuple[str, ...], dates: npt.NDArray[np.datetime64], values: FloatArray) -> "Calendar":
        """The calendar of rows in any order, one a day; a day between them without a row is zero."""
        first = dates.min()
        place = (dates - first).astype(np.int64)
        dense = np.zeros((int(place.max()) + 1, len(columns)))
        dense[place] = values
        return cls(columns, first + np.arange(len(dense)), dense)

    @property
    def end(self) -> int:
        """The day after the last that the table names, in whole days since 1970-01-01."""
        return int(self.dates[-1].astype(np.int64)) + 1

    def since(self, first: int) -> FloatArray:
        """[days, X] the values from a day (since 1970-01-01) to the last that the table names, none if it is past."""
        start = self.end - len(self.dates)
        return np.concatenate(
            [np.zeros((max(start - first, 0), len(self.columns))), self.values[max(first - start, 0) :]]
        )

    def write(self, directory: Path) -> None:
        """Write the calendar's file of a store."""
        arrays = [pa.array(self.dates), *(pa.array(self.values[:, i]) for i in range(len(self.columns)))]
        names = ["date", *(f"value_{i}" for i in range(len(self.columns)))]  # a column of the user's may be named date
        pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), directory / CALENDAR_FILE)


def read_calendar(directory: Path, columns: tuple[str, ...]) -> Calendar:
    """Read the calendar's file of a store."""
    table = pq.read_table(directory / CALENDAR_FILE)
    values = [table[f"value_{i}"].to_numpy() for i in range(len(columns))]
    dates = table["date"].to_numpy().astype("datetime64[D]")
    return Calendar(columns, dates, np.stack(values, axis=-1))
