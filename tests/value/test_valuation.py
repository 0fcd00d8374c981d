"""Money agrees with numerical integration, with hand-worked examples and with the log."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqclv.data.store import open_log
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast import chunks
from seqclv.forecast.forecaster import predict
from seqclv.value.acquisition import Costs
from seqclv.value.columns import STAGES, VALUE_SCHEMA
from seqclv.value.log_columns import with_terms
from seqclv.value.money import Terms, daily_rate
from seqclv.value.run import companion, value_store

CUTOFF = "2021-07-01"
BOTH = pytest.mark.parametrize("kind", ["network", "pareto_nbd"])
RATE = daily_rate(0.1)


def frame_of(valued):
    return pq.read_table(valued.out).to_pandas()


@pytest.fixture(scope="module")
def forecasts(small_events, small_bundle, pareto):
    past = history(small_events, instant(CUTOFF), "1d")
    return {
        "network": predict(small_bundle, past, instant(CUTOFF)),
        "pareto_nbd": predict(pareto, past, instant(CUTOFF)),
    }


def test_a_year_of_daily_discounting_is_the_yearly_rate():
    assert math.exp(-daily_rate(0.1) * 365.2425) == pytest.approx(1 / 1.1, rel=1e-15)
    assert daily_rate(0.0) == 0.0


@BOTH
def test_the_table_is_the_published_one(kind, valued):
    table = pq.read_table(valued[kind].out)
    assert table.schema.equals(VALUE_SCHEMA)
    frame = table.to_pandas()
    order = list(zip(frame["customer_id"], frame["horizon_days"], strict=True))
    assert order == sorted(set(order))
    assert len(order) == valued[kind].rows == 3 * valued[kind].customers
    assert set(frame["stage"]) <= set(STAGES)
    assert frame["tier"].notna().all()


@BOTH
def test_value_is_margin_times_net_discounted_spend_less_service_cost(kind, valued, forecasts):
    """Discounting by parts: e^(-d H) E[spend(H)] + d x the integral of e^(-d t) E[spend(t)], from the forecasts."""
    frame, forecast, horizon = frame_of(valued[kind]), forecasts[kind], 90.0
    part = frame[frame["horizon_days"] == horizon]
    nodes, weights = np.polynomial.legendre.leggauss(80)
    time, weight = (nodes + 1) / 2 * horizon, weights / 2 * horizon
    spend = forecast.expected_spend(list(time))
    discounted = math.exp(-RATE * horizon) * forecast.expected_spend([horizon])[:, 0]
    discounted = discounted + RATE * (spend * weight * np.exp(-RATE * time)).sum(axis=1)
    np.testing.assert_allclose(part["discounted_spend"], discounted, rtol=1e-5)
    refunds = valued[kind].manifest["economics"]["refund_share"]
    np.testing.assert_allclose(part["contribution"], 0.3 * (1 - refunds) * discounted, rtol=1e-5)
    np.testing.assert_allclose(part["value"], part["contribution"] - part["service_cost"], atol=1e-12)


def test_service_cost_is_the_integral_of_being_alive(valued, forecasts):
    part = frame_of(valued["pareto_nbd"]).query("horizon_days == 365")
    future = forecasts["pareto_nbd"].future
    nodes, weights = np.polynomial.legendre.leggauss(60)
    time, weight = (nodes + 1) / 2 * 365, weights / 2 * 365
    alive = (1 + time / future.beta[:, None]) ** -future.s * np.exp(-RATE * time)
    expected = 0.5 / 30 * forecasts["pareto_nbd"].alive * (alive * weight).sum(axis=1)
    np.testing.assert_allclose(part["service_cost"], expected, rtol=1e-9)


@BOTH
def test_value_at_risk_is_churn_times_the_contribution_given_a_purchase(kind, valued):
    frame = frame_of(valued[kind])
    given = frame["contribution"] / (1 - frame["churn_probability"])
    np.testing.assert_allclose(frame["value_at_risk"], frame["churn_probability"] * given, rtol=1e-9)


@BOTH
def test_contribution_grows_with_the_horizon_towards_the_residual(kind, valued):
    frame = frame_of(valued[kind])
    wide = frame.pivot_table(index="customer_id", columns="horizon_days", values="contribution")
    assert (wide.diff(axis=1).iloc[:, 1:] >= -1e-9).all(axis=None)
    net = frame.drop_duplicates("customer_id").set_index("customer_id")["residual_value"]
    costless = net + 0.5 / 30 / RATE  # the cost of a customer who never leaves is the most that is charged
    assert (wide[365.0] <= costless + 1e-9).all()


def test_history_is_what_the_log_says(valued, small_base):
    frame = frame_of(valued["network"]).drop_duplicates("customer_id").set_index("customer_id")
    log = small_base.to_pandas()
    log = log[log["timestamp"] < pd.Timestamp(CUTOFF)]
    days = log.assign(day=log["timestamp"].dt.normalize()).groupby(["customer_id", "day"])["amount"].sum().round(6)
    bought, refunded = days[days > 0], days[days < 0]
    spend = bought.groupby("customer_id").sum()
    pd.testing.assert_series_equal(frame["historic_spend"], spend, check_names=False, check_index_type=False)
    known = refunded[refunded.index.get_level_values(0).isin(frame.index)].groupby("customer_id").sum()
    assert frame["historic_refunds"].sum() == pytest.approx(-known.sum())
    count = bought.groupby("customer_id").size().astype(float)
    pd.testing.assert_series_equal(frame["historic_transactions"], count, check_names=False, check_index_type=False)
    share = valued["network"].manifest["economics"]["refund_share"]
    assert share == pytest.approx(frame["historic_refunds"].sum() / frame["historic_spend"].sum())


def test_usual_gaps_are_medians(valued, small_base):
    frame = frame_of(valued["network"]).drop_duplicates("customer_id").set_index("customer_id")
    log = small_base.to_pandas()
    log = log[log["timestamp"] < pd.Timestamp(CUTOFF)]
    log = log.assign(day=log["timestamp"].dt.normalize())
    daily = log.groupby(["customer_id", "day"]).agg(amount=("amount", "sum"), first=("timestamp", "min")).reset_index()
    daily = daily[daily["amount"] > 1e-9]
    gaps = daily.groupby("customer_id")["first"].diff().dt.total_seconds() / 86400
    medians = gaps.groupby(daily["customer_id"]).median()
    pd.testing.assert_series_equal(
        frame["usual_gap_days"], medians, check_names=False, check_index_type=False, rtol=1e-9
    )


def test_a_hand_worked_customer_history(tmp_path, pareto, make_plan):
    """Purchases of 100 and 50 a hundred days apart, a refund of 30; margin 30 %, cost 0.5 per 30 days, 10 % a year."""
    log = tmp_path / "log.csv"
    log.write_text(
        "customer_id,timestamp,amount,channel\na,2021-01-01,100,web\na,2021-04-11,50,web\na,2021-05-01,-30,web\n"
        "b,2021-01-05,10,store\n"
    )
    plan = make_plan(terms={"refund_share": 0.0})
    data = with_terms(pareto.config.data, plan.terms)
    store = open_log(type(data)(**vars(data) | {"transactions": (str(log),)}), tmp_path / "work")
    row = frame_of(value_store(pareto, store, plan, tmp_path / "v.parquet")).iloc[0]
    alive = row["alive_probability"]
    lived = 100 + alive * 81
    assert row["historic_value"] == pytest.approx(0.3 * 120 - 0.5 / 30 * lived)
    d = RATE
    annuity = lambda days: (1 - math.exp(-d * days)) / d  # noqa: E731
    past = 0.3 * (100 + 50 * math.exp(-100 * d) - 30 * math.exp(-120 * d))
    past -= 0.5 / 30 * (annuity(100) + alive * (annuity(181) - annuity(100)))
    assert row["value_from_acquisition"] == pytest.approx(past + math.exp(-181 * d) * row["residual_value"])
    assert row["clv_to_cac"] == pytest.approx(row["value_from_acquisition"] / 20)
    assert row["payback_days"] == 0.0  # the first purchase earned 30 and cost 20
    assert row["cohort"] == "2021-01"


def test_payback_is_where_the_expected_value_reaches_the_cost(small_store, pareto, make_plan, tmp_path, forecasts):
    """Solved on the closed form: a day earlier too little is earned, a day later enough."""
    cost = 400.0
    plan = make_plan(costs=Costs({}, cost), terms={"service_cost": 0.0})
    frame = frame_of(value_store(pareto, small_store, plan, tmp_path / "v.parquet")).drop_duplicates("customer_id")
    age = ((pd.Timestamp(CUTOFF) - frame["first_purchase"]).dt.total_seconds() / 86400).to_numpy()
    keep = 0.3 * (
        1 - json.loads(companion(tmp_path / "v.parquet", "manifest").read_text())["economics"]["refund_share"]
    )
    past = (frame["value_from_acquisition"] - np.exp(-RATE * age) * frame["residual_value"]).to_numpy()

    def earned(i, days):
        future = keep * forecasts["pareto_nbd"].discounted_spend([days], RATE)[i, 0]
        return past[i] + math.exp(-RATE * age[i]) * future

    payback = frame["payback_days"].to_numpy()
    later = np.flatnonzero((payback > age + 1) & (payback < 3650))
    assert len(later) > 5
    for i in later[:: max(len(later) // 12, 1)]:
        assert earned(i, payback[i] - age[i] - 1) < cost <= earned(i, payback[i] - age[i] + 1)
    never = np.flatnonzero(np.isnan(payback))
    assert len(never) > 5
    assert all(earned(i, 10_957.0) < cost for i in never)


def test_the_highest_affordable_cost_is_the_mean_value_from_acquisition(valued):
    frame = frame_of(valued["network"]).drop_duplicates("customer_id")
    rows = pd.DataFrame(valued["network"].totals["acquisition"])
    for (channel, cohort), part in frame.groupby(["channel", "cohort"]):
        row = rows[(rows["channel"] == channel) & (rows["cohort"] == cohort)].iloc[0]
        assert row["customers"] == len(part)
        assert row["highest_affordable_cost"] == pytest.approx(part["value_from_acquisition"].mean())
    everyone = rows[(rows["channel"] == "web") & (rows["cohort"] == "all")].iloc[0]
    web = frame[frame["channel"] == "web"]
    assert everyone["highest_affordable_cost"] == pytest.approx(web["value_from_acquisition"].mean())
    assert everyone["clv_to_cac"] == pytest.approx(web["value_from_acquisition"].mean() / 20)
    assert rows[rows["channel"] == "app"]["acquisition_cost"].isna().all()  # no cost was stated for it


@BOTH
def test_small_chunks_give_the_same_values(
    kind, valued, small_store, small_bundle, pareto, make_plan, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_CUSTOMERS", 37)
    model = small_bundle if kind == "network" else pareto
    many = value_store(model, small_store, make_plan(), tmp_path / "v.parquet")
    one, other = frame_of(many), frame_of(valued[kind])
    pd.testing.assert_frame_equal(one.drop(columns="tier"), other.drop(columns="tier"), rtol=1e-4, atol=1e-5)
    moved = one["tier"] != other["tier"]  # whoever stands at a boundary may be a rounding before or behind it
    assert moved.sum() <= len(many.tiers.bounds) * one["horizon_days"].nunique()
    old, new = (pd.DataFrame(v.totals["acquisition"]) for v in (valued[kind], many))
    pd.testing.assert_frame_equal(new, old, rtol=1e-4)


def test_events_at_or_after_the_cutoff_change_no_value(small_base, small_bundle, small_config, make_plan, tmp_path):
    frame = small_base.to_pandas()
    written = []
    for name, part in (("all", frame), ("before", frame[frame["timestamp"] < pd.Timestamp(CUTOFF)])):
        part.to_parquet(tmp_path / f"{name}.parquet")
        data = with_terms(small_config.data, make_plan().terms)
        data = type(data)(**vars(data) | {"transactions": (str(tmp_path / f"{name}.parquet"),)})
        store = open_log(data, tmp_path / name)
        written.append(frame_of(value_store(small_bundle, store, make_plan(), tmp_path / f"{name}-values.parquet")))
    pd.testing.assert_frame_equal(*written, check_exact=True)


def test_margins_of_lines_give_each_customer_an_own_rate(small_base, small_config, pareto, make_plan, tmp_path):
    frame = small_base.to_pandas()
    rich = (
        frame["customer_id"] < frame["customer_id"].median()
        if False
        else frame["customer_id"].str[-1].isin(list("02468"))
    )
    frame["margin"] = frame["amount"] * np.where(rich, 0.5, 0.1)
    frame.to_parquet(tmp_path / "log.parquet")
    plan = make_plan(terms={"margin_column": "margin"})
    data = with_terms(pareto.config.data, plan.terms)
    store = open_log(type(data)(**vars(data) | {"transactions": (str(tmp_path / "log.parquet"),)}), tmp_path / "work")
    values = frame_of(value_store(pareto, store, plan, tmp_path / "v.parquet")).drop_duplicates("customer_id")
    even = values["customer_id"].str[-1].isin(list("02468"))
    n = values["historic_transactions"]
    base = json.loads(companion(tmp_path / "v.parquet", "manifest").read_text())["economics"]["margin"]
    expected = (n * np.where(even, 0.5, 0.1) + base) / (n + 1)  # the base counts as one more purchase
    np.testing.assert_allclose(values["margin_rate"], expected, rtol=1e-9)


def test_without_discounting_a_residual_that_may_have_no_end_is_refused(pareto, small_store, make_plan, tmp_path):
    with pytest.raises(InputError, match="more than a century"):  # s is small: some never leave
        value_store(pareto, small_store, make_plan(terms={"discount_rate": 0.0}), tmp_path / "v.parquet")
    assert not (tmp_path / "v.parquet").exists()
    plan = make_plan(terms={"discount_rate": 0.0, "residual": False})
    values = frame_of(value_store(pareto, small_store, plan, tmp_path / "v.parquet"))
    assert values["residual_value"].isna().all()
    np.testing.assert_allclose(values["discounted_spend"], values["expected_spend"], rtol=1e-6)


def test_mixed_currencies_are_refused(small_base, pareto, make_plan, tmp_path):
    frame = small_base.to_pandas()
    frame["currency"] = np.where(frame.index % 2, "EUR", "USD")
    frame.to_parquet(tmp_path / "log.parquet")
    plan = make_plan(terms={"currency_column": "currency", "currency": None})
    data = with_terms(pareto.config.data, plan.terms)
    store = open_log(type(data)(**vars(data) | {"transactions": (str(tmp_path / "log.parquet"),)}), tmp_path / "work")
    with pytest.raises(InputError, match=r"one currency.*EUR, USD"):
        value_store(pareto, store, plan, tmp_path / "v.parquet")


def test_one_currency_in_the_log_is_that_of_the_values(small_base, pareto, make_plan, tmp_path):
    frame = small_base.to_pandas().assign(currency="CHF")
    frame.to_parquet(tmp_path / "log.parquet")
    plan = make_plan(terms={"currency_column": "currency", "currency": None})
    data = with_terms(pareto.config.data, plan.terms)
    store = open_log(type(data)(**vars(data) | {"transactions": (str(tmp_path / "log.parquet"),)}), tmp_path / "work")
    assert frame_of(value_store(pareto, store, plan, tmp_path / "v.parquet"))["currency"].unique().tolist() == ["CHF"]
    with pytest.raises(InputError, match=r"CHF.*--currency says EUR"):
        value_store(pareto, store, make_plan(terms={"currency_column": "currency"}), tmp_path / "v.parquet")


@pytest.mark.parametrize(
    "terms",
    [
        {"margin": 1.5},
        {"refund_share": -0.1},
        {"service_cost": -1},
        {"discount_rate": -0.1},
        {"service_cost_period_days": 0},
    ],
)
def test_terms_out_of_range_are_refused_in_a_sentence(terms):
    with pytest.raises(InputError, match="but it is"):
        Terms(**terms)


def test_nobody_before_the_cutoff_is_said_and_nothing_is_written(small_bundle, small_store, make_plan, tmp_path):
    with pytest.raises(InputError, match="nobody bought before"):
        value_store(small_bundle, small_store, make_plan(cutoff=instant("1999-01-01")), tmp_path / "o" / "v.parquet")
    assert not (tmp_path / "o").exists()


def test_customers_keep_the_tier_of_the_previous_valuation(valued, small_bundle, small_store, make_plan, tmp_path):
    """Boundaries 10 % lower would move some; within the tolerance everybody stays."""
    tiers = small_bundle.tiers
    moved = replace(tiers, bounds=tuple(0.9 * bound for bound in tiers.bounds))
    before = frame_of(valued["network"])["tier"]
    free = value_store(small_bundle, small_store, make_plan(tiers=moved), tmp_path / "free.parquet")
    assert (frame_of(free)["tier"] != before).any()
    plan = make_plan(tiers=moved, previous=valued["network"].out)
    kept = value_store(small_bundle, small_store, plan, tmp_path / "kept.parquet")
    assert (frame_of(kept)["tier"] == before).all()
    with pytest.raises(InputError, match="store boundaries first"):
        value_store(
            small_bundle, small_store, make_plan(new_tiers=True, previous=valued["network"].out), tmp_path / "x.parquet"
        )
