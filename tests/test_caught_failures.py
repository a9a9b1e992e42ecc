"""Programs that catch what blocks, rules, solvers and inner recordings raise: never stale."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

import tapegrad as tg

LinAlgError = np.linalg.LinAlgError


@tg.custom_rule(vjp=lambda cotangent, result, x: cotangent * 2.0 * x)
def square_of_positive(x):
    if x < 0.0:
        raise ValueError("negative")
    return x * x


def matrix(p):
    return np.array([[p, 1.0], [1.0, p]])


def inner(p):
    return tg.grad(lambda q: np.linalg.cholesky(matrix(q))[1, 1])(p)


def remade(p):
    return tg.checkpoint(lambda q: np.linalg.cholesky(matrix(q))[1, 1])(p)


# What is tried, a point where it succeeds and one where it fails, and what it gives there.
TRIED = {
    "cholesky": (lambda p: np.linalg.cholesky(matrix(p))[1, 1], 2.0, 0.5),
    "scipy's": (lambda p: scipy.linalg.cholesky(matrix(p))[1, 1], 2.0, 0.5),
    "cho_factor": (lambda p: scipy.linalg.cho_factor(matrix(p))[0][1, 1], 2.0, 0.5),
    "solve": (lambda p: scipy.linalg.solve(matrix(p), np.ones(2))[0], 2.0, 1.0),
    "positive": (
        lambda p: scipy.linalg.solve(matrix(p), np.ones(2), assume_a="pos")[0], 2.0, 0.5,
    ),
    "inv": (lambda p: scipy.linalg.inv(matrix(p))[0, 0], 2.0, 1.0),
    "splu": (
        lambda p: scipy.sparse.linalg.splu(sp.csc_matrix(matrix(p))).solve(np.ones(2))[0],
        2.0, 1.0,
    ),
    "root": (lambda p: tg.root(lambda x, p: x * x - p, 1.0)(p), 2.0, -1.0),
    "rule": (lambda p: square_of_positive(p) * p, 4.0, -1.0),
    "inner derivative": (inner, 2.0, 0.5),
    "checkpoint": (remade, 2.0, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIED)
def test_a_failure_that_is_caught_counts_only_where_there_is_one(name):
    body, good, bad = TRIED[name]

    def function(p):
        try:
            return body(p)
        except (ValueError, RuntimeError, ArithmeticError):
            return -3.0 * p

    gradient = tg.value_and_grad(function)
    h = 1e-5
    change = (body(good + h) - body(good - h)) / (2 * h)
    for _ in range(2):
        value, slope = gradient(good)
        assert value == pytest.approx(body(good), rel=1e-9)
        assert slope == pytest.approx(change, rel=1e-6)
        assert gradient(bad) == (-3.0 * bad, -3.0)


def test_a_kernel_is_made_positive_only_as_far_as_it_must_be():
    def function(p):
        jitter = 0.0
        while True:
            try:
                return scipy.linalg.cho_factor(matrix(p) + jitter * np.eye(2))[0][1, 1] * p
            except LinAlgError:
                jitter = max(2.0 * jitter, 0.1)

    gradient = tg.value_and_grad(function)
    for p in (0.95, 2.0, 0.5, 3.0, 0.95):
        h = 1e-6
        value, slope = gradient(p)
        assert value == pytest.approx(function(p), rel=1e-12)
        assert slope == pytest.approx((function(p + h) - function(p - h)) / (2 * h), rel=1e-6)


def test_a_singular_sparse_matrix_raises_what_superlu_raises():
    def function(p):
        return scipy.sparse.linalg.splu(sp.csc_matrix(matrix(p))).solve(np.ones(2))[0]

    for kind in (RuntimeError, LinAlgError):
        with pytest.raises(kind, match="singular"):
            tg.grad(function)(1.0)
