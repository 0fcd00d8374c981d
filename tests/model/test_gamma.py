"""The Gamma distribution function by table against scipy's."""

import numpy as np
import pytest
from scipy import special, stats

from seqclv.model.gamma import (
    CERTAIN,
    gamma_distribution,
    gamma_table,
    normal_distribution,
    small_gamma_distribution,
)

SHAPES = (1.5, 1.50001, 2.0, 7.3, 40.0, 1_000.0, 1e6)
SMALL_SHAPES = (0.01, 0.05, 0.3, 0.999, 1.0, 1.49999)


def assert_like_scipy(found, shape, arguments):
    np.testing.assert_allclose(found[:, 0], special.gammainc(shape, arguments), rtol=0, atol=5e-6)
    slope = arguments * stats.gamma.pdf(arguments, shape)
    np.testing.assert_allclose(found[:, 1], slope, rtol=0, atol=4e-3 * max(slope))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gamma_distribution_function_and_its_slope_are_those_of_scipy(shape):
    root = np.sqrt(shape)
    roots = np.linspace(max(root - CERTAIN, 1e-3), root + CERTAIN, 4_001)
    found = np.array([gamma_distribution(root, 1 / root, r, gamma_table()) for r in roots])
    found[:, 1] *= roots / 2  # by log x
    assert_like_scipy(found, shape, roots**2)


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_small_shapes_are_raised_to_those_of_the_table(shape):
    arguments = np.linspace(1e-3, np.sqrt(shape) + CERTAIN, 2_001) ** 2
    found = np.array([small_gamma_distribution(shape, x, gamma_table()) for x in arguments])
    assert_like_scipy(found, shape, arguments)


def test_the_table_holds_the_normal_distribution_as_well():
    z = np.linspace(-8, 8, 4_001)
    found = np.array([normal_distribution(value, gamma_table()) for value in z])
    np.testing.assert_allclose(found[:, 0], special.ndtr(z), rtol=0, atol=5e-6)
    np.testing.assert_allclose(found[:, 1], stats.norm.pdf(z), rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [1.0, 1.49999, *SHAPES])
def test_beyond_the_certain_distance_the_distribution_function_is_zero_or_one(shape):
    low, high = max(shape**0.5 - CERTAIN, 0.0) ** 2, (shape**0.5 + CERTAIN) ** 2
    assert special.gammainc(shape, low) < 2e-6
    assert special.gammaincc(shape, high) < 2e-6
