"""Right-hand sides of differential equations that take one way and then another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import odeint, solve_ivp

import tapegrad as tg
from tapegrad.errors import SwitchError

TIGHT = {"rtol": 1e-9, "atol": 1e-11, "max_step": 0.5}


def near(found, wanted, tolerance=1e-6):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def compare(found, exact, x):
    near(tg.grad(found)(x), tg.grad(exact)(x))
    near(np.ravel(tg.jacobian(found)(x)), tg.grad(exact)(x))
    near(tg.hessian(found)(x), tg.hessian(exact)(x), 1e-5)


WAYS = {
    "if": lambda t, tau, a, b: a if t < tau else b,
    "else": lambda t, tau, a, b: b if t >= tau else a,
    "where": lambda t, tau, a, b: np.where(t < tau, a, b),
    "product": lambda t, tau, a, b: a + (b - a) * (t > tau),
    "sign": lambda t, tau, a, b: a + (b - a) * (1 + np.sign(t - tau)) / 2,
    "floor": lambda t, tau, a, b: a + (b - a) * np.floor(t / tau) if t < 1.9 * tau else b,
    "heaviside": lambda t, tau, a, b: a + (b - a) * np.heaviside(t - tau, 0.5),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_time_of_a_change_has_a_derivative(way):
    def state(p):
        def rate(t, y):
            return WAYS[way](t, p[2], p[0], p[1]) * y

        return np.sum(solve_ivp(rate, (0, 2), [1.0], t_eval=[1.0, 1.5, 2.0], **TIGHT).y)

    def exactly(p):
        later = [np.exp(p[0] * p[2] + p[1] * (t - p[2])) for t in (1.5, 2.0)]
        return np.exp(p[0]) + later[0] + later[1]

    compare(state, exactly, np.array([0.5, -0.3, 1.3]))


@pytest.mark.parametrize("method", ["RK45", "Radau", "BDF"])
def test_a_threshold_of_the_state_has_a_derivative(method):
    def state(p):
        def rate(t, y):
            return [p[0] if y[0] < p[2] else p[1] * y[0]]

        return solve_ivp(rate, (0, 2), [p[3]], method, **TIGHT).y[0, -1]

    def exactly(p):
        return p[2] * np.exp(p[1] * (2 - (p[2] - p[3]) / p[0]))

    compare(state, exactly, np.array([1.0, 0.5, 1.2, 0.1]))


def test_a_kink_counts_from_the_second_order_on():
    def state(p):
        def rate(t, y):
            return [np.maximum(y[0] - p[0], 0.0) + p[1]]

        return solve_ivp(rate, (0, 2), [0.0], **TIGHT).y[0, -1]

    def exactly(p):
        return p[0] + p[1] * (np.exp(2 - p[0] / p[1]) - 1)

    compare(state, exactly, np.array([0.8, 1.1]))


def test_doses_that_come_again_and_again():
    def amount(p):  # the rate of elimination, the dose's, and the interval
        def rate(t, y):
            return [-p[0] * y[0] + (p[1] if t % p[2] < 0.25 else 0.0)]

        return solve_ivp(rate, (0, 3.5), [0.0], **TIGHT).y[0, -1]

    def exactly(p):
        k = p[0]
        return p[1] / k * sum(
            np.exp(-k * (3.5 - n * p[2])) * (np.exp(0.25 * k) - 1) for n in range(4)
        )  # fmt: skip

    compare(amount, exactly, np.array([0.8, 1.5, 1.05]))


def test_a_replay_that_switches_otherwise_is_recorded_again():
    def state(p):
        def rate(t, y):
            return [p[0] if y[0] < p[1] else 0.5 * p[0]]

        return odeint(rate_of(rate), [0.0], [0.0, 1.0], rtol=1e-10, atol=1e-10, hmax=0.1)[-1, 0]

    def rate_of(rate):
        return lambda y, t: rate(t, y)

    def exactly(p):
        return p[0] if p[0] < p[1] else p[1] + 0.5 * (p[0] - p[1])

    f = tg.value_and_grad(state)
    for p in ([1.0, 2.0], [3.0, 2.0], [1.5, 2.0], [2.5, 1.0]):
        p = np.array(p)
        near(f(p)[1], tg.grad(exactly)(p))
    assert len(f.recorded.recordings) == 2


def test_an_event_is_found_beyond_a_switch():
    def level(t, y):
        return y[0] - 0.5

    level.terminal, level.direction = True, -1

    def time(p):
        def rate(t, y):
            return [p[0] if t < p[1] else -p[2] * y[0]]

        return solve_ivp(rate, (0, 20), [0.0], events=level, **TIGHT).t[-1]

    compare(time, lambda p: p[1] + np.log(2 * p[0] * p[1]) / p[2], np.array([1.0, 1.5, 0.7]))


def test_a_branch_that_no_time_or_state_decides_is_no_switch():
    def state(p):
        def rate(t, y):
            return -p[0] * y if p[0] > 1.0 else -2 * p[0] * y

        return solve_ivp(rate, (0, 1), [1.0], t_eval=[1.0], **TIGHT).y[0, 0]

    f = tg.value_and_grad(state)
    near(f(np.array([1.5]))[1], -np.exp(-1.5))
    near(f(np.array([0.5]))[1], -2 * np.exp(-1.0))


def test_a_state_that_slides_along_a_switch_has_no_derivative():
    def state(p):
        return solve_ivp(lambda t, y: [-p if y[0] > 0 else p], (0, 1), [0.3], rtol=1e-4).y[0, -1]

    with pytest.raises(SwitchError, match="slides along the switch"):
        tg.grad(state)(1.0)


def test_values_keep_scipys_bits_where_it_switches():
    def rate(t, y, a, tau):
        return [a * y[1], -y[0] if t < tau else 0.5 - abs(y[0])]

    plain = solve_ivp(rate, (0, 4), [1.0, 0.0], args=(1.2, 1.7), t_eval=[1.0, 2.0, 4.0])

    def f(p):
        return solve_ivp(rate, (0, 4), [1.0, 0.0], args=(p[0], p[1]), t_eval=[1.0, 2.0, 4.0]).y

    assert np.array_equal(tg.vjp(f, np.array([1.2, 1.7]))[0], plain.y)


def test_a_way_may_lead_nowhere_beyond_its_end():
    def state(p):
        def rate(t, y):
            return y**2 if t < p[0] else -p[1] * y

        return solve_ivp(rate, (0, 5), [1.0], rtol=1e-9, atol=1e-11, max_step=0.05).y[0, -1]

    compare(state, lambda p: np.exp(-p[1] * (5 - p[0])) / (1 - p[0]), np.array([0.5, 0.7]))


def test_a_table_that_forces_is_differentiated_by_its_numbers():
    at = np.linspace(0, 4, 5)

    def state(v):
        def rate(t, y):
            return -y + np.interp(t, at, v)

        return solve_ivp(rate, (0, 4), [0.0], **TIGHT).y[0, -1]

    ends = np.exp(-(4 - at))
    inner = np.exp(-(4 - at[1:-1])) * (np.e + np.exp(-1) - 2)
    first, last = ends[0] * (np.e - 2), 1 / np.e
    near(tg.grad(state)(np.sin(at)), [first, *inner, last])
