"""Forecasts: coherent, blind to what lies at or after the cutoff, the same from every entrance."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import seqclv
from seqclv.bundle import save_bundle
from seqclv.config import DataConfig
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import build_store, events_from_frame
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast import chunks
from seqclv.forecast.distribution import ClockedProcess, ProcessForecast
from seqclv.forecast.engines.local import score
from seqclv.forecast.forecaster import FORECAST_SCHEMA, forecast_table, predict
from seqclv.forecast.sinks import manifest_path
from seqclv.model.process import PurchaseProcess
from seqclv.scoring import load
from seqclv.training.train import classical_bundle

CUTOFF = "2021-07-01"
HORIZONS = [7.0, 30.0, 90.0, 365.0, 3650.0]


def classical(kind, base, config):
    events = events_from_frame(base, DataConfig())
    cutoff = instant(CUTOFF)
    past = history(events, cutoff, "1d")
    return classical_bundle(kind, past, cutoff, horizon_days=90, config=config, fingerprint="f")


@pytest.fixture(scope="module", params=["network", "pareto_nbd", "bg_nbd"])
def bundle(request, small_bundle, small_base, small_config):
    return small_bundle if request.param == "network" else classical(request.param, small_base, small_config)


def frame_of(bundle, base, horizons=HORIZONS, cutoff=CUTOFF):
    events = events_from_frame(base, bundle.config.data)
    past = history(events, instant(cutoff), bundle.merge)
    table = forecast_table(predict(bundle, past, instant(cutoff)), past.customer_id, instant(cutoff), horizons)
    return table.to_pandas()


def by_customer(frame, column):
    return frame[column].to_numpy().reshape(-1, frame["horizon_days"].nunique())


@pytest.mark.parametrize("seed", range(20))
def test_forecasts_of_random_bases_are_coherent(seed, small_bundle):
    base = simulate(
        SimulationConfig(customers=60, seed=seed, days=560 + 20 * seed, mean_events=1.5 + seed, attributes=True)
    ).transactions
    cutoff = "2021-06-01"
    frame = frame_of(small_bundle, base, cutoff=cutoff)
    assert (np.diff(by_customer(frame, "churn_probability"), axis=1) <= 1e-12).all()
    for column in ("expected_transactions", "expected_spend", "spend_q95", "transactions_q95"):
        assert (np.diff(by_customer(frame, column), axis=1) >= -1e-6).all(), column
    for quantity in ("spend", "transactions"):
        low, middle, high = (frame[f"{quantity}_{q}"] for q in ("q05", "q50", "q95"))
        assert (low <= middle).all()
        assert (middle <= high).all()
    assert frame["churn_probability"].between(0, 1).all()
    assert frame["alive_probability"].between(0, 1).all()
    assert not frame.drop(columns="next_purchase_days_q50").isna().any().any()


@pytest.mark.parametrize("seed", range(20))
def test_closed_forms_equal_simulation_within_its_error(seed, small_bundle):
    base = simulate(
        SimulationConfig(customers=30, seed=seed, days=700, mean_events=2 + seed, attributes=True)
    ).transactions
    past = history(events_from_frame(base, small_bundle.config.data), instant("2021-06-01"), "1d")
    predictive = predict(small_bundle, past, instant("2021-06-01"))
    horizon, draws = 90.0, 4000
    counts, spend = predictive.sample(horizon, draws, seed)
    for drawn, expected in (
        (counts, predictive.expected_transactions([horizon])[:, 0]),
        (spend, predictive.expected_spend([horizon])[:, 0]),
        (counts == 0, predictive.churn_probability([horizon])[:, 0]),
    ):
        error = drawn.std(axis=1) / np.sqrt(draws) + 1e-3 * (1 + expected)
        assert (np.abs(drawn.mean(axis=1) - expected) < 5 * error).all()


def test_no_purchase_has_the_same_probability_in_pmf_and_churn(bundle, small_base):
    past = history(events_from_frame(small_base, bundle.config.data), instant(CUTOFF), bundle.merge)
    predictive = predict(bundle, past, instant(CUTOFF))
    for horizon in HORIZONS:
        none = predictive.transaction_pmf(horizon, 0)[:, 0]
        np.testing.assert_allclose(none, predictive.churn_probability([horizon])[:, 0], atol=1e-6)


def test_the_median_time_to_the_next_purchase_follows_from_churn(small_bundle, small_base):
    past = history(events_from_frame(small_base, small_bundle.config.data), instant(CUTOFF), "1d")
    predictive = predict(small_bundle, past, instant(CUTOFF))
    median = predictive.next_purchase_median()
    known = np.flatnonzero(~np.isnan(median))
    assert 0 < len(known) < len(median)
    for i in known[:20]:
        assert predictive.churn_probability([median[i]])[i, 0] == pytest.approx(0.5, abs=1e-9)
    never = predictive.churn_probability([1e7])[:, 0]
    assert (never[np.isnan(median)] >= 0.5 - 1e-6).all()


def test_a_median_beyond_all_days_of_interest_is_none():
    """Two customers that buy for sure some time: after 7,000 days in the median, and after three million."""
    one = torch.zeros(2, 1, dtype=torch.float64)
    weight = torch.tensor([[-torch.inf, 0.0]] * 2, dtype=torch.float64)
    rate = torch.tensor([[1e-4], [2e-7]], dtype=torch.float64)
    process = PurchaseProcess(weight, rate.log(), one - 60, one, one)
    first, second = ProcessForecast([ClockedProcess(process)]).next_purchase_median()
    assert first == pytest.approx(np.log(2) / 1e-4)
    assert np.isnan(second)


def changed_future(base, how):
    """The log with events at or after the cutoff changed."""
    frame = base.to_pandas()
    late = frame["timestamp"] >= pd.Timestamp(CUTOFF)
    assert late.any()
    if how == "removed":
        return frame[~late]
    if how == "changed":
        frame.loc[late, "amount"] = frame.loc[late, "amount"] * -1000 + 1
        frame.loc[late, "category"] = "never seen before"
        return frame
    known = frame["customer_id"].iloc[0]
    added = pd.DataFrame(
        {
            "customer_id": [known, "0 a new customer", "zzz another", known],
            "timestamp": pd.to_datetime([CUTOFF, CUTOFF, "2035-01-01", "2021-07-01 00:00:00.000001"], format="ISO8601"),
            "amount": [1e9, 5.0, 7.0, -3.0],
            "category": ["x", "y", None, "z"],
            "channel": ["x", "y", None, "z"],
        }
    )
    return pd.concat([frame, added], ignore_index=True)


@pytest.mark.parametrize("how", ["removed", "changed", "added"])
def test_events_at_or_after_the_cutoff_change_no_bit_of_a_forecast(how, bundle, small_base):
    expected = frame_of(bundle, small_base)
    pd.testing.assert_frame_equal(frame_of(bundle, changed_future(small_base, how)), expected, check_exact=True)


def test_a_mid_day_cutoff_cuts_before_lines_are_merged(bundle):
    morning = pd.DataFrame({"customer_id": ["a"], "timestamp": pd.to_datetime(["2021-07-01 08:00"]), "amount": [10.0]})
    evening = morning.assign(timestamp=pd.to_datetime(["2021-07-01 20:00"]), amount=[-10.0])
    columns = {"category": "x", "channel": "y"}
    alone = frame_of(bundle, morning.assign(**columns), cutoff="2021-07-01 12:00")
    both = frame_of(bundle, pd.concat([morning, evening]).assign(**columns), cutoff="2021-07-01 12:00")
    pd.testing.assert_frame_equal(alone, both, check_exact=True)


def test_a_category_that_training_never_saw_is_scored(small_bundle, small_base):
    frame = small_base.to_pandas().assign(category="brand new")
    assert not frame_of(small_bundle, frame).drop(columns="next_purchase_days_q50").isna().any().any()


@pytest.fixture
def store(small_log, small_config, tmp_path):
    return build_store(small_config.data, tmp_path / "store")


def test_scoring_writes_the_contract(bundle, store, tmp_path):
    scored = score(bundle, store, instant(CUTOFF), [90, 30], tmp_path / "f.parquet")
    table = pq.read_table(tmp_path / "f.parquet")
    assert table.schema.equals(FORECAST_SCHEMA)
    frame = table.to_pandas()
    order = list(zip(frame["customer_id"], frame["horizon_days"], strict=True))
    assert order == sorted(order)
    assert len(order) == len(set(order)) == scored.rows == 2 * scored.customers
    assert manifest_path(tmp_path / "f.parquet").is_file()


def test_small_chunks_give_the_same_forecasts(bundle, store, tmp_path, monkeypatch):
    score(bundle, store, instant(CUTOFF), [90], tmp_path / "one.parquet")
    monkeypatch.setattr(chunks, "CHUNK_CUSTOMERS", 17)
    monkeypatch.setattr(chunks, "_BLOCK_CUSTOMERS", 40)
    score(bundle, store, instant(CUTOFF), [90], tmp_path / "many.parquet")
    one, many = (pq.read_table(tmp_path / f"{name}.parquet").to_pandas() for name in ("one", "many"))
    pd.testing.assert_frame_equal(one, many, rtol=1e-4, atol=1e-5)


def test_python_and_files_give_the_same_forecasts(bundle, store, small_base, small_log, tmp_path):
    score(bundle, store, instant(CUTOFF), [30, 90], tmp_path / "f.parquet")
    expected = pq.read_table(tmp_path / "f.parquet").to_pandas()
    save_bundle(bundle, tmp_path / "bundle")
    model = load(tmp_path / "bundle")
    for log in (small_base, small_base.to_pandas(), small_log, [str(small_log)], store.path):
        pd.testing.assert_frame_equal(model.forecast(log, CUTOFF, [30, 90]), expected, check_exact=True)


def test_nobody_before_the_cutoff_is_said_and_nothing_is_written(bundle, store, tmp_path):
    with pytest.raises(InputError, match="nobody bought before"):
        score(bundle, store, instant("1999-01-01"), [30], tmp_path / "out" / "f.parquet")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("horizons", [[], [0], [-1], [float("nan")], [float("inf")]])
def test_a_horizon_is_a_positive_number_of_days(horizons, bundle, store, tmp_path):
    with pytest.raises(InputError, match="horizon is a positive number of days"):
        score(bundle, store, instant(CUTOFF), horizons, tmp_path / "f.parquet")


def test_a_cutoff_before_the_training_cutoff_is_warned_about(small_bundle, small_base, tmp_path):
    save_bundle(small_bundle, tmp_path / "bundle")
    with pytest.warns(UserWarning, match="know the future"):
        load(tmp_path / "bundle").forecast(small_base, "2021-01-01", [30])


def test_customers_without_a_purchase_before_the_cutoff_get_no_row(bundle):
    base = pa.table(
        {
            "customer_id": ["refund only", "zero only", "buyer", "later"],
            "timestamp": pa.array(pd.to_datetime(["2021-01-01"] * 3 + ["2021-08-01"]).astype("datetime64[us]")),
            "amount": [-5.0, 0.0, 5.0, 5.0],
            "category": ["a"] * 4,
            "channel": ["a"] * 4,
        }
    )
    assert frame_of(bundle, base)["customer_id"].unique().tolist() == ["buyer"]


def test_an_rfm_table_is_scored_by_a_classical_model(small_base, small_config, small_bundle, tmp_path):
    save_bundle(classical("pareto_nbd", small_base, small_config), tmp_path / "bundle")
    model = load(tmp_path / "bundle")
    expected = model.forecast(small_base, CUTOFF, [30, 90])
    table = seqclv.rfm_summary(small_base, CUTOFF)
    columns = ["expected_transactions", "expected_spend", "churn_probability", "alive_probability", "spend_q95"]
    found = model.forecast_rfm(table.sample(frac=1, random_state=0), [30, 90])
    pd.testing.assert_frame_equal(found[["customer_id", *columns]], expected[["customer_id", *columns]], rtol=1e-6)
    save_bundle(small_bundle, tmp_path / "network")
    with pytest.raises(InputError, match="classical model only"):
        load(tmp_path / "network").forecast_rfm(table, [30])
