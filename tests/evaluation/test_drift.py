"""Drift is nought between like bases, found between unlike ones, and a profile tells what the customers would."""

import json

import numpy as np
import pytest
from scipy import stats

from seqclv.data.profile import INPUTS, input_profile, input_table
from seqclv.data.windows import history, instant
from seqclv.evaluation.drift import STRONG, WATCH, drift_between, drift_from_profile, population_stability

CUTOFF = instant("2021-07-01")


@pytest.fixture(scope="module")
def inputs(small_events):
    return input_table(history(small_events, CUTOFF, "1d"), CUTOFF)


def test_the_index_agrees_with_a_hand_worked_example():
    # (0.3 - 0.2) ln(0.3 / 0.2) + (0.7 - 0.8) ln(0.7 / 0.8) = 0.040547 + 0.013353
    assert population_stability(np.array([0.2, 0.8]), np.array([0.3, 0.7])) == pytest.approx(0.0539, abs=1e-4)
    assert population_stability(np.array([0.2, 0.8]), np.array([0.2, 0.8])) == 0


def test_inputs_are_what_their_names_say(inputs, small_base):
    frame = small_base.to_pandas()
    frame = frame[frame["timestamp"] < "2021-07-01"]
    day = frame["timestamp"].dt.floor("D")
    net = frame.groupby(["customer_id", day]).agg(amount=("amount", "sum"), first=("timestamp", "min"))
    bought = net[net["amount"] > 1e-9].reset_index()
    by = bought.groupby("customer_id")
    assert set(inputs) == set(INPUTS)
    assert np.allclose(inputs["purchases"], by.size())
    assert np.allclose(inputs["mean_amount"], by["amount"].mean())
    since = (np.datetime64("2021-07-01") - by["first"].max().to_numpy()) / np.timedelta64(1, "D")
    assert np.allclose(inputs["days_since_last_purchase"], since)
    recent = bought[bought["first"] >= np.datetime64("2021-07-01") - np.timedelta64(90, "D")]
    assert inputs["recent_purchases"].sum() == len(recent)


def test_a_base_has_not_drifted_from_itself(inputs):
    for found in drift_from_profile(input_profile(inputs), inputs).values():
        assert found["psi"] == pytest.approx(0, abs=1e-9)
        assert found["ks"] == pytest.approx(0, abs=1e-9)
        assert found["p_value"] == pytest.approx(1)


def test_a_profile_tells_what_the_customers_themselves_would():
    random = np.random.default_rng(0)
    before, now = {"mean_amount": random.gamma(2, 10, 4000)}, {"mean_amount": random.gamma(2, 14, 3000)}
    from_profile = drift_from_profile(input_profile(before), now)["mean_amount"]
    between = drift_between(before, now)["mean_amount"]
    assert from_profile["psi"] == pytest.approx(between["psi"], rel=0.02)
    assert from_profile["ks"] == pytest.approx(between["ks"], abs=0.02)
    assert from_profile["ks"] <= between["ks"] + 1e-12
    assert between["ks"] == stats.ks_2samp(before["mean_amount"], now["mean_amount"]).statistic
    assert from_profile["p_value"] < 1e-6
    assert from_profile["median_now"] == pytest.approx(np.median(now["mean_amount"]), rel=0.01)


def test_chance_alone_is_no_drift_and_a_shift_is():
    random = np.random.default_rng(1)
    draw = lambda scale: {"purchases": np.ceil(random.gamma(1, scale, 3000))}  # noqa: E731
    profile = input_profile(draw(3.0))
    assert drift_from_profile(profile, draw(3.0))["purchases"]["psi"] < WATCH
    assert drift_from_profile(profile, draw(6.0))["purchases"]["psi"] > STRONG


def test_a_profile_is_small_and_holds_no_extreme_customer(inputs):
    profile = input_profile(inputs)
    assert len(json.dumps(profile)) < 10_000
    assert profile["customers"] == len(inputs["purchases"])
    assert max(profile["mean_amount"]["value"]) < inputs["mean_amount"].max()
    assert min(profile["mean_amount"]["value"]) > inputs["mean_amount"].min()
