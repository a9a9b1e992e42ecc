"""scipy.integrate.solve_ivp and odeint inside: closed forms, every method and keyword, orders."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numba import njit
from scipy.integrate import odeint, solve_ivp
from scipy.linalg import expm

import tapegrad as tg
from tapegrad.errors import BlockFailedError, UnsupportedFunctionError

EXPLICIT, IMPLICIT = ["RK45", "RK23", "DOP853"], ["Radau", "BDF", "LSODA"]
TIGHT = {"rtol": 1e-9, "atol": 1e-11}
LOOSE = {"RK23": {"rtol": 1e-7, "atol": 1e-9}}
TIMES = np.array([0.4, 1.0, 1.7])


def near(found, wanted, tolerance=1e-6):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def logistic(t, r, k, y0):
    return k / (1 + (k / y0 - 1) * np.exp(-r * t))


def grown(p, method="RK45", **more):
    keywords = {**TIGHT, **LOOSE.get(method, {}), "t_eval": TIMES, **more}
    sol = solve_ivp(lambda t, y: p[0] * y * (1 - y / p[1]), (0, 2), [p[2]], method, **keywords)
    return sol.y[0]


P = np.array([1.3, 2.0, 0.4])


@pytest.mark.parametrize("method", EXPLICIT + IMPLICIT)
def test_every_method_has_the_derivatives_of_the_exact_solution(method):
    def misfit(p):
        return np.sum((grown(p, method) - 1.0) ** 2)

    def exactly(p):
        return np.sum((logistic(TIMES, *p) - 1.0) ** 2)

    near(tg.jacobian(lambda p: grown(p, method))(P), tg.jacobian(lambda p: logistic(TIMES, *p))(P))
    near(tg.grad(misfit)(P), tg.grad(exactly)(P))
    near(tg.hessian(misfit)(P), tg.hessian(exactly)(P), 1e-5)


def test_derivatives_exist_to_the_third_order():
    third = tg.grad(tg.grad(tg.grad(lambda r: grown([r, 2.0, 0.4])[-1])))
    exact = tg.grad(tg.grad(tg.grad(lambda r: logistic(1.7, r, 2.0, 0.4))))
    near(third(1.3), exact(1.3), 1e-5)


def test_products_of_the_hessian_are_those_of_the_hessian():
    v = np.array([0.3, -1.0, 0.5])

    def loss(p):
        return np.sum(grown(p) ** 2)

    near(tg.hvp(loss)(P, v), tg.hessian(loss)(P) @ v, 1e-7)
    near(tg.hessian(loss)(P), tg.jacobian(tg.grad(loss))(P), 1e-7)


@pytest.mark.parametrize("method", EXPLICIT + IMPLICIT)
def test_values_have_the_bits_of_scipy(method):
    def rhs(t, y, a, b):
        return [y[1], -a * y[0] * abs(y[0]) - b * y[1] + 1.0 / (1.0 + t)]

    exact = {} if method in EXPLICIT else {"jac": None}
    keywords = {"method": method, "t_eval": np.linspace(0, 5, 9), **exact}
    plain = solve_ivp(rhs, (0, 5), [1.0, 0.0], args=(1.1, 0.2), **keywords)
    counts = []

    def recorded(p):
        sol = solve_ivp(rhs, (0, 5), [1.0, 0.0], args=(p[0], p[1]), **keywords)
        counts.append(sol.nfev)
        return sol.y

    found, _ = tg.vjp(recorded, np.array([1.1, 0.2]))
    assert np.array_equal(found, plain.y)
    assert counts[0] == plain.nfev


def test_plain_calls_inside_a_recorded_function_are_scipys():
    plain = solve_ivp(lambda t, y: -y, (0, 1), [1.0], t_eval=[0.5, 1.0], events=lambda t, y: y[0])

    def f(x):
        sol = solve_ivp(lambda t, y: -y, (0, 1), [1.0], t_eval=[0.5, 1.0], events=lambda t, y: y[0])
        assert type(sol) is type(plain)
        assert np.array_equal(sol.y, plain.y)
        assert sol.nfev == plain.nfev
        return x * sol.y[0, -1]

    assert tg.grad(f)(2.0) == plain.y[0, -1]


@pytest.mark.parametrize("method", ["Radau", "BDF"])
def test_exact_jacobians_need_fewer_right_hand_sides_than_differences(method):
    calls = []

    def robertson(t, y, k):
        a, b = k[0] * y[0], k[2] * y[1] * y[2]
        return [b - a, a - b - k[1] * y[1] ** 2, k[1] * y[1] ** 2]

    def counted(t, y, k):
        calls.append(t)
        return robertson(t, y, k)

    k = np.array([0.04, 3e7, 1e4])
    evaluations = {}

    def last(k):
        sol = solve_ivp(
            robertson, (0, 1e3), [1.0, 0.0, 0.0], method, args=(k,), rtol=1e-6, atol=1e-9
        )
        evaluations["exact"] = sol.nfev
        return sol.y[0, -1]

    solve_ivp(counted, (0, 1e3), [1.0, 0.0, 0.0], method, args=(k,), rtol=1e-6, atol=1e-9)
    n_plain = len(calls)
    found = tg.grad(last)(k)
    assert evaluations["exact"] < n_plain
    by_tangents = [tg.jvp(last, (k,), (direction,))[1] for direction in np.eye(3)]
    np.testing.assert_allclose(found, by_tangents, rtol=1e-4)


# --- how right-hand sides and states are written --------------------------------------------------


class Decay:
    def __init__(self, rate):
        self.rate = rate

    def velocity(self, t, y):
        return -self.rate * y


@njit
def compiled_decay(t, y, rate):
    return -rate * y


@pytest.mark.parametrize(
    "solve",
    [
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], **TIGHT),
        lambda k: solve_ivp(lambda t, y, a: [-a * y[0]], (0, 1), np.array([2]), args=(k,), **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y[0], (0, 1), (2.0,), **TIGHT),
        lambda k: solve_ivp(Decay(k).velocity, (0, 1), [2.0], **TIGHT),
        lambda k: solve_ivp(compiled_decay, (0, 1), [2.0], args=(k,), **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], vectorized=True, **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], "Radau", vectorized=True, **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, t_span=[0, 1], y0=[2.0], max_step=0.1,
                            first_step=1e-3, **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], "BDF", jac=lambda t, y: [[-k]],
                            **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], "Radau", jac=[[-1.0]], **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], "LSODA", lband=0, uband=0, **TIGHT),
        lambda k: solve_ivp(lambda t, y: -k * y, (0, 1), [2.0], "BDF", jac_sparsity=[[1]], **TIGHT),
    ],
)  # fmt: skip
def test_right_hand_sides_may_be_written_as_one_likes(solve):
    near(tg.value_and_grad(lambda k: solve(k).y[0, -1])(0.7), (2 * np.exp(-0.7), -2 * np.exp(-0.7)))


def test_a_closure_that_is_made_anew_is_recorded_once():
    def loss(p):
        total = 0.0
        for k in range(3):
            sol = solve_ivp(lambda t, y: -p[0] * y + p[1], (0, 1), [1.0 + k], t_eval=[1.0])
            total += sol.y[0, 0]
        return total

    f = tg.value_and_grad(loss)
    f(np.array([1.0, 0.5]))
    (recording,) = f.recorded.recordings
    assert len(recording.tape.blocks) == 1


def test_everything_that_a_linear_system_begins_with_is_differentiated_by():
    A = np.array([[-0.5, 1.2], [-1.0, -0.1]])

    def solved(x):  # by its begin, its end, its first state and its speed
        sol = solve_ivp(lambda t, y: x[4] * (A @ y), (x[0], x[1]), x[2:4], **TIGHT)
        return sol.y[:, -1]

    x = np.array([0.1, 2.0, 1.0, 0.5, 1.3])
    state = expm(x[4] * (x[1] - x[0]) * A) @ x[2:4]
    jacobian = np.column_stack([
        -x[4] * A @ state, x[4] * A @ state, expm(x[4] * (x[1] - x[0]) * A),
        (x[1] - x[0]) * A @ state,
    ])  # fmt: skip
    near(tg.jacobian(solved)(x), jacobian)
    near(np.array([tg.grad(lambda x, i=i: solved(x)[i])(x) for i in range(2)]), jacobian)
    second = x[4] ** 2 * A @ A @ state
    near(tg.hessian(lambda x: solved(x)[0])(x)[:2, :2], second[0] * np.array([[1, -1], [-1, 1]]))


def test_time_may_go_down():
    def first(x):
        sol = solve_ivp(lambda t, y: -x[0] * y + t, (2, 0), [x[1]], t_eval=[2, 1.5, 0], **TIGHT)
        return np.sum(sol.y[0] * np.array([1.0, 2.0, 3.0]))

    def exactly(x):
        return sum(
            w
            * (
                (x[1] - 2 / x[0] + 1 / x[0] ** 2) * np.exp(x[0] * (2 - t))
                + t / x[0]
                - 1 / x[0] ** 2
            )
            for w, t in zip((1, 2, 3), (2, 1.5, 0), strict=True)
        )

    x = np.array([0.8, 1.5])
    near(tg.value_and_grad(first)(x)[1], tg.grad(exactly)(x))
    near(tg.hessian(first)(x), tg.hessian(exactly)(x), 1e-5)


def test_times_of_evaluation_may_be_active():
    def positions(t):
        sol = solve_ivp(lambda t, y: [y[1], -y[0]], (0, 4), [0.0, 1.0], t_eval=t, **TIGHT)
        return np.sum(sol.y[0] * np.array([1.0, 2.0]))

    t = np.array([1.0, 2.5])
    near(tg.grad(positions)(t), np.cos(t) * [1, 2])
    near(tg.hessian(positions)(t), np.diag(-np.sin(t) * [1, 2]))


# --- results --------------------------------------------------------------------------------------


def test_dense_output_is_a_function_of_time():
    def f(x):
        sol = solve_ivp(lambda t, y: -x[0] * y, (0, 2), [x[1]], dense_output=True, **TIGHT)
        assert sol.sol.t_max == 2
        return sol.sol(x[2])[0] + np.sum(sol.sol(np.array([1.5, 0.5]))) + sol["sol"](0.0)[0]

    def exactly(x):
        return x[1] * (1 + np.exp(-x[0] * x[2]) + np.exp(-1.5 * x[0]) + np.exp(-0.5 * x[0]))

    x = np.array([0.7, 2.0, 1.2])
    near(tg.grad(f)(x), tg.grad(exactly)(x))
    near(tg.hessian(f)(x), tg.hessian(exactly)(x), 1e-5)


def test_the_last_state_does_not_depend_on_how_many_steps_there_are():
    def last(k, whole=False):
        sol = solve_ivp(lambda t, y: -k * y, (0, 3), [1.0, 2.0], rtol=1e-5)
        a, b = sol.y
        total = sol.y[0, -1] + b[-1] + np.sum(sol.y[:, -1]) + a[-1]
        return total + (np.sum(sol.y[0]) if whole else 0.0)

    f = tg.value_and_grad(last)
    for k in (0.5, 3.0, 9.0):
        near(f(k)[1], -3.0 * 7.0 * np.exp(-3 * k) * (5 / 7 + 2 / 7 * 1), 1e-3)
    assert len(f.recorded.recordings) == 1
    f = tg.value_and_grad(lambda k: last(k, True))
    for k in (0.5, 3.0):
        value = f(k)[0]
        assert value == pytest.approx(last(k, True), rel=1e-13)


def test_states_of_all_steps_are_an_array_with_their_times():
    def area(p):
        sol = solve_ivp(lambda t, y: -p[0] * y, (0, p[1]), [1.0], rtol=1e-8, atol=1e-10)
        assert sol.y.shape == (1, len(sol.t))
        assert isinstance(sol.y, np.ndarray)
        return np.trapezoid(sol.y[0], sol.t) + np.sum(sol.y) - np.sum(sol.y.T[:, 0])

    p = np.array([0.6, 2.0])
    exact = [(2 * 0.6 * np.exp(-1.2) - (1 - np.exp(-1.2))) / 0.36, np.exp(-1.2)]
    near(tg.grad(area)(p), exact, 1e-2)
    for q in (p, 3 * p):
        assert tg.value_and_grad(area)(q)[0] == pytest.approx(area(q), rel=1e-13)


def test_a_result_has_scipys_other_parts():
    def f(k):
        sol = solve_ivp(lambda t, y: -k * y, (0, 1), [1.0], t_eval=[0.0, 1.0])
        plain = solve_ivp(lambda t, y: -0.7 * y, (0, 1), [1.0], t_eval=[0.0, 1.0])
        assert (sol.nfev, sol.njev, sol.nlu, sol.status) == (plain.nfev, 0, 0, 0)
        assert (sol.message, sol.success, sol.sol) == (plain.message, True, None)
        assert sol.t_events is None
        assert sol["y_events"] is None
        assert set(sol.keys()) == set(plain.keys())
        with pytest.raises(AttributeError):
            sol.steps  # noqa: B018
        return sol.y[0, 1] + np.sum(sol.t)

    assert tg.grad(f)(0.7) == pytest.approx(-np.exp(-0.7), rel=1e-5)


def explosion(x):
    return solve_ivp(lambda t, y: x * y**2, (0, 3), [1.0], t_eval=[0.5, 2.5], rtol=1e-6)


def test_a_solution_that_fails_can_be_asked_whether_it_did():
    def guarded(x):
        sol = explosion(x)
        return sol.y[0, 0] * 2 if sol.success else 10.0 * x

    f = tg.value_and_grad(guarded)
    assert f(1.0) == (10.0, 10.0)
    near(f(0.2), (2 / 0.9, 2 * 0.5 / 0.9**2), 1e-4)
    assert f(1.0) == (10.0, 10.0)


def test_numbers_of_a_solution_that_failed_raise_where_they_are_differentiated():
    with pytest.raises(BlockFailedError, match="wasn't found, and has no derivative"):
        tg.grad(lambda x: explosion(x).y[0, 0])(1.0)
    assert tg.grad(lambda x: x * tg.stop_gradient(explosion(x).y[0, 0]))(1.0) > 0


# --- odeint ---------------------------------------------------------------------------------------


def test_odeint_is_differentiated_as_it_is_called():
    t = np.linspace(0, 2, 5)

    def damped(y, t, b, c):
        return [y[1], -b * y[1] - c * y[0]]

    def solved(p):
        return odeint(damped, [p[2], 0.0], t, args=(p[0], p[1]), Dfun=None)

    p = np.array([0.3, 2.0, 1.0])
    found, _ = tg.vjp(solved, p)
    assert np.array_equal(found, odeint(damped, [1.0, 0.0], t, args=(0.3, 2.0)))

    def exactly(p):
        w = np.sqrt(p[1] - p[0] ** 2 / 4)
        return p[2] * np.exp(-p[0] * t / 2) * (np.cos(w * t) + p[0] / (2 * w) * np.sin(w * t))

    near(tg.jacobian(lambda p: solved(p)[:, 0])(p), tg.jacobian(exactly)(p))
    near(tg.grad(lambda p: np.sum(solved(p)[:, 0]))(p), tg.grad(lambda p: np.sum(exactly(p)))(p))
    near(tg.hessian(lambda p: np.sum(solved(p)[:, 0]))(p),
         tg.hessian(lambda p: np.sum(exactly(p)))(p), 1e-5)  # fmt: skip


def test_odeints_keywords():
    def last(x):
        y, info = odeint(lambda t, y, k: -k * y, 1.0, np.array([0.0, x[1]]), (x[0],), tfirst=True,
                         full_output=True, Dfun=lambda t, y, k: [[-k]], rtol=1e-9, atol=1e-11,
                         mxstep=4000, hmax=0.5)  # fmt: skip
        assert info["message"] == "Integration successful."
        return y[-1, 0]

    near(tg.grad(last)(np.array([0.5, 2.0])), np.exp(-1) * np.array([-2, -0.5]))


def test_odeint_that_fails_warns_as_scipys_and_has_no_derivative():
    def f(x):
        return odeint(lambda y, t: x * y**2, 1.0, [0.0, 3.0])[-1, 0]

    with pytest.warns(match="Excess work|Illegal|Repeated"), pytest.raises(BlockFailedError):
        tg.grad(f)(1.0)


# --- refusals, tiers, processes -------------------------------------------------------------------


def test_what_has_no_rule_is_refused_by_name():
    from scipy.integrate import RK45, ode, solve_bvp

    def boundary(x):
        def ends(a, b):
            return np.array([a[0], b[0] - 1])

        t = np.linspace(0, 1, 5)
        return solve_bvp(lambda t, y: np.array([y[1], -x * y[0]]), ends, t, np.zeros((2, 5))).y[
            0, 2
        ]

    def stepped(x):
        solver = RK45(lambda t, y: -x * y, 0.0, [1.0], 1.0)
        solver.step()
        return solver.y[0]

    def integrated(x):
        return ode(lambda t, y: -x * y).set_initial_value([1.0], 0.0).integrate(1.0)[0]

    for function, name in ((boundary, "solve_bvp"), (stepped, "RK45"), (integrated, "integrate")):
        with pytest.raises(TypeError, match=name):
            tg.grad(function)(1.0)
    with pytest.raises(UnsupportedFunctionError, match="active rtol="):
        tg.grad(lambda x: solve_ivp(lambda t, y: -y, (0, 1), [1.0], rtol=x).y[0, -1])(1e-3)
    assert {"scipy.integrate.solve_ivp", "scipy.integrate.odeint"} <= set(tg.supported())
    assert "scipy.integrate.solve_bvp" not in tg.supported()


def test_machine_code_has_the_numbers_of_the_sweeps():
    def loss(p):
        return np.sum((grown(p) - 0.9) ** 2) * p[0]

    swept = tg.value_and_grad(loss, compile="never")
    compiled = tg.value_and_grad(loss).compiled(P)
    for q in (P, P * 1.1):
        near(compiled(q)[1], swept(q)[1], 1e-12)
        assert compiled(q)[0] == pytest.approx(swept(q)[0], rel=1e-14)


def module_loss(p):
    return np.sum(grown(p))


def test_a_derivative_that_solves_can_be_pickled():
    f = tg.grad(module_loss)
    wanted = f(P)
    again = pickle.loads(pickle.dumps(f))
    assert np.array_equal(again(P), wanted)
    held = tg.value_and_grad(module_loss).compiled(P)
    near(pickle.loads(pickle.dumps(held))(P)[1], wanted, 1e-12)


def test_a_solution_may_be_solved_in_a_right_hand_side():
    def inner(k):
        return solve_ivp(lambda t, y: -k * y, (0, 1), [1.0], t_eval=[1.0], **TIGHT).y[0, 0]

    def outer(k):
        return solve_ivp(lambda t, y: -inner(k) * y, (0, 1), [1.0], t_eval=[1.0], rtol=1e-6).y[0, 0]

    near(tg.grad(outer)(0.5), tg.grad(lambda k: np.exp(-np.exp(-k)))(0.5), 1e-5)


def test_oscillations_are_differentiated_over_many_periods():
    def last(w):
        sol = solve_ivp(lambda t, y: [y[1], -w * w * y[0]], (0, 60), [1.0, 0.0], "DOP853", **TIGHT)
        return sol.y[0, -1]

    near(tg.value_and_grad(last)(1.7)[1], -60 * np.sin(60 * 1.7), 1e-5)
