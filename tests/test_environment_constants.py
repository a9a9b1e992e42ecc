"""Closed-over constants of every type: another value records again, an equal one doesn't."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg


def reader(value):
    """Return f(x) = scale(value) * x with `value` in a closure, a change and the ticks."""
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x * scale(value)

    def change(new):
        nonlocal value
        value = new

    return f, change, ticks


def scale(value):
    """Return a number that tells all the constants below apart, the sign of zero too."""
    if value is None:
        return 17.0
    if isinstance(value, bool):
        return 5.0 if value else 6.0
    if isinstance(value, str | bytes):
        return float(len(value)) + 0.5 * value.count(value[:1]) + 100.0 * isinstance(value, bytes)
    if isinstance(value, complex):
        return value.real + 10 * value.imag
    if isinstance(value, list | tuple):
        return sum(scale(v) for v in value) + (0.25 if isinstance(value, list) else 0.0)
    number = float(value)
    if math.isnan(number):
        return 11.0
    return number + 0.125 * math.copysign(1.0, number) + 1000.0 * isinstance(value, int)


CONSTANTS = {
    "int": (1, 2),
    "large_int": (10**40, 10**40 + 10**30),
    "int_to_float": (3, 3.0),
    "bool_to_int": (True, 1),
    "bool": (True, False),
    "none_to_number": (None, 0.5),
    "string": ("relu", "relur"),
    "bytes": (b"aa", b"ab"),
    "string_to_bytes": ("aa", b"aa"),
    "zero_to_minus_zero": (0.0, -0.0),
    "minus_zero_to_zero": (-0.0, 0.0),
    "number_to_nan": (0.5, math.nan),
    "nan_to_number": (math.nan, 0.5),
    "infinity": (math.inf, -math.inf),
    "last_bit": (0.1, math.nextafter(0.1, 1.0)),
    "float32": (np.float32(0.1), np.float32(0.2)),
    "float32_zero_to_minus_zero": (np.float32(0.0), np.float32(-0.0)),
    "float64": (np.float64(0.1), np.float64(0.2)),
    "float64_zero_to_minus_zero": (np.float64(0.0), np.float64(-0.0)),
    "int64": (np.int64(1), np.int64(2)),
    "numpy_bool": (np.True_, np.False_),
    "complex": (1 + 2j, 1 + 3j),
    "tuple": ((1.0, (2, "a")), (1.0, (2, "ab"))),
    "tuple_to_list": ((1.0, 2.0), [1.0, 2.0]),
    "zero_in_a_tuple_to_minus_zero": ((1.0, 0.0), (1.0, -0.0)),
    "float32_zero_in_a_list_to_minus_zero": ([np.float32(0.0)], [np.float32(-0.0)]),
    "array_of_no_axes_to_minus_zero": (np.array(0.0), np.array(-0.0)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_of_another_value_records_again(name):
    old, new = CONSTANTS[name]
    f, change, ticks = reader(old)
    derivative = tg.grad(f)
    assert derivative(1.0) == scale(old)
    change(new)
    assert derivative(1.0) == scale(new)
    assert derivative(2.0) == scale(new)
    assert ran(ticks) == 2


EQUALS = {
    "float": lambda: float("0.1"),
    "large_int": lambda: int("1" + "0" * 30),
    "string": lambda: "".join(["re", "lu"]),
    "nan": lambda: float("nan"),
    "float32": lambda: np.float32(0.1),
    "float32_nan": lambda: np.float32("nan"),
    "float64_nan": lambda: np.float64("nan"),
    "complex": lambda: complex("1+2j"),
    "list": lambda: [0.1, [2.0, "a"], None],
    "list_with_nan": lambda: [float("nan"), np.float32("nan")],
    "dict": lambda: {"a": [1.0], "b": {"c": 2}},
    "array": lambda: np.arange(3.0),
    "array_with_nan": lambda: np.array([1.0, np.nan]),
    "array_of_no_axes_with_nan": lambda: np.array(np.nan),
    "empty_array": lambda: np.zeros((3, 0)),
    "strided_array": lambda: np.arange(12.0).reshape(3, 4).T[::2],
    "bool_array": lambda: np.array([True, False]),
    "string_array": lambda: np.array(["ab", "c"]),
    "set": lambda: {1, 2, "a"},
    "range": lambda: range(0, 10, 3),
    "slice": lambda: slice(0, 3),
}


@pytest.mark.parametrize("name", EQUALS)
def test_an_equal_constant_of_another_identity_does_not_record_again(name):
    f, change, ticks = constant_reader(EQUALS[name]())
    derivative = tg.grad(f)
    assert derivative(1.0) == 1.0
    for x in (2.0, 3.0):
        change(EQUALS[name]())
        assert derivative(x) == 1.0
    assert ran(ticks) == 1


def constant_reader(value):
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x if value is not None else -x

    def change(new):
        nonlocal value
        value = new

    return f, change, ticks


def test_an_array_of_another_type_or_shape_but_the_same_bytes_records_again():
    weights = np.array([1.0, 0.0])
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x * float(weights.dtype.itemsize + 100 * weights.ndim + weights.reshape(-1)[0])

    derivative = tg.grad(f)
    assert derivative(1.0) == 109.0
    for other in (weights.reshape(1, 2), weights.view(np.int64), weights.view(np.uint8)):
        expected = float(other.dtype.itemsize + 100 * other.ndim + other.reshape(-1)[0])
        weights = other
        assert derivative(1.0) == expected
    assert ran(ticks) == 4


@pytest.mark.parametrize("element", range(0, 1000, 97))
def test_a_change_of_any_one_element_of_a_large_array_is_seen(element):
    data = np.linspace(0.0, 1.0, 1000)
    derivative = tg.grad(lambda x: x * float(np.dot(data, data)))
    derivative(1.0)
    data[element] += 1e-3
    assert derivative(1.0) == float(np.dot(data, data))
