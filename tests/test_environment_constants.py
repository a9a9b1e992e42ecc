"""What a function closes over: constants of every type, and what appears only later."""

from __future__ import annotations

import functools
import importlib
import math
import sys

import numpy as np
import pytest
from closed_over import new_ticks, ran
from closed_over_defaults import Model, Plain, times_lam_of

import tapegrad as tg


def reader(value):
    """Return f(x) = scale(value) * x with `value` in a closure, a change and the ticks."""
    ticks = new_ticks()

    def f(x):
        next(ticks)
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
        next(ticks)
        return x if value is not None else -x

    def change(new):
        nonlocal value
        value = new

    return f, change, ticks


def test_an_array_of_another_type_or_shape_but_the_same_bytes_records_again():
    weights = np.array([1.0, 0.0])
    ticks = new_ticks()

    def f(x):
        next(ticks)
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


def test_a_container_that_grows_or_shrinks_records_again():
    factors = [2.0]
    derivative = tg.grad(lambda x: x * math.prod(factors))
    assert derivative(1.0) == 2.0
    factors.append(3.0)
    assert derivative(1.0) == 6.0
    factors.pop(0)
    assert derivative(1.0) == 3.0
    del factors[:]
    assert derivative(1.0) == 1.0


def test_functions_added_to_a_list_are_followed_from_then_on():
    lam = 0.1
    terms = [lambda x: x]
    derivative = tg.grad(lambda x: sum(term(x) for term in terms))
    assert derivative(1.0) == 1.0
    terms.append(lambda x: lam * x)
    assert derivative(1.0) == pytest.approx(1.1)
    lam = 0.2
    assert derivative(1.0) == pytest.approx(1.2)


def test_a_name_defined_only_after_the_first_call_is_seen(make_module):
    module = make_module(
        "tg_late",
        "def f(x):\n    try:\n        return late * x\n    except NameError:\n        return x\n",
    )
    derivative = tg.grad(module.f)
    assert derivative(1.0) == 1.0
    module.late = 5.0
    assert derivative(1.0) == 5.0
    del module.late
    assert derivative(1.0) == 1.0


def test_an_attribute_set_only_after_the_first_call_is_seen():
    class Loss:
        def __call__(self, x):
            try:
                return self.late * x
            except AttributeError:
                return x

    loss = Loss()
    derivative = tg.grad(loss)
    assert derivative(1.0) == 1.0
    loss.late = 5.0
    assert derivative(1.0) == 5.0


def test_a_keyword_given_to_a_partial_later_is_seen():
    partial = functools.partial(lambda x, lam=1.0: lam * x)
    derivative = tg.grad(partial)
    assert derivative(1.0) == 1.0
    partial.keywords["lam"] = 2.0
    assert derivative(1.0) == 2.0


def test_keyword_defaults_given_to_a_function_later_are_seen():
    def f(x, *, lam):
        return lam * x

    derivative = tg.grad(lambda x: f(x) if f.__kwdefaults__ else x)
    assert derivative(1.0) == 1.0
    f.__kwdefaults__ = {"lam": 2.0}
    assert derivative(1.0) == 2.0


def test_a_builtin_that_is_shadowed_later_is_seen(make_module):
    module = make_module("tg_shadow", "def f(x): return max(x, 2.0 * x)")
    derivative = tg.grad(module.f)
    assert derivative(1.0) == 2.0
    module.max = min
    assert derivative(1.0) == 1.0


def test_a_module_that_is_edited_and_reloaded_is_seen(make_module, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = make_module("tg_reload", "def helper(x): return 2.0 * x")
    derivative = tg.grad(lambda x: module.helper(x))
    assert derivative(1.0) == 2.0
    with open(module.__file__, "w") as file:
        file.write("def helper(x): return 3.75 * x")
    importlib.reload(module)
    assert derivative(1.0) == 3.75


def test_a_list_that_contains_itself_can_be_closed_over():
    knot = [2.0]
    knot.append(knot)
    derivative = tg.grad(lambda x: x * knot[1][1][0])
    assert derivative(1.0) == 2.0
    knot[0] = 3.0
    assert derivative(1.0) == 3.0


def test_objects_that_refer_to_each_other_can_be_closed_over():
    left, right = Plain(), Plain()
    left.other, right.other, right.lam = right, left, 0.5
    derivative = tg.grad(lambda x: times_lam_of(left.other, x))
    assert derivative(1.0) == 0.5
    right.lam = 0.75
    assert derivative(1.0) == 0.75


def test_two_objects_of_one_class_are_watched_each_for_itself():
    first_model, second_model = Model(), Model()
    derivative = tg.grad(lambda x: first_model.times_lam(x) + 10.0 * second_model.times_lam(x))
    first_model.lam, second_model.lam = 1.0, 2.0
    assert derivative(1.0) == 21.0
    first_model.lam = 3.0
    assert derivative(1.0) == 23.0
    second_model.lam = 4.0
    assert derivative(1.0) == 43.0


def test_what_an_untouched_branch_reads_is_watched_too_and_never_harms():
    unused = 1.0
    derivative = tg.grad(lambda x: unused * x if x < 0.0 else 2.0 * x)
    assert derivative(1.0) == 2.0
    unused = 3.0
    assert derivative(1.0) == 2.0
    assert derivative(-1.0) == 3.0
