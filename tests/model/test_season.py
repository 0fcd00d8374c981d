"""The seasonal clock: a year has a year's operational time, and the likelihood is that of the stretched process."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqclv.batch import DAYS_PER_YEAR, FutureWindow, KnownDays
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


# ---------------------------------------------------------------- calendar

KINDS = ((60.0, -0.5, 0.3), (30.0, 1.0, -0.6), (10.0, 0.0, 0.0))  # days of the history and what they share
VALUES = torch.tensor([[1.0, -0.6]] * 3 + [[-0.5, 0.3]] * 40 + [[1.0, -0.6]] * 2, dtype=torch.float64)  # [45, 2]
DAYS = KnownDays(VALUES, first=18_000)


def clock_with_calendar(coefficients=(0.5, 0.1, -0.4, 0.2), effects=(0.6, -0.3)):
    made = SeasonalClock(len(coefficients) // 2, 1.0, KINDS).double()
    made.coefficients.data = torch.tensor(coefficients, dtype=torch.float64)
    made.effects.data = torch.tensor(effects, dtype=torch.float64)
    return made


def pace(made, time):
    """s at instants (years), by its formula; the mean of the season over a year from a fine grid."""
    series = lambda t: (fourier(t % 1.0, made.harmonics) @ made.coefficients.detach()).exp()  # noqa: E731
    season = series(time) / series(torch.linspace(0.0, 1.0, 100_001, dtype=torch.float64)[:-1]).mean()
    kinds = torch.tensor(KINDS, dtype=torch.float64)
    average = ((kinds[:, 1:] @ made.effects.detach()).exp() * kinds[:, 0]).sum() / kinds[:, 0].sum()
    of_day = torch.cat([(VALUES @ made.effects.detach()).exp() / average, torch.ones(1).double()])
    day = ((time - DAYS.phase) * DAYS_PER_YEAR).floor().long().clamp(max=len(VALUES))
    return season * of_day[day]


@pytest.mark.parametrize("coefficients", [(), (0.5, 0.1, -0.4, 0.2)])
@pytest.mark.parametrize(("start", "elapsed"), [(0.0, 2.5), (0.3, 44.2), (3.0, 0.1), (41.7, 300.0), (60.0, 30.0)])
def test_with_a_calendar_the_integral_equals_numerical_integration(coefficients, start, elapsed):
    made = clock_with_calendar(coefficients)
    begin = DAYS.phase + start / DAYS_PER_YEAR
    middle = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000 * elapsed / DAYS_PER_YEAR
    expected = pace(made, begin + middle).mean() * elapsed
    both = (torch.tensor(t, dtype=torch.float64) for t in (begin, elapsed / DAYS_PER_YEAR))
    with torch.no_grad():
        found = made.operational(*both, DAYS) * DAYS_PER_YEAR
    assert found.item() == pytest.approx(expected.item(), rel=2e-3 if coefficients else 2e-5)


def test_the_average_day_of_the_history_passes_at_pace_one():
    made, kinds = clock_with_calendar(()), torch.tensor(KINDS, dtype=torch.float64)
    history = KnownDays(kinds[:, 1:].repeat_interleave(kinds[:, 0].long(), dim=0), first=0)
    with torch.no_grad():
        found = made.operational(torch.tensor(0.0).double(), torch.tensor(100 / DAYS_PER_YEAR).double(), history)
    assert found.item() * DAYS_PER_YEAR == pytest.approx(100.0)


def test_with_a_calendar_the_likelihood_is_that_of_the_inhomogeneous_process():
    """Two customers of one behaviour, by brute force over the moments at which they may have left."""
    made, rate, hazard, horizon = clock_with_calendar(()), 0.2, 0.05, 44.0
    starts, times = [0.0, 1.0], [[2.5, 10.0, 41.9], [0.5]]
    values = torch.cat([VALUES, torch.zeros(1, 2).double()])
    place = [torch.tensor([int(s + t) for t in row]).clamp(max=45) for s, row in zip(starts, times, strict=True)]
    sums = torch.stack([torch.cat([values[p].sum(0), (p < 45).sum().reshape(1)]) for p in place])
    column = lambda row: torch.tensor(row, dtype=torch.float64).unsqueeze(-1)  # noqa: E731
    one = lambda value: torch.full((2, 1), math.log(value), dtype=torch.float64)  # noqa: E731
    weight = torch.tensor([[-torch.inf, 0.0]] * 2, dtype=torch.float64)
    process = PurchaseProcess(weight, one(rate), one(hazard), one(1.0), one(1.0))  # an amount of 0 has density 1
    nothing = torch.zeros(2, 1, dtype=torch.float64)
    count, last = [float(len(t)) for t in times], [t[-1] for t in times]
    future = FutureWindow(
        column([horizon] * 2), column(count), column(last), nothing, nothing, sums.unsqueeze(1), nothing + 1
    )
    begin = DAYS.phase + torch.tensor(starts).double() / DAYS_PER_YEAR
    with torch.no_grad():
        window = made.window(begin, future, DAYS)
        statistics = (window.horizon, window.purchases, window.last_offset, window.spend, window.log_spend)
        found = process.window_log_likelihood(*(s[:, 0] for s in statistics)) + made.log_likelihood(future)[:, 0]
    steps = 440_000
    grid = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps * horizon
    for i, row in enumerate(times):
        speed = pace(made, begin[i] + grid / DAYS_PER_YEAR)
        passed = speed.cumsum(0) * horizon / steps
        bought = (rate * pace(made, begin[i] + torch.tensor(row).double() / DAYS_PER_YEAR)).prod()
        left = (hazard * speed * (-(rate + hazard) * passed).exp())[grid > row[-1]].sum() * horizon / steps
        stayed = (-(rate + hazard) * passed[-1]).exp()
        assert found[i].item() == pytest.approx((bought * (left + stayed)).log().item(), abs=1e-3)


def test_gradients_of_the_calendar_equal_finite_differences():
    made, start = clock_with_calendar(), DAYS.phase + torch.tensor([0.0, 4.3]).double() / DAYS_PER_YEAR
    elapsed = torch.tensor([0.1, 2.2], dtype=torch.float64)
    effects = made.effects.detach().clone().requires_grad_()
    del made.effects  # a parameter cannot be replaced by a tensor

    def answers(value):
        made.effects = value
        return made.operational(start, elapsed, DAYS), made.penalty()

    assert torch.autograd.gradcheck(answers, effects)


def test_without_a_calendar_a_clock_has_the_weights_it_always_had():
    assert set(SeasonalClock(2, 1.0).state_dict()) == {"coefficients"}
