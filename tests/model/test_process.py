"""Every closed form of the purchase process against integration, simulation and its limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seqclv.model.process import PurchaseProcess, concatenate
from seqclv.model.support import support_bound

FLOATS = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def process(*, customers=6, behaviours=3, seed=0):
    """Random customers: from one purchase in fifty time units to three in one, lives from half a unit to 400."""
    g = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return low + (high - low) * torch.rand(customers, behaviours, generator=g, dtype=torch.float64)

    logits = 1.5 * torch.randn(customers, 1 + behaviours, generator=g, dtype=torch.float64)
    return PurchaseProcess(
        log_weight=torch.log_softmax(logits, -1),
        log_rate=draw(-4, 1),
        log_hazard=draw(-6, 0.7),
        log_shape=draw(-1, 3),
        log_mean=draw(0, 3),
    )


def single(log_rate, log_hazard, *, log_shape=0.5, log_mean=1.0, log_gone=-3.0, dtype=torch.float64):
    """One customer with one behaviour, whose tensors ask for gradients."""

    def leaf(value):
        return torch.tensor([[value]], dtype=dtype, requires_grad=True)

    weight = torch.log_softmax(torch.tensor([[log_gone, 0.0]], dtype=dtype, requires_grad=True), -1)
    return PurchaseProcess(weight, leaf(log_rate), leaf(log_hazard), leaf(log_shape), leaf(log_mean))


def simulate(p, horizon, discount, draws, seed=0):
    """Counts, spend and discounted counts, gap by gap: each [N, S]."""
    rng = np.random.default_rng(seed)
    return (
        np.stack(x)
        for x in zip(*(simulate_one(p, c, horizon, discount, draws, rng) for c in range(len(p))), strict=True)
    )


def simulate_one(p, customer, horizon, discount, draws, rng):
    """The same of one customer: each [S]."""
    k = rng.choice(p.log_weight.shape[1], draws, p=p.log_weight[customer].exp().numpy()) - 1
    parameters = (p.log_rate, p.log_hazard, p.log_shape, p.log_mean)
    rate, hazard, shape, mean = (t[customer].exp().numpy()[k] for t in parameters)
    life = np.where(k < 0, 0.0, rng.exponential(1, draws) / hazard)
    counts, spend, discounted, now = (np.zeros(draws) for _ in range(4))

    while (now < np.minimum(life, horizon)).any():
        now = now + rng.exponential(1, draws) / rate
        buys = now < np.minimum(life, horizon)
        counts[buys] += 1
        spend[buys] += (rng.gamma(shape) * mean / shape)[buys]
        discounted[buys] += np.exp(-discount * now[buys])
    return counts, spend, discounted


def agrees(draws, expected):
    """The mean of draws [N, S] lies within its Monte Carlo error of the expected [N]."""
    error = draws.std(axis=1) / math.sqrt(draws.shape[1])
    return bool((np.abs(draws.mean(axis=1) - expected.numpy()) <= 5 * error + 1e-12).all())


def happens_as_often(happened, probability):
    """The share of draws [N, S] lies within its Monte Carlo error of the probability [N]; rare events included."""
    p, draws = probability.numpy(), happened.shape[1]
    return bool((np.abs(happened.mean(axis=1) - p) <= 5 * np.sqrt(p * (1 - p) / draws) + 2 / draws).all())


# -- likelihood and distribution of counts ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_window_likelihood_integrates_over_the_last_purchase_to_the_probability_of_the_count(n):
    p, horizon = process(), 8.0
    node, weight = np.polynomial.legendre.leggauss(120)
    t = torch.tensor((node + 1) * horizon / 2)
    density = torch.stack(
        [p.count_log_likelihood(horizon, torch.tensor([[float(n)]]), x.reshape(1, 1)).exp() * x ** (n - 1) for x in t]
    )  # the first n - 1 purchases lie anywhere in order before the last: t^(n-1) / (n-1)!
    integral = (torch.tensor(weight * horizon / 2)[:, None, None] * density).sum(0) / math.factorial(n - 1)
    torch.testing.assert_close(integral, p.behaviour_pmf(horizon, n)[..., n], rtol=1e-9, atol=1e-14)


def test_the_likelihood_of_an_empty_window_is_the_churn_probability():
    p, zero = process(), torch.zeros(6, dtype=torch.float64)
    likelihood = p.window_log_likelihood(torch.full_like(zero, 8.0), zero, zero, zero, zero).exp()
    torch.testing.assert_close(likelihood, p.churn_probability(8.0), rtol=1e-13, atol=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), horizon=st.floats(0.01, 300))
def test_the_distribution_of_the_count_sums_to_one_and_carries_churn_and_mean(seed, horizon):
    p = process(seed=seed)
    maximum = int(support_bound(p, horizon).max())
    pmf = p.transaction_pmf(horizon, maximum)
    assert (pmf >= 0).all()
    torch.testing.assert_close(pmf.sum(-1), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(pmf[:, 0], p.churn_probability(horizon), rtol=0, atol=1e-12)
    mean = (pmf * torch.arange(maximum + 1)).sum(-1)
    torch.testing.assert_close(mean, p.expected_transactions(horizon), rtol=1e-6, atol=1e-9)


def test_the_likelihood_of_amounts_is_the_product_of_gamma_densities():
    p = process()
    amounts = np.array([0.3, 2.0, 7.5])
    sums = [torch.tensor([[x]]) for x in (3.0, amounts.sum(), np.log(amounts).sum())]
    shape, mean = p.log_shape.exp().numpy(), p.log_mean.exp().numpy()
    expected = stats.gamma.logpdf(amounts[:, None, None], shape, scale=mean / shape).sum(0)
    np.testing.assert_allclose(p.amount_log_likelihood(*sums).numpy(), expected, rtol=1e-12)
    assert (p.amount_log_likelihood(*(torch.zeros(1, 1),) * 3) == 0).all()


def test_the_window_likelihood_is_the_mixture_of_counts_and_amounts():
    p = process()
    n, t, spend, log_spend = (torch.full((6,), x, dtype=torch.float64) for x in (2.0, 1.5, 5.0, 1.2))
    horizon = torch.full_like(n, 4.0)

    def column(x):
        return x[:, None]

    count = p.count_log_likelihood(column(horizon), column(n), column(t)).exp()
    amount = p.amount_log_likelihood(column(n), column(spend), column(log_spend)).exp()
    expected = (p.weight * count * amount).sum(-1).log()
    torch.testing.assert_close(p.window_log_likelihood(horizon, n, t, spend, log_spend), expected)


def test_a_buyer_is_never_explained_as_gone_however_unlikely_the_window():
    p = single(-5.0, -5.0)
    window = [torch.tensor([x], dtype=torch.float64) for x in (10.0, 5000.0, 9.9, 1e6, 2e4)]
    likelihood = p.window_log_likelihood(*window)
    column = [x.unsqueeze(-1) for x in window]
    active = p.count_log_likelihood(*column[:3]) + p.amount_log_likelihood(column[1], *column[3:])
    assert likelihood.item() < -20_000
    torch.testing.assert_close(likelihood, (p.log_weight[:, 1:] + active).squeeze(-1), rtol=1e-14, atol=0)


# -- moments against simulation and quadrature -------------------------------------------------------------------


def test_closed_forms_agree_with_a_simulation_gap_by_gap():
    p, horizon, discount = process(customers=4), 12.0, 0.07
    counts, spend, discounted = simulate(p, horizon, discount, 60_000)
    assert agrees(counts, p.expected_transactions(horizon))
    assert agrees(spend, p.expected_spend(horizon))
    assert happens_as_often(counts == 0, p.churn_probability(horizon))
    pmf = p.transaction_pmf(horizon, 6)
    for n in range(7):
        assert happens_as_often(counts == n, pmf[:, n])
    assert agrees(discounted, p.discounted_transactions(horizon, discount))


def test_draws_agree_with_the_closed_forms_at_every_horizon():
    p, horizons = process(), [0.5, 4.0, 30.0]
    counts, spend = p.sample(horizons, 40_000, torch.Generator().manual_seed(1))
    for i, horizon in enumerate(horizons):
        drawn = counts[..., i].numpy()
        assert agrees(drawn, p.expected_transactions(horizon))
        assert happens_as_often(drawn == 0, p.churn_probability(horizon))
        assert happens_as_often(drawn == 2, p.transaction_pmf(horizon, 2)[:, 2])
        assert agrees(spend[..., i].numpy(), p.expected_spend(horizon))


def test_draws_are_coherent_over_horizons():
    counts, spend = process().sample([1.0, 1.5, 20.0], 2_000, torch.Generator().manual_seed(2))
    assert (counts.diff(dim=-1) >= 0).all()
    assert (spend.diff(dim=-1) >= 0).all()
    assert ((counts > 0) == (spend > 0)).all()
    assert (counts == counts.round()).all()


def test_discounted_transactions_equal_the_integral_over_expected_transactions():
    p, horizon, discount = process(), 40.0, 0.03
    node, weight = np.polynomial.legendre.leggauss(200)
    t = (node + 1) * horizon / 2
    by_parts = math.exp(-discount * horizon) * p.expected_transactions(horizon) + discount * sum(
        w * horizon / 2 * math.exp(-discount * x) * p.expected_transactions(float(x))
        for x, w in zip(t, weight, strict=True)
    )
    torch.testing.assert_close(p.discounted_transactions(horizon, discount), by_parts, rtol=1e-10, atol=0)


def test_the_residual_lifetime_is_the_infinite_horizon():
    p = process()
    lifetime = p.discounted_transactions(math.inf, 0.03)
    torch.testing.assert_close(lifetime, p.discounted_transactions(5_000.0, 0.03), rtol=1e-12, atol=0)
    by_hand = (p.weight * p.log_rate.exp() / (p.log_hazard.exp() + 0.03)).sum(-1)
    torch.testing.assert_close(lifetime, by_hand)


def test_the_probability_of_never_is_the_limit_of_churn_and_that_of_races_between_purchase_and_dropout():
    p = process()
    torch.testing.assert_close(p.never_probability(), p.churn_probability(1e9), rtol=1e-12, atol=0)
    rng, draws = np.random.default_rng(3), 60_000
    for i in range(len(p)):
        k = rng.choice(p.log_weight.shape[1], draws, p=p.log_weight[i].exp().numpy()) - 1
        wait, life = (rng.exponential(1, draws) / t[i].exp().numpy()[k] for t in (p.log_rate, p.log_hazard))
        assert happens_as_often(((k < 0) | (life < wait))[None], p.never_probability()[i : i + 1])


def test_alive_is_who_buys_at_last_if_nobody_drops_out():
    p = process()
    stays = PurchaseProcess(p.log_weight, p.log_rate, torch.full_like(p.log_hazard, -80.0), p.log_shape, p.log_mean)
    counts, _ = stays.sample([1e6], 20_000, torch.Generator().manual_seed(4))
    assert happens_as_often(counts[..., 0].numpy() > 0, p.alive_probability())


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 100), horizon=st.floats(0.01, 50))
def test_a_faster_clock_is_a_longer_horizon(seed, factor, horizon):
    p = process(seed=seed)
    fast, longer = p.faster(factor), factor * horizon
    for answer in (PurchaseProcess.churn_probability, PurchaseProcess.expected_transactions):
        torch.testing.assert_close(answer(fast, horizon), answer(p, longer), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(fast.transaction_pmf(horizon, 8), p.transaction_pmf(longer, 8), rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(fast.expected_spend(horizon), p.expected_spend(longer), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(fast.never_probability(), p.never_probability(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        fast.discounted_transactions(horizon, 0.1 * factor), p.discounted_transactions(longer, 0.1), rtol=1e-10, atol=0
    )


def test_a_process_in_float32_answers_like_its_double():
    wide = process(customers=200)
    p = wide.map(torch.Tensor.float)
    for answer in (
        lambda p: p.churn_probability(9.0),
        lambda p: p.never_probability(),
        lambda p: p.alive_probability(),
        lambda p: p.expected_spend(9.0),
        lambda p: p.discounted_transactions(9.0, 0.1),
        lambda p: p.transaction_pmf(9.0, 12),
    ):
        assert answer(p).dtype == torch.float32 and answer(p.double()).dtype == torch.float64
        torch.testing.assert_close(answer(p).double(), answer(wide), rtol=2e-4, atol=2e-6)


# -- coherence ----------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_churn_never_rises_and_spend_never_falls_with_the_horizon(seed):
    p = process(seed=seed)
    horizons = np.concatenate([np.geomspace(1e-3, 1e4, 60), [365.0, 365.0 + 1e-9]])
    horizons.sort()
    churn = torch.stack([p.churn_probability(float(h)) for h in horizons])
    spend = torch.stack([p.expected_spend(float(h)) for h in horizons])
    assert (churn.diff(dim=0) <= 0).all() and (churn >= 0).all() and (churn <= 1).all()
    assert (spend.diff(dim=0) >= 0).all()


def test_horizons_of_each_customer_broadcast():
    p = process()
    horizon = torch.tensor([1.0, 2.0, 3.0, 10.0, 30.0, 100.0], dtype=torch.float64)
    for answer in (p.churn_probability, p.expected_spend, p.expected_transactions, lambda h: p.transaction_pmf(h, 3)):
        alone = torch.stack([answer(float(h))[i] for i, h in enumerate(horizon)])
        torch.testing.assert_close(answer(horizon), alone, rtol=1e-14, atol=1e-16)


def test_probabilities_in_float64_stay_within_zero_and_one_after_weights_in_float32():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2_000, 9, generator=g)
    like = torch.zeros(2_000, 8)
    p = PurchaseProcess(torch.log_softmax(logits, -1), like - 20, like, like, like).double()
    total = p.log_weight.exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-15)
    assert (p.churn_probability(1e-6) <= 1).all()
    assert (p.alive_probability() <= 1).all() and (p.alive_probability() >= 0).all()


def test_units_change_nothing_that_has_no_unit():
    p = process()
    q = p.rescaled(7.0, 250.0)  # one time unit is seven days, one amount unit 250 in money
    torch.testing.assert_close(q.churn_probability(70.0), p.churn_probability(10.0), rtol=1e-12, atol=0)
    torch.testing.assert_close(q.transaction_pmf(70.0, 9), p.transaction_pmf(10.0, 9), rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(q.expected_transactions(70.0), p.expected_transactions(10.0), rtol=1e-12, atol=0)
    torch.testing.assert_close(q.expected_spend(70.0), 250 * p.expected_spend(10.0), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        q.discounted_transactions(70.0, 0.01), p.discounted_transactions(10.0, 0.07), rtol=1e-12, atol=0
    )


def test_joined_processes_are_the_average_of_the_distributions():
    parts = [process(seed=s, behaviours=2 + s) for s in range(3)]
    joined = concatenate(parts)

    def average(answer):
        return torch.stack([answer(p) for p in parts]).mean(0)

    for answer in (
        lambda p: p.transaction_pmf(9.0, 12),
        lambda p: p.expected_spend(9.0),
        lambda p: p.churn_probability(9.0),
        lambda p: p.alive_probability(),
        lambda p: p.discounted_transactions(9.0, 0.1),
    ):
        torch.testing.assert_close(answer(joined), average(answer), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(torch.logsumexp(joined.log_weight, -1), torch.zeros(6, dtype=torch.float64))


def test_one_process_joined_is_itself():
    p = process()
    assert concatenate([p]) is p


def test_selected_customers_keep_their_answers():
    p = process()
    rows = torch.tensor([4, 1])
    assert len(p.select(rows)) == 2
    torch.testing.assert_close(p.select(rows).churn_probability(3.0), p.churn_probability(3.0)[rows], rtol=0, atol=0)


# -- limits and numerical safety ------------------------------------------------------------------------------------


def test_without_dropout_purchases_are_poisson():
    p = single(math.log(0.4), -60.0, log_gone=-80.0)
    np.testing.assert_allclose(
        p.transaction_pmf(10.0, 30)[0].detach().numpy(), stats.poisson.pmf(np.arange(31), 4.0), atol=1e-12
    )
    assert p.expected_transactions(10.0).item() == pytest.approx(4.0, rel=1e-12)
    n, t = torch.tensor([[3.0]], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)
    assert p.count_log_likelihood(10.0, n, t).item() == pytest.approx(3 * math.log(0.4) - 4.0, rel=1e-12)


def test_without_a_rate_nobody_buys():
    p = single(-60.0, math.log(0.2))
    assert p.churn_probability(10.0).item() == pytest.approx(1.0, abs=1e-12)
    assert p.expected_transactions(10.0).item() == pytest.approx(0.0, abs=1e-12)
    assert p.transaction_pmf(10.0, 5)[0, 1:].sum().item() == pytest.approx(0.0, abs=1e-12)


def test_a_last_purchase_at_the_end_leaves_no_time_to_drop_out():
    p, horizon = process(), 5.0
    n, t = torch.tensor([[2.0]], dtype=torch.float64), torch.tensor([[horizon]], dtype=torch.float64)
    expected = 2 * p.log_rate - (p.log_rate.exp() + p.log_hazard.exp()) * horizon
    torch.testing.assert_close(p.count_log_likelihood(horizon, n, t), expected, rtol=1e-12, atol=1e-12)


def test_the_count_of_a_whale_is_computed_without_loss():
    p = single(math.log(50.0), math.log(1e-3), log_gone=-10.0)
    maximum = int(support_bound(p, 365.0).max())
    pmf = p.transaction_pmf(365.0, maximum)[0].detach()
    assert pmf.sum().item() == pytest.approx(1.0, abs=1e-9)
    mean = (pmf * torch.arange(maximum + 1)).sum().item()
    assert mean == pytest.approx(p.expected_transactions(365.0).item(), rel=1e-7)


@FLOATS
@settings(max_examples=60)
@given(
    log_rate=st.floats(-25, 8),
    log_hazard=st.floats(-25, 8),
    log_shape=st.floats(math.log(0.05), math.log(1000)),
    log_mean=st.floats(-9, 9),
    horizon=st.floats(1e-3, 1e4),
    purchases=st.sampled_from([0, 1, 2, 40, 3_000]),
    place=st.sampled_from([0.0, 0.5, 1.0]),
    log_amount=st.floats(-9, 9),
)
def test_likelihoods_and_their_gradients_are_finite_at_the_extremes(
    dtype, log_rate, log_hazard, log_shape, log_mean, horizon, purchases, place, log_amount
):
    p = single(log_rate, log_hazard, log_shape=log_shape, log_mean=log_mean, dtype=dtype)
    n = float(purchases)
    window = (horizon, n, place * horizon if n else 0.0, n * math.exp(log_amount), n * log_amount)
    likelihood = p.window_log_likelihood(*(torch.tensor([x], dtype=dtype) for x in window))
    assert torch.isfinite(likelihood).all()
    leaves = [p.log_weight, p.log_rate, p.log_hazard, p.log_shape, p.log_mean]
    for gradient in torch.autograd.grad(likelihood.sum(), leaves, allow_unused=True):
        assert gradient is None or torch.isfinite(gradient).all()


@FLOATS
@settings(max_examples=60)
@given(log_rate=st.floats(-25, 5), log_hazard=st.floats(-25, 5), horizon=st.floats(1e-3, 1e3))
def test_closed_forms_and_their_gradients_are_finite_at_the_extremes(dtype, log_rate, log_hazard, horizon):
    p = single(log_rate, log_hazard, dtype=dtype)
    answers = [
        p.churn_probability(horizon),
        p.expected_transactions(horizon),
        p.expected_spend(horizon),
        p.discounted_transactions(horizon, 0.01),
        p.alive_probability(),
        p.never_probability(),
        p.faster(3.0).churn_probability(horizon),
        p.transaction_pmf(horizon, 5).sum(-1),
    ]
    total = sum(answer.sum() for answer in answers)
    gradients = torch.autograd.grad(total, [p.log_weight, p.log_rate, p.log_hazard, p.log_mean])
    assert all(torch.isfinite(x).all() for x in [*answers, *gradients])


def test_gradients_of_the_likelihood_equal_finite_differences():
    leaves = [t.clone().requires_grad_() for t in vars(process()).values()]
    window = [torch.full((6,), x, dtype=torch.float64) for x in (5.0, 2.0, 3.0, 6.0, 1.9)]
    assert torch.autograd.gradcheck(lambda *t: PurchaseProcess(*t).window_log_likelihood(*window), leaves)
