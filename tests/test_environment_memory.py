"""Functions with a memory: what they write themselves counts where they read it."""

from __future__ import annotations

import numpy as np
import pytest
from ticks import counted, new_ticks, ran

import tapegrad as tg


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


def list_log_of_texts():
    log = []

    def f(x):
        log.append(repr(x))
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
    list_log_of_texts,
    method_counter("by_attribute", lambda c: c.n),
    method_counter("by_key", lambda c: c.counter["n"]),
    method_counter("by_list", lambda c: len(c.log)),
]


@pytest.mark.parametrize("make", COUNTERS, ids=lambda make: make.__name__)
def test_a_function_that_counts_its_calls_is_recorded_once_and_counts_all(make):
    f, count = make()
    f, ticks = counted(f)
    derivative = tg.grad(f)
    for x in range(1, 40):
        assert derivative(float(x)) == 2.0 * x
        assert count() == x
    assert ran(ticks) == 1


def test_a_global_counter_is_recorded_once_and_counts_all(make_module):
    module = make_module(
        "tg_counter", "calls = 0\ndef f(x):\n    global calls\n    calls += 1\n    return x * x"
    )
    derivative = tg.grad(module.f)
    for x in range(1, 40):
        assert derivative(float(x)) == 2.0 * x
        assert module.calls == x
    assert len(derivative.recorded.recordings) == 1


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
        ticks.release()
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
