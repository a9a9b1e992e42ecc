"""What NumPy's scalars have beside a float's interface, on active numbers; truth values' bits."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import assert_recorded_as_numpy

import tapegrad as tg
from tapegrad.testing import check_grads
from tests.recorded_gradient import assert_gradient

METHODS = {
    "reshape": lambda s: s.reshape(1),
    "reshape to a matrix": lambda s: s.reshape((1, 1)),
    "reshape to nothing": lambda s: s.reshape(()),
    "ravel": lambda s: s.ravel(),
    "flatten": lambda s: s.flatten(),
    "squeeze": lambda s: s.squeeze(),
    "transpose": lambda s: s.transpose(),
    "T": lambda s: s.T,
    "copy": lambda s: s.copy(),
    "astype": lambda s: s.astype(float),
    "conj": lambda s: s.conj(),
    "tolist": lambda s: s.tolist(),
    "item": lambda s: s.item(),
    "flat": lambda s: [s.flat[0], *s.flat],
    "sum": lambda s: s.sum(),
    "mean": lambda s: s.mean(),
    "max": lambda s: s.max() + s.min(),
    "prod": lambda s: s.prod(),
    "clip": lambda s: s.clip(0.0, 0.4),
    "round": lambda s: s.round(1),
    "cumsum": lambda s: s.cumsum(),
    "repeat": lambda s: s.repeat(3),
    "take": lambda s: s.take(0),
    "std": lambda s: s.std() + s.var(),
    "sizes": lambda s: [s.nbytes, s.itemsize, s.strides, s.base is None],
    "fill": lambda s: [s.fill(2.0) is None, s],
}
if hasattr(np.float64, "device"):  # since NumPy 2.1
    METHODS["device"] = lambda s: s.device == "cpu"
REFUSED = {
    "swapaxes": lambda s: s.swapaxes(0, 1),
    "mean of an axis": lambda s: s.mean(axis=0),
    "reshape of two": lambda s: s.reshape(2),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_a_scalar_is_numpys(name):
    assert_recorded_as_numpy(lambda x: METHODS[name](x[0]), np.array([0.7, 2.0]))
    assert_recorded_as_numpy(lambda x: METHODS[name](np.sum(x)), np.array([0.25, -1.0]))


@pytest.mark.parametrize("name", REFUSED)
def test_a_method_refuses_what_numpys_refuses(name):
    assert_recorded_as_numpy(lambda x: REFUSED[name](x[0]), np.array([0.7, 2.0]))


def test_gradients_through_methods_of_scalars():
    def f(x):
        s = np.sum(x**2)
        parts = [s.reshape(1), s.ravel() * 2.0, s.copy().flatten(), s.squeeze() * np.ones(1)]
        return np.sum(np.concatenate(parts)) + s.astype(np.float64) * s.clip(0.0, 10.0)

    check_grads(f, (np.array([0.3, -0.7]),))


def test_whole_numbers_and_truth_values_of_a_scalar_are_read_under_guards():
    g = tg.value_and_grad(lambda x: x[0] * x[1].astype(int) + (x[1] > 2.0).reshape(1)[0] * x[0])
    for point in ([3.0, 1.5], [3.0, 2.5], [3.0, 1.75]):
        x = np.array(point)
        assert g(x)[0] == 3.0 * int(x[1]) + 3.0 * (x[1] > 2.0)


# --- bits -----------------------------------------------------------------------------------------

BITWISE = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
}
OPERANDS = {
    "floats": lambda x: (x, x),
    "elements": lambda x: (x[0], x[1]),
    "a float and truth values": lambda x: (x, x > 0.0),
    "truth values and a float": lambda x: (x > 0.0, 1.5),
    "a truth value and a float": lambda x: (x[0] > 0.0, x[1]),
    "truth values": lambda x: (x > 0.0, x > 1.5),
    "elements' truth values": lambda x: (x[0] > 0.0, x[1] > 1.5),
    "truth values and a constant": lambda x: (x > 1.5, True),
    "truth values and integers": lambda x: (x > 1.5, np.array([2, 3])),
    "a truth value and an integer": lambda x: (3, x[1] > 0.0),
}


@pytest.mark.parametrize("name", BITWISE)
@pytest.mark.parametrize("operands", OPERANDS)
def test_a_bitwise_operation_is_numpys_and_refuses_floats(name, operands):
    for point in ([1.0, 2.0], [-1.0, 1.0]):
        assert_recorded_as_numpy(
            lambda x: BITWISE[name](*OPERANDS[operands](x)), np.array(point), label=operands
        )


@pytest.mark.parametrize("method", [
    lambda x: ~x, np.invert, np.bitwise_or.reduce, np.bitwise_and.accumulate,
    lambda x: np.bitwise_xor.outer(x, x), lambda x: np.bitwise_or.reduceat(x, [0]),
])  # fmt: skip
def test_methods_of_bitwise_operations_refuse_floats_and_take_truth_values(method):
    assert_recorded_as_numpy(method, np.array([1.0, 2.0]))
    assert_recorded_as_numpy(lambda x: method(x > 1.5), np.array([1.0, 2.0]))


def test_integers_beside_truth_values_are_read_at_every_call():
    assert_gradient(lambda x: np.sum(((x > 0.45) & np.array([1, 2, 3])) * x))
    g = tg.grad(lambda x: ((x > 1.0) & 3) * x + ((x > 1.0) | 4) * x)
    assert [g(2.0), g(0.5), g(3.0)] == [6.0, 4.0, 6.0]


def test_the_error_says_what_to_write():
    with pytest.raises(TypeError, match=r"write np\.logical_and"):
        tg.grad(lambda x: np.sum(np.bitwise_and(x, x)))(np.ones(2))
    assert tg.grad(lambda x: np.sum(np.logical_and(x, x) * x))(np.ones(2)).tolist() == [1.0, 1.0]
