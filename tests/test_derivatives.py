"""The public derivatives: conventions, structures, errors, and numbers from other sources."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
import scipy.optimize

import tapegrad as tg
from tapegrad.errors import InputTypeError, NotScalarError, StructureError
from tapegrad.testing import extrapolated_difference


class Point(NamedTuple):
    x: float
    y: np.ndarray


@dataclasses.dataclass
class Params:
    weights: np.ndarray
    bias: float


def same(found, wanted, rtol=1e-12):
    """Assert that two trees have the same structure and numbers."""
    assert type(found) is type(wanted) or np.isscalar(wanted), (found, wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            same(found[key], wanted[key], rtol)
    elif isinstance(wanted, tuple | list):
        assert len(found) == len(wanted)
        for part, other in zip(found, wanted, strict=True):
            same(part, other, rtol)
    elif dataclasses.is_dataclass(wanted):
        for field in dataclasses.fields(wanted):
            same(getattr(found, field.name), getattr(wanted, field.name), rtol)
    elif wanted is None or isinstance(wanted, str):
        assert found == wanted
    else:
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-13)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def two(x, y):
    return x * x * y + np.sin(y)


def polynomial(x):
    return np.sum(x**3) * x[0] + x[1] * x[2]


# --- grad and value_and_grad -------------------------------------------------------------------


def test_a_gradient_by_a_number_is_a_python_float():
    value, gradient = tg.value_and_grad(lambda x: x * x)(3.0)
    assert (value, gradient) == (9.0, 6.0)
    assert type(value) is type(gradient) is float
    assert type(tg.grad(lambda x: x * x)(np.float64(3.0))) is float


def test_a_gradient_by_an_array_is_a_float64_array_of_its_shape():
    x = np.arange(6.0).reshape(2, 3)
    value, gradient = tg.value_and_grad(lambda x: np.sum(x * x))(x)
    assert type(value) is float
    assert type(gradient) is np.ndarray
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, 2 * x)


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 12.0),
        (1, 4.0 + np.cos(3.0)),
        (-1, 4.0 + np.cos(3.0)),
        (-2, 12.0),
        ((0,), (12.0,)),
        ((0, 1), (12.0, 4.0 + np.cos(3.0))),
        ((1, 0), (4.0 + np.cos(3.0), 12.0)),
        ([0, -1], (12.0, 4.0 + np.cos(3.0))),
        (range(2), (12.0, 4.0 + np.cos(3.0))),
        ((), ()),
    ],
)
def test_argnums_choose_the_arguments_and_their_order(argnums, expected):
    same(tg.grad(two, argnums)(2.0, 3.0), expected)
    same(tg.value_and_grad(two, argnums)(2.0, 3.0)[1], expected)
    same(tg.jacobian(two, argnums)(2.0, 3.0), expected)


def test_the_same_argument_chosen_twice_comes_twice():
    same(tg.grad(two, (0, 0))(2.0, 3.0), (12.0, 12.0))


@pytest.mark.parametrize("argnums", [2, -3, (0, 5)])
def test_an_argument_that_is_not_there_can_not_be_chosen(argnums):
    with pytest.raises(InputTypeError, match="2 positional"):
        tg.grad(two, argnums)(2.0, 3.0)


def test_a_keyword_argument_is_not_counted():
    assert tg.grad(lambda x, *, scale: scale * x)(2.0, scale=3.0) == 3.0
    with pytest.raises(InputTypeError, match="argnums=1"):
        tg.grad(two, 1)(2.0, y=3.0)


def test_integer_arguments_before_the_chosen_one_are_skipped():
    def f(n, x, name, y):
        return n * x * y

    same(tg.grad(f, (1, 3))(3, 2.0, "f", np.float64(5.0)), (15.0, 6.0))


def test_has_aux_returns_more_beside_the_value():
    def f(x):
        return np.sum(x * x), {"double": 2 * x, "n": len(x)}

    x = np.array([1.0, 2.0])
    gradient, aux = tg.grad(f, has_aux=True)(x)
    same(gradient, 2 * x)
    same(aux, {"double": 2 * x, "n": 2})
    (value, aux), gradient = tg.value_and_grad(f, has_aux=True)(x)
    assert value == 5.0
    same(aux, {"double": 2 * x, "n": 2})
    same(gradient, 2 * x)


def test_what_is_auxiliary_adds_nothing_to_the_gradient():
    assert tg.grad(lambda x: (x * x, x * 100.0), has_aux=True)(3.0) == (6.0, 300.0)


@pytest.mark.parametrize(
    "result",
    [
        lambda x: x * np.ones(3),
        lambda x: np.stack([x]),
        lambda x: (x, x),
        lambda x: [x],
        lambda x: {"a": x},
        lambda x: None,
        lambda x: 3,
        lambda x: "x",
    ],
)
def test_a_gradient_of_what_is_no_number_is_refused(result):
    for make in (tg.grad, tg.value_and_grad, tg.hessian):
        with pytest.raises(NotScalarError):
            make(result)(1.0)
    with pytest.raises(NotScalarError):
        tg.hvp(result)(1.0, 1.0)


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x,), lambda x: (x, x, x),
                                    lambda x: [x, x], lambda x: ((x, x), x)])  # fmt: skip
def test_has_aux_needs_a_pair_of_a_number_and_something(result):
    with pytest.raises(NotScalarError):
        tg.grad(result, has_aux=True)(1.0)


def test_a_constant_function_has_a_gradient_of_zero():
    assert tg.grad(lambda x: 3.0)(1.0) == 0.0
    assert tg.grad(lambda x: np.float64(3.0))(1.0) == 0.0
    same(tg.grad(lambda x: 3.0)(np.ones((2, 2))), np.zeros((2, 2)))
    same(tg.hessian(lambda x: 3.0)(np.ones(2)), np.zeros((2, 2)))
    same(tg.jacobian(lambda x: np.ones(3))(np.ones(2)), np.zeros((3, 2)))
    assert tg.grad(tg.grad(lambda x: 2.0 * x))(1.0) == 0.0


def test_what_is_no_function_is_refused():
    for make in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian, tg.hvp):
        with pytest.raises(TypeError, match="function"):
            make(3.0)


def test_a_derivative_keeps_the_functions_name_and_documentation():
    derivative = tg.grad(rosenbrock)
    assert derivative.__name__ == "rosenbrock"
    assert "rosenbrock" in repr(derivative)


def test_a_derivative_is_a_decorator():
    @tg.grad
    def slope(x):
        """A square."""
        return x * x

    assert slope(3.0) == 6.0
    assert slope.__doc__ == "A square."


# --- trees -------------------------------------------------------------------------------------


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


def test_an_integer_inside_a_tree_that_is_differentiated_is_refused_by_name():
    with pytest.raises(InputTypeError, match="int"):
        tg.grad(lambda p: p["x"] * p["n"])({"x": 1.0, "n": 2})


# --- vjp and jvp -------------------------------------------------------------------------------


def test_a_pullback_may_be_called_often():
    x = np.array([1.0, 2.0, 3.0])
    value, pullback = tg.vjp(lambda x, y: x * y, x, 4.0)
    same(value, 4 * x)
    rng = np.random.default_rng(0)
    for _ in range(4):
        w = rng.standard_normal(3)
        same(pullback(w), (4 * w, float(w @ x)))


def test_several_pullbacks_do_not_disturb_each_other():
    def f(x):
        return np.exp(x) * x[0]

    points = np.random.default_rng(1).standard_normal((4, 3))
    pullbacks = [tg.vjp(f, x)[1] for x in points]
    for x, pullback in [*zip(points, pullbacks, strict=True)] * 2:
        w = np.array([1.0, -2.0, 0.5])
        wanted = w * np.exp(x) * x[0]
        wanted[0] += w @ np.exp(x)
        same(pullback(w)[0], wanted)


def test_a_pullback_with_aux_takes_the_values_cotangent_only():
    def f(x):
        return x * x, {"sum": np.sum(x), "name": "f", "n": 3}

    x = np.array([1.0, 2.0])
    value, pullback, aux = tg.vjp(f, x, has_aux=True)
    same(value, x * x)
    same(aux, {"sum": 3.0, "name": "f", "n": 3})
    for _ in range(2):
        same(pullback(np.array([1.0, 10.0]))[0], np.array([2.0, 40.0]))


@pytest.mark.parametrize(
    "bad", [np.ones(2), 1.0, (np.ones(3),), [1.0, 1.0, 1.0], np.ones((3, 1)), None, "x"], ids=repr
)
def test_a_cotangent_of_another_structure_or_shape_is_refused(bad):
    _, pullback = tg.vjp(lambda x: x * x, np.ones(3))
    with pytest.raises(StructureError):
        pullback(bad)


def test_the_shapes_are_named_where_they_disagree():
    _, pullback = tg.vjp(lambda x: x * x, np.ones(3))
    with pytest.raises(StructureError, match=r"\(2,\).*\(3,\)"):
        pullback(np.ones(2))
    with pytest.raises(StructureError, match=r"\(4,\).*\(3,\)"):
        tg.jvp(lambda x: x * x, (np.ones(3),), (np.ones(4),))
    with pytest.raises(StructureError, match=r"\(1, 3\).*\(3,\)"):
        tg.hvp(rosenbrock)(np.ones(3), np.ones((1, 3)))


@pytest.mark.parametrize(
    ("primals", "tangents"),
    [
        ((1.0, 2.0), (1.0,)),
        ((1.0, 2.0), (1.0, 2.0, 3.0)),
        ((1.0, 2.0), ((1.0,), 1.0)),
        (({"a": 1.0}, 2.0), ({"b": 1.0}, 1.0)),
        ((np.ones(2), 2.0), (1.0, 1.0)),
        ((1.0, 2.0), (np.ones(1), 1.0)),
    ],
)
def test_tangents_of_another_structure_or_shape_are_refused(primals, tangents):
    with pytest.raises(StructureError):
        tg.jvp(lambda x, y: 1.0, primals, tangents)


def test_whole_numbers_are_directions_too():
    assert tg.jvp(lambda x, y: x * y, (3.0, 4.0), (1, 0)) == (12.0, 4.0)
    same(tg.jvp(lambda x: x * x, (np.array([3.0, 4.0]),), (np.array([1, 0]),))[1],
         np.array([6.0, 0.0]))  # fmt: skip
    assert tg.vjp(lambda x: x * x, 3.0)[1](2) == (12.0,)
    same(tg.hvp(polynomial)(np.ones(3), np.array([1, 0, 0])),
         tg.hessian(polynomial)(np.ones(3))[0])  # fmt: skip


def test_jvp_and_vjp_take_integers_and_refuse_to_differentiate_them():
    with pytest.raises(InputTypeError):
        tg.jvp(lambda x: x * 1.0, (3,), (1.0,))
    with pytest.raises(InputTypeError):
        tg.vjp(lambda x: x * 1.0, np.array([1, 2]))


@pytest.mark.parametrize("seed", range(5))
def test_pullback_and_pushforward_are_adjoint(seed):
    def f(x, y):
        return np.sin(x) * y[0], (x @ x) * np.exp(y)

    rng = np.random.default_rng(seed)
    x, y, v, u, w = rng.standard_normal((5, 3))
    _, (da, db) = tg.jvp(f, (x, y), (v, u))
    _, pullback = tg.vjp(f, x, y)
    dx, dy = pullback((w, v))
    assert w @ da + v @ db == pytest.approx(dx @ v + dy @ u, rel=1e-12)


# --- jacobian and hessian ----------------------------------------------------------------------


def curves(x):
    return np.stack([x[0] * x[1], np.sin(x[2]), x[0] / x[2], x[1] ** 3 * x[2], np.exp(-x[0])])


def jacobian_of_curves(x):
    a, b, c = x
    return np.array(
        [
            [b, a, 0.0],
            [0.0, 0.0, np.cos(c)],
            [1 / c, 0.0, -a / c**2],
            [0.0, 3 * b**2 * c, b**3],
            [-np.exp(-a), 0.0, 0.0],
        ]
    )


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("seed", range(3))
def test_a_jacobian_is_the_closed_form_in_every_mode(mode, seed):
    x = np.random.default_rng(seed).uniform(0.5, 2.0, 3)
    same(tg.jacobian(curves, mode=mode)(x), jacobian_of_curves(x))


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_a_jacobians_shape_is_the_results_then_the_arguments(mode):
    x = np.arange(6.0).reshape(2, 3)
    jacobian = tg.jacobian(lambda x: np.stack([x.T, x.T * x.T]), mode=mode)(x)
    assert jacobian.shape == (2, 3, 2, 2, 3)
    wanted = np.zeros((2, 3, 2, 2, 3))
    for i in range(2):
        for j in range(3):
            wanted[0, j, i, i, j] = 1.0
            wanted[1, j, i, i, j] = 2 * x[i, j]
    np.testing.assert_array_equal(jacobian, wanted)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobians_of_numbers_are_floats_and_of_nothing_are_empty(mode):
    jacobian = tg.jacobian(lambda x: x * x, mode=mode)(3.0)
    assert jacobian == 6.0
    assert type(jacobian) is float
    assert tg.jacobian(lambda x: x * x, mode=mode)(np.zeros(0)).shape == (0, 0)
    assert tg.jacobian(lambda x: x[:0] * 2, mode=mode)(np.zeros(3)).shape == (0, 3)
    same(tg.jacobian(lambda x: x * np.ones(3), mode=mode)(2.0), np.ones(3))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="sideways"):
        tg.jacobian(curves, mode="sideways")


def test_a_result_used_twice_and_an_input_returned_directly_are_counted():
    def f(x):
        y = x[0] * x[1]
        return y, y, x[0], (x, x[1])

    for mode in ("forward", "reverse"):
        found = tg.jacobian(f, mode=mode)(np.array([2.0, 3.0]))
        row = np.array([3.0, 2.0])
        same(found, (row, row, np.array([1.0, 0.0]), (np.eye(2), np.array([0.0, 1.0]))))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_truth_values_and_integers_among_results_have_no_derivative(mode):
    found = tg.jacobian(lambda x: (x * x, x > 0.0, 3), mode=mode)(2.0)
    assert found == (4.0, 0.0, None)


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("seed", range(3))
def test_rosenbrocks_gradient_hessian_and_product_are_scipys(n, seed):
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((2, n))
    same(tg.grad(rosenbrock)(x), scipy.optimize.rosen_der(x), rtol=1e-10)
    hessian = tg.hessian(rosenbrock)(x)
    same(hessian, scipy.optimize.rosen_hess(x), rtol=1e-10)
    np.testing.assert_array_equal(hessian, hessian.T)
    same(tg.hvp(rosenbrock)(x, v), scipy.optimize.rosen_hess_prod(x, v), rtol=1e-10)


FUNCTIONS = {
    "polynomial": polynomial,
    "ratio": lambda x: x[0] * x[1] / (1.0 + x[2] ** 2),
    "exponential": lambda x: np.exp(np.dot(x, x) * 0.1) * x[2],
    "trigonometric": lambda x: np.sin(x[0] * x[1]) + np.cos(x[2]) * np.tan(0.3 * x[0]),
    "powers": lambda x: (1.0 + x[0] ** 2) ** x[1] + np.sqrt(2.0 + x[2] ** 2),
    "angles": lambda x: np.arctan2(x[0], 2.0 + x[1] ** 2) * np.arcsinh(x[2]),
    "loop": lambda x: x_after_map(x),
}


def x_after_map(x):
    a, b = x[0] * 0.3, x[1] * 0.3
    for _ in range(6):
        a, b = np.sin(a + 0.5 * b) + x[2] * 0.1, a * b + 0.2
    return a * b


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hessians_are_symmetric_and_agree_in_every_way_to_make_them(name):
    f = FUNCTIONS[name]
    rng = np.random.default_rng(5)
    for _ in range(3):
        x, v = rng.standard_normal((2, 3))
        hessian = tg.hessian(f)(x)
        scale = abs(hessian).max() + 1.0
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-13 * scale)
        for other in (
            tg.jacobian(tg.grad(f))(x),
            tg.jacobian(tg.grad(f), mode="reverse")(x),
            tg.jacobian(tg.jacobian(f, mode="forward"), mode="forward")(x),
            tg.jacobian(tg.jacobian(f, mode="reverse"), mode="reverse")(x),
            tg.jacobian(tg.jacobian(f, mode="forward"), mode="reverse")(x),
        ):
            np.testing.assert_allclose(other, hessian, rtol=1e-11, atol=1e-13 * scale)
        for product in (
            tg.hvp(f)(x, v),
            tg.grad(lambda y, f=f, v=v: np.dot(tg.grad(f)(y), v))(x),
            tg.jvp(tg.grad(f), (x,), (v,))[1],
            tg.vjp(tg.grad(f), x)[1](v)[0],
            tg.grad(lambda y, f=f, v=v: tg.jvp(f, (y,), (v,))[1])(x),
        ):
            np.testing.assert_allclose(product, hessian @ v, rtol=1e-11, atol=1e-13 * scale)
        gradient = tg.grad(f)
        difference, _ = extrapolated_difference(lambda t, x=x, v=v, g=gradient: g(x + t * v))
        np.testing.assert_allclose(hessian @ v, difference, rtol=1e-6, atol=1e-7 * scale)


# --- against multiple precision ----------------------------------------------------------------


class With:
    """One formula for tapegrad and for mpmath."""

    def __init__(self, library):
        self.exp, self.sin, self.cos = library.exp, library.sin, library.cos
        self.log, self.sqrt, self.tanh = library.log, library.sqrt, library.tanh
        self.atan = getattr(library, "atan", None) or library.arctan


SCALARS = {
    "exp_of_sin": lambda m, x: m.exp(m.sin(x)) * x,
    "quotient": lambda m, x: (x * x - 1) / (x * x + 1),
    "logarithm": lambda m, x: m.log(1 + x * x) * m.sqrt(2 + x),
    "power": lambda m, x: (2 + x) ** (x * 0.5),
    "whole_power": lambda m, x: x**5 - 3 * x**-2,
    "tanh_chain": lambda m, x: m.tanh(m.tanh(x) * 2 - m.atan(x)),
    "iteration": lambda m, x: iterated(m, x),
}


def iterated(m, x):
    y = x
    for _ in range(8):
        y = m.cos(y) * x + y / 3
    return y


@pytest.mark.parametrize("x", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("name", SCALARS)
def test_first_to_third_derivatives_are_those_of_multiple_precision(name, x):
    formula = SCALARS[name]
    numpy = With(np)
    derivative = function = lambda v: formula(numpy, v)
    exact = With(mpmath)
    with mpmath.workdps(60):
        for order in (1, 2, 3):
            derivative = tg.grad(derivative)
            wanted = float(mpmath.diff(lambda v: formula(exact, v), mpmath.mpf(x), order))
            assert derivative(x) == pytest.approx(wanted, rel=1e-11, abs=1e-11), order
            assert derivative(x) == derivative(x)
    value = tg.value_and_grad(function)(x)[0]
    assert value == pytest.approx(float(function(x)), rel=1e-14)


def test_a_derivative_of_the_fifth_order_is_right():
    derivative = lambda x: x * np.exp(2.0 * x)  # noqa: E731
    for order in range(1, 6):
        derivative = tg.grad(derivative)
        wanted = (2.0**order * 0.5 + order * 2.0 ** (order - 1)) * np.exp(1.0)
        assert derivative(0.5) == pytest.approx(wanted, rel=1e-12)


# --- models ------------------------------------------------------------------------------------


def lotka_volterra(p):
    """The squared end state of Lotka and Volterra's equations, by 40 Runge-Kutta steps."""

    def rates(u, v):
        return p[0] * u - p[1] * u * v, p[3] * u * v - p[2] * v

    u, v, h = p[4], p[5], 0.1
    for _ in range(40):
        a, b = rates(u, v)
        c, d = rates(u + 0.5 * h * a, v + 0.5 * h * b)
        e, f = rates(u + 0.5 * h * c, v + 0.5 * h * d)
        g, i = rates(u + h * e, v + h * f)
        u = u + h / 6.0 * (a + 2.0 * c + 2.0 * e + g)
        v = v + h / 6.0 * (b + 2.0 * d + 2.0 * f + i)
    return u * u + v * v


def lennard_jones(x):
    """The energy of atoms in space."""
    energy = 0.0
    for i in range(len(x)):
        for j in range(i):
            r2 = np.sum((x[i] - x[j]) ** 2)
            s6 = 1.0 / r2**3
            energy = energy + 4.0 * (s6 * s6 - s6)
    return energy


def logistic(w):
    data = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
    label = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    return np.sum(np.log1p(np.exp(-label * (data @ w[:2] + w[2])))) + 0.1 * np.dot(w, w)


MODELS = {
    "lotka_volterra": (lotka_volterra, np.array([0.55, 0.03, 0.8, 0.025, 3.0, 4.0])),
    "lennard_jones": (
        lennard_jones,
        np.array([[0.0, 0.0, 0.0], [1.2, 0.1, 0.0], [0.3, 1.1, 0.2], [0.1, 0.2, 1.3]]),
    ),
    "logistic": (logistic, np.array([0.3, -0.2, 0.1])),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_agree_with_extrapolated_differences(name):
    f, x = MODELS[name]
    gradient = tg.grad(f)(x)
    direction = np.random.default_rng(7).standard_normal(x.shape) * (abs(x) + 0.1)
    wanted, _ = extrapolated_difference(lambda t: np.array([f(x + t * direction)]), 0.03)
    assert np.sum(gradient * direction) == pytest.approx(wanted[0], rel=1e-8)
    product = tg.hvp(f)(x, direction)
    derivative = tg.grad(f)
    wanted, _ = extrapolated_difference(lambda t: derivative(x + t * direction).ravel(), 0.03)
    np.testing.assert_allclose(product.ravel(), wanted, rtol=1e-6, atol=1e-7 * abs(wanted).max())
    hessian = tg.hessian(f)(x).reshape(x.size, x.size)
    np.testing.assert_allclose(hessian @ direction.ravel(), product.ravel(), rtol=1e-10,
                               atol=1e-12 * abs(hessian).max())  # fmt: skip
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12 * abs(hessian).max())


def test_forces_of_isolated_atoms_add_to_zero():
    f, x = MODELS["lennard_jones"]
    np.testing.assert_allclose(np.sum(tg.grad(f)(x), axis=0), 0.0, atol=1e-12)


# --- stop_gradient -----------------------------------------------------------------------------


def test_stop_gradient_keeps_the_value_and_stops_every_order():
    def f(x):
        return x * tg.stop_gradient(x)

    assert tg.value_and_grad(f)(3.0) == (9.0, 3.0)
    derivative = tg.grad(f)
    assert [derivative(x) for x in (1.0, 5.0, -2.0)] == [1.0, 5.0, -2.0]
    assert tg.grad(tg.grad(f))(3.0) == 0.0
    assert tg.hessian(lambda x: x**3 * tg.stop_gradient(x) ** 2)(2.0) == 6 * 2.0 * 4.0
    assert tg.jacobian(tg.grad(f), mode="reverse")(3.0) == 0.0
    assert tg.jvp(f, (3.0,), (1.0,)) == (9.0, 3.0)


def test_stop_gradient_of_a_tree_stops_every_leaf():
    def f(p):
        q = tg.stop_gradient(p)
        return np.sum(p["w"] * q["w"]) * q["b"][0] + p["b"][0]

    w = np.array([1.0, 2.0])
    same(tg.grad(f)({"w": w, "b": [3.0]}), {"w": 3 * w, "b": [1.0]})


def test_stop_gradient_of_what_is_not_active_is_itself():
    x = {"a": [1, "s", None, 2.5], "b": (True,)}
    assert tg.stop_gradient(x) == x
    assert tg.stop_gradient(2.0) == 2.0


def test_a_guard_on_a_stopped_number_is_still_checked():
    derivative = tg.grad(lambda x: x * x if tg.stop_gradient(x) > 1.0 else 3.0 * x)
    assert [derivative(x) for x in (2.0, 0.5, 3.0, -1.0)] == [4.0, 3.0, 6.0, 3.0]


def test_stop_gradient_inside_an_inner_derivative_lets_the_outer_one_through():
    def f(x):
        return tg.grad(lambda y: tg.stop_gradient(x) * y * y)(x)

    assert tg.value_and_grad(f)(3.0) == (18.0, 6.0)


# --- NaN and infinity --------------------------------------------------------------------------


def test_nan_goes_through():
    value, gradient = tg.value_and_grad(lambda x: np.sum(x * x))(np.array([1.0, np.nan]))
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, [2.0, np.nan])


def test_a_branch_not_taken_leaks_nothing_in_any_order():
    def f(x):
        return np.where(x > 0.0, np.sqrt(np.where(x > 0.0, x, 0.0)), 0.0 * x) + x * x

    derivative = tg.grad(f)
    assert derivative(-1.0) == -2.0
    assert derivative(0.0) == 0.0
    assert tg.grad(derivative)(-1.0) == 2.0
    assert derivative(4.0) == pytest.approx(8.25)
    assert tg.grad(derivative)(4.0) == pytest.approx(2.0 - 0.25 * 4.0**-1.5)


def test_where_without_a_second_where_leaks_nothing_either():
    derivative = tg.grad(lambda x: np.where(x > 0.0, np.log(x), x * 2.0))
    assert [derivative(x) for x in (-1.0, 0.0, 4.0)] == [2.0, 2.0, 0.25]
    assert tg.grad(derivative)(-1.0) == 0.0
    assert tg.grad(derivative)(0.0) == 0.0
