"""The loss is the weighted mean of the windows' negative log-likelihoods."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqclv.batch import FutureWindow
from seqclv.model.process import PurchaseProcess
from seqclv.training.objective import judged_loss, negative_log_likelihood


@pytest.fixture
def process():
    g = torch.Generator().manual_seed(0)

    def parameter():
        return torch.randn(4, 3, generator=g, dtype=torch.float64).requires_grad_()

    weight = torch.log_softmax(torch.randn(4, 4, generator=g, dtype=torch.float64), -1)
    return PurchaseProcess(weight, *(parameter() for _ in range(4)))


@pytest.fixture
def future():
    purchases = torch.tensor([[0.0, 1.0], [2.0, 2.0], [0.0, 0.0], [5.0, 3.0]]).double()
    return FutureWindow(
        horizon=torch.tensor([[3.0, 1.0], [4.0, 2.0], [5.0, 2.0], [9.0, 6.0]]).double(),
        purchases=purchases,
        last_offset=0.4 * purchases,
        spend=1.5 * purchases,
        log_spend=0.3 * purchases,
        regressors=torch.zeros(4, 2, 0).double(),
        weight=torch.ones(4, 2).double(),
    )


def by_window(process, future):
    columns = ("horizon", "purchases", "last_offset", "spend", "log_spend")
    return torch.stack(
        [process.window_log_likelihood(*(getattr(future, c)[:, w] for c in columns)) for w in range(2)], -1
    )


def test_the_loss_is_the_mean_over_windows(process, future):
    expected = -by_window(process, future).mean()
    torch.testing.assert_close(negative_log_likelihood(process, future), expected)


def test_a_window_of_weight_zero_does_not_count(process, future):
    weight = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]).double()
    expected = -by_window(process, future)[weight > 0].mean()
    torch.testing.assert_close(negative_log_likelihood(process, replace(future, weight=weight)), expected)


def test_weights_count_in_proportion(process, future):
    weight = torch.rand(4, 2, generator=torch.Generator().manual_seed(1)).double()
    expected = -(weight * by_window(process, future)).sum() / weight.sum()
    torch.testing.assert_close(negative_log_likelihood(process, replace(future, weight=weight)), expected)
    scaled = replace(future, weight=100 * weight)
    torch.testing.assert_close(negative_log_likelihood(process, scaled), expected)


def test_a_batch_without_a_window_has_no_loss_and_no_gradient(process, future):
    nobody = torch.zeros(0, dtype=torch.long)
    empty = FutureWindow(**{name: column[nobody] for name, column in vars(future).items()})
    loss = negative_log_likelihood(process.select(nobody), empty)
    assert loss == 0
    (gradient,) = torch.autograd.grad(loss, [process.log_rate])
    assert (gradient == 0).all()


def test_the_truth_has_a_smaller_loss_than_other_parameters():
    rng, customers, end = np.random.default_rng(0), 4_000, 10.0
    rate, hazard, shape, mean = 0.6, 0.2, 2.7, 1.6
    life = np.where(rng.random(customers) < 0.25, 0.0, rng.exponential(1 / hazard, customers))
    times = rng.exponential(1 / rate, (customers, 80)).cumsum(axis=1)
    bought = times < np.minimum(life, end)[:, None]
    amounts = rng.gamma(shape, mean / shape, times.shape)
    columns = [bought.sum(1), (times * bought).max(1), (amounts * bought).sum(1), (np.log(amounts) * bought).sum(1)]
    columns = [torch.tensor(column, dtype=torch.float64).unsqueeze(-1) for column in columns]
    none = torch.zeros(customers, 1, 0)
    future = FutureWindow(torch.full_like(columns[0], end), *columns, none, torch.ones_like(columns[0]))

    def loss(**changes):
        values = {"rate": rate, "hazard": hazard, "shape": shape, "mean": mean, "gone": 0.25} | changes
        like = torch.ones(customers, 1, dtype=torch.float64)
        weight = torch.cat([like * values["gone"], like * (1 - values["gone"])], dim=-1).log()
        logs = (like * float(np.log(values[name])) for name in ("rate", "hazard", "shape", "mean"))
        return negative_log_likelihood(PurchaseProcess(weight, *logs), future).item()

    truth = loss()
    for name, value in {"rate": rate, "hazard": hazard, "shape": shape, "mean": mean, "gone": 0.25}.items():
        assert loss(**{name: 0.7 * value}) > truth + 0.002
        assert loss(**{name: 1.4 * value}) > truth + 0.002


def test_the_judged_loss_is_the_log_score_of_churn_and_counts(process, future):
    churn, counts = 0.0, 0.0
    for w in range(2):
        none = process.churn_probability(future.horizon[:, w])
        bought = future.purchases[:, w] > 0
        churn += float(-torch.where(bought, torch.log1p(-none), none.log()).sum().detach())
    for i in range(4):
        pmf = process.select(slice(i, i + 1)).transaction_pmf(future.horizon[i : i + 1, 0], 9)
        counts += float(-pmf[0, int(future.purchases[i, 0])].log().detach())
    assert float(judged_loss(process, future).detach()) == pytest.approx(churn / 8 + counts / 4, rel=1e-9)


def test_the_judged_loss_has_finite_gradients_for_many_purchases(process, future):
    many = replace(future, purchases=400 * future.purchases, horizon=1e-3 * future.horizon)
    judged_loss(process, many).backward()
    assert torch.isfinite(process.log_rate.grad).all()
    assert torch.isfinite(process.log_hazard.grad).all()
