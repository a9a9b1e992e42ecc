"""Every operation of the table in compiled code: the same tape as from Python, the same numbers."""

import itertools
import math
import operator

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.ops import OPS

CALLED = [
    (op, f"{module}.{name}")
    for op in OPS
    if op.arity and not op.boolean
    for module, names in (("np", op.ufuncs), ("math", (op.math,) if op.math else ()))
    for name in names
    if hasattr(np if module == "np" else math, name) and (module, name) != ("np", "matmul")
]
IN_ONE_FUNCTION = 12
EDGES = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.0]


def compiled(source, name="function"):
    names = {"np": np, "math": math, "__name__": __name__}
    exec(source, names)
    return njit(names[name])


def tape_of(function, x):
    derivative = tg.jacobian(function)
    derivative(x)
    return derivative.recorded.recordings[0].tape


def assert_same_tapes(function, x):
    """The function writes what its Python form writes; constants may be numbered otherwise."""
    ours, pythons = tape_of(function, x), tape_of(function.py_func, x)
    np.testing.assert_array_equal(ours.op, pythons.op)
    np.testing.assert_array_equal(ours.value, pythons.value)
    for column in ("a", "b"):
        mine, theirs = (
            [tape.constants[~i] if i < 0 else ("slot", i) for i in getattr(tape, column).tolist()]
            for tape in (ours, pythons)
        )
        assert mine == theirs
    np.testing.assert_array_equal(ours.guard_slot, pythons.guard_slot)
    np.testing.assert_array_equal(ours.guard_value, pythons.guard_value)


def interior(op):
    """Return a point inside an operation's domain, as two numbers."""
    point = [0.4 * low + 0.6 * high for low, high in op.domain]
    return [*point, 0.0][:2]


def groups():
    for start in range(0, len(CALLED), IN_ONE_FUNCTION):
        yield pytest.param(CALLED[start : start + IN_ONE_FUNCTION], id=CALLED[start][1])


@pytest.mark.parametrize("group", list(groups()))
def test_functions_of_numpy_and_math(group):
    lines, point = ["def function(x):", "    y = np.zeros(4 * len(x))"], []
    for k, (op, name) in enumerate(group):
        x, y = f"x[{2 * k}]", f"x[{2 * k + 1}]"
        numbers = interior(op)
        point += numbers
        forms = (
            [x] if op.arity == 1 else [f"{x}, {y}", f"{x}, {numbers[1]!r}", f"{numbers[0]!r}, {y}"]
        )
        lines += [f"    y[{4 * k + i}] = {name}({form})" for i, form in enumerate(forms)]
    function = compiled("\n".join([*lines, "    return y"]))
    x = np.array(point)
    assert_same_tapes(function, x)
    jacobian = tg.jacobian(function)
    np.testing.assert_array_equal(jacobian(x), tg.jacobian(function.py_func)(x))
    out = np.empty((4 * len(x), len(x)))
    jacobian.njit(x, out)
    np.testing.assert_allclose(out, jacobian(x), rtol=1e-13, atol=1e-300)
    pythons = tg.jacobian(function.py_func)
    for edges in itertools.product(EDGES, repeat=2):
        x = np.tile(edges, len(group))
        expected = pythons(x)
        np.testing.assert_array_equal(jacobian(x), expected, err_msg=repr(edges))
        jacobian.njit(x, out)
        np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-300, err_msg=repr(edges))


@njit
def operators(x):
    a, b = x[0], x[1]
    y = np.zeros(40)
    k = 3
    y[0], y[1], y[2], y[3] = a + b, a - b, a * b, a / b
    y[4], y[5], y[6], y[7] = a + 2.5, 2.5 - a, a * k, k / a
    y[8], y[9], y[10], y[11] = a // b, a % b, 7 // a, 7.5 % b
    y[12], y[13], y[14], y[15] = a**b, a**2, a**k, a**2.5
    y[16], y[17], y[18], y[19] = 2**b, 2.5**a, a**-1, a**0
    y[20], y[21], y[22], y[23] = -a, +a, abs(-b), a * True
    c = a
    c += b
    y[24] = c
    c -= 1
    y[25] = c
    c *= a
    y[26] = c
    c /= 3
    y[27] = c
    c //= 0.1
    y[28] = c
    c %= b
    y[29] = c
    c **= 2
    y[30] = c
    y[31], y[32] = divmod(a, b)
    y[33], y[34] = pow(a, b), pow(a, 3)
    y[35], y[36] = min(a, b, 0.5), max(a, b, 0.5)
    y[37] = a * math.radians(b) + math.degrees(a)
    s = 0.0
    for _ in range(3):
        s += a
    y[38] = s
    y[39] = 1.0 if a > b else b
    return y


POINTS = [np.array([1.7, 0.9]), np.array([0.6, 2.4])]


@pytest.mark.parametrize("x", POINTS, ids=["first is larger", "second is larger"])
def test_operators_with_active_float_and_integer_operands(x):
    np.testing.assert_array_equal(tg.value_and_grad(lambda x: operators(x)[12])(x)[0], x[0] ** x[1])
    jacobian = tg.jacobian(operators)
    np.testing.assert_allclose(jacobian(x), tg.jacobian(operators.py_func)(x), rtol=1e-14)
    out = np.empty((40, 2))
    jacobian.njit(x, out)
    np.testing.assert_allclose(out, jacobian(x), rtol=1e-13, atol=1e-15)


READS = {
    "less": lambda x: x[0] < x[1],
    "at most": lambda x: x[0] <= x[1],
    "greater": lambda x: x[0] > x[1],
    "at least": lambda x: x[0] >= x[1],
    "equal": lambda x: x[0] == x[1],
    "unequal": lambda x: x[0] != x[1],
    "beside a number": lambda x: x[0] > 1.0,
    "truth": lambda x: bool(x[0] - 1.7),
    "finite": lambda x: np.isfinite(x[1]) == (x[0] > 1.0),
    "integer": lambda x: int(x[0]) == 1,
    "rounded": lambda x: round(x[1]) == 1,
    "floor": lambda x: math.floor(x[0]) == 1,
    "ceil": lambda x: math.ceil(x[1]) == 1,
    "trunc": lambda x: math.trunc(x[0]) == 1,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_reads_a_number_is_guarded(read):
    read = njit(read)

    @njit
    def function(x):
        return x[0] ** 2 if read(x) else x[0] * x[1]

    replayed = tg.value_and_grad(function)
    for x in [*POINTS, np.array([1.7, 0.9]), np.array([0.6, 0.6])]:
        value, gradient = replayed(x)
        is_square = read.py_func(x)
        assert value == (x[0] ** 2 if is_square else x[0] * x[1])
        expected = [2.0 * x[0], 0.0] if is_square else [x[1], x[0]]
        np.testing.assert_array_equal(gradient, expected)


@njit
def kinks(x):
    a, b = x[0], x[1]
    y = np.zeros(8)
    y[0], y[1], y[2] = abs(a), np.maximum(a, b), np.minimum(a, b)
    y[3], y[4], y[5] = np.sign(a), np.hypot(a, b), math.sqrt(abs(a))
    y[6], y[7] = a**2, np.copysign(b, a)
    return y


@pytest.mark.parametrize("first", EDGES)
def test_edges_and_ties_are_those_of_python(first):
    jacobian, out = tg.jacobian(kinks), np.empty((8, 2))
    pythons = tg.jacobian(kinks.py_func)
    for second in EDGES:
        x = np.array([first, second])
        expected = pythons(x)
        np.testing.assert_array_equal(jacobian(x), expected)
        jacobian.njit(x, out)
        np.testing.assert_array_equal(out, expected)


@njit
def divisions_by_zero(x):
    y = np.zeros(5)
    y[0], y[1], y[2] = x[0] / x[1], 1.0 / x[1], x[0] % x[1]
    y[3], y[4] = np.log(x[1]), np.reciprocal(x[1])
    return y


def test_division_by_zero_is_ieee_as_of_active_numbers_in_python():
    x = np.array([1.0, 0.0])
    expected = tg.jacobian(divisions_by_zero.py_func)(x)
    np.testing.assert_array_equal(tg.jacobian(divisions_by_zero)(x), expected)
    assert not np.isfinite(expected).all()


@njit
def indexed(x):
    table, total = np.arange(5.0), 0.0
    for i in range(int(x[0])):
        total += table[i] * x[1]
    return total + table[int(x[1])]


def test_a_loop_count_and_an_index_are_guarded():
    replayed = tg.value_and_grad(indexed)
    for x in ([3.2, 1.5], [4.8, 1.5], [3.9, 2.5], [3.2, 1.9]):
        value, gradient = replayed(np.array(x))
        assert value == indexed.py_func(np.array(x))
        assert gradient.tolist() == [0.0, float(sum(range(int(x[0]))))]


@njit
def of_floats_only(n):
    y = np.zeros(n)
    for i in range(n):
        y[i] = math.sqrt(i)
    return y


@njit
def with_passive_work(x):
    weights = of_floats_only(1000)
    return x[0] * np.sum(weights) + len(weights)


def test_what_touches_no_input_leaves_no_records():
    tape = tape_of(with_passive_work, np.array([2.0]))
    assert len(tape) < 6


def test_float_of_an_active_number_is_the_number():
    @njit
    def function(x):
        return float(x[0]) * x[1] + np.float64(x[0])

    assert tg.grad(function)(np.array([2.0, 5.0])).tolist() == [6.0, 2.0]


def test_operators_by_name():
    @njit
    def function(x):
        return operator.add(operator.mul(x[0], x[1]), operator.neg(x[0]))

    assert tg.grad(function)(np.array([2.0, 5.0])).tolist() == [4.0, 2.0]
