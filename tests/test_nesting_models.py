"""Every derivative inside a recorded function, in models and in solvers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg


def scalar_model(y, w):
    return np.sum(w * y**3) + y[0] * w[1] * np.sin(y[1])


def total_by_grad(w, y):
    return np.sum(tg.grad(scalar_model)(y, w) ** 2)


def total_by_capture(w, y):
    return np.sum(tg.grad(lambda v: scalar_model(v, w))(y) ** 2)


def total_by_jacobian(w, y):
    return np.sum(tg.jacobian(lambda v: scalar_model(v, w))(y) ** 2)


def total_by_forward(w, y):
    return np.sum(tg.jacobian(lambda v: scalar_model(v, w), mode="forward")(y) ** 2)


def total_by_vjp(w, y):
    return np.sum(tg.vjp(lambda v: scalar_model(v, w), y)[1](1.0)[0] ** 2)


def total_by_jvp(w, y):
    slopes = [tg.jvp(lambda v: scalar_model(v, w), (y,), (e,))[1] for e in np.eye(3)]
    return sum(s * s for s in slopes)


TOTALS = [total_by_grad, total_by_capture, total_by_jacobian, total_by_forward, total_by_vjp,
          total_by_jvp]  # fmt: skip


def gradient_of_total(w, y):
    g = 3 * w * y**2
    g[0] += w[1] * np.sin(y[1])
    g[1] += y[0] * w[1] * np.cos(y[1])
    result = 2 * g * 3 * y**2
    result[1] += 2 * g[0] * np.sin(y[1]) + 2 * g[1] * y[0] * np.cos(y[1])
    return result


@pytest.mark.parametrize("total", TOTALS, ids=lambda f: f.__name__)
def test_outer_arrays_may_be_captured_by_every_inner_derivative(total):
    derivative = tg.grad(total)
    rng = np.random.default_rng(0)
    for _ in range(4):
        w, y = rng.standard_normal((2, 3))
        np.testing.assert_allclose(derivative(w, y), gradient_of_total(w, y), rtol=1e-12)


def test_an_inner_hessian_is_differentiated():
    def log_determinant(w):
        h = tg.hessian(lambda y: w[0] * y[0] ** 2 + w[1] * y[0] * y[1] + w[2] * y[1] ** 4)(
            np.array([1.0, 2.0])
        )
        return np.log(h[0, 0] * h[1, 1] - h[0, 1] * h[1, 0])

    derivative = tg.grad(log_determinant)
    for w in ([1.0, 0.5, 2.0], [3.0, -1.0, 0.25], [1.0, 0.0, 1.0]):
        a, b, c = w
        determinant = 2 * a * 48 * c - b * b
        wanted = np.array([96 * c, -2 * b, 96 * a]) / determinant
        np.testing.assert_allclose(derivative(np.array(w)), wanted, rtol=1e-12, atol=1e-15)


def test_newtons_method_inside_is_differentiated():
    def minimizer(p):
        """The minimum of cosh(y0 - p0) + (y1 - p1 y0)^2, by Newton's method."""
        y = np.stack([p[0] * 0.0 + 0.3, p[1] * 0.0])

        def energy(y):
            return np.cosh(y[0] - p[0]) + (y[1] - p[1] * y[0]) ** 2 + 0.1 * y[0] ** 2

        for _ in range(8):
            g, h = tg.grad(energy)(y), tg.hessian(energy)(y)
            d = h[0, 0] * h[1, 1] - h[0, 1] * h[1, 0]
            step = np.stack([h[1, 1] * g[0] - h[0, 1] * g[1], h[0, 0] * g[1] - h[1, 0] * g[0]]) / d
            y = y - step
        return y

    jacobian = tg.jacobian(minimizer)
    for p in ([0.5, 2.0], [1.0, -1.0], [-0.7, 0.3]):
        y = minimizer(np.array(p))
        # At the minimum sinh(y0 - p0) + 0.2 y0 = 0 and y1 = p1 y0.
        slope = np.cosh(y[0] - p[0]) / (np.cosh(y[0] - p[0]) + 0.2)
        wanted = [[slope, 0.0], [p[1] * slope, y[0]]]
        np.testing.assert_allclose(jacobian(np.array(p)), wanted, rtol=1e-9, atol=1e-9)


def test_a_newton_loop_whose_length_depends_on_the_data_replays_right():
    def root(a):
        y = a * 0.5 + 1.0
        for _ in range(40):
            value, slope = tg.value_and_grad(lambda y: y * y * y - a)(y)
            if abs(value) < 1e-12:
                break
            y = y - value / slope
        return y

    derivative = tg.value_and_grad(root)
    for a in (1.0, 8.0, 30.0, 0.2, 8.5, 2.0, 1.0):
        value, gradient = derivative(a)
        assert value == pytest.approx(a ** (1 / 3), rel=1e-10)
        assert gradient == pytest.approx(a ** (-2 / 3) / 3, rel=1e-8)


def test_a_step_of_gradient_descent_is_differentiated_by_its_rate():
    def loss_after(rate, x):
        for _ in range(5):
            x = x - rate * tg.grad(scipy_rosen)(x)
        return scipy_rosen(x)

    x0 = np.array([0.3, 0.1])
    derivative = tg.grad(loss_after)
    for rate in (1e-4, 1e-3):
        h = 1e-6 * rate
        wanted = (loss_after(rate + h, x0) - loss_after(rate - h, x0)) / (2 * h)
        assert derivative(rate, x0) == pytest.approx(wanted, rel=1e-5)


def scipy_rosen(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def test_hamiltons_equations_from_an_inner_gradient_conserve_energy_in_the_tangent():
    def hamiltonian(q, p):
        return 0.5 * p * p + np.cos(q)

    def energy_after(q, p):
        for _ in range(10):
            p = p - 0.05 * tg.grad(hamiltonian, 0)(q, p)
            q = q + 0.05 * tg.grad(hamiltonian, 1)(q, p)
        return q, p

    (dq_dq, dq_dp), (dp_dq, dp_dp) = tg.jacobian(energy_after, (0, 1))(0.7, 0.3)
    assert dq_dq * dp_dp - dq_dp * dp_dq == pytest.approx(1.0, rel=1e-12)  # symplectic


def test_a_physics_informed_loss_is_differentiated_by_its_weights():
    def network(w, t):
        return w[0] * np.tanh(w[1] * t + w[2])

    def loss(w):
        total = 0.0
        for t in (0.1, 0.4, 0.9):
            slope = tg.grad(network, 1)(w, t)
            curvature = tg.grad(tg.grad(network, 1), 1)(w, t)
            total = total + (curvature + slope + network(w, t)) ** 2
        return total

    w = np.array([0.8, 1.3, -0.2])
    gradient = tg.grad(loss)(w)
    for k, h in enumerate(np.eye(3) * 1e-6):
        wanted = (loss(w + h) - loss(w - h)) / 2e-6
        assert gradient[k] == pytest.approx(wanted, rel=1e-6)
    assert tg.hessian(loss)(w) == pytest.approx(tg.hessian(loss)(w).T, rel=1e-10)


def test_a_bilevel_problem_is_solved_with_inner_newton_steps():
    def inner(p):
        y = p * 0.0 + 1.0
        for _ in range(20):
            slope, curvature = (d(y) for d in derivatives_of(p))
            y = y - slope / curvature
        return y

    def derivatives_of(p):
        g = tg.grad(lambda y: np.exp(y) - p * y)  # its minimum is at log(p)
        return g, tg.grad(g)

    result = scipy.optimize.minimize(
        tg.value_and_grad(lambda p: (inner(p[0]) - 1.5) ** 2), np.array([2.0]), jac=True
    )
    assert result.x[0] == pytest.approx(math.exp(1.5), rel=1e-5)


def test_truth_values_of_an_outer_recording_are_truth_values_inside():
    def masked(x, is_positive, is_large):
        return np.sum(x[is_positive] ** 2) * (2.0 if is_large else 3.0) + np.sum(x[~is_positive])

    def total(x):
        return np.sum(tg.grad(masked)(x, x > 0.0, x[0] > 5.0) ** 2)

    gradient = tg.grad(total)
    for x in ([1.0, -2.0, 3.0], [6.0, 2.0, -1.0]):
        x, factor = np.array(x), 2.0 if x[0] > 5.0 else 3.0
        np.testing.assert_allclose(gradient(x), np.where(x > 0.0, 8.0 * factor**2 * x, 0.0))
