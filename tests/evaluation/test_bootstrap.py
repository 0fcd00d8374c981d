"""Paired differences: what a method lacks is left out, intervals hold what they say."""

import numpy as np
import pytest

from seqclv.data.windows import Outcome
from seqclv.evaluation import metrics
from seqclv.evaluation.bootstrap import customer_losses, paired_differences, resampled_means
from seqclv.evaluation.scores import Scores

ACTUAL = Outcome(np.array([0.0, 2.0]), np.array([0.0, 30.0]), np.zeros(2))


def test_losses_are_those_of_the_metrics_and_none_is_invented():
    churn = np.array([0.8, 0.3])
    whole = Scores(np.array([0.5, 1.0]), np.array([3.0, 20.0]), churn, None, None, np.array([0.1, 0.4]), None)
    found = customer_losses(whole, ACTUAL)
    assert list(found) == ["churn_log_loss", "count_crps", "count_squared_error", "spend_squared_error"]
    assert found["churn_log_loss"].mean() == pytest.approx(metrics.log_loss(churn, ACTUAL.transactions == 0))
    assert found["count_squared_error"].tolist() == [0.25, 1.0]
    assert found["spend_squared_error"].tolist() == [9.0, 100.0]
    assert customer_losses(Scores(None, None, None, None, None, None, None), ACTUAL) == {}


def test_a_clear_difference_is_clear_and_noise_is_open():
    random = np.random.default_rng(0)
    ours = {"count_crps": random.exponential(1.0, 2_000), "churn_log_loss": random.exponential(1.0, 2_000)}
    theirs = {
        "worse": {"count_crps": 1.2 * ours["count_crps"]},
        "alike": {"churn_log_loss": random.permutation(ours["churn_log_loss"])},
        "silent": {},
    }
    found = paired_differences(ours, theirs, resamples=200)
    worse = found["worse"]["count_crps"]
    assert worse.verdict == "better"
    assert (worse.low, worse.relative, worse.high) == pytest.approx((1 / 1.2 - 1,) * 3)
    assert found["alike"]["churn_log_loss"].verdict == "open"
    assert found["silent"] == {}


def test_the_interval_is_as_wide_as_the_theory_says():
    random = np.random.default_rng(1)
    column = random.normal(10.0, 2.0, (4_000, 1))
    means = resampled_means(column, 1_000, seed=0)
    assert means.mean() == pytest.approx(column.mean(), abs=0.01)
    assert means.std() == pytest.approx(2.0 / np.sqrt(4_000), rel=0.1)


def test_a_loss_that_is_zero_everywhere_has_no_ratio():
    nothing = np.zeros(5)
    assert paired_differences({"count_crps": nothing}, {"a": {"count_crps": nothing}}) == {"a": {}}
