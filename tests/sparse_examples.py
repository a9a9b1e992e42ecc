"""Sparse matrices for tests, plain and active, and what a function of them is compared with."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import tapegrad as tg
from tapegrad.testing import extrapolated_difference

N = 5
RNG = np.random.default_rng(1)
DENSE = np.where(RNG.random((N, N)) < 0.5, RNG.normal(size=(N, N)), 0.0) + 4.0 * np.eye(N)
ROWS, COLUMNS = np.nonzero(DENSE)
FORMATS = ["csr", "csc", "coo", "dia", "bsr", "lil", "dok"]
ARRAYS = {name: getattr(sp, f"{name}_array")(DENSE) for name in FORMATS}
MATRICES = {name: getattr(sp, f"{name}_matrix")(DENSE) for name in FORMATS}
CSR, CSC, OLD = ARRAYS["csr"], ARRAYS["csc"], MATRICES["csr"]
X = RNG.normal(size=ROWS.size) + 3.0
D = np.cos(X)
# Places of which some are twice.
TWICE = np.array([0, 1, 2, 3, 4, 0, 1, 0, 0]), np.array([0, 1, 2, 3, 4, 1, 2, 0, 1])


def weighted(*results):
    """A sum of all numbers of some arrays, each with a weight of its own."""
    found = 0.0
    for result in results:
        x = np.asarray(result) if type(result) is np.matrix else result
        weights = np.cos(np.arange(np.size(x)) + 1.0)
        found = found + np.sum(np.sin(x) * np.reshape(weights, np.shape(x)))
    return found


def check(f, x=X, d=D):
    """Compare value, derivatives both ways and second derivatives with differences."""
    value, gradient = tg.value_and_grad(f, compile="never")(x)
    assert value == pytest.approx(f(x), rel=1e-12)
    slope = tg.jvp(f, (x,), (d,))[1]
    wanted, error = extrapolated_difference(lambda t: np.array([f(x + t * d)]), 0.004)
    assert slope == pytest.approx(wanted[0], rel=1e-8, abs=1e-9 + 10 * error[0])
    assert np.sum(gradient * d) == pytest.approx(slope, rel=1e-10, abs=1e-11)
    derivative = tg.grad(f, compile="never")
    wanted, error = extrapolated_difference(lambda t: derivative(x + t * d), 0.004)
    np.testing.assert_allclose(tg.hvp(f)(x, d), wanted, rtol=1e-7, atol=1e-7 + 10 * error.max())


def csr(x):
    return sp.csr_array((x, (ROWS, COLUMNS)), shape=(N, N))


def old(x):
    return sp.csr_matrix((x, (ROWS, COLUMNS)), shape=(N, N))
