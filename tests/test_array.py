"""Active arrays index, assign, share memory, broadcast and iterate as NumPy's own do."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from against_numpy import assert_recorded_as_numpy, plain

import tapegrad as tg
from tapegrad.errors import (
    InputTypeError,
    UnsupportedFunctionError,
)
from tapegrad.function.recording import _activate
from tapegrad.record.nesting import recording

RNG = np.random.default_rng(3)
CUBE = RNG.normal(size=(3, 4, 2))
LINE = np.array([0.5, -1.5, 2.0, 3.0, -0.25])


@pytest.fixture
def tape():
    with recording() as tape:
        yield tape


def gradient_of(function, x):
    """The gradient of a weighted sum of the elements of a result."""

    def total(x):
        result = function(x)
        weights = np.arange(1.0, np.size(result) + 1.0).reshape(np.shape(result))
        return np.sum(result * weights) if np.shape(result) else result * 1.0

    return tg.grad(total)(x)


def by_differences(function, x):
    """The same for a function that only moves elements, which is linear: exact up to rounding."""
    result = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] += 1.0
        difference = np.asarray(function(moved), float) - np.asarray(function(x.copy()), float)
        weights = np.arange(1.0, difference.size + 1.0).reshape(difference.shape)
        result[index] = np.sum(weights * difference)
    return result


def assert_moves_as_numpy(function, x):
    assert_recorded_as_numpy(lambda x: function(x), x.copy())
    np.testing.assert_allclose(
        gradient_of(function, x.copy()), by_differences(function, x), atol=1e-12
    )


# --- reading elements --------------------------------------------------------------------------

MASK = LINE > 0.0
KEYS = {
    "one": 0,
    "last": -1,
    "numpy integer": np.int64(2),
    "slice": slice(1, 3),
    "step": slice(None, None, 2),
    "reversed": slice(None, None, -1),
    "negative step": slice(4, 0, -2),
    "empty": slice(3, 3),
    "beyond": slice(2, 100),
    "ellipsis": ...,
    "none": None,
    "two nones": (None, slice(None), None),
    "mask": MASK,
    "no mask": np.zeros(5, bool),
    "list": [0, 0, 3],
    "array": np.array([[4, 1], [1, -5]]),
    "empty list": [],
    "true": True,
    "false": False,
    "list of bools": [True, False, True, False, True],
    "ellipsis and number": (..., 1),
    "zero d index": np.array(2),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_vector_is_indexed_as_numpys(name):
    assert_moves_as_numpy(lambda x: x[KEYS[name]], LINE)


CUBE_KEYS = {
    "number": 1,
    "numbers": (1, 2),
    "all numbers": (2, 3, 1),
    "negative": (-1, -4, -2),
    "middle": (slice(None), 1),
    "ellipsis": (..., 0),
    "ellipsis first": (0, ...),
    "none": (slice(None), None, 2),
    "steps": (slice(None, None, -1), slice(3, 0, -2), 1),
    "mask": CUBE > 0.0,
    "mask of rows": np.array([True, False, True]),
    "mask then number": (np.array([True, False, True]), 1),
    "lists": ([0, 2, 2], [1, 1, 3]),
    "list and slice": ([2, 0], slice(1, 3)),
    "split lists": ([0, 1], slice(None), [1, 0]),
    "ix": np.ix_([0, 2], [1, 3], [0, 1]),
    "array": np.array([[0, 1], [2, 0]]),
    "mask and none": (None, CUBE[..., 0] > 0.0),
}


@pytest.mark.parametrize("name", CUBE_KEYS)
def test_a_cube_is_indexed_as_numpys(name):
    assert_moves_as_numpy(lambda x: x[CUBE_KEYS[name]], CUBE)


BAD_KEYS = [
    5,
    -6,
    (0, 0),
    1.0,
    "a",
    "value",
    ["slot"],
    [0, 7],
    np.zeros(3, bool),
    (..., ...),
    slice("a", None),
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_a_bad_index_raises_what_numpys_does(tape, key):
    with pytest.raises((IndexError, TypeError, ValueError)) as wanted:
        LINE[key]
    x = _activate(tape, LINE)
    with pytest.raises(wanted.type):
        x[key]
    with pytest.raises((wanted.type, TypeError)):
        x[key] = 1.0


def test_an_active_index_is_guarded():
    derivative = tg.grad(lambda x: x[int(x[0])] * 2.0 + x[x[0]])
    np.testing.assert_array_equal(derivative(np.array([1.0, 5.0, 6.0])), [0.0, 3.0, 0.0])
    np.testing.assert_array_equal(derivative(np.array([2.0, 5.0, 6.0])), [0.0, 0.0, 3.0])


def test_a_list_of_active_indices_or_truth_values_is_guarded():
    x = np.array([1.0, 2.0, 0.0])
    derivative = tg.grad(lambda x: np.sum(x[[x[0], x[2], 1]]) + np.sum(x[[v > 1.0 for v in x]]))
    np.testing.assert_array_equal(derivative(x), [1.0, 3.0, 0.0])
    np.testing.assert_array_equal(derivative(x[::-1]), [1.0, 3.0, 0.0])
    np.testing.assert_array_equal(derivative(np.array([2.0, 0.0, 2.0])), [1.0, 1.0, 3.0])


def test_an_active_mask_is_guarded():
    derivative = tg.grad(lambda x: np.sum(x[x > 0.0] ** 2))
    for x in (LINE, -LINE, np.abs(LINE), np.zeros(5)):
        np.testing.assert_array_equal(derivative(x), 2.0 * x * (x > 0.0))


# --- moving elements ---------------------------------------------------------------------------

MOVES = {
    "T": lambda x: x.T,
    "reshape": lambda x: x.reshape(4, 6),
    "reshape -1": lambda x: x.reshape(-1, 2),
    "reshape tuple": lambda x: x.reshape((2, 12)),
    "order": lambda x: x.reshape(6, 4, order="F"),
    "ravel": lambda x: x.ravel(),
    "ravel F": lambda x: x.ravel("F"),
    "flatten": lambda x: x.flatten("F"),
    "transpose": lambda x: x.transpose(2, 0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "squeeze": lambda x: x[:1].squeeze(),
    "copy": lambda x: x.copy(),
    "astype": lambda x: x.astype(float),
    "of a transpose": lambda x: x.T.reshape(-1),
    "of a slice": lambda x: x[::2, ::-1].reshape(-1)[::3],
}


@pytest.mark.parametrize("name", MOVES)
def test_a_method_moves_elements_as_numpys(name):
    assert_moves_as_numpy(MOVES[name], CUBE)


def test_shapes_that_do_not_fit_are_refused(tape):
    x = _activate(tape, LINE)
    with pytest.raises(ValueError, match="reshape"):
        x.reshape(2, 3)
    with pytest.raises(ValueError, match="broadcast"):
        x + np.ones(4)
    with pytest.raises(ValueError, match="broadcast"):
        x[:2] = np.ones(3)


# --- assignment --------------------------------------------------------------------------------


def _set(key, value):
    def assign(x):
        y = x * 2.0
        y[key] = value(x) if callable(value) else value
        return y

    return assign


def _add(key, value, function=operator.iadd):
    def assign(x):
        y = x * 2.0
        y[key] = function(y[key], value(x) if callable(value) else value)
        return y

    return assign


def _through_a_view(x):
    y = x * 2.0
    view = y[1:4]
    view[0] = x[0]
    view[...] += x[2]
    y[2] = 7.0
    return view


def _rows(x):
    y = np.stack([x, 3.0 * x])
    y.T[1] = x[:2]
    y.reshape(-1)[7] = x[4]
    y.ravel()[0] = 1.0
    y.flatten()[1] = 9.0
    return y


def _swap(x):
    y = x.copy()
    y[0], y[1] = y[1], y[0]
    y[[2, 3]] = y[[3, 2]]
    return y


def _overlap(x):
    y = x.copy()
    y[1:] = y[:-1]
    y[:-1] += y[1:]
    return y


def _iteration(x):
    y = np.stack([x, x])
    for row in y:
        row[0] = 5.0
        row += 1.0
    return y


def _masked(x):
    y = x.copy()
    y[MASK] *= 3.0
    y[~MASK] = x[0]
    return y


ASSIGNMENTS = {
    "number": _set(1, 9.0),
    "integer": _set(1, 9),
    "active": _set(1, lambda x: x[0]),
    "slice": _set(slice(1, 3), lambda x: x[3:]),
    "reversed": _set(slice(None), lambda x: x[::-1]),
    "broadcast": _set(..., lambda x: x[2]),
    "plain array": _set(slice(0, 2), np.array([1.0, 2.0])),
    "list": _set(slice(0, 2), lambda x: [x[4], 1.0]),
    "mask": _set(MASK, lambda x: x[0]),
    "mask of many": _set(MASK, lambda x: x[:3]),
    "fancy": _set([3, 0], lambda x: x[:2]),
    "the last of two": _set([2, 2], lambda x: x[:2]),
    "negative": _set(-1, lambda x: x[0]),
    "length one": _set(1, lambda x: x[:1].reshape(())),
    "bool": _set(0, True),
    "zero d": _set((), lambda x: x),
    "tuple": _set(slice(0, 2), lambda x: (x[1], x[0])),
    "add": _add(1, lambda x: x[0]),
    "add slice": _add(slice(1, 4), lambda x: x[:3]),
    "add twice": _add([0, 0, 1], lambda x: x[2]),
    "multiply": _add(0, lambda x: 3.0, operator.imul),
    "subtract": _add(slice(None, None, 2), lambda x: x[0], operator.isub),
    "divide": _add(slice(None, None, -1), 4.0, operator.itruediv),
    "view": _through_a_view,
    "views of rows": _rows,
    "swap": _swap,
    "overlap": _overlap,
    "iteration": _iteration,
    "masked": _masked,
}


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assignment_does_what_numpys_does(name):
    assert_moves_as_numpy(ASSIGNMENTS[name], LINE)


def test_adding_at_repeated_indices_with_add_at_accumulates():
    def f(x):
        y = x * 0.0
        np.add.at(y, [0, 0, 1], x[2])
        return y

    assert_moves_as_numpy(f, LINE)


def test_the_arguments_array_is_left_alone_by_assignments():
    x = LINE.copy()
    derivative = tg.grad(lambda x: np.sum(_through(x)))

    def _through(x):
        x[0] = 0.0
        x *= 2.0
        return x

    np.testing.assert_array_equal(derivative(x), [0.0, 2.0, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(x, LINE)


@pytest.mark.parametrize("value", [1j, "a", None, [1j, 2j]])
def test_what_is_no_real_number_can_not_be_assigned(tape, value):
    x = _activate(tape, LINE)
    with pytest.raises((InputTypeError, TypeError, ValueError)):
        x[0] = value


def test_a_number_is_not_assigned_to_a_truth_value(tape):
    x = _activate(tape, LINE)
    flags = x > 0.0
    flags[0] = False
    flags[1] = x[0] > 0.0
    assert plain(flags).tolist() == [False, True, True, True, False]
    with pytest.raises(UnsupportedFunctionError, match="boolean"):
        flags[0] = 2.0
