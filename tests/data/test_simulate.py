from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqclv.config import DataConfig
from seqclv.data.simulate import Simulation, SimulationConfig, simulate, write
from seqclv.data.store import events_from_frame
from seqclv.errors import InputError

CONFIG = SimulationConfig(customers=2_000, mean_events=10)


def joined(simulation: Simulation) -> pd.DataFrame:
    return simulation.transactions.to_pandas().merge(simulation.customers.to_pandas(), on="customer_id")


def test_the_same_seed_gives_the_same_base_and_another_seed_another() -> None:
    assert simulate(CONFIG).transactions == simulate(CONFIG).transactions
    assert simulate(CONFIG).transactions != simulate(replace(CONFIG, seed=1)).transactions


@pytest.mark.parametrize("season", [0.0, 0.6])
def test_customers_buy_between_acquisition_and_dropout(season: float) -> None:
    lines = joined(simulate(replace(CONFIG, yearly_season=season, refund_share=0.2)))
    assert (lines["timestamp"] >= lines["acquired"]).all()
    assert (lines["timestamp"] <= lines["dropout"]).all()
    assert lines["timestamp"].min() >= pd.Timestamp("2020-01-01")
    assert lines["timestamp"].max() < pd.Timestamp("2020-01-01") + pd.Timedelta(days=CONFIG.days)
    first = lines.groupby("customer_id")["timestamp"].min()
    acquired = lines.groupby("customer_id")["acquired"].first()
    assert (first == acquired).all()
    assert len(first) == CONFIG.customers


@settings(max_examples=10, deadline=None)
@given(st.floats(1, 40), st.integers(0, 1000), st.floats(0, 0.9))
def test_the_mean_number_of_events_is_near_the_one_asked_for(mean: float, seed: int, season: float) -> None:
    base = simulate(replace(CONFIG, mean_events=mean, seed=seed, yearly_season=season))
    assert base.transactions.num_rows / CONFIG.customers == pytest.approx(mean, rel=0.12)


def test_the_log_is_in_time_order_and_keeps_the_time_of_day() -> None:
    stamps = simulate(CONFIG).transactions["timestamp"].to_pandas()
    assert stamps.is_monotonic_increasing
    assert stamps.dt.hour.nunique() == 24


def test_amounts_are_whole_cents_and_refunds_answer_a_purchase() -> None:
    lines = simulate(replace(CONFIG, refund_share=0.2)).transactions.to_pandas()
    cents = lines["amount"] * 100
    assert np.allclose(cents, cents.round(), atol=1e-6)
    refunds = lines[lines["amount"] < 0]
    assert 0.12 < len(refunds) / (len(lines) - len(refunds)) < 0.22
    known = set(zip(lines["customer_id"], lines["amount"], strict=True))
    assert all(
        (owner, -amount) in known for owner, amount in zip(refunds["customer_id"], refunds["amount"], strict=True)
    )


def test_amounts_follow_the_customers_mean() -> None:
    lines = joined(simulate(CONFIG))
    assert (lines["amount"] / lines["mean_amount"]).mean() == pytest.approx(1.0, abs=0.02)


def test_rates_of_customers_are_met() -> None:
    base = simulate(replace(CONFIG, customers=20_000))
    people = base.customers.to_pandas()
    end = pd.Timestamp("2020-01-01") + pd.Timedelta(days=CONFIG.days)
    alive = (people["dropout"].clip(upper=end) - people["acquired"]) / pd.Timedelta(days=1)
    expected = 1 + people["rate"] * alive
    counts = base.transactions["customer_id"].to_pandas().value_counts().reindex(people["customer_id"]).to_numpy()
    assert np.corrcoef(expected, counts)[0, 1] > 0.95
    assert ((counts - expected) ** 2 / np.maximum(expected - 1, 0.5)).mean() < 1.1


def test_a_season_moves_purchases_into_its_half_of_the_year() -> None:
    flat, wavy = (simulate(replace(CONFIG, yearly_season=a)).transactions["timestamp"].to_pandas() for a in (0.0, 0.8))
    assert (wavy.dt.day_of_year < 183).mean() > (flat.dt.day_of_year < 183).mean() + 0.1


def test_attributes_are_added_where_asked() -> None:
    assert simulate(CONFIG).transactions.column_names == ["customer_id", "timestamp", "amount"]
    columns = simulate(replace(CONFIG, attributes=True)).transactions.column_names
    assert columns == ["customer_id", "timestamp", "amount", "category", "channel"]


def test_the_log_is_written_whole_and_read_back(tmp_path: Path) -> None:
    base = simulate(replace(CONFIG, customers=50))
    write(base, tmp_path / "new/log.parquet", truth=tmp_path / "new/truth.parquet")
    write(base, tmp_path / "new/log.csv")
    assert pq.read_table(tmp_path / "new/log.parquet") == base.transactions
    assert pacsv.read_csv(tmp_path / "new/log.csv").num_rows == base.transactions.num_rows
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["log.csv", "log.parquet", "truth.parquet"]
    assert events_from_frame(base.transactions, DataConfig()).customers == 50


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="writable"):
        write(simulate(replace(CONFIG, customers=2)), tmp_path / "file/log.parquet")


@pytest.mark.parametrize(
    "wrong",
    [
        {"customers": 0},
        {"days": 0},
        {"mean_events": 0.5},
        {"yearly_season": 1.0},
        {"refund_share": 2.0},
        {"seed": -1},
        {"start": "soon"},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SimulationConfig(**wrong)  # type: ignore[arg-type]


def test_the_smallest_base_is_one_purchase() -> None:
    assert simulate(SimulationConfig(customers=1, days=1, mean_events=1)).transactions.num_rows == 1


def test_purchases_double_on_the_days_of_a_campaign_and_the_calendar_tells_them(tmp_path: Path) -> None:
    base = simulate(replace(CONFIG, campaign_effect=2.0))
    write(base, tmp_path / "log.parquet", calendar=tmp_path / "calendar.csv")
    calendar = pd.read_csv(tmp_path / "calendar.csv", parse_dates=["date"])
    assert len(calendar) == CONFIG.days + 365
    lines, people = base.transactions.to_pandas(), base.customers.to_pandas()
    repeats = lines[lines["timestamp"] > lines.groupby("customer_id")["timestamp"].transform("min")]
    days = calendar["date"][: CONFIG.days]
    rate = np.array([people["rate"][(people["acquired"] < day) & (people["dropout"] > day)].sum() for day in days])
    bought = repeats["timestamp"].dt.normalize().value_counts().reindex(days, fill_value=0).to_numpy()
    campaign = calendar["campaign"][: CONFIG.days].to_numpy() == 1
    busy, quiet = (bought[kind].sum() / rate[kind].sum() for kind in (campaign, ~campaign))
    assert busy / quiet == pytest.approx(2.0, rel=0.06)
    plain = simulate(CONFIG)
    assert plain.calendar == base.calendar
    assert plain.transactions != base.transactions
