"""Weighted metrics are the metrics; resampled intervals hold what they say."""

import numpy as np
import pytest

from seqclv.evaluation import metrics
from seqclv.evaluation.resampling import (
    customer_weights,
    group_ratios,
    interval,
    resampled,
    weighted_auc,
    weighted_gini,
    weighted_mean,
    weighted_ratio,
)


@pytest.fixture
def customers():
    random = np.random.default_rng(3)
    score = np.round(random.gamma(0.6, 20.0, 500))  # with ties
    actual = np.where(random.random(500) < 0.4, 0.0, random.gamma(1.0, score + 1))
    return score, actual


def test_with_every_customer_once_each_metric_is_the_metric(customers):
    score, actual = customers
    once, gone = np.ones(len(score)), actual == 0
    assert weighted_ratio(score, actual)(once) == pytest.approx(metrics.bias(score, actual))
    assert weighted_auc(-score, gone)(once) == pytest.approx(metrics.auc(-score, gone))
    assert weighted_gini(score, actual)(once) == pytest.approx(metrics.gini(score, actual))
    assert weighted_mean(score)(once) == pytest.approx(score.mean())


def test_a_weight_is_a_repeated_customer(customers):
    score, actual = customers
    weight = next(customer_weights(len(score), 1, seed=5))
    again = np.repeat(np.arange(len(score)), weight.astype(int))
    assert weighted_gini(score, actual)(weight) == pytest.approx(metrics.gini(score[again], actual[again]))
    gone = actual == 0
    assert weighted_auc(score, gone)(weight) == pytest.approx(metrics.auc(score[again], gone[again]))


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    random, held = np.random.default_rng(0), 0
    for _ in range(100):
        actual = random.gamma(0.5, 10.0, 400)
        between = interval(resampled({"bias": weighted_ratio(np.full(400, 5.0), actual)}, 400, 200)["bias"])
        held += between[0] <= 0 <= between[1]  # a forecast of the true mean has no bias
    assert 88 <= held <= 100


def test_what_is_not_defined_has_no_interval():
    nothing = np.zeros(50)
    draws = resampled({"bias": weighted_ratio(np.ones(50), nothing), "auc": weighted_auc(nothing, nothing == 0)}, 50)
    assert interval(draws["bias"]) is None
    assert interval(draws["auc"]) is None


def test_groups_are_resampled_apart():
    group = np.repeat([0, 1, 2], 100)
    forecast, actual = np.ones(300), np.repeat([1.0, 0.5, 0.0], 100)
    draws = group_ratios(group, 3, forecast, actual)
    assert np.allclose(draws[:, 0], 0.0)
    assert np.allclose(draws[:, 1], 1.0)
    assert np.isnan(draws[:, 2]).all()
