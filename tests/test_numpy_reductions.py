"""Reductions, running results, statistics and the methods of ufuncs, against NumPy itself."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from against_numpy import (
    assert_recorded_as_numpy,
    assert_replays_as_recorded,
    assert_same,
    outcome,
    plain,
    recorded_outcome,
)

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.function.recording import _activate
from tapegrad.record.nesting import recording
from tapegrad.testing import check_grads

RNG = np.random.default_rng(1)
SHAPES = [(), (0,), (5,), (3, 4), (0, 3), (2, 3, 2)]
AXES = [None, 0, -1, 1, (0, 1), (2, 0), ()]
X = np.array([[0.7, -1.2, 2.5], [1.9, 0.4, -0.6]])
MASK = np.array([[True, False, True], [True, True, False]])


def with_nans(x):
    return np.where(np.arange(x.size).reshape(x.shape) % 4 == 1, np.nan, x)


REDUCTIONS = [np.sum, np.prod, np.max, np.min, np.amax, np.amin, np.mean, np.var, np.std,
              np.median, np.ptp, np.any, np.all, np.count_nonzero, np.average, np.nansum,
              np.nanprod, np.nanmax, np.nanmin, np.nanmean, np.nanvar, np.nanstd]  # fmt: skip


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda function: function.__name__)
def test_a_reduction_is_numpys_over_shapes_and_axes(function):
    for shape in SHAPES:
        x = RNG.normal(size=shape)
        x = with_nans(x) if "nan" in function.__name__ else x
        for axis, keepdims in itertools.product(AXES, (False, True)):
            if function is np.median and axis == () and x.size == 0:
                continue  # NumPy's own fails
            assert_recorded_as_numpy(
                lambda x, axis=axis, keepdims=keepdims: function(x, axis=axis, keepdims=keepdims),
                x,
                label=f"{shape} {axis} {keepdims}",
            )


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda function: function.__name__)
def test_a_reduction_of_a_view_is_numpys(function):
    assert_recorded_as_numpy(lambda x: function(x[::-2, 1:].T, axis=0), RNG.normal(size=(5, 4)))


ARGUMENTS = {
    "sum of a mask": lambda x: np.sum(x, axis=1, where=MASK),
    "sum of an active mask": lambda x: np.sum(x, where=x > 0),
    "sum from an initial number": lambda x: np.sum(x, axis=0, initial=3.0),
    "sum of float64": lambda x: np.sum(x, dtype=np.float64),
    "product of a mask": lambda x: np.prod(x, axis=-1, where=MASK, initial=2.0),
    "maximum of a mask": lambda x: np.max(x, axis=0, where=MASK, initial=0.0),
    "minimum of a mask": lambda x: x.min(where=MASK, initial=0.5, keepdims=True),
    "mean of a mask": lambda x: np.mean(x, axis=0, where=MASK),
    "mean of an active mask": lambda x: x.mean(where=x > 0),
    "variance of a sample": lambda x: np.var(x, axis=1, ddof=1),
    "variance with a correction": lambda x: np.var(x, correction=1),
    "variance of a mask": lambda x: np.var(x, axis=1, where=MASK),
    "variance about a mean": lambda x: np.var(x, axis=1, mean=np.mean(x, 1, keepdims=True)),
    "deviation of a sample": lambda x: x.std(axis=(0, 1), ddof=1, keepdims=True),
    "average with weights": lambda x: np.average(x, axis=1, weights=[1.0, 2.0, 3.0]),
    "average with active weights": lambda x: np.average(x, weights=x**2),
    "average with two axes of weights": lambda x: np.average(x, axis=(1, 0), weights=MASK.T + 1.0),
    "average and its weight": lambda x: np.average(x, axis=0, weights=[1, 3], returned=True),
    "average without weights and its weight": lambda x: np.average(x, axis=0, returned=True),
    "median of a lane": lambda x: np.median(x, axis=1, keepdims=True),
    "quantiles": lambda x: np.quantile(x, [0.2, 0.5, 0.9], axis=1),
    "quantile of all": lambda x: np.quantile(x, 0.37),
    "percentiles, a table": lambda x: np.percentile(x, [[10, 100], [40, 0]], axis=0, keepdims=True),
    "running sum": lambda x: np.cumsum(x, axis=0),
    "running sum of all": lambda x: x.cumsum(),
    "running product": lambda x: x.cumprod(axis=-1),
    "running product of all": lambda x: np.cumprod(x),
    "methods": lambda x: [x.sum(0), x.prod(1), x.max(), x.min(0), x.mean(), x.var(0), x.std(),
                          x.any(), x.all(axis=0), x.cumsum(1), x.cumprod(0)],
    "methods of a number": lambda x: [x[0, 0].sum(), x[0, 0].mean(), x[0, 0].max()],
    "sum of truth values": lambda x: np.sum(x > 0, axis=0),
    "count of truth values": lambda x: np.sum(x > 0, dtype=int),
    "share of truth values": lambda x: np.mean(x > 0),
    "extremes of truth values": lambda x: np.max(x > 0, axis=0) & np.min(x > 0, axis=0),
    "any of a mask": lambda x: np.any(x > 1, axis=1, where=MASK),
    "all of numbers": lambda x: np.all(x, axis=1, where=MASK),
    "count along an axis": lambda x: np.count_nonzero(x > 0, axis=1, keepdims=True),
    "nansum of a mask": lambda x: np.nansum(x, axis=1, where=MASK),
    "nan running": lambda x: [np.nancumsum(x), np.nancumprod(x, axis=1)],
    "axis out of range": lambda x: np.sum(x, axis=2),
    "axis twice": lambda x: np.max(x, axis=(0, 0)),
    "a mask without an initial number": lambda x: np.max(x, where=MASK),
    "weights of sum zero": lambda x: np.average(x, axis=0, weights=[1.0, -1.0]),
    "weights of another length": lambda x: np.average(x, axis=0, weights=[1.0, 1.0, 1.0]),
    "a quantile beyond one": lambda x: np.quantile(x, 1.1),
    "correction and ddof": lambda x: np.var(x, ddof=1, correction=1),
}  # fmt: skip
if hasattr(np, "cumulative_sum"):  # since NumPy 2.1
    ARGUMENTS |= {
        "cumulative": lambda x: [np.cumulative_sum(x, axis=1, include_initial=True),
                                 np.cumulative_prod(x[0], include_initial=True)],
        "cumulative without an axis": lambda x: np.cumulative_sum(x),
    }  # fmt: skip


@pytest.mark.parametrize("function", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_mean_what_they_mean_to_numpy(function):
    for x in (X, with_nans(X), np.where(MASK, X, 0.0)):
        assert_recorded_as_numpy(function, x)
    assert_recorded_as_numpy(lambda x: function(x.T), X.T.copy())


METHODS = ["inverted_cdf", "averaged_inverted_cdf", "closest_observation",
           "interpolated_inverted_cdf", "hazen", "weibull", "linear", "median_unbiased",
           "normal_unbiased", "lower", "higher", "midpoint", "nearest"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_quantiles_is_numpys(method):
    q = np.array([0.0, 0.05, 0.25, 0.3, 0.5, 0.77, 1.0])
    for size in (1, 2, 5, 8):
        assert_recorded_as_numpy(lambda x: np.quantile(x, q, method=method), RNG.normal(size=size))


SMOOTH = {
    name: function
    for name, function in ARGUMENTS.items()
    if not isinstance(outcome(function, X), Exception) and "methods" not in name
    and "truth" not in name and name not in ("any of a mask", "all of numbers")
    and "count" not in name
}  # fmt: skip
SMOOTH |= {
    function.__name__: lambda x, function=function: function(x, axis=0)
    for function in REDUCTIONS
    if function not in (np.any, np.all, np.count_nonzero)
}
SMOOTH |= {
    "product with a zero": lambda x: np.prod(x - 0.7),
    "running product with zeros": lambda x: np.cumprod(x - np.array([0.7, -1.2, 2.5])),
    "quantile by an active fraction": lambda x: np.quantile(x, 0.1 * x[0, :2] + 0.5),
    "quantile at one": lambda x: np.quantile(x, 1.0, axis=0),
    "add.reduceat": lambda x: np.add.reduceat(np.sin(x), [0, 2, 1], axis=1),
    "multiply.accumulate": lambda x: np.multiply.accumulate(x, axis=1),
    "logaddexp.reduce": lambda x: np.logaddexp.reduce(x, axis=1),
    "hypot.reduce": lambda x: np.hypot.reduce(x, axis=None),
    "divide.reduce": lambda x: np.divide.reduce(x, axis=1, initial=2.0, where=MASK),
    "multiply.outer": lambda x: np.multiply.outer(x[0], x[1]),
}


@pytest.mark.parametrize("function", SMOOTH.values(), ids=SMOOTH.keys())
def test_derivatives_of_reductions_are_the_differences(function):
    check_grads(function, (X,), order=2)


def test_the_gradient_of_a_product_with_zeros_is_the_product_of_the_others():
    np.testing.assert_array_equal(tg.grad(np.prod)(np.array([2.0, 0.0, 3.0])), [0.0, 6.0, 0.0])
    np.testing.assert_array_equal(tg.grad(np.prod)(np.array([0.0, 0.0, 3.0])), [0.0, 0.0, 0.0])
    hessian = tg.hessian(np.prod)(np.array([0.0, 0.0, 3.0]))
    np.testing.assert_array_equal(hessian, [[0, 3, 0], [3, 0, 0], [0, 0, 0]])


def test_the_gradient_of_a_maximum_is_shared_at_a_tie():
    np.testing.assert_array_equal(tg.grad(np.max)(np.array([1.0, 2.0, 2.0])), [0.0, 0.5, 0.5])


def test_the_gradient_of_a_deviation_of_equal_numbers_is_zero():
    np.testing.assert_array_equal(tg.grad(np.std)(np.ones(3)), np.zeros(3))


def test_what_a_mask_leaves_out_has_no_part_in_the_gradient():
    x = np.array([4.0, np.nan, 9.0])
    gradient = tg.grad(lambda x: np.sum(np.sqrt(x), where=[True, False, True]))(x)
    np.testing.assert_array_equal(gradient, [0.25, 0.0, 1 / 6])
    np.testing.assert_array_equal(tg.grad(np.nanmean)(x), [0.5, 0.0, 0.5])


def test_an_extremum_has_no_guard_and_a_read_truth_value_one():
    for function, count in [(np.max, 0), (np.nanmin, 0), (np.nanmean, 0), (np.any, 0),
                            (lambda x: bool(np.all(x > 0)), 1), (np.median, 5)]:  # fmt: skip
        with recording() as tape:
            function(_activate(tape, X))
            assert len(tape.so_far().guard_slot) == count


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.nansum(x) * np.count_nonzero(x > 0),
        lambda x: np.max(x) - np.nanmin(x, initial=1.0),
        lambda x: np.sum(x, where=x > 0) + np.mean(x, where=x < 1),
        lambda x: np.median(x) * 2.0,
        lambda x: np.sum(np.quantile(x, [0.1, 0.6]) * np.array([1.0, 3.0])),
        lambda x: np.sum(x) if np.any(x > 1.0) else np.prod(x),
        lambda x: 2.0 * x[np.argmax(x)] + x[np.argmin(x)],
        lambda x: 2.0 * x[np.nanargmax(x)] + x[np.nanargmin(x)],
    ],
)
def test_a_replay_of_a_reduction_is_what_a_fresh_recording_is(function):
    rng = np.random.default_rng(3)
    points = [rng.integers(-2, 3, 5).astype(float) for _ in range(12)]
    points += [np.where(rng.uniform(size=5) < 0.3, np.nan, x) for x in points]
    assert_replays_as_recorded(function, points)


# --- ufuncs -----------------------------------------------------------------------------------

BINARY = [np.add, np.subtract, np.multiply, np.divide, np.power, np.float_power, np.remainder,
          np.fmod, np.floor_divide, np.copysign, np.maximum, np.minimum, np.fmax, np.fmin,
          np.logaddexp, np.logaddexp2, np.arctan2, np.hypot, np.logical_and, np.logical_or,
          np.logical_xor]  # fmt: skip
WRONG_IN_NUMPY = (np.power, np.float_power, np.arctan2)  # chains of them, where they use SIMD


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_the_methods_of_a_binary_ufunc_are_numpys(ufunc):
    positive = RNG.uniform(0.3, 2.0, (3, 4))
    for x in (positive, positive[1], positive[:0], positive[:, 1:2]):
        for axis in range(-1, x.ndim):
            assert_recorded_as_numpy(lambda x, axis=axis: ufunc.accumulate(x, axis), x)
    if ufunc not in WRONG_IN_NUMPY:
        assert_recorded_as_numpy(lambda x: ufunc.reduceat(x, [0, 2, 1, 1], axis=1), positive)
        assert_recorded_as_numpy(lambda x: ufunc.reduceat(x, [0, 3]), positive)
    assert_recorded_as_numpy(lambda x: ufunc.outer(x, x[0]), positive)
    assert_recorded_as_numpy(lambda x: ufunc.outer(x[0, 0], [1.0, 2.0]), positive)
    assert_recorded_as_numpy(lambda x: ufunc(x, x[0], where=x > 1.0, out=0.0 * x), positive)


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_a_ufuncs_reduction_is_numpys(ufunc):
    positive = RNG.uniform(0.3, 2.0, (3, 4))
    if ufunc in WRONG_IN_NUMPY:
        for axis in (0, 1):
            found = recorded_outcome(lambda x, axis=axis: ufunc.reduce(x, axis=axis), positive)
            wanted = functools.reduce(ufunc, np.moveaxis(positive, axis, 0))
            assert_same(found, wanted)
        return
    for x in (positive, positive[1], positive[:0], positive[:, 1:2]):
        for axis in range(-1, x.ndim):
            assert_recorded_as_numpy(lambda x, axis=axis: ufunc.reduce(x, axis=axis), x)
    assert_recorded_as_numpy(lambda x: ufunc.reduce(x, axis=None), positive)
    assert_recorded_as_numpy(lambda x: ufunc.reduce(x, axis=(0, 1), keepdims=True), positive)
    assert_recorded_as_numpy(lambda x: ufunc.reduce(x, initial=0.5), positive)


@pytest.mark.parametrize("ufunc", BINARY[:-3], ids=lambda ufunc: ufunc.__name__)
def test_at_works_through_repeated_indices_one_by_one(ufunc):
    def program(x):
        y = x * 1.0
        ufunc.at(y, [0, 2, 0, 0], x[1, :, np.newaxis] * np.ones(3) if x.ndim > 2 else 1.5)
        ufunc.at(y, ([0, 0, 1], [1, 1, 0]), x[1, :3])
        return y

    x = RNG.uniform(0.3, 2.0, (3, 4))
    assert_recorded_as_numpy(program, x)


def test_at_of_a_unary_ufunc_and_of_a_view_writes_in_place():
    def program(x):
        y = np.exp(x)
        np.negative.at(y[::2].T, (0, [0, 1, 1]))
        np.add.at(y, y > 2.0, x[0, 0])
        return y

    assert_recorded_as_numpy(program, RNG.normal(size=(4, 3)))
    check_grads(program, (RNG.normal(size=(4, 3)),), order=2)


def test_out_and_where_write_where_numpy_does():
    def program(x):
        y, z = np.zeros_like(x), 0.0 * x
        np.divide(1.0, x, out=y, where=x != 0.0)
        np.add(x, 1.0, out=z, where=[True, False, True])
        np.sqrt(abs(x[1:]), out=z[1:])
        np.sum(x, axis=0, out=y[0])
        np.cumsum(x[0], out=y[1])
        np.median(x, axis=0, out=z[0])
        return [y, z]

    assert_recorded_as_numpy(program, np.where(MASK, X, 0.0))
    check_grads(program, (X,), order=2)
    gradient = tg.grad(lambda x: np.sum(np.divide(1.0, x, out=0.0 * x, where=x != 0.0)))
    np.testing.assert_array_equal(gradient(np.array([0.0, 2.0])), [0.0, -0.25])


UNSUPPORTED = {
    "less.reduce": lambda x: np.less.reduce(x),
    "heaviside.accumulate": lambda x: np.heaviside.accumulate(x),
    "float32": lambda x: np.sum(x, dtype=np.float32),
    "int": lambda x: np.cumsum(x, dtype=int),
    "arctan2.reduce": lambda x: np.arctan2.reduce(x, initial=1.0, where=MASK),
    "weights=": lambda x: np.quantile(x, 0.5, weights=x, method="inverted_cdf"),
    "signature=": lambda x: np.add(x, x, signature="dd->d"),
    "plain array": lambda x: np.sum(x, axis=0, out=np.zeros(3)),
    "method='linear'": lambda x: np.quantile(x, x[0, 0], method="lower"),
    "add.at": lambda x: np.add.at(np.zeros(3), 0, x[0, 0]),
}


@pytest.mark.parametrize(("name", "function"), UNSUPPORTED.items(), ids=UNSUPPORTED.keys())
def test_what_has_no_rule_is_named(name, function):
    with recording() as tape, pytest.raises(UnsupportedFunctionError, match=name):
        plain(function(_activate(tape, X)))
