"""Figures of transforms and filters: value and gradient beside NumPy's or SciPy's value, and JAX.

    python tests/bench/transforms.py [SAMPLES]

The power of a signal's spectrum, in machine code and swept, on one thread: at most 4 times NumPy's
value, and no slower than JAX, where that is installed. Beside it a few filters. Times are medians
of calls that alternate with the plain function.
"""

import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal

import tapegrad as tg

N = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
RUNS, MOST = 31, 4.0
RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=N)
IMAGE = RNG.normal(size=(256, 256))
B, A = scipy.signal.butter(4, 0.2)
KERNEL = RNG.normal(size=65)


def power(x: Any, xp: Any = np) -> Any:
    """The power of a spectrum."""
    return xp.sum(xp.abs(xp.fft.rfft(x)) ** 2)


OTHERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "lfilter": (lambda x: np.sum(scipy.signal.lfilter(B, A, x) ** 2), SIGNAL),
    "convolve": (lambda x: np.sum(scipy.signal.convolve(x, KERNEL) ** 2), SIGNAL),
    "welch": (lambda x: np.sum(np.log(scipy.signal.welch(x)[1])), SIGNAL),
    "gaussian_filter": (lambda x: np.sum(scipy.ndimage.gaussian_filter(x, 2.0) ** 2), IMAGE),
}


def by_jax() -> Callable[[], Any] | None:
    """A call of JAX's value and gradient, if it's installed."""
    try:
        jax = importlib.import_module("jax")
    except ModuleNotFoundError:
        return None
    jax.config.update("jax_enable_x64", True)
    gradient = jax.jit(jax.value_and_grad(partial(power, xp=jax.numpy)))
    x = jax.device_put(SIGNAL)
    return lambda: jax.block_until_ready(gradient(x))


def main() -> None:
    """Print the figures."""
    timing.pin()
    swept, compiled = tg.value_and_grad(power, compile="never"), tg.value_and_grad(power)
    call = partial(compiled.compiled(SIGNAL), SIGNAL)
    gradient = call()[1]
    np.testing.assert_allclose(gradient, swept(SIGNAL)[1])
    ours, own = timing.in_turn(call, partial(power, SIGNAL), RUNS, limit=30.0)
    print(f"rfft power of {N:,}: {ours / own:.2f} times NumPy's value, {1e3 * own:.2f} ms "
          f"(asked: at most {MOST})")  # fmt: skip
    slow, own = timing.in_turn(partial(swept, SIGNAL), partial(power, SIGNAL), RUNS, limit=30.0)
    print(f"    swept: {slow / own:.2f} times")
    peer = by_jax()
    if peer is not None:
        np.testing.assert_allclose(gradient, peer()[1], rtol=1e-6, atol=1e-6)
        ours, own = timing.in_turn(call, peer, RUNS, limit=30.0)
        print(f"    {ours / own:.2f} times JAX's value and gradient, {1e3 * own:.2f} ms")
    for name, (function, x) in OTHERS.items():
        derivative = partial(tg.value_and_grad(function).compiled(x), x)
        ours, own = timing.in_turn(derivative, partial(function, x), RUNS, limit=30.0)
        print(f"{name}: {ours / own:.2f} times SciPy's value, {1e3 * own:.2f} ms")


if __name__ == "__main__":
    main()
