"""scipy.optimize's least squares and curve fits, called in differentiated functions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

RNG = np.random.default_rng(1)
T = np.linspace(0.0, 3.0, 15)
Y = 2.0 * np.exp(-0.7 * T) + 0.1 * RNG.standard_normal(15)
SIGMA = 0.1 * (1.0 + T)
START = np.array([1.0, 1.0])


def decay(t, p, q):
    return p * np.exp(-q * t)


def decay_jacobian(t, p, q):
    return np.stack([np.exp(-q * t), -t * p * np.exp(-q * t)], axis=1)


def misfit(x, y):
    return decay(T, *x) - y


def misfit_jacobian(x, y):
    return decay_jacobian(T, *x)


LOSSES = {
    "linear": lambda z: z,
    "huber": lambda z: np.where(z <= 1.0, z, 2.0 * np.sqrt(z) - 1.0),
    "soft_l1": lambda z: 2.0 * (np.sqrt(1.0 + z) - 1.0),
    "cauchy": np.log1p,
    "arctan": np.arctan,
}


def exact(y, loss="linear", scale=1.0, **keywords):
    """The place of the least cost, found from where SciPy finds it."""

    def cost(x, y, scale):
        return 0.5 * scale**2 * np.sum(LOSSES[loss]((misfit(x, y) / scale) ** 2))

    near = np.array([2.0, 0.7])
    return tg.minimizer(cost, near, **keywords)(y, scale)


def check_like(solve, expected, p=Y):
    """A fit and its first and second derivatives are another's; with the value that SciPy finds."""
    assert solve(p) == pytest.approx(expected(p), rel=1e-4, abs=1e-6)
    assert tg.jacobian(solve)(p) == pytest.approx(tg.jacobian(expected)(p), rel=1e-8, abs=1e-11)
    way = np.sin(np.arange(1.0, np.size(p) + 1.0)).reshape(np.shape(p))
    total = lambda p: np.sum(np.exp(0.1 * solve(p)))  # noqa: E731
    wanted = lambda p: np.sum(np.exp(0.1 * expected(p)))  # noqa: E731
    found = tg.hvp(total)(p, way)
    assert found == pytest.approx(tg.hvp(wanted)(p, way), rel=1e-6, abs=1e-9)


def fit(start=START, **keywords):
    return lambda y: scipy.optimize.least_squares(misfit, start, args=(y,), **keywords).x


FITS = {
    "by default": fit(),
    "closure": lambda y: scipy.optimize.least_squares(lambda x: misfit(x, y), START).x,
    "keywords": lambda y: scipy.optimize.least_squares(misfit, START, kwargs={"y": y}).x,
    "lm": fit(method="lm", xtol=1e-10),
    "dogbox": fit(method="dogbox", jac=misfit_jacobian, x_scale=[1.0, 0.5]),
    "3-point": fit(jac="3-point"),
    "cs": fit(jac="cs"),
    "diff_step": fit(diff_step=1e-7),
    "jac": fit(jac=misfit_jacobian, x_scale="jac"),
    "sparse jac": fit(jac=lambda x, y: scipy.sparse.csr_matrix(misfit_jacobian(x, y))),
    "infinite bounds": fit(bounds=(-np.inf, [np.inf, np.inf])),
    "leastsq": lambda y: scipy.optimize.leastsq(misfit, START, args=(y,))[0],
    "leastsq Dfun": lambda y: scipy.optimize.leastsq(misfit, START, (y,), misfit_jacobian)[0],
    "leastsq col_deriv": lambda y: scipy.optimize.leastsq(
        misfit, START, y, lambda x, y: misfit_jacobian(x, y).T, True, True, ftol=1e-10
    )[0],
    "leastsq differences": lambda y: scipy.optimize.leastsq(misfit, START, y, epsfcn=1e-14)[0],
    "root": lambda y: scipy.optimize.minimize(lambda x: np.sum(misfit(x, y) ** 2), START).x,
    "curve_fit": lambda y: scipy.optimize.curve_fit(decay, T, y)[0],
    "curve_fit jac": lambda y: scipy.optimize.curve_fit(decay, T, y, START, jac=decay_jacobian)[0],
    "curve_fit trf": lambda y: scipy.optimize.curve_fit(decay, T, y, [1, 1], method="trf")[0],
    "curve_fit dogbox": lambda y: scipy.optimize.curve_fit(
        decay, T, y, START, method="dogbox", jac="3-point", max_nfev=500
    )[0],
    "curve_fit of lists": lambda y: scipy.optimize.curve_fit(decay, list(T), list(y), maxfev=500)[
        0
    ],
}


@pytest.mark.parametrize("name", FITS)
def test_a_least_squares_fit_is_differentiated_by_the_data(name):
    check_like(FITS[name], exact)


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy", "arctan"])
def test_losses_and_their_scale_are_differentiated(loss):
    y = Y.copy()
    y[3] += 1.0

    def scaled(s, y=y):
        return scipy.optimize.least_squares(misfit, START, args=(y,), loss=loss, f_scale=s).x

    check_like(lambda y: scaled(0.1, y), lambda y: exact(y, loss, 0.1), y)
    expected = tg.jacobian(lambda s: exact(y, loss, s))(0.1)
    assert tg.jacobian(scaled)(0.1) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("bounds", [([0, 0], [10, 0.5]), scipy.optimize.Bounds([0, 0], [10, 0.5])])
@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_a_fit_between_bounds_stays_on_them(method, bounds):
    start = [1.0, 0.2]
    solve = fit(start, bounds=bounds, method=method)
    within = np.zeros(2), np.array([10.0, 0.5])
    check_like(solve, lambda y: exact(y, bounds=within))
    moved = lambda b: scipy.optimize.curve_fit(  # noqa: E731
        decay, T, Y, start, bounds=(0.0, [10.0, b]), method=method
    )[0]
    expected = lambda b: exact(Y, bounds=(0.0, np.array([10.0, b])))  # noqa: E731
    check_like(moved, expected, 0.5)
    assert tg.jacobian(moved)(0.5)[1] == 1.0


def test_what_a_fit_leaves_has_derivatives():
    found = lambda y: scipy.optimize.least_squares(misfit, START, args=(y,))  # noqa: E731
    for read, expected in (
        (lambda r: r.cost, lambda y: 0.5 * np.sum(misfit(exact(y), y) ** 2)),
        (lambda r: np.sum(r.fun), lambda y: np.sum(misfit(exact(y), y))),
        (lambda r: np.sum(r.jac), lambda y: np.sum(misfit_jacobian(exact(y), y))),
    ):
        program = lambda y, read=read: read(found(y))  # noqa: E731
        assert program(Y) == pytest.approx(expected(Y), rel=1e-6)
        assert tg.grad(program)(Y) == pytest.approx(tg.grad(expected)(Y), rel=1e-8, abs=1e-12)
    assert tg.jacobian(lambda y: found(y).grad)(Y) == pytest.approx(np.zeros((2, 15)), abs=1e-12)
    with pytest.raises(UnsupportedFunctionError, match="`optimality`"):
        tg.grad(lambda y: found(y).optimality)(Y)


# --- covariances ------------------------------------------------------------------------------


def covariance_of(y, sigma=None, absolute=False, t=T):
    """What curve_fit promises, by the formula."""

    def residuals(x):
        found = decay(t, *x) - y
        if sigma is None:
            return found
        if np.ndim(sigma) < 2:
            return found / sigma
        return scipy.linalg.solve_triangular(np.linalg.cholesky(sigma), found, lower=True)

    x = tg.minimizer(lambda x: 0.5 * np.sum(residuals(x) ** 2), np.array([2.0, 0.7]))()
    jacobian = tg.jacobian(residuals)(x)
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    if not absolute:
        covariance = covariance * np.sum(residuals(x) ** 2) / (len(t) - 2)
    return np.concatenate([x, covariance.reshape(-1)])


def fitted(*args, **keywords):
    x, covariance = scipy.optimize.curve_fit(decay, *args, **keywords)
    return np.concatenate([x, covariance.reshape(-1)])


COVARIANCES = {
    "by data": (lambda y: fitted(T, y), covariance_of, Y),
    "trf": (lambda y: fitted(T, y, method="trf"), covariance_of, Y),
    "by places": (lambda t: fitted(t, Y), lambda t: covariance_of(Y, t=t), T),
    "by errors": (lambda s: fitted(T, Y, sigma=s), lambda s: covariance_of(Y, s), SIGMA),
    "by absolute errors": (
        lambda s: fitted(T, Y, sigma=s, absolute_sigma=True),
        lambda s: covariance_of(Y, s, True),
        SIGMA,
    ),
    "by one error": (
        lambda s: fitted(T, Y, [1.0, 1.0], s, True),
        lambda s: covariance_of(Y, s, True),
        0.2,
    ),
    "by a covariance": (
        lambda s: fitted(T, Y, sigma=s * (np.diag(SIGMA**2) + 1e-3), absolute_sigma=True),
        lambda s: covariance_of(Y, s * (np.diag(SIGMA**2) + 1e-3), True),
        1.5,
    ),
}


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_curve_fit_and_its_covariance_are_differentiated(name):
    solve, expected, p = COVARIANCES[name]
    assert solve(p) == pytest.approx(expected(p), rel=2e-4)
    assert tg.jacobian(solve)(p) == pytest.approx(tg.jacobian(expected)(p), rel=1e-7, abs=1e-10)
    total = lambda p: np.sum(solve(p))  # noqa: E731
    assert tg.hessian(total)(p) == pytest.approx(
        tg.hessian(lambda p: np.sum(expected(p)))(p), rel=1e-5, abs=1e-8
    )


def test_leastsq_tells_the_covariance_without_its_scale():
    def found(y):
        x, covariance, info, message, status = scipy.optimize.leastsq(
            misfit, START, args=(y,), full_output=True
        )
        assert status in (1, 2, 3)
        assert "relative" in message
        return np.concatenate([x, covariance.reshape(-1)]) + 0.0 * np.sum(info["fvec"])

    expected = lambda y: covariance_of(y, absolute=True)  # noqa: E731
    assert tg.jacobian(found)(Y) == pytest.approx(tg.jacobian(expected)(Y), rel=1e-8, abs=1e-12)


def test_a_curve_may_close_over_active_numbers_and_take_any_data():
    data = {"t": T}

    def program(a):
        curve = lambda data, p, q: p * np.exp(-a * q * data["t"])  # noqa: E731
        return scipy.optimize.curve_fit(curve, data, Y, [1.0, 1.0])[0]

    x = exact(Y)
    assert tg.jacobian(program)(1.0) == pytest.approx([0.0, -x[1]], rel=1e-8, abs=1e-12)


def test_a_covariance_that_is_unknown_is_infinite():
    def program(y):
        _, covariance = scipy.optimize.curve_fit(lambda t, p: p * t, [1.0], y, [1.0])
        return covariance[0, 0]

    with pytest.warns(scipy.optimize.OptimizeWarning, match="could not be estimated"):
        assert program(np.array([2.0])) == np.inf
    with pytest.warns(scipy.optimize.OptimizeWarning, match="could not be estimated"):
        value, gradient = tg.value_and_grad(program)(np.array([2.0]))
    assert (value, gradient.tolist()) == (np.inf, [0.0])


def test_a_fit_that_fails_raises_as_scipys_and_a_loss_of_ones_own_is_refused():
    def program(y):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return np.sum(scipy.optimize.curve_fit(decay, T, y, START, maxfev=2)[0])
        except RuntimeError:
            return 1e10

    value, gradient = tg.value_and_grad(program)(Y)
    assert (value, gradient.any()) == (1e10, False)
    with pytest.raises(UnsupportedFunctionError, match="a loss of your own"):
        tg.grad(
            lambda y: (
                scipy.optimize.least_squares(
                    misfit, START, args=(y,), loss=lambda z: np.array([z, z**0, 0.0 * z])
                ).cost
            )
        )(Y)
    with pytest.raises(UnsupportedFunctionError, match="nan_policy"):
        tg.grad(
            lambda y: scipy.optimize.curve_fit(decay, T, y, check_finite=False, nan_policy="omit")[
                0
            ][0]
        )(Y)
