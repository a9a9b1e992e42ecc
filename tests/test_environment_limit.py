"""Changes at every call: the warning that names them, and what `clear` forgets."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import pytest
from ticks import new_ticks, ran

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning


def test_a_change_at_every_call_warns_once_and_names_the_variable():
    momentum = 0.0

    def f(x):
        nonlocal momentum
        momentum = 0.5 * momentum + 1.0
        return x * momentum

    derivative = tg.grad(f)
    expected = 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(100):
            expected = 0.5 * expected + 1.0
            assert derivative(1.0) == expected
    limits = [w for w in caught if issubclass(w.category, RecordingLimitWarning)]
    assert len(caught) == len(limits) == 1
    message = str(limits[0].message)
    assert "momentum" in message
    assert f.__qualname__ in message


def test_the_warning_of_a_change_at_every_call_points_at_the_callers_line():
    lam = 0.0
    derivative = tg.grad(lambda x: lam * x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(100):
            lam = float(k)
            assert derivative(1.0) == lam
    assert [w.filename for w in caught] == [__file__]


def test_a_few_changes_do_not_warn():
    lam = 0.0
    derivative = tg.grad(lambda x: lam * x)
    for k in range(10):
        lam = float(k)
        for x in range(20):
            assert derivative(float(x)) == lam


def test_clear_forgets_what_can_not_be_seen(tmp_path):
    path, ticks = tmp_path / "lam.txt", new_ticks()

    def f(x):
        ticks.release()
        return float(path.read_text()) * x

    path.write_text("0.1")
    derivative = tg.grad(f)
    assert derivative(1.0) == 0.1
    path.write_text("0.2")
    derivative.clear()
    assert derivative(1.0) == 0.2
    assert derivative(2.0) == 0.2
    assert ran(ticks) == 2


@pytest.mark.parametrize(
    "make", [tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian, tg.hvp], ids=lambda m: m.__name__
)
def test_clear_makes_every_derivative_record_again(make):
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x * x * x

    derivative = make(f)
    args = (2.0, 1.0) if make is tg.hvp else (2.0,)
    before = derivative(*args)
    assert ran(ticks) == 1
    derivative.clear()
    assert derivative(*args) == before
    assert ran(ticks) == 2


def test_clear_of_one_derivative_leaves_the_others():
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x * x

    first_one, second_one = tg.grad(f), tg.grad(f)
    first_one(1.0)
    second_one(1.0)
    first_one.clear()
    second_one(2.0)
    assert ran(ticks) == 2


def test_a_context_manager_a_generator_and_itertools_inside_are_no_reads():
    ticks = new_ticks()

    def f(x):
        ticks.release()
        with contextlib.nullcontext():
            return sum(y * x for y in itertools.islice(itertools.count(1.0), 3))

    derivative = tg.grad(f)
    for x in (1.0, 2.0, 3.0):
        assert derivative(x) == 6.0
    assert ran(ticks) == 1
