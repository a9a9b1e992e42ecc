"""Numbers that leave their derivative are refused, and an exception leaves the next one whole."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import MixedTapesError, TapeEndedError


class Leak(Exception):
    """An exception that takes a number out of its recording."""


def leaked(x):
    """Return the number that a recording at `x` had."""

    def leak(y):
        raise Leak(y)

    with pytest.raises(Leak) as caught:
        tg.grad(leak)(x)
    return caught.value.args[0]


def test_an_inner_number_that_escapes_is_refused():
    with pytest.raises(TapeEndedError):
        tg.grad(lambda x: x * leaked(x))(2.0)
    with pytest.raises(TapeEndedError):
        leaked(2.0) * 2.0


def test_numbers_that_escaped_two_recordings_are_refused_in_a_third():
    first, second = leaked(2.0), leaked(3.0)
    with pytest.raises((TapeEndedError, MixedTapesError)):
        tg.grad(lambda y: y * first * second)(2.0)


def test_an_inner_number_that_is_kept_is_the_outer_one_it_is_bound_to():
    kept = []

    def keep(y):
        kept.append(y * y)
        return y * y

    # 2x · x², where `kept` holds the inner function's value
    assert tg.grad(lambda x: tg.grad(keep)(x) * kept[-1])(2.0) == 24.0
    assert kept == [4.0]


def test_an_inner_number_stored_in_an_outer_array_is_refused():
    def f(x):
        def g(y):
            x[0] = y * y
            return y

        return tg.grad(g)(2.0) * x[0]

    with pytest.raises(MixedTapesError):
        tg.grad(f)(np.ones(2))


def test_an_exception_inside_leaves_the_next_derivative_whole():
    def inner(y):
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            tg.grad(lambda x: tg.grad(inner)(x))(1.0)
        assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1.0


def test_an_exception_caught_inside_leaves_the_outer_derivative_whole():
    def broken(y):
        raise ZeroDivisionError

    def f(x):
        try:
            return tg.grad(broken)(x)
        except ZeroDivisionError:
            return x * x * tg.grad(lambda y: x * y)(1.0)

    assert tg.grad(f)(2.0) == 12.0
