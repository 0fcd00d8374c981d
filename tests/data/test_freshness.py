import numpy as np
import pandas as pd
import pytest

from seqclv.cli import main
from seqclv.data.events import MICROSECONDS_PER_DAY as DAY
from seqclv.data.freshness import silence_before

NOON = DAY // 2


def told(days: np.ndarray, cutoff_day: int) -> str | None:
    stamps = days * DAY + NOON
    return silence_before(cutoff_day * DAY, (int(stamps.min()), int(stamps.max())), stamps)


def test_a_log_that_ends_on_the_eve_of_the_cutoff_is_fresh() -> None:
    assert told(np.arange(19_000, 19_100), 19_100) is None
    assert told(np.arange(19_000, 19_100), 19_050) is None  # a cutoff of the past


def test_a_daily_log_that_ends_a_week_before_the_cutoff_is_told_with_its_last_day() -> None:
    said = told(np.arange(19_000, 19_100), 19_107)
    assert said is not None and said.startswith(
        "warning: the last event before the cutoff 2022-04-25 00:00:00 is of 2022-04-17, 7 whole days earlier"
    )


def test_rows_of_a_far_future_hide_no_silence() -> None:
    days = np.append(np.arange(19_000, 19_100), 23_000)
    assert told(days, 19_100) is None
    assert told(days, 19_150) == told(days[:-1], 19_150) is not None


def test_a_sparse_log_may_be_as_silent_as_it_was_before() -> None:
    months = np.arange(18_000, 19_000, 30)
    assert told(months, int(months[-1]) + 25) is None
    assert told(months, int(months[-1]) + 1_000) is not None


def test_a_log_of_some_days_may_be_silent_for_as_long_as_it_lasted() -> None:
    assert told(np.array([19_000, 19_003]), 19_006) is None
    assert told(np.array([19_000, 19_003]), 19_100) is not None


def test_the_days_do_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    days = np.random.default_rng(0).permutation(np.repeat(np.arange(19_000, 19_100), 3))
    whole = told(days, 19_120)
    monkeypatch.setattr("seqclv.data.freshness._PIECE", 7)
    assert told(days, 19_120) == whole is not None


def test_a_cutoff_far_behind_the_log_is_told_even_quietly(tmp_path, capsys) -> None:
    days = pd.date_range("2024-01-01", periods=60).astype(str)
    frame = pd.DataFrame({"customer_id": [f"c{i % 7}" for i in range(60)], "timestamp": days, "amount": 10.0})
    frame.to_csv(tmp_path / "log.csv", index=False)
    words = ["score", "--model", "prior", "--transactions", str(tmp_path / "log.csv"), "--quiet"]
    assert main([*words, "--cutoff", "2024-03-01", "--out", str(tmp_path / "f.csv")]) == 0
    assert "the last event before" not in capsys.readouterr().err
    assert main([*words, "--cutoff", "2025-03-01", "--out", str(tmp_path / "f.csv")]) == 0
    assert "is of 2024-02-29, 365 whole days earlier" in capsys.readouterr().err
