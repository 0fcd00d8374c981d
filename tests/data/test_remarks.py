"""What a log's counts give reason to doubt stands in the report, the store and every message that follows from it."""

from pathlib import Path

import pandas as pd
import pytest

from seqclv.config import CustomersConfig, DataConfig, IdentitiesConfig
from seqclv.data.report import DataReport
from seqclv.data.store import build_store, open_log
from seqclv.errors import InputError

LOG = pd.DataFrame(
    {
        "customer_id": [f"c{i % 9}" for i in range(90)],
        "timestamp": pd.date_range("2024-01-01", periods=90),
        "amount": [float(i + 1) for i in range(90)],
        "kind": ["order", "order", "visit"] * 30,
    }
)


def warned(tmp_path: Path, frame: pd.DataFrame, **options: object) -> list[str]:
    frame.to_parquet(tmp_path / "log.parquet", index=False)
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), **options)
    store = build_store(data, tmp_path / "store")
    text = (tmp_path / "store/report.txt").read_text()
    assert text == DataReport(**store.info.report).render() + "\n"
    assert all(f"Warning: {warning}" in text for warning in store.info.report["warnings"])
    return list(store.info.report["warnings"])


def test_a_plain_log_gives_no_reason_for_doubt(tmp_path: Path) -> None:
    assert warned(tmp_path, LOG) == []
    assert warned(tmp_path, LOG, event_type="kind", types={"order": "purchase"}) == []


def test_a_log_of_further_events_alone_is_told_its_kinds_and_data_types(tmp_path: Path) -> None:
    [warning] = warned(tmp_path, LOG, event_type="kind")
    assert "no purchase" in warning and "data.types" in warning
    assert "its 90 rows are events 'order' (60), events 'visit' (30)" in warning
    for place in ("store", "log.parquet"):
        data = DataConfig(transactions=(str(tmp_path / place),), event_type="kind")
        with pytest.raises(InputError, match=r"must have purchases.*events 'order'.*data.types"):
            open_log(data, tmp_path / "work")
    assert open_log(data, tmp_path / "work", of_purchases=False).customers == 9


def test_a_log_of_lines_at_or_below_zero_is_told_to_name_the_amounts(tmp_path: Path) -> None:
    [warning] = warned(tmp_path, LOG.assign(amount=[0.0, -1.0, -2.0] * 30))
    assert "lines below zero (60), lines of zero (30)" in warning and "--amount" in warning


def test_ids_that_are_there_as_whole_and_as_decimal_numbers_are_named(tmp_path: Path) -> None:
    ids = [["17850", "17850.0", "9", "9.0", "4.0", "ann", "Ann"][i % 7] for i in range(90)]
    [warning] = warned(tmp_path, LOG.assign(customer_id=ids))
    assert warning.startswith("2 ids are there with and without a trailing '.0', as '17850' and '17850.0'")


def test_a_table_beside_the_log_that_names_nobody_of_it_is_told(tmp_path: Path) -> None:
    pd.DataFrame({"old_id": ["C1", "C2"], "customer_id": ["C3", "C3"]}).to_csv(tmp_path / "merged.csv", index=False)
    pd.DataFrame({"customer_id": ["C1", "C2"], "land": "DE"}).to_csv(tmp_path / "people.csv", index=False)
    merged = IdentitiesConfig(files=(str(tmp_path / "merged.csv"),))
    people = CustomersConfig(files=(str(tmp_path / "people.csv"),), categorical={"land": "land"})
    ids, table = warned(tmp_path, LOG, identities=merged, customers=people)
    assert ids.startswith("none of the 2 merged identities of data.identities is in the log")
    assert table.startswith("the customers table has 2 rows, but none of a customer of the log")
    capitals = LOG.assign(customer_id=LOG["customer_id"].str.upper())
    assert warned(tmp_path, capitals, identities=merged, customers=people) == []
    (tmp_path / "merged.csv").write_text("old_id,customer_id\n")  # nobody was merged yet
    assert warned(tmp_path, LOG, identities=merged) == []


def test_a_numeric_attribute_of_text_is_told_to_be_missing_everywhere(tmp_path: Path) -> None:
    log = LOG.assign(weight=[f"{i},5" for i in range(90)], colour="red", size=["x"] * 89 + ["1"])
    weight, colour = warned(tmp_path, log, numeric=("weight", "size", "colour"))
    assert "'weight' is missing in all rows" in weight and "--decimal ," in weight
    assert "'colour' is missing in all rows" in colour and "categorical" in colour
    assert warned(tmp_path, log, numeric=("weight", "size"), decimal=",") == []


def test_a_log_that_was_joined_with_itself_is_told(tmp_path: Path) -> None:
    [warning] = warned(tmp_path, pd.concat([LOG, LOG]))
    assert warning.startswith("90 of 180 rows repeat another one exactly")
    assert warned(tmp_path, pd.concat([LOG, LOG[:80]])) == []


def test_line_items_that_repeat_honestly_are_no_copies(tmp_path: Path) -> None:
    visits = LOG.loc[LOG.index.repeat([1, 3, 3] * 30)]  # three equal cups on a day, without the hour
    assert warned(tmp_path, visits) == []
    assert warned(tmp_path, pd.concat([LOG[:2], LOG[:2]])) == []


def test_exports_that_overlap_are_told_by_name(tmp_path: Path) -> None:
    log = LOG.assign(amount=range(1, 91))
    (tmp_path / "exports").mkdir()
    log.to_csv(tmp_path / "exports/orders.csv", index=False)
    log[:-2].to_csv(tmp_path / "exports/orders (1).csv", index=False)
    store = build_store(DataConfig(transactions=(str(tmp_path / "exports"),)), tmp_path / "store")
    [warning] = [text for text in store.info.report["warnings"] if "count again" in text]
    assert warning.startswith("88 of 178 rows repeat another one exactly")
    assert "orders.csv'" in warning and "orders (1).csv'" in warning


def test_a_customers_table_whose_numbers_cannot_be_read_is_told(tmp_path: Path) -> None:
    table = pd.DataFrame({"customer_id": LOG["customer_id"].unique()}).assign(score="0,5")
    table.to_csv(tmp_path / "customers.csv", index=False)
    customers = CustomersConfig(files=(str(tmp_path / "customers.csv"),), numeric={"score": "score"})
    [warning] = warned(tmp_path, LOG, customers=customers)
    assert "numbers in" in warning and "cannot be read" in warning
    assert warned(tmp_path, LOG, customers=customers, decimal=",") == []


def test_a_few_rows_of_a_far_future_are_told_with_the_option_that_leaves_them_out(tmp_path: Path) -> None:
    days = pd.date_range("2023-01-01", periods=200).repeat(2)
    log = pd.DataFrame({"customer_id": [f"c{i % 50}" for i in range(400)], "timestamp": days, "amount": range(1, 401)})
    future = log[:3].assign(timestamp=pd.to_datetime(["2042-01-01", "2043-01-01", "2062-01-01"]))
    [warning] = warned(tmp_path, pd.concat([log, future]))
    assert warning == (
        "3 rows lie on 2042-01-01 or later, 6,741 days after all others: where their years are wrong, leave them out "
        "by seqclv prepare --until 2023-07-20."
    )
    both = pd.concat([log.assign(shop="north"), log.assign(shop="south"), future.assign(shop="north")])
    assert warned(tmp_path, both, watch=("shop",)) == [warning]  # the other shop is not dead
    assert warned(tmp_path, pd.concat([log, log.assign(timestamp=days + pd.Timedelta(days=700))])) == []
