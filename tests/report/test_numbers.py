"""Each number of a report follows from forecasts, values and log: recomputed here with pandas, by other code."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from seqclv.api import score
from seqclv.bundle import load_bundle
from seqclv.data.windows import instant
from seqclv.report.worth import level_spread
from seqclv.scoring import load
from seqclv.value.lists import ListPlan, make_lists
from seqclv.value.log import value_log
from seqclv.value.money import Terms
from seqclv.value.run import Plan

HORIZONS = [30.0, 90.0, 180.0]


@pytest.fixture(scope="module")
def written(small_backtest, small_data, tmp_path_factory):
    """Forecasts and values as the commands write them, at the cutoff of the report on the model."""
    directory = tmp_path_factory.mktemp("written")
    bundle = load_bundle(small_backtest / "2021-07-01" / "bundle")
    score(bundle, small_data, "2022-01-01", HORIZONS, directory / "forecasts.parquet")
    terms = Terms(margin=0.4, discount_rate=0.1, currency="EUR")
    plan = Plan(cutoff=instant("2022-01-01"), horizons_days=HORIZONS, terms=terms)
    value_log(bundle, small_data, plan, directory / "values.parquet")
    return directory


@pytest.fixture(scope="module")
def rows(written):
    """One row per customer of the 90 days."""
    forecasts = pq.read_table(written / "forecasts.parquet").to_pandas().query("horizon_days == 90")
    values = pq.read_table(written / "values.parquet").to_pandas().query("horizon_days == 90")
    new = ["customer_id", *(name for name in values.columns if name not in forecasts.columns)]
    return forecasts.merge(values[new], on="customer_id")


@pytest.fixture(scope="module")
def purchases(small_base):
    """Purchase days of the log, by pandas."""
    frame = small_base.to_pandas()
    daily = frame.groupby(["customer_id", frame["timestamp"].dt.floor("D").rename("day")])["amount"].sum()
    return daily[daily > 1e-9].reset_index()


def in_window(purchases, ids, start, days):
    """Purchases and spend of customers in a window that begins at midnight, in the order of their ids."""
    end = pd.Timestamp(start) + pd.Timedelta(days=days)
    inside = purchases[(purchases["day"] >= start) & (purchases["day"] < end)]
    found = inside.groupby("customer_id")["amount"].agg(["size", "sum"])
    return found.reindex(ids).fillna(0.0)


def test_the_money_is_the_sum_over_forecasts_and_values(model_report, rows, written):
    document = model_report[1]
    assert document["money"]["customers"] == len(rows)
    expected = {
        "spend": rows["expected_spend"].sum(),
        "transactions": rows["expected_transactions"].sum(),
        "buyers": (1 - rows["churn_probability"]).sum(),
        "churn_mean": rows["churn_probability"].mean(),
        "value": rows["value"].sum(),
        "worth_median": rows["value"].median(),
        "value_at_risk": rows["value_at_risk"].sum(),
        "residual_value": rows["residual_value"].sum(),
    }
    for name, value in expected.items():
        assert document["money"][name] == pytest.approx(value), name
    forecasts = pq.read_table(written / "forecasts.parquet").to_pandas()
    for row in document["horizons"]:
        part = forecasts[forecasts["horizon_days"] == row["horizon_days"]]
        assert row["spend"] == pytest.approx(part["expected_spend"].sum())
        assert row["low"] < row["spend"] < row["high"]
    assert [row["horizon_days"] for row in document["horizons"]] == HORIZONS


def test_the_range_of_the_total_holds_the_error_that_customers_share(model_report, small_backtest):
    document = model_report[1]
    spread = load_bundle(small_backtest / "2021-07-01" / "bundle").calibration.spread.spend
    assert document["about"]["level_spread"] == spread > 0
    row = next(row for row in document["horizons"] if row["horizon_days"] == 90)
    assert (row["high"] - row["low"]) / row["spend"] > 2 * 1.5 * spread  # and the customers' own chance


def test_without_a_calibration_the_held_out_windows_give_the_spread():
    windows = [{"transactions": {"bias": 0.0}, "spend": {"bias": miss}} for miss in (0.25, -0.2)]
    assert level_spread(windows).spend == pytest.approx(np.sqrt((0.2**2 + 0.25**2) / 2))  # 1/1.25 - 1 and 1/0.8 - 1
    assert level_spread(windows).transactions == 0
    assert level_spread([]) is None
    assert level_spread([{"transactions": {"bias": None}, "spend": {"bias": None}}]) is None


def test_who_brings_eighty_percent(model_report, rows):
    worth = rows["value"].sort_values(ascending=False).clip(lower=0)
    needed = int((worth.cumsum() < 0.8 * worth.sum()).sum()) + 1
    section = model_report[1]["concentration"]
    assert section["customers_needed"] == needed
    assert section["share_needed"] == pytest.approx(needed / len(rows))
    assert section["top_tenth"] == pytest.approx(worth.head(round(0.1 * len(rows))).sum() / worth.sum())
    assert section["curve"]["worth"][0] == 0
    assert section["curve"]["worth"][-1] == pytest.approx(1)


def test_bands_hold_every_customer_once(model_report, rows):
    bands = model_report[1]["distribution"]
    assert len(bands) <= 9
    for band in bands:
        low = -np.inf if band["from"] is None else band["from"]
        high = np.inf if band["below"] is None else band["below"]
        inside = rows[(rows["value"] >= low) & (rows["value"] < high)]
        assert band["customers"] == len(inside)
        assert band["worth"] == pytest.approx(inside["value"].sum())
    assert sum(band["customers"] for band in bands) == len(rows)


def test_the_best_and_those_at_risk_are_the_first_of_the_sorted_table(model_report, rows):
    document = model_report[1]
    best = rows.sort_values(["value", "customer_id"], ascending=[False, True]).head(10)
    assert [row["customer_id"] for row in document["best"]] == best["customer_id"].tolist()
    assert document["best"][0]["spend_q95"] == pytest.approx(best["spend_q95"].iloc[0])
    there = rows[rows["stage"] != "lost"].sort_values(["value_at_risk", "customer_id"], ascending=[False, True])
    losing = document["losing"]
    assert [row["customer_id"] for row in losing["rows"]] == there["customer_id"].head(10).tolist()
    assert losing["value_at_risk"] == pytest.approx(there["value_at_risk"].sum())
    assert losing["lost_already"] == (rows["stage"] == "lost").sum()
    assert losing["expected_to_leave"] == pytest.approx(rows["churn_probability"].sum())
    half = losing["customers_with_half"]
    assert there["value_at_risk"].head(half).sum() >= there["value_at_risk"].sum() / 2
    assert there["value_at_risk"].head(half - 1).sum() < there["value_at_risk"].sum() / 2
    assert losing["curve"]["value_at_risk"][-1] == pytest.approx(there["value_at_risk"].sum())


def test_the_matrix_is_the_cross_table_of_tiers_and_stages(model_report, rows):
    matrix = model_report[1]["matrix"]
    counts = rows.groupby(["tier", "stage"]).size()
    money = rows.groupby(["tier", "stage"])["value"].sum()
    for tier, cells in zip(matrix["tiers"], matrix["cells"], strict=True):
        for stage, cell in zip(matrix["stages"], cells, strict=True):
            assert cell["customers"] == counts.get((tier, stage), 0)
            assert cell["worth"] == pytest.approx(money.get((tier, stage), 0.0))
    assert matrix["all"]["customers"] == len(rows)
    assert sum(cell["customers"] for cell in matrix["by_stage"]) == len(rows)


def test_cohorts_are_the_months_of_the_first_purchase(model_report, rows, purchases):
    known = purchases[purchases["day"] < "2022-01-01"]
    by = known.groupby("customer_id")
    frame = rows.set_index("customer_id").assign(
        month=by["day"].min().dt.to_period("M").astype(str), spent=by["amount"].sum(), times=by.size()
    )
    cohorts = model_report[1]["cohorts"]
    assert [row["name"] for row in cohorts] == sorted(frame["month"].unique())
    for row in cohorts:
        part = frame[frame["month"] == row["name"]]
        assert row["customers"] == len(part)
        assert row["historic_spend_mean"] == pytest.approx(part["spent"].mean())
        assert row["bought_again"] == pytest.approx((part["times"] > 1).mean())
        assert row["worth"] == pytest.approx(part["value"].sum())
        assert row["buys_again"] == pytest.approx(1 - part["churn_probability"].mean())


def test_the_lists_are_those_of_the_command(model_report, written):
    plan = ListPlan(contacts=20, control_share=0.1, horizon_days=90.0)
    lists = make_lists(written / "values.parquet", plan).to_pandas()
    for entry in model_report[1]["lists"]:
        part = lists[lists["list"] == entry["name"]]
        contacts = part[part["group"] != "control"]
        assert entry["customers"] == len(part)
        assert entry["value_at_risk"] == pytest.approx(contacts["value_at_risk"].sum())
        assert [row["customer_id"] for row in entry["rows"]] == contacts["customer_id"].head(5).tolist()
    assert [entry["name"] for entry in model_report[1]["lists"]] == list(lists["list"].unique())
    assert next(e for e in model_report[1]["lists"] if e["name"] == "retention")["contact"] == 20


@pytest.mark.parametrize("which", ["model_report", "backtest_report"])
def test_the_held_out_past_is_what_forecasts_and_log_say(which, request, small_backtest, purchases):
    document = request.getfixturevalue(which)[1]
    rows = pq.read_table(small_backtest / "2021-07-01" / "forecasts.parquet").to_pandas()
    happened = in_window(purchases, rows["customer_id"], "2021-07-01", 90)
    spend, number = happened["sum"].to_numpy(), happened["size"].to_numpy()
    held = document["held_out"]
    assert held["customers"] == len(rows)
    assert held["actual_spend"] == pytest.approx(spend.sum())
    assert held["spend_bias"] == pytest.approx(rows["expected_spend"].sum() / spend.sum() - 1)
    assert held["actual_churn"] == pytest.approx((number == 0).mean())
    assert held["churn_auc"] == pytest.approx(roc_auc_score(number == 0, rows["churn_probability"]))
    inside = (spend >= rows["spend_q05"]) & (spend <= rows["spend_q95"])
    assert held["coverage_90"] == pytest.approx(inside.mean())
    order = np.argsort(rows["expected_spend"].to_numpy(), kind="stable")
    for row, part in zip(held["deciles"], np.array_split(order, 10), strict=True):
        assert row["forecast"] == pytest.approx(rows["expected_spend"].to_numpy()[part].mean())
        assert row["actual"] == pytest.approx(spend[part].mean())
    order = np.argsort(rows["churn_probability"].to_numpy(), kind="stable")
    for row, part in zip(held["reliability"], np.array_split(order, 10), strict=True):
        assert row["forecast"] == pytest.approx(rows["churn_probability"].to_numpy()[part].mean())
        assert row["actual"] == pytest.approx((number == 0)[part].mean())
        assert row["low"] <= row["actual"] <= row["high"]
    before = purchases[purchases["day"] < "2021-07-01"].groupby("customer_id").size().reindex(rows["customer_id"])
    once = (before == 1).to_numpy()
    first = held["by_purchases"]["rows"][0]
    assert (first["name"], first["customers"]) == ("1", once.sum())
    assert first["spend_actual"] == pytest.approx(spend[once].sum())
    assert first["spend_forecast"] == pytest.approx(rows["expected_spend"].to_numpy()[once].sum())


def test_the_track_is_that_of_the_log_and_the_model(backtest_report, small_backtest, small_log, purchases):
    track = backtest_report[1]["held_out"]["tracking"]
    rows = pq.read_table(small_backtest / "2021-07-01" / "forecasts.parquet").to_pandas()
    assert track["days"][-1] == 90
    assert track["actual"][-1] == in_window(purchases, rows["customer_id"], "2021-07-01", 90)["size"].sum()
    assert track["forecasts"]["seqclv"][-1] == pytest.approx(rows["expected_transactions"].sum())
    middle = len(track["days"]) // 2 - 1  # 45 days: 2021-08-15 begins there
    assert track["days"][middle] == 45
    assert track["actual"][middle] == in_window(purchases, rows["customer_id"], "2021-07-01", 45)["size"].sum()
    early = load(small_backtest / "2021-07-01" / "bundle").forecast(small_log, "2021-07-01", [45.0])
    assert track["forecasts"]["seqclv"][middle] == pytest.approx(early["expected_transactions"].sum())


def test_the_comparison_is_that_of_the_backtest(backtest_report, small_backtest, purchases):
    document = backtest_report[1]
    metrics = json.loads((small_backtest / "metrics.json").read_text())
    for row in document["comparison"]["rows"]:
        found = metrics["models"][row["key"]]
        assert row["spend_gini"] == found["spend"]["gini"]
        assert row["churn_log_loss"] == found["churn"]["log_loss"]
    parts, churned = [], []
    for cutoff in ("2021-03-01", "2021-07-01"):
        rows = pq.read_table(small_backtest / cutoff / "forecasts.parquet").to_pandas()
        parts.append(rows["churn_probability"])
        churned.append(in_window(purchases, rows["customer_id"], cutoff, 90)["size"].to_numpy() == 0)
    own = next(row for row in document["comparison"]["rows"] if row["ours"])
    assert own["churn_log_loss"] == pytest.approx(log_loss(np.concatenate(churned), pd.concat(parts)))
    best = min(row["churn_log_loss"] or np.inf for row in document["comparison"]["rows"])
    leader = next(row["key"] for row in document["comparison"]["rows"] if row["churn_log_loss"] == best)
    assert document["comparison"]["leaders"]["churn_log_loss"] == leader
    assert [row["cutoff"] for row in document["windows"]] == ["2021-03-01", "2021-07-01"]


def test_data_quality_is_that_of_the_store(model_report, small_data, tmp_path):
    from seqclv.data.store import build_store

    assert model_report[1]["data"] == build_store(small_data, tmp_path / "store").info.report


def plain(text):
    return re.sub(r"\s+", " ", text.replace("\u00a0", " "))


def test_the_sentences_say_the_numbers_of_the_tables(model_report):
    document = model_report[1]
    money, best, losing, sure, monday = (plain(sentence) for sentence in document["summary"])
    assert f"{document['money']['spend']:,.0f} EUR" in money
    assert f"{document['money']['value']:,.0f} EUR at a margin of 40% less returns, discounted at 10% a year" in money
    row = next(row for row in document["horizons"] if row["horizon_days"] == 90)
    assert f"between {row['low']:,.0f} and {row['high']:,.0f}" in money
    assert f"The {document['concentration']['customers_needed']} customers" in best
    assert document["best"][0]["customer_id"] in best
    assert f"{round(document['losing']['expected_to_leave']):,} customers" in losing
    own = next(row for row in document["comparison"]["rows"] if row["ours"])
    assert f"{100 * abs(own['spend_bias']):.1f}% too {'high' if own['spend_bias'] > 0 else 'low'}" in sure
    assert "20 customers" in monday


def test_all_numbers_are_finite_and_json(model_report, backtest_report):
    for _, document in (model_report, backtest_report):
        assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
