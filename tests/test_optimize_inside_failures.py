"""Solutions of scipy.optimize's that aren't one, or have no derivative, inside."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import (
    DegenerateBoundError,
    InaccurateSolutionWarning,
    NoConvergenceError,
    SingularSystemError,
)

KINDS = {
    "grad": tg.grad,
    "jacobian": tg.jacobian,
    "hessian": tg.hessian,
    "grad of grad": lambda f: tg.grad(lambda a: tg.grad(f)(a)),
    "jvp": lambda f: lambda a: tg.jvp(f, (a,), (1.0,))[1],
    "hvp": lambda f: lambda a: tg.hvp(f)(a, 1.0),
    "gradient of a jacobian": lambda f: tg.grad(lambda a: tg.jacobian(f)(a)),
}

QUIET = pytest.mark.filterwarnings("ignore:The iteration is not making good progress")


def no_root(x, a):
    return x**2 + 1.0 + a


def penalised(a):
    found = scipy.optimize.root(no_root, [1.0], args=(a,))
    return found.x[0] if found.success else 1e10 * a


def penalised_by_status(a):
    x, _, status, _ = scipy.optimize.fsolve(no_root, [1.0], (a,), full_output=True)
    return x[0] if status == 1 else 1e10 * a


def penalised_minimum(a):
    found = scipy.optimize.minimize(
        lambda x: np.sum(np.cosh(x - a)), [9.0, -3.0], options={"maxiter": 1}
    )
    return 1e10 * a if not found.success else found.fun


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("program", [penalised, penalised_by_status, penalised_minimum])
def test_a_program_that_looks_at_success_needs_no_derivative_of_what_failed(program, kind):
    found = KINDS[kind](program)(2.0)
    assert found == (1e10 if kind in ("grad", "jacobian", "jvp") else 0.0)


def test_success_is_found_again_at_each_call():
    derivative = tg.value_and_grad(penalised)
    for a in (2.0, -5.0, 1.0, -2.0):
        root = np.sqrt(max(-1.0 - a, 0.0))
        expected = (1e10 * a, 1e10) if a > -1.0 else (root, -0.5 / root)
        assert derivative(a) == pytest.approx(expected)


def failed_root(a):
    return scipy.optimize.root(no_root, [1.0], args=(a,)).x[0]


def failed_fsolve(a):
    return scipy.optimize.fsolve(no_root, [1.0], args=(a,))[0]


def failed_minimum(a):
    options = {"maxiter": 1}
    return scipy.optimize.minimize(lambda x: np.sum(np.cosh(x - a)), [9.0], options=options).x[0]


def failed_bracket(a):
    return scipy.optimize.brentq(lambda x: x**3 - a, 0, 50, maxiter=2, disp=False)


FAILED = [failed_root, failed_fsolve, failed_minimum, failed_bracket]


@QUIET
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("program", FAILED)
def test_the_derivative_of_what_failed_is_an_error(program, kind):
    derivative = KINDS[kind](program)
    for _ in range(2):
        with pytest.raises(NoConvergenceError, match=r"didn't find .* so what it returned has no"):
            derivative(2.0)


@QUIET
@pytest.mark.parametrize("program", FAILED)
def test_the_value_of_what_failed_is_scipys_own(program):
    seen = []

    def tapped(a):
        tg.tap(seen.append, tg.stop_gradient(program(a)))
        return a

    tg.grad(tapped)(2.0)
    if program is failed_minimum:  # its slope is exact here
        assert np.isfinite(seen[0])
    else:
        assert seen[0] == pytest.approx(program(2.0), rel=1e-6)


def test_a_double_root_has_no_derivative():
    program = lambda a: scipy.optimize.fsolve(lambda x: (x - a) ** 2, [3.0])[0]  # noqa: E731
    with pytest.raises(SingularSystemError, match="the equations' Jacobian is singular"):
        tg.grad(program)(1.0)
    with pytest.raises(SingularSystemError):
        tg.jacobian(program)(1.0)


def test_a_flat_minimum_has_no_derivative():
    program = lambda a: scipy.optimize.minimize(lambda x: (x[0] - a) ** 4, [3.0]).x[0]  # noqa: E731
    with pytest.raises((SingularSystemError, NoConvergenceError)):
        tg.grad(program)(1.0)


def test_a_saddle_has_no_derivative():
    def program(a):
        return scipy.optimize.minimize(lambda x: a * x[0] ** 2 - x[1] ** 2, [1.0, 0.0]).x[0]

    with pytest.raises((SingularSystemError, NoConvergenceError)):
        tg.grad(program)(1.0)


def test_a_bound_that_is_touched_by_chance_has_no_derivative():
    def found(a):
        return scipy.optimize.minimize(lambda x: np.sum((x - a) ** 2), [3.0], bounds=[(1.0, None)])

    assert tg.value_and_grad(lambda a: found(a).x[0])(2.0) == pytest.approx((2.0, 1.0))
    assert tg.value_and_grad(lambda a: found(a).x[0])(0.5) == (1.0, 0.0)
    with pytest.raises(DegenerateBoundError, match="unknown 0 on a bound, 1"):
        tg.grad(lambda a: found(a).x[0])(1.0)
    with pytest.raises(DegenerateBoundError):
        tg.jacobian(lambda a: found(a).x)(1.0)
    squares = lambda a: scipy.optimize.least_squares(  # noqa: E731
        lambda x: x - a, [3.0], bounds=(1.0, 9.0)
    ).x[0]
    with pytest.raises(DegenerateBoundError):
        tg.grad(squares)(1.0)


def test_a_pole_and_a_jump_that_a_bracket_closes_on_have_no_derivative():
    pole = lambda a: scipy.optimize.brentq(lambda x: 1.0 / (x - a), 0.0, 3.1)  # noqa: E731
    with pytest.raises((NoConvergenceError, SingularSystemError)):
        tg.grad(pole)(1.0)
    jump = lambda a: scipy.optimize.brentq(  # noqa: E731
        lambda x: 1.0 if x > a else -1.0, 0.0, 3.1
    )
    with pytest.raises((NoConvergenceError, SingularSystemError)):
        tg.grad(jump)(1.0)


def test_a_result_that_is_far_from_a_solution_warns_at_the_users_line():
    def valley(x, p):
        return (p - x[0]) ** 2 + 10.0 * (x[1] - x[0] ** 2) ** 2

    def stopped(p):
        bounds = [(0.0, 9.0), (-9.0, 0.4)]
        return scipy.optimize.minimize(  # its line searches stall on the bound
            valley, [0.5, 0.0], args=(p,), method="Powell", bounds=bounds
        ).x

    with pytest.warns(InaccurateSolutionWarning, match=r"minimum of .*valley is 0\.0\d+ long") as (
        caught
    ):
        value = tg.jacobian(lambda p: stopped(p))(1.2)
    assert caught[0].filename == __file__
    expected = tg.minimizer(
        valley, np.array([0.5, 0.0]), bounds=(np.array([0.0, -9.0]), np.array([9.0, 0.4]))
    )
    assert value == pytest.approx(tg.jacobian(expected)(1.2))


def test_scipys_errors_are_the_users():
    program = lambda a: scipy.optimize.brentq(lambda x: x * x + a, 0, 2)  # noqa: E731
    with pytest.raises(ValueError, match="must have different signs"):
        tg.grad(program)(1.0)
    with pytest.raises(RuntimeError, match="Failed to converge after 2 iterations"):
        tg.grad(lambda a: scipy.optimize.brentq(lambda x: x**3 - a, 0, 50, maxiter=2))(2.0)
    with pytest.raises(ValueError, match="Unknown solver nothing"):
        tg.grad(lambda a: scipy.optimize.minimize(lambda x: x[0] * a, [1.0], method="nothing"))(1.0)
    with pytest.raises(ValueError, match="2 equations for 1 unknowns"):
        tg.grad(lambda a: scipy.optimize.root(lambda x: [x[0] - a, x[0]], [1.0]).x[0])(1.0)
    with pytest.raises(ZeroDivisionError):
        tg.grad(lambda a: scipy.optimize.brentq(lambda x: x * a + 1 // 0, 0, 2))(1.0)
