"""Minima as functions: bounds that hold or don't, and derivatives of every order."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import (
    DegenerateBoundError,
    InaccurateSolutionWarning,
    NoConvergenceError,
    NotScalarError,
    SingularSystemError,
    StructureError,
)
from tapegrad.testing import check_grads


def quartic(x, y):
    """Least where 4 x^3 + 2 (x - y) = 0."""
    return np.sum((x - y) ** 2 + x**4)


def rosenbrock(x, p):
    return p[0] * (x[1] - x[0] ** 2) ** 2 + (p[1] - x[0]) ** 2


def test_a_minimum_without_bounds_has_its_derivatives_up_to_the_third():
    least = tg.minimizer(quartic, 0.0)
    orders = [least, tg.grad(least), tg.grad(tg.grad(least)), tg.grad(tg.grad(tg.grad(least)))]
    x = 0.5  # y = x + 2 x^3
    y, slope = x + 2 * x**3, 1 + 6 * x * x
    second = -12 * x / slope**3
    third = (3 * (12 * x) ** 2 / slope - 12) / slope**4
    np.testing.assert_allclose([f(y) for f in orders], [x, 1 / slope, second, third], rtol=1e-12)


def test_derivatives_have_the_full_hessian_not_a_gauss_newton_one():
    t, y = np.linspace(0.0, 2.0, 7), np.array([1.0, 0.9, 0.3, 0.5, 0.1, 0.2, -0.1])

    def misfit(x, y):
        return np.sum((x[0] * np.exp(-x[1] * t) - y) ** 2)  # residuals at the minimum aren't small

    fit = tg.minimizer(misfit, np.array([1.0, 1.0]))
    x = fit(y)
    by_x, by_y = tg.hessian(misfit)(x, y), tg.jacobian(tg.grad(misfit), argnums=1)(x, y)
    np.testing.assert_allclose(tg.grad(misfit)(x, y), 0.0, atol=1e-14)
    np.testing.assert_allclose(tg.jacobian(fit)(y), -np.linalg.solve(by_x, by_y), rtol=1e-10)
    check_grads(lambda y: np.sum(fit(y) ** 3), (y,), order=2)


def test_hard_valleys_and_saddles_are_left():
    valley = tg.minimizer(rosenbrock, np.array([-1.2, 1.0]))
    np.testing.assert_allclose(valley(np.array([100.0, 1.5])), [1.5, 2.25], rtol=1e-12)
    np.testing.assert_allclose(tg.jacobian(valley)(np.array([100.0, 1.5])), [[0, 1], [0, 3]],
                               atol=1e-10)  # fmt: skip
    wells = tg.minimizer(lambda x, a: (x * x - a) ** 2, 0.0)  # from the hill between
    assert abs(wells(4.0)) == pytest.approx(2.0, rel=1e-12)
    assert abs(tg.grad(wells)(4.0)) == pytest.approx(0.25, rel=1e-11)


# --- bounds --------------------------------------------------------------------------------------


def between(y, lower, upper):
    return tg.minimizer(quartic, np.zeros(3), bounds=(lower, upper))(y)


def test_bounds_that_hold_have_derivatives_and_the_others_none():
    y, lower, upper = np.array([-3.0, 0.75, 9.0]), np.array([-0.5, 0.0, -9.0]), np.ones(3)
    x = between(y, lower, upper)
    np.testing.assert_allclose(x, [-0.5, 0.5, 1.0], rtol=1e-13)
    by_y, by_lower, by_upper = tg.jacobian(between, argnums=(0, 1, 2))(y, lower, upper)
    np.testing.assert_allclose(by_y, np.diag([0.0, 0.4, 0.0]), rtol=1e-13)
    np.testing.assert_allclose(by_lower, np.diag([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(by_upper, np.diag([0.0, 0.0, 1.0]))
    check_grads(lambda *args: np.sum(np.sin(between(*args))), (y, lower, upper), order=2)


def test_free_unknowns_follow_those_on_bounds():
    def objective(x, p):
        return (x[0] - p[0]) ** 2 + x[0] * x[1] ** 2 + np.cosh(x[1] - p[1])

    def least(p, bound):
        return tg.minimizer(objective, np.ones(2), bounds=([None, bound], np.inf))(p)

    def least_of_array(p, bound):
        lower = np.stack([-np.inf, bound])
        return tg.minimizer(objective, np.ones(2), bounds=(lower, None))(p)

    p = np.array([1.0, 0.0])
    for bound in (0.7, 1.1):
        x = least_of_array(p, bound)
        assert x[1] == bound
        assert x[0] == pytest.approx(p[0] - bound**2 / 2)
        by_p, by_bound = tg.jacobian(least_of_array, argnums=(0, 1))(p, bound)
        np.testing.assert_allclose(by_p, [[1.0, 0.0], [0.0, 0.0]], atol=1e-14)
        np.testing.assert_allclose(by_bound, [-bound, 1.0], rtol=1e-13)
        second = tg.grad(tg.grad(lambda b: least_of_array(p, b)[0]))(bound)
        assert second == pytest.approx(-1.0)
    with pytest.raises(StructureError, match="bounds are a pair"):
        least(p, 1.0)


def test_bounds_that_begin_and_cease_to_hold_are_noticed_at_every_call():
    slope = tg.jacobian(tg.minimizer(quartic, np.zeros(1), bounds=(0, None)))
    for y, wanted in ((0.75, 0.4), (-1.0, 0.0), (3.0, 1 / 7), (-2.0, 0.0), (0.75, 0.4)):
        np.testing.assert_allclose(slope(np.array([y])), [[wanted]], rtol=1e-13)
    closed = tg.jacobian(
        lambda y: tg.minimizer(lambda x: quartic(x, y), np.zeros(1), bounds=(0, 5))()
    )
    for y, wanted in ((0.75, 0.4), (-1.0, 0.0), (3.0, 1 / 7)):
        np.testing.assert_allclose(closed(np.array([y])), [[wanted]], rtol=1e-13)


def test_unknowns_whose_bounds_are_one_move_with_them():
    def least(y, at):
        fixed = np.stack([at, 1.0])
        return tg.minimizer(quartic, np.zeros(2), bounds=(fixed, fixed))(y)

    by_y, by_at = tg.jacobian(least, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    np.testing.assert_array_equal(by_y, np.zeros((2, 2)))
    np.testing.assert_array_equal(by_at, [1.0, 0.0])


@pytest.mark.parametrize("y", [0.0, 1e-20, -1e-20])
def test_a_bound_that_nothing_presses_against_has_no_derivative(y):
    least = tg.minimizer(quartic, np.ones(2), bounds=(0, None))
    np.testing.assert_allclose(least(np.array([0.75, y])), [0.5, 0.0], atol=1e-19)  # it has a value
    with pytest.raises(DegenerateBoundError, match=r"unknown 1 on a bound, .*move the bound"):
        tg.jacobian(least)(np.array([0.75, y]))


def test_a_multiplier_of_rounding_size_counts_as_none():
    def objective(x, y):
        return (x[0] - y) ** 2 + (x[1] - 0.1) ** 2 + 0.3 * (x[0] - 3.0 * x[1]) ** 2

    # At y = 0.3 the minimum without bounds is (0.3, 0.1): x[1] touches its bound.
    touching = tg.minimizer(objective, np.ones(2), bounds=(-1.0, np.array([np.inf, 0.1])))
    with pytest.raises(DegenerateBoundError):
        tg.jacobian(touching)(0.3)
    np.testing.assert_allclose(tg.jacobian(touching)(0.4), [1 / 1.3, 0.0], atol=1e-14)


def test_an_unknown_may_be_tiny_beside_its_bound():
    slope = tg.jacobian(tg.minimizer(quartic, np.ones(2), bounds=(0, None)))
    for y, wanted in ((1e-12, 1.0), (-1e-12, 0.0)):
        np.testing.assert_allclose(slope(np.array([0.75, y])), np.diag([0.4, wanted]), rtol=1e-12)


def test_bounds_come_as_scipys_and_in_structures():
    start = {"a": 0.0, "b": np.zeros(2)}

    def objective(s, y):
        return quartic(s["a"], y[0]) + quartic(s["b"], y[1:])

    y = np.array([-3.0, 0.75, 9.0])
    lower, upper = {"a": -0.5, "b": None}, {"a": None, "b": np.array([1.0, 1.0])}
    found = tg.minimizer(objective, start, bounds=(lower, upper))(y)
    assert found["a"] == -0.5
    np.testing.assert_allclose(found["b"], [0.5, 1.0], rtol=1e-13)
    bounds = scipy.optimize.Bounds([-0.5, -9.0, -9.0], [1.0, 1.0, 1.0])
    found = tg.minimizer(quartic, np.zeros(3), bounds=bounds)(y)
    np.testing.assert_allclose(found, [-0.5, 0.5, 1.0], rtol=1e-13)
    with pytest.raises(ValueError, match=r"lower bound .* is above the upper"):
        tg.minimizer(quartic, 0.0, bounds=(1.0, -1.0))(2.0)


# --- solvers --------------------------------------------------------------------------------------


def test_a_solver_of_scipys_gives_the_same_derivatives():
    def by_scipy(fun, x0, jac, bounds):
        assert bounds.tolist() == [[0.0, np.inf]] * 2
        return scipy.optimize.minimize(fun, x0, jac=jac, bounds=bounds, tol=1e-14)

    y = np.array([0.75, -1.0])
    own, other = (tg.minimizer(quartic, np.ones(2), bounds=(0, None), solver=s, tol=1e-6)
                  for s in (None, by_scipy))  # fmt: skip
    np.testing.assert_allclose(other(y), own(y), rtol=1e-12)
    np.testing.assert_allclose(tg.jacobian(other)(y), [[0.4, 0.0], [0.0, 0.0]], rtol=1e-12)
    crude = tg.minimizer(quartic, 1.0, solver=lambda fun, x0, jac: np.array([0.5001]))
    with pytest.warns(InaccurateSolutionWarning, match="0.0001 long"):
        assert crude(0.75) == pytest.approx(0.5, rel=1e-13)


def test_what_is_no_minimum_raises_by_name():
    at_start = {"solver": lambda fun, x0, jac: x0}
    with pytest.raises(SingularSystemError, match="singular"):
        tg.minimizer(lambda x, a: x**4 * a, 0.0, **at_start)(2.0)
    with pytest.raises((SingularSystemError, NoConvergenceError)):
        tg.minimizer(lambda x, a: (x - 1.0) ** 4 * a, 0.0)(2.0)
    with pytest.raises(SingularSystemError, match="has negative curvatures"):
        tg.minimizer(lambda x, a: -a * np.exp(-x * x), 0.6, tol=1e9)(2.0)
    with pytest.raises(SingularSystemError, match="singular"):
        tg.minimizer(lambda x, a: (x[0] + x[1] - a) ** 2, np.zeros(2))(2.0)
    with pytest.raises(NoConvergenceError, match=r"find the minimum .*residuals: 2") as caught:
        tg.minimizer(lambda x, a: a * x, 0.0, maxiter=7)(2.0)
    assert caught.value.residuals == (2.0,) * 7
    with pytest.raises(NotScalarError):
        tg.minimizer(lambda x, a: a * x, np.ones(2))(2.0)


def test_aux_and_closures_are_as_of_roots():
    def value(a):
        def objective(x):
            return np.exp(x) - a * x, {"energy": np.exp(x) - a * x}

        return tg.minimizer(objective, 0.0, has_aux=True)()[1]["energy"]

    a = 3.0  # the least value is a - a log(a), at log(a)
    found = [value(a), tg.grad(value)(a), tg.grad(tg.grad(value))(a)]
    np.testing.assert_allclose(found, [a - a * np.log(a), -np.log(a), -1 / a], rtol=1e-12)


def test_parameters_of_a_fit_are_found_by_the_gradient_through_it():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 4))
    y = X @ np.array([1.0, -2.0, 0.0, 0.5]) + 0.1 * rng.standard_normal(20)
    X_other = rng.standard_normal((30, 4))
    y_other = X_other @ np.array([1.0, -2.0, 0.0, 0.5])

    def held_out(log_weight):
        ridge = tg.minimizer(
            lambda w, weight: np.sum((X @ w - y) ** 2) + weight * np.sum(w**2), np.zeros(4)
        )
        return np.mean((X_other @ ridge(np.exp(log_weight)) - y_other) ** 2)

    def exactly(log_weight):
        w = np.linalg.solve(X.T @ X + np.exp(log_weight) * np.eye(4), X.T @ y)
        return np.mean((X_other @ w - y_other) ** 2)

    for at in (-1.0, 2.0):
        assert held_out(at) == pytest.approx(exactly(at), rel=1e-12)
        assert tg.grad(held_out)(at) == pytest.approx(tg.grad(exactly)(at), rel=1e-9)
        found, wanted = (tg.grad(tg.grad(f))(at) for f in (held_out, exactly))
        assert found == pytest.approx(wanted, rel=1e-9)
