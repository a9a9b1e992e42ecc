"""Active numbers behave as floats do: every operator, every conversion, every way to read them."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import warnings

import numpy as np
import pytest
from against_numpy import outcome, plain, recorded_outcome

import tapegrad as tg
from tapegrad.errors import LostDerivativeError, UnhashableError
from tapegrad.function.recording import _activate
from tapegrad.record.active import Active, ActiveBool
from tapegrad.record.nesting import recording

inf, nan = math.inf, math.nan
NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 0.5, 3.0, -7.25, 1e-310, 1e300, inf, -inf, nan]
PARTNERS = [
    *NUMBERS,
    2,
    -3,
    0,
    True,
    np.float64(1.5),
    np.float32(0.5),
    np.int64(-2),
    np.bool_(True),
]


@pytest.fixture
def tape():
    with recording() as tape:
        yield tape


def active(tape, x):
    return _activate(tape, x)


def as_numpy(function, *args):
    """What float64 scalars give, which is what a float gives where a float raises nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*[np.float64(x) for x in args])


def same(found, wanted):
    found, wanted = float(found), float(wanted)
    if wanted != wanted or wanted == 0.0 or abs(wanted) == inf:
        return repr(found) == repr(wanted)
    return abs(found - wanted) <= 4e-16 * abs(wanted) + 1e-323


BINARY = ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "lt", "le", "gt", "ge", "eq",
          "ne"]  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_operator_gives_what_floats_give_on_either_side(tape, name):
    function = getattr(operator, name)
    in_place = getattr(operator, f"i{name}", function)
    for x in NUMBERS:
        for y in PARTNERS:
            wanted = as_numpy(function, x, y)
            a, b = active(tape, x), active(tape, float(y))
            for found in (function(a, y), function(a, b), in_place(a, y)):
                assert isinstance(found, ActiveBool if isinstance(wanted, np.bool_) else Active)
                assert same(found.value, wanted), (x, y, found)
            wanted = as_numpy(function, y, x)
            assert same(function(y, a).value, wanted), (y, x)


@pytest.mark.parametrize("name", ["pos", "neg", "abs"])
def test_a_unary_operator_gives_what_floats_give(tape, name):
    for x in NUMBERS:
        assert same(getattr(operator, name)(active(tape, x)).value, getattr(operator, name)(x))


def test_divmod_gives_what_floats_give(tape):
    for x in (7.5, -7.5, 0.0, 1e16):
        for y in (2.0, -2.0, 0.3):
            a, b = active(tape, x), active(tape, y)
            for found in (divmod(a, y), divmod(x, b), divmod(a, b)):
                assert tuple(number.value for number in found) == divmod(x, y)


@pytest.mark.parametrize("value", [2.0, -3.75, 0.0])
@pytest.mark.parametrize(
    "name", ["is_integer", "conjugate", "real", "imag", "item", "shape", "ndim", "size", "T"]
)
def test_the_rest_of_a_float64s_interface_is_there(tape, name, value):
    found, wanted = (getattr(x, name) for x in (active(tape, value), np.float64(value)))
    if callable(wanted):
        found, wanted = found(), wanted()
    assert (found if name == "shape" else plain(found)) == wanted


def test_in_place_operators_leave_other_names_alone(tape):
    x = y = active(tape, 2.0)
    x += 1.0
    x *= 3.0
    x **= 2
    x /= 9.0
    x -= 1.0
    assert (x.value, y.value) == (8.0, 2.0)


@pytest.mark.parametrize("other", ["1", None, {}, object(), b"x"])
@pytest.mark.parametrize("name", ["add", "sub", "truediv", "pow", "lt", "ge"])
def test_what_is_no_number_is_refused_as_floats_refuse_it(tape, name, other):
    x = active(tape, 2.0)
    for pair in ((x, other), (other, x)):
        with pytest.raises(TypeError):
            getattr(operator, name)(*pair)


def test_equality_with_what_is_no_number_is_false(tape):
    x = active(tape, 2.0)
    for other in ("2.0", None, object()):
        assert not x == other  # noqa: SIM201
        assert x != other


def test_there_is_no_order_among_complex_numbers_nor_a_plain_one_of_an_active(tape):
    with pytest.raises(TypeError, match=r"< is not supported for complex numbers"):
        operator.lt(active(tape, 2.0), 1j)
    with pytest.raises(LostDerivativeError, match=r"complex"):
        complex(active(tape, 2.0))


# --- reading: guards ---------------------------------------------------------------------------

READERS = {
    "bool": lambda x: 2.0 * x if x else x + 5.0,
    "not": lambda x: x * (3.0 if not x else 1.0),
    "int": lambda x: x * int(x),
    "round": lambda x: x * round(x),
    "round to a digit": lambda x: x * round(x, 1),
    "round to tens": lambda x: x * round(x, -1),
    "floor": lambda x: x * math.floor(x),
    "ceil": lambda x: x * math.ceil(x),
    "trunc": lambda x: x * math.trunc(x),
    "is_integer": lambda x: x * 2.0 if x.is_integer() else x,
    "range": lambda x: sum([x * k for k in range(abs(int(x)))], x),
    "less": lambda x: x * x if x < 1.0 else x,
    "chained": lambda x: x * x if -1.0 < x <= 1.0 else x,
    "max": lambda x: max(x, 1.0, -2.0 * x),
    "sorted": lambda x: sorted([x, 1.0 + 0.0 * x, x * x])[1],
    "and": lambda x: x * x if x > 0.0 and x < 2.0 else -x,
    "while": lambda x: halved(x),
    "in": lambda x: x * 2.0 if x in (1.0, 2.0) else x,
    "match": lambda x: matched(x),
    "divmod": lambda x: x * divmod(x, 2.0)[0],
    "isnan": lambda x: 1.0 * x if math.isfinite(x) else 0.0,
    "list index": lambda x: x * [1.0, 2.0, 3.0][int(abs(x)) % 3],
}


def halved(x):
    while abs(x) > 0.5:
        x = x / 2.0
    return x


def matched(x):
    match int(x):
        case 0:
            return x * 2.0
        case 1 | 2:
            return x * x
        case n if n < 0:
            return -x
        case _:
            return x * n


POINTS = [0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.25, 0.35, 2.0, 7.0, 15.0, 24.9, -0.0, 1e-9]


@pytest.mark.parametrize("name", READERS)
def test_a_replay_across_a_flip_is_a_fresh_recording(name):
    function = READERS[name]
    derivative = tg.value_and_grad(function)
    for x in [*POINTS, *reversed(POINTS)]:
        found = derivative(x)
        assert found == tg.value_and_grad(lambda x: function(x))(x), x
        assert found[0] == function(x), x


@pytest.mark.parametrize("name", ["int", "round", "floor", "ceil", "trunc"])
def test_what_is_read_is_an_int_and_raises_as_a_float_does(tape, name):
    function = getattr(math, name, None) or {"int": int, "round": round}[name]
    for x in (2.5, -2.5, 0.5, -0.5, 3.0, 1e20):
        found = function(active(tape, x))
        assert type(found) is int
        assert found == function(x)
    for x in (inf, -inf, nan):
        with pytest.raises((OverflowError, ValueError)) as wanted:
            function(x)
        with pytest.raises(wanted.type):
            function(active(tape, x))


@pytest.mark.parametrize("x", [0.125, 2.675, -1.005, 1e20, 12345.678, 0.0, -0.0, inf, 5e-324])
@pytest.mark.parametrize("digits", [-3, -1, 0, 1, 2, 5])
def test_rounding_to_digits_is_a_floats_and_guarded_exactly(x, digits):
    function = tg.grad(lambda x: x * round(x, digits))
    assert function(x) == round(x, digits)
    for y in (math.nextafter(x, inf), math.nextafter(x, -inf), x * 1.001 + 0.01):
        assert function(y) == round(y, digits)


def test_an_index_must_be_whole(tape):
    assert [10, 20, 30][active(tape, 1.0)] == 20
    assert list(range(active(tape, 3.0))) == [0, 1, 2]
    for x in (1.5, nan, inf):
        with pytest.raises(TypeError, match="whole"):
            [10, 20, 30][active(tape, x)]


def test_chained_comparisons_guard_both_ends():
    derivative = tg.grad(lambda x: 3.0 * x if 0.0 < x < 1.0 else x)
    assert [derivative(x) for x in (0.5, 1.5, -0.5, 0.0, 1.0, 0.9)] == [
        3.0,
        1.0,
        1.0,
        1.0,
        1.0,
        3.0,
    ]


# --- truth values ------------------------------------------------------------------------------


def test_truth_values_print_and_combine_as_bools(tape):
    x = active(tape, 1.0)
    yes, no = x > 0.0, x < 0.0
    assert (repr(yes), repr(no)) == ("ActiveBool(True)", "ActiveBool(False)")
    for a in (yes, no):
        for b in (yes, no, True, False, np.bool_(True)):
            for function in (operator.and_, operator.or_, operator.xor):
                wanted = function(bool(a), bool(b))
                assert bool(function(a, b)) is wanted
                assert bool(function(b, a)) is wanted
        assert bool(~a) is not bool(a)
    assert yes.dtype == np.bool_


def test_truth_values_count_in_arithmetic():
    def f(x):
        return (x > 0.0) * x + 2.0 * (x < 0.0) * x + (x > 1.0) + sum([x > k for k in range(3)])

    derivative = tg.value_and_grad(f)
    for x in (2.0, -2.0, 0.5):
        assert derivative(x) == (f(x), 1.0 if x > 0 else 2.0)


def test_bitwise_operators_of_numbers_are_refused(tape):
    for function in (operator.and_, operator.or_, operator.xor, operator.lshift):
        with pytest.raises(TypeError):
            function(active(tape, 2.0), active(tape, 3.0))
    with pytest.raises(TypeError):
        ~active(tape, 2.0)


# --- what would lose the derivative ------------------------------------------------------------

LOSERS = {
    "float": float,
    "asarray of a type": lambda x: np.asarray(x, dtype=float),
    "float64": np.float64,
    "element": lambda x: np.ones(2).__setitem__(0, x),
    "slice": lambda x: np.ones(2).__setitem__(slice(None), x),
    "fill": lambda x: np.ones(2).fill(x),
    "statistics": lambda x: __import__("array").array("d", [x]),
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("name", LOSERS)
def test_a_conversion_that_would_lose_the_derivative_is_refused(tape, name):
    with pytest.raises((LostDerivativeError, ValueError)) as caught:
        LOSERS[name](active(tape, 2.0))
    causes = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any(isinstance(error, LostDerivativeError) for error in causes)


def test_the_refusal_names_the_line_and_the_way_out(tape):
    with pytest.raises(LostDerivativeError, match=r"(?s)test_active.*leave.*stop_gradient"):
        float(active(tape, 2.0))


def test_an_array_made_where_nothing_is_recorded_keeps_the_active_number(tape):
    number = active(tape, 2.0)
    for make in (np.asarray, np.array):
        assert make(number).dtype == object
        assert make(number).item() is number


def test_there_is_no_memory_to_view(tape):
    with pytest.raises(TypeError):
        memoryview(active(tape, 2.0))


def test_hashing_is_forbidden_with_the_way_out(tape):
    x = active(tape, 2.0)
    for use in (hash, lambda x: {x: 1}, lambda x: {x}, lambda x: {2.0: 1}[x], lambda x: x in {2.0}):
        with pytest.raises(UnhashableError, match=r"int\(x\)"):
            use(x)
    with pytest.raises(UnhashableError):
        hash(x > 0.0)


def test_the_key_of_a_dictionary_may_be_an_int_of_it():
    table = {0: 2.0, 1: 5.0}
    derivative = tg.grad(lambda x: table[int(x)] * x)
    assert [derivative(x) for x in (0.5, 1.5, 0.7)] == [2.0, 5.0, 2.0]


# --- printing and copying ----------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.5, -0.0, inf, nan, 1e-300])
def test_printing_shows_the_number(tape, value):
    x = active(tape, value)
    assert f"{x:.3f}|{x:>12.2e}|{x:g}" == f"{value:.3f}|{value:>12.2e}|{value:g}"
    assert f"{x}" == f"{value}"
    assert repr(x) == f"Active({value!r})"
    assert "%s" % x == str(x)  # noqa: UP031
    assert f"{x:+.1f}" == f"{value:+.1f}"


def test_copies_are_the_number_itself(tape):
    x = active(tape, 1.5)
    assert copy.copy(x) is x
    assert copy.deepcopy(x) is x
    nested = copy.deepcopy({"a": [x, 1.0], "b": (x,)})
    assert nested["a"][0] is x


def test_a_deep_copy_of_arguments_keeps_the_derivative():
    def f(p):
        q = copy.deepcopy(p)
        q["x"][0] = q["x"][0] * 3.0
        return q["x"][0] + p["x"][0]

    assert tg.grad(f)({"x": [2.0]}) == {"x": [4.0]}


# --- NumPy scalars on the left -----------------------------------------------------------------


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_])
def test_a_numpy_scalar_on_the_left_is_recorded(name, kind):
    function = getattr(operator, name)
    left = kind(3)
    found = recorded_outcome(lambda x: function(left, x), 2.0)
    wanted = outcome(lambda x: function(np.float64(left), x), 2.0)
    assert found == wanted
    assert isinstance(found, bool | np.bool_) == isinstance(wanted, bool | np.bool_)


def test_a_zero_d_array_meets_a_number():
    f = lambda x: (np.array(3.0) * x + x / np.array(2.0)) * np.array([1.0, 2.0])[1]  # noqa: E731
    assert tg.grad(f)(2.0) == 7.0
    assert tg.grad(lambda x: np.sum(np.array([1.0, 2.0]) * x))(2.0) == 3.0


def test_huge_integers_are_floats_or_overflow(tape):
    x = active(tape, 2.0)
    assert (x + 2**60).value == 2.0 + 2**60
    with pytest.raises(OverflowError):
        x * 10**400
    assert len(tape.so_far()) == len(tape)
    tg.check(tape.so_far())
