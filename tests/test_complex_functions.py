"""Functions of complex numbers: NumPy's values, derivatives of every order, in every executor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from complex_cases import EDGES, FUNCTIONS, POINTS, SPECIAL, derivatives, is_close, made

import tapegrad as tg

XY = np.array([POINTS.real, POINTS.imag])
BLOCKS = {"tan", "tanh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "log1p"}
A, B = 0.7, -1.3  # L = A Re f + B Im f = Re((A - iB) f)
W = A - 1j * B


def recorded(function, *columns):
    """What a function of columns of real numbers gives while it's recorded."""

    def traced(x):
        z = function(*x)
        return np.sum(x) * 0.0, (np.real(z), np.imag(z))

    with np.errstate(all="ignore"):
        _, (re, im) = tg.grad(traced, has_aux=True)(np.array(columns))
    return made(re, im)


def of(name):
    function = getattr(np, name)
    return lambda x: (
        np.sum(A * function(x[0] + 1j * x[1]).real) + np.sum(B * function(x[0] + 1j * x[1]).imag)
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_numpys_on_either_side_of_a_cut_too(name):
    function = getattr(np, name)
    for z in (POINTS, EDGES[np.isfinite(EDGES)]):
        with np.errstate(all="ignore"):
            wanted = function(z)
        found = recorded(lambda re, im: function(made(re, im)), z.real, z.imag)
        finite = np.isfinite(wanted)
        assert is_close(found[finite], wanted[finite], ulps=3.0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_derivatives_are_holomorphic_both_ways(name):
    slopes = np.array([derivatives(name, z)[0] for z in POINTS])
    wanted = np.array([(W * slopes).real, (W * 1j * slopes).real])
    scale = np.abs(slopes)
    value, gradient = tg.value_and_grad(of(name), compile="never")(XY)
    assert np.all(np.abs(gradient - wanted) <= 4e-14 * scale)
    forward = tg.jacobian(of(name), mode="forward")(XY)
    assert np.all(np.abs(forward - wanted) <= 4e-14 * scale)
    assert value == pytest.approx(of(name)(XY), rel=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_holomorphic(name):
    function = getattr(np, name)

    def of_one(x):  # scalars
        z = function(x[0] + 1j * x[1])
        return A * z.real + B * z.imag

    hessian = tg.hessian(of_one)
    for z in POINTS[[0, 2, 4, 9]]:
        second = derivatives(name, z)[1]
        straight, across = (W * second).real, (W * 1j * second).real
        found = hessian(np.array([z.real, z.imag]))
        wanted = np.array([[straight, across], [across, -straight]])
        assert np.abs(found - wanted).max() <= 1e-12 * (1.0 + abs(second))


@pytest.mark.parametrize("names", [sorted(FUNCTIONS.keys() - BLOCKS), sorted(BLOCKS)])
def test_machine_code_and_sweeps_agree_at_other_points(names):
    def total(x):
        z = x[: len(x) // 2] + 1j * x[len(x) // 2 :]
        s = 0.0
        for name in names:
            f = getattr(np, name)(z)
            s = s + np.sum(A * f.real) + np.sum(B * f.imag)
        return s

    x = np.concatenate([POINTS.real, POINTS.imag])
    code, swept = tg.value_and_grad(total).compiled(x), tg.value_and_grad(total, compile="never")
    for point in (x, x * 1.1, x[::-1].copy()):
        value, gradient = code(point)
        assert value == pytest.approx(total(point), rel=1e-13)
        np.testing.assert_allclose(gradient, swept(point)[1], rtol=1e-11)


# --- arithmetic -----------------------------------------------------------------------------------

GRID = np.array(list(itertools.product(SPECIAL, repeat=2)))
PAIRS = np.array([(*a, *b) for a in GRID for b in GRID]).T
RANDOM = np.random.default_rng(1).normal(size=(4, 500))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
def test_sums_and_products_are_numpys_whatever_the_numbers(name):
    ufunc = getattr(np, name)

    def function(a, b, c, d):
        return ufunc(made(a, b), made(c, d))

    with np.errstate(all="ignore"):
        wanted, near = function(*PAIRS), function(*RANDOM)
    found = recorded(function, *PAIRS)
    np.testing.assert_array_equal(found, wanted)
    is_zero = (wanted.real == 0.0, wanted.imag == 0.0)
    for part, zeros in zip(("real", "imag"), is_zero, strict=True):
        signs = [np.signbit(getattr(z, part)[zeros]) for z in (found, wanted)]
        np.testing.assert_array_equal(*signs)
    assert is_close(recorded(function, *RANDOM), near)


def test_quotients_are_numpys_and_so_is_what_is_divided_by_zero():
    def function(a, b, c, d):
        return made(a, b) / made(c, d)

    is_usual = np.isfinite(PAIRS).all(axis=0)
    infinite = np.isinf(PAIRS[2:]).any(axis=0) & np.isfinite(PAIRS[:2]).all(axis=0)
    chosen = PAIRS[:, is_usual & ~((PAIRS[2] == 0.0) & np.signbit(PAIRS[2])) | infinite]
    with np.errstate(all="ignore"):
        wanted, near = function(*chosen), function(*RANDOM)
    np.testing.assert_array_equal(recorded(function, *chosen), wanted)
    assert is_close(recorded(function, *RANDOM), near)
    with np.errstate(all="ignore"):
        inverse = 1.0 / made(*chosen[2:])
    np.testing.assert_array_equal(recorded(lambda c, d: 1.0 / made(c, d), *chosen[2:]), inverse)


def test_quotients_of_very_large_and_very_small_numbers_do_not_overflow():
    for scale in (1e250, 1e-250):
        found = tg.value_and_grad(lambda x, s=scale: ((1.0 + 2.0j) / (s * (x + 1j))).real)(0.5)[0]
        assert found == pytest.approx(2.0 / scale, rel=1e-15)
    for scale in (1e150, 1e-150):
        slope = tg.grad(lambda x, s=scale: ((1.0 + 2.0j) / (s * (x + 1j))).real * s)(0.5)
        rate = -(1.0 + 2.0j) / (0.5 + 1j) ** 2
        assert slope == pytest.approx(rate.real, rel=1e-13)


def test_both_of_equal_parts_are_differentiated_to_second_order():
    for sign in (1.0, -1.0):  # Smith's algorithm and the logarithm choose between the parts
        hessian = tg.hessian(lambda x: (1.0 / (x[0] + 1j * x[1])).real)(np.array([1.0, sign]))
        second = 2.0 / (1.0 + sign * 1j) ** 3
        np.testing.assert_allclose(
            hessian, [[second.real, -second.imag], [-second.imag, -second.real]], atol=1e-15
        )


EXPONENTS = [0, 1, 2, 3, 7, -1, -2, 99, 0.5, 1.5, -0.7, 2j, 1.0 - 0.5j, 100]


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_powers_are_numpys_and_have_holomorphic_derivatives(exponent):
    points = POINTS[[0, 1, 2, 4, 6]]
    wanted = points**exponent
    slopes = W * exponent * points ** (exponent - 1)

    def power(x, y):
        return made(x, y) ** exponent

    found = recorded(power, points.real, points.imag)
    assert np.all(np.abs(found - wanted) <= 2e-15 * (2.0 + abs(exponent)) * np.abs(wanted))
    gradient = tg.grad(lambda x: np.sum((W * power(*x)).real))(np.array([points.real, points.imag]))
    size = 1e-14 * (2.0 + abs(exponent)) * np.maximum(np.abs(slopes), 1e-300)
    assert np.all(np.abs(gradient[0] - slopes.real) <= size)
    assert np.all(np.abs(gradient[1] + slopes.imag) <= size)


@pytest.mark.parametrize("name", ["tan", "tanh"])
def test_tangents_are_constant_far_out_and_their_derivatives_do_not_overflow(name):
    turn = 1.0 if name == "tanh" else 1j
    for far in (19.9, 20.1, 300.0, 800.0):
        z = (far + 0.3j) / turn
        # tan(-iz) = -i tanh(z), so both give the real part of tanh'(z).
        slope = tg.grad(lambda x, z=z: (getattr(np, name)(z + x / turn) * turn).real)(0.0)
        wanted = 4.0 * np.exp(-2.0 * (far + 0.3j))
        assert slope == pytest.approx(wanted.real, rel=1e-12, abs=1e-320)


@pytest.mark.parametrize("base", [2, 0.5, -1.5, 1j, 2.0 - 1.0j])
def test_powers_of_a_constant_and_by_an_active_exponent(base):
    x = np.array([0.3, -1.2])
    z = x[0] + 1j * x[1]
    wanted = (W * np.log(complex(base)) * complex(base) ** z).conj()
    gradient = tg.grad(lambda x: (W * base ** (x[0] + 1j * x[1])).real)(x)
    np.testing.assert_allclose(gradient, [wanted.real, wanted.imag], rtol=1e-13)
    slope = tg.grad(lambda a: (W * (base * 1j) ** a).real)(0.7)
    right = (W * np.log(base * 1j) * (base * 1j) ** 0.7).real
    assert slope == pytest.approx(right, rel=1e-13)


def test_powers_of_zero_are_numpys():
    def of_zero(a):
        return np.array([0j, 0j, 1j]) ** a[0]

    assert recorded(of_zero, np.array([1.5]))[:2].tolist() == [0.0, 0.0]
    assert tg.grad(lambda a: np.sum((np.array([0j, 1j]) ** a).real))(1.5) == pytest.approx(
        -np.sin(0.75 * np.pi) * np.pi / 2, rel=1e-14
    )


def test_what_is_wholly_real_or_half_passive_is_the_same_function():
    x = np.array([0.4, 1.7])
    for function, slope in {
        (lambda x: np.exp(x + 0j).real): np.exp(x),
        (lambda x: np.log(x + 0j).real): 1.0 / x,
        (lambda x: np.sqrt(x + 0j).real): 0.5 / np.sqrt(x),
        (lambda x: np.sqrt(-x + 0j).imag): 0.5 / np.sqrt(x),
        (lambda x: np.sqrt(-x - 0j).imag): -0.5 / np.sqrt(x) * np.sign(np.sqrt(-x - 0j).imag) * -1,
        (lambda x: (1.0 / (x + 0j)).real): -1.0 / x**2,
        (lambda x: (1.0 / (1j * x)).imag): 1.0 / x**2,
        (lambda x: np.log(1j * x).real): 1.0 / x,
        (lambda x: (x / (2.0 + 0j)).real): [0.5, 0.5],
        (lambda x: np.tanh(x + 0j).real): 1.0 - np.tanh(x) ** 2,
    }.items():
        gradient = tg.grad(lambda x, f=function: np.sum(f(x)))(x)
        np.testing.assert_allclose(gradient, slope, rtol=2e-15)


def test_moduli_and_angles_at_zero_have_derivative_zero():
    zero = np.zeros(2)
    assert tg.grad(lambda x: abs(x[0] + 1j * x[1]))(zero).tolist() == [0.0, 0.0]
    assert tg.grad(lambda x: np.angle(x[0] + 1j * x[1]))(zero).tolist() == [0.0, 0.0]
    assert tg.grad(lambda x: np.sign(x[0] + 1j * x[1]).real)(zero).tolist() == [0.0, 0.0]
    value, _ = tg.value_and_grad(lambda x: np.log(x[0] + 1j * x[1]).real)(zero)
    assert value == -np.inf


def test_plain_numbers_in_a_recorded_function_have_numpys_bits():
    seen = {}

    def function(x):
        for name in FUNCTIONS:
            seen[name] = getattr(np, name)(POINTS), getattr(np, name)(np.complex128(0.3 + 0.4j))
        return x * 1.0

    tg.grad(function)(1.0)
    for name, (array, number) in seen.items():
        wanted = getattr(np, name)(POINTS), getattr(np, name)(np.complex128(0.3 + 0.4j))
        assert (array.tobytes(), number.tobytes()) == (wanted[0].tobytes(), wanted[1].tobytes())
