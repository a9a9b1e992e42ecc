"""Changes of what there is to close over: containers that grow, and names that come later."""

from __future__ import annotations

import ctypes
import functools
import importlib
import math
import sys

import numba
import pytest
from places_of_objects import Model, Plain, times_lam_of

import tapegrad as tg


def test_a_container_that_grows_or_shrinks_records_again():
    factors = [2.0]
    derivative = tg.grad(lambda x: x * math.prod(factors))
    assert derivative(1.0) == 2.0
    factors.append(3.0)
    assert derivative(1.0) == 6.0
    factors.pop(0)
    assert derivative(1.0) == 3.0
    del factors[:]
    assert derivative(1.0) == 1.0


def test_functions_added_to_a_list_are_followed_from_then_on():
    lam = 0.1
    terms = [lambda x: x]
    derivative = tg.grad(lambda x: sum(term(x) for term in terms))
    assert derivative(1.0) == 1.0
    terms.append(lambda x: lam * x)
    assert derivative(1.0) == pytest.approx(1.1)
    lam = 0.2
    assert derivative(1.0) == pytest.approx(1.2)


def test_a_name_defined_only_after_the_first_call_is_seen(make_module):
    module = make_module(
        "tg_late",
        "def f(x):\n    try:\n        return late * x\n    except NameError:\n        return x\n",
    )
    derivative = tg.grad(module.f)
    assert derivative(1.0) == 1.0
    module.late = 5.0
    assert derivative(1.0) == 5.0
    del module.late
    assert derivative(1.0) == 1.0


def test_an_attribute_set_only_after_the_first_call_is_seen():
    class Loss:
        def __call__(self, x):
            try:
                return self.late * x
            except AttributeError:
                return x

    loss = Loss()
    derivative = tg.grad(loss)
    assert derivative(1.0) == 1.0
    loss.late = 5.0
    assert derivative(1.0) == 5.0


def test_a_keyword_given_to_a_partial_later_is_seen():
    partial = functools.partial(lambda x, lam=1.0: lam * x)
    derivative = tg.grad(partial)
    assert derivative(1.0) == 1.0
    partial.keywords["lam"] = 2.0
    assert derivative(1.0) == 2.0


def test_keyword_defaults_given_to_a_function_later_are_seen():
    def f(x, *, lam):
        return lam * x

    derivative = tg.grad(lambda x: f(x) if f.__kwdefaults__ else x)
    assert derivative(1.0) == 1.0
    f.__kwdefaults__ = {"lam": 2.0}
    assert derivative(1.0) == 2.0


def test_a_builtin_that_is_shadowed_later_is_seen(make_module):
    module = make_module("tg_shadow", "def f(x): return max(x, 2.0 * x)")
    derivative = tg.grad(module.f)
    assert derivative(1.0) == 2.0
    module.max = min
    assert derivative(1.0) == 1.0


def test_a_module_that_is_edited_and_reloaded_is_seen(make_module, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = make_module("tg_reload", "def helper(x): return 2.0 * x")
    derivative = tg.grad(lambda x: module.helper(x))
    assert derivative(1.0) == 2.0
    with open(module.__file__, "w") as file:
        file.write("def helper(x): return 3.75 * x")
    importlib.reload(module)
    assert derivative(1.0) == 3.75


def test_a_list_that_contains_itself_can_be_closed_over():
    knot = [2.0]
    knot.append(knot)
    derivative = tg.grad(lambda x: x * knot[1][1][0])
    assert derivative(1.0) == 2.0
    knot[0] = 3.0
    assert derivative(1.0) == 3.0


def test_objects_that_refer_to_each_other_can_be_closed_over():
    left, right = Plain(), Plain()
    left.other, right.other, right.lam = right, left, 0.5
    derivative = tg.grad(lambda x: times_lam_of(left.other, x))
    assert derivative(1.0) == 0.5
    right.lam = 0.75
    assert derivative(1.0) == 0.75


def test_two_objects_of_one_class_are_watched_each_for_itself():
    first_model, second_model = Model(), Model()
    derivative = tg.grad(lambda x: first_model.times_lam(x) + 10.0 * second_model.times_lam(x))
    first_model.lam, second_model.lam = 1.0, 2.0
    assert derivative(1.0) == 21.0
    first_model.lam = 3.0
    assert derivative(1.0) == 23.0
    second_model.lam = 4.0
    assert derivative(1.0) == 43.0


def test_what_an_untouched_branch_reads_is_watched_too_and_never_harms():
    unused = 1.0
    derivative = tg.grad(lambda x: unused * x if x < 0.0 else 2.0 * x)
    assert derivative(1.0) == 2.0
    unused = 3.0
    assert derivative(1.0) == 2.0
    assert derivative(-1.0) == 3.0


def test_a_pointer_whose_class_a_compiler_made_first_is_watched():
    _ = numba.cfunc(numba.float64(numba.types.CPointer(numba.float64)))(lambda p: p[0]).ctypes
    base = ctypes.c_double(0.1)
    held = ctypes.pointer(base)
    derivative = tg.grad(lambda x: x * x * held.contents.value)
    for value in (0.1, 0.2, 0.3):
        base.value = value
        assert derivative(3.0) == 6.0 * value


def test_a_closure_variable_that_is_emptied_and_filled_again_is_noticed():
    k, table = 2.0, {"k": 5.0}

    def times(x):
        return k * table["k"] * x

    def empty():
        nonlocal k
        del k

    derivative = tg.grad(times)
    assert [derivative(1.0) for _ in range(3)] == [10.0] * 3
    empty()
    with pytest.raises(NameError):
        derivative(1.0)
    k = 3.0
    assert [derivative(1.0) for _ in range(3)] == [15.0] * 3
    table = {"k": 4.0}
    assert [derivative(1.0) for _ in range(3)] == [12.0] * 3
    k = float("4")
    assert derivative(1.0) == 16.0
