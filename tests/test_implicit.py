"""Solutions of equations as functions: what they are, and their derivatives of every order."""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections import namedtuple

import mpmath
import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import (
    InaccurateSolutionWarning,
    NoConvergenceError,
    SingularSystemError,
    StructureError,
    UnsupportedFunctionError,
)
from tapegrad.testing import check_grads


def square(x, a):
    return x * x - a


def kepler(E, M, e):
    return E - e * np.sin(E) - M


ROOT = tg.root(square, 1.0)
ANOMALY = tg.root(kepler, 1.0)


# --- closed forms ------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [2.0, 9.0, 1e-6, 1e12])
def test_a_square_root_has_its_derivatives_up_to_the_third(a):
    orders = [ROOT, tg.grad(ROOT), tg.grad(tg.grad(ROOT)), tg.grad(tg.grad(tg.grad(ROOT)))]
    wanted = [a**0.5, a**-0.5 / 2, -(a**-1.5) / 4, 3 * a**-2.5 / 8]
    np.testing.assert_allclose([f(a) for f in orders], wanted, rtol=1e-13)


def test_one_recording_serves_other_parameters():
    slope = tg.value_and_grad(ROOT)
    for a in (2.0, 4.0, 0.01, 2.0):
        assert slope(a) == pytest.approx((a**0.5, a**-0.5 / 2), rel=1e-14)
    assert len(slope.recorded.recordings) == 1


def test_forward_and_reverse_products_agree():
    rng = np.random.default_rng(0)
    matrix, power = rng.standard_normal((3, 3)) + 3 * np.eye(3), rng.standard_normal(3)

    def solve(b):
        return tg.root(lambda x: matrix @ x + 0.1 * x**3 - b, np.zeros(3))()

    b, v, w = rng.standard_normal((3, 3))
    x = solve(b)
    np.testing.assert_allclose(matrix @ x + 0.1 * x**3, b, rtol=1e-14)
    wanted = np.linalg.inv(matrix + np.diag(0.3 * x**2))
    value, pushed = tg.jvp(solve, (b,), (v,))
    again, pull = tg.vjp(solve, b)
    np.testing.assert_array_equal(value, again)
    np.testing.assert_allclose(pushed, wanted @ v, rtol=1e-12)
    np.testing.assert_allclose(pull(w)[0], wanted.T @ w, rtol=1e-12)
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(tg.jacobian(solve, mode=mode)(b), wanted, rtol=1e-12)
    energy = tg.grad(lambda b: np.sum(power * solve(b) ** 2))
    hessian = tg.hessian(lambda b: np.sum(power * solve(b) ** 2))(b)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-11)
    np.testing.assert_allclose(hessian @ v, tg.jvp(energy, (b,), (v,))[1], rtol=1e-11)
    np.testing.assert_allclose(hessian @ v, tg.hvp(lambda b: np.sum(power * solve(b) ** 2))(b, v),
                               rtol=1e-11)  # fmt: skip


def mp_anomaly(M, e):
    return mpmath.findroot(lambda E: E - e * mpmath.sin(E) - M, M + e * mpmath.sin(M))


@pytest.mark.parametrize(("M", "e"), [(1.0, 0.3), (0.2, 0.9), (3.0, 0.05)])
def test_keplers_equation_has_the_derivatives_of_every_kind_up_to_the_third(M, e):
    with mpmath.workdps(40):

        def exact(m, n):
            return float(mpmath.diff(mp_anomaly, (mpmath.mpf(M), mpmath.mpf(e)), (m, n)))

        first = [exact(1, 0), exact(0, 1)]
        second = [[exact(2, 0), exact(1, 1)], [exact(1, 1), exact(0, 2)]]
        third = [exact(3, 0), exact(2, 1), exact(1, 2), exact(0, 3)]

    def anomaly(p):
        return ANOMALY(p[0], p[1])

    p = np.array([M, e])
    np.testing.assert_allclose(tg.grad(anomaly)(p), first, rtol=1e-12)
    np.testing.assert_allclose(tg.hessian(anomaly)(p), second, rtol=1e-11)
    found = tg.jacobian(tg.hessian(anomaly))(p)
    np.testing.assert_allclose([found[0, 0, 0], found[1, 0, 0], found[0, 1, 1], found[1, 1, 1]],
                               third, rtol=1e-9)  # fmt: skip
    back = tg.grad(lambda p: tg.grad(lambda p: tg.grad(anomaly)(p)[0])(p)[1])(p)
    np.testing.assert_allclose(back, [third[1], third[2]], rtol=1e-9)


def test_a_linear_systems_solution_differentiates_as_the_matrix_does():
    def solve(A, b):
        return tg.root(lambda x, A, b: A @ x - b, np.zeros(2))(A, b)

    A, b = np.array([[2.0, 1.0], [0.5, 3.0]]), np.array([1.0, -2.0])
    inverse = np.linalg.inv(A)
    x = inverse @ b
    of_A, of_b = tg.jacobian(solve, argnums=(0, 1))(A, b)
    np.testing.assert_allclose(of_b, inverse, rtol=1e-14)
    np.testing.assert_allclose(of_A, -np.einsum("ij,k->ijk", inverse, x), rtol=1e-14)
    check_grads(lambda A, b: np.sum(np.sin(solve(A, b))), (A, b), order=2)


def test_fixed_points_that_repeated_calls_run_away_from_are_found():
    fixed = tg.fixed_point(lambda x, a: a * x * (1 - x), 0.6)  # the logistic map
    for a in (2.5, 3.5, 3.9):
        assert tg.value_and_grad(fixed)(a) == pytest.approx((1 - 1 / a, 1 / a**2), rel=1e-13)
    assert tg.grad(tg.grad(fixed))(3.5) == pytest.approx(-2 / 3.5**3, rel=1e-12)


# --- what is given ------------------------------------------------------------------------------

Pair = namedtuple("Pair", "u v")


@dataclasses.dataclass
class State:
    pressure: float
    flow: np.ndarray


def test_unknowns_and_parameters_may_be_structures():
    def residual(s, p, names):
        assert names == "lossy"
        return {"a": s.flow * s.pressure - p["rhs"], "b": s.pressure - np.sum(s.flow) * p["gain"].u}

    start = State(1.0, np.ones(2))
    solve = tg.root(residual, start)

    def total(p):
        found = solve(p, "lossy")
        assert type(found) is State
        return found.pressure + np.sum(found.flow**2)

    p = {"rhs": np.array([2.0, 3.0]), "gain": Pair(0.5, 1)}
    value, slope = tg.value_and_grad(lambda r, g: total({"rhs": r, "gain": Pair(g, 1)}),
                                     argnums=(0, 1))(p["rhs"], 0.5)  # fmt: skip
    pressure = np.sqrt(0.5 * 5)  # P^2 = g sum(rhs)
    assert value == pytest.approx(pressure + 13 / 2.5)
    np.testing.assert_allclose(slope[0], 0.25 / pressure + 2 * p["rhs"] / 2.5 - 13 * 0.5 / 2.5**2)
    assert slope[1] == pytest.approx(2.5 / pressure - 13 * 5 / 2.5**2)
    assert (start.pressure, start.flow.tolist()) == (1.0, [1.0, 1.0])


STARTS = [1, 1.0, np.float64(1.0), np.array(1), np.ones(1), np.ones((1, 1)), np.ones(1, np.float32)]


@pytest.mark.parametrize("start", STARTS)
def test_a_start_of_any_kind_of_number_gives_solutions_of_its_shape(start):
    solve = tg.root(lambda x, a: x * x - a, start)
    found = solve(4.0)
    assert (type(found) is float) == (np.shape(start) == ())
    np.testing.assert_array_equal(found, np.full(np.shape(start), 2.0))
    np.testing.assert_allclose(tg.jacobian(solve)(4.0), np.full(np.shape(start), 0.25))


def test_no_unknowns_and_no_parameters_are_possible():
    empty = tg.root(lambda x, a: x * a, np.ones((0, 3)))
    assert empty(2.0).shape == (0, 3)
    assert tg.grad(lambda a: a + np.sum(empty(a)))(2.0) == 1.0
    solve = tg.root(lambda x, data: x + np.sum(data) - 1.0, 0.0)
    assert solve(np.empty(0)) == 1.0
    assert tg.grad(lambda a: a * solve(np.empty(0)))(2.0) == 1.0
    assert tg.grad(lambda a: solve(a * np.ones(3)))(2.0) == -3.0


def test_keywords_partials_methods_and_compiled_functions_are_residuals():
    import numba

    class Model:
        def __init__(self, power):
            self.power = power

        def residual(self, x, a):
            return x**self.power - a

        @functools.cached_property
        def solve(self):
            return tg.root(self.residual, 1.0)

    for solve in (
        tg.root(lambda x, *, a: x**3 - a, 1.0),
        tg.root(functools.partial(lambda n, x, a: x**n - a, 3), 1.0),
        tg.root(Model(3).residual, 1.0),
        Model(3).solve,
        tg.root(numba.njit(lambda x, a: x**3 - a), 1.0),
    ):

        def cube_root(a, solve=solve):
            try:
                return solve(a=a)
            except TypeError:
                return solve(a)

        assert tg.value_and_grad(cube_root)(8.0) == pytest.approx((2.0, 1 / 12), rel=1e-13)
        assert tg.grad(tg.grad(cube_root))(8.0) == pytest.approx(-1 / 144, rel=1e-12)


def test_a_start_that_depends_on_the_input_has_derivative_zero():
    def solve(a, b):
        return tg.root(square, b)(a)

    value, slopes = tg.value_and_grad(solve, argnums=(0, 1))(4.0, 3.0)
    assert (value, *slopes) == pytest.approx((2.0, 0.25, 0.0), abs=1e-14)
    slope = tg.value_and_grad(solve)
    assert slope(4.0, 3.0)[0] == pytest.approx(2.0)
    assert slope(4.0, -3.0)[0] == pytest.approx(-2.0)  # the other root is found from there
    assert len(slope.recorded.recordings) == 1
    assert tg.grad(lambda b: tg.root(square, b)(4.0))(3.0) == 0.0


def test_the_start_is_as_it_was_when_the_root_was_made():
    start = np.array([1.0])
    solve = tg.root(square, start)
    slope = tg.jacobian(solve)
    slope(4.0)
    start[:] = -1.0
    assert solve(4.0) == pytest.approx(2.0)
    assert slope(4.0) == pytest.approx(0.25)


def test_aux_is_what_it_is_at_the_solution():
    def residual(x, a):
        return x * x - a, {"cube": x**3, "text": "ok"}

    def cube(a):
        x, aux = tg.root(residual, 1.0, has_aux=True)(a)
        assert aux["text"] == "ok"
        return aux["cube"] + 0.0 * x

    assert tg.root(residual, 1.0, has_aux=True)(4.0) == (2.0, {"cube": 8.0, "text": "ok"})
    assert tg.value_and_grad(cube)(4.0) == pytest.approx((8.0, 3.0), rel=1e-13)  # a^1.5
    assert tg.grad(tg.grad(cube))(4.0) == pytest.approx(0.375, rel=1e-12)
    for make in (tg.root, tg.minimizer, tg.fixed_point):
        with pytest.raises(StructureError, match="must return a pair"):
            make(square, 1.0, has_aux=True)(4.0)


# --- closures -----------------------------------------------------------------------------------


def solve_around(a, kind):
    if kind == "variable":

        def residual(x):
            return x * x - a
    elif kind == "default":

        def residual(x, a=a):
            return x * x - a
    elif kind == "container":
        both = {"a": [a, 2.0]}

        def residual(x):
            return x * x - both["a"][0]
    elif kind == "function":

        def target():
            return a

        def residual(x):
            return x * x - target()
    elif kind == "partial":
        residual = functools.partial(square, a=a)
    elif kind == "object":

        class Model:
            pass

        model = Model()
        model.a = a

        def residual(x):
            return x * x - model.a
    else:

        class Model:
            def __init__(self):
                self.a = a

            def residual(self, x):
                return x * x - self.a

        residual = Model().residual
    return tg.root(residual, 1.0)()


@pytest.mark.parametrize(
    "kind", ["variable", "default", "container", "function", "partial", "object", "method"]
)
def test_what_a_residual_closes_over_is_differentiated(kind):
    def solve(a):
        return solve_around(a, kind)

    slope = tg.value_and_grad(solve)
    for a in (4.0, 9.0):
        assert slope(a) == pytest.approx((a**0.5, a**-0.5 / 2), rel=1e-14)
    assert len(slope.recorded.recordings) == 1
    assert tg.grad(tg.grad(solve))(4.0) == pytest.approx(-1 / 32, rel=1e-13)
    assert tg.grad(tg.grad(tg.grad(solve)))(4.0) == pytest.approx(3 / 256, rel=1e-12)


def test_a_container_that_a_residual_changes_is_the_one_it_was_given():
    def total(a):
        table = {"a": a, "calls": 0}

        def residual(x):
            table["calls"] = table["calls"] + 1
            return x * x - table["a"]

        return tg.root(residual, 1.0)() * (1.0 if table["calls"] else 100.0)

    slope = tg.value_and_grad(total)
    for a in (4.0, 9.0):
        assert slope(a) == pytest.approx((a**0.5, a**-0.5 / 2), rel=1e-14)
    assert tg.grad(tg.grad(total))(4.0) == pytest.approx(-1 / 32, rel=1e-13)


def test_a_root_inside_a_roots_residual_is_differentiated():
    def outer(a):
        def residual(y):
            x = tg.root(lambda x: x * x - a * y, 1.0)()
            return x * y - 8.0

        return tg.root(residual, 1.0)()

    # y (a y)^1/2 = 8: y = 4 a^-1/3
    a = 2.0
    found = [outer(a), tg.grad(outer)(a), tg.grad(tg.grad(outer))(a)]
    wanted = [4 * a ** (-1 / 3), -4 / 3 * a ** (-4 / 3), 16 / 9 * a ** (-7 / 3)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_variable_of_a_loop_is_what_it_was_in_its_turn():
    def total(a):
        found = 0.0
        for k in range(1, 4):
            solve = tg.root(lambda x, a: x * x - k * a if x < 100 else x - 10 * k, 1.0)  # noqa: B023
            found = found + solve(a)
        return found

    def wanted(a):
        return sum((k * a) ** 0.5 if k * a < 1e4 else 10 * k for k in range(1, 4))

    slope = tg.value_and_grad(total)
    for a in (4.0, 9.0):
        assert slope(a)[0] == pytest.approx(wanted(a), rel=1e-13)


def test_calls_in_a_loop_are_one_block():
    def drift(a):
        x = a
        for _ in range(20):
            x = tg.root(lambda y, x: y + 0.1 * y**3 - x, 0.0)(x)
        return x

    slope = tg.value_and_grad(drift)
    slope(1.0)
    assert len(slope.recorded.recordings[0].tape.blocks) == 1
    check_grads(drift, (0.8,), order=2)


# --- staleness ----------------------------------------------------------------------------------

SCALE = 1.0


def scaled(x, a):
    return SCALE * x - a


def test_a_change_of_what_a_residual_reads_is_noticed():
    global SCALE
    solve = tg.root(scaled, 1.0)
    slope = tg.value_and_grad(solve)
    outer = tg.value_and_grad(lambda a: 3.0 * solve(a))
    for SCALE in (1.0, 2.0, 4.0, 1.0):
        assert solve(8.0) == 8.0 / SCALE
        assert slope(8.0) == (8.0 / SCALE, 1.0 / SCALE)
        assert outer(8.0) == (24.0 / SCALE, 3.0 / SCALE)


def test_a_table_that_is_changed_between_calls_is_read_again():
    table = np.array([2.0, 5.0])
    solve = tg.root(lambda x, a: table[0] * x + table[1] - a, 1.0)
    slope = tg.value_and_grad(solve)
    assert slope(9.0) == (2.0, 0.5)
    table[:] = 4.0, 1.0
    assert slope(9.0) == (2.0, 0.25)
    assert solve(9.0) == 2.0


def test_branches_of_a_residual_are_taken_where_they_are():
    def residual(x, a):
        return 2.0 * x - a if x < 1.0 else x + 1.0 - a

    solve = tg.root(residual, 0.5)
    slope = tg.value_and_grad(solve)
    around = tg.value_and_grad(lambda a: tg.root(lambda x: residual(x, a), 0.5)())
    for a in (1.0, 3.0, 1.5, 7.0):
        wanted = (a / 2, 0.5) if a < 2 else (a - 1, 1.0)
        assert slope(a) == pytest.approx(wanted, rel=1e-14)
        assert around(a) == pytest.approx(wanted, rel=1e-14)
    assert len(slope.recorded.recordings) == 1
    assert len(around.recorded.recordings) == 1


def test_a_branch_is_taken_by_what_an_object_held_at_the_time():
    class Model:
        k = 1.0

    def total(a):
        model, found = Model(), []
        for _ in range(3):
            solve = tg.root(lambda x, a: model.k * x - a if a < 10.0 else x - model.k * a, 1.0)
            found.append(solve(a))
            model.k = model.k + 1.0
        return sum(found)

    slope = tg.value_and_grad(total)
    assert slope(6.0) == pytest.approx((6 + 3 + 2, 11 / 6), rel=1e-14)
    assert slope(12.0) == pytest.approx((12 * 6, 6.0), rel=1e-14)
    assert slope(3.0) == pytest.approx((5.5, 11 / 6), rel=1e-14)


# --- solvers ------------------------------------------------------------------------------------


def system(x, p):
    return np.stack(
        [x[0] + 0.5 * (x[0] - x[1]) ** 3 - p[0], 0.5 * (x[1] - x[0]) ** 3 + x[1] - p[1]]
    )


def by_scipy(method):
    return lambda fun, x0, jac: scipy.optimize.root(fun, x0, jac=jac, method=method, tol=1e-12)


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_a_solver_of_scipys_gives_the_same_derivatives(method):
    p = np.array([1.0, 0.2])
    own, other = (tg.root(system, np.zeros(2), solver=s) for s in (None, by_scipy(method)))
    np.testing.assert_allclose(other(p), own(p), rtol=1e-14)
    for order in (tg.jacobian, lambda f: tg.jacobian(tg.jacobian(f))):
        np.testing.assert_allclose(order(other)(p), order(own)(p), rtol=1e-11)


def test_solvers_may_take_no_jacobian_and_return_an_array():
    def bisect(fun, x0, jac):
        return scipy.optimize.brentq(lambda x: fun(np.array([x]))[0], 0.0, 10.0, xtol=1e-13)

    assert tg.value_and_grad(tg.root(square, 1.0, solver=bisect))(4.0) == pytest.approx((2.0, 0.25))


def test_a_point_that_is_not_precise_gets_its_newton_step_and_a_warning():
    crude = tg.root(square, 1.0, solver=lambda fun, x0, jac: np.array([2.001]))
    with pytest.warns(
        InaccurateSolutionWarning, match=r"Newton step to the root of square is 0\.001 long"
    ):
        assert crude(4.0) == pytest.approx(2.0, rel=1e-14)
    with pytest.warns(InaccurateSolutionWarning):
        assert tg.grad(tg.root(square, 1.0, solver=lambda fun, x0, jac: 2.001))(4.0) == (
            pytest.approx(0.25, rel=1e-14)
        )
    patient = tg.root(square, 1.0, tol=1e-2, solver=lambda fun, x0, jac: np.array([2.001]))
    assert patient(4.0) == pytest.approx(2.0, rel=1e-6)  # and no warning


def test_a_solver_that_says_it_failed_or_returns_another_size_is_an_error():
    def failing(fun, x0, jac):
        return scipy.optimize.OptimizeResult(x=x0, success=False, message="too hard")

    with pytest.raises(NoConvergenceError, match="too hard") as caught:
        tg.root(square, 1.0, solver=failing)(4.0)
    assert caught.value.residuals == (3.0,)
    with pytest.raises(StructureError, match="returned 2 numbers for the 1 unknowns"):
        tg.root(square, 1.0, solver=lambda fun, x0, jac: np.ones(2))(4.0)


def test_what_a_solver_raises_arrives_as_it_is():
    class Mine(Exception):
        pass

    def raising(fun, x0, jac):
        raise Mine("out of order")

    slope = tg.value_and_grad(tg.root(square, 1.0, solver=raising))
    for _ in range(2):
        with pytest.raises(Mine, match="out of order"):
            slope(4.0)


# --- what has no solution -----------------------------------------------------------------------


def test_what_does_not_converge_raises_with_its_residuals():
    slope = tg.value_and_grad(lambda a: tg.root(lambda x, a: x * x + a, 1.0)(a))
    with pytest.raises(NoConvergenceError, match=r"find the root of .*residuals: 5") as caught:
        slope(4.0)
    assert caught.value.residuals[0] == 5.0
    assert min(caught.value.residuals) >= 4.0
    assert slope(-4.0)[1] == pytest.approx(-0.25)
    with pytest.raises(NoConvergenceError):  # at a replay, too
        slope(4.0)
    with pytest.raises(NoConvergenceError) as caught:
        tg.root(lambda x, a: np.log(x) - a, -1.0)(1.0)
    assert np.isnan(caught.value.residuals[0])


def test_an_error_pickles_with_its_residuals():
    with pytest.raises(NoConvergenceError) as caught:
        tg.root(lambda x: x * x + 1.0, 1.0)()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.residuals) == (str(caught.value), caught.value.residuals)


SINGULAR = {
    "redundant": (lambda x, a: np.stack([x[0] + x[1] - a, 2 * (x[0] + x[1] - a)]), np.zeros(2)),
    "an unknown is missing": (
        lambda x, a: np.stack([x[0] - a, a * x[0] - a * a]),
        np.ones(2),
    ),
    "two solutions meet": (lambda x, a: x * x - 0.0 * a, 1.0),
    "at the start": (lambda x, a: x * x * a, 0.0),
}


@pytest.mark.parametrize("kind", SINGULAR)
def test_a_singular_system_raises_by_name(kind):
    residual, start = SINGULAR[kind]
    with pytest.raises(SingularSystemError, match=r"the root of .* Jacobian is singular"):
        tg.grad(lambda a: np.sum(tg.root(residual, start)(a)))(2.0)


def test_where_solutions_meet_elsewhere_no_derivative_is_returned():
    for start in (3.0, 1.0 + 1e-6, 1.0 + 1e-9, 1.0):
        for solver in (None, lambda fun, x0, jac: x0):
            if solver is None or start < 2.0:
                with pytest.raises(SingularSystemError):
                    tg.root(lambda x, a: (x - 1.0) ** 2 * a, start, solver=solver, tol=1e-6)(2.0)


def test_hard_starts_are_reached_by_damped_steps():
    p = np.array([1.0, 0.2])
    cases = [
        (lambda x, a: np.arctan(x) - a, 20.0, 0.3, np.tan(0.3), 1 / np.cos(0.3) ** 2),
        (lambda x, a: np.exp(x) - a, 60.0, 2.0, np.log(2.0), 0.5),
        (lambda x, a: np.log(x) - a, 1e-3, 1.0, np.e, np.e),
        (lambda x, a: x**9 - a, 1e3, 2.0, 2 ** (1 / 9), 2 ** (1 / 9) / 18),
        (lambda x, a: 1.0 / x - a, 1e-3, 4.0, 0.25, -1 / 16),
    ]
    for residual, start, a, wanted, slope in cases:
        found = tg.value_and_grad(tg.root(residual, start))(a)
        assert found == pytest.approx((wanted, slope), rel=1e-12)
    far = tg.root(system, np.array([1e3, -1e3]))(p)
    np.testing.assert_allclose(far, tg.root(system, np.zeros(2))(p), rtol=1e-12)


def test_unknowns_and_equations_of_very_different_sizes_are_all_precise():
    def residual(x, a):
        return np.stack([1e6 * (x[0] - 300.0 * a), 1e-9 * (x[1] * x[1] - 1e-12 * x[0] / 300.0)])

    solve = tg.root(residual, np.array([1.0, 1.0]))
    np.testing.assert_allclose(solve(2.0), [600.0, 2**0.5 * 1e-6], rtol=1e-13)
    np.testing.assert_allclose(tg.jacobian(solve)(2.0), [300.0, 1e-6 / 8**0.5], rtol=1e-13)


def test_an_unknown_that_is_zero_beside_others_is_no_singularity():
    def residual(x, a):
        return np.stack([x[0] ** 2 - a, x[1] - (x[0] - 2.0) ** 2, x[2] * x[0] - x[1]])

    for start in (1.0, 2.0 + 1e-9, 2.0 + 3e-5, 30.0):
        solve = tg.root(residual, np.full(3, start))
        np.testing.assert_allclose(solve(4.0), [2.0, 0.0, 0.0], atol=1e-15)
        np.testing.assert_allclose(tg.jacobian(solve)(4.0), [0.25, 0.0, 0.0], atol=1e-14)


def test_a_solution_of_zeros_is_found():
    for residual, start in [
        (lambda x, a: a * x, np.ones(2)),
        (lambda x, a: x + a * x**3, np.full(2, 0.5)),
        (lambda x, a: np.sin(x) * np.exp(a * x), np.full(2, 0.3)),
    ]:
        np.testing.assert_allclose(tg.root(residual, start)(2.0), np.zeros(2), atol=1e-30)
        assert tg.grad(lambda a, r=residual, s=start: np.sum(tg.root(r, s)(a)))(2.0) == 0.0


# --- what is refused ----------------------------------------------------------------------------


def test_mistakes_are_told():
    with pytest.raises(StructureError, match="2 equations for 1 unknowns"):
        tg.root(lambda x: np.stack([x, x]), 1.0)()
    with pytest.raises(StructureError, match="returns what x0 is made of"):
        tg.fixed_point(lambda x: np.stack([x, x]), 1.0)()
    with pytest.raises(TypeError, match="a function is needed, not float"):
        tg.root(1.0, square)
    with pytest.raises(ValueError, match="tol is the largest last step"):
        tg.root(square, 1.0, tol=0.0)

    seen = []

    def tapping(x, a):
        tg.tap(seen.append, x)
        return x * x - a

    with pytest.raises(UnsupportedFunctionError, match=r"taps values or leaves.*has_aux"):
        tg.root(tapping, 1.0)(4.0)


def test_roots_and_their_derivatives_pickle():
    solve = pickle.loads(pickle.dumps(ROOT))
    assert solve(4.0) == 2.0
    slope = tg.value_and_grad(solve)
    slope(4.0)
    assert pickle.loads(pickle.dumps(slope))(9.0) == pytest.approx((3.0, 1 / 6))
    tape = pickle.loads(pickle.dumps(slope.recorded.recordings[0].tape))
    tg.check(tape)
    (block,) = tape.blocks
    found = block.value([np.array([1.0]), np.array(25.0)])[0]
    np.testing.assert_allclose(found, [5.0], rtol=1e-14)


def test_parameters_are_named_as_the_residuals_after_its_unknowns():
    p = np.array([1.0, 0.3])
    wanted = tg.jacobian(ANOMALY, argnums=(0, 1))(*p)
    assert tg.jacobian(ANOMALY, argnums=("M", "e"))(*p) == wanted
    assert tg.grad(ANOMALY, argnums="e")(M=1.0, e=0.3) == wanted[1]
    assert tg.grad(tg.root(functools.partial(kepler, e=0.3), 1.0), argnums="M")(1.0) == wanted[0]


def test_a_residual_with_many_ways_keeps_as_many_recordings_as_are_of_use():
    def residual(x, a):
        return x - a * (1.0 + int(10.0 * a))

    solve = tg.root(residual, 1.0)
    slope = tg.value_and_grad(solve)
    for a in np.linspace(0.05, 8.05, 81):
        assert slope(a) == pytest.approx((a * (1 + int(10 * a)), 1 + int(10 * a)), rel=1e-14)
    (block,) = slope.recorded.recordings[0].tape.blocks
    assert len(slope.recorded.recordings) == 1
    assert len(block.inner.recordings) == 32


def test_a_residual_with_blocks_in_it_is_differentiated_by_its_parameters():
    def residual(x, a):
        return x - np.sum(np.linalg.solve(np.array([[2.0, 0.0], [0.0, 4.0]]) * a, np.ones(2)))

    solve = tg.root(residual, 1.0)  # 0.75 / a
    assert tg.grad(solve)(2.0) == pytest.approx(-0.1875)
    assert tg.grad(tg.grad(solve))(2.0) == pytest.approx(0.1875)
