"""The prior: it forecasts any log at once, in any currency and unit of time, and trainings start from it safely."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import seqclv
from seqclv import prior
from seqclv.cli import main
from seqclv.config import Config, DataConfig, TrainingConfig
from seqclv.data.bases import draw_base
from seqclv.data.events import PURCHASE
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast.forecaster import predict
from seqclv.training.fit import fit_networks
from seqclv.training.start import starting_point

CUTOFF = "2021-07-01"


@pytest.fixture(scope="module")
def shipped():
    return prior.shipped()


@pytest.fixture(scope="module")
def base():
    base = draw_base(np.random.default_rng(21), 250)
    ids = np.asarray([f"{i:04d}" for i in range(base.events.customers)], dtype=object)
    return replace(base, events=replace(base.events, customer_id=ids))


def forecast(shipped, past, cutoff, horizon):
    unmerged = prior.for_log(shipped, DataConfig(merge="none"))
    predictive = predict(prior.shown(unmerged, [past], cutoff), past, cutoff)
    return (
        predictive.expected_transactions([horizon])[:, 0],
        predictive.churn_probability([horizon])[:, 0],
        predictive.expected_spend([horizon])[:, 0],
    )


def test_the_forecast_does_not_depend_on_the_currency(shipped, base):
    count, churn, spend = forecast(shipped, base.history, base.cutoff, 60.0)
    dearer = replace(base.history, amount=base.history.amount * 1_000)
    other_count, other_churn, other_spend = forecast(shipped, dearer, base.cutoff, 60.0)
    np.testing.assert_allclose(other_count, count, rtol=1e-4)
    np.testing.assert_allclose(other_churn, churn, rtol=0, atol=1e-5)
    np.testing.assert_allclose(other_spend, 1_000 * spend, rtol=1e-4)


def test_the_forecast_does_not_depend_on_the_unit_of_time(shipped, base):
    count, churn, spend = forecast(shipped, base.history, base.cutoff, 60.0)
    slower = replace(base.history, timestamp=base.history.timestamp * 7)
    other_count, other_churn, other_spend = forecast(shipped, slower, base.cutoff * 7, 420.0)
    np.testing.assert_allclose(other_count, count, rtol=1e-4)
    np.testing.assert_allclose(other_churn, churn, rtol=0, atol=1e-5)
    np.testing.assert_allclose(other_spend, spend, rtol=1e-4)


def test_score_needs_no_training(small_log, tmp_path, capsys):
    out = tmp_path / "forecasts.parquet"
    arguments = ["score", "--model", "prior", "--transactions", str(small_log), "--cutoff", CUTOFF]
    assert main([*arguments, "--horizons", "30", "365", "--out", str(out), "--quiet"]) == 0
    frame = pq.read_table(out).to_pandas()
    near, far = (frame[frame["horizon_days"] == days].reset_index(drop=True) for days in (30.0, 365.0))
    assert not frame.drop(columns="next_purchase_days_q50").isna().any().any()
    assert (far["churn_probability"] <= near["churn_probability"]).all()
    assert (far["expected_spend"] >= near["expected_spend"]).all()


@pytest.mark.parametrize("command", ["score", "value"])
def test_whoever_asks_the_prior_of_a_tiny_base_hears_that_it_says_little(command, small_base, tmp_path, capsys):
    frame = small_base.to_pandas()
    told = {}
    for customers in (3, 200):
        first = frame.groupby("customer_id")["timestamp"].min().nsmallest(customers).index
        frame[frame["customer_id"].isin(first)].to_parquet(tmp_path / "log.parquet")
        common = ["--model", "prior", "--transactions", str(tmp_path / "log.parquet"), "--cutoff", CUTOFF]
        assert main([command, *common, "--out", str(tmp_path / "out.parquet")]) == 0
        told[customers] = capsys.readouterr().err
    assert "warning: only 3 customers bought before the cutoff" in told[3]
    assert "bought before the cutoff" not in told[200]


def test_value_takes_the_prior_and_values_what_score_forecasts(small_log, tmp_path):
    common = ["--model", "prior", "--transactions", str(small_log), "--cutoff", CUTOFF, "--horizons", "90", "--quiet"]
    assert main(["value", *common, "--out", str(tmp_path / "values.parquet")]) == 0
    assert main(["score", *common, "--out", str(tmp_path / "forecasts.parquet")]) == 0
    values, forecasts = (pq.read_table(tmp_path / f"{name}.parquet").to_pandas() for name in ("values", "forecasts"))
    assert values["customer_id"].tolist() == forecasts["customer_id"].tolist()
    np.testing.assert_allclose(values["expected_transactions"], forecasts["expected_transactions"])
    for name in ("values.parquet.manifest.json", "forecasts.parquet.manifest.json"):
        manifest = json.loads((tmp_path / name).read_text())
        assert (manifest["model"]["kind"], manifest["training_cutoff"]) == ("prior", None)


def test_a_report_by_the_prior_says_that_it_learned_from_no_log(small_log, tmp_path):
    common = ["report", "--model", "prior", "--quiet", "--out"]
    log = ["--transactions", str(small_log), "--cutoff", CUTOFF, "--horizons", "90"]
    assert main([*common, str(tmp_path / "customers.html"), *log]) == 0
    assert main([*common, str(tmp_path / "model.html")]) == 0
    for name in ("customers", "model"):
        page = (tmp_path / f"{name}.html").read_text()
        assert "learned from simulated customer bases, not from a log" in page
        assert "trained on what happened before" not in page


def test_an_audit_takes_the_prior(small_log, tmp_path):
    common = ["--model", "prior", "--transactions", str(small_log), "--quiet"]
    out = tmp_path / "forecasts.parquet"
    assert main(["score", *common, "--cutoff", CUTOFF, "--horizons", "90", "--out", str(out)]) == 0
    assert main(["audit", *common, "--forecasts", str(out), "--out", str(tmp_path / "audit.json")]) == 0


def test_the_command_and_the_call_forecast_alike(small_log, small_base, tmp_path):
    out = tmp_path / "forecasts.parquet"
    seqclv.score("prior", DataConfig(transactions=(str(small_log),)), CUTOFF, [90], out)
    called = seqclv.load("prior").forecast(small_base, CUTOFF, [90])
    pd.testing.assert_frame_equal(called, pq.read_table(out).to_pandas(), check_dtype=False)


def test_no_event_at_or_after_the_cutoff_matters(small_base):
    lines = small_base.to_pandas()
    past = lines[lines["timestamp"] < CUTOFF]
    model = seqclv.load("prior")
    pd.testing.assert_frame_equal(model.forecast(lines, CUTOFF, [90]), model.forecast(past, CUTOFF, [90]))


def test_the_parts_that_a_base_comes_in_do_not_matter(shipped, small_events):
    cutoff = instant(CUTOFF)
    past = history(small_events, cutoff, "1d")
    parts = [past.select(rows) for rows in np.array_split(np.arange(past.customers), 3)]
    assert prior.shown(shipped, parts, cutoff).schema == prior.shown(shipped, [past], cutoff).schema


SMALL_LOGS = {
    "one customer with one purchase": [("a", "2021-03-01", 5.0)],
    "one customer with three purchases": [("a", "2021-03-01", 5.0), ("a", "2021-04-01", 7.0), ("a", "2021-05-11", 5.0)],
    "one-time buyers only": [(f"c{i}", f"2021-0{1 + i % 6}-{1 + i % 27:02d}", 10.0 + i % 7) for i in range(60)],
    "thirty days of history": [
        (f"c{i}", f"2021-06-{day:02d}", 10.0 + (i * day) % 13)
        for i in range(40)
        for day in range(1 + i % 9, 31, 3 + i % 8)
    ],
}


@pytest.mark.filterwarnings("ignore:the last event before")  # a single purchase long before the cutoff
@pytest.mark.parametrize("name", SMALL_LOGS)
def test_small_logs_get_sane_answers(name):
    lines = pd.DataFrame(SMALL_LOGS[name], columns=["customer_id", "timestamp", "amount"])
    lines["timestamp"] = pd.to_datetime(lines["timestamp"])
    frame = seqclv.load("prior").forecast(lines, CUTOFF, [30, 365])
    numbers = frame.drop(columns="next_purchase_days_q50").select_dtypes("number")  # empty where never is likelier
    assert np.isfinite(numbers.to_numpy()).all()
    assert frame["churn_probability"].between(0, 1).all()
    assert frame["expected_transactions"].between(0, 400).all()
    spend = frame["expected_spend"] / frame["expected_transactions"].clip(lower=1e-9)
    assert spend.between(0.2 * lines["amount"].min(), 5 * lines["amount"].max()).all()


def test_one_time_buyers_are_mostly_expected_not_to_come_back():
    lines = pd.DataFrame(SMALL_LOGS["one-time buyers only"], columns=["customer_id", "timestamp", "amount"])
    lines["timestamp"] = pd.to_datetime(lines["timestamp"])
    frame = seqclv.load("prior").forecast(lines, CUTOFF, [180])
    assert frame["churn_probability"].mean() > 0.8
    assert frame["expected_transactions"].mean() < 0.5


def test_a_log_without_purchases_before_the_cutoff_is_refused(small_base):
    with pytest.raises(InputError, match="needs purchases before the cutoff"):
        seqclv.load("prior").forecast(small_base, "2019-01-01", [30])


def test_the_prior_cannot_be_registered(tmp_path):
    with pytest.raises(InputError, match="belongs to one log"):
        seqclv.register(prior.DIRECTORY, "anything", tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture(scope="module")
def unusual_events():
    """Customers as no simulated base has them: two purchases on following days, every three weeks."""
    rows = [
        (f"c{i:03d}", pd.Timestamp("2021-01-01") + pd.Timedelta(days=i % 40 + 21 * n + more), 10.0 + i % 5)
        for i in range(150)
        for n in range(2 + i % 8)
        for more in (0, 1)
    ]
    return events_from_frame(pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"]), DataConfig())


def tuned(events, work, *, ensemble=1, **training):
    cutoff = instant(CUTOFF)
    config = Config(ensemble=ensemble, training=TrainingConfig(max_epochs=3, **training))
    return fit_networks(history(events, cutoff, "1d"), cutoff, horizon_days=90.0, config=config, work=work, quiet=True)


def test_training_starts_from_the_prior_and_learns(unusual_events, tmp_path):
    result = tuned(unusual_events, tmp_path, tuning_steps=20)
    assert result.start == "prior"
    assert result.model.query_size == prior.shipped().config.model.query_size
    assert not torch.equal(result.networks[0].head.weight, prior.shipped().networks[0].head.weight)


def test_the_untrained_prior_is_one_more_network_of_the_average(small_events, tmp_path):
    result = tuned(small_events, tmp_path, tuning_steps=20)
    assert [len(result.networks), len(result.averaged)] == [1, 2]
    assert torch.equal(result.averaged[1].head.weight, prior.shipped().networks[0].head.weight)


def test_weights_stay_the_nearer_to_the_prior_the_fewer_purchases_there_are(unusual_events, tmp_path):
    bought = int((history(unusual_events, instant(CUTOFF), "1d").event_type == PURCHASE).sum())
    began = prior.shipped().networks[0].head.weight
    free, half, held = (
        tuned(unusual_events, tmp_path / str(weight), tuning_steps=20, prior_weight=weight).networks[0].head.weight
        for weight in (0, bought, 10**9)
    )
    moved = free - began
    assert moved.abs().max() > 1e-4
    torch.testing.assert_close(half - began, moved / 2, atol=1e-6, rtol=1e-2)
    torch.testing.assert_close(held, began, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize(("ensemble", "tuned_ones"), [(1, 1), (2, 1), (3, 1), (5, 2)])
def test_half_of_the_networks_begin_at_the_prior_and_the_others_anew_on_its_scales(
    unusual_events, ensemble, tuned_ones
):
    cutoff = instant(CUTOFF)
    start = starting_point(history(unusual_events, cutoff, "1d"), cutoff, Config())
    each = [start.of_network(i, ensemble) for i in range(ensemble)]
    assert [one.tunes for one in each] == [i < tuned_ones for i in range(ensemble)]
    began = prior.shipped().networks[0].head.weight
    assert [torch.equal(one.network().head.weight, began) for one in each] == [one.tunes for one in each]


def test_what_does_not_improve_the_validation_likelihood_is_not_kept(small_events, tmp_path):
    result = tuned(small_events, tmp_path, tuning_steps=20, tuning_rate=30.0)
    assert torch.equal(result.networks[0].head.weight, prior.shipped().networks[0].head.weight)


def test_networks_that_begin_anew_are_kept_beside_the_prior_where_tuned_ones_are_not(small_events, tmp_path):
    result = tuned(small_events, tmp_path, ensemble=2, tuning_steps=20, tuning_rate=30.0, max_steps=4, prior_weight=1)
    kept = [torch.equal(one.head.weight, prior.shipped().networks[0].head.weight) for one in result.networks]
    assert kept == [True, False]


def test_from_scratch_switches_the_prior_off(small_events, tmp_path):
    assert tuned(small_events, tmp_path, max_steps=4, from_prior=False).start == "scratch"


def test_a_base_with_enough_purchases_of_its_own_starts_from_scratch(small_events, tmp_path):
    assert tuned(small_events, tmp_path, max_steps=4, prior_purchases=100).start == "scratch"


def test_scoring_with_the_prior_loads_neither_lightning_nor_mlflow():
    code = (
        "import sys, pandas as pd, seqclv\n"
        "log = pd.DataFrame({'customer_id': ['a'], 'timestamp': pd.to_datetime(['2021-03-01']), 'amount': [5.0]})\n"
        "seqclv.load('prior').forecast(log, '2021-07-01', [30])\n"
        "print({'lightning', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"


def test_the_shipped_weights_are_small_and_their_card_tells_how_they_were_made():
    assert (prior.DIRECTORY / "weights.safetensors").stat().st_size < 20e6
    card = (prior.DIRECTORY / "card.md").read_text()
    assert "scripts/pretrain.py" in card
    assert "Seed" in card
