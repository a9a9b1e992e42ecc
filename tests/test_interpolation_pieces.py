"""Piecewise polynomials: `PPoly`, cubic splines and their like, by places, data and breakpoints."""

from __future__ import annotations

import functools
import pickle

import interpolants
import numpy as np
import pytest
import scipy.interpolate as si
from interpolants import BESIDE, COLUMNS, INSIDE, X, Y, agrees, replays, total

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

CUBIC = si.CubicSpline(X, Y)
CONDITIONS = ["not-a-knot", "natural", "clamped", ((1, 0.3), (2, 0.5)), ("not-a-knot", (1, 0.2))]
KINDS = {
    "CubicSpline": si.CubicSpline,
    "Pchip": functools.partial(si.PchipInterpolator, extrapolate=True),
    "Akima": functools.partial(si.Akima1DInterpolator, extrapolate=True),
    "modified Akima": functools.partial(si.Akima1DInterpolator, method="makima", extrapolate=True),
}


@pytest.mark.parametrize("bc_type", CONDITIONS, ids=str)
def test_a_spline_has_derivatives_by_breakpoints_data_and_places(bc_type):
    agrees(lambda x, y, p: total(si.CubicSpline(x, y, bc_type=bc_type)(p)), X, Y, BESIDE)


@pytest.mark.parametrize("kind", KINDS)
def test_interpolants_have_derivatives_along_any_axis(kind):
    make = KINDS[kind]
    agrees(lambda y, p: total(make(X, y, axis=1)(p)), COLUMNS, BESIDE)
    agrees(lambda x, y, p: total(make(x, y)(p)), X, Y, BESIDE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_data_are_interpolated_as_scipy_does(kind, n):
    agrees(lambda x, y, p: total(KINDS[kind](x, y)(p)), X[:n], Y[:n], BESIDE[:3], order=1)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_periodic_splines_have_derivatives(n):
    def function(x, y, p):
        return total(si.CubicSpline(x, np.append(y, y[0]), bc_type="periodic")(p))

    agrees(function, X[:n], Y[: n - 1], BESIDE, order=1)


def test_hermites_spline_is_differentiated_by_given_slopes():
    agrees(lambda x, y, d, p: total(si.CubicHermiteSpline(x, y, d)(p)), X, Y, Y**2, BESIDE)


def test_conditions_at_the_ends_may_be_active():
    agrees(lambda d: total(si.CubicSpline(X, Y, bc_type=((1, d), (2, 2.0 * d)))(BESIDE)), 0.3)


def test_slopes_of_monotone_data_are_choices_that_no_replay_depends_on():
    function = lambda y: total(si.PchipInterpolator(X, y)(INSIDE))  # noqa: E731
    replays(function, [Y, -Y, np.sort(Y), Y[::-1].copy()])


def test_equal_data_have_the_derivatives_of_a_constant():
    slope = tg.grad(lambda p: si.PchipInterpolator(X, np.ones(8) * p)(0.7))
    assert slope(2.0) == pytest.approx(1.0)
    slope = tg.grad(lambda p: si.Akima1DInterpolator(X, np.ones(8) * p)(0.7))
    assert slope(2.0) == pytest.approx(1.0)


# --- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize("nu", [0, 1, 2, 3, 4])
def test_derivatives_are_looked_up_with_derivatives(nu):
    agrees(lambda p: total(CUBIC(p, nu)), BESIDE)
    agrees(lambda y, p: total(si.CubicSpline(X, y)(p, nu)), Y, BESIDE, order=1)


def test_the_piece_is_found_at_every_call_and_never_guarded():
    points = [0.5, 1.7, 2.9, -1.0, 9.0, X[0], X[3], X[-1], np.nextafter(X[3], 0.0)]
    replays(lambda p: CUBIC(p), map(float, points), lambda p: CUBIC(p, 1))
    replays(lambda p: total(CUBIC(p)), [INSIDE, BESIDE, X[:5]])


def test_at_a_breakpoint_the_piece_is_the_one_that_scipy_evaluates():
    kinked = si.PPoly([[1.0, -3.0, 4.0], [0.0, 1.0, -2.0]], [0.0, 1.0, 2.0, 3.0])
    slopes = tg.jvp(lambda p: kinked(p), (np.array([0.0, 1.0, 2.0, 3.0]),), (np.ones(4),))[1]
    assert slopes.tolist() == [1.0, -3.0, 4.0, 4.0]
    descending = si.PPoly(kinked.c[:, ::-1], [3.0, 2.0, 1.0, 0.0])
    slopes = tg.jvp(lambda p: descending(p), (np.array([0.0, 1.0, 2.0, 3.0]),), (np.ones(4),))[1]
    assert slopes.tolist() == descending(np.array([0.0, 1.0, 2.0, 3.0]), 1).tolist()


def test_beyond_the_ends_values_and_derivatives_are_scipys():
    closed = si.CubicSpline(X, Y, extrapolate=False)
    value, slope = tg.value_and_grad(lambda p: closed(p))(9.0)
    assert np.isnan(value)
    assert np.isnan(slope)
    value, slope = tg.value_and_grad(lambda p: np.where(p < 5.0, closed(p), 2.0 * p))(9.0)
    assert (value, slope) == (18.0, 2.0)
    curved = tg.hessian(lambda p: np.sum(np.where(p < 5.0, closed(p) ** 2, p)))(
        np.array([9.0, 1.0])
    )
    assert curved[0].tolist() == [0.0, 0.0]
    assert np.isfinite(curved).all()
    assert np.isnan(tg.grad(lambda p: CUBIC(p))(np.nan))
    periodic = si.CubicSpline([0.0, 1.0, 2.0], [0.3, 1.0, 0.3], bc_type="periodic")
    agrees(lambda p: total(periodic(p)), np.array([-3.3, 0.4, 7.7]))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (2, 0), (2, 1, 2)])
def test_places_of_any_shape_give_values_of_scipys_shape(shape):
    places = np.random.default_rng(1).uniform(0.0, 3.0, shape)
    for spline in (CUBIC, si.CubicSpline(X, COLUMNS, axis=1)):
        for own in (lambda y, p, s=spline: s(p), lambda y, p, s=spline: si.PPoly(s.c * y, s.x)(p)):
            expected = own(1.0, places)
            found, _ = tg.jvp(lambda y, p, own=own: own(y, p), (1.0, places), (1.0, places * 0.0))
            assert np.shape(found) == np.shape(expected)
            np.testing.assert_allclose(found, expected, 1e-13)


def test_values_at_active_places_have_scipys_bits_when_recorded_and_replayed():
    places = np.random.default_rng(3).uniform(-1.0, 4.0, 400)
    for spline in (CUBIC, si.PPoly(CUBIC.c[1:], X), si.CubicSpline(X, COLUMNS[0])):
        for nu in (0, 1, 2):
            value, _ = tg.jvp(lambda p, s=spline, nu=nu: s(p, nu), (places,), (places,))
            assert np.array_equal(value, spline(places, nu))
    again = tg.value_and_grad(lambda p: CUBIC(p), compile="never")
    assert [again(p)[0] for p in places.tolist()] == CUBIC(places).tolist()


# --- other polynomials of it --------------------------------------------------------------------


def test_derivatives_and_antiderivatives_of_active_ones_are_interpolants():
    def function(c, p):
        made = si.PPoly(c, X[:4])
        assert isinstance(made.antiderivative(), si.PPoly)
        return (
            total(made.derivative()(p))
            + total(made.antiderivative(2)(p))
            + total(made.derivative(5)(p))
        )

    agrees(function, COLUMNS.reshape(4, 3, 4), BESIDE)


def test_integrals_have_derivatives_by_limits_data_and_breakpoints():
    agrees(lambda x, y, a: si.CubicSpline(x, y).integrate(a, 2.3), X, Y, 0.4)
    agrees(lambda y, a: total(si.CubicSpline(X, y, axis=1).integrate(2.0 * a, a)), COLUMNS, 2.1)
    periodic = si.CubicSpline([0.0, 1.0, 2.0], [0.3, 1.0, 0.3], bc_type="periodic")
    agrees(lambda a: periodic.integrate(a - 8.0, 2.3 + 7.0 * a), 0.3)
    whole = tg.value_and_grad(lambda a: si.CubicSpline(X, Y, extrapolate=False).integrate(a, 1.0))
    assert np.isnan(whole(-5.0)[0])


def test_polynomials_of_active_breakpoints_and_coefficients():
    breaks, c = np.array([0.0, 0.4, 1.0]), COLUMNS[0, :6].reshape(3, 2, 3)

    def function(c, b, p):
        made = si.PPoly(c, b)
        return total(made(p)) + total(made(p, 1)) + total(made.integrate(0.1, 0.8))

    agrees(function, c, breaks, np.array([0.2, 0.7, 1.3]))
    replays(lambda b: total(si.PPoly(c, b)(0.45)), [breaks, breaks + 0.1, breaks - 0.3])


# --- how they're reached ------------------------------------------------------------------------


class Smooth(si.CubicSpline):
    """A class of the user's."""

    def __init__(self, x, y):
        super().__init__(x, y, bc_type="natural")

    def twice(self, p):
        return 2.0 * self(p)


class Model:
    def __init__(self):
        self.curve = si.CubicSpline(X, Y)

    def value(self, p):
        return self.curve(p) * p

    def values(self, p):
        return np.sum(self.value(p))


def test_interpolants_are_recognised_however_they_are_reached():
    expected = float(CUBIC(0.7, 1))
    assert tg.grad(CUBIC)(0.7) == expected
    assert tg.grad(lambda p: functools.partial(CUBIC, nu=0)(p))(0.7) == expected
    assert tg.grad(lambda p: sum(s(p) for s in [CUBIC, CUBIC]))(0.7) == 2.0 * expected
    assert tg.grad(lambda p: {"s": CUBIC.__call__}["s"](x=p))(0.7) == expected
    assert tg.grad(Model().value)(0.7) == pytest.approx(0.7 * expected + float(CUBIC(0.7)))
    natural = si.CubicSpline(X, Y, bc_type="natural")
    assert tg.grad(Smooth(X, Y).twice)(0.7) == 2.0 * float(natural(0.7, 1))
    agrees(lambda y: Smooth(X, y).twice(0.7) + Smooth(X, y).derivative()(0.3), Y)


def test_what_is_changed_in_an_interpolant_is_recorded_again():
    model = Model()
    derivative = tg.grad(lambda p: model.curve(p), compile="never")
    before = derivative(0.7)
    model.curve.c *= 3.0
    assert derivative(0.7) == pytest.approx(3.0 * before)
    model.curve = si.CubicSpline(X, -Y)
    assert derivative(0.7) == pytest.approx(-before)


def test_on_plain_numbers_everything_is_scipys():
    def function(p):
        spline = si.CubicSpline(X, Y)
        assert np.array_equal(spline.c, CUBIC.c)
        assert type(spline.c) is np.ndarray
        assert np.array_equal(spline(INSIDE), CUBIC(INSIDE))
        return p * spline.integrate(0.0, 1.0)

    assert tg.grad(function)(1.0) == CUBIC.integrate(0.0, 1.0)


def test_an_error_of_the_constructor_is_the_users():
    with pytest.raises(ValueError, match="strictly increasing"):
        tg.grad(lambda y: si.CubicSpline(X[::-1], y)(0.3))(Y)
    derivative = tg.value_and_grad(lambda x: si.CubicSpline(x, Y)(0.7), compile="never")
    derivative(X)
    with pytest.raises(ValueError, match="strictly increasing"):
        derivative(X[::-1].copy())


def test_what_has_no_rule_is_refused_by_name():
    with pytest.raises(UnsupportedFunctionError, match=r"scipy\.interpolate\.PPoly\.extend"):
        tg.grad(lambda p: si.PPoly(p * np.ones((2, 1)), [0.0, 1.0]).extend(np.ones((2, 1)), [2.0]))(
            1.0
        )
    with pytest.raises(UnsupportedFunctionError, match=r"scipy\.interpolate\.NdPPoly"):
        tg.grad(lambda p: si.NdPPoly(p * np.ones((2, 1)), [[0.0, 1.0]])((0.3,)))(1.0)


# --- machine code -------------------------------------------------------------------------------


@pytest.mark.parametrize("of_data", [False, True])
def test_loops_of_look_ups_become_machine_code_with_the_same_numbers(of_data):
    places = np.linspace(-0.5, 3.5, 60)

    def function(p):
        spline, found = (si.CubicSpline(X, Y * p[0]) if of_data else CUBIC), 0.0
        for place in places:
            found = found + spline(place * p[0]) ** 2
        return found

    swept = tg.value_and_grad(function, compile="never")
    fast = tg.value_and_grad(function).compiled(np.array([1.01]))
    for p in (1.01, 0.8, -0.3, 2.5):
        point = np.array([p])
        for found, expected in zip(fast(point), swept(point), strict=True):
            np.testing.assert_allclose(found, expected, 1e-12)
    assert interpolants.recordings(swept) == 1


def test_recordings_and_what_was_compiled_can_be_pickled():
    derivative = tg.value_and_grad(functools.partial(Model.values, Model()))
    point = np.array([0.9, 0.3])
    fast = derivative.compiled(point)
    again = pickle.loads(pickle.dumps(fast)), pickle.loads(pickle.dumps(derivative))
    for made in again:
        assert made(point)[0] == fast(point)[0]
        assert np.array_equal(made(point)[1], fast(point)[1])
