"""Small logs in memory for the tests of histories, features and batches."""

import numpy as np
import pandas as pd
import pytest

from seqclv.data.events import FIRST_FURTHER_TYPE, MICROSECONDS_PER_DAY, PURCHASE, Categorical, Events


@pytest.fixture(scope="session")
def events_of():
    """Events of lines (customer, time, amount[, further type]); a time is text or days since 1970."""
    return _events_of


@pytest.fixture(scope="session")
def random_log():
    """A log of several hundred days with refunds, zero lines, visits and attributes, as raw events; seeded."""
    return _random_log


def _events_of(lines, numeric=None, categorical=None):
    lines = [(str(line[0]), _microseconds(line[1]), float(line[2]), *line[3:]) for line in lines]
    order = sorted(range(len(lines)), key=lambda i: (lines[i][0].encode(), lines[i][1]))
    lines = [lines[i] for i in order]
    ids = sorted({line[0] for line in lines}, key=str.encode)
    further = tuple(sorted({line[3] for line in lines if len(line) > 3}))
    size = np.array([sum(line[0] == i for line in lines) for i in ids], dtype=np.int64)
    kind = [FIRST_FURTHER_TYPE + further.index(line[3]) if len(line) > 3 else PURCHASE for line in lines]
    return Events(
        customer_id=np.array(ids, dtype=object),
        offset=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        timestamp=np.array([line[1] for line in lines], dtype=np.int64),
        amount=np.array([line[2] for line in lines], dtype=np.float64),
        event_type=np.array(kind, dtype=np.int16),
        further_types=further,
        numeric={name: np.asarray(column, dtype=np.float64)[order] for name, column in (numeric or {}).items()},
        categorical={name: _coded(np.asarray(column)[order]) for name, column in (categorical or {}).items()},
    )


def _microseconds(time):
    return pd.Timestamp(time).value // 1000 if isinstance(time, str) else round(time * MICROSECONDS_PER_DAY)


def _coded(column):
    values = tuple(sorted({v for v in column if v}))
    return Categorical(np.array([values.index(v) if v else -1 for v in column], dtype=np.int32), values)


def _random_log(seed=0, customers=30, days=400, mean_events=12, whole_days=False):
    rng = np.random.default_rng(seed)
    lines, discs, shops = [], [], []
    for c in range(customers):
        first = rng.uniform(0, days * 0.7)
        for _ in range(1 + rng.poisson(mean_events)):
            time = 10_000 + first + rng.uniform(0, days - first)
            time = np.floor(time) if whole_days else time
            draw = rng.random()
            if draw < 0.15:
                lines.append((f"c{c:03d}", time, 0.0, "visit"))
            else:
                amount = rng.gamma(2.0, 20.0) * (-0.5 if draw > 0.9 else 1) * (draw < 0.97)
                lines.append((f"c{c:03d}", time, round(amount, 2)))
            discs.append(rng.integers(1, 5) if rng.random() < 0.8 else np.nan)
            shops.append(rng.choice(["north", "south", "", "rare"], p=[0.5, 0.3, 0.15, 0.05]))
    return _events_of(lines, numeric={"discs": discs}, categorical={"shop": shops})
