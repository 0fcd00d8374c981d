"""The seasonal clock: a year has a year's operational time, and the likelihood is that of the stretched process."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqclv.batch import DAYS_PER_YEAR, FutureWindow
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


def test_the_prior_holds_higher_harmonics_tighter():
    first, second = clock([0.3, 0.0, 0.0, 0.0]).penalty(), clock([0.0, 0.3, 0.0, 0.0]).penalty()
    assert second.item() == pytest.approx(4 * first.item())
