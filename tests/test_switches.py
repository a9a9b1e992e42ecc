"""Branches of inner functions: where they are taken otherwise, and how that moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit
from scipy.integrate import quad

import tapegrad as tg
from tapegrad.errors import SwitchError


def gated(p):
    return quad(lambda t: (p[0] if t < p[1] else p[2]) * np.exp(-t), 0.0, 2.0)[0]


def gated_by_where(p):
    return quad(lambda t: np.where(t < p[1], p[0], p[2]) * np.exp(-t), 0.0, 2.0)[0]


def gated_by_square(p):
    return quad(lambda t: (p[0] if t * t < p[1] ** 2 else p[2]) * np.exp(-t), 0.0, 2.0)[0]


@njit
def compiled(t, a, tau, b):
    if t < tau:
        return a * math.exp(-t)
    return b * math.exp(-t)


def gated_by_njit(p):
    return quad(compiled, 0.0, 2.0, args=(p[0], p[1], p[2]))[0]


class Gate:
    def __init__(self, p):
        self.p = p

    def at(self, t):
        return (self.p[0] if t < self.p[1] else self.p[2]) * math.exp(-t)


def gated_by_method(p):
    return quad(Gate(p).at, 0.0, 2.0)[0]


def gated_from_above(p):
    return -quad(lambda t: (p[0] if t < p[1] else p[2]) * np.exp(-t), 2.0, 0.0)[0]


def closed(p):
    until = np.exp(-p[1])
    return p[0] * (1.0 - until) + p[2] * (until - np.exp(-2.0))


GATES = [gated, gated_by_where, gated_by_square, gated_by_njit, gated_by_method, gated_from_above]
P = np.array([1.0, 0.7, 3.0])


@pytest.mark.parametrize("gate", GATES)
def test_a_change_point_has_the_derivatives_of_the_closed_form(gate):
    slope, curvature = tg.value_and_grad(gate), tg.hessian(gate)
    for p in (P, P + [0.0, 0.9, 0.0], P + [2.0, 0.0, 0.0], P):
        value, gradient = slope(p)
        assert value == gate(p)
        np.testing.assert_allclose(value, closed(p), rtol=1e-7)
        np.testing.assert_allclose(gradient, tg.grad(closed)(p), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(curvature(p), tg.hessian(closed)(p), rtol=1e-8, atol=1e-9)


def test_third_derivatives_know_how_a_jump_changes():
    third = tg.jacobian(tg.hessian(gated))(P)
    np.testing.assert_allclose(third, tg.jacobian(tg.hessian(closed))(P), rtol=1e-7, atol=1e-8)


def test_a_change_point_leaves_the_interval():
    slope = tg.grad(gated)
    assert slope(P)[1] == pytest.approx((1.0 - 3.0) * math.exp(-0.7))
    assert slope(np.array([1.0, 2.5, 3.0]))[1] == 0.0
    assert slope(np.array([1.0, -1.0, 3.0]))[1] == 0.0


def test_an_infinite_interval_switches():
    def integral(p):
        return quad(lambda t: np.exp(-p[0] * t) * (1.0 if t < p[1] else 2.0), 0.0, np.inf)[0]

    def closed(p):
        return (1.0 + np.exp(-p[0] * p[1])) / p[0]

    p = np.array([0.5, 1.5])
    np.testing.assert_allclose(tg.grad(integral)(p), tg.grad(closed)(p), rtol=1e-9)
    np.testing.assert_allclose(tg.hessian(integral)(p), tg.hessian(closed)(p), rtol=1e-8)


class Steps:
    """A method that returns plain numbers: what it reads shows in comparisons only."""

    def __init__(self, tau):
        self.tau = tau

    def at(self, t):
        return 2.0 if t < self.tau else 5.0


TAU = {}


def by_a_global(t):
    return 2.0 if t < TAU["tau"] else 5.0


def of_a_global(tau):
    TAU["tau"] = tau
    try:
        return quad(by_a_global, 0.0, 1.0)[0]
    finally:
        TAU.clear()


@pytest.mark.parametrize(
    "integral",
    [
        lambda tau: quad(Steps(tau).at, 0.0, 1.0)[0],
        lambda tau: quad(lambda t: 2.0 if t < tau else 5.0, 0.0, 1.0)[0],
        of_a_global,
    ],
)
@pytest.mark.parametrize("tau", [0.3, 0.8, 0.9995, 1e-5])
def test_what_is_only_compared_counts(integral, tau):
    assert tg.value_and_grad(integral)(tau)[1] == pytest.approx(-3.0, rel=1e-12)


ROUNDED = {
    "floor": (lambda t, p: np.floor(p * t), lambda p: 3.0 - 6.0 / p),
    "int": (lambda t, p: float(int(p * t)) + 0.0 * t, lambda p: 3.0 - 6.0 / p),
    "ceil": (lambda t, p: np.ceil(p * t), lambda p: 4.0 - 6.0 / p),
    "rint": (lambda t, p: np.rint(p * t), lambda p: 3.0 - 4.5 / p),
    "floor_divide": (lambda t, p: p * t // 1.0, lambda p: 3.0 - 6.0 / p),
    "modulo": (lambda t, p: (p * t) % 1.0, lambda p: p / 2.0 - 3.0 + 6.0 / p),
    "fmod": (lambda t, p: np.fmod(-p * t, 1.0), lambda p: -(p / 2.0 - 3.0 + 6.0 / p)),
    "sign": (lambda t, p: np.sign(p * t - 1.0), lambda p: 1.0 - 2.0 / p),
    "copysign": (lambda t, p: np.copysign(1.0, p * t - 1.0), lambda p: 1.0 - 2.0 / p),
    "heaviside": (lambda t, p: np.heaviside(p * t - 1.0, 0.5), lambda p: 1.0 - 1.0 / p),
    "a chain": (lambda t, p: 1.0 if t * p < 1.0 else 5.0 if t * p < 2.0 else -1.0,
                lambda p: 1.0 / p + 5.0 / p - (1.0 - 2.0 / p)),
    "all": (lambda t, p: 1.0 if 1.0 < t * p < 2.0 else 0.0, lambda p: 1.0 / p),
    "and": (lambda t, p: np.where((t * p > 1.0) & (t * p < 2.0), 1.0, 0.0), lambda p: 1.0 / p),
    "a mask": (lambda t, p: (t * p > 1.0) * 1.0, lambda p: 1.0 - 1.0 / p),
    "clip": (lambda t, p: np.clip(p * t, 1.0, 2.0), lambda p: 2.0 - 1.5 / p),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUNDED)
def test_roundings_and_comparisons_are_switches(name):
    function, closed = ROUNDED[name]

    def integral(p):
        return quad(lambda t: function(t, p), 0.0, 1.0, limit=200)[0]

    p = 3.3
    value, derivative = tg.value_and_grad(integral)(p)
    assert value == integral(p)  # which may be far off: QUADPACK sees three of the jumps
    assert derivative == pytest.approx(tg.grad(closed)(p), rel=1e-7)
    assert tg.grad(tg.grad(integral))(p) == pytest.approx(tg.grad(tg.grad(closed))(p), rel=1e-6)


KINKS = {
    "abs": (lambda t, p: abs(t - p), lambda p: (p * p + (1.0 - p) ** 2) / 2.0),
    "max": (lambda t, p: max(t - p, 0.0), lambda p: (1.0 - p) ** 2 / 2.0),
    "maximum": (lambda t, p: np.maximum(t, p), lambda p: (1.0 + p * p) / 2.0),
    "minimum": (lambda t, p: np.minimum(t, p) ** 2, lambda p: p**3 / 3.0 + p * p * (1.0 - p)),
    "if": (lambda t, p: t - p if t > p else 2.0 * (p - t),
           lambda p: p * p + (1.0 - p) ** 2 / 2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_counts_from_second_derivatives_on(name):
    function, closed = KINKS[name]
    integral = lambda p: quad(lambda t: function(t, p), 0.0, 1.0)[0]  # noqa: E731
    value, derivative = tg.value_and_grad(integral)(0.3)
    assert value == pytest.approx(closed(0.3), rel=1e-9)
    assert derivative == pytest.approx(tg.grad(closed)(0.3), rel=1e-10)
    assert tg.grad(tg.grad(integral))(0.3) == pytest.approx(tg.grad(tg.grad(closed))(0.3), rel=1e-9)


def test_a_jump_that_is_nothing_here_counts_in_the_hessian():
    p = np.array([2.0, 0.7, 2.0])
    np.testing.assert_allclose(tg.hessian(gated)(p), tg.hessian(closed)(p), rtol=1e-9, atol=1e-12)


# --- what can't be -------------------------------------------------------------------------------


def test_a_switch_that_is_touched_flat_is_an_error():
    with pytest.raises(SwitchError, match="flat"):
        tg.grad(lambda p: quad(lambda t: 1.0 if (t - p) ** 3 < 0.0 else 2.0, 0.0, 1.0)[0])(0.3)


def test_two_switches_at_once_that_move_apart_are_an_error():
    def integral(p):
        return quad(lambda t: (1.0 if t < p[0] else 2.0) * (1.0 if t < p[1] else 2.0), 0.0, 1.0)[0]

    slope = tg.grad(integral)
    np.testing.assert_allclose(slope(np.array([0.3, 0.4])), [-1.0, -2.0], rtol=1e-12)
    with pytest.raises(SwitchError, match="two reasons"):
        slope(np.array([0.3, 0.3]))


def test_one_switch_that_is_asked_for_twice_is_one():
    def integral(p):
        return quad(lambda t: (1.0 if t < p else 2.0) * (1.0 if 2.0 * t < 2.0 * p else 2.0), 0, 1)[
            0
        ]

    assert tg.grad(integral)(0.3) == pytest.approx(-3.0)


def test_a_stopped_number_decides_without_a_derivative():
    def integral(p):
        return quad(lambda t: 1.0 if t < float(tg.stop_gradient(p)) else 2.0 * p, 0.0, 1.0)[0]

    assert tg.grad(integral)(0.3) == pytest.approx(1.4)


def test_noise_is_an_error():
    def integral(p):
        return quad(lambda t: np.floor(1e9 * p * t), 0.0, 1.0)[0]

    with pytest.raises(SwitchError, match="other ways"):
        tg.grad(integral)(0.3)
