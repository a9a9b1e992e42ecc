"""Minima under constraints that scipy.optimize.minimize finds in differentiated functions."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

import tapegrad as tg
from tapegrad.errors import DegenerateBoundError, SingularSystemError, UnsupportedFunctionError

P = np.array([2.0, -1.5, 0.75])


def distance(x, p):
    return np.sum((x - p) ** 2)


def gradient(x, p):
    return 2.0 * (x - p)


START = np.array([0.1, 0.2, 0.3])
W = np.array([1.0, 2.0, -1.0])


def on_plane(p):
    return p - W * (W @ p - 1.0) / (W @ W)


def in_ball(p):
    return p / np.sqrt(np.sum(p * p))


def check_like(solve, expected, p=P, rel=1e-11):
    found = solve(p)
    assert found == pytest.approx(expected(p), abs=1e-3)
    assert tg.jacobian(solve)(p) == pytest.approx(tg.jacobian(expected)(p), rel=rel, abs=rel)
    total = lambda p: np.sum(np.exp(0.5 * solve(p)))  # noqa: E731
    wanted = lambda p: np.sum(np.exp(0.5 * expected(p)))  # noqa: E731
    assert tg.value_and_grad(total)(p)[0] == pytest.approx(wanted(p), rel=1e-13)
    assert tg.hessian(total)(p) == pytest.approx(tg.hessian(wanted)(p), rel=1e-8, abs=1e-9)


def place(constraints, **keywords):
    return lambda p: minimize(distance, START, args=(p,), constraints=constraints, **keywords).x


PLANE = {"type": "eq", "fun": lambda x: W @ x - 1.0}
BALL = {"type": "ineq", "fun": lambda x: 1.0 - np.sum(x * x)}

CASES = {
    "an equation": (place(PLANE), on_plane),
    "an equation with its gradient": (
        place([{**PLANE, "jac": lambda x: W}], jac=gradient),
        on_plane,
    ),
    "a linear equation": (place(LinearConstraint(W, 1.0, 1.0)), on_plane),
    "by trust-constr": (place(LinearConstraint(W, 1.0, 1.0), method="trust-constr"), on_plane),
    "by COBYLA": (place(LinearConstraint(W, 1.0, np.inf), method="COBYLA", tol=1e-7), on_plane),
    "an inequality": (place(BALL), in_ball),
    "a nonlinear one": (
        place([NonlinearConstraint(lambda x: [np.sum(x * x)], -np.inf, 1.0)]),
        in_ball,
    ),
    "one that doesn't hold": (place([BALL, {"type": "ineq", "fun": lambda x: x + 3.0}]), in_ball),
    "pairs": (
        lambda p: minimize(
            lambda x, p: (distance(x, p), gradient(x, p)), START, (p,), jac=True, constraints=BALL
        ).x,
        in_ball,
    ),
    "arguments": (
        place({"type": "ineq", "fun": lambda x, r: r - np.sum(x * x), "args": (1.0,)}),
        in_ball,
    ),
    "nothing that holds": (place([{"type": "ineq", "fun": lambda x: 20.0 - x @ x}]), lambda p: p),
    "a bound too": (
        place(PLANE, bounds=[(None, None), (-0.25, None), (None, 9.0)]),
        lambda p: np.concatenate([
            on_line(p[[0, 2]]).reshape(-1)[:1], [-0.25], on_line(p[[0, 2]])[1:]
        ]),
    ),
}  # fmt: skip


def on_line(p):
    """The point next to `p` where x - z = 1.5."""
    return p - np.array([1.0, -1.0]) * (p[0] - p[1] - 1.5) / 2.0


@pytest.mark.parametrize("name", CASES)
def test_a_constrained_minimum_has_the_derivatives_of_the_closed_form(name):
    check_like(*CASES[name])


def test_limits_of_constraints_and_what_they_close_over_are_differentiated():
    direction = P / np.linalg.norm(P)
    for solve, r in (
        (lambda r: place({"type": "ineq", "fun": lambda x: r**2 - x @ x})(P), 0.9),
        (lambda r: place({"type": "eq", "fun": lambda x, r: r**2 - x @ x, "args": (r,)})(P), 0.9),
        (lambda r: place(NonlinearConstraint(lambda x: x @ x / r**2, 0.0, 1.0))(P), 1.1),
    ):
        check_like(solve, lambda r: r * direction, r, rel=1e-9)
    level = lambda c: place({"type": "eq", "fun": lambda x: W @ x - c})(P)  # noqa: E731
    expected = lambda c: P - W * (W @ P - c) / (W @ W)  # noqa: E731
    check_like(level, expected, 0.3)


def test_the_least_value_moves_by_the_multiplier():
    least = lambda r: minimize(  # noqa: E731
        distance, START, (P,), constraints={"type": "ineq", "fun": lambda x: r**2 - x @ x}
    )
    norm = np.linalg.norm(P)
    value, slope = tg.value_and_grad(lambda r: least(r).fun)(0.9)
    assert (value, slope) == pytest.approx(((norm - 0.9) ** 2, -2.0 * (norm - 0.9)))
    assert tg.hessian(lambda r: least(r).fun)(0.9) == pytest.approx(2.0)
    slope_there = tg.jacobian(lambda r: least(r).jac)(0.9)
    assert slope_there == pytest.approx(2.0 * P / norm)


def test_which_constraints_hold_is_found_again_at_each_call():
    solve = lambda p: np.sum(place(BALL)(p))  # noqa: E731
    derivative = tg.value_and_grad(solve)
    for p in (P, 0.1 * P, 2.0 * P, -0.3 * P):
        expected = in_ball if p @ p > 1.0 else np.copy
        value, slope = tg.value_and_grad(lambda p: np.sum(expected(p)))(p)  # noqa: B023
        found = derivative(p)
        assert found[0] == pytest.approx(value)
        assert found[1] == pytest.approx(slope, rel=1e-10)
    assert len(derivative.recorded.recordings) == 1


def test_objects_methods_and_partials_are_seen():
    class Model:
        def __init__(self, p, r):
            self.p, self.r = p, r

        def loss(self, x):
            return distance(x, self.p)

        def slope(self, x):
            return gradient(x, self.p)

        def room(self, x):
            return self.r**2 - x @ x

    def solve(p):
        model = Model(p, p[1] + 2.4)
        rooms = {"type": "ineq", "fun": model.room}
        return minimize(model.loss, START, jac=model.slope, constraints=[rooms]).x

    check_like(solve, lambda p: in_ball(p) * (p[1] + 2.4), rel=1e-9)

    def by_partial(p):
        room = functools.partial(lambda x, r: r**2 - x @ x, r=p[1] + 2.4)
        return place({"type": "ineq", "fun": room})(p)

    check_like(by_partial, lambda p: in_ball(p) * (p[1] + 2.4), rel=1e-9)


def test_degenerate_constraints_raise():
    touched = lambda r: np.sum(  # noqa: E731
        place({"type": "ineq", "fun": lambda x: r**2 - x @ x})(np.array([1.0, 0.0, 0.0]))
    )
    assert tg.grad(touched)(0.9) == pytest.approx(1.0)
    assert tg.grad(touched)(1.2) == 0.0
    with pytest.raises(DegenerateBoundError):
        tg.grad(touched)(1.0)
    twice = place([PLANE, PLANE])
    with pytest.raises(SingularSystemError):
        tg.grad(lambda p: np.sum(twice(p)))(P)


def test_methods_that_know_no_constraints_are_refused():
    with pytest.raises(UnsupportedFunctionError, match="choose SLSQP or trust-constr"):
        tg.grad(lambda p: np.sum(place(PLANE, method="BFGS")(p)))(P)
    fixed = tg.jacobian(lambda a: a * place(PLANE)(P))(1.0)
    assert np.array_equal(fixed, scipy.optimize.minimize(
        distance, START, args=(P,), constraints=PLANE).x)  # fmt: skip
