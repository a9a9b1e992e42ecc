"""Structures taken apart and put together again."""

from __future__ import annotations

import dataclasses
import operator
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.tree import LEAF, flatten, map_leaves, unflatten, unflatten_all


class Pair(NamedTuple):
    left: object
    right: object


@dataclasses.dataclass
class Record:
    first: object
    second: object


@dataclasses.dataclass(frozen=True)
class FrozenRecord:
    only: object


@dataclasses.dataclass
class Checked:
    """A dataclass whose constructor takes something else and refuses what is no float."""

    value: float
    double: float = dataclasses.field(init=False)

    def __post_init__(self):
        if type(self.value) is not float:
            raise TypeError("a float is needed")
        self.double = 2.0 * self.value


@dataclasses.dataclass(slots=True)
class Slotted:
    a: object
    b: object


def containers(children):
    return st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(st.text("abc", max_size=2), children, max_size=3),
        st.dictionaries(st.integers(0, 3), children, max_size=2),
        st.builds(Pair, children, children),
        st.builds(Record, children, children),
        st.builds(FrozenRecord, children),
        st.builds(Slotted, children, children),
    )


NUMBERS = st.floats(-3.0, 3.0)
LEAVES = st.one_of(NUMBERS, st.integers(), st.none(), st.text(max_size=2), st.booleans())
TREES = st.recursive(LEAVES, containers, max_leaves=12)
NUMBER_TREES = st.recursive(NUMBERS, containers, max_leaves=8)


@given(TREES)
def test_a_tree_taken_apart_and_put_together_is_the_same(tree):
    leaves = []
    structure = flatten(tree, leaves)
    again = unflatten_all(structure, leaves)
    assert again == tree
    assert type(again) is type(tree)
    hash(structure)
    leaves_again = []
    assert flatten(again, leaves_again) == structure
    assert all(map(operator.is_, leaves, leaves_again))


@given(TREES)
def test_the_structure_does_not_depend_on_the_leaves(tree):
    structure = flatten(tree, leaves := [])
    assert flatten(map_leaves(lambda leaf: 0.0, tree), zeros := []) == structure
    assert zeros == [0.0] * len(leaves)


@given(TREES, TREES)
def test_equal_structures_mean_interchangeable_trees(one, other):
    first, second = [], []
    if flatten(one, first) == flatten(other, second):
        assert len(first) == len(second)
        assert unflatten_all(flatten(one, []), second) == other


@given(TREES)
def test_unflatten_takes_no_more_leaves_than_it_needs(tree):
    structure = flatten(tree, leaves := [])
    source = iter([*leaves, "rest"])
    unflatten(structure, source)
    assert list(source) == ["rest"]


@given(TREES)
def test_map_leaves_with_the_identity_makes_an_equal_new_tree(tree):
    assert map_leaves(lambda leaf: leaf, tree) == tree


@given(NUMBER_TREES)
def test_a_gradient_by_any_tree_of_numbers_is_that_tree(tree):
    def total(tree):
        leaves = []
        flatten(tree, leaves)
        return sum((leaf * leaf * (k + 1.0) for k, leaf in enumerate(leaves)), 0.0)

    structure = flatten(tree, leaves := [])
    found = tg.grad(total)(tree)
    assert flatten(found, found_leaves := []) == structure
    assert found_leaves == pytest.approx(
        [2.0 * (k + 1.0) * x for k, x in enumerate(leaves)], rel=1e-14
    )


@given(NUMBER_TREES)
def test_any_tree_of_numbers_goes_through_a_function_as_its_result(tree):
    value, tangent = tg.jvp(lambda t: map_leaves(lambda x: 3.0 * x, t), (tree,), (tree,))
    assert value == tangent
    assert value == map_leaves(lambda x: 3.0 * x, tree)


@pytest.mark.parametrize(
    "leaf",
    [1.0, None, "text", b"bytes", {1, 2}, range(3), np.arange(3), 1j, Record, Pair, len],
    ids=lambda leaf: type(leaf).__name__,
)
def test_what_is_no_container_is_a_leaf(leaf):
    leaves = []
    assert flatten(leaf, leaves) is LEAF
    assert len(leaves) == 1
    assert leaves[0] is leaf


def test_leaves_come_in_order_of_writing():
    tree = {"z": (1, [2]), "a": Record(3, {"k": 4}), "m": Pair(5, 6)}
    flatten(tree, leaves := [])
    assert leaves == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1.0,), [1.0]),
        ((1.0, 2.0), Pair(1.0, 2.0)),
        ({"a": 1.0}, {"b": 1.0}),
        ({"a": 1.0}, {0: 1.0}),
        (Record(1.0, 2.0), Slotted(1.0, 2.0)),
        (Record(1.0, 2.0), Pair(1.0, 2.0)),
        ((), []),
        ((), {}),
        (1.0, (1.0,)),
        (((1.0,), 2.0), (1.0, (2.0,))),
    ],
    ids=repr,
)
def test_different_trees_have_different_structures(one, other):
    assert flatten(one, []) != flatten(other, [])


def test_a_dataclass_is_not_made_through_its_constructor():
    tree = Checked(3.0)
    flatten(tree, leaves := [])
    assert leaves == [3.0, 6.0]
    assert map_leaves(str, tree).value == "3.0"
    gradient = tg.grad(lambda c: c.value * c.value * c.double)(tree)
    assert (type(gradient), gradient.value, gradient.double) == (Checked, 36.0, 9.0)


def test_a_frozen_and_a_slotted_dataclass_are_differentiated():
    assert tg.grad(lambda r: r.only * r.only)(FrozenRecord(3.0)) == FrozenRecord(6.0)
    assert tg.grad(lambda s: s.a * s.b)(Slotted(3.0, 2.0)) == Slotted(2.0, 3.0)


def test_methods_and_properties_of_a_dataclass_work_while_it_is_recorded():
    @dataclasses.dataclass
    class Line:
        slope: float
        shift: float = 1.0

        def __call__(self, x):
            return self.slope * x + self.shift

        @property
        def root(self):
            return -self.shift / self.slope

    assert tg.grad(lambda line: line(2.0) * line.root)(Line(4.0)) == Line(
        pytest.approx(1.0 / 16.0), pytest.approx(-(2 * 4.0 + 2.0) / 4.0)
    )


def test_a_deep_tree_is_no_problem():
    tree = 2.0
    for _ in range(150):
        tree = (tree,)

    def inner(tree):
        while isinstance(tree, tuple):
            (tree,) = tree
        return tree

    assert inner(tg.grad(lambda t: inner(t) * inner(t))(tree)) == 4.0
