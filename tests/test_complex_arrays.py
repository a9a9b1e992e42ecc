"""NumPy's functions of complex arrays: values, derivatives, views, stores, choices and guards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from complex_cases import weighted

import tapegrad as tg
from tapegrad.errors import InputTypeError, LostDerivativeError, UnsupportedFunctionError
from tapegrad.testing import extrapolated_difference

X = np.array([1.1, 2.3, -3.2, 0.8])
D = np.array([0.3, -0.7, 0.2, 0.5])
C = np.array([1 + 2j, 0.5 - 1j, -3j, 2.0])
RNG = np.random.default_rng(2)
A = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
CUBE = RNG.normal(size=(2, 3, 4)) + 1j * RNG.normal(size=(2, 3, 4))


def of(x):
    return x + 0.5j * x[::-1]


def into_out(x):
    out = np.zeros(4, complex)
    np.multiply(x, 2j, out=out)
    np.exp(of(x), out=out, where=x > 2.0)
    np.add.at(out, [0, 0], x[:2] * 1j)
    np.subtract.at(out, [1], x[2])
    np.copyto(out, x, where=x < 1.0)
    return out


def in_place(x):
    z = x * 1j
    z += x
    z -= 1.0
    z /= x
    z *= 2j
    z **= 2
    number = x[0] * 1j
    number += x[1]
    number *= 2.0
    return z + number


def stored(x):
    z = np.zeros((2, 2), complex)
    z[0] = [x[0], 1j * x[1]]
    z[1, 1] += x[2]
    z.imag[1, 0] = x[3]
    z.real[0, 1] = x[0] * x[1]
    z *= 2
    w = z.conj()
    w[0, 0] = 7j
    v = z[1:].reshape(2)  # a view
    v[0] = x[1] * 1j
    y = np.exp(1j * np.arange(3.0))
    y[0] = x[0]
    e = np.empty(3, dtype=np.complex128)
    e[:] = x[0] * 1j
    e[[0, 2]] = C[:2]
    e[np.array([False, True, False])] *= x[2]
    f = np.zeros_like(x * 1j)
    f[1:3] = x[:2] * 2j
    f.fill(x[0])
    return np.concatenate([z.ravel(), w.ravel(), v, y, e, f])


def placed(x):
    z = np.zeros((2, 2), complex)
    np.fill_diagonal(z, x[0] * 1j)
    np.put(z, [1], x[1] * 2j)
    np.putmask(z, np.array([[False, False], [True, False]]), of(x))
    np.place(z, z.real > 100.0, [1j])
    np.put_along_axis(z, np.array([[0], [1]]), x[2] + 1j, 1)
    return z


CASES = {
    "operators": lambda x: (2 - of(x)) / (1j + x) - (-of(x)) * C + x**2j + (+of(x)),
    "plain ones": lambda x: C * x + x / C - C / of(x) + np.complex128(2j) * x - 3j / of(x)[0],
    "exponents of several kinds": lambda x: of(x) ** np.array([2, 0.5, -1.0, 3.0]),
    "parts": lambda x: of(x).real + 1j * of(x).imag + np.real(of(x)) + 1j * np.imag(of(x)),
    "conj": lambda x: of(x).conj() + np.conj(of(x)) * 1j + of(x)[0].conjugate(),
    "abs, angle": lambda x: abs(of(x)) + np.abs(of(x)[0]) + np.angle(of(x), deg=True) + np.angle(C),
    "sign": lambda x: np.sign(of(x)),
    "matmul": lambda x: A @ of(x) + of(x) @ A + np.outer(of(x), C) @ A @ x,
    "matmul of stacks": lambda x: np.matmul(CUBE * x[0], of(x)) + CUBE @ np.outer(x, C)[:, 0],
    "dot": lambda x: np.dot(of(x), C * x) + of(x).dot(A) + np.dot(x, C),
    "vdot": lambda x: np.vdot(of(x), C) + np.vdot(C, of(x)) + np.vdot(x, of(x)),
    "vecdot": lambda x: np.linalg.vecdot(of(x), C * x),
    "inner, outer": lambda x: np.inner(C, of(x)) + np.outer(of(x), C) + np.kron(of(x), C)[:4],
    "einsum": lambda x: np.einsum("i,ij,j->i", of(x), A, C * x)
              + np.einsum("ii", np.outer(x, of(x))),
    "einsum by numbers": lambda x: np.einsum(of(x), [0], C, [0], [0]),
    "tensordot": lambda x: np.tensordot(A, of(x), 1) + np.cross(of(x)[:3], C[:3])[0],
    "multi_dot": lambda x: np.linalg.multi_dot([A, np.outer(of(x), x), A]),
    "sum": lambda x: np.sum(np.outer(of(x), C), axis=0) + of(x).sum(keepdims=True) + sum(of(x)),
    "sum from, where": lambda x: np.sum(of(x), initial=x[0] * 1j, where=x > 1.0),
    "mean": lambda x: of(x).mean() + np.mean(CUBE * x, axis=(0, 2))[0],
    "prod": lambda x: np.prod(of(x)) + np.prod(CUBE * x, axis=1, keepdims=True),
    "prod of axes": lambda x: np.prod(CUBE * x, axis=(0, 2), initial=1j)
                    + np.prod(of(x), where=x > 1),
    "cumsum, cumprod": lambda x: np.cumsum(of(x)) * np.cumprod(of(x))
                       + np.cumprod(CUBE * x, 2)[0, 0],
    "diff": lambda x: np.diff(of(x), prepend=1j) + np.diff(of(x), 2, append=[x[0], 1j]) [0],
    "gradient, trace": lambda x: np.gradient(of(x)) + np.trace(np.outer(of(x), C)),
    "var, std": lambda x: np.var(of(x)) + np.std(np.outer(of(x), C), axis=0),
    "average": lambda x: np.average(of(x), weights=x**2) + np.average(of(x)),
    "concatenate": lambda x: np.concatenate([of(x), x, C]) * np.arange(12),
    "stack": lambda x: np.stack([of(x), C], axis=1) * x[0] + np.vstack([x, of(x)]).T,
    "block, r_": lambda x: np.block([[of(x), C], [C, x]])[0, :4] + np.r_[of(x), 2.0][1:],
    "moves": lambda x: np.roll(of(x), 1) + np.flip(of(x)) * C + of(x)[::-1]
             + np.tile(of(x), 2)[2:6],
    "shapes": lambda x: of(x).reshape(2, 2).T.ravel() + np.expand_dims(of(x), 0).squeeze()
              + of(x)[:, None].swapaxes(0, 1)[0] + np.moveaxis(CUBE * x, 0, 2)[0, :, 0],
    "broadcast": lambda x: np.broadcast_to(of(x), (2, 4)) * C + of(x)[:, np.newaxis][2],
    "split": lambda x: np.split(of(x), 2)[1] * np.array_split(of(x), 2)[0],
    "take": lambda x: np.take(of(x), [0, 2, 2]) * of(x).take([1, 3, 1]) + np.repeat(of(x), 2)[1:4],
    "masks": lambda x: of(x)[x > 1.0] * 2j + np.compress(x > 1.0, of(x))
             + np.extract(x > 1.0, of(x)),
    "insert, append": lambda x: np.append(np.insert(of(x), 1, 2j * x[0]), x) * np.arange(9),
    "delete, tri": lambda x: np.delete(of(x), 1)[0] + np.tril(np.outer(of(x), C)) + np.diag(of(x)),
    "where": lambda x: np.where(x > 1.5, of(x), 1j) + np.where(x > 0.0, C, x) + np.where(C, x, 1j),
    "select": lambda x: np.select([x > 2.5, x > 1.0], [of(x), C], 1j * x),
    "array": lambda x: np.array([[x[0], 1j], [x[1] * 1j, 2]]) @ np.array([1j, x[2]]),
    "array of a type": lambda x: np.asarray([x[0], x[1]], dtype=complex) * x.astype(complex)[:2]
                       + np.array(x, complex)[:2] * np.full(2, x[0] * 1j),
    "full": lambda x: np.full(3, x[1], dtype=complex)
            * np.full_like(np.zeros(3, complex), x[2] * 1j) + np.ones_like(of(x))[:3] * x[0]
            + np.full_like(of(x)[:3], x[3]),
    "polynomials": lambda x: np.polyval(C, of(x)) + np.polyval(of(x), 1j) + np.vander(of(x), 4)[1],
    "convolve": lambda x: np.convolve(of(x), C) + np.convolve(x, C) * np.convolve(C, of(x), "full"),
    "correlate": lambda x: np.correlate(of(x), C, "full") + np.correlate(x, of(x), "full"),
    "trapezoid": lambda x: np.trapezoid(of(x), x) + np.trapezoid(C, x)
                 + np.trapezoid(of(x), dx=x[0]) + np.trapezoid(C, of(x)),
    "interp": lambda x: np.interp(x * 0.3, [0.0, 0.9, 2.0], C[:3]) + np.interp(
        0.4, [0.0, 1.0], of(x)[:2], left=1j * x[0]),
    "linspace": lambda x: np.linspace(x[0] * 1j, x[1], 5) + np.linspace(1j, of(x)[0], 5),
    "ufuncs' methods": lambda x: np.add.reduce(of(x)) + np.multiply.reduce(of(x))
                       + np.multiply.outer(of(x), C) + np.add.accumulate(of(x))
                       + np.add.reduceat(of(x), [0, 2])[0],
    "comparisons": lambda x: x[0] * (
        (of(x) == C).sum() + (of(x) != C).sum() + np.isfinite(of(x)).sum()),
    "emath": lambda x: np.emath.sqrt(x) + np.emath.log(-x[0]) + np.emath.power(x, 1.5)
             + np.emath.arcsin(x) + np.emath.logn(2.0, x[2]) + np.emath.sqrt(x[1]),
    "lists": lambda x: np.exp([x[0] * 1j, x[1]]) * np.sum([x[0] * 1j, 2j]),
    "in place": in_place,
    "out=": into_out,
    "stores": stored,
    "places": placed,
}  # fmt: skip


def number(case):
    return lambda x: weighted(case(x))


@pytest.mark.parametrize("name", CASES)
def test_values_are_numpys_and_derivatives_are_differences(name):
    f = number(CASES[name])
    value, gradient = tg.value_and_grad(f, compile="never")(X)
    assert value == pytest.approx(f(X), rel=1e-13)
    wanted, error = extrapolated_difference(lambda t: np.array([f(X + t * D)]), 0.004)
    assert gradient @ D == pytest.approx(wanted[0], rel=1e-9, abs=1e-9 + 10 * error[0])
    slope = tg.jvp(f, (X,), (D,))[1]
    assert slope == pytest.approx(gradient @ D, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("name", ["operators", "einsum", "prod", "stores", "where", "var, std"])
def test_second_derivatives_are_differences_of_first_ones(name):
    f = number(CASES[name])
    gradient = tg.grad(f, compile="never")
    wanted, error = extrapolated_difference(lambda t: gradient(X + t * D), 0.004)
    np.testing.assert_allclose(tg.hvp(f)(X, D), wanted, rtol=1e-7, atol=1e-7 + 10 * error.max())


def test_machine_code_has_the_sweeps_bits():
    names = ("operators", "matmul", "stores", "where", "prod", "cumsum, cumprod", "abs, angle")

    def total(x):
        return sum(weighted(CASES[name](x)) for name in names)

    code = tg.value_and_grad(total).compiled(X)
    swept = tg.value_and_grad(total, compile="never")
    for x in (X, 1.05 * X):
        value, gradient = code(x)
        assert value == pytest.approx(swept(x)[0], rel=1e-13)
        np.testing.assert_allclose(gradient, swept(x)[1], rtol=1e-11)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 0, 3), (1, 2, 1, 2)])
def test_arrays_of_any_shape(shape):
    w = 1.0 + np.arange(np.prod(shape, dtype=int)).reshape(shape)

    def function(x):
        z = x * 1j + w
        z = np.exp(z) / (z + 2.0) * z.conj()
        assert (z.shape, np.shape(z), np.ndim(z)) == (shape, shape, len(shape))
        assert (z.dtype, np.iscomplexobj(z), np.isrealobj(z)) == (complex, True, False)
        return np.sum(np.abs(z) ** 2)

    x = np.cos(w)
    gradient = tg.grad(function)(x)
    assert np.shape(gradient) == shape
    if x.size:
        step = extrapolated_difference(lambda t: np.array([function(x + t)]), 0.004)[0][0]
        assert np.sum(gradient) == pytest.approx(step, rel=1e-9)


# --- what is one memory ---------------------------------------------------------------------------


def test_parts_and_slices_are_views_and_results_are_not():
    def function(x):
        z = x * (1 + 1j)
        copies = [z.conj(), +z, z.copy(), np.array(z), z * 1.0, z.flatten(), np.real(z) + 0.0]
        z.real[0], z[1:].imag[0] = 10.0, 20.0
        z.reshape(2, 2)[1, 1] = 5j
        z.T[2] = 7.0
        assert all(np.all(copy.real[:1] != 10.0) for copy in copies)
        real, imag = z.real.value, z.imag.value
        assert real.tolist() == [10.0, X[1], 7.0, 0.0]
        assert imag.tolist() == [X[0], 20.0, 0.0, 5.0]
        return np.sum(z.real) + np.sum(z.imag)

    assert tg.grad(function)(X).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_overlapping_stores_are_numpys():
    def function(x):
        z = x * (1 + 2j)
        z[1:] = z[:-1]
        z[:] = z[::-1]
        return np.sum(z.imag * np.arange(4))

    assert tg.value_and_grad(function)(X)[0] == function(X)
    assert tg.grad(function)(X).tolist() == [2.0 * (3 + 2), 2.0, 0.0, 0.0]


def test_what_is_made_of_constants_can_hold_active_numbers():
    def function(x):
        kept = [C.copy(), C * 2, np.exp(C), C[[0, 1, 2, 3]], np.ones(4, complex)]
        for z in kept:
            z[0] = x[0] * 1j
        return sum(z[0].imag for z in kept) + kept[1][1].imag

    assert tg.value_and_grad(function)(X)[0] == 5 * X[0] - 2.0
    assert tg.grad(function)(X).tolist() == [5.0, 0.0, 0.0, 0.0]
    assert C[0] == 1 + 2j


def test_stores_into_floats_warn_and_keep_the_real_part_as_numpys_do():
    def function(x):
        y = np.zeros(2)
        with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part"):
            y[0] = x[0] * (2 + 1j)
        with pytest.warns(np.exceptions.ComplexWarning):
            y[1:] = np.array([x[1] * 1j])
        with pytest.warns(np.exceptions.ComplexWarning):
            w = (x * (1 + 1j)).astype(float)
        return np.sum(y) + w[3]

    assert tg.grad(function)(X).tolist() == [2.0, 0.0, 0.0, 1.0]
    for store in ("y[0] = 1j", "y[:] = [1j, 2j]", "y += 1j * x", "y *= 1j"):
        names = {}
        exec(f"def function(x):\n    y = x[:4] * 1.0\n    {store}\n    return y[0]", names)
        with pytest.raises(TypeError, match="can't hold complex numbers"):
            tg.grad(names["function"])(X)


OUTSIDE = np.zeros(4, complex)


def test_arrays_from_outside_are_refused_with_the_way_out():
    def by_element(x):
        OUTSIDE[0] = x[0]
        return abs(OUTSIDE[0])

    def by_out(x):
        np.multiply(x, 1j, out=OUTSIDE)
        return abs(OUTSIDE[0])

    with pytest.raises(LostDerivativeError, match=r"write y = np.array\(OUTSIDE, complex\)"):
        tg.grad(by_element)(X)
    with pytest.raises(UnsupportedFunctionError, match="with dtype=complex"):
        tg.grad(by_out)(X)
    assert not OUTSIDE.any()


# --- reading --------------------------------------------------------------------------------------


def test_branches_on_complex_numbers_are_guarded():
    def function(x):
        z = x[0] + 1j * x[1]
        if abs(z) > 1.0:
            return (z * z).real
        if z == 0.5j:
            return x[0] * 10.0
        if not z:
            return x[0] * 20.0
        return z.imag if np.any(np.isreal(x * 1j + 0.25)) else (3.0 * z).real

    gradient = tg.grad(function)
    for _ in range(2):
        assert gradient(np.array([1.0, 2.0])).tolist() == [2.0, -4.0]
        assert gradient(np.array([0.0, 0.5])).tolist() == [10.0, 0.0]
        assert gradient(np.array([0.0, 0.0])).tolist() == [20.0, 0.0]
        assert gradient(np.array([0.0, 0.25])).tolist() == [0.0, 1.0]
        assert gradient(np.array([0.5, 0.25])).tolist() == [3.0, 0.0]


def test_truth_values_of_arrays_are_numpys():
    def function(x):
        z = x * 1j
        assert (np.allclose(z, z + 1e-12), np.allclose(z, z + 1.0)) == (True, False)
        assert np.isclose(z, C).tolist() == [False, False, False, False]
        assert [np.array_equal(z, other) for other in (z, C, z[:2])] == [True, False, False]
        assert np.count_nonzero(z) == 4
        assert np.nonzero(z - z[0])[0].tolist() == [1, 2, 3]
        assert [bool(t) for t in (np.all(z), np.any(z), z[0] in z, np.isnan(z).any())] == [
            True, True, True, False]  # fmt: skip
        assert [bool(w) for w in z] == [True] * 4
        with pytest.raises(ValueError, match="ambiguous"):
            bool(z)
        return np.sum(z.imag)

    assert tg.grad(function)(X).tolist() == [1.0, 1.0, 1.0, 1.0]


REFUSED = {
    "<": (lambda x: x[0] * 1j < 2, TypeError, "'<' not supported between complex numbers"),
    ">= of arrays": (lambda x: x * 1j >= x, TypeError, "'>=' not supported"),
    "reflected": (lambda x: x < 1j, TypeError, "< is not supported for complex numbers"),
    "max": (lambda x: max(x[0] * 1j, 1j), TypeError, "not supported"),
    "//": (lambda x: x[0] * 1j // 2, TypeError, "//"),
    "% of a float": (lambda x: x % 1j, TypeError, "%"),
    "floor": (lambda x: np.floor(x * 1j), UnsupportedFunctionError, "numpy.floor has no rule"),
    "arctan2": (lambda x: np.arctan2(x, 1j), UnsupportedFunctionError, "numpy.arctan2"),
    "sort": (lambda x: np.sort(x * 1j), UnsupportedFunctionError, "numpy.sort has no rule"),
    "maximum": (lambda x: np.maximum(x * 1j, 1.0), UnsupportedFunctionError, "numpy.maximum"),
    "reduce": (lambda x: np.divide.reduce(x * 1j), UnsupportedFunctionError, "divide.reduce"),
    "float": (lambda x: float(x[0] * 1j), TypeError, "write z.real"),
    "int": (lambda x: int(x[0] * 1j), TypeError, "write z.real"),
    "math": (lambda x: math.sin(x[0] * 1j), TypeError, "call cmath.sin"),
    "view": (lambda x: (x * 1j).view(float), AttributeError, "view has no rule"),
    "no method": (lambda x: (x * 1j).nothing(), AttributeError, "no attribute 'nothing'"),
    "index": (lambda x: [1, 2][x[0] * 1j], TypeError, "indices"),
    "complex64": (lambda x: (x * 1j).astype(np.complex64), LostDerivativeError, "complex128"),
    "dtype": (lambda x: np.sum(x * 1j, dtype=np.complex64), UnsupportedFunctionError, "complex128"),
    "result": (lambda x: x[0] * 1j, InputTypeError, r"np\.real\(z\)"),
    "result in a list": (lambda x: [x[0] * 1j, 1.0], InputTypeError, r"np\.abs\(z\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_complex_numbers_can_not_do_is_refused_by_name(name):
    function, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        tg.grad(function)(X)
