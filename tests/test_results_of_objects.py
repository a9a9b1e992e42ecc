"""Results that hold active numbers where they can't be made again: refused, with the way out."""

from __future__ import annotations

import collections
import dataclasses
import functools
import types

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError


class Plain:
    """An object of attributes."""

    def __init__(self, number=None):
        self.number = number


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = [number]


@dataclasses.dataclass
class Data:
    number: object


def generator(x):
    y = 2.0 * x

    def generate():
        yield y

    return generate()


def by_default(x):
    return lambda y=x: y


HOLDERS = {
    "object": Plain,
    "slots": Slotted,
    "deep": lambda x: Plain({"a": (1, [Plain(x)])}),
    "closure": lambda x: lambda: x,
    "default": by_default,
    "partial": lambda x: functools.partial(max, x),
    "bound": lambda x: [x].append,
    "method": lambda x: Plain(x).__repr__,
    "generator": generator,
    "iterator": lambda x: iter([x]),
    "map": lambda x: map(abs, [x]),
    "namespace": lambda x: types.SimpleNamespace(a=x),
    "user": lambda x: collections.UserDict(a=x),
    "chain": lambda x: collections.ChainMap({"a": x}),
    "proxy": lambda x: types.MappingProxyType({"a": x}),
    "view": lambda x: {"a": x}.values(),
    "error": ValueError,
    "array": lambda x: Plain(np.array([x, 1.0])),
    "key": lambda x: Plain([2.0 * x > 1.0]),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_an_object_with_active_numbers_inside_is_refused_and_the_way_out_works(name):
    hold = HOLDERS[name]
    kind = type(hold(1.0)).__name__
    derivative = tg.value_and_grad(lambda x: (x * x, hold(x)), has_aux=True)
    for x in (3.0, 4.0):
        with pytest.raises(UnsupportedFunctionError, match=rf"type {kind} .* return its numbers"):
            derivative(x)
    jacobian = tg.jacobian(lambda x: [x, hold(x[0])])
    with pytest.raises(UnsupportedFunctionError, match="return its numbers"):
        jacobian(np.ones(2))


def test_numbers_in_containers_are_made_again():
    def f(x):
        aux = [x], (x > 3.5,), {"a": 2.0 * x}, Data(x), collections.deque([x, 1.0], maxlen=5)
        return x * x, aux

    derivative = tg.value_and_grad(f, has_aux=True)
    for x in (3.0, 4.0):
        (_, aux), _ = derivative(x)
        wanted = [x], (x > 3.5,), {"a": 2.0 * x}, Data(x), collections.deque([x, 1.0], maxlen=5)
        assert aux == wanted
        assert type(aux[4]) is collections.deque
        assert aux[4].maxlen == 5
        assert type(aux[4][0]) is float


def test_a_deque_is_differentiated_as_a_list_is():
    gradient = tg.grad(lambda d: d[0] ** 2 * d[1])(collections.deque([3.0, 2.0]))
    assert gradient == collections.deque([12.0, 9.0])


def test_objects_without_active_numbers_are_returned_as_they_are():
    thing, array = Plain(1.0), np.array([1.0, None], dtype=object)
    for aux in (thing, np.sum, thing.__repr__, tg.grad(np.sin), "text", None):
        derivative = tg.value_and_grad(lambda x, a=aux: (x * x, a), has_aux=True)
        assert derivative(3.0)[0][1] is aux
        assert derivative(4.0)[0][1] is aux
    assert tg.value_and_grad(lambda x: (x, array), has_aux=True)(3.0)[0][1].tolist() == [1.0, None]


def test_an_inner_result_may_hold_numbers_of_the_outer_recording():
    def f(x):
        thing = Plain(x)
        gradient, aux = tg.grad(lambda y: (y * y * x, thing), has_aux=True)(3.0)
        assert aux is thing
        return gradient * aux.number

    assert tg.grad(f)(2.0) == 24.0
    with pytest.raises(UnsupportedFunctionError, match="Plain"):
        tg.grad(lambda x: x * tg.grad(lambda y: (y, Plain(y)), has_aux=True)(3.0)[0])(2.0)


def test_a_masked_array_that_is_only_returned_keeps_its_mask():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for x in (3.0, 4.0):
        (_, aux), _ = tg.value_and_grad(lambda x: (x * x, masked), has_aux=True)(x)
        assert aux.mask.tolist() == [False, True]
