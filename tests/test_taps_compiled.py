"""Taps in compiled functions, which give plain values to a compiled function."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

X = np.array([1.0, 2.0])
Y = np.array([3.0, -1.0])


@njit
def show(value, count, parts):
    print(value, count, parts[0], parts[1][0], parts[1][1])


@njit
def f(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i] ** 2
    tg.tap(show, total, 3, (total * x[0], x))
    return total * x[0]


def shown(*points):
    lines = []
    for x in points:
        total = float(np.sum(x**2))
        lines.append(f"{total} 3 {total * x[0]} {x[0]} {x[1]}")
    return lines


def test_a_compiled_function_taps_once_a_call_in_every_form(capfd):
    assert f(X) == 5.0
    assert capfd.readouterr().out.splitlines() == shown(X)

    derivative = tg.value_and_grad(f)
    for x, expected in ((X, [7.0, 4.0]), (Y, [28.0, -6.0]), (X, [7.0, 4.0])):
        np.testing.assert_array_equal(derivative(x)[1], expected)
    assert capfd.readouterr().out.splitlines() == shown(X, Y, X)

    np.testing.assert_array_equal(tg.hessian(f)(X), [[6.0, 4.0], [4.0, 2.0]])
    assert capfd.readouterr().out.splitlines() == shown(X)

    out = np.empty(2)
    assert derivative.njit(Y, out) == 30.0
    np.testing.assert_array_equal(out, [28.0, -6.0])
    assert capfd.readouterr().out.splitlines() == shown(Y)

    tg.explain(derivative, X, file=io.StringIO())
    assert capfd.readouterr().out == ""


def test_a_form_of_second_order_taps_once(capfd):
    out = np.empty((2, 2))
    tg.hessian(f).njit(X, out)
    np.testing.assert_array_equal(out, [[6.0, 4.0], [4.0, 2.0]])
    assert capfd.readouterr().out.splitlines() == shown(X)


def test_a_function_of_python_is_refused_and_told_to_compile_it():
    @njit
    def taps_print(x):
        tg.tap(print, x)
        return x

    with pytest.raises(UnsupportedFunctionError, match=r"decorate it with numba.njit.*test_taps"):
        tg.grad(taps_print)(1.0)
