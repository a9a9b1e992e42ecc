"""B-splines: `BSpline`, what makes them of data, and FITPACK's, by places and coefficients."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.interpolate as si
from interpolants import BESIDE, COLUMNS, INSIDE, X, Y, agrees, recordings, replays, total

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

KNOTS = np.array([0.0, 0.0, 0.0, 0.0, 0.7, 1.5, 1.5, 2.0, 3.0, 3.0, 3.0, 3.0])
SIMPLE = np.array([0.0, 0.0, 0.0, 0.0, 0.7, 1.5, 1.7, 2.0, 3.0, 3.0, 3.0, 3.0])
TCK = si.splrep(X, Y)


@pytest.mark.parametrize("extrapolate", [True, "periodic"])
def test_splines_have_derivatives_by_coefficients_and_places(extrapolate):
    def function(c, p):
        made = si.BSpline(KNOTS, c, 3, extrapolate)
        return total(made(p)) + total(made(p, 1)) + total(made(p, 2))

    agrees(function, Y, BESIDE)
    agrees(lambda c, p: total(si.BSpline(KNOTS, c, 3, extrapolate, axis=1)(p)), COLUMNS, BESIDE)


@pytest.mark.parametrize("extrapolate", [True, False, "periodic"])
def test_integrals_and_other_splines_of_active_ones(extrapolate):
    def function(c, a):
        made = si.BSpline(SIMPLE, c, 3, extrapolate, axis=1)
        whole = made.antiderivative(2)
        assert isinstance(whole, si.BSpline)
        assert whole.c.shape[0] == len(whole.t)
        return total(made.integrate(a, 4.2)) + total(made.derivative(2)(a)) + total(whole(2.0 * a))

    agrees(function, COLUMNS, 0.4)


def test_splines_that_are_not_extrapolated_are_nan_beyond_their_ends():
    closed = si.BSpline(KNOTS, Y, 3, extrapolate=False)
    value, slope = tg.value_and_grad(lambda p: closed(p))(3.5)
    assert np.isnan(value)
    assert np.isnan(slope)
    assert tg.value_and_grad(lambda p: closed(p))(3.0)[1] == pytest.approx(closed(3.0, 1))


def test_which_splines_count_is_found_at_every_call_and_never_guarded():
    spline = si.BSpline(KNOTS, Y, 3)
    points = [0.5, 1.5, 1.7, 2.9, -1.0, 9.0, 0.0, 3.0, np.nextafter(1.5, 0.0)]
    replays(lambda p: spline(p), points, lambda p: spline(p, 1))


def test_values_at_active_places_have_scipys_bits():
    places = np.random.default_rng(3).uniform(-1.0, 4.0, 400)
    for k in range(6):
        spline = si.make_interp_spline(X, COLUMNS[0], k)
        for nu in (0, 1, 2):
            value, _ = tg.jvp(lambda p, s=spline, nu=nu: s(p, nu), (places,), (places,))
            assert np.array_equal(value, spline(places, nu))
    value, _ = tg.jvp(lambda p: si.splev(p, TCK), (places,), (places,))
    assert np.array_equal(value, si.splev(places, TCK))


# --- of data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4, 5])
def test_splines_through_data_have_derivatives_of_every_degree(k):
    agrees(lambda y, p: total(si.make_interp_spline(X, y, k)(p)), Y, INSIDE, order=1)


@pytest.mark.parametrize("bc_type", ["natural", "clamped", ([(1, 0.2)], [(2, 0.3)])], ids=str)
def test_conditions_at_the_ends_are_kept(bc_type):
    agrees(lambda y, p: total(si.make_interp_spline(X, y, bc_type=bc_type)(p)), Y, INSIDE)


def test_splines_along_an_axis_and_of_active_conditions():
    agrees(lambda y: total(si.make_interp_spline(X, y, axis=1, bc_type="natural")(INSIDE)), COLUMNS)

    def function(y, d):
        return total(si.make_interp_spline(X, y, bc_type=([(1, d)], [(2, d * d)]))(INSIDE))

    agrees(function, Y, 0.3)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_periodic_splines_through_data(k):
    def function(y, p):
        return total(si.make_interp_spline(X, np.append(y, y[0]), k, bc_type="periodic")(p))

    agrees(function, Y[:-1], BESIDE, order=1)


def test_least_squares_and_smoothing_of_a_given_strength_are_linear_in_the_data():
    knots = np.r_[(X[0],) * 4, 1.0, 2.0, (X[-1],) * 4]
    agrees(lambda y: total(si.make_lsq_spline(X, y, knots, w=X + 1.0)(INSIDE)), Y)
    agrees(lambda y: total(si.make_smoothing_spline(X, y, lam=0.3)(INSIDE)), Y)


# --- FITPACK ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ext", [0, 1, 3])
@pytest.mark.parametrize("der", [0, 1, 2])
def test_splev_has_the_derivatives_of_what_it_returns(ext, der):
    agrees(lambda c, p: total(si.splev(p, (TCK[0], c, 3), der, ext)), TCK[1], BESIDE, order=1)
    agrees(lambda p: total(si.splev(p, TCK, der, ext)), BESIDE)


def test_splint_spalde_splder_and_splantider():
    agrees(lambda c, a: si.splint(a, 9.0 * a, (TCK[0], c, 3)), TCK[1], 0.5)
    agrees(lambda c, a: total(si.spalde(a, (TCK[0], c, 3))), TCK[1], 0.5)
    agrees(lambda a: total(np.stack(si.spalde(a, TCK))), INSIDE)

    def function(c, p):
        tck = TCK[0], c, 3
        return total(si.splev(p, si.splder(tck))) + total(si.splev(p, si.splantider(tck, 2)))

    agrees(function, TCK[1], INSIDE)


def test_splrep_is_differentiated_by_data():
    agrees(lambda y: total(si.splev(INSIDE, si.splrep(X, y))), Y)
    agrees(lambda y: total(si.splev(INSIDE, si.splrep(X, y, k=2, s=0, xb=-1.0))), Y)


@pytest.mark.parametrize("ext", ["extrapolate", "zeros", "const"])
def test_univariate_splines_made_outside(ext):
    smooth = si.UnivariateSpline(X, Y, s=0.5, ext=ext)

    def function(p):
        integral = smooth.integral(p[0], p[1]) + total(smooth.antiderivative()(p))
        return total(smooth(p)) + total(smooth(p, 1)) + integral + total(smooth.derivative()(p))

    agrees(function, BESIDE)


def test_univariate_splines_made_of_active_data():
    def function(y, p):
        made, other = si.InterpolatedUnivariateSpline(X, y, k=4), si.UnivariateSpline(X, y, s=0)
        assert isinstance(other, si.InterpolatedUnivariateSpline)
        rest = total(other.derivatives(1.1)) + total(other.get_coeffs()) + other.integral(0.2, 2.0)
        return total(made(p)) + total(made.derivative()(p)) + rest

    agrees(function, Y, INSIDE)


def test_an_error_beyond_the_ends_is_scipys_and_keeps_the_recording():
    smooth = si.UnivariateSpline(X, Y, ext="raise")
    for function in (lambda p: smooth(p), lambda p: si.splev(p, TCK, 0, 2)):
        derivative = tg.value_and_grad(function, compile="never")
        derivative(1.0)
        with pytest.raises(ValueError, match="Found x value not in the domain"):
            derivative(4.0)
        assert derivative(2.0)[0] == function(2.0)
        assert recordings(derivative) == 1

    def caught(p):
        try:
            return si.splev(p, TCK, 0, 2)
        except ValueError:
            return 5.0 * p

    derivative = tg.value_and_grad(caught, compile="never")
    assert derivative(9.0) == (45.0, 5.0)
    assert derivative(1.0)[0] == float(si.splev(1.0, TCK))
    assert derivative(8.0) == (40.0, 5.0)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda p: si.BSpline(KNOTS * p, Y, 3)(0.3), "active knots"),
        (lambda p: total(si.make_interp_spline(X * p, Y)(0.3)), "make_interp_spline by the places"),
        (lambda p: si.UnivariateSpline(X, Y * p)(0.3), "UnivariateSpline of active data"),
        (lambda p: si.splrep(X, Y * p, s=1.0)[1][0], "splrep of active data"),
        (lambda p: si.splrep(X, Y * p, w=X)[1][0], "splrep of active data"),
        (lambda p: si.make_smoothing_spline(X, Y * p)(0.3), "lam"),
        (lambda p: si.sproot((TCK[0], TCK[1] * p, 3))[0], r"scipy\.interpolate\.sproot"),
        (lambda p: si.splrep(X, Y * p, per=1)[1][0], r"splrep with per="),
        (lambda p: si.UnivariateSpline(X, Y * p, s=0).roots()[0], "roots"),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_refused_by_name(function, name):
    with pytest.raises(UnsupportedFunctionError, match=name):
        tg.grad(function)(1.0)


def test_a_loop_of_look_ups_becomes_machine_code():
    spline, places = si.make_interp_spline(X, Y), np.linspace(-0.5, 3.5, 40)

    def function(p):
        found = 0.0
        for place in places:
            found = found + spline(place * p[0]) ** 2 + si.splev(place, (TCK[0], TCK[1] * p[0], 3))
        return found

    fast = tg.value_and_grad(function).compiled(np.array([1.01]))
    swept = tg.value_and_grad(function, compile="never")
    for p in (1.01, 0.7, 2.0):
        for found, expected in zip(fast(np.array([p])), swept(np.array([p])), strict=True):
            np.testing.assert_allclose(found, expected, 1e-12)
