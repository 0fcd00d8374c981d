"""The Gamma distribution function by table against scipy's."""

import numba
import numpy as np
import pytest
from scipy import special, stats

from seqclv.model.compiled import compiled
from seqclv.model.gamma import CERTAIN, gamma_distribution, gamma_table

SHAPES = (0.01, 0.05, 0.3, 0.999, 1.0, 1.49999, 1.5, 2.0, 7.3, 40.0, 1_000.0, 1e6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gamma_distribution_function_and_its_slope_are_those_of_scipy(shape):
    arguments = np.linspace(max(shape**0.5 - CERTAIN, 1e-3), shape**0.5 + CERTAIN, 2_001) ** 2
    found = np.array([gamma_distribution(shape, x, np.log(x / shape), gamma_table()) for x in arguments])
    np.testing.assert_allclose(found[:, 0], special.gammainc(shape, arguments), rtol=0, atol=5e-7)
    slope = arguments * stats.gamma.pdf(arguments, shape)
    np.testing.assert_allclose(found[:, 1], slope, rtol=1e-3, atol=1e-6 * max(slope))


@pytest.mark.parametrize("shape", [s for s in SHAPES if s >= 1])
def test_beyond_the_certain_distance_the_distribution_function_is_zero_or_one(shape):
    low, high = max(shape**0.5 - CERTAIN, 0.0) ** 2, (shape**0.5 + CERTAIN) ** 2
    assert special.gammainc(shape, low) < 2e-6
    assert special.gammaincc(shape, high) < 2e-6


def test_where_no_cache_can_be_written_functions_are_compiled_without_one(monkeypatch):
    asked, real = [], numba.njit

    def njit(*, cache, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    double = compiled(lambda x: 2 * x)
    assert double(3) == 6
    assert asked == [True, False]
