"""NaN and infinity in Parquet files, whose statistics leave NaN out: no table takes them for numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqclv.config import CalendarConfig, CustomersConfig, DataConfig, IdentitiesConfig
from seqclv.data.store import build_store
from seqclv.errors import InputError

NAN, INF = float("nan"), float("inf")
IDS = ["a", "b", "c", "d"]


@pytest.fixture
def build(tmp_path):
    """A store of a log of four purchases, 1, 2, 4 and 8, and of the tables that are given."""

    def write(name, **columns):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")  # as Spark and Polars do: NaN is not null
        return (str(tmp_path / f"{name}.parquet"),)

    def built(amounts=(1.0, 2.0, 4.0, 8.0), extra=(0.5, NAN, 1.5, -INF), **settings):
        stamps = pa.array([1_700_000_000_000_000] * 4, pa.timestamp("us"))
        log = write("log", customer_id=IDS, timestamp=stamps, amount=list(amounts), extra=list(extra))
        return build_store(DataConfig(transactions=log, **settings), tmp_path / "store")

    built.write = write
    return built


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("extra between 0 and 5", ["a", "c"]),
        ("abs(extra) <= 1e100", ["a", "c"]),
        ("not isnan(extra)", ["a", "c", "d"]),
        ("isfinite(extra)", ["a", "c"]),
        ("isinf(extra)", ["d"]),
        ("extra > 1000", ["b"]),  # NaN is the largest of numbers
        ("extra = extra", ["a", "b", "c", "d"]),
        ("case when isnan(extra) then false else amount > 1 end", ["c", "d"]),
    ],
)
def test_a_filter_sees_what_is_no_number(build, where, kept):
    assert list(build(where=where).ids.to_pylist()) == kept


def test_amounts_that_are_no_numbers_are_rejected_and_such_attributes_are_missing(build):
    store = build(amounts=(1.0, NAN, INF, 8.0), numeric=("extra",), categorical=("extra",), max_reject_share=1.0)
    assert store.info.report["rejected_by_reason"] == {"infinite amount": 1, "no amount": 1}
    events = store.read()
    assert list(events.customer_id) == ["a", "d"]
    np.testing.assert_array_equal(events.numeric["extra"], [0.5, NAN])
    words = events.categorical["extra"]
    assert [words.values[code] for code in words.codes] == ["0.5", "-inf"]
    assert "nan" not in build(categorical=("extra",)).info.categorical["extra"]


def test_attributes_of_customers_that_are_no_numbers_are_missing(build):
    people = build.write("people", customer_id=IDS, age=[30.0, NAN, INF, None], area=[1.0, NAN, 2.0, 3.0])
    customers = CustomersConfig(files=people, numeric={"age": "age"}, categorical={"area": "area"})
    events = build(customers=customers).read()
    np.testing.assert_array_equal(events.static_numeric["age"], [30.0, NAN, NAN, NAN])
    area = events.static_categorical["area"]
    assert area.values == ("1.0", "2.0", "3.0")
    assert list(area.codes) == [0, -1, 1, 2]


def test_what_is_no_number_is_no_objection_and_no_id(build):
    people = build.write("people", customer_id=IDS, age=[1.0] * 4, leave=[1.0, NAN, 0.0, None])
    customers = CustomersConfig(files=people, numeric={"age": "age"})
    assert build(customers=customers, do_not_profile="leave").ids.to_pylist() == ["b", "c", "d"]
    merged = build.write("merged", old_id=[NAN, 7.0], customer_id=["a", "b"])
    store = build(identities=IdentitiesConfig(files=merged))
    assert store.info.report["rows_relabelled"] == 0


def test_a_day_of_a_calendar_that_says_no_number_says_nothing_and_infinity_is_refused(build):
    days = pa.array([19_000, 19_001, 19_002], pa.date32())
    calendar = CalendarConfig(files=build.write("days", date=days, sale=[1.0, NAN, 2.0]), columns=("sale",))
    assert build(calendar=calendar).calendar.values[:, 0].tolist() == [1.0, 0.0, 2.0]
    endless = CalendarConfig(files=build.write("days", date=days, sale=[1.0, INF, NAN]), columns=("sale",))
    with pytest.raises(InputError, match="column 'sale' says inf"):
        build(calendar=endless)
