"""The table of operations: values, partials, conventions, and every name an operation has."""

from __future__ import annotations

import itertools
import math
import operator
import warnings

import numpy as np
import pytest
import scipy.special
import test_special
from ops_oracles import MPMATH, NUMPY, OPERATIONS, WIDE, as_documented, exactly, points, swept

import tapegrad as tg
from tapegrad.function.recording import _activate
from tapegrad.ops import BY_NAME, CODE, OPS, documentation
from tapegrad.record.active import Active, binary, unary
from tapegrad.record.array import ActiveArray
from tapegrad.record.nesting import recording

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


# --- zero contributes zero ---------------------------------------------------------------------

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


# --- powers ------------------------------------------------------------------------------------


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


# --- names -------------------------------------------------------------------------------------


def recorded(function, *args):
    """Names of the operations that a call records."""
    with recording() as tape, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(*[_activate(tape, x) for x in args])
        return [OPS[code].name for code in tape.op[1:] if OPS[code].arity]


def operands_of(op):
    return points(op, op.domain, 1)[0]


OF_TRUTH_VALUES_ONLY = ("bitwise_and", "bitwise_or", "bitwise_xor", "invert")
UFUNCS = [
    (op.name, name) for op in OPERATIONS for name in op.ufuncs if name not in OF_TRUTH_VALUES_ONLY
]


@pytest.mark.parametrize(("name", "ufunc"), UFUNCS)
def test_a_ufunc_records_its_operation_and_nothing_else(name, ufunc):
    operands = operands_of(BY_NAME[name])
    function = getattr(np, ufunc)
    arrays = [np.array([x, x]) for x in operands]
    assert recorded(function, *operands) == [name]
    assert recorded(function, *arrays) == [name] * 2
    assert recorded(function, *[np.array(x) for x in operands]) == [name]
    if len(operands) == 2:
        x, y = operands
        assert recorded(lambda x: function(x, np.array([y, y])), x) == [name] * 2
        assert recorded(lambda y: function(np.array([x, x]), y), y) == [name] * 2
        assert recorded(function, arrays[0], y) == [name] * 2


ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
    "acosh": "arccosh", "atanh": "arctanh", "pow": "power", "true_divide": "divide",
    "abs": "absolute", "fabs": "absolute", "mod": "remainder", "float_power": "power",
    "positive": "positive",
}  # fmt: skip


@pytest.mark.parametrize("alias", ALIASES)
def test_numpys_other_names_record_the_same(alias):
    name = ALIASES[alias]
    operands = operands_of(BY_NAME[name])
    function = getattr(np, alias)
    assert recorded(function, *operands) == [name]
    assert recorded(function, *[np.array([x]) for x in operands]) == [name]


OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
    "floordiv": "floor_divide", "mod": "remainder", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip


@pytest.mark.parametrize("short", OPERATORS)
def test_an_operator_records_its_operation_on_either_side_and_in_place(short):
    name = OPERATORS[short]
    function = getattr(operator, short)
    x, y = operands_of(BY_NAME[name])
    # Python has no reflected comparisons: it turns them round.
    reflected = {"less": "greater", "less_equal": "greater_equal", "greater": "less",
                 "greater_equal": "less_equal"}.get(name, name)  # fmt: skip
    assert recorded(function, x, y) == [name]
    assert recorded(lambda x: function(x, y), x) == [name]
    assert recorded(lambda y: function(x, y), y) == [reflected]
    assert recorded(function, np.array([x, x]), y) == [name] * 2
    assert recorded(lambda y: function(x, y), np.array([y, y])) == [reflected] * 2
    if hasattr(operator, f"i{short}"):
        assert recorded(getattr(operator, f"i{short}"), x, y) == [name]
        assert recorded(getattr(operator, f"i{short}"), np.array([x, x]), y) == [name] * 2


UNARY_OPERATORS = {"neg": "negative", "abs": "absolute"}


@pytest.mark.parametrize("short", UNARY_OPERATORS)
def test_a_unary_operator_records_its_operation(short):
    function = getattr(operator, short)
    assert recorded(function, 1.5) == [UNARY_OPERATORS[short]]
    assert recorded(function, np.array([1.5, 2.5])) == [UNARY_OPERATORS[short]] * 2


LOGICAL = {"and_": "logical_and", "or_": "logical_or", "xor": "logical_xor"}


@pytest.mark.parametrize("short", LOGICAL)
@pytest.mark.parametrize("x", [-1.0, 1.0])
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_logical_operators_are_those_of_truth_values(short, x, y):
    function = getattr(operator, short)

    def f(x, y):
        return np.where(function(x > 0.0, y > 0.0), x * y, x)

    assert recorded(lambda x, y: function(x > 0.0, y > 0.0), x, y)[-1] == LOGICAL[short]
    assert tg.grad(f)(x, y) == (y if function(x > 0.0, y > 0.0) else 1.0)
    wanted = function(np.array([x]) > 0.0, np.array([y]) > 0.0)
    found = tg.grad(lambda a, b: np.sum(f(a, b)))(np.array([x]), np.array([y]))
    assert found[0] == (y if wanted[0] else 1.0)


def test_the_inverse_of_a_truth_value_is_logical():
    assert recorded(lambda x: ~(x > 0.0), 1.0) == ["greater", "logical_not"]
    assert recorded(lambda x: ~(x > 0.0), np.array([1.0])) == ["greater", "logical_not"]
    assert recorded(lambda x: np.invert(x > 0.0), 1.0) == ["greater", "logical_not"]
    assert tg.grad(lambda x: np.where(~(x > 0.0), x, -x))(2.0) == -1.0


FROM_MATH = [op.name for op in OPERATIONS if op.math and hasattr(math, op.math)]


@pytest.mark.parametrize("name", FROM_MATH)
def test_the_function_of_math_is_the_operation(name):
    op = BY_NAME[name]
    operands = operands_of(op)

    def f(*args):
        return getattr(math, op.math)(*args)

    value, reverse, _ = swept(name, *operands)
    found = tg.value_and_grad(f, argnums=tuple(range(op.arity)))(*operands)
    assert found == (value, tuple(reverse))
    assert value == pytest.approx(f(*operands), rel=2e-15)


FROM_SCIPY = [op.name for op in OPERATIONS if op.special]


@pytest.mark.parametrize("name", FROM_SCIPY)
def test_the_function_of_scipy_special_is_the_operation(name):
    op = BY_NAME[name]
    operands = operands_of(op)
    function = getattr(scipy.special, op.special[0])
    assert recorded(function, *operands) == [name]
    assert recorded(function, *[np.array([x, x]) for x in operands]) == [name] * 2
    assert tg.grad(lambda *x: function(*x))(*operands) == swept(name, *operands)[1][0]


def test_operators_of_active_arrays_keep_the_kind():
    with recording() as tape:
        x = _activate(tape, np.array([1.0, 2.0]))
        assert isinstance(x + 1.0, ActiveArray)
        assert isinstance(x[0] + 1.0, Active)
        assert (x > 1.0).dtype == np.bool_


# --- the table itself --------------------------------------------------------------------------


def test_rows_are_numbered_in_order_and_fit_a_byte():
    assert [op.code for op in OPS] == list(range(len(OPS)))
    assert len({op.name for op in OPS}) == len(OPS) < 256
    assert [op.name for op in OPS[-2:]] == ["passive", "input"]


def test_truth_values_have_no_derivative_and_domains_fit_the_operands():
    for op in OPERATIONS:
        assert len(op.domain) == op.arity
        assert not op.boolean or op.is_piecewise_constant
        assert all(len(kink.at) == len(kink.partials) == op.arity for kink in op.kinks)


def test_linear_and_constant_rows_are_recognised():
    linear = {op.name for op in OPERATIONS if op.is_linear and not op.is_piecewise_constant}
    assert linear == {"add", "subtract", "negative", "positive"}
    assert all(BY_NAME[name].is_piecewise_constant for name in ("floor", "less", "step", "stop"))


def test_the_documentation_shows_every_operation_with_its_partials():
    header, *lines = documentation().splitlines()
    assert header.split() == ["operation", "value", "partials", "NumPy", "math", "scipy.special"]
    documented = [op for op in OPS if op.arity]
    assert [line.split()[0] for line in lines] == [op.name for op in documented]
    for op, line in zip(documented, lines, strict=True):
        assert f"{op.value} " in line
        assert ", ".join(op.partials) in line
    column = header.index("partials")
    assert all(line[column - 1] == " " != line[column] for line in lines)
