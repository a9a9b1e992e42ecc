"""Libraries' functions that meet active numbers: the error, its line, and its way out."""

from __future__ import annotations

import functools
import linecache
import math
import traceback

import numba
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.linalg
import scipy.ndimage
import scipy.signal
import scipy.sparse
import scipy.stats

import tapegrad as tg
from tapegrad.errors import InputTypeError, LostDerivativeError, UnsupportedFunctionError

X = np.array([1.0, 2.0, 4.0])
TABLE = {"sin": math.sin, "float": float}
SPARSE = scipy.sparse.csr_array(np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [0.0, 0.0, 4.0]]))


def through_nditer(x):
    return sum(float(v) for v in np.nditer(x))


# A function that takes an array, what the error calls it, and what the original is.
FOREIGN = {
    "a function": (lambda x: np.sum(scipy.signal.medfilt(x, 3)),
                   "scipy.signal.medfilt ", ValueError),
    "a checked function": (lambda x: np.sum(scipy.linalg.hessenberg(np.outer(x, X))),
                           "scipy.linalg.hessenberg ", ValueError),
    "C code": (lambda x: np.sum(scipy.ndimage.median_filter(x, 3)),
               "scipy.ndimage.median_filter ", RuntimeError),
    "a type that is missing": (lambda x: scipy.stats.moment(x, 2),
                                     "scipy.stats.moment ", TypeError),
    "a table": (lambda x: pd.Series(x).rolling(2).mean().sum(),
                "pandas.api.typing.Rolling.mean ", Exception),
    "an iterator of NumPy's": (through_nditer, "numpy.nditer ", TypeError),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_function_is_named_with_the_line_and_the_way_out_works(name):
    function, called, original = FOREIGN[name]
    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(function)(X.copy())
    message = str(caught.value)
    assert message.startswith(called)
    assert isinstance(caught.value.__cause__, original)
    assert type(caught.value.__cause__).__name__ in message
    place, source = message.partition("), at ")[2].splitlines()[:2]
    file, _, line = place.rpartition(":")
    assert file == __file__
    assert source.strip() == linecache.getline(file, int(line)).strip()
    assert int(line) in {number for _, _, number in function.__code__.co_lines()} | {
        function.__code__.co_firstlineno + 1
    }
    assert "tapegrad.stop_gradient(x) in place of x" in message

    def stopped(x):
        return np.sum(x**2) + function(tg.stop_gradient(x))

    value, gradient = tg.value_and_grad(stopped)(X.copy())
    assert value == pytest.approx(np.sum(X**2) + function(X), rel=1e-15)
    np.testing.assert_array_equal(gradient, 2.0 * X)
    # At another point its values are that point's.
    assert tg.value_and_grad(stopped)(X + 1.0)[0] == pytest.approx(
        np.sum((X + 1.0) ** 2) + function(X + 1.0), rel=1e-15
    )


def test_statistics_of_a_table_that_are_made_of_operations_are_recorded():
    def spread(x):
        return pd.Series(x).std() + pd.Series(x).cumsum().iloc[-1] * pd.Series(x).max()

    deviation = X - X.mean()
    std = X.std(ddof=1)
    value, gradient = tg.value_and_grad(spread)(X.copy())
    assert value == pytest.approx(std + 28.0, rel=1e-15)
    wanted = deviation / (2.0 * std) + 4.0 + np.array([0.0, 0.0, 7.0])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-14)
    assert tg.grad(lambda x: x.astype(float) * x.astype(np.float64))(3.0) == 6.0
    assert tg.grad(lambda x: x * x.astype(int))(3.0) == 3.0
    with pytest.raises(LostDerivativeError):
        tg.grad(lambda x: x.astype(np.float32) * x)(3.0)


def test_a_sparse_operand_is_told_how_to_become_an_array():
    for function in (
        lambda x: np.sum(np.maximum(SPARSE, x)),
        lambda x: np.sum(np.matmul(x, SPARSE)),
    ):
        with pytest.raises(
            InputTypeError, match=r"write a\.toarray\(\) for the csr_array a"
        ) as caught:
            tg.grad(function)(X.copy())
        assert f"at {__file__}:" in str(caught.value)
    dense = tg.grad(lambda x: np.sum(SPARSE.toarray() @ x))(X.copy())
    np.testing.assert_array_equal(dense, [2.0, 3.0, 5.0])


class Labelled:
    """An array of a library's kind: it converts to a plain one by a method, and hides its type."""

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


def test_a_labelled_operand_is_told_how_to_become_an_array():
    labelled = Labelled(X)
    with pytest.raises(InputTypeError, match=r"write a\.to_numpy\(\) for the Labelled a"):
        tg.grad(lambda x: np.sum(x[:] * np.maximum(x, labelled)))(X.copy())
    found = tg.grad(lambda x: np.sum(x * labelled.to_numpy()))(X.copy())
    np.testing.assert_array_equal(found, X)
    with pytest.raises(UnsupportedFunctionError, match=r"write a\.to_numpy\(\) for the Labelled a"):
        tg.grad(lambda x: Labelled(x * X))(X.copy())
    found = tg.grad(lambda x: np.sum(Labelled(x * X).to_numpy()))(X.copy())
    np.testing.assert_array_equal(found, X)


def test_an_array_of_objects_without_axes_is_a_number():
    def boxed(x):
        array = np.empty((), object)
        array[()] = x[0] * x[1]
        return array

    value, gradient = tg.value_and_grad(boxed)(X.copy())
    assert value == 2.0
    np.testing.assert_array_equal(gradient, [2.0, 1.0, 0.0])
    np.testing.assert_array_equal(tg.grad(lambda x: np.exp(boxed(x)) * 1.0)(np.array([0.0, 1.0])),
                                  [1.0, 0.0])  # fmt: skip


class Unhashable:
    """A callable that compares by content, as polynomials do."""

    def __init__(self, function):
        self.function = function

    __hash__ = None

    def __eq__(self, other):
        return self.function is other.function

    def __call__(self, x):
        return scipy.stats.moment(x, 2)


def test_the_message_survives_callables_that_have_no_hash():
    polynomials = [np.polynomial.Chebyshev([1.0, 2.0, 3.0]), np.array]

    def bound(x):
        return polynomials[0](0.5) * polynomials[1](x, float).sum()

    with pytest.raises(LostDerivativeError, match=r"numpy\.array was bound where"):
        tg.grad(bound)(X.copy())

    power = Unhashable(None)
    with pytest.raises(UnsupportedFunctionError, match=r"scipy\.stats\.moment"):
        tg.grad(lambda x: power(x))(X.copy())


def test_a_traceback_of_our_error_ends_at_the_users_line():
    def lost(x):
        return TABLE["sin"](x)

    def without_rule(x):
        return np.spacing(x)

    def foreign(x):
        return scipy.signal.medfilt(x * np.arange(9.0))

    def drawn(x):
        return np.random.default_rng(0).normal(x)

    def nested(x):
        return tg.grad(lambda y: lost(y * x))(2.0)

    for function, last in (
        (lost, 'return TABLE["sin"](x)'),
        (without_rule, "return np.spacing(x)"),
        (foreign, "return scipy.signal.medfilt(x * np.arange(9.0))"),
        (drawn, "return np.random.default_rng(0).normal(x)"),
        (nested, 'return TABLE["sin"](x)'),
    ):
        with pytest.raises(tg.errors.TapegradError) as caught:
            tg.grad(lambda x, function=function: np.sum(function(x)))(2.0)
        lines = traceback.extract_tb(caught.value.__traceback__)
        assert (lines[-1].filename, lines[-1].line) == (__file__, last)
        assert lines[0].filename == __file__
        assert sum(line.name == "_record" for line in lines) == 1 + (function is nested)
        if function is foreign:  # where it went wrong is told by the cause
            inside = traceback.extract_tb(caught.value.__cause__.__traceback__)
            assert "scipy" in inside[-1].filename


# Code that asks for a plain number, and raises an error of its own over ours.
SWALLOWED = {
    "C code": (lambda x: scipy.ndimage.generic_filter(X, lambda w: w[0] * np.array([x])[0], 3)[1],
               "scipy.ndimage.generic_filter can't", 3.0, SystemError),
    "Fortran": (lambda x: scipy.integrate.ode(lambda t, y: x * y).set_integrator("dopri5")
                .set_initial_value([1.0], 0.0).integrate(0.1)[0],
                r"integrate can't", math.exp(0.3), Exception),
}  # fmt: skip


@pytest.mark.parametrize("name", SWALLOWED)
def test_a_refusal_that_c_code_puts_its_own_error_over_comes_out(name):
    function, message, found, original = SWALLOWED[name]
    with pytest.raises(LostDerivativeError, match=message) as caught:
        tg.grad(function)(3.0)
    assert f"at {__file__}:" in str(caught.value)
    assert isinstance(caught.value.__cause__, original)
    assert "write tapegrad.stop_gradient(x) for x" in str(caught.value)
    value, slope = tg.value_and_grad(lambda x: x * function(tg.stop_gradient(x)))(3.0)
    assert value == pytest.approx(3.0 * found, rel=1e-6)
    assert slope == pytest.approx(found, rel=1e-6)


def test_an_error_of_the_users_own_stays_where_a_refusal_was_caught_before():
    def float_or_none(x):
        try:
            return math.trunc(TABLE["float"](x))
        except TypeError:
            return None

    def raises(x):
        if float_or_none(x) is None: raise ValueError("no number")  # fmt: skip  # noqa: E701

    def fails_later(x):
        float_or_none(x)
        return scipy.optimize.brentq(lambda y: y * y + 1.0, 0.0, 1.0)

    for function, message in ((raises, "no number"), (fails_later, "different signs")):
        with pytest.raises(ValueError, match=message) as caught:
            tg.grad(function)(3.0)
        assert type(caught.value) is ValueError
        with pytest.raises(ValueError, match=message):
            tg.grad(lambda x, function=function: tg.grad(function)(x))(3.0)


class Model:
    def twice(self, x):
        return x * 2.0

    def __call__(self, x):
        return [x, Labelled(x)]


def of_two_returns(x, flag=True):
    if flag:
        return x * 2.0
    return x


@numba.njit
def compiled(x):
    return 2.0 * x


def decorated(function):
    @functools.wraps(function)
    def around(*args):
        return function(*args)

    return around


# A derivative whose function returns what has none, and the line that its traceback ends at.
RETURNED = {
    "lambda": (tg.grad(lambda x: x * 2.0), "tg.grad(lambda x: x * 2.0)"),
    "method": (tg.value_and_grad(Model().twice), "return x * 2.0"),
    "partial": (tg.grad(functools.partial(Model().twice)), "return x * 2.0"),
    "of two returns": (tg.grad(of_two_returns), "def of_two_returns(x, flag=True):"),
    "has_aux": (tg.grad(Model().twice, has_aux=True), "return x * 2.0"),
    "second order": (tg.hessian(Model().twice), "return x * 2.0"),
    "product": (lambda x: tg.hvp(Model().twice)(x, x), "return x * 2.0"),
    "compiled": (tg.grad(compiled), "return 2.0 * x"),
    "decorated": (tg.grad(decorated(Model().twice)), "return function(*args)"),
    "no tree": (tg.jacobian(Model()), "return [x, Labelled(x)]"),
    "of a derivative": (tg.grad(tg.grad(lambda x: x.sum())), "lambda x: x.sum()"),
}  # fmt: skip


@pytest.mark.parametrize("name", RETURNED)
def test_the_traceback_of_a_result_that_has_no_derivative_ends_where_it_was_returned(name):
    derivative, last = RETURNED[name]
    with pytest.raises(tg.errors.TapegradError) as caught:
        derivative(np.ones(2))
    end = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert end.filename == __file__
    assert last in end.line
    assert end.name in ("<lambda>", "twice", "of_two_returns", "compiled", "around", "__call__")
    assert f'File "{__file__}"' in traceback.format_exception(caught.value)[-2]


def test_what_c_code_raised_and_went_on_after_is_raised_itself():
    def as_c_does(x):
        try:
            return math.sqrt(2.0) * float(x)
        except LostDerivativeError as error:
            raise SystemError("returned a result with an exception set") from error

    with pytest.raises(LostDerivativeError, match=r"leave float\(\) out"):
        tg.grad(as_c_does)(1.0)


def test_an_array_with_a_meaning_of_its_own_is_refused_with_the_line():
    masked = np.ma.masked_array(X, [False, True, False])
    with pytest.raises(InputTypeError, match=r"a MaskedArray can't be combined") as caught:
        tg.grad(lambda x: np.sum(x * masked))(X.copy())
    assert f", at {__file__}:" in str(caught.value)
    assert "tg.grad(lambda x: np.sum(x * masked))(X.copy())" in str(caught.value)
    filled = tg.grad(lambda x: np.sum(x * masked.filled(0.0)))(X.copy())
    np.testing.assert_array_equal(filled, [1.0, 0.0, 4.0])


def test_the_users_own_errors_and_those_without_active_numbers_stay():
    def wrong_type(x):
        raise TypeError("not supported")

    for function, kind in (
        (wrong_type, TypeError),
        (lambda x: x + "a", TypeError),
        (lambda x: x.nothing, AttributeError),
        (lambda x: x * scipy.stats.zscore("abc"), Exception),
        (lambda x: scipy.optimize.minimize_scalar(wrong_type), TypeError),
        (lambda x: x * scipy.interpolate.CubicSpline([1.0, 1.0], [2.0, 2.0])(0.0), ValueError),
    ):
        with pytest.raises(kind) as caught:
            tg.grad(function)(1.0)
        assert not isinstance(caught.value, tg.errors.TapegradError)


KERNELS = """
import math
import numpy as np
import scipy.stats


def smoothed(x):
    y = np.zeros(len(x))
    y[0] = math.sin(x[0])
    for i in range(1, len(x)):
        y[i] = 0.5 * y[i - 1] + x[i]
    return y.sum()


def scored(x):
    return scipy.stats.moment(x, 2)


def named(x):
    return np.sum(np.spacing(x))
"""


def test_an_installed_package_is_recorded_as_the_users_own_and_its_lines_are_named(
    tmp_path, monkeypatch, make_module
):
    installed = tmp_path / "lib" / "python3" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(installed))
    (installed / "kernels_of_somebody").mkdir()
    file = installed / "kernels_of_somebody" / "__init__.py"
    file.write_text(KERNELS)
    user = make_module("user_of_kernels", "import kernels_of_somebody as k\nf = k.smoothed\n")
    for f in (user.f, lambda x: user.k.smoothed(x)):
        found = tg.grad(f)(np.array([0.0, 1.0, 1.0]))
        np.testing.assert_allclose(found, [1.75, 1.5, 1.0], rtol=1e-15)
    line = KERNELS.splitlines().index("    return scipy.stats.moment(x, 2)") + 1
    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(user.k.scored)(X.copy())
    assert f"at {file}:{line}\n    return scipy.stats.moment" in str(caught.value)
    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(lambda x: user.k.named(x))(X.copy())
    assert "numpy.spacing has no rule" in str(caught.value) or "spacing has no rule" in str(
        caught.value
    )
    assert f"at {file}:" in str(caught.value)
