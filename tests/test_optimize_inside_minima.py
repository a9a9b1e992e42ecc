"""scipy.optimize's minimisers and least squares, called in differentiated functions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

P = np.array([1.2, 0.7])


def valley(x, p):
    return (p[0] - x[0]) ** 2 + 10.0 * (x[1] - x[0] ** 2) ** 2 + 0.1 * p[1] * np.sum(x**4)


def slope(x, p):
    return tg.grad(valley)(x, p)


def curvature(x, p):
    return tg.hessian(valley)(x, p)


def product(x, v, p):
    return tg.hvp(valley)(x, v, p)


def with_slope(x, p):
    return tg.value_and_grad(valley)(x, p)


def place(fun=valley, **keywords):
    return lambda p: scipy.optimize.minimize(fun, [0.5, 0.0], args=(p,), **keywords).x


BOUNDS = [(0.0, None), (None, 0.4)]

FREE = {
    "by default": place(),
    "closure": lambda p: scipy.optimize.minimize(lambda x: valley(x, p), [0.5, 0.0]).x,
    "tol": place(tol=1e-3),
    "options": place(options={"gtol": 1e-4, "maxiter": 50}),
    "differences": place(jac="3-point", method="BFGS"),
    "eps": place(method="L-BFGS-B", options={"eps": 1e-7}),
    "infinite bounds": place(bounds=[(None, None), (-np.inf, 9.0)]),
    "jac": place(jac=slope),
    "pairs": place(with_slope, jac=True),
    "Nelder-Mead": place(method="Nelder-Mead", options={"xatol": 1e-5}),
    "Powell": place(method="Powell"),
    "CG": place(method="CG"),
    "L-BFGS-B": place(method="L-BFGS-B"),
    "TNC": place(method="TNC"),
    "COBYLA": place(method="COBYLA", options={"tol": 1e-5}),
    "SLSQP": place(method="SLSQP"),
    "Newton-CG": place(method="Newton-CG", jac=slope, hessp=product),
    "trust-exact": place(method="trust-exact", jac=slope, hess=curvature),
    "trust-ncg": place(method="trust-ncg", jac=slope, hessp=product),
    "trust-constr": place(method="trust-constr", jac=slope, hess=curvature),
}

BOUNDED = {
    "by default": place(bounds=BOUNDS),
    "an object": place(bounds=scipy.optimize.Bounds([0.0, -np.inf], [np.inf, 0.4])),
    "Nelder-Mead": place(method="Nelder-Mead", bounds=BOUNDS),
    "TNC": place(method="TNC", bounds=BOUNDS, jac=slope),
    "SLSQP": place(method="SLSQP", bounds=BOUNDS),
    "COBYLA": place(method="COBYLA", bounds=BOUNDS),
}


def check_like(solve, expected, p=P):
    """The value, gradient and Hessian of one function of a minimum's place are another's."""
    x = expected(p)
    total = lambda p: np.sum(np.exp(solve(p)))  # noqa: E731
    wanted = lambda p: np.sum(np.exp(expected(p)))  # noqa: E731
    assert solve(p) == pytest.approx(x, abs=2e-3)
    value, gradient = tg.value_and_grad(total)(p)
    assert value == pytest.approx(np.sum(np.exp(x)), rel=1e-13)
    assert gradient == pytest.approx(tg.grad(wanted)(p), rel=1e-10, abs=1e-13)
    assert tg.hessian(total)(p) == pytest.approx(tg.hessian(wanted)(p), rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("name", FREE)
def test_a_minimum_has_the_derivatives_of_the_exact_one(name):
    check_like(FREE[name], exact)


def exact(p):
    return tg.minimizer(valley, np.array([0.5, 0.0]))(p)


def exact_within(p):
    limits = np.array([0.0, -np.inf]), np.array([np.inf, 0.4])
    return tg.minimizer(valley, np.array([0.5, 0.0]), bounds=limits)(p)


@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_on_a_bound_stays_there(name):
    check_like(BOUNDED[name], exact_within)
    x = BOUNDED[name]
    assert tg.jacobian(x)(P)[1].tolist() == [0.0, 0.0]


def test_bounds_that_move_move_what_they_hold():
    def place(p):
        bounds = [(None, None), (None, p[1] / 2.0)]
        return scipy.optimize.minimize(valley, [0.5, 0.0], args=(P,), bounds=bounds).x

    jacobian = tg.jacobian(place)(P)
    assert jacobian[1].tolist() == [0.0, 0.5]
    step = 1e-6 * np.array([0.0, 1.0])
    fine = {"method": "L-BFGS-B", "tol": 1e-15}
    at = lambda p: scipy.optimize.minimize(  # noqa: E731
        valley, [0.5, 0.0], args=(P,), bounds=[(None, None), (None, p[1] / 2.0)],
        jac=slope, **fine
    ).x  # fmt: skip
    assert jacobian[:, 1] == pytest.approx((at(P + step) - at(P - step)) / 2e-6, abs=1e-4)


def test_the_minimum_and_its_slope_and_curvature_have_derivatives():
    found = lambda p: scipy.optimize.minimize(  # noqa: E731
        valley, [0.5, 0.0], args=(p,), method="trust-exact", jac=slope, hess=curvature
    )
    for read, expected in (
        (lambda r: r.fun, lambda p: valley(exact(p), p)),
        (lambda r: r["fun"] + np.sum(r.jac), lambda p: valley(exact(p), p)),
        (lambda r: r.get("hess")[0, 1], lambda p: tg.hessian(valley)(exact(p), p)[0, 1]),
    ):
        program = lambda p, read=read: read(found(p))  # noqa: E731
        assert tg.grad(program)(P) == pytest.approx(tg.grad(expected)(P), rel=1e-9)
        assert tg.hessian(program)(P) == pytest.approx(tg.hessian(expected)(P), rel=1e-8)


def test_the_slope_on_a_bound_is_its_multiplier():
    def found(p):
        return scipy.optimize.minimize(valley, [0.5, 0.0], args=(p,), bounds=BOUNDS).jac

    assert tg.jacobian(found)(P)[0] == pytest.approx([0.0, 0.0], abs=1e-12)
    expected = lambda p: tg.grad(valley)(exact_within(p), p)[1]  # noqa: E731
    assert tg.jacobian(found)(P)[1] == pytest.approx(tg.grad(expected)(P), rel=1e-10)


def test_results_behave_as_scipys():
    def program(p):
        found = scipy.optimize.minimize(valley, [0.5, 0.0], args=(p,))
        assert found.success is True
        assert found.status == 0
        assert found.message == "Optimization terminated successfully."
        assert "x" in found
        assert {"x", "fun", "nit", "nfev", "njev", "hess_inv"} <= set(found.keys()) == set(found)
        assert found.get("nothing") is None
        assert not hasattr(found, "nothing")
        assert dir(found) == sorted(found.keys())
        return np.sum(found["x"]) + found.nit

    value, _ = tg.value_and_grad(program)(P)
    assert value - np.sum(exact(P)) == pytest.approx(round(value - np.sum(exact(P))))
    with pytest.raises(UnsupportedFunctionError, match=r"(?s)`hess_inv`.*tapegrad\.hessian"):
        tg.grad(lambda p: scipy.optimize.minimize(valley, [0, 0], (p,)).hess_inv[0, 0])(P)
    inverse = lambda p: np.linalg.inv(tg.hessian(valley)(exact(p), p))[0, 0]  # noqa: E731
    told = lambda p: np.linalg.inv(  # noqa: E731
        tg.hessian(valley)(scipy.optimize.minimize(valley, [0, 0], (p,)).x, p)
    )[0, 0]
    assert tg.grad(told)(P) == pytest.approx(tg.grad(inverse)(P), rel=1e-9)


def test_a_callback_is_called_with_plain_numbers():
    def program(p):
        path = []
        found = scipy.optimize.minimize(valley, [0.5, 0.0], args=(p,), callback=path.append)
        assert all(type(x) is np.ndarray for x in path)
        return np.sum(found.x) + len(path)

    derivative = tg.value_and_grad(program)
    for p in (P, 2.0 * P):
        value, gradient = derivative(p)
        plain = scipy.optimize.minimize(valley, [0.5, 0.0], args=(p,), jac=slope)
        assert value == pytest.approx(np.sum(exact(p)) + plain.nit)
        assert gradient == pytest.approx(tg.grad(lambda p: np.sum(exact(p)))(p), rel=1e-10)

    def closes(p):
        return np.sum(
            scipy.optimize.minimize(valley, [0, 0], (p,), callback=lambda x: p[0] > 9.0).x
        )

    with pytest.raises(UnsupportedFunctionError, match=r"x\.value"):
        tg.grad(closes)(P)


# --- of one number --------------------------------------------------------------------------------


def dip(x, a):
    return (x - a) ** 2 + 0.1 * x**4


def dip_place(a):
    return tg.minimizer(dip, 1.0)(a)


SCALAR = {
    "by default": lambda a: scipy.optimize.minimize_scalar(dip, args=(a,)).x,
    "bracket": lambda a: scipy.optimize.minimize_scalar(lambda x: dip(x, a), (0, a)).x,
    "three": lambda a: scipy.optimize.minimize_scalar(dip, (0, 1, 5), args=(a,), tol=1e-4).x,
    "golden": lambda a: scipy.optimize.minimize_scalar(dip, args=a, method="golden").x,
    "bounded": lambda a: scipy.optimize.minimize_scalar(dip, None, (0, 3), (a,)).x,
    "options": lambda a: (
        scipy.optimize.minimize_scalar(
            dip, bounds=(0, 3), args=(a,), method="bounded", options={"xatol": 1e-3}
        ).x
    ),
    "fminbound": lambda a: scipy.optimize.fminbound(dip, 0, 3, args=(a,), xtol=1e-7),
    "fminbound full": lambda a: scipy.optimize.fminbound(dip, 0, 3, (a,), full_output=True)[0],
    "brent": lambda a: scipy.optimize.brent(dip, args=(a,), brack=(0, 1)),
    "brent full": lambda a: scipy.optimize.brent(dip, (a,), full_output=True)[0],
    "golden function": lambda a: scipy.optimize.golden(dip, (a,), tol=1e-6),
}


@pytest.mark.parametrize("name", SCALAR)
def test_a_minimum_of_one_number_has_the_derivatives_of_the_exact_one(name):
    solve = SCALAR[name]
    assert solve(2.0) == pytest.approx(dip_place(2.0), abs=1e-3)
    expected = tg.value_and_grad(dip_place)(2.0)
    assert tg.value_and_grad(solve)(2.0) == pytest.approx(expected, rel=1e-13)
    assert tg.hessian(solve)(2.0) == pytest.approx(tg.hessian(dip_place)(2.0), rel=1e-11)


def test_the_least_number_has_its_derivative_and_what_is_told_is_guarded():
    least = lambda a: dip(dip_place(a), a)  # noqa: E731
    for solve in (
        lambda a: scipy.optimize.minimize_scalar(dip, args=(a,)).fun,
        lambda a: scipy.optimize.fminbound(dip, 0, 3, (a,), full_output=True)[1],
        lambda a: scipy.optimize.brent(dip, (a,), full_output=True)[1],
    ):
        assert tg.grad(solve)(2.0) == pytest.approx(tg.grad(least)(2.0), rel=1e-12)
    counted = lambda a: a * scipy.optimize.brent(dip, (a,), full_output=True)[3]  # noqa: E731
    for a in (2.0, 0.3):
        assert tg.grad(counted)(a) == scipy.optimize.brent(dip, (a,), full_output=True)[3]


def test_a_bounded_minimum_moves_with_its_bound():
    place = lambda a: scipy.optimize.minimize_scalar(  # noqa: E731
        lambda x: (x - 3.0) ** 2, bounds=(0.0, a), method="bounded"
    )
    assert tg.value_and_grad(lambda a: place(a).x)(2.0) == (2.0, 1.0)
    assert tg.value_and_grad(lambda a: place(a).fun)(2.0) == (1.0, -2.0)
    assert tg.grad(lambda a: scipy.optimize.fminbound(lambda x: (x - 3) ** 2, 0, a))(2.0) == 1.0


# --- refused ----------------------------------------------------------------------------------


def test_what_is_refused_says_what_to_write_and_that_works():
    A, b = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]), np.array([1.0, -1.0, 2.0])
    with pytest.raises(UnsupportedFunctionError, match=r"tapegrad\.minimizer\(lambda x, A, b"):
        tg.grad(lambda a: scipy.optimize.nnls(a * A, b)[0][0])(1.0)
    solve = tg.minimizer(lambda x, A, b: np.sum((A @ x - b) ** 2), np.ones(2), bounds=(0.0, None))
    assert solve(A, b) == pytest.approx(scipy.optimize.nnls(A, b)[0], abs=1e-12)
    assert tg.grad(lambda a: np.sum(solve(a * A, b)))(1.0) == pytest.approx(-np.sum(solve(A, b)))
    with pytest.raises(UnsupportedFunctionError, match=r"bounds=bounds\)\(A, b\)"):
        tg.grad(lambda a: scipy.optimize.lsq_linear(A, a * b).x[0])(1.0)

    C, c = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([4.0, 6.0])
    with pytest.raises(UnsupportedFunctionError, match=r"np\.linalg\.solve\(A_held, b_held\)"):
        tg.grad(lambda a: scipy.optimize.linprog([1.0, 1.0], A_ub=-a * C, b_ub=-c).x[0])(1.0)

    def program(a):
        found = scipy.optimize.linprog([1.0, 1.0], A_ub=-tg.stop_gradient(a) * C, b_ub=-c)
        held = found.slack < 1e-9
        return np.sum(np.linalg.solve(a * C[held], c[held]))

    assert tg.value_and_grad(program)(1.0) == pytest.approx((2.8, -2.8))

    f = lambda x, a: np.sum((x - a) ** 2) + np.cos(3.0 * x[0])  # noqa: E731
    limits = [(-3.0, 3.0)]
    with pytest.raises(UnsupportedFunctionError, match=r"tapegrad\.minimizer\(f, found\.x\)"):
        tg.grad(lambda a: scipy.optimize.differential_evolution(f, limits, args=(a,), rng=1).x[0])(
            1.0
        )

    def globally(a):
        found = scipy.optimize.differential_evolution(f, limits, args=(tg.stop_gradient(a),), rng=1)
        return tg.minimizer(f, found.x)(a)[0]

    assert tg.grad(globally)(1.0) == pytest.approx(
        2.0 / (2.0 - 9.0 * np.cos(3.0 * globally(1.0))), rel=1e-10
    )
