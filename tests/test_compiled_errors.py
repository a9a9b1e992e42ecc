"""What can't work in compiled code says so, with the user's line and a way out."""

import gc
import inspect
import math
import traceback

import numpy as np
import pytest
from numba import float64, njit, objmode, prange, stencil, typed
from numba.core.errors import TypingError
from numba.experimental import jitclass

import tapegrad as tg
from tapegrad.errors import NoCompiledFormError, UnsupportedFunctionError

X = np.array([0.3, 0.7, 1.1])
OUTSIDE = np.zeros(3)
TABLE = np.arange(3.0)


@jitclass([("last", float64)])
class State:
    def __init__(self):
        self.last = 0.0


STATE = State()


@njit(parallel=True)
def in_parallel(x):
    total = 0.0
    for i in prange(len(x)):
        total += x[i] ** 2
    return total


@njit
def with_complex_numbers(x):
    return abs(x[0] * 1j)


@njit
def decomposed(x):
    return np.linalg.eigvals(x.reshape(1, 3))[0]


@njit
def store(x, out):
    out[0] = x[0]
    return out[0] * 2.0


@njit
def number_or_text(x):
    y = "none" if x[0] > 0.0 else x[0]
    print(y)
    return x[0]


@njit
def unknown_attribute(x):
    return x[0].hex()


@njit
def into_integers(x):
    counts = np.zeros(3, np.int64)
    counts[0] = x[0]
    return counts[0] * x[1]


@njit
def in_object_mode(x):
    with objmode(y="float64"):
        y = float(x[0])
    return y * x[0]


def outside_array(x):
    return store(x, OUTSIDE)


@njit
def product(numbers):
    return numbers[0] * numbers[1]


def in_a_typed_list(x):
    numbers = typed.List()
    numbers.append(x[0])
    return product(numbers)


def in_a_typed_dictionary(x):
    numbers = typed.Dict()
    numbers[0] = x[0]
    return product(numbers)


def in_a_list_with_floats(x):
    return product([x[0], 2.0])


@njit
def squares(x):
    for number in x:
        yield number * number


def through_a_generator(x):
    return sum(squares(x))


@njit("float64(float64)")
def of_declared_type(x):
    return x * x


def calling_for_a_declared_type(x):
    return of_declared_type(x[0])


@njit
def into_a_table(x):
    TABLE[0] = x[0]
    return TABLE[0]


@njit
def added_to_a_table(x):
    y = TABLE[1:]
    y += x[1:]
    return y.sum()


@njit
def into_a_list(x):
    z = [0.0 for _ in range(3)]
    z[0] = x[0]
    return z[0]


@njit
def into_a_dictionary(x):
    d = {0: 0.0}
    d[0] = x[0]
    return d[0]


@njit
def onto(state, x):
    state.last = x[0]
    return x[0]


def onto_an_object(x):
    return onto(STATE, x)


@njit
def as_advised(x):
    y = np.zeros(TABLE.shape)
    y[:] = TABLE
    y[0] = x[0]
    z = [1.0 for _ in range(3)]
    w = np.zeros(len(z))
    for k in range(len(z)):
        w[k] = z[k]
    w[1] = x[1]
    d = {0: np.zeros(1)[0]}
    d[0] = x[2]
    return y.sum() * w.sum() * d[0]


def test_what_the_remedies_say_works():
    value, gradient = tg.value_and_grad(as_advised)(X)
    assert value == pytest.approx((0.3 + 3.0) * (2.0 + 0.7) * 1.1, rel=1e-15)
    np.testing.assert_allclose(gradient, [2.7 * 1.1, 3.3 * 1.1, 3.3 * 2.7], rtol=1e-15)


def test_a_refusal_in_compiled_code_ends_at_the_users_line_without_numbas_text():
    for function, where in (
        (
            outside_array,
            [("outside_array", "return store(x, OUTSIDE)"), ("store", "out[0] = x[0]")],
        ),
        (into_a_table, [("into_a_table", "TABLE[0] = x[0]")]),
    ):
        with pytest.raises(UnsupportedFunctionError) as caught:
            tg.grad(function)(X)
        lines = traceback.extract_tb(caught.value.__traceback__)
        last = [(line.name, line.line) for line in lines if line.filename == __file__][1:]
        assert last == where
        assert lines[-1].filename == __file__
        assert "Failed in nopython" not in "".join(traceback.format_exception(caught.value))


@njit
def written(x):
    return x[0] * len(str(x[0])) + x[1] * len(repr(x[0] * x[1]))


def test_a_text_in_compiled_code_is_the_one_numba_makes_of_a_float():
    assert tg.value_and_grad(written)(X)[0] == written(X)


# The function, what the message names, the line it shows and the remedy.
REFUSED = {
    "parallel": (in_parallel, "parallel=True", "", r"value_and_grad\(f\)\.njit"),
    "complex": (with_complex_numbers, "complex128", "return abs", "two real numbers"),
    "eigvals": (decomposed, "eigvals", "np.linalg.eigvals", "f.py_func"),
    "array made outside": (
        outside_array,
        "setitem",
        "out[0] = x[0]",
        r"write y = np\.zeros\(a\.shape\) and y\[:\] = a in the function",
    ),
    "table": (
        into_a_table,
        "readonly array",
        "TABLE[0] = x[0]",
        r"write y = np\.zeros\(a\.shape\)",
    ),
    "in place": (added_to_a_table, "iadd", "y += x", r"write y = np\.zeros\(a\.shape\) and"),
    "list": (into_a_list, "setitem", "z[0] = x[0]", r"write y = np\.zeros\(len\(z\)\) and for k"),
    "dictionary": (into_a_dictionary, "setitem", "d[0] = x[0]", r"begin it with np\.zeros\(1\)"),
    "structure": (
        onto_an_object,
        "Cannot cast active to float64, at",
        "state.last = x[0]",
        "a structure made outside: keep them in arrays",
    ),
    "two kinds": (number_or_text, "unify", 'y = "none"', "give it one kind"),
    "attribute": (unknown_attribute, "'hex'", "x[0].hex()", "f.py_func"),
    "object mode": (
        in_object_mode,
        "object mode",
        "with objmode",
        "keep what depends on the input",
    ),
    "typed list": (in_a_typed_list, "typed.List", "", "fill it in a compiled function"),
    "typed dict": (in_a_typed_dictionary, "typed.Dict", "", "fill it in a compiled function"),
    "mixed list": (in_a_list_with_floats, "heterogeneous", "", r"pass np\.array"),
    "generator": (through_a_generator, "generator", "", "be plain Python"),
    "declared types": (calling_for_a_declared_type, "active", "", "leave the signature out"),
    "integers": (into_integers, "setitem", "counts[0] = x[0]", "np.zeros"),
}


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_construct_the_line_and_the_remedy(name):
    function, construct, line, remedy = REFUSED[name]
    with pytest.raises(UnsupportedFunctionError, match=remedy) as caught:
        tg.grad(function)(X)
    message = str(caught.value)
    assert construct in message
    assert line in message
    assert len(message.splitlines()) <= 4
    if line:
        assert f"{__file__}:" in message


def test_a_form_that_is_called_from_python_says_the_same():
    with pytest.raises(UnsupportedFunctionError, match=r"complex128[^$]*return abs[^$]*two real"):
        tg.value_and_grad(with_complex_numbers).njit(X, np.empty(3))


@njit
def unchanged(x):
    return x


def test_a_form_or_c_function_of_what_is_no_number_says_so_in_one_line():
    derivative = tg.value_and_grad(unchanged)
    for use in (lambda: derivative.njit(X, np.empty(3)), lambda: derivative.cfunc):
        with pytest.raises(UnsupportedFunctionError, match=r"use tapegrad\.jacobian$"):
            use()
    with pytest.raises(TypeError, match=r"it takes \(x, \*args, out\)"):
        derivative.njit(X)


def test_a_form_that_does_not_exist_is_an_attribute_that_does_not_exist():
    plain = tg.value_and_grad(lambda x: x)
    by_second = tg.grad(unchanged, argnums=1)
    for derivative in (plain, by_second, tg.hessian(lambda x: x)):
        assert not hasattr(derivative, "njit")
        assert "njit" not in dict(inspect.getmembers(derivative))
        with pytest.raises(NoCompiledFormError):
            derivative.njit(X, X)


@njit
def with_progress(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i] ** 2
        with objmode():
            PROGRESS.append(i)
    return total


PROGRESS = []


def test_object_mode_without_active_numbers_is_left_alone():
    PROGRESS.clear()
    assert tg.grad(with_progress)(X).tolist() == (2.0 * X).tolist()
    assert PROGRESS == [0, 1, 2]


@njit
def fails_on_the_way(x):
    y = np.zeros(2)
    for i in range(3):
        if x[i] > 1.0:
            raise OverflowError("too large")
        y[i] = math.exp(x[i])
    return y[0]


def test_the_users_exception_arrives_and_leaves_nothing_behind():
    zeros, sine = np.zeros, math.sin
    for _ in range(3):
        with pytest.raises(OverflowError, match="too large"):
            tg.grad(fails_on_the_way)(X)
    assert np.zeros is zeros
    assert math.sin is sine
    assert type(np.zeros(2)) is np.ndarray
    assert tg.grad(lambda x: x[0] * x[1])(X).tolist() == [X[1], X[0], 0.0]


def test_an_ordinary_typing_error_stays_numbas():
    @njit
    def broken(x):
        return x[0] + undefined_name  # noqa: F821

    with pytest.raises(TypingError, match="undefined_name"):
        tg.grad(broken)(X)


def test_typed_containers_made_inside_hold_active_numbers():
    @njit
    def function(x):
        table = {0: x[0] * x[1]}
        table[1] = x[2]
        numbers = [x[0]]
        numbers.append(table[0] * table[1])
        return sum(numbers)

    np.testing.assert_allclose(tg.grad(function)(X), [1 + X[1] * X[2], X[0] * X[2], X[0] * X[1]])


@njit("float64(float64[:])")
def with_declared_types(x):
    return of_declared_type(x[0]) * x[1]


def test_a_function_with_declared_types_is_recorded_all_the_same():
    assert tg.value_and_grad(with_declared_types)(X) == (
        X[0] ** 2 * X[1], pytest.approx(np.array([2 * X[0] * X[1], X[0] ** 2, 0.0])),
    )  # fmt: skip


@stencil
def mean_of_neighbours(x):
    return 0.5 * (x[-1] + x[1])


@njit
def with_a_stencil(x):
    return mean_of_neighbours(x).sum()


def test_a_stencil_is_refused_where_it_is_called():
    with pytest.raises(UnsupportedFunctionError, match="return mean_of_neighbours"):
        tg.grad(with_a_stencil)(X)


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning")
def test_lists_that_are_passed_over_and_over_leave_the_heap_as_it_was():
    @njit
    def grown(numbers):
        numbers.append(numbers[0] * 2.0)
        return numbers[1] * numbers[0]

    for _ in range(12):
        value, gradient = tg.value_and_grad(lambda x: grown([x[0], x[1]]) * grown([x[2], x[0]]))(X)
        litter = [bytearray(24 * k) for k in range(50)]
        del litter
        gc.collect(1)
    assert value == pytest.approx(X[0] ** 2 * X[1] * X[2])
    expected = [2 * X[0] * X[1] * X[2], X[0] ** 2 * X[2], X[0] ** 2 * X[1]]
    np.testing.assert_allclose(gradient, expected)
