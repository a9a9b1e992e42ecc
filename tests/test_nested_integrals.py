"""Integrals over several variables, and of arrays: SciPy's values and every derivative."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import integrate
from scipy.integrate import IntegrationWarning, dblquad, fixed_quad, nquad, quad_vec, tplquad

import tapegrad as tg
from tapegrad.errors import SwitchError, UnsupportedFunctionError
from tapegrad.testing import check_grads

P = np.array([0.7, 1.3])


def triangle(p):
    return dblquad(lambda y, x: np.exp(-p[0] * x * y), 0.0, p[1], 0.0, lambda x: p[0] * x)


def pyramid(p):
    return tplquad(
        lambda z, y, x, k: k * p[0] * x * y * z, 0.0, 1.0, 0.0, lambda x: p[1] * x,
        lambda x, y: 0.0, lambda x, y: x + 2.0 * y, args=(1.5,),
    )  # fmt: skip


def pyramid_closed(p):
    # of z up to x + 2 y, y up to c x, x up to 1
    c = p[1]
    return 1.5 * p[0] / 2.0 / 6.0 * (c**2 / 2.0 + 4.0 * c**3 / 3.0 + c**4)


def ranged(p):
    def limits(y, z, k):
        return 0.0, y + z

    return nquad(lambda x, y, z, k: k * x * y + z * p[0], [limits, [0.0, p[1]], (0.0, 1.0)],
                 args=(p[0],), opts=[{"epsrel": 1e-10}, {}, {"limit": 30}])  # fmt: skip


def ranged_closed(p):
    a, b = p[0], p[1]
    squares = b**4 / 4.0 + b**3 / 3.0 + b * b / 6.0
    return a * (squares / 2.0 + b * b / 4.0 + b / 3.0)


@pytest.mark.parametrize(
    ("integral", "closed"), [(pyramid, pyramid_closed), (ranged, ranged_closed)]
)
def test_nested_integrals_are_those_of_the_closed_form(integral, closed):
    found = tg.value_and_grad(lambda p: integral(p)[0])
    value, gradient = found(P)
    assert value == integral(P)[0]
    np.testing.assert_allclose(value, closed(P), rtol=1e-12)
    np.testing.assert_allclose(gradient, tg.grad(closed)(P), rtol=1e-10)
    second = tg.hessian(lambda p: integral(p)[0])(P)
    np.testing.assert_allclose(second, tg.hessian(closed)(P), rtol=1e-9, atol=1e-12)
    other = tg.value_and_grad(lambda p: integral(p)[0])(P * 1.2)
    np.testing.assert_allclose(other[1], tg.grad(closed)(P * 1.2), rtol=1e-10)


def test_a_domain_with_active_limits_is_differentiated_twice():
    check_grads(lambda p: triangle(p)[0], (P,), order=2)


@pytest.mark.parametrize("integral", [triangle, pyramid, ranged])
def test_the_error_is_the_largest_of_all(integral):
    value, slope = tg.value_and_grad(lambda p: integral(p)[1])(P)
    assert value == integral(P)[1]
    assert not slope.any()


def test_a_switch_along_a_curve_moves_the_integral():
    def integral(p):
        return dblquad(lambda y, x: 1.0 if x * y < p else 3.0, 0.0, 1.0, 0.0, 1.0)[0]

    with pytest.warns(IntegrationWarning):
        slope = tg.grad(integral)(0.3)
    assert slope == pytest.approx(2.0 * math.log(0.3), rel=1e-9)
    # Where the curve leaves the square is a switch of the derivative's, inside of an integral.
    with pytest.warns(IntegrationWarning), pytest.raises(SwitchError, match="no comparison"):
        tg.grad(tg.grad(integral))(0.3)


def test_a_switch_in_every_slice_has_second_derivatives():
    def integral(p):
        return dblquad(lambda y, x: p[0] * x if y < p[1] * x * x else y, 0.2, 1.0, 0.0, 2.0)[0]

    def closed(p):
        a, c = p[0], p[1]
        moments = [(1.0 - 0.2**n) / n for n in (4, 5)]
        return a * c * moments[0] + 2.0 * 0.8 - c * c * moments[1] / 2.0

    p = np.array([0.7, 1.3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntegrationWarning)
        np.testing.assert_allclose(tg.grad(integral)(p), tg.grad(closed)(p), rtol=1e-8)
        np.testing.assert_allclose(tg.hessian(integral)(p), tg.hessian(closed)(p), rtol=1e-7,
                                   atol=1e-9)  # fmt: skip


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_are_integrated_together():
    def integral(p):
        return quad_vec(lambda t: np.array([[np.exp(-p[0] * t), p[1] * t]]), 0.0, p[1])[0]

    wanted = quad_vec(lambda t: np.array([[np.exp(-P[0] * t), P[1] * t]]), 0.0, P[1])[0]
    np.testing.assert_array_equal(tg.vjp(integral, P)[0], wanted)

    def closed(p):
        return np.stack([np.stack([(1.0 - np.exp(-p[0] * p[1])) / p[0], p[1] ** 3 / 2.0])])

    np.testing.assert_allclose(tg.jacobian(integral)(P), tg.jacobian(closed)(P), rtol=1e-10)
    weighted = lambda f: lambda p: np.sum(f(p) * [[2.0, 3.0]])  # noqa: E731
    found = tg.hessian(weighted(integral))(P)
    np.testing.assert_allclose(found, tg.hessian(weighted(closed))(P), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"norm": "max"}, {"quadrature": "gk21"},
                                     {"epsrel": 1e-10, "limit": 200}])  # fmt: skip
def test_options_of_arrays_and_infinite_ends(options):
    integral = lambda p: quad_vec(lambda t, p: np.exp(-p * t), 0.0, np.inf, args=(p,),  # noqa: E731
                                  **options)[0]  # fmt: skip
    np.testing.assert_array_equal(tg.vjp(integral, P)[0], integral(P))
    np.testing.assert_allclose(tg.jacobian(integral)(P), np.diag(-1.0 / P**2), rtol=1e-8)


def test_numbers_switch_in_quad_vec():
    integral = lambda k: quad_vec(lambda t: k if t < k else 2.0, 0.0, 1.0, points=[0.5])  # noqa: E731
    value, slope = tg.value_and_grad(lambda k: integral(k)[0])(0.3)
    assert value == integral(0.3)[0]
    assert slope == pytest.approx(0.3 + 0.3 - 2.0, rel=1e-10)
    assert tg.grad(lambda k: integral(k)[1])(0.3) == 0.0


def test_fixed_nodes_are_a_sum():
    def integral(p):
        return fixed_quad(lambda t, k: np.exp(-p[0] * t) * k, 0.0, p[1], args=(2.0,), n=6)[0]

    value, _ = tg.value_and_grad(integral)(P)
    assert value == integral(P)
    assert fixed_quad(np.sin, 0.0, 1.0)[1] is None
    check_grads(integral, (P,), order=2)
    with pytest.raises(ValueError, match="finite limits"):
        tg.grad(lambda p: fixed_quad(lambda t: p * t, 0.0, np.inf)[0])(1.0)


# --- what has no rule -----------------------------------------------------------------------------

REFUSED = {
    "tanhsinh": lambda f: integrate.tanhsinh(f, 0.0, 1.0).integral,
    "nsum": lambda f: integrate.nsum(f, 1, 5).sum,
    "cubature": lambda f: integrate.cubature(lambda t: f(t[:, 0]), [0.0], [1.0]).estimate,
    "qmc_quad": lambda f: integrate.qmc_quad(lambda t: f(t[0]), [0.0], [1.0]).integral,
}


@pytest.mark.parametrize("name", [name for name in REFUSED if hasattr(integrate, name)])
def test_what_has_no_rule_is_refused_by_name_and_plain_calls_are_scipys(name):
    with pytest.raises(UnsupportedFunctionError, match=f"scipy.integrate.{name} has no rule"):
        tg.grad(lambda k: REFUSED[name](lambda t: k * t))(2.0)
    assert f"scipy.integrate.{name}" not in tg.supported()
    if name != "qmc_quad":  # which draws
        plain = float(REFUSED[name](lambda t: t * 1.0))
        assert tg.grad(lambda k: k * float(REFUSED[name](lambda t: t * 1.0)))(2.0) == plain


def test_rules_are_listed():
    names = ["quad", "dblquad", "tplquad", "nquad", "quad_vec", "fixed_quad", "simpson", "romb"]
    assert {f"scipy.integrate.{name}" for name in names} <= set(tg.supported())
