"""`cmath`, `complex` and complex scalars in recorded functions, and where complex numbers end."""

from __future__ import annotations

import cmath
import copy
import functools
import json
import pickle

import numba
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import (
    InputTypeError,
    LostDerivativeError,
    UnhashableError,
    UnsupportedFunctionError,
)
from tapegrad.testing import extrapolated_difference

NAMES = ["exp", "log", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin",
         "acos", "atan", "asinh", "acosh", "atanh"]  # fmt: skip
CMATH = {name: getattr(cmath, name) for name in NAMES} | {
    "log to a base": lambda z: cmath.log(z, 1.5 + 0.5j),
    "log to an active base": lambda z: cmath.log(2.0, z),
    "phase": lambda z: cmath.phase(z) + 1j,
    "polar": lambda z: complex(*cmath.polar(z)),
    "rect": lambda z: cmath.rect(z.real, z.imag),
}


@pytest.mark.parametrize("name", CMATH)
def test_functions_of_cmath_are_recorded(name):
    def function(x):
        z = getattr(cmath, name)(complex(x[0], x[1])) if name in NAMES else CMATH[name](
            complex(x[0], x[1]))  # fmt: skip
        return 0.7 * z.real - 1.3 * z.imag

    x, d = np.array([0.4, 0.9]), np.array([0.6, -0.8])
    value, gradient = tg.value_and_grad(function)(x)
    assert value == pytest.approx(function(x), rel=1e-14)
    wanted = extrapolated_difference(lambda t: np.array([function(x + t * d)]), 0.004)[0][0]
    assert gradient @ d == pytest.approx(wanted, rel=1e-9)


def test_truth_values_of_cmath_are_guarded():
    def function(x):
        z = complex(x, 1.0)
        if cmath.isclose(z, 2.0 + 1.0j) or cmath.isinf(z):
            return 3.0 * z.real
        if cmath.isnan(z) or not cmath.isfinite(z):
            return 5.0 * x
        return z.imag * x * abs(cmath.e)

    gradient = tg.grad(function)
    for _ in range(2):
        assert [gradient(x) for x in (2.0, 1.0, np.inf, np.nan)] == [3.0, cmath.e, 3.0, 5.0]


def test_complex_makes_numbers_of_active_ones_however_it_is_reached():
    kind = complex

    def function(x, made=complex):
        numbers = [
            complex(x[0]), complex(x[0], x[1]), complex(1, x[1]), complex(imag=x[2]), kind(x[0]),
            complex(x[0] * 1j, x[1] * 1j), made(x[0], 2.0), functools.partial(complex, 1.0)(x[1]),
            np.complex128(x[0]), complex(np.array(x[2])), complex(x[0] * 1j),
        ]  # fmt: skip
        assert all(isinstance(z, complex) for z in numbers)
        assert not any(isinstance(z, float) for z in numbers)
        assert (np.zeros(1, complex).dtype, complex("1+2j"), issubclass(bool, complex)) == (
            np.complex128, 1 + 2j, False)  # fmt: skip
        assert isinstance(1j, complex)
        assert np.complex128([x[0], 1j])[1] == 1j
        total = sum(numbers)
        return total.real + 10.0 * total.imag

    x = np.array([1.0, 2.0, 4.0])
    value, gradient = tg.value_and_grad(function)(x)
    assert value == function(x)
    assert gradient.tolist() == [5.0 + 20.0, 30.0 - 1.0, 10.0 + 1.0]


def test_complex_scalars_are_numbers_as_numpys_are():
    def function(x):
        z = x[0] * 1j + x[1]
        assert (z.shape, z.ndim, z.size, z.dtype, np.shape(z)) == ((), 0, 1, complex, ())
        assert copy.copy(z) is z
        assert copy.deepcopy(z) is z
        assert z.item() is z
        assert z != "a"
        assert z == z.conjugate().conj()
        assert (z[()] == z, z.astype(complex) == z, np.array(z).shape) == (True, True, ())
        assert (z.reshape(1).shape, z.ravel()[0] == z, z.sum() == z) == ((1,), True, True)
        assert z.real == x[1]
        with pytest.raises(UnhashableError, match=r"z\.value"):
            hash(z)
        for thing in (z, np.array([z])):
            with pytest.raises(LostDerivativeError, match="pickled"):
                pickle.dumps(thing)
        return pow(z, 2).imag + round(z.real, 3) * 0.0 + sum([z, 1j]).real

    assert tg.grad(function)(np.array([3.0, 2.0])).tolist() == [4.0, 7.0]


def test_plain_values_and_texts_are_this_calls():
    seen = []

    def function(x):
        z = np.array([x * 1j, 2.0])
        seen.append((z.value.tolist(), (x * 1j).value, str(x * 1j), f"{x * 1j:.1f}"))
        return abs(z[0])

    gradient = tg.grad(function)
    for x in (1.0, 2.5, 1.0):
        gradient(x)
        assert seen[-1] == ([x * 1j, 2.0], x * 1j, str(np.complex128(x * 1j)), f"{x * 1j:.1f}")


def test_gradients_can_be_stopped_and_plain_ones_had_then():
    def function(x):
        z = tg.stop_gradient(x * 1j)
        assert json.dumps(str(z)) == '"2j"'
        assert pickle.loads(pickle.dumps(tg.stop_gradient(np.array([z])))).tolist() == [2j]
        return abs(z) * x + tg.stop_gradient(np.array([x * 1j]))[0].imag

    assert tg.grad(function)(2.0) == 2.0


def test_what_is_tapped_left_or_auxiliary_may_be_complex():
    class Holder:
        pass

    holder, seen = Holder(), []

    def function(x):
        z = x * 1j
        holder.numbers, holder.number = z + 1.0, z[0]
        tg.tap(seen.append, {"z": z, "first": z[0]})
        return np.sum(np.abs(z)), (z * 2.0, z[1])

    gradient = tg.grad(function, has_aux=True)
    for x in (np.array([1.0, 2.0]), np.array([3.0, 5.0])):
        found, (array, number) = gradient(x)
        assert found.tolist() == [1.0, 1.0]
        assert (array.tolist(), number) == ((2j * x).tolist(), 1j * x[1])
        assert holder.numbers.tolist() == (1.0 + 1j * x).tolist()
        assert (type(holder.number), holder.number) == (np.complex128, 1j * x[0])
        assert seen[-1]["z"].tolist() == (1j * x).tolist()
        assert type(array) is np.ndarray


RESULTS = {
    "grad": lambda f: tg.grad(f)(1.0),
    "value_and_grad": lambda f: tg.value_and_grad(f)(1.0),
    "jacobian": lambda f: tg.jacobian(f)(np.ones(2)),
    "hessian": lambda f: tg.hessian(f)(np.ones(2)),
    "hvp": lambda f: tg.hvp(f)(np.ones(2), np.ones(2)),
    "jvp": lambda f: tg.jvp(f, (1.0,), (1.0,)),
    "vjp": lambda f: tg.vjp(f, 1.0),
    "aux": lambda f: tg.grad(lambda x: (f(x), 1.0), has_aux=True)(1.0),
}


@pytest.mark.parametrize("door", RESULTS)
def test_a_complex_result_is_an_error_that_names_the_way_out(door):
    with pytest.raises(InputTypeError, match=r"complex numbers.*np\.real\(z\).*np\.abs\(z\)"):
        RESULTS[door](lambda x: x * (1.0 + 2.0j))


def test_derivatives_inside_see_complex_numbers_of_the_outer_recording():
    def function(x):
        inner = tg.grad(lambda y: ((y + 1j * x) ** 3).imag)(2.0)  # 3 (y + ix)^2 -> 12 x
        return inner + tg.jvp(lambda y: np.abs(y * 1j) ** 2, (x,), (1.0,))[1]  # 2 x

    assert tg.grad(function)(0.7) == pytest.approx(14.0)
    solved = tg.root(lambda u, a: abs(u * 1j + a) - 3.0, 2.0)
    assert tg.grad(solved)(1.0) == pytest.approx(-1.0 / np.sqrt(8.0))


def test_complex_numbers_are_passed_to_inner_derivatives_and_closed_over_by_them():
    def of_arguments(p):
        inner = tg.grad(lambda y, c: abs(y * c))(p[0], p[1] * 1j)  # |p1|
        return inner + tg.root(lambda u, c: abs(u * 1j + c) - 8.0, 2.0)(p[0] * 1j)  # 8 - p0

    def of_closures(p):
        c, array = p[0] * 1j, p * (1.0 + 1.0j)
        size = tg.root(lambda u: abs(u * 1j + c) + np.sum(np.abs(array)) - 8.0, 2.0)()
        return size + tg.checkpoint(lambda x: np.sum(np.abs(array * x)))(p[1])

    p, root = np.array([1.0, 2.0]), np.sqrt(2.0)
    assert tg.value_and_grad(of_arguments)(p)[0] == pytest.approx(9.0)
    np.testing.assert_allclose(tg.grad(of_arguments)(p), [-1.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(
        tg.grad(of_closures)(p), [-1.0 - root + 2.0 * root, -root + 5.0 * root], rtol=1e-12
    )
    for by_complex in (lambda x: tg.grad(abs)(x * 1j), lambda x: tg.root(abs, x * 1j)()):
        with pytest.raises(InputTypeError, match="the real and the imaginary part"):
            tg.grad(by_complex)(1.0)


def test_checkpoints_take_and_return_complex_numbers():
    def steps(x, around):
        step = around(lambda z: {"z": z - 0.1 * np.exp(1j * z), "first": z[0]})
        z = x * (1.0 + 0.1j)
        for _ in range(4):
            found = step(z)
            z = found["z"] + 0.01 * found["first"]
        return np.sum(np.abs(z) ** 2)

    x = np.array([1.0, 2.0])
    plain, kept = (tg.hessian(lambda x, a=a: steps(x, a)) for a in (lambda f: f, tg.checkpoint))
    np.testing.assert_allclose(kept(x), plain(x), rtol=1e-12)
    first = tg.grad(lambda x: steps(x, tg.checkpoint))(x)
    np.testing.assert_allclose(first, tg.grad(lambda x: steps(x, lambda f: f))(x), rtol=1e-13)


def test_a_pullback_beside_a_complex_auxiliary_result():
    value, pullback, aux = tg.vjp(lambda x: (x * x, x * 1j), 3.0, has_aux=True)
    assert (value, pullback(1.0), aux) == (9.0, (6.0,), 3j)
    found, moved = tg.jvp(lambda x: (x * x, x * 1j), (3.0,), (1.0,))
    assert (found, moved) == ((9.0, 3j), (6.0, 1j))


@numba.njit
def modulus(z):
    return abs(z)


def test_compiled_functions_are_refused_complex_numbers_by_name():
    for call in (lambda x: modulus(x[0] * 1j), lambda x: modulus(x * 1j)[0]):
        with pytest.raises(UnsupportedFunctionError, match=r"Numba function: pass z\.real"):
            tg.grad(call)(np.ones(2))


def test_functions_of_scipy_are_refused_complex_numbers_by_name():
    special = pytest.importorskip("scipy.special")
    with pytest.raises(UnsupportedFunctionError, match=r"scipy\.special\.gamma has no rule"):
        tg.grad(lambda x: special.gamma(x * 1j).real)(1.0)


def test_default_arguments_that_are_functions_of_cmath_are_recorded_too():
    assert tg.grad(lambda x, sine=cmath.sin: sine(x).real)(0.5) == pytest.approx(np.cos(0.5))
    kept = [cmath.sin]
    with pytest.raises(LostDerivativeError, match=r"cmath\.sin was bound where"):
        tg.grad(lambda x: kept[0](x).real)(0.5)
