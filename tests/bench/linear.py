"""Linear algebra: gradients beside NumPy's own values, by blocks that call BLAS and LAPACK.

python tests/bench/linear.py [repeats]

Ratios of medians of calls in turn, on one core: the gradient through `np.linalg.solve` by either
side beside the solution itself, and the value and gradient of a Gaussian process's likelihood and
of a small network beside their values in NumPy; the network's beside PyTorch's too, where that is
installed.
"""

import importlib.util
import itertools
import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np  # after the number of threads is set

import tapegrad as tg

N = 300
LIMIT = 20.0
RNG = np.random.default_rng(0)


def ratio(call: timing.Call, unit: timing.Call, repeats: int) -> str:
    """Two calls' times and their quotient, as text."""
    call()
    seconds, unit_seconds = timing.in_turn(call, unit, repeats, LIMIT)
    return f"{seconds / unit_seconds:.2f} ({seconds * 1e3:.2f} ms / {unit_seconds * 1e3:.2f} ms)"


# --- systems of equations -------------------------------------------------------------------------

A, B, W = RNG.normal(size=(N, N)) + N**0.5 * np.eye(N), RNG.normal(size=N), RNG.normal(size=N)


def solutions(repeats: int) -> list[str]:
    """Gradients through a solution by either side."""
    by_side = tg.value_and_grad(lambda b: W @ np.linalg.solve(A, b))
    by_matrix = tg.value_and_grad(lambda a: W @ np.linalg.solve(a, B))
    solve = lambda: np.linalg.solve(A, B)  # noqa: E731
    with_data = tg.value_and_grad(lambda b, a: W @ np.linalg.solve(a, b))
    found = {
        "side, at most 1.6": ratio(lambda: by_side(B), solve, repeats),
        "side, of a matrix that is data, at most 1.6": ratio(
            lambda: with_data(B, A), solve, repeats
        ),
        "matrix, at most 2.6": ratio(lambda: by_matrix(A), solve, repeats),
    }
    return [f"solve {N} x {N}, gradient by the {what}: {ratio}" for what, ratio in found.items()]


# --- a Gaussian process ---------------------------------------------------------------------------

T = np.sort(RNG.uniform(0.0, 10.0, N))
SQUARES, Y = (T[:, None] - T) ** 2, np.sin(T) + 0.1 * RNG.normal(size=N)
EYE = np.eye(N)


def likelihood(p):  # type: ignore[no-untyped-def]
    """The negative logarithm of a marginal likelihood, by the logarithms of three parameters."""
    size, length, noise = np.exp(p)
    factor = np.linalg.cholesky(size * np.exp(SQUARES * (-0.5 / length**2)) + noise * EYE)
    z = np.linalg.solve(factor, Y)
    return 0.5 * (z @ z) + np.sum(np.log(np.diag(factor)))


def process(repeats: int) -> list[str]:
    """Value and gradient of a likelihood."""
    p, both = np.array([0.0, 0.0, -2.0]), tg.value_and_grad(likelihood)
    for _ in range(5):
        both(p)
    found = ratio(lambda: both(p), lambda: likelihood(p), repeats)
    return [f"Gaussian process, n = {N}, by {both.tier}: {found}, at most 6"]


# --- a network ------------------------------------------------------------------------------------

SIZES = (64, 128, 128, 10)
X, TARGET = RNG.normal(size=(256, SIZES[0])), RNG.normal(size=(256, SIZES[-1]))
LAYERS = [(RNG.normal(size=(m, n)) / m**0.5, np.zeros(n)) for m, n in itertools.pairwise(SIZES)]


def loss(layers):  # type: ignore[no-untyped-def]
    """The mean square of what a network with tanh between its layers is off by."""
    h = X
    for w, b in layers[:-1]:
        h = np.tanh(h @ w + b)
    w, b = layers[-1]
    return np.mean((h @ w + b - TARGET) ** 2)


def network(repeats: int) -> list[str]:
    """Value and gradient of a network's loss."""
    both = tg.value_and_grad(loss)
    for _ in range(5):
        both(LAYERS)
    found = ratio(lambda: both(LAYERS), lambda: loss(LAYERS), repeats)
    lines = [f"network, by {both.tier}, beside its value: {found}"]
    if importlib.util.find_spec("torch"):
        found = ratio(lambda: both(LAYERS), torch_call(), repeats)
        lines.append(f"network, beside PyTorch's: {found}, at most 1.5")
    return lines


def torch_call() -> timing.Call:
    """The same by PyTorch, in double precision on one thread."""
    import torch

    torch.set_num_threads(1)
    leaves = [[torch.tensor(part, requires_grad=True) for part in layer] for layer in LAYERS]
    x, target = torch.tensor(X), torch.tensor(TARGET)

    def call() -> list[object]:
        h = x
        for w, b in leaves[:-1]:
            h = torch.tanh(h @ w + b)
        w, b = leaves[-1]
        value = ((h @ w + b - target) ** 2).mean()
        gradient = torch.autograd.grad(value, [part for layer in leaves for part in layer])
        return [value.item(), gradient]

    return call


def main() -> None:
    """Print every ratio."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    timing.pin()
    for part in (solutions, process, network):
        print("\n".join(part(repeats)), flush=True)


if __name__ == "__main__":
    main()
