"""The table of operations: values, partials and conventions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import test_special
from ops_oracles import MPMATH, NUMPY, OPERATIONS, WIDE, as_documented, exactly, points, swept

import tapegrad as tg
from tapegrad.ops import BY_NAME, CODE, OPS, documentation
from tapegrad.record.active import binary, unary
from tapegrad.rows import ROW

inf, nan = math.inf, math.nan
TINY = 5e-324
EDGES = (0.0, -0.0, inf, -inf, nan, TINY, -TINY, 1e-310, 1.0, -1.0, 0.5, -1.5, 2.0, 3.0, -3.0,
         750.0, -750.0, 1e16, 1e308, -1e308)  # fmt: skip
NAMES = [op.name for op in OPERATIONS]


def calls(name):
    """The operation as a function of numbers, active ones or others."""
    code = CODE[name]
    if BY_NAME[name].arity == 1:
        return lambda x: unary(code, x)
    return lambda x, y: binary(code, x, y)


def same(found, wanted, rtol=4e-15, atol=2 * TINY):
    """Equal as IEEE numbers are, with the sign of zero, or nearly so."""
    if wanted != wanted or abs(wanted) == inf or wanted == 0.0:
        return repr(float(found)) == repr(float(wanted)) or 0.0 < abs(found - wanted) <= atol
    return abs(found - wanted) <= rtol * abs(wanted) + atol


def test_every_operation_has_an_oracle():
    # The rows that have an order are partials of others.
    orders = {"digamma_rise", "scaled_erfc", "exponential_moment", "iv", "ive"}
    special = {op.name for op in OPS if {*op.special} & {*test_special.ONE, *test_special.TWO}}
    assert set(MPMATH) | special | orders == {op.name for op in OPS if op.arity}
    assert set(WIDE) <= set(NAMES)


# --- interior points ---------------------------------------------------------------------------


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
    return {0} if op.name == "stop" else {ROW[op.name].whole}


@pytest.mark.parametrize("name", [n for n in NAMES if not ROW[n].is_piecewise_constant])
def test_second_derivatives_are_those_of_multiple_precision(name):
    op, function = BY_NAME[name], calls(name)
    active = [k for k in range(op.arity) if k not in constant_operands(op)]
    for i, j in itertools.product(active, active):
        second = tg.grad(tg.grad(function, i), j)
        orders = tuple((k == i) + (k == j) for k in range(op.arity))
        for operands in points(op, op.domain, 4):
            exact = float(exactly(op, operands, orders))
            assert second(*operands) == pytest.approx(exact, rel=2e-14, abs=1e-15), (operands, i, j)


# --- the edges ---------------------------------------------------------------------------------


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


def lane_by_lane(function):
    return lambda *columns: np.array([function(*lane) for lane in zip(*columns, strict=True)])


def recorders(op):
    """Yield ways to record an operation on columns of numbers, and the operands they leave."""
    yield lane_by_lane(calls(op.name))
    names = op.ufuncs or op.special
    if names:
        yield NUMPY[names[0]] if op.name not in OWN_FORM else getattr(np, names[0])


# Orders of a derivative.
WHOLE = (0.0, 1.0, 2.0, 3.0)

# What the oracle writes in a form of its own.
OWN_FORM = ("power", "equal", "not_equal")


@pytest.mark.parametrize("name", NAMES)
def test_every_recorder_has_the_sweeps_values_and_partials_at_the_edges(name):
    op = BY_NAME[name]
    edges = [[k for k in EDGES if k in WHOLE] if j == 0 and name == "polygamma" else EDGES
             for j in range(op.arity)]  # fmt: skip
    every = list(itertools.product(*edges))
    columns, places = tuple(np.array(every).T), range(op.arity)
    expected = [swept(name, *operands) for operands in every]
    values = [value for value, _, _ in expected]
    for function in recorders(op):
        found, pull = tg.vjp(function, *columns)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(values))
        partials = pull(np.ones(len(every)))
        for k in places:
            np.testing.assert_array_equal(partials[k], [reverse[k] for _, reverse, _ in expected])
            directions = tuple(np.full(len(every), float(j == k)) for j in places)
            tangent = tg.jvp(function, columns, directions)[1]
            np.testing.assert_array_equal(tangent, [forward[k] for _, _, forward in expected])


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


# --- the table itself --------------------------------------------------------------------------


def test_rows_are_numbered_in_order_and_fit_a_byte():
    assert [op.code for op in OPS] == list(range(len(OPS)))
    assert len({op.name for op in OPS}) == len(OPS) < 256
    assert [op.name for op in OPS[-5:]] == ["passive", "input", "call", "result", "argument"]


def test_the_documentation_shows_every_operation_with_its_partials():
    header, *lines = documentation().splitlines()
    assert header.split() == ["operation", "value", "partials", "NumPy", "math", "scipy.special"]
    documented = [op for op in OPS if op.arity]
    assert [line.split()[0] for line in lines] == [op.name for op in documented]
    for op, line in zip(documented, lines, strict=True):
        assert f"{op.value} " in line
        assert ", ".join(op.partials) in line
        assert all(f"; {name} = {text}" in line for name, text in op.where.items())
    column = header.index("partials")
    assert all(line[column - 1] == " " != line[column] for line in lines)
