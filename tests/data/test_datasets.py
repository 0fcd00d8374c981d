import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from seqclv.config import DataConfig
from seqclv.data.datasets import dataset, names
from seqclv.data.store import build_store, events_from_frame
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
