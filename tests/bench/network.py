"""Figures of a neural network written in NumPy: value and gradient against PyTorch and autograd.

    python tests/bench/network.py

A 64-128-128-10 network on a batch of 256, cross-entropy, in float64 on one thread, with each of two
activations. Times are medians of calls that alternate with PyTorch's; peers that aren't installed
are left out.
"""

import os

import timing

os.environ.update(timing.ONE_THREAD)

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import tapegrad as tg

SIZES, BATCH, RUNS = (64, 128, 128, 10), 256, 41
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH, SIZES[0]))
TARGETS = np.eye(SIZES[-1])[RNG.integers(0, SIZES[-1], BATCH)]
PARAMETERS = [
    0.1 * RNG.normal(size=shape) for n, m in itertools.pairwise(SIZES) for shape in ((n, m), (m,))
]
ALL = tuple(range(len(PARAMETERS)))
ACTIVATIONS = {"relu": lambda xp, x: xp.maximum(x, 0.0), "tanh": lambda xp, x: xp.tanh(x)}

# Times PyTorch's, and autograd's times ours, that are asked of one of the activations.
MOST_OF_TORCH, LEAST_OF_AUTOGRAD = 1.5, 3.0


def loss_of(activation: Callable[[Any, Any], Any], xp: Any) -> Callable[..., Any]:
    """The mean cross-entropy as a function of weights and biases, on a module like NumPy."""

    def loss(w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
        hidden = activation(xp, xp.matmul(X, w1) + b1)
        hidden = activation(xp, xp.matmul(hidden, w2) + b2)
        scores = xp.matmul(hidden, w3) + b3
        moved = scores - xp.max(scores, axis=1, keepdims=True)
        norm = xp.log(xp.sum(xp.exp(moved), axis=1, keepdims=True))
        return -xp.sum(TARGETS * (moved - norm)) / BATCH

    return loss


def by_torch(name: str) -> Callable[[], Any]:
    """The same by PyTorch's own functions."""
    import torch

    torch.set_num_threads(1)
    activation = getattr(torch, name)
    x, targets = torch.tensor(X), torch.tensor(TARGETS)
    parameters = [torch.tensor(p, requires_grad=True) for p in PARAMETERS]

    def call() -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        hidden = activation(torch.addmm(b1, x, w1))
        hidden = activation(torch.addmm(b2, hidden, w2))
        scores = torch.log_softmax(torch.addmm(b3, hidden, w3), 1)
        value = -(targets * scores).sum() / BATCH
        return value.item(), [g.numpy() for g in torch.autograd.grad(value, parameters)]

    return call


def by_autograd(name: str) -> Callable[[], Any]:
    """The same by HIPS autograd."""
    import autograd
    import autograd.numpy as xp

    derivative = autograd.value_and_grad(
        lambda parameters: loss_of(ACTIVATIONS[name], xp)(*parameters)
    )
    return lambda: derivative(PARAMETERS)


def figures(name: str) -> str:
    """A line for one activation."""
    derivative = tg.value_and_grad(loss_of(ACTIVATIONS[name], np), ALL, compile="now")
    ours = lambda: derivative(*PARAMETERS)  # noqa: E731
    ours()
    value, gradient = ours()
    shown = [f"{name}: {1e3 * timing.seconds(ours, RUNS):.2f} ms"]
    for peer, make in (("torch", by_torch), ("autograd", by_autograd)):
        if importlib.util.find_spec(peer) is None:
            shown.append(f"{peer} isn't installed")
            continue
        call = make(name)
        expected_value, expected = call()
        assert abs(value - expected_value) < 1e-12
        for found, wanted in zip(gradient, expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-14)
        mine, theirs = timing.in_turn(ours, call, RUNS, limit=60.0)
        shown.append(f"{mine / theirs:.2f} times {peer}")
    return ", ".join(shown)


if __name__ == "__main__":
    timing.pin()
    print(f"asked: at most {MOST_OF_TORCH} times torch, {1 / LEAST_OF_AUTOGRAD:.2f} times autograd")
    for each in ACTIVATIONS:
        print(figures(each))
