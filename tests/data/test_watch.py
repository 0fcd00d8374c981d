"""Clean logs raise no alarm, dead feeds and jumped levels always do; on simulated feeds whose truth is known."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqclv.config import DataConfig, SourceConfig, SqlConfig
from seqclv.data import inspection
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import build_store
from seqclv.data.watch import BINS_PER_LOG, gaps, jumps, stale
from seqclv.data.windows import instant
from seqclv.errors import InputError

START = 18_262  # 2020-01-01


def feed_days(rng: np.random.Generator, days: int) -> np.ndarray:
    """The days with events of a feed of random level, week, trend, season and noise."""
    rate = rng.choice([0.1, 0.5, 2.0, 10.0, 100.0]) * rng.choice([1, 1, 0.03], 7)[(np.arange(days)) % 7]
    rate = rate * np.exp(rng.uniform(-1, 1) * np.arange(days) / days)
    rate = rate * (1 + rng.uniform(0, 0.7) * np.sin(np.arange(days) / 365 * 2 * np.pi))
    rate = rate * rng.gamma(5, 1 / 5, days)
    return START + np.flatnonzero(rng.poisson(rate))


def test_clean_feeds_raise_fewer_than_one_false_alarm_in_200_logs() -> None:
    rng = np.random.default_rng(0)
    alarms = gap_alarms = 0
    logs = 1_200
    for _ in range(logs):
        days = int(rng.integers(60, 800))
        feeds = {str(i): feed_days(rng, days) for i in range(rng.integers(1, 5))}
        alarms += bool(stale(feeds, START + days))
        gap_alarms += bool(len(feeds["0"]) and gaps(feeds["0"]))
    assert stats.binomtest(alarms, logs).proportion_ci(0.95, "exact").high < 1 / 200
    assert stats.binomtest(gap_alarms, logs).proportion_ci(0.95, "exact").high < 1 / 200


def test_a_dead_week_of_a_busy_feed_is_always_named() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        days = int(rng.integers(60, 800))
        feeds = {f"other {i}": feed_days(rng, days) for i in range(50)}
        busy = rng.poisson(rng.uniform(5, 200), days)
        dead = int(rng.integers(7, 30))
        feeds["busy"] = START + np.flatnonzero(busy[: days - dead])
        found = stale(feeds, START + days)
        assert found["busy"].days == dead
        assert found["busy"].first == START + days - dead


def test_a_feed_that_rests_on_weekends_is_not_stale_on_a_monday_but_is_a_week_later() -> None:
    days = START + np.arange(120)
    weekdays = days[(days + 3) % 7 < 5]  # Monday is 0
    monday = (int(weekdays[-1]) - 4) // 7 * 7 + 4  # 1970-01-05 was one
    assert not stale({"shop": weekdays[weekdays < monday]}, monday)
    assert stale({"shop": weekdays[weekdays < monday]}, monday + 7)["shop"].days == 9


def test_a_silence_as_long_as_one_before_and_a_young_feed_are_no_news() -> None:
    days = START + np.arange(300)
    closed = days[(days < START + 100) | (days >= START + 120)]
    assert not stale({"shop": closed[:-19]}, int(days[-1]) + 1)
    assert stale({"shop": closed[:-21]}, int(days[-1]) + 1)
    assert not stale({"young": days[:20]}, START + 60)
    [gap] = gaps(closed)
    assert (gap.first, gap.days) == (START + 100, 20)


def weeks_of(amounts: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Histograms by week, the input of `jumps`."""
    found = {}
    for i, values in enumerate(amounts):
        bins, counts = np.unique(np.floor(np.log(values) * BINS_PER_LOG).astype(int), return_counts=True)
        found[START + 5 + 7 * i] = np.stack([bins, counts], axis=-1)
    return found


def amounts(rng: np.random.Generator, weeks: int) -> list[np.ndarray]:
    """Weekly amounts: heavy tails, two groups of prices, a drifting and noisy level, sparse or busy."""
    level, spread = rng.uniform(-2, 8), rng.uniform(0.1, 2.5)
    share, distance = rng.uniform(0, 1), rng.choice([0, 0, 3, 5])
    drift = np.cumsum(rng.normal(0, 0.05, weeks))
    lines = rng.choice([5, 30, 300])
    return [
        np.exp(level + drift[i] + spread * rng.standard_t(5, n) + distance * (rng.random(n) < share))
        for i, n in enumerate(1 + rng.poisson(lines, weeks))
    ]


def test_clean_amounts_raise_fewer_than_one_false_alarm_in_200_logs() -> None:
    rng = np.random.default_rng(2)
    logs = 800
    alarms = sum(
        bool(jumps({str(k): weeks_of(amounts(rng, int(rng.integers(10, 60)))) for k in range(rng.integers(1, 3))}))
        for _ in range(logs)
    )
    assert stats.binomtest(alarms, logs).proportion_ci(0.95, "exact").high < 1 / 200


@pytest.mark.parametrize("factor", [100, 1 / 100])
def test_cents_for_euros_are_named_once_with_their_week(factor: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        weeks = [np.exp(rng.normal(3, 1, 40)) for _ in range(30)]
        onset = int(rng.integers(8, 30))
        back = int(rng.integers(onset + 1, 31))
        weeks = [values * (factor if onset <= i < back else 1) for i, values in enumerate(weeks)]
        found = jumps({"web": weeks_of(weeks)})["web"]
        assert found[0].week == START + 5 + 7 * onset
        assert found[0].factor == pytest.approx(factor, rel=0.8)
        assert len(found) <= 2  # there, and back where the new level had become the past


def test_simulated_logs_are_clean_and_a_dead_channel_and_cents_are_warned_about_by_name(tmp_path: Path) -> None:
    frame = simulate(SimulationConfig(customers=700, mean_events=8, attributes=True, seed=8, days=400)).transactions
    frame = frame.to_pandas()
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), watch=("channel",))

    def warnings(log: pd.DataFrame, data: DataConfig = data, until: str | None = None) -> list[str]:
        log.to_parquet(tmp_path / "log.parquet")
        end = None if until is None else instant(until)
        report = build_store(data, tmp_path / "store", until=end).info.report
        assert all(text in (tmp_path / "store/report.txt").read_text() for text in report["warnings"])
        return list(report["warnings"])

    assert warnings(frame) == []
    last = frame["timestamp"].max()
    dead = (frame["channel"] == "web") & (frame["timestamp"] > last - pd.Timedelta(days=9))
    [warning] = warnings(frame[~dead])
    assert warning.startswith("channel 'web' has had no event since 2021-01-2")
    cents = (frame["channel"] == "app") & (frame["timestamp"] > last - pd.Timedelta(days=30))
    [warning] = warnings(frame.assign(amount=frame["amount"] * np.where(cents, 100, 1)))
    assert "amounts of channel 'app' in the week of 2021-01" in warning
    until = str(last + pd.Timedelta(days=12))
    [warning] = warnings(frame, replace(data, watch=()), until)
    assert warning.startswith("the log has had no event since 2021-02-0")


def test_a_dead_file_is_named_but_a_finished_part_of_the_log_is_not(tmp_path: Path) -> None:
    log = simulate(SimulationConfig(customers=700, mean_events=8, attributes=True, seed=8, days=400))
    frame = log.transactions.to_pandas()
    middle = pd.Timestamp("2020-08-01")
    for name, part in (
        ("web-1", (frame["channel"] == "web") & (frame["timestamp"] < middle)),
        ("web-2", (frame["channel"] == "web") & frame["timestamp"].between(middle, pd.Timestamp("2021-01-15"))),
        ("shop-1", (frame["channel"] != "web") & (frame["timestamp"] < middle)),
        ("shop-2", (frame["channel"] != "web") & (frame["timestamp"] >= middle)),
    ):
        frame[part].to_parquet(tmp_path / f"{name}.parquet")
    store = build_store(DataConfig(transactions=(f"{tmp_path}/*.parquet",)), tmp_path / "store")
    [warning] = store.info.report["warnings"]
    assert "web-2.parquet' has had no event since 2021-01-15" in warning


@pytest.mark.parametrize("enough", [10**6, 2_000])
def test_cents_for_euros_in_the_whole_log_are_named_from_a_part_of_its_customers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    monkeypatch.setattr(inspection, "_ENOUGH_LINES", enough)
    log = simulate(SimulationConfig(customers=1_500, mean_events=8, seed=8, days=400)).transactions
    frame = log.to_pandas()
    cents = frame["timestamp"] > frame["timestamp"].max() - pd.Timedelta(days=30)
    frame.assign(amount=frame["amount"] * np.where(cents, 100, 1)).to_parquet(tmp_path / "log.parquet")
    store = build_store(DataConfig(transactions=(str(tmp_path / "log.parquet"),)), tmp_path / "store")
    [warning] = store.info.report["warnings"]
    assert "amounts of the log in the week of 2021-01" in warning


def test_a_watched_column_must_name_feeds(tmp_path: Path) -> None:
    rows = "".join(f"{i},2024-01-01,1\n" for i in range(1_001))
    (tmp_path / "log.csv").write_text("customer_id,timestamp,amount\n" + rows)
    data = DataConfig(transactions=(str(tmp_path / "log.csv"),), watch=("customer_id",))
    with pytest.raises(InputError, match="1,001 values"):
        build_store(data, tmp_path / "store")


def shop_rows(kind: str, days: range) -> pd.DataFrame:
    """Three rows on each day of 2024."""
    rows = [(f"{kind}{d * 3 + i}", pd.Timestamp("2024-01-01") + pd.Timedelta(days=d)) for d in days for i in range(3)]
    return pd.DataFrame({"customer_id": [r[0] for r in rows], "timestamp": [r[1] for r in rows], "amount": 5.0})


def warned(data: DataConfig, out: Path) -> list[str]:
    return list(build_store(data, out).info.report["warnings"])


def test_a_source_that_has_gone_silent_is_named_though_the_files_of_another_go_on(tmp_path: Path) -> None:
    orders = shop_rows("c", range(180))
    orders[:270].to_parquet(tmp_path / "orders-1.parquet")
    orders[270:].to_parquet(tmp_path / "orders-2.parquet")
    shop_rows("c", range(60)).to_parquet(tmp_path / "visits-1.parquet")
    shop_rows("c", range(60, 150)).to_parquet(tmp_path / "visits-2.parquet")
    files = SourceConfig(files=(f"{tmp_path}/orders-*.parquet",))
    visits = SourceConfig(files=(f"{tmp_path}/visits-*.parquet",), every_row_is="visit")
    [warning] = warned(DataConfig(sources=(files, visits)), tmp_path / "store")
    assert warning.startswith(f"source '2' (file '{tmp_path}/visits-2.parquet') has had no event since 2024-05-30")
    [warning] = warned(DataConfig(sources=(files, replace(visits, name="visits"))), tmp_path / "store")
    assert warning.startswith("source 'visits' (file")


def test_sources_of_one_name_are_one_feed_in_which_a_new_form_follows_an_old_one(tmp_path: Path) -> None:
    for name, days in (("old", range(90)), ("new", range(90, 180)), ("visits", range(180))):
        shop_rows("c", days).to_parquet(tmp_path / f"{name}.parquet")
    old, new, visits = (SourceConfig(files=(f"{tmp_path}/{name}.parquet",)) for name in ("old", "new", "visits"))
    visits = replace(visits, every_row_is="visit")
    [warning] = warned(DataConfig(sources=(old, new, visits)), tmp_path / "store")
    assert warning.startswith("source '1' (file")
    named = (replace(old, name="orders"), replace(new, name="orders"), visits)
    assert warned(DataConfig(sources=named), tmp_path / "store") == []


def test_a_silent_table_of_a_database_or_of_a_lake_is_named(tmp_path: Path) -> None:
    lake = pytest.importorskip("deltalake")
    shop_rows("c", range(180)).to_parquet(tmp_path / "orders.parquet")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        shop_rows("c", range(150)).astype({"timestamp": str}).to_sql("visits", connection, index=False)
    lake.write_deltalake(str(tmp_path / "reviews"), shop_rows("c", range(140)))
    sources = (
        SourceConfig(files=(str(tmp_path / "orders.parquet"),)),
        SourceConfig(sql=SqlConfig(url=f"sqlite:///{tmp_path}/shop.db", table="visits"), every_row_is="visit"),
        SourceConfig(files=(str(tmp_path / "reviews"),), every_row_is="review"),
    )
    visits, reviews = warned(DataConfig(sources=sources), tmp_path / "store")
    assert visits.startswith(f"source '2' (table 'visits' of 'sqlite:///{tmp_path}/shop.db') has had no event")
    assert reviews.startswith(f"source '3' (the Delta table '{tmp_path}/reviews') has had no event since 2024-05-20")


def test_late_rows_in_the_next_file_do_not_make_the_one_before_look_dead(tmp_path: Path) -> None:
    log = shop_rows("c", range(180))
    month = log["timestamp"].dt.month.astype(int)
    month[(log.index % 50 == 0) & (month < 6)] += 1  # the last rows of every day come with the next month
    for number, part in log.groupby(month):
        part.to_parquet(tmp_path / f"{number}.parquet")
    assert warned(DataConfig(transactions=(f"{tmp_path}/*.parquet",)), tmp_path / "store") == []


def test_more_files_than_can_be_watched_are_told_and_their_sources_are_watched_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "MOST_FEEDS", 5)
    for kind, days in (("orders", 180), ("visits", 150)):
        for month, part in shop_rows("c", range(days)).groupby(lambda row: row // 100):
            part.to_parquet(tmp_path / f"{kind}-{month}.parquet")
    orders = SourceConfig(files=(f"{tmp_path}/orders-*.parquet",))
    visits = SourceConfig(files=(f"{tmp_path}/visits-*.parquet",), every_row_is="visit")
    stale_visits, many = warned(DataConfig(sources=(orders, visits)), tmp_path / "store")
    assert stale_visits.startswith("source '2' has had no event since 2024-05-30")
    assert "11 files" in many and "watch" in many
    [many] = warned(DataConfig(transactions=orders.files), tmp_path / "store")
    assert "6 files" in many


def test_scoring_watches_the_channels_that_its_own_log_has(tmp_path: Path) -> None:
    both = [shop_rows("c", range(days)).assign(channel=name) for name, days in (("web", 180), ("app", 150))]
    pd.concat(both).to_parquet(tmp_path / "log.parquet")
    data = DataConfig(transactions=(str(tmp_path / "log.parquet"),), watch=("channel",), require_columns=False)
    [warning] = warned(data, tmp_path / "store")
    assert warning.startswith("channel 'app' has had no event since 2024-05-30")
    assert warned(replace(data, watch=("shop",)), tmp_path / "store") == []
