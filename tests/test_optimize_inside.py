"""scipy.optimize's solvers of one equation, and of systems, called in differentiated functions."""

from __future__ import annotations

import functools
import math
import pickle

import mpmath
import numba
import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import LostDerivativeError, UnsupportedFunctionError

# The root of x**3 + b * x = a: its derivatives by a and b are 1 / (3 x**2 + b), -x / (...).
A, B = 5.0, 1.5


def cubic(x, a, b):
    return x**3 + b * x - a


def slope(x, a, b):
    return 3.0 * x**2 + b


def curvature(x, a, b):
    return 6.0 * x


def exact(order=0):
    """The root, its gradient or its Hessian, to sixteen digits."""
    mpmath.mp.dps = 40
    root = lambda a, b: mpmath.findroot(lambda x: x**3 + b * x - a, 1.3)  # noqa: E731
    if order == 0:
        return float(root(A, B))
    if order == 1:
        return np.array([float(mpmath.diff(root, (A, B), n)) for n in ((1, 0), (0, 1))])
    kinds = [[(2, 0), (1, 1)], [(1, 1), (0, 2)]]
    return np.array([[float(mpmath.diff(root, (A, B), n)) for n in row] for row in kinds])


BRACKETING = ("brentq", "brenth", "bisect", "ridder", "toms748")

SCALAR = {
    **{
        name: lambda p, name=name: getattr(scipy.optimize, name)(cubic, 0.0, 4.0, args=(p[0], p[1]))
        for name in BRACKETING
    },
    "closure": lambda p: scipy.optimize.brentq(lambda x: cubic(x, p[0], p[1]), 0, 4),
    "tolerances": lambda p: scipy.optimize.brentq(
        lambda x: cubic(x, *p), 0, 4, xtol=1e-3, rtol=1e-3, maxiter=50, disp=False
    ),
    "toms748 k": lambda p: scipy.optimize.toms748(cubic, 0.0, 4.0, tuple(p), k=2),
    "secant": lambda p: scipy.optimize.newton(cubic, 1.0, args=tuple(p)),
    "secant of two": lambda p: scipy.optimize.newton(cubic, 1.0, args=tuple(p), x1=2.0),
    "newton": lambda p: scipy.optimize.newton(cubic, 1.0, fprime=slope, args=tuple(p), tol=1e-5),
    "halley": lambda p: scipy.optimize.newton(
        cubic, 1.0, slope, args=tuple(p), fprime2=curvature, rtol=1e-9, maxiter=20
    ),
    "root_scalar bracket": lambda p: (
        scipy.optimize.root_scalar(cubic, tuple(p), bracket=[0.0, p[0]]).root
    ),
    "root_scalar method": lambda p: (
        scipy.optimize.root_scalar(
            cubic, tuple(p), "bisect", bracket=(0.0, 4.0), xtol=1e-6, maxiter=100
        ).root
    ),
    "root_scalar secant": lambda p: (
        scipy.optimize.root_scalar(cubic, tuple(p), x0=1.0, x1=2.0).root
    ),
    "root_scalar newton": lambda p: (
        scipy.optimize.root_scalar(
            cubic, tuple(p), "newton", x0=1.0, fprime=slope, options={"xtol": 1e-9}
        ).root
    ),
    "root_scalar differences": lambda p: (
        scipy.optimize.root_scalar(cubic, tuple(p), "newton", x0=1.0).root
    ),
    "root_scalar pairs": lambda p: (
        scipy.optimize.root_scalar(
            lambda x, a, b: (cubic(x, a, b), slope(x, a, b)), tuple(p), x0=1.0, fprime=True
        ).root
    ),
    "root_scalar halley": lambda p: (
        scipy.optimize.root_scalar(cubic, tuple(p), x0=1.0, fprime=slope, fprime2=curvature).root
    ),
    "fsolve": lambda p: scipy.optimize.fsolve(cubic, 1.0, args=tuple(p))[0],
    "fsolve differences": lambda p: scipy.optimize.fsolve(
        cubic, [1.0], tuple(p), epsfcn=1e-10, xtol=1e-9, factor=1.0
    )[0],
    "fixed_point": lambda p: scipy.optimize.fixed_point(
        lambda x: (p[0] + x**3) / (2.0 * x**2 + p[1]), 1.0
    ),
    "fixed_point iteration": lambda p: scipy.optimize.fixed_point(
        lambda x, a, b: np.cbrt(a - b * x), 1.0, args=tuple(p), method="iteration", xtol=1e-6
    ),
    "newton_krylov": lambda p: scipy.optimize.newton_krylov(lambda x: cubic(x, *p), [1.0])[0],
    "broyden1": lambda p: scipy.optimize.broyden1(lambda x: cubic(x, *p), 1.0, f_tol=1e-9),
}


@pytest.mark.parametrize("name", SCALAR)
def test_a_root_of_one_equation_has_the_derivatives_of_the_exact_root(name):
    solve, p = SCALAR[name], np.array([A, B])
    value, gradient = tg.value_and_grad(solve)(p)
    assert value == pytest.approx(exact(), rel=1e-15)
    assert gradient == pytest.approx(exact(1), rel=1e-14)
    assert tg.hessian(solve)(p) == pytest.approx(exact(2), rel=1e-12)
    assert abs(solve(p) - value) < 1e-2


def residual(x, a, b):
    return [x[0] ** 2 + x[1] - a, x[1] ** 2 - x[0] * b + 1.0]


def jacobian(x, a, b):
    return np.array([[2.0 * x[0], 1.0], [-b, 2.0 * x[1]]])


def with_jacobian(x, a, b):
    return np.array(residual(x, a, b)), jacobian(x, a, b)


def root(x0=(1.0, 1.0), fun=residual, **keywords):
    return lambda p: scipy.optimize.root(fun, x0, args=tuple(p), **keywords).x


SYSTEMS = {
    "fsolve": lambda p: scipy.optimize.fsolve(residual, [1.0, 1.0], args=tuple(p)),
    "fsolve fprime": lambda p: scipy.optimize.fsolve(
        residual, [1.0, 1.0], tuple(p), fprime=jacobian
    ),
    "fsolve col_deriv": lambda p: scipy.optimize.fsolve(
        residual, [1.0, 1.0], tuple(p), lambda x, a, b: jacobian(x, a, b).T, col_deriv=True
    ),
    "fsolve band": lambda p: scipy.optimize.fsolve(residual, [1.0, 1.0], tuple(p), band=(1, 1)),
    "root": root(),
    "hybr jac": root(jac=jacobian, tol=1e-10),
    "hybr pairs": root(fun=with_jacobian, jac=True),
    "hybr differences": root(jac=False),
    "hybr eps": root(options={"eps": 1e-9, "xtol": 1e-9}),
    "lm": root(method="lm"),
    "lm jac": root(method="lm", jac=jacobian),
    "df-sane": root(method="df-sane"),
    "broyden1": root(method="broyden1", fun=lambda x, a, b: np.array(residual(x, a, b))),
    "krylov": root(method="krylov", fun=lambda x, a, b: np.array(residual(x, a, b))),
    "krylov of a matrix": lambda p: scipy.optimize.root(
        lambda x: np.array(residual(x[0], p[0], p[1])).reshape(1, 2), [[1.0, 1.0]], method="krylov"
    ).x[0],
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_root_of_a_system_has_the_derivatives_of_newtons_root(name):
    solve, p = SYSTEMS[name], np.array([2.0, 2.0])
    by_newton = tg.root(residual, [1.0, 1.0])
    expected = lambda p: np.stack(by_newton(p[0], p[1]))  # noqa: E731
    x = tg.stop_gradient(expected(p))
    assert solve(p) == pytest.approx(x, abs=1e-5)
    assert tg.jacobian(solve)(p) == pytest.approx(tg.jacobian(expected)(p), rel=1e-12)
    total = lambda p: np.sum(np.sin(solve(p)))  # noqa: E731
    wanted = tg.hessian(lambda p: np.sum(np.sin(expected(p))))(p)
    assert tg.hessian(total)(p) == pytest.approx(wanted, rel=1e-10)
    assert tg.value_and_grad(total)(p)[0] == pytest.approx(np.sum(np.sin(x)), rel=1e-15)


def test_equations_that_newton_solves_at_once_are_solved_and_differentiated_together():
    def total(a):
        x = scipy.optimize.newton(lambda x: x**2 - a * np.arange(1.0, 4.0), np.ones(3))
        return np.sum(x)

    expected = np.sum(np.sqrt(2.0 * np.arange(1.0, 4.0)))
    assert tg.value_and_grad(total)(2.0) == pytest.approx((expected, expected / 4.0))


# --- what makes a call active ---------------------------------------------------------------------


class Model:
    def __init__(self, a):
        self.a = a
        self.calls = 0

    def residual(self, x):
        self.calls += 1
        return x * x - self.a

    def __call__(self, x):
        return x * x - self.a


@numba.njit
def squared(x, a):
    return x * x - a


offset = {"a": 0.0}


def reads_a_global(x):
    return x * x - offset["a"]


def of_a_global(a):
    offset["a"] = a
    found = scipy.optimize.brentq(reads_a_global, 0, 4)
    offset["a"] = 0.0
    return found


def counting(a):
    calls = []

    def residual(x):
        calls.append(x)
        return x * x - a

    return scipy.optimize.brentq(residual, 0, 4)


def of_an_array(a):
    c = np.array([1.0, a])
    return scipy.optimize.brentq(lambda x: x * x - c[1], 0, 4)


ACTIVE = {
    "a method": lambda a: scipy.optimize.brentq(Model(a).residual, 0, 4),
    "an object": lambda a: scipy.optimize.brentq(Model(a), 0, 4),
    "a compiled function": lambda a: scipy.optimize.brentq(squared, 0, 4, args=(a,)),
    "a compiled function in a closure": lambda a: scipy.optimize.brentq(
        lambda x: squared(x, a), 0, 4
    ),
    "a partial": lambda a: scipy.optimize.brentq(functools.partial(squared, a=a), 0, 4),
    "a default": lambda a: scipy.optimize.brentq(lambda x, a=a: x * x - a, 0, 4),
    "an array in a closure": of_an_array,
    "what is in a list": lambda a: scipy.optimize.brentq(lambda x, c=[a]: x * x - c[0], 0, 4),
    "a global": of_a_global,
    "what counts": counting,
    "an argument that is no tuple": lambda a: scipy.optimize.newton(squared, 1.0, args=a),
    "an alias": lambda a: [scipy.optimize.brentq][0](lambda x: x * x - a, 0, 4),
}


@pytest.mark.parametrize("name", ACTIVE)
def test_whatever_a_function_reaches_an_active_number_through_is_seen(name):
    derivative = tg.value_and_grad(ACTIVE[name])
    for a in (2.0, 3.0, 2.0):
        assert derivative(a) == pytest.approx((math.sqrt(a), 0.5 / math.sqrt(a)), rel=1e-14)
    assert tg.grad(tg.grad(ACTIVE[name]))(4.0) == pytest.approx(-1 / 32, rel=1e-13)


def plain_results():
    fixed = np.array([2.0, 3.0])  # which could hold active numbers where it's recorded
    return np.array([
        scipy.optimize.brentq(lambda x: x * x - fixed[0], 0, 2),
        scipy.optimize.newton(lambda x, a: x * x - a, 1.0, args=(2.0,)),
        *scipy.optimize.fsolve(lambda x: x**2 - fixed, fixed),
        *scipy.optimize.root(Model(3.0).residual, [1.0], method="lm").x,
        scipy.optimize.root_scalar(lambda x, a: x * x - a, args=2.0, bracket=(0, 2)).root,
        *scipy.optimize.minimize(lambda x: np.sum((x - fixed) ** 2), np.zeros(2)).x,
        scipy.optimize.minimize_scalar(lambda x: (x - 0.3) ** 4).x,
        *scipy.optimize.least_squares(lambda x: x**2 - fixed, [1.0, 1.0]).x,
        *scipy.optimize.curve_fit(lambda t, p: p * t, fixed, fixed + [0.0, 0.1])[0],
    ])  # fmt: skip


def test_a_call_in_which_nothing_is_active_is_scipys_to_the_bit():
    found = tg.jacobian(lambda a: a * plain_results())(1.0)
    assert np.array_equal(found, plain_results())


def test_a_plain_function_is_called_as_often_as_scipy_calls_it():
    def program(a):
        noise = np.random.default_rng(3)
        found = scipy.optimize.brentq(lambda x: x - 1.0 + 1e-3 * noise.standard_normal(), 0, 3)
        return a * found

    assert tg.grad(program)(1.0) == program(1.0)


def test_starts_and_brackets_have_derivative_zero():
    solve = lambda p: scipy.optimize.brentq(lambda x: x * x - 2.0, p[0], p[1])  # noqa: E731
    assert tg.value_and_grad(solve)(np.array([0.0, 3.0]))[1].tolist() == [0.0, 0.0]
    start = lambda p: np.sum(scipy.optimize.fsolve(lambda x: x**2 - 2.0, p))  # noqa: E731
    derivative = tg.value_and_grad(start)
    assert derivative(np.array([1.0, 2.0]))[0] == pytest.approx(2.0 * math.sqrt(2.0))
    value, gradient = derivative(np.array([1.0, -2.0]))  # another branch is found again
    assert value == pytest.approx(0.0, abs=1e-12)
    assert gradient.tolist() == [0.0, 0.0]


def test_a_stopped_number_leaves_a_call_to_scipy_and_what_has_no_rule_names_itself():
    def stopped(a):
        fixed = tg.stop_gradient(a)
        options = {"disp": False}
        return a * scipy.optimize.fmin(lambda x: (x[0] - fixed) ** 2, [0.0], **options)[0]

    plain = scipy.optimize.fmin(lambda x: (x[0] - 2.0) ** 2, [0.0], disp=False)[0]
    assert tg.value_and_grad(stopped)(2.0) == (2.0 * plain, plain)

    def kept(a):
        return scipy.optimize.fmin(lambda x: (x[0] - a) ** 2, [0.0])[0]

    with pytest.raises(UnsupportedFunctionError, match=r"(?s)scipy\.optimize\.fmin .*minimize"):
        tg.grad(kept)(2.0)
    with pytest.raises(LostDerivativeError, match="linear_sum_assignment"):
        tg.grad(lambda a: scipy.optimize.linear_sum_assignment(a * np.eye(2))[0][0])(2.0)


# --- what changes over replays ----------------------------------------------------------------


def test_branches_of_the_inner_function_need_no_new_recording():
    def solve(a):
        return scipy.optimize.brentq(lambda x: x**3 - a if x > 1.0 else x - a, -5, 5)

    derivative = tg.value_and_grad(solve)
    assert derivative(0.5) == pytest.approx((0.5, 1.0))
    assert derivative(8.0) == pytest.approx((2.0, 1.0 / 12.0))
    assert derivative(0.3) == pytest.approx((0.3, 1.0))
    assert len(derivative.recorded.recordings) == 1


def test_a_solver_that_raises_at_a_replay_is_caught_there():
    def solve(a):
        try:
            return scipy.optimize.brentq(lambda x: x * x - a, 0, 2)
        except ValueError:
            return 100.0 * a

    derivative = tg.value_and_grad(solve)
    for a in (2.0, 9.0, 3.0, 16.0):
        expected = (math.sqrt(a), 0.5 / math.sqrt(a)) if a < 4 else (100.0 * a, 100.0)
        assert derivative(a) == pytest.approx(expected)


def test_calls_in_a_loop_compile_and_pickle():
    x = np.array([2.0, 2.5])
    value, gradient = tg.value_and_grad(in_a_loop)(x)
    compiled = tg.value_and_grad(in_a_loop).compiled(np.array([1.0, 1.5]))
    for found in (compiled(x), pickled(compiled)(x), pickled(tg.value_and_grad(in_a_loop))(x)):
        assert found[0] == value
        assert found[1] == pytest.approx(gradient, rel=1e-14)
    fast = tg.value_and_grad(in_a_loop, compile="now")
    fast(np.array([1.0, 1.5]))
    fast.wait()
    assert fast(x)[1] == pytest.approx(gradient, rel=1e-14)
    assert fast.tier == "compiled"


def in_a_loop(p):
    total = 0.0
    for k in range(4):
        total += scipy.optimize.brentq(lambda x, k=k: x**3 + x * k - p[0], -5, 5)
    total += np.sum(scipy.optimize.root(lambda x: x**3 - p, [1.0, 1.0]).x)
    return total + scipy.optimize.minimize(lambda x: np.sum((x - p) ** 2 + x**4), p).fun


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


def test_results_tell_how_it_went_and_are_recorded_again_where_that_differs():
    def program(a):
        x, told = scipy.optimize.brentq(lambda x: x**3 - a, 0, 50.0, full_output=True)
        assert told.converged
        assert told.flag == "converged"
        assert told.root is x
        return x + told.iterations

    derivative = tg.value_and_grad(program)
    for a in (8.0, 27.0, 1000.0):
        value, slope = derivative(a)
        plain = scipy.optimize.brentq(lambda x: x**3 - a, 0, 50.0, full_output=True)[1]  # noqa: B023
        assert value == pytest.approx(np.cbrt(a) + plain.iterations)
        assert slope == pytest.approx(np.cbrt(a) / (3.0 * a))


def test_fsolve_tells_all():
    def program(p):
        x, info, status, message = scipy.optimize.fsolve(
            residual, [1.0, 1.0], tuple(p), full_output=True
        )
        assert (status, message) == (1, "The solution converged.")
        assert info["nfev"] > 1
        assert "status" not in info
        return np.sum(x) + np.sum(info["fvec"])

    gradient = tg.grad(program)(np.array([2.0, 2.0]))
    expected = tg.grad(lambda p: np.sum(SYSTEMS["fsolve"](p)))(np.array([2.0, 2.0]))
    assert gradient == pytest.approx(expected, rel=1e-12)
    with pytest.raises(UnsupportedFunctionError, match=r"(?s)`fjac`.*estimate"):
        tg.grad(
            lambda p: scipy.optimize.fsolve(residual, [1, 1], tuple(p), full_output=1)[1]["fjac"]
        )(np.array([2.0, 2.0]))
