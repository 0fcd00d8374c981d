import warnings

import numpy as np
import pytest

from seqclv.baselines.rfm import RfmTable, rfm_table
from seqclv.config import DataConfig
from seqclv.data.datasets import dataset
from seqclv.data.events import MICROSECONDS_PER_DAY, Events
from seqclv.data.store import events_from_frame
from seqclv.data.windows import before, instant


@pytest.fixture(scope="session")
def lifetimes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        yield lifetimes


@pytest.fixture(scope="session")
def cdnow_lines():
    """The CDNOW tenth as it was recorded: 2,357 customers, until 1998-06-30."""
    return events_from_frame(dataset("cdnow_sample"), DataConfig())


@pytest.fixture(scope="session")
def cdnow_table(cdnow_lines):
    """Its calibration period in the convention of the literature: zeros counted, T to 1997-09-30."""
    cutoff = instant("1997-10-01")
    return rfm_table(before(cdnow_lines, cutoff), cutoff, "count")


@pytest.fixture(scope="session")
def make_table():
    def make(frequency, recency, age, monetary_value=None, first_amount=None):
        columns = [np.atleast_1d(np.asarray(c, dtype=np.float64)) for c in (frequency, recency, age)]
        size = len(columns[0])
        value = np.where(columns[0] > 0, 10.0, 0.0) if monetary_value is None else monetary_value
        value = np.broadcast_to(np.asarray(value, dtype=np.float64), size).copy()
        ids = np.array([f"c{i:05d}" for i in range(size)], dtype=object)
        first = None if first_amount is None else np.full(size, float(first_amount))
        return RfmTable(ids, *columns, value, first)

    return make


@pytest.fixture(scope="session")
def make_events():
    """Events from (id, day, amount) rows; every row a transaction line."""

    def make(rows):
        rows = sorted(rows)
        ids = sorted({row[0] for row in rows})
        counts = [sum(row[0] == i for row in rows) for i in ids]
        return Events(
            customer_id=np.array(ids, dtype=object),
            offset=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            timestamp=np.array([int(row[1] * MICROSECONDS_PER_DAY) for row in rows], dtype=np.int64),
            amount=np.array([row[2] for row in rows], dtype=np.float64),
            event_type=np.zeros(len(rows), dtype=np.int16),
        )

    return make
