"""The special functions of the sweeps against multiple precision and scipy, over all the line."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.special

import tapegrad as tg
from tapegrad import special

mp = mpmath.mp
RNG = np.random.default_rng(7)
inf, nan = math.inf, math.nan

POSITIVE = [
    *RNG.uniform(0.0, 1.0, 30),
    *RNG.uniform(1.0, 20.0, 60),
    *(10.0 ** RNG.uniform(-200, 200, 30)),
]
NEGATIVE = [x for x in RNG.uniform(-30.0, 0.0, 60) if abs(x - round(x)) > 1e-3]
NEAR_THE_ROOT = [
    1.4616321449683622,
    *(1.4616321449683622 + RNG.uniform(-0.3, 0.3, 30)),
    1.4616321449683625,
    1.46163214,
]


def relative_error(found, exact):
    return abs(float((mp.mpf(found) - exact) / exact)) if exact else abs(found)


@pytest.mark.parametrize("points", [POSITIVE, NEAR_THE_ROOT], ids=["positive", "near the root"])
def test_digamma_is_accurate(points):
    with mp.workdps(40):
        for x in map(float, points):
            assert relative_error(special.digamma(x), mp.digamma(x)) < 4e-15, x


def test_digamma_of_negative_numbers_is_accurate_away_from_its_roots():
    with mp.workdps(40):
        for x in map(float, NEGATIVE):
            exact = mp.digamma(x)
            assert abs(special.digamma(x) - float(exact)) < 4e-15 * (
                1 + abs(mp.pi / mp.tan(mp.pi * x)) + 3
            ), x


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7, 12])
def test_polygamma_is_accurate(order):
    with mp.workdps(60):
        for x in map(float, [*POSITIVE[:90], *NEGATIVE]):
            exact = mp.psi(order, x)
            tolerance = 1e-14 if x > 0 else 1e-13
            assert relative_error(special.polygamma(float(order), x), exact) < tolerance, x


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("x", [0.0, -0.0, -1.0, -2.0, -7.0, inf, -inf, nan])
def test_polygamma_at_poles_and_infinities(order, x):
    found = special.polygamma(float(order), x)
    assert isinstance(found, float)
    if x != x or x == inf or (order and x == 0.0):
        wanted = float(scipy.special.polygamma(order, x))
        np.testing.assert_equal(found + 0.0, wanted + 0.0)


def test_digamma_at_poles_and_infinities_is_scipys():
    for x in (0.0, -0.0, -1.0, -5.0, inf, -inf, nan):
        np.testing.assert_equal(special.digamma(x), float(scipy.special.digamma(x)))


def test_gammaln_is_accurate_also_about_its_roots():
    with mp.workdps(40):
        for x in map(
            float,
            [
                *POSITIVE,
                1.0,
                2.0,
                *(1.0 + RNG.uniform(-1e-3, 1e-3, 9)),
                *(2.0 + RNG.uniform(-1e-3, 1e-3, 9)),
            ],
        ):
            exact = mp.loggamma(x)
            assert abs(special.gammaln(x) - float(exact)) <= 4e-15 * abs(float(exact)) + 4e-16, x


def test_whole_powers_overflow_and_underflow_as_the_librarys():
    for x in (1e200, -1e200, 1e-200, -1e-200, 0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 1.7):
        for n in range(-12, 13):
            with np.errstate(all="ignore"):
                wanted = float(np.float64(x) ** np.float64(n))
            found = special.powi(x, float(n))
            assert found == pytest.approx(wanted, rel=4e-15, abs=1e-323, nan_ok=True), (x, n)
            assert math.copysign(1.0, found) == math.copysign(1.0, wanted) or wanted != wanted


def test_small_whole_powers_are_products_alone_of_the_same_bits():
    for x in (1.7, -1.7, 1e200, -1e-200, 0.0, -0.0, inf, -inf, nan):
        for n in range(9):
            product = special.products(x, float(n), 1.0, lambda a, b: a * b)
            assert np.float64(product).tobytes() == np.float64(special.powi(x, n)).tobytes(), (x, n)
    assert {special.products(1.7, n, 1.0, max) for n in (-1.0, 0.5, 9.0, inf, nan)} == {None}


def test_negative_whole_powers_underflow_gradually():
    for x, n, wanted in ((1e103, -3, 1e-309), (1e80, -4, 1e-320), (-1e155, -2, 1e-310)):
        assert special.powi(x, float(n)) == pytest.approx(wanted, rel=1e-3, abs=0.0)
    assert special.powi(1e-154, -2.0) == pytest.approx(1e308, rel=1e-15)


@pytest.mark.parametrize("order", [-math.inf, -2.0, -1.0, 2.5, 171.0, 200.0, 201.0, 1e16, 1e300,
                                   math.inf, math.nan])  # fmt: skip
def test_polygamma_of_an_absurd_order_is_scipys(order):
    x = np.array([0.5, 1.0, 1.5, 2.0, 3.7, 40.0, -0.5, -1.3, -1.5, -2.0, math.nan])
    with np.errstate(all="ignore"):
        wanted = scipy.special.polygamma(order, x)
    np.testing.assert_array_equal([special.polygamma(order, one) for one in x], wanted)
    found = tg.value_and_grad(lambda x: scipy.special.polygamma(order, x))(0.5)[0]
    np.testing.assert_array_equal(found, wanted[0])
