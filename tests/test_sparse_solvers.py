"""scipy.sparse.linalg's direct solvers, of active matrices and right-hand sides."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from sparse_examples import COLUMNS, CSC, CSR, DENSE, ROWS, N, X, check, csr, old, weighted

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.scipy.sparse_solvers import GivenFactors

FACTORS, SOLVER = spl.splu(CSC), spl.factorized(CSC)


class Model:
    def __init__(self):
        self.factors = FACTORS

    def solved(self, x):
        return weighted(self.factors.solve(x[:N], "T"))


def block(x):
    return x[: 2 * N].reshape(N, 2)


SOLVED = {
    "spsolve": lambda x: [spl.spsolve(csr(x), x[:N]), spl.spsolve(old(x).tocsc(), block(x))],
    "spsolve, an active matrix": lambda x: [spl.spsolve(csr(x), np.ones(N)),
                                            spl.spsolve(csr(x), np.ones((N, 1)))],
    "spsolve, a plain matrix": lambda x: [spl.spsolve(CSR, x[:N]), spl.spsolve(CSC, block(x)),
                                          spl.spsolve(CSC, x[:N], permc_spec="NATURAL",
                                                      use_umfpack=False)],
    "splu": lambda x: [spl.splu(csr(x).tocsc()).solve(x[:N]),
                       spl.splu(csr(x).tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.5,
                                options={"SymmetricMode": True}).solve(block(x), trans="T")],
    "factorized": lambda x: [spl.factorized(csr(x).tocsc())(x[:N])],
    "splu of a plain matrix": lambda x: [spl.splu(CSC).solve(block(x)), spl.splu(CSC).solve(x[:N])],
    "factors made outside": lambda x: [FACTORS.solve(x[:N]), FACTORS.solve(block(x), trans="T"),
                                       SOLVER(x[:N]), Model().factors.solve(x[:N], "H")],
    "one matrix, many times": lambda x: [steps(x)],
}  # fmt: skip


def steps(x):
    y = x[:N]
    for k in range(4):
        y = spl.spsolve(csr(x * (1.0 + 0.1 * k)), y)
    return 1e2 * y


@pytest.mark.parametrize("name", SOLVED)
def test_solutions_have_derivatives_by_both_sides(name):
    check(lambda x: weighted(*SOLVED[name](x)))


def test_a_gradient_is_that_of_dense_matrices():
    def dense(x):
        matrix = np.zeros((N, N))
        matrix[ROWS, COLUMNS] = x
        return weighted(np.linalg.solve(matrix, np.arange(1.0, N + 1.0)))

    found = tg.grad(lambda x: weighted(spl.spsolve(csr(x), np.arange(1.0, N + 1.0))))(X)
    np.testing.assert_allclose(found, tg.grad(dense)(X), rtol=1e-10, atol=1e-14)


def test_factors_held_by_an_object_need_no_new_recording():
    derivative = tg.grad(Model().solved)
    for k in range(3):
        wanted = np.linalg.solve(DENSE, np.cos(np.linalg.solve(DENSE.T, X[:N] + k))
                                 * np.cos(np.arange(N) + 1.0))  # fmt: skip
        np.testing.assert_allclose(derivative(X[:N] + k), wanted, rtol=1e-12)
    assert len(derivative.recorded.recordings) == 1


def test_a_matrix_is_factored_once_a_gradient(monkeypatch):
    derivative = tg.value_and_grad(lambda x: weighted(spl.spsolve(csr(x), x[:N])), compile="never")
    derivative(X)
    made = []
    original = spl.splu

    def counted(*args, **kwargs):
        made.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(spl, "splu", counted)
    derivative(1.5 * X)
    assert len(made) == 1


def test_a_singular_matrix_raises_at_the_users_line_and_at_replays():
    def solved(x):
        return np.sum(spl.spsolve(sp.diags([x, x[:2]], [0, 1], format="csc"), np.ones(3)))

    derivative = tg.grad(solved)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        derivative(np.array([1.0, 0.0, 1.0]))
    good = derivative(np.ones(3))
    with pytest.raises(np.linalg.LinAlgError, match="singular") as caught:
        derivative(np.array([1.0, 0.0, 1.0]))
    lines = [frame.lineno for frame in caught.traceback if str(frame.path) == __file__]
    assert solved.__code__.co_firstlineno in lines
    assert np.array_equal(derivative(np.ones(3)), good)


def test_factors_are_pickled_as_the_matrix_they_are_of():
    factors = pickle.loads(pickle.dumps(GivenFactors(FACTORS)))
    b = np.arange(1.0, N + 1.0)
    np.testing.assert_allclose(factors.factors.solve(b), np.linalg.solve(DENSE, b), rtol=1e-12)
    derivative = tg.grad(lambda x: np.sum(FACTORS.solve(x)) + np.sum(spl.spsolve(CSR, x)))
    derivative(X[:N])
    tape = derivative.recorded.recordings[0].tape
    again = pickle.loads(pickle.dumps(tape.blocks))
    for block_, other in zip(tape.blocks, again, strict=True):
        np.testing.assert_allclose(block_.value([b])[0], other.value([b])[0], rtol=1e-12)


def test_what_has_no_rule_is_refused_by_name():
    for function, message in (
        (lambda x: spl.spsolve(csr(x), CSC).sum(), "write b.toarray"),
        (lambda x: np.sum(spl.splu(csr(x).tocsc()).L.data), "write splu"),
        (lambda x: np.sum(spl.spilu(csr(x).tocsc()).solve(x[:N])), "scipy.sparse.linalg.spilu"),
        (lambda x: np.sum(spl.eigsh(csr(x), 1)[0]), "scipy.sparse.linalg.eigsh"),
    ):
        with pytest.raises((UnsupportedFunctionError, TypeError), match=message):
            tg.grad(function)(X)


def test_wrong_shapes_raise_scipys_errors():
    for function in (
        lambda x: np.sum(spl.spsolve(CSR[:3], x[:3])),
        lambda x: np.sum(spl.spsolve(csr(x), x[:3])),
        lambda x: np.sum(FACTORS.solve(x)),
    ):
        with pytest.raises(ValueError, match="matrix"):
            tg.grad(function)(X)
