"""A calendar moves forecasts: learned from the past, told ahead, the same by every way of scoring."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from seqclv import prior
from seqclv.api import make_report
from seqclv.bundle import load_bundle, save_bundle
from seqclv.card import calendar_effects
from seqclv.cli import main
from seqclv.config import CalendarConfig, Config, DataConfig
from seqclv.data.context import schema_like
from seqclv.data.schema import derive_schema
from seqclv.data.simulate import SimulationConfig, simulate, write
from seqclv.data.store import build_store
from seqclv.data.windows import history, instant, outcome
from seqclv.errors import InputError
from seqclv.forecast.drivers import explain
from seqclv.forecast.engines import local
from seqclv.forecast.engines.local import Execution
from seqclv.forecast.engines.spark_tasks import KEY, forecast
from seqclv.forecast.engines.spark_tasks import Model as ShippedModel
from seqclv.forecast.forecaster import predict
from seqclv.model.transfer import started_from, starting_schema
from seqclv.scoring import Model, score_log
from seqclv.tracking.pyfunc import ForecastModel
from seqclv.training.train import train_bundle
from seqclv.value.why import WhyPlan, why_log, why_text

CUTOFF, HORIZON = "2021-04-01", 60.0
AT = instant(CUTOFF)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A log whose purchases double in weeks of a campaign, and its calendar, as files."""
    place = tmp_path_factory.mktemp("shop")
    base = simulate(SimulationConfig(customers=600, seed=5, days=540, mean_events=8, campaign_effect=2.0))
    write(base, place / "log.parquet", calendar=place / "calendar.csv")
    return place


def data_of(shop, calendar="calendar.csv"):
    table = CalendarConfig(files=(str(shop / calendar),), columns=("campaign",))
    return DataConfig(transactions=(str(shop / "log.parquet"),), calendar=table)


@pytest.fixture(scope="module")
def store(shop):
    return build_store(data_of(shop), shop / "store")


@pytest.fixture(scope="module")
def train(store, small_config, tmp_path_factory):
    """Trains a network on the log before the cutoff, with or without its calendar."""

    def trained(calendar):
        past = replace(history(store.read(), AT, "1d"), calendar=calendar)
        training = replace(small_config.training, max_steps=120, max_epochs=40, averaging=0.9)
        config = replace(small_config, training=training, ensemble=1, data=DataConfig())
        work = tmp_path_factory.mktemp("work")
        return train_bundle(past, AT, horizon_days=HORIZON, config=config, fingerprint="f", work=work, quiet=True)[0]

    return trained


@pytest.fixture(scope="module")
def bundle(train, store):
    return train(store.calendar)


def with_campaigns(past, share):
    """The histories with another plan for the days from the cutoff on: campaigns on all of them or on none."""
    calendar = past.calendar
    ahead = calendar.dates >= np.datetime64(CUTOFF)
    values = np.where(ahead[:, None], share, calendar.values)
    return replace(past, calendar=replace(calendar, values=values))


def test_the_effect_is_found_and_named_in_the_card(bundle, tmp_path):
    (row,) = calendar_effects(bundle)
    assert row["name"] == "campaign"
    assert np.log(row["effect"]) == pytest.approx(np.log(2), abs=0.12)
    save_bundle(bundle, tmp_path / "bundle")
    assert f"- days with campaign = 1: purchases x {row['effect']:.2f}" in (tmp_path / "bundle/card.md").read_text()


def test_forecasts_follow_the_plan_and_beat_a_model_without_it(bundle, train, store):
    past = history(store.read(), AT, "1d")
    expected = {share: predict(bundle, with_campaigns(past, share), AT) for share in (0.0, 1.0)}
    quiet, busy = (expected[share].expected_transactions([14.0]).sum() for share in (0.0, 1.0))
    assert busy / quiet == pytest.approx(2.0, abs=0.3)
    blind = train(None)
    misses = []
    for model in (bundle, blind):
        rows = []
        for start in range(0, 56, 7):  # weeks, with and without a campaign
            at = AT + start * 86_400_000_000
            known = history(store.read(), at, "1d")
            actual = outcome(store.read(), known.customer_id, at, 7.0, "1d").transactions.sum()
            rows.append(abs(predict(model, known, at).expected_transactions([7.0]).sum() / actual - 1))
        misses.append(np.mean(rows))
    assert misses[0] < 0.5 * misses[1]


def test_horizons_agree_on_the_calendars_clock(bundle, store):
    predictive = predict(bundle, history(store.read(), AT, "1d"), AT)
    horizons = [1.0, 7.0, 30.5, 200.0, 365.0, 700.0]  # the calendar ends within the fifth
    churn, counts = predictive.churn_probability(horizons), predictive.expected_transactions(horizons)
    assert (np.diff(churn, axis=1) <= 1e-12).all() and (np.diff(counts, axis=1) >= -1e-12).all()
    for column, horizon in enumerate(horizons):
        np.testing.assert_allclose(predictive.transaction_pmf(horizon, 0)[:, 0], churn[:, column], rtol=1e-9)
    np.testing.assert_allclose(predictive.discounted_transactions(horizons, 0.0), counts, rtol=1e-6)


def test_every_way_of_scoring_gives_the_same(bundle, shop, store, tmp_path, monkeypatch):
    save_bundle(bundle, tmp_path / "bundle")
    words = ["--model", tmp_path / "bundle", "--transactions", store.path, "--cutoff", CUTOFF, "--horizons", 30, 90]
    assert main(["score", *map(str, words), "--out", str(tmp_path / "store.parquet"), "--quiet"]) == 0
    expected = pd.read_parquet(tmp_path / "store.parquet")
    score_log(load_bundle(tmp_path / "bundle"), data_of(shop), AT, [30, 90], tmp_path / "raw.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "raw.parquet"), expected)
    log = pd.read_parquet(shop / "log.parquet")
    found = Model(bundle).forecast(log, CUTOFF, [30, 90], calendar=data_of(shop).calendar)
    pd.testing.assert_frame_equal(found, expected)
    files = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    rows = pa.Table.from_pandas(log.assign(**{KEY: log["customer_id"]}).sort_values(KEY), preserve_index=False)
    window = (AT, (30.0, 90.0))
    parts = forecast(rows.to_batches(), ShippedModel(bundle.version, files), DataConfig(), store.calendar, window)
    pd.testing.assert_frame_equal(pa.Table.from_batches(parts).to_pandas(), expected, rtol=1e-6)
    monkeypatch.setattr(local, "WORKER_CUSTOMERS", 1)
    two = Execution(workers=2)
    score_log(bundle, data_of(shop), AT, [30, 90], tmp_path / "workers.parquet", execution=two)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "workers.parquet"), expected)


@pytest.mark.slow
def test_spark_carries_the_calendar_along(spark, bundle, shop, tmp_path):
    for engine in ("local", "spark"):
        score_log(bundle, data_of(shop), AT, [30, 90], tmp_path / f"{engine}.parquet", engine=engine)
    found, expected = (pd.read_parquet(tmp_path / f"{engine}.parquet") for engine in ("spark", "local"))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)


def test_without_its_calendar_a_model_refuses_and_says_what_to_do(bundle, shop, tmp_path, capsys):
    save_bundle(bundle, tmp_path / "bundle")
    words = ["--model", tmp_path / "bundle", "--transactions", shop / "log.parquet", "--cutoff", CUTOFF]
    for engine in ("local", "spark"):
        options = ["--engine", engine, "--out", tmp_path / "f.parquet", "--quiet"]
        assert main(["score", *map(str, [*words, *options])]) == 2
        assert "'campaign': name the table under data.calendar" in capsys.readouterr().err
    log = pd.read_parquet(shop / "log.parquet")
    for ask in (
        lambda: Model(bundle).forecast(log, CUTOFF, [30]),
        lambda: ForecastModel(bundle).predict(log, {"cutoff": CUTOFF, "horizons": [30]}),
    ):
        with pytest.raises(InputError, match="needs the calendar of the days ahead"):
            ask()


def test_days_after_the_calendars_end_are_told_and_average(bundle, shop, store, tmp_path):
    text = (shop / "calendar.csv").read_text().splitlines()
    (shop / "short.csv").write_text("\n".join(line for line in text if line[:12].strip('"') < CUTOFF or "date" in line))
    heard = []
    out = tmp_path / "f.parquet"
    score_log(bundle, data_of(shop, "short.csv"), AT, [30], out, execution=Execution(announce=heard.append))
    assert any("the calendar ends with 2021-03-31, but forecasts reach to 2021-05-01" in line for line in heard)
    total = pd.read_parquet(out)["expected_transactions"].sum()
    past = history(store.read(), AT, "1d")
    none, every = (predict(bundle, with_campaigns(past, s), AT).expected_transactions([30.0]).sum() for s in (0.0, 1.0))
    assert none < total < every
    with pytest.warns(UserWarning, match="the calendar ends with 2021-03-31"):
        Model(bundle).forecast(
            pd.read_parquet(shop / "log.parquet"), CUTOFF, [30], calendar=data_of(shop, "short.csv").calendar
        )


def test_reasons_name_the_calendar(bundle, shop):
    document = why_log(bundle, data_of(shop), WhyPlan(cutoff=AT, horizon_days=30.0))
    assert document["calendar"] == calendar_effects(bundle)
    assert "days with campaign = 1: purchases x" in why_text(document)


def test_contributions_still_add_up_to_the_forecast(bundle, store):
    past = history(store.read(), AT, "1d")
    found = explain(bundle, past, AT, 30.0, quantity="purchases", customers=list(past.customer_id[:4]))
    np.testing.assert_allclose(found.contribution.sum(1), found.forecast - found.baseline, rtol=2e-2, atol=1e-3)
    answer = predict(bundle, past, AT).expected_transactions([30.0])[:4, 0]
    np.testing.assert_allclose(found.forecast, answer, rtol=1e-4)


def test_a_training_from_the_prior_begins_without_an_effect(store):
    past, source = history(store.read(), AT, "1d"), prior.shipped()
    derived = derive_schema(past, AT, merge="1d", max_history_events=source.schema.max_history_events)
    described = schema_like(source.schema, past, AT, merge="1d")
    schema = starting_schema(source.schema, described, derived)
    network = started_from(source.networks[0], source.schema, source.config.model, schema)
    assert [feature.name for feature in schema.calendar] == ["campaign"]
    assert network.season.log_effects() == [0.0]
    asked = [
        replace(source, kind="network", schema=s, networks=(n,), config=Config())
        for s, n in ((schema, network), (described, source.networks[0]))
    ]
    with_it, without = (predict(one, past, AT).expected_spend([30.0, 365.0]) for one in asked)
    np.testing.assert_allclose(with_it, without, rtol=1e-4)


def test_a_report_tells_the_effects(bundle, tmp_path):
    document = make_report(tmp_path / "report.html", model=bundle)
    assert document["calendar"] == calendar_effects(bundle)
    assert "days with campaign = 1: purchases x" in (tmp_path / "report.html").read_text("utf-8")
