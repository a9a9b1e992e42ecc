"""Events of solve_ivp: their times, what is there, and restarts from there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tapegrad as tg
from tapegrad.errors import SwitchError

TIGHT = {"rtol": 1e-9, "atol": 1e-11}


def near(found, wanted, tolerance=1e-6):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def falling(t, y, g):
    return [y[1], -g]


def ground(t, y, g):
    return y[0]


ground.terminal, ground.direction = True, -1


def landing(x):  # gravity, height, speed
    return (x[2] + np.sqrt(x[2] ** 2 + 2 * x[0] * x[1])) / x[0]


X = np.array([9.81, 1.0, 2.0])


def thrown(x, **more):
    keywords = {"events": ground, **TIGHT, **more}
    return solve_ivp(falling, (0, 100), [x[1], x[2]], args=(x[0],), **keywords)


def test_a_terminal_event_moves_its_time_and_the_last_state():
    parts = {
        "time": (lambda x: thrown(x).t_events[0][0], landing),
        "last time": (lambda x: thrown(x).t[-1], landing),
        "speed": (lambda x: thrown(x).y_events[0][0, 1], lambda x: x[2] - x[0] * landing(x)),
        "last speed": (lambda x: thrown(x).y[1, -1], lambda x: x[2] - x[0] * landing(x)),
        "height": (lambda x: thrown(x).y[0][-1], lambda x: 0.0 * x[0]),
    }
    for found, exact in parts.values():
        near(found(X), exact(X))
        near(tg.grad(found)(X), tg.grad(exact)(X))
        near(tg.hessian(found)(X), tg.hessian(exact)(X), 1e-5)
    near(tg.jacobian(lambda x: thrown(x).y_events[0][0])(X)[1],
         tg.grad(lambda x: x[2] - x[0] * landing(x))(X))  # fmt: skip
    near(tg.jvp(lambda x: thrown(x).t[-1], (X,), (np.ones(3),))[1], np.sum(tg.grad(landing)(X)))


def test_values_at_events_are_scipys():
    plain = solve_ivp(falling, (0, 100), X[1:], args=(X[0],), events=ground, **TIGHT)
    found, _ = tg.vjp(lambda x: (thrown(x).t_events[0], thrown(x).y_events[0], thrown(x).y), X)
    assert np.array_equal(found[0], plain.t_events[0])
    assert np.array_equal(found[1], plain.y_events[0])
    assert np.array_equal(found[2], plain.y)


def test_a_ball_that_bounces_is_solved_piece_by_piece():
    def bounced(p):  # by the restitution, the gravity and the height
        t, y = 0.0, np.array([p[2], 0.0])
        for _ in range(4):
            sol = solve_ivp(falling, (t, t + 50), y, args=(p[1],), events=ground, **TIGHT)
            t, y = sol.t_events[0][0], sol.y_events[0][0] * np.array([0.0, -p[0]])
        return t

    def exactly(p):
        first = np.sqrt(2 * p[2] / p[1])
        return first * (1 + 2 * (p[0] + p[0] ** 2 + p[0] ** 3))

    p = np.array([0.8, 9.81, 1.5])
    near(tg.value_and_grad(bounced)(p)[0], exactly(p))
    near(tg.grad(bounced)(p), tg.grad(exactly)(p))
    near(tg.hessian(bounced)(p), tg.hessian(exactly)(p), 1e-5)


def test_events_that_go_on_are_counted_and_each_is_differentiated():
    def crossing(t, y, w, c):
        return y[0] - c

    def times(x):
        sol = solve_ivp(lambda t, y, w, c: [w * y[1], -w * y[0]], (0, 5), [0.0, 1.0],
                        args=(x[0], x[1]), events=[crossing, lambda t, y, w, c: 9.0 + y[0]],
                        t_eval=[1.0, 3.0], **TIGHT)  # fmt: skip
        assert [len(found) for found in sol.t_events] == [2, 0]
        assert sol.y_events[1].shape == (0,)
        assert sol.success
        return sol.t_events[0]

    def exactly(x):
        angle = np.arcsin(x[1])
        return np.array([angle / x[0], (np.pi - angle) / x[0]])

    x = np.array([1.1, 0.4])
    near(times(x), exactly(x))
    near(tg.jacobian(times)(x), tg.jacobian(exactly)(x))
    near(tg.grad(lambda x: np.sum(times(x) ** 2))(x), tg.grad(lambda x: np.sum(exactly(x) ** 2))(x))
    near(tg.hessian(lambda x: np.sum(times(x) ** 2))(x),
         tg.hessian(lambda x: np.sum(exactly(x) ** 2))(x), 1e-5)  # fmt: skip


def test_another_number_of_events_is_recorded_again():
    def level(t, y):
        return y[0] - 0.5

    def total(w):
        sol = solve_ivp(lambda t, y: [w * y[1], -w * y[0]], (0, 3), [0, 1.0], events=level, **TIGHT)
        return sum(sol.t_events[0]) if len(sol.t_events[0]) else 0.0 * w

    f = tg.value_and_grad(total)
    near(f(0.6), (np.pi / 6 / 0.6, -np.pi / 6 / 0.36))
    near(f(1.1), (np.pi / 1.1, -np.pi / 1.21))
    assert f(0.1) == (0.0, 0.0)
    near(f(0.7), (np.pi / 6 / 0.7, -np.pi / 6 / 0.49))


def test_a_terminal_event_may_not_happen():
    def last(k, end=1.0):
        def low(t, y):
            return y[0] - 0.5

        low.terminal = True
        sol = solve_ivp(lambda t, y: -k * y, (0, end), [1.0], events=low, **TIGHT)
        return sol.t[-1] if sol.status == 1 else sol.y[0, -1]

    f = tg.value_and_grad(last)
    near(f(0.5), (np.exp(-0.5), -np.exp(-0.5)))
    near(f(2.0), (np.log(2) / 2, -np.log(2) / 4))
    near(f(0.6), (np.exp(-0.6), -np.exp(-0.6)))


def test_an_event_may_coincide_with_a_time_of_evaluation():
    def low(t, y):
        return y[0] - np.exp(-1.0)

    low.terminal = True

    def states(k):
        times = [0.5, 1.0 - 1e-9, 2.0]
        sol = solve_ivp(lambda t, y: -k * y, (0, 3), [1.0], t_eval=times, events=low, **TIGHT)
        assert len(sol.t) == 2
        return np.sum(sol.y)

    near(tg.grad(states)(1.0), -0.5 * np.exp(-0.5) - np.exp(-1.0))


def test_terminal_may_be_a_count_and_events_may_hold_active_numbers():
    def nth(x):
        def level(t, y):
            return y[0] - x[1]

        level.terminal, level.direction = 2, 1
        sol = solve_ivp(lambda t, y: [x[0] * y[1], -x[0] * y[0]], (0, 40), [0.0, 1.0], events=level,
                        dense_output=True, **TIGHT)  # fmt: skip
        return sol.t[-1] + 0.0 * sol.sol(1.0)[0]

    x = np.array([1.3, 0.2])
    near(tg.grad(nth)(x), tg.grad(lambda x: (2 * np.pi + np.arcsin(x[1])) / x[0])(x))
    near(tg.hessian(nth)(x), tg.hessian(lambda x: (2 * np.pi + np.arcsin(x[1])) / x[0])(x), 1e-5)


def test_an_event_that_is_touched_has_no_derivative():
    def top(t, y):
        return y[0] - 1.0

    def touched(x):
        sol = solve_ivp(lambda t, y: [x * (1.0 - t) ** 2], (0, 2), [2 / 3], events=top, **TIGHT)
        return sol.t_events[0][0]

    with pytest.raises(SwitchError, match="is touched, rather than crossed, at 1"):
        tg.grad(touched)(1.0)


def half(t, y):
    return y[0] - 0.5


def nearly_half(t, y):
    return y[0] - 0.6


def one(t, y):
    return y[1] - 1.0


half.terminal = nearly_half.terminal = one.terminal = True
COARSE = {"rtol": 1e-2, "atol": 1e-2}  # of as many steps, whichever way it ends


def decay(p, **more):
    return solve_ivp(lambda t, y: -p * y, (0, 1.0), [1.0], events=half, **more)


ENDS = {
    "a last state": (lambda p: decay(p, **TIGHT).y[0, -1],
                     lambda p: np.exp(-p) if p < np.log(2.0) else 0.5),
    "a last time": (lambda p: decay(p, **TIGHT).t[-1], lambda p: min(1.0, np.log(2.0) / p)),
    "a last time of a few steps": (lambda p: decay(p, **COARSE).t[-1],
                                   lambda p: decay(p, **COARSE).t[-1]),
    "an end of the dense output": (lambda p: decay(p, dense_output=True, **TIGHT).sol.t_max,
                                   lambda p: min(1.0, np.log(2.0) / p)),
    "a mean": (
        lambda p: np.mean((s := decay(p, dense_output=True, **TIGHT)).sol(
            np.linspace(0, s.sol.t_max, 5))[0]),
        lambda p: np.mean(np.exp(-p * np.linspace(0, min(1.0, np.log(2.0) / p), 5))),
    ),
}  # fmt: skip
SLOPES = {
    "a last state": lambda p: -np.exp(-p) if p < np.log(2.0) else 0.0,
    "a last time": lambda p: 0.0 if p < np.log(2.0) else -np.log(2.0) / p**2,
}


@pytest.mark.parametrize("name", ENDS)
def test_whether_an_event_ends_it_is_found_at_each_call(name):
    function, exact = ENDS[name]
    derivative = tg.value_and_grad(function)
    for p in (0.1, 1.0, 0.3, 1.4, 0.3, 1.4):
        value, slope = derivative(p)
        near(value, exact(p))
        if name in SLOPES:
            near(slope, SLOPES[name](p))


def test_which_event_ends_it_is_found_at_each_call():
    def end(p):
        rates = lambda t, y: [-p[0] * y[0], p[1] * y[1]]  # noqa: E731
        s = solve_ivp(rates, (0, 5.0), [1.0, 0.3], events=[nearly_half, one], **TIGHT)
        return s.y[0, -1] + 2.0 * s.y[1, -1]

    def exact(p):
        t = np.min(np.stack([np.log(1.0 / 0.6) / p[0], np.log(1.0 / 0.3) / p[1], 5.0]))
        return np.exp(-p[0] * t) + 0.6 * np.exp(p[1] * t)

    derivative, wanted = tg.value_and_grad(end), tg.value_and_grad(exact)
    for p in ([0.2, 0.1], [1.0, 0.1], [0.1, 0.5], [0.05, 0.05], [1.0, 0.1]):
        value, slopes = derivative(np.array(p))
        near(value, wanted(np.array(p))[0])
        near(slopes, wanted(np.array(p))[1])


def test_a_second_occurrence_that_ends_it_is_found_at_each_call():
    def crossing(t, y):
        return y[0]

    crossing.terminal = 2

    def end(w):
        return solve_ivp(lambda t, y: [y[1], -w * w * y[0]], (0, 2.0), [1.0, 0.0],
                         events=crossing, **TIGHT).t[-1]  # fmt: skip

    derivative = tg.value_and_grad(end)
    for w in (1.0, 3.0, 1.5, 4.0):
        value, slope = derivative(w)
        end_of_two = 1.5 * np.pi / w
        near(value, min(2.0, end_of_two))
        near(slope, 0.0 if end_of_two > 2.0 else -end_of_two / w)
