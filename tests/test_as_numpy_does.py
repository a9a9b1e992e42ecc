"""Truth values, orders and other people's operators mean in recordings what they mean outside."""

import functools
import math
import operator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

X = np.array([0.3, -0.7, 1.2])


def assert_is_its_function(function, *args):
    """Value as plain, gradient by differences."""
    derivative = tg.value_and_grad(function)
    for point in (args, tuple(0.9 * x for x in args)):
        value, gradient = derivative(*point)
        assert value == pytest.approx(function(*point), rel=1e-14)
        plain = np.ravel(point[0]).astype(float)
        for k, slope in enumerate(np.ravel(gradient)):
            sides = []
            for step in (1e-6, -1e-6):
                moved = plain.copy()
                moved[k] += step
                moved = moved.reshape(np.shape(point[0])) if np.ndim(point[0]) else float(moved[0])
                sides.append(function(moved, *point[1:]))
            assert slope == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6, abs=1e-7)


MASKS = {
    "array of comparisons": lambda x: np.array([v > 0 for v in x]),
    "asarray": lambda x: np.asarray([v > 0 for v in x]),
    "a tuple, two of them": lambda x: np.array(tuple(bool(v > 0) or v > 1 for v in x)),
    "sum is or": lambda x: (x > 0) + (x > 1),
    "product is and": lambda x: (x > 0) * (x < 1),
    "ufuncs": lambda x: np.add(x > 0, x > 1) & np.multiply(x > 0, x < 5),
    "maximum": lambda x: np.maximum(x > 0, x > 1),
    "minimum": lambda x: np.minimum(x > 0, x > -1),
    "a plain mask": lambda x: (x > 1) + np.array([True, False, False]),
    "reflected": lambda x: np.array([True, False, True]) * (x > 0),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_masks(name):
    mask = MASKS[name]
    assert_is_its_function(lambda x: np.sum(x[mask(x)] ** 2), X)
    assert_is_its_function(lambda x: np.sum(mask(x)) * x[0], X)
    assert tg.value_and_grad(lambda x: (x[0], mask(x).dtype == bool), has_aux=True)(X)[0][1]


def test_rows_of_comparisons_are_a_mask_of_two_dimensions():
    assert_is_its_function(
        lambda x: np.sum(np.outer(x, x)[np.array([[a > b for a in x] for b in x])]), X
    )
    numbers = tg.value_and_grad(lambda x: np.sum(np.array([v > 0 for v in x], float)) * x[0])(X)
    assert numbers[0] == 0.6


@pytest.mark.parametrize("operation", [lambda b: b - b, lambda b: -b, lambda b: np.subtract(b, b)])
def test_truth_values_have_no_differences(operation):
    with pytest.raises(TypeError, match="boolean"):
        operation(X > 0)
    with pytest.raises(TypeError, match=r"write .*, or a\.astype\(float\)"):
        tg.grad(lambda x: np.sum(operation(x > 0) * x))(X)
    assert_is_its_function(lambda x: np.sum(((x > 0).astype(float) - (x > 1)) * x), X)


class Unit:
    def __init__(self, factor):
        self.factor = factor

    def __float__(self):
        return float(self.factor)

    def __rmul__(self, other):
        return 1000.0 * other * self.factor

    def __radd__(self, other):
        return other + 7.0 * self.factor


class Kilometres(float):
    def __rmul__(self, other):
        return 1000.0 * other * float(self)


class Plain:
    def __float__(self):
        return 2.0


def test_a_class_with_operators_of_its_own_uses_them():
    km = Unit(2.0)
    assert_is_its_function(lambda x: x * km, 3.0)
    assert_is_its_function(lambda x: x + km, 3.0)
    assert_is_its_function(lambda x: sum([x, km], 0.0), 3.0)
    assert_is_its_function(lambda x: x * Kilometres(2.0), 3.0)
    assert_is_its_function(lambda x: x * Fraction(1, 3) + Fraction(1, 4) * x, 3.0)


ORDERS = {
    "asfortranarray is a copy": lambda x: _written(np.asfortranarray, x),
    "ascontiguousarray is a copy": lambda x: _written(lambda m: np.ascontiguousarray(m.T), x),
    "ascontiguousarray is the array": lambda x: _written(np.ascontiguousarray, x),
    "array in another order": lambda x: np.sum(
        np.array(np.outer(x, [1.0, 2.0]), order="F").ravel("K") * np.arange(6.0)
    ),
    "zeros in another order": lambda x: np.sum(_zeros(x).ravel("K") * np.arange(6.0)),
    "a view where it's no copy": lambda x: _cast(x, copy=False),
    "a copy": lambda x: _cast(x),
}


def _written(make, x):
    whole = np.zeros((3, 3)) + x
    made = make(whole)
    made[1] = x * 2.0
    return np.sum(whole) + made[1] @ x


def _zeros(x):
    a = np.zeros((2, 3), order="F")
    a[:] = x
    a[0, 1] = 5.0
    return a


def _cast(x, **kwargs):
    y = x.copy()
    z = y.astype(float, **kwargs)
    z[0] = 1.0
    return np.sum(y**2)


@pytest.mark.parametrize("name", ORDERS)
def test_copies_and_orders_are_numpys(name):
    assert_is_its_function(ORDERS[name], X)


class Made:
    def __array__(self, dtype=None, copy=None):
        return np.array([2.0, 3.0])


def with_default(x, zeros=np.zeros, *, sine=math.sin):
    y = zeros(2)
    y[0] = sine(x)
    return np.sum(y)


def test_defaults_and_arrays_of_ones_own_classes_are_recorded():
    made = Made()
    assert tg.grad(lambda x: np.sum(np.asarray(made) * x))(1.3) == 5.0
    assert_is_its_function(with_default, 0.4)
    assert_is_its_function(functools.partial(with_default, zeros=np.ones), 0.4)


def test_machine_code_is_not_of_what_was_closed_over_before():
    k = [2.0]
    fast = tg.value_and_grad(lambda x: np.sum(k[0] * x * x)).compiled(X)
    assert fast(X)[0] == pytest.approx(2.0 * X @ X, rel=1e-15)
    k[0] = 5.0
    assert fast(X)[0] == pytest.approx(5.0 * X @ X, rel=1e-15)
    k[0] = 2.0
    assert fast(X)[0] == pytest.approx(2.0 * X @ X, rel=1e-15)


def test_machine_code_notices_a_change_before_its_first_call():
    k = [2.0]
    fast = tg.value_and_grad(lambda x: np.sum(k[0] * x * x)).compiled(X)
    k[0] = 5.0
    assert fast(X)[0] == pytest.approx(5.0 * X @ X, rel=1e-15)


def test_machine_code_of_a_function_that_draws_numbers_is_refused():
    random = tg.value_and_grad(lambda x: np.sum(x * np.random.random(3)))
    with (
        pytest.warns(RuntimeWarning, match="random"),
        pytest.raises(UnsupportedFunctionError, match="call the derivative itself"),
    ):
        random.compiled(X)
    assert random(X)[0] != random(X)[0]


NUMBERS = {
    "above": Fraction(13, 10) + Fraction(1, 10**30),
    "below": Fraction(13, 10) - Fraction(1, 10**30),
    "decimal": Decimal("1.3"),
    "half": Decimal("0.5"),
    "integer": 2**53 + 1,
    "next integer": 2**53 + 3,
    "huge": 10**400,
    "low": -(10**400),
}
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)


@pytest.mark.parametrize("name", NUMBERS)
def test_comparisons_with_numbers_that_are_no_floats_are_exact(name):
    number = NUMBERS[name]
    near = min(max(float(number) if abs(number) < 10**300 else math.inf * float(number > 0) - (
        math.inf * float(number < 0)), -1e308), 1e308)  # fmt: skip

    def outcomes(x):
        found = [bool(compare(x, number)) for compare in COMPARISONS]
        if not isinstance(number, Fraction):  # which asks the other side first
            found += [bool(compare(number, x)) for compare in COMPARISONS]
        return found

    points = [near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf), 0.0, math.inf]
    for point in points:
        found = []
        tg.grad(lambda x, found=found: found.extend(outcomes(x)) or x)(point)
        assert found == outcomes(point)
