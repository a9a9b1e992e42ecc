"""Recorded functions: what replays a recording, what makes a new one, and that both are right.

`next(ticks)` counts how often a function's body really ran, without being a content that the
recorded function could remember.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import functools
import inspect
import math
import operator
import types
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import InputTypeError, RecordingLimitWarning
from tapegrad.function.recorded import MOST_RECORDINGS

MANY = 10**6


def new_ticks():
    return iter(range(MANY))


def ran(ticks):
    return MANY - operator.length_hint(ticks)


def counted(function):
    """Return the function, counting, and its ticks."""
    ticks = new_ticks()

    def f(*args, **kwargs):
        next(ticks)
        return function(*args, **kwargs)

    return f, ticks


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def fresh_gradient(function, x):
    """The gradient from a recording made at this very point."""
    return tg.grad(function)(x)


# --- replay and record -------------------------------------------------------------------------


def test_new_data_of_the_same_shape_is_replayed():
    f, ticks = counted(lambda x, data: np.sum((x[0] * data - x[1]) ** 2))
    derivative = tg.grad(f)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, data = rng.standard_normal(2), rng.standard_normal(7)
        r = x[0] * data - x[1]
        expected = [2 * np.sum(r * data), -2 * np.sum(r)]
        np.testing.assert_allclose(derivative(x, data), expected, rtol=1e-12, atol=1e-12)
    assert ran(ticks) == 1


def test_a_replay_at_special_values_is_right():
    f, ticks = counted(lambda x, y: x * y + x)
    derivative = tg.grad(f, argnums=(0, 1))
    for x in (0.0, -0.0, 1e300, -1e-310, math.inf):
        for y in (0.0, 2.0, -3.0):
            dx, dy = derivative(x, y)
            assert dx == y + 1.0
            assert dy == x
    dx, dy = derivative(math.nan, 2.0)
    assert dx == 3.0
    assert math.isnan(dy)
    assert ran(ticks) == 1


def test_every_order_and_kind_of_derivative_is_recorded_once():
    for make in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian):
        f, ticks = counted(rosenbrock)
        derivative = make(f)
        for seed in range(5):
            derivative(np.random.default_rng(seed).standard_normal(4))
        assert ran(ticks) == 1, make
    f, ticks = counted(rosenbrock)
    product = tg.hvp(f)
    for seed in range(5):
        product(*np.random.default_rng(seed).standard_normal((2, 4)))
    assert ran(ticks) == 1


def test_two_derivatives_of_one_function_have_their_own_recordings():
    f, ticks = counted(rosenbrock)
    first, second = tg.grad(f), tg.grad(f)
    x = np.linspace(0, 1, 4)
    np.testing.assert_array_equal(first(x), second(x))
    assert ran(ticks) == 2


# --- guards: replayed across the flip, compared with a fresh recording -------------------------


def absolute(x):
    return x if x > 0.0 else -x


def collatz_like(x):
    steps = 0
    while x > 1.0:
        x = x * 0.5 if int(x) % 2 == 0 else x * 0.75 - 0.1
        steps += 1
    return x * (1.0 + steps)


def by_max(x):
    return max(x * x, 3.0 * x, 2.0)


def by_min_of_list(x):
    return min([x * x, 1.0 - x, 2.0 * x])


def by_sorted(x):
    a, b, c = sorted([x * x, 2.0 * x, 1.0])
    return a + 10.0 * b + 100.0 * c


def by_table(x):
    table = [1.0, -2.0, 4.0, -8.0]
    return table[int(abs(x)) % 4] * x * x


def by_bisect(x):
    knots = [-1.5, 0.0, 0.5, 2.0]
    k = bisect.bisect(knots, x)
    return (k + 1.0) * x**2


def by_round(x):
    return round(x) * x + round(x, 1) * x


def by_floor(x):
    return math.floor(x) * x + math.ceil(x) * x * x


def by_loop_count(x):
    total = x
    for k in range(int(abs(x))):
        total = total * x + k
    return total


def by_and_or(x):
    if (x > 0.0 and x < 1.0) or x > 2.0:
        return x * x
    return x * x * x if not x < -1.0 else x


def by_chained_comparison(x):
    return x * x if -1.0 <= x < 1.0 else 3.0 * x


def by_equality(x):
    if x == 0.0:
        return 5.0 * x
    return x * x if x != 1.0 else 7.0 * x


def by_truth(x):
    return x * x if x else 5.0 * x


def by_any(x):
    return x * x if any(x > k for k in (2.0, 1.0)) else 3.0 * x


def by_is_integer(x):
    return x * x if x.is_integer() else 3.0 * x


def by_exception(x):
    try:
        if x < 0.0:
            raise ValueError
        return x * x
    except ValueError:
        return 4.0 * x


def by_early_stop(x):
    guess = x * 0.5 + 1.0
    for _ in range(50):
        new = 0.5 * (guess + (x * x + 1.0) / guess)
        if abs(new - guess) < 1e-9:
            break
        guess = new
    return guess


def by_recursion(x):
    return x * x if x <= 1.0 else by_recursion(x * 0.5) * 3.0


def by_three_ways(x):
    return (
        (x if x > 0 else 2.0 * x)
        * (x if x > 1 else 3.0)
        * (x * x if x > -1 else 0.5)
        * (1.0 if x > 2 else 1.5)
    )


BRANCHING = [absolute, collatz_like, by_max, by_min_of_list, by_sorted, by_table, by_bisect,
             by_round, by_floor, by_loop_count, by_and_or, by_chained_comparison, by_equality,
             by_truth, by_any, by_is_integer, by_exception, by_early_stop, by_recursion,
             by_three_ways]  # fmt: skip
POINTS = [3.7, -0.25, 0.0, -0.0, 1.0, 0.5, 2.0, -1.0, 2.5, -1.5, 1.25, -3.2, 0.75, 3.0, 1e-9]


@pytest.mark.parametrize("function", BRANCHING, ids=lambda f: f.__name__)
def test_a_branch_taken_otherwise_is_recorded_again_and_found_again(function):
    f, ticks = counted(function)
    derivative = tg.value_and_grad(f)
    expected = {}
    for x in POINTS:
        expected[x] = tg.value_and_grad(function)(x)
        assert derivative(x) == expected[x], x
        assert expected[x][0] == function(x)
    recorded = ran(ticks)
    assert recorded < len(POINTS) or function is by_round
    rng = np.random.default_rng(1)
    for x in rng.permutation(POINTS * 3).tolist():
        assert derivative(x) == expected[x], x
    assert ran(ticks) == recorded


@pytest.mark.parametrize("function", BRANCHING, ids=lambda f: f.__name__)
def test_second_derivatives_replayed_across_a_flip_are_those_of_a_fresh_recording(function):
    derivative = tg.grad(tg.grad(function))
    for x in [*POINTS, *reversed(POINTS)]:
        assert derivative(x) == tg.grad(tg.grad(function))(x), x


def test_every_path_of_a_chain_of_branches_is_found_from_every_other():
    def f(x):
        next(ticks)
        total = 0.0
        for k in range(5):
            total = total + (2.0**k * x[k] if x[k] > 0.0 else -(3.0**k) * x[k])
        return total

    ticks = new_ticks()
    derivative = tg.grad(f)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 5)).reshape(5, -1).T
    assert len(signs) == MOST_RECORDINGS
    powers = np.arange(5.0)
    order = np.random.default_rng(2)
    for _ in range(6):
        for sign in order.permutation(signs):
            expected = np.where(sign > 0, 2.0**powers, -(3.0**powers))
            np.testing.assert_array_equal(derivative(sign), expected)
    assert ran(ticks) == 32


def test_paths_of_different_lengths_are_found_again():
    def f(x):
        next(ticks)
        y = x
        while y > 1.0:
            y = y * 0.5
        return y * x

    ticks = new_ticks()
    derivative = tg.grad(f)
    points = [0.5 * 2.0**k * 1.5 for k in range(16)]
    order = np.random.default_rng(3)
    for _ in range(5):
        for x in order.permutation(points):
            assert derivative(float(x)) == fresh_gradient(lambda v: halved(v) * v, float(x))
    assert ran(ticks) == 16


def halved(y):
    while y > 1.0:
        y = y * 0.5
    return y


def test_guards_on_elements_of_arrays_are_checked():
    def f(x):
        next(ticks)
        return np.sum(x[x > 0.0] ** 2) - np.sum(x[x <= 0.0])

    ticks = new_ticks()
    derivative = tg.grad(f)
    rng = np.random.default_rng(4)
    for _ in range(3):
        for sign in ([1, 1, 1], [1, -1, 1], [-1, -1, -1], [1, 1, -1]):
            x = np.array(sign) * rng.uniform(0.5, 2.0, 3)
            np.testing.assert_array_equal(derivative(x), np.where(x > 0, 2 * x, -1.0))
    assert ran(ticks) == 4


def test_a_guard_at_a_nan_takes_the_way_python_takes():
    derivative = tg.grad(lambda x: 2.0 * x if x < 1.0 else 3.0 * x)
    for x, expected in ((0.0, 2.0), (math.nan, 3.0), (0.0, 2.0), (math.nan, 3.0), (2.0, 3.0)):
        assert derivative(x) == expected


def test_a_recording_that_began_at_a_nan_is_not_used_elsewhere():
    derivative = tg.grad(lambda x: 2.0 * x if x < 1.0 else 3.0 * x)
    assert [derivative(x) for x in (math.nan, 0.0, 2.0, math.nan)] == [3.0, 2.0, 3.0, 3.0]


def test_data_that_is_not_differentiated_is_guarded_too():
    f, ticks = counted(lambda x, data: 2.0 * x if data > 0.0 else 3.0 * x)
    derivative = tg.grad(f)
    assert [derivative(1.0, d) for d in (1.0, -1.0, 2.0, -2.0)] == [2.0, 3.0, 2.0, 3.0]
    assert ran(ticks) == 2


def test_a_function_that_raises_at_one_point_still_replays_at_others():
    def f(x):
        next(ticks)
        if x < 0.0:
            raise ArithmeticError("negative")
        return x * x

    ticks = new_ticks()
    derivative = tg.grad(f)
    assert derivative(3.0) == 6.0
    for _ in range(3):
        with pytest.raises(ArithmeticError, match="negative"):
            derivative(-1.0)
        assert derivative(4.0) == 8.0
    assert ran(ticks) == 4


# --- the limit ---------------------------------------------------------------------------------


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


# --- what selects a recording ------------------------------------------------------------------


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


# --- arguments that change under the recording -------------------------------------------------


@dataclasses.dataclass
class Cell:
    lam: float


class Plain:
    def __init__(self, lam):
        self.lam = lam


MUTABLE = {
    "namespace": (lambda: types.SimpleNamespace(lam=0.1),
                  lambda held, v: setattr(held, "lam", v), lambda held: held.lam),
    "object": (lambda: Plain(0.1), lambda held, v: setattr(held, "lam", v), lambda held: held.lam),
    "object_with_a_list": (lambda: Plain([0.1]), lambda held, v: held.lam.__setitem__(0, v),
                           lambda held: held.lam[0]),
    "dataclass": (lambda: Cell(0.1), lambda held, v: setattr(held, "lam", v),
                  lambda held: held.lam),
    "list_of_objects": (lambda: [Plain(0.1)], lambda held, v: setattr(held[0], "lam", v),
                        lambda held: held[0].lam),
    "equal_by_content": (lambda: ByContent([0.1]), lambda held, v: held.content.__setitem__(0, v),
                         lambda held: held.content[0]),
    "set": (lambda: {0.1}, lambda held, v: (held.clear(), held.add(v)),
            lambda held: next(iter(held))),
    "ordered_dict": (lambda: collections.OrderedDict(lam=0.1),
                     lambda held, v: held.update(lam=v), lambda held: held["lam"]),
    "defaultdict": (lambda: collections.defaultdict(float, lam=0.1),
                    lambda held, v: held.update(lam=v), lambda held: held["lam"]),
    "deque": (lambda: collections.deque([0.1]), lambda held, v: held.__setitem__(0, v),
              lambda held: held[0]),
    "object_array": (lambda: np.array([0.1, None], object), lambda held, v: held.__setitem__(0, v),
                     lambda held: held[0]),
    "int_array": (lambda: np.array([1]), lambda held, v: held.__setitem__(0, round(10 * v)),
                  lambda held: held[0] / 10.0),
    "float_array": (lambda: np.array([0.1]), lambda held, v: held.__setitem__(0, v),
                    lambda held: held[0]),
    "object_in_a_lambda": (lambda: Plain(0.1), lambda held, v: setattr(held, "lam", v),
                           lambda held: (lambda h: h.lam)(held)),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTABLE)
def test_an_argument_mutated_between_calls_never_gives_the_old_gradient(name):
    make, change, read = MUTABLE[name]
    held = make()
    derivative = tg.grad(lambda x, held: read(held) * x * x)
    for lam in (0.1, 0.2, 0.3, 0.1):
        change(held, lam)
        assert derivative(3.0, held) == pytest.approx(6.0 * lam, rel=1e-14)


def test_a_function_given_as_an_argument_is_watched():
    lam = 0.1

    def helper(x):
        return lam * x

    derivative = tg.grad(lambda x, g: g(x) * x)
    assert derivative(3.0, helper) == pytest.approx(0.6)
    lam = 0.2
    assert derivative(3.0, helper) == pytest.approx(1.2)


def test_a_method_decorated_in_the_class_sees_the_objects_attributes():
    class Model:
        def __init__(self, lam):
            self.lam = lam

        @functools.partial(tg.grad, argnums=1)
        def slope(self, x):
            return self.lam * x * x

    one, two = Model(0.1), Model(10.0)
    assert one.slope(3.0) == pytest.approx(0.6)
    assert two.slope(3.0) == 60.0
    one.lam = 0.2
    assert one.slope(3.0) == pytest.approx(1.2)
    assert two.slope(3.0) == 60.0


def test_two_namespaces_that_hold_arrays_can_be_told_apart():
    derivative = tg.grad(lambda x, held: x * float(held.w[0]))
    for w in (2.0, 3.0, 2.0):
        assert derivative(1.0, types.SimpleNamespace(w=np.array([w, w]))) == w


@pytest.mark.parametrize(
    "bad",
    [1, True, "x", None, 1j, np.array([1, 2]), np.array([1j]), {"a": 1}, [1.0, 2], np.int64(1)],
    ids=repr,
)
def test_what_is_no_float_can_not_be_differentiated(bad):
    derivative = tg.grad(lambda x, y: y * 1.0)
    with pytest.raises(InputTypeError):
        derivative(bad, 1.0)
    assert tg.grad(lambda x, y: y * y, argnums=1)(bad, 3.0) == 6.0


# --- results -----------------------------------------------------------------------------------


def test_a_returned_gradient_is_fresh_each_time():
    derivative = tg.grad(rosenbrock)
    x = np.linspace(-1.0, 1.0, 5)
    first = derivative(x)
    kept = first.copy()
    first[:] = 77.0
    second = derivative(x)
    np.testing.assert_array_equal(second, kept)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(second, x)


def test_a_change_of_the_input_after_the_call_disturbs_nothing():
    x = np.linspace(-1.0, 1.0, 5)
    expected = tg.grad(rosenbrock)(x)
    derivative = tg.grad(rosenbrock)
    first = derivative(x)
    _, pullback = tg.vjp(rosenbrock, x)
    x[:] = 50.0
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(pullback(1.0)[0], expected)
    np.testing.assert_array_equal(derivative(np.linspace(-1.0, 1.0, 5)), expected)


def test_a_function_that_assigns_to_its_argument_leaves_the_callers_alone():
    def f(x):
        x[0] = x[1] * x[1]
        x += 1.0
        return np.sum(x * x)

    x = np.array([3.0, 2.0])
    for _ in range(3):
        result = tg.grad(f)(x)
        np.testing.assert_array_equal(result, [0.0, 2 * 5.0 * 4.0 + 2 * 3.0])
        np.testing.assert_array_equal(x, [3.0, 2.0])


def test_the_gradient_of_the_identity_is_not_the_seed_of_the_next_call():
    derivative = tg.jacobian(lambda x: x)
    first = derivative(np.ones(3))
    first[:] = 5.0
    np.testing.assert_array_equal(derivative(np.ones(3)), np.eye(3))


AUX = {
    "int_array": lambda x: np.array([1, 2, 3]),
    "bool_array": lambda x: np.array([True, False]),
    "float_array": lambda x: np.array([1.0, 2.0]),
    "active_array": lambda x: np.stack([x, x * x]),
    "list": lambda x: [1, [2.0, x]],
    "dict": lambda x: {"a": [1], "b": {"c": np.arange(3)}},
}


@pytest.mark.parametrize("name", AUX)
def test_an_auxiliary_result_that_is_mutated_disturbs_no_later_call(name):
    derivative = tg.grad(lambda x: (x * x, AUX[name](x)), has_aux=True)
    expected = AUX[name](np.float64(3.0))

    def check(found, wanted):
        if isinstance(wanted, dict):
            assert list(found) == list(wanted)
            for key in wanted:
                check(found[key], wanted[key])
        elif isinstance(wanted, list):
            assert len(found) == len(wanted)
            for part, other in zip(found, wanted, strict=True):
                check(part, other)
        else:
            np.testing.assert_array_equal(found, wanted)

    def spoil(found):
        if isinstance(found, np.ndarray):
            found[...] = 0
        elif isinstance(found, dict):
            for part in found.values():
                spoil(part)
            found["spoiled"] = 1
        elif isinstance(found, list):
            for part in found:
                spoil(part)
            found.append(99)

    for _ in range(3):
        gradient, aux = derivative(3.0)
        assert gradient == 6.0
        check(aux, expected)
        spoil(aux)


def test_an_auxiliary_object_is_not_shared_between_calls():
    derivative = tg.grad(lambda x: (x * x, {1, 2}), has_aux=True)
    _, aux = derivative(1.0)
    aux.add(99)
    assert derivative(1.0)[1] == {1, 2}


def test_auxiliary_results_are_those_of_the_point():
    derivative = tg.value_and_grad(
        lambda x: (x * x, {"twice": 2.0 * x, "positive": x > 0.0, "name": "f"}), has_aux=True
    )
    for x in (1.0, -3.0, 2.0):
        (value, aux), gradient = derivative(x)
        assert (value, gradient) == (x * x, 2.0 * x)
        assert aux == {"twice": 2.0 * x, "positive": x > 0.0, "name": "f"}
        assert type(aux["twice"]) is float
        assert type(aux["positive"]) is bool


# --- scipy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP"])
def test_minimize_takes_value_and_grad_with_jac_true(method):
    f, ticks = counted(rosenbrock)
    result = scipy.optimize.minimize(
        tg.value_and_grad(f), np.zeros(5), jac=True, method=method, tol=1e-8
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert ran(ticks) == 1


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-exact"])
def test_minimize_takes_a_hessian(method):
    result = scipy.optimize.minimize(
        rosenbrock, np.full(4, 0.9), jac=tg.grad(rosenbrock), hess=tg.hessian(rosenbrock),
        method=method,
    )  # fmt: skip
    np.testing.assert_allclose(result.x, 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_minimize_takes_a_hessian_product(method):
    f, ticks = counted(rosenbrock)
    result = scipy.optimize.minimize(
        rosenbrock, np.zeros(4), jac=tg.grad(rosenbrock), hessp=tg.hvp(f), method=method
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert ran(ticks) == 1


def test_minimize_passes_args_through():
    def loss(x, data, power, kind):
        residual = x[0] * data**power - x[1]
        return np.sum(residual**2) + (np.sum(x**2) if kind == "ridge" else 0.0)

    data = np.linspace(0.0, 2.0, 9)
    args = (data, 2, "ridge")
    design = np.stack([data**2, -np.ones(9)], 1)
    expected = np.linalg.solve(design.T @ design + np.eye(2), np.zeros(2))
    for options in (
        {"fun": tg.value_and_grad(loss), "jac": True},
        {"fun": loss, "jac": tg.grad(loss), "hess": tg.hessian(loss), "method": "trust-exact"},
        {"fun": loss, "jac": tg.grad(loss), "hessp": tg.hvp(loss), "method": "Newton-CG"},
    ):
        result = scipy.optimize.minimize(x0=np.array([3.0, -2.0]), args=args, **options)
        np.testing.assert_allclose(result.x, expected, atol=1e-6)


def test_least_squares_takes_a_jacobian():
    t = np.linspace(0.0, 1.0, 20)
    y = 2.0 * np.exp(-1.5 * t)

    def residual(p, t, y):
        return p[0] * np.exp(-p[1] * t) - y

    f, ticks = counted(residual)
    for method in ("trf", "dogbox", "lm"):
        result = scipy.optimize.least_squares(
            residual, [1.0, 1.0], jac=tg.jacobian(f), args=(t, y), method=method
        )
        np.testing.assert_allclose(result.x, [2.0, 1.5], rtol=1e-7)
    assert ran(ticks) == 3


def test_root_takes_a_jacobian():
    def equations(x):
        return np.stack([x[0] ** 2 + x[1] ** 2 - 4.0, x[0] * x[1] - 1.0])

    for method in ("hybr", "lm"):
        result = scipy.optimize.root(equations, [2.0, 0.3], jac=tg.jacobian(equations),
                                     method=method)  # fmt: skip
        assert result.success
        np.testing.assert_allclose(equations(result.x), 0.0, atol=1e-9)


def test_root_scalar_takes_two_derivatives():
    def cube(x):
        return x * x * x - 2.0

    result = scipy.optimize.root_scalar(
        cube, x0=1.0, fprime=tg.grad(cube), fprime2=tg.grad(tg.grad(cube)), method="halley"
    )
    assert result.root == pytest.approx(2.0 ** (1 / 3), rel=1e-14)
