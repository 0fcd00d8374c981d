"""The audit: what it says is what a reader would compute by hand, and its verdict is the right word."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from seqclv.config import DataConfig
from seqclv.data.profile import input_profile, input_table
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.evaluation.audit import AuditPlan, audit
from seqclv.scoring import score_log

CUTOFF = "2021-07-01"


@pytest.fixture(scope="module")
def forecasts(small_bundle, small_log, tmp_path_factory):
    out = tmp_path_factory.mktemp("forecasts") / "forecasts.parquet"
    data = DataConfig(transactions=(str(small_log),), categorical=("category",))
    score_log(small_bundle, data, instant(CUTOFF), [30, 90, 365], out)
    return out


@pytest.fixture
def log(small_log):
    return DataConfig(transactions=(str(small_log),))


@pytest.fixture(scope="module")
def happened(small_base):
    """Purchases and spend of each customer in the 90 days, by pandas."""
    frame = small_base.to_pandas()
    frame = frame[(frame["timestamp"] >= CUTOFF) & (frame["timestamp"] < "2021-09-29")]
    daily = frame.groupby(["customer_id", frame["timestamp"].dt.floor("D")])["amount"].sum().rename("amount")
    daily = daily[daily > 1e-9].reset_index()
    return daily.groupby("customer_id")["amount"].agg(["size", "sum"])


def joined(forecasts, happened):
    rows = pq.read_table(forecasts).to_pandas().query("horizon_days == 90").set_index("customer_id")
    return rows.join(happened).fillna({"size": 0, "sum": 0.0})


def test_each_figure_is_what_pandas_makes_of_forecasts_and_log(forecasts, log, happened):
    document = audit(AuditPlan(forecasts=forecasts), log)
    figures = document["horizons"][1]
    rows = joined(forecasts, happened)
    assert figures["customers"] == len(rows)
    assert figures["spend"]["forecast"] == pytest.approx(rows["expected_spend"].sum())
    assert figures["spend"]["actual"] == pytest.approx(rows["sum"].sum())
    assert figures["spend"]["bias"] == pytest.approx(rows["expected_spend"].sum() / rows["sum"].sum() - 1)
    assert figures["transactions"]["actual"] == rows["size"].sum()
    assert figures["churn"]["actual"] == pytest.approx((rows["size"] == 0).mean())
    assert figures["churn"]["auc"] == pytest.approx(roc_auc_score(rows["size"] == 0, rows["churn_probability"]))
    inside = rows["sum"].between(rows["spend_q05"], rows["spend_q95"])
    assert figures["spend"]["coverage_90"] == pytest.approx(inside.mean())
    low, high = figures["intervals"]["spend_bias"]
    assert low < figures["spend"]["bias"] < high


def test_a_window_that_is_not_whole_is_named_and_not_judged(forecasts, log):
    document = audit(AuditPlan(forecasts=forecasts), log)
    assert [row["horizon_days"] for row in document["horizons"]] == [30, 90]
    assert document["immature"] == [{"horizon_days": 365.0, "whole_on": "2022-07-01"}]
    assert document["judged_horizon_days"] == 90


def test_forecasts_without_a_whole_window_are_refused(forecasts, small_base, tmp_path):
    table = small_base.filter(pa.compute.less(small_base["timestamp"], pd.Timestamp("2021-07-20")))
    pq.write_table(table, tmp_path / "early.parquet")
    with pytest.raises(InputError, match="is whole on 2021-07-31 and the log ends on 2021-07-1"):
        audit(AuditPlan(forecasts=forecasts), DataConfig(transactions=(str(tmp_path / "early.parquet"),)))


def test_a_customer_whom_the_log_does_not_name_bought_nothing(forecasts, small_base, happened, tmp_path):
    gone = happened.index[0]
    table = small_base.filter(pa.compute.not_equal(small_base["customer_id"], gone))
    pq.write_table(table, tmp_path / "log.parquet")
    document = audit(AuditPlan(forecasts=forecasts), DataConfig(transactions=(str(tmp_path / "log.parquet"),)))
    rows = joined(forecasts, happened.drop(gone))
    assert document["horizons"][1]["customers"] == len(rows)
    assert document["horizons"][1]["spend"]["actual"] == pytest.approx(rows["sum"].sum())
    assert "gini_of_past_spend" not in document["horizons"][1]["spend"]  # that past is not whole
    assert document["vintages"] is None


def test_another_companys_log_is_refused(forecasts, small_base, tmp_path):
    table = small_base.set_column(0, "customer_id", pa.array([f"x{i}" for i in range(len(small_base))]))
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(InputError, match="names none of those"):
        audit(AuditPlan(forecasts=forecasts), DataConfig(transactions=(str(tmp_path / "log.parquet"),)))


def test_what_is_no_forecasts_file_is_refused(forecasts, log, small_log, tmp_path):
    with pytest.raises(InputError, match="lacks cutoff"):
        audit(AuditPlan(forecasts=small_log), log)
    with pytest.raises(InputError, match="cannot be read"):
        audit(AuditPlan(forecasts=tmp_path / "absent.parquet"), log)
    frame = pq.read_table(forecasts).to_pandas()
    other = frame.assign(cutoff=frame["cutoff"] + pd.Timedelta(days=1))
    pd.concat([frame, other]).to_parquet(tmp_path / "two.parquet")
    with pytest.raises(InputError, match="2 "):
        audit(AuditPlan(forecasts=tmp_path / "two.parquet"), log)


def test_segments_and_vintages_add_up_to_the_base(forecasts, log, small_base):
    frame = pq.read_table(forecasts).to_pandas()
    frame["tier"] = np.where(frame["expected_spend"] > frame["expected_spend"].median(), "high", "low")
    tiered = forecasts.with_name("tiered.parquet")
    frame.to_parquet(tiered)
    document = audit(AuditPlan(forecasts=tiered, segment_by=("tier", "category")), log)
    whole = document["horizons"][1]
    assert [table["by"] for table in document["segments"]] == ["tier", "category"]
    for table in [*document["segments"], document["vintages"]]:
        assert sum(row["customers"] for row in table["rows"]) == whole["customers"]
        assert sum(row["spend_actual"] for row in table["rows"]) == pytest.approx(whole["spend"]["actual"])
        assert sum(row["spend_forecast"] for row in table["rows"]) == pytest.approx(whole["spend"]["forecast"])
    first = small_base.to_pandas().query("amount > 0").groupby("customer_id")["timestamp"].min()
    known = first[first < CUTOFF]
    assert len(document["vintages"]["rows"]) == known.dt.to_period("M").nunique()
    with pytest.raises(InputError, match="colour"):
        audit(AuditPlan(forecasts=tiered, segment_by=("colour",)), log)


def test_the_models_own_figures_and_inputs_stand_beside(forecasts, log, small_bundle, small_events):
    cutoff = instant(CUTOFF)
    plain = audit(AuditPlan(forecasts=forecasts), log)
    assert plain["champion"] is None
    assert plain["drift"]["basis"] == "cutoff"
    assert plain["model"]["version"] == small_bundle.version
    assert small_bundle.inputs == input_profile(input_table(history(small_events, cutoff, "1d"), cutoff))
    own = {"transactions": {"bias": 0.1}, "spend": {"gini": 0.9, "bias": 0.1}, "churn": {"auc": 0.95}}
    metrics = {"cutoff": CUTOFF, "customers": 10_000, "horizon_days": 90.0, "models": {"seqclv": own}}
    document = audit(AuditPlan(forecasts=forecasts, model=small_bundle.with_metrics(metrics)), log)
    assert document["champion"]["sections"]["churn"]["auc"] == 0.95
    assert document["drift"]["basis"] == "training"
    assert document["model"]["given_model_made_them"] is True
    assert document["verdict"]["word"] == "retrain"
    assert any("was 0.950 at training" in reason for reason in document["verdict"]["reasons"])
    other = replace(small_bundle.with_metrics({**metrics, "horizon_days": 300.0}))
    assert not any(
        "training time" in reason
        for reason in audit(AuditPlan(forecasts=forecasts, model=other), log)["verdict"]["reasons"]
    )


def simulated(directory, *, customers=3000, seed=0):
    """A base of Poisson buyers who arrive evenly over 1825 days; their true forecasts for 90 days from day 1735 on."""
    random = np.random.default_rng(seed)
    rate, mean = random.gamma(0.8, 0.02, customers) + 1e-3, random.gamma(4.0, 10.0, customers)
    arrival = np.sort(random.uniform(0, 1825, customers))
    number = 1 + random.poisson(rate * (1825 - arrival))
    owner = np.repeat(np.arange(customers), number)
    day = arrival[owner] + (1825 - arrival[owner]) * random.random(len(owner))
    day[np.cumsum(number) - number] = arrival
    ids = np.asarray([f"c{i:05}" for i in range(customers)])
    stamp = pd.Timestamp("2019-01-01") + pd.to_timedelta(np.append(day, 1824.9), unit="D")
    amount = np.append(random.gamma(2, mean[owner] / 2), 1.0)
    log = pd.DataFrame({"customer_id": np.append(ids[owner], "last"), "timestamp": stamp, "amount": amount})
    log.to_parquet(directory / "log.parquet")
    truth = pd.DataFrame(
        {
            "customer_id": ids,
            "cutoff": pd.Timestamp("2019-01-01") + pd.Timedelta(days=1735),
            "horizon_days": 90.0,
            "expected_transactions": 90 * (1 - np.exp(-rate)),  # purchases of one day are one
            "expected_spend": 90 * rate * mean,
            "churn_probability": np.exp(-90 * rate),
        }
    )
    return truth[arrival < 1735], DataConfig(transactions=(str(directory / "log.parquet"),))


def word(frame, log, directory):
    frame.to_parquet(directory / "forecasts.parquet")
    return audit(AuditPlan(forecasts=directory / "forecasts.parquet"), log)["verdict"]["word"]


def test_the_verdict_is_the_right_word(tmp_path):
    truth, log = simulated(tmp_path)
    assert word(truth, log, tmp_path) == "keep"
    scaled = truth.assign(expected_spend=1.4 * truth["expected_spend"])
    shy = truth.assign(churn_probability=truth["churn_probability"] ** 2)
    order = np.random.default_rng(0).permutation(len(truth))
    columns = ["expected_transactions", "expected_spend", "churn_probability"]
    shuffled = truth.assign(**{name: truth[name].to_numpy()[order] for name in columns})
    assert word(scaled, log, tmp_path) == "recalibrate"
    assert word(shy, log, tmp_path) == "recalibrate"
    assert word(shuffled, log, tmp_path) == "retrain"


@pytest.mark.parametrize("seed", range(6))
def test_chance_in_a_small_base_costs_no_retraining(seed, tmp_path):
    truth, log = simulated(tmp_path, customers=150, seed=seed)
    assert word(truth, log, tmp_path) == "keep"


def test_the_document_is_json(forecasts, log):
    document = audit(AuditPlan(forecasts=forecasts, segment_by=("category",)), log)
    assert json.loads(json.dumps(document, allow_nan=False))["verdict"] == document["verdict"]


def test_customers_without_a_value_are_a_group_of_their_own(forecasts, log, tmp_path):
    table = pq.read_table(forecasts)
    words = pa.array([None if i % 7 == 0 else "ab"[i % 2] for i in range(len(table) // 3)])
    table = table.append_column("tier", words.take(pa.array(np.repeat(np.arange(len(words)), 3))))
    table = table.append_column("all_empty", pa.nulls(len(table), pa.string()))
    pq.write_table(table, tmp_path / "segmented.parquet")
    document = audit(AuditPlan(forecasts=tmp_path / "segmented.parquet", segment_by=("tier", "all_empty")), log)
    by_tier, empty = document["segments"]
    counted = pd.Series(words.to_pylist()).fillna("(none)").value_counts()
    assert {row["name"]: row["customers"] for row in by_tier["rows"]} == counted.to_dict()
    assert [row["name"] for row in empty["rows"]] == ["(none)"]


def test_numbers_are_grouped_by_quarters_of_the_base(small_events):
    from seqclv.evaluation.groups import attribute_groups

    past = history(small_events, instant(CUTOFF), "1d")
    age = np.arange(past.customers, dtype=float)
    age[0] = np.nan
    found = attribute_groups("age", past.customer_id, replace(past, static_numeric={"age": age}))
    assert len(found.names) == 5
    assert found.names[found.index[0]] == "(none)"
    sizes = np.bincount(found.index)
    assert sizes.max() - sorted(sizes)[1] <= 1
    place = found.names.index(next(name for name in found.names if name.startswith("below")))
    assert age[found.index == place].max() < 1 + len(age) / 4
