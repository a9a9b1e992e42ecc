"""Relax a cluster of atoms: plain loops over all pairs, found again on the tape and compiled.

The Lennard-Jones energy of 38 atoms from perturbed places on a lattice, minimised with gradients,
then with products of the Hessian, all in machine code that was made of the recorded operations.
"""

from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

ATOMS = 38


def energy(x):
    total = 0.0
    for i in range(1, len(x) // 3):
        for j in range(i):
            dx = x[3 * i] - x[3 * j]
            dy = x[3 * i + 1] - x[3 * j + 1]
            dz = x[3 * i + 2] - x[3 * j + 2]
            inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
            sixth = inverse * inverse * inverse
            total += 4.0 * (sixth * sixth - sixth)
    return total


def perturbed_lattice():
    """Return places near those of a face-centred cubic lattice, as one vector."""
    lattice = np.array([p for p in np.ndindex(5, 5, 5) if sum(p) % 2 == 0]) - 2
    nearest = np.argsort(np.sum((lattice + [0.1, 0.2, 0.3]) ** 2, axis=1))[:ATOMS]
    noise = np.random.default_rng(1).standard_normal((ATOMS, 3))
    return (0.79 * lattice[nearest] + 0.03 * noise).ravel()


def draw(energies, places, path):
    """Draw the energy on the way, and the atoms."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.add_subplot(1, 2, 1)
    axes.plot(energies)
    axes.set(xlabel="iteration", ylabel="energy (depths of the pair potential)")
    axes = figure.add_subplot(1, 2, 2, projection="3d")
    distance = np.linalg.norm(places - places.mean(axis=0), axis=1)
    axes.scatter(*places.T, s=250, c=distance)
    axes.set(title=f"{len(places)} atoms", xlabel="x", ylabel="y", zlabel="z")
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    start = perturbed_lattice()
    found = tg.explain(energy, start)
    print(f"\n{found.rolled}\n")
    gradient = tg.value_and_grad(energy).compiled(start)
    energies = []
    rough = scipy.optimize.minimize(
        gradient, start, jac=True, method="L-BFGS-B",
        callback=lambda x: energies.append(gradient(x)[0]),
    )  # fmt: skip
    product = tg.hvp(energy, compile="now")
    fine = scipy.optimize.minimize(
        gradient, rough.x, jac=True, hessp=product, method="Newton-CG", options={"xtol": 1e-10}
    )
    norm = np.linalg.norm(gradient(fine.x)[1])
    print(f"energy {gradient(start)[0]:.4f}, {rough.fun:.6f} after {rough.nit} steps of L-BFGS, "
          f"{fine.fun:.6f} after {fine.nit} of Newton's; gradient {norm:.1e}")  # fmt: skip
    draw(energies, fine.x.reshape(-1, 3), Path(__file__).with_suffix(".png"))
    assert norm < 1e-4, norm


if __name__ == "__main__":
    main()
