"""Integrals of samples: SciPy's values, and their derivatives by samples and places."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy import integrate

import tapegrad as tg
from tapegrad.testing import check_grads

NAMES = ["trapezoid", "simpson", "cumulative_trapezoid", "cumulative_simpson", "romb"]
RNG = np.random.default_rng(7)


def options_of(name):
    shape = (2, 5, 3)
    y, x = RNG.normal(size=shape), np.cumsum(RNG.uniform(0.2, 1.0, 5))
    yield y, {"axis": 1}
    yield y, {"axis": -2, "dx": 0.3}
    yield y[0, :, 0], {"dx": 0.25}
    if name != "romb":
        for n in (2, 3, 4, 5):
            yield y[0, :n, 0], {"x": x[:n]}
            yield np.moveaxis(y, 1, -1)[..., :n], {"x": x[:n]}
        yield y, {"axis": 1, "x": x}
        yield y, {"axis": 1, "x": np.cumsum(RNG.uniform(0.2, 1.0, shape), axis=1)}
        yield y[0, :4], {"axis": 0, "x": np.arange(4)}
    if name.startswith("cumulative"):
        yield y, {"axis": 1, "x": x, "initial": 0}
        yield y[0, :2, 0], {"initial": 0}
    if name == "cumulative_simpson":
        yield y, {"axis": 1, "dx": 0.5, "initial": 2.5}
        yield y, {"axis": 1, "dx": RNG.uniform(0.2, 1.0, (2, 1, 3))}


CASES = [
    (name, y, options) for name in NAMES if hasattr(integrate, name)
    for y, options in options_of(name)
]  # fmt: skip


@pytest.mark.parametrize(("name", "y", "options"), CASES)
def test_samples_are_integrated_and_differentiated(name, y, options):
    function = getattr(integrate, name)
    weights = RNG.normal(size=np.shape(function(y, **options)))
    value, pull = tg.vjp(lambda y: function(y, **options), y)
    np.testing.assert_allclose(value, function(y, **options), rtol=1e-15, atol=1e-15)
    (found,) = pull(weights) if isinstance(pull(weights), tuple) else (pull(weights),)
    wanted = [np.sum(weights * function(e.reshape(y.shape), **{**options, **ZERO}))
              if options.get("initial") else
              np.sum(weights * function(e.reshape(y.shape), **options))
              for e in np.eye(y.size)]  # fmt: skip
    np.testing.assert_allclose(np.ravel(found), wanted, rtol=1e-12, atol=1e-14)
    # It's linear in the samples, so that second derivatives are zero.
    total = lambda y: np.sum(weights * function(y, **options))  # noqa: E731
    np.testing.assert_allclose(tg.hvp(total)(y, y), 0.0 * y, atol=1e-14)


ZERO = {"initial": 0.0}


@pytest.mark.parametrize("name", NAMES[:4])
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_places_are_differentiated(name, n):
    y, x = RNG.normal(size=n), np.cumsum(RNG.uniform(0.2, 1.0, n))
    function = getattr(integrate, name)
    check_grads(lambda x, y: np.sum(function(y**2, x=x)), (x, y), order=2)


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_differentiated(name):
    y = RNG.normal(size=5)
    function = getattr(integrate, name)
    check_grads(lambda dx: np.sum(function(y, dx=dx)), (0.3,), order=2)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments_have_scipys_errors(name):
    function = getattr(integrate, name)
    with pytest.raises(ValueError, match=r".") as plain:
        function(np.ones(4), **({} if name == "romb" else {"x": np.ones(7)}))
    options = {} if name == "romb" else {"x": np.ones(7)}
    with pytest.raises(ValueError, match=r".") as found:
        tg.grad(lambda y: np.sum(function(y, **options)))(np.ones(4))
    assert str(found.value) == str(plain.value)


def test_places_that_stop_rising_are_noticed_at_a_replay():
    slope = tg.grad(lambda x: np.sum(integrate.cumulative_simpson(np.ones(3), x=x)))
    slope(np.arange(3.0))
    with pytest.raises(ValueError, match="strictly increasing"):
        slope(np.array([0.0, 2.0, 1.0]))


def test_what_is_printed_is_refused():
    assert "show" in inspect.signature(integrate.romb).parameters
    with pytest.raises(tg.errors.UnsupportedFunctionError, match="romb with show="):
        tg.grad(lambda y: integrate.romb(y, show=True))(np.ones(5))
