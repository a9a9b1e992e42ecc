"""Minimise the Rosenbrock function with scipy and an exact gradient."""

import numpy as np
import scipy.optimize

import tapegrad as tg


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


start = np.zeros(10)
result = scipy.optimize.minimize(tg.value_and_grad(rosenbrock), start, jac=True, method="BFGS")
print(f"minimum at {np.round(result.x, 6)} after {result.nfev} evaluations")
assert np.allclose(result.x, 1.0, atol=1e-5)
