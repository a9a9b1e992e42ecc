"""What can't work in compiled code says so, with the user's line and a way out."""

import math

import numpy as np
import pytest
from numba import njit, objmode, prange
from numba.core.errors import TypingError

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

X = np.array([0.3, 0.7, 1.1])
OUTSIDE = np.zeros(3)


@njit(parallel=True)
def in_parallel(x):
    total = 0.0
    for i in prange(len(x)):
        total += x[i] ** 2
    return total


@njit
def with_complex_numbers(x):
    return abs(x[0] * 1j)


@njit
def decomposed(x):
    return np.linalg.svd(x.reshape(1, 3))[1][0]


@njit
def store(x, out):
    out[0] = x[0]
    return out[0] * 2.0


@njit
def number_or_text(x):
    y = "none" if x[0] > 0.0 else x[0]
    print(y)
    return x[0]


@njit
def unknown_attribute(x):
    return x[0].hex()


@njit
def into_integers(x):
    counts = np.zeros(3, np.int64)
    counts[0] = x[0]
    return counts[0] * x[1]


@njit
def in_object_mode(x):
    with objmode(y="float64"):
        y = float(x[0])
    return y * x[0]


def outside_array(x):
    return store(x, OUTSIDE)


# The function, what the message names, the line it shows and the remedy.
REFUSED = {
    "parallel": (in_parallel, "parallel=True", "", r"value_and_grad\(f\)\.njit"),
    "complex": (with_complex_numbers, "complex128", "return abs", "two real numbers"),
    "svd": (decomposed, "svd", "np.linalg.svd", "f.py_func"),
    "array made outside": (outside_array, "setitem", "out[0] = x[0]", "make it in the function"),
    "two kinds": (number_or_text, "unify", 'y = "none"', "give it one kind"),
    "attribute": (unknown_attribute, "'hex'", "x[0].hex()", "f.py_func"),
    "object mode": (
        in_object_mode,
        "object mode",
        "with objmode",
        "keep what depends on the input",
    ),
    "integers": (into_integers, "setitem", "counts[0] = x[0]", "np.zeros"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_construct_the_line_and_the_remedy(name):
    function, construct, line, remedy = REFUSED[name]
    with pytest.raises(UnsupportedFunctionError, match=remedy) as caught:
        tg.grad(function)(X)
    message = str(caught.value)
    assert construct in message
    assert line in message
    assert len(message.splitlines()) <= 4
    if line:
        assert f"{__file__}:" in message


def test_the_same_in_compiled_code_is_numbas_error_with_the_line():
    with pytest.raises(TypingError, match=r"complex128[^$]*return abs"):
        tg.value_and_grad(with_complex_numbers).njit(X, np.empty(3))


@njit
def with_progress(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i] ** 2
        with objmode():
            PROGRESS.append(i)
    return total


PROGRESS = []


def test_object_mode_without_active_numbers_is_left_alone():
    PROGRESS.clear()
    assert tg.grad(with_progress)(X).tolist() == (2.0 * X).tolist()
    assert PROGRESS == [0, 1, 2]


@njit
def fails_on_the_way(x):
    y = np.zeros(2)
    for i in range(3):
        if x[i] > 1.0:
            raise OverflowError("too large")
        y[i] = math.exp(x[i])
    return y[0]


def test_the_users_exception_arrives_and_leaves_nothing_behind():
    zeros, sine = np.zeros, math.sin
    for _ in range(3):
        with pytest.raises(OverflowError, match="too large"):
            tg.grad(fails_on_the_way)(X)
    assert np.zeros is zeros
    assert math.sin is sine
    assert type(np.zeros(2)) is np.ndarray
    assert tg.grad(lambda x: x[0] * x[1])(X).tolist() == [X[1], X[0], 0.0]


def test_an_ordinary_typing_error_stays_numbas():
    @njit
    def broken(x):
        return x[0] + undefined_name  # noqa: F821

    with pytest.raises(TypingError, match="undefined_name"):
        tg.grad(broken)(X)


def test_typed_containers_made_inside_hold_active_numbers():
    @njit
    def function(x):
        table = {0: x[0] * x[1]}
        table[1] = x[2]
        numbers = [x[0]]
        numbers.append(table[0] * table[1])
        return sum(numbers)

    np.testing.assert_allclose(tg.grad(function)(X), [1 + X[1] * X[2], X[0] * X[2], X[0] * X[1]])
