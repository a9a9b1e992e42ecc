"""Arrays that mean more than their elements, and complex ones: refused by name, everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import InputTypeError

MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
with pytest.warns(PendingDeprecationWarning):
    MATRIX = np.matrix([[1.0, 2.0], [3.0, 4.0]])
COLUMN = np.array([[1.0], [2.0]])
REAL, COMPLEX = np.array([1.0, 2.0]), np.array([1.0 + 2.0j, 2.0])


class Quantity(np.ndarray):
    """An array with a meaning of its own."""


def mean_square(p, y):
    return np.mean((p - y) ** 2)


def test_a_masked_array_is_refused_and_the_ways_out_work():
    plain = mean_square(1.0, MASKED)
    assert plain == 2.0
    for call in (
        lambda: tg.grad(mean_square)(1.0, MASKED),
        lambda: tg.grad(mean_square, 1)(1.0, MASKED),
        lambda: tg.grad(lambda p: mean_square(p, MASKED))(1.0),
        lambda: tg.grad(lambda p: mean_square(MASKED, p))(1.0),
        lambda: tg.grad(lambda p: np.sum(p * MASKED))(np.ones(3)),
        lambda: tg.grad(lambda p: np.sum(np.multiply(MASKED, p)))(1.0),
        lambda: tg.grad(lambda p: np.dot(p, MASKED))(np.ones(3)),
    ):
        with pytest.raises(InputTypeError, match=r"MaskedArray .* its mask would be lost"):
            call()
    assert tg.value_and_grad(mean_square)(1.0, MASKED.compressed()) == (plain, -2.0)
    weights = 1.0 - np.ma.getmaskarray(MASKED)
    weighted = tg.value_and_grad(lambda p, y, w: np.sum(w * (p - y) ** 2) / np.sum(w))
    assert weighted(1.0, MASKED.filled(0.0), weights) == (plain, -2.0)


def test_masks_and_unmasked_values_can_be_used():
    gradient = tg.grad(lambda p: np.sum(p[MASKED.mask] * MASKED.data[MASKED.mask]))(np.ones(3))
    assert gradient.tolist() == [0.0, 2.0, 0.0]


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_refused_and_the_way_out_works():
    for call in (
        lambda: tg.grad(lambda p, a: (a * p)[0, 0])(COLUMN, MATRIX),
        lambda: tg.grad(lambda p: (MATRIX * p)[0, 0])(COLUMN),
        lambda: tg.grad(lambda p: (p.T * MATRIX)[0, 0])(COLUMN),
        lambda: tg.grad(lambda p: (MATRIX @ p)[0, 0])(COLUMN),
        lambda: tg.grad(lambda p: (MATRIX * p)[0, 0])(2.0),
        lambda: tg.grad(lambda p: np.asmatrix(p)[0, 0])(COLUMN),
        lambda: tg.grad(lambda p: p.view(np.matrix)[0, 0])(COLUMN),
    ):
        with pytest.raises(InputTypeError, match=r"matrix .* write @ for its products"):
            call()
    value, gradient = tg.value_and_grad(lambda p, a: (a @ p)[0, 0])(COLUMN, np.asarray(MATRIX))
    assert (value, gradient.tolist()) == ((MATRIX * COLUMN)[0, 0], [[1.0], [2.0]])


def test_other_kinds_are_refused_and_memory_maps_are_arrays(tmp_path):
    quantity = REAL.view(Quantity)
    for call in (
        lambda: tg.grad(lambda p, q: np.sum(p * q))(1.0, quantity),
        lambda: tg.grad(lambda p: np.sum(p * quantity))(1.0),
        lambda: tg.grad(lambda q: np.sum(q * q))(quantity),
    ):
        with pytest.raises(InputTypeError, match=r"Quantity .* pass np\.asarray"):
            call()
    assert tg.grad(lambda p, q: np.sum(p * q))(1.0, np.asarray(quantity)) == 3.0
    mapped = np.memmap(tmp_path / "data", np.float64, "w+", shape=(2,))
    mapped[:] = REAL
    assert tg.grad(lambda p, q: np.sum(p * q))(1.0, mapped) == 3.0
    assert tg.grad(lambda q: np.sum(q * q))(mapped).tolist() == [2.0, 4.0]
    del mapped


def test_a_view_of_an_active_array_is_the_array():
    def f(x):
        y = np.zeros(2)
        y.view()[:] = x
        return np.sum(y.view(np.ndarray) ** 2) + np.sum(y.view(np.float64))

    assert tg.grad(f)(REAL).tolist() == [3.0, 5.0]


def square_sum(x):
    return np.sum(x * x)


HANDLE = tg.value_and_grad(square_sum)
CALLS = {
    "grad": lambda: tg.grad(square_sum)(COMPLEX),
    "grad of a number": lambda: tg.grad(square_sum)(1j),
    "grad of a scalar": lambda: tg.grad(square_sum)(np.complex128(1j)),
    "value_and_grad": lambda: tg.value_and_grad(square_sum)(COMPLEX),
    "jacobian": lambda: tg.jacobian(lambda x: x * x)(COMPLEX),
    "hessian": lambda: tg.hessian(square_sum)(COMPLEX),
    "hvp": lambda: tg.hvp(square_sum)(COMPLEX, REAL),
    "vector": lambda: tg.hvp(square_sum)(REAL, COMPLEX),
    "vector in a list": lambda: tg.hvp(lambda x: square_sum(x[0]))([REAL], [COMPLEX]),
    "jvp": lambda: tg.jvp(square_sum, (COMPLEX,), (REAL,)),
    "tangent": lambda: tg.jvp(square_sum, (REAL,), (COMPLEX,)),
    "tangent of a number": lambda: tg.jvp(lambda x: x * x, (1.0,), (1j,)),
    "vjp": lambda: tg.vjp(square_sum, COMPLEX),
    "cotangent": lambda: tg.vjp(lambda x: x * x, REAL)[1](COMPLEX),
    "cotangent of a number": lambda: tg.vjp(square_sum, REAL)[1](np.complex64(1j)),
    "compiled": lambda: HANDLE.compiled(COMPLEX),
    "handle": lambda: HANDLE.compiled(REAL)(COMPLEX),
    "handle of a list": lambda: HANDLE.compiled(REAL)([1j, 2.0]),
    "result": lambda: tg.grad(lambda x: np.sum(x * COMPLEX))(REAL),
    "result of a jacobian": lambda: tg.jacobian(lambda x: x * COMPLEX)(REAL),
    "result of a jvp": lambda: tg.jvp(lambda x: [x * COMPLEX, 1.0], (REAL,), (REAL,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_complex_numbers_are_refused(name):
    with pytest.raises(InputTypeError, match="complex"):
        CALLS[name]()


def test_the_vector_of_a_compiled_product_must_be_real_too():
    product = tg.hvp(square_sum, compile="now")
    assert product(REAL, REAL).tolist() == [2.0, 4.0]
    with pytest.raises(InputTypeError, match="the vector is complex"):
        product(REAL, COMPLEX)
