"""Forecasts of new customers, judged on what they did later."""

import numpy as np
import pytest

from seqclv.config import DataConfig
from seqclv.configfile import config_from
from seqclv.data.simulate import SimulationConfig, simulate
from seqclv.data.store import events_from_frame
from seqclv.data.windows import history, instant, outcome
from seqclv.training.train import classical_bundle
from seqclv.value.newcomer_study import bought_once, judge_no_purchase, judge_one_purchase

TRAINED, ASKED, END = (instant(day) for day in ("2021-01-01", "2021-06-01", "2022-01-01"))


@pytest.fixture(scope="module")
def events():
    base = simulate(SimulationConfig(customers=3000, seed=5, days=730, mean_events=6))
    return events_from_frame(base.transactions, DataConfig())


@pytest.fixture(scope="module")
def bundle(events):
    past = history(events, TRAINED, "1d")
    return classical_bundle(
        "pareto_nbd", past, TRAINED, horizon_days=90.0, config=config_from({}), fingerprint="newcomers"
    )


def test_the_judged_bought_once_between_training_and_cutoff(events):
    past = bought_once(events, TRAINED, ASKED, "1d")
    assert (np.diff(past.offset) == 1).all()
    assert ((past.timestamp >= TRAINED) & (past.timestamp < ASKED)).all()
    first = events.timestamp[events.offset[:-1]]
    joined = events.customer_id[(first >= TRAINED) & (first < ASKED)]
    assert set(past.customer_id) <= set(joined)
    assert 0 < past.customers < len(joined)


def test_a_true_model_is_right_about_those_with_one_purchase_and_its_ranges_hold(events, bundle):
    found = judge_one_purchase(bundle, events, ASKED, 90.0)
    past = bought_once(events, TRAINED, ASKED, "1d")
    actual = outcome(events, past.customer_id, ASKED, 90.0, "1d")
    assert found["customers"] == past.customers
    assert found["gone"] == pytest.approx((actual.transactions == 0).mean())
    assert abs(found["transactions_bias"]) < 0.2
    assert abs(found["churn"] - found["gone"]) < 0.06
    assert found["log_loss"] < found["log_loss_of_share"]
    assert found["transactions_coverage_90"] == pytest.approx(0.9, abs=0.05)
    assert found["spend_coverage_90"] > 0.88


def test_those_without_a_purchase_are_judged_by_month_and_nobody_is_no_answer(events, bundle):
    found = judge_no_purchase(events, END, 30.0, "1d")
    assert found["months"] == 12
    assert found["spend_coverage_90"] == pytest.approx(0.9, abs=0.03)
    assert judge_one_purchase(bundle, events, TRAINED, 90.0) is None
