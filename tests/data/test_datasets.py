import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from seqclv.config import CustomersConfig, DataConfig, SourceConfig
from seqclv.data.datasets import dataset, names
from seqclv.data.store import build_store, events_from_frame
from seqclv.data.windows import before, instant, merged
from seqclv.errors import InputError


def distinct(table: pa.Table, column: str) -> int:
    return pc.count_distinct(table[column]).as_py()


def test_cdnow_is_the_published_log() -> None:
    log = dataset("cdnow")
    assert (log.num_rows, distinct(log, "customer_id")) == (69_659, 23_570)
    assert log["customer_id"][0].as_py() == "00001"
    assert str(pc.max(log["timestamp"]).as_py()) == "1998-06-30 00:00:00"
    assert pc.sum(pc.equal(log["amount"], 0.0)).as_py() == 80


def test_the_sample_of_cdnow_is_a_tenth_of_its_customers() -> None:
    sample, full = dataset("cdnow_sample"), dataset("cdnow")
    assert (sample.num_rows, distinct(sample, "customer_id")) == (6_919, 2_357)
    chosen = full.filter(pc.is_in(full["customer_id"], value_set=sample["customer_id"].combine_chunks()))
    assert chosen.sort_by([(name, "ascending") for name in chosen.column_names]) == sample.sort_by(
        [(name, "ascending") for name in sample.column_names]
    )


def test_complete_journey_has_lines_with_attributes() -> None:
    log = dataset("complete_journey")
    assert (log.num_rows, distinct(log, "customer_id")) == (1_469_307, 2_469)
    assert {"store_id", "basket_id", "product_category", "quantity", "retail_disc"} <= set(log.column_names)
    assert log["product_category"].null_count < 10_000


@pytest.fixture(scope="module")
def baskets() -> pa.Table:
    return dataset("complete_journey_baskets")


def test_baskets_are_the_lines_of_complete_journey(baskets: pa.Table) -> None:
    lines = dataset("complete_journey")
    assert baskets.num_rows == distinct(lines, "basket_id") == 155_848
    key = ["customer_id", "timestamp"]
    sums = [
        t.group_by(key).aggregate([("amount", "sum")]).sort_by([(k, "ascending") for k in key])
        for t in (lines, baskets)
    ]
    assert sums[0].select(key) == sums[1].select(key)
    assert np.allclose(sums[0]["amount_sum"], sums[1]["amount_sum"])
    first = lines.filter(pc.equal(lines["basket_id"], "31198570044")).to_pylist()
    found = baskets.filter(
        pc.and_(pc.equal(baskets["customer_id"], "900"), pc.equal(baskets["timestamp"], first[0]["timestamp"]))
    ).to_pylist()
    assert len(first) == len(found) == 1
    line, basket = first[0], found[0]
    assert (basket["products"], basket["quantity"], basket["store_id"]) == (1, line["quantity"], line["store_id"])
    assert (basket["main_department"], basket["main_share"]) == (line["department"], 1.0)
    assert basket["discount_share"] == pytest.approx(line["retail_disc"] / (line["amount"] + line["retail_disc"]))


def test_fuel_does_not_count_as_thousands_of_units(baskets: pa.Table) -> None:
    assert pc.max(baskets["quantity"]).as_py() <= 1_000


def test_the_shares_of_baskets_add_up_to_the_share_of_any_first_part_of_a_day(baskets: pa.Table) -> None:
    frame = baskets.to_pandas()
    frame["day"] = frame["timestamp"].dt.floor("D")
    customer, day = frame.value_counts(["customer_id", "day"]).index[0]
    lines = dataset("complete_journey").to_pandas()
    lines = lines[(lines["customer_id"] == customer) & (lines["timestamp"].dt.floor("D") == day)]
    discount = lines[["retail_disc", "coupon_disc", "coupon_match_disc"]].sum(axis=1)
    data = DataConfig(numeric=("discount_share", "main_share"))
    events = events_from_frame(frame[(frame["customer_id"] == customer) & (frame["day"] == day)], data)
    assert len(events) >= 5
    for cutoff in [*np.unique(events.timestamp)[1:], instant(day) + 86_400_000_000]:
        known = (lines["timestamp"].astype("datetime64[us]").astype("int64") < cutoff).to_numpy()
        cut = merged(before(events, int(cutoff)), "1d")
        gross = lines["amount"][known].sum() + discount[known].sum()
        departments = lines[known].groupby("department")["amount"].sum()
        assert cut.numeric["discount_share"] == pytest.approx([discount[known].sum() / gross])
        assert cut.numeric["main_share"] == pytest.approx([departments.max() / departments.sum()])


def test_campaigns_begin_with_their_first_day_and_coupons_count_from_the_end_of_theirs() -> None:
    campaigns, coupons = dataset("complete_journey_campaigns"), dataset("complete_journey_redemptions")
    assert (campaigns.num_rows, distinct(campaigns, "customer_id"), coupons.num_rows) == (6_589, 1_559, 2_102)
    assert {str(time.time()) for time in campaigns["timestamp"].to_pylist()} == {"00:00:00"}
    assert {str(time.time()) for time in coupons["timestamp"].to_pylist()} == {"23:59:59.999999"}
    found = set(zip(campaigns["campaign_type"].to_pylist(), campaigns["days"].to_pylist(), strict=True))
    assert ("Type A", 48) in found and {kind for kind, _ in found} == {"Type A", "Type B", "Type C"}


def test_households_without_a_survey_are_missing_and_no_error(tmp_path: Path) -> None:
    attributes = {"age": "age", "surveyed": "surveyed"}
    survey = CustomersConfig(files=("dataset:complete_journey_households",), categorical=attributes)
    visits = SourceConfig(files=("dataset:complete_journey_campaigns",), event_type="campaign_type")
    store = build_store(DataConfig(sources=(visits,), customers=survey), tmp_path / "store")
    counts = store.info.report["customers_table"]
    assert counts["rows"] == 801
    assert counts["customers of the log without a row"] == 1_559 - (801 - counts["customers without events"])
    for column in store.read().static_categorical.values():
        assert (column.codes < 0).sum() == counts["customers of the log without a row"]


@pytest.mark.parametrize("name", names())
def test_every_log_has_the_canonical_columns(name: str) -> None:
    log = dataset(name)
    assert log.column_names[:3] == ["customer_id", "timestamp", "amount"]
    assert log.schema.types[:3] == [pa.string(), pa.timestamp("us"), pa.float64()]


def test_a_public_log_is_a_log_by_its_name(tmp_path: Path) -> None:
    store = build_store(DataConfig(transactions=("dataset:cdnow",), numeric=("quantity",)), tmp_path / "store")
    events = events_from_frame(dataset("cdnow"), DataConfig())
    assert store.customers == events.customers == 23_570
    assert store.info.events == len(events)
    report = store.info.report
    assert (report["exact_duplicates"], report["zero_lines"], report["rows_kept"]) == (255, 80, 69_659)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cdnow, cdnow_sample, complete_journey"):
        build_store(DataConfig(transactions=("dataset:uci",)), tmp_path / "store")


def run_in_fresh_interpreter(code: str) -> str:
    """What the code prints; other tests may have imported the packages in this process."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_missing_package_is_named_with_the_remedy() -> None:
    code = """
import sys
from seqclv.data import datasets
from seqclv.errors import InputError
sys.path.clear()
try:
    datasets.dataset("cdnow")
except InputError as error:
    print(error)
"""
    assert "pip install 'seqclv[datasets]'" in run_in_fresh_interpreter(code)


def test_reading_a_log_does_not_import_its_package() -> None:
    code = """
import sys
from seqclv.data import datasets
datasets.dataset("cdnow_sample")
print("lifetimes" in sys.modules)
"""
    assert run_in_fresh_interpreter(code).strip() == "False"
