"""Metrics against values computed by hand, brute force and other libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from seqclv.evaluation import metrics

FORECAST = np.array([1.0, 2.0, 3.0, 6.0])
ACTUAL = np.array([0.0, 4.0, 2.0, 4.0])
TIED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=40)


def test_golden_values():
    assert metrics.bias(FORECAST, ACTUAL) == pytest.approx(0.2)
    assert metrics.rmse(FORECAST, ACTUAL) == pytest.approx(np.sqrt((1 + 4 + 1 + 4) / 4))
    assert metrics.mae(FORECAST, ACTUAL) == pytest.approx(1.5)
    assert metrics.coverage(FORECAST - 1, FORECAST + 1, ACTUAL) == 0.5
    assert metrics.brier(np.array([0.9, 0.2]), np.array([True, True])) == pytest.approx((0.01 + 0.64) / 2)
    assert metrics.log_loss(np.array([0.9, 0.2]), np.array([True, False])) == pytest.approx(-np.log([0.9, 0.8]).mean())
    # Shares of the best, best two, ... by forecast 0.4, 0.6, 1, 1 and by actual 0.4, 0.8, 1, 1: trapezoids less a half.
    assert metrics.gini(FORECAST, ACTUAL) == pytest.approx(0.125 / 0.175)


def test_bounds_of_an_interval_belong_to_it():
    assert metrics.coverage(np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.array([0.0, 2.0])) == 1


def test_a_metric_without_an_answer_is_none():
    zero, one = np.zeros(3), np.ones(3)
    assert metrics.bias(one, zero) is None
    assert metrics.gini(FORECAST[:3], zero) is None
    assert metrics.gini(FORECAST[:3], one) is None
    assert metrics.spearman(one, FORECAST[:3]) is None
    assert metrics.spearman(FORECAST[:3], one) is None
    assert metrics.spearman(one[:1], one[:1]) is None
    assert metrics.auc(FORECAST[:3], one > 0) is None
    assert metrics.auc(FORECAST[:3], one < 0) is None


# -- ranking ---------------------------------------------------------------------------------------------------------


def test_gini_is_one_for_a_perfect_order_and_minus_one_for_its_reverse():
    actual = np.array([0.0, 0.0, 1.0, 5.0, 9.0])
    assert metrics.gini(np.exp(actual), actual) == pytest.approx(1)
    assert metrics.gini(-actual, actual) == pytest.approx(-1)


def test_gini_of_a_constant_forecast_is_zero():
    assert metrics.gini(np.full(4, 3.0), ACTUAL) == pytest.approx(0)


@given(pairs=TIED, seed=st.integers(0, 99))
def test_ranking_and_calibration_do_not_depend_on_the_order_of_rows(pairs, seed):
    forecast, actual = np.array(pairs, dtype=float).T
    order = np.random.default_rng(seed).permutation(len(pairs))
    for metric in (metrics.gini, metrics.spearman):
        assert metric(forecast[order], actual[order]) == pytest.approx(metric(forecast, actual))
    probability, happened = forecast / 4, actual > 2
    for metric in (metrics.auc, metrics.ece, metrics.brier, metrics.log_loss):
        assert metric(probability[order], happened[order]) == pytest.approx(metric(probability, happened))


@given(pairs=TIED)
def test_gini_is_the_share_of_concordant_pairs_weighted_by_their_difference(pairs):
    forecast, actual = np.array(pairs, dtype=float).T
    difference = actual[:, None] - actual
    concordant = (np.sign(forecast[:, None] - forecast) * difference).sum()
    expected = concordant / np.abs(difference).sum() if np.abs(difference).any() else None
    assert metrics.gini(forecast, actual) == (None if expected is None else pytest.approx(expected))


@given(pairs=TIED)
def test_auc_and_the_other_scores_equal_those_of_scikit_learn(pairs):
    score, happened = np.array(pairs).T
    happened = happened > 2
    probability = (score + 0.5) / 5
    assert metrics.brier(probability, happened) == pytest.approx(brier_score_loss(happened, probability))
    assert metrics.log_loss(probability, happened) == pytest.approx(
        sklearn_log_loss(happened, probability, labels=[False, True])
    )
    if happened.all() or not happened.any():
        assert metrics.auc(score.astype(float), happened) is None
    else:
        assert metrics.auc(score.astype(float), happened) == pytest.approx(roc_auc_score(happened, score))


def test_log_loss_of_a_false_certainty_is_large_and_finite():
    assert metrics.log_loss(np.array([0.0, 1.0]), np.array([True, False])) == pytest.approx(-np.log(1e-6))


# -- calibration -----------------------------------------------------------------------------------------------------


def test_ece_is_the_mean_gap_between_probability_and_share():
    probability = np.repeat([0.1, 0.6], 500)
    happened = np.concatenate([np.arange(500) < 50, np.arange(500) < 400])
    assert metrics.ece(probability, happened) == pytest.approx((0.0 + 0.2) / 2)


def test_ece_of_one_common_probability_is_its_distance_from_the_share():
    happened = np.arange(100) < 30  # sorted on purpose: rows must not decide about bins
    assert metrics.ece(np.full(100, 0.3), happened) == pytest.approx(0, abs=1e-12)
    assert metrics.ece(np.full(100, 0.5), happened) == pytest.approx(0.2)


def test_ece_works_for_fewer_customers_than_bins():
    assert metrics.ece(np.array([0.25]), np.array([True])) == pytest.approx(0.75)


def test_ece_of_calibrated_forecasts_is_small():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=100_000)
    assert metrics.ece(probability, rng.uniform(size=100_000) < probability) < 0.01


# -- CRPS ------------------------------------------------------------------------------------------------------------


def test_crps_of_a_sure_count_is_its_distance_from_the_actual_one():
    pmf = np.eye(8)[[3, 3, 3]]
    np.testing.assert_allclose(metrics.crps_from_pmf(pmf, np.array([3.0, 0.0, 7.0])), [0, 3, 4])


@given(weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=12), actual=st.integers(0, 11))
def test_crps_from_a_pmf_equals_expected_distances(weights, actual):
    pmf = np.array(weights) / sum(weights)
    actual = min(actual, len(pmf) - 1)
    n = np.arange(len(pmf))
    expected = (pmf * np.abs(n - actual)).sum() - (pmf[:, None] * pmf * np.abs(n[:, None] - n)).sum() / 2
    assert metrics.crps_from_pmf(pmf[None], np.array([float(actual)]))[0] == pytest.approx(expected, abs=1e-12)


def test_crps_of_a_pmf_is_not_changed_by_empty_counts_at_its_end():
    pmf = stats.poisson.pmf(np.arange(30), 2.0)[None]
    longer = np.concatenate([pmf, np.zeros((1, 20))], axis=1)
    actual = np.array([4.0])
    np.testing.assert_allclose(metrics.crps_from_pmf(longer, actual), metrics.crps_from_pmf(pmf, actual), atol=1e-12)


@pytest.mark.parametrize("draws", [2, 3, 16])
def test_fair_crps_is_unbiased_for_any_number_of_draws(draws):
    # Exponential with mean one: CRPS = y + 2 exp(-y) - 3 / 2.
    rng = np.random.default_rng(draws)
    actual = np.repeat([0.0, 0.4, 2.5], 60_000)
    estimate = metrics.crps_from_draws(rng.exponential(size=(len(actual), draws)), actual).reshape(3, -1)
    exact = actual.reshape(3, -1)[:, 0] + 2 * np.exp(-actual.reshape(3, -1)[:, 0]) - 1.5
    error = estimate.std(axis=1) / np.sqrt(estimate.shape[1])
    assert (np.abs(estimate.mean(axis=1) - exact) < 4.5 * error).all()


def test_crps_from_draws_equals_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    draws, actual = rng.gamma(0.5, size=(5, 9)), rng.gamma(1.0, size=5)
    spread = np.abs(draws[:, :, None] - draws[:, None]).sum((1, 2)) / (9 * 8) / 2
    np.testing.assert_allclose(metrics.crps_from_draws(draws, actual), np.abs(draws - actual[:, None]).mean(1) - spread)


# -- probability integral transforms ------------------------------------------------------------------------------


CUSTOMERS = 4_000
CHANCE_LEVEL = 1.95 / np.sqrt(CUSTOMERS)  # exceeded once in a thousand times under the truth (Kolmogorov)


def negative_binomials(rng):
    """[N, M + 1] the PMFs of customers from hardly ever to often buying, and counts drawn from them."""
    shape, p = rng.uniform(0.2, 3, CUSTOMERS), rng.uniform(0.1, 0.9, CUSTOMERS)
    pmf = stats.nbinom.pmf(np.arange(400), shape[:, None], p[:, None])
    return pmf, rng.negative_binomial(shape, p).astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_pits_of_the_true_counts_are_uniform_however_many_customers_buy_nothing(seed):
    rng = np.random.default_rng(seed)
    pmf, actual = negative_binomials(rng)
    assert (actual == 0).mean() > 0.3
    assert metrics.pit_ks(metrics.pit_from_pmf(pmf, actual, rng.random(CUSTOMERS))) < CHANCE_LEVEL


@pytest.mark.parametrize("draws", [1, 9, 256])
def test_pits_from_any_number_of_true_draws_are_uniform(draws):
    rng = np.random.default_rng(draws)
    spend = rng.gamma(1.5, rng.uniform(5, 50, (CUSTOMERS, 1)), (CUSTOMERS, draws + 1))
    spend[rng.random(spend.shape) < 0.4] = 0  # an atom, as of customers who buy nothing
    pit = metrics.pit_from_draws(spend[:, 1:], spend[:, 0], rng.random(CUSTOMERS))
    assert metrics.pit_ks(pit) < CHANCE_LEVEL


@given(st.integers(0, 10**6), st.floats(0.5, 0.8))
def test_pits_detect_a_forecast_that_is_too_narrow(seed, narrow):
    rng = np.random.default_rng(seed)
    draws = narrow * rng.standard_normal((CUSTOMERS, 64))
    pit = metrics.pit_from_draws(draws, rng.standard_normal(CUSTOMERS), rng.random(CUSTOMERS))
    assert metrics.pit_ks(pit) > CHANCE_LEVEL
    assert np.abs(pit - 0.5).mean() > 0.26  # both ends are too full


@given(st.integers(0, 10**6), st.floats(0.2, 1.0), st.sampled_from([-1, 1]))
def test_pits_detect_a_shifted_forecast_and_its_direction(seed, shift, sign):
    rng = np.random.default_rng(seed)
    draws = sign * shift + rng.standard_normal((CUSTOMERS, 64))
    pit = metrics.pit_from_draws(draws, rng.standard_normal(CUSTOMERS), rng.random(CUSTOMERS))
    assert metrics.pit_ks(pit) > CHANCE_LEVEL
    assert np.sign(0.5 - pit.mean()) == sign


def test_pits_of_counts_detect_a_forecast_of_too_many_purchases():
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.5, 4, (CUSTOMERS, 1))
    pmf = stats.poisson.pmf(np.arange(60), 1.2 * mean)
    assert (
        metrics.pit_ks(metrics.pit_from_pmf(pmf, rng.poisson(mean[:, 0]).astype(float), rng.random(CUSTOMERS))) > 0.04
    )


def test_pits_of_counts_from_pmf_and_from_many_draws_agree():
    rng = np.random.default_rng(1)
    pmf, actual = (part[:300] for part in negative_binomials(rng))
    chance = rng.random(300)
    draws = np.stack([rng.choice(400, 20_000, p=p / p.sum()) for p in pmf]).astype(np.float64)
    exact = metrics.pit_from_pmf(pmf, actual, chance)
    np.testing.assert_allclose(metrics.pit_from_draws(draws, actual, chance), exact, atol=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_ks_distance_is_that_of_scipy(pit):
    values = np.array(pit)
    assert metrics.pit_ks(values) == pytest.approx(stats.kstest(values, "uniform").statistic, abs=1e-12)
