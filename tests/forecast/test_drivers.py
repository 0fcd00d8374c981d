"""Reasons: they add up, they carry the right names, and they find what drives a base whose truth is known."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from seqclv.config import DataConfig
from seqclv.configfile import config_from
from seqclv.data import feature_names
from seqclv.data.features import event_features
from seqclv.data.static import static_features
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant
from seqclv.errors import InputError
from seqclv.forecast.drivers import QUANTITIES, explain, report_drivers
from seqclv.forecast.forecaster import predict
from seqclv.scoring import fit_classical
from seqclv.training.train import train_bundle

CUTOFF = instant("2021-07-01")


@pytest.fixture(scope="module")
def past(small_events):
    return history(small_events, CUTOFF, "1d")


def test_there_is_a_name_for_every_feature(small_bundle, past):
    schema = small_bundle.schema
    numeric, codes = event_features(past, schema)
    static_numeric, static_codes = static_features(past, schema)
    assert len(feature_names.query_names(schema)) == len(schema.query_mean)
    assert len(feature_names.event_names(schema)) == numeric.shape[1]
    assert len(feature_names.event_code_names(schema)) == codes.shape[1]
    assert len(feature_names.static_names(schema)) == static_numeric.shape[1]
    assert len(feature_names.static_code_names(schema)) == static_codes.shape[1]


@pytest.mark.parametrize("quantity", sorted(QUANTITIES))
def test_contributions_sum_to_the_forecast_less_the_baseline(small_bundle, past, quantity):
    found = explain(small_bundle, past, CUTOFF, 90.0, quantity=quantity)
    np.testing.assert_allclose(
        found.contribution.sum(axis=1), found.forecast - found.baseline, atol=1e-3 * np.abs(found.forecast).mean()
    )
    assert np.abs(found.contribution).max() > 0


def test_the_forecast_that_is_explained_is_the_one_that_is_scored(small_bundle, past):
    forecast = predict(small_bundle, past, CUTOFF)
    scored = {
        "spend": forecast.expected_spend([90.0]),
        "purchases": forecast.expected_transactions([90.0]),
        "churn": forecast.churn_probability([90.0]),
    }
    for quantity, values in scored.items():
        found = explain(small_bundle, past, CUTOFF, 90.0, quantity=quantity)
        assert found.customer_id.tolist() == past.customer_id.tolist()
        np.testing.assert_allclose(found.forecast, values[:, 0], rtol=1e-5)


def test_one_customer_is_explained_as_among_all(small_bundle, past):
    everyone = explain(small_bundle, past, CUTOFF, 90.0)
    row = int(np.argmax(np.bincount(past.owner)))
    alone = explain(small_bundle, past, CUTOFF, 90.0, customers=[past.customer_id[row]])
    np.testing.assert_allclose(alone.contribution[0], everyone.contribution[row], rtol=1e-3, atol=1e-3)
    mine = everyone.event_customer == row
    np.testing.assert_array_equal(alone.event_time, past.timestamp[past.owner == row])
    np.testing.assert_allclose(alone.event_contribution, everyone.event_contribution[mine], rtol=1e-3, atol=1e-3)
    assert alone.event_kind == tuple(np.array(everyone.event_kind, dtype=object)[mine])


def test_what_the_network_does_not_look_at_contributes_nothing(small_bundle, past):
    name = feature_names.attribute("category")
    column = explain(small_bundle, past, CUTOFF, 90.0).names.index(name)
    tables = [network.embed.tables[1].weight for network in small_bundle.networks]
    kept = [table.detach().clone() for table in tables]
    assert np.abs(explain(small_bundle, past, CUTOFF, 90.0).contribution[:, column]).max() > 0
    try:
        with torch.no_grad():
            for table in tables:
                table.copy_(table[:1].expand_as(table))
        assert np.abs(explain(small_bundle, past, CUTOFF, 90.0).contribution[:, column]).max() < 1e-5
    finally:
        with torch.no_grad():
            for table, old in zip(tables, kept, strict=True):
                table.copy_(old)


def test_the_shares_of_a_report_sum_to_one_and_fall(small_bundle, past):
    shares = [driver["share"] for driver in report_drivers(small_bundle, past, CUTOFF, 90.0)]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)


def test_a_classical_model_says_that_it_has_no_such_reasons(small_base, past):
    bundle = fit_classical("bg_nbd", small_base, "2021-07-01").bundle
    with pytest.raises(InputError, match="Give a network"):
        explain(bundle, past, CUTOFF, 90.0)
    assert report_drivers(bundle, past, CUTOFF, 90.0) == ()


def test_an_unknown_customer_or_quantity_is_named(small_bundle, past):
    with pytest.raises(InputError, match="'nobody' has none"):
        explain(small_bundle, past, CUTOFF, 90.0, customers=["nobody"])
    with pytest.raises(InputError, match="'joy' was asked"):
        explain(small_bundle, past, CUTOFF, 90.0, quantity="joy")


def complaining_base(customers=400, days=300):
    """All buy about every 20 days until they complain, at every sixth purchase, and never return; visits mean nothing.

    Visits go on at one pace whatever happens; `noise` is drawn anew for each event.
    """
    random = np.random.default_rng(0)
    rows = []
    for customer in range(customers):
        name, day = f"C{customer:03d}", random.uniform(0, 150)
        rows += [(name, visit, "visit") for visit in random.uniform(day, days, random.poisson((days - day) / 30))]
        while day < days:
            rows.append((name, day, "purchase"))
            if random.random() < 1 / 6:
                rows.append((name, day + 1, "complaint"))
                break
            day += 1 + random.exponential(19)
    ids, day, kind = (np.array(column) for column in zip(*rows, strict=True))
    stamp = np.datetime64("2021-01-01", "us") + (day * 86_400e6).astype("timedelta64[us]")
    amount = np.where(kind == "purchase", random.gamma(4.0, 5.0, len(day)), 0.0)
    noise = random.normal(size=len(day))
    return pa.table({"customer_id": ids, "timestamp": stamp, "amount": amount, "kind": kind, "noise": noise})


@pytest.mark.slow
def test_what_drives_a_base_ranks_first_and_noise_near_zero(tmp_path):
    data = DataConfig(event_type="kind", numeric=("noise",))
    small = {"hidden_size": 8, "query_size": 16, "behaviours": 4}
    settings = {"max_steps": 150, "max_epochs": 60, "learning_rate": 1e-2}
    config = replace(config_from({"model": small, "training": settings, "ensemble": 1}), data=data)
    cutoff = instant("2021-10-01")
    past = history(events_from_frame(complaining_base(), data), cutoff, "1d")
    bundle, _ = train_bundle(
        past, cutoff, horizon_days=30.0, config=config, fingerprint="complaints", work=tmp_path, quiet=True
    )
    found = explain(bundle, past, cutoff, 30.0, quantity="churn")
    share = {row["name"]: row["share"] for row in found.importance()}
    assert next(iter(share)) == "events 'complaint'"
    assert share["events 'visit'"] < 0.1 * share["events 'complaint'"]
    assert share["attribute 'noise'"] < 0.1 * share["events 'complaint'"]
    complained = np.zeros(past.customers, dtype=bool)
    complained[found.event_customer[np.asarray(found.event_kind, dtype=object) == "complaint"]] = True
    effect = found.contribution[:, found.names.index("events 'complaint'")]
    assert effect[complained].min() > 0 > effect[~complained].max()
