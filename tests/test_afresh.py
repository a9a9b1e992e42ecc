"""Gradients of functions that take a new way at every point: the form that needs no guards."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning
from tapegrad.function.recorded import MANY_RECORDINGS, MOST_RECORDINGS


def branching(x, y, power):
    """A sum whose terms are of three kinds, chosen by the data."""
    total = 0.0
    for i in range(x.size):
        if x.flat[i] > y[i]:
            total += y[i] * x.flat[i] ** power
        elif x.flat[i] < -y[i]:
            total -= np.exp(x.flat[i])
        else:
            total += x.flat[i]
    return total


compiled = njit(branching)
COUNT = 40
THRESHOLDS = np.linspace(0.3, 0.7, COUNT)


def points(seed, count, shape=(COUNT,)):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1.0, 1.0, shape) for _ in range(count)]


def expected(x):
    flat = x.reshape(-1)
    kinds = [flat > THRESHOLDS, flat < -THRESHOLDS]
    return np.select(kinds, [2.0 * THRESHOLDS * flat, -np.exp(flat)], 1.0).reshape(x.shape)


def check(derivative, seed, count=3, shape=(COUNT,)):
    for x in points(seed, count, shape):
        value, gradient = derivative(x, THRESHOLDS, 2)
        assert type(value) is float
        assert value == pytest.approx(branching(x, THRESHOLDS, 2), rel=1e-13)
        assert gradient.shape == shape
        np.testing.assert_allclose(gradient, expected(x), rtol=1e-14)


def test_a_compiled_function_whose_guards_keep_failing_is_recorded_afresh(caplog):
    derivative = tg.value_and_grad(compiled)
    with caplog.at_level(logging.INFO, "tapegrad"):
        check(derivative, 1, MANY_RECORDINGS)
        derivative.wait()
        lines = [record.getMessage() for record in caplog.records]
        assert any("branching is recorded afresh in compiled code" in line for line in lines)
        caplog.clear()
        check(derivative, 2, 2 * MOST_RECORDINGS)
        assert caplog.records == []  # nothing is recorded in Python any more, and no warning is due
    assert derivative.tier == "recorded afresh"
    assert len(derivative.recorded.recordings) == MANY_RECORDINGS

    # Other kinds of arguments are recorded as ever.
    x = points(3, 1)[0]
    as_list = derivative(x, tuple(THRESHOLDS), 2)
    assert derivative.tier == "swept"
    np.testing.assert_allclose(as_list[1], expected(x), rtol=1e-14)
    strided = np.repeat(x, 2)[::2]
    assert not strided.flags.c_contiguous
    np.testing.assert_allclose(derivative(strided, THRESHOLDS, 2)[1], expected(x), rtol=1e-14)
    assert derivative.tier == "recorded afresh"

    # An outer recording needs the operations.
    outer = tg.grad(lambda x: derivative(x, THRESHOLDS, 2)[0] * 2.0)
    np.testing.assert_allclose(outer(x), 2.0 * expected(x), rtol=1e-14)

    # What the caller passes is its own.
    kept = x.copy()
    gradient = derivative(x, THRESHOLDS, 2)[1]
    gradient[:] = 0.0
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_allclose(derivative(x, THRESHOLDS, 2)[1], expected(x), rtol=1e-14)

    derivative.clear()
    check(derivative, 4, 1)
    assert derivative.tier == "swept"

    # Special values behave as in the recordings.
    recorded = tg.value_and_grad(compiled, compile="never")
    for special in (np.nan, np.inf, -np.inf, 0.0, -0.0, 0.3, -0.3):
        x[0] = special
        for found, wanted in zip(
            derivative(x, THRESHOLDS, 2), recorded(x, THRESHOLDS, 2), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-13)


def test_compiled_now_it_takes_over_at_once_for_gradients_of_any_shape(monkeypatch):
    # Whatever is compiled now, recordings too; these are not, so that it's quick.
    monkeypatch.setattr(tg.function.tiers.Tiers, "_try", lambda self, kind: None)
    derivative = tg.grad(compiled, compile="now")
    shape = (4, 10)
    for x in points(5, MANY_RECORDINGS + 3, shape):
        np.testing.assert_allclose(derivative(x, THRESHOLDS, 2), expected(x), rtol=1e-14)
    assert derivative.tier == "recorded afresh"


def test_an_exception_of_the_function_passes():
    @njit
    def refusing(x):
        total = 0.0
        for i in range(x.size):
            if x[i] > 2.0:
                raise ValueError("too large")
            total += x[i] if x[i] > 0.0 else x[i] * x[i]
        return total

    derivative = tg.value_and_grad(refusing)
    for x in points(6, MANY_RECORDINGS):
        derivative(x)
    derivative.wait()
    derivative(x)
    assert derivative.tier == "recorded afresh"
    with pytest.raises(ValueError, match="too large"):
        derivative(np.full(3, 4.0))
    assert derivative(np.array([2.0, -1.0]))[0] == 3.0


@pytest.mark.parametrize("options", [{"strict": True}, {"compile": "never"}])
def test_where_bits_or_recordings_are_wanted_it_stays_recorded_and_says_so(options):
    derivative = tg.value_and_grad(compiled, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(derivative, 7, MOST_RECORDINGS + 3)
    assert [w.category for w in caught] == [RecordingLimitWarning]
    assert "njit" not in str(caught[0].message)
    assert derivative.tier == "swept"


def test_what_the_form_refuses_is_recorded_on_with_the_warning(monkeypatch):
    def refused(function):
        raise TypeError("no such form")

    monkeypatch.setattr(tg.function.afresh.forms, "value_and_gradient", refused)
    derivative = tg.value_and_grad(compiled)
    check(derivative, 8, MANY_RECORDINGS)
    derivative.wait()
    with pytest.warns(RecordingLimitWarning):
        check(derivative, 9, MOST_RECORDINGS + 3 - MANY_RECORDINGS)
    assert derivative.tier == "swept"


def test_the_warning_for_a_python_function_names_njit_which_works():
    derivative = tg.value_and_grad(branching)
    with pytest.warns(RecordingLimitWarning, match=r"decorate it with `@numba\.njit`") as caught:
        check(derivative, 9, MOST_RECORDINGS + 3)
    assert len(caught) == 1
    advised = tg.value_and_grad(njit(branching))
    check(advised, 9, MANY_RECORDINGS)
    advised.wait()
    check(advised, 10, MOST_RECORDINGS)
    assert advised.tier == "recorded afresh"
