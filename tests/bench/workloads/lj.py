"""The Lennard-Jones energy of 64 atoms: 4 (r^-12 - r^-6) over all pairs, a triangular double loop.

192 inputs (x, y, z of atom 0, of atom 1, ...), 2016 pairs of 15 operations. The operators are all
it needs, so that the one form runs on floats, inside Numba and on every tool's own numbers.
"""

from typing import Any

import numba
import numpy as np

from workloads.workload import Array, Workload

ATOMS = 64
FIRST, SECOND = np.triu_indices(ATOMS, 1)


def scalar_form(x: Any) -> Any:
    """Plain Python numbers."""
    energy = 0.0
    for i in range(1, ATOMS):
        for j in range(i):
            dx = x[3 * i] - x[3 * j]
            dy = x[3 * i + 1] - x[3 * j + 1]
            dz = x[3 * i + 2] - x[3 * j + 2]
            inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
            sixth = inverse * inverse * inverse
            energy += 4.0 * (sixth * sixth - sixth)
    return energy


def array_form(x: Any) -> Any:
    """NumPy: the pairs gathered by index."""
    atoms = np.reshape(x, (ATOMS, 3))
    apart = atoms[FIRST] - atoms[SECOND]
    inverse = 1.0 / np.sum(apart**2, axis=1)
    sixth = inverse**3
    return 4.0 * np.sum(sixth**2 - sixth)


compiled = numba.njit(cache=True)(scalar_form)


@numba.njit(cache=True)
def adjoint(x: Array) -> tuple[float, Array]:
    """Value and gradient (minus the forces), written by hand."""
    energy = 0.0
    gradient = np.zeros_like(x)
    for i in range(1, ATOMS):
        for j in range(i):
            dx = x[3 * i] - x[3 * j]
            dy = x[3 * i + 1] - x[3 * j + 1]
            dz = x[3 * i + 2] - x[3 * j + 2]
            inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
            sixth = inverse * inverse * inverse
            energy += 4.0 * (sixth * sixth - sixth)
            pull = 24.0 * (sixth - 2.0 * sixth * sixth) * inverse
            gradient[3 * i] += pull * dx
            gradient[3 * i + 1] += pull * dy
            gradient[3 * i + 2] += pull * dz
            gradient[3 * j] -= pull * dx
            gradient[3 * j + 1] -= pull * dy
            gradient[3 * j + 2] -= pull * dz
    return energy, gradient


def positions() -> Array:
    """A shaken 4 x 4 x 4 lattice, near the equilibrium distance."""
    lattice = 1.15 * np.indices((4, 4, 4)).reshape(3, ATOMS).T.ravel()
    return lattice + 0.05 * np.random.default_rng(4).standard_normal(3 * ATOMS)


def workload() -> Workload:
    """The shaken lattice's energy."""
    return Workload("lj", positions(), (), compiled, adjoint)
