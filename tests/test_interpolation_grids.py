"""Interpolants of grids and of scattered sites, polynomials through data, roots."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.interpolate as si
from interpolants import BESIDE, INSIDE, X, Y, agrees, recordings, replays, total

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.interpolation import interpolate_private

_random = np.random.default_rng(5)
GRID = np.array([0.0, 0.5, 1.2, 2.0, 2.5, 3.3]), np.array([0.0, 1.0, 1.5, 2.6, 3.0, 4.0])
VALUES, PAIRS = _random.normal(size=(6, 6)), _random.normal(size=(6, 6, 2))
POINTS = np.array([[0.3, 0.7], [1.3, 2.2], [2.4, 3.7]])
SITES, DATA = _random.uniform(0.0, 1.0, (14, 2)), _random.normal(size=(14, 2))
AMONG = np.array([[0.5, 0.4], [0.45, 0.6], [0.6, 0.5]])
METHODS = ["linear", "nearest", "slinear", "cubic", "quintic", "pchip", "cubic_legacy"]


@pytest.mark.parametrize("method", METHODS)
def test_grids_of_every_method_have_derivatives_by_places(method):
    made = si.RegularGridInterpolator(GRID, PAIRS, method)
    agrees(lambda p: total(made(p)), POINTS, rtol=1e-11)
    made = si.RegularGridInterpolator(GRID, VALUES, method, bounds_error=False, fill_value=0.3)
    agrees(lambda p: total(made(p)), POINTS - 0.5, order=1, rtol=1e-11)
    made = si.RegularGridInterpolator(GRID, VALUES, method, bounds_error=False, fill_value=None)
    agrees(lambda p: total(made(p)), POINTS - 0.5, order=1, rtol=1e-11)


@pytest.mark.parametrize("method", ["linear", "nearest", "slinear", "pchip", "cubic_legacy"])
def test_grids_of_every_method_have_derivatives_by_data(method):
    def function(v, p):
        return total(si.RegularGridInterpolator(GRID, v, method)(p))

    agrees(function, VALUES, POINTS, order=1, rtol=1e-11)
    agrees(function, PAIRS, POINTS, order=1, rtol=1e-11)


@pytest.mark.parametrize("method", ["cubic", "quintic"])
def test_splines_on_grids_are_differentiated_as_the_exact_ones_are(method):
    # SciPy's solver for their coefficients is iterative.
    def function(v, method):
        return total(si.RegularGridInterpolator(GRID, v, method)(POINTS))

    found = tg.value_and_grad(lambda v: function(v, method))(VALUES)
    exact = tg.value_and_grad(lambda v: function(v, f"{method}_legacy"))(VALUES)
    assert found[0] == pytest.approx(function(VALUES, method), rel=1e-12)
    np.testing.assert_allclose(found[1], exact[1], 1e-3, 1e-3)
    tangents = [tg.jvp(lambda v: function(v, method), (VALUES,), (np.eye(6) == k,))[1]
                for k in (0.0, 1.0)]  # fmt: skip
    weights = [np.sum(found[1] * (np.eye(6) == k)) for k in (0.0, 1.0)]
    np.testing.assert_allclose(tangents, weights, 1e-9)


def test_more_of_grids():
    descending = GRID[0][::-1], GRID[1]
    agrees(lambda v, p: total(si.RegularGridInterpolator(descending, v)(p)), VALUES, POINTS)
    made = si.RegularGridInterpolator(GRID, VALUES, "cubic")
    agrees(lambda p: total(made(p, nu=(1, 0))), POINTS)
    agrees(lambda v, a: total(si.interpn(GRID, v, (a, 0.7))), VALUES, 0.3)
    agrees(lambda a: total(si.interpn(GRID, VALUES, [a, 0.7])), 0.3)
    for points in (np.zeros((0, 2)), POINTS[:, None], POINTS[0]):
        value, _ = tg.jvp(lambda p: made(p), (points,), (points,))
        assert np.shape(value) == made(points).shape
    assert np.isnan(tg.grad(lambda p: si.RegularGridInterpolator(GRID, VALUES)((p, 1.0)))(np.nan))


def test_a_place_beyond_a_grid_is_an_error_of_scipys():
    made = si.RegularGridInterpolator(GRID, VALUES)
    derivative = tg.value_and_grad(lambda p: made(p)[0], compile="never")
    derivative(POINTS[0])
    with pytest.raises(ValueError, match="out of bounds in dimension 1"):
        derivative(np.array([1.0, 9.0]))
    assert derivative(POINTS[1])[0] == made(POINTS[1])[0]
    assert recordings(derivative) == 1
    replays(lambda p: made(p)[0], list(POINTS))


@pytest.mark.parametrize("degrees", [(3, 3), (2, 1)])
def test_splines_of_two_numbers_have_derivatives(degrees):
    kx, ky = degrees
    x, y = np.array([-0.2, 0.3, 1.4]), np.array([0.2, 0.9, 6.0])

    def function(z, x, y):
        made = si.RectBivariateSpline(*GRID, z, kx=kx, ky=ky)
        return total(made(x, y)) + total(made.ev(x, y)) + total(made(x, y, dx=1, grid=False))

    agrees(function, VALUES, x, y, rtol=1e-11)
    smooth = si.RectBivariateSpline(*GRID, VALUES, s=0.1)
    part = smooth.partial_derivative(0, 1)
    agrees(lambda x, y: total(smooth(x, y, 1, 1)) + total(part(x, y, grid=False)), x, y, rtol=1e-11)


KERNELS = {
    "linear": 1.0, "thin_plate_spline": 1.0, "cubic": 1.0, "quintic": 1.0, "multiquadric": 3.0,
    "inverse_multiquadric": 3.0, "inverse_quadratic": 3.0, "gaussian": 3.0,
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_radial_functions_have_derivatives_by_data_and_places(kernel):
    def function(d, p):
        return total(si.RBFInterpolator(SITES, d, kernel=kernel, epsilon=KERNELS[kernel])(p))

    agrees(function, DATA, AMONG, order=1, rtol=1e-9)
    smooth = si.RBFInterpolator(SITES, DATA, kernel=kernel, epsilon=3.0, smoothing=0.1, degree=2)
    agrees(lambda p: total(smooth(p)), AMONG, rtol=1e-9)
    if kernel != "linear":
        agrees(lambda p: total(smooth(p)), SITES[:2], order=1, rtol=1e-9)


def test_scattered_data_are_interpolated_in_the_simplex_that_scipy_finds():
    agrees(lambda d, p: total(si.LinearNDInterpolator(SITES, d)(p)), DATA, AMONG)
    agrees(lambda d: total(si.LinearNDInterpolator(SITES, d, 0.3, rescale=True)(0.5, 0.4)), DATA)
    made = si.LinearNDInterpolator(SITES, DATA[:, 0], fill_value=0.3)
    assert tg.value_and_grad(lambda p: made(p, 0.4))(9.0) == (0.3, 0.0)
    replays(lambda p: total(made(p)), [AMONG, AMONG[::-1].copy(), AMONG * 0.9])
    agrees(lambda d, p: total(si.NearestNDInterpolator(SITES, d)(p)), DATA, AMONG)
    for method in ("linear", "nearest"):
        agrees(lambda d, m=method: total(si.griddata(SITES, d, tuple(AMONG.T), m)), DATA)
        agrees(lambda d, m=method: total(si.griddata(X, d, INSIDE, m)), Y)


@pytest.mark.parametrize("kind", [si.BarycentricInterpolator, si.KroghInterpolator])
def test_polynomials_through_data_have_derivatives_by_places(kind):
    few = X[:5]
    made, more = kind(few, Y[:5]), kind(few, np.stack([Y[:5], Y[3:]]), axis=1)
    agrees(lambda p: total(made(p)), BESIDE)
    agrees(lambda p: total(more.derivative(p, 2)) + total(more.derivatives(p[0], 3)), BESIDE,
           rtol=1e-9)  # fmt: skip
    assert tg.grad(lambda p: made(p))(few[2]) == pytest.approx(float(made.derivative(few[2])))


def test_roots_are_differentiated_by_the_implicit_function_theorem():
    agrees(lambda y, p: total(si.CubicSpline(X, y).solve(p)), Y, 0.1)
    agrees(lambda y: total(si.CubicSpline(X, y, extrapolate=False).roots()), Y)
    count = tg.value_and_grad(
        lambda p: p * len(si.PPoly([[1.0], [-1.0]], [0.0, 2.0], extrapolate=False).solve(p)),
        compile="never",
    )
    assert [count(p) for p in (0.5, 9.0, 0.4)] == [(0.5, 1.0), (0.0, 0.0), (0.4, 1.0)]
    with pytest.raises(UnsupportedFunctionError, match="a root of a piecewise polynomial where it"):
        tg.grad(lambda p: si.PPoly([[-1.0, 1.0]], [0.0, 1.0, 2.0]).solve(p)[0])(0.0)


def test_polynomials_in_bernsteins_basis():
    breaks = [0.0, 0.5, 2.0]

    def function(c, p, a):
        made = si.BPoly(c, breaks)
        return total(made(p)) + total(made(p, 1)) + made.integrate(a, 1.5)

    agrees(function, Y.reshape(4, 2), BESIDE, 0.3, rtol=1e-11)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda p: si.CloughTocher2DInterpolator(SITES, DATA)(p, 0.4)[0], "CloughTocher2D"),
        (lambda p: si.LinearNDInterpolator(SITES * p, DATA)(0.4, 0.4)[0], "NDInterpolator by"),
        (lambda p: si.griddata(SITES, DATA * p, (0.3, 0.4), "cubic")[0], "griddata with method"),
        (lambda p: si.RBFInterpolator(SITES, DATA * p, neighbors=5)(AMONG)[0, 0], "neighbors"),
        (lambda p: si.RBFInterpolator(SITES * p, DATA)(AMONG)[0, 0], "RBFInterpolator by"),
        (lambda p: si.RegularGridInterpolator((GRID[0] * p, GRID[1]), VALUES)((1.0, 1.0)), "by"),
        (lambda p: si.BarycentricInterpolator(X, Y * p)(0.3), "BarycentricInterpolator"),
        (lambda p: si.Rbf(X, Y * p)(0.3), r"scipy\.interpolate\.Rbf"),
        (lambda p: si.RectBivariateSpline(*GRID, VALUES * p, s=1.0)(1.0, 1.0)[0, 0], "with s="),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_refused_by_name(function, name):
    with pytest.raises(UnsupportedFunctionError, match=name):
        tg.grad(function)(1.0)


def test_what_is_used_of_scipys_private_interfaces_is_there():
    assert not interpolate_private.faults()


def test_what_has_rules_is_listed():
    names = tg.supported()
    for name in ("CubicSpline", "BSpline.derivative", "interp1d", "splev", "LinearNDInterpolator"):
        assert names[f"scipy.interpolate.{name}"] == ("python",)


SIX = np.array([1.0, 2.0, 0.5, 3.0, 2.0, 1.0])
MADE_INSIDE = {
    "splrep": lambda p: si.splev(1.3, si.splrep(np.arange(6.0), SIX * p)),
    "interp1d": lambda p: si.interp1d(np.linspace(0, 5, 6), SIX * p, kind="cubic")(1.3),
    "BSpline": lambda p: si.BSpline(np.array([0, 0, 0, 0, 1, 2, 3, 3, 3, 3.0]), SIX * p, 3)(1.3),
    "a grid": lambda p: si.RegularGridInterpolator((np.linspace(0, 1, 6),), SIX * p)([[0.3]])[0],
    "radial": lambda p: si.RBFInterpolator(np.arange(6.0)[:, None], SIX * p)([[1.3]])[0],
    "griddata": lambda p: si.griddata(np.arange(6.0), SIX * p, [1.3])[0],
}


@pytest.mark.parametrize("name", MADE_INSIDE)
def test_places_that_are_made_in_the_function_are_passive(name):
    function = MADE_INSIDE[name]
    assert tg.grad(function)(1.0) == pytest.approx(float(function(1.0)), rel=1e-12)
