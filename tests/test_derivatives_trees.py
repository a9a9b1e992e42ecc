"""Derivatives by trees and of trees have the trees' structure."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
from formulas import two
from trees import same

import tapegrad as tg
from tapegrad.errors import InputTypeError


class Point(NamedTuple):
    x: float
    y: np.ndarray


@dataclasses.dataclass
class Params:
    weights: np.ndarray
    bias: float


TREES = {
    "tuple": (2.0, np.array([1.0, 3.0])),
    "nested": ([2.0, (np.array([[1.0, 3.0]]), 4.0)], {"k": 5.0}),
    "dict": {"b": np.array([1.0, 2.0]), "a": 3.0},
    "dataclass": Params(np.array([[1.0, 2.0], [3.0, 4.0]]), 0.5),
    "namedtuple": Point(2.0, np.array([1.0, 2.0])),
    "dataclass_in_a_list": [Params(np.array([1.0]), 2.0), Params(np.array([3.0, 4.0]), 5.0)],
    "empty_parts": ((), [], {"a": 2.0, "b": {}}),
    "array_of_no_axes": [np.array(3.0), 1.0],
}


def leaves_of(tree):
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves_of(value)]
    if isinstance(tree, tuple | list):
        return [leaf for value in tree for leaf in leaves_of(value)]
    if dataclasses.is_dataclass(tree):
        return [leaf for f in dataclasses.fields(tree) for leaf in leaves_of(getattr(tree, f.name))]
    return [tree]


def rebuilt(tree, function):
    if isinstance(tree, dict):
        return {key: rebuilt(value, function) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(rebuilt(value, function) for value in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(rebuilt(value, function) for value in tree)
    if dataclasses.is_dataclass(tree):
        return type(tree)(
            *(rebuilt(getattr(tree, f.name), function) for f in dataclasses.fields(tree))
        )
    return function(tree)


def sum_of_cubes(tree):
    return sum(np.sum(leaf * leaf * leaf) * (k + 1.0) for k, leaf in enumerate(leaves_of(tree)))


def gradient_of_cubes(tree):
    index = iter(range(100))
    return rebuilt(tree, lambda leaf: 3 * leaf * leaf * (next(index) + 1.0))


@pytest.mark.parametrize("name", TREES)
def test_a_gradient_has_the_structure_of_the_argument(name):
    tree = TREES[name]
    same(tg.grad(sum_of_cubes)(tree), gradient_of_cubes(tree))
    value, pullback = tg.vjp(sum_of_cubes, tree)
    same(value, float(sum_of_cubes(tree)))
    same(pullback(2.0)[0], rebuilt(gradient_of_cubes(tree), lambda leaf: 2 * leaf))
    value, tangent = tg.jvp(sum_of_cubes, (tree,), (tree,))
    same(tangent, 3 * float(sum_of_cubes(tree)))
    same(tg.jacobian(sum_of_cubes)(tree), gradient_of_cubes(tree))


@pytest.mark.parametrize("name", TREES)
def test_a_hessian_product_has_the_structure_of_the_argument(name):
    tree = TREES[name]
    same(tg.hvp(sum_of_cubes)(tree, tree),
         rebuilt(gradient_of_cubes(tree), lambda leaf: 2 * leaf))  # fmt: skip


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", TREES)
def test_a_jacobian_of_a_tree_by_a_tree_has_the_arguments_tree_at_every_leaf(name, mode):
    tree = TREES[name]
    jacobian = tg.jacobian(lambda t: rebuilt(t, lambda leaf: leaf * leaf), mode=mode)(tree)
    arrays = leaves_of(tree)
    # The result's structure, with a tree of the argument's structure at every leaf.
    rows = leaves_of(jacobian)
    assert len(rows) == len(arrays) ** 2
    for i, a in enumerate(arrays):
        for j, b in enumerate(arrays):
            found = rows[i * len(arrays) + j]
            assert np.shape(found) == np.shape(a) + np.shape(b)
            matrix = np.reshape(found, (np.size(a), np.size(b)))
            wanted = np.diag(2 * np.ravel(a)) if i == j else np.zeros(matrix.shape)
            np.testing.assert_array_equal(matrix, wanted)


def test_a_hessian_by_a_dict_is_a_dict_of_dicts():
    def f(p):
        return p["a"] * p["a"] * np.sum(p["b"] ** 2)

    a, b = 2.0, np.array([3.0, 5.0])
    same(
        tg.hessian(f)({"a": a, "b": b}),
        {
            "a": {"a": 2 * float(np.sum(b**2)), "b": 4 * a * b},
            "b": {"a": 4 * a * b, "b": 2 * a * a * np.eye(2)},
        },
    )


def test_a_hessian_by_two_arguments_is_a_tuple_of_tuples():
    same(tg.hessian(two, (0, 1))(2.0, 3.0), ((6.0, 4.0), (4.0, float(-np.sin(3.0)))))


def test_results_may_be_any_structure():
    def f(x):
        return {"p": Point(x[0] * x[1], x * x), "n": 3, "none": None, "list": [x[0], (2.0, "s")]}

    x = np.array([2.0, 3.0])
    jacobian = tg.jacobian(f)(x)
    same(jacobian["p"], Point(np.array([3.0, 2.0]), np.diag(2 * x)))
    same(jacobian["list"][0], np.array([1.0, 0.0]))
    same(jacobian["list"][1][0], np.zeros(2))
    value, tangent = tg.jvp(f, (x,), (np.array([1.0, 0.0]),))
    same(value["p"], Point(6.0, x * x))
    assert value["n"] == 3
    assert value["list"][1] == (2.0, "s")
    same(tangent["p"], Point(3.0, np.array([4.0, 0.0])))
    value, pullback = tg.vjp(f, x)
    cotangent = {"p": Point(1.0, np.zeros(2)), "n": 0, "none": None, "list": [10.0, (5.0, "s")]}
    same(pullback(cotangent), (np.array([13.0, 2.0]),))


def test_what_is_no_number_inside_a_tree_that_is_differentiated_is_refused_by_name():
    with pytest.raises(InputTypeError, match="str"):
        tg.grad(lambda p: p["x"] * 2.0)({"x": 1.0, "n": "two"})
