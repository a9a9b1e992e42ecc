"""Code that asks what its arguments are, and code that NumPy alone would not record, as it is."""

from __future__ import annotations

import functools
import math
import numbers

import numpy as np
import pytest
import scipy.linalg
from against_numpy import assert_same

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads

X = np.array([0.3, 1.2, -0.7])


@functools.singledispatch
def doubled(x):
    return 3.0 * x


@doubled.register
def _(x: float):
    return 2.0 * x


@doubled.register
def _(x: np.ndarray):
    return np.sum(2.0 * x)


KINDS = {
    "array": lambda x: x[0] if isinstance(x, np.ndarray) else 2.0 * x[0],
    "float of an array": lambda x: x[0] if isinstance(x[0], float) else 2.0 * x[0],
    "number": lambda x: x[0] if isinstance(x[0], numbers.Real) else 2.0 * x[0],
    "floating": lambda x: x[0] if isinstance(x[0], np.floating) else 2.0 * x[0],
    "one of several": lambda x: x[0] if isinstance(x, list | np.ndarray) else 2.0 * x[0],
    "scalar": lambda x: x[0] if np.isscalar(x[0]) else 2.0 * x[0],
    "made": lambda x: x[0] if isinstance(np.zeros(3), np.ndarray) else 2.0 * x[0],
    "computed": lambda x: x[0] if isinstance(x[0] * 2.0, float) else 2.0 * x[0],
    "compared": lambda x: x[0] if isinstance(x[0] > 0.0, bool | np.bool_) else 2.0 * x[0],
    "no integer": lambda x: x[0] if isinstance(x[0], int) else 2.0 * x[0],
    "no list": lambda x: x[0] if isinstance(x, list) else 2.0 * x[0],
    "dispatched": lambda x: doubled(x[0]) + doubled(x),
}
LISTS = {
    "mean": lambda x: np.mean([x[0], x[1]]),
    "spread": lambda x: np.std([x[0], x[2]]) + np.var((x[0], 1.0)) + np.median([x[1], 0.5, x[2]]),
    "mean of arrays": lambda x: np.mean([x, 2.0 * x]),
    "percentile": lambda x: np.percentile([x[0], x[1]], 30),
    "det": lambda x: np.linalg.det([[x[0], 1.0], [2.0, x[1]]]),
    "inv": lambda x: np.linalg.inv([[x[0], 1.0], [2.0, x[1]]]).sum(),
    "solve": lambda x: np.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [x[0], 1.0]).sum(),
    "norm": lambda x: np.linalg.norm([x[0], x[1]]),
    "interp": lambda x: np.interp(0.4, [0.0, 1.0], [x[0], x[1]]),
    "trapezoid": lambda x: np.trapezoid([x[0], x[1], 2.0]),
    "shape": lambda x: x[0] * np.shape([x[0], x[1]])[0] + np.size([x[0], 1.0]) * np.ndim([x[0]]),
    "r_": lambda x: np.exp(np.r_[x, 1.0, x[0]]),
    "r_ of a range": lambda x: np.r_[x, 0:3, 0.0:1.0:3j],
    "c_": lambda x: np.tanh(np.c_[x, np.ones(3), x[::-1]]),
    "c_ of matrices": lambda x: np.c_[np.outer(x, x), x],
    "r_ of plain numbers": lambda x: np.r_[1.0, 2.0, 3.0] * x,
    "fsum of a generator": lambda x: math.fsum(v * v for v in x),
    "flat": lambda x: x.reshape(3, 1).flat[1] + sum(x.flat) + x.flat[[0, 2]].sum(),
    "another library": lambda x: scipy.linalg.norm(x),
}


def diagonal(x):
    y = np.zeros((3, 3))
    y.flat[::4] = x
    y.flat[1] = x[2] * x[0]
    return y


def normalised(x):
    q = np.r_[1.0, x]
    q /= np.linalg.norm(q)
    return q


PROGRAMS = {**KINDS, **LISTS, "flat assigned": diagonal, "r_ changed": normalised}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_takes_the_way_it_takes_unrecorded(name):
    function = PROGRAMS[name]
    value, _ = tg.jvp(function, (X,), (X,))
    assert_same(value, function(X), rtol=1e-14)
    check_grads(function, (X,))


def test_an_argument_that_is_a_float_says_so():
    derivative = tg.grad(lambda x: x if isinstance(x, float) else 2.0 * x)
    assert derivative(1.0) == 1.0
    assert len(diagonal(X).flat) == 9


def test_joining_by_a_string_is_refused():
    with pytest.raises(UnsupportedFunctionError, match="concatenate"):
        tg.grad(lambda x: np.sum(np.r_["-1,2,0", x, x]))(X)
