"""Every name that an operation has in NumPy, math, scipy and Python's operators."""

from __future__ import annotations

import math
import operator
import warnings

import numpy as np
import pytest
import scipy.special
from ops_oracles import OPERATIONS, points, swept

import tapegrad as tg
from tapegrad.function.recording import _activate
from tapegrad.ops import BY_NAME, OPS
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.nesting import recording


def recorded(function, *args):
    """Names of the operations that a call records."""
    with recording() as tape, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(*[_activate(tape, x) for x in args])
        return [OPS[code].name for code in tape.so_far().op[1:] if OPS[code].arity]


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
