"""How scipy.special's functions are called in recorded functions, and sums of exponentials."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from scipy.special import log_softmax as imported_log_softmax
from scipy.special import logsumexp as imported_logsumexp

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.twins import Twins
from tests.against_numpy import assert_same, outcome, recorded_outcome

INF, NAN = np.inf, np.nan


# --- how they are called ------------------------------------------------------------------------


def test_a_name_imported_from_scipy_special_is_recorded():
    x = np.array([0.3, -1.2, 2.0])
    for imported, name in (
        (imported_logsumexp, "logsumexp"),
        (imported_log_softmax, "log_softmax"),
    ):
        function = getattr(scipy.special, name)

        def by_module(x, name=name):
            return np.sum(np.cos(getattr(scipy.special, name)(x)))

        def by_name(x, imported=imported):
            return np.sum(np.cos(imported(x)))

        assert by_name(x) == by_module(x) == np.sum(np.cos(function(x)))
    first = tg.grad(lambda x: imported_logsumexp(x))(x)
    np.testing.assert_allclose(first, scipy.special.softmax(x), rtol=1e-15)
    np.testing.assert_array_equal(first, tg.grad(lambda x: scipy.special.logsumexp(x))(x))
    assert "switch" not in repr(imported_logsumexp)


def test_plain_arguments_of_a_recorded_function_go_to_scipy():
    weights = np.array([1.0, 2.0, 3.0])

    def f(x):
        offset = scipy.special.logsumexp(weights) + scipy.special.polygamma(1, 2.0)
        return x * offset * scipy.special.zetac(np.zeros(3)).sum()

    assert tg.value_and_grad(f)(2.0) == (f(2.0), f(2.0) / 2)


def test_a_function_without_a_rule_says_so():
    with pytest.raises(
        UnsupportedFunctionError, match=r"zetac has no rule(?s:.*)tapegrad\.supported"
    ):
        tg.grad(scipy.special.zetac)(2.0)
    with pytest.raises(UnsupportedFunctionError, match=r"polygamma.*constant whole orders"):
        tg.grad(lambda n: scipy.special.polygamma(n, 2.0))(1.0)


def test_the_list_of_supported_functions_names_them():
    functions = ["erf", "digamma", "psi", "kl_div", "loggamma", "exprel", "i0e", "polygamma", "iv"]
    functions += ["logsumexp", "softmax", "log_softmax"]
    assert {f"scipy.special.{name}" for name in functions} <= set(tg.supported())
    assert "numpy.polygamma" not in tg.supported()


# --- sums of exponentials -----------------------------------------------------------------------

MATRIX = np.array([[0.3, -1.2, 2.0], [700.0, 710.0, -1e4], [1.0, 1.0, 1.0]])
WEIGHTS = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0], [1.0, -2.0, 3.0]])
WITH_INFINITIES = [[-INF, -INF], [-INF, 0.5], [INF, 1.0], [INF, INF], [-INF, INF], [NAN, 1.0]]


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
@pytest.mark.parametrize("options", [{}, {"keepdims": True}, {"b": WEIGHTS}, {"return_sign": True},
                                     {"b": -WEIGHTS, "return_sign": True}])  # fmt: skip
def test_logsumexp_is_what_scipy_has(axis, options):
    def function(x):
        return scipy.special.logsumexp(x, axis=axis, **options)

    assert_same(recorded_outcome(call_recorded(function), MATRIX), outcome(function, MATRIX))


def call_recorded(function):
    """Return a function that sees what a recorded one sees."""

    def call(x):
        return Twins().of(function)(x)

    return call


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_infinite_exponents_are_what_scipy_has(name):
    def function(x):
        return getattr(scipy.special, name)(x)

    for x in WITH_INFINITIES:
        with np.errstate(all="ignore"):
            wanted = outcome(function, np.array(x))
        assert_same(recorded_outcome(call_recorded(function), np.array(x)), wanted, f"{name}({x})")


@pytest.mark.parametrize("axis", [None, 0, 1, (1, 0)])
def test_softmax_and_its_logarithm_are_what_scipy_has(axis):
    for function in (
        lambda x: scipy.special.softmax(x, axis=axis),
        lambda x: scipy.special.log_softmax(x, axis),
    ):
        assert_same(recorded_outcome(call_recorded(function), MATRIX), outcome(function, MATRIX))


def test_derivatives_of_sums_of_exponentials():
    x = np.array([0.3, -1.2, 2.0, 2.0])
    softmax = scipy.special.softmax(x)
    loss = lambda x: scipy.special.logsumexp(x)  # noqa: E731
    np.testing.assert_allclose(tg.grad(loss)(x), softmax, rtol=1e-15)
    wanted = np.diag(softmax) - np.outer(softmax, softmax)
    np.testing.assert_allclose(tg.hessian(loss)(x), wanted, atol=1e-16)
    np.testing.assert_allclose(
        tg.jacobian(lambda x: scipy.special.softmax(x))(x), wanted, atol=1e-16
    )
    wanted = np.eye(4) - softmax
    np.testing.assert_allclose(
        tg.jacobian(lambda x: scipy.special.log_softmax(x))(x), wanted, atol=1e-15
    )
    weighted = tg.grad(lambda x: scipy.special.logsumexp(x, b=[2.0, 0.0, 1.0, 1.0]))(
        np.array([1.0, INF, 0.0, -INF])
    )
    np.testing.assert_allclose(weighted, [2 * np.e / (1 + 2 * np.e), 0, 1 / (1 + 2 * np.e), 0])


def test_sums_of_exponentials_replay_where_the_greatest_is_another():
    f = tg.value_and_grad(lambda x: scipy.special.logsumexp(x))
    for x in ([0.0, 1.0], [1.0, 0.0], [1000.0, 0.0], [-1000.0, -1000.0], [-INF, -INF]):
        value, gradient = f(np.array(x))
        assert value == pytest.approx(np.logaddexp(*x), rel=1e-15)
        if np.isfinite(value):
            np.testing.assert_allclose(gradient, scipy.special.softmax(x), rtol=1e-15)


@pytest.mark.skipif(not hasattr(scipy.special, "softplus"), reason="new in SciPy 1.17")
def test_softplus():
    x = np.array([-800.0, -1.0, 0.0, 2.0, 800.0])
    f = lambda x: np.sum(scipy.special.softplus(x))  # noqa: E731
    value, gradient = tg.value_and_grad(f)(x)
    assert value == f(x)
    np.testing.assert_allclose(gradient, scipy.special.expit(x), rtol=1e-15)
