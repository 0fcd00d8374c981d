import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from seqclv.config import CalendarConfig, CustomersConfig, DataConfig, IdentitiesConfig
from seqclv.data import tables
from seqclv.data.events import concatenate
from seqclv.data.report import DataReport
from seqclv.data.store import build_store, events_from_frame, open_store
from seqclv.errors import InputError

LOG = pd.DataFrame(
    {"customer_id": ["b", "a", "c", "é", "a"], "timestamp": ["2024-01-01"] * 5, "amount": [1, 2, 4, 8, 16]}
)
PEOPLE = pd.DataFrame(
    {
        "id": ["c", "a", "z", "é", "y", None],
        "age": ["40", "30.5", "20", "old", "1e999", "5"],
        "country": ["CH", "DE", "AT", None, "FR", "IT"],
    }
)


@pytest.fixture
def data(tmp_path):
    """A log and a customers table as files."""
    LOG.to_csv(tmp_path / "log.csv", index=False)
    PEOPLE.to_csv(tmp_path / "people.csv", index=False)
    customers = CustomersConfig(
        files=(str(tmp_path / "people.csv"),),
        customer_id="id",
        numeric={"years": "age"},
        categorical={"land": "country"},
    )
    return DataConfig(transactions=(str(tmp_path / "log.csv"),), customers=customers)


def people(events):
    land = events.static_categorical["land"]
    texts = [land.values[code] if code >= 0 else None for code in land.codes]
    years = [None if np.isnan(value) else float(value) for value in events.static_numeric["years"]]
    return list(zip(events.customer_id, years, texts, strict=True))


EXPECTED = [("a", 30.5, "DE"), ("b", None, None), ("c", 40.0, "CH"), ("é", None, None)]


# ---------------------------------------------------------------- customers


def test_attributes_of_customers_stand_beside_their_events(data, tmp_path):
    store = build_store(data, tmp_path / "store")
    assert people(store.read()) == EXPECTED
    assert store.info.static_categorical == {"land": ("CH", "DE")}
    assert open_store(store.path).info == store.info
    assert people(events_from_frame(LOG, replace(data, transactions=()))) == EXPECTED


def test_attributes_go_with_their_customers(data, tmp_path):
    events = build_store(data, tmp_path / "store").read()
    assert people(events.select(np.array([2, 0]))) == [EXPECTED[2], EXPECTED[0]]
    assert people(events.rows(events.amount > 100)) == EXPECTED
    assert people(concatenate([events.select(np.array([0])), events.select(np.array([1, 2]))])) == EXPECTED[:3]
    parts = [people(part) for part in open_store(tmp_path / "store").blocks(customers=3)]
    assert parts == [EXPECTED[:3], EXPECTED[3:]]


def test_customers_without_events_are_kept_aside(data, tmp_path):
    store = build_store(data, tmp_path / "store")
    assert store.prospects.to_pylist() == [
        {"customer_id": "y", "years": None, "land": "FR"},
        {"customer_id": "z", "years": 20.0, "land": "AT"},
    ]
    assert store.info.report["customers_table"] == {
        "rows": 6,
        "rows without a customer": 1,
        "unreadable numbers": 1,
        "customers without events": 2,
        "customers of the log without a row": 1,
    }
    assert "customers table, unreadable numbers" in DataReport(**store.info.report).render()
    assert build_store(replace(data, customers=None), tmp_path / "plain").prospects is None


def test_the_size_of_batches_changes_nothing(data, tmp_path, monkeypatch):
    whole = build_store(data, tmp_path / "whole")
    monkeypatch.setattr(tables, "BATCH_ROWS", 1)
    assert build_store(data, tmp_path / "pieces").fingerprint == whole.fingerprint


def test_only_a_table_changes_the_fingerprint(data, tmp_path):
    with_table = build_store(data, tmp_path / "with")
    without = build_store(replace(data, customers=None), tmp_path / "without")
    assert with_table.fingerprint != without.fingerprint
    PEOPLE.replace("30.5", "31").to_csv(tmp_path / "people.csv", index=False)
    assert build_store(data, tmp_path / "other").fingerprint not in (with_table.fingerprint, without.fingerprint)


def test_a_customer_with_rows_that_differ_is_refused(data, tmp_path):
    again = pd.concat([PEOPLE, PEOPLE.assign(country="XX")[:2], PEOPLE[2:3]])
    again.to_csv(tmp_path / "people.csv", index=False)
    with pytest.raises(InputError, match=r"one thing of a customer, but of a, c it says several"):
        build_store(data, tmp_path / "store")
    pd.concat([PEOPLE, PEOPLE]).to_csv(tmp_path / "people.csv", index=False)
    assert people(build_store(data, tmp_path / "store").read()) == EXPECTED


def test_a_merged_identity_gives_its_attributes_where_the_customer_has_none(data, tmp_path):
    pd.DataFrame({"old_id": ["z", "y", "x"], "customer_id": ["b", "a", "b"]}).to_csv(tmp_path / "map.csv", index=False)
    identities = IdentitiesConfig(files=(str(tmp_path / "map.csv"),))
    store = build_store(replace(data, identities=identities), tmp_path / "store")
    assert people(store.read()) == [EXPECTED[0], ("b", 20.0, "AT"), *EXPECTED[2:]]


def test_a_table_without_the_columns_is_refused(data, tmp_path):
    customers = replace(data.customers, numeric={"years": "nosuch"})
    with pytest.raises(InputError, match=r"customers table must have .* lacks nosuch and has id, age, country"):
        build_store(replace(data, customers=customers), tmp_path / "store")


def test_an_attribute_may_have_any_name(data, tmp_path):
    PEOPLE.rename(columns={"country": 'cust"omer'}).to_csv(tmp_path / "people.csv", index=False)
    customers = replace(data.customers, numeric={}, categorical={"customer_id": 'cust"omer', "t0": "age"})
    store = build_store(replace(data, customers=customers), tmp_path / "store")
    assert store.prospects.column_names == ["customer_id", "customer_id_", "t0"]
    assert store.info.static_categorical["customer_id"] == ("CH", "DE")


def test_a_store_from_before_these_tables_opens(data, tmp_path):
    store = build_store(replace(data, customers=None), tmp_path / "store")
    document = json.loads((store.path / "store.json").read_text())
    for name in ("static_numeric", "static_categorical", "calendar"):
        document.pop(name)
    for name in ("rows_filtered", "rows_filtered_unknown", "rows_relabelled", "customers_table"):
        document["report"].pop(name)
    (store.path / "store.json").write_text(json.dumps(document))
    again = open_store(store.path)
    assert again.info.static_numeric == () and again.calendar is None
    assert "customers" in DataReport(**again.info.report).render()


def test_a_store_without_its_attributes_is_damaged(data, tmp_path):
    store = build_store(data, tmp_path / "store")
    (store.path / "static_numeric_0.npy").unlink()
    with pytest.raises(InputError, match="damaged"):
        open_store(store.path)


# ---------------------------------------------------------------- calendar


def calendar_of(tmp_path, text, **names):
    (tmp_path / "calendar.csv").write_text(text)
    LOG.to_csv(tmp_path / "log.csv", index=False)
    names = {"columns": ("promo", "holiday")} | names
    calendar = CalendarConfig(files=(str(tmp_path / "calendar.csv"),), **names)
    return build_store(
        DataConfig(transactions=(str(tmp_path / "log.csv"),), calendar=calendar), tmp_path / "store"
    ).calendar


def test_a_calendar_has_every_day_and_days_without_a_row_are_zero(tmp_path):
    calendar = calendar_of(tmp_path, "date,promo,holiday\n2024-03-01,0.5,\n2024-02-27,1,1\n2024-02-28,,0\n")
    assert calendar.columns == ("promo", "holiday")
    assert list(calendar.dates) == list(np.arange("2024-02-27", "2024-03-02", dtype="datetime64[D]"))
    assert calendar.values.tolist() == [[1, 1], [0, 0], [0, 0], [0.5, 0]]


def test_a_calendar_changes_the_fingerprint_and_a_store_without_one_has_none(tmp_path):
    calendar_of(tmp_path, "date,promo\n2024-01-01,1\n", columns=("promo",))
    first = open_store(tmp_path / "store").fingerprint
    calendar_of(tmp_path, "date,promo\n2024-01-01,2\n", columns=("promo",))
    assert open_store(tmp_path / "store").fingerprint != first
    data = DataConfig(transactions=(str(tmp_path / "log.csv"),))
    assert build_store(data, tmp_path / "store").calendar is None
    assert not (tmp_path / "store/calendar.parquet").exists()


def test_days_before_1970_and_booleans_and_formats_are_read(tmp_path):
    pa.parquet.write_table(
        pa.table({"date": pa.array([-1, -3], pa.int64()).cast(pa.int32()).cast(pa.date32()), "promo": [True, False]}),
        tmp_path / "calendar.parquet",
    )
    LOG.to_csv(tmp_path / "log.csv", index=False)
    calendar = CalendarConfig(files=(str(tmp_path / "calendar.parquet"),), columns=("promo",))
    data = DataConfig(transactions=(str(tmp_path / "log.csv"),), calendar=calendar)
    found = build_store(data, tmp_path / "store").calendar
    assert (str(found.dates[0]), found.values.ravel().tolist()) == ("1969-12-29", [0, 0, 1])
    text = "day;date\n31.12.2024;1\n"
    dotted = calendar_of(tmp_path, text, date="day", date_format="%d.%m.%Y", columns=("date",))
    assert (str(dotted.dates[0]), dotted.columns) == ("2024-12-31", ("date",))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "it has only a header"),
        ("2024-01-01,1,1\n2024-01-01,1,1\n", "one row a day, but several for 2024-01-01"),
        ("2024-01-01 10:00:00,1,1\n2024-01-01 11:00:00,1,1\n", "one row a day, but several for 2024-01-01"),
        ("tomorrow,1,1\n,1,1\n", "2 rows say nothing, tomorrow"),
        ("2024-01-01,Christmas,1\n", "column 'promo' says Christmas"),
        ("2024-01-01,inf,1\n", "column 'promo' says inf"),
        ("2024-01-01,nan,1\n", "column 'promo' says nan"),
        ("1900-01-01,1,1\n9999-12-31,1,1\n", "at most a hundred years"),
    ],
)
def test_a_calendar_that_is_none_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        calendar_of(tmp_path, "date,promo,holiday\n" + rows)
    assert not (tmp_path / "store").exists()


def test_a_calendar_without_the_columns_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"calendar table must have .* lacks holiday"):
        calendar_of(tmp_path, "date,promo\n2024-01-01,1\n")


def test_the_decimal_comma_of_a_log_holds_for_the_tables_beside_it(tmp_path):
    (tmp_path / "log.csv").write_text("customer_id;timestamp;amount\na;2024-01-01;1,5\n")
    (tmp_path / "people.csv").write_text("customer_id;years\na;30,5\n")
    (tmp_path / "days.csv").write_text("date;promo\n2024-01-01;0,25\n")
    people = CustomersConfig(files=(str(tmp_path / "people.csv"),), numeric={"years": "years"})
    days = CalendarConfig(files=(str(tmp_path / "days.csv"),), columns=("promo",))
    log = (str(tmp_path / "log.csv"),)
    data = DataConfig(transactions=log, customers=people, calendar=days, decimal=",")
    store = build_store(data, tmp_path / "store")
    assert store.read().static_numeric["years"][0] == 30.5
    assert store.calendar.values.tolist() == [[0.25]]
