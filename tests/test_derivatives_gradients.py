"""The public gradients: arguments, auxiliary results, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import rosenbrock, two
from trees import same

import tapegrad as tg
from tapegrad.errors import InputTypeError, NotScalarError


def test_a_gradient_by_a_number_is_a_python_float():
    value, gradient = tg.value_and_grad(lambda x: x * x)(3.0)
    assert (value, gradient) == (9.0, 6.0)
    assert type(value) is type(gradient) is float
    assert type(tg.grad(lambda x: x * x)(np.float64(3.0))) is float


def test_a_gradient_by_an_array_is_a_float64_array_of_its_shape():
    x = np.arange(6.0).reshape(2, 3)
    value, gradient = tg.value_and_grad(lambda x: np.sum(x * x))(x)
    assert type(value) is float
    assert type(gradient) is np.ndarray
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, 2 * x)


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 12.0),
        (1, 4.0 + np.cos(3.0)),
        (-1, 4.0 + np.cos(3.0)),
        (-2, 12.0),
        ((0,), (12.0,)),
        ((0, 1), (12.0, 4.0 + np.cos(3.0))),
        ((1, 0), (4.0 + np.cos(3.0), 12.0)),
        ([0, -1], (12.0, 4.0 + np.cos(3.0))),
        (range(2), (12.0, 4.0 + np.cos(3.0))),
        ((), ()),
    ],
)
def test_argnums_choose_the_arguments_and_their_order(argnums, expected):
    same(tg.grad(two, argnums)(2.0, 3.0), expected)
    same(tg.value_and_grad(two, argnums)(2.0, 3.0)[1], expected)
    same(tg.jacobian(two, argnums)(2.0, 3.0), expected)


def test_the_same_argument_chosen_twice_comes_twice():
    same(tg.grad(two, (0, 0))(2.0, 3.0), (12.0, 12.0))


@pytest.mark.parametrize("argnums", [2, -3, (0, 5)])
def test_an_argument_that_is_not_there_can_not_be_chosen(argnums):
    with pytest.raises(InputTypeError, match="2 positional"):
        tg.grad(two, argnums)(2.0, 3.0)


def test_a_keyword_argument_is_not_counted():
    assert tg.grad(lambda x, *, scale: scale * x)(2.0, scale=3.0) == 3.0
    assert tg.grad(two, 1)(2.0, y=3.0) == tg.grad(two, 1)(2.0, 3.0)


def test_integer_arguments_before_the_chosen_one_are_skipped():
    def f(n, x, name, y):
        return n * x * y

    same(tg.grad(f, (1, 3))(3, 2.0, "f", np.float64(5.0)), (15.0, 6.0))


def test_has_aux_returns_more_beside_the_value():
    def f(x):
        return np.sum(x * x), {"double": 2 * x, "n": len(x)}

    x = np.array([1.0, 2.0])
    gradient, aux = tg.grad(f, has_aux=True)(x)
    same(gradient, 2 * x)
    same(aux, {"double": 2 * x, "n": 2})
    (value, aux), gradient = tg.value_and_grad(f, has_aux=True)(x)
    assert value == 5.0
    same(aux, {"double": 2 * x, "n": 2})
    same(gradient, 2 * x)


def test_what_is_auxiliary_adds_nothing_to_the_gradient():
    assert tg.grad(lambda x: (x * x, x * 100.0), has_aux=True)(3.0) == (6.0, 300.0)


@pytest.mark.parametrize(
    "result",
    [
        lambda x: x * np.ones(3),
        lambda x: np.stack([x, x]),
        lambda x: (x, x),
        lambda x: [x],
        lambda x: {"a": x},
        lambda x: None,
        lambda x: "x",
    ],
)
def test_a_gradient_of_what_is_no_number_is_refused(result):
    for make in (tg.grad, tg.value_and_grad, tg.hessian):
        with pytest.raises(NotScalarError):
            make(result)(1.0)
    with pytest.raises(NotScalarError):
        tg.hvp(result)(1.0, 1.0)


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x,), lambda x: (x, x, x),
                                    lambda x: [x, x], lambda x: ((x, x), x)])  # fmt: skip
def test_has_aux_needs_a_pair_of_a_number_and_something(result):
    with pytest.raises(NotScalarError):
        tg.grad(result, has_aux=True)(1.0)


def test_a_constant_function_has_a_gradient_of_zero():
    assert tg.grad(lambda x: 3.0)(1.0) == 0.0
    assert tg.grad(lambda x: np.float64(3.0))(1.0) == 0.0
    same(tg.grad(lambda x: 3.0)(np.ones((2, 2))), np.zeros((2, 2)))
    same(tg.hessian(lambda x: 3.0)(np.ones(2)), np.zeros((2, 2)))
    same(tg.jacobian(lambda x: np.ones(3))(np.ones(2)), np.zeros((3, 2)))
    assert tg.grad(tg.grad(lambda x: 2.0 * x))(1.0) == 0.0


def test_what_is_no_function_is_refused():
    for make in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian, tg.hvp):
        with pytest.raises(TypeError, match="function"):
            make(3.0)


def test_a_derivative_keeps_the_functions_name_and_documentation():
    derivative = tg.grad(rosenbrock)
    assert derivative.__name__ == "rosenbrock"
    assert "rosenbrock" in repr(derivative)


def test_a_derivative_is_a_decorator():
    @tg.grad
    def slope(x):
        """A square."""
        return x * x

    assert slope(3.0) == 6.0
    assert slope.__doc__ == "A square."
