"""The table of operations: values and partials, inside and at the edges; powers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from ops_oracles import NUMPY, OPERATIONS, WIDE, as_documented, exactly, points, swept
from table_of_operations import EDGES, NAMES, TINY, calls, inf, nan, same

import tapegrad as tg
from tapegrad.ops import BY_NAME, OPS


@pytest.mark.parametrize("name", NAMES)
def test_value_and_partials_are_those_of_multiple_precision(name):
    op = BY_NAME[name]
    for operands in points(op, op.domain) + points(op, WIDE.get(name, op.domain)):
        value, reverse, forward = swept(name, *operands)
        exact = float(exactly(op, operands, (0, 0)))
        assert value == exact == 0.0 or same(value, exact), operands
        assert reverse == forward
        for k, partial in enumerate(reverse):
            if k in constant_operands(op):
                continue
            orders = tuple(int(j == k) for j in range(op.arity))
            exact = float(exactly(op, operands, orders))
            # exp(-x * x) takes over the rounding of x * x, which is x * x / 2 units.
            rtol = 1e-14 if name == "erfc" else 4e-15
            assert partial == exact == 0.0 or same(partial, exact, rtol), (operands, k)


@pytest.mark.parametrize("op", [op for op in OPS if op.arity], ids=lambda op: op.name)
def test_what_is_pushed_is_what_is_pulled(op):
    for operands in points(op, op.domain):
        _, reverse, forward = swept(op.name, *operands)
        assert all(same(one, other) for one, other in zip(reverse, forward, strict=True)), operands


def constant_operands(op):
    """The operands whose partial is zero by decree."""
    return {"powi": {1}, "polygamma": {0}, "stop": {0}}.get(op.name, set())


@pytest.mark.parametrize("name", [n for n in NAMES if not BY_NAME[n].is_piecewise_constant])
def test_second_derivatives_are_those_of_multiple_precision(name):
    op, function = BY_NAME[name], calls(name)
    active = [k for k in range(op.arity) if k not in constant_operands(op)]
    for i, j in itertools.product(active, active):
        second = tg.grad(tg.grad(function, i), j)
        orders = tuple((k == i) + (k == j) for k in range(op.arity))
        for operands in points(op, op.domain, 4):
            exact = float(exactly(op, operands, orders))
            assert second(*operands) == pytest.approx(exact, rel=2e-14, abs=1e-15), (operands, i, j)


@pytest.mark.parametrize("name", [op.name for op in OPERATIONS if op.ufuncs or op.special])
def test_value_and_partials_at_the_edges_are_numpys(name):
    op = BY_NAME[name]
    ufunc = NUMPY[(op.ufuncs or op.special)[0]]
    for operands in itertools.product(EDGES, repeat=op.arity):
        if name == "gammaln" and 0.0 < abs(operands[0]) < 1e-300:
            continue  # scipy's is infinite there
        with np.errstate(all="ignore"):
            wanted = float(ufunc(*map(np.float64, operands)))
        value, reverse, forward = swept(name, *operands)
        if name in ("fmax", "fmin"):  # NumPy's sign of zero depends on the place in the array
            value, wanted = value + 0.0, wanted + 0.0
        assert same(value, wanted), (operands, value, wanted)
        for found in (reverse, forward):
            for partial, stated in zip(found, as_documented(op, operands), strict=True):
                assert partial == stated == 0.0 or same(partial, stated), (operands, found, stated)


CONVENTIONS = [
    ("absolute", (0.0,), (0.0,)),
    ("absolute", (-0.0,), (0.0,)),
    ("absolute", (-inf,), (-1.0,)),
    ("sign", (0.0,), (0.0,)),
    ("floor", (2.0,), (0.0,)),
    ("rint", (0.5,), (0.0,)),
    ("maximum", (2.0, 2.0), (0.5, 0.5)),
    ("maximum", (0.0, -0.0), (0.5, 0.5)),
    ("maximum", (inf, inf), (0.5, 0.5)),
    ("maximum", (inf, 1.0), (1.0, 0.0)),
    ("minimum", (2.0, 2.0), (0.5, 0.5)),
    ("minimum", (inf, 1.0), (0.0, 1.0)),
    ("fmax", (2.0, 2.0), (0.5, 0.5)),
    ("fmax", (nan, 2.0), (0.0, 1.0)),
    ("fmin", (2.0, nan), (1.0, 0.0)),
    ("sqrt", (0.0,), (inf,)),
    ("sqrt", (inf,), (0.0,)),
    ("sqrt", (-1.0,), (nan,)),
    ("cbrt", (0.0,), (inf,)),
    ("log", (0.0,), (inf,)),
    ("log", (-0.0,), (-inf,)),
    ("log1p", (-1.0,), (inf,)),
    ("arcsin", (1.0,), (inf,)),
    ("arccos", (-1.0,), (-inf,)),
    ("arccosh", (1.0,), (inf,)),
    ("arctanh", (1.0,), (inf,)),
    ("arctan", (inf,), (0.0,)),
    ("arctan", (1e200,), (0.0,)),
    ("arctan2", (0.0, 0.0), (0.0, 0.0)),
    ("hypot", (0.0, -0.0), (0.0, 0.0)),
    ("hypot", (1e200, 1e200), (math.sqrt(0.5), math.sqrt(0.5))),
    ("tanh", (800.0,), (0.0,)),
    ("tanh", (-inf,), (0.0,)),
    ("exp", (800.0,), (inf,)),
    ("exp", (-inf,), (0.0,)),
    ("expit", (-800.0,), (0.0,)),
    ("expit", (800.0,), (0.0,)),
    ("logaddexp", (-inf, 1.0), (0.0, 1.0)),
    ("logaddexp", (1e300, 1e300), (0.5, 0.5)),
    ("reciprocal", (0.0,), (-inf,)),
    ("reciprocal", (inf,), (0.0,)),
    ("divide", (1.0, 0.0), (inf, -inf)),
    ("divide", (1.0, inf), (0.0, 0.0)),
    ("power", (0.0, 0.0), (0.0, -inf)),
    ("power", (0.0, 2.5), (0.0, 0.0)),
    ("power", (0.0, 0.5), (inf, 0.0)),
    ("power", (0.0, -1.0), (-inf, -inf)),
    ("power", (-2.0, 3.0), (12.0, nan)),
    ("multiply", (0.0, inf), (inf, 0.0)),
    ("copysign", (2.0, -0.0), (-1.0, 0.0)),
    ("copysign", (-2.0, 3.0), (-1.0, 0.0)),
    ("remainder", (2.5, inf), (1.0, 0.0)),
    ("remainder", (-7.5, 2.0), (1.0, 4.0)),
    ("fmod", (-7.5, 2.0), (1.0, 3.0)),
    ("chain", (0.0, inf), (inf, 0.0)),
    ("gammaln", (TINY,), (-inf,)),
    ("gammaln", (inf,), (inf,)),
    ("erf", (30.0,), (0.0,)),
]


@pytest.mark.parametrize(("name", "operands", "partials"), CONVENTIONS)
def test_partials_by_convention(name, operands, partials):
    _, reverse, forward = swept(name, *operands)
    for found in (reverse, forward):
        assert all(f == w == 0.0 or same(f, w) for f, w in zip(found, partials, strict=True)), found


@pytest.mark.parametrize("name", [op.name for op in OPERATIONS if op.kinks])
def test_partials_at_kinks_are_the_tables(name):
    for kink in BY_NAME[name].kinks:
        _, reverse, forward = swept(name, *kink.at)
        assert reverse == forward == list(kink.partials)


def test_the_logarithm_of_gamma_of_a_subnormal_is_finite():
    assert swept("gammaln", TINY)[0] == pytest.approx(-math.log(TINY), rel=1e-15)


INFINITE_AT_ZERO = {
    "sqrt": np.sqrt, "log": np.log, "reciprocal": np.reciprocal, "cbrt": np.cbrt,
    "power": lambda x: x**0.5, "nan": lambda x: np.sqrt(x - 1.0), "divide": lambda x: x / x,
    "arccosh": np.arccosh, "product": lambda x: np.log(x) * np.reciprocal(x),
}  # fmt: skip


@pytest.mark.parametrize("name", INFINITE_AT_ZERO)
def test_a_branch_not_taken_adds_nothing_though_its_partial_is_infinite(name):
    function = INFINITE_AT_ZERO[name]

    def chosen(x):
        return np.where(x > 0.0, function(x), 3.0 * x)

    value, gradient = tg.value_and_grad(chosen)(0.0)
    assert (value, gradient) == (0.0, 3.0)
    assert tg.jvp(chosen, (0.0,), (1.0,)) == (0.0, 3.0)
    assert tg.grad(tg.grad(chosen))(0.0) == 0.0
    array = np.array([0.0, 4.0])
    with np.errstate(all="ignore"):
        taken = tg.grad(lambda x: function(x))(4.0)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(chosen(x)))(array), [3.0, taken], 1e-14)


def test_a_zero_factor_stops_an_infinite_partial_in_both_directions():
    def f(x, y):
        return x * np.sqrt(y)

    assert tg.grad(f, argnums=(0, 1))(0.0, 0.0) == (0.0, 0.0)
    assert tg.jvp(f, (0.0, 0.0), (1.0, 1.0))[1] == 0.0
    assert tg.jvp(f, (1.0, 0.0), (1.0, 0.0))[1] == 0.0


@pytest.mark.parametrize("n", range(-20, 34))
def test_whole_powers_of_whole_numbers_are_exact(n):
    for x in (2.0, -2.0, 0.5, 3.0, -3.0):
        if n < 0 and abs(x) == 3.0:
            continue
        value, gradient = tg.value_and_grad(lambda x: x**n)(x)
        assert value == x**n == float(x**n)
        assert gradient == n * x ** (n - 1)
        vector = tg.value_and_grad(lambda x: np.sum(x**n))(np.array([x]))
        assert (vector[0], vector[1][0]) == (value, gradient)


def test_whole_powers_at_zero():
    derivatives = {0: (1.0, 0.0, 0.0), 1: (0.0, 1.0, 0.0), 2: (0.0, 0.0, 2.0), 3: (0.0, 0.0, 0.0)}
    for n, expected in derivatives.items():
        for exponent in (n, float(n), np.float64(n), np.int64(n)):
            f = lambda x: x**exponent  # noqa: B023, E731
            assert (f(0.0), tg.grad(f)(0.0), tg.grad(tg.grad(f))(0.0)) == expected
            f = lambda x: np.power(x, exponent)  # noqa: B023, E731
            assert (f(0.0), tg.grad(f)(0.0), tg.grad(tg.grad(f))(0.0)) == expected


def test_negative_whole_powers_at_zero_are_infinite():
    value, gradient = tg.value_and_grad(lambda x: np.power(x, -1))(0.0)
    assert value == inf
    assert gradient == -inf
    assert tg.grad(lambda x: x**-2)(np.float64(0.0)) == -inf


@pytest.mark.parametrize("n", [-3, -2, -1, 1, 2, 3, 5, 9])
def test_negative_bases_have_whole_powers(n):
    f = lambda x: x**n  # noqa: E731
    assert tg.grad(f)(-1.5) == pytest.approx(n * (-1.5) ** (n - 1), rel=1e-15)
    second = n * (n - 1) * (-1.5) ** (n - 2)
    assert tg.grad(tg.grad(f))(-1.5) == pytest.approx(second, rel=1e-15, abs=0.0)


def test_an_active_exponent_differentiates_by_the_logarithm():
    power = tg.value_and_grad(lambda y, x: x**y)
    assert power(3.0, 2.0) == (8.0, pytest.approx(8.0 * math.log(2.0), rel=1e-15))
    assert power(3.0, 0.0) == (0.0, 0.0)
    assert power(0.0, 0.0) == (1.0, -inf)
    assert math.isnan(power(3.0, -2.0)[1])
    assert tg.grad(lambda x: 0.0**x)(2.0) == 0.0
    assert tg.grad(lambda x: 2**x)(3.0) == pytest.approx(8.0 * math.log(2.0), rel=1e-15)
