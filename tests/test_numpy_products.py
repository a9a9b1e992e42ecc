"""Products, contractions and linear algebra, against NumPy itself."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import assert_recorded_as_numpy, assert_same, outcome, recorded_outcome

import tapegrad as tg
from tapegrad.testing import check_grads

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))
S, V = RNG.normal(size=(2, 3, 4)), RNG.normal(size=4)
PAIRS = [((), ()), ((), (3,)), ((3,), (3,)), ((0,), (0,)), ((3,), (3, 2)), ((2, 3), (3,)),
         ((2, 3), (3, 4)), ((2, 0), (0, 3)), ((0, 3), (3, 2)), ((2, 2, 3), (3,)), ((3,), (2, 3, 2)),
         ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 2, 3), (2, 3, 2)),
         ((4, 1, 2, 3), (2, 3, 1)),
         ((2, 3), (2, 3)), ((3,), (4,))]  # fmt: skip
PRODUCTS = {
    "matmul": np.matmul,
    "@": lambda a, b: a @ b,
    "dot": np.dot,
    "dot method": lambda a, b: a.dot(b),
    "inner": np.inner,
    "outer": np.outer,
    "vdot": np.vdot,
    "kron": np.kron,
    "tensordot": lambda a, b: np.tensordot(a, b, axes=0),
    "tensordot of one": lambda a, b: np.tensordot(a, b, axes=1),
    "vecdot": np.vecdot,
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_numpys_over_shapes(name):
    product = PRODUCTS[name]
    for first, second in PAIRS:
        a, b = RNG.normal(size=first), RNG.normal(size=second)
        for function, args in [
            (product, (a, b)),
            (lambda a, b=b: product(a, b), (a,)),
            (lambda b, a=a: product(a, b), (b,)),
        ]:
            if name in ("@", "dot method") and (first == () or second == ()):
                continue  # numbers have none
            assert_recorded_as_numpy(function, *args, label=f"{first} {second}")


CONTRACTIONS = {
    "matrices": lambda a, b, s, v: np.einsum("ij,jk->ik", a, b),
    "transposed": lambda a, b, s, v: np.einsum("ij,jk->ki", a, b),
    "by default": lambda a, b, s, v: np.einsum("ij,jk", a, b),
    "by default in the alphabet's order": lambda a, b, s, v: np.einsum("ba", a),
    "of three": lambda a, b, s, v: np.einsum("ij,jk,j->ik", a, b, v),
    "of four": lambda a, b, s, v: np.einsum("nij,ij,jk,j->nk", s, a, b, v),
    "stacks": lambda a, b, s, v: np.einsum("nij,jk->nik", s, b),
    "stacks of both": lambda a, b, s, v: np.einsum("nij,nkj->nik", s, s),
    "with an ellipsis": lambda a, b, s, v: np.einsum("...ij,jk->...ik", s, b),
    "with two ellipses": lambda a, b, s, v: np.einsum("...j,...j", s, a),
    "with an ellipsis summed": lambda a, b, s, v: np.einsum("i...->i", s),
    "a trace": lambda a, b, s, v: np.einsum("ii", a[:, :3]),
    "a diagonal": lambda a, b, s, v: np.einsum("ii->i", a[:, :3]),
    "a diagonal of a stack": lambda a, b, s, v: np.einsum("nii->in", s[:, :, :3]),
    "a label thrice": lambda a, b, s, v: np.einsum("iii->i", s[:, :2, :2]),
    "a product of elements": lambda a, b, s, v: np.einsum("ij,ij->ij", a, a),
    "an outer product": lambda a, b, s, v: np.einsum("i,j->ji", v, a[0]),
    "an outer product of matrices": lambda a, b, s, v: np.einsum("ij,kl->kjil", a, b),
    "a sum": lambda a, b, s, v: np.einsum("ij->", a),
    "sums of both": lambda a, b, s, v: np.einsum("ij,kl->", a, b),
    "a length of one": lambda a, b, s, v: np.einsum("ij,ij->ij", a, a[:1]),
    "a transpose": lambda a, b, s, v: np.einsum("ijk->kij", s),
    "spaces": lambda a, b, s, v: np.einsum(" i j , j -> i ", a, v),
    "sublists": lambda a, b, s, v: np.einsum(a, [0, 1], b, [1, 2], [2, 0]),
    "sublists by default": lambda a, b, s, v: np.einsum(a, [0, 1], v, [1]),
    "sublists with an ellipsis": lambda a, b, s, v: np.einsum(s, [..., 1], v, [1], [...]),
    "optimized": lambda a, b, s, v: np.einsum("nij,j,jk->nk", s, v, b, optimize=True),
    "with plain": lambda a, b, s, v: np.einsum("ij,jk->ik", a, np.ones((4, 2))),
    "with a number": lambda a, b, s, v: np.einsum(",ij->ij", 2.0, a),
    "tensordot of two axes": lambda a, b, s, v: np.tensordot(s, a, axes=2),
    "tensordot of named axes": lambda a, b, s, v: np.tensordot(s, b, axes=([2], [0])),
    "tensordot of two named": lambda a, b, s, v: np.tensordot(s, a, axes=([2, 1], [1, 0])),
    "tensordot of numbers": lambda a, b, s, v: np.tensordot(s, b, axes=(-1, 0)),
    "cross": lambda a, b, s, v: np.cross(a.T, s[0].T),
    "cross of an axis": lambda a, b, s, v: np.cross(s, a, axis=-2)
    if s.ndim == a.ndim
    else np.cross(s[1], a, axis=0),
    "cross of axes": lambda a, b, s, v: np.cross(a, a.T * 2.0, axisa=0, axisb=1, axisc=0),
    "trace": lambda a, b, s, v: np.trace(a, offset=1),
    "trace of axes": lambda a, b, s, v: s.trace(0, 1, 2),
    "vecdot of an axis": lambda a, b, s, v: np.vecdot(a, a, axis=0),
    "divmod": lambda a, b, s, v: np.divmod(a * 5.0, 1.5),
    "too many letters": lambda a, b, s, v: np.einsum("ijk,k->i", a, v),
    "a letter from nowhere": lambda a, b, s, v: np.einsum("ij->ik", a),
    "two lengths": lambda a, b, s, v: np.einsum("ij,jk->ik", a, a),
    "two lengths of a diagonal": lambda a, b, s, v: np.einsum("ii", a),
    "an operand too few": lambda a, b, s, v: np.einsum("ij,jk->ik", a),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_a_contraction_is_numpys(name):
    function = CONTRACTIONS[name]
    assert_recorded_as_numpy(function, A, B, S, V)
    assert_recorded_as_numpy(lambda a, s: function(a, B, s, V), A, S)
    if not isinstance(outcome(function, A, B, S, V), Exception):
        check_grads(function, (A, B, S, V), order=2)


def test_einsum_of_random_subscripts():
    rng = np.random.default_rng(11)
    sizes = dict(zip("ijklm", (2, 3, 1, 2, 4), strict=True))
    for _ in range(150):
        terms = [
            "".join(rng.choice(list("ijklm"), rng.integers(0, 4)))
            for _ in range(rng.integers(1, 4))
        ]
        letters = sorted(set("".join(terms)))
        output = "".join(rng.permutation(letters)[: rng.integers(0, len(letters) + 1)])
        subscripts = ",".join(terms) + ("->" + output if rng.uniform() < 0.8 else "")
        arrays = [rng.normal(size=[sizes[c] for c in term]) for term in terms]
        assert_recorded_as_numpy(
            lambda *xs, subscripts=subscripts: np.einsum(subscripts, *xs), *arrays, label=subscripts
        )


M = RNG.normal(size=(4, 4)) + 3.0 * np.eye(4)
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
NORMS = [None, "fro", 1, 2, 3, 0.5, -1, 0, np.inf, -np.inf, "wrong"]


def test_norms_are_numpys():
    for x in (A, V, S, A[:1], np.zeros((3, 0)), A.T[::2]):
        for order in NORMS:
            for axis in (None, 0, -1, (0, 1), (1, 0)):
                for keepdims in (False, True):
                    wanted_2_norm = order == 2 and (
                        (axis is None and x.ndim == 2) or isinstance(axis, tuple)
                    )
                    if wanted_2_norm or (x.size == 0 and order is not None):
                        continue  # what an empty maximum is differs between versions
                    assert_recorded_as_numpy(
                        lambda x, o=order, a=axis, k=keepdims: np.linalg.norm(x, o, a, k),
                        x,
                        label=f"{x.shape} {order} {axis} {keepdims}",
                    )
    for order in (None, 1, 3, np.inf, -np.inf, -1):
        check_grads(lambda x, order=order: np.linalg.norm(x, order, axis=0), (A,), order=2)


LINEAR = {
    "solve": lambda m, b: np.linalg.solve(m, b),
    "solve a vector": lambda m, b: np.linalg.solve(m, b[:, 0]),
    "solve with a plain matrix": lambda m, b: np.linalg.solve(M.T, b) * m[0, 0],
    "solve for a plain side": lambda m, b: np.linalg.solve(m, np.ones(4)) * b[0, 0],
    "solve a stack": lambda m, b: np.linalg.solve(np.stack([m, m.T, m[::-1]]), b),
    "inv": lambda m, b: np.linalg.inv(m),
    "inv of a stack": lambda m, b: np.linalg.inv(np.stack([m, m.T])[None]),
    "det": lambda m, b: np.linalg.det(m),
    "det of a stack": lambda m, b: np.linalg.det(np.stack([m, m[::-1]])),
    "det of an empty matrix": lambda m, b: np.linalg.det(m[:0, :0]) + b[0, 0],
    "solve that needs swaps":
        lambda m, b: np.linalg.solve(m[[2, 0, 3, 1]] * [0, 1, 1, 1] + 1.0, b),
    "not square": lambda m, b: np.linalg.solve(m[:3], b),
    "det not square": lambda m, b: np.linalg.det(b),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_linear_algebra_is_numpys(name):
    function = LINEAR[name]
    wanted, found = outcome(function, M, B), recorded_outcome(function, M, B)
    assert_same(found, wanted, rtol=1e-10)
    if not isinstance(wanted, Exception):
        check_grads(function, (M, B), order=2)


def test_a_singular_matrix_is_refused_and_has_determinant_zero():
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        tg.grad(lambda m: np.sum(np.linalg.solve(m, np.ones(2))))(SINGULAR)
    value, gradient = tg.value_and_grad(np.linalg.det)(SINGULAR)
    assert value == 0.0
    np.testing.assert_allclose(gradient, [[4.0, -2.0], [-2.0, 1.0]])


def test_a_solution_replays_only_while_its_pivots_hold():
    def program(m):
        return np.sum(np.linalg.solve(m, np.array([1.0, 2.0])) ** 2)

    gradient = tg.grad(program)
    for m in ([[4.0, 1.0], [1.0, 3.0]], [[1e-9, 1.0], [1.0, 3.0]], [[2.0, 1.0], [-3.0, 1.0]]):
        m = np.array(m)
        inverse = np.linalg.inv(m)
        x = inverse @ np.array([1.0, 2.0])
        np.testing.assert_allclose(gradient(m), np.outer(-2.0 * inverse.T @ x, x), rtol=1e-9)


def test_products_of_partly_passive_stacks_have_each_constant_once():
    rng = np.random.default_rng(8)
    left, right = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2))

    def function(x):
        a = np.zeros((2, 3, 4))
        a[...] = left
        a[0, 1, 2], a[1, 0, 3] = x[0], x[1]
        return np.sum(a @ right * np.arange(12.0).reshape(2, 3, 2))

    derivative = tg.value_and_grad(function)
    value, gradient = derivative(np.array([0.5, -2.0]))
    left[0, 1, 2], left[1, 0, 3] = 0.5, -2.0
    weights = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_allclose(value, np.sum(left @ right * weights), rtol=1e-13)
    expected = [weights[0, 1] @ right[2], weights[1, 0] @ right[3]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-13)
    (recording,) = derivative.recorded.recordings
    found = recording.tape.constants.tolist()
    assert all(found.count(number) == 1 for number in left[0, 0])
    assert all(found.count(number) == 2 for number in right[0])  # once for either matrix


@pytest.mark.parametrize("shapes", [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0, 2, 3), (3, 2))])
def test_products_without_elements_are_zeros_of_the_right_shape(shapes):
    x, y = (np.ones(shape) for shape in shapes)
    found = []

    def function(z):
        found.append((x * z) @ (y * z))
        return z * 2.0 + np.sum(found[0])

    assert tg.grad(function)(3.0) == 2.0
    assert found[0].shape == (x @ y).shape


def test_outer_products_of_numbers_matrices_and_plain_arrays():
    v, m = np.array([1.0, 2.0, 3.0]), np.array([[4.0, 5.0]])
    weights = np.arange(6.0).reshape(3, 2)
    by_first = tg.grad(lambda x: np.sum(np.outer(x, m) * weights))(v)
    by_second = tg.grad(lambda y: np.sum(np.outer(v, y) * weights))(m)
    np.testing.assert_allclose(by_first, weights @ m[0], rtol=1e-15)
    np.testing.assert_allclose(by_second, [v @ weights], rtol=1e-15)
    assert tg.grad(lambda x: np.sum(np.outer(x, v)) + np.outer(2.0, v).sum())(1.0) == 6.0
