"""The limit on a signature's recordings: it warns once, and every result stays right."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
from ticks import counted, ran

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning
from tapegrad.function.recorded import MOST_RECORDINGS


def staircase(x):
    return int(x) * x


def test_the_limit_warns_once_names_the_users_line_and_stays_right():
    derivative = tg.value_and_grad(staircase)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(1, 3 * MOST_RECORDINGS):
            x = k + 0.25
            assert derivative(x) == (k * x, float(k))
        for k in range(1, 2 * MOST_RECORDINGS, 7):
            assert derivative(k + 0.5)[1] == float(k)
    assert [w.category for w in caught] == [RecordingLimitWarning]
    line = inspect.getsourcelines(staircase)[1] + 1
    assert f"{__file__}:{line}" in str(caught[0].message)
    assert "staircase" in str(caught[0].message)


def test_at_the_limit_every_call_is_recorded_and_the_number_kept_stays():
    f, ticks = counted(staircase)
    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(1, 2 * MOST_RECORDINGS + 1):
            derivative(k + 0.5)
    assert ran(ticks) == 2 * MOST_RECORDINGS
    assert len(derivative.recorded.recordings) <= MOST_RECORDINGS


def test_the_limits_warning_points_at_the_callers_line():
    for make in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian):
        derivative = make(staircase)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for k in range(MOST_RECORDINGS + 3):
                derivative(k + 0.5)
        assert [w.filename for w in caught] == [__file__], make


def test_the_limit_is_one_signatures_own():
    f, ticks = counted(lambda x, scale: np.floor(x) * np.sum(x * scale) + int(x) * 0.0)
    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(MOST_RECORDINGS + 5):
            derivative(k + 0.5, 2.0)
    before = ran(ticks)
    for x in (1.1, 1.2, 1.3):
        assert derivative(x, np.ones(3)) == 3.0
    assert ran(ticks) == before + 1


def test_clear_lifts_the_limit():
    f, ticks = counted(staircase)
    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(MOST_RECORDINGS + 5):
            derivative(k + 0.5)
    derivative.clear()
    before = ran(ticks)
    for x in (1.1, 1.2, 1.3):
        assert derivative(x) == 1.0
    assert ran(ticks) == before + 1
