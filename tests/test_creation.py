"""Arrays that a recorded function makes hold active numbers, those of objects too."""

from __future__ import annotations

import functools
import inspect
import math
import operator
import pickle

import numpy
import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
from numpy import zeros

import tapegrad as tg
from tapegrad.errors import LostDerivativeError
from tests.recorded_gradient import POINT, assert_gradient


def filled_with(array, number):
    array[...] = number
    return array


# --- arrays that can hold active numbers --------------------------------------------------------


def filled(make):
    """Return a function that stores squares in an array it makes."""

    def function(x):
        y = make(x)
        for i in range(3):
            y[i] = x[i] ** 2 + y[i]
        return np.sum(y * x)

    return function


MAKERS = {
    "zeros": lambda x: np.zeros(3),
    "zeros of a shape": lambda x: np.zeros(x.shape),
    "zeros of float": lambda x: np.zeros(len(x), dtype=float),
    "zeros of float64": lambda x: np.zeros(3, np.float64),
    "zeros of a name": lambda x: np.zeros(3, "d"),
    "ones": lambda x: np.ones(3),
    "full": lambda x: np.full(3, 1.5),
    "full of an active": lambda x: np.full(3, x[0]),
    "full of actives": lambda x: np.full((3,), x),
    "ndarray": lambda x: filled_with(np.ndarray(3), 0.25),
    "ndarray of a shape": lambda x: filled_with(np.ndarray(shape=(1, 3), dtype=float), 0.5)[0],
    "eye": lambda x: np.eye(3)[1],
    "identity": lambda x: np.identity(3)[2],
    "arange": lambda x: np.arange(3.0),
    "linspace": lambda x: np.linspace(0.0, 1.0, 3),
    "geomspace": lambda x: np.geomspace(1.0, 4.0, 3),
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "full_like": lambda x: np.full_like(x, 2.0),
    "full_like a plain one": lambda x: np.full_like(np.ones(3), x[0]),
    "zeros_like of a plain": lambda x: np.zeros_like(POINT),
    "array of a plain": lambda x: np.array(POINT),
    "array of a list": lambda x: np.array([1.0, 2.0, 3.0]),
    "array of actives": lambda x: np.array([x[0], x[1], 1.0]),
    "array of an active array": np.array,
    "asarray": lambda x: np.asarray([x[0], x[2], 2]),
    "asanyarray": lambda x: np.asanyarray((x[0], x[2], 2.0)),
    "asarray of float": lambda x: np.asarray([x[0], x[2], 2], dtype=float),
    "ascontiguousarray": lambda x: np.ascontiguousarray([x[0], x[1], x[2]]),
    "ndmin": lambda x: np.array([x[0], x[1], x[2]], ndmin=2)[0],
    "atleast_1d": lambda x: np.atleast_1d([x[0], 0.5, x[2]]),
    "atleast_2d": lambda x: np.atleast_2d([x[0], 0.5, x[2]])[0],
    "atleast_1d of a list": lambda x: np.atleast_1d([1.0, 0.5, 2.0]),
    "rows": lambda x: np.array([x, 2.0 * x])[1],
    "nested": lambda x: np.array([[x[0], 1.0, 2.0], [x[1], x[2], 0.0]])[1],
    "fromiter": lambda x: np.fromiter((v * v for v in x), float),
    "fromfunction": lambda x: np.fromfunction(lambda i: i * 2.0, (3,)),
    "copy": lambda x: np.zeros(3).copy(),
    "a slice": lambda x: np.zeros((2, 3))[0],
    "sum of two": lambda x: np.zeros(3) + np.ones(3),
    "by the other name": lambda x: numpy.zeros(3),
    "by the imported name": lambda x: zeros(3),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_array_made_by_the_function_holds_active_numbers(name):
    assert_gradient(filled(MAKERS[name]))


def test_ndarray_is_the_type_where_it_is_not_called():
    def function(x):
        plain = np.array([1, 2, 3])
        assert type(plain) is np.ndarray
        assert isinstance(x, np.ndarray)
        assert {np.ndarray: 1}[type(plain)] == 1
        assert np.ndarray((2,), int).dtype == np.int_
        assert np.ndarray((2,), buffer=bytearray(16)).tolist() == [0.0, 0.0]
        return np.sum(plain * x)

    assert_gradient(function)


# --- results of functions ------------------------------------------------------------------------

TABLE = np.array([0.2, 0.5, 0.9])
RESULTS = {
    "copy": lambda: np.copy(TABLE),
    "exp": lambda: np.exp(TABLE),
    "sum of two": lambda: np.add(TABLE, 1.0),
    "tile": lambda: np.tile(TABLE, 2),
    "repeat": lambda: np.repeat(TABLE, 2),
    "outer": lambda: np.outer(TABLE, TABLE)[1],
    "outer of a ufunc": lambda: np.multiply.outer(TABLE, TABLE)[0],
    "accumulated": lambda: np.add.accumulate(TABLE),
    "hstack": lambda: np.hstack([TABLE, TABLE]),
    "concatenate": lambda: np.concatenate((TABLE, [1.0])),
    "where": lambda: np.where(TABLE > 0.3, TABLE, 0.0),
    "sort": lambda: np.sort(TABLE)[::-1],
    "gradient of several": lambda: np.gradient(np.outer(TABLE, TABLE))[0][1],
    "cumsum": lambda: np.cumsum(TABLE),
    "interp": lambda: np.interp(TABLE, [0.0, 1.0], [2.0, 3.0]),
    "dot": lambda: np.dot(np.eye(3), TABLE),
    "clip": lambda: np.clip(TABLE, 0.3, 0.8),
    "pad": lambda: np.pad(TABLE, 1),
}


@pytest.mark.parametrize("name", RESULTS)
def test_the_result_of_a_function_of_constants_can_be_stored_into(name):
    make = RESULTS[name]
    source = f"def function(x):\n    y = {name_of(make)}\n" + (
        "    for i in range(3):\n        y[i] = x[i] ** 2 + y[i]\n    y[1:3] *= x[0]\n"
        "    return np.sum(y[:3] * x)\n"
    )
    names = {"np": np, "TABLE": TABLE}
    exec(source, names)
    assert_gradient(names["function"])
    assert TABLE.tolist() == [0.2, 0.5, 0.9]


def name_of(make):
    """Return the text of what a function of one line returns."""
    return inspect.getsource(make).partition("lambda: ")[2].rstrip().rstrip(",")


def test_in_place_operators_and_out_store_into_results():
    def function(x):
        y = np.sqrt(TABLE)
        y += x
        z = np.exp(TABLE)
        np.multiply(y, x, out=z)
        w = np.copy(TABLE)
        np.fill_diagonal(np.reshape(w[:1], (1, 1)), x[2])
        w.fill(x[1])
        return np.sum(y * z * w)

    assert_gradient(function)


def test_a_plain_array_is_named_with_the_line_that_makes_it_hold_active_numbers():
    kept = np.array([1.0, 2.0, 3.0])

    def storing(x):
        y = kept[::-1]
        y[0] = x[0]
        return np.sum(y * x)

    def as_told(x):
        y = kept[::-1]
        y = np.array(y, float)
        y[0] = x[0]
        return np.sum(y * x)

    with pytest.raises(LostDerivativeError, match=r"write y = np\.array\(y, float\) in"):
        tg.grad(storing)(POINT)
    assert_gradient(as_told)


def test_what_shares_memory_with_an_argument_stays_a_view_of_it():
    kept = np.ones((2, 3))

    def function(x):
        rows = np.reshape(kept, (3, 2))
        rows[0, 0] += 1.0
        flat, same = np.ravel(kept), np.negative(kept, out=kept)
        flat[5] = 4.0
        assert same is kept
        return np.sum(x) * float(kept[0, 0]) + float(kept[1, 2])

    tg.value_and_grad(function)(np.ones(3))
    assert kept.tolist() == [[-2.0, -1.0, -1.0], [-1.0, -1.0, 4.0]]


def test_a_function_that_stores_nothing_gets_plain_results():
    def plain(x):
        assert type(np.exp(TABLE)) is np.ndarray
        assert type(np.hstack([TABLE, TABLE])) is np.ndarray
        return np.sum(np.exp(TABLE) * x)

    assert_gradient(plain)


def test_results_are_arrays_to_foreign_code():
    def function(x):
        y = np.exp(TABLE)
        y[0] = 2.0
        assert scipy.linalg.norm(y) == np.linalg.norm(y.tolist())
        assert y.tobytes() == np.array(y.tolist()).tobytes()
        assert pickle.loads(pickle.dumps(y)).tolist() == y.tolist()
        assert scipy.ndimage.gaussian_filter(y, 1.0).shape == y.shape
        assert (y.strides, y.flags.c_contiguous) == ((8,), True)
        assert all(type(number) is float for number in y.tolist())
        y[1] = x[1]
        with pytest.raises(LostDerivativeError):
            y.tobytes()
        return np.sum(y * x)

    assert tg.grad(function)(np.ones(3)).tolist() == [2.0, 2.0, math.exp(0.9)]


def test_a_ufunc_is_itself_to_all_who_ask():
    def function(x):
        assert isinstance(np.exp, np.ufunc)
        assert np.exp.nin == 1
        assert np.exp.__name__ == "exp"
        assert {np.exp: 2.0}[np.exp] == 2.0
        assert pickle.loads(pickle.dumps(np.exp)) == np.exp
        out = np.zeros(3)
        assert np.sin(x, out) is out
        apply = [np.sin, np.exp]
        return functools.reduce(np.add, [f(x[0]) for f in apply]) + np.sqrt([x[0], 2.0])[0] * x[1]

    assert_gradient(function)


def test_an_empty_array_is_filled_by_rows_and_masks():
    def function(x):
        y = np.empty((2, 3))
        y[0] = x * x
        y[1, :2] = x[1:]
        y[1, 2] = 1.0
        y[y > 2.0] *= x[0]
        return y.sum()

    assert_gradient(function)


def test_arrays_of_other_types_stay_plain():
    def function(x):
        kinds = [np.zeros(3, int), np.arange(3), np.ones(2, np.float32), np.array([True, False]),
                 np.zeros(2, np.complex64), np.array(["a"]), np.array([1, 2])]  # fmt: skip
        assert all(type(kind) is np.ndarray for kind in kinds)
        return x[np.arange(3)].sum() * kinds[1].sum()

    assert_gradient(function)


def test_float64_leaves_active_numbers_active_and_is_the_type_to_all_who_ask():
    def function(x):
        assert np.float64 == np.zeros(1).dtype
        assert isinstance(x[0], np.float64)
        assert isinstance(np.float64(1.5), np.float64)
        assert issubclass(np.float64, float)
        assert np.dtype(np.float64) == np.dtype(float)
        return np.float64(x[0]) * np.float64(2.0) + np.float64(x)[1]

    assert_gradient(function)


def test_lists_and_tuples_of_numbers_are_operands():
    def function(x):
        products = x * [1.0, 2.0, 3.0] + (4.0, 5.0, 6.0) - [x[0], 1.0, x[2]]
        return np.sum(products) + np.sum([x[0], x[1]]) + np.dot([x[0], 2.0], [x[1], x[2]])

    assert_gradient(function)
    assert_gradient(lambda x: np.sqrt([x[0], x[1]]).sum() + np.concatenate([[x[0]], [x[1]]])[1])
    assert_gradient(lambda x: np.maximum(x[0], [0.1, 2.0]).sum() + np.diag([x[0], x[1]])[1, 1])


OPERATORS = [operator.add, operator.sub, operator.truediv, operator.floordiv, operator.mod,
             operator.pow]  # fmt: skip
ORDERS = [operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize("numbers", [[1.5, 2.1], (3.0, 1)])
def test_an_element_and_a_list_are_operands_as_to_numpy(operation, numbers):
    assert_gradient(lambda x: np.sum(operation(x[0], numbers) * x[:2]))
    assert_gradient(lambda x: np.sum(operation(numbers, x[0]) * x[:2]))


@pytest.mark.parametrize("operation", ORDERS)
def test_an_element_is_compared_with_a_list_as_by_numpy(operation):
    assert_gradient(lambda x: np.sum(operation(x[0], [0.1, 2.0]) * x[:2]))


REFUSED = [lambda a: a * [1.0, 2.0], lambda a: [1.0, 2.0] * a, lambda a: a - "b", lambda a: a ** {}]


@pytest.mark.parametrize("operation", REFUSED)
def test_an_element_times_a_list_raises_and_so_does_what_is_no_number(operation):
    with pytest.raises(TypeError):
        operation(np.ones(1)[0])
    with pytest.raises(TypeError):
        tg.grad(lambda x: operation(x[0]))(np.ones(1))


# --- object arrays --------------------------------------------------------------------------------


OBJECTS = {
    "sum": lambda o, x: o.sum(),
    "product": lambda o, x: np.prod(o),
    "operators": lambda o, x: (o**2 - 1.0 / o + abs(-o)).sum(),
    "dot": lambda o, x: o.dot(o),
    "matrix product": lambda o, x: (o.reshape(1, 3) @ o.reshape(3, 1))[0, 0],
    "with an active array": lambda o, x: (o * x).sum() + (x * o).sum(),
    "with an active number": lambda o, x: (o * x[0] + x[1] / o).sum(),
    "with a plain array": lambda o, x: (o - POINT).sum() * (POINT + o)[0],
    "cumulated": lambda o, x: np.cumsum(o)[1],
    "elements": lambda o, x: sum(v * v for v in o),
    "sorted": lambda o, x: np.sort(o)[-1],
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("how", ["array", "asarray", "empty"])
def test_an_array_of_objects_computes_with_active_numbers(name, how):
    def function(x):
        if how == "empty":
            objects = np.empty(3, object)
            for i in range(3):
                objects[i] = x[i] * 1.5
        else:
            objects = getattr(np, how)([x[0], x[1] * 2.0, x[2]], dtype=object)
        assert objects.dtype == object
        return OBJECTS[name](objects, x)

    assert_gradient(function)


def test_functions_of_an_array_of_objects_call_the_methods_of_active_numbers():
    def function(x, kind):
        y = np.array([x[0], x[1] * 2.0, x[2]], dtype=kind)
        return (np.sqrt(y) * np.exp(y) - np.sin(y) / np.log1p(y) + np.maximum(y, 1.0)).sum()

    found = tg.grad(function)(POINT, object)
    np.testing.assert_allclose(found, tg.grad(function)(POINT, float), rtol=1e-15)


def test_an_array_of_objects_is_a_result():
    jacobian = tg.jacobian(lambda x: np.array([x[0] * x[1], x[2]], dtype=object))(POINT)
    np.testing.assert_array_equal(jacobian, [[1.3, 0.4, 0.0], [0.0, 0.0, 1.0]])


def test_asarray_of_an_array_is_that_array_and_array_is_a_copy():
    def function(x):
        y = np.zeros(3)
        y[0] = x[0]
        np.asarray(y)[1] = x[1]
        np.array(y)[2] = x[2]
        return y[0] + 2.0 * y[1] + 4.0 * y[2]

    assert tg.grad(function)(np.ones(3)).tolist() == [1.0, 2.0, 0.0]
