"""Quantiles against a distribution function computed by scipy, term by term."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from seqclv.model.process import PurchaseProcess
from seqclv.model.quantiles import quantiles
from seqclv.model.support import by_support, support_bound

LEVELS = (0.05, 0.5, 0.95)


def transaction_quantiles(p, horizon, levels):
    """[N, Q]"""
    return quantiles(p, [horizon], levels)[0].squeeze(1)


def spend_quantiles(p, horizon, levels):
    """[N, Q]"""
    return quantiles(p, [horizon], levels)[1].squeeze(1)


def process(*, customers=5, behaviours=3, seed=0, shapes=(-1.0, 3.0), rates=(-4.0, 1.0), gone=0.0):
    """Random customers; `gone` shifts the logit of being gone, `shapes` and `rates` bound logarithms."""
    g = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return low + (high - low) * torch.rand(customers, behaviours, generator=g, dtype=torch.float64)

    logits = 1.5 * torch.randn(customers, 1 + behaviours, generator=g, dtype=torch.float64)
    logits[:, 0] += gone
    return PurchaseProcess(
        torch.log_softmax(logits, -1),
        draw(*rates),
        draw(-6, 0.7),
        draw(*shapes),
        draw(0, 6),
    )


def spend_distribution(p, horizon, y):
    """[N] P(spend <= y): counts and amounts by scipy, nothing left out. The customers' y may be 0."""
    n = np.arange(1, int(support_bound(p, horizon).max()) + 200)
    rate, hazard = (t.exp().numpy()[..., None] for t in (p.log_rate, p.log_hazard))
    s = rate + hazard
    alive = stats.poisson.pmf(n, s * horizon) * (rate / s) ** n
    dropped = hazard / s * (rate / s) ** n * special.gammainc(n + 1, s * horizon)
    count = alive + dropped
    shape, mean = (t.exp().numpy()[..., None] for t in (p.log_shape, p.log_mean))
    reached = special.gammainc(shape * n, y[:, None, None] * shape / mean)
    return p.churn_probability(horizon).numpy() + (p.weight.numpy()[..., None] * count * reached).sum((1, 2))


def assert_quantiles(p, horizon, levels=LEVELS, tolerance=1e-5):
    """Every quantile reaches its level, and is 0 where nobody buying does already."""
    quantile = spend_quantiles(p, horizon, levels).numpy()
    churn = p.churn_probability(horizon).numpy()
    for i, level in enumerate(levels):
        positive = churn < level
        assert (quantile[~positive, i] == 0).all()
        assert (quantile[positive, i] > 0).all()
        off = np.abs(spend_distribution(p, horizon, quantile[:, i]) - level)[positive]
        assert off.max(initial=0) < tolerance
    assert (np.diff(quantile, axis=1) >= 0).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), horizon=st.floats(0.1, 200))
def test_spend_quantiles_reach_their_level_in_the_distribution_function(seed, horizon):
    assert_quantiles(process(seed=seed), horizon)


@pytest.mark.parametrize("shape", [0.05, 0.3, 30.0, 1000.0])
def test_spend_quantiles_hold_for_extreme_shapes_of_the_amounts(shape):
    log = float(np.log(shape))
    for seed in range(4):
        assert_quantiles(process(seed=seed, shapes=(log, log), gone=-2.0), 15.0, (0.05, 0.3, 0.5, 0.8, 0.95, 0.999))


def test_spend_quantiles_hold_where_all_shapes_meet_in_one_customer():
    bounds = (float(np.log(0.05)), float(np.log(1000.0)))
    for seed in range(6):
        assert_quantiles(process(seed=seed, shapes=bounds, behaviours=8), 10.0, (0.05, 0.2, 0.5, 0.7, 0.9, 0.95))


def test_spend_quantiles_hold_for_whales_beside_ordinary_customers():
    p = process(customers=6, rates=(-3.0, -3.0), seed=3)
    whale = torch.tensor([1, 4])
    p.log_rate[whale] = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    assert_quantiles(p, 100.0)


def test_spend_quantiles_hold_where_hardly_any_weight_can_buy():
    logit = torch.tensor([[0.0, -30.0, -12.0, -3.0], [0.0, -25.0, -25.0, -25.0]], dtype=torch.float64)
    like = torch.zeros(2, 3, dtype=torch.float64)
    p = PurchaseProcess(torch.log_softmax(logit, -1), like, like - 3, like + 0.5, like)
    assert_quantiles(p, 30.0, (0.05, 0.5, 0.95, 0.99, 0.9999))


@pytest.mark.parametrize("margin", [1e-3, 1e-6, 1e-9])
def test_spend_quantiles_just_above_the_churn_probability_are_small_and_finite(margin):
    p = process(seed=5, customers=1)
    level = float(p.churn_probability(5.0)) + margin
    quantile = spend_quantiles(p, 5.0, [level])
    assert torch.isfinite(quantile).all() and (quantile > 0).all()
    assert abs(spend_distribution(p, 5.0, quantile[:, 0].numpy())[0] - level) < 1e-6


def test_quantiles_at_levels_that_one_purchase_of_a_sure_amount_reaches_are_that_amount():
    one = torch.ones(1, 1, dtype=torch.float64)
    p = PurchaseProcess(torch.tensor([[-60.0, 0.0]], dtype=torch.float64), 0 * one, 0 * one, 6.9 * one, 3 * one)
    none, once = p.transaction_pmf(50.0, 1)[0].tolist()
    levels = [none + once * level for level in LEVELS]
    shape = np.exp(6.9)  # so sure an amount that two purchases never cost as little as one
    expected = np.exp(3) * special.gammaincinv(shape, LEVELS) / shape
    np.testing.assert_allclose(spend_quantiles(p, 50.0, levels)[0].numpy(), expected, rtol=5e-6)
    assert (transaction_quantiles(p, 50.0, levels) == 1).all()


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_spend_quantiles_grow_with_the_unit_of_money_however_large_or_small_it_is(factor):
    p = process(customers=20, seed=8)
    other = replace(p, log_mean=p.log_mean + np.log(factor))
    expected = spend_quantiles(p, 20.0, LEVELS) * factor
    torch.testing.assert_close(spend_quantiles(other, 20.0, LEVELS), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("spread", [5.0, 10.0, 20.0])
def test_spend_quantiles_hold_where_amounts_and_rates_of_one_customer_are_worlds_apart(spread):
    g = torch.Generator().manual_seed(0)
    for seed in range(8):
        p = process(seed=seed, customers=40, behaviours=6, shapes=(-3.0, 6.9), rates=(-5.5, 2.0))
        apart = 2 * torch.rand(p.log_mean.shape, generator=g, dtype=torch.float64) - 1
        assert_quantiles(replace(p, log_mean=spread * apart), 30.0, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99), tolerance=2e-5)


def test_amounts_of_behaviours_without_weight_do_not_matter():
    p = process(customers=5, behaviours=3, seed=4)
    p.log_weight[:, 3] = -torch.inf
    p = replace(p, log_weight=torch.log_softmax(p.log_weight, -1))
    expected = spend_quantiles(p, 30.0, LEVELS)
    p.log_mean[:, 2] = 800.0
    torch.testing.assert_close(spend_quantiles(p, 30.0, LEVELS), expected, rtol=1e-4, atol=0)


def test_behaviours_that_never_buy_leave_no_trace():
    p = process(customers=4, behaviours=2, seed=2)
    never = replace(p, log_rate=torch.full_like(p.log_rate, -800.0), log_hazard=torch.full_like(p.log_rate, -800.0))
    assert (transaction_quantiles(never, 30.0, (0.5, 0.999)) == 0).all()
    assert (spend_quantiles(never, 30.0, (0.5, 0.999)) == 0).all()


def test_spend_quantiles_never_fall_with_the_horizon():
    p = process(customers=40, seed=7)
    found = torch.stack([spend_quantiles(p, h, LEVELS) for h in (0.5, 1.0, 2.0, 5.0, 20.0, 90.0, 365.0)])
    assert (found.diff(dim=0) >= -1e-4 * found[1:]).all()


def test_transaction_quantiles_are_the_smallest_counts_that_reach_the_level():
    levels = (0.01, 0.05, 0.5, 0.9, 0.95, 0.999)
    for seed, horizon in ((0, 0.3), (1, 6.0), (2, 80.0)):
        p = process(customers=20, seed=seed)
        cdf = p.transaction_pmf(horizon, int(support_bound(p, horizon).max())).cumsum(-1)
        quantile = transaction_quantiles(p, horizon, levels)
        for i, level in enumerate(levels):
            n = quantile[:, i].long()
            reached = cdf.gather(1, n[:, None]).squeeze(1)
            before = torch.where(n > 0, cdf.gather(1, (n - 1).clamp_min(0)[:, None]).squeeze(1), 0.0)
            assert (reached >= level).all() and (before < level).all()


def test_transaction_and_spend_quantiles_are_zero_together():
    p = process(customers=200, seed=9)
    zero = transaction_quantiles(p, 5.0, LEVELS) == 0
    assert torch.equal(zero, spend_quantiles(p, 5.0, LEVELS) == 0)
    assert zero.any() and not zero.all()


def test_quantiles_of_a_customer_do_not_depend_on_the_others():
    p = process(customers=30, seed=11, rates=(-4.0, 2.0))
    together = spend_quantiles(p, 20.0, LEVELS)
    alone = torch.cat([spend_quantiles(p.select(torch.tensor([i])), 20.0, LEVELS) for i in range(30)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=0)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), horizon=st.floats(0.1, 500))
def test_more_purchases_than_the_support_counts_are_negligible(seed, horizon):
    p = process(seed=seed, rates=(-6.0, 2.0))
    for rows, maximum in by_support(p, horizon):
        part = p.select(rows)
        assert (support_bound(part, horizon) <= maximum).all()
        total = part.transaction_pmf(horizon, maximum).sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)


def test_groups_of_like_support_hold_every_customer_once():
    p = process(customers=500, seed=1, rates=(-6.0, 3.0))
    rows = torch.cat([rows for rows, _ in by_support(p, 50.0)])
    assert torch.equal(rows.sort().values, torch.arange(500))


def test_a_behaviour_without_weight_does_not_widen_the_support():
    p = PurchaseProcess(
        torch.tensor([[-1.0, np.log1p(-np.exp(-1.0)), -50.0]], dtype=torch.float64),
        torch.tensor([[-2.0, 9.0]], dtype=torch.float64),
        *(torch.full((1, 2), x, dtype=torch.float64) for x in (-9.0, 0.0, 0.0)),
    )
    assert support_bound(p, 10.0).item() < 50
