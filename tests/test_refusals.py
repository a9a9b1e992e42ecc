"""What is said where code asks an active number for a plain one."""

from __future__ import annotations

import decimal
import fractions
import functools
import math
import statistics

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

import tapegrad as tg
from tapegrad.errors import (
    LostDerivativeError,
    UnhashableError,
    UnsupportedFunctionError,
)

TABLE = {"sin": math.sin, "exp": math.exp, "erf": math.erf, "zeros": np.zeros}
POWERS = {"two": functools.partial(math.pow, 2.0)}
PLAIN = np.zeros(3)
OF_NUMBERS = np.zeros(3)


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
    "mean": (lambda x: statistics.mean([x, x]), "statistics.mean", "stop_gradient"),
    "stdev": (lambda x: statistics.stdev([x, 2 * x]), "statistics.stdev", "stop_gradient"),
    "text": (lambda x: "".join(["%f"]) % x, "asks for a plain float", 'f"{x:g}"'),
    "passed": (lambda x: bootstrap(([x, 2.0 * x],), np.mean).standard_error,
               "scipy.stats.bootstrap can't", "write it with functions"),
    "drawn": (lambda x: np.random.default_rng(0).normal(x, 2.0), "default_rng(0).normal can't",
              "loc + scale * np.random.default_rng(0).standard_normal(size=n)"),
    "uniform": (lambda x: np.random.uniform(x, 2.0), "uniform can't",
                "low + (high - low) * np.random.random(size=n)"),
}  # fmt: skip


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


def test_an_array_that_a_bound_function_makes_is_stored_into():
    assert tg.grad(made)(0.5) == 1.0


def test_code_without_source_still_gets_its_error():
    names = {"sin": math.sin, "table": {"sin": math.sin}}
    exec(compile("def f(x):\n    return table['sin'](x)\n", "nowhere.py", "exec"), names)
    with pytest.raises(LostDerivativeError, match=r"at nowhere\.py:2\n.*write np\.sin"):
        tg.grad(names["f"])(0.5)


WITHOUT_SOURCE = {
    "return float(x)": r"leave float\(\) out",
    "return statistics.mean([x, x])": r"statistics\.mean can't take active numbers",
    "table[1] = x": r"table\[1\] is an element(?s:.*)write y = np\.array\(table, float\)",
    "return ''.join(['%g']) % x": "needs plain numbers",
}


@pytest.mark.parametrize("line", WITHOUT_SOURCE)
def test_code_without_source_gets_the_same_advice(line):
    names = {"statistics": statistics, "table": np.zeros(3)}
    exec(compile(f"def f(x):\n    {line}\n", "nowhere.py", "exec"), names)
    with pytest.raises(LostDerivativeError, match=WITHOUT_SOURCE[line]):
        tg.grad(names["f"])(0.5)


def test_the_advice_for_random_draws_is_the_same_distribution():
    def drawn(x):
        rng = np.random.default_rng(3)
        return x[0] + x[1] * rng.standard_normal(size=3) + x[2] * rng.laplace(size=3)

    draws = np.random.default_rng(3)
    normal, laplace = draws.normal(size=3), draws.laplace(size=3)
    jacobian = tg.jacobian(drawn)(np.array([0.5, 2.0, 1.5]))
    np.testing.assert_array_equal(jacobian, np.stack([np.ones(3), normal, laplace], axis=1))
    draws = np.random.default_rng(4)
    scaled = 2.0 + (5.0 - 2.0) * draws.random(size=2), 3.0 * draws.standard_exponential(size=2)
    draws = np.random.default_rng(4)
    np.testing.assert_array_equal(scaled[0], draws.uniform(2.0, 5.0, size=2))
    np.testing.assert_array_equal(scaled[1], draws.exponential(3.0, size=2))


def added_in_place(x):
    table = OF_NUMBERS
    table += x
    return table


IN_PLACE = {
    "operator": (added_in_place, "write y = table \\+ x, or y = np.array\\(table, float\\) in the"),
    "out": (lambda x: np.add(x, 1.0, out=PLAIN), "write y = np.array\\(PLAIN, float\\) in the"),
    "put": (lambda x: np.put(PLAIN, [1], x), "write y = np.array\\(PLAIN, float\\) in the"),
    "at": (lambda x: np.add.at(PLAIN, [1], x), "write y = np.array\\(PLAIN, float\\) in the"),
    "place": (lambda x: np.place(PLAIN, [1, 0, 0], x), "write y = np.array\\(PLAIN, float\\) in"),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_store_into_a_plain_array_names_the_array_and_the_line(name):
    function, advice = IN_PLACE[name]
    with pytest.raises(UnsupportedFunctionError, match=rf"at {__file__}:\d+\n(?s:.*){advice}"):
        tg.jacobian(function)(np.ones(3))
    assert not PLAIN.any()

    def as_advised(x):
        y = np.array(PLAIN, float)
        np.add(x, 1.0, out=y)
        y += x
        return y

    np.testing.assert_array_equal(tg.jacobian(as_advised)(np.ones(3)), 2.0 * np.eye(3))


TYPED = {
    "asarray": lambda x: np.asarray(x, dtype=np.float32),
    "astype": lambda x: x.astype(np.float32),
    "sum": lambda x: np.sum(x, dtype=np.float32),
    "ufunc": lambda x: np.multiply(x, 2.0, dtype="f4"),
}


@pytest.mark.parametrize("name", TYPED)
def test_a_type_that_active_numbers_cannot_have_names_the_line_and_how_to_round(name):
    with pytest.raises(TypeError, match=rf"not float32, at {__file__}(?s:.*)y\[\.\.\.\] = x"):
        tg.jacobian(TYPED[name])(np.ones(3))

    def rounded(x):
        y = np.zeros(np.shape(x), np.float32)
        y[...] = x
        return y.sum()

    assert tg.value_and_grad(rounded)(np.array([0.1]))[0] == float(np.float32(0.1))
    half = tg.jacobian(lambda x: np.sum(x, dtype=np.float16))
    with pytest.raises(UnsupportedFunctionError, match=r"not float16(?s:.*)write float64 or no"):
        half(np.ones(3))


def test_a_key_names_its_line_and_what_may_be_one():
    memo = {}

    def looked_up(x, key):
        memo[key(x)] = 1.0
        return x[0] * len(memo)

    for key in (lambda x: x, lambda x: x[0]):
        with pytest.raises(UnhashableError, match=rf"at {__file__}"):
            tg.grad(looked_up)(np.ones(2), key)
    for key in (lambda x: x.value.tobytes(), lambda x: x[0].value, lambda x: round(x[0])):
        memo.clear()
        assert tg.grad(looked_up)(np.ones(2), key).tolist() == [1.0, 0.0]


def test_decimal_numbers_and_fractions_say_no():
    for function in (lambda x: fractions.Fraction(x), lambda x: decimal.Decimal(x)):
        with pytest.raises(TypeError):
            tg.grad(function)(0.5)
    with pytest.raises(UnsupportedFunctionError, match=r"math\.frexp has no rule"):
        tg.grad(lambda x: math.frexp(x)[0])(0.5)


def test_an_index_that_is_not_whole_names_its_line():
    with pytest.raises(TypeError, match=rf"must be whole, not 1\.5, at {__file__}(?s:.*)int\(x\)"):
        tg.grad(lambda x: [1.0, 2.0][x])(1.5)


def test_what_no_name_stands_for_is_not_told_to_be_converted():
    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(lambda x: pd.Series(x).rolling(2).mean().sum())(np.ones(3))
    assert "to_numpy" not in str(caught.value)
    assert "write it with functions that are recorded" in str(caught.value)
