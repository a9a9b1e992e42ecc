"""ADBench's Gaussian mixture: the log-likelihood of N = 1000 points, d = 10, K = 5, and its prior.

The 330 inputs are K log weights, K means, and for each Gaussian its square-root precision: d log
diagonal entries, then the strict lower triangle column by column. About 680,000 operations in the
loop form (Srajer, Kukelova, Fitzgibbon, Optimization Methods and Software 33, 2018).
"""

import math
from typing import Any

import numba
import numpy as np

from workloads.workload import Array, Workload

D, K, N = 10, 5, 1000
TRIANGLE = D * (D - 1) // 2
GAMMA, M = 1.0, 0.0  # the Wishart prior's, as in ADBench's data

# Entry (i, j) of a Gaussian's triangle: its place in (0, *strict lower triangle by columns).
PLACE = np.zeros((D, D), dtype=np.int64)
PLACE.T[np.triu_indices(D, 1)] = 1 + np.arange(TRIANGLE)


def _constant() -> float:
    """The part of the objective no input changes: densities' and the prior's normalisations."""
    freedom = D + M + 1
    log_gamma = 0.25 * D * (D - 1) * math.log(math.pi)
    log_gamma += sum(math.lgamma(0.5 * freedom - 0.5 * j) for j in range(D))
    prior = freedom * D * math.log(GAMMA / math.sqrt(2)) - log_gamma
    return -N * D * 0.5 * math.log(2 * math.pi) - K * prior


CONSTANT = _constant()


def array_form(x: Any, points: Any) -> Any:
    """NumPy."""
    alphas = x[:K]
    means = np.reshape(x[K : K + K * D], (K, D))
    roots = np.reshape(x[K + K * D :], (K, D + TRIANGLE))
    sums = np.sum(roots[:, :D], axis=1)
    diagonals = np.exp(roots[:, :D])
    padded = np.concatenate([np.zeros((K, 1)), roots[:, D:]], axis=1)
    lower = np.reshape(padded[:, np.ravel(PLACE)], (K, D, D))

    logs = []
    for k in range(K):
        centred = points - means[k]
        scaled = diagonals[k] * centred + centred @ lower[k].T
        logs.append(alphas[k] + sums[k] - 0.5 * np.sum(scaled**2, axis=1))
    inner = np.stack(logs, axis=1)
    top = np.max(inner, axis=1)
    likelihood = np.sum(top + np.log(np.sum(np.exp(inner - top[:, None]), axis=1)))
    weights = N * np.log(np.sum(np.exp(alphas)))
    spread = 0.5 * GAMMA**2 * (np.sum(diagonals**2) + np.sum(roots[:, D:] ** 2))
    return CONSTANT + likelihood - weights + spread - M * np.sum(sums)


@numba.njit(cache=True)
def compiled(x: Array, points: Array) -> float:
    """The same as loops."""
    alphas = x[:K]
    means = x[K : K + K * D].reshape(K, D)
    roots = x[K + K * D :].reshape(K, D + TRIANGLE)
    total = CONSTANT
    for k in range(K):
        for i in range(D):
            total += 0.5 * GAMMA**2 * math.exp(roots[k, i]) ** 2 - M * roots[k, i]
        for i in range(TRIANGLE):
            total += 0.5 * GAMMA**2 * roots[k, D + i] ** 2
    weights = 0.0
    for k in range(K):
        weights += math.exp(alphas[k])
    total -= N * math.log(weights)
    diagonals = np.exp(roots[:, :D])
    sums = roots[:, :D].sum(axis=1)

    inner, centred, scaled = np.empty(K), np.empty(D), np.empty(D)
    for n in range(N):
        for k in range(K):
            for i in range(D):
                centred[i] = points[n, i] - means[k, i]
                scaled[i] = diagonals[k, i] * centred[i]
            place = D
            for j in range(D):
                for i in range(j + 1, D):
                    scaled[i] += roots[k, place] * centred[j]
                    place += 1
            square = 0.0
            for i in range(D):
                square += scaled[i] * scaled[i]
            inner[k] = alphas[k] + sums[k] - 0.5 * square
        top = inner.max()
        weights = 0.0
        for k in range(K):
            weights += math.exp(inner[k] - top)
        total += top + math.log(weights)
    return total


@numba.njit(cache=True)
def adjoint(x: Array, points: Array) -> tuple[float, Array]:
    """Value and gradient, written by hand: a point's Gaussians, then their shares going back."""
    roots = x[K + K * D :].reshape(K, D + TRIANGLE)
    means = x[K : K + K * D].reshape(K, D)
    gradient = np.zeros_like(x)
    dmeans = gradient[K : K + K * D].reshape(K, D)
    droots = gradient[K + K * D :].reshape(K, D + TRIANGLE)
    diagonals = np.exp(roots[:, :D])
    base = x[:K] + roots[:, :D].sum(axis=1)

    total = CONSTANT
    inner, centred, scaled = np.empty(K), np.empty((K, D)), np.empty((K, D))
    for n in range(N):
        for k in range(K):
            for i in range(D):
                centred[k, i] = points[n, i] - means[k, i]
                scaled[k, i] = diagonals[k, i] * centred[k, i]
            place = D
            for j in range(D):
                for i in range(j + 1, D):
                    scaled[k, i] += roots[k, place] * centred[k, j]
                    place += 1
            inner[k] = base[k] - 0.5 * (scaled[k] ** 2).sum()
        top = inner.max()
        share = np.exp(inner - top)
        total += top + math.log(share.sum())
        share /= share.sum()
        for k in range(K):
            gradient[k] += share[k]
            place = D
            for j in range(D):
                pull = share[k] * scaled[k, j]
                dmeans[k, j] += pull * diagonals[k, j]
                droots[k, j] += share[k] - pull * centred[k, j] * diagonals[k, j]
                for i in range(j + 1, D):
                    pull = share[k] * scaled[k, i]
                    dmeans[k, j] += pull * roots[k, place]
                    droots[k, place] -= pull * centred[k, j]
                    place += 1

    weights = np.exp(x[:K])
    total -= N * math.log(weights.sum())
    gradient[:K] -= N * weights / weights.sum()
    square = diagonals**2
    total += 0.5 * GAMMA**2 * (square.sum() + (roots[:, D:] ** 2).sum()) - M * roots[:, :D].sum()
    droots[:, :D] += GAMMA**2 * square - M
    droots[:, D:] += GAMMA**2 * roots[:, D:]
    return total, gradient


def mixture() -> tuple[Array, Array]:
    """Seeded parameters and points."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal(K + K * D + K * (D + TRIANGLE))
    x[K + K * D :] *= 0.3
    return x, rng.standard_normal((N, D))


def workload() -> Workload:
    """The mixture's log-posterior."""
    x, points = mixture()
    return Workload("gmm", x, (points,), compiled, adjoint)
