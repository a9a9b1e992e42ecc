"""Powers of every exponent, and infinite partials that meet a zero."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tapegrad as tg

inf = math.inf

# --- zero contributes zero ---------------------------------------------------------------------

INFINITE_AT_ZERO = {
    "sqrt": np.sqrt, "log": np.log, "reciprocal": np.reciprocal, "cbrt": np.cbrt,
    "power": lambda x: x**0.5, "nan": lambda x: np.sqrt(x - 1.0), "divide": lambda x: x / x,
    "arccosh": np.arccosh, "product": lambda x: np.log(x) * np.reciprocal(x),
}  # fmt: skip


@pytest.mark.parametrize("name", INFINITE_AT_ZERO)
def test_a_branch_not_taken_adds_nothing_though_its_partial_is_infinite(name):
    function = INFINITE_AT_ZERO[name]

    def chosen(x):
        return np.where(x > 0.0, function(x), 3.0 * x)

    value, gradient = tg.value_and_grad(chosen)(0.0)
    assert (value, gradient) == (0.0, 3.0)
    assert tg.jvp(chosen, (0.0,), (1.0,)) == (0.0, 3.0)
    assert tg.grad(tg.grad(chosen))(0.0) == 0.0
    array = np.array([0.0, 4.0])
    with np.errstate(all="ignore"):
        taken = tg.grad(lambda x: function(x))(4.0)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(chosen(x)))(array), [3.0, taken], 1e-14)


def test_a_zero_factor_stops_an_infinite_partial_in_both_directions():
    def f(x, y):
        return x * np.sqrt(y)

    assert tg.grad(f, argnums=(0, 1))(0.0, 0.0) == (0.0, 0.0)
    assert tg.jvp(f, (0.0, 0.0), (1.0, 1.0))[1] == 0.0
    assert tg.jvp(f, (1.0, 0.0), (1.0, 0.0))[1] == 0.0


# --- powers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(-20, 34))
def test_whole_powers_of_whole_numbers_are_exact(n):
    for x in (2.0, -2.0, 0.5, 3.0, -3.0):
        if n < 0 and abs(x) == 3.0:
            continue
        value, gradient = tg.value_and_grad(lambda x: x**n)(x)
        assert value == x**n == float(x**n)
        assert gradient == n * x ** (n - 1)
        vector = tg.value_and_grad(lambda x: np.sum(x**n))(np.array([x]))
        assert (vector[0], vector[1][0]) == (value, gradient)


def test_whole_powers_at_zero():
    derivatives = {0: (1.0, 0.0, 0.0), 1: (0.0, 1.0, 0.0), 2: (0.0, 0.0, 2.0), 3: (0.0, 0.0, 0.0)}
    for n, expected in derivatives.items():
        for exponent in (n, float(n), np.float64(n), np.int64(n)):
            f = lambda x: x**exponent  # noqa: B023, E731
            assert (f(0.0), tg.grad(f)(0.0), tg.grad(tg.grad(f))(0.0)) == expected
            f = lambda x: np.power(x, exponent)  # noqa: B023, E731
            assert (f(0.0), tg.grad(f)(0.0), tg.grad(tg.grad(f))(0.0)) == expected


def test_negative_whole_powers_at_zero_are_infinite():
    value, gradient = tg.value_and_grad(lambda x: np.power(x, -1))(0.0)
    assert value == inf
    assert gradient == -inf
    assert tg.grad(lambda x: x**-2)(np.float64(0.0)) == -inf


@pytest.mark.parametrize("n", [-3, -2, -1, 1, 2, 3, 5, 9])
def test_negative_bases_have_whole_powers(n):
    f = lambda x: x**n  # noqa: E731
    assert tg.grad(f)(-1.5) == pytest.approx(n * (-1.5) ** (n - 1), rel=1e-15)
    second = n * (n - 1) * (-1.5) ** (n - 2)
    assert tg.grad(tg.grad(f))(-1.5) == pytest.approx(second, rel=1e-15, abs=0.0)


def test_an_active_exponent_differentiates_by_the_logarithm():
    power = tg.value_and_grad(lambda y, x: x**y)
    assert power(3.0, 2.0) == (8.0, pytest.approx(8.0 * math.log(2.0), rel=1e-15))
    assert power(3.0, 0.0) == (0.0, 0.0)
    assert power(0.0, 0.0) == (1.0, -inf)
    assert math.isnan(power(3.0, -2.0)[1])
    assert tg.grad(lambda x: 0.0**x)(2.0) == 0.0
    assert tg.grad(lambda x: 2**x)(3.0) == pytest.approx(8.0 * math.log(2.0), rel=1e-15)
