"""Functions with a memory; the limit of recordings; clear."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import numpy as np
import pytest
from closed_over import new_ticks, ran

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning


class Counting:
    def __init__(self):
        self.n = 0
        self.log = []
        self.counter = {"n": 0}

    def by_attribute(self, x):
        self.n += 1
        return x * x

    def by_key(self, x):
        self.counter["n"] += 1
        return x * x

    def by_list(self, x):
        self.log.append(x)
        return x * x


def nonlocal_counter():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x * x

    return f, lambda: calls


def key_counter():
    counter = {"n": 0}

    def f(x):
        counter["n"] += 1
        return x * x

    return f, lambda: counter["n"]


def list_log_of_constants():
    log = []

    def f(x):
        log.append(1)
        return x * x

    return f, lambda: len(log)


def list_log_of_values():
    log = []

    def f(x):
        log.append(x.value)
        return x * x

    return f, lambda: len(log)


def method_counter(name, count):
    def make():
        counting = Counting()
        return getattr(counting, name), lambda: count(counting)

    make.__name__ = f"method_{name}"
    return make


COUNTERS = [
    nonlocal_counter,
    key_counter,
    list_log_of_constants,
    list_log_of_values,
    method_counter("by_attribute", lambda c: c.n),
    method_counter("by_key", lambda c: c.counter["n"]),
    method_counter("by_list", lambda c: len(c.log)),
]


@pytest.mark.parametrize("make", COUNTERS, ids=lambda make: make.__name__)
def test_a_function_that_counts_its_calls_is_recorded_once(make):
    f, count = make()
    derivative = tg.grad(f)
    for x in range(1, 40):
        assert derivative(float(x)) == 2.0 * x
    assert count() == 1


def test_a_global_counter_is_recorded_once(make_module):
    module = make_module(
        "tg_counter", "calls = 0\ndef f(x):\n    global calls\n    calls += 1\n    return x * x"
    )
    derivative = tg.grad(module.f)
    for x in range(1, 40):
        assert derivative(float(x)) == 2.0 * x
    assert module.calls == 1


def test_a_counter_that_is_also_used_is_a_change_at_every_call():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x * calls

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_an_attribute_counter_that_is_also_used_is_a_change_at_every_call():
    class Loss:
        n = 0

        def __call__(self, x):
            self.n += 1
            return x * self.n

    derivative = tg.grad(Loss())
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_key_counter_that_a_helper_uses_is_a_change_at_every_call():
    counter = {"n": 0}

    def read():
        return counter["n"]

    def f(x):
        counter["n"] += 1
        return x * read()

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_log_whose_length_is_used_is_a_change_at_every_call():
    log = []

    def f(x):
        log.append(0)
        return x * len(log)

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_log_whose_length_is_used_by_another_name_is_a_change_at_every_call():
    log = []
    alias = log

    def f(x):
        log.append(0)
        return x * len(alias)

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_list_whose_popped_element_is_used_is_a_change_at_every_call():
    queue = [1.0, 2.0, 3.0, 4.0, 5.0]
    derivative = tg.grad(lambda x: x * queue.pop(0))
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_random_walk_kept_in_an_array_is_a_change_at_every_call():
    state = np.zeros(1)

    def f(x):
        state[0] += 1.5
        return x * float(state[0])

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(4)] == [1.5, 3.0, 4.5, 6.0]


def test_a_value_cached_at_the_first_call_is_remembered_and_its_change_seen():
    cache = {}
    ticks = new_ticks()

    def f(x):
        next(ticks)
        if "lam" not in cache:
            cache["lam"] = 2.0
        return cache["lam"] * x

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(4)] == [2.0] * 4
    assert ran(ticks) <= 2
    cache["lam"] = 3.0
    assert derivative(1.0) == 3.0


def test_a_change_made_between_two_recordings_of_one_function_leaves_neither_stale():
    lam = 0.1
    derivative = tg.grad(lambda x: lam * x if x > 0 else -lam * x)
    assert derivative(1.0) == 0.1
    assert derivative(-1.0) == -0.1
    lam = 0.2
    assert derivative(-1.0) == -0.2
    assert derivative(1.0) == 0.2
    lam = 0.1
    assert derivative(1.0) == 0.1


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
        next(ticks)
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
        next(ticks)
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
        next(ticks)
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
        next(ticks)
        with contextlib.nullcontext():
            return sum(y * x for y in itertools.islice(itertools.count(1.0), 3))

    derivative = tg.grad(f)
    for x in (1.0, 2.0, 3.0):
        assert derivative(x) == 6.0
    assert ran(ticks) == 1
