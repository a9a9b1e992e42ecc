"""What a recorded function stores into stays plain where its memory is anybody else's, or where no
active number comes; what is stored into single precision is rounded."""

from __future__ import annotations

import functools
import weakref

import numpy as np
import pytest
import scipy.ndimage
from outside import IDX, POINTS, M, T, assert_refused, assert_slope

import tapegrad as tg

# --- what stays plain -----------------------------------------------------------------------------


@functools.cache
def cached():
    return T * 2


kept_by_weak_reference = []


def referred_to():
    y = T * 2
    kept_by_weak_reference.append(weakref.ref(y))
    return y


def test_what_somebody_else_holds_is_refused_with_the_line_to_write():
    def held(x):
        y = cached()
        y[0] = x[0]
        return y[0]

    def as_told(x):
        y = np.array(cached(), float)
        y[0] = x[0]
        return y[0] * y[1]

    def held_weakly(x):
        y = referred_to()
        y[0] = x[0]
        return y[0]

    cached()
    assert_refused(held, r"write y = np\.array\(y, float\) in")
    assert_refused(held_weakly)
    assert cached().tolist() == [0.4, 1.0, 1.8]
    assert_slope(as_told, lambda x: [1.0, 0.0, 0.0])


VIEWS = ["T[1:]", "T[:]", "T.T", "T.reshape(3, 1)[0]", "T", "M[0]", "M.T", "np.ravel(M)",
         "np.asarray(T)", "M.view()", "next(iter(M))",
         "np.frombuffer(bytearray(24))"]  # fmt: skip


@pytest.mark.parametrize("form", VIEWS)
def test_a_view_of_an_outside_array_is_refused_and_nothing_is_written(form):
    space = {"IDX": IDX, "M": M, "T": T, "np": np}
    exec(f"def function(x):\n    y = {form}\n    y[0] = x[0]\n    return np.sum(y)\n", space)
    kept = T.copy(), M.copy()
    assert_refused(space["function"], "plain")
    np.testing.assert_array_equal(T, kept[0])
    np.testing.assert_array_equal(M, kept[1])


def test_plain_numbers_are_stored_into_outside_arrays_as_ever():
    outside = np.ones(3)

    def function(x):
        view, flat = outside[1:], outside.reshape(1, 3)
        view[0] = 5.0
        flat[0, 0] = 7.0
        view += 1.0
        return np.sum(x) * float(outside[1])

    assert tg.grad(function)(np.ones(3)).tolist() == [6.0, 6.0, 6.0]
    assert outside.tolist() == [7.0, 6.0, 2.0]


def test_what_is_stored_into_integers_and_truth_values_is_read_under_guards():
    def function(x):
        y, mask, kept = np.array([1, 2, 3]) * 1, (T > 0.3).copy(), np.arange(4)[IDX]
        y[0] = x[2]
        mask[0] = x[0]
        kept[1] = x[0] * 10.0
        assert (y.dtype.kind, mask.dtype, kept.dtype.kind) == ("i", bool, "i")
        return np.sum(x * y * mask) + kept[1] * x[0]

    def slope(x):
        y = np.array([int(x[2]), 2.0, 3.0])
        return y + np.array([int(x[0] * 10.0), 0.0, 0.0])

    assert_slope(function, slope)


def test_a_complex_array_of_constants_takes_active_numbers():
    def function(x):
        y = T.astype(complex)
        y[0] = x[0]
        return np.sum(y * y).real

    assert_slope(function, lambda x: [2.0 * x[0], 0.0, 0.0])


def test_active_arrays_in_integers_are_refused():
    def of_integers(x):
        y = np.arange(4)[IDX]
        y[1:] = x[:2]
        return np.sum(y * x)

    assert_refused(of_integers, r"write y = np\.array\(y, float\)")


def test_integers_and_truth_values_are_stored_as_ever():
    def function(x):
        y, mask = np.array([1, 2, 3]) * 1, T > 0.3
        y[0] = 7
        y += 1
        mask[0] = True
        assert (y.tolist(), y.dtype.kind, mask.dtype) == ([8, 3, 4], "i", bool)
        return np.sum(x[mask] * y)

    assert tg.grad(function)(np.ones(3)).tolist() == [8.0, 3.0, 4.0]


def test_what_is_not_stored_into_or_by_constants_only_stays_plain():
    def function(x):
        y, z, smooth = T * 2, T.copy(), T * 1
        y[0] = x[0]
        z[z > 0.7] = 0.0
        z[0] += 1.0
        z *= 2.0
        z.sort()
        w = z + T
        assert type(z) is type(w) is type(smooth) is np.ndarray
        assert memoryview(z).nbytes == 24
        scipy.ndimage.uniform_filter1d(T, 3, output=smooth)
        return np.sum(y * w * smooth)

    assert_slope(function, lambda x: [0.2 * (0.2 + 0.2 + 0.5) / 3, 0.0, 0.0])


def test_foreign_code_that_would_write_into_an_array_that_may_be_active_raises():
    def function(x):
        y = T * 2
        y[0] = x[0]
        made = np.zeros(3)
        for array in (y[1:], made):
            with pytest.raises(ValueError, match="read-only"):
                np.lib.stride_tricks.as_strided(array, (2,))[:] = 7.0
        return np.sum(y * x)

    np.testing.assert_allclose(tg.grad(function)(POINTS[0]), [0.8, 1.0, 1.8], rtol=1e-15)


def test_a_function_that_stores_nothing_runs_the_code_it_was_written_in():
    seen = []

    def plain(x):
        seen.append(plain.__code__)
        y = T * 2
        assert type(y) is np.ndarray
        return np.sum(y * x)

    tg.grad(plain)(np.ones(3))
    assert seen == [plain.__code__]


# --- single precision -----------------------------------------------------------------------------

SINGLES = np.array([0.1, 0.2, 0.3], np.float32)


def single(number):
    return float(np.float32(number))


def of_single(x):
    y, z = np.zeros(3, np.float32), SINGLES * 2
    y[0] = x[0]
    y[1:] = x[1:] ** 2
    y[::-1][0] += 0.1
    z.T[1] = x[0] * x[1]
    assert (y.dtype, z[1:].dtype, y.copy().dtype, y.itemsize) == (*[np.float32] * 3, 4)
    assert y.astype(float).dtype == np.array(z, float).dtype == np.float64
    return np.sum(y * [1.0, 10.0, 100.0]) + 1.0 * z[1]


def of_single_value(x):
    last = single(single(x[2] ** 2) + 0.1)
    return single(x[0]) + 10.0 * single(x[1] ** 2) + 100.0 * last + single(x[0] * x[1])


def test_storing_into_single_precision_rounds_with_derivative_one():
    derivative = tg.value_and_grad(of_single)
    for compiled in (False, True):
        if compiled:
            derivative = derivative.compiled(POINTS[0])
        for x in POINTS:
            value, gradient = derivative(x)
            assert value == pytest.approx(of_single_value(x), rel=1e-15)
            wanted = [1.0 + x[1], 20.0 * x[1] + x[0], 200.0 * x[2]]
            np.testing.assert_allclose(gradient, wanted, rtol=1e-14)
    hessian = tg.hessian(of_single)(POINTS[0])
    np.testing.assert_array_equal(hessian, [[0, 1, 0], [1, 20, 0], [0, 0, 200]])
    assert SINGLES.tolist() == [single(0.1), single(0.2), single(0.3)]


@pytest.mark.parametrize("number", [0.0, -0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324,
                                    1e-40, 16777217.0, 0.1])  # fmt: skip
def test_edges_of_single_precision_are_numpys(number):
    def function(x):
        y = np.zeros(2, np.float32)
        y[0] = x
        y[1] = number
        assert repr(float(tg.stop_gradient(y[1]))) == repr(wanted)
        return y[0]

    with np.errstate(over="ignore"):
        wanted = single(number)
    found = tg.value_and_grad(function)
    for _ in range(2):  # recorded, and replayed
        value, gradient = found(number)
        assert (repr(value), gradient) == (repr(wanted), 1.0)


def test_an_array_like_another_has_the_type_that_is_asked_for():
    def function(x):
        like, mask = np.zeros_like(x, dtype=np.float32), np.zeros_like(x, dtype=bool)
        counts, full = np.full_like(x, 2, dtype=int), np.full(3, 0.1, np.float32)
        like[0], mask[1], full[0] = x[0], True, x[1]
        assert (mask.dtype, counts.dtype.kind, np.zeros_like(like).dtype) == (bool, "i", np.float32)
        return like[0] * full[0] * np.sum(x[mask] * counts[mask])

    x = POINTS[0]
    value, gradient = tg.value_and_grad(function)(x)
    a, b = single(x[0]), single(x[1])
    assert value == pytest.approx(a * b * 2 * x[1], rel=1e-15)
    np.testing.assert_allclose(gradient, [b * 2 * x[1], a * 2 * (x[1] + b), 0.0], rtol=1e-15)
