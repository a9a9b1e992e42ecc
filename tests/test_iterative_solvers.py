"""scipy.sparse.linalg's iterative solvers, triangular solutions and norms of active matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from sparse_examples import CSR, DENSE, N, X, check, csr, weighted

import tapegrad as tg
from tapegrad.errors import BlockFailedError, UnsupportedFunctionError

METHODS = ["bicg", "bicgstab", "cg", "cgs", "gcrotmk", "gmres", "lgmres", "minres", "qmr", "tfqmr"]

NEARLY_INVERSE = spl.LinearOperator((N, N), spl.splu(CSR.tocsc()).solve)


def symmetric(x):
    return (csr(x) + csr(x).T + 20.0 * sp.eye_array(N)).tocsr()


def solved(method, x, **settings):
    return getattr(spl, method)(symmetric(x), x[:N], rtol=1e-12, **settings)[0]


@pytest.mark.parametrize("method", METHODS)
def test_solutions_have_the_derivatives_of_exact_ones(method):
    check(lambda x: weighted(solved(method, x)))


SOLVED = {
    "not symmetric": lambda x: [spl.gmres(csr(x), x[:N], rtol=1e-12, restart=10)[0],
                                spl.bicgstab(csr(x).tocsc(), x[:N], rtol=1e-12)[0]],
    "an active preconditioner": lambda x: [
        solved("cg", x, M=sp.diags_array(1.0 / symmetric(x).diagonal()))
    ],
    "an operator that preconditions": lambda x: [
        spl.gmres(csr(x), x[:N], rtol=1e-12, M=NEARLY_INVERSE)[0]
    ],
    "an active starting point": lambda x: [solved("cg", x, x0=0.1 * x[:N], maxiter=50)],
    "a plain matrix": lambda x: [spl.gmres(CSR, x[:N], rtol=1e-12)[0],
                                 spl.gmres(DENSE, x[:N, np.newaxis], rtol=1e-12)[0]],
    "a plain right-hand side": lambda x: [spl.minres(symmetric(x), np.ones(N), rtol=1e-12)[0]],
    "triangles": lambda x: [
        spl.spsolve_triangular(sp.tril(csr(x)).tocsr(), x[:N]),
        spl.spsolve_triangular(sp.triu(csr(x)).tocsc(), x[: 2 * N].reshape(N, 2), lower=False),
        spl.spsolve_triangular(sp.triu(csr(x)).tocsr(), np.ones(N), lower=False,
                               unit_diagonal=True),
    ],
    "norms": lambda x: [spl.norm(csr(x)), spl.norm(csr(x), 1), spl.norm(csr(x), -np.inf),
                        spl.norm(csr(x), "fro", axis=(0, 1)), spl.norm(csr(x), axis=1),
                        spl.norm(csr(x), 3, axis=0)],
}  # fmt: skip


@pytest.mark.parametrize("name", SOLVED)
def test_every_form_of_it_has_derivatives(name):
    check(lambda x: weighted(*SOLVED[name](x)))


def test_values_are_the_solvers_own_at_a_loose_tolerance():
    def f(x):
        return spl.cg(symmetric(x), x[:N], rtol=0.1)[0]

    np.testing.assert_array_equal(tg.jvp(f, (X,), (X,))[0], f(X))


def test_a_solver_that_stops_early_says_so_and_has_no_derivative():
    def solution(x):
        found, status = spl.cg(symmetric(x), x[:N], rtol=1e-14, maxiter=1)
        return np.sum(found) if status == 0 else 1e3 * np.sum(x)

    np.testing.assert_array_equal(tg.grad(solution)(X), np.full(X.size, 1e3))
    with pytest.raises(BlockFailedError, match=r"spsolve\(A, b\)"):
        tg.grad(lambda x: np.sum(solved("cg", x, maxiter=1)))(X)
    assert np.all(np.isfinite(tg.grad(lambda x: np.sum(spl.spsolve(symmetric(x), x[:N])))(X)))


def test_a_matrix_that_isnt_triangular_is_refused():
    with pytest.raises(UnsupportedFunctionError, match=r"write scipy.sparse.tril\(A\) for A"):
        tg.grad(lambda x: np.sum(spl.spsolve_triangular(csr(x), x[:N])))(X)
    tg.grad(lambda x: np.sum(spl.spsolve_triangular(sp.tril(csr(x)).tocsr(), x[:N])))(X)
