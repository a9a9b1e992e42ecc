"""Every kind of function of the user's, however it is reached, sees what stands for NumPy's."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import pickle

import numpy as np
import pytest

import tapegrad as tg

X = 0.7


def slot(x):
    """An array that holds an active number, which only a stand-in of `np.zeros` makes."""
    y = np.zeros(2)
    y[1] = x
    return y[1]


def slope(function, x=X):
    return tg.grad(function)(x)


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return 2.0 * function(*args, **kwargs)

    return wrapper


@doubled
@doubled
def decorated(x):
    return slot(x)


@contextlib.contextmanager
def scaled(x):
    yield 3.0 * slot(x)


def steps(x):
    received = yield slot(x)
    yield from (slot(received) for _ in range(2))


def with_attribute(x):
    return with_attribute.scale * slot(x)


with_attribute.scale = 4.0
triple = functools.partial(operator.mul, 3.0)
power_of = functools.partial(lambda n, x: slot(x) ** n, 2)
TABLE = {"slot": [slot, decorated], "lambda": lambda x: 5.0 * slot(x)}


@functools.lru_cache
def weights(n):
    return [float(w) for w in np.linspace(0.0, 1.0, n)]


@dataclasses.dataclass
class Point:
    x: object
    scale: float = 2.0
    history: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.y = slot(self.x)

    def __add__(self, other):
        return Point(slot(self.x) + other.x)

    @property
    def doubled(self):
        return self.scale * slot(self.x)

    @functools.cached_property
    def cached(self):
        return slot(self.x)

    @classmethod
    def of(cls, x):
        return cls(slot(x))

    @staticmethod
    def plain(x, /, y=1.0, *rest, z, **more):
        return slot(x) * y * sum(rest, 1.0) * z * more.get("w", 1.0)

    def __enter__(self):
        return slot(self.x)

    def __exit__(self, *error):
        return False

    def __call__(self, x):
        return slot(x) * self.scale

    def __getitem__(self, k):
        return slot(self.x) * k

    def __iter__(self):
        yield slot(self.x)


class Child(Point):
    def __call__(self, x):
        return super().__call__(x) + self.private(x)

    def __secret(self, x):
        return slot(x)

    def private(self, x):
        return self.__secret(x)


def entered(x):
    with Point(x) as y, scaled(x) as z:
        return y + z


def sent(x):
    generator = steps(x)
    return next(generator) + generator.send(2.0 * x) + sum(generator)


model = Child(1.0)

KINDS = {
    "decorated": (decorated, 4.0),
    "context manager": (entered, 4.0),
    "generator": (sent, 5.0),
    "attribute of a function": (lambda x: with_attribute(x), 4.0),
    "partial of a builtin": (lambda x: triple(x), 3.0),
    "partial": (lambda x: power_of(x), 2 * X),
    "partial at the top": (functools.partial(power_of), 2 * X),
    "in a list": (lambda x: TABLE["slot"][0](x) + TABLE["slot"][1](x), 5.0),
    "in a dictionary": (lambda x: TABLE["lambda"](x), 5.0),
    "sort key": (lambda x: sorted([x, 2.0 * x], key=decorated)[1], 2.0),
    "cached": (lambda x: x * weights(3)[1] + 0.0 * slot(x), 0.5),
    "dataclass": (lambda x: Point(x).y, 1.0),
    "operator": (lambda x: (Point(x) + Point(x)).x, 2.0),
    "property": (lambda x: Point(x).doubled, 2.0),
    "cached property": (lambda x: Point(x).cached, 1.0),
    "classmethod": (lambda x: Point.of(x).x, 1.0),
    "staticmethod": (lambda x: Point.plain(x, 2.0, 1.0, z=3.0, w=5.0), 60.0),
    "item": (lambda x: Point(x)[3.0], 3.0),
    "iteration": (lambda x: sum(Point(x)), 1.0),
    "super and a private name": (lambda x: model(x), 3.0),
    "object at the top": (model, 3.0),
    "bound method at the top": (model.private, 1.0),
    "method by the class": (lambda x: Child.private(model, x), 1.0),
    "lambda in a lambda": (lambda x: (lambda y: slot(y))(x), 1.0),
    "comprehension": (lambda x: sum([slot(x) for _ in range(3)]), 3.0),
    "attribute by name": (lambda x: getattr(np, "zeros")(2).sum() + slot(x), 1.0),  # noqa: B009
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_function_sees_stand_ins(name):
    function, wanted = KINDS[name]
    codes = [
        (member, member.__code__) for member in vars(Point).values() if hasattr(member, "__code__")
    ]
    assert slope(function) == wanted
    assert all(member.__code__ is code for member, code in codes)


def test_what_is_called_wrongly_raises_what_it_raises_unrecorded():
    for call in (lambda x: Point.plain(x), lambda x: Point.plain(x=x, z=1.0), lambda x: model()):
        with pytest.raises(TypeError) as unrecorded:
            call(X)
        with pytest.raises(TypeError) as recorded:
            slope(call)
        assert str(recorded.value) == str(unrecorded.value)


def test_a_model_that_was_recorded_pickles():
    assert slope(model) == 3.0
    assert pickle.loads(pickle.dumps(Point(1.0))) == Point(1.0)
