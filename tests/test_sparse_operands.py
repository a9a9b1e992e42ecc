"""Sparse matrices and arrays whose numbers, or what they are multiplied by, are active."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sparse_examples import (
    ARRAYS,
    COLUMNS,
    CSC,
    CSR,
    DENSE,
    FORMATS,
    MATRICES,
    OLD,
    ROWS,
    TWICE,
    N,
    X,
    check,
    csr,
    old,
    weighted,
)

import tapegrad as tg
from tapegrad.errors import InputTypeError, LostDerivativeError, UnsupportedFunctionError

# --- matrices of plain numbers -------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_products_with_a_plain_matrix_are_linear(name):
    array, matrix = ARRAYS[name], MATRICES[name]

    def products(x):
        vector, block = x[:N], x[: 2 * N].reshape(N, 2)
        return weighted(array @ vector, matrix * block, block.T @ array, vector @ matrix,
                        array.dot(vector), array.T @ vector, matrix.dot(block), vector * matrix,
                        array @ block[:, :1])  # fmt: skip

    check(products)
    jacobian = tg.jacobian(lambda x: array @ x)(np.ones(N))
    np.testing.assert_allclose(jacobian, DENSE, rtol=1e-15)


@pytest.mark.parametrize("name", FORMATS)
def test_a_plain_matrix_times_active_numbers_has_active_ones(name):
    array, matrix = ARRAYS[name], MATRICES[name]

    def scaled(x):
        v = x[:N]
        return weighted((x[0] * array).toarray(), (matrix * x[1] / x[2]) @ v,
                        array.multiply(x[0]) @ v, (x[0] * array + CSR * x[2]) @ v,
                        (array / x[3]).toarray(), (matrix + old(x)) @ v,
                        array.multiply(v).toarray(), matrix.multiply(np.outer(v, v)) @ v,
                        (np.outer(v, v) + array), array - np.outer(v, v))  # fmt: skip

    check(scaled)


# --- constructors --------------------------------------------------------------------------------

CONSTRUCTORS = {
    "coordinates": lambda x: csr(x) @ x[:N],
    "coordinates, csc": lambda x: sp.csc_matrix((x, (ROWS, COLUMNS)), shape=(N, N)) @ x[:N],
    "coordinates, coo": lambda x: sp.coo_array((x, (ROWS, COLUMNS))).data * x,
    "csr": lambda x: sp.csr_array((x, CSR.indices, CSR.indptr), shape=(N, N)) @ x[:N],
    "csc": lambda x: sp.csc_matrix((x, CSC.indices, CSC.indptr)).T @ x[:N],
    "dia": lambda x: sp.dia_array((x[:10].reshape(2, 5), [0, 1]), shape=(N, N)) @ x[:N],
    "bsr": lambda x: sp.bsr_array((x[:8].reshape(2, 2, 2), [0, 1], [0, 1, 2])) @ x[:4],
    "a list": lambda x: sp.coo_matrix(([x[0], 2.0, x[1]], ([0, 1, 1], [1, 0, 1]))) @ x[:2],
    "diags": lambda x: sp.diags([x[:4], x[4:9], x[1:5]], [-1, 0, 1]) @ x[:N],
    "diags of numbers": lambda x: sp.diags([x[0], 2.0], [-1, 0], (N, N), format="csr") @ x[:N],
    "diags of one": lambda x: sp.diags(x[:N]).toarray(),
    "diags_array": lambda x: sp.diags_array([x[:4], x[:5]], offsets=[1, 0], format="csc") @ x[:N],
    "spdiags": lambda x: sp.spdiags(x[:10].reshape(2, 5), [0, -1], N, N).toarray(),
    "another matrix": lambda x: sp.csc_array(sp.coo_array(csr(x))).toarray(),
    "dtype": lambda x: sp.csr_array((x, (ROWS, COLUMNS)), dtype=float).toarray(),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_constructor_takes_active_numbers(name):
    check(lambda x: weighted(CONSTRUCTORS[name](x)))


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "dia", "bsr", "lil"])
@pytest.mark.parametrize("form", ["array", "matrix"])
def test_numbers_in_one_place_add_up_and_dense_arrays_are_taken(name, form):
    kind = getattr(sp, f"{name}_{form}")
    outer = sp.coo_array if form == "array" else sp.coo_matrix

    def made(x):
        twice = kind(outer((x[:9], TWICE)))
        dense = kind(np.diag(x[:N]))
        assert isinstance(twice, kind)
        assert sp.issparse(twice)
        assert (twice.format, twice.shape, dense.nnz) == (name, (N, N), N)
        return weighted(twice.toarray(), dense.toarray(), twice @ x[:N])

    check(made)


def test_an_active_zero_has_a_place():
    gradient = tg.grad(lambda x: np.sum((sp.csr_array(np.diag(x)) @ x) * x))(np.zeros(3))
    assert np.array_equal(gradient, np.zeros(3))
    jacobian = tg.jacobian(lambda x: sp.csr_array(np.diag(x)).toarray())(np.zeros(2))
    assert jacobian[1, 1, 1] == 1.0


# --- what they compute ---------------------------------------------------------------------------

COMPUTED = {
    "sums": lambda x: [(csr(x) + CSC).toarray(), (CSC - csr(x)) @ x[:N], csr(x) + DENSE,
                       DENSE - old(x), (csr(x) + csr(x)).data, -csr(x) @ x[:N]],
    "products": lambda x: [(csr(x) @ csr(x).T).toarray(), (CSC @ csr(x)) @ x[:N],
                           (OLD * old(x)).toarray(), (old(x) * MATRICES["csc"]) @ x[:N],
                           csr(x).dot(CSR).toarray(), (csr(x) @ sp.csr_array((N, N))).toarray()],
    "products with arrays": lambda x: [DENSE @ csr(x), x[:N] @ old(x), csr(x).dot(DENSE),
                                       x[:N] * old(x), old(x) * x[: 2 * N].reshape(N, 2)],
    "elements": lambda x: [csr(x).multiply(CSC).toarray(), CSR.multiply(csr(x)).toarray(),
                           csr(x).multiply(np.arange(5.0)) @ x[:N], (csr(x) * CSR).toarray(),
                           csr(x).multiply(x[:N, None]).toarray(), (csr(x) * x[:N]).toarray()],
    "quotients": lambda x: [(csr(x) / x[0]).toarray(), (old(x) / 2.0) @ x[:N],
                            (csr(x) / (2.0 + DENSE**2)).toarray()],
    "functions": lambda x: [csr(x).sqrt().toarray(), csr(x).power(2).toarray(), abs(csr(x)).data,
                            (csr(x) ** 3).toarray(), csr(x).log1p().toarray()],
    "totals": lambda x: [csr(x).sum(axis=0), old(x).sum(1), csr(x).sum(), old(x).mean(),
                         csr(x).trace(), csr(x).diagonal(1), csr(x).mean(axis=1)],
    "elements and slices": lambda x: [csr(x)[1:3].toarray(), csr(x)[0, 0], old(x).getrow(2).data,
                                      csr(x)[:, [0, 2]] @ x[:2], csr(x)[CSR > 1.0]],
    "formats": lambda x: [csr(x).tocsc().tocoo().tolil().todia().tobsr().toarray(),
                          old(x).todense(), csr(x).reshape(1, -1).toarray(),
                          csr(x).transpose().asformat("csc").data],
    "stacks": lambda x: [sp.hstack([csr(x), CSR]) @ np.ones(2 * N),
                         sp.vstack([csr(x), x[:N][None]]).toarray(),
                         sp.bmat([[old(x), None], [OLD, old(x)]]).toarray(),
                         sp.block_array([[csr(x), CSC]], format="csr").toarray(),
                         sp.block_diag([csr(x), CSR, [[1.0]]]).toarray(),
                         sp.tril(csr(x)).toarray(), sp.triu(csr(x), 1).toarray()],
    "functions of SciPy's in Python": lambda x: [sp.kron(csr(x), np.eye(2)).toarray(),
                                                 sp.find(csr(x))[2]],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")
@pytest.mark.parametrize("what", COMPUTED)
def test_an_active_matrix_computes_as_scipys_does(what):
    check(lambda x: weighted(*COMPUTED[what](x)))
    # As many, of the same shapes, formats and places.
    shapes = []

    def noted(x):
        shapes.append([np.shape(part) for part in COMPUTED[what](x)])
        return np.sum(x)

    tg.grad(noted)(X)
    noted(X)
    assert shapes[0] == shapes[1]


def test_results_are_of_the_class_and_format_that_scipys_are():
    def kinds(x):
        parts = [csr(x) + CSC, csr(x) @ CSC, CSC @ csr(x), old(x) * OLD, csr(x).multiply(CSR),
                 csr(x).T, csr(x)[1:2], x[0] * CSC, sp.diags(x) + sp.diags(x), sp.diags(x) * 2.0,
                 sp.hstack([csr(x), CSR]), csr(x).tolil()]  # fmt: skip
        return [(part.__class__, part.format, part.shape, part.nnz) for part in parts]

    found = []
    tg.grad(lambda x: found.extend(kinds(x)) or np.sum(x))(X)
    assert found == kinds(X)


def test_matrices_are_assembled_element_by_element():
    def assembled(x):
        matrix = sp.lil_matrix((N, N))
        for i in range(N):
            matrix[i, i] = x[i]
        for i in range(N - 1):
            matrix[i, i + 1] = -x[i]
            matrix[i + 1, i] += x[i + 1]
            matrix[i, i] += 2.0
        matrix[0, 2:4] = x[:2]
        return weighted(matrix.tocsr() @ x[:N])

    def diagonal(x):
        matrix = sp.csr_array(DENSE)
        matrix.setdiag(x[:N])
        other = CSR.copy()
        other.data = x * other.data
        return weighted(matrix @ x[:N], other @ x[:N], other.T @ np.ones(N))

    check(assembled)
    check(diagonal)


def test_a_matrix_made_outside_keeps_its_numbers():
    outside = sp.lil_array(DENSE)

    def stored(x):
        outside[0, 0] = x[0]
        return np.sum(outside @ x)

    with pytest.raises(LostDerivativeError, match=r"write A = A\.copy\(\) in it"):
        tg.grad(stored)(np.ones(N))
    assert np.array_equal(outside.toarray(), DENSE)


# --- recordings ----------------------------------------------------------------------------------


def test_a_matrix_that_changes_is_recorded_again_and_one_that_is_equal_is_not():
    matrix = CSR.copy()
    derivative = tg.grad(lambda x: np.sum(matrix @ x))
    assert np.array_equal(derivative(np.ones(N)), CSR.T @ np.ones(N))
    matrix.data *= 2.0
    assert np.array_equal(derivative(np.ones(N)), 2.0 * (CSR.T @ np.ones(N)))

    by_argument = tg.grad(lambda a, x: np.sum(a @ x), argnums=1)
    for factor in (1.0, 3.0, 1.0):
        found = by_argument(factor * CSR, np.ones(N))
        np.testing.assert_allclose(found, factor * (CSR.T @ np.ones(N)), rtol=1e-15)
    assert len(by_argument.recorded.recordings) == 2


def test_a_matrix_is_stored_once_on_a_tape():
    def power(x):
        for _ in range(20):
            x = CSR @ x * 0.1
        return np.sum(x)

    derivative = tg.grad(power, compile="never")
    wanted = np.linalg.matrix_power(0.1 * DENSE.T, 20) @ np.ones(N)
    np.testing.assert_allclose(derivative(np.ones(N)), wanted, rtol=1e-12)
    tape = derivative.recorded.recordings[0].tape
    assert len(tape.blocks) == 1
    tg.check(tape)
    assert pickle.loads(pickle.dumps(tape.blocks)) == tape.blocks


def test_nested_derivatives_see_outer_numbers_in_sparse_matrices():
    def inner(s):
        return tg.grad(lambda t: np.sum(sp.diags([s * t, t], [0, 1], shape=(3, 3)) @ np.ones(3)))(
            2.0
        )

    assert inner(3.0) == pytest.approx(11.0)
    assert tg.grad(lambda s: inner(s) * s)(3.0) == pytest.approx(20.0)


# --- what has no rule ----------------------------------------------------------------------------


def test_what_has_no_rule_is_refused_by_name():
    for function, name in (
        (lambda x: csr(x).max(), r"scipy\.sparse\.csr_array\.max"),
        (lambda x: csr(x).nonzero()[0][0] * x[0], r"scipy\.sparse\.csr_array\.nonzero"),
        (lambda x: np.sum((csr(x) > 1.0).toarray()), "a comparison of sparse matrices"),
        (lambda x: np.sum((csr(x) == csr(x)).toarray()), "a comparison of sparse matrices"),
        (lambda x: sp.dok_array(np.diag(x)).sum(), r"scipy\.sparse\.dok_array"),
        (lambda x: (old(x) ** 2).sum(), "a power of a sparse matrix"),
        (lambda x: csr(x).astype(np.float32).sum(), "scipy.sparse with dtype=float32"),
        (lambda x: csr(x).sum(out=np.zeros(1)), "sum with out="),
    ):
        with pytest.raises(UnsupportedFunctionError, match=name) as caught:
            tg.grad(function)(X)
        assert "has no rule for active arguments" in str(caught.value)
        assert __file__ in str(caught.value)


def test_wrong_products_raise_scipys_errors():
    for function, kind in (
        (lambda x: np.sum(CSR @ x[:3]), ValueError),
        (lambda x: np.sum(csr(x) @ x[:3]), ValueError),
        (lambda x: np.sum((csr(x) + 1.0).toarray()), NotImplementedError),
        (lambda x: np.sum(CSR * 1j @ x[:N]), InputTypeError),
        (lambda x: np.sum((csr(x) + CSR * 1j) @ x[:N]), InputTypeError),
        (lambda x: np.sum(sp.csr_array((x, (ROWS, COLUMNS[:2])))), ValueError),
    ):
        with pytest.raises(kind):
            tg.grad(function)(X)


def test_matrices_of_no_rows_and_of_no_numbers_are_multiplied():
    def empty(x):
        none = sp.csr_array((0, N)) @ x
        zeros = sp.csr_array((N, N)) @ x
        one = sp.csr_array(x[:1, None]) @ x[:1]
        return np.sum(none) + np.sum(zeros) + one[0]

    assert np.array_equal(tg.grad(empty)(np.arange(3.0, 8.0)), [6.0, 0.0, 0.0, 0.0, 0.0])


def test_what_is_stored_into_the_numbers_of_an_active_matrix_is_refused():
    def written(A):
        A.data[:] = A.data * 2.0

    def in_place(A):
        numbers = A.data
        numbers *= 2.0

    def put_in(A):
        A.data = A.data * 2.0

    def by_out(A):
        np.multiply(A.data, 2.0, out=A.data)

    for change in (written, in_place, put_in, by_out):

        def function(p, change=change):
            A = sp.csr_matrix(np.outer(p, p))
            change(A)
            return A.sum()

        with pytest.raises((ValueError, TypeError), match=r"read-only|make another one"):
            tg.grad(function)(np.array([1.0, -2.0, 3.0]))

    def anew(p):
        A = sp.csr_matrix(np.outer(p, p))
        return sp.csr_matrix((A.data * 2.0, A.indices, A.indptr), A.shape).sum()

    assert tg.value_and_grad(anew)(np.array([1.0, -2.0, 3.0]))[0] == 8.0
