"""Arguments of every float type, layout, shape and structure."""

from __future__ import annotations

import collections
import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize
from formulas import rosenbrock
from ticks import counted, ran

import tapegrad as tg


class Point(NamedTuple):
    x: float
    y: float


@dataclasses.dataclass
class Params:
    weights: np.ndarray
    bias: float
    kind: str = "plain"


def float_forms(value):
    return [value, np.float64(value), np.float32(value), np.float16(value), np.array(value),
            np.array(value, np.float32)]  # fmt: skip


@pytest.mark.parametrize("position", [0, 1])
def test_a_number_may_come_as_any_float_type(position):
    derivative = tg.grad(lambda x, y: x * x * y)
    for x in float_forms(3.0):
        args = [2.0, 2.0]
        args[position] = x
        expected = 2.0 * float(args[0]) * float(args[1])
        assert derivative(*args) == expected


def test_a_float_a_float64_and_a_float32_replay_one_recording():
    f, ticks = counted(lambda x, y: x * x * y)
    derivative = tg.grad(f)
    for x in float_forms(3.0)[:4]:
        result = derivative(x, x)
        assert result == 18.0
        assert type(result) is float
    assert ran(ticks) == 1


def test_arrays_of_no_axes_give_arrays_of_no_axes():
    result = tg.grad(lambda x: x * x)(np.array(3.0))
    assert np.shape(result) == ()
    assert result == 6.0


ARRAYS = {
    "float64": np.arange(1.0, 7.0),
    "float32": np.arange(1.0, 7.0, dtype=np.float32),
    "float16": np.arange(1.0, 7.0, dtype=np.float16),
    "big_endian": np.arange(1.0, 7.0).astype(">f8"),
    "strided": np.arange(1.0, 13.0)[::2],
    "reversed": np.arange(1.0, 7.0)[::-1],
    "fortran_column": np.asfortranarray(np.arange(12.0).reshape(6, 2))[:, 1],
    "row_of_columns": np.arange(12.0).reshape(6, 2)[:, 0],
    "broadcast": np.broadcast_to(2.0, 6),
    "readonly": np.arange(1.0, 7.0),
}
ARRAYS["readonly"].flags.writeable = False


@pytest.mark.parametrize("name", ARRAYS)
def test_a_vector_of_any_layout_and_float_type_replays_one_recording(name):
    f, ticks = counted(rosenbrock)
    derivative = tg.grad(f)
    derivative(np.linspace(-1.0, 1.0, 6))
    x = ARRAYS[name]
    before = x.copy()
    result = derivative(x)
    np.testing.assert_allclose(result, scipy.optimize.rosen_der(x.astype(np.float64)), rtol=1e-13)
    assert result.dtype == np.float64
    assert result.flags.writeable
    np.testing.assert_array_equal(x, before)
    assert ran(ticks) == 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_of_any_layout_gives_the_gradient_at_its_places(order):
    x = np.array(np.arange(12.0).reshape(3, 4), order=order)
    weights = np.arange(12.0).reshape(3, 4) ** 2
    derivative = tg.grad(lambda x: np.sum(weights * x * x))
    for view in (x, x[::-1], x[:, ::-1], np.ascontiguousarray(x.T).T):
        np.testing.assert_array_equal(derivative(view), 2 * weights * view)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 2)])
def test_an_empty_array_has_an_empty_gradient(shape):
    derivative = tg.grad(lambda x, y: np.sum(x * x) + y * y, argnums=(0, 1))
    for y in (1.0, 2.0):
        dx, dy = derivative(np.zeros(shape), y)
        assert dx.shape == shape
        assert dy == 2.0 * y


def test_every_shape_has_its_own_recording():
    f, ticks = counted(lambda x: np.sum(x * x))
    derivative = tg.grad(f)
    shapes = [(3,), (1, 3), (3, 1), (), (2, 3), (3, 2), (1,)]
    for _ in range(2):
        for shape in shapes:
            x = np.full(shape, 3.0)
            result = derivative(x)
            assert np.shape(result) == shape
            np.testing.assert_array_equal(result, 2 * x)
    assert ran(ticks) == len(shapes)


def test_dicts_of_other_order_are_both_right():
    derivative = tg.grad(lambda p: p["a"] * p["a"] * p["b"])
    for _ in range(2):
        assert derivative({"a": 2.0, "b": 5.0}) == {"a": 20.0, "b": 4.0}
        assert derivative({"b": 5.0, "a": 2.0}) == {"a": 20.0, "b": 4.0}


def test_keyword_arguments_in_other_order_are_both_right():
    derivative = tg.grad(lambda x, a, b: x * a - x * b)
    for _ in range(2):
        assert derivative(1.0, a=2.0, b=5.0) == -3.0
        assert derivative(1.0, b=5.0, a=2.0) == -3.0


def test_a_keyword_and_a_positional_argument_are_both_right():
    derivative = tg.grad(lambda x, a, b=4.0: x * a - x * b)
    assert derivative(1.0, 2.0, 5.0) == -3.0
    assert derivative(1.0, a=2.0, b=5.0) == -3.0
    assert derivative(1.0, 2.0, b=5.0) == -3.0
    assert derivative(1.0, 2.0) == -2.0


def test_structures_of_arguments_replay_and_new_structures_record():
    f, ticks = counted(lambda p, q: p.x * p.y * q.bias + np.sum(q.weights) * p.x)
    derivative = tg.grad(f, argnums=0)
    for k in range(3):
        p, q = Point(2.0 + k, 3.0), Params(np.array([1.0, k]), 4.0)
        assert derivative(p, q) == Point(12.0 + 1 + k, 4.0 * (2.0 + k))
    assert ran(ticks) == 1
    derivative(p, dataclasses.replace(q, kind="other"))
    derivative(p, dataclasses.replace(q, weights=np.ones(3)))
    derivative(p, dataclasses.replace(q, bias=7.0))
    assert ran(ticks) == 3


def test_two_namedtuples_of_equal_fields_are_two_kinds():
    other = collections.namedtuple("other", "x y")
    f, ticks = counted(lambda p: p.x * p.y * (2.0 if isinstance(p, Point) else 3.0))
    derivative = tg.grad(f)
    assert derivative(Point(1.0, 5.0)) == Point(10.0, 2.0)
    assert derivative(other(1.0, 5.0)) == other(15.0, 3.0)
    assert type(derivative(other(1.0, 5.0))) is other
    assert ran(ticks) == 2
