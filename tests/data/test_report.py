"""What the data report tells beside the counts: refunds, gaps, ids that are nobody's."""

from pathlib import Path

import numpy as np
import pandas as pd

from seqclv.config import DataConfig
from seqclv.data.report import DataReport
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import build_store


def report_of(tmp_path: Path, frame: pd.DataFrame) -> DataReport:
    frame.to_parquet(tmp_path / "log.parquet")
    store = build_store(DataConfig(transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "store")
    report = DataReport(**store.info.report)
    assert (tmp_path / "store/report.txt").read_text() == report.render() + "\n"
    return report


def log_of(ids: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, len(ids)), "D")
    return pd.DataFrame({"customer_id": ids, "timestamp": days, "amount": 1.0 + rng.random(len(ids))})


def test_placeholders_and_an_id_of_many_people_are_suspicious(tmp_path: Path) -> None:
    people = [f"c{i % 300}" for i in range(1_500)]
    ids = [*people, *["till 7"] * 900, "guest", "guest", " N/A", "0", "-1.0", "99999", "unknown"]
    report = report_of(tmp_path, log_of(ids))
    found = {row["customer_id"]: (row["lines"], row["why"]) for row in report.suspicious_ids}
    assert found.pop("till 7") == (900, "holds an improbable share of all lines")
    assert found == {i: (ids.count(i), "looks like a placeholder") for i in ids[2400:]}
    assert report.largest_customer == "till 7"
    assert report.largest_customer_line_share == 900 / len(ids)
    assert "'guest': looks like a placeholder" in report.render()


def test_good_customers_are_not_suspicious(tmp_path: Path) -> None:
    for seed in range(4):
        log = simulate(SimulationConfig(customers=300, mean_events=6, seed=seed)).transactions.to_pandas()
        report = report_of(tmp_path, log)
        assert report.suspicious_ids == []
        assert report.alike_ids == 0


def test_ids_that_differ_in_blanks_case_or_a_trailing_zero_are_alike(tmp_path: Path) -> None:
    ids = ["17850", "17850.0", "ann", "Ann", " ann ", "bob", "b ob", "0012", "12"]
    report = report_of(tmp_path, log_of(ids))
    assert report.alike_ids == 7
    assert report.alike_examples == [["17850", "17850.0"], [" ann ", "Ann", "ann"], ["b ob", "bob"]]


def test_refunds_and_gaps_in_time_are_told(tmp_path: Path) -> None:
    days = [d for d in range(120) if not 60 <= d < 66]
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{d % 40}" for d in days],
            "timestamp": [pd.Timestamp("2024-01-01") + pd.Timedelta(days=d) for d in days],
            "amount": [-3.0 if d == 5 else 1.0 for d in days],
        }
    )
    report = report_of(tmp_path, frame)
    assert report.refund_share == 3 / 113
    assert report.gaps == [{"first_day": "2024-03-01", "days": 6}]
    assert "from 2024-03-01" in report.render()


def test_the_text_of_a_hostile_id_stays_on_its_line(tmp_path: Path) -> None:
    text = report_of(tmp_path, log_of(["a\nWarning: x", "A\nwarning: x", "m" * 5_000, "M" * 5_000])).render()
    assert "\nWarning" not in text
    assert max(map(len, text.splitlines())) < 200
