"""The seasonal clock: a year has a year's operational time, and the likelihood is that of the stretched process."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqclv.batch import DAYS_PER_YEAR, FutureWindow
from seqclv.model.process import PurchaseProcess
from seqclv.model.season import SeasonalClock, fourier

COEFFICIENTS = st.lists(st.floats(-1.5, 1.5), min_size=4, max_size=4)
TIMES = st.floats(0, 8)


def clock(coefficients):
    made = SeasonalClock(len(coefficients) // 2, 1.0).double()
    made.coefficients.data = torch.tensor(coefficients, dtype=torch.float64)
    return made


def passed(made, phase, elapsed):
    with torch.no_grad():
        return made.operational(*(torch.tensor(t, dtype=torch.float64) for t in (phase, elapsed))).item()


@given(COEFFICIENTS, st.floats(0, 0.999), st.integers(1, 5))
def test_every_year_has_the_same_operational_time_as_clock_time(coefficients, phase, years):
    assert passed(clock(coefficients), phase, float(years)) == pytest.approx(years, abs=1e-9)


@given(COEFFICIENTS, st.floats(0, 0.999), TIMES, TIMES)
def test_operational_time_only_rises_and_adds_up(coefficients, phase, one, two):
    made = clock(coefficients)
    first, both = passed(made, phase, one), passed(made, phase, one + two)
    assert first >= -1e-12
    assert both >= first - 1e-12
    assert both - first == pytest.approx(passed(made, (phase + one) % 1.0, two), abs=1e-6)


@given(st.floats(0, 0.999), TIMES)
def test_without_harmonics_operational_time_is_clock_time(phase, elapsed):
    assert passed(SeasonalClock(0, 1.0).double(), phase, elapsed) == elapsed


def test_the_integral_agrees_with_quadrature():
    made = clock([0.6, -0.3, 0.4, 0.2])
    u = torch.linspace(0.0, 1.0, 200_001, dtype=torch.float64)
    rate = (fourier(u, 2) @ made.coefficients.detach()).exp()
    rate = rate / rate[:-1].mean()
    expected = torch.cumulative_trapezoid(rate, u)
    for share in (0.1, 0.37, 0.5, 0.93):
        assert passed(made, 0.0, share) == pytest.approx(expected[round(share * 200_000) - 1].item(), abs=2e-4)


def windows(phase, horizon, times):
    """One window per row; times in years after the cutoff."""
    waves = [fourier((p + torch.tensor(t).double()) % 1.0, 2).sum(0) for p, t in zip(phase, times, strict=True)]
    column = lambda values: torch.tensor(values, dtype=torch.float64).unsqueeze(-1)  # noqa: E731
    zero = torch.zeros(len(phase), 1, dtype=torch.float64)
    return FutureWindow(
        column([horizon * DAYS_PER_YEAR] * len(phase)),
        column([len(t) for t in times]),
        column([t[-1] * DAYS_PER_YEAR for t in times]),
        zero,
        zero,
        torch.stack(waves).unsqueeze(1),
        torch.ones_like(zero),
    )


def test_the_likelihood_of_a_poisson_window_is_that_of_the_stretched_intensity():
    made, rate = clock([0.5, 0.1, -0.4, 0.2]), 3.0  # purchases a year
    phase, times = torch.tensor([0.2, 0.7]).double(), [[0.1, 0.35], [0.05, 0.2, 0.6]]
    future = windows(phase.tolist(), 0.8, times)
    stretched = made.window(phase, future).horizon.squeeze(-1) / DAYS_PER_YEAR
    n = future.purchases.squeeze(-1)
    found = n * math.log(rate) - rate * stretched + made.log_likelihood(future).squeeze(-1)
    u = torch.linspace(0.0, 1.0, 100_001, dtype=torch.float64)
    series = lambda t: (fourier(t % 1.0, 2) @ made.coefficients.detach()).exp()  # noqa: E731
    mean = series(u[:-1]).mean()
    for i, (p, moments) in enumerate(zip(phase.tolist(), times, strict=True)):
        points = rate * series(p + torch.tensor(moments).double()) / mean
        total = rate * series(p + 0.8 * u[:-1]).mean() / mean * 0.8
        assert found[i].item() == pytest.approx((points.log().sum() - total).item(), abs=1e-3)


@pytest.mark.parametrize("elapsed", [0.1, 0.7, 2.3])
def test_closed_forms_on_the_clock_equal_the_integrals_over_a_seasonal_rate_and_hazard(elapsed):
    made, phase, rate, hazard = clock([0.5, 0.1, -0.4, 0.2]), 0.3, 4.0, 1.5
    u = torch.linspace(0.0, elapsed, 200_001, dtype=torch.float64)
    series = lambda t: (fourier(t % 1.0, 2) @ made.coefficients.detach()).exp()  # noqa: E731
    season = series(phase + u) / series(torch.linspace(0.0, 1.0, 100_001, dtype=torch.float64)[:-1]).mean()
    clock_time = torch.cat([torch.zeros(1).double(), torch.cumulative_trapezoid(season, u)])
    stays = (-hazard * clock_time).exp()
    expected = torch.trapezoid(rate * season * stays, u)
    none = (
        torch.trapezoid(hazard * season * stays * (-rate * clock_time).exp(), u)
        + stays[-1] * (-rate * clock_time[-1]).exp()
    )
    one = lambda value: torch.tensor([[math.log(value)]], dtype=torch.float64)  # noqa: E731
    weight = torch.tensor([[-torch.inf, 0.0]], dtype=torch.float64)
    process = PurchaseProcess(weight, one(rate), one(hazard), one(1.0), one(1.0))
    horizon = passed(made, phase, elapsed)
    assert process.expected_transactions(horizon).item() == pytest.approx(expected.item(), rel=1e-3)
    assert process.churn_probability(horizon).item() == pytest.approx(none.item(), abs=1e-3)


def test_the_last_purchase_of_a_window_is_stretched_like_its_end():
    made, phase = clock([0.5, 0.1, -0.4, 0.2]), [0.2, 0.7]
    future = windows(phase, 0.8, [[0.1, 0.35], [0.05, 0.6]])
    stretched = made.window(torch.tensor(phase, dtype=torch.float64), future)
    for row, (start, last) in enumerate(zip(phase, (0.35, 0.6), strict=True)):
        assert stretched.last_offset[row].item() == pytest.approx(passed(made, start, last) * DAYS_PER_YEAR, rel=1e-12)
        assert stretched.horizon[row].item() == pytest.approx(passed(made, start, 0.8) * DAYS_PER_YEAR, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    coefficients=st.lists(st.floats(-12, 12), min_size=4, max_size=4),
    phase=st.sampled_from([0.0, 1e-9, 0.5, 1 - 1e-7]),
    elapsed=st.sampled_from([0.0, 1e-9, 1 / 365, 1.0, 40.0]),
)
def test_the_clock_and_its_gradients_are_finite_at_the_extremes(dtype, coefficients, phase, elapsed):
    made = SeasonalClock(2, 1.0).to(dtype)
    made.coefficients.data = torch.tensor(coefficients, dtype=dtype)
    future = windows([phase], 0.8, [[0.1, 0.35]])
    future = FutureWindow(*(value.to(dtype) for value in vars(future).values()))
    time = made.operational(*(torch.tensor(t, dtype=dtype) for t in (phase, elapsed)))
    stretched = made.window(torch.tensor([phase], dtype=dtype), future)
    answers = [time, stretched.horizon, stretched.last_offset, made.log_likelihood(future), made.penalty()]
    (gradient,) = torch.autograd.grad(sum(answer.sum() for answer in answers), made.coefficients)
    assert all(torch.isfinite(value).all() for value in [*answers, gradient])
    assert time >= -1e-4 * (1 + elapsed)


def test_gradients_of_the_clock_equal_finite_differences():
    made, future = clock([0.5, 0.1, -0.4, 0.2]), windows([0.2, 0.7], 0.8, [[0.1, 0.35], [0.05, 0.6]])
    phase, elapsed = (torch.tensor(t, dtype=torch.float64) for t in ([0.2, 0.7], [0.43, 2.2]))

    def answers(coefficients):
        made.coefficients = coefficients
        return made.operational(phase, elapsed), made.log_likelihood(future), made.penalty()

    start = made.coefficients.detach().clone().requires_grad_()
    del made.coefficients  # a parameter cannot be replaced by a tensor
    assert torch.autograd.gradcheck(answers, start)


def test_the_prior_holds_higher_harmonics_tighter():
    first, second = clock([0.3, 0.0, 0.0, 0.0]).penalty(), clock([0.0, 0.3, 0.0, 0.0]).penalty()
    assert second.item() == pytest.approx(4 * first.item())
