"""A store that forgets is the store of a log that never named the customer."""

from dataclasses import replace
from pathlib import Path

import pytest

from seqclv.config import CalendarConfig, CustomersConfig, DataConfig
from seqclv.data.forgetting import forget_customers
from seqclv.data.store import append_store, build_store, open_store
from seqclv.errors import InputError
from tests.data.test_privacy import KEY, all_bytes, written

ROWS = (
    "anna-100,2024-01-01,5,red,shop\nanna-100,2024-01-01,-5,red,shop\nbert-200,2024-01-02,7,blue,web\n"
    "bert-200,2024-01-03,9,,shop\ncarl-300,never,5,red,web\ncarl-300,2024-01-05,2,red,web\n"
)
HERS = "dora-400,2024-01-01,5,unique,web\ndora-400,2024-01-02,-5,unique,web\ndora-400,never,5,red,web\n"
HINTS = "bert-200,2024-01-08,x,see dora-400,web\n2024-01-04,dora-400,1,,web\nweb,dora-400\n"


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    people = written(tmp_path / "people.csv", "customer_id,age,town\nanna-100,30,Ulm\nemil-500,,Bonn\n")
    days = written(tmp_path / "days.csv", "date,campaign\n2024-01-01,1\n2024-01-03,2\n")
    return DataConfig(
        categorical=("colour",),
        cancellation_days=30,
        match_on=("shop",),
        customers=CustomersConfig(files=(people,), numeric={"age": "age"}, categorical={"town": "town"}),
        calendar=CalendarConfig(files=(days,), columns=("campaign",)),
    )


def with_her(config: DataConfig, tmp_path: Path) -> DataConfig:
    text = "customer_id,timestamp,amount,colour,shop\n" + HERS + ROWS + HINTS
    people = "customer_id,age,town\nanna-100,30,Ulm\ndora-400,44,Gotham\nemil-500,,Bonn\nfred-600,1,Rom\n"
    assert config.customers is not None
    return replace(
        config,
        transactions=(written(tmp_path / "log.csv", text),),
        customers=replace(config.customers, files=(written(tmp_path / "all.csv", people),)),
    )


def without_her(config: DataConfig, tmp_path: Path) -> DataConfig:
    log = written(tmp_path / "log_without.csv", "customer_id,timestamp,amount,colour,shop\n" + ROWS)
    return replace(config, transactions=(log,))


def test_a_store_that_forgets_is_that_of_a_log_without_the_customer(config: DataConfig, tmp_path: Path) -> None:
    store = build_store(with_her(config, tmp_path), tmp_path / "store")
    assert b"dora-400" in all_bytes(store)
    assert forget_customers(store, ["dora-400", "fred-600", "nobody"]) == 2
    left, never = open_store(store.path), build_store(without_her(config, tmp_path), tmp_path / "never")
    assert left.fingerprint == never.fingerprint != store.fingerprint
    for array in never.arrays:
        assert (left.path / f"{array}.npy").read_bytes() == (never.path / f"{array}.npy").read_bytes(), array
    assert left.prospects == never.prospects
    content = all_bytes(left)
    assert [word for word in (b"dora-400", b"fred-600", b"unique", b"Gotham", b"Rom") if word in content] == []
    ours, theirs = dict(left.info.report), dict(never.info.report)
    assert ours.pop("customers_forgotten") == 2
    for report in (ours, theirs):
        report.pop("customers_forgotten", None)
        report.pop("customers_table")
        report.pop("warnings")
    assert ours == theirs


def test_a_store_that_forgot_takes_further_deliveries(config: DataConfig, tmp_path: Path) -> None:
    store = build_store(with_her(config, tmp_path), tmp_path / "store")
    forget_customers(store, ["dora-400", "fred-600"])
    text = "customer_id,timestamp,amount,colour,shop\nanna-100,2024-02-01,3,red,web\n"
    more = replace(config, transactions=(written(tmp_path / "more.csv", text),))
    whole = without_her(config, tmp_path)
    whole = replace(whole, transactions=(*whole.transactions, *more.transactions))
    appended = append_store(more, store.path)
    assert appended.fingerprint == build_store(whole, tmp_path / "whole").fingerprint
    assert appended.info.report["customers_forgotten"] == 2


def test_a_pseudonymized_store_forgets_a_pseudonym_and_keeps_its_key(config: DataConfig, tmp_path: Path) -> None:
    store = build_store(with_her(config, tmp_path), tmp_path / "store", key=KEY)
    assert forget_customers(store, [KEY.pseudonym("dora-400")]) == 1
    left = open_store(store.path)
    assert KEY.pseudonym("dora-400").encode() not in all_bytes(left)
    assert left.info.pseudonym_check == KEY.check


def test_a_store_does_not_forget_everybody(config: DataConfig, tmp_path: Path) -> None:
    store = build_store(without_her(config, tmp_path), tmp_path / "store")
    with pytest.raises(InputError, match="none left: delete it"):
        forget_customers(store, store.ids.to_pylist())
    assert open_store(store.path).fingerprint == store.fingerprint
