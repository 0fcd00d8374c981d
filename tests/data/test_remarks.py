"""What a log's counts give reason to doubt stands in the report, the store and every message that follows from it."""

from pathlib import Path

import pandas as pd
import pytest

from seqclv.config import DataConfig
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
    assert "of 90 rows 60 are events 'order', 30 are events 'visit'" in warning
    for place in ("store", "log.parquet"):
        data = DataConfig(transactions=(str(tmp_path / place),), event_type="kind")
        with pytest.raises(InputError, match=r"must have purchases.*events 'order'.*data.types"):
            open_log(data, tmp_path / "work")
    assert open_log(data, tmp_path / "work", of_purchases=False).customers == 9


def test_a_log_of_lines_at_or_below_zero_is_told_to_name_the_amounts(tmp_path: Path) -> None:
    [warning] = warned(tmp_path, LOG.assign(amount=[0.0, -1.0, -2.0] * 30))
    assert "60 are lines below zero, 30 are lines of zero" in warning and "--amount" in warning
