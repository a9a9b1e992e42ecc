"""scipy.integrate.quad of recorded integrands: SciPy's values, and derivatives of every order."""

from __future__ import annotations

import math
import pickle
import threading

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from numba import njit
from scipy.integrate import IntegrationWarning, quad

import tapegrad as tg
from tapegrad.errors import DivergentIntegralError, OutdatedBlockError, UnsupportedFunctionError
from tapegrad.testing import check_grads


def damped(p):
    return quad(lambda t: p[0] * np.exp(-p[1] * t) * np.cos(p[2] * t), 0.0, 3.0)[0]


def damped_closed(p):
    a, b, c = p[0], p[1], p[2]
    end = b * np.cos(3.0 * c) - c * np.sin(3.0 * c)
    return a * (b - np.exp(-3.0 * b) * end) / (b * b + c * c)


def gaussian(p):
    return quad(lambda t, a: np.exp(-a * t * t), p[0], p[1], args=(p[2],))[0]


def gaussian_closed(p):
    root = np.sqrt(p[2])
    ends = scipy.special.erf(root * p[1]) - scipy.special.erf(root * p[0])
    return np.sqrt(np.pi) / (2.0 * root) * ends


P = np.array([1.3, 0.7, 2.0])
CLOSED = [
    (damped, damped_closed, P),
    (gaussian, gaussian_closed, np.array([0.2, 1.5, 0.8])),
    (gaussian, gaussian_closed, np.array([1.5, -0.2, 0.8])),
    (
        lambda p: quad(lambda t: p[0] * np.exp(-p[1] * t), p[2], np.inf)[0],
        lambda p: p[0] / p[1] * np.exp(-p[1] * p[2]),
        np.array([1.3, 0.7, 0.5]),
    ),
    (
        lambda p: quad(lambda t: p[0] * np.exp(p[1] * t), -np.inf, p[2])[0],
        lambda p: p[0] / p[1] * np.exp(p[1] * p[2]),
        np.array([1.3, 0.7, 0.5]),
    ),
    (
        lambda p: quad(lambda t: np.exp(-p[0] * (t - p[1]) ** 2), -np.inf, np.inf)[0],
        lambda p: np.sqrt(np.pi / p[0]) + 0.0 * p[1],
        np.array([2.0, 0.3]),
    ),
    (
        lambda p: quad(lambda t: np.exp(-p[0] * t), np.inf, p[1])[0],
        lambda p: -np.exp(-p[0] * p[1]) / p[0],
        np.array([2.0, 0.3]),
    ),
    (
        lambda p: quad(lambda t: p[0] * t**2, p[1], p[1])[0] + p[0],
        lambda p: p[0] + 0.0 * p[1],
        np.array([2.0, 0.3]),
    ),
]


@pytest.mark.parametrize(("integral", "closed", "p"), CLOSED)
def test_values_gradients_and_hessians_are_those_of_the_closed_form(integral, closed, p):
    value, gradient = tg.value_and_grad(integral)(p)
    np.testing.assert_allclose(value, closed(p), rtol=1e-10)
    np.testing.assert_allclose(gradient, tg.grad(closed)(p), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(tg.hessian(integral)(p), tg.hessian(closed)(p), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("compile", ["never", "now"])
def test_values_are_scipys_to_the_bit_in_every_tier(compile):
    slope = tg.value_and_grad(damped, compile=compile)
    for p in (P, 2.0 * P, P / 3.0, P):
        value, gradient = slope(p)
        assert value == damped(p)
        np.testing.assert_allclose(gradient, tg.grad(damped_closed)(p), rtol=1e-9)


def test_forward_derivatives_are_the_same():
    for p, v in ((P, [1.0, 2.0, 3.0]), (2.0 * P, [0.0, 0.0, 1.0])):
        v = np.array(v)
        _, moved = tg.jvp(damped, (p,), (v,))
        np.testing.assert_allclose(moved, tg.grad(damped_closed)(p) @ v, rtol=1e-9)
        found = tg.hvp(damped)(p, v)
        np.testing.assert_allclose(found, tg.hessian(damped_closed)(p) @ v, rtol=1e-8)


def test_differences_agree():
    check_grads(lambda p: quad(lambda t: np.log1p(p * t) / (1.0 + t), 0.0, 2.0, epsabs=1e-13)[0],
                (0.8,), order=2)  # fmt: skip


def test_mpmath_agrees_on_a_bessel_function():
    def bessel(x):
        return quad(lambda t: math.cos(x * math.sin(t)), 0.0, math.pi)[0] / math.pi

    x = 2.4
    orders = [bessel, tg.grad(bessel), tg.grad(tg.grad(bessel))]
    wanted = [float(mpmath.diff(lambda x: mpmath.besselj(0, x), x, n)) for n in range(3)]
    np.testing.assert_allclose([f(x) for f in orders], wanted, rtol=1e-9)


# --- how integrands are reached ------------------------------------------------------------------


class Decay:
    def __init__(self, rate):
        self.rate = rate

    def at(self, t):
        return math.exp(-self.rate * t)

    def __call__(self, t):
        return self.at(t)


RATES = {}


def reading(t):
    return math.exp(-RATES["k"] * t)


def of_a_global(k):
    RATES["k"] = k
    try:
        return quad(reading, 0.0, 1.0)[0]
    finally:
        RATES.clear()


@njit
def compiled(t, k):
    return math.exp(-k * t)


REACHED = {
    "a closure": lambda k: quad(lambda t: math.exp(-k * t), 0.0, 1.0)[0],
    "arguments": lambda k: quad(lambda t, n, k: math.exp(-k * t) * n, 0.0, 1.0, args=(1, k))[0],
    "one argument": lambda k: quad(lambda t, k: math.exp(-k * t), 0.0, 1.0, args=k)[0],
    "an array": lambda k: quad(lambda t, x: math.exp(-x[1] * t), 0, 1, (np.array([1.0, k]),))[0],
    "a method": lambda k: quad(Decay(k).at, 0.0, 1.0)[0],
    "an object": lambda k: quad(Decay(k), 0.0, 1.0)[0],
    "a global": of_a_global,
    "a default": lambda k: quad(lambda t, k=k: math.exp(-k * t), 0.0, 1.0)[0],
    "njit": lambda k: quad(compiled, 0.0, 1.0, args=(k,))[0],
    "an array that is returned": lambda k: quad(lambda t: np.exp(-k * np.array([t]))[0], 0, 1)[0],
    "by the module": lambda k: scipy.integrate.quad(lambda t: math.exp(-k * t), 0.0, 1.0)[0],
    "inside another": lambda k: quad(lambda s: quad(lambda t: k * math.exp(-k * t) / k, 0, 1)[0],
                                     0, 1)[0],
}  # fmt: skip


@pytest.mark.parametrize("how", REACHED)
def test_what_integrands_read_is_differentiated(how):
    slope = tg.value_and_grad(REACHED[how])
    for k in (0.8, 1.7):
        value, derivative = slope(k)
        np.testing.assert_allclose(value, (1.0 - math.exp(-k)) / k, rtol=1e-13)
        wanted = (math.exp(-k) * (1.0 + k) - 1.0) / k**2
        np.testing.assert_allclose(derivative, wanted, rtol=1e-12)


def test_a_loop_of_closures_records_one_integrand():
    def total(p):
        return sum(quad(lambda t, k=k: math.exp(-k * p * t), 0.0, 1.0)[0] for k in (1.0, 2.0, 3.0))

    value, derivative = tg.value_and_grad(total)(0.5)
    wanted = [(1.0 - math.exp(-k * 0.5)) / (k * 0.5) for k in (1.0, 2.0, 3.0)]
    assert value == pytest.approx(sum(wanted), rel=1e-13)
    slopes = [(math.exp(-c) * (1.0 + c) - 1.0) / c**2 * k for k, c in ((1, 0.5), (2, 1), (3, 1.5))]
    assert derivative == pytest.approx(sum(slopes), rel=1e-12)


def test_plain_integrals_are_scipys_in_a_recorded_function():
    calls = []

    def integrand(t):
        calls.append(t)
        return t * t

    def loss(x):
        found = quad(integrand, 0.0, 1.0, full_output=1)
        assert type(found[0]) is float
        return x * found[0]

    area = quad(integrand, 0.0, 1.0)[0]
    assert tg.value_and_grad(loss)(2.0) == (2.0 * area, area)
    assert len(calls) == 42


# --- what it returns, and options ----------------------------------------------------------------


def test_the_error_is_scipys_and_has_no_derivative():
    assert tg.value_and_grad(lambda k: quad(lambda t: k * t, 0.0, 1.0)[1])(2.0) == (
        quad(lambda t: 2.0 * t, 0.0, 1.0)[1],
        0.0,
    )


def test_the_full_output_is_scipys():
    told = []

    def loss(k):
        value, error, info = quad(lambda t: np.sqrt(t) * k, 0.0, 1.0, full_output=1)
        tg.tap(lambda *found: told.append(found), info["neval"], info["last"], info["elist"])
        return value + 0.0 * error

    tg.grad(loss)(2.0)
    info = quad(lambda t: np.sqrt(t) * 2.0, 0.0, 1.0, full_output=1)[2]
    assert told[0][:2] == (info["neval"], info["last"])
    last = info["last"]
    np.testing.assert_array_equal(told[0][2][:last], info["elist"][:last])


@pytest.mark.parametrize("tau", [0.3, 0.9])
def test_points_may_be_active(tau):
    slope = tg.value_and_grad(
        lambda tau: quad(lambda t: 1.0 if t < tau else 2.0, 0.0, 1.0, points=[tau])[0]
    )
    value, derivative = slope(tau)
    assert value == pytest.approx(2.0 - tau, rel=1e-14)
    assert derivative == -1.0


def test_what_has_no_rule_is_refused_by_name():
    for options in ({"weight": "cos", "wvar": 2.0}, {"complex_func": True}):
        name = next(iter(options))
        with pytest.raises(UnsupportedFunctionError, match=f"quad with {name}="):
            tg.grad(lambda k, o=options: quad(lambda t: k * t, 0.0, 1.0, **o)[0])(1.0)


def test_errors_of_the_integrand_are_its_own():
    with pytest.raises(KeyError, match="missing"):
        tg.grad(lambda k: quad(lambda t: k * {}["missing"], 0.0, 1.0)[0])(1.0)
    with pytest.raises(ValueError, match="epsrel"):
        tg.grad(lambda k: quad(lambda t: k * t, 0.0, 1.0, epsabs=0.0, epsrel=0.0)[0])(1.0)


# --- what is singular ----------------------------------------------------------------------------


@pytest.mark.parametrize("p", [-0.5, -0.9, 0.5])
def test_a_singular_end_is_integrated(p):
    slope = tg.value_and_grad(lambda p: quad(lambda t: t**p, 0.0, 1.0)[0])
    value, derivative = slope(p)
    assert value == pytest.approx(1.0 / (1.0 + p), rel=1e-7)
    assert derivative == pytest.approx(-1.0 / (1.0 + p) ** 2, rel=1e-7)


def test_a_limit_where_the_integrand_is_nan_has_no_derivative_unless_it_stays():
    def integral(b):
        return quad(lambda t: t * np.log(t) * b, 0.0 * b, 1.0 + 0.0 * b)[0]

    with np.errstate(all="ignore"):
        assert tg.grad(integral)(1.5) == pytest.approx(-0.25)
        moving = lambda b: quad(lambda t: (t - b) * np.log(t - b), b, 2.0)[0]  # noqa: E731
        assert math.isnan(tg.grad(moving)(1.0))


def test_a_derivative_that_diverges_is_an_error():
    def integral(p):
        return quad(lambda t: (t * t + p) ** 0.25 / np.sqrt(t), 0.0, 1.0)[0]

    assert math.isfinite(integral(0.0))
    with pytest.raises(DivergentIntegralError, match="no integral that converges"):
        tg.grad(integral)(0.0)


def test_warnings_are_scipys():
    def slow(k):
        return quad(lambda t: np.sin(k / t), 1e-2, 1.0, limit=3)[0]

    with pytest.warns(IntegrationWarning, match="maximum number of subdivisions") as noted:
        slow(1.0)
    with pytest.warns(IntegrationWarning) as found:
        value, _ = tg.value_and_grad(lambda k: slow(k) + 0.0 * k)(1.0)
    assert str(found[0].message) == str(noted[0].message)
    assert found[0].filename == __file__
    with pytest.warns(IntegrationWarning):
        assert value == slow(1.0)


def test_what_scipy_says_with_full_output_is_guarded():
    def loss(k):
        found = quad(lambda t: np.sin(k / (t + 0.01)), 0.0, 1.0, limit=2, full_output=1)
        return found[0] if len(found) == 3 else -1.0 + 0.0 * k

    slope = tg.value_and_grad(loss)
    for k in (0.001, 30.0, 0.002):
        assert slope(k)[0] == loss(k)


# --- elsewhere -----------------------------------------------------------------------------------


def test_threads_and_pickles_find_the_same():
    slope = tg.value_and_grad(damped)
    wanted = [slope(P * k) for k in (1.0, 1.1, 1.2, 1.3)]
    found = [None] * 4

    def run(k):
        for _ in range(20):
            found[k] = slope(P * (1.0 + k / 10))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(wanted, found, strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
    again = pickle.loads(pickle.dumps(slope))
    np.testing.assert_array_equal(again(P)[1], wanted[0][1])


def test_a_method_that_reads_what_changed_is_recorded_again():
    decay = Decay(1.0)
    slope = tg.grad(lambda x: quad(lambda t: x * decay.at(t), 0.0, 1.0)[0])
    first = slope(1.0)
    decay.rate = 2.0
    assert first == pytest.approx(1.0 - math.exp(-1.0))
    assert slope(1.0) == pytest.approx((1.0 - math.exp(-2.0)) / 2.0)
    assert issubclass(OutdatedBlockError, ArithmeticError)
