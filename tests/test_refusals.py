"""What is said where code asks an active number for a plain one."""

from __future__ import annotations

import cmath
import decimal
import fractions
import functools
import math
import statistics

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import InputTypeError, LostDerivativeError, UnsupportedFunctionError

TABLE = {"sin": math.sin, "exp": math.exp, "erf": math.erf, "zeros": np.zeros}
POWERS = {"two": functools.partial(math.pow, 2.0)}
PLAIN = np.zeros(3)


def looked_up(x):
    return sum(function(x) for function in TABLE.values())


def stored(x):
    PLAIN[1] = x
    return PLAIN.sum()


def made(x):
    y = TABLE["zeros"](3)
    y[0] = x
    return y.sum()


def on_several_lines(x):
    return 1.0 + TABLE["sin"](
        x
        * 2.0
    )  # fmt: skip


BOUND = {
    "lines": (on_several_lines, "math.sin, called as 'TABLE[", "write np.sin"),
    "partial": (lambda x: POWERS["two"](x), "math.pow, called as 'POWERS[", "np.power"),
    "dictionary": (lambda x: TABLE["exp"](x), "math.exp, called as 'TABLE[", "write np.exp"),
    "loop": (looked_up, "math.sin, called as 'function(x)'", "write np.sin"),
    "map": (lambda x: sum(map(TABLE["exp"], [x])), "math.exp", "write np.exp"),
    "erf": (lambda x: TABLE["erf"](x), "math.erf", "scipy.special.erf"),
    "float": (lambda x: float(x), "leave float() out", "stop_gradient"),
    "element": (stored, "PLAIN[1]", "write y = np.array(PLAIN, float) in the recorded"),
    "maker": (made, "y[0]", "write y = np.array(y, float) in the recorded"),
    "mean": (lambda x: statistics.mean([x, x]), "statistics.mean", "stop_gradient"),
    "stdev": (lambda x: statistics.stdev([x, 2 * x]), "statistics.stdev", "stop_gradient"),
    "text": (lambda x: "%f" % x, "needs plain numbers", "stop_gradient"),  # noqa: UP031
}


@pytest.mark.parametrize("name", BOUND)
def test_the_error_names_the_function_the_line_and_what_to_write(name):
    function, called, advice = BOUND[name]
    with pytest.raises(LostDerivativeError) as caught:
        tg.grad(function)(0.5)
    message = str(caught.value)
    assert called in message
    assert advice in message
    place, source = message.partition(" at ")[2].splitlines()[:2]
    file, _, line = place.rpartition(":")
    assert file == __file__
    with open(__file__) as text:
        assert source.strip() == text.read().splitlines()[int(line) - 1].strip()


def test_code_without_source_still_gets_its_error():
    names = {"sin": math.sin, "table": {"sin": math.sin}}
    exec(compile("def f(x):\n    return table['sin'](x)\n", "nowhere.py", "exec"), names)
    with pytest.raises(LostDerivativeError, match=r"at nowhere\.py:2"):
        tg.grad(names["f"])(0.5)


def test_complex_and_decimal_numbers_and_fractions_say_no():
    for function in (lambda x: cmath.sin(x), lambda x: complex(x, 1.0)):
        with pytest.raises(InputTypeError, match=rf"complex numbers.*{__file__}(?s:.*)two real"):
            tg.grad(function)(0.5)
    for function in (lambda x: fractions.Fraction(x), lambda x: decimal.Decimal(x)):
        with pytest.raises(TypeError):
            tg.grad(function)(0.5)
    with pytest.raises(UnsupportedFunctionError, match=r"math\.frexp has no rule"):
        tg.grad(lambda x: math.frexp(x)[0])(0.5)


def test_an_index_that_is_not_whole_names_its_line():
    with pytest.raises(TypeError, match=rf"must be whole, not 1\.5, at {__file__}(?s:.*)int\(x\)"):
        tg.grad(lambda x: [1.0, 2.0][x])(1.5)
