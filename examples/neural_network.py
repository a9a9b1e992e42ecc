"""Train a small neural network, written in plain NumPy, to tell two interleaved moons apart.

The parameters are a dict of weights and biases; the loss is the mean cross-entropy with a small
penalty on the weights; scipy's L-BFGS minimises it with the recorded gradient. Writes
neural_network.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

SHAPES = {"w1": (2, 12), "b1": (12,), "w2": (12, 12), "b2": (12,), "w3": (12,), "b3": (1,)}
PENALTY = 1e-4


def two_moons(n, rng):
    """Return n points of two half circles that reach into each other, and their classes."""
    angle = np.pi * rng.random(n)
    label = rng.integers(0, 2, n)
    x = np.where(label == 0, np.cos(angle), 1.0 - np.cos(angle))
    y = np.where(label == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], axis=1) + 0.15 * rng.standard_normal((n, 2)), label.astype(float)


def unpack(flat):
    """Return the parameters, by name, that a vector holds."""
    parameters, start = {}, 0
    for name, shape in SHAPES.items():
        stop = start + int(np.prod(shape))
        parameters[name] = flat[start:stop].reshape(shape)
        start = stop
    return parameters


def logits(parameters, points):
    """Return the network's log-odds that each point is of class 1."""
    hidden = np.tanh(points @ parameters["w1"] + parameters["b1"])
    hidden = np.tanh(hidden @ parameters["w2"] + parameters["b2"])
    return hidden @ parameters["w3"] + parameters["b3"]


def loss(flat, points, labels):
    """Return the mean cross-entropy, penalised."""
    z = logits(unpack(flat), points)
    return np.mean(np.logaddexp(0.0, z) - labels * z) + PENALTY * np.sum(flat**2)


def accuracy(parameters, points, labels):
    """Return the share of points classified right."""
    return np.mean((logits(parameters, points) > 0) == (labels > 0.5))


def draw(parameters, points, labels, path):
    """Draw the points over the network's probability of class 1."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    x, y = np.meshgrid(np.linspace(-1.8, 2.8, 240), np.linspace(-1.3, 1.8, 180))
    z = logits(parameters, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    probability = 1 / (1 + np.exp(-z))
    figure, axes = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
    shades = axes.contourf(x, y, probability, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
    axes.contour(x, y, probability, [0.5], colors="k", linewidths=1.5)
    for label, colour, marker in ((0.0, "#b2182b", "o"), (1.0, "#2166ac", "^")):
        chosen = labels == label
        axes.scatter(*points[chosen].T, s=18, c=colour, marker=marker, edgecolors="w",
                     linewidths=0.5, label=f"class {label:.0f}")  # fmt: skip
    figure.colorbar(shades, label="probability of class 1")
    axes.set(xlabel="x", ylabel="y", title="Two moons: decision boundary of a 2-12-12-1 network")
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    rng = np.random.default_rng(3)
    train, test = two_moons(300, rng), two_moons(300, rng)
    size = sum(int(np.prod(shape)) for shape in SHAPES.values())
    start = 0.5 * rng.standard_normal(size)
    began = time.perf_counter()
    result = scipy.optimize.minimize(
        tg.value_and_grad(loss), start, args=train, jac=True, method="L-BFGS-B",
        options={"maxiter": 300},
    )  # fmt: skip
    seconds = time.perf_counter() - began
    parameters = unpack(result.x)
    print(f"{size} parameters, {result.nfev} evaluations in {seconds:.1f} s, loss {result.fun:.4f}")
    print(f"accuracy: training {accuracy(parameters, *train):.1%}, test "
          f"{accuracy(parameters, *test):.1%}")  # fmt: skip
    draw(parameters, *train, Path(__file__).with_suffix(".png"))
    assert result.fun < 0.15
    assert accuracy(parameters, *test) > 0.96


if __name__ == "__main__":
    main()
