"""Functions of signals and images: SciPy's values, exact derivatives, transposes, second orders."""

from __future__ import annotations

import numpy as np
import pytest
from signal_cases import CURVED, LINEAR, QUADRATIC

import tapegrad as tg
from tapegrad.testing import extrapolated_difference

RNG = np.random.default_rng(0)
P, D = RNG.normal(size=(2, 24))
CASES = [
    (kind, name, k)
    for kind, cases in (("linear", LINEAR), ("quadratic", QUADRATIC), ("curved", CURVED))
    for name, functions in cases.items()
    for k in range(len(functions))
]
KINDS = {"linear": LINEAR, "quadratic": QUADRATIC, "curved": CURVED}
SECOND = [
    (kind, name, k) for kind, name, k in CASES if kind != "linear" and k in (0, 3, 11)
]  # fmt: skip


def weights_of(y):
    return np.cos(np.arange(np.size(y))).reshape(np.shape(y))


def slope_by_differences(f, kind):
    """The derivative along D; of polynomials of second degree the central difference is exact."""
    if kind != "curved":
        return 0.5 * (f(P + D) - f(P - D)), 1e-12
    found, error = extrapolated_difference(lambda t: np.ravel(f(P + t * D)), 0.01)
    return found.reshape(np.shape(f(P))), 1e-9 + 10 * error.max()


def test_every_function_with_a_rule_is_called():
    owners = ("scipy.signal.", "scipy.ndimage.", "scipy.fft.")
    names = {name for name in tg.supported() if name.startswith(owners)}
    assert names == {*LINEAR, *QUADRATIC, *CURVED}


@pytest.mark.parametrize(("kind", "name", "k"), CASES)
def test_values_are_scipys_and_derivatives_both_ways_exact(kind, name, k):
    f, seen = KINDS[kind][name][k], []

    def observed(p):
        y = f(p)
        seen.append(y.primal)
        return np.sum(y * weights_of(y))

    _, gradient = tg.value_and_grad(observed, compile="never")(P)
    value = f(P)
    assert np.array_equal(seen[0], value), "the bits"
    tangent = tg.jvp(f, (P,), (D,))[1]
    wanted, tolerance = slope_by_differences(f, kind)
    size = 1.0 + np.abs(wanted).max()
    assert np.abs(tangent - wanted).max() <= tolerance * size
    assert np.sum(gradient * D) == pytest.approx(np.sum(tangent * weights_of(value)),
                                                 rel=1e-12, abs=1e-12 * size)  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "k"), SECOND)
def test_second_derivatives_are_differences_of_first_ones(kind, name, k):
    f = KINDS[kind][name][k]

    def total(p):
        y = f(p)
        return np.sum(np.sin(y) * weights_of(y))

    gradient = tg.grad(total, compile="never")
    found = tg.hvp(total)(P, D)
    wanted, error = extrapolated_difference(lambda t: gradient(P + t * D), 0.004)
    size = 1.0 + np.abs(wanted).max()
    assert np.abs(found - wanted).max() <= 1e-7 * size + 10 * error.max()
    forward = tg.jvp(lambda p: tg.jvp(total, (p,), (D,))[1], (P,), (D,))[1]
    assert forward == pytest.approx(found @ D, rel=1e-9, abs=1e-9 * size)
