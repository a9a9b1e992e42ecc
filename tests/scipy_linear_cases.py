"""Calls of every function of scipy.linalg that can be recorded, as functions of a 4 x 4 matrix."""

from __future__ import annotations

import numpy as np
import scipy.linalg as la

I4 = np.eye(4)
B = np.array([[0.3, -1.2], [0.8, 0.1], [-0.4, 0.9], [1.1, 0.6]])
BAND = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) < 2


def weighted(*results):
    """A sum of all numbers of some arrays, each with a weight of its own."""
    return sum(
        np.sum(np.sin(x) * np.reshape(np.linspace(0.5, 2.0, max(np.size(x), 1))[: np.size(x)],
                                      np.shape(x)))
        for x in results
    )  # fmt: skip


def squared(*results):
    """The same of squares, for vectors whose signs are anyone's."""
    return weighted(*(x * x for x in results))


def spd(a):
    return a @ a.T + 2.0 * I4


def rows(a, k, number=9.0):
    """Return a matrix with more in one row, the diagonal of a band."""
    return a + number * (np.arange(len(a)) == k)[:, None]


CASES = {
    "solve": [
        lambda a: weighted(la.solve(a + 3 * I4, a @ a[0])),
        lambda a: weighted(la.solve(a + 3 * I4, B * a[0, 0], transposed=True)),
        lambda a: weighted(la.solve(spd(a), B, assume_a="pos", overwrite_a=True)),
        lambda a: weighted(la.solve(a + 9 * I4, B, assume_a="pos")),
        lambda a: weighted(la.solve(a + 9 * I4, B, assume_a="positive definite", lower=True)),
        lambda a: weighted(la.solve(a, B, assume_a="sym", lower=True)),
        lambda a: weighted(la.solve(a, a[1], assume_a="her", check_finite=False)),
        lambda a: weighted(la.solve(a, B, assume_a="upper triangular")),
        lambda a: weighted(la.solve(a, a[0], assume_a="lower triangular", transposed=True)),
        lambda a: weighted(la.solve(a, B, assume_a="diagonal")),
        lambda a: weighted(la.solve(a * BAND, B, assume_a="tridiagonal")),
        lambda a: weighted(la.solve(a * BAND, a[0], assume_a="tridiagonal", transposed=True)),
        lambda a: weighted(la.solve(a, B, assume_a="gen", overwrite_b=True)),
        lambda a: weighted(la.solve(np.stack([a, a + I4]), a[0])),
        lambda a: weighted(la.solve(a[:1, :1], a[2:, 3])),
    ],
    "solve_triangular": [
        lambda a: weighted(la.solve_triangular(a + 2 * I4, a[:, :2], trans=1, lower=True)),
        lambda a: weighted(la.solve_triangular(a, a[:, 0], unit_diagonal=True)),
        lambda a: weighted(la.solve_triangular(a, B, trans="T", overwrite_b=True)),
        lambda a: weighted(la.solve_triangular(a, B, lower=True, check_finite=False)),
        lambda a: weighted(la.solve_triangular(np.stack([a, 2 * a]), B, trans="C")),
    ],
    "solve_banded": [
        lambda a: weighted(la.solve_banded((1, 2), rows(a, 2), a[:, :2])),
        lambda a: weighted(la.solve_banded((2, 1), rows(a, 1), a[0], overwrite_ab=True)),
        lambda a: weighted(la.solve_banded((0, 0), rows(a, 0)[:1], B, overwrite_b=True)),
        lambda a: weighted(la.solve_banded((1, 1), rows(a[:3], 1), B, check_finite=False)),
    ],
    "solveh_banded": [
        lambda a: weighted(la.solveh_banded(rows(a[:3], 2), a[:, :2])),
        lambda a: weighted(la.solveh_banded(rows(a[:3], 0), a[:, 0], lower=True)),
        lambda a: weighted(la.solveh_banded(rows(a[:1], 0), B, overwrite_ab=True)),
    ],
    "inv": [
        lambda a: weighted(la.inv(a)),
        lambda a: weighted(la.inv(a + 9 * I4, assume_a="pos", lower=True)),
        lambda a: weighted(la.inv(a, assume_a="sym", overwrite_a=True)),
        lambda a: weighted(la.inv(a, assume_a="upper triangular", check_finite=False)),
        lambda a: weighted(la.inv(np.stack([a, a.T + I4]))),
    ],
    "det": [
        lambda a: la.det(a) * a[0, 0],
        lambda a: weighted(la.det(np.stack([a, a + I4]), overwrite_a=True, check_finite=False)),
    ],
    "cholesky": [
        lambda a: weighted(la.cholesky(spd(a), lower=True)),
        lambda a: weighted(la.cholesky(a + 9 * I4, overwrite_a=True, check_finite=False)),
        lambda a: weighted(la.cholesky(np.stack([spd(a), spd(2 * a)]))),
    ],
    "cho_factor": [
        lambda a: weighted(np.tril(la.cho_factor(a + 9 * I4, lower=True)[0])),
        lambda a: weighted(np.triu(la.cho_factor(spd(a), overwrite_a=True)[0])),
    ],
    "cho_solve": [
        lambda a: weighted(la.cho_solve(la.cho_factor(spd(a)), a[0])),
        lambda a: weighted(la.cho_solve(la.cho_factor(spd(a), lower=True), B)),
        lambda a: weighted(la.cho_solve((a + 3 * I4, True), B, overwrite_b=True)),
    ],
    "lu": [
        lambda a: weighted(*la.lu(a)),
        lambda a: weighted(*la.lu(a, permute_l=True)),
        lambda a: weighted(*la.lu(a, p_indices=True)[1:]),
        lambda a: weighted(*la.lu(a[:, :2], overwrite_a=True)),
        lambda a: weighted(*la.lu(a[:3], check_finite=False)),
        lambda a: weighted(*la.lu(np.stack([a[:, :2], a[:, 2:]]))),
    ],
    "lu_factor": [
        lambda a: weighted(*la.lu_factor(a)),
        lambda a: weighted(la.lu_factor(a, overwrite_a=True, check_finite=False)[0]),
    ],
    "lu_solve": [
        lambda a: weighted(la.lu_solve(la.lu_factor(a), a[0])),
        lambda a: weighted(la.lu_solve(la.lu_factor(a), B, trans=1)),
        lambda a: weighted(la.lu_solve(la.lu_factor(a), B, trans=2, overwrite_b=True)),
    ],
    "qr": [
        lambda a: weighted(*la.qr(a)),
        lambda a: weighted(*la.qr(a[:, :2], mode="economic", overwrite_a=True)),
        lambda a: weighted(*la.qr(a[:2], check_finite=False)),
        lambda a: weighted(*la.qr(a[:, :2], mode="r")),
        lambda a: weighted(*la.qr(a[:, :3], mode="economic", pivoting=True)),
        lambda a: weighted(la.qr(a[:, :2])[1], la.qr(a[:, :2])[0][:, :2]),
    ],
    "eigh": [
        lambda a: weighted(la.eigh(a)[0]) + squared(la.eigh(a)[1]),
        lambda a: squared(la.eigh(a, lower=False, overwrite_a=True)[1]),
        lambda a: weighted(la.eigh(a, spd(a))[0]) + squared(la.eigh(a, spd(a))[1]),
        lambda a: squared(la.eigh(I4 + a, spd(a), lower=False, check_finite=False)[1]),
        lambda a: squared(la.eigh(a, subset_by_index=[1, 2], driver="evr")[1]),
        lambda a: weighted(la.eigh(a, eigvals_only=True, driver="evd")),
        lambda a: weighted(la.eigh(np.stack([a, a.T]))[0]),
    ],
    "eigvalsh": [
        lambda a: weighted(la.eigvalsh(a)),
        lambda a: weighted(la.eigvalsh(a, spd(a), subset_by_index=[0, 1])),
    ],
    "svd": [
        lambda a: squared(*la.svd(a)),
        lambda a: squared(*la.svd(a[:, :2], full_matrices=False, lapack_driver="gesvd")),
        lambda a: squared(*la.svd(a[:2], full_matrices=False, overwrite_a=True)),
        lambda a: weighted(la.svd(a[:, :2])[1]) + squared(la.svd(a[:, :2])[0][:, :2]),
        lambda a: squared(la.svd(a[:2], check_finite=False)[2][:2]),
        lambda a: weighted(la.svd(a, compute_uv=False)),
    ],
    "svdvals": [lambda a: weighted(la.svdvals(a)), lambda a: weighted(la.svdvals(a[:3]))],
    "pinv": [
        lambda a: weighted(la.pinv(a[:, :2])),
        lambda a: weighted(la.pinv(a[:2], rtol=1e-10)),
        lambda a: weighted(la.pinv(a[:, :2] @ a[:2], atol=1e-9)),
        lambda a: weighted(*la.pinv(a, return_rank=True, check_finite=False)),
        lambda a: weighted(la.pinv(a, rtol=0.5)),
        lambda a: weighted(*la.pinv(np.stack([a, 3.0 * a.T]), atol=1.0, return_rank=True)),
    ],
    "expm": [
        lambda a: weighted(la.expm(a)),
        lambda a: weighted(la.expm(np.stack([a, 0.1 * a.T]))),
        lambda a: weighted(la.expm(a[:1, :1])),
    ],
    "sqrtm": [lambda a: weighted(la.sqrtm(spd(a)))],
    "logm": [lambda a: weighted(la.logm(spd(a)))],
    "cosm": [lambda a: weighted(la.cosm(a))],
    "sinm": [lambda a: weighted(la.sinm(a))],
    "coshm": [lambda a: weighted(la.coshm(a))],
    "sinhm": [lambda a: weighted(la.sinhm(a))],
    "solve_sylvester": [
        lambda a: weighted(la.solve_sylvester(a + 3 * I4, a[:2, :2], a[:, :2])),
        lambda a: weighted(la.solve_sylvester(a + 3 * I4, I4, B @ B.T)),
    ],
    "solve_continuous_lyapunov": [
        lambda a: weighted(la.solve_continuous_lyapunov(a + 3 * I4, a)),
        lambda a: weighted(la.solve_continuous_lyapunov(spd(B @ B.T), a)),
    ],
    "solve_lyapunov": [lambda a: weighted(la.solve_lyapunov(a + 3 * I4, I4))],
    "solve_discrete_lyapunov": [
        lambda a: weighted(la.solve_discrete_lyapunov(a / 5, a)),
        lambda a: weighted(la.solve_discrete_lyapunov(a / 5, I4, method="bilinear")),
    ],
    "solve_continuous_are": [
        lambda a: weighted(la.solve_continuous_are(a, a[:, :2], spd(a), spd(a)[:2, :2])),
        lambda a: weighted(la.solve_continuous_are(a, B, spd(a), 2.0 * np.eye(2), spd(a) / 9,
                                                   a[:, :2] / 9, balanced=False)),
        lambda a: weighted(la.solve_continuous_are(-I4, B, I4, np.eye(2), s=a[:, :2] / 99)),
    ],
    "block_diag": [
        lambda a: weighted(la.block_diag(a[:2], a[0, 0], a[:, :1], [1.0, 2.0])),
        lambda a: weighted(la.block_diag()) + a[0, 0] * 0.0,
    ],
    "toeplitz": [
        lambda a: weighted(la.toeplitz(a[0], a[1, :3])),
        lambda a: weighted(la.toeplitz(a[0])),
    ],
    "hankel": [lambda a: weighted(la.hankel(a[0], a[1, :3])), lambda a: weighted(la.hankel(a[0]))],
    "circulant": [lambda a: weighted(la.circulant(a[0]))],
    "norm": [
        lambda a: la.norm(a) * la.norm(a[0], 1, check_finite=False),
        lambda a: weighted(la.norm(a, axis=0, keepdims=True), la.norm(a, ord=np.inf)),
    ],
}  # fmt: skip
