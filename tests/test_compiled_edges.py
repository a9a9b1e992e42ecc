"""Compiled code where a number is read: roundings, truth, NaNs, infinities and empty arrays."""

import math
import subprocess
import sys

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

inf, nan = math.inf, math.nan


def tape_of(derivative):
    return derivative.recorded.recordings[0].tape


def same(function, points):
    """One derivative of the compiled function agrees, at every point, with Python's there."""
    replayed = tg.value_and_grad(njit(function))
    for x in points:
        value, gradient = replayed(x)
        expected = tg.value_and_grad(lambda x: function(x))(x)
        np.testing.assert_array_equal(value, expected[0], err_msg=repr(x))
        np.testing.assert_array_equal(gradient, expected[1], err_msg=repr(x))
    return replayed


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [0, 1, 2, -1])
def test_a_number_rounded_to_digits_is_replayed_only_where_it_rounds_so(digits):
    @njit
    def function(x):
        return round(x, digits) * x

    unit = 10.0**-digits
    points = [unit * k for k in (0.75, 0.9, 0.29, 0.25, 2.5, 7.5, 2.75, -0.25, -7.5, 0.0)]
    points += [math.nextafter(x, away) for x in points for away in (-inf, inf)]
    replayed = tg.value_and_grad(function)
    for _ in range(2):
        for x in points:
            value, gradient = replayed(x)
            assert value == function(x), x
            assert value == gradient * x, x


def test_the_records_of_a_rounding_are_those_of_python():
    def function(x):
        return round(x, 1) * x

    derivatives = [tg.grad(njit(function)), tg.grad(function)]
    for derivative in derivatives:
        derivative(0.72)
    ours, pythons = map(tape_of, derivatives)
    np.testing.assert_array_equal(ours.op, pythons.op)
    # Numba's own rounding takes some numbers next to a tie the other way.
    np.testing.assert_allclose(ours.constants, pythons.constants, rtol=1e-15)


def test_rounding_what_is_not_finite_is_guarded():
    @njit
    def function(x):
        return round(x, 1) + x

    replayed = tg.value_and_grad(function)
    for x in (nan, 0.72, inf, nan, -inf, 0.72, 5.0):
        np.testing.assert_array_equal(replayed(x), (function(x), 1.0))


def test_truth_and_the_logical_functions():
    def function(x):
        y = 1.0 if not x else x * x
        y += x * np.logical_and(x, 1.0) + 2.0 * x * np.logical_or(x, 0.0)
        return y + 3.0 * x * np.logical_xor(x, 1.0) + 5.0 * x * np.logical_not(x)

    same(function, (1.5, 0.0, -0.0, 2.5, 0.0, nan, 1.5))


def test_the_logical_functions_of_arrays():
    def function(x):
        both, one = np.logical_and(x, x[::-1]), np.logical_or(x, 0.0)
        return np.sum(x * both) + 2.0 * np.sum(x * one) + 3.0 * np.sum(x[np.logical_not(x - 1.0)])

    same(function, [np.array(x) for x in ([1.5, 0.0, 1.0], [1.5, 2.0, 1.0], [0.0, 0.0, 3.0])])


def test_a_plus_sign_is_no_record():
    def function(x):
        return +x * +x

    derivatives = [tg.grad(njit(function)), tg.grad(function)]
    assert [derivative(3.0) for derivative in derivatives] == [6.0, 6.0]
    assert len({len(tape_of(derivative)) for derivative in derivatives}) == 1


@pytest.mark.parametrize("read", [int, math.floor, math.ceil, math.trunc, round])
def test_an_integer_of_what_is_not_finite_raises_as_in_python(read):
    @njit
    def function(x):
        return read(x) * x

    gradient = tg.grad(function)
    for _ in range(2):
        with pytest.raises(ValueError, match="NaN to integer"):
            gradient(nan)
        with pytest.raises(OverflowError, match="infinity to integer"):
            gradient(-inf)
        assert gradient(2.0) == 2.0


NAMED = """
import sys
from math import floor, isnan, pow, sin
from numpy import dot, maximum, zeros
from numba import njit
import tapegrad as tg

@njit
def function(x):
    z = zeros(2)
    z[0] = sin(x) * pow(x, 2.5) + floor(x) * maximum(x, 1.0)
    return dot(z, z) if not isnan(x) else x

assert tg.grad(function)(1.5) == tg.grad(function.py_func)(1.5)
"""


def test_functions_imported_by_name_in_a_process_that_has_compiled_nothing_yet(tmp_path):
    script = tmp_path / "named.py"
    script.write_text(NAMED)
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


# --- arrays ------------------------------------------------------------------------------------

WITH_NANS = [np.array(x) for x in (
    [1.0, 2.0, 3.0], [1.0, nan, 3.0], [nan, 1.0, 2.0], [3.0, 1.0, nan], [3.0, 2.0, 1.0],
    [2.0, 2.0, 2.0], [nan, nan, 1.0], [1.0, 2.0, nan], [0.0, -0.0, inf], [-inf, inf, nan],
    [1.0, 2.0, 3.0],
)]  # fmt: skip


def test_the_place_of_the_best_is_that_of_the_first_nan():
    same(lambda x: 3.0 * x[np.argmax(x)] + x[x.argmin()], WITH_NANS)


def test_nans_are_sorted_to_the_end():
    weights = np.array([1.0, 10.0, 100.0])
    for function in (
        lambda x: np.sort(x)[0] + 3.0 * np.sort(x)[1],
        lambda x: np.sum(x[np.argsort(x)][:2] * weights[:2]),
    ):
        same(function, WITH_NANS)


def test_a_sort_that_met_no_nan_is_not_replayed_where_there_is_one():
    gradient = tg.grad(njit(lambda x: np.sort(x)[0]))
    assert gradient(np.array([1.0, 2.0, 3.0])).tolist() == [1.0, 0.0, 0.0]
    assert gradient(np.array([nan, 2.0, 3.0])).tolist() == [0.0, 1.0, 0.0]


EMPTY = {
    "max": (lambda x: np.max(x[:0]), "zero-size array"),
    "min": (lambda x: x[:0].min(), "zero-size array"),
    "ptp": (lambda x: np.ptp(x[:0]), "zero-size array"),
    "max of rows": (lambda x: x[0] * np.zeros((2, 0)).max(), "zero-size array"),
    "argmax": (lambda x: x[np.argmax(x[:0])], "argmax of an empty sequence"),
    "argmin": (lambda x: x[x[:0].argmin()], "argmin of an empty sequence"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_the_best_of_nothing_raises_as_without_recording(name):
    function, message = EMPTY[name]
    compiled = njit(function)
    with pytest.raises(ValueError, match=r"zero-size array|empty sequence"):
        compiled(np.ones(2))
    with pytest.raises(ValueError, match=message):
        tg.grad(compiled)(np.ones(2))


def test_sums_of_nothing_are_their_identities():
    same(lambda x: np.sum(x[:0]) + np.prod(x[:0]) + x[0] + np.sum(np.cumsum(x[:0])), [np.ones(2)])


def test_unit_matrices_of_every_form():
    def function(x):
        y = np.sum(np.eye(3, 2) * x) + 2.0 * np.sum(np.eye(3, 4, 1)[0] * x)
        y += 3.0 * np.sum(np.eye(3, k=-1)[1] * x) + np.sum(np.identity(2) * x)
        whole = np.eye(2, dtype=np.int64)[1, 1]
        floats = np.eye(2, M=3, dtype=np.float64)
        floats[0, 2] = x
        return y * whole + np.sum(floats * x) + np.sum(np.eye(3, M=2, k=5) * x)

    same(function, (1.5, 2.5))


def test_a_contiguous_copy_is_another_array_and_a_contiguous_array_the_same():
    def function(p):
        a = np.zeros((2, 3))
        a[:, 0] = p
        c = np.ascontiguousarray(a.T)
        c[0, 0] = 5.0
        d = np.ascontiguousarray(a)
        d[1, 1] = p[0]
        return a.sum() * c.sum()

    same(function, [np.array([0.3, 0.2])])


# --- what is refused ---------------------------------------------------------------------------


def test_a_failure_inside_a_library_names_the_users_line():
    @njit
    def upper(x):
        return np.sum(np.vander(x))

    with pytest.raises(UnsupportedFunctionError, match="vander") as caught:
        tg.grad(upper)(np.ones(4))
    assert f"{__file__}:" in str(caught.value)


def test_what_has_complex_candidates_is_not_taken_for_complex():
    @njit
    def absent(x):
        return np.spacing(x[0])

    with pytest.raises(UnsupportedFunctionError, match="spacing") as caught:
        tg.grad(absent)(np.ones(2))
    assert "complex" not in str(caught.value)


# --- places in a sorted array ------------------------------------------------------------------

KNOTS = np.array([0.0, 1.0, 1.0, 3.0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_places_in_a_sorted_array(side):
    def of_numbers(x):
        place = 10 * np.searchsorted(KNOTS, x[0], side=side) + np.searchsorted(KNOTS, 1.0, side)
        return place * x[1]

    def of_arrays(x):
        return np.sum(np.searchsorted(np.sort(x), KNOTS, side)) * x[0]

    points = [np.array([a, 2.0]) for a in (-1.0, 0.0, 0.5, 1.0, 3.0, 4.0)]
    same(of_numbers, [*points, np.array([nan, 2.0]), np.array([inf, 2.0])])
    same(of_arrays, points)
