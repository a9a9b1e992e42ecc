"""Arrays that a recorded function makes hold active numbers, those of objects too."""

from __future__ import annotations

import operator

import numpy
import numpy as np
import pytest
from numpy import zeros

import tapegrad as tg
from tests.recorded_gradient import POINT, assert_gradient

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
                 np.zeros(2, complex), np.array(["a"]), np.array([1, 2])]  # fmt: skip
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
