"""State that a function writes itself: no input where it's written before it's read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg

X = np.array([1.0, 2.0])
Y = np.array([3.0, -1.0])


class Model:
    """An object with state; `runs` counts how often Python ran a method."""

    def __init__(self, k=2.0):
        self.k, self.runs = k, new_ticks()

    def energy(self):
        return self.k * np.sum(self.p**2)

    def set_up(self, x):
        self.p = x * 1.0

    def direct(self, x):
        self.runs.release()
        self.p = x
        return self.k * np.sum(self.p * x)

    def by_methods(self, x):
        self.runs.release()
        self.set_up(x)
        return self.energy()

    def by_branches(self, x):
        self.runs.release()
        if self.k > 0.0:
            self.p = x
        else:
            self.p = -x
        return self.energy()

    def by_memo(self, x):
        self.runs.release()
        self.memo = {}
        for i in range(2):
            if i not in self.memo:
                self.memo[i] = self.k * x[i] * x[i]
        return sum(self.memo.values())

    def by_generator(self, x):
        self.runs.release()
        self.p = x
        return self.k * sum(self.p[i] * self.p[i] for i in range(2))

    def by_callable(self, x):
        self.runs.release()
        self.set_up(x)
        return (lambda: self.energy())()

    def left_for_later(self, x):
        self.runs.release()
        self.p = x**2
        self.last = np.sum(self.p)
        return self.k * self.last


OWN = ["direct", "by_methods", "by_branches", "by_memo", "by_generator", "by_callable",
       "left_for_later"]  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_what_is_written_before_it_is_read_does_not_record_again(name):
    model = Model()
    derivative = tg.grad(getattr(model, name))
    for x in (X, Y, X):
        np.testing.assert_array_equal(derivative(x), 4.0 * x)
    assert ran(model.runs) == 1
    model.k = 3.0
    for x in (Y, X, Y):
        np.testing.assert_array_equal(derivative(x), 6.0 * x)
    assert ran(model.runs) == 2


def test_it_does_not_for_an_object_that_is_a_global_or_is_called(make_module):
    module = make_module(
        "tg_state",
        "from ticks import new_ticks\nruns = new_ticks()\n"
        "class Model:\n"
        "    def __call__(self, x):\n"
        "        runs.release()\n"
        "        self.p = x * x\n"
        "        return self.twice()\n"
        "    def twice(self):\n"
        "        return 2.0 * self.p\n"
        "model = Model()\n"
        "def f(x):\n    return model(x)\n"
        "last = 0.0\n"
        "def g(x):\n"
        "    global last\n    runs.release()\n    last = x * x\n    return 2.0 * last\n",
    )
    for f in (module.model, module.f, module.g):
        module.runs = new_ticks()
        derivative = tg.grad(f)
        assert [derivative(x) for x in (1.0, 2.0, 3.0)] == [4.0, 8.0, 12.0]
        assert ran(module.runs) == 1
    assert module.model.p == 9.0
    assert module.last == 9.0


# --- what may be read before it's written is watched ----------------------------------------------


class Reading:
    """Methods that read `p`, on some path, before they write it."""

    def __init__(self):
        self.p, self.other = 10.0, SimpleNamespace(p=1.0)

    def on_one_path(self, x):
        if x < 0.0:
            self.p = x
        return x * self.p

    def in_a_loop_of_none(self, x):
        for _ in self.rounds():
            self.p = x
        return x * self.p

    def rounds(self):
        return ()

    def after_a_failure(self, x):
        try:
            self.p = self.fails(x)
        except ValueError:
            x = x * 1.0
        return x * self.p

    def fails(self, x):
        raise ValueError

    def before(self, x):
        y = x * self.p
        self.p = 10.0
        return y

    def by_a_method(self, x):
        y = self.product(x)
        self.p = 10.0
        return y

    def product(self, x):
        return x * self.p

    def by_another_name(self, x):
        me = self
        y = x * me.p
        self.p = 10.0
        return y

    def by_a_list(self, x):
        y = [self.product][0](x)
        self.p = 10.0
        return y

    def by_a_generator_that_never_ran(self, x):
        self.sets(x)
        return x * self.p

    def sets(self, x):
        self.p = x
        yield x

    def deleted(self, x):
        self.q = x
        del self.q
        self.q = 0.0
        return x * self.p


@pytest.mark.parametrize("name", [name for name in vars(Reading)
                                  if name[0] != "_" and name not in
                                  ("rounds", "fails", "product", "sets")])  # fmt: skip
def test_what_may_be_read_before_it_is_written_is_watched(name):
    reading = Reading()
    derivative = tg.grad(getattr(reading, name))
    assert derivative(2.0) == 10.0
    reading.p = 5.0
    assert derivative(2.0) == 5.0


def test_a_property_that_stores_elsewhere_is_no_plain_write():
    class Clipped:
        held = 1.0

        @property
        def p(self):
            return self.held

        @p.setter
        def p(self, value):
            pass

        def f(self, x):
            self.p = x
            return x * self.p

    clipped = Clipped()
    derivative = tg.grad(clipped.f)
    assert derivative(2.0) == 1.0
    clipped.held = 3.0
    assert derivative(2.0) == 3.0


def test_another_object_of_the_class_is_another_place():
    class Part:
        def __init__(self, p):
            self.p = p

    a, b = Part(1.0), Part(2.0)

    def f(x):
        a.p = x
        return a.p * b.p

    derivative = tg.grad(f)
    assert derivative(1.0) == 2.0
    b.p = 3.0
    assert derivative(1.0) == 3.0


def test_a_copy_of_an_object_has_what_it_had_before():
    import copy

    class Part:
        p = 1.0

        def __init__(self):
            self.p = 2.0

        def f(self, x):
            old = copy.copy(self)
            self.p = x
            return self.p * old.p

    part = Part()
    derivative = tg.grad(part.f)
    assert derivative(5.0) == 2.0
    part.p = 3.0
    assert derivative(5.0) == 3.0


# --- attributes of classes ------------------------------------------------------------------------


class Counted:
    """A class with state of its own; `runs` counts how often Python ran a method."""

    runs, k, last = new_ticks(), 2.0, None

    def by_name(self, x):
        Counted.runs.release()
        Counted.last = x
        return self.k * np.sum(Counted.last * x)

    @classmethod
    def by_class_method(cls, x):
        cls.runs.release()
        cls.last = x
        return cls.k * np.sum(cls.last * x)

    def by_its_class_method(self, x):
        return self.by_class_method(x)

    @staticmethod
    def by_static_method(x):
        Counted.runs.release()
        Counted.last = x
        return Counted.k * np.sum(Counted.last * x)

    @classmethod
    def set_up(cls, x):
        cls.last = x

    def by_two_methods(self, x):
        Counted.runs.release()
        self.set_up(x)
        return self.k * np.sum(Counted.last * x)

    def by_its_class(self, x):
        self.__class__.runs.release()
        self.__class__.last = x
        return self.k * np.sum(self.__class__.last * x)

    def left_for_later(self, x):
        type(self).runs.release()
        type(self).last = x * 1.0
        type(self).made_here = np.sum(x)
        return self.k * np.sum(x * x)


@pytest.mark.parametrize("name", [name for name in vars(Counted)
                                  if name.startswith(("by", "left"))])  # fmt: skip
def test_what_is_written_to_a_class_before_it_is_read_does_not_record_again(name, monkeypatch):
    monkeypatch.setattr(Counted, "k", 2.0)
    Counted.runs, Counted.last = new_ticks(), None
    derivative = tg.grad(getattr(Counted(), name))
    for x in (X, Y, X, Y):
        np.testing.assert_array_equal(derivative(x), 4.0 * x)
        assert type(Counted.last) is np.ndarray
        np.testing.assert_array_equal(Counted.last, x)
    assert ran(Counted.runs) == 1
    if name.startswith("left"):
        assert Counted.made_here == np.sum(Y)
    Counted.k = 3.0
    for x in (X, Y, X):
        np.testing.assert_array_equal(derivative(x), 6.0 * x)
    assert ran(Counted.runs) == 2


class Root:
    p = 10.0


class Shared(Root):
    """Methods that read `p`, of a class, on some path before they write it."""

    p = 10.0

    def through_the_object(self, x):
        y = x * self.p
        Shared.p = 10.0
        return y

    def through_the_class(self, x):
        y = x * Shared.p
        Shared.p = 10.0
        return y

    def through_another_name(self, x):
        kind = Shared
        y = x * kind.p
        Shared.p = 10.0
        return y

    def through_a_derived_class(self, x):
        y = x * Derived.p
        Shared.p = 10.0
        return y

    def through_a_new_object(self, x):
        y = x * Shared().p
        Shared.p = 10.0
        return y

    def through_its_type(self, x):
        y = x * type(self).p
        Shared.p = 10.0
        return y

    def through_a_class_method(self, x):
        y = self.product(x)
        Shared.p = 10.0
        return y

    @classmethod
    def product(cls, x):
        return x * cls.p

    def through_a_copy(self, x):
        y = x * vars(Shared)["p"]
        Shared.p = 10.0
        return y

    def on_one_path(self, x):
        if x < 0.0:
            Shared.p = x
        return x * Shared.p

    def of_another_class(self, x):
        Root.p = x
        return x * Shared.p


class Derived(Shared):
    pass


@pytest.mark.parametrize("name", [name for name in vars(Shared)
                                  if name.startswith(("through", "on", "of"))])  # fmt: skip
def test_what_may_be_read_of_a_class_before_it_is_written_is_watched(name, monkeypatch):
    monkeypatch.setattr(Root, "p", 10.0)
    monkeypatch.setattr(Shared, "p", 10.0)
    derivative = tg.grad(getattr(Shared(), name))
    assert derivative(2.0) == 10.0
    Shared.p = 5.0
    assert derivative(2.0) == 5.0


def test_an_attribute_that_an_object_has_itself_is_not_its_classs():
    class Part:
        p = 1.0

        def f(self, x):
            Part.p = x
            return x * self.p

    part = Part()
    part.p = 2.0
    derivative = tg.grad(part.f)
    assert derivative(5.0) == 2.0
    part.p = 3.0
    assert derivative(5.0) == 3.0
    del part.p
    assert derivative(5.0) == 10.0


def test_a_metaclass_that_stores_elsewhere_is_no_plain_write():
    class Ignoring(type):
        def __setattr__(cls, name, value):
            pass

    class Part(metaclass=Ignoring):
        p = 1.0

    def f(x):
        Part.p = x
        return x * Part.p

    derivative = tg.grad(f)
    assert derivative(2.0) == 1.0
    type.__setattr__(Part, "p", 3.0)
    assert derivative(2.0) == 3.0


def test_a_method_that_is_replaced_in_a_class_whose_numbers_are_written_is_noticed():
    class Part:
        last = 0.0

        def f(self, x):
            Part.last = x
            return self.g(x) * Part.last

        def g(self, x):
            return 2.0

    derivative = tg.grad(Part().f)
    assert [derivative(x) for x in (1.0, 2.0)] == [2.0, 2.0]
    Part.g = lambda self, x: 3.0
    assert derivative(2.0) == 3.0
    Part.other = 1.0  # whatever it's for
    Part.last = 7.0
    assert derivative(2.0) == 3.0
