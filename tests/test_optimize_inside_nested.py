"""scipy.optimize's solvers inside one another, and beside the rest of the library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError


def difference(f, a, h=1e-4):
    """A derivative by differences of solutions that are found finely."""
    return (8.0 * (f(a + h) - f(a - h)) - (f(a + 2 * h) - f(a - 2 * h))) / (12.0 * h)


def cube_root_of(b):
    return scipy.optimize.brentq(lambda y: y**3 + y - b, -5, 5)


def least_place(a, **keywords):
    def objective(x):
        y = cube_root_of(x[0] + a)
        return (y - 1.0) ** 2 + (x[0] - a) ** 2

    if keywords:
        keywords = {"jac": tg.grad(objective)}
    return scipy.optimize.minimize(objective, [0.0], options={"gtol": 1e-11}, **keywords).x[0]


@pytest.mark.parametrize("keywords", [{}, {"jac": True}])
def test_a_root_in_an_objective_is_differentiated_twice(keywords):
    place = lambda a: least_place(a, **keywords)  # noqa: E731
    slope = lambda a: difference(lambda a: least_place(a, jac=True), a)  # noqa: E731
    for a in (1.0, 1.7):
        assert tg.grad(place)(a) == pytest.approx(slope(a), rel=1e-6)
    assert tg.hessian(place)(1.0) == pytest.approx(difference(slope, 1.0, 1e-2), rel=1e-3)


NESTED = {
    "a checkpoint": (lambda a: tg.checkpoint(lambda b: a * cube_root_of(b))(a), 1.5),
    "in tapegrad's root": (
        lambda a: tg.root(lambda y, b: y - 0.5 * cube_root_of(b + y), 1.0)(a),
        1.5,
    ),
    "tapegrad's root": (
        lambda a: scipy.optimize.brentq(
            lambda x: tg.root(lambda y, x: y**3 - x, 1.0)(x) - a, 0.1, 50
        ),
        1.5,
    ),
    "a gradient": (
        lambda a: scipy.optimize.brentq(
            lambda x: tg.grad(lambda z: z**3 - a * z)(x), 0.1, 50
        ),
        1.5,
    ),
    "a distribution": (
        lambda a: scipy.optimize.brentq(lambda x: scipy.stats.norm.cdf(x, scale=a) - 0.9, 0, 9),
        1.5,
    ),
    "a frozen distribution": (
        lambda a: scipy.optimize.brentq(
            lambda x, d: d.cdf(x) - 0.9, 0, 9, args=(scipy.stats.norm(0.0, a),)
        ),
        1.5,
    ),
    "a ufunc": (lambda a: a * scipy.optimize.newton(np.sin, 3.0 * a), 1.05),
    "a function of math": (lambda a: a * scipy.optimize.newton(math.sin, 3.0 * a), 1.05),
    "stored elements": (lambda a: np.sum(scipy.optimize.fsolve(stored, [1.0, 1.0], (a,))), 1.5),
    "a setting": (
        lambda a: a * scipy.optimize.brentq(lambda x: x**3 - 2.0, 0, 5, xtol=1e-9 * a), 1.5
    ),
    "an option": (
        lambda a: a * scipy.optimize.minimize(
            lambda x: (x[0] - a) ** 2, [0.0], options={"gtol": 1e-9 * a}
        ).x[0],
        1.5,
    ),
    "an array that is made inside": (
        lambda a: scipy.optimize.least_squares(
            lambda x: np.array([x[0] - a, x[0] * x[1] - a]), [1.0, 1.0],
            x_scale=np.array([1.0, 2.0]), xtol=1e-14, ftol=1e-14, gtol=1e-14,
        ).x[0],
        1.5,
    ),
}  # fmt: skip


def stored(x, a):
    found = np.zeros(2)
    found[0] = x[0] - a
    found[1] = x[0] * x[1] - 2.0
    return found


@pytest.mark.parametrize("name", NESTED)
def test_solvers_work_with_the_rest(name):
    program, a = NESTED[name]
    value, slope = tg.value_and_grad(program)(a)
    assert value == pytest.approx(program(a), rel=1e-7)
    assert slope == pytest.approx(difference(program, a), rel=1e-6)
    slopes = lambda a: tg.value_and_grad(program)(a)[1]  # noqa: E731
    assert tg.hessian(program)(a) == pytest.approx(difference(slopes, a), rel=1e-6, abs=1e-7)


class Bag:
    def __init__(self, **numbers):
        vars(self).update(numbers)


def test_another_way_may_read_other_numbers_of_an_object():
    def program(a):
        bag = Bag(near=a, far=2.0 * a)
        return scipy.optimize.brentq(
            lambda x: x**3 - bag.far if x > 1.0 else x - bag.near, -5, 5
        )  # fmt: skip

    derivative = tg.value_and_grad(program)
    for a in (0.5, 3.0, 0.4, 4.0):
        root = np.cbrt(2.0 * a)
        expected = (a, 1.0) if a < 0.51 else (root, root / (3.0 * a))
        assert derivative(a) == pytest.approx(expected)


def test_what_is_computed_of_an_objects_numbers_on_another_way_only_is_refused():
    def program(a):
        bag = Bag(near=a, far=a)
        return scipy.optimize.brentq(
            lambda x: x**3 - 2.0 * bag.far if x > 1.0 else x - bag.near, -5, 5
        )  # fmt: skip

    with pytest.raises(UnsupportedFunctionError, match="pass those to it as arguments"):
        tg.grad(program)(3.0)

    def repaired(a):
        bag = Bag(near=a, far=a)
        return scipy.optimize.brentq(
            lambda x, near, far: x**3 - 2.0 * far if x > 1.0 else x - near, -5, 5,
            args=(bag.near, bag.far),
        )  # fmt: skip

    assert tg.grad(repaired)(4.0) == pytest.approx(1.0 / 6.0)


def test_a_solver_of_many_unknowns_and_of_none_active():
    A = np.diag(np.arange(1.0, 21.0)) + 0.01

    def program(p):
        return np.sum(scipy.optimize.root(lambda x: A @ x + 0.1 * x**3 - p, np.zeros(20)).x)

    p = np.linspace(-1.0, 3.0, 20)
    x = scipy.optimize.root(lambda x: A @ x + 0.1 * x**3 - p, np.zeros(20), tol=1e-12).x
    jacobian = A + np.diag(0.3 * x**2)
    assert tg.grad(program)(p) == pytest.approx(np.linalg.solve(jacobian.T, np.ones(20)))


def test_equations_that_newton_solves_at_once_are_solved_and_differentiated_together():
    def total(a):
        x = scipy.optimize.newton(lambda x: x**2 - a * np.arange(1.0, 4.0), np.ones(3))
        return np.sum(x)

    expected = np.sum(np.sqrt(2.0 * np.arange(1.0, 4.0)))
    assert tg.value_and_grad(total)(2.0) == pytest.approx((expected, expected / 4.0))


def test_solvers_run_in_threads_of_their_own():
    from concurrent.futures import ThreadPoolExecutor

    derivative = tg.value_and_grad(lambda a: a * cube_root_of(a))
    places = [0.5 + 0.1 * k for k in range(12)]
    expected = [derivative(a) for a in places]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(derivative, places)) == expected
