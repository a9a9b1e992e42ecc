"""Recorded functions: the limit of recordings, and what selects one."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize
from recording_counts import counted, ran, rosenbrock

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning
from tapegrad.function.recorded import MOST_RECORDINGS


def staircase(x):
    return int(x) * x


def test_the_limit_warns_once_names_the_users_line_and_stays_right():
    derivative = tg.value_and_grad(staircase)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(1, 3 * MOST_RECORDINGS):
            x = k + 0.25
            assert derivative(x) == (k * x, float(k))
        for k in range(1, 2 * MOST_RECORDINGS, 7):
            assert derivative(k + 0.5)[1] == float(k)
    assert [w.category for w in caught] == [RecordingLimitWarning]
    line = inspect.getsourcelines(staircase)[1] + 1
    assert f"{__file__}:{line}" in str(caught[0].message)
    assert "staircase" in str(caught[0].message)


def test_at_the_limit_every_call_is_recorded_and_the_number_kept_stays():
    f, ticks = counted(staircase)
    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(1, 2 * MOST_RECORDINGS + 1):
            derivative(k + 0.5)
    assert ran(ticks) == 2 * MOST_RECORDINGS
    assert len(derivative.recorded.recordings) <= MOST_RECORDINGS


def test_the_limits_warning_points_at_the_callers_line():
    for make in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian):
        derivative = make(staircase)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for k in range(MOST_RECORDINGS + 3):
                derivative(k + 0.5)
        assert [w.filename for w in caught] == [__file__], make


def test_the_limit_is_one_signatures_own():
    f, ticks = counted(lambda x, scale: np.floor(x) * np.sum(x * scale) + int(x) * 0.0)
    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(MOST_RECORDINGS + 5):
            derivative(k + 0.5, 2.0)
    before = ran(ticks)
    for x in (1.1, 1.2, 1.3):
        assert derivative(x, np.ones(3)) == 3.0
    assert ran(ticks) == before + 1


def test_clear_lifts_the_limit():
    f, ticks = counted(staircase)
    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(MOST_RECORDINGS + 5):
            derivative(k + 0.5)
    derivative.clear()
    before = ran(ticks)
    for x in (1.1, 1.2, 1.3):
        assert derivative(x) == 1.0
    assert ran(ticks) == before + 1


class Point(NamedTuple):
    x: float
    y: float


@dataclasses.dataclass
class Params:
    weights: np.ndarray
    bias: float
    kind: str = "plain"


@dataclasses.dataclass(frozen=True)
class Frozen:
    lam: float
    n: int = 1


class ByContent:
    def __init__(self, content):
        self.content = content

    def __eq__(self, other):
        return isinstance(other, ByContent) and self.content == other.content

    __hash__ = None


def times(x, other, **options):
    """A result that tells every other argument apart."""
    return x * code(other) + sum(x * code(v) * len(k) for k, v in options.items())


def code(thing):
    if thing is None:
        return 3.0
    if isinstance(thing, bool | np.bool_):
        return 7.0 if thing else 9.0
    if isinstance(thing, str):
        return 20.0 + len(thing)
    if isinstance(thing, ByContent):
        return 30.0 + len(thing.content)
    if isinstance(thing, int | np.integer):
        return 1000.0 + thing
    if isinstance(thing, np.ndarray):
        return float(np.sum(thing * np.arange(1, thing.size + 1).reshape(thing.shape))) + 0.5
    if isinstance(thing, tuple | list):
        offset = 0.25 if isinstance(thing, list) else 0.125
        return sum((code(t) * (k + 2) for k, t in enumerate(thing)), offset)
    if isinstance(thing, dict):
        return sum(code(v) * len(k) for k, v in thing.items())
    if isinstance(thing, set | frozenset | range):
        return 50.0 + sum(thing)
    return thing


SELECTORS = {
    "ints": [1, 2, -1, 10**20],
    "one_and_true": [1, True, 0, False],
    "int_and_numpy_int": [1, np.int64(1), np.int32(2)],
    "bools": [True, False, np.True_],
    "strings": ["a", "ab", ""],
    "none": [None, 1, "x"],
    "int_arrays": [np.array([1, 2]), np.array([2, 1]), np.array([[1, 2]]), np.array([1, 2, 0])],
    "bool_arrays": [np.array([True, False]), np.array([False, True])],
    "tuples": [(1, "a"), (1, "ab"), (1, ("a",)), ()],
    "list_and_tuple": [[1, 2], (1, 2)],
    "dicts": [{"a": 1}, {"a": 2}, {"ab": 1}],
    "unhashable_objects": [ByContent([1]), ByContent([1, 2])],
    "sets": [{1, 2}, {3}, frozenset({3})],
    "ranges": [range(3), range(5)],
}


@pytest.mark.parametrize("name", SELECTORS)
def test_an_argument_that_is_no_float_selects_a_recording_by_equality(name):
    f, ticks = counted(times)
    derivative = tg.grad(f)
    values = SELECTORS[name]
    for _ in range(3):
        for value in values:
            for x in (1.0, 2.0):
                assert derivative(x, value) == code(value)
    assert ran(ticks) == len(values)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_keyword_argument_selects_a_recording_by_equality(name):
    f, ticks = counted(times)
    derivative = tg.grad(f)
    values = SELECTORS[name]
    for _ in range(3):
        for value in values:
            assert derivative(1.0, 1.0, option=value) == 1.0 + 6 * code(value)
    assert ran(ticks) == len(values)


def test_an_equal_object_of_another_identity_selects_the_same_recording():
    f, ticks = counted(times)
    derivative = tg.grad(f)
    for k in range(4):
        assert derivative(1.0, ByContent([k] * 2)) == 32.0
        assert derivative(1.0, np.array([4, 5])) == 14.5
        assert derivative(1.0, "".join(["a", "b"])) == 22.0
        assert derivative(1.0, int("1" + "0" * 25)) == 1000.0 + 10**25
    assert ran(ticks) == 7


def test_float_one_int_one_and_true_are_three_kinds_of_argument():
    f, ticks = counted(times)
    derivative = tg.grad(f)
    for _ in range(2):
        assert [derivative(2.0, v) for v in (1, True, 1.0)] == [1001.0, 7.0, 1.0]
    assert ran(ticks) == 3


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


def test_many_different_selectors_stay_right():
    derivative = tg.grad(lambda x, k: x * k)
    for k in [*range(600), *range(0, 600, 50)]:
        assert derivative(1.0, k) == float(k)
