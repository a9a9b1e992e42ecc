"""Linear algebra of complex matrices, complex spectra of real ones, and roots of polynomials."""

from __future__ import annotations

import pickle

import numpy as np
import numpy.linalg as la
import pytest
from complex_cases import weighted

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.complex_numbers.complex_spectra import ComplexEigen
from tapegrad.testing import extrapolated_difference

RNG = np.random.default_rng(3)
X = np.array([1.03, 2.01, 2.98, 0.85])
D = np.array([0.3, -0.7, 0.2, 0.5])
A = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
B = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
ROTATING = np.array([[0, 1.0, 0.3, 0], [-1.0, 0, 0, 0.2], [0, 0.4, 1.0, -2.0], [0.1, 0, 2.0, 1.0]])
EYES = np.eye(4) * np.array([1.0, 3.0]).reshape(2, 1, 1)


def of(x):
    return A + 0.3 * np.outer(x, x[::-1]) * (1.0 + 0.5j)


def real(x):
    return ROTATING + 0.1 * np.outer(x, x[::-1])


def hermitian(x):
    return of(x) + of(x).conj().T


CASES = {
    "solve": lambda x: la.solve(of(x), B[0] * x[0]),
    "solve for matrices": lambda x: la.solve(of(x), B * x) + la.solve(A, x),
    "solve, real matrix": lambda x: la.solve(real(x), B[0]) + la.solve(real(x), B),
    "solve, stacks": lambda x: la.solve(EYES + of(x), B) + la.solve(of(x) * EYES, x + 0j)[0],
    "inv": lambda x: la.inv(of(x)) + la.inv(EYES + of(x))[1],
    "det": lambda x: la.det(of(x)) + la.det(EYES + of(x)),
    "det, small": lambda x: la.det(of(x)[:3, :3]) + la.det(of(x)[:1, :1]),
    "slogdet": lambda x: la.slogdet(of(x))[0] + la.slogdet(of(x))[1],
    "lstsq": lambda x: la.lstsq(of(x)[:, :3], B[0] * x, rcond=None)[0],
    "lstsq of matrices": lambda x: la.lstsq(of(x)[:, :2], B, rcond=None)[0],
    "pinv": lambda x: la.pinv(of(x)[:, :3]) + la.pinv(of(x), rtol=None)[:3],
    "cholesky": lambda x: la.cholesky(of(x) @ of(x).conj().T + 5.0 * np.eye(4)),
    "cholesky, upper": lambda x: la.cholesky(
        of(x) @ of(x).conj().T + 5.0 * np.eye(4), upper=True),
    "svd": lambda x: la.svd(of(x)[:, :3], compute_uv=False) + la.svdvals(of(x)[:3]),
    "norm": lambda x: la.norm(of(x)) + la.norm(x * 1j + 1.0) + la.norm(of(x), 2),
    "norms": lambda x: la.norm(of(x), 1) + la.norm(of(x), -np.inf) + la.norm(of(x), "nuc"),
    "norms along axes": lambda x: la.norm(of(x), axis=0) + la.norm(of(x), 1, axis=1)
                        + la.norm(EYES + of(x), axis=(1, 2), keepdims=True)[1, 0],
    "cond": lambda x: la.cond(of(x)) + la.cond(of(x), 1),
    "matrix_power": lambda x: la.matrix_power(of(x) * 0.3, 3) + la.matrix_power(of(x), -2),
    "eig": lambda x: la.eig(of(x))[0] + la.eig(of(x))[1],
    "eigvals": lambda x: la.eigvals(of(x)) + la.eigvals(EYES + of(x))[0],
    "eig, real matrix": lambda x: la.eig(real(x))[0] + la.eig(real(x)).eigenvectors,
    "eigvals, real matrix": lambda x: la.eigvals(real(x)),
    "eigh": lambda x: la.eigh(hermitian(x))[0] + la.eigh(hermitian(x))[1],
    "eigh, upper": lambda x: la.eigh(of(x), "U")[0] + la.eigh(of(x), "U")[1],
    "eigvalsh": lambda x: la.eigvalsh(of(x)) + la.eigvalsh(of(x) + EYES, "U"),
    "roots": lambda x: np.roots(x) + np.roots(x * (1.0 + 0.5j) + 1j * x[::-1]),
    "roots with zeros": lambda x: np.roots(np.array([0.0, x[0], -4.0 * x[2], 1.0, 0.0])),
    "roots beside constants": lambda x: np.roots([1j, x[0], 2.0]),
}  # fmt: skip


def number(case):
    return lambda x: weighted(case(x))


@pytest.mark.parametrize("name", CASES)
def test_values_are_numpys_and_derivatives_are_differences(name):
    f = number(CASES[name])
    value, gradient = tg.value_and_grad(f, compile="never")(X)
    assert value == pytest.approx(f(X), rel=1e-11)
    wanted, error = extrapolated_difference(lambda t: np.array([f(X + t * D)]), 0.004)
    size = np.abs(gradient).max()
    assert gradient @ D == pytest.approx(wanted[0], rel=1e-8, abs=1e-8 * size + 10 * error[0])
    slope = tg.jvp(f, (X,), (D,))[1]
    assert slope == pytest.approx(gradient @ D, rel=1e-9, abs=1e-10 * size)


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_are_differences_of_first_ones(name):
    f = number(CASES[name])
    gradient = tg.grad(f, compile="never")
    found = tg.hvp(f)(X, D)
    wanted, error = extrapolated_difference(lambda t: gradient(X + t * D), 0.004)
    size = 1.0 + np.abs(wanted).max()
    assert np.abs(found - wanted).max() <= 1e-6 * size + 10 * error.max()


@pytest.mark.parametrize("name", ["solve", "eig, real matrix", "eigh", "det", "roots"])
def test_machine_code_calls_the_same_blocks(name):
    f = number(CASES[name])
    code, swept = tg.value_and_grad(f).compiled(X), tg.value_and_grad(f, compile="never")
    for x in (X, 1.01 * X):
        assert code(x)[0] == pytest.approx(f(x), rel=1e-11)
        np.testing.assert_allclose(code(x)[1], swept(x)[1], rtol=1e-9)


def test_a_spectrum_that_becomes_complex_or_real_is_recorded_again():
    def function(x):
        w = la.eigvals(np.array([[0.0, 1.0], [x, 0.0]]))
        roots = np.roots(np.array([1.0, 0.0, -x]))
        if np.iscomplexobj(w):
            return np.sum(np.abs(w.imag)) + np.sum(roots.imag**2)
        return np.sum(np.abs(w)) + 10.0 * np.sum(np.abs(roots))

    gradient = tg.grad(function)
    for _ in range(2):
        assert gradient(4.0) == pytest.approx(11.0 / 2.0)  # of 22 sqrt(x)
        assert gradient(-4.0) == pytest.approx(-0.5 - 2.0)  # of 2 sqrt(-x) - 2 x
        assert gradient(9.0) == pytest.approx(11.0 / 3.0)
        assert gradient(-1.0) == pytest.approx(-1.0 - 2.0)


def test_eigenvalues_that_coincide_have_derivatives_of_their_sum_and_vectors_have_none():
    matrix = np.eye(3) * (1.0 + 1j)
    direction = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))

    def total(x):
        return np.sum(la.eigvals(matrix + x * direction)).imag

    def of_vectors(x):
        return np.sum(la.eigh(np.eye(3) + x * (direction + direction.conj().T))[1].real)

    assert tg.grad(total)(0.0) == pytest.approx(np.trace(direction).imag)
    assert np.isnan(tg.grad(of_vectors)(0.0))


def test_a_singular_matrix_has_a_determinant_with_a_derivative_and_no_inverse():
    matrix = np.outer(A[0], A[1])
    matrix[3] += A[2]
    matrix[2] += A[3]
    other = np.array(matrix)

    def by_corner(x):
        z = other * (1.0 + 0j)
        z[0, 0] += x
        return la.det(z)

    slope = tg.grad(lambda x: by_corner(x).real)(0.0)
    assert slope == pytest.approx(la.det(other[1:, 1:]).real, rel=1e-9)
    singular = np.zeros((2, 2), complex)
    for function in (la.inv, lambda a: la.solve(a, np.ones(2))):
        with pytest.raises(la.LinAlgError):
            tg.grad(lambda x, f=function: np.sum(f(singular * x).real))(1.0)


def test_what_has_no_rule_and_what_has_no_right_shape_is_refused():
    with pytest.raises(UnsupportedFunctionError, match=r"numpy\.linalg\.qr has no rule"):
        tg.grad(lambda x: la.qr(of(x))[0].real[0, 0])(X)
    with pytest.raises(UnsupportedFunctionError, match=r"svd with compute_uv=True"):
        tg.grad(lambda x: la.svd(of(x))[0].real[0, 0])(X)
    for function in (la.inv, la.det, la.eig, la.eigh, la.slogdet, lambda a: la.solve(a, X)):
        with pytest.raises(la.LinAlgError):
            tg.grad(lambda x, f=function: np.sum(f((x * 1j).reshape(1, 4))[0].real))(X)
    with pytest.raises(ValueError, match="don't fit"):
        tg.grad(lambda x: la.solve(of(x), np.ones(3)).real[0])(X)


def test_blocks_of_complex_arrays_are_told_by_what_they_are():
    shapes, active = ((2, 2), (2, 2)), (True, False)
    block = ComplexEigen(shapes, active, True)
    assert block == pickle.loads(pickle.dumps(block)) == ComplexEigen(shapes, active, True)
    assert block != ComplexEigen(shapes, active, False)
    assert hash(block) == hash(ComplexEigen(shapes, active, True))
