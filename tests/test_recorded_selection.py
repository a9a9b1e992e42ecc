"""Arguments that are no floats: they select a recording, and may change under it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import types

import numpy as np
import pytest
from ticks import counted, ran

import tapegrad as tg
from tapegrad.errors import InputTypeError

# --- what selects a recording ------------------------------------------------------------------


class ByContent:
    def __init__(self, content):
        self.content = content

    def __eq__(self, other):
        return isinstance(other, ByContent) and self.content == other.content

    __hash__ = None


def times(x, other, **options):
    """A result that tells every other argument apart."""
    return x * code(other) + sum(x * code(v) * len(k) for k, v in options.items())


def code(thing):
    if thing is None:
        return 3.0
    if isinstance(thing, bool | np.bool_):
        return 7.0 if thing else 9.0
    if isinstance(thing, str):
        return 20.0 + len(thing)
    if isinstance(thing, ByContent):
        return 30.0 + len(thing.content)
    if isinstance(thing, int | np.integer):
        return 1000.0 + thing
    if isinstance(thing, np.ndarray):
        return float(np.sum(thing * np.arange(1, thing.size + 1).reshape(thing.shape))) + 0.5
    if isinstance(thing, tuple | list):
        offset = 0.25 if isinstance(thing, list) else 0.125
        return sum((code(t) * (k + 2) for k, t in enumerate(thing)), offset)
    if isinstance(thing, dict):
        return sum(code(v) * len(k) for k, v in thing.items())
    if isinstance(thing, set | frozenset | range):
        return 50.0 + sum(thing)
    return thing


SELECTORS = {
    "ints": [1, 2, -1, 10**20],
    "one_and_true": [1, True, 0, False],
    "int_and_numpy_int": [1, np.int64(1), np.int32(2)],
    "bools": [True, False, np.True_],
    "strings": ["a", "ab", ""],
    "none": [None, 1, "x"],
    "int_arrays": [np.array([1, 2]), np.array([2, 1]), np.array([[1, 2]]), np.array([1, 2, 0])],
    "bool_arrays": [np.array([True, False]), np.array([False, True])],
    "tuples": [(1, "a"), (1, "ab"), (1, ("a",)), ()],
    "list_and_tuple": [[1, 2], (1, 2)],
    "dicts": [{"a": 1}, {"a": 2}, {"ab": 1}],
    "unhashable_objects": [ByContent([1]), ByContent([1, 2])],
    "sets": [{1, 2}, {3}, frozenset({3})],
    "ranges": [range(3), range(5)],
}


@pytest.mark.parametrize("name", SELECTORS)
def test_an_argument_that_is_no_float_selects_a_recording_by_equality(name):
    f, ticks = counted(times)
    derivative = tg.grad(f)
    values = SELECTORS[name]
    for _ in range(3):
        for value in values:
            for x in (1.0, 2.0):
                assert derivative(x, value) == code(value)
    assert ran(ticks) == len(values)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_keyword_argument_selects_a_recording_by_equality(name):
    f, ticks = counted(times)
    derivative = tg.grad(f)
    values = SELECTORS[name]
    for _ in range(3):
        for value in values:
            assert derivative(1.0, 1.0, option=value) == 1.0 + 6 * code(value)
    assert ran(ticks) == len(values)


def test_an_equal_object_of_another_identity_selects_the_same_recording():
    f, ticks = counted(times)
    derivative = tg.grad(f)
    for k in range(4):
        assert derivative(1.0, ByContent([k] * 2)) == 32.0
        assert derivative(1.0, np.array([4, 5])) == 14.5
        assert derivative(1.0, "".join(["a", "b"])) == 22.0
        assert derivative(1.0, int("1" + "0" * 25)) == 1000.0 + 10**25
    assert ran(ticks) == 7


def test_float_one_int_one_and_true_are_three_kinds_of_argument():
    f, ticks = counted(times)
    derivative = tg.grad(f)
    for _ in range(2):
        assert [derivative(2.0, v) for v in (1, True, 1.0)] == [1001.0, 7.0, 1.0]
    assert ran(ticks) == 3


def test_many_different_selectors_stay_right():
    derivative = tg.grad(lambda x, k: x * k)
    for k in [*range(600), *range(0, 600, 50)]:
        assert derivative(1.0, k) == float(k)


# --- arguments that change under the recording -------------------------------------------------


@dataclasses.dataclass
class Cell:
    lam: float


class Plain:
    def __init__(self, lam):
        self.lam = lam


MUTABLE = {
    "namespace": (lambda: types.SimpleNamespace(lam=0.1),
                  lambda held, v: setattr(held, "lam", v), lambda held: held.lam),
    "object": (lambda: Plain(0.1), lambda held, v: setattr(held, "lam", v), lambda held: held.lam),
    "object_with_a_list": (lambda: Plain([0.1]), lambda held, v: held.lam.__setitem__(0, v),
                           lambda held: held.lam[0]),
    "dataclass": (lambda: Cell(0.1), lambda held, v: setattr(held, "lam", v),
                  lambda held: held.lam),
    "list_of_objects": (lambda: [Plain(0.1)], lambda held, v: setattr(held[0], "lam", v),
                        lambda held: held[0].lam),
    "equal_by_content": (lambda: ByContent([0.1]), lambda held, v: held.content.__setitem__(0, v),
                         lambda held: held.content[0]),
    "set": (lambda: {0.1}, lambda held, v: (held.clear(), held.add(v)),
            lambda held: next(iter(held))),
    "ordered_dict": (lambda: collections.OrderedDict(lam=0.1),
                     lambda held, v: held.update(lam=v), lambda held: held["lam"]),
    "defaultdict": (lambda: collections.defaultdict(float, lam=0.1),
                    lambda held, v: held.update(lam=v), lambda held: held["lam"]),
    "deque": (lambda: collections.deque([0.1]), lambda held, v: held.__setitem__(0, v),
              lambda held: held[0]),
    "object_array": (lambda: np.array([0.1, None], object), lambda held, v: held.__setitem__(0, v),
                     lambda held: held[0]),
    "int_array": (lambda: np.array([1]), lambda held, v: held.__setitem__(0, round(10 * v)),
                  lambda held: held[0] / 10.0),
    "float_array": (lambda: np.array([0.1]), lambda held, v: held.__setitem__(0, v),
                    lambda held: held[0]),
    "object_in_a_lambda": (lambda: Plain(0.1), lambda held, v: setattr(held, "lam", v),
                           lambda held: (lambda h: h.lam)(held)),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTABLE)
def test_an_argument_mutated_between_calls_never_gives_the_old_gradient(name):
    make, change, read = MUTABLE[name]
    held = make()
    derivative = tg.grad(lambda x, held: read(held) * x * x)
    for lam in (0.1, 0.2, 0.3, 0.1):
        change(held, lam)
        assert derivative(3.0, held) == pytest.approx(6.0 * lam, rel=1e-14)


def test_a_function_given_as_an_argument_is_watched():
    lam = 0.1

    def helper(x):
        return lam * x

    derivative = tg.grad(lambda x, g: g(x) * x)
    assert derivative(3.0, helper) == pytest.approx(0.6)
    lam = 0.2
    assert derivative(3.0, helper) == pytest.approx(1.2)


def test_a_method_decorated_in_the_class_sees_the_objects_attributes():
    class Model:
        def __init__(self, lam):
            self.lam = lam

        @functools.partial(tg.grad, argnums=1)
        def slope(self, x):
            return self.lam * x * x

    one, two = Model(0.1), Model(10.0)
    assert one.slope(3.0) == pytest.approx(0.6)
    assert two.slope(3.0) == 60.0
    one.lam = 0.2
    assert one.slope(3.0) == pytest.approx(1.2)
    assert two.slope(3.0) == 60.0


def test_two_namespaces_that_hold_arrays_can_be_told_apart():
    derivative = tg.grad(lambda x, held: x * float(held.w[0]))
    for w in (2.0, 3.0, 2.0):
        assert derivative(1.0, types.SimpleNamespace(w=np.array([w, w]))) == w


@pytest.mark.parametrize(
    "bad",
    [
        1,
        True,
        "x",
        None,
        1j,
        np.array([True]),
        np.array([1j]),
        {"a": "1"},
        [1.0, None],
    ],
    ids=repr,
)
def test_what_is_no_float_can_not_be_differentiated(bad):
    derivative = tg.grad(lambda x, y: y * 1.0)
    with pytest.raises(InputTypeError):
        derivative(bad, 1.0)
    assert tg.grad(lambda x, y: y * y, argnums=1)(bad, 3.0) == 6.0
