"""What a model was not trained with is out of vocabulary or missing, never an error."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqclv.config import CustomersConfig, DataConfig
from seqclv.data.store import build_store
from seqclv.data.windows import history, instant
from seqclv.forecast.engines.local import Execution
from seqclv.scoring import Model, score_log
from seqclv.training.train import portable, train_bundle

CUTOFF = instant("2021-07-01")


@pytest.fixture(scope="module")
def people(small_base, tmp_path_factory):
    """A customers table of the small log."""
    ids = sorted(set(small_base["customer_id"].to_pylist()))
    frame = pd.DataFrame(
        {"customer_id": ids, "country": [["de", "ch"][i % 2] for i in range(len(ids))], "age": np.arange(len(ids)) % 50}
    )
    path = tmp_path_factory.mktemp("people") / "people.parquet"
    frame.to_parquet(path)
    return path


def with_people(path, log):
    customers = CustomersConfig(files=(str(path),), numeric={"age": "age"}, categorical={"country": "country"})
    return DataConfig(transactions=(str(log),), categorical=("category",), customers=customers)


@pytest.fixture(scope="module")
def bundle(people, small_log, small_config, tmp_path_factory):
    """A network trained on the small log with the customers table, and further events in it."""
    work = tmp_path_factory.mktemp("work")
    config = replace(small_config, data=with_people(people, small_log))
    events = build_store(config.data, work / "store").read()
    trained, _ = train_bundle(
        history(events, CUTOFF, "1d"),
        CUTOFF,
        horizon_days=90.0,
        config=config,
        fingerprint="x",
        work=work,
        quiet=True,
    )
    return trained


def forecasts(bundle, data, tmp_path, announce=lambda _: None):
    out = tmp_path / "forecasts.parquet"
    score_log(bundle, replace(data, require_columns=False), CUTOFF, [90], out, execution=Execution(announce=announce))
    return pd.read_parquet(out)["expected_transactions"]


def test_a_model_learns_attributes_of_customers_and_a_bundle_keeps_them(bundle, people, small_log, tmp_path):
    from seqclv.bundle import load_bundle, save_bundle

    assert [f.name for f in bundle.schema.static_categorical] == ["country"]
    assert bundle.schema.static_categorical[0].vocabulary == ("ch", "de")
    assert all(bool(net.static.tables[0].weight.abs().sum() > 0) for net in bundle.networks)
    save_bundle(replace(bundle, config=portable(bundle.config)), tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle")
    data = with_people(people, small_log)
    assert forecasts(again, data, tmp_path).equals(forecasts(bundle, data, tmp_path))


def test_a_new_value_counts_as_missing_and_a_known_one_does_not(bundle, people, small_log, tmp_path):
    known = forecasts(bundle, with_people(people, small_log), tmp_path)
    found = {}
    for name, change in {"new": {"country": "atlantis"}, "missing": {"country": None}}.items():
        pd.read_parquet(people).assign(**change).to_parquet(tmp_path / "people.parquet")
        found[name] = forecasts(bundle, with_people(tmp_path / "people.parquet", small_log), tmp_path)
    assert found["new"].equals(found["missing"])
    assert not found["new"].equals(known)


def test_a_log_without_the_table_and_the_columns_is_scored_with_a_warning(bundle, people, small_log, tmp_path):
    pd.read_parquet(small_log)[["customer_id", "timestamp", "amount"]].to_parquet(tmp_path / "bare.parquet")
    said = []
    bare = replace(bundle.config.data.without_places(), transactions=(str(tmp_path / "bare.parquet"),))
    found = forecasts(bundle, bare, tmp_path, announce=said.append)
    assert len(found) and np.isfinite(found).all()
    [warning] = [text for text in said if text.startswith("warning")]
    for name in ("'category'", "'age'", "'country'"):
        assert name in warning
    pd.read_parquet(small_log).assign(category="unheard of").to_parquet(tmp_path / "new.parquet")
    new = replace(bare, transactions=(str(tmp_path / "new.parquet"),))
    assert forecasts(bundle, new, tmp_path).equals(found)


def test_a_frame_without_them_is_forecast_with_a_warning(bundle, small_base):
    frame = small_base.to_pandas()[["customer_id", "timestamp", "amount"]]
    with pytest.warns(UserWarning, match="'category', attribute 'country'|'age', attribute 'category'"):
        found = Model(bundle).forecast(frame, "2021-07-01", [90])
    assert np.isfinite(found["expected_transactions"]).all()


def test_the_registered_model_forecasts_rows_without_them(bundle, small_base):
    from seqclv.tracking.pyfunc import ForecastModel

    frame = small_base.to_pandas()[["customer_id", "timestamp", "amount"]]
    model = ForecastModel(replace(bundle, config=portable(bundle.config)))
    params = {"cutoff": "2021-07-01", "horizons": [90]}
    by_event = model.predict(frame, params)
    lists = frame.groupby("customer_id").agg(list).rename(columns={"timestamp": "timestamps", "amount": "amounts"})
    by_customer = model.predict(lists.reset_index(), params).dropna(subset=["expected_spend"])
    assert np.allclose(by_event["expected_spend"], by_customer["expected_spend"])


def test_event_types_a_model_has_never_met_are_scored(bundle, small_base, tmp_path):
    frame = small_base.to_pandas()
    extra = frame.groupby("customer_id", as_index=False).first().assign(amount=0.0, kind="telepathy")
    pd.concat([frame, extra]).to_parquet(tmp_path / "more.parquet")
    data = DataConfig(transactions=(str(tmp_path / "more.parquet"),), event_type="kind", categorical=("category",))
    assert np.isfinite(forecasts(bundle, data, tmp_path)).all()
